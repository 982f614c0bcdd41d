/* SPDX-License-Identifier: Apache-2.0 */
/* test_futex.c - sleeping on a word */

#include "core/futex.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "core/clock.h"
#include "tests/support/support.h"

enum { SLEEPERS = 3 };

static _Atomic uint32_t word;
static struct tally awake;

static void start_with(uint32_t value)
{
    atomic_store(&word, value);
    awake = (struct tally)TALLY_INIT;
}

static void *sleep_while_zero(void *unused)
{
    (void)unused;
    while (atomic_load(&word) == 0)
        (void)futex_wait(&word, 0, WEIR_FOREVER);
    tally_add(&awake, 1);
    return NULL;
}

static void *sleep_once(void *unused)
{
    (void)unused;
    (void)futex_wait(&word, 0, WEIR_FOREVER);
    tally_add(&awake, 1);
    return NULL;
}

/* Wakes until so many sleepers were really found asleep: nobody has to guess when they are. */
static void wake_exactly(int count)
{
    for (int woken = 0; woken < count; (void)sched_yield())
        woken += futex_wake(&word, count - woken);
}

static void another_value_does_not_sleep(void **unused)
{
    (void)unused;
    start_with(7);
    assert_int_equal(futex_wait(&word, 8, WEIR_FOREVER), 0);
}

static void a_past_deadline_times_out(void **unused)
{
    (void)unused;
    start_with(7);
    assert_int_equal(futex_wait(&word, 7, 1), ETIMEDOUT);
    assert_int_equal(futex_wait(&word, 7, 0), ETIMEDOUT);
    assert_int_equal(futex_wait(&word, 7, -1), ETIMEDOUT);
    assert_int_equal(futex_wait(&word, 7, INT64_MIN), ETIMEDOUT);
}

static void a_time_out_is_never_early(void **unused)
{
    (void)unused;
    start_with(7);
    for (int64_t delta = 1; delta < 3000000; delta *= 7) {
        int64_t deadline = clock_monotonic() + delta;
        while (futex_wait(&word, 7, deadline) != ETIMEDOUT)
            continue;
        assert_true(clock_monotonic() >= deadline);
    }
}

static void a_far_deadline_is_no_error(void **unused)
{
    (void)unused;
    start_with(7);
    assert_int_equal(futex_wait(&word, 8, WEIR_FOREVER - 1), 0);
}

static void a_wake_of_one_wakes_one(void **unused)
{
    (void)unused;
    start_with(0);
    pthread_t thread[SLEEPERS];
    for (int i = 0; i < SLEEPERS; i++)
        thread[i] = thread_start(sleep_once, NULL);
    for (uint64_t i = 1; i <= SLEEPERS; i++) {
        wake_exactly(1);
        tally_wait(&awake, i);
        assert_int_equal(tally_count(&awake), i);
    }
    for (int i = 0; i < SLEEPERS; i++)
        thread_join(thread[i]);
}

static void a_wake_of_all_leaves_nobody_asleep(void **unused)
{
    (void)unused;
    start_with(0);
    pthread_t thread[SLEEPERS];
    for (int i = 0; i < SLEEPERS; i++)
        thread[i] = thread_start(sleep_while_zero, NULL);
    wake_exactly(SLEEPERS); /* there was sleep; who slept goes back to it, or is about to */
    atomic_store(&word, 1);
    (void)futex_wake(&word, FUTEX_WAKE_ALL);
    tally_wait(&awake, SLEEPERS);
    for (int i = 0; i < SLEEPERS; i++)
        thread_join(thread[i]);
}

static void a_wake_finds_nobody_where_nobody_sleeps(void **unused)
{
    (void)unused;
    start_with(0);
    assert_int_equal(futex_wake(&word, FUTEX_WAKE_ALL), 0);
}

static void a_wake_of_memory_that_is_gone_is_harmless(void **unused)
{
    (void)unused;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    assert_int_equal(munmap(page, 4096), 0);
    assert_int_equal(futex_wake(page, 1), 0);
}

static void both_preserve_errno(void **unused)
{
    (void)unused;
    start_with(7);
    errno = EDOM;
    (void)futex_wait(&word, 8, WEIR_FOREVER);
    (void)futex_wait(&word, 7, 1);
    (void)futex_wake(&word, 1);
    assert_int_equal(errno, EDOM);
}

static void on_signal(int number)
{
    (void)number;
}

static void a_signal_ends_a_wait_with_no_promise(void **unused)
{
    (void)unused;
    start_with(0);
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART */
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    pthread_t thread = thread_start(sleep_once, NULL);
    while (tally_count(&awake) == 0) { /* nobody wakes it */
        (void)pthread_kill(thread, SIGUSR1);
        (void)sched_yield();
    }
    thread_join(thread);
    assert_int_equal(atomic_load(&word), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_value_does_not_sleep),
        cmocka_unit_test(a_past_deadline_times_out),
        cmocka_unit_test(a_time_out_is_never_early),
        cmocka_unit_test(a_far_deadline_is_no_error),
        cmocka_unit_test(a_wake_of_one_wakes_one),
        cmocka_unit_test(a_wake_of_all_leaves_nobody_asleep),
        cmocka_unit_test(a_wake_finds_nobody_where_nobody_sleeps),
        cmocka_unit_test(a_wake_of_memory_that_is_gone_is_harmless),
        cmocka_unit_test(both_preserve_errno),
        cmocka_unit_test(a_signal_ends_a_wait_with_no_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
