/* SPDX-License-Identifier: Apache-2.0
 *
 * timers.c - what do arming and cancelling a timer cost while 100, and while 100 000 others are armed?
 *
 * Delays are random between 10 and 1000 seconds, so that neighbours in the wheel differ; one timer at 9 seconds keeps
 * the earliest deadline where it is, so that no arm has to move the control thread's sleep. A cancelled timer's
 * function is called on the worker; the sum is the time until the last of them has been.
 */
#include "harness.h"

#include <stdio.h>

enum { BATCH = 16384, SECOND = 1000000000 };

static struct tally called;                            /* the one worker's */

static weir_queue queue;

static int64_t delay_random(void)
{
    return (int64_t)(10 + bench_random() % 990) * SECOND + bench_random() % SECOND;
}

static void ignore(weir_job *job, weir_status status)
{
    (void)job, (void)status;
}

static void count(weir_job *job, weir_status status)
{
    (void)job, (void)status;
    tally_add(&called);
}

static void arm_others(size_t armed)
{
    weir_timer *timer = bench_alloc((armed + 1) * sizeof *timer);
    for (size_t i = 0; i <= armed; i++) {
        timer[i].job.fn = ignore;
        bench_must(weir_timer_start(queue, &timer[i], i == 0 ? 9ll * SECOND : delay_random(), 0), "arm");
    }
}

struct times { int64_t arm, cancel, sum; };

static void batch_once(weir_timer *timer, const int64_t *delay, struct times *times)
{
    size_t before = tally_read(&called);
    int64_t began = bench_now();
    for (size_t i = 0; i < BATCH; i++)
        bench_must(weir_timer_start(queue, &timer[i], delay[i], 0), "arm");
    int64_t armed = bench_now();
    for (size_t i = 0; i < BATCH; i++)
        bench_must(weir_job_cancel(&timer[i].job), "cancel");
    int64_t cancelled = bench_now();
    while (tally_read(&called) != before + BATCH)
        bench_spin(2000);
    *times = (struct times){ times->arm + armed - began, times->cancel + cancelled - armed,
                             times->sum + bench_now() - began };
}

static void sample(const char *what, size_t armed, int64_t time, size_t batches)
{
    char row[64];
    snprintf(row, sizeof row, "%s with %zu armed", what, armed);
    bench_sample(row, "ns/timer", (double)time / (double)(batches * BATCH));
}

static double measure(size_t armed)
{
    weir_app app = bench_app_open(1);
    weir_timer *timer = bench_alloc(BATCH * sizeof *timer);
    int64_t *delay = bench_alloc(BATCH * sizeof *delay);
    struct times times = { 0 };
    size_t batches = bench_count(20);
    queue = weir_app_queue(app, WEIR_NORMAL);
    arm_others(armed);
    for (size_t i = 0; i < BATCH; i++) {
        timer[i].job.fn = count;
        delay[i] = delay_random();
    }
    batch_once(timer, delay, &times);                  /* warm-up */
    times = (struct times){ 0 };
    for (size_t i = 0; i < batches; i++)
        batch_once(timer, delay, &times);
    sample("arm", armed, times.arm, batches);
    sample("cancel", armed, times.cancel, batches);
    sample("arm + cancel + call", armed, times.sum, batches);
    bench_app_close(app);
    return (double)times.sum / (double)batches;
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    double few = measure(100), many = measure(100000);
    bench_sample("100000 armed against 100", "x", many / few);
    return 0;
}
