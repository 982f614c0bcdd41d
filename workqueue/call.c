/* SPDX-License-Identifier: Apache-2.0 */
/* call.c - the claim of a job and the call of its function; the labels K1..K3 are told in cancel.c */
#include "core/probes.h"
#include "workqueue/app.h"
#include "workqueue/fork.h"
#include "workqueue/queue.h"

static bool call_push(struct worker *w, struct job *job)
{
    if (w->depth == WORKER_CALLS_MAX)
        return false;
    /* relaxed: K1, released by the claim that follows (job.h), which is what a canceller reads */
    atomic_store_explicit(&w->calls[w->depth], job, memory_order_relaxed);
    w->told[w->depth++] = WEIR_CANCELED;                 /* not OK, as long as nothing is claimed */
    return true;
}

static void call_pop(struct worker *w)
{
    /* release: K2, who no longer finds the job here (cancel.c) sees all that its function did */
    atomic_store_explicit(&w->calls[--w->depth], NULL, memory_order_release);
    asymmetric_light();                                                                                   /* K3 */
    if (atomic_load_explicit(&w->app->call_waiters, memory_order_relaxed) != 0)
        event_post(&w->app->call_ended);
}

static void call_function(struct job *job, weir_status status)
{
    worker_call_user(job->fn, job_public(job), status);
}

static bool job_repeats(const struct job *job)
{
    return job->kind == JOB_TIMER && timer_is_periodic(job);
}

static inline weir_status claim(const struct app *app, struct job *job, bool repeats)
{
    weir_status forced = job->forced;
    bool stopping = atomic_load_explicit(&app->stopping, memory_order_relaxed);    /* a job claimed meanwhile runs */
    if (repeats && forced == WEIR_OK && !stopping && job_move(job, JOB_QUEUED, JOB_PERIODIC))
        return WEIR_OK;
    weir_status status = job_claim(job);
    if (status == WEIR_OK && (forced != WEIR_OK || stopping))
        return WEIR_SHUTDOWN;
    return status;
}

static inline __attribute__((always_inline)) weir_status claim_and_call(struct worker *w, struct job *job, bool repeats)
{
    bool pushed = call_push(w, job);
    weir_assert(pushed);
    (void)pushed;
    weir_status status = claim(w->app, job, repeats);
    w->told[w->depth - 1] = status;
    WEIR_PROBE2(job_run, job, status);
    call_function(job, status);
    call_pop(w);
    return status;
}

weir_status worker_call(struct worker *w, struct job *job)
{
    bool repeats = job_repeats(job);
    weir_status status = claim_and_call(w, job, repeats);
    if (repeats && status == WEIR_OK)
        timers_rearm(&w->app->timers, job);
    return status;
}

bool worker_call_last(struct worker *w, struct job *job, weir_status status)
{
    if (!call_push(w, job))
        return false;
    atomic_store_explicit(&job->phase, JOB_OVER, memory_order_release);                                   /* K1 */
    call_function(job, status);
    call_pop(w);
    return true;
}

/* The depth of the job's call on this thread, 1 the outermost; 0: there is none. */
static uint32_t depth_of(const struct worker *w, const struct job *job)
{
    uint32_t depth = w->depth;
    while (depth > 0 && atomic_load_explicit(&w->calls[depth - 1], memory_order_relaxed) != job) /* own stores */
        depth--;
    return depth;
}

bool worker_is_inside(const struct worker *w, const struct job *job)
{
    return depth_of(w, job) != 0;
}

bool worker_is_inside_ok(const struct worker *w, const struct job *job)
{
    uint32_t depth = depth_of(w, job);
    return depth != 0 && w->told[depth - 1] == WEIR_OK;
}

/* A job counts in a lane until it is picked, in a queue until its call is over; a periodic timer in both until its
 * last call, since it was accepted once. */
static void run_plain(struct worker *w, struct job *job)
{
    struct app *app = w->app;
    struct queue *owner = job->owner;
    uint8_t lane = job->lane;
    bool repeats = job_repeats(job);
    if (owner == NULL && !repeats)
        app_lane_leave(app, lane);
    if (owner != NULL && queue_is_aborted(app, owner))
        job->forced = WEIR_SHUTDOWN;
    if (worker_call(w, job) == WEIR_OK && repeats)
        return;
    if (owner != NULL)
        queue_leave(app, owner, 1);
    else if (repeats)
        app_lane_leave(app, lane);
}

/* In a concurrent queue. It may be gone, or be submitted again, when its function has returned. */
static void run_operation(struct app *app, struct job *job)
{
    struct queue *owner = job->owner;
    worker_call_user(job->fn, job_public(job), queue_is_aborted(app, owner) ? WEIR_SHUTDOWN : WEIR_OK);
    queue_leave(app, owner, 1);
}

/* Most jobs: one that was submitted to a lane. */
static void run_in_lane(struct worker *w, struct job *job)
{
    app_lane_leave(w->app, job->lane);
    (void)claim_and_call(w, job, false);
}

static __attribute__((noinline)) void run_by_kind(struct worker *w, struct job *job)
{
    switch (job->kind) {
    case JOB_INTERNAL:
        worker_call_user(job->fn, job_public(job), WEIR_OK);
        break;
    case JOB_FORK:
        fork_run(job);
        break;
    case JOB_CLOSED:
        (void)worker_call_last(w, job, WEIR_OK);
        break;
    case JOB_OPERATION:
        run_operation(w->app, job);
        break;
    default:
        run_plain(w, job);
    }
}

void worker_run(struct worker *w, struct job *job)
{
    if (job->kind == JOB_PLAIN && job->owner == NULL)
        run_in_lane(w, job);
    else
        run_by_kind(w, job);
}
