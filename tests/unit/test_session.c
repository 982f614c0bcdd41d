/* SPDX-License-Identifier: Apache-2.0 */
/* test_session.c - sessions open, close, are waited for, and end with their application */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

static void an_empty_session_opens_and_closes(void **unused)
{
    (void)unused;
    weir_report report = session_close(session);
    assert_status(weir_session_close(session, NULL, NULL), WEIR_STALE);
    assert_int_equal(report.outcome, WEIR_OUTCOME_CLEAN);
    assert_int_equal(report.accepted, 0);
}

static void each_started_operation_is_in_the_report(void **unused)
{
    (void)unused;
    enum { COUNT = 5000 };
    static const weir_kind kind = KIND(.work = work_ends, .on_result = on_result, .gone = on_gone);
    for (int i = 0; i < COUNT; i++)
        start_closed(&kind, NULL);
    tally_wait(&seen.finals, COUNT);
    weir_report report = session_close(session);
    assert_int_equal(seen.works, COUNT);
    assert_int_equal(seen.gones, COUNT);
    assert_int_equal(seen.by_status[WEIR_OK], COUNT);
    assert_int_equal(report.completed, COUNT);
}

static void a_close_ends_what_waits_and_what_runs(void **unused)
{
    (void)unused;
    enum { COUNT = 10000 };
    struct probe holder;
    struct closing closing = CLOSING_INIT;
    probe_hold(&holder, session);
    for (int i = 0; i < COUNT; i++)
        start_closed(&ends, NULL);
    assert_ok(weir_session_close(session, closing_done, &closing));
    assert_status(weir_session_close(session, closing_done, &closing), WEIR_CLOSING);
    assert_status(weir_op_start(session, &ends, NULL, NULL, NULL), WEIR_CLOSED);
    probe_release(&holder);
    closing_wait(&closing, session);
    assert_int_equal(tally_count(&seen.finals), COUNT + 1);
    assert_int_equal(seen.works - 1 + seen.by_status[WEIR_CANCELED], COUNT);
    assert_int_equal(closing.report.accepted, COUNT + 1);
}

static void an_open_handle_holds_the_close(void **unused)
{
    (void)unused;
    struct closing closing = CLOSING_INIT;
    weir_session mine = { 0 };
    weir_op op = start(&ends, NULL);
    tally_wait(&seen.finals, 1);
    assert_ok(weir_session_close(session, closing_done, &closing));
    assert_status(weir_session_wait(session, 0, NULL), WEIR_TIMED_OUT);
    assert_ok(weir_op_session(op, &mine));
    assert_int_equal(mine.bits, session.bits);
    assert_ok(weir_op_close(op));
    closing_wait(&closing, session);
}

static void closing_the_application_closes_its_sessions(void **unused)
{
    (void)unused;
    enum { COUNT = 3000 };
    static const weir_kind kind = KIND(.work = work_ends, .on_result = on_result, .gone = on_gone);
    for (int i = 0; i < 3; i++) {
        weir_session in = session_open_with(app, NULL);
        for (int k = 0; k < COUNT; k++)
            assert_ok(weir_op_start(in, &kind, NULL, NULL, NULL));
    }
    app_close(app);
    assert_int_equal(tally_count(&seen.finals), 3 * COUNT);
    assert_int_equal(seen.gones, 3 * COUNT);
    assert_int_equal(seen.works + seen.by_status[WEIR_CANCELED], 3 * COUNT);
    setup(NULL);                                 /* for the tear-down */
}

static void the_application_waits_for_its_sessions_until_its_deadline(void **unused)
{
    (void)unused;
    weir_session late = { 0 };
    weir_op op = start(&ends, NULL);
    tally_wait(&seen.finals, 1);
    assert_status(weir_app_close(app, 0, NULL), WEIR_TIMED_OUT);
    assert_status(weir_app_close(app, 1000000, NULL), WEIR_TIMED_OUT);
    assert_status(weir_session_open(app, NULL, &late), WEIR_SHUTDOWN);
    assert_status(weir_op_start(session, &ends, NULL, NULL, NULL), WEIR_CLOSED);
    assert_ok(weir_op_close(op));
    app_close(app);
    assert_status(weir_session_close(session, NULL, NULL), WEIR_STALE);
    setup(NULL);                                 /* for the tear-down */
}

struct waiter {
    struct gate begins;
    weir_report report;
    weir_status status;
};

static void *wait_for_session(void *arg)
{
    struct waiter *waiter = arg;
    gate_open(&waiter->begins);
    waiter->status = weir_session_wait(session, WEIR_FOREVER, &waiter->report);
    return NULL;
}

static void who_waits_is_given_the_report(void **unused)
{
    (void)unused;
    struct probe holder;
    struct waiter waiter = { .begins = GATE_INIT, .report.size = sizeof(weir_report) };
    weir_report report = { .size = sizeof(report) };
    probe_hold(&holder, session);
    assert_status(weir_session_wait(session, 0, &report), WEIR_TIMED_OUT);
    assert_int_equal(report.phase, WEIR_PHASE_OPEN);
    pthread_t thread = thread_start(wait_for_session, &waiter);
    gate_wait(&waiter.begins);
    probe_release(&holder);
    assert_ok(weir_session_close(session, NULL, NULL));
    thread_join(thread);
    assert_true(waiter.status == WEIR_OK || waiter.status == WEIR_STALE);
    if (waiter.status == WEIR_OK) {
        assert_int_equal(waiter.report.phase, WEIR_PHASE_CLOSED);
        assert_int_equal(waiter.report.completed, 1);
    }
    assert_status(weir_session_wait(session, 0, &report), WEIR_STALE);
    report.size--;
    assert_status(weir_session_wait(session, 0, &report), WEIR_INVALID);
}

/* ---- starts against closes ---- */

static _Atomic uint64_t accepted, refused;

static void *start_many(void *unused)
{
    (void)unused;
    for (int i = 0; i < 300; i++)
        if (weir_op_start(session, &ends, NULL, NULL, NULL) == WEIR_OK)
            accepted++;
        else
            refused++;
    return NULL;
}

static void a_start_that_races_with_a_close_is_accepted_or_refused(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < 100; round++) {
        struct closing closing = CLOSING_INIT;
        seen_forget();
        accepted = refused = 0;
        pthread_t a = thread_start(start_many, NULL), b = thread_start(start_many, NULL);
        tally_wait(&seen.finals, 1 + round % 50);
        assert_ok(weir_session_close(session, closing_done, &closing));
        closing_wait(&closing, session);
        assert_int_equal(tally_count(&seen.finals), closing.report.accepted);
        thread_join(a);
        thread_join(b);
        assert_int_equal(tally_count(&seen.finals), accepted);
        assert_int_equal(accepted + refused, 600);
        session = session_open_with(app, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_session_opens_and_closes),
        TEST(each_started_operation_is_in_the_report),
        TEST(a_close_ends_what_waits_and_what_runs),
        TEST(an_open_handle_holds_the_close),
        TEST(closing_the_application_closes_its_sessions),
        TEST(the_application_waits_for_its_sessions_until_its_deadline),
        TEST(who_waits_is_given_the_report),
        TEST(a_start_that_races_with_a_close_is_accepted_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
