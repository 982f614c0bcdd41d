/* SPDX-License-Identifier: Apache-2.0 */
/* test_c3.c - C3: what waits never runs after a cancel; what runs is told; hooks, and when they are called */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

/* ---- what waits ---- */

static void queued_work_that_is_cancelled_never_runs(void **unused)
{
    (void)unused;
    struct probe holder, probe;
    probe_hold(&holder, session);
    probe_init(&probe);
    weir_op op = start(&ends, &probe);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    probe_wait(&probe);                          /* while the only worker is held */
    assert_status(probe.final.status, WEIR_CANCELED);
    probe_release(&holder);
    assert_ok(weir_op_close(op));
    session_close(session);
    assert_int_equal(tally_count(&probe.works), 0);
}

static void parked_work_that_is_cancelled_never_runs_again(void **unused)
{
    (void)unused;
    struct probe probe;
    const weir_result *r;
    probe_init(&probe);
    probe.count = 10;
    weir_op op = start(&pulled, &probe);
    gate_wait(&probe.parked);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    do
        assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
    while (r->more);
    assert_status(r->status, WEIR_CANCELED);
    assert_int_equal(tally_count(&probe.works), 1);
    assert_ok(weir_op_close(op));
}

static void deferred_work_without_a_hook_is_final_at_the_cancel(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_op op = probe_defer(&probe, &defers);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    probe_wait(&probe);
    assert_status(probe.final.status, WEIR_CANCELED);
    assert_ok(weir_op_close(op));
}

/* ---- what runs ---- */

static weir_status work_polls(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    weir_reason reason;
    probe->count = weir_task_cancelled(task);    /* not yet */
    gate_open(&probe->entered);
    while ((reason = weir_task_cancelled(task)) == WEIR_REASON_NONE)
        (void)sched_yield();
    probe->next = reason;
    return WEIR_CANCELED;
}

static const weir_kind polls = KIND(.work = work_polls, .on_result = on_result);

static void running_work_is_told_by_a_poll(void **unused)
{
    (void)unused;
    struct probe probe;
    for (int whole_session = 0; whole_session < 2; whole_session++) {
        probe_init(&probe);
        weir_op op = start(&polls, &probe);
        gate_wait(&probe.entered);
        assert_ok(whole_session ? weir_session_cancel(session, 80) : weir_op_cancel(op, 80));
        probe_wait(&probe);
        assert_int_equal(probe.count, WEIR_REASON_NONE);
        assert_int_equal(probe.next, 80);
        assert_int_equal(probe.final.reason, 80);
        assert_ok(weir_op_close(op));
    }
}

static weir_status work_hooks(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    weir_status status = weir_task_on_cancel(task, hook_records, probe);
    if (status != WEIR_OK)
        return status;
    gate_open(&probe->entered);
    gate_wait(&probe->leave);
    return WEIR_OK;
}

static const weir_kind hooks = KIND(.work = work_hooks, .on_result = on_result);

static void running_work_is_told_by_its_hook(void **unused)
{
    (void)unused;
    struct probe probe;
    for (int whole_session = 0; whole_session < 2; whole_session++) {
        probe_init(&probe);
        weir_op op = start(&hooks, &probe);
        gate_wait(&probe.entered);
        assert_ok(whole_session ? weir_session_cancel(session, 81) : weir_op_cancel(op, 81));
        gate_wait(&probe.hooked);                /* while the work runs: with one worker, too */
        assert_int_equal(probe.hook_reason, 81);
        assert_int_equal(tally_count(&probe.finals), 0);
        probe_release(&probe);
        assert_ok(weir_op_close(op));
    }
    assert_int_equal(seen.hooks, 2);
}

static void a_hook_is_not_called_without_a_cancel(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&hooks, &probe);
    gate_wait(&probe.entered);
    probe_release(&probe);
    assert_status(weir_op_cancel(op, WEIR_REASON_USER), WEIR_TOO_LATE);
    assert_ok(weir_op_close(op));
    session_close(session);
    assert_int_equal(seen.hooks, 0);
}

/* ---- the hook's answer ---- */

static void true_decides_the_final_of_deferred_work_at_once(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_op op = probe_defer(&probe, &defers_with_hook);
    probe.hook_answer = true;
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    probe_wait(&probe);
    assert_status(probe.final.status, WEIR_CANCELED);
    weir_status late = weir_token_complete(probe.token, WEIR_OK, NULL, 0);
    assert_true(late == WEIR_CANCELED || late == WEIR_STALE);
    assert_ok(weir_op_close(op));
}

