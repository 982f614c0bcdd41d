/* SPDX-License-Identifier: Apache-2.0 */
/* test_r5.c - R5: callbacks run on workers, never inside a call of the API, and under no lock of the library */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

static _Thread_local bool calling;               /* this thread is inside a call of the API */
static _Atomic uint64_t inline_calls, on_other_threads;

/* Called first in each callback. */
static void note(void)
{
    if (calling)
        inline_calls++;
    if (weir_app_close(app, WEIR_FOREVER, NULL) != WEIR_WOULD_DEADLOCK)
        on_other_threads++;                      /* no worker */
}

/* The answer of a call during which no callback may run on this thread. */
#define quietly(call) (calling = true, quiet_status = (call), calling = false, quiet_status)
static _Thread_local weir_status quiet_status;

static void result_notes(const weir_result *r, void *ctx)
{
    note();
    on_result(r, ctx);
}

static void drop_notes(void *data, size_t size)
{
    note();
    on_drop(data, size);
}

static void gone_notes(void *ctx)
{
    note();
    on_gone(ctx);
}

static bool hook_notes(weir_reason reason, void *ctx)
{
    note();
    return hook_records(reason, ctx);
}

static weir_status work_notes(weir_task *task, void *ctx)
{
    note();
    probe_called(ctx);
    weir_status status = quietly(weir_task_post(task, NULL, 0));
    if (status == WEIR_OK)
        status = quietly(weir_task_on_cancel(task, hook_notes, ctx));
    return status;
}

static weir_status work_defers_and_notes(weir_task *task, void *ctx)
{
    note();
    weir_status status = quietly(weir_task_on_cancel(task, hook_notes, ctx));
    return status != WEIR_OK ? status : quietly(defer_to(task, ctx));
}

static void closed_notes(const weir_report *report, void *ctx)
{
    note();
    closing_done(report, ctx);
}

static const weir_kind posts = KIND(.work = work_notes, .on_result = result_notes, .drop = drop_notes,
                                    .gone = gone_notes, .window = 4);
static const weir_kind waits = KIND(.work = work_defers_and_notes, .on_result = result_notes, .drop = drop_notes,
                                    .gone = gone_notes);
static const weir_kind acked = KIND(.work = work_ends, .on_result = result_notes, .drop = drop_notes,
                                    .gone = gone_notes, .flags = WEIR_MANUAL_ACK);

static void check(void)
{
    assert_int_equal(inline_calls, 0);
    assert_int_equal(on_other_threads, 0);
}

static int setup_notes(void **unused)
{
    inline_calls = on_other_threads = 0;
    return setup(unused);
}

static void no_callback_runs_inside_a_start(void **unused)
{
    (void)unused;
    enum { COUNT = 1000 };
    for (int i = 0; i < COUNT; i++)
        assert_ok(quietly(weir_op_start(session, &posts, NULL, NULL, NULL)));
    tally_wait(&seen.finals, COUNT);
    check();
}

static void no_callback_runs_inside_a_cancel_or_a_completion(void **unused)
{
    (void)unused;
    for (int i = 0; i < 200; i++) {
        struct probe probe;
        probe_init(&probe);
        probe.hook_answer = true;
        weir_op op = start(&waits, &probe);
        gate_wait(&probe.deferred);
        if (i % 2 == 0)
            assert_ok(quietly(weir_op_cancel(op, WEIR_REASON_USER)));
        else
            assert_ok(quietly(weir_token_complete(probe.token, WEIR_OK, &probe, 1)));
        tally_wait(&probe.gones, 1);
        assert_ok(quietly(weir_op_close(op)));
    }
    check();
}

static void no_callback_runs_inside_a_post_or_an_acknowledgement(void **unused)
{
    (void)unused;
    for (int i = 0; i < 200; i++) {
        struct probe probe, other;
        probe_init(&probe);
        probe_init(&other);
        weir_op op = start(&acked, &probe), deferred = start(&waits, &other);
        tally_wait(&probe.gones, 1);
        assert_ok(quietly(weir_op_ack(op, probe.final.number)));
        assert_ok(quietly(weir_op_close(op)));
        gate_wait(&other.deferred);
        assert_ok(quietly(weir_token_post(other.token, (void *)(uintptr_t)1, 1)));
        assert_ok(quietly(weir_token_complete(other.token, WEIR_OK, NULL, 0)));
        tally_wait(&other.gones, 1);
        assert_ok(quietly(weir_op_close(deferred)));
    }
    check();
}

