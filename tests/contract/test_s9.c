/* SPDX-License-Identifier: Apache-2.0 */
/* test_s9.c - S9: close is told how, as data: drain, cancel, report */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/stepped_fixture.h"

static struct tally lines = TALLY_INIT;

static void count_line(int level, const char *line, void *ctx)
{
    (void)ctx;
    (void)line;
    if (level == WEIR_LOG_WARNING)
        tally_add(&lines, 1);
}

static int setup_counted(void **unused)
{
    (void)unused;
    seen_forget();
    lines = (struct tally)TALLY_INIT;
    atomic_store(&clock_of_test.now, 1000);
    app = app_open_with(WEIR_NEW(weir_app_options, .workers = test_workers(), .now = stepped_now,
                                 .ctx = &clock_of_test, .log = count_line));
    session = session_open_with(app, NULL);
    return 0;
}

/* On a clock that is stepped, and with a log. */
#define TEST_COUNTED(name) cmocka_unit_test_setup_teardown(name, setup_counted, teardown)

static struct closing *close_draining(struct closing *closing, int64_t drain_ns)
{
    assert_ok(weir_session_close_with(session, WEIR_NEW(weir_close_options, .drain_ns = drain_ns,
                                                        .closed = closing_done, .ctx = closing)));
    return closing;
}

static void options_out_of_range_are_refused(void **unused)
{
    (void)unused;
    assert_status(weir_session_close_with(session, NULL), WEIR_INVALID);
    const weir_close_options small = { .size = 8 };
    assert_status(weir_session_close_with(session, &small), WEIR_INVALID);
    assert_status(weir_session_close_with(session, WEIR_NEW(weir_close_options, .drain_ns = -1)), WEIR_INVALID);
    assert_status(weir_session_close_with(session, WEIR_NEW(weir_close_options, .grace_ns = -1)), WEIR_INVALID);
    assert_status(weir_session_close_with(session, WEIR_NEW(weir_close_options, .report_ns = -1)), WEIR_INVALID);
    start_closed(&ends, NULL);                                             /* none of them has closed it */
    tally_wait(&seen.finals, 1);
}

static void a_plain_close_cancels_at_once(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_defer_closed(&probe, session, &defers);
    weir_report report = session_close(session);
    assert_int_equal(probe.final.reason, WEIR_REASON_SESSION_CLOSED);
    assert_int_equal(report.outcome, WEIR_OUTCOME_CANCELED);
    assert_int_equal(report.cancelled, 1);
}

static void a_close_with_nothing_but_zeros_cancels_at_once(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    probe_defer_closed(&probe, session, &defers);
    closing_wait(close_draining(&closing, 0), session);
    assert_int_equal(probe.final.reason, WEIR_REASON_SESSION_CLOSED);
}

static void while_it_drains_work_runs_to_its_end_and_none_is_started(void **unused)
{
    (void)unused;
    enum { QUEUED = 100 };
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    probe_hold(&probe, session);
    for (int i = 0; i < QUEUED; i++)
        start_closed(&ends, NULL);
    close_draining(&closing, WEIR_FOREVER);
    assert_status(weir_op_start(session, &ends, NULL, NULL, NULL), WEIR_CLOSED);
    assert_status(weir_session_wait(session, 0, NULL), WEIR_TIMED_OUT);
    probe_release(&probe);
    closing_wait(&closing, session);
    assert_int_equal(closing.report.completed, QUEUED + 1);
    assert_int_equal(closing.report.outcome, WEIR_OUTCOME_CLEAN);
}

static void a_drained_session_closes_before_its_time(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    probe_defer_closed(&probe, session, &defers);
    close_draining(&closing, 1000);
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    closing_wait(&closing, session);                                       /* without a step of the clock */
    assert_int_equal(probe.final.reason, WEIR_REASON_NONE);
    assert_int_equal(closing.report.outcome, WEIR_OUTCOME_CLEAN);
}

static void what_still_runs_is_cancelled_at_the_end_of_the_drain(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    probe_init(&probe);
    start_closed(&defers_with_hook, &probe);
    gate_wait(&probe.deferred);
    probe.hook_answer = true;
    close_draining(&closing, 1000);
    step(999);
    assert_false(gate_is_open(&probe.hooked));
    step(1);
    closing_wait(&closing, session);
    assert_int_equal(probe.hook_reason, WEIR_REASON_SESSION_CLOSED);
    assert_int_equal(closing.report.cancelled, 1);
}

static void a_cancel_of_all_before_the_close_does_not_end_the_drain(void **unused)
{
    (void)unused;
    struct busy busy;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    probe_init(&probe);
    busy_begin(&busy, test_workers());
    start_closed(&ends, NULL);
    assert_ok(weir_session_cancel(session, WEIR_REASON_USER));
    start_closed(&defers, &probe);                                         /* later than the cancel */
    close_draining(&closing, 1000);
    busy_end(&busy);
    tally_wait(&seen.finals, 1);
    gate_wait(&probe.deferred);
    assert_int_equal(tally_count(&seen.finals), 1);
    step(1000);
    probe_wait(&probe);
    assert_int_equal(probe.final.reason, WEIR_REASON_SESSION_CLOSED);
    closing_wait(&closing, session);
}

static void a_close_that_waits_for_long_says_so_and_again_ten_times_later(void **unused)
{
    (void)unused;
    struct closing closing = CLOSING_INIT;
    weir_op op = start(&ends, NULL);
    tally_wait(&seen.finals, 1);
    assert_ok(weir_session_close_with(session, WEIR_NEW(weir_close_options, .report_ns = 100, .closed = closing_done,
                                                        .ctx = &closing)));
    step(99);
    assert_int_equal(tally_count(&lines), 0);
    step(1);
    tally_wait(&lines, 1);
    uint64_t first = tally_count(&lines);
    step(899);
    assert_int_equal(tally_count(&lines), first);
    step(1);
    tally_wait(&lines, first + 1);
    assert_ok(weir_op_close(op));
    closing_wait(&closing, session);
}

static void a_close_that_is_told_so_never_reports(void **unused)
{
    (void)unused;
    struct closing closing = CLOSING_INIT;
    weir_op op = start(&ends, NULL);
    tally_wait(&seen.finals, 1);
    assert_ok(weir_session_close_with(session, WEIR_NEW(weir_close_options, .report_ns = WEIR_FOREVER,
                                                        .closed = closing_done, .ctx = &closing)));
    step(INT64_C(1000000000000));
    assert_ok(weir_op_close(op));
    closing_wait(&closing, session);
    assert_int_equal(tally_count(&lines), 0);
}

static void a_drain_ends_in_real_time(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    probe_defer_closed(&probe, session, &defers);
    closing_wait(close_draining(&closing, 2000000), session);
    assert_int_equal(probe.final.reason, WEIR_REASON_SESSION_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(options_out_of_range_are_refused),
        TEST(a_plain_close_cancels_at_once),
        TEST(a_close_with_nothing_but_zeros_cancels_at_once),
        TEST_TWO_WORKERS(while_it_drains_work_runs_to_its_end_and_none_is_started),
        TEST_STEPPED(a_drained_session_closes_before_its_time),
        TEST_STEPPED(what_still_runs_is_cancelled_at_the_end_of_the_drain),
        TEST_STEPPED(a_cancel_of_all_before_the_close_does_not_end_the_drain),
        TEST_COUNTED(a_close_that_waits_for_long_says_so_and_again_ten_times_later),
        TEST_COUNTED(a_close_that_is_told_so_never_reports),
        TEST(a_drain_ends_in_real_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