static void false_leaves_it_to_the_token(void **unused)
{
    (void)unused;
    struct probe probe, other;
    weir_op op = probe_defer(&probe, &defers_with_hook);
    assert_ok(weir_op_cancel(op, 90));
    gate_wait(&probe.hooked);
    probe_init(&other);
    start_closed(&ends, &other);
    probe_wait(&other);
    assert_int_equal(tally_count(&probe.finals), 0);
    assert_status(weir_token_post(probe.token, NULL, 0), WEIR_CANCELED);
    assert_ok(weir_token_complete(probe.token, WEIR_NOT_FOUND, NULL, 0));
    probe_wait(&probe);
    assert_status(probe.final.status, WEIR_NOT_FOUND);
    assert_int_equal(probe.final.reason, 90);
    assert_ok(weir_op_close(op));
}

static void a_hook_is_never_entered_after_the_token_has_completed(void **unused)
{
    (void)unused;
    for (int round = 0; round < 200; round++) {
        struct probe probe;
        weir_op op = probe_defer(&probe, &defers_with_hook);
        probe.hook_answer = true;
        assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
        assert_status(weir_op_cancel(op, WEIR_REASON_USER), WEIR_TOO_LATE);
        probe_wait(&probe);
        assert_ok(weir_op_close(op));
    }
    session_close(session);
    assert_int_equal(seen.hooks, 0);
}

/* ---- registering ---- */

static _Atomic uint64_t first_hooks;
static struct gate in_first, leave_first, replaced;

static bool first_hook(weir_reason reason, void *ctx)
{
    (void)reason;
    (void)ctx;
    first_hooks++;
    gate_open(&in_first);
    gate_wait(&leave_first);
    return true;
}

static bool short_first_hook(weir_reason reason, void *ctx)
{
    (void)reason;
    (void)ctx;
    first_hooks++;
    return true;
}

static weir_status work_registers_twice(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    if (weir_task_on_cancel(task, short_first_hook, NULL) != WEIR_OK)
        return WEIR_FAILED;
    return work_hooks(task, probe);
}

static void the_last_hook_registered_is_the_one_that_is_called(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_registers_twice, .on_result = on_result);
    struct probe probe;
    first_hooks = 0;
    probe_init(&probe);
    weir_op op = start(&kind, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    gate_wait(&probe.hooked);
    probe_release(&probe);
    assert_int_equal(first_hooks, 0);
    assert_int_equal(seen.hooks, 1);
    assert_ok(weir_op_close(op));
}

static weir_status work_removes_its_hook(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    if (weir_task_on_cancel(task, hook_records, probe) != WEIR_OK)
        return WEIR_FAILED;
    probe->answer = weir_task_on_cancel(task, NULL, NULL);
    gate_open(&probe->entered);
    gate_wait(&probe->leave);
    return probe->answer;
}

static void a_removed_hook_is_not_called(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_removes_its_hook, .on_result = on_result);
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&kind, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    probe_release(&probe);
    assert_ok(probe.final.status);
    assert_ok(weir_op_close(op));
    session_close(session);
    assert_int_equal(seen.hooks, 0);
}

static weir_status work_registers_after_a_cancel(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    gate_open(&probe->entered);
    gate_wait(&probe->leave);
    return weir_task_on_cancel(task, hook_records, probe);
}

static void a_hook_registered_after_a_cancel_is_refused_and_not_called(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_registers_after_a_cancel, .on_result = on_result);
    struct probe probe;
    for (int whole_session = 0; whole_session < 2; whole_session++) {
        probe_init(&probe);
        weir_op op = start(&kind, &probe);
        gate_wait(&probe.entered);
        assert_ok(whole_session ? weir_session_cancel(session, 80) : weir_op_cancel(op, 80));
        probe_release(&probe);
        assert_status(probe.final.status, WEIR_CANCELED);
        assert_ok(weir_op_close(op));
    }
    session_close(session);
    assert_int_equal(seen.hooks, 0);
}

/* What the work gives to its hook. */
struct shared {
    struct gate entered, removed;
    weir_task *task;
    _Atomic weir_status answer;
};

static bool hook_removes_itself(weir_reason reason, void *ctx)
{
    struct shared *shared = ctx;
    (void)reason;
    shared->answer = weir_task_on_cancel(shared->task, NULL, NULL);
    gate_open(&shared->removed);
    return false;
}

