/* SPDX-License-Identifier: Apache-2.0 */
/* test_q5.c - Q5: cancel of an item: OK (won), ALREADY, TOO_LATE, NOT_FOUND; the waiting form returns
 * only after a running call has returned, and answers WOULD_DEADLOCK inside it */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

static void a_cancel_of_what_was_never_submitted_finds_nothing(void **unused)
{
    (void)unused;
    struct record record;
    record_init(&record);
    assert_status(weir_job_cancel(&record.job), WEIR_NOT_FOUND);
    assert_status(weir_job_cancel_wait(&record.job, WEIR_FOREVER), WEIR_NOT_FOUND);
    assert_status(weir_job_cancel(NULL), WEIR_INVALID);
    assert_status(weir_job_cancel_wait(NULL, 0), WEIR_INVALID);
}

static void a_cancel_wins_while_the_job_waits_and_only_one_does(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = serial_open(app);
    struct hold hold;
    struct record record;
    record_init(&record);
    hold_begin(&hold, queue);
    assert_ok(weir_job_submit(queue, &record.job));
    assert_ok(weir_job_cancel(&record.job));
    assert_status(weir_job_cancel(&record.job), WEIR_ALREADY);
    hold_end(&hold);
    record_wait(&record);
    assert_int_equal(record.status, WEIR_CANCELED);
    assert_status(weir_job_cancel(&record.job), WEIR_TOO_LATE);
    app_close(app);
}

static void a_cancel_is_too_late_once_the_function_was_entered(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct hold hold;
    hold_begin(&hold, lane_of(app));
    assert_status(weir_job_cancel(&hold.job), WEIR_TOO_LATE);
    hold_end(&hold);
    assert_int_equal(hold.status, WEIR_OK);
    app_close(app);
    assert_status(weir_job_cancel(&hold.job), WEIR_TOO_LATE);
}

/* ---- timers and waits ---- */

static void a_cancelled_timer_is_called_at_once_with_canceled(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct record record;
    record_init(&record);
    weir_timer timer = {.job = {.fn = record_run, .ctx = &record}};
    assert_ok(weir_timer_start(lane_of(app), &timer, WEIR_FOREVER, 0));
    assert_ok(weir_job_cancel(&timer.job));
    record_wait(&record);
    assert_int_equal(record.status, WEIR_CANCELED);
    app_close(app);
}

static void a_cancelled_descriptor_wait_is_called_at_once_with_canceled(void **unused)
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
    assert_ok(weir_job_cancel_wait(&wait.timer.job, WEIR_FOREVER));
    assert_int_equal(tally_count(&record.calls), 1);
    assert_int_equal(record.status, WEIR_CANCELED);
    app_close(app);
    close(ends[0]);
    close(ends[1]);
}

/* ---- the waiting form ---- */

struct waiter {
    weir_job *job;
    int64_t timeout;
    struct gate begun, returned;
    weir_status status;
};

static void *cancel_and_wait(void *arg)
{
    struct waiter *w = arg;
    gate_open(&w->begun);
    w->status = weir_job_cancel_wait(w->job, w->timeout);
    gate_open(&w->returned);
    return NULL;
}

static void the_waiting_form_returns_after_the_running_call(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue places[] = {lane_of(app), weir_app_queue(app, WEIR_BLOCKING), serial_open(app)};
    for (int i = 0; i < 3; i++) {
        struct hold hold;
        hold_begin(&hold, places[i]);
        assert_status(weir_job_cancel_wait(&hold.job, 0), WEIR_TIMED_OUT);
        struct waiter w = {&hold.job, WEIR_FOREVER, GATE_INIT, GATE_INIT, -1};
        pthread_t thread = thread_start(cancel_and_wait, &w);
        gate_wait(&w.begun);
        assert_false(gate_is_open(&w.returned));
        gate_open(&hold.leave);
        thread_join(thread);
        assert_true(gate_is_open(&hold.left));   /* the function's last act came before */
        assert_int_equal(w.status, WEIR_TOO_LATE);
    }
    app_close(app);
}

