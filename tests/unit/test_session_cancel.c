/* SPDX-License-Identifier: Apache-2.0 */
/* test_session_cancel.c - operations and whole sessions are cancelled; hooks */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

static void a_cancel_of_one_wins_once(void **unused)
{
    (void)unused;
    struct probe holder, probe;
    probe_hold(&holder, session);
    probe_init(&probe);
    weir_op op = start(&ends, &probe);
    assert_ok(weir_op_cancel(op, 64));
    assert_status(weir_op_cancel(op, 65), WEIR_ALREADY);
    probe_release(&holder);
    probe_wait(&probe);
    assert_status(weir_op_cancel(op, 65), WEIR_ALREADY);       /* the handle is open */
    assert_ok(weir_op_close(op));
    assert_status(weir_op_close(op), WEIR_STALE);
    session_close(session);
    assert_status(weir_op_cancel(op, 65), WEIR_STALE);
}

static void a_session_cancel_leaves_the_session_open(void **unused)
{
    (void)unused;
    enum { COUNT = 1000 };
    struct probe holder;
    probe_hold(&holder, session);
    for (int i = 0; i < COUNT; i++)
        start_closed(&ends, NULL);
    assert_ok(weir_session_cancel(session, 70));
    probe_release(&holder);
    tally_wait(&seen.finals, COUNT + 1);
    assert_int_equal(seen.works - 1 + seen.by_status[WEIR_CANCELED], COUNT);
    start_closed(&ends, NULL);
    tally_wait(&seen.finals, COUNT + 2);
    assert_true(seen.by_status[WEIR_OK] >= 2);
}

static weir_status work_until_the_hook(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    weir_status status = weir_task_on_cancel(task, hook_records, probe);
    if (status != WEIR_OK)
        return status;
    gate_open(&probe->entered);
    gate_wait(&probe->hooked);
    (void)!weir_task_on_cancel(task, NULL, NULL);
    return weir_task_cancelled(task) == 77 ? WEIR_CANCELED : WEIR_OK;
}

static void a_cancel_calls_the_hook_of_running_work(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_until_the_hook, .on_result = on_result);
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&kind, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_op_cancel(op, 77));
    probe_wait(&probe);
    assert_ok(weir_op_close(op));
    assert_int_equal(seen.hooks, 1);
    assert_int_equal(probe.hook_reason, 77);
    assert_int_equal(seen.by_status[WEIR_CANCELED], 1);
}

static void a_hook_that_answers_true_ends_deferred_work(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    probe.hook_answer = true;
    start_closed(&defers_with_hook, &probe);
    gate_wait(&probe.deferred);
    session_close(session);
    assert_int_equal(seen.hooks, 1);
    assert_int_equal(seen.by_status[WEIR_CANCELED], 1);
    assert_status(weir_token_complete(probe.token, WEIR_OK, NULL, 0), WEIR_STALE);
}

static void a_hook_that_answers_false_leaves_the_final_to_the_token(void **unused)
{
    (void)unused;
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    probe_init(&probe);
    start_closed(&defers_with_hook, &probe);
    gate_wait(&probe.deferred);
    assert_ok(weir_session_close(session, closing_done, &closing));
    gate_wait(&probe.hooked);
    assert_status(weir_token_post(probe.token, NULL, 0), WEIR_CANCELED);
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    closing_wait(&closing, session);
    assert_int_equal(seen.by_status[WEIR_OK], 1);
    assert_int_equal(closing.report.completed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ONE_WORKER(a_cancel_of_one_wins_once),
        TEST(a_session_cancel_leaves_the_session_open),
        TEST(a_cancel_calls_the_hook_of_running_work),
        TEST(a_hook_that_answers_true_ends_deferred_work),
        TEST(a_hook_that_answers_false_leaves_the_final_to_the_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
