/* SPDX-License-Identifier: Apache-2.0
 *
 * fairness.c - how long does a trickle wait beside a flood?
 *
 * The flood is 64 jobs of a microsecond each that submit themselves again and again on the only worker. The trickle is
 * one job a millisecond from outside. In one queue for all, first in first out, a job of the trickle would wait for 64
 * others: so its wait is also counted in jobs of the flood that began meanwhile, which no clock and no other process
 * disturbs.
 */
#include "harness.h"

#include <stdio.h>
#include <string.h>

enum { FLOOD = 64, FLOOD_WORK_NS = 1000, TRICKLE_GAP_NS = 1000000 };

static struct {
    _Alignas(BENCH_LINE) _Atomic uint64_t ran;         /* jobs of the flood that began; written by the one worker */
    _Atomic bool stop;
    _Atomic uint32_t stopped;
    weir_queue queue;
} flood;

static struct {
    _Alignas(BENCH_LINE) int64_t began;                /* the submitter's, before the submit */
    uint64_t ran;
    int64_t waited;                                    /* the worker's, before the flag */
    uint64_t overtaken_by;
    struct flag done;
} trickle;

static void flood_job(weir_job *job, weir_status status)
{
    bench_must(status, "flood");
    uint64_t ran = atomic_load_explicit(&flood.ran, memory_order_relaxed);
    atomic_store_explicit(&flood.ran, ran + 1, memory_order_relaxed);
    bench_spin(FLOOD_WORK_NS);
    if (atomic_load_explicit(&flood.stop, memory_order_relaxed))
        atomic_fetch_add_explicit(&flood.stopped, 1, memory_order_release);
    else
        bench_must(weir_job_submit(flood.queue, job), "submit again");
}

static void trickle_job(weir_job *job, weir_status status)
{
    (void)job, (void)status;
    trickle.waited = bench_now() - trickle.began;
    trickle.overtaken_by = atomic_load_explicit(&flood.ran, memory_order_relaxed) - trickle.ran;
    flag_raise(&trickle.done);
}

static void flood_begin(weir_queue queue, weir_job *job)
{
    flood.queue = queue;
    atomic_store_explicit(&flood.stop, false, memory_order_relaxed);
    atomic_store_explicit(&flood.stopped, 0, memory_order_relaxed);
    for (size_t i = 0; i < FLOOD; i++) {
        job[i].fn = flood_job;
        bench_must(weir_job_submit(queue, &job[i]), "submit the flood");
    }
}

static void flood_end(void)
{
    atomic_store_explicit(&flood.stop, true, memory_order_relaxed);
    while (atomic_load_explicit(&flood.stopped, memory_order_acquire) < FLOOD)
        bench_sleep(100000);
}

static void measure(const char *row, weir_queue trickle_queue, weir_queue flood_queue)
{
    static weir_job flood_jobs[FLOOD];
    size_t times = bench_count(400);
    struct series waited = series_make(times), overtaken = series_make(times);
    weir_job job = { .fn = trickle_job };
    char name[64];
    flood_begin(flood_queue, flood_jobs);
    for (size_t i = 0; i < times; i++) {
        bench_sleep(TRICKLE_GAP_NS);
        trickle.ran = atomic_load_explicit(&flood.ran, memory_order_relaxed);
        trickle.began = bench_now();
        bench_must(weir_job_submit(trickle_queue, &job), "submit the trickle");
        flag_await(&trickle.done);
        series_add(&waited, trickle.waited);
        series_add(&overtaken, (int64_t)trickle.overtaken_by);
    }
    flood_end();
    series_samples(&overtaken, row, "jobs");
    snprintf(name, sizeof name, "%s time", row);
    series_samples(&waited, name, "ns");
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    weir_app app = bench_app_open(1);
    weir_queue normal = weir_app_queue(app, WEIR_NORMAL), serial;
    bench_must(weir_queue_open(normal, NULL, &serial), "open a serial queue");
    measure("same lane", normal, normal);
    measure("low beside high", weir_app_queue(app, WEIR_LOW), weir_app_queue(app, WEIR_HIGH));
    measure("normal beside high", normal, weir_app_queue(app, WEIR_HIGH));
    measure("same lane beside a serial flood", normal, serial);
    bench_must(weir_queue_close(serial, false, NULL), "close a serial queue");
    bench_app_close(app);
    return 0;
}
