/* SPDX-License-Identifier: Apache-2.0 */
/* scene_app.c - the whole library, small: open, a job or two, close; and what the world refuses
 *
 * "kills" names mutants that the search was tried with and finds. */
#include "core/parker.h"
#include "small_app.h"

/* ---- open, run, close ---- */

/* kills: a worker that does not look at stopping before it sleeps; wake_all that counts searchers after the claim */
EXPLORE_SCENARIO(app_opens_and_closes, .preemptions = 2, .stale_reads = 1)
{
    explore_check(open_app(1) == WEIR_OK);
    close_app();
    explore_check(weir_app_close(app, 0, NULL) == WEIR_STALE);
    explore_check(submit(0) == WEIR_STALE);
}

/* The worker may be on its way to sleep, asleep, or not begun when the job and the end come.
 *
 * kills: a worker that ends without a last look */
EXPLORE_SCENARIO(app_runs_a_job_and_closes, .preemptions = 2, .stale_reads = 1)
{
    explore_check(open_app(1) == WEIR_OK);
    weir_status submitted = submit(0);
    explore_check(submitted == WEIR_OK);
    close_app();
    explore_check(ended(0, submitted));
    explore_observe((uint64_t)told[0]);
}

EXPLORE_SCENARIO(app_two_workers_run_two_jobs_and_close, .preemptions = 1)
{
    explore_check(open_app(2) == WEIR_OK);
    explore_check(submit(0) == WEIR_OK && submit(1) == WEIR_OK);
    close_app();
    explore_check(ended(0, WEIR_OK) && ended(1, WEIR_OK));
}

EXPLORE_SCENARIO(app_with_a_worker_that_spins, .preemptions = 2, .stale_reads = 1)
{
    workers_spin = true;
    explore_check(open_app(1) == WEIR_OK);
    explore_check(submit(0) == WEIR_OK);
    wait_for(0);
    close_app();
}

/* Nobody else wakes the worker: the second job must, or this waits for ever.
 *
 * kills: a submit that does not notify; a worker that looks before it says that it sleeps, and not again */
EXPLORE_SCENARIO(app_wakes_its_worker_for_each_job, .preemptions = 2)
{
    explore_check(open_app(1) == WEIR_OK);
    explore_check(submit(0) == WEIR_OK);
    wait_for(0);
    explore_check(submit(1) == WEIR_OK);
    wait_for(1);
    close_app();
}

static struct parker first_ran, second_ran;

static void run_and_tell(weir_job *job, weir_status status)
{
    run(job, status);
    (void)parker_unpark(&first_ran);
}

/* Without membarrier nothing but the exact look before the sleep says that a job is there. The waiter waits by other
 * means than the library's, which would bring the worker up to date.
 *
 * kills: a worker that sleeps after a quick look */
EXPLORE_SCENARIO(app_wakes_its_worker_without_membarrier, .preemptions = 2, .stale_reads = 1,
                 .without_membarrier = true)
{
    explore_check(open_app(1) == WEIR_OK);
    jobs[0].fn = run_and_tell;
    explore_check(submit(0) == WEIR_OK);
    (void)parker_park(&first_ran, WEIR_FOREVER);
    explore_check(runs[0] == 1);
    close_app();
}

/* A job hands over another, to its worker's own deque, and stays until that has run: so the other worker must be
 * woken, who may be going to sleep just now.
 *
 * kills: a submit on a worker that does not notify */
static void run_second(weir_job *job, weir_status status)
{
    run(job, status);
    (void)parker_unpark(&second_ran);
}

static void run_and_submit_another(weir_job *job, weir_status status)
{
    run(job, status);
    explore_check(submit(1) == WEIR_OK);
    (void)parker_park(&second_ran, WEIR_FOREVER);
    (void)parker_unpark(&first_ran);
}

EXPLORE_SCENARIO(app_a_job_submits_another_and_two_workers_look, .preemptions = 1)
{
    explore_check(open_app(2) == WEIR_OK);
    jobs[0].fn = run_and_submit_another;
    jobs[1].fn = run_second;
    explore_check(submit(0) == WEIR_OK);
    (void)parker_park(&first_ran, WEIR_FOREVER);
    close_app();
}

