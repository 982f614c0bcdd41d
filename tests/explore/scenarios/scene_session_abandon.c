/* SPDX-License-Identifier: Apache-2.0 */
/* scene_session_abandon.c - closes that abandon, against the return of the work and its token; who waits and helps;
 * parents and children
 *
 * "kills" names one-line changes of the library that the search was tried with and finds. */
#include "tiny_session.h"

static bool inside;                                            /* plain: by the work */

static void take_gone_late(void *ctx)
{
    struct told *t = ctx;
    explore_check(!inside && t->gones == 0);
    t->gones++;
}

static weir_status poll_once(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    inside = true;
    t->runs++;
    weir_reason reason = weir_task_cancelled(task);
    inside = false;
    return reason != 0 ? WEIR_CANCELED : WEIR_OK;
}

static void take_any_final(const weir_result *r, void *ctx)
{
    static unsigned finals[OPS];                               /* told[] is the work's, which may still run */
    struct told *t = ctx;
    explore_check(!r->more && finals[t - told] == 0);
    finals[t - told]++;
    t->finals = 1;
    t->status = r->status;
}

static const weir_kind abandoned_kind = {
    .size = sizeof(weir_kind), .work = poll_once, .on_result = take_any_final, .gone = take_gone_late,
};

static void take_closed_early(const weir_report *report, void *ctx)
{
    explore_check(ctx == &closes && closes == 0 && report->accepted == told[0].finals + told[1].finals);
    closes++;
}

static weir_status close_and_abandon(void)
{
    return weir_session_close_with(session, WEIR_NEW(weir_close_options, .abandon = true, .closed = take_closed_early,
                                                     .ctx = &closes));
}

/* S9, R3: the final comes once, by the work's return or ABANDONED; gone once, when the work has returned, which may be
 * after the close callback. */
EXPLORE_SCENARIO(session_abandon_against_the_return_of_the_work, .preemptions = 2)
{
    begin_session();
    start_op(0, &abandoned_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    pthread_t worker = start(worker_thread, 1);
    explore_check(close_and_abandon() == WEIR_OK);
    while (control_look())
        ;
    pthread_join(worker, NULL);
    finish();
    explore_check(closes == 1 && told[0].finals == 1 && told[0].gones == 1);
    explore_observe((uint64_t)told[0].status);
    end_app();
}

/* The handle is not closed by its owner but by the abandon, or by both. */
static void *close_handle(void *unused)
{
    weir_status status = weir_op_close(op[0]);
    explore_check(status == WEIR_OK || status == WEIR_STALE);
    return unused;
}

EXPLORE_SCENARIO(session_abandon_against_the_close_of_a_handle, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &abandoned_kind);
    finish();
    pthread_t holder = start(close_handle, 0);
    explore_check(close_and_abandon() == WEIR_OK);
    finish();
    pthread_join(holder, NULL);
    finish();
    explore_check(closes == 1 && told[0].finals == 1 && told[0].gones == 1);
    end_app();
}

/* What is BUSY meanwhile is abandoned by who ends that (X2): here a token's completion. */
static weir_token token;
static weir_status completed;

static weir_status defer(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    t->runs++;
    return weir_task_defer(task, &token);
}

static const weir_kind abandoned_token_kind = {
    .size = sizeof(weir_kind), .work = defer, .on_result = take_any_final, .gone = take_gone_late,
};

static void *complete(void *unused)
{
    completed = weir_token_complete(token, WEIR_LIMIT, NULL, 0);
    explore_check(completed == WEIR_OK || completed == WEIR_CANCELED || completed == WEIR_STALE);
    return unused;
}

static void end_abandoned(void)
{
    finish();
    explore_check(closes == 1 && told[0].finals == 1 && told[0].gones == 1);
    end_app();
}

EXPLORE_SCENARIO(session_abandon_against_a_token, .preemptions = 2)
{
    begin_session();
    start_op(0, &abandoned_token_kind);
    finish();
    pthread_t completer = start(complete, 0);
    explore_check(close_and_abandon() == WEIR_OK);
    finish();
    pthread_join(completer, NULL);
    explore_check(completed != WEIR_OK || told[0].status == WEIR_LIMIT);
    explore_observe((uint64_t)completed * 64 + (uint64_t)told[0].status);
    end_abandoned();
}

/* The same with a callback that is at an item, and an item that nobody has taken. */
static weir_status post_two(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    t->runs++;
    weir_status posted = post(task, 0);
    return posted == WEIR_OK ? post(task, 1) : posted;
}

static void take_item_or_final(const weir_result *r, void *ctx)
{
    if (!r->more)
        take_any_final(r, ctx);
}

static const weir_kind abandoned_stream_kind = {
    .size = sizeof(weir_kind), .work = post_two, .on_result = take_item_or_final, .gone = take_gone_late,
    .drop = take_drop, .window = 2, .flags = WEIR_MANUAL_ACK,
};

EXPLORE_SCENARIO(session_abandon_against_a_result, .preemptions = 2)
{
    begin_session();
    start_op(0, &abandoned_stream_kind);
    pthread_t worker = start(worker_thread, 2);
    explore_check(close_and_abandon() == WEIR_OK);
    finish();
    pthread_join(worker, NULL);
    explore_observe((uint64_t)told[0].status * 8 + drops[0] * 2 + drops[1]);
    end_abandoned();
    explore_check(drops[0] + drops[1] == 2 * told[0].runs || told[0].status != WEIR_OK);
}

/* A start that entered before the close: its handle is nobody's to close by then but the walk's, or theirs who deliver
 * its final (K3). */
static void *start_first(void *unused)
{
    started[0] = weir_op_start(session, &abandoned_kind, &told[0], NULL, &op[0]);
    explore_check(started[0] == WEIR_OK || started[0] == WEIR_CLOSED || started[0] == WEIR_STALE);
    return unused;
}

EXPLORE_SCENARIO(session_abandon_against_a_start_with_a_handle, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    pthread_t starter = start(start_first, 0);
    explore_check(close_and_abandon() == WEIR_OK);
    finish();
    pthread_join(starter, NULL);
    finish();
    explore_check(closes == 1);
    check_op(0);
    explore_observe((uint64_t)started[0] * 64 + (uint64_t)told[0].status);
    end_app();
}

/* ---- who waits helps (R5) ---- */

static weir_status close_and_lend(void)
{
    return weir_session_close_with(session, WEIR_NEW(weir_close_options, .lend = true, .closed = take_closed,
                                                     .ctx = &closes));
}

static void *wait_for_session(void *unused)
{
    weir_status status = weir_session_wait(session, WEIR_FOREVER, NULL);
    explore_check(status == WEIR_OK || status == WEIR_STALE);
    explore_check(closes == 1);
    return unused;
}

/* There is no worker: the waiter does everything, and is not left asleep. */
EXPLORE_SCENARIO(session_waiter_helps_and_nobody_else, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &plain_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    pthread_t waiter = start(wait_for_session, 0);
    explore_check(close_and_lend() == WEIR_OK);
    pthread_join(waiter, NULL);
    explore_check(told[0].finals == 1);
    end_session(true);
}

/* Waiter and worker share sweep, finals and close callback. */
EXPLORE_SCENARIO(session_waiter_and_worker_share_the_sweep, .preemptions = 2)
{
    begin_session();
    start_op(0, &plain_kind);
    start_op(1, &plain_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK && weir_op_close(op[1]) == WEIR_OK);
    explore_check(close_and_lend() == WEIR_OK);
    pthread_t worker = start(worker_thread, 2);
    wait_for_session(NULL);
    pthread_join(worker, NULL);
    end_session(true);
}
