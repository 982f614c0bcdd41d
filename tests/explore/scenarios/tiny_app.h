/* SPDX-License-Identifier: Apache-2.0 */
/* tiny_app.h - an application without threads, for scenarios: two workers' structs, rings of four slots
 *
 * The scenario's threads are its workers: be_worker() and then work(n), which looks n times for a job, and runs what it
 * finds, instead of sleeping when there is none. What is left is run by work_off() at the end, alone. So searches stay
 * small, and what workqueue/idle.h promises is left to its own scenario.
 *
 * Everything else is the library's own: handles, pins, queues, timers on a clock that the scenario moves. There is no
 * control thread: who hands the wheel over to it hands it to the next tiny_tick(). */
#ifndef TINY_APP_H
#define TINY_APP_H

#include <pthread.h>
#include <stdatomic.h>

#include "explore.h"
#include "workqueue/app.h"
#include "workqueue/queue.h"

enum { TINY_WORKERS = 2, TINY_CAPACITY = 4 };

static struct app tiny;
static struct worker tiny_workers[TINY_WORKERS], tiny_guests[APP_GUESTS];
static _Atomic(struct job *) tiny_forks[TINY_WORKERS + APP_GUESTS][TINY_CAPACITY];
static _Atomic(struct job *) tiny_deques[TINY_WORKERS][LANES][TINY_CAPACITY];
static _Atomic uint64_t tiny_rings[TINY_WORKERS][LANES][TINY_CAPACITY], tiny_overflow[LANES][TINY_CAPACITY];

static _Atomic int64_t tiny_now;                               /* the clock, ns */

static inline int64_t tiny_clock(void *unused)
{
    (void)unused;
    return atomic_load_explicit(&tiny_now, memory_order_relaxed);
}

static inline void tiny_init_worker(struct worker *w, uint32_t index, enum worker_kind kind, uint32_t number)
{
    *w = (struct worker){ .app = &tiny, .index = index, .number = number, .kind = kind, .random = index + 1 };
    deque_init(&w->forks, tiny_forks[number], TINY_CAPACITY);
    for (uint32_t lane = 0; lane < LANES && kind == WORKER_LANE; lane++) {
        deque_init(&w->lanes[lane].jobs, tiny_deques[index][lane], TINY_CAPACITY);
        ring_init(&w->lanes[lane].ring, tiny_rings[index][lane], TINY_CAPACITY);
    }
}

static inline void tiny_begin(void)
{
    tiny.worker_count = TINY_WORKERS;
    tiny.workers = tiny_workers;
    tiny.guests = tiny_guests;
    for (uint32_t i = 0; i < TINY_WORKERS; i++)
        tiny_init_worker(&tiny_workers[i], i, WORKER_LANE, i);
    for (uint32_t i = 0; i < APP_GUESTS; i++)
        tiny_init_worker(&tiny_guests[i], i, WORKER_GUEST, TINY_WORKERS + i);
    for (uint32_t lane = 0; lane < LANES; lane++)
        inbox_init(&tiny.overflow[lane], tiny_overflow[lane], TINY_CAPACITY);
    explore_check(idle_init(&tiny.idle, &tiny.memory, TINY_WORKERS) == WEIR_OK);
    explore_check(registry_reserve(&tiny.place) == WEIR_OK);
    tiny.handle.bits = registry_handle(&tiny.place);
    explore_check(queues_init(&tiny) == WEIR_OK);
    tiny.clock = (struct clock){ tiny_clock, NULL };
    timers_init(&tiny.timers, &tiny.clock, &tiny.control, &tiny, queue_dispatch);
    registry_publish(&tiny.place, &tiny);
}

static inline void tiny_end(void)
{
    registry_close(&tiny.place);
    timers_fini(&tiny.timers);
    uint32_t floor = queues_generation_floor(&tiny);
    queues_fini(&tiny);
    idle_fini(&tiny.idle, &tiny.memory);
    registry_free(&tiny.place, floor);
}

static inline weir_queue tiny_lane(void) { return weir_app_queue(tiny.handle, WEIR_NORMAL); }

static inline struct worker *be_worker(uint32_t index)
{
    return worker_current = &tiny_workers[index];
}

static inline bool work_once(void)
{
    struct job *job = worker_find(worker_current, 1U << WEIR_NORMAL);
    if (job != NULL)
        worker_run(worker_current, job);
    return job != NULL;
}

static inline void work(int looks)
{
    while (looks-- > 0)
        (void)work_once();
}

/* Alone: everything that is left. Then the thread is nobody's again. */
static inline void work_off(void)
{
    be_worker(0);
    while (work_once())
        ;
    worker_current = NULL;
}

/* Time passes, and a pass of the timers comes. */
static inline void tiny_tick(int64_t ns)
{
    (void)atomic_fetch_add_explicit(&tiny_now, ns, memory_order_relaxed);
    explore_check(weir_app_tick(tiny.handle) == WEIR_OK);
}

/* A thread that is worker 1, or 0, and looks so many times. */
static inline void *work_as_0(void *looks) { return be_worker(0), work((int)(intptr_t)looks), NULL; }
static inline void *work_as_1(void *looks) { return be_worker(1), work((int)(intptr_t)looks), NULL; }

static inline pthread_t start(void *(*run)(void *arg), intptr_t arg)
{
    pthread_t thread;
    explore_check(pthread_create(&thread, NULL, run, (void *)arg) == 0);
    return thread;
}

#endif
