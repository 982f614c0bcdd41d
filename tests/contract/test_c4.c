/* SPDX-License-Identifier: Apache-2.0 */
/* test_c4.c - C4: reasons, and whose status the final bears */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

static weir_op start_held(struct probe *probe)
{
    probe_init(probe);
    weir_op op = start(&holds, probe);
    gate_wait(&probe->entered);
    return op;
}

static void a_reason_of_the_users_own_is_in_the_final(void **unused)
{
    (void)unused;
    static const weir_reason reasons[] = { WEIR_REASON_USER, WEIR_REASON_OWN, 100, 255 };
    for (int i = 0; i < 4; i++) {
        struct probe probe;
        weir_op op = start_held(&probe);
        assert_ok(weir_op_cancel(op, reasons[i]));
        probe_release(&probe);
        assert_int_equal(probe.final.reason, reasons[i]);
        assert_ok(weir_op_close(op));
    }
}

static void the_librarys_reasons_are_not_the_users_to_give(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_op op = start_held(&probe);
    for (int reason = 0; reason < WEIR_REASON_OWN; reason++)
        if (reason != WEIR_REASON_USER) {
            assert_status(weir_op_cancel(op, (weir_reason)reason), WEIR_INVALID);
            assert_status(weir_session_cancel(session, (weir_reason)reason), WEIR_INVALID);
        }
    probe_release(&probe);
    assert_int_equal(probe.final.reason, WEIR_REASON_NONE);
    assert_ok(weir_op_close(op));
}

static void work_that_ran_answers_for_itself_and_the_reason_stands_beside_it(void **unused)
{
    (void)unused;
    static const weir_status answers[] = { WEIR_OK, WEIR_FAILED, WEIR_CANCELED, WEIR_TIMED_OUT, WEIR_NOT_FOUND };
    for (int i = 0; i < 5; i++) {
        struct probe probe;
        weir_op op = start_held(&probe);
        probe.answer = answers[i];
        assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
        probe_release(&probe);
        assert_status(probe.final.status, answers[i]);
        assert_int_equal(probe.final.reason, WEIR_REASON_USER);
        assert_ok(weir_op_close(op));
    }
    weir_report report = session_close(session);
    assert_int_equal(report.completed, 1);       /* the accounts follow the final's status */
    assert_int_equal(report.failed, 2);
    assert_int_equal(report.cancelled, 1);
    assert_int_equal(report.timed_out, 1);
}

static void what_the_library_decides_is_canceled(void **unused)
{
    (void)unused;
    struct probe holder, probe;
    probe_hold(&holder, session);
    probe_init(&probe);
    weir_op op = start(&ends, &probe);
    assert_ok(weir_op_cancel(op, 99));
    probe_wait(&probe);
    assert_status(probe.final.status, WEIR_CANCELED);
    assert_int_equal(probe.final.reason, 99);
    assert_non_null(probe.final.message);
    probe_release(&holder);
    assert_ok(weir_op_close(op));
    assert_int_equal(session_close(session).cancelled, 1);
}

static void work_that_answers_again_after_a_cancel_is_canceled_by_the_library(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_op op = start_held(&probe);
    probe.answer = WEIR_AGAIN;
    assert_ok(weir_op_cancel(op, 99));
    probe_release(&probe);
    assert_status(probe.final.status, WEIR_CANCELED);
    assert_int_equal(tally_count(&probe.works), 1);
    assert_ok(weir_op_close(op));
}

static struct stepped_clock steps;

static void a_deadline_is_timed_out_when_the_library_decides(void **unused)
{
    (void)unused;
    struct probe holder, probe;
    weir_app stepped = app_open_stepped(&steps, 1);
    weir_session in = session_open_with(stepped, NULL);
    probe_hold(&holder, in);
    probe_init(&probe);
    assert_ok(weir_op_start(in, &ends, &probe, WEIR_NEW(weir_op_options, .timeout_ns = 10), NULL));
    clock_step(&steps, stepped, 10);
    probe_wait(&probe);
    assert_status(probe.final.status, WEIR_TIMED_OUT);
    assert_int_equal(probe.final.reason, WEIR_REASON_TIMEOUT);
    probe_release(&holder);
    assert_int_equal(session_close(in).timed_out, 1);
    app_close(stepped);
}

static void the_reason_of_a_close_says_who_closed(void **unused)
{
    (void)unused;
    struct probe of_session, of_app;
    weir_session other = session_open_with(app, NULL);
    probe_init(&of_session);
    probe_init(&of_app);
    start_closed(&defers, &of_session);
    assert_ok(weir_op_start(other, &defers, &of_app, NULL, NULL));
    gate_wait(&of_session.deferred);
    gate_wait(&of_app.deferred);
    session_close(session);
    assert_int_equal(of_session.final.reason, WEIR_REASON_SESSION_CLOSED);
    app_close(app);
    assert_int_equal(of_app.final.reason, WEIR_REASON_APPLICATION_CLOSED);
    assert_status(of_app.final.status, WEIR_CANCELED);
    setup(NULL);                                 /* for the tear-down */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reason_of_the_users_own_is_in_the_final),
        TEST(the_librarys_reasons_are_not_the_users_to_give),
        TEST(work_that_ran_answers_for_itself_and_the_reason_stands_beside_it),
        TEST_ONE_WORKER(what_the_library_decides_is_canceled),
        TEST(work_that_answers_again_after_a_cancel_is_canceled_by_the_library),
        TEST(a_deadline_is_timed_out_when_the_library_decides),
        TEST(the_reason_of_a_close_says_who_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
