/* SPDX-License-Identifier: Apache-2.0 */
/* test_q1.c - Q1: a one-shot item's function is called exactly once, with OK, CANCELED or SHUTDOWN;
 * a periodic one's any number of times with OK and then once with one of the others; the library
 * does not touch an item after it has entered the last call; missed ticks coalesce */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

/* ---- one shot ---- */

static void a_job_is_called_once_with_ok(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct record record;
    record_init(&record);
    assert_ok(weir_job_submit(lane_of(app), &record.job));
    record_wait(&record);
    app_close(app);
    assert_int_equal(tally_count(&record.calls), 1);
    assert_int_equal(record.status, WEIR_OK);
}

static void a_cancelled_job_is_called_once_with_canceled(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct hold hold;
    weir_queue queue = serial_open(app);
    hold_begin(&hold, queue);
    struct record record;
    record_init(&record);
    assert_ok(weir_job_submit(queue, &record.job));
    assert_ok(weir_job_cancel(&record.job));
    hold_end(&hold);
    record_wait(&record);
    app_close(app);
    assert_int_equal(tally_count(&record.calls), 1);
    assert_int_equal(record.status, WEIR_CANCELED);
}

static void a_job_that_waits_at_the_applications_close_is_called_once_with_shutdown(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(1);
    struct hold hold;
    weir_queue queue = serial_open(app);
    hold_begin(&hold, queue);
    struct record waiting;
    record_init(&waiting);
    assert_ok(weir_job_submit(queue, &waiting.job));
    assert_status(weir_app_close(app, 0, NULL), WEIR_TIMED_OUT);
    hold_end(&hold);
    app_close(app);
    assert_int_equal(tally_count(&waiting.calls), 1);
    assert_int_equal(waiting.status, WEIR_SHUTDOWN);
}

static void a_job_of_an_aborted_queue_is_called_once_with_shutdown(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct hold hold;
    weir_queue queue = serial_open(app);
    hold_begin(&hold, queue);
    struct record waiting;
    record_init(&waiting);
    assert_ok(weir_job_submit(queue, &waiting.job));
    assert_ok(weir_queue_close(queue, true, NULL));
    hold_end(&hold);
    record_wait(&waiting);
    app_close(app);
    assert_int_equal(tally_count(&waiting.calls), 1);
    assert_int_equal(waiting.status, WEIR_SHUTDOWN);
}

static void a_job_of_an_aborted_concurrent_queue_is_called_once_with_shutdown(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(1);
    weir_queue queue = queue_open_with(lane_of(app),
                                       WEIR_NEW(weir_queue_options, .concurrent = true));
    struct hold hold;
    hold_begin(&hold, queue);
    struct record waiting;
    record_init(&waiting);
    assert_ok(weir_job_submit(queue, &waiting.job));
    assert_ok(weir_queue_close(queue, true, NULL));
    hold_end(&hold);
    record_wait(&waiting);
    app_close(app);
    assert_int_equal(tally_count(&waiting.calls), 1);
    assert_int_equal(waiting.status, WEIR_SHUTDOWN);
}

/* ---- the last call is the library's last touch ---- */

static struct tally freed = TALLY_INIT;

static void free_own_item(weir_job *job, weir_status status)
{
    (void)status;
    memset(job, 0xa5, sizeof *job);
    free(job);
    tally_add(&freed, 1);
}

static weir_job *freeable_job(void)
{
    weir_job *job = calloc(1, sizeof *job);
    assert_non_null(job);
    job->fn = free_own_item;
    return job;
}

static void a_job_may_be_freed_inside_its_function(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queues[] = {lane_of(app), serial_open(app), weir_app_queue(app, WEIR_BLOCKING),
                           queue_open_with(lane_of(app),
                                           WEIR_NEW(weir_queue_options, .reply = true))};
    for (size_t i = 0; i < 4 * 100; i++)
        assert_ok(weir_job_submit(queues[i % 4], freeable_job()));
    tally_wait(&freed, 400);
    app_close(app);
}

