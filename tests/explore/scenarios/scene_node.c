/* SPDX-License-Identifier: Apache-2.0 */
/* scene_node.c - a mark and a schedule against a pop and a look; the end of a session against a late schedule */
#include <pthread.h>
#include <stdatomic.h>

#include "session/maps.h"
#include "session/node.h"
#include "tests/explore/engine/explore.h"

enum { GENERATION = 7 };

static struct node node;
static _Atomic uint64_t leaf, summary, top;
static _Atomic uint32_t unseen, in_queue, freed;

static const struct map_path path = { { &leaf, &summary, &top }, { 1, 1, 1 } };

static void schedule(void)
{
    if (node_schedule(&node, GENERATION))
        atomic_fetch_add_explicit(&in_queue, 1, memory_order_acq_rel);
}

static void *marker(void *unused)
{
    (void)unused;
    atomic_fetch_add_explicit(&unseen, 1, memory_order_acq_rel);
    map_mark(&path);
    schedule();
    return NULL;
}

static void look(void)
{
    if (map_look(&top) == 0 || map_look(&summary) == 0)
        return;
    uint64_t bits = map_look(&leaf);
    bool empty = map_done(&leaf, bits);
    if (atomic_load_explicit(&unseen, memory_order_acquire) != 0)
        atomic_exchange_explicit(&unseen, 0, memory_order_acq_rel);
    if (empty)
        map_empty(&path);
}

static void *popper(void *unused)
{
    (void)unused;
    uint32_t queued = atomic_load_explicit(&in_queue, memory_order_acquire), generation;
    if (queued == 0 || !atomic_compare_exchange_strong_explicit(&in_queue, &queued, queued - 1, memory_order_acq_rel,
                                                                memory_order_relaxed))
        return NULL;
    if (node_pop(&node, &generation) == NODE_LAST)
        atomic_fetch_add_explicit(&freed, 1, memory_order_relaxed);
    else
        look();
    return NULL;
}

/* Whatever was marked is seen by now, or the node is in the queue and will lead to it. */
EXPLORE_SCENARIO(node_marks_are_seen_or_the_node_is_queued, .preemptions = 4, .stale_reads = 2)
{
    node_begin(&node, GENERATION);
    marker(NULL);
    pthread_t a, b;
    explore_check(pthread_create(&a, NULL, marker, NULL) == 0);
    explore_check(pthread_create(&b, NULL, popper, NULL) == 0);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    explore_check(atomic_load(&in_queue) <= 1);
    explore_observe(atomic_load(&unseen) * 2 + atomic_load(&in_queue));
    if (atomic_load(&unseen) != 0) {
        explore_check(atomic_load(&in_queue) == 1);
        popper(NULL);
        explore_check(atomic_load(&unseen) == 0);
    }
}

/* The node is in the queue although nothing is marked, as after a look by the one who was there before. Then the popper
 * meets the marker at nothing but the node and the maps: one of the two sees the other.
 *
 * kills: N1's look acquire, its swap acq_rel; N2 acq_rel */
EXPLORE_SCENARIO(node_is_queued_for_nothing_while_something_comes, .preemptions = 3, .stale_reads = 2)
{
    node_begin(&node, GENERATION);
    schedule();
    pthread_t a;
    explore_check(pthread_create(&a, NULL, marker, NULL) == 0);
    popper(NULL);
    pthread_join(a, NULL);
    explore_check(atomic_load(&in_queue) <= 1);
    explore_observe(atomic_load(&unseen) * 2 + atomic_load(&in_queue));
    if (atomic_load(&unseen) != 0) {
        explore_check(atomic_load(&in_queue) == 1);
        popper(NULL);
        explore_check(atomic_load(&unseen) == 0);
    }
}

static void *ender(void *unused)
{
    (void)unused;
    if (node_end(&node))
        atomic_fetch_add_explicit(&freed, 1, memory_order_relaxed);
    return NULL;
}

/* The slot is freed once: by the end, or by the pop of the node that was in the queue. */
EXPLORE_SCENARIO(node_end_against_schedule_and_pop, .preemptions = 4, .stale_reads = 2)
{
    node_begin(&node, GENERATION);
    pthread_t a, b;
    explore_check(pthread_create(&a, NULL, marker, NULL) == 0);
    explore_check(pthread_create(&b, NULL, ender, NULL) == 0);
    popper(NULL);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    popper(NULL);
    explore_check(atomic_load(&freed) == 1);
    explore_check(atomic_load(&in_queue) == 0);
}

static int lane_of_node;                                       /* what else the opener writes, before the node */

static void *opener(void *unused)
{
    (void)unused;
    lane_of_node = 1;
    node_begin(&node, GENERATION + 1);
    return NULL;
}

/* A late marker has found the slot's next session, whose opening is nothing to it but what the node says.
 *
 * kills: N0 relaxed */
EXPLORE_SCENARIO(node_begin_against_a_late_schedule, .preemptions = 4, .stale_reads = 2)
{
    node_begin(&node, GENERATION);
    explore_check(node_end(&node));
    pthread_t a;
    explore_check(pthread_create(&a, NULL, opener, NULL) == 0);
    bool pushed = node_schedule(&node, GENERATION + 1);
    if (pushed)
        explore_check(lane_of_node == 1);
    pthread_join(a, NULL);
    explore_observe(pushed);
}
