/* SPDX-License-Identifier: Apache-2.0 */
/* test_r10_workqueue.c - R10, as far as the work queue calls user functions: who leaves one by
 * pthread_exit, thread cancellation or an exception stops the process with "misuse:"; exit() is legal;
 * workers block all but synchronous signals; calls preserve errno
 *
 * The tests are C and throw no exception; pthread_exit and cancellation unwind the stack in the same
 * way as one that has a handler further out. One that nobody catches ends in std::terminate before
 * anything is unwound: a stop, too. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"
#include "tests/unit/child.h"

/* ---- how a function leaves ---- */

static void leave_by_pthread_exit(weir_job *job, weir_status status)
{
    (void)job;
    (void)status;
    pthread_exit(NULL);
}

static void leave_by_cancellation(weir_job *job, weir_status status)
{
    (void)job;
    (void)status;
    (void)pthread_cancel(pthread_self());
    pthread_testcancel();
}

static weir_job_fn *const LEAVERS[] = {leave_by_pthread_exit, leave_by_cancellation};
static weir_job_fn *leaver;

/* ---- where it is called ---- */

static void start(weir_app *app)
{
    if (weir_app_open(WEIR_NEW(weir_app_options, .workers = 2), app) != WEIR_OK)
        _exit(2);
}

/* The process must not end by itself: what was called has to stop it. */
static void wait_for_the_stop(void)
{
    for (;;)
        (void)pause();
}

static void submit_to(weir_queue queue)
{
    static weir_job job;
    job.fn = leaver;
    if (weir_job_submit(queue, &job) != WEIR_OK)
        _exit(2);
    wait_for_the_stop();
}

static void in_a_job(void)
{
    weir_app app;
    start(&app);
    submit_to(lane_of(app));
}

static void in_a_blocking_job(void)
{
    weir_app app;
    start(&app);
    submit_to(weir_app_queue(app, WEIR_BLOCKING));
}

static void in_a_job_of_a_serial_queue(void)
{
    weir_app app;
    weir_queue queue = {0};
    start(&app);
    if (weir_queue_open(lane_of(app), NULL, &queue) != WEIR_OK)
        _exit(2);
    submit_to(queue);
}

static void in_a_timers_function(void)
{
    static weir_timer timer;
    weir_app app;
    start(&app);
    timer.job.fn = leaver;
    if (weir_timer_start(lane_of(app), &timer, 1000, 0) != WEIR_OK)
        _exit(2);
    wait_for_the_stop();
}

static void in_the_closed_job(void)
{
    static weir_job job;
    weir_app app;
    weir_queue queue = {0};
    start(&app);
    job.fn = leaver;
    if (weir_queue_open(lane_of(app), NULL, &queue) != WEIR_OK || weir_queue_close(queue, false, &job) != WEIR_OK)
        _exit(2);
    wait_for_the_stop();
}

static void in_a_root(void)
{
    weir_app app;
    start(&app);
    if (weir_app_run(app, leaver, NULL, false) != WEIR_OK)
        _exit(2);
}

static void in_a_root_on_a_lent_thread(void)
{
    weir_app app;
    start(&app);
    if (weir_app_run(app, leaver, NULL, true) != WEIR_OK)
        _exit(2);
}

static void in_a_forked_job(void)
{
    weir_job child = {.fn = leaver};
    if (weir_fork(&child) != WEIR_OK || weir_join(&child) != WEIR_OK)
        _exit(2);
}

static void (*const PLACES[])(void) = {
    in_a_job, in_a_blocking_job, in_a_job_of_a_serial_queue, in_a_timers_function, in_the_closed_job,
    in_a_root, in_a_root_on_a_lent_thread, in_a_forked_job,
};

static void who_leaves_a_user_function_otherwise_than_by_returning_is_stopped(void **unused)
{
    (void)unused;
    for (size_t how = 0; how < sizeof LEAVERS / sizeof LEAVERS[0]; how++)
        for (size_t place = 0; place < sizeof PLACES / sizeof PLACES[0]; place++) {
            leaver = LEAVERS[how];
            struct child child = child_run(PLACES[place]);
            assert_int_equal(child.signal, SIGABRT);
            assert_non_null(strstr(child.errors, "misuse:"));
        }
}

/* ---- exit ---- */

static void exit_inside(weir_job *job, weir_status status)
{
    (void)job;
    (void)status;
    exit(0);
}

static void exit_with_an_application_open(void)
{
    weir_app app;
    start(&app);
    exit(0);
}

