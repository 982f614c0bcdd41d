/* SPDX-License-Identifier: Apache-2.0 */
/* test_a1.c - A1: closing an application ends every queue, timer, wait and job with SHUTDOWN and joins
 * every thread; on a worker it answers WOULD_DEADLOCK; with a deadline TIMED_OUT, and it may be called
 * again; it is never OK while a thread of the application exists */

#include <dirent.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

/* How many threads of this process are called NAME..., as the kernel sees it. */
static unsigned threads_named(const char *name)
{
    unsigned count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        char path[300], comm[32] = "";
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        if (fgets(comm, sizeof comm, file) != NULL)
            count += strncmp(comm, name, strlen(name)) == 0;
        (void)fclose(file);
    }
    (void)closedir(tasks);
    return count;
}

/* A thread names itself a moment after it is created, and is listed a moment after it was joined. */
static void wait_for_threads_named(const char *name, unsigned expected)
{
    for (unsigned looks = 0; threads_named(name) != expected; looks++) {
        assert_true(looks < 100000);
        (void)sched_yield();
    }
}

static void after_the_close_no_thread_of_the_application_exists(void **unused)
{
    (void)unused;
    weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = test_workers(),
                                          .thread_name = "gone"));
    struct record record;
    record_init(&record);
    assert_ok(weir_job_submit(weir_app_queue(app, WEIR_BLOCKING), &record.job));
    record_wait(&record);
    wait_for_threads_named("gone:", test_workers() + 2);
    app_close(app);
    wait_for_threads_named("gone:", 0);
}

static void a_close_with_a_deadline_times_out_and_goes_on_when_called_again(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct hold hold;
    hold_begin(&hold, lane_of(app));
    assert_status(weir_app_close(app, 0, NULL), WEIR_TIMED_OUT);
    assert_status(weir_app_close(app, 1000000, NULL), WEIR_TIMED_OUT);
    struct record record;
    record_init(&record);
    assert_status(weir_job_submit(lane_of(app), &record.job), WEIR_SHUTDOWN);
    hold_end(&hold);
    app_close(app);
    assert_status(weir_app_close(app, 0, NULL), WEIR_STALE);
    assert_int_equal(tally_count(&record.calls), 0);
}

static void a_blocking_job_that_runs_is_waited_for(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct hold hold;
    hold_begin(&hold, weir_app_queue(app, WEIR_BLOCKING));
    assert_status(weir_app_close(app, 0, NULL), WEIR_TIMED_OUT);
    hold_end(&hold);
    app_close(app);
}

struct lender {
    weir_app app;
    struct gate inside, leave;
    weir_status answer;
};

static void stay(weir_job *job, weir_status status)
{
    struct lender *l = job->ctx;
    (void)status;
    gate_open(&l->inside);
    gate_wait(&l->leave);
}

static void *lend(void *arg)
{
    struct lender *l = arg;
    l->answer = weir_app_run(l->app, stay, l, true);
    return NULL;
}

static void a_lent_thread_is_waited_for_until_the_deadline(void **unused)
{
    (void)unused;
    struct lender l = {app_open(), GATE_INIT, GATE_INIT, -1};
    pthread_t thread = thread_start(lend, &l);
    gate_wait(&l.inside);
    assert_status(weir_app_close(l.app, 0, NULL), WEIR_TIMED_OUT);
    assert_status(weir_app_close(l.app, 1000000, NULL), WEIR_TIMED_OUT);
    gate_open(&l.leave);
    app_close(l.app);
    thread_join(thread);
    assert_ok(l.answer);
}

struct caller {
    weir_queue queue;
    struct hold hold;
    weir_status answer;
};

static void *run_as_caller(void *arg)
{
    struct caller *c = arg;
    c->answer = weir_job_submit(c->queue, &c->hold.job);
    return NULL;
}

static void a_caller_that_runs_its_job_is_waited_for_until_the_deadline(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(1);
    struct hold hold;
    struct caller c;
    c.queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .limit = 1, .concurrent = true,
                                                     .full = WEIR_FULL_CALLER_RUNS));
    hold_init(&c.hold);
    hold_begin(&hold, c.queue);
    pthread_t thread = thread_start(run_as_caller, &c);
    gate_wait(&c.hold.entered);
    hold_end(&hold);
    assert_status(weir_app_close(app, 0, NULL), WEIR_TIMED_OUT);
    hold_end(&c.hold);
    app_close(app);
    thread_join(thread);
    assert_ok(c.answer);
}

