/* SPDX-License-Identifier: Apache-2.0 */
/* test_section9_misuse.c - section 9: a caller's bug is answered by an error, and counted; what anybody may meet is
 * not */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

static uint64_t misuses(void)
{
    weir_stats stats = { .size = sizeof(stats) };
    assert_ok(weir_app_stats(app, &stats));
    return stats.misuses;
}

/* The call answers so, and is counted once, or not at all. */
#define assert_counted(call, status, times)                                                                            \
    do {                                                                                                               \
        uint64_t before = misuses();                                                                                   \
        assert_status(call, status);                                                                                   \
        assert_int_equal(misuses() - before, times);                                                                   \
    } while (0)

static void wrong_arguments_are_counted(void **unused)
{
    (void)unused;
    const weir_kind no_work = { .size = sizeof(no_work) };
    weir_op op = { 0 };
    weir_session other;
    weir_queue queue;
    weir_job job = { .fn = NULL };
    size_t accepted;
    assert_counted(weir_op_start(session, &no_work, NULL, NULL, &op), WEIR_INVALID, 1);
    assert_counted(weir_session_open(app, NULL, NULL), WEIR_INVALID, 1);
    assert_counted(weir_session_open(app, &(weir_session_options){ .size = 1 }, &other), WEIR_INVALID, 1);
    assert_counted(weir_session_cancel(session, WEIR_REASON_TIMEOUT), WEIR_INVALID, 1);
    assert_counted(weir_session_inspect(session, NULL), WEIR_INVALID, 1);
    assert_counted(weir_session_stats(session, NULL), WEIR_INVALID, 1);
    assert_counted(weir_session_close_with(session, NULL), WEIR_INVALID, 1);
    assert_counted(weir_queue_open(lane_of(app), NULL, NULL), WEIR_INVALID, 1);
    assert_counted(weir_queue_open(lane_of(app), &(weir_queue_options){ .size = 1 }, &queue), WEIR_INVALID, 1);
    assert_counted(weir_queue_close(lane_of(app), false, NULL), WEIR_INVALID, 1);
    assert_counted(weir_job_submit(lane_of(app), &job), WEIR_INVALID, 1);
    assert_counted(weir_job_submit(lane_of(app), NULL), WEIR_INVALID, 1);
    assert_counted(weir_job_submit_list(lane_of(app), NULL, 1, &accepted), WEIR_INVALID, 1);
    assert_counted(weir_job_cancel(NULL), WEIR_INVALID, 1);
    assert_counted(weir_app_run(app, NULL, NULL, false), WEIR_INVALID, 1);
    assert_counted(weir_timer_start(lane_of(app), NULL, 0, 0), WEIR_INVALID, 1);
}

static weir_status work_defers_to_nobody(weir_task *task, void *ctx)
{
    weir_status *answer = ctx;
    *answer = weir_task_defer(task, NULL);
    return WEIR_OK;
}

static void a_deferral_without_a_place_for_its_token_is_counted(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_defers_to_nobody);
    const weir_result *r;
    weir_status answer = WEIR_OK;
    uint64_t before = misuses();
    weir_op op = start(&kind, &answer);
    assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
    assert_false(r->more);
    assert_ok(r->status);                                      /* it was not deferred */
    assert_status(answer, WEIR_INVALID);
    assert_int_equal(misuses() - before, 1);
    assert_ok(weir_op_close(op));
}

static void handles_that_never_were_are_counted(void **unused)
{
    (void)unused;
    weir_report report = { .size = sizeof(report) };
    weir_session as_session = { app.bits };
    assert_counted(weir_op_close((weir_op){ 0 }), WEIR_INVALID, 1);
    assert_counted(weir_session_inspect(as_session, &report), WEIR_INVALID, 1);
    assert_counted(weir_session_close((weir_session){ 0 }, NULL, NULL), WEIR_INVALID, 1);
}

static void a_handle_that_is_used_after_its_close_is_counted(void **unused)
{
    (void)unused;
    struct probe probe;
    const weir_result *result;
    probe_init(&probe);
    weir_op op = start(&ends, &probe);
    probe_wait(&probe);
    assert_ok(weir_op_close(op));
    assert_counted(weir_op_close(op), WEIR_STALE, 1);
    assert_counted(weir_op_next(op, 0, &result), WEIR_STALE, 1);
}

