/* SPDX-License-Identifier: Apache-2.0 */
/* replay.c - a violation found in any mode is found again from its list of choices, every time
 *
 * The violation needs an allocation that is refused, a time-out that comes early and a stale read,
 * so that every kind of choice is in the lists. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "explore.h"

static atomic_int counter, done, refused;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;

static void *add_one_badly(void *unused)
{
    int *copy = malloc(sizeof *copy);
    if (copy == NULL) {
        atomic_store_explicit(&refused, 1, memory_order_relaxed);
        return unused;
    }
    *copy = atomic_load_explicit(&counter, memory_order_relaxed);
    struct timespec until = {.tv_sec = 5};
    pthread_mutex_lock(&mutex);
    (void)pthread_cond_timedwait(&never, &mutex, &until);
    pthread_mutex_unlock(&mutex);
    atomic_store_explicit(&counter, *copy + 1, memory_order_relaxed);
    atomic_store_explicit(&done, 1, memory_order_relaxed);
    free(copy);
    return unused;
}

/* Wrong only if one allocation was refused, and the main thread sees the end of the other and not
 * what it did. */
static void lose_an_update(void)
{
    pthread_t ids[2];
    bool made[2];
    for (int i = 0; i < 2; i++)
        made[i] = pthread_create(&ids[i], NULL, add_one_badly, NULL) == 0;
    bool saw_refused = atomic_load_explicit(&refused, memory_order_relaxed) == 1;
    bool saw_done = atomic_load_explicit(&done, memory_order_relaxed) == 1;
    int saw = atomic_load_explicit(&counter, memory_order_relaxed);
    explore_check(!saw_refused || !saw_done || saw == 1);
    for (int i = 0; i < 2; i++)
        if (made[i])
            pthread_join(ids[i], NULL);
}

static bool same_every_time(explore_mode mode, uint64_t seed)
{
    enum { TIMES = 100 };
    explore_scenario scenario = {
        .name = "lost update",
        .run = lose_an_update,
        .bounds = {.preemptions = 3, .stale_reads = 1, .faults = 1, .early_timeouts = 1, .spurious = 1}};
    explore_result found = explore_run(&scenario, &(explore_options){.mode = mode, .seed = seed, .quiet = true});
    if (!found.violated) {
        printf("mode %d, seed %llu: nothing found\n", (int)mode, (unsigned long long)seed);
        return false;
    }
    char *list = strdup(found.replay);
    int same = 0;
    for (int i = 0; i < TIMES; i++) {
        explore_result again = explore_run(&scenario,
                                           &(explore_options){.mode = EXPLORE_REPLAY, .replay = list, .quiet = true});
        same += again.violated && strcmp(again.violation, found.violation) == 0 && strcmp(again.replay, list) == 0;
    }
    printf("mode %d, seed %llu: after %llu runs, repeated %d of %d times: %.60s\n", (int)mode, (unsigned long long)seed,
           (unsigned long long)found.executions, same, TIMES, list);
    free(list);
    return same == TIMES;
}

int main(void)
{
    int wrong = !same_every_time(EXPLORE_DFS, 0);
    for (uint64_t seed = 1; seed <= 10; seed++) {
        wrong += !same_every_time(EXPLORE_RANDOM, seed);
        wrong += !same_every_time(EXPLORE_PCT, seed);
    }
    return wrong != 0;
}
