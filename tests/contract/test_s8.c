/* SPDX-License-Identifier: Apache-2.0 */
/* test_s8.c - S8: one close wins; later ones shorten its policy, and get no callback; what may be called inside the
 * close callback, and until it has returned */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/stepped_fixture.h"

static void a_later_close_is_told_so_and_its_callback_never_comes(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing first = CLOSING_INIT, later = CLOSING_INIT;
    probe_hold(&probe, session);
    assert_ok(weir_session_close(session, closing_done, &first));
    assert_status(weir_session_close(session, closing_done, &later), WEIR_CLOSING);
    assert_status(weir_session_close_with(session, WEIR_NEW(weir_close_options, .closed = closing_done, .ctx = &later)),
                  WEIR_CLOSING);
    probe_release(&probe);
    closing_wait(&first, session);
    assert_int_equal(tally_count(&later.calls), 0);
    assert_status(weir_session_close(session, closing_done, &later), WEIR_STALE);
}

static struct gate at_start;
static _Atomic int won, lost;
static struct closing winners = CLOSING_INIT;

static void *close_it(void *unused)
{
    (void)unused;
    gate_wait(&at_start);
    weir_status status = weir_session_close(session, closing_done, &winners);
    won += status == WEIR_OK;
    lost += status == WEIR_CLOSING || status == WEIR_STALE;
    return NULL;
}

static void of_many_closes_one_wins(void **unused)
{
    (void)unused;
    enum { CLOSERS = 4, ROUNDS = 100 };
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[CLOSERS];
        at_start = (struct gate)GATE_INIT;
        winners = (struct closing)CLOSING_INIT;
        won = lost = 0;
        for (int i = 0; i < CLOSERS; i++)
            threads[i] = thread_start(close_it, NULL);
        for (int i = 0; i < 100; i++)
            start_closed(&ends, NULL);
        gate_open(&at_start);
        for (int i = 0; i < CLOSERS; i++)
            thread_join(threads[i]);
        closing_wait(&winners, session);
        assert_int_equal(won, 1);
        assert_int_equal(lost, CLOSERS - 1);
        session = session_open_with(app, NULL);
    }
}

static void a_plain_close_ends_a_drain_that_would_last_for_ever(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    weir_op op = probe_defer(&probe, &defers);
    assert_ok(weir_session_close_with(session, WEIR_NEW(weir_close_options, .drain_ns = WEIR_FOREVER,
                                                        .closed = closing_done, .ctx = &closing)));
    assert_status(weir_op_cancel(op, 64), WEIR_OK);                        /* nobody else has cancelled it */
    probe_wait(&probe);
    assert_int_equal(probe.final.reason, 64);
    assert_status(weir_session_close(session, NULL, NULL), WEIR_CLOSING);
    assert_ok(weir_op_close(op));
    closing_wait(&closing, session);
}

static void a_later_close_makes_the_drain_shorter(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    probe_defer_closed(&probe, session, &defers);
    assert_ok(weir_session_close_with(session, WEIR_NEW(weir_close_options, .drain_ns = 1000, .closed = closing_done,
                                                        .ctx = &closing)));
    assert_status(weir_session_close_with(session, WEIR_NEW(weir_close_options, .drain_ns = 500)), WEIR_CLOSING);
    step(499);
    assert_int_equal(tally_count(&seen.finals), 0);
    step(1);
    probe_wait(&probe);
    assert_int_equal(probe.final.status, WEIR_CANCELED);
    closing_wait(&closing, session);
}

static void a_later_close_does_not_make_the_drain_longer(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    probe_defer_closed(&probe, session, &defers);
    assert_ok(weir_session_close_with(session, WEIR_NEW(weir_close_options, .drain_ns = 1000, .closed = closing_done,
                                                        .ctx = &closing)));
    assert_status(weir_session_close_with(session, WEIR_NEW(weir_close_options, .drain_ns = 5000)), WEIR_CLOSING);
    step(1000);
    probe_wait(&probe);
    closing_wait(&closing, session);
}

/* ---- inside the close callback ---- */

static weir_status inside_close, inside_close_with, inside_wait, inside_start;

static void on_closed_asks(const weir_report *report, void *ctx)
{
    inside_close = weir_session_close(session, NULL, NULL);
    inside_close_with = weir_session_close_with(session, WEIR_NEW(weir_close_options, .drain_ns = 1));
    inside_wait = weir_session_wait(session, WEIR_FOREVER, NULL);
    inside_start = weir_op_start(session, &ends, NULL, NULL, NULL);
    closing_done(report, ctx);
}

static void inside_the_close_callback_the_handle_serves(void **unused)
{
    (void)unused;
    struct closing closing = CLOSING_INIT;
    assert_ok(weir_session_close(session, on_closed_asks, &closing));
    closing_wait(&closing, session);
    assert_status(inside_close, WEIR_CLOSING);
    assert_status(inside_close_with, WEIR_CLOSING);
    assert_status(inside_wait, WEIR_WOULD_DEADLOCK);
    assert_status(inside_start, WEIR_CLOSED);
    assert_int_equal(closing.report.phase, WEIR_PHASE_CLOSED);
    assert_status(weir_session_close(session, NULL, NULL), WEIR_STALE);
}

static struct gate in_callback, callback_may_return;

static void on_closed_holds(const weir_report *report, void *ctx)
{
    gate_open(&in_callback);
    gate_wait(&callback_may_return);
    closing_done(report, ctx);
}

static void a_wait_is_not_over_before_the_callback_has_returned(void **unused)
{
    (void)unused;
    struct closing closing = CLOSING_INIT;
    in_callback = callback_may_return = (struct gate)GATE_INIT;
    assert_ok(weir_session_close(session, on_closed_holds, &closing));
    gate_wait(&in_callback);
    assert_status(weir_session_wait(session, 0, NULL), WEIR_TIMED_OUT);
    assert_status(weir_session_close(session, NULL, NULL), WEIR_CLOSING);
    gate_open(&callback_may_return);
    closing_wait(&closing, session);
    assert_status(weir_session_wait(session, 0, NULL), WEIR_STALE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_later_close_is_told_so_and_its_callback_never_comes),
        TEST(of_many_closes_one_wins),
        TEST(a_plain_close_ends_a_drain_that_would_last_for_ever),
        TEST_STEPPED(a_later_close_makes_the_drain_shorter),
        TEST_STEPPED(a_later_close_does_not_make_the_drain_longer),
        TEST(inside_the_close_callback_the_handle_serves),
        TEST(a_wait_is_not_over_before_the_callback_has_returned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