static void a_timer_may_be_freed_inside_its_function(void **unused)
{
    (void)unused;
    struct stepped_clock clock;
    uint64_t before = tally_count(&freed);
    weir_app app = app_open_stepped(&clock, test_workers());
    for (int i = 0; i < 100; i++) {
        weir_timer *timer = calloc(1, sizeof *timer);
        assert_non_null(timer);
        timer->job.fn = free_own_item;
        assert_ok(weir_timer_start(lane_of(app), timer, 100 + i, i % 2 == 0 ? 0 : 10));
        if (i % 2 != 0)                          /* a periodic one: its last call is CANCELED */
            assert_ok(weir_job_cancel(&timer->job));
    }
    clock_step(&clock, app, 1000);
    tally_wait(&freed, before + 100);
    app_close(app);
}

struct again {
    weir_job job;
    weir_queue queue;
    unsigned left;
    weir_status submitted;                       /* the worst answer */
    struct gate done;
};

static void submit_again(weir_job *job, weir_status status)
{
    struct again *again = job->ctx;
    (void)status;
    if (again->left == 0) {
        gate_open(&again->done);
        return;
    }
    again->left--;
    weir_status answer = weir_job_submit(again->queue, job);
    if (answer != WEIR_OK) {
        again->submitted = answer;
        gate_open(&again->done);
    }
}

static void a_job_may_be_submitted_again_inside_its_function(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queues[] = {lane_of(app), serial_open(app), weir_app_queue(app, WEIR_BLOCKING)};
    for (size_t i = 0; i < 3; i++) {
        struct again again = {.queue = queues[i], .left = 1000, .done = GATE_INIT};
        again.job = (weir_job){.fn = submit_again, .ctx = &again};
        assert_ok(weir_job_submit(queues[i], &again.job));
        gate_wait(&again.done);
        assert_int_equal(again.submitted, WEIR_OK);
        assert_int_equal(again.left, 0);
    }
    app_close(app);
}

/* ---- timers ---- */

static void timer_init(weir_timer *timer, struct record *record)
{
    record_init(record);
    *timer = (weir_timer){.job = {.fn = record_run, .ctx = record}};
}

static void a_timer_is_called_once(void **unused)
{
    (void)unused;
    struct stepped_clock clock;
    weir_app app = app_open_stepped(&clock, test_workers());
    weir_timer timer;
    struct record record;
    timer_init(&timer, &record);
    assert_ok(weir_timer_start(lane_of(app), &timer, 100, 0));
    clock_step(&clock, app, 100);
    record_wait(&record);
    clock_step(&clock, app, 1000000);
    app_close(app);
    assert_int_equal(tally_count(&record.calls), 1);
    assert_int_equal(record.status, WEIR_OK);
}

static void a_timer_that_waits_at_the_close_is_called_once_with_shutdown(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_timer timer;
    struct record record;
    timer_init(&timer, &record);
    assert_ok(weir_timer_start(lane_of(app), &timer, WEIR_FOREVER, 0));
    app_close(app);
    assert_int_equal(tally_count(&record.calls), 1);
    assert_int_equal(record.status, WEIR_SHUTDOWN);
}

static void check_periodic(weir_app app, struct stepped_clock *clock, weir_queue queue)
{
    weir_timer timer;
    struct record record;
    timer_init(&timer, &record);
    assert_ok(weir_timer_start(queue, &timer, 10, 10));
    for (uint64_t tick = 1; tick <= 5; tick++) {
        /* The call may still be under way to its end: then the next step is not its own tick. */
        while (tally_count(&record.calls) < tick)
            clock_step(clock, app, 10);
        assert_int_equal(record.status, WEIR_OK);
    }
    assert_ok(weir_job_cancel_wait(&timer.job, WEIR_FOREVER));
    assert_int_equal(record.status, WEIR_CANCELED);
    uint64_t calls = tally_count(&record.calls);
    clock_step(clock, app, 1000);
    assert_int_equal(tally_count(&record.calls), calls);
}

static void a_periodic_timer_is_called_with_ok_until_its_cancel_and_once_more(void **unused)
{
    (void)unused;
    struct stepped_clock clock;
    weir_app app = app_open_stepped(&clock, test_workers());
    check_periodic(app, &clock, lane_of(app));
    app_close(app);
}

static void a_periodic_timer_counts_as_one_job_of_its_serial_queue(void **unused)
{
    (void)unused;
    struct stepped_clock clock;
    weir_app app = app_open_stepped(&clock, test_workers());
    weir_queue queue = serial_open(app);
    check_periodic(app, &clock, queue);
    struct record closed;
    record_init(&closed);
    assert_ok(weir_queue_close(queue, false, &closed.job));
    record_wait(&closed);
    app_close(app);
}

