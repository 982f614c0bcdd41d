/* SPDX-License-Identifier: Apache-2.0 */
/* scene_control.c - workqueue/control.h: no request is lost while the thread falls asleep
 *
 * A lost wake-up shows as a deadlock, since nothing else would wake the thread. What the asker wrote before it asked
 * is plain, so that a missing edge is a race. */
#include <pthread.h>
#include <time.h>

#include "core/clock.h"
#include "explore.h"
#include "workqueue/control.h"

static struct control control;
static const struct log silent = { NULL, NULL };
static uint32_t said[2];                            /* plain: by the askers, for the handlers */
static _Atomic uint32_t heard[2], alarms;
static int64_t deadline;                            /* plain: before the thread starts */

static void hear(void *ctx)
{
    uintptr_t which = (uintptr_t)ctx;
    explore_check(said[which] == 1);
    atomic_fetch_add_explicit(&heard[which], 1, memory_order_relaxed);
}

static void hear_alarm(void *ctx)
{
    (void)ctx;
    explore_check(clock_monotonic() >= deadline);
    atomic_fetch_add_explicit(&alarms, 1, memory_order_relaxed);
    control_request(&control, CONTROL_STOP);
}

static void *run(void *unused)
{
    control_run(&control);
    return unused;
}

static void *ask(void *which)
{
    said[(uintptr_t)which] = 1;
    control_request(&control, (uintptr_t)which == 0 ? CONTROL_GROW : CONTROL_RESCUE);
    return NULL;
}

static pthread_t start(void *(*body)(void *arg), uintptr_t which)
{
    pthread_t thread;
    explore_check(pthread_create(&thread, NULL, body, (void *)which) == 0);
    return thread;
}

static void open_control(void)
{
    explore_check(control_init(&control, &silent) == WEIR_OK);
    control_handle(&control, CONTROL_GROW, hear, (void *)0);
    control_handle(&control, CONTROL_RESCUE, hear, (void *)1);
    control_handle(&control, CONTROL_TIMERS, hear_alarm, NULL);
}

static void stop_control(pthread_t thread)
{
    control_request(&control, CONTROL_STOP);
    pthread_join(thread, NULL);
    control_fini(&control);
}

static uint32_t count_of(_Atomic uint32_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

EXPLORE_SCENARIO(control_one_asks_while_it_falls_asleep, .preemptions = 5, .stale_reads = 2, .spurious = 1)
{
    open_control();
    pthread_t thread = start(run, 0);
    (void)ask((void *)0);
    stop_control(thread);
    explore_check(count_of(&heard[0]) == 1);
}

EXPLORE_SCENARIO(control_two_ask_while_it_falls_asleep, .preemptions = 4, .stale_reads = 1)
{
    open_control();
    pthread_t thread = start(run, 0), asker = start(ask, 1);
    (void)ask((void *)0);
    pthread_join(asker, NULL);
    stop_control(thread);
    explore_check(count_of(&heard[0]) == 1 && count_of(&heard[1]) == 1);
}

/* The alarm is set by another thread, before or while the control thread sleeps, and ends it. */
EXPLORE_SCENARIO(control_an_alarm_rings_once_and_not_early, .preemptions = 4, .stale_reads = 1)
{
    deadline = clock_monotonic() + 1000;
    open_control();
    pthread_t thread = start(run, 0);
    control_set_alarm(&control, deadline);
    pthread_join(thread, NULL);
    explore_check(count_of(&alarms) == 1);
    control_fini(&control);
}

/* Whatever descriptor is refused, nothing is left over. */
EXPLORE_SCENARIO(control_without_descriptors, .faults = 1)
{
    weir_status status = control_init(&control, &silent);
    explore_check(status == WEIR_OK || status == WEIR_SYSTEM);
    explore_observe((uint64_t)status);
    if (status == WEIR_OK)
        control_fini(&control);
}
