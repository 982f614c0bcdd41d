/* SPDX-License-Identifier: Apache-2.0 */
/* test_mi_operation.c - cases of the Windows MI client API, by their ids there: O */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

/* ---- O ---- */

static void mi_o1_one_item_and_its_final(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    probe.count = 1;
    start_closed(&streams, &probe);
    probe_wait(&probe);
    assert_int_equal(tally_count(&probe.items), 1);
    assert_false(probe.final.more);
    assert_ok(probe.final.status);
}

static weir_status work_explains(weir_task *task, void *ctx)
{
    static const char *const text = "the third line has no end";
    (void)ctx;
    return weir_task_explain(task, text) == WEIR_OK ? WEIR_FAILED : WEIR_OK;
}

static void mi_o6_the_message_of_a_final_is_valid_until_the_handle_is_closed(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_explains);
    const weir_result *r;
    weir_op op = start(&kind, NULL);
    assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
    assert_status(r->status, WEIR_FAILED);
    assert_string_equal(r->message, "the third line has no end");
    assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
    assert_string_equal(r->message, "the third line has no end");
    assert_ok(weir_op_close(op));
}

static void mi_o7_a_push_operation_is_not_fetched(void **unused)
{
    (void)unused;
    const weir_result *r = NULL;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&defers, &probe);
    assert_status(weir_op_next(op, WEIR_FOREVER, &r), WEIR_INVALID);
    assert_null(r);
    gate_wait(&probe.deferred);
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    probe_wait(&probe);
    assert_ok(weir_op_close(op));
}

static void mi_o9_nothing_is_fetched_after_the_close(void **unused)
{
    (void)unused;
    const weir_result *r = NULL;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&pulled, &probe);
    assert_ok(weir_op_close(op));
    assert_status(weir_op_next(op, 0, &r), WEIR_STALE);
    assert_null(r);
    session_close(session);
}

static void mi_o11_without_a_handle_results_come_all_the_same(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    probe.count = 3;
    start_closed(&streams, &probe);
    probe_wait(&probe);
    assert_int_equal(tally_count(&probe.items), 3);
}

static void mi_o12_without_a_session_nothing_is_started(void **unused)
{
    (void)unused;
    weir_op out = { 77 };
    assert_status(weir_op_start((weir_session){ 0 }, &ends, NULL, NULL, &out), WEIR_INVALID);
    assert_int_equal(out.bits, 77);
    assert_int_equal(tally_count(&seen.finals), 0);
}

static pthread_t starter;
static _Atomic bool on_the_starter;

static void result_compares_threads(const weir_result *r, void *ctx)
{
    if (pthread_equal(pthread_self(), starter))
        on_the_starter = true;
    on_result(r, ctx);
}

static void mi_o19_no_result_comes_on_the_thread_that_started(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_ends, .on_result = result_compares_threads);
    starter = pthread_self();
    on_the_starter = false;
    for (int i = 0; i < 1000; i++)
        start_closed(&kind, NULL);
    tally_wait(&seen.finals, 1000);
    assert_false(on_the_starter);
}

static void mi_o20_results_of_one_operation_come_one_at_a_time_and_in_order(void **unused)
{
    (void)unused;
    static const weir_kind wide = KIND(.work = work_streams, .on_result = on_result, .window = 32);
    struct probe probe;
    probe_init(&probe);
    probe.count = 1000;
    start_closed(&wide, &probe);
    probe_wait(&probe);
    assert_int_equal(tally_count(&probe.items), 1000);
    assert_int_equal(probe.wrong, 0);
}

static struct gate latch;

static void result_waits_at_the_latch(const weir_result *r, void *ctx)
{
    gate_wait(&latch);
    on_result(r, ctx);
}

static void result_opens_the_latch(const weir_result *r, void *ctx)
{
    gate_open(&latch);
    on_result(r, ctx);
}

static void mi_o21_callbacks_of_different_operations_run_beside_each_other(void **unused)
{
    (void)unused;
    static const weir_kind waits = KIND(.work = work_ends, .on_result = result_waits_at_the_latch);
    static const weir_kind opens = KIND(.work = work_ends, .on_result = result_opens_the_latch);
    latch = (struct gate)GATE_INIT;
    start_closed(&waits, NULL);
    start_closed(&opens, NULL);
    tally_wait(&seen.finals, 2);
}

