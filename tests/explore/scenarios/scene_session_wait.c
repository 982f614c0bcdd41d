/* SPDX-License-Identifier: Apache-2.0 */
/* scene_session_wait.c - threads that sleep for the end of a session, or for a result, against what ends their sleep
 *
 * The worker looks until its work is done and is then gone, so a wake-up that is lost is a deadlock.
 * "kills" names one-line changes of the library that the search was tried with and finds. */
#include "core/parker.h"
#include "tiny_session.h"

static unsigned enough;                                        /* the worker stops at so many close callbacks, */
static unsigned enough_gones;                                  /* or gones */

/* Plain reads of what only this thread's callbacks write. */
static void *work_until_enough(void *unused)
{
    be_worker(1);
    while ((enough > 0 && closes < enough) || (enough_gones > 0 && told[0].gones < enough_gones))
        (void)look_once();
    return unused;
}

static void *wait_for_session(void *unused)
{
    weir_status status = weir_session_wait(session, WEIR_FOREVER, NULL);
    explore_check(status == WEIR_OK || status == WEIR_STALE);
    explore_check(closes == 1);                                /* E7: the callback has returned */
    return unused;
}

/* S7, E7, S8: nobody else wakes the waiter, whose view of all that ran is whole, also if it was told STALE.
 * Found: who was told STALE since nobody held the slot any more had not synchronised with the close callback.
 * kills: an end that posts nothing; a hold of the slot without acquire */
EXPLORE_SCENARIO(session_wait_against_the_end, .preemptions = 3, .stale_reads = 1)
{
    begin_session();
    start_op(0, &plain_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    explore_check(close_session() == WEIR_OK);
    enough = 1;
    pthread_t worker = start(work_until_enough, 0);
    wait_for_session(NULL);
    explore_check(told[0].finals == 1 && told[0].gones == 1);
    pthread_join(worker, NULL);
    end_session(true);
}

/* Two who wait, and a slot that outlives them. */
EXPLORE_SCENARIO(session_two_wait_for_the_end, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    explore_check(close_session() == WEIR_OK);
    enough = 1;
    pthread_t worker = start(work_until_enough, 0), other = start(wait_for_session, 0);
    wait_for_session(NULL);
    pthread_join(other, NULL);
    pthread_join(worker, NULL);
    end_session(true);
}

/* Out of time, in every place; the report is read then, too. */
EXPLORE_SCENARIO(session_wait_times_out, .preemptions = 2, .early_timeouts = 1)
{
    weir_report report = { .size = sizeof(report) };
    begin_session();
    start_op(0, &plain_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    explore_check(close_session() == WEIR_OK);
    enough = 1;
    pthread_t worker = start(work_until_enough, 0);
    weir_status status = weir_session_wait(session, 1000, &report);
    explore_check(status == WEIR_OK || status == WEIR_TIMED_OUT || status == WEIR_STALE);
    if (status == WEIR_OK)
        explore_check(report.accepted == 1 && report.phase == WEIR_PHASE_CLOSED);
    explore_observe((uint64_t)status);
    wait_for_session(NULL);
    pthread_join(worker, NULL);
    end_session(true);
}

/* The slot is used again while somebody is still on his way to wait for its last owner. */
static void *wait_late(void *unused)
{
    weir_status status = weir_session_wait(session, 0, NULL);
    explore_check(status == WEIR_TIMED_OUT || status == WEIR_STALE || status == WEIR_OK);
    return unused;
}

EXPLORE_SCENARIO(session_late_wait_against_a_new_owner, .preemptions = 2, .stale_reads = 1)
{
    weir_session next;
    begin_session();
    explore_check(close_session() == WEIR_OK);
    pthread_t late = start(wait_late, 0);
    finish();
    explore_check(closes == 1);
    explore_check(weir_session_open(tiny.handle, NULL, &next) == WEIR_OK);
    explore_check(next.bits != session.bits);
    pthread_join(late, NULL);
    explore_check(weir_session_close(next, NULL, NULL) == WEIR_OK);
    end_session(true);
}

/* ---- fetching ---- */

static struct parker first_is_fetched;

static weir_status post_two(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    t->runs++;
    weir_status status = post(task, 0);
    (void)parker_park(&first_is_fetched, WEIR_FOREVER);        /* so that no final comes to wake who has missed it */
    return status == WEIR_OK ? post(task, 1) : status;
}

static const weir_kind pull_kind = {
    .size = sizeof(weir_kind), .work = post_two, .gone = take_gone, .window = 2,
};

/* Who sleeps for a result is woken by each: two items, then the final.
 * kills: a post that wakes nobody */
EXPLORE_SCENARIO(session_next_sleeps_for_items_and_the_final, .preemptions = 2, .stale_reads = 1)
{
    const weir_result *r = NULL;
    begin_session();
    start_op(0, &pull_kind);
    enough_gones = 1;
    pthread_t worker = start(work_until_enough, 0);
    for (unsigned i = 0; i < 2; i++) {
        explore_check(weir_op_next(op[0], WEIR_FOREVER, &r) == WEIR_OK && r->more && r->data == &drops[i]);
        (void)parker_unpark(&first_is_fetched);
    }
    explore_check(weir_op_next(op[0], WEIR_FOREVER, &r) == WEIR_OK && !r->more && r->status == WEIR_OK);
    pthread_join(worker, NULL);
    told[0].finals = 1;
    end_session(false);
}

static weir_status defer_for_ever(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    weir_token nobody_has_it;
    t->runs++;
    return weir_task_defer(task, &nobody_has_it);
}

static const weir_kind deferred_pull_kind = { .size = sizeof(weir_kind), .work = defer_for_ever, .gone = take_gone };

static weir_status fetched;

static void *fetch(void *unused)
{
    const weir_result *r = NULL;
    fetched = weir_op_next(op[0], WEIR_FOREVER, &r);
    if (fetched == WEIR_OK)
        explore_check(r != NULL);
    return unused;
}

/* R6, H4: the sleeper is sent away.
 * kills: a close of the handle that wakes nobody */
EXPLORE_SCENARIO(session_next_sleeps_and_the_handle_is_closed, .preemptions = 3, .stale_reads = 1)
{
    begin_session();
    start_op(0, &deferred_pull_kind);
    finish();
    pthread_t other = start(fetch, 0);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    pthread_join(other, NULL);
    explore_check(fetched == WEIR_STALE);
    told[0].finals = 1;
    end_session(false);
}

/* A close of the session, or a cancel of all, wakes it with the final. */
EXPLORE_SCENARIO(session_next_sleeps_and_the_session_is_closed, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &deferred_pull_kind);
    finish();
    enough_gones = 1;
    pthread_t other = start(fetch, 0), worker = start(work_until_enough, 0);
    explore_check(close_session() == WEIR_OK);
    pthread_join(other, NULL);
    pthread_join(worker, NULL);
    explore_check(fetched == WEIR_OK);
    told[0].finals = 1;
    end_session(true);
}
