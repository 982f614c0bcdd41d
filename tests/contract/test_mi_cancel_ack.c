/* SPDX-License-Identifier: Apache-2.0 */
/* test_mi_cancel_ack.c - cases of the Windows MI client API, by their ids there: C, K */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

/* ---- C ---- */

/* Its hook decides the final at once. */
static weir_op start_hooked(struct probe *probe)
{
    weir_op op = probe_defer(probe, &defers_with_hook);
    probe->hook_answer = true;
    return op;
}

static void mi_c3_a_second_cancel_changes_nothing(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_op op = start_hooked(&probe);
    assert_ok(weir_op_cancel(op, 70));
    assert_status(weir_op_cancel(op, 71), WEIR_ALREADY);
    probe_wait(&probe);
    assert_ok(weir_op_close(op));
    session_close(session);
    assert_int_equal(seen.hooks, 1);
    assert_int_equal(tally_count(&probe.finals), 1);
    assert_int_equal(probe.final.reason, 70);
}

static void mi_c4_a_cancel_after_the_final_is_too_late(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&ends, &probe);
    probe_wait(&probe);
    assert_status(weir_op_cancel(op, WEIR_REASON_USER), WEIR_TOO_LATE);
    assert_ok(weir_op_close(op));
    session_close(session);
    assert_int_equal(tally_count(&probe.finals), 1);
}

static void mi_c5_a_cancel_after_the_end_or_of_nothing_is_refused(void **unused)
{
    (void)unused;
    weir_op op = start(&ends, NULL);
    assert_ok(weir_op_close(op));
    session_close(session);
    assert_status(weir_op_cancel(op, WEIR_REASON_USER), WEIR_STALE);
    assert_status(weir_op_cancel((weir_op){ 0 }, WEIR_REASON_USER), WEIR_INVALID);
}

static void mi_c7_queued_work_that_is_cancelled_never_runs(void **unused)
{
    (void)unused;
    struct busy busy;
    struct probe probe;
    probe_init(&probe);
    busy_begin(&busy, test_workers());
    weir_op op = start(&ends, &probe);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    probe_wait(&probe);
    busy_end(&busy);
    assert_ok(weir_op_close(op));
    session_close(session);
    assert_status(probe.final.status, WEIR_CANCELED);
    assert_int_equal(tally_count(&probe.works), 0);
}

static void mi_c10_the_hook_and_the_final_are_given_the_same_reason(void **unused)
{
    (void)unused;
    static const weir_reason reasons[] = { WEIR_REASON_USER, 64, 255 };
    struct probe probe;
    for (int i = 0; i < 3; i++) {
        weir_op op = start_hooked(&probe);
        assert_ok(weir_op_cancel(op, reasons[i]));
        probe_wait(&probe);
        assert_int_equal(probe.hook_reason, reasons[i]);
        assert_int_equal(probe.final.reason, reasons[i]);
        assert_ok(weir_op_close(op));
    }
    assert_ok(weir_op_close(start_hooked(&probe)));
    session_close(session);
    assert_int_equal(probe.hook_reason, WEIR_REASON_SESSION_CLOSED);
    assert_int_equal(probe.final.reason, WEIR_REASON_SESSION_CLOSED);
}

static void mi_c11_cancelled_closed_and_the_session_closed(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_op op = start_hooked(&probe);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    assert_ok(weir_op_close(op));
    session_close(session);
    assert_int_equal(tally_count(&probe.finals), 1);
}

static weir_status work_completes_while_it_may_be_cancelled(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    weir_status status = weir_task_on_cancel(task, hook_records, probe);
    return status == WEIR_OK || status == WEIR_CANCELED ? WEIR_OK : status;
}

static void mi_c15_a_hook_does_not_run_after_the_final(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_completes_while_it_may_be_cancelled, .on_result = on_result);
    for (int i = 0; i < 500; i++) {
        struct probe probe;                      /* on the stack: a late hook would write into the next one */
        probe_init(&probe);
        weir_op op = start(&kind, &probe);
        (void)weir_op_cancel(op, WEIR_REASON_USER);
        probe_wait(&probe);
        uint64_t hooks = seen.hooks;
        assert_ok(weir_op_close(op));
        assert_true(seen.hooks == hooks);
        tally_wait(&seen.finals, (uint64_t)i + 1);
    }
}

static void mi_c16_work_that_does_not_listen_holds_the_close_until_it_ends(void **unused)
{
    (void)unused;
    struct closing closing = CLOSING_INIT;
    struct probe deaf;
    probe_hold(&deaf, session);
    assert_ok(weir_session_close(session, closing_done, &closing));
    assert_status(weir_session_wait(session, 1000000, NULL), WEIR_TIMED_OUT);
    assert_int_equal(tally_count(&closing.calls), 0);
    probe_release(&deaf);
    closing_wait(&closing, session);
    assert_ok(deaf.final.status);
}

static void result_closes_its_handle(const weir_result *r, void *ctx)
{
    if (r->more && r->number == 2)
        (void)weir_op_close(r->op);
    on_result(r, ctx);
}

static void mi_c20_the_handle_is_closed_in_a_callback_that_is_not_the_final(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_streams, .on_result = result_closes_its_handle, .drop = on_drop);
    struct probe probe;
    probe_init(&probe);
    probe.count = 10;
    weir_op op = start(&kind, &probe);
    probe_wait(&probe);
    session_close(session);
    assert_status(weir_op_close(op), WEIR_STALE);
    assert_int_equal(tally_count(&probe.items), 10);
    assert_int_equal(tally_count(&probe.finals), 1);
    assert_int_equal(tally_count(&seen.drops), 10);
}

