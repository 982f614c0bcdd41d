/* SPDX-License-Identifier: Apache-2.0 */
/* test_waits.c - timers and descriptor waits through the public functions, in a whole application */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/workqueue.h>

#include "core/clock.h"
#include "tests/support/support.h"

struct fixture {
    weir_app app;
    weir_queue lane, serial;
    _Atomic int64_t now;
    int ends[2];
    bool closed;
};

static int64_t fixture_now(void *ctx)
{
    struct fixture *f = ctx;
    return atomic_load(&f->now);
}

static void fixture_open(struct fixture *f, bool stepped)
{
    *f = (struct fixture){ .closed = false };
    atomic_store(&f->now, 1000);
    weir_app_options options = { .size = sizeof options, .workers = test_workers(), .ctx = f };
    if (stepped)
        options.now = fixture_now;
    assert_int_equal(weir_app_open(&options, &f->app), WEIR_OK);
    f->lane = weir_app_queue(f->app, WEIR_NORMAL);
    assert_int_equal(weir_queue_open(f->lane, NULL, &f->serial), WEIR_OK);
    assert_int_equal(pipe2(f->ends, O_NONBLOCK | O_CLOEXEC), 0);
}

static void fixture_close_app(struct fixture *f)
{
    assert_int_equal(weir_app_close(f->app, WEIR_FOREVER, NULL), WEIR_OK);
    f->closed = true;
}

static void fixture_close(struct fixture *f)
{
    if (!f->closed)
        fixture_close_app(f);
    close(f->ends[0]);
    close(f->ends[1]);
}

static void step(struct fixture *f, int64_t to)
{
    atomic_store(&f->now, to);
    assert_int_equal(weir_app_tick(f->app), WEIR_OK);
}

/* An item that records its calls; the wait has the timer and the job in it. */
struct item {
    weir_fdwait wait;
    struct tally calls;
    weir_status statuses[16];
    uint32_t ready;
    int64_t called_at;
    int again;                                       /* so many times it starts itself again */
    struct fixture *fixture;
    _Atomic weir_status restart;
};

static void record_call(weir_job *job, weir_status status)
{
    struct item *item = job->ctx;
    uint64_t call = tally_count(&item->calls);
    if (call < 16)
        item->statuses[call] = status;
    item->ready = item->wait.ready;
    item->called_at = clock_monotonic();
    if (item->again > 0) {
        item->again--;
        item->restart = weir_timer_start(item->fixture->lane, &item->wait.timer, 0, 0);
    }
    tally_add(&item->calls, 1);
}

static void make_item(struct item *item, struct fixture *f)
{
    memset(item, 0, sizeof *item);
    item->calls = (struct tally)TALLY_INIT;
    item->fixture = f;
    item->wait.timer.job.fn = record_call;
    item->wait.timer.job.ctx = item;
    item->wait.fd = f->ends[0];
    item->wait.events = WEIR_READABLE;
}

/* ---- timers -------------------------------------------------------------------------------------- */

static void a_timer_runs_once_its_time_has_come(void **unused)
{
    (void)unused;
    struct fixture f;
    struct item item;
    fixture_open(&f, true);
    make_item(&item, &f);
    assert_int_equal(weir_timer_start(f.lane, &item.wait.timer, 500, 0), WEIR_OK);
    step(&f, 1499);
    assert_int_equal(weir_timer_start(f.lane, &item.wait.timer, 500, 0), WEIR_BUSY);
    step(&f, 1500);
    tally_wait(&item.calls, 1);
    assert_int_equal(item.statuses[0], WEIR_OK);
    fixture_close(&f);
    assert_int_equal(tally_count(&item.calls), 1);
}

static void a_real_timer_is_never_early(void **unused)
{
    (void)unused;
    struct fixture f;
    fixture_open(&f, false);
    for (int64_t delay = 1; delay <= 3000000; delay = delay * 7 + 1000) {
        struct item item;
        make_item(&item, &f);
        int64_t before = clock_monotonic();
        assert_int_equal(weir_timer_start(f.lane, &item.wait.timer, delay, 0), WEIR_OK);
        tally_wait(&item.calls, 1);
        assert_true(item.called_at >= before + delay);
    }
    fixture_close(&f);
}

static void a_delay_of_nothing_or_less_runs_without_a_tick(void **unused)
{
    (void)unused;
    struct fixture f;
    struct item now, before;
    fixture_open(&f, true);
    make_item(&now, &f);
    make_item(&before, &f);
    assert_int_equal(weir_timer_start(f.lane, &now.wait.timer, 0, 0), WEIR_OK);
    assert_int_equal(weir_timer_start(f.serial, &before.wait.timer, INT64_MIN, 0), WEIR_OK);
    tally_wait(&now.calls, 1);
    tally_wait(&before.calls, 1);
    fixture_close(&f);
}

