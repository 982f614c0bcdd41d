/* SPDX-License-Identifier: Apache-2.0 */
/* test_c7.c - C7: rescue does not depend on a free worker: the only one is stuck in every test here */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <unistd.h>
#include <cmocka.h>

#include <weir/weir.h>

#include "tests/support/app_fixture.h"
#include "tests/support/support.h"

static weir_app app;
static weir_session stuck;
static int pipe_ends[2];
static struct gate reading, closed_gate;
static struct tally finals = TALLY_INIT;
static _Atomic int last_status, last_reason, work_calls;
static _Atomic int64_t read_answer;

static int open_app(void **unused)
{
    (void)unused;
    reading = closed_gate = (struct gate)GATE_INIT;
    finals = (struct tally)TALLY_INIT;
    last_status = last_reason = work_calls = 0;
    read_answer = -2;
    if (pipe(pipe_ends) != 0)
        return -1;
    if (weir_app_open(WEIR_NEW(weir_app_options, .workers = 1), &app) != WEIR_OK)
        return -1;
    return weir_session_open(app, NULL, &stuck) == WEIR_OK ? 0 : -1;
}

static int close_app(void **unused)
{
    (void)unused;
    weir_status status = weir_app_close(app, WEIR_FOREVER, NULL);
    close(pipe_ends[0]);
    return status == WEIR_OK ? 0 : -1;
}

static bool hook_closes_the_pipe(weir_reason reason, void *ctx)
{
    (void)reason;
    (void)ctx;
    close(pipe_ends[1]);
    return true;
}

static weir_status work_reads(weir_task *task, void *ctx)
{
    char byte;
    (void)ctx;
    weir_status status = weir_task_on_cancel(task, hook_closes_the_pipe, NULL);
    if (status != WEIR_OK)
        return status;
    gate_open(&reading);
    read_answer = read(pipe_ends[0], &byte, 1);
    return WEIR_CANCELED;
}

static void on_result(const weir_result *r, void *ctx)
{
    (void)ctx;
    if (r->more)
        return;
    last_status = r->status;
    last_reason = r->reason;
    tally_add(&finals, 1);
}

static const weir_kind reads = { .size = sizeof(weir_kind), .work = work_reads, .on_result = on_result };

static void on_closed(const weir_report *report, void *ctx)
{
    (void)report;
    (void)ctx;
    gate_open(&closed_gate);
}

static weir_op start_reading(void)
{
    weir_op op;
    assert_int_equal(weir_op_start(stuck, &reads, NULL, NULL, &op), WEIR_OK);
    gate_wait(&reading);
    return op;
}

static void a_cancel_ends_a_read_on_the_only_worker(void **unused)
{
    (void)unused;
    weir_op op = start_reading();
    assert_int_equal(weir_op_cancel(op, 65), WEIR_OK);
    tally_wait(&finals, 1);
    assert_int_equal(read_answer, 0);
    assert_int_equal(last_status, WEIR_CANCELED);
    assert_int_equal(last_reason, 65);
    assert_int_equal(weir_op_close(op), WEIR_OK);
}

static void a_cancel_of_all_ends_a_read_on_the_only_worker(void **unused)
{
    (void)unused;
    weir_op op = start_reading();
    assert_int_equal(weir_session_cancel(stuck, 66), WEIR_OK);
    tally_wait(&finals, 1);
    assert_int_equal(read_answer, 0);
    assert_int_equal(last_reason, 66);
    assert_int_equal(weir_op_close(op), WEIR_OK);
}

static void a_session_close_ends_a_read_on_the_only_worker(void **unused)
{
    (void)unused;
    weir_op op = start_reading();
    assert_int_equal(weir_op_close(op), WEIR_OK);
    assert_int_equal(weir_session_close(stuck, on_closed, NULL), WEIR_OK);
    gate_wait(&closed_gate);
    assert_int_equal(read_answer, 0);
    assert_int_equal(last_reason, WEIR_REASON_SESSION_CLOSED);
}

static void closing_the_application_ends_a_read_on_the_only_worker(void **unused)
{
    (void)unused;
    weir_op op = start_reading();
    assert_int_equal(weir_op_close(op), WEIR_OK);
    assert_int_equal(weir_app_close(app, WEIR_FOREVER, NULL), WEIR_OK);
    assert_int_equal(read_answer, 0);
    assert_int_equal(last_reason, WEIR_REASON_APPLICATION_CLOSED);
    close(pipe_ends[0]);
    assert_int_equal(open_app(NULL), 0);                       /* for the tear-down */
    close(pipe_ends[1]);
}

