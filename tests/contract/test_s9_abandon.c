/* SPDX-License-Identifier: Apache-2.0 */
/* test_s9_abandon.c - S9: after grace a close abandons what waits for work, tokens, acknowledgements and handles, and
 * nothing else; what abandoned work may still do; R3: gone comes when it has returned; lost workers are replaced */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/stepped_fixture.h"

static void close_and_abandon(weir_session s, int64_t grace_ns, struct closing *closing)
{
    assert_ok(weir_session_close_with(s, WEIR_NEW(weir_close_options, .grace_ns = grace_ns, .abandon = true,
                                                  .closed = closing_done, .ctx = closing)));
}

static weir_report abandon_now(weir_session s)
{
    struct closing closing = CLOSING_INIT;
    close_and_abandon(s, 0, &closing);
    closing_wait(&closing, s);
    return closing.report;
}

static const weir_kind holds_gone = KIND(.work = work_holds, .on_result = on_result, .gone = on_gone);

static weir_op start_holding(const weir_kind *kind, struct probe *probe)
{
    weir_op op;
    probe_init(probe);
    assert_ok(weir_op_start(session, kind, probe, NULL, &op));
    gate_wait(&probe->entered);
    return op;
}

/* ---- what is abandoned ---- */

static void work_that_goes_on_is_abandoned_and_gone_comes_when_it_returns(void **unused)
{
    (void)unused;
    struct probe probe;
    start_holding(&holds_gone, &probe);
    weir_report report = abandon_now(session);
    assert_int_equal(report.outcome, WEIR_OUTCOME_ABANDONED);
    assert_int_equal(report.abandoned, 1);
    assert_int_equal(report.accepted, 1);
    assert_int_equal(probe.final.status, WEIR_ABANDONED);
    assert_int_equal(probe.final.reason, WEIR_REASON_SESSION_CLOSED);
    assert_int_equal(seen.gones, 0);
    gate_open(&probe.leave);
    tally_wait(&probe.gones, 1);
    assert_int_equal(tally_count(&probe.finals), 1);
}

static void nothing_is_abandoned_before_its_time(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    weir_op op = start_holding(&holds_gone, &probe);
    close_and_abandon(session, 1000, &closing);
    step(999);
    assert_status(weir_op_close(op), WEIR_OK);                             /* an abandon would have closed it */
    assert_int_equal(tally_count(&probe.finals), 0);
    step(1);
    closing_wait(&closing, session);
    assert_int_equal(probe.final.status, WEIR_ABANDONED);
    gate_open(&probe.leave);
    tally_wait(&probe.gones, 1);
}

static void grace_is_counted_from_the_end_of_the_drain(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    start_holding(&holds_gone, &probe);
    assert_ok(weir_session_close_with(session, WEIR_NEW(weir_close_options, .drain_ns = 500, .grace_ns = 1000,
                                                        .abandon = true, .closed = closing_done, .ctx = &closing)));
    step(1499);
    assert_int_equal(tally_count(&probe.finals), 0);
    step(1);
    closing_wait(&closing, session);
    gate_open(&probe.leave);
    tally_wait(&probe.gones, 1);
}

static void a_close_without_abandon_waits_for_the_work(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    start_holding(&holds_gone, &probe);
    assert_ok(weir_session_close_with(session, WEIR_NEW(weir_close_options, .grace_ns = 10, .closed = closing_done,
                                                        .ctx = &closing)));
    step(1000000);
    assert_status(weir_session_wait(session, 0, NULL), WEIR_TIMED_OUT);
    assert_int_equal(tally_count(&probe.finals), 0);
    assert_status(weir_session_close_with(session, WEIR_NEW(weir_close_options, .abandon = true)), WEIR_CLOSING);
    closing_wait(&closing, session);                                       /* a later close turns it on (S8) */
    assert_int_equal(probe.final.status, WEIR_ABANDONED);
    gate_open(&probe.leave);
    tally_wait(&probe.gones, 1);
}