/* ---- one closer ---- */

struct closer {
    weir_app app;
    struct gate begun;
    weir_status status;
};

static void *close_it(void *arg)
{
    struct closer *c = arg;
    gate_open(&c->begun);
    c->status = weir_app_close(c->app, WEIR_FOREVER, NULL);
    return NULL;
}

static void of_several_closers_one_closes(void **unused)
{
    (void)unused;
    for (int round = 0; round < 50; round++) {
        weir_app app = app_open();
        struct closer closers[4];
        pthread_t threads[4];
        unsigned ok = 0;
        for (int i = 0; i < 4; i++) {
            closers[i] = (struct closer){app, GATE_INIT, -1};
            threads[i] = thread_start(close_it, &closers[i]);
        }
        for (int i = 0; i < 4; i++) {
            thread_join(threads[i]);
            ok += closers[i].status == WEIR_OK;
            assert_true(closers[i].status == WEIR_OK || closers[i].status == WEIR_CLOSING
                        || closers[i].status == WEIR_STALE);
        }
        assert_int_equal(ok, 1);
    }
}

/* ---- on a worker ---- */

struct close_inside {
    weir_job job;
    weir_app app;
    weir_status status;
    struct gate done;
};

static void close_from_inside(weir_job *job, weir_status status)
{
    struct close_inside *c = job->ctx;
    (void)status;
    c->status = weir_app_close(c->app, WEIR_FOREVER, NULL);
    gate_open(&c->done);
}

static void a_close_on_a_worker_would_deadlock(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue places[] = {lane_of(app), weir_app_queue(app, WEIR_BLOCKING), serial_open(app)};
    for (int i = 0; i < 3; i++) {
        struct close_inside c = {.app = app, .done = GATE_INIT};
        c.job = (weir_job){.fn = close_from_inside, .ctx = &c};
        assert_ok(weir_job_submit(places[i], &c.job));
        gate_wait(&c.done);
        assert_int_equal(c.status, WEIR_WOULD_DEADLOCK);
    }
    struct close_inside c = {.app = app, .done = GATE_INIT};
    assert_ok(weir_app_run(app, close_from_inside, &c, true)); /* a lent thread counts as a worker */
    assert_int_equal(c.status, WEIR_WOULD_DEADLOCK);
    app_close(app);
}

static void a_worker_may_close_another_application(void **unused)
{
    (void)unused;
    weir_app app = app_open(), other = app_open();
    struct close_inside c = {.app = other, .done = GATE_INIT};
    c.job = (weir_job){.fn = close_from_inside, .ctx = &c};
    assert_ok(weir_job_submit(lane_of(app), &c.job));
    gate_wait(&c.done);
    assert_ok(c.status);
    app_close(app);
}

/* ---- what waits is ended ---- */

static void everything_that_waits_is_called_with_shutdown_once(void **unused)
{
    (void)unused;
    enum { EACH = 40 };
    weir_app app = app_open_workers(1);
    struct hold hold;
    hold_begin(&hold, lane_of(app));
    weir_queue serial = serial_open(app), above = queue_open_with(serial, NULL);
    weir_queue concurrent = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .concurrent = true));
    weir_queue queues[] = {lane_of(app), weir_app_queue(app, WEIR_HIGH), weir_app_queue(app, WEIR_LOW),
                           serial, above, concurrent};
    enum { KINDS = 6 };
    static struct record records[KINDS + 1][EACH];
    static weir_timer timers[EACH];
    for (int i = 0; i < EACH; i++) {
        for (int k = 0; k < KINDS; k++) {
            record_init(&records[k][i]);
            assert_ok(weir_job_submit(queues[k], &records[k][i].job));
        }
        record_init(&records[KINDS][i]);
        timers[i] = (weir_timer){.job = {.fn = record_run, .ctx = &records[KINDS][i]}};
        assert_ok(weir_timer_start(queues[i % KINDS], &timers[i], INT64_C(1000000000000) + i, i % 2 * 1000));
    }
    assert_status(weir_app_close(app, 0, NULL), WEIR_TIMED_OUT);
    hold_end(&hold);
    app_close(app);
    for (int k = 0; k <= KINDS; k++)
        for (int i = 0; i < EACH; i++) {
            assert_int_equal(tally_count(&records[k][i].calls), 1);
            assert_int_equal(records[k][i].status, WEIR_SHUTDOWN);
        }
}

