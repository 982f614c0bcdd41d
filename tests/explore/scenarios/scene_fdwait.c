/* SPDX-License-Identifier: Apache-2.0 */
/* scene_fdwait.c - workqueue/fdwait.h: a wait ends once, whoever wins, and is not touched afterwards
 *
 * The control thread, the timers and the descriptors are there; the queue behind claims each item at once and frees
 * it, so that any later touch is a use after free: by the starter that is still busy, by a winner that has told, or by
 * the control thread, out of an event. An item that a cancel may meet at any time is not freed. The control
 * thread ends by itself when no wait needs it; if it waits for one that is gone, that is a deadlock. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "explore.h"
#include "workqueue/fdwait.h"

enum { NOW = 1000, DUE = 900 };

static struct timers timers;
static struct fdwaits fdwaits;
static struct control control;
static const struct log silent = { NULL, NULL };
static int ends[2];
static struct fdwait fixed;
static uint32_t reason;                             /* plain: before the cancel */
static _Atomic uint32_t ready, expired, canceled, shut_down, won;

static int64_t constant_now(void *ctx)
{
    (void)ctx;
    return NOW;
}

static const struct clock hand_clock = { constant_now, NULL };

static void claim(struct app *app, struct job *job)
{
    (void)app;
    struct fdwait *wait = fdwait_of(job);
    bool forced = job->forced == WEIR_SHUTDOWN;
    uint32_t events = wait->ready;
    weir_status status = job_claim(job);
    explore_check(status != WEIR_CANCELED || reason == 1);
    _Atomic uint32_t *counter = events == 0 ? &expired : &ready;
    if (status == WEIR_CANCELED)
        counter = &canceled;
    else if (forced)
        counter = &shut_down;
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    if (wait != &fixed)
        free(wait);
}

static void pass_timers(void *unused)
{
    (void)unused;
    timers_pass(&timers);
}

static void open_all(void)
{
    explore_check(control_init(&control, &silent) == WEIR_OK);
    timers_init(&timers, &hand_clock, &control, NULL, claim);
    fdwaits_init(&fdwaits, &timers, &control, &silent, NULL, claim);
    control_handle(&control, CONTROL_TIMERS, pass_timers, NULL);
    explore_check(pipe(ends) == 0);
}

static void *run_control(void *unused)
{
    control_run(&control);
    return unused;
}

static pthread_t start(void *(*run)(void *arg))
{
    pthread_t thread;
    explore_check(pthread_create(&thread, NULL, run, NULL) == 0);
    return thread;
}

