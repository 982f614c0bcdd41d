/* SPDX-License-Identifier: Apache-2.0 */
/* test_mi_session.c - cases of the Windows MI client API, by their ids there: S */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

/* ---- S ---- */

static void mi_s3_a_close_after_the_close_is_stale_and_not_called_back(void **unused)
{
    (void)unused;
    struct closing second = CLOSING_INIT;
    session_close(session);
    assert_status(weir_session_close(session, closing_done, &second), WEIR_STALE);
    app_close(app);
    assert_int_equal(tally_count(&second.calls), 0);
    setup(NULL);                                 /* for the tear-down */
}

static void mi_s4_a_second_close_while_draining_is_refused_and_not_called_back(void **unused)
{
    (void)unused;
    struct closing first = CLOSING_INIT, second = CLOSING_INIT;
    struct probe deaf;
    probe_hold(&deaf, session);
    assert_ok(weir_session_close(session, closing_done, &first));
    assert_status(weir_session_close(session, closing_done, &second), WEIR_CLOSING);
    assert_int_equal(tally_count(&first.calls), 0);
    probe_release(&deaf);
    closing_wait(&first, session);
    assert_int_equal(tally_count(&second.calls), 0);
}

struct closer {
    struct closing closing;
    weir_status status;
};

static void *close_it(void *arg)
{
    struct closer *closer = arg;
    closer->status = weir_session_close(session, closing_done, &closer->closing);
    return NULL;
}

static void mi_s5_of_eight_closes_at_once_one_wins(void **unused)
{
    (void)unused;
    struct closer closers[8];
    pthread_t threads[8];
    uint64_t won = 0, calls = 0;
    for (int i = 0; i < 8; i++) {
        closers[i] = (struct closer){ .closing = CLOSING_INIT };
        threads[i] = thread_start(close_it, &closers[i]);
    }
    for (int i = 0; i < 8; i++)
        thread_join(threads[i]);
    wait_until_closed(session);
    for (int i = 0; i < 8; i++) {
        won += closers[i].status == WEIR_OK;
        calls += tally_count(&closers[i].closing.calls);
    }
    assert_int_equal(won, 1);
    assert_int_equal(calls, 1);
}

static void mi_s7_the_close_waits_for_an_open_handle(void **unused)
{
    (void)unused;
    struct closing closing = CLOSING_INIT;
    weir_op op = start(&ends, NULL);
    tally_wait(&seen.finals, 1);
    assert_ok(weir_session_close(session, closing_done, &closing));
    assert_status(weir_session_wait(session, 1000000, NULL), WEIR_TIMED_OUT);
    assert_int_equal(tally_count(&closing.calls), 0);
    assert_ok(weir_op_close(op));
    closing_wait(&closing, session);
}

static _Atomic uint64_t entered, left, at_close[2];

static void result_is_slow(const weir_result *r, void *ctx)
{
    entered++;
    (void)sched_yield();
    on_result(r, ctx);
    left++;
}

static void closed_counts(const weir_report *report, void *ctx)
{
    at_close[0] = entered;
    at_close[1] = left;
    closing_done(report, ctx);
}

static void mi_s9_the_close_callback_is_the_last_and_all_others_have_returned(void **unused)
{
    (void)unused;
    static const weir_kind slow = KIND(.work = work_ends, .on_result = result_is_slow);
    for (int round = 0; round < 50; round++) {
        struct closing closing = CLOSING_INIT;
        weir_session in = session_open_with(app, NULL);
        entered = left = 0;
        for (int i = 0; i < 100; i++)
            assert_ok(weir_op_start(in, &slow, NULL, NULL, NULL));
        assert_ok(weir_session_close(in, closed_counts, &closing));
        closing_wait(&closing, in);
        assert_int_equal(at_close[0], 100);
        assert_int_equal(at_close[1], 100);
        assert_int_equal(entered, 100);
    }
}

static void mi_s10_results_may_come_before_the_final_of_a_close_and_none_after_it(void **unused)
{
    (void)unused;
    static struct probe probes[20];
    for (int i = 0; i < 20; i++) {
        probe_init(&probes[i]);
        probes[i].count = 100000;
        start_closed(&streams, &probes[i]);
    }
    tally_wait(&probes[0].items, 1);
    session_close(session);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(tally_count(&probes[i].finals), 1);
        assert_int_equal(probes[i].wrong, 0);
        assert_int_equal(probes[i].final.delivered, tally_count(&probes[i].items));
    }
}

static weir_status inner_wait, inner_app_close, inner_close;
static struct closing inner_closing;

