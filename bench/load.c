/* SPDX-License-Identifier: Apache-2.0
 *
 * load.c - see load.h
 */
#include "load.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

enum { LAPS = 8, LOOK_EVERY_NS = 4000 };

/* A part of a producer's ring. Producer: the only one to touch submitted; each thread of the pool has its tally. */
struct lap {
    struct tally tally[BENCH_THREADS_MAX];
    uint64_t submitted;
    size_t size;
    weir_job *job;
    weir_job **list;
};

struct producer {
    const struct feed *feed;
    size_t jobs;
    struct lap *lap;
    int64_t began, ended;
};

/* ---- feed ---- */

static void job_count(weir_job *job, weir_status status)
{
    struct lap *lap = job->ctx;
    bench_must(status, "run a job");
    tally_add(&lap->tally[bench_thread()]);                            /* seen in lap_is_over: the job is free */
}

static bool lap_is_over(struct lap *lap)
{
    uint64_t ran = 0;
    for (unsigned i = 0; i < BENCH_THREADS_MAX; i++)
        ran += tally_read(&lap->tally[i]);
    bench_check(ran <= lap->submitted, "a job ran more often than it was submitted");
    return ran == lap->submitted;
}

static void lap_await(struct lap *lap)
{
    while (!lap_is_over(lap)) {
        bench_spin(LOOK_EVERY_NS);
        sched_yield();         /* on a loaded machine the worker may be waiting for this very processor */
    }
}

static void lap_init(struct lap *lap, size_t size)
{
    lap->size = size;
    lap->job = bench_alloc(size * sizeof *lap->job);
    lap->list = bench_alloc(size * sizeof(weir_job *));
    for (size_t i = 0; i < size; i++) {
        lap->job[i] = (weir_job){ .fn = job_count, .ctx = lap };
        lap->list[i] = &lap->job[i];
    }
}

static void lap_submit(struct lap *lap, const struct feed *feed)
{
    size_t accepted;
    if (feed->list)
        bench_must(weir_job_submit_list(feed->queue, lap->list, lap->size, &accepted), "submit a list");
    for (size_t i = 0; !feed->list && i < lap->size; i++)
        bench_must(weir_job_submit(feed->queue, &lap->job[i]), "submit");
    lap->submitted += lap->size;
}

static void *producer_run(void *ctx)
{
    struct producer *producer = ctx;
    producer->began = bench_now();
    for (size_t n = 0, sent = 0; sent < producer->jobs; n++) {
        struct lap *lap = &producer->lap[n % LAPS];
        lap_await(lap);
        lap_submit(lap, producer->feed);
        sent += lap->size;
    }
    for (size_t i = 0; i < LAPS; i++)
        lap_await(&producer->lap[i]);
    producer->ended = bench_now();
    return NULL;
}

static double feed_once(struct producer *producer, unsigned producers, size_t jobs)
{
    pthread_t thread[FEED_PRODUCERS_MAX];
    for (unsigned i = 0; i < producers; i++) {
        producer[i].jobs = jobs / producers;
        bench_check(pthread_create(&thread[i], NULL, producer_run, &producer[i]) == 0, "no thread");
    }
    for (unsigned i = 0; i < producers; i++)
        pthread_join(thread[i], NULL);
    int64_t began = producer[0].began, ended = producer[0].ended;
    for (unsigned i = 1; i < producers; i++) {
        began = producer[i].began < began ? producer[i].began : began;
        ended = producer[i].ended > ended ? producer[i].ended : ended;
    }
    return (double)(ended - began) / (double)jobs;
}

double feed_run(const struct feed *feed)
{
    struct producer producer[FEED_PRODUCERS_MAX] = { 0 };
    bench_check(feed->producers <= FEED_PRODUCERS_MAX && feed->backlog % LAPS == 0, "no such feed");
    for (unsigned i = 0; i < feed->producers; i++) {
        producer[i].feed = feed;
        producer[i].lap = bench_alloc(LAPS * sizeof *producer[i].lap);
        for (size_t k = 0; k < LAPS; k++)
            lap_init(&producer[i].lap[k], feed->backlog / LAPS);
    }
    feed_once(producer, feed->producers, feed->jobs / 10);             /* warm-up */
    return feed_once(producer, feed->producers, feed->jobs);
}

/* ---- burst ---- */

/* Touched by the one worker only, but for done. */
struct burst {
    weir_queue queue;
    size_t size;
    size_t running;            /* jobs of this burst that have not run */
    size_t bursts;             /* still to be submitted */
    int64_t began, ended;
    weir_job *job;
    struct flag done;
};

static void burst_submit(struct burst *burst)
{
    burst->bursts--;
    burst->running = burst->size;
    for (size_t i = 0; i < burst->size; i++)
        bench_must(weir_job_submit(burst->queue, &burst->job[i]), "submit on a worker");
}

static void burst_job(weir_job *job, weir_status status)
{
    struct burst *burst = job->ctx;
    bench_must(status, "run a job of a burst");
    if (--burst->running > 0)
        return;
    if (burst->bursts > 0) {
        burst_submit(burst);
        return;
    }
    burst->ended = bench_now();
    flag_raise(&burst->done);
}

static void burst_begin(weir_job *job, weir_status status)
{
    struct burst *burst = job->ctx;
    bench_must(status, "begin a burst");
    burst->began = bench_now();
    burst_submit(burst);
}

static double burst_once(struct burst *burst, size_t jobs)
{
    weir_job first = { .fn = burst_begin, .ctx = burst };
    burst->bursts = jobs / burst->size;
    size_t total = burst->bursts * burst->size;
    bench_must(weir_job_submit(burst->queue, &first), "submit the first job");
    flag_await(&burst->done);
    return (double)(burst->ended - burst->began) / (double)total;
}

double burst_run(weir_queue queue, size_t size, size_t jobs)
{
    bench_check(size > 0 && jobs >= 10 * size, "no such burst");
    struct burst *burst = bench_alloc(sizeof *burst);
    burst->queue = queue;
    burst->size = size;
    burst->job = bench_alloc(size * sizeof *burst->job);
    for (size_t i = 0; i < size; i++)
        burst->job[i] = (weir_job){ .fn = burst_job, .ctx = burst };
    burst_once(burst, jobs / 10);                                      /* warm-up */
    return burst_once(burst, jobs);
}

/* ---- tree ---- */

struct node {
    weir_job job;
    unsigned depth;
};

static void tree_run(unsigned depth);

static void node_run(weir_job *job, weir_status status)
{
    (void)status;
    tree_run(((struct node *)job)->depth);
}

static void tree_run(unsigned depth)
{
    if (depth == 0)
        return;
    struct node left = { .job = { .fn = node_run }, .depth = depth - 1 };
    weir_fork(&left.job);
    tree_run(depth - 1);
    weir_join(&left.job);
}

static void root_run(weir_job *job, weir_status status)
{
    bench_must(status, "run the root");
    tree_run(*(unsigned *)job->ctx);
}

double tree_time(weir_app app, unsigned depth, bool lend)
{
    int64_t began = bench_now();
    bench_must(weir_app_run(app, root_run, &depth, lend), "run a tree");
    return (double)(bench_now() - began) / (double)(1u << depth);
}
