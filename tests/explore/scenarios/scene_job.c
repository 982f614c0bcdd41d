/* SPDX-License-Identifier: Apache-2.0 */
/* scene_job.c - workqueue/job.h and cancel.c: one last call, what it is told, and that nobody is inside any more
 *
 * "kills" names mutants that the search was tried with and finds.
 *
 * What a canceller writes before its cancel, and what a function leaves behind, is plain: whoever is promised to see it
 * must do so without a race. */
#include "tiny_app.h"

/* ---- the word alone ---- */

static struct job job;
static int why;                                                /* plain: by the canceller that won, before it */
static _Atomic uint32_t wins, last_calls;
static weir_status last_status;

static void call_last(weir_status status)
{
    atomic_fetch_add_explicit(&last_calls, 1, memory_order_relaxed);
    last_status = status;
    if (status == WEIR_CANCELED)
        explore_check(why == 1);                               /* J2 */
}

static void *claim(void *unused)
{
    (void)unused;
    call_last(job_claim(&job));
    return NULL;
}

static void *cancel(void *unused)
{
    (void)unused;
    weir_status status = weir_job_cancel(job_public(&job));
    if (status == WEIR_OK)
        atomic_fetch_add_explicit(&wins, 1, memory_order_relaxed);
    else
        explore_check(status == WEIR_TOO_LATE || status == WEIR_ALREADY);
    return NULL;
}

static void *say_why_and_cancel(void *unused)
{
    why = 1;
    return cancel(unused);
}

static void check_the_last_call(void)
{
    explore_check(atomic_load(&last_calls) == 1);
    explore_check((last_status == WEIR_CANCELED) == (atomic_load(&wins) == 1));
    explore_check(atomic_load(&wins) <= 1);
    explore_observe(atomic_load(&wins));
}

/* The cancel comes before the claim, or it is too late; the function is told which.
 *
 * kills: J2 relaxed; a move that looks and then stores */
EXPLORE_SCENARIO(job_claim_against_cancel, .preemptions = 6, .stale_reads = 2)
{
    job_begin(&job, JOB_QUEUED);
    pthread_t first = start(claim, 0);
    say_why_and_cancel(NULL);
    pthread_join(first, NULL);
    check_the_last_call();
}

/* Two cancels: one wins, the other is told so.
 *
 * kills: a move that looks and then stores */
EXPLORE_SCENARIO(job_two_cancels_against_the_claim, .preemptions = 6, .stale_reads = 2)
{
    job_begin(&job, JOB_QUEUED);
    why = 1;
    pthread_t first = start(claim, 0), second = start(cancel, 0);
    cancel(NULL);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    check_the_last_call();
}

/* ---- a call that runs ---- */

static weir_timer timer;                                       /* its job is the item of what follows */
static unsigned calls, ended;                                  /* plain: by the function */
static weir_status told;
static _Atomic int cancels;

static void run(weir_job *item, weir_status status)
{
    explore_check(item == &timer.job && ended == 0);
    calls++;
    told = status;
    if (status != WEIR_OK)
        ended = 1;
}

static void run_long(weir_job *item, weir_status status)
{
    static _Atomic int step;
    run(item, status);
    atomic_store_explicit(&step, 1, memory_order_relaxed);     /* room to be looked at in the middle */
    calls += 10;
}

/* Nothing touches the item any more: it becomes something else. */
static void reuse_the_item(void)
{
    timer.job = (weir_job){ .fn = NULL };
}

static void begin(weir_job_fn *fn)
{
    tiny_begin();
    timer.job.fn = fn;
}

static void *cancel_item(void *unused)
{
    (void)unused;
    if (weir_job_cancel(&timer.job) == WEIR_OK)
        atomic_fetch_add_explicit(&cancels, 1, memory_order_relaxed);
    return NULL;
}

static void wait_for_the_end(void)
{
    weir_status status = weir_job_cancel_wait(&timer.job, WEIR_FOREVER);
    explore_check(status == WEIR_OK || status == WEIR_TOO_LATE || status == WEIR_ALREADY);
    if (status == WEIR_OK)
        atomic_fetch_add_explicit(&cancels, 1, memory_order_relaxed);
    explore_check(calls == 11);
}

static void *wait_too(void *unused)
{
    (void)unused;
    wait_for_the_end();
    return NULL;
}

/* The worker takes the job off its list of calls and looks who waits; the waiter says that it waits and looks at the
 * lists.
 *
 *      worker   calls[0] := NULL .. nobody waits
 *      waiter                       call_waiters + 1, heavy: still in calls[0]? .. sleeps
 *
 * kills: K1 after the claim, or its look relaxed; K2 relaxed, either end; K3 without heavy; is_over that does not
 * look at the calls; a value of the event that is read after the look; no post */