static void a_token_that_was_lost_is_abandoned(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    start_closed(&defers_with_hook, &probe);                               /* whose hook answers false */
    gate_wait(&probe.deferred);
    weir_report report = abandon_now(session);
    assert_int_equal(report.abandoned, 1);
    assert_int_equal(probe.final.status, WEIR_ABANDONED);
    weir_status late = weir_token_complete(probe.token, WEIR_OK, NULL, 0);
    assert_true(late == WEIR_CANCELED || late == WEIR_STALE);
}

static void an_acknowledgement_that_never_comes_is_made(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    probe.count = 1;
    weir_op op = start(&streams_acked, &probe);
    tally_wait(&probe.items, 1);
    weir_report report = abandon_now(session);
    assert_int_equal(report.posted, 1);
    assert_int_equal(report.delivered, 1);
    assert_int_equal(tally_count(&seen.drops), 1);
    assert_status(weir_op_ack(op, 1), WEIR_STALE);
}

static void a_handle_that_nobody_closes_is_closed(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&ends, &probe);
    probe_wait(&probe);
    weir_report report = abandon_now(session);
    assert_int_equal(report.completed, 1);
    assert_int_equal(report.abandoned, 0);                                 /* its final had been given */
    assert_status(weir_op_close(op), WEIR_STALE);
}

static const weir_result *fetched;
static _Atomic int next_answer;
static struct gate in_next;

static void *fetch(void *op)
{
    gate_open(&in_next);
    next_answer = weir_op_next(*(weir_op *)op, WEIR_FOREVER, &fetched);
    return NULL;
}

static weir_status work_posts_and_holds(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    for (uint64_t i = 1; i <= probe->count; i++)
        if (weir_task_post(task, (void *)(uintptr_t)i, 8) != WEIR_OK)
            probe->wrong++;
    return work_holds(task, ctx);
}

static const weir_kind pulled_holding = KIND(.work = work_posts_and_holds, .drop = on_drop, .gone = on_gone,
                                             .window = 4);

static void who_waits_for_a_result_is_told_that_the_handle_is_closed(void **unused)
{
    (void)unused;
    struct probe probe;
    in_next = (struct gate)GATE_INIT;
    weir_op op = start_holding(&pulled_holding, &probe);
    pthread_t thread = thread_start(fetch, &op);
    gate_wait(&in_next);
    weir_report report = abandon_now(session);
    thread_join(thread);
    assert_int_equal(next_answer, WEIR_STALE);
    assert_int_equal(report.abandoned, 1);
    gate_open(&probe.leave);
    tally_wait(&probe.gones, 1);
}

static void what_nobody_has_fetched_is_dropped_once(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    probe.count = 3;
    weir_op op = start(&pulled_holding, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_op_next(op, WEIR_FOREVER, &fetched));
    weir_report report = abandon_now(session);
    assert_int_equal(report.posted, 3);
    assert_int_equal(report.delivered, 1);
    assert_int_equal(report.discarded, 2);
    assert_int_equal(tally_count(&seen.drops), 3);
    gate_open(&probe.leave);
    tally_wait(&probe.gones, 1);
}

static void what_the_same_worker_has_ended_before_does_not_hold_the_close(void **unused)
{
    (void)unused;
    enum { BEFORE = 20 };
    struct probe probe;
    struct hold hold;
    hold_begin(&hold, lane_of(app));                                       /* so that one look finds them all */
    for (int i = 0; i < BEFORE; i++)
        start_closed(&ends, NULL);
    probe_init(&probe);
    start_closed(&holds_gone, &probe);
    hold_end(&hold);
    gate_wait(&probe.entered);
    weir_report report = abandon_now(session);
    assert_int_equal(report.completed, BEFORE);
    assert_int_equal(report.abandoned, 1);
    gate_open(&probe.leave);
    tally_wait(&probe.gones, 1);
}

/* ---- what is not ---- */

static struct gate in_callback, callback_may_return;

static void on_result_holds(const weir_result *r, void *ctx)
{
    gate_open(&in_callback);
    gate_wait(&callback_may_return);
    on_result(r, ctx);
}

static const weir_kind ends_in_callback = KIND(.work = work_ends, .on_result = on_result_holds);

