/* SPDX-License-Identifier: Apache-2.0 */
/* scene_timers.c - workqueue/timers.h: nothing is forgotten, nothing ends twice, nobody waits
 *
 * The queue behind the timers claims each item at once, on the thread that owns the wheel, and where the scenario
 * allows it frees the item's memory, so that any later touch is a use after free. What an item carries is plain, so
 * that a missing edge is a race. No control thread runs: its part is played after the threads have ended, by
 * doing what was asked of it, or, where the application ends, by nobody. */
#include <pthread.h>
#include <stdlib.h>

#include "explore.h"
#include "workqueue/control.h"
#include "workqueue/timers.h"

enum { NOW = 1000, DUE = 900, LATER = 5000000 };

struct item {
    struct timer timer;
    uint32_t said;                                  /* plain: by who armed it */
    uint32_t reason;                                /* plain: by who cancelled it, before the cancel */
};

static struct timers timers;
static struct control control;
static bool ends_free;                              /* the last call frees the item */
static struct item fixed;                           /* for scenarios in which it does not */
static _Atomic uint32_t ok, canceled, shut_down, won;

static int64_t constant_now(void *ctx)
{
    (void)ctx;
    return NOW;
}

static const struct clock hand_clock = { constant_now, NULL };

static void count(_Atomic uint32_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static uint32_t counted(_Atomic uint32_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void claim(struct app *app, struct job *job)
{
    (void)app;
    struct item *item = (struct item *)(void *)job;
    bool forced = job->forced == WEIR_SHUTDOWN;
    weir_status status = job_claim(job);
    explore_check(item->said == 1);
    explore_check(status != WEIR_CANCELED || item->reason == 2);
    count(status == WEIR_CANCELED ? &canceled : forced ? &shut_down : &ok);
    if (ends_free)
        free(item);
}

static void open_timers(bool free_items)
{
    timers_init(&timers, &hand_clock, &control, NULL, claim);
    ends_free = free_items;
}

static void make_item(struct item *item)
{
    item->timer.job.kind = JOB_TIMER;
    item->said = 1;
}

static struct item *new_item(void)
{
    struct item *item = calloc(1, sizeof *item);
    explore_check(item != NULL);
    make_item(item);
    return item;
}

static void cancel(struct item *item)
{
    item->reason = 2;
    if (!job_move(&item->timer.job, JOB_ARMED, JOB_ENDING))
        return;
    count(&won);
    timers_cancelled(&timers, &item->timer.job);
}

/* The control thread's part. */
static void do_what_control_was_asked(void)
{
    while (atomic_exchange_explicit(&control.word, 0, memory_order_acquire) != 0)
        timers_pass(&timers);
}

static pthread_t start(void *(*run)(void *arg))
{
    pthread_t thread;
    explore_check(pthread_create(&thread, NULL, run, NULL) == 0);
    return thread;
}

static void join2(pthread_t first, pthread_t second)
{
    pthread_join(first, NULL);
    pthread_join(second, NULL);
}

/* ---- the pieces that threads are made of ---- */

static void *arm_and_cancel(void *unused)
{
    struct item *item = new_item();
    timers_arm(&timers, &item->timer, WEIR_FOREVER, 0);
    cancel(item);
    return unused;
}

static void *arm_due_and_pass(void *unused)
{
    timers_arm(&timers, &new_item()->timer, DUE, 0);
    timers_pass(&timers);
    return unused;
}

static void *arm_later(void *unused)
{
    timers_arm(&timers, &new_item()->timer, LATER, 0);
    return unused;
}

static void *pass(void *unused)
{
    timers_pass(&timers);
    return unused;
}

static void *cancel_fixed(void *unused)
{
    cancel(&fixed);
    return unused;
}

static void *rearm_fixed(void *unused)
{
    timers_rearm(&timers, &fixed.timer.job);
    return unused;
}

static void *end_all(void *unused)
{
    timers_shutdown(&timers);
    return unused;
}

static void *pass_and_end_all(void *unused)
{
    timers_pass(&timers);
    timers_shutdown(&timers);
    return unused;
}

/* ---- the wheel's one word ---- */

EXPLORE_SCENARIO(timers_two_threads_arm_and_cancel_their_own, .preemptions = 4, .stale_reads = 2)
{
    open_timers(true);
    join2(start(arm_and_cancel), start(arm_and_cancel));
    explore_check(counted(&canceled) == 2);
    timers_fini(&timers);
}

EXPLORE_SCENARIO(timers_three_threads_arm_and_cancel_their_own, .preemptions = 2, .stale_reads = 1)
{
    open_timers(true);
    pthread_t first = start(arm_and_cancel), second = start(arm_and_cancel);
    arm_and_cancel(NULL);
    join2(first, second);
    explore_check(counted(&canceled) == 3);
    timers_fini(&timers);
}

/* Whoever asks for a pass after its arm gets it: by itself, from another pass, or from the control thread. */
EXPLORE_SCENARIO(timers_no_pass_is_lost, .preemptions = 4, .stale_reads = 1)
{
    open_timers(true);
    join2(start(arm_due_and_pass), start(arm_and_cancel));
    do_what_control_was_asked();
    explore_check(counted(&ok) == 1 && counted(&canceled) == 1);
    timers_fini(&timers);
}

EXPLORE_SCENARIO(timers_two_passes_and_an_owner, .preemptions = 2, .stale_reads = 1)
{
    open_timers(true);
    pthread_t first = start(arm_due_and_pass), second = start(arm_due_and_pass);
    arm_and_cancel(NULL);
    join2(first, second);
    do_what_control_was_asked();
    explore_check(counted(&ok) == 2 && counted(&canceled) == 1);
    timers_fini(&timers);
}

/* ---- one item ---- */

EXPLORE_SCENARIO(timers_due_against_a_cancel, .preemptions = 6, .stale_reads = 2, .spurious = 1)
{
    open_timers(false);
    make_item(&fixed);
    timers_arm(&timers, &fixed.timer, DUE, 0);
    join2(start(cancel_fixed), start(pass));
    do_what_control_was_asked();
    explore_check(counted(&ok) + counted(&canceled) == 1);
    explore_check(counted(&canceled) == counted(&won));
    explore_observe(counted(&won));
    timers_fini(&timers);
}

/* The arm waits in the intake of another owner, the cancel finds it there, or later. */
EXPLORE_SCENARIO(timers_arm_against_its_cancel_and_a_pass, .preemptions = 4, .stale_reads = 2)
{
    open_timers(false);
    make_item(&fixed);
    pthread_t first = start(cancel_fixed), second = start(pass);
    timers_arm(&timers, &fixed.timer, DUE, 0);
    join2(first, second);
    timers_pass(&timers);
    do_what_control_was_asked();
    explore_check(counted(&ok) + counted(&canceled) == 1);
    explore_check(counted(&canceled) == counted(&won));
    explore_observe(counted(&won));
    timers_fini(&timers);
}

EXPLORE_SCENARIO(timers_periodic_against_a_cancel, .preemptions = 4, .stale_reads = 2)
{
    open_timers(false);
    make_item(&fixed);
    timer_set_period(&fixed.timer.job, 100);
    fixed.timer.item.node.deadline = NOW - 10;
    atomic_store_explicit(&fixed.timer.job.phase, JOB_PERIODIC, memory_order_relaxed);
    pthread_t first = start(rearm_fixed), second = start(pass);
    fixed.reason = 2;
    if (job_move(&fixed.timer.job, JOB_PERIODIC, JOB_MARKED))
        count(&won);
    else
        cancel(&fixed);
    join2(first, second);
    do_what_control_was_asked();
    explore_check(counted(&won) == 1 && counted(&canceled) == 1 && counted(&ok) == 0);
    timers_fini(&timers);
}

/* ---- the end ---- */

EXPLORE_SCENARIO(timers_the_end_against_arms, .preemptions = 6, .stale_reads = 2, .spurious = 1)
{
    open_timers(true);
    join2(start(end_all), start(arm_later));
    explore_check(counted(&shut_down) == 1);
    timers_fini(&timers);
}

EXPLORE_SCENARIO(timers_the_end_against_a_cancel, .preemptions = 6, .stale_reads = 2, .spurious = 1)
{
    open_timers(false);
    make_item(&fixed);
    timers_arm(&timers, &fixed.timer, LATER, 0);
    join2(start(end_all), start(cancel_fixed));
    explore_check(counted(&shut_down) + counted(&canceled) == 1);
    explore_check(counted(&canceled) == counted(&won));
    explore_observe(counted(&won));
    timers_fini(&timers);
}

/* From the end on nothing may depend on the control thread: nobody does what was asked of it. */
EXPLORE_SCENARIO(timers_the_end_needs_no_control_thread, .preemptions = 3, .stale_reads = 1)
{
    open_timers(true);
    pthread_t first = start(pass_and_end_all), second = start(arm_later);
    arm_later(NULL);
    join2(first, second);
    explore_check(counted(&shut_down) == 2);
    timers_fini(&timers);
}
