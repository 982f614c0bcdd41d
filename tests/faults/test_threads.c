/* SPDX-License-Identifier: Apache-2.0 */
/* test_threads.c - every creation of a thread fails once, and every descriptor is missing once
 *
 * Linked with --wrap=pthread_create. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

static _Atomic int64_t creations_left = INT64_MAX; /* until one fails; negative: every one does */
static _Atomic uint64_t creations_failed;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    int64_t left = atomic_load(&creations_left);
    if (left < 0 || (left != INT64_MAX && atomic_fetch_sub(&creations_left, 1) == 0)) {
        atomic_fetch_add(&creations_failed, 1);
        return EAGAIN;
    }
    return __real_pthread_create(thread, attributes, run, arg);
}

static _Atomic uint64_t lines;

static void count_line(int level, const char *line, void *ctx)
{
    (void)level;
    (void)line;
    (void)ctx;
    atomic_fetch_add(&lines, 1);
}

static void check_usable(weir_app app)
{
    struct record record;
    record_init(&record);
    assert_ok(weir_job_submit(lane_of(app), &record.job));
    record_wait(&record);
}

static void *no_op(void *arg)
{
    return arg;
}

static void an_open_that_gets_too_few_threads_leaves_none_over(void **unused)
{
    (void)unused;
    thread_join(thread_start(no_op, NULL));      /* a sanitizer may start one of its own at the first */
    unsigned tasks = entries_of("/proc/self/task"), descriptors = entries_of("/proc/self/fd");
    weir_app app = {77};
    weir_status status;
    int64_t failing = 0;
    for (;; failing++) {
        assert_true(failing < 1000);
        atomic_store(&creations_failed, 0);
        atomic_store(&creations_left, failing);
        status = weir_app_open(WEIR_NEW(weir_app_options, .workers = test_workers(), .log = count_line), &app);
        atomic_store(&creations_left, INT64_MAX);
        if (atomic_load(&creations_failed) == 0)
            break;
        assert_int_equal(status, WEIR_SYSTEM);
        assert_int_equal(app.bits, 77);
        wait_for_entries("/proc/self/task", tasks);
        assert_int_equal(entries_of("/proc/self/fd"), descriptors);
        assert_true(atomic_exchange(&lines, 0) > 0);
    }
    assert_int_equal(failing, test_workers() + 1);
    assert_ok(status);
    check_usable(app);
    app_close(app);
}

static void an_open_with_an_impossible_stack_is_refused(void **unused)
{
    (void)unused;
    weir_app app = {77};
    assert_status(weir_app_open(WEIR_NEW(weir_app_options, .workers = 1, .stack_size = 1, .log = count_line), &app),
                  WEIR_SYSTEM);
    assert_int_equal(app.bits, 77);
}

/* ---- the blocking lane ---- */

static void blocking_jobs_run_on_ordinary_workers_if_no_thread_can_be_had(void **unused)
{
    (void)unused;
    enum { JOBS = 100 };
    weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = test_workers(), .log = count_line));
    struct record records[JOBS];
    atomic_store(&lines, 0);
    atomic_store(&creations_left, -1);
    for (int i = 0; i < JOBS; i++) {
        record_init(&records[i]);
        assert_ok(weir_job_submit(weir_app_queue(app, WEIR_BLOCKING), &records[i].job));
    }
    for (int i = 0; i < JOBS; i++)
        record_wait(&records[i]);
    assert_true(atomic_load(&lines) > 0);
    atomic_store(&creations_left, INT64_MAX);
    struct hold holds[64];                       /* and have threads of their own again when they can */
    struct record record;
    record_init(&record);
    hold_all(holds, app, test_workers());
    assert_ok(weir_job_submit(weir_app_queue(app, WEIR_BLOCKING), &record.job));
    record_wait(&record);
    release_all(holds, test_workers());
    app_close(app);
}

static void a_blocking_thread_that_is_there_does_all_if_no_second_can_be_had(void **unused)
{
    (void)unused;
    enum { JOBS = 100 };
    weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = 1, .log = count_line));
    struct hold hold;
    struct record records[JOBS];
    hold_begin(&hold, weir_app_queue(app, WEIR_BLOCKING));
    atomic_store(&creations_left, -1);
    for (int i = 0; i < JOBS; i++) {
        record_init(&records[i]);
        assert_ok(weir_job_submit(weir_app_queue(app, WEIR_BLOCKING), &records[i].job));
    }
    hold_end(&hold);
    for (int i = 0; i < JOBS; i++)
        record_wait(&records[i]);
    atomic_store(&creations_left, INT64_MAX);
    app_close(app);
}

static void a_close_without_threads_to_be_had_ends_blocking_jobs_all_the_same(void **unused)
{
    (void)unused;
    weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = 1, .log = count_line));
    struct hold hold;
    struct record record;
    hold_begin(&hold, lane_of(app));
    record_init(&record);
    atomic_store(&creations_left, -1);
    assert_ok(weir_job_submit(weir_app_queue(app, WEIR_BLOCKING), &record.job));
    assert_status(weir_app_close(app, 0, NULL), WEIR_TIMED_OUT);
    hold_end(&hold);
    app_close(app);
    atomic_store(&creations_left, INT64_MAX);
    assert_int_equal(tally_count(&record.calls), 1);
}

/* ---- descriptors ---- */

static unsigned fill_descriptors(int *fds, unsigned most)
{
    unsigned count = 0;
    while (count < most && (fds[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    return count;
}

static void an_open_that_gets_too_few_descriptors_leaves_nothing_over(void **unused)
{
    (void)unused;
    enum { MOST = 256 };
    struct rlimit before, low;
    int fds[MOST];
    weir_app app = {77};
    weir_status status = WEIR_SYSTEM;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    unsigned free_ones = 0, count = fill_descriptors(fds, MOST);
    for (; status != WEIR_OK; free_ones++) {     /* none is free, one is, two are... */
        assert_true(free_ones < count);
        status = weir_app_open(WEIR_NEW(weir_app_options, .workers = 1, .log = count_line), &app);
        if (status != WEIR_OK) {
            assert_int_equal(status, WEIR_SYSTEM);
            assert_int_equal(app.bits, 77);
            int probe[MOST];
            unsigned there = fill_descriptors(probe, MOST);
            assert_int_equal(there, free_ones);  /* and none is kept */
            while (there-- > 0)
                (void)close(probe[there]);
            (void)close(fds[--count]);
        }
    }
    assert_true(free_ones > 1);
    check_usable(app);
    app_close(app);
    while (count-- > 0)
        (void)close(fds[count]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_that_gets_too_few_threads_leaves_none_over),
        cmocka_unit_test(an_open_with_an_impossible_stack_is_refused),
        cmocka_unit_test(blocking_jobs_run_on_ordinary_workers_if_no_thread_can_be_had),
        cmocka_unit_test(a_blocking_thread_that_is_there_does_all_if_no_second_can_be_had),
        cmocka_unit_test(a_close_without_threads_to_be_had_ends_blocking_jobs_all_the_same),
        cmocka_unit_test(an_open_that_gets_too_few_descriptors_leaves_nothing_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
