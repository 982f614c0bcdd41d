/* SPDX-License-Identifier: Apache-2.0 */
/* test_c5.c - C5: deadlines of operations, on a clock that is stepped */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include <weir/weir.h>

#include "tests/support/app_fixture.h"
#include "tests/support/support.h"

static struct stepped_clock steps;
static weir_app app;
static weir_session session;
static struct tally finals;
static struct gate running, go_on, deferred;
static _Atomic int last_status, last_reason, work_calls;
static _Atomic uint64_t by_status[32];

static int open_app(void **unused)
{
    (void)unused;
    finals = (struct tally)TALLY_INIT;
    running = go_on = deferred = (struct gate)GATE_INIT;
    last_status = last_reason = work_calls = 0;
    for (int i = 0; i < 32; i++)
        by_status[i] = 0;
    app = app_open_stepped(&steps, 1);
    return weir_session_open(app, NULL, &session) == WEIR_OK ? 0 : -1;
}

static int close_app(void **unused)
{
    (void)unused;
    return weir_app_close(app, WEIR_FOREVER, NULL) == WEIR_OK ? 0 : -1;
}

static void on_result(const weir_result *r, void *ctx)
{
    (void)ctx;
    last_status = r->status;
    last_reason = r->reason;
    by_status[r->status]++;
    tally_add(&finals, 1);
}

static weir_status work_blocks(weir_task *task, void *ctx)
{
    (void)ctx;
    work_calls++;
    gate_open(&running);
    gate_wait(&go_on);
    return weir_task_cancelled(task) == WEIR_REASON_TIMEOUT ? WEIR_FAILED : WEIR_OK;
}

static weir_status work_ends(weir_task *task, void *ctx)
{
    (void)task;
    (void)ctx;
    work_calls++;
    return WEIR_OK;
}

static weir_status work_defers(weir_task *task, void *ctx)
{
    weir_status status = weir_task_defer(task, ctx);
    gate_open(&deferred);
    return status;
}

static const weir_kind blocks = { .size = sizeof(weir_kind), .work = work_blocks, .on_result = on_result };
static const weir_kind ends = { .size = sizeof(weir_kind), .work = work_ends, .on_result = on_result };
static const weir_kind defers = { .size = sizeof(weir_kind), .work = work_defers, .on_result = on_result };

static void start_for(const weir_kind *kind, void *ctx, int64_t timeout_ns)
{
    assert_int_equal(weir_op_start(session, kind, ctx, WEIR_NEW(weir_op_options, .timeout_ns = timeout_ns), NULL),
                     WEIR_OK);
}

static void queued_work_whose_time_is_over_never_runs(void **unused)
{
    (void)unused;
    start_for(&blocks, NULL, WEIR_FOREVER);
    gate_wait(&running);
    start_for(&ends, NULL, 50);
    clock_step(&steps, app, 50);
    tally_wait(&finals, 1);
    assert_int_equal(last_status, WEIR_TIMED_OUT);
    assert_int_equal(last_reason, WEIR_REASON_TIMEOUT);
    gate_open(&go_on);
    tally_wait(&finals, 2);
    assert_int_equal(work_calls, 1);
}

static void running_work_is_told_and_answers_for_itself(void **unused)
{
    (void)unused;
    start_for(&blocks, NULL, 50);
    gate_wait(&running);
    clock_step(&steps, app, 60);
    gate_open(&go_on);
    tally_wait(&finals, 1);
    assert_int_equal(last_status, WEIR_FAILED);
    assert_int_equal(last_reason, WEIR_REASON_TIMEOUT);
}

static void deferred_work_without_a_hook_is_final_at_its_deadline(void **unused)
{
    (void)unused;
    weir_token token;
    start_for(&defers, &token, 50);
    gate_wait(&deferred);
    clock_step(&steps, app, 50);
    tally_wait(&finals, 1);
    assert_int_equal(last_status, WEIR_TIMED_OUT);
    weir_status late = weir_token_complete(token, WEIR_OK, NULL, 0);
    assert_true(late == WEIR_STALE || late == WEIR_CANCELED);
}

static void work_that_ends_in_time_is_not_disturbed(void **unused)
{
    (void)unused;
    enum { COUNT = 500 };
    for (int i = 0; i < COUNT; i++)
        start_for(&ends, NULL, 50);
    tally_wait(&finals, COUNT);
    clock_step(&steps, app, 100);
    assert_int_equal(by_status[WEIR_OK], COUNT);
    assert_int_equal(tally_count(&finals), COUNT);
}

static void a_session_has_a_default_which_an_operation_may_lift(void **unused)
{
    (void)unused;
    weir_session limited;
    assert_int_equal(weir_session_open(app, WEIR_NEW(weir_session_options, .timeout_ns = 10), &limited), WEIR_OK);
    start_for(&blocks, NULL, WEIR_FOREVER);
    gate_wait(&running);
    assert_int_equal(weir_op_start(limited, &ends, NULL, NULL, NULL), WEIR_OK);
    assert_int_equal(weir_op_start(limited, &ends, NULL, WEIR_NEW(weir_op_options, .timeout_ns = WEIR_FOREVER), NULL),
                     WEIR_OK);
    clock_step(&steps, app, 10);
    tally_wait(&finals, 1);
    assert_int_equal(by_status[WEIR_TIMED_OUT], 1);
    gate_open(&go_on);
    tally_wait(&finals, 3);
    assert_int_equal(by_status[WEIR_TIMED_OUT], 1);
    weir_report report = { .size = sizeof(report) };
    assert_int_equal(weir_session_close(limited, NULL, NULL), WEIR_OK);
    weir_status status = weir_session_wait(limited, WEIR_FOREVER, &report);
    assert_true(status == WEIR_STALE || (status == WEIR_OK && report.timed_out == 1 && report.completed == 1));
}

static void a_close_comes_before_the_deadline(void **unused)
{
    (void)unused;
    start_for(&blocks, NULL, WEIR_FOREVER);
    gate_wait(&running);
    for (int i = 0; i < 100; i++)
        start_for(&ends, NULL, 50 + i);
    assert_int_equal(weir_session_close(session, NULL, NULL), WEIR_OK);
    clock_step(&steps, app, 100);
    gate_open(&go_on);
    assert_int_equal(weir_app_close(app, WEIR_FOREVER, NULL), WEIR_OK);
    assert_int_equal(tally_count(&finals), 101);
    assert_int_equal(by_status[WEIR_CANCELED] + by_status[WEIR_TIMED_OUT], 100);
    assert_int_equal(open_app(NULL), 0);                       /* for the tear-down */
}

static void a_time_out_below_zero_is_refused(void **unused)
{
    (void)unused;
    weir_session none = { 0 };
    assert_int_equal(weir_op_start(session, &ends, NULL, WEIR_NEW(weir_op_options, .timeout_ns = -1), NULL),
                     WEIR_INVALID);
    assert_int_equal(weir_session_open(app, WEIR_NEW(weir_session_options, .timeout_ns = -1), &none), WEIR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_app, close_app)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(queued_work_whose_time_is_over_never_runs),
        TEST(running_work_is_told_and_answers_for_itself),
        TEST(deferred_work_without_a_hook_is_final_at_its_deadline),
        TEST(work_that_ends_in_time_is_not_disturbed),
        TEST(a_session_has_a_default_which_an_operation_may_lift),
        TEST(a_close_comes_before_the_deadline),
        TEST(a_time_out_below_zero_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
