/* SPDX-License-Identifier: Apache-2.0 */
/* test_q4.c - Q4: queues are bounded, with a policy: refuse, block with a deadline (on a worker: FULL
 * at once), or run by the caller. What the library itself queues is outside of the limits */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

static weir_queue bounded(weir_app app, uint32_t limit, bool concurrent, uint8_t full)
{
    return queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .limit = limit,
                                                  .concurrent = concurrent, .full = full));
}

/* ---- refuse ---- */

static void check_refusal(weir_app app, weir_queue queue)
{
    struct hold hold;
    struct record inside, outside;
    record_init(&inside);
    record_init(&outside);
    hold_begin(&hold, queue);
    assert_ok(weir_job_submit(queue, &inside.job));
    assert_status(weir_job_submit(queue, &outside.job), WEIR_FULL);
    hold_end(&hold);
    record_wait(&inside);
    assert_ok(weir_job_submit_wait(queue, &outside.job, WEIR_FOREVER));
    record_wait(&outside);
    app_close(app);
    assert_int_equal(tally_count(&inside.calls), 1);
    assert_int_equal(tally_count(&outside.calls), 1);
}

static void a_full_serial_queue_refuses(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    check_refusal(app, bounded(app, 2, false, WEIR_FULL_REFUSE));
}

static void a_full_concurrent_queue_refuses(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(1);
    check_refusal(app, bounded(app, 2, true, WEIR_FULL_REFUSE));
}

static void a_lane_refuses_what_would_wait_beyond_its_limit(void **unused)
{
    (void)unused;
    weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = 1, .lane_limit = 2));
    struct hold hold;
    struct record records[3];
    hold_begin(&hold, lane_of(app));             /* runs, so it does not count */
    for (int i = 0; i < 3; i++)
        record_init(&records[i]);
    assert_ok(weir_job_submit(lane_of(app), &records[0].job));
    assert_ok(weir_job_submit(lane_of(app), &records[1].job));
    assert_status(weir_job_submit(lane_of(app), &records[2].job), WEIR_FULL);
    assert_ok(weir_job_submit(weir_app_queue(app, WEIR_LOW), &records[2].job));
    hold_end(&hold);
    for (int i = 0; i < 3; i++)
        record_wait(&records[i]);
    app_close(app);
}

static void a_list_is_accepted_up_to_the_limit(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = bounded(app, 4, false, WEIR_FULL_REFUSE);
    struct hold hold;
    struct record records[5];
    weir_job *jobs[5];
    size_t accepted = 77;
    hold_begin(&hold, queue);
    for (int i = 0; i < 5; i++) {
        record_init(&records[i]);
        jobs[i] = &records[i].job;
    }
    assert_status(weir_job_submit_list(queue, jobs, 5, &accepted), WEIR_FULL);
    assert_int_equal(accepted, 3);
    hold_end(&hold);
    for (int i = 0; i < 3; i++)
        record_wait(&records[i]);
    app_close(app);
    assert_int_equal(tally_count(&records[3].calls), 0);
}

static void a_list_to_a_limited_lane_is_accepted_up_to_the_limit(void **unused)
{
    (void)unused;
    weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = 1, .lane_limit = 3));
    struct hold hold;
    struct record records[5];
    weir_job *jobs[5];
    size_t accepted = 77;
    hold_begin(&hold, lane_of(app));
    for (int i = 0; i < 5; i++) {
        record_init(&records[i]);
        jobs[i] = &records[i].job;
    }
    assert_status(weir_job_submit_list(lane_of(app), jobs, 5, &accepted), WEIR_FULL);
    assert_int_equal(accepted, 3);
    hold_end(&hold);
    app_close(app);
    assert_int_equal(tally_count(&records[2].calls), 1);
    assert_int_equal(tally_count(&records[3].calls), 0);
}

/* ---- wait ---- */

struct submitter {
    weir_queue queue;
    weir_job *job;
    struct gate begun;
    weir_status status;
};

static void *submit_and_wait(void *arg)
{
    struct submitter *s = arg;
    gate_open(&s->begun);
    s->status = weir_job_submit_wait(s->queue, s->job, WEIR_FOREVER);
    return NULL;
}

static void who_waits_for_room_gets_it_when_a_job_is_over(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queues[] = {bounded(app, 1, false, WEIR_FULL_REFUSE),
                           bounded(app, 1, true, WEIR_FULL_REFUSE)};
    for (int i = 0; i < 2; i++) {
        struct hold hold;
        struct record record;
        record_init(&record);
        hold_begin(&hold, queues[i]);
        struct submitter s = {queues[i], &record.job, GATE_INIT, -1};
        pthread_t thread = thread_start(submit_and_wait, &s);
        gate_wait(&s.begun);
        hold_end(&hold);
        thread_join(thread);
        assert_ok(s.status);
        record_wait(&record);
    }
    app_close(app);
}