static void the_waiting_form_returns_after_the_call_with_canceled(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = serial_open(app);
    struct hold hold;
    struct record record;
    record_init(&record);
    hold_begin(&hold, queue);
    assert_ok(weir_job_submit(queue, &record.job));
    assert_ok(weir_job_cancel(&record.job));
    struct waiter w = {&record.job, WEIR_FOREVER, GATE_INIT, GATE_INIT, -1};
    pthread_t thread = thread_start(cancel_and_wait, &w);
    gate_wait(&w.begun);
    assert_int_equal(tally_count(&record.calls), 0);
    hold_end(&hold);
    thread_join(thread);
    assert_true(w.status == WEIR_ALREADY || w.status == WEIR_TOO_LATE); /* before the call, or after */
    assert_int_equal(tally_count(&record.calls), 1);
    assert_int_equal(record.status, WEIR_CANCELED);
    app_close(app);
}

static void the_waiting_form_after_the_call_returns_at_once(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct hold hold;
    hold_begin(&hold, lane_of(app));
    hold_end(&hold);
    assert_status(weir_job_cancel_wait(&hold.job, WEIR_FOREVER), WEIR_TOO_LATE);
    assert_status(weir_job_cancel_wait(&hold.job, 0), WEIR_TOO_LATE);
    app_close(app);
    assert_status(weir_job_cancel_wait(&hold.job, WEIR_FOREVER), WEIR_TOO_LATE);
}

struct own {
    weir_job job;
    weir_status status[2];
    struct tally calls;
};

static void cancel_itself(weir_job *job, weir_status status)
{
    struct own *own = job->ctx;
    (void)status;
    own->status[0] = weir_job_cancel(job);
    own->status[1] = weir_job_cancel_wait(job, WEIR_FOREVER);
    tally_add(&own->calls, 1);
}

static void inside_its_own_function_the_waiting_form_would_deadlock(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct own own = {.calls = TALLY_INIT};
    own.job = (weir_job){.fn = cancel_itself, .ctx = &own};
    assert_ok(weir_job_submit(lane_of(app), &own.job));
    tally_wait(&own.calls, 1);
    assert_int_equal(own.status[0], WEIR_TOO_LATE);
    assert_int_equal(own.status[1], WEIR_WOULD_DEADLOCK);
    app_close(app);
}

static void a_periodic_timer_that_cancels_itself_is_called_once_more(void **unused)
{
    (void)unused;
    struct stepped_clock clock;
    weir_app app = app_open_stepped(&clock, test_workers());
    struct own own = {.calls = TALLY_INIT};
    weir_timer timer = {.job = {.fn = cancel_itself, .ctx = &own}};
    assert_ok(weir_timer_start(lane_of(app), &timer, 10, 10));
    clock_step(&clock, app, 10);
    tally_wait(&own.calls, 2);
    assert_int_equal(own.status[0], WEIR_TOO_LATE);
    assert_int_equal(own.status[1], WEIR_WOULD_DEADLOCK);
    app_close(app);
    assert_int_equal(tally_count(&own.calls), 2);
}

static void the_application_closing_ends_the_wait_for_a_call(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct hold hold;
    hold_begin(&hold, lane_of(app));
    struct waiter w = {&hold.job, WEIR_FOREVER, GATE_INIT, GATE_INIT, -1};
    pthread_t thread = thread_start(cancel_and_wait, &w);
    gate_wait(&w.begun);
    assert_status(weir_app_close(app, 0, NULL), WEIR_TIMED_OUT);
    thread_join(thread);
    assert_int_equal(w.status, WEIR_SHUTDOWN);   /* the call may still run: not said to be over */
    assert_status(weir_job_cancel_wait(&hold.job, WEIR_FOREVER), WEIR_SHUTDOWN);
    hold_end(&hold);
    app_close(app);
    assert_status(weir_job_cancel_wait(&hold.job, WEIR_FOREVER), WEIR_TOO_LATE);
}

/* ---- deferred ---- */

struct deferring {
    weir_job job;
    weir_token token;
    struct tally calls;
    weir_status last;
};

static void defer_first(weir_job *job, weir_status status)
{
    struct deferring *d = job->ctx;
    d->last = status;
    if (status == WEIR_OK)
        status = weir_job_defer(job, &d->token);
    tally_add(&d->calls, 1);
}

