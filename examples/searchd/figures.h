/* SPDX-License-Identifier: Apache-2.0
 *
 * figures.h - what searchd counts and measures by itself
 *
 * Counters are relaxed: each is exact, but two of them may be read a moment apart. The library keeps its own account
 * (weir_app_stats); that both say the same is checked when the server ends.
 */
#ifndef SEARCHD_FIGURES_H
#define SEARCHD_FIGURES_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

/* Eight buckets for each power of two: a percentile is at most an eighth too high. */
enum { HISTOGRAM_BUCKETS = 8 * 40, HISTOGRAM_OCTAVES = 32 };

struct histogram {
    _Atomic uint64_t count, max;
    _Atomic uint64_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, int64_t ns);
uint64_t histogram_percentile(const struct histogram *histogram, double part);   /* 0.5: the median */

/* Counts by powers of two: out[i] of them took less than 2^(10 + i) ns, and not less than half of that. */
void histogram_octaves(const struct histogram *histogram, uint64_t out[HISTOGRAM_OCTAVES]);

/* What an operation was doing when it was cancelled. */
enum state { STATE_QUEUED, STATE_RUNNING, STATE_PARKED, STATES };

struct figures {
    _Atomic uint64_t connections, sessions;                  /* now */
    _Atomic uint64_t searches_started, searches_complete, searches_cancelled, searches_timed_out, searches_failed;
    _Atomic uint64_t accepted, completed, cancelled, timed_out, failed;      /* operations, by their finals */
    _Atomic uint64_t posted, sent, dropped;                  /* chunks of lines: posted == sent + dropped in the end */
    _Atomic uint64_t chunk_bytes, chunk_bytes_most;          /* held by chunks: now, and the most so far */
    _Atomic uint64_t files, files_open, matches, skipped;
    struct histogram cancel[STATES];                         /* cancel to final */
    struct histogram barrier;                                /* close of a session with operations to its callback */
};

/* One server in a process: one set of figures. */
extern struct figures figures;

static inline void count_add(_Atomic uint64_t *counter, uint64_t n)
{
    (void)atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline void count_take(_Atomic uint64_t *counter, uint64_t n)
{
    (void)atomic_fetch_sub_explicit(counter, n, memory_order_relaxed);
}

static inline uint64_t count_of(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* *most is the highest that it was told. */
void count_most(_Atomic uint64_t *most, uint64_t value);

static inline int64_t time_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
