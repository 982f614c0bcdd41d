/* SPDX-License-Identifier: Apache-2.0 */
/* scene_waitfor.c - workqueue/waitfor.h: of waits that together would be a cycle one is refused */
#include <pthread.h>

#include "explore.h"
#include "workqueue/app.h"
#include "workqueue/waitfor.h"

enum { APPS = 3 };

static struct app apps[APPS];
static struct worker workers[APPS];
static bool waits[APPS];                                       /* plain: each its own */

static void begin(void)
{
    for (uint32_t i = 0; i < APPS; i++) {
        apps[i].place.index = i + 1;
        workers[i] = (struct worker){ .app = &apps[i], .kind = WORKER_LANE };
    }
}

/* The worker of one application waits for another one, for good. */
static void *wait_for(void *which)
{
    uint32_t from = (uint32_t)(uintptr_t)which / APPS, to = (uint32_t)(uintptr_t)which % APPS;
    struct waitfor wait;
    worker_current = &workers[from];
    waits[from] = waitfor_begin(&apps[to], WEIR_FOREVER, &wait);
    worker_current = NULL;
    return NULL;
}

static pthread_t start(uint32_t from, uint32_t to)
{
    pthread_t thread;
    explore_check(pthread_create(&thread, NULL, wait_for, (void *)(uintptr_t)(from * APPS + to)) == 0);
    return thread;
}

/* kills: Y1 acq_rel, Y2 acquire */
EXPLORE_SCENARIO(waitfor_two_for_each_other, .preemptions = 3, .stale_reads = 2)
{
    begin();
    pthread_t one = start(0, 1);
    (void)wait_for((void *)(uintptr_t)(1 * APPS + 0));
    pthread_join(one, NULL);
    explore_check(!waits[0] || !waits[1]);
    explore_observe(waits[0] * 2U + waits[1]);
}

EXPLORE_SCENARIO(waitfor_three_in_a_ring, .preemptions = 2)
{
    begin();
    pthread_t one = start(0, 1), two = start(1, 2);
    (void)wait_for((void *)(uintptr_t)(2 * APPS + 0));
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    explore_check(!waits[0] || !waits[1] || !waits[2]);
}