static void deferring_begin(struct deferring *d, weir_queue queue)
{
    *d = (struct deferring){.calls = TALLY_INIT};
    d->job = (weir_job){.fn = defer_first, .ctx = d};
    assert_ok(weir_job_submit(queue, &d->job));
    tally_wait(&d->calls, 1);
}

static void a_cancel_of_a_deferred_job_wins_until_it_is_replied(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(1);
    weir_queue queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .reply = true));
    struct deferring d;
    struct hold hold;
    deferring_begin(&d, queue);
    hold_begin(&hold, lane_of(app));             /* the queue cannot go on: the states stay */
    assert_ok(weir_job_cancel(&d.job));
    assert_status(weir_job_cancel(&d.job), WEIR_ALREADY);
    assert_status(weir_job_reply(d.token), WEIR_STALE);
    hold_end(&hold);
    tally_wait(&d.calls, 2);
    assert_int_equal(d.last, WEIR_CANCELED);
    assert_status(weir_job_cancel_wait(&d.job, WEIR_FOREVER), WEIR_TOO_LATE);
    app_close(app);
}

static void a_cancel_after_the_reply_is_too_late(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(1);
    weir_queue queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .reply = true));
    struct deferring d;
    struct hold hold;
    deferring_begin(&d, queue);
    hold_begin(&hold, lane_of(app));
    assert_ok(weir_job_reply(d.token));
    assert_status(weir_job_cancel(&d.job), WEIR_TOO_LATE);
    assert_status(weir_job_cancel_wait(&d.job, WEIR_FOREVER), WEIR_TOO_LATE);
    hold_end(&hold);
    app_close(app);
    assert_int_equal(tally_count(&d.calls), 1);
}

/* ---- a cancel beside the item's next life ---- */

struct again {
    weir_timer timer;
    weir_queue queue;
    _Atomic bool stop;
    uint64_t canceled;
    uint64_t ran;
    struct gate over;
};

static void start_again(weir_job *job, weir_status status)
{
    struct again *again = job->ctx;
    again->canceled += status == WEIR_CANCELED;
    again->ran += status == WEIR_OK;
    if (atomic_load(&again->stop) || weir_timer_start(again->queue, &again->timer, 1, 0) != WEIR_OK)
        gate_open(&again->over);
}

static void cancels_beside_an_item_that_starts_itself_again_are_each_answered_once(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct again again = {.queue = lane_of(app), .over = GATE_INIT};
    again.timer.job = (weir_job){.fn = start_again, .ctx = &again};
    assert_ok(weir_timer_start(again.queue, &again.timer, 1, 0));
    uint64_t won = 0;
    for (int i = 0; i < 20000; i++)
        won += weir_job_cancel(&again.timer.job) == WEIR_OK;
    atomic_store(&again.stop, true);
    gate_wait(&again.over);
    app_close(app);
    assert_int_equal(again.canceled, won);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancel_of_what_was_never_submitted_finds_nothing),
        cmocka_unit_test(a_cancel_wins_while_the_job_waits_and_only_one_does),
        cmocka_unit_test(a_cancel_is_too_late_once_the_function_was_entered),
        cmocka_unit_test(a_cancelled_timer_is_called_at_once_with_canceled),
        cmocka_unit_test(a_cancelled_descriptor_wait_is_called_at_once_with_canceled),
        cmocka_unit_test(the_waiting_form_returns_after_the_running_call),
        cmocka_unit_test(the_waiting_form_returns_after_the_call_with_canceled),
        cmocka_unit_test(the_waiting_form_after_the_call_returns_at_once),
        cmocka_unit_test(inside_its_own_function_the_waiting_form_would_deadlock),
        cmocka_unit_test(a_periodic_timer_that_cancels_itself_is_called_once_more),
        cmocka_unit_test(the_application_closing_ends_the_wait_for_a_call),
        cmocka_unit_test(a_cancel_of_a_deferred_job_wins_until_it_is_replied),
        cmocka_unit_test(a_cancel_after_the_reply_is_too_late),
        cmocka_unit_test(cancels_beside_an_item_that_starts_itself_again_are_each_answered_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
