/* SPDX-License-Identifier: Apache-2.0 */
/* submit.c - handing jobs to queues: one, several, or when there is room */
#include "core/probes.h"
#include "workqueue/app.h"
#include "workqueue/reply.h"
#include "workqueue/waitfor.h"

/* A full queue whose policy is that the caller runs the job (Q4): as a call of its own, which a cancel can wait for. */
static weir_status run_by_caller(struct app *app, struct job *job)
{
    struct worker *w = worker_self();
    struct worker *guest = worker_is_of(app) ? NULL : app_guest_begin(app);
    if (guest != NULL)
        w = guest;
    if (w == NULL || w->app != app)
        return WEIR_FULL;                                /* too many threads run their own jobs already */
    job->kind = JOB_PLAIN;
    job->owner = NULL;                                   /* it runs outside of the queue, and cannot defer there */
    job_set_app(job, app->handle.bits);
    bool ran = worker_call_last(w, job, WEIR_OK);
    if (guest != NULL)
        app_guest_end(guest);
    return ran ? WEIR_OK : WEIR_FULL;
}

static bool caller_runs(struct app *app, weir_queue handle)
{
    struct queue *queue = queue_is_lane(handle) ? NULL : queue_find(app, handle);
    /* relaxed: a stale handle has been told apart by FULL, and FULL of a queue that is gone by now is still true */
    return queue != NULL && atomic_load_explicit(&queue->full, memory_order_relaxed) == WEIR_FULL_CALLER_RUNS;
}

static weir_status submit(struct app *app, weir_queue handle, struct job *job)
{
    weir_status status = queue_reserve(app, handle, job, JOB_PLAIN);
    if (status != WEIR_OK)
        return status == WEIR_FULL && caller_runs(app, handle) ? run_by_caller(app, job) : status;
    WEIR_PROBE3(job_submit, job, handle.bits, job->lane);
    job_begin(job, JOB_QUEUED);
    queue_dispatch(app, job);
    return WEIR_OK;
}

static weir_status try_submit(struct app *app, weir_queue handle, weir_job *job)
{
    if (job == NULL)
        return registry_misuse(handle.bits, WEIR_INVALID);
    weir_status status = job->fn != NULL && job_is_free(job_of(job)) ? WEIR_OK : reply_check_job(job_of(job));
    return status == WEIR_OK ? submit(app, handle, job_of(job)) : registry_misuse(handle.bits, status);
}

/* The short way, for most jobs: on a worker, to a lane of its own application, with nothing in between. False: nothing
 * was done, and the long way knows what to answer. */
static inline bool submit_here(struct worker *self, weir_queue queue, struct job *job)
{
    struct app *app = self->app;
    uint64_t lane = queue_lane_of(app, queue);
    if (lane >= LANES || self->kind != WORKER_LANE || registry_is_forked(&app->place) || app_is_closing(app)
        || app->options.lane_limit != 0 || job == NULL || job->fn == NULL || !job_is_free(job))
        return false;
    job->owner = NULL;
    job->lane = (uint8_t)lane;
    queue_fill_in(app, job, JOB_PLAIN);
    WEIR_PROBE3(job_submit, job, queue.bits, job->lane);
    job_begin(job, JOB_QUEUED);
    if (!app_push_here(self, (uint32_t)lane, job))
        app_push_elsewhere(app, (uint32_t)lane, job);
    return true;
}

weir_status weir_job_submit(weir_queue queue, weir_job *job)
{
    struct app_ref ref;
    struct worker *self = worker_self();
    if (self != NULL && submit_here(self, queue, job_of(job)))
        return WEIR_OK;
    weir_status status = app_enter(queue.bits, HANDLE_QUEUE, &ref);
    if (status != WEIR_OK)
        return status;
    status = try_submit(ref.app, queue, job);
    app_leave(&ref);
    return status;
}

/* ---- several ---- */

enum { LIST_CHUNK = 64 };

