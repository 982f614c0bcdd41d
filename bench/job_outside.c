/* SPDX-License-Identifier: Apache-2.0
 *
 * job_outside.c - what does it cost to submit an empty job from a thread outside of the pool, and to run it?
 *
 * The first rows are the question; producer and workers work at the same time. The last two take it apart: the
 * submits alone, while a gate holds the only worker, and then the runs alone, while the producer is silent.
 */
#include "load.h"

enum { HELD_JOBS = 8192 };

static void measure_feed(const char *row, uint32_t workers, struct feed feed)
{
    weir_app app = bench_app_open(workers);
    feed.queue = weir_app_queue(app, WEIR_NORMAL);
    feed.jobs = bench_count(feed.jobs);
    bench_sample(row, "ns/job", feed_run(&feed));
    bench_app_close(app);
}

/* The worker's; read after the flag. */
static struct {
    size_t left;
    int64_t began, ended;
    struct flag done;
} held;

static void held_job(weir_job *job, weir_status status)
{
    (void)job, (void)status;
    if (held.left == HELD_JOBS)
        held.began = bench_now();
    if (--held.left > 0)
        return;
    held.ended = bench_now();
    flag_raise(&held.done);
}

/* Returns the time of the submits; that of the runs is in held. */
static int64_t held_once(weir_queue queue, weir_job *job)
{
    struct gate gate;
    gate_hold(&gate, queue);
    held.left = HELD_JOBS;
    int64_t began = bench_now();
    for (size_t i = 0; i < HELD_JOBS; i++)
        bench_must(weir_job_submit(queue, &job[i]), "submit");
    int64_t took = bench_now() - began;
    gate_open(&gate);
    flag_await(&held.done);
    return took;
}

static void measure_parts(void)
{
    weir_app app = bench_app_open(1);
    weir_queue queue = weir_app_queue(app, WEIR_NORMAL);
    weir_job *job = bench_alloc(HELD_JOBS * sizeof *job);
    size_t times = bench_count(100), warm = times / 10;
    double submit = 0, run = 0;
    for (size_t i = 0; i < HELD_JOBS; i++)
        job[i].fn = held_job;
    for (size_t i = 0; i < times + warm; i++) {
        int64_t took = held_once(queue, job);
        if (i < warm)
            continue;
        submit += (double)took;
        run += (double)(held.ended - held.began);
    }
    bench_sample("submits alone", "ns/job", submit / (double)(times * HELD_JOBS));
    bench_sample("runs alone", "ns/job", run / (double)(times * HELD_JOBS));
    bench_app_close(app);
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    struct feed one = { .producers = 1, .jobs = 3000000, .backlog = 16384 };
    struct feed two = { .producers = 2, .jobs = 3000000, .backlog = 16384 };
    struct feed few = { .producers = 1, .jobs = 1000000, .backlog = 256 };
    struct feed lists = { .producers = 1, .jobs = 3000000, .backlog = 512, .list = true };
    measure_feed("1 producer 1 worker", 1, one);
    measure_feed("1 producer 2 workers", 2, one);
    measure_feed("2 producers 2 workers", 2, two);
    measure_feed("1 producer 1 worker backlog 256", 1, few);
    measure_feed("1 producer 1 worker lists of 64", 1, lists);
    measure_parts();
    return 0;
}