static void what_is_no_timer_is_refused_and_untouched(void **unused)
{
    (void)unused;
    struct fixture f;
    struct item item;
    fixture_open(&f, true);
    make_item(&item, &f);
    assert_int_equal(weir_timer_start(f.lane, NULL, 1, 0), WEIR_INVALID);
    assert_int_equal(weir_timer_start(f.lane, &item.wait.timer, 1, -1), WEIR_INVALID);
    assert_int_equal(weir_timer_start((weir_queue){ 0 }, &item.wait.timer, 1, 0), WEIR_INVALID);
    weir_timer empty = { .reserved = { 0 } };
    assert_int_equal(weir_timer_start(f.lane, &empty, 1, 0), WEIR_INVALID);
    assert_int_equal(weir_queue_close(f.serial, false, NULL), WEIR_OK);
    weir_status closed = weir_timer_start(f.serial, &item.wait.timer, 1, 0);
    assert_true(closed == WEIR_CLOSED || closed == WEIR_STALE);
    fixture_close_app(&f);
    weir_status gone = weir_timer_start(f.lane, &item.wait.timer, 1, 0);
    assert_true(gone == WEIR_STALE || gone == WEIR_SHUTDOWN);
    assert_int_equal(weir_job_cancel(&item.wait.timer.job), WEIR_NOT_FOUND);
    assert_int_equal(tally_count(&item.calls), 0);
    fixture_close(&f);
}

static void timers_that_are_due_together_run_on_a_serial_queue_in_the_order_of_their_deadlines(void **unused)
{
    (void)unused;
    enum { COUNT = 50 };
    struct fixture f;
    static struct item items[COUNT];
    fixture_open(&f, true);
    for (int i = 0; i < COUNT; i++) {
        make_item(&items[i], &f);
        int64_t delay = (int64_t)(i * 37 % COUNT + 1) * 100000;
        assert_int_equal(weir_timer_start(f.serial, &items[i].wait.timer, delay, 0), WEIR_OK);
    }
    step(&f, 1000000000);
    for (int i = 0; i < COUNT; i++)
        tally_wait(&items[i].calls, 1);
    fixture_close(&f);
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < COUNT; j++)
            if (i * 37 % COUNT < j * 37 % COUNT)
                assert_true(items[i].called_at <= items[j].called_at);
}

static void a_timer_may_start_itself_again_inside_its_function(void **unused)
{
    (void)unused;
    struct fixture f;
    struct item item;
    fixture_open(&f, true);
    make_item(&item, &f);
    item.again = 9;
    assert_int_equal(weir_timer_start(f.lane, &item.wait.timer, 1, 0), WEIR_OK);
    step(&f, 2000);
    tally_wait(&item.calls, 10);
    assert_int_equal(item.restart, WEIR_OK);
    fixture_close(&f);
    assert_int_equal(tally_count(&item.calls), 10);
}

static void a_cancelled_timer_is_called_with_canceled_and_a_second_cancel_says_so(void **unused)
{
    (void)unused;
    struct fixture f;
    struct item item;
    fixture_open(&f, true);
    make_item(&item, &f);
    assert_int_equal(weir_timer_start(f.lane, &item.wait.timer, WEIR_FOREVER, 0), WEIR_OK);
    assert_int_equal(weir_job_cancel(&item.wait.timer.job), WEIR_OK);
    tally_wait(&item.calls, 1);
    assert_int_equal(item.statuses[0], WEIR_CANCELED);
    assert_int_equal(weir_job_cancel(&item.wait.timer.job), WEIR_TOO_LATE);
    fixture_close(&f);
}

static void a_periodic_timer_of_the_real_clock_ticks_until_its_cancel(void **unused)
{
    (void)unused;
    struct fixture f;
    struct item item;
    fixture_open(&f, false);
    make_item(&item, &f);
    assert_int_equal(weir_timer_start(f.lane, &item.wait.timer, 0, 200000), WEIR_OK);
    tally_wait(&item.calls, 5);
    assert_int_equal(weir_job_cancel(&item.wait.timer.job), WEIR_OK);
    fixture_close(&f);
    uint64_t calls = tally_count(&item.calls);
    assert_true(calls >= 6);
    for (uint64_t i = 0; i < 5; i++)
        assert_int_equal(item.statuses[i], WEIR_OK);
    if (calls <= 16)
        assert_int_equal(item.statuses[calls - 1], WEIR_CANCELED);
}