static void what_cannot_be_acknowledged_is_counted(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    assert_ok(weir_op_start(session, &ends_acked, &probe, NULL, NULL));
    probe_wait(&probe);
    assert_counted(weir_op_ack(probe.op, 2), WEIR_INVALID, 1);
    assert_counted(weir_op_ack(probe.op, 1), WEIR_OK, 0);
}

static struct {
    weir_status status;
    uint64_t times;
    struct gate done;
} inside;

static void wait_inside(weir_job *job, weir_status status)
{
    (void)job;
    (void)status;
    uint64_t before = misuses();
    inside.status = weir_session_wait(session, WEIR_FOREVER, NULL);
    inside.times = misuses() - before;
    gate_open(&inside.done);
}

static void a_wait_that_would_never_end_is_counted(void **unused)
{
    (void)unused;
    inside.done = (struct gate)GATE_INIT;
    weir_job job = { .fn = wait_inside };
    assert_ok(weir_job_submit(lane_of(app), &job));
    gate_wait(&inside.done);
    assert_int_equal(inside.status, WEIR_WOULD_DEADLOCK);
    assert_int_equal(inside.times, 1);
}

static void a_job_that_is_submitted_twice_is_counted(void **unused)
{
    (void)unused;
    struct hold hold;
    hold_begin(&hold, lane_of(app));
    struct record waiting;
    record_init(&waiting);
    weir_queue queue = serial_open(app);
    struct hold first;
    hold_begin(&first, queue);
    assert_ok(weir_job_submit(queue, &waiting.job));
    assert_counted(weir_job_submit(queue, &waiting.job), WEIR_BUSY, 1);
    hold_end(&first);
    record_wait(&waiting);
    assert_ok(weir_queue_close(queue, false, NULL));
    hold_end(&hold);
}

/* Nobody has made a mistake: somebody else was faster, or the world is as it is. */
static void what_anybody_may_meet_is_not_counted(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&holds, &probe);
    gate_wait(&probe.entered);
    assert_counted(weir_op_cancel(op, WEIR_REASON_USER), WEIR_OK, 0);
    assert_counted(weir_op_cancel(op, WEIR_REASON_USER), WEIR_ALREADY, 0);
    assert_counted(weir_session_wait(session, 0, NULL), WEIR_TIMED_OUT, 0);
    assert_ok(weir_op_close(op));
    assert_ok(weir_session_close(session, NULL, NULL));
    assert_counted(weir_session_close(session, NULL, NULL), WEIR_CLOSING, 0);
    assert_counted(weir_op_start(session, &ends, NULL, NULL, NULL), WEIR_CLOSED, 0);
    probe_release(&probe);
    wait_until_closed(session);
    assert_counted(weir_session_wait(session, 0, NULL), WEIR_STALE, 0);
    assert_counted(weir_op_cancel(op, WEIR_REASON_USER), WEIR_STALE, 0);
}

static void the_next_application_begins_with_none_of_its_own(void **unused)
{
    (void)unused;
    app = app_open_workers(1);
    uint64_t nobodys = misuses();
    for (int i = 0; i < 5; i++)
        assert_status(weir_session_open(app, NULL, NULL), WEIR_INVALID);
    assert_int_equal(misuses(), nobodys + 5);
    app_close(app);
    for (int i = 0; i < 63; i++) {                             /* every number comes round */
        app = app_open_workers(1);
        assert_int_equal(misuses(), nobodys);
        app_close(app);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wrong_arguments_are_counted),
        TEST(a_deferral_without_a_place_for_its_token_is_counted),
        TEST(handles_that_never_were_are_counted),
        TEST(a_handle_that_is_used_after_its_close_is_counted),
        TEST(what_cannot_be_acknowledged_is_counted),
        TEST(a_wait_that_would_never_end_is_counted),
        TEST_TWO_WORKERS(a_job_that_is_submitted_twice_is_counted),
        TEST(what_anybody_may_meet_is_not_counted),
        cmocka_unit_test(the_next_application_begins_with_none_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
