/* SPDX-License-Identifier: Apache-2.0 */
/* scene_event.c - core/event.c under every schedule, upon the stand-in for libck's slow half
 * (core/shadow/ck_ec.c) and the shadow of ck_pr.h */

#include <pthread.h>
#include <stdatomic.h>

#include <weir/status.h>

#include "core/clock.h"
#include "core/event.h"
#include "tests/explore/engine/explore.h"

static struct event event;
static _Atomic int happened;

static pthread_t start(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    explore_check(pthread_create(&thread, NULL, run, arg) == 0);
    return thread;
}

static void *let_it_happen(void *unused)
{
    (void)unused;
    /* relaxed: the event's own V1 and V2 must be enough for the look */
    (void)atomic_fetch_add_explicit(&happened, 1, memory_order_relaxed);
    event_post(&event);
    return NULL;
}

static void wait_until_it_happened(int times, int64_t patience_ns)
{
    for (;;) {
        uint32_t seen = event_value(&event);
        if (atomic_load_explicit(&happened, memory_order_relaxed) == times)
            return;
        (void)event_wait(&event, seen, time_add(clock_monotonic(), patience_ns));
    }
}

static void *wait_for_one(void *unused)
{
    (void)unused;
    wait_until_it_happened(1, WEIR_FOREVER);
    return NULL;
}

EXPLORE_SCENARIO(event_one_post_wakes_everybody, .preemptions = 2, .stale_reads = 1, .spurious = 1)
{
    pthread_t waiter = start(wait_for_one, NULL);
    pthread_t poster = start(let_it_happen, NULL);
    wait_until_it_happened(1, WEIR_FOREVER);
    pthread_join(waiter, NULL);
    pthread_join(poster, NULL);
}

EXPLORE_SCENARIO(event_two_posts_are_both_seen, .preemptions = 3, .stale_reads = 1)
{
    pthread_t first = start(let_it_happen, NULL);
    pthread_t second = start(let_it_happen, NULL);
    wait_until_it_happened(2, WEIR_FOREVER);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
}

EXPLORE_SCENARIO(event_time_out_meets_a_post, .preemptions = 3, .stale_reads = 1,
                 .early_timeouts = 2)
{
    pthread_t poster = start(let_it_happen, NULL);
    wait_until_it_happened(1, 1000);
    pthread_join(poster, NULL);
}

int main(int argc, char **argv)
{
    return explore_main(argc, argv);
}
