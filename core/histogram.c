/* SPDX-License-Identifier: Apache-2.0 */
/* histogram.c - reading, merging and drawing; histogram.h has the recording half
 *
 * Both kinds are read through the same small functions over an array of counters. All orders are
 * relaxed: the counters carry no data, and a reader needs no two of them to be of the same moment.
 */
#include "core/histogram.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/verify.h"

static_assert(HISTOGRAM_BUCKETS == 320, "8 buckets for each of 40 powers of two: 2560 bytes");

typedef const _Atomic uint64_t counters;

static uint64_t read_counter(counters *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- buckets and values ---- */

uint64_t histogram_bucket_low(unsigned index)
{
    weir_assert(index <= HISTOGRAM_BUCKETS);
    if (index < 2 * HISTOGRAM_SUB_BUCKETS)
        return index;
    unsigned shift = (index >> HISTOGRAM_SUB_BITS) - 1;
    return (uint64_t)(index - (shift << HISTOGRAM_SUB_BITS)) << shift;
}

uint64_t histogram_bucket_high(unsigned index)
{
    return histogram_bucket_low(index + 1) - 1;
}

uint64_t histogram_coarse_bucket_low(unsigned index)
{
    weir_assert(index < HISTOGRAM_COARSE_BUCKETS);
    return index == 0 ? 0 : UINT64_C(1) << (index + HISTOGRAM_COARSE_FIRST_BITS - 1);
}

uint64_t histogram_coarse_bucket_high(unsigned index)
{
    weir_assert(index < HISTOGRAM_COARSE_BUCKETS);
    return (UINT64_C(1) << (index + HISTOGRAM_COARSE_FIRST_BITS)) - 1;
}

void histogram_raise_max(struct histogram *h, uint64_t value)
{
    uint64_t old = read_counter(&h->max);
    bool raised = false;
    while (!raised && old < value)
        raised = atomic_compare_exchange_weak_explicit(&h->max, &old, value, memory_order_relaxed,
                                                       memory_order_relaxed);
}

/* ---- over an array of counters, fine or coarse ---- */

static uint64_t sum_of(counters *bucket, unsigned count)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += read_counter(&bucket[i]);
    return sum;
}

/* The bucket in which the rank-th smallest record lies, rank from 1; the last bucket when counters
 * shrank meanwhile (a reset). */
static unsigned find_rank(counters *bucket, unsigned count, uint64_t rank)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < count; i++) {
        seen += read_counter(&bucket[i]);
        if (seen >= rank)
            return i;
    }
    return count - 1;
}

/* How many of total records make up percent of them: at least 1, at most total. 99.9 is no binary
 * fraction; without the slack, 99.9 % of 1000 could round up to all of them. */
static uint64_t rank_of(double percent, uint64_t total)
{
    const double slack = 1e-12;
    double exact = percent / 100.0 * (double)total * (1.0 - slack);
    if (!(exact > 1.0)) /* also when it is not a number */
        return 1;
    if (percent >= 100.0)
        return total;
    uint64_t rank = (uint64_t)exact;
    return (double)rank < exact ? rank + 1 : rank;
}

static void add_all(_Atomic uint64_t *into, counters *from, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t n = read_counter(&from[i]);
        if (n != 0)
            (void)atomic_fetch_add_explicit(&into[i], n, memory_order_relaxed);
    }
}

static void clear_all(_Atomic uint64_t *bucket, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        atomic_store_explicit(&bucket[i], 0, memory_order_relaxed);
}

/* ---- the fine histogram ---- */

uint64_t histogram_count(const struct histogram *h)
{
    return sum_of(h->bucket, HISTOGRAM_BUCKETS);
}

uint64_t histogram_max(const struct histogram *h)
{
    return read_counter(&h->max);
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
    uint64_t total = histogram_count(h);
    if (total == 0)
        return 0;
    unsigned index = find_rank(h->bucket, HISTOGRAM_BUCKETS, rank_of(percent, total));
    uint64_t high = histogram_bucket_high(index);
    uint64_t max = histogram_max(h);
    return index == HISTOGRAM_BUCKETS - 1 || max < high ? max : high;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    add_all(into->bucket, from->bucket, HISTOGRAM_BUCKETS);
    histogram_raise_max(into, histogram_max(from));
}

void histogram_reset(struct histogram *h)
{
    clear_all(h->bucket, HISTOGRAM_BUCKETS);
    atomic_store_explicit(&h->max, 0, memory_order_relaxed);
}

/* ---- the coarse one ---- */

uint64_t histogram_coarse_count(const struct histogram_coarse *h)
{
    return sum_of(h->bucket, HISTOGRAM_COARSE_BUCKETS);
}

uint64_t histogram_coarse_percentile(const struct histogram_coarse *h, double percent)
{
    uint64_t total = histogram_coarse_count(h);
    if (total == 0)
        return 0;
    unsigned index = find_rank(h->bucket, HISTOGRAM_COARSE_BUCKETS, rank_of(percent, total));
    return histogram_coarse_bucket_high(index);
}

void histogram_coarse_merge(struct histogram_coarse *into, const struct histogram_coarse *from)
{
    add_all(into->bucket, from->bucket, HISTOGRAM_COARSE_BUCKETS);
}

void histogram_coarse_reset(struct histogram_coarse *h)
{
    clear_all(h->bucket, HISTOGRAM_COARSE_BUCKETS);
}

