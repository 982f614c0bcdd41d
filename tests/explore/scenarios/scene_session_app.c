/* SPDX-License-Identifier: Apache-2.0 */
/* scene_session_app.c - sessions in the whole library, small: real workers that sleep, the real control thread
 *
 * What is lost is a deadlock here: a wake-up, a final, a close callback, a waiter. One preemption, where a session has
 * operations: making and looking through their table takes ten thousand steps of each run. The same with two, without
 * the work queue's own threads, is in scene_session_wait.c and its neighbours.
 */
#include <weir/weir.h>

#include "core/parker.h"
#include "small_app.h"

static weir_session session;
static weir_op op;
static unsigned works, finals, gones, closes, hooks;
static weir_status final_status;
static int input;

static weir_status work(weir_task *task, void *ctx)
{
    (void)task, (void)ctx;
    explore_check(input == 1);
    works++;
    return WEIR_OK;
}

static void take_result(const weir_result *r, void *ctx)
{
    (void)ctx;
    explore_check(!r->more && finals == 0);
    final_status = r->status;
    finals++;
}

static void take_gone(void *ctx)
{
    (void)ctx;
    explore_check(finals == 1 || finals == 2);
    gones++;
}

static void take_closed(const weir_report *report, void *ctx)
{
    explore_check(ctx == &closes && report->accepted == finals && finals == gones);
    closes++;
}

static const weir_kind kind = { .size = sizeof(weir_kind), .work = work, .on_result = take_result, .gone = take_gone };

static void open_session(void)
{
    explore_check(open_app(1) == WEIR_OK);
    explore_check(weir_session_open(app, WEIR_NEW(weir_session_options, .reserve = 1), &session) == WEIR_OK);
    input = 1;
}

static void start_op(const weir_kind *of, weir_op *out)
{
    explore_check(weir_op_start(session, of, NULL, NULL, out) == WEIR_OK);
}

static weir_status close_session(void)
{
    return weir_session_close(session, take_closed, &closes);
}

static void *wait_for_session(void *unused)
{
    weir_status status = weir_session_wait(session, WEIR_FOREVER, NULL);
    explore_check(status == WEIR_OK || status == WEIR_STALE);
    explore_check(closes == 1 && finals == gones);             /* E7: the callback has returned */
    return unused;
}

/* S7: nobody else wakes the waiter. */
EXPLORE_SCENARIO(session_app_close_and_wait, .preemptions = 1, .steps = 60000)
{
    open_session();
    start_op(&kind, NULL);
    explore_check(close_session() == WEIR_OK);
    wait_for_session(NULL);
    explore_check(finals == 1);
    explore_observe(works);
    close_app();
}

/* The application ends sessions that nobody closes (A1), whatever their operations do. */
EXPLORE_SCENARIO(session_app_closed_by_the_application, .preemptions = 1, .steps = 60000)
{
    open_session();
    start_op(&kind, NULL);
    close_app();
    explore_check(finals == 1 && gones == 1);
    explore_check(final_status == (works == 1 ? WEIR_OK : WEIR_CANCELED));
    explore_observe(works);
}

static weir_status late_start, late_open;

static void *start_late(void *unused)
{
    late_start = weir_op_start(session, &kind, NULL, NULL, NULL);
    explore_check(late_start == WEIR_OK || late_start == WEIR_CLOSED || late_start == WEIR_STALE
                  || late_start == WEIR_SHUTDOWN);
    return unused;
}

EXPLORE_SCENARIO(session_app_start_against_close_of_the_application, .preemptions = 1, .steps = 60000)
{
    open_session();
    pthread_t other = start(start_late, 0);
    close_app();
    pthread_join(other, NULL);
    explore_check(finals == (late_start == WEIR_OK) && gones == finals);
    explore_observe((uint64_t)late_start);
}

static void *open_late(void *unused)
{
    late_open = weir_session_open(app, NULL, &session);
    explore_check(late_open == WEIR_OK || late_open == WEIR_SHUTDOWN || late_open == WEIR_STALE);
    return unused;
}

/* O1: it is closed by the application, or was never open.
 * Found: a session that became open after the application's close had looked for sessions was closed by nobody, and the
 * close waited for ever; with one stale read also when the opener looked once more, by a load.
 * kills: an open that does not look again (after some thousand runs; scene_session_start.c has it smaller) */
EXPLORE_SCENARIO(session_app_open_against_close_of_the_application, .preemptions = 2, .stale_reads = 1)
{
    explore_check(open_app(1) == WEIR_OK);
    pthread_t other = start(open_late, 0);
    close_app();
    pthread_join(other, NULL);
    explore_observe((uint64_t)late_open);
}

/* ---- fetched results ---- */

static int item;
static struct parker go_on;

static weir_status post_one(weir_task *task, void *ctx)
{
    (void)ctx;
    return works++ == 0 ? weir_task_post(task, &item, 1) : WEIR_OK;
}

static const weir_kind pull_kind = { .size = sizeof(weir_kind), .work = post_one };

/* Who sleeps for a result is woken by each: the item, then the final. */
EXPLORE_SCENARIO(session_app_next_sleeps_for_an_item_and_the_final, .preemptions = 1, .steps = 60000)
{
    const weir_result *r = NULL;
    open_session();
    start_op(&pull_kind, &op);
    explore_check(weir_op_next(op, WEIR_FOREVER, &r) == WEIR_OK && r->more && r->data == &item);
    explore_check(weir_op_next(op, WEIR_FOREVER, &r) == WEIR_OK && !r->more && r->status == WEIR_OK);
    explore_check(weir_op_close(op) == WEIR_OK);
    close_app();
}

/* ---- rescue (C7): the one worker is inside work, until its hook is called ---- */

static bool unblock(weir_reason reason, void *ctx)
{
    (void)ctx;
    explore_check(reason != 0);
    hooks++;
    (void)parker_unpark(&go_on);
    return true;
}

static weir_status block_until_hook(weir_task *task, void *ctx)
{
    works++;
    if (weir_task_on_cancel(task, unblock, ctx) != WEIR_OK)
        return WEIR_CANCELED;
    (void)parker_park(&go_on, WEIR_FOREVER);
    return WEIR_CANCELED;
}

static const weir_kind stuck_kind = {
    .size = sizeof(weir_kind), .work = block_until_hook, .on_result = take_result, .gone = take_gone,
};

EXPLORE_SCENARIO(session_app_cancel_rescues_a_stuck_worker, .preemptions = 1, .steps = 60000)
{
    open_session();
    start_op(&stuck_kind, &op);
    explore_check(weir_op_cancel(op, WEIR_REASON_USER) == WEIR_OK);
    explore_check(weir_op_close(op) == WEIR_OK);
    explore_check(close_session() == WEIR_OK);
    wait_for_session(NULL);
    explore_check(finals == 1);
    explore_observe(hooks * 2 + works);
    close_app();
}

/* Sweep and hook by the control thread alone, after its millisecond. */
EXPLORE_SCENARIO(session_app_close_rescues_a_stuck_worker, .preemptions = 1, .steps = 60000)
{
    open_session();
    start_op(&stuck_kind, NULL);
    explore_check(close_session() == WEIR_OK);
    wait_for_session(NULL);
    explore_check(finals == 1);
    explore_observe(hooks * 2 + works);
    close_app();
}
