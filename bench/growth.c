/* SPDX-License-Identifier: Apache-2.0
 *
 * growth.c - the same work with 1, 2, 4 and 8 workers: how does its cost grow?
 *
 *   tree    fork_join.c's
 *   jobs    submitted as one list from outside; each counts to a fixed number, which takes about a microsecond, and
 *           the last of them, which a shared counter knows, tells
 *   close   100000 parked operations, the pool asleep, their finals spread over the workers
 *
 * model.awk fits constants to 1 and 2 workers, and compares what they say about 4 and 8 with what was measured.
 */
#include "close_load.h"
#include "load.h"

#include <stdio.h>

enum { PARKED = 100000, STEPS = 2500 };

static const uint32_t WORKERS[] = { 1, 2, 4, 8 };

static void sample(const char *what, uint32_t workers, const char *unit, double value)
{
    char row[64];
    snprintf(row, sizeof row, "%s %u worker%s", what, workers, workers == 1 ? "" : "s");
    bench_sample(row, unit, value);
}

/* ---- tree ---- */

static void measure_tree(uint32_t workers)
{
    unsigned depth = bench_is_quick() ? 17 : 20;
    weir_app app = bench_app_open(workers);
    tree_time(app, depth - 3, false);
    sample("tree", workers, "ns/leaf", tree_time(app, depth, false));
    bench_app_close(app);
}

/* ---- jobs ---- */

static struct {
    _Alignas(BENCH_LINE) _Atomic size_t left;
    struct flag over;
} jobs;

static void count_steps(void)
{
    for (volatile unsigned i = 0; i < STEPS; i++)
        ;
}

static void job_run(weir_job *job, weir_status status)
{
    (void)job;
    bench_must(status, "run a job");
    count_steps();
    if (atomic_fetch_sub_explicit(&jobs.left, 1, memory_order_acq_rel) == 1)           /* the other jobs are over */
        flag_raise(&jobs.over);
}

static double jobs_time(weir_queue queue, weir_job *job, weir_job **list, size_t count)
{
    size_t accepted;
    atomic_store_explicit(&jobs.left, count, memory_order_relaxed);
    for (size_t i = 0; i < count; i++) {
        job[i] = (weir_job){ .fn = job_run };
        list[i] = &job[i];
    }
    int64_t began = bench_now();
    bench_must(weir_job_submit_list(queue, list, count, &accepted), "submit a list");
    flag_await(&jobs.over);
    return (double)(bench_now() - began) / (double)count;
}

static void measure_jobs(uint32_t workers)
{
    size_t count = bench_count(50000);
    weir_job *job = bench_alloc(count * sizeof *job);
    weir_job **list = bench_alloc(count * sizeof(weir_job *));
    weir_app app = bench_app_open(workers);
    weir_queue queue = weir_app_queue(app, WEIR_NORMAL);
    jobs_time(queue, job, list, count / 10);
    sample("jobs", workers, "ns/job", jobs_time(queue, job, list, count));
    bench_app_close(app);
}

/* ---- close ---- */

static _Atomic size_t parked;

static weir_status work_park(weir_task *task, void *ctx)
{
    weir_token token;
    (void)ctx;
    bench_must(weir_task_defer(task, &token), "defer");
    atomic_fetch_add_explicit(&parked, 1, memory_order_relaxed);
    return WEIR_OK;
}

static void measure_close(uint32_t workers)
{
    static const weir_kind kind = { .size = sizeof kind, .work = work_park, .on_result = close_on_result };
    size_t times = bench_is_quick() ? 1 : 5;
    struct series series = series_make(times);
    weir_app app = bench_app_open(workers);
    for (size_t i = 0; i < times + 1; i++) {
        atomic_store_explicit(&parked, 0, memory_order_relaxed);
        weir_session session = close_start(app, &kind, false, PARKED);
        while (atomic_load_explicit(&parked, memory_order_relaxed) < PARKED)
            bench_sleep(100000);
        bench_sleep(2000000);
        struct close_times took = close_now(session, false, NULL, PARKED);
        if (i > 0)
            series_add(&series, took.callback);
    }
    sample("close", workers, "ns/op", (double)series_at(&series, 50) / PARKED);
    bench_app_close(app);
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    for (size_t i = 0; i < sizeof WORKERS / sizeof *WORKERS; i++) {
        measure_tree(WORKERS[i]);
        measure_jobs(WORKERS[i]);
        measure_close(WORKERS[i]);
    }
    return 0;
}