static void mi_c21_closing_a_pull_operation_that_was_not_read_never_waits(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    probe.count = 10;
    weir_op op = start(&pulled, &probe);
    gate_wait(&probe.parked);
    assert_ok(weir_op_close(op));
    session_close(session);
    assert_int_equal(tally_count(&seen.drops), 1);
}

static weir_op fetched;

static void *fetch(void *answer)
{
    const weir_result *r;
    *(weir_status *)answer = weir_op_next(fetched, WEIR_FOREVER, &r);
    return NULL;
}

static void mi_c22_a_handle_is_closed_while_another_thread_fetches(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_defers);
    for (int i = 0; i < 100; i++) {
        struct probe probe;
        weir_status answer = WEIR_OK;
        probe_init(&probe);
        fetched = start(&kind, &probe);
        gate_wait(&probe.deferred);
        pthread_t thread = thread_start(fetch, &answer);
        assert_ok(weir_op_close(fetched));
        thread_join(thread);
        assert_status(answer, WEIR_STALE);
    }
}

static weir_op closed_by_another;
static weir_status close_of_another;

static void result_closes_another_handle(const weir_result *r, void *ctx)
{
    close_of_another = weir_op_close(closed_by_another);
    on_result(r, ctx);
}

static void mi_c23_the_final_of_one_operation_closes_the_handle_of_another(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_ends, .on_result = result_closes_another_handle);
    struct probe probe;
    probe_init(&probe);
    closed_by_another = start(&holds, &probe);
    gate_wait(&probe.entered);
    if (test_workers() == 1)
        probe_release(&probe);
    start_closed(&kind, NULL);
    tally_wait(&seen.finals, test_workers() == 1 ? 2 : 1);
    assert_ok(close_of_another);
    if (test_workers() > 1)
        probe_release(&probe);
}

/* ---- K ---- */

static void mi_k1_the_next_result_comes_after_the_acknowledgement_by_any_thread(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    probe.count = 20;
    start_closed(&streams_acked, &probe);
    for (uint64_t number = 1; number <= 20; number++) {
        tally_wait(&probe.items, number);
        assert_int_equal(tally_count(&probe.items), number);
        assert_ok(weir_op_ack(probe.op, number));
    }
    probe_wait(&probe);
    assert_ok(weir_op_ack(probe.op, 21));
}

static void mi_k3_a_second_acknowledgement_is_already_and_brings_nothing(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&ends_acked, &probe);
    probe_wait(&probe);
    assert_ok(weir_op_ack(op, 1));
    assert_status(weir_op_ack(op, 1), WEIR_ALREADY);
    assert_ok(weir_op_close(op));
    session_close(session);
    assert_int_equal(tally_count(&probe.finals), 1);
}

static void mi_k4_an_acknowledgement_after_the_close_of_the_handle_counts(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    probe_init(&probe);
    weir_op op = start(&ends_acked, &probe);
    probe_wait(&probe);
    assert_ok(weir_op_close(op));
    assert_ok(weir_session_close(session, closing_done, &closing));
    assert_ok(weir_op_ack(op, 1));
    closing_wait(&closing, session);
    assert_status(weir_op_ack(op, 1), WEIR_STALE);
}

static void mi_k5_without_the_option_there_is_nothing_to_acknowledge(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&ends, &probe);
    probe_wait(&probe);
    assert_status(weir_op_ack(op, 1), WEIR_INVALID);
    assert_ok(weir_op_close(op));
}

static void mi_k6_a_final_that_is_not_acknowledged_holds_the_close(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    probe_init(&probe);
    start_closed(&ends_acked, &probe);
    probe_wait(&probe);
    assert_ok(weir_session_close(session, closing_done, &closing));
    assert_status(weir_session_wait(session, 1000000, NULL), WEIR_TIMED_OUT);
    assert_ok(weir_op_ack(probe.op, 1));
    closing_wait(&closing, session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mi_c3_a_second_cancel_changes_nothing),
        TEST(mi_c4_a_cancel_after_the_final_is_too_late),
        TEST(mi_c5_a_cancel_after_the_end_or_of_nothing_is_refused),
        TEST(mi_c7_queued_work_that_is_cancelled_never_runs),
        TEST(mi_c10_the_hook_and_the_final_are_given_the_same_reason),
        TEST(mi_c11_cancelled_closed_and_the_session_closed),
        TEST(mi_c15_a_hook_does_not_run_after_the_final),
        TEST(mi_c16_work_that_does_not_listen_holds_the_close_until_it_ends),
        TEST(mi_c20_the_handle_is_closed_in_a_callback_that_is_not_the_final),
        TEST(mi_c21_closing_a_pull_operation_that_was_not_read_never_waits),
        TEST(mi_c22_a_handle_is_closed_while_another_thread_fetches),
        TEST(mi_c23_the_final_of_one_operation_closes_the_handle_of_another),
        TEST(mi_k1_the_next_result_comes_after_the_acknowledgement_by_any_thread),
        TEST(mi_k3_a_second_acknowledgement_is_already_and_brings_nothing),
        TEST(mi_k4_an_acknowledgement_after_the_close_of_the_handle_counts),
        TEST(mi_k5_without_the_option_there_is_nothing_to_acknowledge),
        TEST(mi_k6_a_final_that_is_not_acknowledged_holds_the_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
