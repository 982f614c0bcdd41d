/* SPDX-License-Identifier: Apache-2.0 */
/* scene_app_close.c - the whole library, small: the close against everything else
 *
 * "kills" names mutants that the search was tried with and finds. It does not miss the second look at closing in
 * weir_queue_open (A3): who opens from outside holds a pin, and what a job opens then ends with its application. */
#include "core/parker.h"
#include "small_app.h"

/* ---- against the close ---- */

static weir_status submitted_by_other, submitted_by_job;

static void *submit_second(void *unused)
{
    (void)unused;
    submitted_by_other = expect_accepted_or_late(submit(1));
    return NULL;
}

/* Accepted, and then called once; or refused, and never.
 *
 *      submitter   pin .. closing? no .. push .. unpin
 *      closer               closing, shut: waits for the pin .. stopping, wakes, joins, frees
 *
 * kills: a close that does not shut the registry; a worker that ends without a last look */
EXPLORE_SCENARIO(app_submit_against_close, .preemptions = 2)
{
    explore_check(open_app(1) == WEIR_OK);
    pthread_t other = start(submit_second, 0);
    close_app();
    pthread_join(other, NULL);
    explore_check(ended(1, submitted_by_other));
    explore_observe((uint64_t)submitted_by_other);
}

/* The same by a job, which needs no pin. */
static void run_and_submit(weir_job *job, weir_status status)
{
    run(job, status);
    submitted_by_job = expect_accepted_or_late(submit(1));
}

EXPLORE_SCENARIO(app_submit_by_a_job_against_close, .preemptions = 2, .stale_reads = 1)
{
    explore_check(open_app(1) == WEIR_OK);
    jobs[0].fn = run_and_submit;
    explore_check(submit(0) == WEIR_OK);
    close_app();
    explore_check(ended(0, WEIR_OK) && ended(1, submitted_by_job));
    explore_observe((uint64_t)submitted_by_job);
}

static weir_status other_close;

static void *close_too(void *unused)
{
    (void)unused;
    other_close = weir_app_close(app, WEIR_FOREVER, NULL);
    return NULL;
}

/* kills: a second closer that is let in */
EXPLORE_SCENARIO(app_two_close_it, .preemptions = 2)
{
    explore_check(open_app(1) == WEIR_OK);
    pthread_t other = start(close_too, 0);
    weir_status mine = weir_app_close(app, WEIR_FOREVER, NULL);
    pthread_join(other, NULL);
    explore_check((mine == WEIR_OK) + (other_close == WEIR_OK) == 1);
    weir_status late = mine == WEIR_OK ? other_close : mine;
    explore_check(late == WEIR_CLOSING || late == WEIR_STALE);
}

/* A close that runs out of time goes on when it is called again. */
EXPLORE_SCENARIO(app_close_times_out_and_goes_on, .preemptions = 2, .early_timeouts = 1)
{
    explore_check(open_app(1) == WEIR_OK);
    explore_check(submit(0) == WEIR_OK);
    weir_status first = weir_app_close(app, 1000, NULL);
    explore_check(first == WEIR_OK || first == WEIR_TIMED_OUT);
    explore_observe((uint64_t)first);
    explore_check(weir_app_close(app, WEIR_FOREVER, NULL) == (first == WEIR_OK ? WEIR_STALE : WEIR_OK));
    explore_check(ended(0, WEIR_OK));
}

static struct parker sent_away;

/* It runs until the waiter is gone: so the close must not wait for the waiter without sending it away. */
static void run_until_sent_away(weir_job *job, weir_status status)
{
    run(job, status);
    if (status == WEIR_OK)
        (void)parker_park(&sent_away, WEIR_FOREVER);
}

static void *cancel_and_wait(void *unused)
{
    (void)unused;
    weir_status status = weir_job_cancel_wait(&jobs[0], WEIR_FOREVER);
    explore_check(status == WEIR_OK || status == WEIR_TOO_LATE || status == WEIR_SHUTDOWN || status == WEIR_STALE);
    (void)parker_unpark(&sent_away);
    return NULL;
}