/* The room of a job that is over is there although the pump is still at work with the next. */
static void a_running_job_may_wait_for_one_more_in_its_own_bounded_queue(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = bounded(app, 2, false, WEIR_FULL_REFUSE);
    struct hold first, second;
    struct record third;
    record_init(&third);
    hold_begin(&first, queue);
    hold_init(&second);
    assert_ok(weir_job_submit(queue, &second.job));
    hold_end(&first);
    gate_wait(&second.entered);
    assert_ok(weir_job_submit_wait(queue, &third.job, WEIR_FOREVER));
    hold_end(&second);
    record_wait(&third);
    app_close(app);
}

static void waiting_for_room_ends_with_its_deadline_and_takes_nothing(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = bounded(app, 1, false, WEIR_FULL_REFUSE);
    struct hold hold;
    struct record record;
    record_init(&record);
    hold_begin(&hold, queue);
    assert_status(weir_job_submit_wait(queue, &record.job, 0), WEIR_TIMED_OUT);
    assert_status(weir_job_submit_wait(queue, &record.job, 1000000), WEIR_TIMED_OUT);
    assert_status(weir_job_cancel(&record.job), WEIR_NOT_FOUND);
    hold_end(&hold);
    app_close(app);
    assert_int_equal(tally_count(&record.calls), 0);
}

static void who_waits_for_room_is_told_of_the_queues_close(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = bounded(app, 1, false, WEIR_FULL_REFUSE);
    struct hold hold;
    struct record record;
    record_init(&record);
    hold_begin(&hold, queue);
    struct submitter s = {queue, &record.job, GATE_INIT, -1};
    pthread_t thread = thread_start(submit_and_wait, &s);
    gate_wait(&s.begun);
    assert_ok(weir_queue_close(queue, false, NULL));
    thread_join(thread);
    assert_int_equal(s.status, WEIR_CLOSED);
    hold_end(&hold);
    app_close(app);
}

static void who_waits_for_room_is_told_of_the_applications_close(void **unused)
{
    (void)unused;
    for (int lane = 0; lane < 2; lane++) {
        weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = 1, .lane_limit = 1));
        weir_queue queue = lane ? lane_of(app) : bounded(app, 1, false, WEIR_FULL_REFUSE);
        struct hold hold;
        struct record filler, record;
        record_init(&filler);
        record_init(&record);
        hold_begin(&hold, queue);
        if (lane)
            assert_ok(weir_job_submit(queue, &filler.job));
        struct submitter s = {queue, &record.job, GATE_INIT, -1};
        pthread_t thread = thread_start(submit_and_wait, &s);
        gate_wait(&s.begun);
        assert_status(weir_app_close(app, 0, NULL), WEIR_TIMED_OUT);
        thread_join(thread);
        assert_int_equal(s.status, WEIR_SHUTDOWN);
        hold_end(&hold);
        app_close(app);
        assert_int_equal(tally_count(&record.calls), 0);
    }
}

struct try_on_worker {
    weir_job job;
    weir_queue queue;
    struct record other;
    weir_status status;
    struct gate done;
};

static void try_to_wait(weir_job *job, weir_status status)
{
    struct try_on_worker *t = job->ctx;
    (void)status;
    t->status = weir_job_submit_wait(t->queue, &t->other.job, WEIR_FOREVER);
    gate_open(&t->done);
}

static void a_worker_does_not_wait_for_room_but_is_told_at_once(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(test_workers() + 1);
    weir_queue queue = bounded(app, 1, false, WEIR_FULL_REFUSE);
    struct hold hold;
    hold_begin(&hold, queue);
    struct try_on_worker t = {.queue = queue, .done = GATE_INIT};
    t.job = (weir_job){.fn = try_to_wait, .ctx = &t};
    record_init(&t.other);
    weir_queue places[] = {lane_of(app), weir_app_queue(app, WEIR_BLOCKING)};
    for (int i = 0; i < 2; i++) {
        t.done = (struct gate)GATE_INIT;
        assert_ok(weir_job_submit(places[i], &t.job));
        gate_wait(&t.done);
        assert_int_equal(t.status, WEIR_FULL);
    }
    hold_end(&hold);
    app_close(app);
    assert_int_equal(tally_count(&t.other.calls), 0);
}

/* ---- run by the caller ---- */

static void a_full_queue_may_let_the_caller_run_the_job(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(1);
    weir_queue queue = bounded(app, 1, true, WEIR_FULL_CALLER_RUNS);
    struct hold hold;
    struct record record;
    record_init(&record);
    hold_begin(&hold, queue);
    assert_ok(weir_job_submit(queue, &record.job));
    assert_int_equal(tally_count(&record.calls), 1);
    assert_true(pthread_equal(record.thread, pthread_self()));
    assert_int_equal(record.status, WEIR_OK);
    hold_end(&hold);
    app_close(app);
}

