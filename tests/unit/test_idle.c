/* SPDX-License-Identifier: Apache-2.0 */
/* test_idle.c - who sleeps, who searches, who is woken: step by step, and as a race that loses no wake-up */

#include "core/idle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <weir/workqueue.h>

#include "core/clock.h"
#include "tests/support/support.h"

static const struct memory LIBC = {0};

static void idle_begin(struct idle *idle, uint32_t workers)
{
    assert_int_equal(idle_init(idle, &LIBC, workers), WEIR_OK);
}

static uint32_t searching(struct idle *idle)
{
    return atomic_load(&idle->searching);
}

static void nobody_sleeps_at_first(void **unused)
{
    (void)unused;
    struct idle idle;
    idle_begin(&idle, 70);
    assert_true(idle_is_empty(&idle));
    assert_false(idle_wake_one(&idle));
    assert_int_equal(searching(&idle), 0);
    idle_fini(&idle, &LIBC);
}

static void the_lowest_sleeper_is_woken_and_is_then_the_searcher(void **unused)
{
    (void)unused;
    struct idle idle;
    idle_begin(&idle, 70);
    idle_prepare(&idle, 69);
    idle_prepare(&idle, 3);
    idle_prepare(&idle, 66);
    assert_false(idle_is_empty(&idle));
    assert_true(idle_wake_one(&idle));
    assert_int_equal(searching(&idle), 1);
    assert_true(idle_commit(&idle, 3, WEIR_FOREVER)); /* returns at once: it is the one */
    assert_true(idle_wake_one(&idle));           /* relies on the searcher: wakes nobody */
    assert_int_equal(searching(&idle), 1);
    idle_search_end(&idle);
    assert_true(idle_wake_one(&idle));
    assert_true(idle_commit(&idle, 66, WEIR_FOREVER));
    idle_search_end(&idle);
    assert_true(idle_cancel(&idle, 69));
    assert_true(idle_is_empty(&idle));
    idle_fini(&idle, &LIBC);
}

static void who_cancels_first_stays_awake_as_if_nothing_had_been(void **unused)
{
    (void)unused;
    struct idle idle;
    idle_begin(&idle, 2);
    idle_prepare(&idle, 0);
    assert_true(idle_cancel(&idle, 0));
    assert_int_equal(searching(&idle), 0);
    assert_false(idle_wake_one(&idle));
    idle_fini(&idle, &LIBC);
}

static void who_cancels_after_a_waker_is_the_searcher(void **unused)
{
    (void)unused;
    struct idle idle;
    idle_begin(&idle, 2);
    idle_prepare(&idle, 1);
    assert_true(idle_wake_one(&idle));
    assert_false(idle_cancel(&idle, 1));
    assert_int_equal(searching(&idle), 1);
    idle_search_end(&idle);
    idle_prepare(&idle, 1);                      /* the token of the waker means nothing now */
    assert_false(idle_commit(&idle, 1, clock_monotonic() + 1000000));
    assert_true(idle_is_empty(&idle));
    idle_fini(&idle, &LIBC);
}

static void a_sleep_ends_with_its_deadline(void **unused)
{
    (void)unused;
    struct idle idle;
    idle_begin(&idle, 1);
    idle_prepare(&idle, 0);
    assert_false(idle_commit(&idle, 0, 1));
    assert_true(idle_is_empty(&idle));
    assert_int_equal(searching(&idle), 0);
    idle_fini(&idle, &LIBC);
}

static void one_searches_at_a_time(void **unused)
{
    (void)unused;
    struct idle idle;
    idle_begin(&idle, 2);
    assert_true(idle_search_begin(&idle));
    assert_false(idle_search_begin(&idle));
    idle_search_end(&idle);
    assert_true(idle_search_begin(&idle));
    idle_search_end(&idle);
    idle_fini(&idle, &LIBC);
}

static void waking_all_makes_each_sleeper_a_searcher(void **unused)
{
    (void)unused;
    struct idle idle;
    idle_begin(&idle, 3);
    idle_prepare(&idle, 0);
    idle_prepare(&idle, 2);
    idle_wake_all(&idle);
    assert_int_equal(searching(&idle), 2);
    assert_true(idle_commit(&idle, 0, WEIR_FOREVER));
    assert_true(idle_commit(&idle, 2, WEIR_FOREVER));
    idle_search_end(&idle);
    idle_search_end(&idle);
    idle_fini(&idle, &LIBC);
}

/* ---- the race ---- */

enum { WORKERS = 3, ITEMS = 20000 };

struct pool {
    struct idle idle;
    _Atomic uint64_t filled, taken;              /* a queue that is only counted */
    _Atomic uint32_t next;
};

static bool take(struct pool *pool)
{
    uint64_t taken = atomic_load(&pool->taken);
    while (taken < atomic_load(&pool->filled))
        if (atomic_compare_exchange_weak(&pool->taken, &taken, taken + 1))
            return true;
    return false;
}

static bool is_empty(struct pool *pool)
{
    return atomic_load(&pool->taken) >= atomic_load(&pool->filled);
}

static void search_over(struct pool *pool)
{
    idle_search_end(&pool->idle);
    if (!is_empty(pool))
        idle_notify(&pool->idle);
}

static void *work(void *arg)
{
    struct pool *pool = arg;
    uint32_t own = atomic_fetch_add(&pool->next, 1);
    while (atomic_load(&pool->taken) < ITEMS) {
        if (take(pool))
            continue;
        idle_prepare(&pool->idle, own);
        if (!is_empty(pool) || atomic_load(&pool->taken) >= ITEMS) {
            if (!idle_cancel(&pool->idle, own))
                search_over(pool);
            continue;
        }
        if (idle_commit(&pool->idle, own, WEIR_FOREVER))
            search_over(pool);
    }
    idle_wake_all(&pool->idle);
    return NULL;
}

static void no_item_waits_for_a_worker_that_sleeps(void **unused)
{
    (void)unused;
    static struct pool pool;
    pthread_t threads[WORKERS];
    idle_begin(&pool.idle, WORKERS);
    for (int i = 0; i < WORKERS; i++)
        threads[i] = thread_start(work, &pool);
    for (uint64_t i = 0; i < ITEMS; i++) {
        atomic_fetch_add(&pool.filled, 1);
        idle_notify(&pool.idle);
        if (i % 4 == 0)                          /* each fourth time all have it taken, and may fall asleep */
            while (atomic_load(&pool.taken) <= i)
                cpu_relax();
    }
    for (int i = 0; i < WORKERS; i++)
        thread_join(threads[i]);
    assert_int_equal(atomic_load(&pool.taken), ITEMS);
    idle_fini(&pool.idle, &LIBC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_sleeps_at_first),
        cmocka_unit_test(the_lowest_sleeper_is_woken_and_is_then_the_searcher),
        cmocka_unit_test(who_cancels_first_stays_awake_as_if_nothing_had_been),
        cmocka_unit_test(who_cancels_after_a_waker_is_the_searcher),
        cmocka_unit_test(a_sleep_ends_with_its_deadline),
        cmocka_unit_test(one_searches_at_a_time),
        cmocka_unit_test(waking_all_makes_each_sleeper_a_searcher),
        cmocka_unit_test(no_item_waits_for_a_worker_that_sleeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
