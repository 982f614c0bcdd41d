/* SPDX-License-Identifier: Apache-2.0 */
/* scene_asymmetric.c - core/asymmetric.h: of two sides that write and then read, at least one sees
 * the other (M1), with membarrier(2) and without it */

#include <pthread.h>
#include <stdatomic.h>

#include "core/asymmetric.h"
#include "tests/explore/engine/explore.h"

static _Atomic int x, y;
static int seen_by_hot, seen_by_rare;

static void *run_hot_side(void *unused)
{
    (void)unused;
    atomic_store_explicit(&x, 1, memory_order_relaxed);
    asymmetric_light();
    seen_by_hot = atomic_load_explicit(&y, memory_order_relaxed);
    return NULL;
}

static void run_rare_side(void)
{
    atomic_store_explicit(&y, 1, memory_order_relaxed);
    asymmetric_heavy();
    seen_by_rare = atomic_load_explicit(&x, memory_order_relaxed);
}

static void run_both(void)
{
    pthread_t hot;
    explore_check(pthread_create(&hot, NULL, run_hot_side, NULL) == 0);
    run_rare_side();
    pthread_join(hot, NULL);
    explore_observe((uint64_t)(seen_by_hot * 2 + seen_by_rare));
    explore_check(seen_by_hot + seen_by_rare > 0);
}

EXPLORE_SCENARIO(asymmetric_with_membarrier, .preemptions = 4, .stale_reads = 4)
{
    explore_check(asymmetric_init());
    run_both();
}

EXPLORE_SCENARIO(asymmetric_with_a_shared_word, .preemptions = 4, .stale_reads = 4,
                 .without_membarrier = true)
{
    explore_check(!asymmetric_init());
    run_both();
}

static void *only_write_and_read(void *unused)
{
    (void)unused;
    atomic_store_explicit(&x, 1, memory_order_relaxed);
    seen_by_hot = atomic_load_explicit(&y, memory_order_relaxed);
    return NULL;
}

/* What the pair is there for: with light left out, and the shared word, both may miss. */
EXPLORE_SCENARIO(asymmetric_left_out, .preemptions = 4, .stale_reads = 4,
                 .without_membarrier = true, .expect = "both sides missed")
{
    pthread_t hot;
    (void)asymmetric_init();
    explore_check(pthread_create(&hot, NULL, only_write_and_read, NULL) == 0);
    run_rare_side();
    pthread_join(hot, NULL);
    if (seen_by_hot + seen_by_rare == 0)
        explore_fail("both sides missed");
}

int main(int argc, char **argv)
{
    return explore_main(argc, argv);
}