static weir_status work_shares_its_task(weir_task *task, void *ctx)
{
    struct shared *shared = ctx;
    shared->task = task;
    if (weir_task_on_cancel(task, hook_removes_itself, shared) != WEIR_OK)
        return WEIR_FAILED;
    gate_open(&shared->entered);
    gate_wait(&shared->removed);
    return WEIR_OK;
}

static void result_is_counted(const weir_result *r, void *ctx)
{
    (void)r;
    (void)ctx;
    tally_add(&seen.finals, 1);
}

static void a_hook_that_removes_itself_does_not_wait(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_shares_its_task, .on_result = result_is_counted);
    struct shared shared = { .entered = GATE_INIT, .removed = GATE_INIT };
    weir_op op = start(&kind, &shared);
    gate_wait(&shared.entered);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    gate_wait(&shared.removed);
    assert_status(shared.answer, WEIR_CANCELED);
    tally_wait(&seen.finals, 1);
    assert_ok(weir_op_close(op));
}

static weir_status work_replaces_a_running_hook(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    if (weir_task_on_cancel(task, first_hook, NULL) != WEIR_OK)
        return WEIR_FAILED;
    gate_open(&probe->entered);
    gate_wait(&in_first);                        /* it runs */
    probe->answer = weir_task_on_cancel(task, hook_records, probe);
    probe->count = gate_is_open(&leave_first);   /* it has returned */
    gate_open(&replaced);
    return WEIR_OK;
}

static void replacing_a_running_hook_waits_for_its_return(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_replaces_a_running_hook, .on_result = on_result);
    struct probe probe;
    in_first = leave_first = replaced = (struct gate)GATE_INIT;
    first_hooks = 0;
    probe_init(&probe);
    weir_op op = start(&kind, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    gate_wait(&in_first);
    gate_open(&leave_first);
    gate_wait(&replaced);
    probe_wait(&probe);
    assert_status(probe.answer, WEIR_CANCELED);
    assert_int_equal(probe.count, 1);
    assert_int_equal(first_hooks, 1);
    assert_ok(weir_op_close(op));
    session_close(session);
    assert_int_equal(seen.hooks, 0);
}

/* ---- hook against completion ---- */

struct completer {
    weir_token token;
    weir_status status;
};

static void *complete(void *arg)
{
    struct completer *c = arg;
    c->status = weir_token_complete(c->token, WEIR_OK, NULL, 0);
    return NULL;
}

static void a_hooks_true_against_a_completion_has_one_outcome(void **unused)
{
    (void)unused;
    for (int round = 0; round < 300; round++) {
        struct probe probe;
        weir_op op = probe_defer(&probe, &defers_with_hook);
        probe.hook_answer = true;
        struct completer c = { probe.token, WEIR_STALE };
        pthread_t thread = thread_start(complete, &c);
        weir_status status = weir_op_cancel(op, WEIR_REASON_USER);
        thread_join(thread);
        probe_wait(&probe);
        assert_true(status == WEIR_OK || (status == WEIR_TOO_LATE && c.status == WEIR_OK));
        assert_status(probe.final.status, c.status == WEIR_OK ? WEIR_OK : WEIR_CANCELED);
        assert_int_equal(probe.final.reason, status == WEIR_OK ? WEIR_REASON_USER : WEIR_REASON_NONE);
        assert_ok(weir_op_close(op));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ONE_WORKER(queued_work_that_is_cancelled_never_runs),
        TEST(parked_work_that_is_cancelled_never_runs_again),
        TEST(deferred_work_without_a_hook_is_final_at_the_cancel),
        TEST(running_work_is_told_by_a_poll),
        TEST(running_work_is_told_by_its_hook),
        TEST(a_hook_is_not_called_without_a_cancel),
        TEST(true_decides_the_final_of_deferred_work_at_once),
        TEST(false_leaves_it_to_the_token),
        TEST(a_hook_is_never_entered_after_the_token_has_completed),
        TEST(the_last_hook_registered_is_the_one_that_is_called),
        TEST(a_removed_hook_is_not_called),
        TEST(a_hook_registered_after_a_cancel_is_refused_and_not_called),
        TEST(replacing_a_running_hook_waits_for_its_return),
        TEST(a_hook_that_removes_itself_does_not_wait),
        TEST(a_hooks_true_against_a_completion_has_one_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