static void thousands_of_timers_end_once_each_by_time_cancel_or_close(void **unused)
{
    (void)unused;
    enum { COUNT = 3000 };
    struct fixture f;
    uint64_t random = test_seed(), canceled = 0, ended = 0;
    struct item *items = calloc(COUNT, sizeof *items);
    assert_non_null(items);
    fixture_open(&f, true);
    for (int i = 0; i < COUNT; i++) {
        make_item(&items[i], &f);
        int64_t delay = (int64_t)(test_random(&random) % 1000000000);
        assert_int_equal(weir_timer_start(i % 2 == 0 ? f.lane : f.serial, &items[i].wait.timer, delay, 0), WEIR_OK);
    }
    for (int i = 0; i < COUNT; i += 3) {
        if (i % 99 == 0)
            step(&f, 1000 + (int64_t)i * 200000);
        canceled += weir_job_cancel(&items[i].wait.timer.job) == WEIR_OK;
    }
    fixture_close_app(&f);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(tally_count(&items[i].calls), 1);
        ended += items[i].statuses[0] == WEIR_CANCELED;
    }
    assert_int_equal(ended, canceled);
    fixture_close(&f);
    free(items);
}

static void a_tick_of_what_is_no_application_is_answered(void **unused)
{
    (void)unused;
    struct fixture f;
    fixture_open(&f, true);
    assert_int_equal(weir_app_tick((weir_app){ 0 }), WEIR_INVALID);
    assert_int_equal(weir_app_tick((weir_app){ f.lane.bits }), WEIR_INVALID);
    fixture_close_app(&f);
    assert_int_equal(weir_app_tick(f.app), WEIR_STALE);
    fixture_close(&f);
}

/* ---- descriptors ---------------------------------------------------------------------------------- */

static void a_wait_runs_when_its_descriptor_is_ready(void **unused)
{
    (void)unused;
    struct fixture f;
    struct item item;
    fixture_open(&f, false);
    make_item(&item, &f);
    assert_int_equal(weir_fdwait_start(f.serial, &item.wait, WEIR_FOREVER), WEIR_OK);
    assert_int_equal(write(f.ends[1], "x", 1), 1);
    tally_wait(&item.calls, 1);
    assert_int_equal(item.statuses[0], WEIR_OK);
    assert_int_equal(item.ready, WEIR_READABLE);
    fixture_close(&f);
    assert_int_equal(tally_count(&item.calls), 1);
}

static void a_time_out_of_a_wait_runs_it_with_nothing_ready(void **unused)
{
    (void)unused;
    struct fixture f;
    struct item item;
    fixture_open(&f, false);
    make_item(&item, &f);
    int64_t before = clock_monotonic();
    assert_int_equal(weir_fdwait_start(f.lane, &item.wait, 500000), WEIR_OK);
    tally_wait(&item.calls, 1);
    assert_int_equal(item.statuses[0], WEIR_OK);
    assert_int_equal(item.ready, 0);
    assert_true(item.called_at >= before + 500000);
    fixture_close(&f);
}

static void a_time_out_of_nothing_tells_what_is_ready_now(void **unused)
{
    (void)unused;
    struct fixture f;
    struct item empty, full;
    fixture_open(&f, false);
    make_item(&empty, &f);
    make_item(&full, &f);
    assert_int_equal(weir_fdwait_start(f.lane, &empty.wait, 0), WEIR_OK);
    tally_wait(&empty.calls, 1);
    assert_int_equal(empty.ready, 0);
    assert_int_equal(write(f.ends[1], "x", 1), 1);
    assert_int_equal(weir_fdwait_start(f.lane, &full.wait, 0), WEIR_OK);
    tally_wait(&full.calls, 1);
    assert_int_equal(full.ready, WEIR_READABLE);
    fixture_close(&f);
}

static void a_cancelled_wait_frees_its_descriptor(void **unused)
{
    (void)unused;
    struct fixture f;
    struct item first, second;
    fixture_open(&f, false);
    make_item(&first, &f);
    make_item(&second, &f);
    assert_int_equal(weir_fdwait_start(f.lane, &first.wait, WEIR_FOREVER), WEIR_OK);
    assert_int_equal(weir_fdwait_start(f.lane, &second.wait, WEIR_FOREVER), WEIR_BUSY);
    assert_int_equal(weir_job_cancel(&first.wait.timer.job), WEIR_OK);
    tally_wait(&first.calls, 1);
    assert_int_equal(first.statuses[0], WEIR_CANCELED);
    assert_int_equal(weir_fdwait_start(f.lane, &second.wait, WEIR_FOREVER), WEIR_OK);
    fixture_close_app(&f);
    assert_int_equal(tally_count(&second.calls), 1);
    assert_int_equal(second.statuses[0], WEIR_SHUTDOWN);
    fixture_close(&f);
}

