/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.c - how much memory does a job need that waits?
 *
 * Growth of the resident set from before the jobs' memory is touched until all of them are queued, the jobs themselves
 * included. A gate holds the only worker. The first time a lane's own ring, 2 MiB, is touched as well; that is the
 * application's, and not the jobs'.
 */
#include "harness.h"

#include <sys/mman.h>

static void *map_untouched(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bench_check(memory != MAP_FAILED, "no memory");
    return memory;
}

static struct tally called;                            /* the one worker's */

static void count(weir_job *job, weir_status status)
{
    (void)job, (void)status;
    tally_add(&called);
}

static void await_calls(size_t count)
{
    tally_await(&called, count);
    tally_clear(&called);
}

static void measure_jobs(const char *row, weir_queue lane, weir_queue queue, size_t jobs)
{
    struct gate gate;
    gate_hold(&gate, lane);
    double before = bench_resident();
    weir_job *job = map_untouched(jobs * sizeof *job);
    for (size_t i = 0; i < jobs; i++) {
        job[i].fn = count;
        bench_must(weir_job_submit(queue, &job[i]), "submit");
    }
    bench_sample(row, "B", (bench_resident() - before) / (double)jobs);
    gate_end(&gate);
    await_calls(jobs);
    munmap(job, jobs * sizeof *job);
}

static void measure_timers(weir_queue queue, size_t timers)
{
    double before = bench_resident();
    weir_timer *timer = map_untouched(timers * sizeof *timer);
    for (size_t i = 0; i < timers; i++) {
        timer[i].job.fn = count;
        bench_must(weir_timer_start(queue, &timer[i], (int64_t)(3600 + i) * 1000000000, 0), "arm");
    }
    bench_sample("armed timer", "B", (bench_resident() - before) / (double)timers);
    for (size_t i = 0; i < timers; i++)
        bench_must(weir_job_cancel(&timer[i].job), "cancel");
    await_calls(timers);
    munmap(timer, timers * sizeof *timer);
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    double before = bench_resident();
    weir_app app = bench_app_open(1);
    weir_queue lane = weir_app_queue(app, WEIR_NORMAL), serial;
    size_t jobs = bench_count(1000000);
    bench_sample("open application 1 worker", "KiB", (bench_resident() - before) / 1024);
    measure_jobs("queued job the first time", lane, lane, jobs);
    measure_jobs("queued job", lane, lane, jobs);
    bench_must(weir_queue_open(lane, NULL, &serial), "open a serial queue");
    measure_jobs("queued job in a serial queue", lane, serial, jobs);
    bench_must(weir_queue_close(serial, false, NULL), "close a serial queue");
    measure_timers(lane, jobs);
    bench_app_close(app);
    return 0;
}