static void result_waits_for_its_session(const weir_result *r, void *ctx)
{
    inner_wait = weir_session_wait(session, WEIR_FOREVER, NULL);
    inner_app_close = weir_app_close(app, WEIR_FOREVER, NULL);
    on_result(r, ctx);
}

static void mi_s11_waiting_inside_a_callback_would_deadlock_and_says_so(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_ends, .on_result = result_waits_for_its_session);
    start_closed(&kind, NULL);
    tally_wait(&seen.finals, 1);
    assert_status(inner_wait, WEIR_WOULD_DEADLOCK);
    assert_status(inner_app_close, WEIR_WOULD_DEADLOCK);
    start_closed(&ends, NULL);                   /* the session is open still */
    tally_wait(&seen.finals, 2);
}

static void result_closes_its_session(const weir_result *r, void *ctx)
{
    if (r->more && r->number == 3)
        inner_close = weir_session_close(session, closing_done, &inner_closing);
    on_result(r, ctx);
}

static void mi_s13_a_close_inside_a_callback_that_is_not_the_final(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_streams, .on_result = result_closes_its_session, .window = 4);
    struct probe probe;
    inner_closing = (struct closing)CLOSING_INIT;
    probe_init(&probe);
    probe.count = 100000;
    start_closed(&kind, &probe);
    probe_wait(&probe);
    closing_wait(&inner_closing, session);
    assert_ok(inner_close);
    assert_int_equal(tally_count(&probe.finals), 1);
    assert_int_equal(probe.wrong, 0);
    assert_int_equal(probe.final.reason, WEIR_REASON_SESSION_CLOSED);
}

static weir_session other_session;

static void result_closes_another_session(const weir_result *r, void *ctx)
{
    inner_wait = weir_session_wait(other_session, WEIR_FOREVER, NULL);
    inner_close = weir_session_close(other_session, closing_done, &inner_closing);
    on_result(r, ctx);
}

static void mi_s14_another_session_may_be_closed_inside_a_callback_but_not_waited_for(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_ends, .on_result = result_closes_another_session);
    inner_closing = (struct closing)CLOSING_INIT;
    other_session = session_open_with(app, NULL);
    start_closed(&kind, NULL);
    tally_wait(&seen.finals, 1);
    closing_wait(&inner_closing, other_session);
    assert_status(inner_wait, WEIR_WOULD_DEADLOCK);
    assert_ok(inner_close);
}

static void mi_s16_each_start_against_a_close_has_one_final_or_is_refused(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < 50; round++) {
        struct closing closing = CLOSING_INIT;
        struct starter s = { .session = session_open_with(app, NULL), .starts = TALLY_INIT };
        seen_forget();
        pthread_t thread = thread_start(start_until_refused, &s);
        tally_wait(&s.starts, round * 5);
        assert_ok(weir_session_close(s.session, closing_done, &closing));
        closing_wait(&closing, s.session);
        thread_join(thread);
        assert_int_equal(tally_count(&seen.finals), s.accepted);
    }
}

static void mi_s18_an_operation_whose_handle_is_closed_still_has_its_final_before_the_close_callback(void **unused)
{
    (void)unused;
    struct closing closing = CLOSING_INIT;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&holds, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_op_close(op));
    assert_ok(weir_session_close(session, closing_done, &closing));
    assert_int_equal(tally_count(&closing.calls), 0);
    probe_release(&probe);
    closing_wait(&closing, session);
    assert_int_equal(tally_count(&probe.finals), 1);
}

enum { PARALLEL = 64, EACH = 50 };
static weir_session parallel[PARALLEL];
static struct closing closings[PARALLEL];

static void *close_a_quarter(void *from)
{
    for (int i = (int)(intptr_t)from; i < PARALLEL; i += 4)
        (void)weir_session_close(parallel[i], closing_done, &closings[i]);
    return NULL;
}

static void mi_s19_many_sessions_are_closed_by_several_threads(void **unused)
{
    (void)unused;
    pthread_t threads[4];
    for (int i = 0; i < PARALLEL; i++) {
        closings[i] = (struct closing)CLOSING_INIT;
        parallel[i] = session_open_with(app, NULL);
        for (int k = 0; k < EACH; k++)
            assert_ok(weir_op_start(parallel[i], &ends, NULL, NULL, NULL));
    }
    for (intptr_t i = 0; i < 4; i++)
        threads[i] = thread_start(close_a_quarter, (void *)i);
    for (int i = 0; i < 4; i++)
        thread_join(threads[i]);
    for (int i = 0; i < PARALLEL; i++)
        closing_wait(&closings[i], parallel[i]);
    assert_int_equal(tally_count(&seen.finals), PARALLEL * EACH);
}

