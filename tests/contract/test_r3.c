/* SPDX-License-Identifier: Apache-2.0 */
/* test_r3.c - R3: the final comes when nothing of the operation runs any more, and is its context's end */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

/* ---- the context may be freed inside the final ---- */

struct own {
    uint64_t filler[30];
};

static weir_status work_uses_it(weir_task *task, void *ctx)
{
    struct own *own = ctx;
    own->filler[0]++;
    return weir_task_post(task, own, sizeof(*own)) == WEIR_OK ? WEIR_OK : WEIR_FAILED;
}

static void frees_it(const weir_result *r, void *ctx)
{
    struct own *own = ctx;
    own->filler[1]++;
    if (r->more)
        return;
    free(own);
    tally_add(&seen.finals, 1);
}

static void the_context_may_be_freed_inside_the_final(void **unused)
{
    (void)unused;
    enum { COUNT = 2000 };
    static const weir_kind kind = KIND(.work = work_uses_it, .on_result = frees_it, .window = 2);
    for (int i = 0; i < COUNT; i++)
        start_closed(&kind, calloc(1, sizeof(struct own)));
    session_close(session);
    assert_int_equal(tally_count(&seen.finals), COUNT);
}

static bool hook_uses_it(weir_reason reason, void *ctx)
{
    struct own *own = ctx;
    own->filler[2] = reason;
    return true;
}

static weir_status work_defers_it(weir_task *task, void *ctx)
{
    weir_token token;
    weir_status status = weir_task_on_cancel(task, hook_uses_it, ctx);
    return status != WEIR_OK ? status : weir_task_defer(task, &token);
}

static void the_context_of_deferred_work_may_be_freed_inside_the_final(void **unused)
{
    (void)unused;
    enum { COUNT = 2000 };
    static const weir_kind kind = KIND(.work = work_defers_it, .on_result = frees_it);
    for (int i = 0; i < COUNT; i++)
        start_closed(&kind, calloc(1, sizeof(struct own)));
    session_close(session);
    assert_int_equal(tally_count(&seen.finals), COUNT);
}

/* ---- not before the work has returned ---- */

static weir_token early;
static struct gate leave_work;

static weir_status work_stays_after_its_completion(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    weir_status status = weir_task_defer(task, &early);
    gate_open(&probe->deferred);
    gate_wait(&leave_work);
    probe->count = tally_count(&probe->finals);  /* none came meanwhile */
    return status;
}

static void a_completed_operation_has_no_final_while_its_work_runs(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_stays_after_its_completion, .on_result = on_result);
    struct probe probe, other;
    leave_work = (struct gate)GATE_INIT;
    probe_init(&probe);
    probe_init(&other);
    probe.count = 77;
    start_closed(&kind, &probe);
    gate_wait(&probe.deferred);
    assert_ok(weir_token_complete(early, WEIR_OK, NULL, 0));
    start_closed(&ends, &other);                 /* a worker that looks what there is to do */
    probe_wait(&other);
    assert_int_equal(tally_count(&probe.finals), 0);
    gate_open(&leave_work);
    probe_wait(&probe);
    assert_int_equal(probe.count, 0);
}

/* ---- nor before the hook has ---- */

static struct gate in_hook, leave_hook;
static _Atomic bool hook_left;

static bool hook_stays(weir_reason reason, void *ctx)
{
    (void)reason;
    (void)ctx;
    gate_open(&in_hook);
    gate_wait(&leave_hook);
    hook_left = true;
    return true;
}

static weir_status work_defers_with_a_slow_hook(weir_task *task, void *ctx)
{
    weir_status status = weir_task_on_cancel(task, hook_stays, NULL);
    return status != WEIR_OK ? status : defer_to(task, ctx);
}

static void there_is_no_final_while_the_hook_runs(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_defers_with_a_slow_hook, .on_result = on_result);
    struct probe probe, other;
    in_hook = leave_hook = (struct gate)GATE_INIT;
    hook_left = false;
    probe_init(&probe);
    probe_init(&other);
    weir_op op = start(&kind, &probe);
    gate_wait(&probe.deferred);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    gate_wait(&in_hook);
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    start_closed(&ends, &other);
    probe_wait(&other);
    assert_int_equal(tally_count(&probe.finals), 0);
    gate_open(&leave_hook);
    probe_wait(&probe);
    assert_true(hook_left);
    assert_int_equal(probe.final.status, WEIR_OK);
    assert_ok(weir_op_close(op));
}

/* ---- gone ---- */

static _Atomic uint64_t gone_before_final;

static void gone_frees(void *ctx)
{
    struct probe *probe = ctx;
    if (tally_count(&probe->finals) != 1)
        gone_before_final++;
    free(probe);
    tally_add(&seen.drops, 1);
}

static void start_with_gone(const weir_kind *kind, int count)
{
    for (int i = 0; i < count; i++) {
        struct probe *probe = malloc(sizeof(*probe));
        assert_non_null(probe);
        probe_init(probe);
        probe->hook_answer = true;
        start_closed(kind, probe);
    }
}

static void gone_comes_once_after_the_final_and_may_free_the_context(void **unused)
{
    (void)unused;
    enum { COUNT = 500 };
    static const weir_kind kinds[] = {
        KIND(.work = work_ends, .on_result = on_result, .gone = gone_frees),
        KIND(.work = work_defers, .on_result = on_result, .gone = gone_frees),
        KIND(.work = work_defers_with_hook, .on_result = on_result, .gone = gone_frees),
    };
    gone_before_final = 0;
    for (int i = 0; i < 3; i++)
        start_with_gone(&kinds[i], COUNT);
    session_close(session);
    assert_int_equal(tally_count(&seen.finals), 3 * COUNT);
    assert_int_equal(tally_count(&seen.drops), 3 * COUNT);
    assert_int_equal(gone_before_final, 0);
}

static void gone_comes_without_a_handle_being_closed(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_ends, .on_result = on_result, .gone = on_gone);
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&kind, &probe);
    tally_wait(&probe.gones, 1);
    assert_int_equal(tally_count(&probe.finals), 1);
    assert_ok(weir_op_close(op));
    session_close(session);
    assert_int_equal(tally_count(&probe.gones), 1);
}

static void a_pull_operations_context_is_gone_before_anybody_fetches(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_ends, .gone = on_gone);
    struct probe probe;
    const weir_result *r;
    probe_init(&probe);
    weir_op op = start(&kind, &probe);
    tally_wait(&probe.gones, 1);
    assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
    assert_false(r->more);
    assert_ok(weir_op_close(op));
    session_close(session);
    assert_int_equal(tally_count(&probe.gones), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_context_may_be_freed_inside_the_final),
        TEST(the_context_of_deferred_work_may_be_freed_inside_the_final),
        TEST_TWO_WORKERS(a_completed_operation_has_no_final_while_its_work_runs),
        TEST_TWO_WORKERS(there_is_no_final_while_the_hook_runs),
        TEST(gone_comes_once_after_the_final_and_may_free_the_context),
        TEST(gone_comes_without_a_handle_being_closed),
        TEST(a_pull_operations_context_is_gone_before_anybody_fetches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