static void the_closed_job_of_a_queue_is_called_by_the_applications_close(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(1);
    weir_queue queue = serial_open(app);
    struct hold hold;
    struct record closed;
    record_init(&closed);
    hold_begin(&hold, queue);
    assert_ok(weir_queue_close(queue, false, &closed.job));
    assert_status(weir_app_close(app, 0, NULL), WEIR_TIMED_OUT);
    hold_end(&hold);
    app_close(app);
    assert_int_equal(tally_count(&closed.calls), 1);
    assert_int_equal(closed.status, WEIR_OK);
}

/* A thread of the blocking lane owns the timers while a worker hands back its periodic timer, and the
 * workers have ended by the time it looks at what was handed to it. */
struct slow_clock {
    _Atomic int64_t now;
    _Atomic bool holds;
    pthread_t held;
    struct gate inside, leave;
};

static int64_t slow_now(void *ctx)
{
    struct slow_clock *clock = ctx;
    if (atomic_load(&clock->holds) && pthread_equal(pthread_self(), clock->held)
        && !gate_is_open(&clock->inside)) {
        gate_open(&clock->inside);
        gate_wait(&clock->leave);
    }
    return atomic_load(&clock->now);
}

struct ticker {
    weir_job job;
    weir_app app;
    struct slow_clock *clock;
};

static void tick_slowly(weir_job *job, weir_status status)
{
    struct ticker *t = job->ctx;
    (void)status;
    t->clock->held = pthread_self();
    atomic_store(&t->clock->holds, true);
    (void)weir_app_tick(t->app);
}

struct periodic {
    weir_timer timer;
    struct gate entered, leave;
    struct tally calls;
    weir_status last;
};

static void periodic_run(weir_job *job, weir_status status)
{
    struct periodic *p = job->ctx;
    p->last = status;
    gate_open(&p->entered);
    gate_wait(&p->leave);
    tally_add(&p->calls, 1);
}


static void an_item_that_comes_back_when_the_workers_have_ended_is_called_all_the_same(void **unused)
{
    (void)unused;
    struct slow_clock clock = {.now = 1000, .inside = GATE_INIT, .leave = GATE_INIT};
    weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = 1,
                                          .thread_name = "few", .now = slow_now, .ctx = &clock));
    struct periodic p = {.entered = GATE_INIT, .leave = GATE_INIT, .calls = TALLY_INIT};
    p.timer.job = (weir_job){.fn = periodic_run, .ctx = &p};
    assert_ok(weir_timer_start(lane_of(app), &p.timer, 10, 10));
    atomic_store(&clock.now, 1010);
    assert_ok(weir_app_tick(app));
    gate_wait(&p.entered);                       /* the worker is in the timer's function */
    struct ticker t = {.app = app, .clock = &clock};
    t.job = (weir_job){.fn = tick_slowly, .ctx = &t};
    assert_ok(weir_job_submit(weir_app_queue(app, WEIR_BLOCKING), &t.job));
    gate_wait(&clock.inside);                    /* the blocking thread owns the timers */
    assert_status(weir_app_close(app, 0, NULL), WEIR_TIMED_OUT);
    gate_open(&p.leave);
    wait_for_threads_named("few:0", 0);          /* the worker has ended */
    gate_open(&clock.leave);
    app_close(app);
    assert_int_equal(tally_count(&p.calls), 2);
    assert_int_equal(p.last, WEIR_SHUTDOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_the_close_no_thread_of_the_application_exists),
        cmocka_unit_test(a_close_with_a_deadline_times_out_and_goes_on_when_called_again),
        cmocka_unit_test(a_blocking_job_that_runs_is_waited_for),
        cmocka_unit_test(a_lent_thread_is_waited_for_until_the_deadline),
        cmocka_unit_test(a_caller_that_runs_its_job_is_waited_for_until_the_deadline),
        cmocka_unit_test(of_several_closers_one_closes),
        cmocka_unit_test(a_close_on_a_worker_would_deadlock),
        cmocka_unit_test(a_worker_may_close_another_application),
        cmocka_unit_test(everything_that_waits_is_called_with_shutdown_once),
        cmocka_unit_test(the_closed_job_of_a_queue_is_called_by_the_applications_close),
        cmocka_unit_test(an_item_that_comes_back_when_the_workers_have_ended_is_called_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
