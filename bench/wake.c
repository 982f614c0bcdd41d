/* SPDX-License-Identifier: Apache-2.0
 *
 * wake.c - how long until an idle pool runs a job?
 *
 * The rows are those of limits.c with a pool in place of the bare thread: same gaps, same flag, nobody pinned.
 *
 * And what does the same pool use right after that, with nothing to do but a thousand timers that are armed a minute
 * and more ahead? So nobody can be quick to wake by not sleeping.
 */
#include "harness.h"
#include "usage.h"

#include <stdio.h>

enum { WARM = 100, TIMERS = 1000, SETTLE_NS = 300000000 };

static weir_queue queue;
static _Atomic int64_t woken_at;
static struct flag back;

static void note_time(weir_job *job, weir_status status)
{
    (void)job, (void)status;
    atomic_store_explicit(&woken_at, bench_now(), memory_order_release);
}

static int64_t wake_once(weir_job *job, int64_t *cost)
{
    int64_t began = bench_now(), woken;
    atomic_store_explicit(&woken_at, 0, memory_order_relaxed);
    bench_must(weir_job_submit(queue, job), "submit");
    *cost = bench_now() - began;
    while ((woken = atomic_load_explicit(&woken_at, memory_order_acquire)) == 0)
        bench_relax();
    return woken - began;
}

static void measure_wake(const char *row, int64_t gap_ns, bool busy, size_t times)
{
    struct series run = series_make(times), submitter = series_make(times);
    weir_job job = { .fn = note_time };
    char name[64];
    for (size_t i = 0; i < times + WARM; i++) {
        int64_t cost, took;
        if (busy)
            bench_spin(gap_ns + (int64_t)bench_random() % gap_ns);
        else
            bench_sleep(gap_ns);
        took = wake_once(&job, &cost);
        if (i < WARM)
            continue;
        series_add(&run, took);
        series_add(&submitter, cost);
    }
    series_samples(&run, row, "ns");
    snprintf(name, sizeof name, "submitter's cost %s", row);
    series_samples(&submitter, name, "ns");
}

static void answer(weir_job *job, weir_status status)
{
    (void)job, (void)status;
    flag_raise(&back);
}

static void measure_ping_pong(void)
{
    size_t times = bench_count(10000);
    struct series trip = series_make(times);
    weir_job job = { .fn = answer };
    for (size_t i = 0; i < times + WARM; i++) {
        int64_t began = bench_now();
        bench_must(weir_job_submit(queue, &job), "submit");
        flag_await(&back);
        if (i >= WARM)
            series_add(&trip, bench_now() - began);
    }
    series_samples(&trip, "ping-pong", "ns");
}

/* ---- afterwards ---- */

static void ignore(weir_job *job, weir_status status)
{
    (void)job, (void)status;
}

static void measure_idle(void)
{
    int64_t length = bench_is_quick() ? 1000000000 : 3000000000;
    weir_timer *timer = bench_alloc(TIMERS * sizeof *timer);
    for (size_t i = 0; i < TIMERS; i++) {
        timer[i].job.fn = ignore;
        bench_must(weir_timer_start(queue, &timer[i], (int64_t)(60 + i) * 1000000000, 0), "arm");
    }
    bench_sleep(SETTLE_NS);
    int64_t began = bench_now();
    struct usage before = usage_of_others();
    bench_sleep(length);
    struct usage after = usage_of_others();
    double seconds = (double)(bench_now() - began) / 1e9;
    bench_sample("idle afterwards: processor time", "us/s", (double)(after.cpu_ns - before.cpu_ns) / 1e3 / seconds);
    bench_sample("idle afterwards: wake-ups", "1/s", (double)(after.wakeups - before.wakeups) / seconds);
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    weir_app app = bench_app_open(1);
    queue = weir_app_queue(app, WEIR_NORMAL);
    measure_wake("gap 50-100 us", 50000, true, bench_count(5000));
    measure_wake("gap 2 ms", 2000000, false, bench_count(300));
    measure_ping_pong();
    measure_idle();
    bench_app_close(app);
    return 0;
}