static void a_callback_that_runs_is_waited_for_and_what_it_held_is_abandoned_then(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    in_callback = callback_may_return = (struct gate)GATE_INIT;
    probe_init(&probe);
    weir_op op = start(&ends_in_callback, &probe);
    gate_wait(&in_callback);
    close_and_abandon(session, 0, &closing);
    assert_status(weir_session_wait(session, 1000000, NULL), WEIR_TIMED_OUT);
    gate_open(&callback_may_return);
    closing_wait(&closing, session);                                       /* although the handle is open */
    assert_int_equal(closing.report.completed, 1);
    assert_status(weir_op_close(op), WEIR_STALE);
}

static struct gate in_hook, hook_may_return;

static bool hook_holds(weir_reason reason, void *ctx)
{
    (void)reason;
    (void)ctx;
    gate_open(&in_hook);
    gate_wait(&hook_may_return);
    return false;
}

static weir_status work_defers_with_holding_hook(weir_task *task, void *ctx)
{
    weir_status status = weir_task_on_cancel(task, hook_holds, ctx);
    return status != WEIR_OK ? status : defer_to(task, ctx);
}

static const weir_kind hook_that_holds = KIND(.work = work_defers_with_holding_hook, .on_result = on_result);

static void a_hook_that_runs_is_waited_for_and_its_operation_is_abandoned_then(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    in_hook = hook_may_return = (struct gate)GATE_INIT;
    probe_init(&probe);
    start_closed(&hook_that_holds, &probe);
    gate_wait(&probe.deferred);
    assert_ok(weir_session_close(session, closing_done, &closing));
    gate_wait(&in_hook);                                                   /* else it would never be entered */
    assert_status(weir_session_close_with(session, WEIR_NEW(weir_close_options, .abandon = true)), WEIR_CLOSING);
    assert_status(weir_session_wait(session, 1000000, NULL), WEIR_TIMED_OUT);
    assert_int_equal(tally_count(&probe.finals), 0);
    gate_open(&hook_may_return);
    closing_wait(&closing, session);
    assert_int_equal(probe.final.status, WEIR_ABANDONED);
}

/* ---- what abandoned work may do ---- */

static weir_status posted, deferred, detailed, hooked, progressed, explained;
static weir_reason reason_seen;
static weir_session session_seen;
static weir_op op_seen;

static weir_status work_calls_everything(weir_task *task, void *ctx)
{
    weir_token token;
    (void)work_holds(task, ctx);
    reason_seen = weir_task_cancelled(task);
    posted = weir_task_post(task, ctx, 8);
    detailed = weir_task_detail(task, ctx, 8);
    hooked = weir_task_on_cancel(task, hook_records, ctx);
    progressed = weir_task_progress(task, 1, 2);
    explained = weir_task_explain(task, "too late");
    deferred = weir_task_defer(task, &token);
    session_seen = weir_task_session(task);
    op_seen = weir_task_op(task);
    return WEIR_OK;
}

static const weir_kind calls_everything = KIND(.work = work_calls_everything, .on_result = on_result, .drop = on_drop,
                                               .gone = on_gone);

static void calls_of_abandoned_work_answer_canceled(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_op op = start_holding(&calls_everything, &probe);
    weir_session closed = session;
    abandon_now(session);
    session = session_open_with(app, NULL);                                /* perhaps in the same slot */
    for (int i = 0; i < 200; i++)
        start_closed(&ends, NULL);
    gate_open(&probe.leave);
    tally_wait(&probe.gones, 1);
    assert_int_equal(reason_seen, WEIR_REASON_SESSION_CLOSED);
    assert_status(posted, WEIR_CANCELED);
    assert_status(detailed, WEIR_CANCELED);
    assert_status(hooked, WEIR_CANCELED);
    assert_status(progressed, WEIR_CANCELED);
    assert_status(deferred, WEIR_CANCELED);
    assert_status(explained, WEIR_OK);                                     /* kept, and nobody reads it */
    assert_int_equal(session_seen.bits, closed.bits);
    assert_int_equal(op_seen.bits, op.bits);
    assert_int_equal(tally_count(&seen.drops), 0);
}

