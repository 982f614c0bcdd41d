/* SPDX-License-Identifier: Apache-2.0 */
/* test_q2_ends.c - Q2, Q4, C7: a queue of the caller's ends after the finals of the operations in it, which do not wait
 * for it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include <weir/weir.h>

#include "tests/support/session_fixture.h"

static void start_on(weir_queue queue, const weir_kind *kind, void *ctx, weir_op *out)
{
    assert_ok(weir_op_start(session, kind, ctx, WEIR_NEW(weir_op_options, .queue = queue), out));
}

/* ---- the queue's end ---- */

/* A final that takes long, and a queue's end that notes whether it has returned. */
struct ending {
    struct gate entered, leave, ended;
    _Atomic bool returned, early;
};

static void result_holds(const weir_result *r, void *ctx)
{
    struct ending *ending = ctx;
    (void)r;
    gate_open(&ending->entered);
    gate_wait(&ending->leave);
    ending->returned = true;
}

static void note_end(weir_job *job, weir_status status)
{
    struct ending *ending = job->ctx;
    (void)status;
    ending->early = !ending->returned;
    gate_open(&ending->ended);
}

static weir_status work_returns(weir_task *task, void *ctx)
{
    (void)task;
    (void)ctx;
    return WEIR_OK;
}

static const weir_kind ends_slowly = KIND(.work = work_returns, .on_result = result_holds);

/* The queue's closed job goes to the same lane before these. */
static void run_what_waits_in_the_lane(void)
{
    for (int i = 0; i < 20; i++) {
        struct record record;
        record_init(&record);
        assert_ok(weir_job_submit(lane_of(app), &record.job));
        record_wait(&record);
    }
}

static void check_end(struct ending *ending)
{
    gate_wait(&ending->entered);
    run_what_waits_in_the_lane();                              /* on another worker */
    gate_open(&ending->leave);
    gate_wait(&ending->ended);
    assert_false(ending->early);
}

#define ENDING(name) \
    struct ending name = { .entered = GATE_INIT, .leave = GATE_INIT, .ended = GATE_INIT }; \
    weir_job name##_closed = { .fn = note_end, .ctx = &(name) }

static weir_queue open_queue(bool concurrent)
{
    return queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .limit = 4, .concurrent = concurrent));
}

static void it_comes_after_the_final_of_work_that_has_run(void **unused)
{
    (void)unused;
    for (int concurrent = 0; concurrent < 2; concurrent++) {
        ENDING(ending);
        weir_queue queue = open_queue(concurrent != 0);
        start_on(queue, &ends_slowly, &ending, NULL);
        assert_ok(weir_queue_close(queue, false, &ending_closed));
        check_end(&ending);
    }
}

static void it_comes_after_the_final_of_work_that_the_queues_abort_has_cancelled(void **unused)
{
    (void)unused;
    ENDING(ending);
    struct hold hold;
    weir_queue queue = open_queue(false);
    hold_begin(&hold, queue);
    start_on(queue, &ends_slowly, &ending, NULL);
    assert_ok(weir_queue_close(queue, true, &ending_closed));
    hold_end(&hold);
    check_end(&ending);
}

static void it_comes_after_the_final_of_work_that_was_cancelled_before_its_turn(void **unused)
{
    (void)unused;
    for (int all = 0; all < 2; all++) {
        ENDING(ending);
        struct hold hold;
        weir_op op;
        weir_queue queue = open_queue(false);
        hold_begin(&hold, queue);
        start_on(queue, &ends_slowly, &ending, &op);
        assert_ok(all != 0 ? weir_session_cancel(session, WEIR_REASON_USER) : weir_op_cancel(op, WEIR_REASON_USER));
        gate_wait(&ending.entered);
        assert_ok(weir_queue_close(queue, false, &ending_closed));
        hold_end(&hold);                                       /* the job finds that there is nothing to call */
        check_end(&ending);
        assert_ok(weir_op_close(op));
    }
}

static void a_handle_that_is_open_keeps_no_place(void **unused)
{
    (void)unused;
    struct probe probe;
    struct record closed;
    weir_op op;
    weir_queue queue = open_queue(false);
    probe_init(&probe);
    record_init(&closed);
    start_on(queue, &ends, &probe, &op);
    probe_wait(&probe);
    assert_ok(weir_queue_close(queue, false, &closed.job));
    record_wait(&closed);
    assert_ok(weir_op_close(op));
}

/* ---- the finals ---- */

static weir_status work_waits_for_a_final(weir_task *task, void *ctx)
{
    struct probe *other = ctx;
    (void)task;
    probe_wait(other);
    return WEIR_OK;
}

static void count_final(const weir_result *r, void *ctx)
{
    (void)r;
    (void)ctx;
    tally_add(&seen.finals, 1);
}

static const weir_kind waits_for_other = KIND(.work = work_waits_for_a_final, .on_result = count_final);

static void a_final_does_not_wait_for_the_next_job_of_its_queue(void **unused)
{
    (void)unused;
    struct probe probe;
    struct hold hold;
    weir_queue queue = serial_open(app);
    probe_init(&probe);
    hold_begin(&hold, queue);
    start_on(queue, &ends, &probe, NULL);
    start_on(queue, &waits_for_other, &probe, NULL);           /* holds the only worker */
    hold_end(&hold);
    tally_wait(&seen.finals, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_TWO_WORKERS(it_comes_after_the_final_of_work_that_has_run),
        TEST_TWO_WORKERS(it_comes_after_the_final_of_work_that_the_queues_abort_has_cancelled),
        TEST_TWO_WORKERS(it_comes_after_the_final_of_work_that_was_cancelled_before_its_turn),
        TEST(a_handle_that_is_open_keeps_no_place),
        TEST_ONE_WORKER(a_final_does_not_wait_for_the_next_job_of_its_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