static void what_is_no_wait_is_refused_and_leaves_its_queue(void **unused)
{
    (void)unused;
    struct fixture f;
    struct item item;
    fixture_open(&f, false);
    make_item(&item, &f);
    assert_int_equal(weir_fdwait_start(f.serial, NULL, 0), WEIR_INVALID);
    item.wait.events = 0;
    assert_int_equal(weir_fdwait_start(f.serial, &item.wait, 0), WEIR_INVALID);
    item.wait.events = WEIR_READABLE | WEIR_HANGUP;
    assert_int_equal(weir_fdwait_start(f.serial, &item.wait, 0), WEIR_INVALID);
    item.wait.events = WEIR_READABLE;
    item.wait.fd = -1;
    assert_int_equal(weir_fdwait_start(f.serial, &item.wait, 0), WEIR_INVALID);
    struct item closed;
    make_item(&closed, &f);                          /* runs at once only if nothing is counted in the queue */
    assert_int_equal(weir_queue_close(f.serial, false, &closed.wait.timer.job), WEIR_OK);
    tally_wait(&closed.calls, 1);
    fixture_close(&f);
    assert_int_equal(tally_count(&item.calls), 0);
}

static void hundreds_of_waits_end_once_each(void **unused)
{
    (void)unused;
    enum { COUNT = 100, ROUNDS = 5 };
    struct fixture f;
    static struct item items[COUNT];
    static int pipes[COUNT][2];
    fixture_open(&f, false);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(pipe2(pipes[i], O_NONBLOCK | O_CLOEXEC), 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < COUNT; i++) {
            make_item(&items[i], &f);
            items[i].wait.fd = pipes[i][0];
            int64_t timeout = i % 3 == 0 ? 100000 : WEIR_FOREVER;
            assert_int_equal(weir_fdwait_start(f.lane, &items[i].wait, timeout), WEIR_OK);
            if (i % 3 == 1)
                assert_int_equal(write(pipes[i][1], "x", 1), 1);
            else if (i % 3 == 2)
                (void)weir_job_cancel(&items[i].wait.timer.job);
        }
        for (int i = 0; i < COUNT; i++) {
            char byte;
            tally_wait(&items[i].calls, 1);
            assert_int_equal(items[i].statuses[0], i % 3 == 2 ? WEIR_CANCELED : WEIR_OK);
            assert_int_equal(items[i].ready, i % 3 == 1 ? WEIR_READABLE : 0);
            assert_int_equal(read(pipes[i][0], &byte, 1), i % 3 == 1 ? 1 : -1);
        }
    }
    fixture_close(&f);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(tally_count(&items[i].calls), 1);
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_runs_once_its_time_has_come),
        cmocka_unit_test(a_real_timer_is_never_early),
        cmocka_unit_test(a_delay_of_nothing_or_less_runs_without_a_tick),
        cmocka_unit_test(what_is_no_timer_is_refused_and_untouched),
        cmocka_unit_test(timers_that_are_due_together_run_on_a_serial_queue_in_the_order_of_their_deadlines),
        cmocka_unit_test(a_timer_may_start_itself_again_inside_its_function),
        cmocka_unit_test(a_cancelled_timer_is_called_with_canceled_and_a_second_cancel_says_so),
        cmocka_unit_test(a_periodic_timer_of_the_real_clock_ticks_until_its_cancel),
        cmocka_unit_test(thousands_of_timers_end_once_each_by_time_cancel_or_close),
        cmocka_unit_test(a_tick_of_what_is_no_application_is_answered),
        cmocka_unit_test(a_wait_runs_when_its_descriptor_is_ready),
        cmocka_unit_test(a_time_out_of_a_wait_runs_it_with_nothing_ready),
        cmocka_unit_test(a_time_out_of_nothing_tells_what_is_ready_now),
        cmocka_unit_test(a_cancelled_wait_frees_its_descriptor),
        cmocka_unit_test(what_is_no_wait_is_refused_and_leaves_its_queue),
        cmocka_unit_test(hundreds_of_waits_end_once_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