/* Who waits for a call holds a pin, which the close waits for: so the close must send it away.
 *
 * kills: a close that does not wake them; a waiter that does not look whether the application closes */
EXPLORE_SCENARIO(app_cancel_wait_against_close, .preemptions = 1, .stale_reads = 1)
{
    explore_check(open_app(1) == WEIR_OK);
    jobs[0].fn = run_until_sent_away;
    explore_check(submit(0) == WEIR_OK);
    pthread_t other = start(cancel_and_wait, 0);
    close_app();
    pthread_join(other, NULL);
    explore_check(runs[0] == 1);
    explore_observe((uint64_t)told[0]);
}

/* ---- queues ---- */

static weir_queue queue;

static void *submit_second_to_queue(void *unused)
{
    (void)unused;
    submitted_by_other = expect_accepted_or_late(weir_job_submit(queue, &jobs[1]));
    return NULL;
}

/* A serial queue that nobody closes: the application does, and what waits in it is told. */
EXPLORE_SCENARIO(app_closes_a_queue_that_is_at_work, .preemptions = 1)
{
    explore_check(open_app(1) == WEIR_OK);
    explore_check(weir_queue_open(weir_app_queue(app, WEIR_NORMAL), NULL, &queue) == WEIR_OK);
    explore_check(weir_job_submit(queue, &jobs[0]) == WEIR_OK);
    pthread_t other = start(submit_second_to_queue, 0);
    close_app();
    pthread_join(other, NULL);
    explore_check(ended(0, WEIR_OK) && ended(1, submitted_by_other));
    if (submitted_by_other == WEIR_OK)
        explore_check(told[0] == WEIR_OK || told[1] == WEIR_SHUTDOWN);
}

static void *open_and_submit(void *unused)
{
    (void)unused;
    weir_status status = weir_queue_open(weir_app_queue(app, WEIR_NORMAL), NULL, &queue);
    submitted_by_other = status == WEIR_OK ? weir_job_submit(queue, &jobs[1]) : status;
    explore_check(submitted_by_other != WEIR_NO_MEMORY);
    return NULL;
}

/* A queue that becomes live while the application closes: closed by it, or refused (A3). */
EXPLORE_SCENARIO(app_queue_open_against_close, .preemptions = 1, .stale_reads = 1)
{
    explore_check(open_app(1) == WEIR_OK);
    pthread_t other = start(open_and_submit, 0);
    close_app();
    pthread_join(other, NULL);
    explore_check(ended(1, submitted_by_other));
    explore_observe((uint64_t)submitted_by_other);
}

static void *submit_with_patience(void *unused)
{
    (void)unused;
    submitted_by_other = expect_accepted_or_late(weir_job_submit_wait(queue, &jobs[1], WEIR_FOREVER));
    (void)parker_unpark(&sent_away);
    return NULL;
}

/* Who waits for room holds a pin, too, and the job in its place does not go before.
 *
 * kills: a close that does not wake them */
EXPLORE_SCENARIO(app_submit_wait_against_close, .preemptions = 1)
{
    explore_check(open_app(1) == WEIR_OK);
    explore_check(weir_queue_open(weir_app_queue(app, WEIR_NORMAL), WEIR_NEW(weir_queue_options, .limit = 1), &queue)
                  == WEIR_OK);
    jobs[0].fn = run_until_sent_away;
    explore_check(weir_job_submit(queue, &jobs[0]) == WEIR_OK);
    pthread_t other = start(submit_with_patience, 0);
    close_app();
    pthread_join(other, NULL);
    explore_check(ended(0, WEIR_OK) && ended(1, submitted_by_other));
    explore_observe((uint64_t)submitted_by_other);
}

static void run_and_defer(weir_job *job, weir_status status)
{
    weir_token nobody_has_it;
    run(job, status);
    if (status == WEIR_OK)
        explore_check(weir_job_defer(job, &nobody_has_it) == WEIR_OK);
}

/* A deferral that nobody replies to is ended by the close.
 *
 * kills: a close that does not abort the queues */