static weir_status inner_session, inner_start;

static void result_starts_in_its_session(const weir_result *r, void *ctx)
{
    weir_session mine = { 0 };
    inner_session = weir_op_session(r->op, &mine);
    inner_start = weir_op_start(mine, &ends, NULL, NULL, NULL);
    on_result(r, ctx);
}

static void mi_o22_a_callback_may_start_in_its_session_until_that_is_closed(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_holds, .on_result = result_starts_in_its_session);
    struct probe probe;
    for (int closed = 0; closed < 2; closed++) {
        probe_init(&probe);
        start_closed(&kind, &probe);
        gate_wait(&probe.entered);
        if (closed)
            assert_ok(weir_session_close(session, NULL, NULL));
        probe_release(&probe);
        assert_ok(inner_session);
        assert_status(inner_start, closed ? WEIR_CLOSED : WEIR_OK);
    }
    wait_until_closed(session);
    assert_int_equal(tally_count(&seen.finals), 3);
}

static _Atomic uint64_t chain;

static void result_starts_the_next(const weir_result *r, void *ctx);

static const weir_kind link_of_a_chain = KIND(.work = work_ends, .on_result = result_starts_the_next);

static void result_starts_the_next(const weir_result *r, void *ctx)
{
    if (chain++ < 1000)
        (void)!weir_op_start(session, &link_of_a_chain, NULL, NULL, NULL);
    on_result(r, ctx);
}

static void mi_o23_each_final_starts_the_next_a_thousand_times(void **unused)
{
    (void)unused;
    chain = 0;
    start_closed(&link_of_a_chain, NULL);
    tally_wait(&seen.finals, 1001);
    chain = 0;                                   /* and a chain that a close cuts */
    start_closed(&link_of_a_chain, NULL);
    weir_report report = session_close(session);
    assert_int_equal(report.accepted, tally_count(&seen.finals));
}

static void mi_o25_the_operation_of_a_result_is_a_value_that_may_be_kept(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_session mine = { 0 };
    probe_init(&probe);
    weir_op op = start(&ends, &probe);
    probe_wait(&probe);
    assert_int_equal(probe.op.bits, op.bits);
    assert_ok(weir_op_session(probe.op, &mine));
    assert_ok(weir_op_close(probe.op));
    assert_status(weir_op_close(op), WEIR_STALE);
}

enum { THREADS = 8, EACH = 1000 };

static void *start_finish_close(void *unused)
{
    (void)unused;
    for (int i = 0; i < EACH; i++) {
        weir_op op;
        if (weir_op_start(session, &ends, NULL, NULL, &op) == WEIR_OK)
            (void)weir_op_close(op);
    }
    return NULL;
}

static void mi_o27_eight_threads_start_a_thousand_each(void **unused)
{
    (void)unused;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        threads[i] = thread_start(start_finish_close, NULL);
    for (int i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    weir_report report = session_close(session);
    assert_int_equal(report.accepted, THREADS * EACH);
    assert_int_equal(tally_count(&seen.finals), THREADS * EACH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mi_o1_one_item_and_its_final),
        TEST(mi_o6_the_message_of_a_final_is_valid_until_the_handle_is_closed),
        TEST(mi_o7_a_push_operation_is_not_fetched),
        TEST(mi_o9_nothing_is_fetched_after_the_close),
        TEST(mi_o11_without_a_handle_results_come_all_the_same),
        TEST(mi_o12_without_a_session_nothing_is_started),
        TEST(mi_o19_no_result_comes_on_the_thread_that_started),
        TEST(mi_o20_results_of_one_operation_come_one_at_a_time_and_in_order),
        TEST_TWO_WORKERS(mi_o21_callbacks_of_different_operations_run_beside_each_other),
        TEST(mi_o22_a_callback_may_start_in_its_session_until_that_is_closed),
        TEST(mi_o23_each_final_starts_the_next_a_thousand_times),
        TEST(mi_o25_the_operation_of_a_result_is_a_value_that_may_be_kept),
        TEST(mi_o27_eight_threads_start_a_thousand_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