struct nest {
    weir_job job;
    weir_queue queue;
    struct nest *inner;
    weir_status status;
    unsigned calls;
};

static void nest_run(weir_job *job, weir_status status)
{
    struct nest *nest = job->ctx;
    (void)status;
    nest->calls++;
    if (nest->inner != NULL)
        nest->status = weir_job_submit(nest->queue, &nest->inner->job);
}

static void callers_do_not_nest_for_ever(void **unused)
{
    (void)unused;
    enum { DEEP = 16 };
    weir_app app = app_open_workers(1);
    weir_queue queue = bounded(app, 1, true, WEIR_FULL_CALLER_RUNS);
    struct nest nests[DEEP];
    struct hold hold;
    hold_begin(&hold, queue);
    for (int i = 0; i < DEEP; i++) {
        nests[i] = (struct nest){.queue = queue, .inner = i + 1 < DEEP ? &nests[i + 1] : NULL};
        nests[i].job = (weir_job){.fn = nest_run, .ctx = &nests[i]};
    }
    assert_ok(weir_job_submit(queue, &nests[0].job));
    int ran = 0;
    while (ran < DEEP && nests[ran].calls == 1)
        ran++;
    assert_in_range(ran, 1, DEEP - 1);
    assert_int_equal(nests[ran - 1].status, WEIR_FULL);
    assert_int_equal(nests[ran].calls, 0);
    hold_end(&hold);
    app_close(app);
}

static struct gate defer_tried;
static weir_status defer_answer;

static void try_to_defer(weir_job *job, weir_status status)
{
    weir_token token;
    (void)status;
    defer_answer = weir_job_defer(job, &token);
    gate_open(&defer_tried);
}

/* Its earlier life was in a reply queue: nothing of that is left. */
static void a_job_that_the_caller_runs_cannot_defer(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(1), before = app_open_workers(1);
    weir_job job = {.fn = record_run};
    struct record record;
    struct hold hold;
    record_init(&record);
    job.ctx = &record;
    weir_queue replies = queue_open_with(lane_of(before), WEIR_NEW(weir_queue_options, .reply = true));
    assert_ok(weir_job_submit(replies, &job));
    record_wait(&record);
    weir_queue queue = bounded(app, 1, true, WEIR_FULL_CALLER_RUNS);
    hold_begin(&hold, queue);
    job.fn = try_to_defer;
    defer_tried = (struct gate)GATE_INIT;
    assert_ok(weir_job_submit(queue, &job));
    assert_true(gate_is_open(&defer_tried));
    assert_int_equal(defer_answer, WEIR_INVALID);
    hold_end(&hold);
    app_close(app);
    app_close(before);
}

/* ---- outside of the limits ---- */

static void the_closed_job_needs_no_room(void **unused)
{
    (void)unused;
    weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = 1, .lane_limit = 1));
    weir_queue queue = bounded(app, 1, false, WEIR_FULL_REFUSE);
    struct hold hold;
    struct record filler, closed;
    record_init(&filler);
    record_init(&closed);
    hold_begin(&hold, queue);
    assert_ok(weir_job_submit(lane_of(app), &filler.job)); /* the lane is full, and so is the queue */
    assert_ok(weir_queue_close(queue, false, &closed.job));
    hold_end(&hold);
    record_wait(&closed);
    app_close(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_serial_queue_refuses),
        cmocka_unit_test(a_full_concurrent_queue_refuses),
        cmocka_unit_test(a_lane_refuses_what_would_wait_beyond_its_limit),
        cmocka_unit_test(a_list_is_accepted_up_to_the_limit),
        cmocka_unit_test(a_list_to_a_limited_lane_is_accepted_up_to_the_limit),
        cmocka_unit_test(who_waits_for_room_gets_it_when_a_job_is_over),
        cmocka_unit_test(a_running_job_may_wait_for_one_more_in_its_own_bounded_queue),
        cmocka_unit_test(waiting_for_room_ends_with_its_deadline_and_takes_nothing),
        cmocka_unit_test(who_waits_for_room_is_told_of_the_queues_close),
        cmocka_unit_test(who_waits_for_room_is_told_of_the_applications_close),
        cmocka_unit_test(a_worker_does_not_wait_for_room_but_is_told_at_once),
        cmocka_unit_test(a_full_queue_may_let_the_caller_run_the_job),
        cmocka_unit_test(callers_do_not_nest_for_ever),
        cmocka_unit_test(a_job_that_the_caller_runs_cannot_defer),
        cmocka_unit_test(the_closed_job_needs_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
