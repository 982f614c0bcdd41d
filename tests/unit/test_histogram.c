/* SPDX-License-Identifier: Apache-2.0 */
/* test_histogram.c - the buckets cover everything, and the answers agree with a sorted array */

#include "core/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/support.h"

enum { SAMPLES = 5000, THREADS = 4, RECORDS = 20000 };

static struct histogram h;
static struct histogram_coarse c;

static int start_empty(void **unused)
{
    (void)unused;
    histogram_reset(&h);
    histogram_coarse_reset(&c);
    return 0;
}

/* Values of every size up to 2^bits alike: a random number of random bits. */
static uint64_t random_value(uint64_t *seed, unsigned bits)
{
    uint64_t value = test_random(seed);
    return value >> (64 - 1 - test_random(seed) % bits);
}

/* ---- buckets ---- */

static void small_values_have_a_bucket_each(void **unused)
{
    (void)unused;
    for (uint64_t value = 0; value < 16; value++) {
        assert_int_equal(histogram_index(value), value);
        assert_int_equal(histogram_bucket_low((unsigned)value), value);
        assert_int_equal(histogram_bucket_high((unsigned)value), value);
    }
}

static void buckets_follow_each_other_without_a_gap(void **unused)
{
    (void)unused;
    assert_int_equal(histogram_bucket_low(0), 0);
    for (unsigned i = 1; i < HISTOGRAM_BUCKETS; i++)
        assert_int_equal(histogram_bucket_low(i), histogram_bucket_high(i - 1) + 1);
    assert_true(histogram_bucket_high(HISTOGRAM_BUCKETS - 1) == HISTOGRAM_VALUE_MAX);
}

static void both_ends_of_a_bucket_are_counted_in_it(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        assert_int_equal(histogram_index(histogram_bucket_low(i)), i);
        assert_int_equal(histogram_index(histogram_bucket_high(i)), i);
    }
}

static void a_bucket_is_at_most_an_eighth_of_its_values_wide(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t low = histogram_bucket_low(i);
        assert_true(histogram_bucket_high(i) - low <= low / 8);
    }
}