static void close_all(pthread_t control_thread)
{
    timers_shutdown(&timers);
    fdwaits_shutdown(&fdwaits);
    fdwaits_stop(&fdwaits);
    pthread_join(control_thread, NULL);
    fdwaits_fini(&fdwaits);
    timers_fini(&timers);
    control_fini(&control);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void make_wait(struct fdwait *wait)
{
    *wait = (struct fdwait){ .timer.job.kind = JOB_FDWAIT, .fd = ends[0], .events = WEIR_READABLE };
}

static struct fdwait *new_wait(void)
{
    struct fdwait *wait = calloc(1, sizeof *wait);
    explore_check(wait != NULL);
    make_wait(wait);
    return wait;
}

static void write_byte(void)
{
    explore_check(write(ends[1], "x", 1) == 1);
}

static void *cancel_fixed(void *unused)
{
    reason = 1;
    if (job_move(&fixed.timer.job, JOB_ARMED, JOB_ENDING)) {
        atomic_fetch_add_explicit(&won, 1, memory_order_relaxed);
        fdwaits_cancelled(&fdwaits, &fixed.timer.job);
    }
    return unused;
}

static void *pass(void *unused)
{
    timers_pass(&timers);
    return unused;
}

static void *start_own(void *unused)
{
    struct fdwait *wait = new_wait();
    if (fdwaits_start(&fdwaits, wait, WEIR_FOREVER) != WEIR_OK)
        free(wait);
    return unused;
}

static uint32_t count_of(_Atomic uint32_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint32_t ended(void)
{
    return count_of(&ready) + count_of(&expired) + count_of(&canceled) + count_of(&shut_down);
}

/* The event comes before the adding, between it and the starter's end, or later. */
EXPLORE_SCENARIO(fdwait_an_event_against_the_starter, .preemptions = 4, .stale_reads = 2)
{
    open_all();
    pthread_t thread = start(run_control);
    write_byte();
    explore_check(fdwaits_start(&fdwaits, new_wait(), WEIR_FOREVER) == WEIR_OK);
    close_all(thread);
    explore_check(ended() == 1 && count_of(&ready) + count_of(&shut_down) == 1);
    explore_observe(count_of(&ready));
}

EXPLORE_SCENARIO(fdwait_an_event_against_a_time_out, .preemptions = 3, .stale_reads = 1)
{
    open_all();
    pthread_t thread = start(run_control), passer = start(pass);
    explore_check(fdwaits_start(&fdwaits, new_wait(), DUE) == WEIR_OK);
    write_byte();
    pthread_join(passer, NULL);
    close_all(thread);
    explore_check(ended() == 1);
    explore_observe(count_of(&ready) + 2 * count_of(&expired));
}

EXPLORE_SCENARIO(fdwait_an_event_against_a_cancel, .preemptions = 3, .stale_reads = 1)
{
    open_all();
    make_wait(&fixed);
    pthread_t thread = start(run_control), canceller = start(cancel_fixed);
    write_byte();
    explore_check(fdwaits_start(&fdwaits, &fixed, WEIR_FOREVER) == WEIR_OK);
    pthread_join(canceller, NULL);
    close_all(thread);
    explore_check(ended() == 1 && count_of(&canceled) == count_of(&won));
    explore_observe(count_of(&ready) + 2 * count_of(&canceled));
}

/* The canceller has won, and tells while the application ends: the control thread must wait for it. */
EXPLORE_SCENARIO(fdwait_the_end_against_a_cancel, .preemptions = 4, .stale_reads = 2)
{
    open_all();
    make_wait(&fixed);
    explore_check(fdwaits_start(&fdwaits, &fixed, WEIR_FOREVER) == WEIR_OK);
    pthread_t canceller = start(cancel_fixed), thread = start(run_control);
    timers_shutdown(&timers);
    fdwaits_shutdown(&fdwaits);
    fdwaits_stop(&fdwaits);
    pthread_join(thread, NULL);
    explore_check(ended() == 1 && count_of(&canceled) == count_of(&won));
    pthread_join(canceller, NULL);
    explore_check(ended() == 1);
    explore_observe(count_of(&canceled));
    fdwaits_fini(&fdwaits);
    timers_fini(&timers);
    control_fini(&control);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

EXPLORE_SCENARIO(fdwait_the_end_against_a_start, .preemptions = 4, .stale_reads = 2)
{
    open_all();
    pthread_t thread = start(run_control), starter = start(start_own);
    fdwaits_shutdown(&fdwaits);
    fdwaits_stop(&fdwaits);
    pthread_join(thread, NULL);
    uint32_t at_the_end = ended();
    pthread_join(starter, NULL);
    explore_check(ended() == at_the_end);           /* nothing is left to a thread that is gone */
    explore_observe(at_the_end);
    timers_shutdown(&timers);
    fdwaits_fini(&fdwaits);
    timers_fini(&timers);
    control_fini(&control);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* Two for one descriptor: one is refused, the other is not disturbed. */
EXPLORE_SCENARIO(fdwait_two_starts_for_one_descriptor, .preemptions = 3, .stale_reads = 1)
{
    open_all();
    pthread_t thread = start(run_control), starter = start(start_own);
    (void)start_own(NULL);
    pthread_join(starter, NULL);
    write_byte();
    close_all(thread);
    explore_check(ended() == 1);
    explore_observe(count_of(&ready));
}

/* A start that is refused, but a cancel has won before it knew: it ends by that, and what holds the descriptor is not
 * disturbed by its end. */
EXPLORE_SCENARIO(fdwait_a_refused_start_that_was_cancelled, .preemptions = 2, .stale_reads = 1)
{
    open_all();
    make_wait(&fixed);
    pthread_t thread = start(run_control);
    explore_check(fdwaits_start(&fdwaits, new_wait(), WEIR_FOREVER) == WEIR_OK);
    pthread_t canceller = start(cancel_fixed);
    weir_status status = fdwaits_start(&fdwaits, &fixed, WEIR_FOREVER);
    pthread_join(canceller, NULL);
    explore_check(status == (count_of(&won) == 1 ? WEIR_OK : WEIR_BUSY));
    while (count_of(&canceled) != count_of(&won))
        sched_yield();
    write_byte();
    while (count_of(&ready) == 0)
        sched_yield();
    close_all(thread);
    explore_check(ended() == 1 + count_of(&won));
    explore_observe(count_of(&won));
}
