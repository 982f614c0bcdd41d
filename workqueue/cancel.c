/* SPDX-License-Identifier: Apache-2.0 */
/* cancel.c - cancelling an item: one compare-and-swap of its phase; and waiting until no call of it runs
 *
 * What a cancel meets and what follows (the phases are in job.h):
 *
 *      IDLE             NOT_FOUND
 *      QUEUED           MARKED: the worker that claims it calls it with CANCELED
 *      PERIODIC         MARKED: the worker sees it after the call that runs, and queues the last one
 *      ARMED            ENDING: handed to the owner of the timers or of the descriptor waits, which queues it, MARKED
 *      DEFERRED         the queue's reply word decides (queue.h)
 *      MARKED, ENDING   ALREADY
 *      CLOSING, OVER    TOO_LATE
 *
 * Waiting for the end of calls. A worker writes the job it calls into its own list, then claims the job (K1), and
 * takes it off after the call (K2). Who finds the phase OVER by that claim also finds the job in the worker's list,
 * or an end of the call. To be told of that end, the waiter raises call_waiters and looks again, while the worker
 * takes the job off and looks at call_waiters: two words, two sides, so a full barrier is needed between write and
 * look on both. The worker's, once per job, is the free half of an asymmetric barrier (K3); the waiter pays for it.
 *
 *      step                    order               partner
 *   K1 calls[] := job          relaxed, released   the acquire of the phase in is_over. By the claim
 *                              by the claim
 *   K2 calls[] := NULL         release             is_over: what the function did is visible to who waited for it
 *   K3 call_waiters            seq_cst / light     asymmetric.h M1
 */
#include "workqueue/app.h"
#include "workqueue/reply.h"
#include "workqueue/waitfor.h"
#include "workqueue/waits.h"

/* What is asked of an application that cannot be entered any more: it ends the item at this moment. */
static weir_status refused(weir_status status)
{
    return status == WEIR_FORKED ? WEIR_FORKED : WEIR_TOO_LATE;
}

static weir_status cancel_armed(struct job *job)
{
    struct app_ref ref;
    weir_status status = app_enter(job_app(job), HANDLE_APP, &ref);
    if (status != WEIR_OK)
        return refused(status);
    bool won = job_move(job, JOB_ARMED, JOB_ENDING);
    if (won)
        waits_cancelled(ref.app, job);
    app_leave(&ref);
    return won ? WEIR_OK : WEIR_AGAIN;
}

static weir_status cancel_deferred(const struct job *job)
{
    struct app_ref ref;
    weir_status status = app_enter(job_app(job), HANDLE_APP, &ref);
    if (status != WEIR_OK)
        return refused(status);
    status = reply_cancel(ref.app, job);
    app_leave(&ref);
    return status;
}

/* In a queue, or called again and again: no application is needed. In a forked child nobody would ever call it. */
static weir_status cancel_queued(struct job *job, uint32_t phase)
{
    if (registry_handle_is_forked(job_app(job)))
        return WEIR_FORKED;
    return job_move(job, phase, JOB_MARKED) ? WEIR_OK : WEIR_AGAIN;
}

static weir_status cancel_once(struct job *job, uint32_t phase)
{
    switch (phase) {
    case JOB_IDLE:     return WEIR_NOT_FOUND;
    case JOB_QUEUED:
    case JOB_PERIODIC: return cancel_queued(job, phase);
    case JOB_MARKED:
    case JOB_ENDING:   return WEIR_ALREADY;
    case JOB_ARMED:    return cancel_armed(job);
    case JOB_DEFERRED: return cancel_deferred(job);
    case JOB_CLOSING:
    case JOB_OVER:     return WEIR_TOO_LATE;
    default:           return registry_misuse(0, WEIR_INVALID);              /* a forked job */
    }
}

weir_status weir_job_cancel(weir_job *public)
{
    if (public == NULL)
        return registry_misuse(0, WEIR_INVALID);
    struct job *job = job_of(public);
    weir_status status;
    do
        status = cancel_once(job, atomic_load_explicit(&job->phase, memory_order_acquire));               /* J1 */
    while (status == WEIR_AGAIN);
    return status;
}

/* ---- waiting ---- */

static bool runs_in(const struct worker *w, const struct job *job)
{
    for (uint32_t i = 0; i < WORKER_CALLS_MAX; i++)
        if (atomic_load_explicit(&w->calls[i], memory_order_acquire) == job)                              /* K2 */
            return true;
    return false;
}

static bool runs_among(const struct worker *workers, uint32_t count, const struct job *job)
{
    for (uint32_t i = 0; i < count; i++)
        if (runs_in(&workers[i], job))
            return true;
    return false;
}

/* No call runs, and none will come. */
static bool is_over(const struct app *app, struct job *job)
{
    uint32_t phase = atomic_load_explicit(&job->phase, memory_order_acquire);                         /* K1, J1 */
    bool ended = phase == JOB_OVER
              || (phase == JOB_DEFERRED && reply_is_over(job));
    return ended && !runs_among(app->workers, app->worker_count, job)
        && !runs_among(app->blocking.workers, app->blocking.max, job)
        && !runs_among(app->guests, APP_GUESTS, job)
        && !runs_among(app->reserve.workers, app->reserve.count, job);
}

static weir_status wait_until_over(struct app *app, struct job *job, int64_t deadline, weir_status cancelled)
{
    bool in_time = true;
    weir_status status = cancelled;
    atomic_fetch_add_explicit(&app->call_waiters, 1, memory_order_seq_cst);                               /* K3 */
    asymmetric_heavy();                                                                                   /* K3 */
    for (;;) {
        uint32_t seen = event_value(&app->call_ended);
        if (is_over(app, job))
            break;
        if (app_is_closing(app))
            status = WEIR_SHUTDOWN;                      /* the close waits for the call; it must not wait for this */
        else if (!in_time)
            status = WEIR_TIMED_OUT;
        if (status != cancelled)
            break;
        in_time = event_wait(&app->call_ended, seen, deadline);
    }
    atomic_fetch_sub_explicit(&app->call_waiters, 1, memory_order_relaxed);        /* one look too many is no harm */
    return status;
}

weir_status weir_job_cancel_wait(weir_job *public, int64_t timeout_ns)
{
    struct app_ref ref;
    weir_status status = weir_job_cancel(public);
    if (status == WEIR_NOT_FOUND || status == WEIR_INVALID)
        return status;
    struct job *job = job_of(public);
    if (worker_self() != NULL && worker_is_inside(worker_self(), job))
        return registry_misuse(job_app(job), WEIR_WOULD_DEADLOCK);
    weir_status entered = app_enter(job_app(job), HANDLE_APP, &ref);
    if (entered == WEIR_SHUTDOWN || entered == WEIR_FORKED)
        return entered;                                  /* a call may still run; who closes waits for it */
    if (entered != WEIR_OK)
        return status;                                   /* the application is gone, and with it every call */
    struct waitfor wait;
    if (waitfor_begin(ref.app, timeout_ns, &wait))
        status = wait_until_over(ref.app, job, time_add(clock_monotonic(), timeout_ns), status);
    else if (!is_over(ref.app, job))
        status = registry_misuse(job_app(job), WEIR_WOULD_DEADLOCK);
    waitfor_end(&wait);
    app_leave(&ref);
    return status;
}