/* Lanes: reserved one by one, published together. How many were taken; why not more. */
static size_t submit_chunk(struct app *app, weir_queue lane, weir_job *const *jobs, size_t count, weir_status *why)
{
    struct job *taken[LIST_CHUNK];
    size_t n = 0;
    *why = WEIR_OK;
    while (n < count && *why == WEIR_OK) {
        *why = jobs[n] == NULL ? WEIR_INVALID : reply_check_job(job_of(jobs[n]));
        if (*why != WEIR_OK)
            (void)registry_misuse(lane.bits, *why);
        else
            *why = queue_reserve(app, lane, job_of(jobs[n]), JOB_PLAIN);
        if (*why != WEIR_OK)
            break;
        taken[n] = job_of(jobs[n]);
        job_begin(taken[n], JOB_QUEUED);                 /* from here on a second mention in the list is BUSY */
        n++;
    }
    app_push_list(app, handle_slot(lane.bits), taken, n);
    return n;
}

static weir_status submit_to_lane(struct app *app, weir_queue lane, weir_job *const *jobs, size_t count,
                                  size_t *accepted)
{
    weir_status status = WEIR_OK;
    for (size_t n = 0; n < count && status == WEIR_OK; n = *accepted) {
        size_t chunk = count - n < LIST_CHUNK ? count - n : LIST_CHUNK;
        *accepted += submit_chunk(app, lane, jobs + n, chunk, &status);
    }
    return status;
}

/* Serial and bounded queues: the first push submits the pump, the others find it at work. */
static weir_status submit_to_queue(struct app *app, weir_queue queue, weir_job *const *jobs, size_t count,
                                   size_t *accepted)
{
    weir_status status = WEIR_OK;
    for (size_t n = 0; n < count && status == WEIR_OK; n++) {
        status = try_submit(app, queue, jobs[n]);
        if (status == WEIR_OK)
            ++*accepted;
    }
    return status;
}

weir_status weir_job_submit_list(weir_queue queue, weir_job *const *jobs, size_t count, size_t *accepted)
{
    struct app_ref ref;
    if (accepted == NULL)
        return registry_misuse(queue.bits, WEIR_INVALID);
    *accepted = 0;
    if (jobs == NULL && count != 0)
        return registry_misuse(queue.bits, WEIR_INVALID);
    weir_status status = app_enter(queue.bits, HANDLE_QUEUE, &ref);
    if (status != WEIR_OK)
        return status;
    status = queue_is_lane(queue) ? submit_to_lane(ref.app, queue, jobs, count, accepted)
                                  : submit_to_queue(ref.app, queue, jobs, count, accepted);
    app_leave(&ref);
    return status;
}

/* ---- when there is room ---- */

static weir_status submit_when_room(struct app *app, weir_queue handle, struct room *room, weir_job *job,
                                    int64_t deadline)
{
    weir_status status;
    bool in_time = true;
    atomic_fetch_add_explicit(&room->waiters, 1, memory_order_seq_cst);                                   /* F1 */
    for (;;) {
        uint32_t seen = event_value(&room->event);
        status = try_submit(app, handle, job);
        if (status != WEIR_FULL || !in_time)
            break;
        in_time = event_wait(&room->event, seen, deadline);
    }
    atomic_fetch_sub_explicit(&room->waiters, 1, memory_order_relaxed);            /* one post too many is no harm */
    return status == WEIR_FULL ? WEIR_TIMED_OUT : status;
}

weir_status weir_job_submit_wait(weir_queue handle, weir_job *job, int64_t timeout_ns)
{
    struct app_ref ref;
    weir_status status = app_enter(handle.bits, HANDLE_QUEUE, &ref);
    if (status != WEIR_OK)
        return status;
    status = try_submit(ref.app, handle, job);
    struct waitfor wait;
    if (status == WEIR_FULL && waitfor_begin(ref.app, timeout_ns, &wait)) {
        struct room *room = queue_is_lane(handle) ? &ref.app->lane_room : &queue_find(ref.app, handle)->room;
        status = submit_when_room(ref.app, handle, room, job, time_add(clock_monotonic(), timeout_ns));
        waitfor_end(&wait);
    }
    app_leave(&ref);
    return status;
}
