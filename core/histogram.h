/* SPDX-License-Identifier: Apache-2.0 */
/* histogram.h - how often which latency: fixed memory, any number of writers, no lock
 *
 * Log-linear: each power of two is cut into 8 equal buckets, so that a value read back is at most
 * an eighth too high, from 1 ns to an hour. Below 16 it is exact. Larger values than the last
 * bucket's count as its largest; the maximum is kept exactly beside the buckets.
 *
 *      value   0 1 ... 15 | 16-17 18-19 ... 30-31 | 32-35 ... 60-63 | ... 2^41 .. 2^42-1
 *      index   0 1 ... 15 | 16    17    ... 23    | 24    ... 31    | ...           319
 *
 * The coarse one has a bucket per power of two, 32 in all, from a microsecond up: 256 bytes, small
 * enough for every session to have one.
 *
 * Every counter is a relaxed atomic: it counts, and carries no data; a reader gets some state
 * between the first and the last record that ran meanwhile, in which no record counts half. Read
 * after the writers were joined, it is exact. A record is one read-modify-write, a few ns while
 * the line is the writer's own, and a comparison: let each worker have its own, and merge to read.
 *
 * There is no counter of all records (it would be a second read-modify-write): whoever reads, adds
 * up. Rejected: 32 buckets per power of two, 4 times the memory for digits that no scheduler
 * reproduces; plain counters of a single writer, which a merging reader may not read.
 */
#ifndef CORE_HISTOGRAM_H
#define CORE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HISTOGRAM_SUB_BITS = 3,
    HISTOGRAM_SUB_BUCKETS = 1 << HISTOGRAM_SUB_BITS,
    HISTOGRAM_VALUE_BITS = 42,
    HISTOGRAM_BUCKETS = (HISTOGRAM_VALUE_BITS - HISTOGRAM_SUB_BITS + 1) * HISTOGRAM_SUB_BUCKETS,
    HISTOGRAM_COARSE_BUCKETS = 32,
    HISTOGRAM_COARSE_FIRST_BITS = 10, /* bucket 0 holds what is below 2^10 */
};

#define HISTOGRAM_VALUE_MAX ((UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1)

/* Zero bytes are an empty histogram. */
struct histogram {
    _Atomic uint64_t bucket[HISTOGRAM_BUCKETS];                /* A */
    _Atomic uint64_t max;                                      /* A */
};

struct histogram_coarse {
    _Atomic uint64_t bucket[HISTOGRAM_COARSE_BUCKETS];         /* A */
};

/* floor(log2(value)) for value > 0 */
static inline unsigned histogram_log2(uint64_t value)
{
    return 63u - (unsigned)__builtin_clzll(value);
}

/* Which bucket counts the value. */
static inline unsigned histogram_index(uint64_t value)
{
    if (value > HISTOGRAM_VALUE_MAX)
        value = HISTOGRAM_VALUE_MAX;
    if (value < HISTOGRAM_SUB_BUCKETS)
        return (unsigned)value;
    unsigned shift = histogram_log2(value) - HISTOGRAM_SUB_BITS;
    return (shift << HISTOGRAM_SUB_BITS) + (unsigned)(value >> shift);
}

static inline unsigned histogram_coarse_index(uint64_t value)
{
    unsigned bits = value == 0 ? 0 : histogram_log2(value) + 1;
    if (bits <= HISTOGRAM_COARSE_FIRST_BITS)
        return 0;
    unsigned index = bits - HISTOGRAM_COARSE_FIRST_BITS;
    return index < HISTOGRAM_COARSE_BUCKETS ? index : HISTOGRAM_COARSE_BUCKETS - 1;
}

/* The smallest and the largest value that the bucket counts. */
uint64_t histogram_bucket_low(unsigned index);
uint64_t histogram_bucket_high(unsigned index);
uint64_t histogram_coarse_bucket_low(unsigned index);
uint64_t histogram_coarse_bucket_high(unsigned index);

void histogram_raise_max(struct histogram *h, uint64_t value);

/* n times the same value, at the price of one. */
static inline void histogram_record_many(struct histogram *h, uint64_t value, uint64_t n)
{
    /* relaxed, both: counters, see above */
    (void)atomic_fetch_add_explicit(&h->bucket[histogram_index(value)], n, memory_order_relaxed);
    if (value > atomic_load_explicit(&h->max, memory_order_relaxed) && n > 0)
        histogram_raise_max(h, value);
}

static inline void histogram_record(struct histogram *h, uint64_t value)
{
    histogram_record_many(h, value, 1);
}

static inline void histogram_coarse_record_many(struct histogram_coarse *h, uint64_t value,
                                                uint64_t n)
{
    /* relaxed: a counter, see above */
    (void)atomic_fetch_add_explicit(&h->bucket[histogram_coarse_index(value)], n,
                                    memory_order_relaxed);
}

static inline void histogram_coarse_record(struct histogram_coarse *h, uint64_t value)
{
    histogram_coarse_record_many(h, value, 1);
}

uint64_t histogram_count(const struct histogram *h);
uint64_t histogram_coarse_count(const struct histogram_coarse *h);

/* The largest value recorded, exactly; 0 when there is none. */
uint64_t histogram_max(const struct histogram *h);

/* A value that at least percent (0 to 100) of all records are not above: the upper end of the
 * bucket in which the last of them falls, never more than the maximum. 0 without records. */
uint64_t histogram_percentile(const struct histogram *h, double percent);
uint64_t histogram_coarse_percentile(const struct histogram_coarse *h, double percent);

/* Adds from to into. Both may be written meanwhile; what is recorded later is simply not in it. */
void histogram_merge(struct histogram *into, const struct histogram *from);
void histogram_coarse_merge(struct histogram_coarse *into, const struct histogram_coarse *from);

/* Empties it. A record that runs meanwhile may survive or not. */
void histogram_reset(struct histogram *h);
void histogram_coarse_reset(struct histogram_coarse *h);

/* Nanoseconds for people, such as "12.3 us": three digits and a unit. */
enum { HISTOGRAM_NS_TEXT = 16 };
void histogram_format_ns(uint64_t ns, char text[HISTOGRAM_NS_TEXT]);

/* A drawing with one row per power of two, from the first to the last that is not empty, and a line
 * with count, p50, p90, p99, p99.9 and maximum:
 *
 *        512 ns - 1.02 us |##########                              |      1024  20.0 %
 *       1.02 us - 2.05 us |########################################|      4096  80.0 %
 *      count 5120  p50 1.41 us  p90 ...
 *
 * As snprintf: writes at most size bytes, the terminating zero included, and answers the length of
 * the whole. */
size_t histogram_render(const struct histogram *h, char *text, size_t size);
size_t histogram_coarse_render(const struct histogram_coarse *h, char *text, size_t size);

#endif