static void a_periodic_timer_counts_as_one_job_of_its_concurrent_queue(void **unused)
{
    (void)unused;
    struct stepped_clock clock;
    weir_app app = app_open_stepped(&clock, test_workers());
    weir_queue queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .limit = 1,
                                                              .concurrent = true));
    check_periodic(app, &clock, queue);
    struct record closed;
    record_init(&closed);
    assert_ok(weir_queue_close(queue, false, &closed.job));
    record_wait(&closed);
    app_close(app);
}

static void a_periodic_timer_counts_as_one_job_of_a_limited_lane(void **unused)
{
    (void)unused;
    struct stepped_clock clock = {1000};
    weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = test_workers(),
                                          .lane_limit = 1, .now = stepped_now, .ctx = &clock));
    check_periodic(app, &clock, lane_of(app));
    struct record record;
    record_init(&record);
    assert_ok(weir_job_submit_wait(lane_of(app), &record.job, WEIR_FOREVER));
    record_wait(&record);
    app_close(app);
}

static void a_periodic_timer_ends_with_shutdown_at_the_close(void **unused)
{
    (void)unused;
    struct stepped_clock clock;
    weir_app app = app_open_stepped(&clock, test_workers());
    weir_timer timer;
    struct record record;
    timer_init(&timer, &record);
    assert_ok(weir_timer_start(serial_open(app), &timer, 10, 10));
    clock_step(&clock, app, 10);
    record_wait(&record);
    app_close(app);
    assert_int_equal(tally_count(&record.calls), 2);
    assert_int_equal(record.status, WEIR_SHUTDOWN);
}

static void ticks_that_were_missed_are_one(void **unused)
{
    (void)unused;
    struct stepped_clock clock;
    weir_app app = app_open_stepped(&clock, 1);
    struct hold hold;
    hold_begin(&hold, lane_of(app));
    weir_timer timer;
    struct record record, after, later;
    timer_init(&timer, &record);
    record_init(&after);
    record_init(&later);
    assert_ok(weir_timer_start(lane_of(app), &timer, 10, 10));
    clock_step(&clock, app, 1005);               /* a hundred ticks while the worker is held */
    hold_end(&hold);
    record_wait(&record);
    assert_ok(weir_job_submit(lane_of(app), &after.job));
    record_wait(&after);                         /* the only worker has been through all that waited */
    assert_ok(weir_app_tick(app));               /* and none of the missed ones is due now */
    assert_ok(weir_job_submit(lane_of(app), &later.job));
    record_wait(&later);
    assert_int_equal(tally_count(&record.calls), 1);
    clock_step(&clock, app, 5);                  /* the next multiple of the period */
    tally_wait(&record.calls, 2);
    assert_ok(weir_job_cancel_wait(&timer.job, WEIR_FOREVER));
    assert_int_equal(tally_count(&record.calls), 3);
    app_close(app);
}

/* ---- descriptor waits ---- */

static void a_descriptor_wait_at_the_close_is_called_once_with_shutdown(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct record record;
    record_init(&record);
    weir_fdwait wait = {.timer = {.job = {.fn = record_run, .ctx = &record}},
                        .fd = ends[0], .events = WEIR_READABLE};
    assert_ok(weir_fdwait_start(lane_of(app), &wait, WEIR_FOREVER));
    app_close(app);
    assert_int_equal(tally_count(&record.calls), 1);
    assert_int_equal(record.status, WEIR_SHUTDOWN);
    close(ends[0]);
    close(ends[1]);
}

/* ---- deferred ---- */

struct deferring {
    weir_job job;
    weir_token token;
    weir_status deferred;
    weir_status status[2];
    struct tally calls;
};

static void defer_once(weir_job *job, weir_status status)
{
    struct deferring *d = job->ctx;
    uint64_t call = tally_count(&d->calls);
    d->status[call < 2 ? call : 1] = status;
    if (call == 0)
        d->deferred = weir_job_defer(job, &d->token);
    tally_add(&d->calls, 1);
}

static void deferring_init(struct deferring *d)
{
    *d = (struct deferring){.calls = TALLY_INIT};
    d->job = (weir_job){.fn = defer_once, .ctx = d};
}

