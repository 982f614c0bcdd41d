/* SPDX-License-Identifier: Apache-2.0 */
/* test_h3.c - H3: closing an operation's handle, and what works on a closed one; H4: closing again */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

static void closing_before_the_final_cancels_nothing(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    probe.count = 200;
    assert_ok(weir_op_close(start(&streams, &probe)));
    probe_wait(&probe);
    assert_int_equal(tally_count(&probe.items), 200);
    assert_ok(probe.final.status);
    assert_int_equal(probe.final.reason, WEIR_REASON_NONE);
}

static void closing_queued_work_cancels_nothing(void **unused)
{
    (void)unused;
    struct probe holder, probe;
    probe_hold(&holder, session);
    probe_init(&probe);
    assert_ok(weir_op_close(start(&ends, &probe)));
    probe_release(&holder);
    probe_wait(&probe);
    assert_ok(probe.final.status);
    assert_int_equal(tally_count(&probe.works), 1);
}

static void the_operation_is_gone_after_its_final(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&holds, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_op_close(op));
    probe_release(&probe);
    session_close(session);
    assert_status(weir_op_cancel(op, WEIR_REASON_USER), WEIR_STALE);
    weir_session mine = { 77 };
    assert_status(weir_op_session(op, &mine), WEIR_STALE);
    assert_int_equal(mine.bits, 77);
}

static void on_a_closed_handle_cancel_ack_and_session_work_until_the_final_is_acknowledged(void **unused)
{
    (void)unused;
    struct probe probe;
    const weir_result *r = NULL;
    weir_session mine = { 0 };
    probe_init(&probe);
    probe.count = 1;
    weir_op op = start(&streams_acked, &probe);
    assert_ok(weir_op_close(op));
    tally_wait(&probe.items, 1);
    assert_status(weir_op_close(op), WEIR_STALE);
    assert_true(weir_op_next(op, 0, &r) != WEIR_OK);
    assert_null(r);
    assert_ok(weir_op_session(op, &mine));
    assert_int_equal(mine.bits, session.bits);
    weir_status cancel = weir_op_cancel(op, WEIR_REASON_USER);
    assert_true(cancel == WEIR_OK || cancel == WEIR_TOO_LATE);
    assert_ok(weir_op_ack(op, 1));
    probe_wait(&probe);
    assert_true(weir_op_cancel(op, WEIR_REASON_USER) != WEIR_STALE);
    assert_ok(weir_op_session(op, &mine));
    assert_ok(weir_op_ack(op, 2));
    session_close(session);                      /* its callback has returned, too */
    assert_status(weir_op_cancel(op, WEIR_REASON_USER), WEIR_STALE);
    assert_status(weir_op_session(op, &mine), WEIR_STALE);
    assert_status(weir_op_ack(op, 2), WEIR_STALE);
}

static void closing_an_unread_pull_operation_cancels_it(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_defers_with_hook);
    struct probe probe;
    const weir_result *r;
    probe_init(&probe);
    probe.hook_answer = true;
    weir_op op = start(&kind, &probe);
    gate_wait(&probe.deferred);
    assert_ok(weir_op_close(op));
    gate_wait(&probe.hooked);
    assert_int_equal(probe.hook_reason, WEIR_REASON_USER);
    assert_status(weir_op_next(op, 0, &r), WEIR_STALE);
    assert_status(weir_op_close(op), WEIR_STALE);
    session_close(session);
}

static void closing_a_read_pull_operation_is_no_cancel(void **unused)
{
    (void)unused;
    struct probe probe;
    const weir_result *r;
    probe_init(&probe);
    weir_op op = start(&pulled, &probe);
    assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
    assert_false(r->more);
    assert_ok(weir_op_close(op));
    assert_int_equal(session_close(session).completed, 1);
}

/* ---- H4 ---- */

struct closer {
    weir_op op;
    _Atomic uint64_t won, stale, other;
};

static void *close_op(void *arg)
{
    struct closer *c = arg;
    weir_status status = weir_op_close(c->op);
    c->won += status == WEIR_OK;
    c->stale += status == WEIR_STALE;
    c->other += status != WEIR_OK && status != WEIR_STALE;
    return NULL;
}

static void of_many_closes_of_a_handle_one_wins(void **unused)
{
    (void)unused;
    enum { ROUNDS = 100, THREADS = 4 };
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[THREADS];
        struct probe probe;
        probe_init(&probe);
        struct closer c = { .op = start(round % 2 == 0 ? &ends : &pulled, &probe) };
        for (int i = 0; i < THREADS; i++)
            threads[i] = thread_start(close_op, &c);
        for (int i = 0; i < THREADS; i++)
            thread_join(threads[i]);
        assert_int_equal(c.won, 1);
        assert_int_equal(c.stale, THREADS - 1);
        assert_int_equal(c.other, 0);
        session_close(session);                  /* the probe is used no more */
        session = session_open_with(app, NULL);
    }
}

static void closing_a_session_again_is_closing_and_then_stale(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    probe_hold(&probe, session);
    assert_ok(weir_session_close(session, closing_done, &closing));
    assert_status(weir_session_close(session, NULL, NULL), WEIR_CLOSING);
    assert_status(weir_session_close(session, NULL, NULL), WEIR_CLOSING);
    probe_release(&probe);
    closing_wait(&closing, session);
    assert_status(weir_session_close(session, NULL, NULL), WEIR_STALE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(closing_before_the_final_cancels_nothing),
        TEST_ONE_WORKER(closing_queued_work_cancels_nothing),
        TEST(the_operation_is_gone_after_its_final),
        TEST(on_a_closed_handle_cancel_ack_and_session_work_until_the_final_is_acknowledged),
        TEST(closing_an_unread_pull_operation_cancels_it),
        TEST(closing_a_read_pull_operation_is_no_cancel),
        TEST(of_many_closes_of_a_handle_one_wins),
        TEST(closing_a_session_again_is_closing_and_then_stale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