/* ---- the blocking lane, roots ---- */

static weir_status submit_blocking(unsigned i)
{
    return weir_job_submit(weir_app_queue(app, WEIR_BLOCKING), &jobs[i]);
}

EXPLORE_SCENARIO(app_blocking_lane_starts_a_thread, .preemptions = 1)
{
    explore_check(open_app(1) == WEIR_OK);
    explore_check(submit_blocking(0) == WEIR_OK);
    wait_for(0);
    explore_check(submit_blocking(1) == WEIR_OK);
    wait_for(1);
    close_app();
}

EXPLORE_SCENARIO(app_blocking_lane_against_close, .preemptions = 1, .stale_reads = 1)
{
    explore_check(open_app(1) == WEIR_OK);
    explore_check(submit_blocking(0) == WEIR_OK);
    close_app();
    explore_check(ended(0, WEIR_OK));
}

/* The thread has been idle for long, and still counts when the job comes.
 *
 * kills: a thread that goes without a last look */
EXPLORE_SCENARIO(app_blocking_thread_goes_home_when_a_job_comes, .preemptions = 1, .early_timeouts = 1, .seconds = 30)
{
    explore_check(open_app(1) == WEIR_OK);
    explore_check(submit_blocking(0) == WEIR_OK);
    wait_for(0);
    explore_check(submit_blocking(1) == WEIR_OK);
    wait_for(1);
    close_app();
}

static void run_root(weir_job *root, weir_status status)
{
    explore_check(root->ctx == jobs && status == WEIR_OK);
    runs[0]++;
}

EXPLORE_SCENARIO(app_run_on_a_worker, .preemptions = 2, .stale_reads = 1)
{
    explore_check(open_app(1) == WEIR_OK);
    explore_check(weir_app_run(app, run_root, jobs, false) == WEIR_OK);
    explore_check(runs[0] == 1);
    close_app();
}

/* ---- the world refuses: memory, threads, descriptors ---- */

/* One thing after the other is refused, then two at a time: the open fails and leaves nothing, or the application
 * works. */
static void open_with_faults(uint32_t workers)
{
    weir_app before = app;
    weir_status status = open_app(workers);
    explore_observe((uint64_t)status);
    if (status == WEIR_OK) {
        explore_check(submit(0) == WEIR_OK);
        close_app();
        explore_check(ended(0, WEIR_OK));
    } else {
        explore_check(status == WEIR_NO_MEMORY || status == WEIR_SYSTEM);
        explore_check(app.bits == before.bits);
    }
}

/* kills: an open that leaves a part behind; an open that does not stop the threads that it had */
EXPLORE_SCENARIO(app_open_is_refused_something, .preemptions = 1, .faults = 1)
{
    open_with_faults(2);
}

EXPLORE_SCENARIO(app_open_is_refused_two_things, .faults = 2)
{
    open_with_faults(2);
}

EXPLORE_SCENARIO(app_queue_open_is_refused_memory, .preemptions = 1, .faults = 1)
{
    weir_queue queue;
    if (open_app(1) != WEIR_OK)
        return;
    weir_status status = weir_queue_open(weir_app_queue(app, WEIR_NORMAL), NULL, &queue);
    explore_check(status == WEIR_OK || status == WEIR_NO_MEMORY);
    explore_observe((uint64_t)status);
    if (status == WEIR_OK)
        explore_check(weir_job_submit(queue, &jobs[0]) == WEIR_OK);
    close_app();
    explore_check(ended(0, status));
}

/* No thread for the blocking lane: the workers run its jobs.
 *
 * kills: jobs that are not handed over */
EXPLORE_SCENARIO(app_blocking_lane_is_refused_a_thread, .preemptions = 1, .faults = 1)
{
    if (open_app(1) != WEIR_OK)
        return;
    explore_check(submit_blocking(0) == WEIR_OK);
    wait_for(0);
    close_app();
}
