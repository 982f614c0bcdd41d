/* SPDX-License-Identifier: Apache-2.0
 *
 * load.h - three ways to keep a pool busy with nothing
 *
 * feed: producers outside of the pool submit one job after the other. Each has a ring of jobs that it uses over and
 * over, so that the jobs stay in the cache as those of a server would, and so that the backlog is bounded. The ring is
 * cut into laps; a lap is submitted again when every job of its last time has run. An empty job therefore has to say
 * that it ran: it adds one to a counter of its own thread (a load and a store, no read-modify-write). A producer that
 * must wait looks at these counters only every few microseconds, since each look takes the line from the worker.
 *
 * burst: a job on a worker submits a number of empty jobs and returns; the last of them to run submits the next burst.
 * For pools of one worker.
 *
 * tree: forks and joins. Each inner node forks its left half, calls its right half, and joins; leaves are empty.
 */
#ifndef WEIR_BENCH_LOAD_H
#define WEIR_BENCH_LOAD_H

#include "harness.h"

enum { FEED_PRODUCERS_MAX = 2 };

struct feed {
    weir_queue queue;
    unsigned producers;
    size_t jobs;               /* of all producers together */
    size_t backlog;            /* of each producer: size of its ring; a multiple of 16 */
    bool list;                 /* submit a lap at a time with weir_job_submit_list() */
};

/** feed_run - time from the first submit until the last job has run, in ns per job */
double feed_run(const struct feed *feed);

/** burst_run - time on the worker, in ns per job; @size jobs in each burst, @jobs in all */
double burst_run(weir_queue queue, size_t size, size_t jobs);

/** tree_time - time for a tree with 2^@depth leaves, in ns per leaf; @lend: on the calling thread, too */
double tree_time(weir_app app, unsigned depth, bool lend);

#endif