static void a_deferred_job_that_is_replied_is_called_once(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .reply = true));
    struct deferring d;
    struct record closed;
    deferring_init(&d);
    record_init(&closed);
    assert_ok(weir_job_submit(queue, &d.job));
    tally_wait(&d.calls, 1);
    assert_ok(d.deferred);
    assert_ok(weir_queue_close(queue, false, &closed.job));
    assert_ok(weir_job_reply(d.token));
    record_wait(&closed);
    assert_int_equal(tally_count(&d.calls), 1);
    app_close(app);
}

static void a_deferred_job_that_is_cancelled_is_called_once_more_with_canceled(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .reply = true));
    struct deferring d;
    deferring_init(&d);
    assert_ok(weir_job_submit(queue, &d.job));
    tally_wait(&d.calls, 1);
    assert_ok(weir_job_cancel_wait(&d.job, WEIR_FOREVER));
    assert_int_equal(tally_count(&d.calls), 2);
    assert_int_equal(d.status[1], WEIR_CANCELED);
    assert_status(weir_job_reply(d.token), WEIR_STALE);
    app_close(app);
}

static void a_deferred_job_at_the_close_is_called_once_more_with_shutdown(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .reply = true));
    struct deferring d;
    deferring_init(&d);
    assert_ok(weir_job_submit(queue, &d.job));
    tally_wait(&d.calls, 1);
    app_close(app);
    assert_int_equal(tally_count(&d.calls), 2);
    assert_int_equal(d.status[1], WEIR_SHUTDOWN);
    assert_status(weir_job_reply(d.token), WEIR_STALE);
}

static void every_job_of_a_list_is_called_once(void **unused)
{
    (void)unused;
    enum { COUNT = 2000 };                       /* more than a worker's rings and a chunk hold */
    weir_app app = app_open();
    struct record *records = calloc(COUNT, sizeof *records);
    weir_job **jobs = calloc(COUNT, sizeof(weir_job *));
    assert_non_null(records);
    assert_non_null(jobs);
    for (size_t i = 0; i < COUNT; i++) {
        record_init(&records[i]);
        jobs[i] = &records[i].job;
    }
    size_t accepted = 0;
    assert_ok(weir_job_submit_list(lane_of(app), jobs, COUNT, &accepted));
    assert_int_equal(accepted, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        record_wait(&records[i]);
    app_close(app);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(tally_count(&records[i].calls), 1);
    free(jobs);
    free(records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_called_once_with_ok),
        cmocka_unit_test(a_cancelled_job_is_called_once_with_canceled),
        cmocka_unit_test(a_job_that_waits_at_the_applications_close_is_called_once_with_shutdown),
        cmocka_unit_test(a_job_of_an_aborted_queue_is_called_once_with_shutdown),
        cmocka_unit_test(a_job_of_an_aborted_concurrent_queue_is_called_once_with_shutdown),
        cmocka_unit_test(a_job_may_be_freed_inside_its_function),
        cmocka_unit_test(a_timer_may_be_freed_inside_its_function),
        cmocka_unit_test(a_job_may_be_submitted_again_inside_its_function),
        cmocka_unit_test(a_timer_is_called_once),
        cmocka_unit_test(a_timer_that_waits_at_the_close_is_called_once_with_shutdown),
        cmocka_unit_test(a_periodic_timer_is_called_with_ok_until_its_cancel_and_once_more),
        cmocka_unit_test(a_periodic_timer_counts_as_one_job_of_its_serial_queue),
        cmocka_unit_test(a_periodic_timer_counts_as_one_job_of_its_concurrent_queue),
        cmocka_unit_test(a_periodic_timer_counts_as_one_job_of_a_limited_lane),
        cmocka_unit_test(a_periodic_timer_ends_with_shutdown_at_the_close),
        cmocka_unit_test(ticks_that_were_missed_are_one),
        cmocka_unit_test(a_descriptor_wait_at_the_close_is_called_once_with_shutdown),
        cmocka_unit_test(a_deferred_job_that_is_replied_is_called_once),
        cmocka_unit_test(a_deferred_job_that_is_cancelled_is_called_once_more_with_canceled),
        cmocka_unit_test(a_deferred_job_at_the_close_is_called_once_more_with_shutdown),
        cmocka_unit_test(every_job_of_a_list_is_called_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