EXPLORE_SCENARIO(job_cancel_wait_against_the_end_of_the_call, .preemptions = 4, .stale_reads = 2, .spurious = 1)
{
    begin(run_long);
    explore_check(weir_job_submit(tiny_lane(), &timer.job) == WEIR_OK);
    pthread_t first = start(work_as_1, 1);
    wait_for_the_end();
    reuse_the_item();
    pthread_join(first, NULL);
    explore_check((told == WEIR_CANCELED) == (atomic_load(&cancels) == 1));
    explore_observe((uint64_t)told);
    tiny_end();
}

/* kills: K3 without light */
EXPLORE_SCENARIO(job_cancel_wait_without_membarrier, .preemptions = 5, .stale_reads = 2, .without_membarrier = true)
{
    begin(run_long);
    explore_check(weir_job_submit(tiny_lane(), &timer.job) == WEIR_OK);
    pthread_t first = start(work_as_1, 1);
    wait_for_the_end();
    reuse_the_item();
    pthread_join(first, NULL);
    tiny_end();
}

EXPLORE_SCENARIO(job_two_wait_for_one_call, .preemptions = 2, .stale_reads = 1)
{
    begin(run_long);
    explore_check(weir_job_submit(tiny_lane(), &timer.job) == WEIR_OK);
    pthread_t first = start(work_as_1, 1), second = start(wait_too, 0);
    wait_for_the_end();
    pthread_join(second, NULL);
    reuse_the_item();
    pthread_join(first, NULL);
    explore_check(atomic_load(&tiny.call_waiters) == 0);
    tiny_end();
}

/* The time-out may come first: then the call still runs, or was never begun, and the cancel stands. */
EXPLORE_SCENARIO(job_cancel_wait_may_time_out, .preemptions = 3, .stale_reads = 1, .early_timeouts = 1)
{
    begin(run_long);
    explore_check(weir_job_submit(tiny_lane(), &timer.job) == WEIR_OK);
    pthread_t first = start(work_as_1, 1);
    weir_status status = weir_job_cancel_wait(&timer.job, 1000);
    if (status != WEIR_TIMED_OUT)
        reuse_the_item();
    pthread_join(first, NULL);
    explore_check(calls == 11);
    explore_observe((uint64_t)status);
    tiny_end();
}

/* ---- again and again ---- */

static weir_status start_timer(int64_t delay, int64_t period)
{
    return weir_timer_start(tiny_lane(), &timer, delay, period);
}

static void *tick(void *unused)
{
    (void)unused;
    tiny_tick(10);
    return NULL;
}

static void *work_and_tick(void *unused)
{
    work_as_1((void *)1);
    return tick(unused);
}

static void end_periodic(void)
{
    explore_check(atomic_load(&cancels) == 1);
    tiny_tick(0);
    work_off();
    explore_check(ended == 1 && told == WEIR_CANCELED);
    explore_observe(calls);
    tiny_end();
}

/* Claim, call, arm again, against a cancel: which may come while the item is queued, runs, or is armed again. Called
 * with CANCELED exactly once, last.
 *
 *      worker      QUEUED -> PERIODIC, the call, PERIODIC -> ARMED, into the wheel
 *      canceller            -> MARKED?                  -> ENDING?
 *
 * kills: a rearm that stores ARMED; a cancel that is too late for PERIODIC; S2 and S3 relaxed; W2, W3, W4 of timers.h
 * relaxed */
EXPLORE_SCENARIO(job_periodic_call_against_cancel, .preemptions = 4, .stale_reads = 2)
{
    begin(run);
    explore_check(start_timer(0, 10) == WEIR_OK);
    pthread_t first = start(work_as_1, 1), second = start(cancel_item, 0);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    end_periodic();
}

/* The next tick comes meanwhile: the same item is due, and cancelled, and armed again. */
EXPLORE_SCENARIO(job_periodic_tick_against_cancel, .preemptions = 3, .stale_reads = 1)
{
    begin(run);
    explore_check(start_timer(10, 10) == WEIR_OK);
    pthread_t first = start(tick, 0), second = start(cancel_item, 0);
    be_worker(0);
    work(1);
    worker_current = NULL;
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    end_periodic();
}

EXPLORE_SCENARIO(job_periodic_call_and_tick_against_cancel, .preemptions = 2, .stale_reads = 1)
{
    begin(run);
    explore_check(start_timer(0, 10) == WEIR_OK);
    pthread_t first = start(work_and_tick, 0), second = start(cancel_item, 0);
    be_worker(0);
    work(2);
    worker_current = NULL;
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    end_periodic();
}

/* One tick, one cancel, once only: due and run, or cancelled.
 *
 * kills: W2, W3, W4 of timers.h relaxed */
EXPLORE_SCENARIO(job_timer_is_due_against_cancel, .preemptions = 4, .stale_reads = 2)
{
    begin(run);
    explore_check(start_timer(10, 0) == WEIR_OK);
    pthread_t first = start(tick, 0), second = start(cancel_item, 0);
    be_worker(0);
    work(1);
    worker_current = NULL;
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    tiny_tick(0);
    work_off();
    explore_check(calls == 1 && (told == WEIR_CANCELED) == (atomic_load(&cancels) == 1));
    explore_observe((uint64_t)told);
    reuse_the_item();
    tiny_end();
}