static struct gate detail_given;

static weir_status work_gives_a_detail(weir_task *task, void *ctx)
{
    if (weir_task_detail(task, ctx, 8) == WEIR_OK)
        gate_open(&detail_given);
    return work_holds(task, ctx);
}

static const weir_kind gives_a_detail = KIND(.work = work_gives_a_detail, .on_result = on_result, .drop = on_drop,
                                             .gone = on_gone);

static void a_detail_given_before_the_abandon_is_dropped_when_the_work_returns(void **unused)
{
    (void)unused;
    struct probe probe;
    detail_given = (struct gate)GATE_INIT;
    start_holding(&gives_a_detail, &probe);
    gate_wait(&detail_given);
    abandon_now(session);
    assert_null(probe.final.data);
    gate_open(&probe.leave);
    tally_wait(&probe.gones, 1);
    assert_int_equal(tally_count(&seen.drops), 1);
}

/* ---- workers ---- */

static void lost_workers_are_replaced(void **unused)
{
    (void)unused;
    struct probe probes[8];
    uint32_t workers = test_workers() < 8 ? test_workers() : 8;
    weir_app small = app_open_workers(workers);
    weir_session lost = session_open_with(small, NULL), after = session_open_with(small, NULL);
    for (uint32_t i = 0; i < workers; i++)
        probe_hold(&probes[i], lost);
    struct closing closing = CLOSING_INIT;
    close_and_abandon(lost, 0, &closing);
    closing_wait(&closing, lost);
    assert_int_equal(closing.report.abandoned, workers);
    for (int i = 0; i < 100; i++)
        assert_ok(weir_op_start(after, &ends, NULL, NULL, NULL));
    tally_wait(&seen.finals, workers + 100);
    for (uint32_t i = 0; i < workers; i++)
        gate_open(&probes[i].leave);
    app_close(small);
}

static void an_application_is_not_closed_while_abandoned_work_runs(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_app own = app_open();
    weir_session lost = session_open_with(own, NULL);
    probe_hold(&probe, lost);
    struct closing closing = CLOSING_INIT;
    close_and_abandon(lost, 0, &closing);
    closing_wait(&closing, lost);
    assert_status(weir_app_close(own, 1000000, NULL), WEIR_TIMED_OUT);
    gate_open(&probe.leave);
    assert_ok(weir_app_close(own, WEIR_FOREVER, NULL));
}

static void a_worker_that_comes_back_works_on(void **unused)
{
    (void)unused;
    for (int round = 0; round < 50; round++) {
        struct probe probe;
        start_holding(&holds_gone, &probe);
        abandon_now(session);
        gate_open(&probe.leave);
        tally_wait(&probe.gones, 1);
        session = session_open_with(app, NULL);
        struct probe other;
        probe_init(&other);
        start_closed(&ends, &other);
        probe_wait(&other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(work_that_goes_on_is_abandoned_and_gone_comes_when_it_returns),
        TEST_STEPPED(nothing_is_abandoned_before_its_time),
        TEST_STEPPED(grace_is_counted_from_the_end_of_the_drain),
        TEST_STEPPED(a_close_without_abandon_waits_for_the_work),
        TEST(a_token_that_was_lost_is_abandoned),
        TEST(an_acknowledgement_that_never_comes_is_made),
        TEST(a_handle_that_nobody_closes_is_closed),
        TEST(who_waits_for_a_result_is_told_that_the_handle_is_closed),
        TEST(what_nobody_has_fetched_is_dropped_once),
        TEST_ONE_WORKER(what_the_same_worker_has_ended_before_does_not_hold_the_close),
        TEST(a_callback_that_runs_is_waited_for_and_what_it_held_is_abandoned_then),
        TEST(a_hook_that_runs_is_waited_for_and_its_operation_is_abandoned_then),
        TEST(calls_of_abandoned_work_answer_canceled),
        TEST(a_detail_given_before_the_abandon_is_dropped_when_the_work_returns),
        TEST(lost_workers_are_replaced),
        TEST(an_application_is_not_closed_while_abandoned_work_runs),
        TEST(a_worker_that_comes_back_works_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
