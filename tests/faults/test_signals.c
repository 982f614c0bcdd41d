/* SPDX-License-Identifier: Apache-2.0 */
/* test_signals.c - a storm of signals: system calls are interrupted all the time, the handler runs on
 * the user's threads only, and every call answers what it should */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

static pthread_t user_thread;
static volatile sig_atomic_t signals, elsewhere;

static void on_alarm(int signal)
{
    (void)signal;
    signals++;
    elsewhere += !pthread_equal(pthread_self(), user_thread);
}

static void storm_begin(void)
{
    struct sigaction action = {.sa_handler = on_alarm};  /* no SA_RESTART: calls end with EINTR */
    struct itimerval often = {{0, 200}, {0, 200}};
    user_thread = pthread_self();
    signals = 0;
    elsewhere = 0;
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
}

static void storm_end(void)
{
    struct itimerval never = {{0, 0}, {0, 0}};
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    assert_true(signals > 0);
    assert_int_equal(elsewhere, 0);
}

/* ThreadSanitizer lets a signal into pthread_join at once, also where that frees a stack, under a lock of its own;
 * which the handler then waits for, for ever. */
static void close_in_the_storm(weir_app app)
{
    sigset_t alarm;
    (void)sigemptyset(&alarm);
    (void)sigaddset(&alarm, SIGALRM);
    if (UNDER_SANITIZER != 0)
        (void)pthread_sigmask(SIG_BLOCK, &alarm, NULL);
    app_close(app);
    (void)pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
}

static void count_down(weir_job *job, weir_status status)
{
    unsigned *work = job->ctx;
    (void)status;
    for (unsigned i = 0; i < 20000; i++)
        (*work)++;
}

static void waiting_calls_survive_interrupted_sleeps(void **unused)
{
    (void)unused;
    storm_begin();
    do {
        weir_app app = app_open();
        weir_queue bounded = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .limit = 1));
        struct record records[4];
        unsigned work = 0;
        for (int i = 0; i < 4; i++) {
            record_init(&records[i]);
            assert_ok(weir_job_submit_wait(bounded, &records[i].job, WEIR_FOREVER));
            assert_ok(weir_app_run(app, count_down, &work, false));
            assert_ok(weir_app_run(app, count_down, &work, true));
        }
        for (int i = 0; i < 4; i++) {
            (void)weir_job_cancel_wait(&records[i].job, WEIR_FOREVER);
            assert_int_equal(tally_count(&records[i].calls), 1);
        }
        weir_timer timer = {.job = {.fn = record_run, .ctx = &records[0]}};
        record_init(&records[0]);
        assert_ok(weir_timer_start(lane_of(app), &timer, 300000, 0));
        record_wait(&records[0]);
        close_in_the_storm(app);
        assert_int_equal(work, 8 * 20000);
    } while (signals < 100);
    storm_end();
}

static void time_outs_are_not_shortened_by_signals(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct hold hold;
    hold_begin(&hold, lane_of(app));
    storm_begin();
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_status(weir_job_cancel_wait(&hold.job, 20000000), WEIR_TIMED_OUT);
    clock_gettime(CLOCK_MONOTONIC, &after);
    storm_end();
    int64_t waited = (int64_t)(after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
    assert_true(waited >= 20000000);
    hold_end(&hold);
    app_close(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_calls_survive_interrupted_sleeps),
        cmocka_unit_test(time_outs_are_not_shortened_by_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
