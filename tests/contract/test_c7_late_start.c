/* SPDX-License-Identifier: Apache-2.0 */
/* test_c7_late_start.c - C7 for a start that a close overtakes: it is accepted, publishes its operation when the sweep
 * has been there, and cancels it by itself; with every worker stuck its final is the control thread's to deliver */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/session_fixture.h"

static struct gate allocating, go_on;
static _Thread_local bool waits;                   /* this thread's next allocation waits at the gate */

static void *allocate(size_t size, size_t align, void *ctx)
{
    (void)ctx;
    if (waits) {
        waits = false;
        gate_open(&allocating);
        gate_wait(&go_on);
    }
    return aligned_alloc(align, (size + align - 1) / align * align);
}

static void release(void *memory, size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    free(memory);
}

static weir_status hold_on(weir_task *task, void *ctx)
{
    (void)task;
    gate_open(&((struct hold *)ctx)->entered);
    gate_wait(&((struct hold *)ctx)->leave);
    return WEIR_OK;
}

static weir_status end_at_once(weir_task *task, void *ctx)
{
    (void)task;
    (void)ctx;
    return WEIR_OK;
}

static void look_away(const weir_result *r, void *ctx)
{
    (void)r;
    (void)ctx;
}

static const weir_kind holding = { .size = sizeof(weir_kind), .work = hold_on, .on_result = look_away };
static const weir_kind fetched = { .size = sizeof(weir_kind), .work = end_at_once };    /* its window is allocated */

static struct {
    weir_op op;
    weir_status status;
} late;

static void *start_late(void *arg)
{
    (void)arg;
    waits = true;
    late.status = weir_op_start(session, &fetched, NULL, NULL, &late.op);
    return NULL;
}

static uint32_t phase_of(weir_session s)
{
    weir_report report = { .size = sizeof(report) };
    assert_ok(weir_session_inspect(s, &report));
    return report.phase;
}

static void a_start_that_a_close_overtakes_gets_its_final_although_no_worker_is_free(void **unused)
{
    (void)unused;
    struct hold hold;
    const weir_result *result = NULL;
    app = app_open_with(WEIR_NEW(weir_app_options, .workers = 1, .alloc = allocate, .release = release));
    session = session_open_with(app, WEIR_NEW(weir_session_options, .reserve = 64));
    weir_session stuck = session_open_with(app, NULL);
    allocating = go_on = (struct gate)GATE_INIT;
    hold_init(&hold);
    assert_ok(weir_op_start(stuck, &holding, &hold, NULL, NULL));
    gate_wait(&hold.entered);
    pthread_t starter = thread_start(start_late, NULL);
    gate_wait(&allocating);                        /* inside the session, not published */
    assert_ok(weir_session_close(session, NULL, NULL));
    while (phase_of(session) != WEIR_PHASE_WAITING)            /* swept, by the control thread */
        sched_yield();
    gate_open(&go_on);
    thread_join(starter);
    assert_ok(late.status);
    assert_ok(weir_op_next(late.op, INT64_C(20000000000), &result));
    assert_false(result->more);
    assert_int_equal(result->status, WEIR_CANCELED);
    assert_int_equal(result->reason, WEIR_REASON_SESSION_CLOSED);
    assert_ok(weir_op_close(late.op));
    weir_status ended = weir_session_wait(session, INT64_C(20000000000), NULL);
    assert_true(ended == WEIR_OK || ended == WEIR_STALE);
    gate_open(&hold.leave);
    app_close(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_that_a_close_overtakes_gets_its_final_although_no_worker_is_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