static void no_callback_runs_inside_the_close_of_a_session(void **unused)
{
    (void)unused;
    for (int i = 0; i < 200; i++) {
        weir_session idle = session_open_with(app, NULL);
        struct closing closing = CLOSING_INIT;
        if (i % 2 == 0)
            assert_ok(weir_op_start(idle, &posts, NULL, NULL, NULL));
        assert_ok(quietly(weir_session_close(idle, closed_notes, &closing)));
        closing_wait(&closing, idle);
    }
    check();
}

static void no_callback_runs_inside_the_last_close_of_a_handle(void **unused)
{
    (void)unused;
    struct closing closing = CLOSING_INIT;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&ends, &probe);
    probe_wait(&probe);
    assert_ok(weir_session_close(session, closed_notes, &closing));
    assert_ok(quietly(weir_op_close(op)));
    closing_wait(&closing, session);
    assert_false(pthread_equal(closing.thread, pthread_self()));
    check();
}

/* ---- inside callbacks, too ---- */

static weir_status inner[5];

static void result_calls_everything(const weir_result *r, void *ctx)
{
    note();
    inner[0] = quietly(weir_op_start(session, &posts, NULL, NULL, NULL));
    inner[1] = quietly(weir_op_cancel(r->op, WEIR_REASON_USER));
    inner[2] = quietly(weir_session_cancel(session, WEIR_REASON_USER));
    inner[3] = quietly(weir_session_close(session, closed_notes, ctx));
    inner[4] = quietly(weir_op_start(session, &posts, NULL, NULL, NULL));
}

static weir_status work_is_short(weir_task *task, void *ctx)
{
    (void)task;
    (void)ctx;
    return WEIR_OK;
}

static void calls_inside_callbacks_call_nothing_back(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_is_short, .on_result = result_calls_everything);
    struct closing closing = CLOSING_INIT;
    assert_ok(weir_op_start(session, &kind, &closing, NULL, NULL));
    closing_wait(&closing, session);
    assert_ok(inner[0]);
    assert_status(inner[1], WEIR_TOO_LATE);
    assert_ok(inner[2]);
    assert_ok(inner[3]);
    assert_status(inner[4], WEIR_CLOSED);
    check();
}

/* ---- under no lock ---- */

static struct gate in_callback, leave_callback;

static void result_stays(const weir_result *r, void *ctx)
{
    gate_open(&in_callback);
    gate_wait(&leave_callback);
    on_result(r, ctx);
}

static void while_a_callback_runs_every_call_returns(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_ends, .on_result = result_stays);
    struct probe probe, other;
    weir_session mine, one_more;
    in_callback = leave_callback = (struct gate)GATE_INIT;
    probe_init(&probe);
    probe_init(&other);
    weir_op op = start(&kind, &probe);
    gate_wait(&in_callback);
    weir_op queued = start(&ends, &other);
    assert_status(weir_op_cancel(op, WEIR_REASON_USER), WEIR_TOO_LATE);
    assert_ok(weir_op_session(op, &mine));
    assert_status(weir_op_ack(op, 1), WEIR_INVALID);
    assert_ok(weir_session_cancel(session, WEIR_REASON_USER));
    assert_ok(weir_session_open(app, NULL, &one_more));
    assert_ok(weir_session_close(one_more, NULL, NULL));
    assert_ok(weir_session_close(session, NULL, NULL));
    assert_status(weir_session_wait(session, 0, NULL), WEIR_TIMED_OUT);
    assert_ok(weir_op_close(op));
    assert_ok(weir_op_close(queued));
    assert_int_equal(tally_count(&probe.finals), 0);
    gate_open(&leave_callback);
    wait_until_closed(session);
    assert_int_equal(tally_count(&seen.finals), 2);
}

#define TEST_NOTES(name) cmocka_unit_test_setup_teardown(name, setup_notes, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_NOTES(no_callback_runs_inside_a_start),
        TEST_NOTES(no_callback_runs_inside_a_cancel_or_a_completion),
        TEST_NOTES(no_callback_runs_inside_a_post_or_an_acknowledgement),
        TEST_NOTES(no_callback_runs_inside_the_close_of_a_session),
        TEST_NOTES(no_callback_runs_inside_the_last_close_of_a_handle),
        TEST_NOTES(calls_inside_callbacks_call_nothing_back),
        TEST_NOTES(while_a_callback_runs_every_call_returns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