static void exit_is_legal_with_an_application_open_and_inside_a_job(void **unused)
{
    (void)unused;
    struct child child = child_run(exit_with_an_application_open);
    assert_int_equal(child.signal, 0);
    leaver = exit_inside;
    child = child_run(in_a_job);
    assert_int_equal(child.signal, 0);
}

/* ---- signals ---- */

struct mask {
    weir_job job;
    sigset_t blocked;
    struct gate done;
};

static void read_mask(weir_job *job, weir_status status)
{
    struct mask *mask = job->ctx;
    (void)status;
    pthread_sigmask(SIG_BLOCK, NULL, &mask->blocked);
    gate_open(&mask->done);
}

static void workers_block_all_but_synchronous_signals(void **unused)
{
    (void)unused;
    static const int SYNCHRONOUS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    static const int OTHERS[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGALRM, SIGUSR1, SIGPIPE, SIGPROF};
    sigset_t before, after;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    weir_app app = app_open();
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    for (int signal = 1; signal < NSIG; signal++)
        assert_int_equal(sigismember(&before, signal), sigismember(&after, signal));
    weir_queue places[] = {lane_of(app), weir_app_queue(app, WEIR_BLOCKING)};
    for (int i = 0; i < 2; i++) {
        struct mask mask = {.done = GATE_INIT};
        mask.job = (weir_job){.fn = read_mask, .ctx = &mask};
        assert_ok(weir_job_submit(places[i], &mask.job));
        gate_wait(&mask.done);
        for (size_t s = 0; s < sizeof SYNCHRONOUS / sizeof SYNCHRONOUS[0]; s++)
            assert_int_equal(sigismember(&mask.blocked, SYNCHRONOUS[s]), 0);
        for (size_t s = 0; s < sizeof OTHERS / sizeof OTHERS[0]; s++)
            assert_int_equal(sigismember(&mask.blocked, OTHERS[s]), 1);
    }
    app_close(app);
}

/* ---- errno ---- */

static void nothing(weir_job *job, weir_status status)
{
    (void)job;
    (void)status;
}

#define keeps_errno(call) \
    do { \
        errno = 4711; \
        (void)!(call); \
        assert_int_equal(errno, 4711); \
    } while (0)

static void calls_preserve_errno(void **unused)
{
    (void)unused;
    weir_app app = {0};
    weir_queue queue = {0};
    struct record record, closed;
    struct hold hold;
    weir_timer timer = {.job = {.fn = nothing}};
    weir_fdwait wait = {.timer = {.job = {.fn = nothing}}, .fd = -1, .events = WEIR_READABLE};
    int ends[2];
    record_init(&record);
    record_init(&closed);
    assert_int_equal(pipe(ends), 0);
    keeps_errno(weir_app_open(WEIR_NEW(weir_app_options, .workers = 2), &app));
    keeps_errno(weir_queue_open(lane_of(app), WEIR_NEW(weir_queue_options, .limit = 1), &queue));
    hold_begin(&hold, queue);
    keeps_errno(weir_job_submit(weir_app_queue(app, WEIR_BLOCKING), &record.job));
    record_wait(&record);
    keeps_errno(weir_job_submit_wait(queue, &record.job, 1000000));
    keeps_errno(weir_job_cancel_wait(&hold.job, 1000000));
    keeps_errno(weir_timer_start(lane_of(app), &timer, 1000, 0));
    keeps_errno(weir_job_cancel_wait(&timer.job, WEIR_FOREVER));
    keeps_errno(weir_fdwait_start(lane_of(app), &wait, WEIR_FOREVER)); /* no descriptor */
    wait.fd = ends[0];
    keeps_errno(weir_fdwait_start(lane_of(app), &wait, WEIR_FOREVER));
    keeps_errno(weir_job_cancel_wait(&wait.timer.job, WEIR_FOREVER));
    keeps_errno(weir_app_run(app, nothing, NULL, false));
    keeps_errno(weir_app_tick(app));
    keeps_errno(weir_queue_close(queue, false, &closed.job));
    keeps_errno(weir_app_close(app, 1000000, NULL));
    hold_end(&hold);
    keeps_errno(weir_app_close(app, WEIR_FOREVER, NULL));
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_leaves_a_user_function_otherwise_than_by_returning_is_stopped),
        cmocka_unit_test(exit_is_legal_with_an_application_open_and_inside_a_job),
        cmocka_unit_test(workers_block_all_but_synchronous_signals),
        cmocka_unit_test(calls_preserve_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
