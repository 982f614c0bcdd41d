/* SPDX-License-Identifier: Apache-2.0 */
/* test_s11.c - S11: cancel and close of a session reach its children, with the reason PARENT, and it waits for them */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/stepped_fixture.h"

static weir_session child_of(weir_session parent)
{
    return session_open_with(app, WEIR_NEW(weir_session_options, .parent = parent));
}

/* ---- opening ---- */

static void a_closed_parent_gets_no_child(void **unused)
{
    (void)unused;
    weir_session child = { .bits = 7 };
    weir_op op = start(&ends, NULL);                                       /* holds the close */
    assert_ok(weir_session_close(session, NULL, NULL));
    assert_status(weir_session_open(app, WEIR_NEW(weir_session_options, .parent = session), &child), WEIR_CLOSED);
    assert_int_equal(child.bits, 7);
    assert_ok(weir_op_close(op));
    wait_until_closed(session);
    assert_status(weir_session_open(app, WEIR_NEW(weir_session_options, .parent = session), &child), WEIR_STALE);
}

static void a_parent_of_another_application_is_refused(void **unused)
{
    (void)unused;
    weir_session child;
    weir_app other = app_open_workers(1);
    assert_status(weir_session_open(other, WEIR_NEW(weir_session_options, .parent = session), &child), WEIR_INVALID);
    assert_status(weir_session_open(app, WEIR_NEW(weir_session_options, .parent = { 12345 }), &child), WEIR_INVALID);
    app_close(other);
}

/* ---- closing ---- */

static void a_parent_waits_for_a_child_that_nobody_else_closes(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_session child = child_of(session);
    probe_init(&probe);
    weir_op op;
    assert_ok(weir_op_start(child, &ends, &probe, NULL, &op));
    probe_wait(&probe);
    struct closing closing = CLOSING_INIT;
    assert_ok(weir_session_close(session, closing_done, &closing));
    assert_status(weir_session_wait(session, 0, NULL), WEIR_TIMED_OUT);
    assert_int_equal(tally_count(&closing.calls), 0);
    assert_ok(weir_op_close(op));
    closing_wait(&closing, session);
    assert_status(weir_session_close(child, NULL, NULL), WEIR_STALE);
}

static void a_close_reaches_a_child_and_a_child_of_that(void **unused)
{
    (void)unused;
    struct probe in_child, in_grandchild;
    weir_session child = child_of(session), grandchild = child_of(child);
    probe_defer_closed(&in_child, child, &defers);
    probe_defer_closed(&in_grandchild, grandchild, &defers);
    session_close(session);
    assert_int_equal(in_child.final.status, WEIR_CANCELED);
    assert_int_equal(in_child.final.reason, WEIR_REASON_PARENT);
    assert_int_equal(in_grandchild.final.reason, WEIR_REASON_PARENT);
    assert_status(weir_op_start(grandchild, &ends, NULL, NULL, NULL), WEIR_STALE);
}

static struct gate in_callback, callback_may_return;
static _Atomic int child_closed;

static void on_child_closed(const weir_report *report, void *ctx)
{
    (void)report;
    (void)ctx;
    gate_open(&in_callback);
    gate_wait(&callback_may_return);
    child_closed = 1;
}

static int closed_before_parent;

static void on_parent_closed(const weir_report *report, void *ctx)
{
    closed_before_parent = child_closed;
    closing_done(report, ctx);
}

static void a_parent_is_closed_after_its_childs_callback_has_returned(void **unused)
{
    (void)unused;
    struct closing closing = CLOSING_INIT;
    in_callback = callback_may_return = (struct gate)GATE_INIT;
    child_closed = 0;
    weir_session child = child_of(session);
    assert_ok(weir_session_close(child, on_child_closed, NULL));
    gate_wait(&in_callback);
    assert_ok(weir_session_close(session, on_parent_closed, &closing));
    assert_status(weir_session_wait(session, 0, NULL), WEIR_TIMED_OUT);
    gate_open(&callback_may_return);
    closing_wait(&closing, session);
    assert_int_equal(closed_before_parent, 1);
}

static void a_child_is_closed_by_itself_and_its_parent_goes_on(void **unused)
{
    (void)unused;
    weir_session child = child_of(session);
    session_close(child);
    start_closed(&ends, NULL);
    tally_wait(&seen.finals, 1);
    session_close(session);
    assert_int_equal(seen.by_status[WEIR_OK], 1);
}

static void a_child_drains_as_long_as_its_parent_does(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    weir_session child = child_of(session);
    probe_defer_closed(&probe, child, &defers);
    assert_ok(weir_session_close_with(session, WEIR_NEW(weir_close_options, .drain_ns = 1000, .closed = closing_done,
                                                        .ctx = &closing)));
    while (weir_op_start(child, &ends, NULL, NULL, NULL) == WEIR_OK)       /* until the close has reached it */
        (void)sched_yield();
    assert_status(weir_op_start(child, &ends, NULL, NULL, NULL), WEIR_CLOSED);
    step(999);
    assert_int_equal(tally_count(&probe.finals), 0);
    step(1);
    closing_wait(&closing, session);
    assert_int_equal(probe.final.reason, WEIR_REASON_PARENT);
}

