/* SPDX-License-Identifier: Apache-2.0 */
/* reply.c - jobs that defer, and the queue that waits for them; the protocol and its labels are in reply.h */
#include "workqueue/reply.h"

#include "core/verify.h"
#include "workqueue/app.h"

static bool reply_move(struct queue *queue, uint64_t from, enum reply_state to)
{
    return atomic_compare_exchange_strong_explicit(&queue->reply, &from, reply_with(from, to),
                                                   memory_order_seq_cst,                                  /* R1, R2 */
                                                   memory_order_acquire);                                 /* R2 */
}

/* ---- the pump's side ---- */

/* The job's second and last call. */
static void end_deferred(struct worker *w, struct queue *queue, enum reply_state how)
{
    struct job *job = queue->deferred;
    queue->deferred = NULL;
    if (how == REPLY_REPLIED)
        return;                                          /* its first call was its last */
    bool called = worker_call_last(w, job, how == REPLY_CANCELED ? WEIR_CANCELED : WEIR_SHUTDOWN);
    weir_assert(called);                                 /* pumps run at the bottom of a worker's calls */
    (void)called;
}

bool reply_must_wait(struct worker *w, struct queue *queue, struct job *job)
{
    uint64_t reply = atomic_load_explicit(&queue->reply, memory_order_acquire);                           /* R2 */
    if (reply_state(reply) == REPLY_NONE)
        return false;
    queue->deferred = job;
    if (reply_state(reply) == REPLY_DEFERRED && reply_move(queue, reply, REPLY_WAITING)) {
        uint64_t waiting = reply_with(reply, REPLY_WAITING);
        if (!queue_is_aborted(w->app, queue) || !reply_move(queue, waiting, REPLY_ABORTED))
            return true;
    }
    return false;
}

void reply_settle(struct worker *w, struct queue *queue)
{
    if (queue->deferred == NULL)
        return;
    uint64_t reply = atomic_load_explicit(&queue->reply, memory_order_acquire);                           /* R2 */
    end_deferred(w, queue, reply_state(reply));
    /* release: R2, a later defer on this word follows the calls so far; the pump alone leaves these states */
    atomic_store_explicit(&queue->reply, reply_with(reply, REPLY_NONE), memory_order_release);
}

/* ---- the others' ---- */

void reply_abort(struct app *app, struct queue *queue)
{
    uint64_t reply = atomic_load_explicit(&queue->reply, memory_order_seq_cst);                           /* R1 */
    if (reply_state(reply) == REPLY_WAITING && reply_move(queue, reply, REPLY_ABORTED))
        queue_submit_pump(app, queue);
}

static struct queue *queue_of_token(struct app *app, uint64_t token)
{
    return queue_find(app, (weir_queue){ token });
}

/* Ends the deferral that the token names; what decides is the one swap of the reply word. */
static weir_status end_deferral(struct app *app, uint64_t token, enum reply_state how)
{
    struct queue *queue = queue_of_token(app, token);
    if (queue == NULL)
        return WEIR_STALE;
    for (;;) {
        uint64_t reply = atomic_load_explicit(&queue->reply, memory_order_acquire);                       /* R2 */
        enum reply_state state = reply_state(reply);
        if (reply_sequence(reply) != handle_generation(token) || state == REPLY_NONE)
            return WEIR_STALE;
        if (state != REPLY_DEFERRED && state != REPLY_WAITING)
            return state == REPLY_CANCELED ? WEIR_ALREADY : WEIR_TOO_LATE;
        if (!reply_move(queue, reply, how))
            continue;
        if (state == REPLY_WAITING)
            queue_submit_pump(app, queue);                     /* the deferred job keeps the queue alive */
        return WEIR_OK;
    }
}

/* The token is in aux[0]. relaxed: J1, the phase DEFERRED releases it; atomic, since a cancel may read it while the
 * job begins its next life. */
static uint64_t token_of(const struct job *job)
{
    return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&job->aux[0], memory_order_relaxed);
}

static void keep_token(struct job *job, uint64_t token)
{
    atomic_store_explicit((_Atomic uint64_t *)(void *)&job->aux[0], token, memory_order_relaxed);
}

weir_status reply_cancel(struct app *app, const struct job *job)
{
    weir_status status = end_deferral(app, token_of(job), REPLY_CANCELED);
    return status == WEIR_STALE ? WEIR_TOO_LATE : status;
}

static bool is_over_in(struct app *app, uint64_t token)
{
    struct queue *queue = queue_of_token(app, token);
    if (queue == NULL)
        return true;
    uint64_t reply = atomic_load_explicit(&queue->reply, memory_order_acquire);                           /* R2 */
    return reply_sequence(reply) != handle_generation(token) || reply_state(reply) == REPLY_NONE
        || reply_state(reply) == REPLY_REPLIED;
}

bool reply_is_over(const struct job *job)
{
    struct app_ref ref;
    uint64_t token = token_of(job);
    weir_status status = app_enter(token, HANDLE_REPLY, &ref);
    if (status != WEIR_OK)
        return status != WEIR_SHUTDOWN;                  /* gone with its application, unless that still ends it */
    bool over = is_over_in(ref.app, token);
    app_leave(&ref);
    return over;
}

weir_status reply_check_job(const struct job *job)
{
    if (job->fn == NULL)
        return WEIR_INVALID;
    /* relaxed: the caller's own, see job_is_free */
    if (atomic_load_explicit(&job->phase, memory_order_relaxed) == JOB_DEFERRED)
        return reply_is_over(job) ? WEIR_OK : WEIR_BUSY;
    return job_is_free(job) ? WEIR_OK : WEIR_BUSY;
}

weir_status weir_job_defer(weir_job *public, weir_token *out)
{
    struct worker *w = worker_self();
    struct job *job = job_of(public);
    if (public == NULL || out == NULL || w == NULL || !worker_is_inside_ok(w, job))
        return registry_misuse(0, WEIR_INVALID);
    struct queue *queue = job->owner;
    if (job->kind != JOB_PLAIN || queue == NULL || !queue->replies)
        return registry_misuse(w->app->handle.bits, WEIR_INVALID);
    uint64_t reply = atomic_load_explicit(&queue->reply, memory_order_acquire);                           /* R2 */
    if (reply_state(reply) != REPLY_NONE)
        return WEIR_ALREADY;
    if (reply_sequence(reply) == HANDLE_GENERATION_MAX)
        return WEIR_LIMIT;
    uint64_t next = (uint64_t)(reply_sequence(reply) + 1) << 3 | REPLY_DEFERRED;
    uint64_t token = handle_make(HANDLE_REPLY, w->app->place.index, queue->index + WEIR_BLOCKING + 1,
                                 reply_sequence(next));
    keep_token(job, token);
    atomic_store_explicit(&queue->reply, next, memory_order_release);                                     /* R2 */
    /* release: J1, a cancel that sees DEFERRED reads the token, and finds the word of the queue that way, too */
    atomic_store_explicit(&job->phase, JOB_DEFERRED, memory_order_release);
    out->bits = token;
    return WEIR_OK;
}

weir_status weir_job_reply(weir_token token)
{
    struct app_ref ref;
    weir_status status = app_enter(token.bits, HANDLE_REPLY, &ref);
    if (status != WEIR_OK)
        return status;
    status = end_deferral(ref.app, token.bits, REPLY_REPLIED);
    app_leave(&ref);
    return status == WEIR_ALREADY || status == WEIR_TOO_LATE ? WEIR_STALE : status;
}
