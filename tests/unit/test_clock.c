/* SPDX-License-Identifier: Apache-2.0 */
/* test_clock.c - real time goes forward, a manual clock stands, sums of times stick at for ever */

#include "core/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int64_t read_manual(void *ctx)
{
    return *(int64_t *)ctx;
}

static void monotonic_time_never_goes_back(void **unused)
{
    (void)unused;
    int64_t before = clock_monotonic();
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_monotonic();
        assert_true(now >= before);
        before = now;
    }
}

static void a_clock_of_zeros_reads_monotonic_time(void **unused)
{
    (void)unused;
    const struct clock c = {NULL, NULL};
    assert_false(clock_is_manual(&c));
    int64_t before = clock_monotonic();
    int64_t now = clock_now(&c);
    assert_true(before <= now && now <= clock_monotonic());
}

static void a_manual_clock_reads_what_the_test_says(void **unused)
{
    (void)unused;
    int64_t time = 5;
    const struct clock c = {read_manual, &time};
    assert_true(clock_is_manual(&c));
    assert_int_equal(clock_now(&c), 5);
    time = 70;
    assert_int_equal(clock_now(&c), 70);
}

static void coarse_time_is_behind_the_exact_one_and_does_not_go_back(void **unused)
{
    (void)unused;
    int64_t before = clock_monotonic_coarse();
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_monotonic_coarse();
        assert_true(now >= before && now <= clock_monotonic());
        before = now;
    }
}

static void coarse_milliseconds_begin_again_and_differences_hold(void **unused)
{
    (void)unused;
    int64_t time = (INT64_C(1) << 32) * 1000000 - 3000000;
    const struct clock c = {read_manual, &time};
    uint32_t before = clock_coarse_ms(&c);
    time += 5000000;
    assert_int_equal(clock_coarse_ms(&c), 2);
    assert_int_equal(clock_coarse_ms(&c) - before, 5);
}

static void nobody_sleeps_by_a_manual_clock(void **unused)
{
    (void)unused;
    int64_t time = 5;
    const struct clock manual = {read_manual, &time};
    const struct clock real = {NULL, NULL};
    assert_true(clock_sleep_until(&manual, 100) == WEIR_FOREVER);
    assert_int_equal(clock_sleep_until(&real, 100), 100);
}

static void times_add_up(void **unused)
{
    (void)unused;
    assert_int_equal(time_add(100, 23), 123);
    assert_int_equal(time_add(100, -23), 77);
    assert_int_equal(time_add(-100, 23), -77);
    assert_int_equal(time_add(0, 0), 0);
}

static void for_ever_plus_anything_is_for_ever(void **unused)
{
    (void)unused;
    assert_true(time_add(WEIR_FOREVER, 0) == WEIR_FOREVER);
    assert_true(time_add(WEIR_FOREVER, -1) == WEIR_FOREVER);
    assert_true(time_add(100, WEIR_FOREVER) == WEIR_FOREVER);
    assert_true(time_add(-100, WEIR_FOREVER) == WEIR_FOREVER);
    assert_true(time_add(INT64_MIN, WEIR_FOREVER) == WEIR_FOREVER);
}

static void sums_stick_at_the_ends(void **unused)
{
    (void)unused;
    assert_true(time_add(WEIR_FOREVER - 5, 4) == WEIR_FOREVER - 1);
    assert_true(time_add(WEIR_FOREVER - 5, 5) == WEIR_FOREVER);
    assert_true(time_add(WEIR_FOREVER - 5, 6) == WEIR_FOREVER);
    assert_true(time_add(INT64_MIN + 5, -5) == INT64_MIN);
    assert_true(time_add(INT64_MIN + 5, -6) == INT64_MIN);
    assert_true(time_add(INT64_MIN, INT64_MIN) == INT64_MIN);
}

static void a_deadline_has_come_when_the_time_is_there(void **unused)
{
    (void)unused;
    assert_false(time_is_over(100, 99));
    assert_true(time_is_over(100, 100));
    assert_true(time_is_over(100, 101));
}

static void for_ever_is_never_over(void **unused)
{
    (void)unused;
    assert_false(time_is_over(WEIR_FOREVER, 0));
    assert_false(time_is_over(WEIR_FOREVER, INT64_MAX));
}

static void ticks_go_on_while_the_clock_does(void **unused)
{
    (void)unused;
    int64_t began = clock_monotonic();
    uint64_t ticks = clock_ticks();
    while (clock_monotonic() < began + 1000)
        ;
    assert_true(clock_ticks() > ticks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_time_never_goes_back),
        cmocka_unit_test(a_clock_of_zeros_reads_monotonic_time),
        cmocka_unit_test(a_manual_clock_reads_what_the_test_says),
        cmocka_unit_test(coarse_time_is_behind_the_exact_one_and_does_not_go_back),
        cmocka_unit_test(coarse_milliseconds_begin_again_and_differences_hold),
        cmocka_unit_test(nobody_sleeps_by_a_manual_clock),
        cmocka_unit_test(times_add_up),
        cmocka_unit_test(for_ever_plus_anything_is_for_ever),
        cmocka_unit_test(sums_stick_at_the_ends),
        cmocka_unit_test(a_deadline_has_come_when_the_time_is_there),
        cmocka_unit_test(for_ever_is_never_over),
        cmocka_unit_test(ticks_go_on_while_the_clock_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