EXPLORE_SCENARIO(app_close_ends_a_deferral, .preemptions = 1)
{
    explore_check(open_app(1) == WEIR_OK);
    jobs[0].fn = run_and_defer;
    explore_check(weir_queue_open(weir_app_queue(app, WEIR_NORMAL), WEIR_NEW(weir_queue_options, .reply = true), &queue)
                  == WEIR_OK);
    explore_check(weir_job_submit(queue, &jobs[0]) == WEIR_OK);
    close_app();
    explore_check(told[0] == WEIR_SHUTDOWN && runs[0] <= 2);
    explore_observe(runs[0]);
}

/* ---- time ---- */

static weir_timer timer;
static unsigned ticks, timer_ends;
static struct parker fired;
static weir_status timer_told;

static void run_timer(weir_job *job, weir_status status)
{
    (void)job;
    timer_told = status;
    ticks++;
    timer_ends += status != WEIR_OK;
    (void)parker_unpark(&fired);
}

static weir_status start_timer(int64_t delay, int64_t period)
{
    timer.job.fn = run_timer;
    return weir_timer_start(weir_app_queue(app, WEIR_NORMAL), &timer, delay, period);
}

/* The alarm wakes the control thread, that the worker: nobody else does anything. */
EXPLORE_SCENARIO(app_timer_fires, .preemptions = 2)
{
    explore_check(open_app(1) == WEIR_OK);
    explore_check(start_timer(1000, 0) == WEIR_OK);
    (void)parker_park(&fired, WEIR_FOREVER);
    explore_check(ticks == 1);
    close_app();
}

static void *cancel_timer(void *unused)
{
    (void)unused;
    weir_status status = weir_job_cancel(&timer.job);
    explore_check(status == WEIR_OK || status == WEIR_TOO_LATE || status == WEIR_ALREADY);
    other_close = status;
    return NULL;
}

/* Cancelled, ended by the close, or both in vain because it was due: told once, and what the winner said.
 *
 * kills: a close that does not end the timers */
EXPLORE_SCENARIO(app_timer_against_cancel_against_close, .preemptions = 1, .early_timeouts = 1)
{
    explore_check(open_app(1) == WEIR_OK);
    explore_check(start_timer(1000, 0) == WEIR_OK);
    pthread_t other = start(cancel_timer, 0);
    close_app();
    pthread_join(other, NULL);
    explore_check(ticks == 1 && (timer_told == WEIR_CANCELED) == (other_close == WEIR_OK));
    explore_observe((uint64_t)timer_told);
}

/* The user's clock, stepped by hand. */
static _Atomic int64_t now;

static int64_t read_clock(void *ctx)
{
    (void)ctx;
    return atomic_load_explicit(&now, memory_order_relaxed);
}

static void *step_clock(void *unused)
{
    (void)unused;
    atomic_store_explicit(&now, 10, memory_order_relaxed);
    weir_status status = weir_app_tick(app);
    explore_check(status == WEIR_OK || status == WEIR_SHUTDOWN || status == WEIR_STALE);
    return NULL;
}

static void open_with_a_clock(void)
{
    explore_check(weir_app_open(WEIR_NEW(weir_app_options, .workers = 1, .blocking_max = 1, .alloc = alloc,
                                         .release = release, .now = read_clock), &app) == WEIR_OK);
}

/* Called any number of times with OK, and once, last, with SHUTDOWN.
 *
 * kills: a close that does not end the timers */
EXPLORE_SCENARIO(app_periodic_timer_ticks_against_close, .preemptions = 2)
{
    open_with_a_clock();
    explore_check(start_timer(10, 10) == WEIR_OK);
    pthread_t other = start(step_clock, 0);
    close_app();
    pthread_join(other, NULL);
    explore_check(timer_ends == 1 && timer_told == WEIR_SHUTDOWN);
    explore_observe(ticks);
}

EXPLORE_SCENARIO(app_manual_clock_ticks_against_cancel_against_close, .preemptions = 1)
{
    open_with_a_clock();
    explore_check(start_timer(10, 0) == WEIR_OK);
    pthread_t first = start(step_clock, 0), second = start(cancel_timer, 0);
    close_app();
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    explore_check(ticks == 1 && (timer_told == WEIR_CANCELED) == (other_close == WEIR_OK));
    explore_observe((uint64_t)timer_told);
}