static void closed_starts_anew(const weir_report *report, void *ctx)
{
    struct closing *next = ctx;
    weir_session in = { 0 };
    (void)report;
    inner_close = weir_session_open(app, NULL, &in);
    inner_wait = weir_op_start(in, &ends, NULL, NULL, NULL);
    other_session = in;
    (void)weir_session_close(in, closing_done, next);
}

static void mi_s20_the_close_callback_may_use_the_application(void **unused)
{
    (void)unused;
    struct closing next = CLOSING_INIT;
    assert_ok(weir_session_close(session, closed_starts_anew, &next));
    tally_wait(&next.calls, 1);
    wait_until_closed(other_session);
    assert_ok(inner_close);
    assert_ok(inner_wait);
    assert_int_equal(tally_count(&seen.finals), 1);
}

static void mi_s23_bad_arguments_of_a_session_are_refused_and_write_nothing(void **unused)
{
    (void)unused;
    weir_session out = { 77 };
    assert_status(weir_session_open((weir_app){ 0 }, NULL, &out), WEIR_INVALID);
    assert_status(weir_session_open(app, NULL, NULL), WEIR_INVALID);
    assert_status(weir_session_open(app, &(weir_session_options){ .size = 1 }, &out), WEIR_INVALID);
    assert_status(weir_session_open(app, WEIR_NEW(weir_session_options, .timeout_ns = -1), &out), WEIR_INVALID);
    assert_int_equal(out.bits, 77);
}

static void mi_s25_a_stale_handle_leaves_the_slots_next_owner_alone(void **unused)
{
    (void)unused;
    for (int i = 0; i < 200; i++) {
        weir_session first = session_open_with(app, NULL);
        session_close(first);
        weir_session second = session_open_with(app, NULL);
        assert_status(weir_session_close(first, NULL, NULL), WEIR_STALE);
        assert_status(weir_session_cancel(first, WEIR_REASON_USER), WEIR_STALE);
        assert_status(weir_op_start(first, &ends, NULL, NULL, NULL), WEIR_STALE);
        assert_ok(weir_op_start(second, &ends, NULL, NULL, NULL));
        tally_wait(&seen.finals, (uint64_t)i + 1);
        assert_int_equal(session_close(second).completed, 1);
    }
}

static void mi_s29_a_wait_with_a_deadline_reports_and_the_close_goes_on(void **unused)
{
    (void)unused;
    weir_report report = { .size = sizeof(report) };
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&ends, &probe);
    probe_wait(&probe);
    assert_ok(weir_session_close(session, NULL, NULL));
    assert_status(weir_session_wait(session, 1000000, &report), WEIR_TIMED_OUT);
    assert_int_equal(report.handles_open, 1);
    assert_true(report.phase > WEIR_PHASE_OPEN && report.phase < WEIR_PHASE_CLOSED);
    assert_ok(weir_op_close(op));
    wait_until_closed(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mi_s3_a_close_after_the_close_is_stale_and_not_called_back),
        TEST(mi_s4_a_second_close_while_draining_is_refused_and_not_called_back),
        TEST(mi_s5_of_eight_closes_at_once_one_wins),
        TEST(mi_s7_the_close_waits_for_an_open_handle),
        TEST(mi_s9_the_close_callback_is_the_last_and_all_others_have_returned),
        TEST(mi_s10_results_may_come_before_the_final_of_a_close_and_none_after_it),
        TEST(mi_s11_waiting_inside_a_callback_would_deadlock_and_says_so),
        TEST(mi_s13_a_close_inside_a_callback_that_is_not_the_final),
        TEST(mi_s14_another_session_may_be_closed_inside_a_callback_but_not_waited_for),
        TEST(mi_s16_each_start_against_a_close_has_one_final_or_is_refused),
        TEST(mi_s18_an_operation_whose_handle_is_closed_still_has_its_final_before_the_close_callback),
        TEST(mi_s19_many_sessions_are_closed_by_several_threads),
        TEST(mi_s20_the_close_callback_may_use_the_application),
        TEST(mi_s23_bad_arguments_of_a_session_are_refused_and_write_nothing),
        TEST(mi_s25_a_stale_handle_leaves_the_slots_next_owner_alone),
        TEST(mi_s29_a_wait_with_a_deadline_reports_and_the_close_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
