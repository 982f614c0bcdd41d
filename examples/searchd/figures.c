/* SPDX-License-Identifier: Apache-2.0 */
#include "figures.h"

struct figures figures;

static unsigned highest_bit(uint64_t value)
{
    return 63 - (unsigned)__builtin_clzll(value | 1);
}

/* Values below 16 have buckets of their own; above, three bits follow the highest one. */
static unsigned bucket_of(uint64_t ns)
{
    if (ns < 16)
        return (unsigned)ns;
    unsigned high = highest_bit(ns), bucket = (high - 2) * 8 + (unsigned)((ns >> (high - 3)) & 7);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The least value that is too high for the bucket. */
static uint64_t bucket_end(unsigned bucket)
{
    if (bucket < 16)
        return bucket + UINT64_C(1);
    return (UINT64_C(8) + bucket % 8 + 1) << (bucket / 8 - 1);
}

void count_most(_Atomic uint64_t *most, uint64_t value)
{
    uint64_t seen = count_of(most);
    while (seen < value && !atomic_compare_exchange_weak_explicit(most, &seen, value, memory_order_relaxed,
                                                                  memory_order_relaxed))
        ;
}

void histogram_add(struct histogram *histogram, int64_t ns)
{
    uint64_t value = ns > 0 ? (uint64_t)ns : 0;
    count_add(&histogram->bucket[bucket_of(value)], 1);
    count_add(&histogram->count, 1);
    count_most(&histogram->max, value);
}

uint64_t histogram_percentile(const struct histogram *histogram, double part)
{
    uint64_t count = count_of(&histogram->count), max = count_of(&histogram->max), seen = 0;
    uint64_t wanted = (uint64_t)((double)count * part);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += count_of(&histogram->bucket[i]);
        if (seen > wanted)
            return bucket_end(i) < max ? bucket_end(i) : max;
    }
    return max;
}

void histogram_octaves(const struct histogram *histogram, uint64_t out[HISTOGRAM_OCTAVES])
{
    for (unsigned i = 0; i < HISTOGRAM_OCTAVES; i++)
        out[i] = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        unsigned high = highest_bit(bucket_end(i) - 1);
        unsigned octave = high < 10 ? 0 : high - 9;
        out[octave < HISTOGRAM_OCTAVES ? octave : HISTOGRAM_OCTAVES - 1] += count_of(&histogram->bucket[i]);
    }
}
