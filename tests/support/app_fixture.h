/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_APP_FIXTURE_H
#define WEIR_TESTS_APP_FIXTURE_H

/* app_fixture.h - an application under test, jobs that record, and ways to keep its workers busy
 *
 * Functions of jobs record, they never assert: the test's own thread does, after it has waited.
 * To be included after <cmocka.h>. */

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <weir/workqueue.h>

#include "tests/support/support.h"

#define assert_status(call, expected) assert_int_equal((call), (expected))
#define assert_ok(call) assert_int_equal((call), WEIR_OK)

/* A sanitizer's run-time has locks of its own, which a thread that starts may hold while another
 * forks. So a child there starts no threads, and ends without its exit handlers. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { UNDER_SANITIZER = 1 };
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
enum { UNDER_SANITIZER = 1 };
#else
enum { UNDER_SANITIZER = 0 };
#endif
#else
enum { UNDER_SANITIZER = 0 };
#endif

/* ---- the application ---- */

static inline weir_app app_open_with(const weir_app_options *options)
{
    weir_app app = {0};
    assert_ok(weir_app_open(options, &app));
    return app;
}

static inline weir_app app_open_workers(uint32_t workers)
{
    return app_open_with(WEIR_NEW(weir_app_options, .workers = workers));
}

static inline weir_app app_open(void)
{
    return app_open_workers(test_workers());
}

static inline void app_close(weir_app app)
{
    assert_ok(weir_app_close(app, WEIR_FOREVER, NULL));
}

static inline weir_queue lane_of(weir_app app)
{
    return weir_app_queue(app, WEIR_NORMAL);
}

static inline weir_queue queue_open_with(weir_queue target, const weir_queue_options *options)
{
    weir_queue queue = {0};
    assert_ok(weir_queue_open(target, options, &queue));
    return queue;
}

static inline weir_queue serial_open(weir_app app)
{
    return queue_open_with(lane_of(app), NULL);
}

/* ---- a job that records ---- */

struct record {
    weir_job job;
    struct tally calls;                          /* first the rest is written, then this */
    _Atomic weir_status status;                  /* of the last call; a periodic item may be called while it is read */
    pthread_t thread;                            /* where it was */
};

static inline void record_run(weir_job *job, weir_status status)
{
    struct record *record = job->ctx;
    record->status = status;
    record->thread = pthread_self();
    tally_add(&record->calls, 1);
}

/* In place, since it holds a lock and a pointer to itself. */
static inline void record_init(struct record *record)
{
    *record = (struct record){.calls = TALLY_INIT, .status = -1};
    record->job.fn = record_run;
    record->job.ctx = record;
}

static inline void record_wait(struct record *record)
{
    tally_wait(&record->calls, 1);
}

/* ---- a job that holds its worker ---- */

struct hold {
    weir_job job;
    struct gate entered;
    struct gate leave;
    struct gate left;                            /* the function's last act: then the hold is ours */
    weir_status status;
};

static inline void hold_run(weir_job *job, weir_status status)
{
    struct hold *hold = job->ctx;
    hold->status = status;
    gate_open(&hold->entered);
    gate_wait(&hold->leave);
    gate_open(&hold->left);
}

static inline void hold_init(struct hold *hold)
{
    *hold = (struct hold){.entered = GATE_INIT, .leave = GATE_INIT, .left = GATE_INIT};
    hold->job.fn = hold_run;
    hold->job.ctx = hold;
}

/* Returns when the job holds the thread that runs it. */
static inline void hold_begin(struct hold *hold, weir_queue queue)
{
    hold_init(hold);
    assert_ok(weir_job_submit(queue, &hold->job));
    gate_wait(&hold->entered);
}

static inline void hold_end(struct hold *hold)
{
    gate_open(&hold->leave);
    gate_wait(&hold->left);
}

/* As many holds as there are workers: afterwards none is free. */
static inline void hold_all(struct hold *holds, weir_app app, uint32_t workers)
{
    for (uint32_t i = 0; i < workers; i++)
        hold_begin(&holds[i], lane_of(app));
}

static inline void release_all(struct hold *holds, uint32_t workers)
{
    for (uint32_t i = 0; i < workers; i++)
        hold_end(&holds[i]);
}

/* ---- what the kernel sees ---- */

/* How many entries a directory has, such as /proc/self/task. */
static inline unsigned entries_of(const char *path)
{
    unsigned count = 0;
    DIR *directory = opendir(path);
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    (void)closedir(directory);
    return count;
}

/* The kernel lets a thread be joined a moment before it takes it off its list. */
static inline void wait_for_entries(const char *path, unsigned expected)
{
    for (unsigned looks = 0; entries_of(path) != expected; looks++) {
        assert_true(looks < 1000000);
        (void)sched_yield();
    }
}

/* ---- a clock that is stepped ---- */

struct stepped_clock {
    _Atomic int64_t now;
};

static inline int64_t stepped_now(void *ctx)
{
    return atomic_load(&((struct stepped_clock *)ctx)->now);
}

static inline weir_app app_open_stepped(struct stepped_clock *clock, uint32_t workers)
{
    atomic_store(&clock->now, 1000);
    return app_open_with(WEIR_NEW(weir_app_options, .workers = workers, .now = stepped_now,
                                  .ctx = clock));
}

static inline void clock_step(struct stepped_clock *clock, weir_app app, int64_t ns)
{
    atomic_fetch_add(&clock->now, ns);
    assert_ok(weir_app_tick(app));
}

#endif