static void a_child_is_abandoned_with_its_parent(void **unused)
{
    (void)unused;
    static const weir_kind holds_gone = KIND(.work = work_holds, .on_result = on_result, .gone = on_gone);
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    weir_session child = child_of(session);
    probe_init(&probe);
    assert_ok(weir_op_start(child, &holds_gone, &probe, NULL, NULL));
    gate_wait(&probe.entered);
    assert_ok(weir_session_close_with(session, WEIR_NEW(weir_close_options, .abandon = true, .closed = closing_done,
                                                        .ctx = &closing)));
    closing_wait(&closing, session);
    assert_int_equal(probe.final.status, WEIR_ABANDONED);
    gate_open(&probe.leave);
    tally_wait(&probe.gones, 1);
}

/* ---- cancelling ---- */

static void a_cancel_of_all_reaches_children_and_they_stay_open(void **unused)
{
    (void)unused;
    struct probe in_child, in_grandchild;
    weir_session child = child_of(session), grandchild = child_of(child);
    probe_defer_closed(&in_child, child, &defers);
    probe_defer_closed(&in_grandchild, grandchild, &defers);
    assert_ok(weir_session_cancel(session, 77));
    probe_wait(&in_child);
    probe_wait(&in_grandchild);
    assert_int_equal(in_child.final.reason, WEIR_REASON_PARENT);
    assert_int_equal(in_grandchild.final.reason, WEIR_REASON_PARENT);
    assert_ok(weir_op_start(grandchild, &ends, NULL, NULL, NULL));
    tally_wait(&seen.finals, 3);
    assert_int_equal(seen.by_status[WEIR_OK], 1);
}

static void what_a_child_accepts_after_the_cancel_is_not_cancelled(void **unused)
{
    (void)unused;
    enum { ROUNDS = 200 };
    weir_session child = child_of(session), grandchild = child_of(child);
    for (int i = 0; i < ROUNDS; i++) {
        assert_ok(weir_session_cancel(session, WEIR_REASON_USER));
        assert_ok(weir_op_start(child, &ends, NULL, NULL, NULL));
        assert_ok(weir_op_start(grandchild, &ends, NULL, NULL, NULL));
        tally_wait(&seen.finals, 2 * (uint64_t)i + 2);                     /* the next cancel is not for these */
    }
    assert_int_equal(seen.by_status[WEIR_OK], 2 * ROUNDS);
}

static void work_of_a_child_is_not_begun_after_the_cancel(void **unused)
{
    (void)unused;
    struct busy busy;
    weir_session child = child_of(session);
    busy_begin(&busy, test_workers());
    for (int i = 0; i < 100; i++)
        assert_ok(weir_op_start(child, &ends, NULL, NULL, NULL));
    assert_ok(weir_session_cancel(session, WEIR_REASON_USER));
    busy_end(&busy);
    tally_wait(&seen.finals, 100);
    assert_int_equal(seen.works, 0);
}

static void a_cancel_of_a_child_is_its_own(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_session child = child_of(session);
    probe_init(&probe);
    weir_op op = start(&defers, &probe);
    gate_wait(&probe.deferred);
    assert_ok(weir_session_cancel(child, WEIR_REASON_USER));
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    probe_wait(&probe);
    assert_int_equal(probe.final.status, WEIR_OK);
    assert_int_equal(probe.final.reason, WEIR_REASON_NONE);
    assert_ok(weir_op_close(op));
}

/* ---- races ---- */

static struct gate at_start;
static _Atomic int opened;

static void *open_children(void *unused)
{
    weir_session child;
    (void)unused;
    gate_wait(&at_start);
    while (weir_session_open(app, WEIR_NEW(weir_session_options, .parent = session), &child) == WEIR_OK)
        if (++opened == 1000)
            break;
    return NULL;
}

static void a_child_that_is_opened_while_its_parent_closes_is_refused_or_closed_with_it(void **unused)
{
    (void)unused;
    for (int round = 0; round < 30; round++) {
        at_start = (struct gate)GATE_INIT;
        opened = 0;
        pthread_t thread = thread_start(open_children, NULL);
        struct closing closing = CLOSING_INIT;
        gate_open(&at_start);
        while (opened < round)
            (void)sched_yield();
        assert_ok(weir_session_close(session, closing_done, &closing));
        closing_wait(&closing, session);                                   /* nobody closes the children */
        thread_join(thread);
        session = session_open_with(app, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_closed_parent_gets_no_child),
        TEST(a_parent_of_another_application_is_refused),
        TEST(a_parent_waits_for_a_child_that_nobody_else_closes),
        TEST(a_close_reaches_a_child_and_a_child_of_that),
        TEST(a_parent_is_closed_after_its_childs_callback_has_returned),
        TEST(a_child_is_closed_by_itself_and_its_parent_goes_on),
        TEST_STEPPED(a_child_drains_as_long_as_its_parent_does),
        TEST(a_child_is_abandoned_with_its_parent),
        TEST(a_cancel_of_all_reaches_children_and_they_stay_open),
        TEST(what_a_child_accepts_after_the_cancel_is_not_cancelled),
        TEST(work_of_a_child_is_not_begun_after_the_cancel),
        TEST(a_cancel_of_a_child_is_its_own),
        TEST(a_child_that_is_opened_while_its_parent_closes_is_refused_or_closed_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