static void a_deadline_ends_a_read_on_the_only_worker(void **unused)
{
    (void)unused;
    static struct stepped_clock clock;
    weir_session session;
    weir_app stepped = app_open_stepped(&clock, 1);
    assert_int_equal(weir_session_open(stepped, NULL, &session), WEIR_OK);
    assert_int_equal(weir_op_start(session, &reads, NULL, WEIR_NEW(weir_op_options, .timeout_ns = 1000), NULL),
                     WEIR_OK);
    gate_wait(&reading);
    clock_step(&clock, stepped, 999);
    assert_int_equal(tally_count(&finals), 0);
    clock_step(&clock, stepped, 1);
    tally_wait(&finals, 1);
    assert_int_equal(read_answer, 0);
    assert_int_equal(last_status, WEIR_CANCELED);              /* the work's own answer */
    assert_int_equal(last_reason, WEIR_REASON_TIMEOUT);
    assert_int_equal(weir_app_close(stepped, WEIR_FOREVER, NULL), WEIR_OK);
}

/* ---- while the worker stays stuck ---- */

static weir_status work_counts(weir_task *task, void *ctx)
{
    (void)task;
    (void)ctx;
    work_calls++;
    return WEIR_OK;
}

static const weir_kind counts = { .size = sizeof(weir_kind), .work = work_counts, .on_result = on_result };

static void another_session_closes_while_the_worker_is_stuck(void **unused)
{
    (void)unused;
    enum { COUNT = 1000 };
    weir_op op = start_reading();
    weir_session other;
    assert_int_equal(weir_session_open(app, NULL, &other), WEIR_OK);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(weir_op_start(other, &counts, NULL, NULL, NULL), WEIR_OK);
    assert_int_equal(weir_session_close(other, on_closed, NULL), WEIR_OK);
    gate_wait(&closed_gate);
    assert_int_equal(tally_count(&finals), COUNT);
    assert_int_equal(work_calls, 0);
    assert_int_equal(read_answer, -2);
    assert_int_equal(weir_op_close(op), WEIR_OK);
}

static void a_cancelled_operation_gets_its_final_while_the_worker_is_stuck(void **unused)
{
    (void)unused;
    weir_op op = start_reading(), queued;
    weir_session other;
    assert_int_equal(weir_session_open(app, NULL, &other), WEIR_OK);
    assert_int_equal(weir_op_start(other, &counts, NULL, NULL, &queued), WEIR_OK);
    assert_int_equal(weir_op_start(other, &counts, NULL, NULL, NULL), WEIR_OK);
    assert_int_equal(weir_op_cancel(queued, WEIR_REASON_USER), WEIR_OK);
    tally_wait(&finals, 1);
    assert_int_equal(last_status, WEIR_CANCELED);
    assert_int_equal(weir_op_close(queued), WEIR_OK);
    assert_int_equal(work_calls, 0);                           /* the control thread runs no work */
    assert_int_equal(weir_op_cancel(op, WEIR_REASON_USER), WEIR_OK);
    assert_int_equal(weir_op_close(op), WEIR_OK);
    tally_wait(&finals, 3);
    assert_int_equal(work_calls, 1);                           /* and a worker still finds it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_cancel_ends_a_read_on_the_only_worker, open_app, close_app),
        cmocka_unit_test_setup_teardown(a_cancel_of_all_ends_a_read_on_the_only_worker, open_app, close_app),
        cmocka_unit_test_setup_teardown(a_session_close_ends_a_read_on_the_only_worker, open_app, close_app),
        cmocka_unit_test_setup_teardown(closing_the_application_ends_a_read_on_the_only_worker, open_app, close_app),
        cmocka_unit_test_setup_teardown(a_deadline_ends_a_read_on_the_only_worker, open_app, close_app),
        cmocka_unit_test_setup_teardown(another_session_closes_while_the_worker_is_stuck, open_app, close_app),
        cmocka_unit_test_setup_teardown(a_cancelled_operation_gets_its_final_while_the_worker_is_stuck, open_app,
                                        close_app),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
