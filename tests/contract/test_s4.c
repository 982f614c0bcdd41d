/* SPDX-License-Identifier: Apache-2.0 */
/* test_s4.c - S4: the barrier: finals acknowledged, nothing on a stack, handles closed; whichever is the last */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

/* One operation with all that can be missing. Its work holds a token and stays on its stack after completing it; its
 * final is to be acknowledged; its handle is open. Each step takes one thing away:
 *
 *   STACK    the work returns, and the final is delivered; so it comes before ACK
 *   ACK      the final is acknowledged
 *   HANDLE   the handle is closed */
enum step { STACK, ACK, HANDLE, STEPS };

static weir_status work_completes_and_stays(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    weir_token token;
    weir_status status = weir_task_defer(task, &token);
    if (status == WEIR_OK)
        status = weir_token_complete(token, WEIR_OK, NULL, 0);
    gate_open(&probe->entered);
    gate_wait(&probe->leave);
    return status;
}

static const weir_kind stays = KIND(.work = work_completes_and_stays, .on_result = on_result,
                                    .flags = WEIR_MANUAL_ACK);

static void take(enum step step, struct probe *probe, weir_op op)
{
    if (step == STACK) {
        gate_open(&probe->leave);
        probe_wait(probe);
    } else if (step == ACK)
        assert_ok(weir_op_ack(op, 1));
    else
        assert_ok(weir_op_close(op));
}

static void close_after(const enum step order[STEPS])
{
    struct closing closing = CLOSING_INIT;
    struct probe probe, other;
    weir_session in = session_open_with(app, NULL);
    probe_init(&probe);
    weir_op op = start_in(in, &stays, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_session_close(in, closing_done, &closing));
    for (int i = 0; i < STEPS; i++) {
        probe_init(&other);                      /* workers are awake, and could call back */
        start_closed(&ends, &other);
        probe_wait(&other);
        assert_int_equal(tally_count(&closing.calls), 0);
        assert_status(weir_session_wait(in, 0, NULL), WEIR_TIMED_OUT);
        take(order[i], &probe, op);
    }
    closing_wait(&closing, in);
    assert_int_equal(closing.report.completed, 1);
}

static void the_close_comes_after_the_last_of_them_in_every_order(void **unused)
{
    (void)unused;
    static const enum step orders[][STEPS] = {
        { STACK, ACK, HANDLE },
        { STACK, HANDLE, ACK },
        { HANDLE, STACK, ACK },
    };
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
        close_after(orders[i]);
}

static void the_return_of_the_work_may_be_the_last(void **unused)
{
    (void)unused;
    struct closing closing = CLOSING_INIT;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&holds, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_session_close(session, closing_done, &closing));
    assert_ok(weir_op_close(op));
    assert_status(weir_session_wait(session, 0, NULL), WEIR_TIMED_OUT);
    assert_int_equal(tally_count(&closing.calls), 0);
    probe_release(&probe);
    closing_wait(&closing, session);
}

/* ---- callbacks and hooks are functions on a stack, too ---- */

static struct gate in_function, leave_function;

static void stay(void)
{
    gate_open(&in_function);
    gate_wait(&leave_function);
}

static void result_stays(const weir_result *r, void *ctx)
{
    stay();
    on_result(r, ctx);
}

static void drop_stays(void *data, size_t size)
{
    stay();
    on_drop(data, size);
}

static void gone_stays(void *ctx)
{
    stay();
    on_gone(ctx);
}

static bool hook_stays(weir_reason reason, void *ctx)
{
    stay();
    return hook_records(reason, ctx);
}

static weir_status work_defers_with_a_long_hook(weir_task *task, void *ctx)
{
    weir_status status = weir_task_on_cancel(task, hook_stays, ctx);
    return status != WEIR_OK ? status : defer_to(task, ctx);
}

static void close_over(const weir_kind *kind, bool is_hook)
{
    struct closing closing = CLOSING_INIT;
    struct probe probe;
    weir_session in = session_open_with(app, NULL);
    in_function = leave_function = (struct gate)GATE_INIT;
    probe_init(&probe);
    probe.count = 1;
    probe.hook_answer = true;
    assert_ok(weir_op_start(in, kind, &probe, NULL, NULL));
    if (is_hook)
        gate_wait(&probe.deferred);
    else
        gate_wait(&in_function);
    assert_ok(weir_session_close(in, closing_done, &closing));
    gate_wait(&in_function);
    assert_status(weir_session_wait(in, 0, NULL), WEIR_TIMED_OUT);
    assert_int_equal(tally_count(&closing.calls), 0);
    gate_open(&leave_function);
    closing_wait(&closing, in);
    assert_int_equal(tally_count(&probe.finals), 1);
}

static void the_close_waits_for_each_function_that_runs(void **unused)
{
    (void)unused;
    static const weir_kind kinds[] = {
        KIND(.work = work_ends, .on_result = result_stays),
        KIND(.work = work_streams, .on_result = on_result, .drop = drop_stays),
        KIND(.work = work_ends, .on_result = on_result, .gone = gone_stays),
        KIND(.work = work_defers_with_a_long_hook, .on_result = on_result),
    };
    for (int i = 0; i < 4; i++)
        close_over(&kinds[i], i == 3);
}

/* ---- items that are not acknowledged ---- */

static void an_item_that_is_not_acknowledged_holds_the_close(void **unused)
{
    (void)unused;
    struct closing closing = CLOSING_INIT;
    struct probe probe;
    probe_init(&probe);
    probe.count = 2;
    start_closed(&streams_acked, &probe);
    gate_wait(&probe.parked);
    tally_wait(&probe.items, 1);
    assert_ok(weir_session_close(session, closing_done, &closing));
    assert_status(weir_session_wait(session, 0, NULL), WEIR_TIMED_OUT);
    assert_int_equal(tally_count(&probe.finals), 0);
    assert_ok(weir_op_ack(probe.op, 1));
    probe_wait(&probe);
    assert_status(weir_session_wait(session, 0, NULL), WEIR_TIMED_OUT);
    assert_ok(weir_op_ack(probe.op, 2));
    closing_wait(&closing, session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_TWO_WORKERS(the_close_comes_after_the_last_of_them_in_every_order),
        TEST(the_return_of_the_work_may_be_the_last),
        TEST(the_close_waits_for_each_function_that_runs),
        TEST(an_item_that_is_not_acknowledged_holds_the_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
