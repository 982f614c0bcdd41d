/* SPDX-License-Identifier: Apache-2.0 */
/* test_asymmetric.c - of two sides that write and then read, at least one sees the other
 *
 * Each of the two ways is forced in turn; the one that the kernel does not have is skipped. */

#include "core/asymmetric.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/cache.h"
#include "tests/support/support.h"
#include "tests/unit/child.h"

enum { ROUNDS = 5000, INITIALIZERS = 4 };

static void force(uint32_t way)
{
    atomic_store(&asymmetric_way, way);
}

/* ---- deciding ---- */

static _Atomic int answers[2];

static void *initialize(void *unused)
{
    (void)unused;
    atomic_fetch_add(&answers[asymmetric_init()], 1);
    return NULL;
}

static void all_threads_are_told_the_same_way(void **unused)
{
    (void)unused;
    force(ASYMMETRIC_UNDECIDED);
    pthread_t thread[INITIALIZERS];
    for (int i = 0; i < INITIALIZERS; i++)
        thread[i] = thread_start(initialize, NULL);
    for (int i = 0; i < INITIALIZERS; i++)
        thread_join(thread[i]);
    assert_int_equal(atomic_load(&answers[asymmetric_init()]), INITIALIZERS);
}

static void a_decision_is_never_taken_back(void **unused)
{
    (void)unused;
    force(ASYMMETRIC_SHARED_WORD);
    assert_false(asymmetric_init());
    assert_int_equal(atomic_load(&asymmetric_way), ASYMMETRIC_SHARED_WORD);
}

static void use_the_heavy_side(void)
{
    asymmetric_heavy();
}

static void a_forked_child_may_use_it_at_once(void **unused)
{
    (void)unused;
    force(ASYMMETRIC_UNDECIDED);
    (void)asymmetric_init();
    assert_int_equal(child_run(use_the_heavy_side).signal, 0);
}

/* ---- store buffering ---- */

struct litmus {
    CACHE_ALIGNED _Atomic int x;
    CACHE_ALIGNED _Atomic int y;
    CACHE_ALIGNED _Atomic int round;    /* which one the hot side is to run */
    CACHE_ALIGNED _Atomic int finished; /* which one it has run */
    int hot_read, rare_read;
    uint64_t seed;
};

/* Spins, for the two sides to run at the same time, but not for ever on a machine that is busy. */
static void await(_Atomic int *word, int round)
{
    for (int spins = 0; atomic_load(word) < round; spins++)
        if (spins < 1000)
            cpu_relax();
        else
            (void)sched_yield();
}

/* A write that sits in the processor's store buffer is what makes a side miss the other. */
static void *run_hot_side(void *arg)
{
    struct litmus *l = arg;
    for (int round = 1; round <= ROUNDS; round++) {
        await(&l->round, round);
        atomic_store_explicit(&l->x, round, memory_order_relaxed);
        asymmetric_light();
        l->hot_read = atomic_load_explicit(&l->y, memory_order_relaxed);
        atomic_store(&l->finished, round);
    }
    return NULL;
}

/* Answers in how many rounds both sides missed each other. */
static int run_rare_side(struct litmus *l)
{
    int missed = 0;
    for (int round = 1; round <= ROUNDS; round++) {
        atomic_store(&l->round, round);
        for (uint64_t delay = test_random(&l->seed) % 128; delay > 0; delay--)
            (void)atomic_load_explicit(&l->round, memory_order_relaxed);
        atomic_store_explicit(&l->y, round, memory_order_relaxed);
        asymmetric_heavy();
        l->rare_read = atomic_load_explicit(&l->x, memory_order_relaxed);
        await(&l->finished, round);
        missed += l->hot_read != round && l->rare_read != round;
    }
    return missed;
}

static int count_missed(void)
{
    struct litmus l = {.seed = test_seed()};
    pthread_t hot = thread_start(run_hot_side, &l);
    int missed = run_rare_side(&l);
    thread_join(hot);
    return missed;
}

static void two_sides_never_both_miss_with_membarrier(void **unused)
{
    (void)unused;
    force(ASYMMETRIC_UNDECIDED);
    if (!asymmetric_init())
        skip();
    assert_int_equal(count_missed(), 0);
}

static void two_sides_never_both_miss_with_the_shared_word(void **unused)
{
    (void)unused;
    force(ASYMMETRIC_SHARED_WORD);
    uint32_t before = atomic_load(&asymmetric_word);
    assert_int_equal(count_missed(), 0);
    assert_int_equal(atomic_load(&asymmetric_word) - before, 2 * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_threads_are_told_the_same_way),
        cmocka_unit_test(a_decision_is_never_taken_back),
        cmocka_unit_test(a_forked_child_may_use_it_at_once),
        cmocka_unit_test(two_sides_never_both_miss_with_membarrier),
        cmocka_unit_test(two_sides_never_both_miss_with_the_shared_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
