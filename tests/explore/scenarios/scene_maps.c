/* SPDX-License-Identifier: Apache-2.0 */
/* scene_maps.c - nobody who marks is forgotten, however lookers empty the levels under him
 *
 * Two groups with one operation each; an operation's word is a counter of changes that nobody has seen. When all is
 * quiet, every change was seen, or the bits lead to it from the top.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "session/maps.h"
#include "tests/explore/engine/explore.h"

static _Atomic uint32_t unseen[2];
static _Atomic uint64_t leaf[2], summary, top;

static struct map_path path_of(uint32_t op)
{
    return (struct map_path){ { &leaf[op], &summary, &top }, { 1, UINT64_C(1) << op, 1 } };
}

static void change(uint32_t op)
{
    struct map_path path = path_of(op);
    atomic_fetch_add_explicit(&unseen[op], 1, memory_order_acq_rel);
    map_mark(&path);
}

static void see(uint32_t op)
{
    /* a plain load first, as a looker does who may find nothing to do */
    if (atomic_load_explicit(&unseen[op], memory_order_acquire) != 0)
        atomic_exchange_explicit(&unseen[op], 0, memory_order_acq_rel);
}

static void look(void)
{
    if (map_look(&top) == 0)
        return;
    struct map_walk walk = map_walk(map_look(&summary), 0);
    for (int op; (op = map_next(&walk)) >= 0;) {
        struct map_path path = path_of((uint32_t)op);
        uint64_t bits = map_look(&leaf[op]);
        if (bits != 0)
            see((uint32_t)op);
        bool empty = map_done(&leaf[op], bits);
        see((uint32_t)op);
        if (empty)
            map_empty(&path);
    }
}

static void *marker(void *op)
{
    change((uint32_t)(uintptr_t)op);
    return NULL;
}

static void *looker(void *unused)
{
    (void)unused;
    look();
    return NULL;
}

static void check_quiet(void)
{
    for (uint32_t op = 0; op < 2; op++) {
        if (atomic_load(&unseen[op]) == 0)
            continue;
        explore_check(atomic_load(&top) == 1);
        explore_check((atomic_load(&summary) & (UINT64_C(1) << op)) != 0);
        explore_check(atomic_load(&leaf[op]) == 1);
    }
    explore_observe(atomic_load(&unseen[0]) * 4 + atomic_load(&unseen[1]));
    look();
    explore_check(atomic_load(&unseen[0]) + atomic_load(&unseen[1]) == 0);
}

static void run_with_main(void *(*first)(void *), uintptr_t first_op, void *(*second)(void *), uintptr_t second_op)
{
    pthread_t a, b;
    explore_check(pthread_create(&a, NULL, first, (void *)first_op) == 0);
    explore_check(pthread_create(&b, NULL, second, (void *)second_op) == 0);
    look();
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    check_quiet();
}

EXPLORE_SCENARIO(maps_two_markers_of_one_leaf_and_a_looker, .preemptions = 3, .stale_reads = 2)
{
    run_with_main(marker, 0, marker, 0);
}

EXPLORE_SCENARIO(maps_two_markers_of_two_leaves_and_a_looker, .preemptions = 3, .stale_reads = 2)
{
    run_with_main(marker, 0, marker, 1);
}

EXPLORE_SCENARIO(maps_a_marker_and_two_lookers, .preemptions = 3, .stale_reads = 2)
{
    change(0);
    run_with_main(marker, 0, looker, 0);
}

EXPLORE_SCENARIO(maps_a_marker_beside_and_two_lookers, .preemptions = 3, .stale_reads = 2)
{
    change(0);
    run_with_main(marker, 1, looker, 0);
}

/* Without the second look after L3 a change is lost: the search must find it. */
static void look_once(void)
{
    uint64_t bits = map_look(&leaf[0]);
    if (bits != 0)
        see(0);
    (void)map_done(&leaf[0], bits);
}

EXPLORE_SCENARIO(maps_without_the_second_look, .preemptions = 3, .stale_reads = 2, .expect = "leaf[op]")
{
    pthread_t a;
    change(0);
    explore_check(pthread_create(&a, NULL, marker, (void *)0) == 0);
    look_once();
    pthread_join(a, NULL);
    check_quiet();
}