/* ---- drawing ---- */

enum { ROWS_MAX = HISTOGRAM_VALUE_BITS + 1, BAR_WIDTH = 40 };

/* What is drawn: a copy, so that the bars and the percentages belong together. */
struct drawing {
    uint64_t count[ROWS_MAX];
    uint64_t low[ROWS_MAX + 1]; /* row i holds low[i] to low[i + 1] */
    unsigned rows;
};

/* Where text goes, as snprintf counts: length grows on when the room has ended. */
struct text {
    char *start;
    size_t size;
    size_t length;
};

static void append(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(struct text *t, const char *format, ...)
{
    size_t used = t->length < t->size ? t->length : t->size;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(t->size > used ? t->start + used : NULL, t->size - used, format, arguments);
    va_end(arguments);
    t->length += n > 0 ? (size_t)n : 0;
}

void histogram_format_ns(uint64_t ns, char text[HISTOGRAM_NS_TEXT])
{
    static const char *const unit[] = {"us", "ms", "s"};
    if (ns < 1000) {
        (void)snprintf(text, HISTOGRAM_NS_TEXT, "%u ns", (unsigned)ns);
        return;
    }
    double value = (double)ns / 1000.0;
    unsigned u = 0;
    for (; value >= 999.5 && u < 2; u++)
        value /= 1000.0;
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    (void)snprintf(text, HISTOGRAM_NS_TEXT, "%.*f %s", decimals, value, unit[u]);
}

/* Row 0 is everything below 8 ns; a row ends where the next power of two begins. */
static void draw_fine(struct drawing *d, const struct histogram *h)
{
    d->rows = HISTOGRAM_BUCKETS / HISTOGRAM_SUB_BUCKETS;
    for (unsigned row = 0; row <= d->rows; row++)
        d->low[row] = histogram_bucket_low(row * HISTOGRAM_SUB_BUCKETS);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        d->count[i / HISTOGRAM_SUB_BUCKETS] += read_counter(&h->bucket[i]);
}

static void draw_coarse(struct drawing *d, const struct histogram_coarse *h)
{
    d->rows = HISTOGRAM_COARSE_BUCKETS;
    for (unsigned row = 0; row < d->rows; row++) {
        d->low[row] = histogram_coarse_bucket_low(row);
        d->count[row] = read_counter(&h->bucket[row]);
    }
    d->low[d->rows] = histogram_coarse_bucket_high(d->rows - 1) + 1;
}

static void append_row(struct text *t, const struct drawing *d, unsigned row, uint64_t highest,
                       uint64_t total)
{
    static const char bar[BAR_WIDTH + 1] = "########################################";
    char low[HISTOGRAM_NS_TEXT];
    char high[HISTOGRAM_NS_TEXT];
    histogram_format_ns(d->low[row], low);
    histogram_format_ns(d->low[row + 1], high);
    double share = (double)d->count[row] / (double)highest;
    int length = d->count[row] == 0 ? 0 : 1 + (int)(share * (BAR_WIDTH - 1)); /* one is visible */
    append(t, "%10s - %7s |%-*.*s|%10llu %5.1f %%\n", low, high, BAR_WIDTH, length, bar,
           (unsigned long long)d->count[row], 100.0 * (double)d->count[row] / (double)total);
}

/* From the first to the last row that is not empty. Answers how many records were drawn. */
static uint64_t append_rows(struct text *t, const struct drawing *d)
{
    unsigned first = d->rows;
    unsigned last = 0;
    uint64_t total = 0;
    uint64_t highest = 0;
    for (unsigned row = 0; row < d->rows; row++) {
        if (d->count[row] == 0)
            continue;
        first = row < first ? row : first;
        last = row;
        total += d->count[row];
        highest = d->count[row] > highest ? d->count[row] : highest;
    }
    for (unsigned row = first; row <= last; row++)
        append_row(t, d, row, highest, total);
    return total;
}

static const struct {
    const char *name;
    double percent;
} summary[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"max", 100}};

enum { SUMMARY = sizeof(summary) / sizeof(summary[0]) };

static size_t append_summary(struct text *t, uint64_t count, const uint64_t value[SUMMARY])
{
    append(t, "     count %llu", (unsigned long long)count);
    for (unsigned i = 0; i < SUMMARY && count > 0; i++) {
        char ns[HISTOGRAM_NS_TEXT];
        histogram_format_ns(value[i], ns);
        append(t, "  %s %s", summary[i].name, ns);
    }
    append(t, "\n");
    return t->length;
}

size_t histogram_render(const struct histogram *h, char *text, size_t size)
{
    struct text t = {text, size, 0};
    struct drawing d = {.rows = 0};
    uint64_t value[SUMMARY];
    draw_fine(&d, h);
    for (unsigned i = 0; i < SUMMARY; i++)
        value[i] = histogram_percentile(h, summary[i].percent);
    return append_summary(&t, append_rows(&t, &d), value);
}

size_t histogram_coarse_render(const struct histogram_coarse *h, char *text, size_t size)
{
    struct text t = {text, size, 0};
    struct drawing d = {.rows = 0};
    uint64_t value[SUMMARY];
    draw_coarse(&d, h);
    for (unsigned i = 0; i < SUMMARY; i++)
        value[i] = histogram_coarse_percentile(h, summary[i].percent);
    return append_summary(&t, append_rows(&t, &d), value);
}