static void values_that_are_too_large_count_as_the_largest(void **unused)
{
    (void)unused;
    assert_int_equal(histogram_index(HISTOGRAM_VALUE_MAX), HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_index(HISTOGRAM_VALUE_MAX + 1), HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_index(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void coarse_buckets_double(void **unused)
{
    (void)unused;
    assert_int_equal(histogram_coarse_index(0), 0);
    assert_int_equal(histogram_coarse_index(1023), 0);
    for (unsigned i = 1; i < HISTOGRAM_COARSE_BUCKETS; i++) {
        assert_int_equal(histogram_coarse_bucket_low(i), UINT64_C(512) << i);
        assert_int_equal(histogram_coarse_bucket_low(i), histogram_coarse_bucket_high(i - 1) + 1);
        assert_int_equal(histogram_coarse_index(histogram_coarse_bucket_low(i)), i);
        assert_int_equal(histogram_coarse_index(histogram_coarse_bucket_high(i)), i);
    }
    assert_int_equal(histogram_coarse_index(UINT64_MAX), HISTOGRAM_COARSE_BUCKETS - 1);
}

/* ---- counting ---- */

static void an_empty_histogram_answers_zero(void **unused)
{
    (void)unused;
    assert_int_equal(histogram_count(&h), 0);
    assert_int_equal(histogram_max(&h), 0);
    assert_int_equal(histogram_percentile(&h, 50), 0);
    assert_int_equal(histogram_coarse_count(&c), 0);
    assert_int_equal(histogram_coarse_percentile(&c, 50), 0);
}

static void one_record_is_every_percentile(void **unused)
{
    (void)unused;
    histogram_record(&h, 1000003);
    assert_int_equal(histogram_count(&h), 1);
    assert_int_equal(histogram_percentile(&h, 0), 1000003);
    assert_int_equal(histogram_percentile(&h, 50), 1000003);
    assert_int_equal(histogram_percentile(&h, 100), 1000003);
}

static void the_maximum_is_exact_however_large(void **unused)
{
    (void)unused;
    histogram_record(&h, UINT64_MAX - 1);
    histogram_record(&h, 5);
    assert_true(histogram_max(&h) == UINT64_MAX - 1);
    assert_true(histogram_percentile(&h, 100) == UINT64_MAX - 1);
    assert_int_equal(histogram_percentile(&h, 50), 5);
}

static void many_at_once_count_as_many(void **unused)
{
    (void)unused;
    histogram_record_many(&h, 10, 99);
    histogram_record_many(&h, 15, 1);
    histogram_record_many(&h, 1000, 0); /* nobody had it */
    assert_int_equal(histogram_count(&h), 100);
    assert_int_equal(histogram_percentile(&h, 99), 10);
    assert_int_equal(histogram_percentile(&h, 99.1), 15);
    assert_int_equal(histogram_max(&h), 15);
}

static void percentages_outside_of_the_scale_mean_its_ends(void **unused)
{
    (void)unused;
    histogram_record(&h, 3);
    histogram_record(&h, 9);
    assert_int_equal(histogram_percentile(&h, -5), 3);
    assert_int_equal(histogram_percentile(&h, 0.0 / (double)histogram_index(0)), 3); /* NaN */
    assert_int_equal(histogram_percentile(&h, 500), 9);
}

static int compare_values(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The value at a percentage, by the definition: the smallest that so many are not above. */
static uint64_t exact_percentile(const uint64_t *sorted, int permille)
{
    int rank = (permille * SAMPLES + 999) / 1000;
    return sorted[rank > 0 ? rank - 1 : 0];
}

static void percentiles_agree_with_a_sorted_array(void **unused)
{
    (void)unused;
    static uint64_t sorted[SAMPLES];
    uint64_t seed = test_seed();
    for (int i = 0; i < SAMPLES; i++) {
        sorted[i] = random_value(&seed, HISTOGRAM_VALUE_BITS);
        histogram_record(&h, sorted[i]);
    }
    qsort(sorted, SAMPLES, sizeof(sorted[0]), compare_values);
    for (int permille = 0; permille <= 1000; permille++) {
        uint64_t exact = exact_percentile(sorted, permille);
        uint64_t answer = histogram_percentile(&h, permille / 10.0);
        assert_true(exact <= answer && answer <= exact + exact / 8);
    }
    assert_int_equal(histogram_max(&h), sorted[SAMPLES - 1]);
}

static void coarse_percentiles_are_less_than_twice_too_high(void **unused)
{
    (void)unused;
    static uint64_t sorted[SAMPLES];
    uint64_t seed = test_seed() + 1;
    for (int i = 0; i < SAMPLES; i++) {
        sorted[i] = 512 + random_value(&seed, 40) / 2;
        histogram_coarse_record(&c, sorted[i]);
    }
    qsort(sorted, SAMPLES, sizeof(sorted[0]), compare_values);
    assert_int_equal(histogram_coarse_count(&c), SAMPLES);
    for (int permille = 0; permille <= 1000; permille++) {
        uint64_t exact = exact_percentile(sorted, permille);
        uint64_t answer = histogram_coarse_percentile(&c, permille / 10.0);
        assert_true(exact <= answer && answer < 2 * exact);
    }
}

static void a_merge_adds_counts_and_keeps_the_larger_maximum(void **unused)
{
    (void)unused;
    static struct histogram other;
    histogram_reset(&other);
    histogram_record_many(&h, 10, 3);
    histogram_record_many(&other, 10, 2);
    histogram_record(&other, 5000);
    histogram_merge(&h, &other);
    assert_int_equal(histogram_count(&h), 6);
    assert_int_equal(histogram_max(&h), 5000);
    assert_int_equal(histogram_percentile(&h, 80), 10);
    histogram_merge(&other, &(struct histogram){.max = 1});
    assert_int_equal(histogram_max(&other), 5000);
    assert_int_equal(histogram_count(&other), 3);
}

static void a_coarse_merge_adds_counts(void **unused)
{
    (void)unused;
    struct histogram_coarse other = {.bucket = {[3] = 4}};
    histogram_coarse_record_many(&c, 5000, 2); /* bucket 3: 4096 to 8191 */
    histogram_coarse_merge(&c, &other);
    assert_int_equal(histogram_coarse_count(&c), 6);
    assert_int_equal(histogram_coarse_percentile(&c, 100), 8191);
}

static void a_reset_forgets_everything(void **unused)
{
    (void)unused;
    histogram_record(&h, 77);
    histogram_coarse_record(&c, 77);
    histogram_reset(&h);
    histogram_coarse_reset(&c);
    assert_int_equal(histogram_count(&h), 0);
    assert_int_equal(histogram_max(&h), 0);
    assert_int_equal(histogram_coarse_count(&c), 0);
}

static _Atomic uint64_t next_writer;

static void *record_own_values(void *unused)
{
    (void)unused;
    uint64_t me = atomic_fetch_add(&next_writer, 1);
    for (uint64_t i = 1; i <= RECORDS; i++) {
        histogram_record(&h, i * THREADS + me);
        histogram_coarse_record(&c, i * THREADS + me);
    }
    return NULL;
}

static void several_writers_lose_no_record(void **unused)
{
    (void)unused;
    pthread_t thread[THREADS];
    atomic_store(&next_writer, 0);
    for (int i = 0; i < THREADS; i++)
        thread[i] = thread_start(record_own_values, NULL);
    while (histogram_count(&h) < RECORDS) /* reading beside them is legal */
        assert_true(histogram_percentile(&h, 50) <= (uint64_t)RECORDS * THREADS * 2);
    for (int i = 0; i < THREADS; i++)
        thread_join(thread[i]);
    assert_int_equal(histogram_count(&h), THREADS * RECORDS);
    assert_int_equal(histogram_coarse_count(&c), THREADS * RECORDS);
    assert_int_equal(histogram_max(&h), RECORDS * THREADS + THREADS - 1);
}

/* ---- text ---- */

static void times_are_written_with_three_digits_and_a_unit(void **unused)
{
    (void)unused;
    static const struct {
        uint64_t ns;
        const char *text;
    } cases[] = {
        {0, "0 ns"},          {999, "999 ns"},        {1000, "1.00 us"},
        {1234, "1.23 us"},    {9994, "9.99 us"},      {9996, "10.0 us"},
        {12345, "12.3 us"},   {99960, "100 us"},      {123456, "123 us"},
        {999400, "999 us"},   {999600, "1.00 ms"},    {1234567, "1.23 ms"},
        {5000000000, "5.00 s"}, {60000000000, "60.0 s"}, {3600000000000, "3600 s"},
        {UINT64_MAX, "18446744074 s"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[HISTOGRAM_NS_TEXT];
        histogram_format_ns(cases[i].ns, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void a_drawing_has_a_row_per_power_of_two(void **unused)
{
    (void)unused;
    char text[1024];
    histogram_record_many(&h, 600, 20);
    histogram_record_many(&h, 3000, 80);
    size_t length = histogram_render(&h, text, sizeof(text));
    assert_int_equal(length, strlen(text));
    assert_string_equal(
        text,
        "    512 ns - 1.02 us |##########                              |        20  20.0 %\n"
        "   1.02 us - 2.05 us |                                        |         0   0.0 %\n"
        "   2.05 us - 4.10 us |########################################|        80  80.0 %\n"
        "     count 100  p50 3.00 us  p90 3.00 us  p99 3.00 us  p99.9 3.00 us  max 3.00 us\n");
}

static void a_coarse_drawing_looks_the_same(void **unused)
{
    (void)unused;
    char text[1024];
    histogram_coarse_record(&c, 100);
    size_t length = histogram_coarse_render(&c, text, sizeof(text));
    assert_int_equal(length, strlen(text));
    assert_string_equal(
        text,
        "      0 ns - 1.02 us |########################################|         1 100.0 %\n"
        "     count 1  p50 1.02 us  p90 1.02 us  p99 1.02 us  p99.9 1.02 us  max 1.02 us\n");
}

static void a_drawing_of_nothing_says_so(void **unused)
{
    (void)unused;
    char text[256];
    (void)histogram_render(&h, text, sizeof(text));
    assert_string_equal(text, "     count 0\n");
    (void)histogram_coarse_render(&c, text, sizeof(text));
    assert_string_equal(text, "     count 0\n");
}

static void a_drawing_that_does_not_fit_is_cut_and_its_length_told(void **unused)
{
    (void)unused;
    char whole[1024];
    char part[100];
    histogram_record(&h, 600);
    histogram_record(&h, 300000);
    size_t length = histogram_render(&h, whole, sizeof(whole));
    for (size_t size = 1; size <= sizeof(part); size++) {
        memset(part, 'x', sizeof(part));
        assert_int_equal(histogram_render(&h, part, size), length);
        assert_int_equal(strlen(part), size - 1);
        assert_memory_equal(part, whole, size - 1);
    }
    assert_int_equal(histogram_render(&h, NULL, 0), length);
}

#define TEST(name) cmocka_unit_test_setup(name, start_empty)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(small_values_have_a_bucket_each),
        TEST(buckets_follow_each_other_without_a_gap),
        TEST(both_ends_of_a_bucket_are_counted_in_it),
        TEST(a_bucket_is_at_most_an_eighth_of_its_values_wide),
        TEST(values_that_are_too_large_count_as_the_largest),
        TEST(coarse_buckets_double),
        TEST(an_empty_histogram_answers_zero),
        TEST(one_record_is_every_percentile),
        TEST(the_maximum_is_exact_however_large),
        TEST(many_at_once_count_as_many),
        TEST(percentages_outside_of_the_scale_mean_its_ends),
        TEST(percentiles_agree_with_a_sorted_array),
        TEST(coarse_percentiles_are_less_than_twice_too_high),
        TEST(a_merge_adds_counts_and_keeps_the_larger_maximum),
        TEST(a_coarse_merge_adds_counts),
        TEST(a_reset_forgets_everything),
        TEST(several_writers_lose_no_record),
        TEST(times_are_written_with_three_digits_and_a_unit),
        TEST(a_drawing_has_a_row_per_power_of_two),
        TEST(a_coarse_drawing_looks_the_same),
        TEST(a_drawing_of_nothing_says_so),
        TEST(a_drawing_that_does_not_fit_is_cut_and_its_length_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
