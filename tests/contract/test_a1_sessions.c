/* SPDX-License-Identifier: Apache-2.0 */
/* test_a1_sessions.c - A1: closing an application closes every session, with the reason APPLICATION_CLOSED, and
 * shortens every policy to its own */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

static struct closing closing;

static int setup_closing(void **unused)
{
    closing = (struct closing)CLOSING_INIT;
    return setup(unused);
}

/* The test closes the application. */
#define TEST_CLOSES(name) cmocka_unit_test_setup_teardown(name, setup_closing, NULL)

static void a_drain_that_would_last_for_ever_ends(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_defer_closed(&probe, session, &defers);
    assert_ok(weir_session_close_with(session, WEIR_NEW(weir_close_options, .drain_ns = WEIR_FOREVER,
                                                        .closed = closing_done, .ctx = &closing)));
    app_close(app);
    assert_int_equal(probe.final.reason, WEIR_REASON_APPLICATION_CLOSED);
    assert_int_equal(tally_count(&closing.calls), 1);
}

static void children_are_closed_with_the_same_reason(void **unused)
{
    (void)unused;
    struct probe in_parent, in_child;
    weir_session child = session_open_with(app, WEIR_NEW(weir_session_options, .parent = session));
    probe_defer_closed(&in_parent, session, &defers);
    probe_defer_closed(&in_child, child, &defers);
    app_close(app);
    assert_int_equal(in_parent.final.reason, WEIR_REASON_APPLICATION_CLOSED);
    assert_int_equal(in_child.final.reason, WEIR_REASON_APPLICATION_CLOSED);
}

static void one_is_closed(const weir_report *report, void *calls)
{
    (void)report;
    tally_add(calls, 1);
}

static void many_sessions_are_closed_each_once(void **unused)
{
    (void)unused;
    enum { SESSIONS = 50, OPS = 20 };
    for (int i = 0; i < SESSIONS; i++) {
        weir_session_options options = { .size = sizeof(options) };
        if (i % 3 == 0)
            options.parent = session;
        weir_session one = session_open_with(app, &options);
        for (int op = 0; op < OPS; op++)
            assert_ok(weir_op_start(one, &ends, NULL, NULL, NULL));
        if (i % 2 == 0)
            assert_ok(weir_session_close_with(one, WEIR_NEW(weir_close_options, .drain_ns = i % 4 == 0 ? 1000000 : 0,
                                                            .closed = one_is_closed, .ctx = &closing.calls)));
    }
    app_close(app);
    assert_int_equal(tally_count(&seen.finals), SESSIONS * OPS);
    assert_int_equal(tally_count(&closing.calls), SESSIONS / 2);
}

static void a_close_that_is_late_may_be_called_again(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_session other = { 0 };
    probe_hold(&probe, session);
    assert_status(weir_app_close(app, 1000000, NULL), WEIR_TIMED_OUT);
    assert_status(weir_op_start(session, &ends, NULL, NULL, NULL), WEIR_CLOSED);
    assert_status(weir_session_open(app, NULL, &other), WEIR_SHUTDOWN);
    assert_int_equal(tally_count(&probe.finals), 0);
    gate_open(&probe.leave);
    app_close(app);
    assert_int_equal(tally_count(&probe.finals), 1);           /* its reason: perhaps none, by C6 */
}

static void a_session_that_abandons_does_so_while_the_application_closes(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_op op;
    probe_init(&probe);
    op = start(&ends, &probe);                                             /* a handle that nobody closes */
    probe_wait(&probe);
    assert_ok(weir_session_close_with(session, WEIR_NEW(weir_close_options, .drain_ns = 1000, .grace_ns = 1000000,
                                                        .abandon = true, .closed = closing_done, .ctx = &closing)));
    app_close(app);
    assert_int_equal(tally_count(&closing.calls), 1);
    assert_int_equal(closing.report.completed, 1);
    assert_status(weir_op_close(op), WEIR_STALE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_CLOSES(a_drain_that_would_last_for_ever_ends),
        TEST_CLOSES(children_are_closed_with_the_same_reason),
        TEST_CLOSES(many_sessions_are_closed_each_once),
        TEST_CLOSES(a_close_that_is_late_may_be_called_again),
        TEST_CLOSES(a_session_that_abandons_does_so_while_the_application_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
