/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c - the queue's word, the list, the pump; the protocol and its labels are in queue.h */
#include "workqueue/queue.h"

#include "core/verify.h"
#include "workqueue/app.h"
#include "workqueue/reply.h"

/* The head of a queue that is at work with nothing new. Never dereferenced. */
static struct job BUSY_MARK;
#define BUSY (&BUSY_MARK)

/* ---- the word ---- */

/* What a newcomer with this handle is told by this word. */
static weir_status word_judge(uint64_t word, uint64_t handle, uint32_t limit)
{
    if (!slot_word_matches(word, handle))
        return WEIR_STALE;
    if ((word & QUEUE_CLOSED) != 0)
        return WEIR_CLOSED;
    if ((limit != 0 && queue_word_count(word) >= limit) || queue_word_count(word) == QUEUE_COUNT)
        return WEIR_FULL;
    return WEIR_OK;
}

weir_status queue_enter(struct queue *queue, uint64_t handle)
{
    /* seq_cst, all three: F1 of room.h, by this word a waiter that has counted itself is told that it is full */
    uint64_t word = atomic_load_explicit(&queue->slot.word, memory_order_seq_cst);                    /* G2, F1 */
    uint32_t limit = atomic_load_explicit(&queue->limit, memory_order_relaxed);    /* this owner's, or the swap fails */
    weir_status status;
    while ((status = word_judge(word, handle, limit)) == WEIR_OK)
        if (atomic_compare_exchange_weak_explicit(&queue->slot.word, &word, word + 1,
                                                  memory_order_seq_cst, memory_order_seq_cst))        /* B2, G2, F1 */
            break;
    return status;
}

void queue_stay(struct queue *queue)
{
    uint64_t old = atomic_fetch_add_explicit(&queue->slot.word, 1, memory_order_relaxed);    /* held: nothing to see */
    weir_assert(queue_word_count(old) != 0 && queue_word_count(old) != QUEUE_COUNT);
    (void)old;
}

static void list_push(struct app *app, struct queue *queue, struct job *job);

/* The one caller that made the queue over. */
static void complete(struct app *app, struct queue *queue)
{
    struct queue *target = queue->target;
    struct job *closed = queue->closed;
    uint8_t lane = queue->lane;
    struct slots_block block = { .first = queue->index, .count = 1 };
    slots_free(&app->queues, &queue->slot);
    slots_release(&app->queues, block);
    if (closed == NULL && target != NULL)
        queue_leave(app, target, 1);
    else if (closed != NULL && target != NULL)
        list_push(app, target, closed);                  /* counts as what this queue held the target by */
    else if (closed != NULL)
        app_push(app, lane, closed);
}

void queue_leave(struct app *app, struct queue *queue, uint32_t count)
{
    if (count == 0)
        return;
    bool limited = atomic_load_explicit(&queue->limit, memory_order_relaxed) != 0; /* ours: the queue is held */
    uint64_t old = atomic_fetch_sub_explicit(&queue->slot.word, count, memory_order_seq_cst);             /* B1, F1 */
    weir_assert(queue_word_count(old) >= count);
    if (queue_word_is_over(old - count))
        complete(app, queue);
    else if (limited)
        room_post(&queue->room);                         /* over by now? The slot stays a queue's */
}

/* ---- the list and the pump ---- */

/* The pump goes where the queue's jobs go. */
void queue_submit_pump(struct app *app, struct queue *queue)
{
    if (queue->target == NULL) {
        app_push(app, queue->lane, &queue->pump);
    } else {
        queue_stay(queue->target);
        list_push(app, queue->target, &queue->pump);
    }
}

static void list_push(struct app *app, struct queue *queue, struct job *job)
{
    struct job *head = atomic_load_explicit(&queue->head, memory_order_relaxed);   /* the swap checks it */
    do
        job->next = head;
    while (!atomic_compare_exchange_weak_explicit(&queue->head, &head, job,
                                                  memory_order_acq_rel,                               /* P1, P2, E8 */
                                                  memory_order_relaxed));          /* tries again */
    if (head == NULL)
        queue_submit_pump(app, queue);
}

/* The oldest job that has not run, or NULL: nothing more, and the queue is idle: it may be gone. */
static struct job *pump_next(struct queue *queue)
{
    struct job *busy = BUSY;
    if (queue->backlog == NULL) {
        if (atomic_compare_exchange_strong_explicit(&queue->head, &busy, NULL,
                                                    memory_order_release,                             /* P1, E8 */
                                                    memory_order_relaxed))         /* the exchange acquires */
            return NULL;
        queue->backlog = job_list_reversed(atomic_exchange_explicit(&queue->head, BUSY,
                                                                    memory_order_acquire), BUSY); /* P2 */
    }
    struct job *job = queue->backlog;
    queue->backlog = job->next;
    return job;
}

/* ---- the pump ---- */

bool queue_is_aborted(struct app *app, struct queue *queue)
{
    uint64_t word = atomic_load_explicit(&queue->slot.word, memory_order_seq_cst);                        /* R1 */
    return (word & QUEUE_ABORT) != 0 || atomic_load_explicit(&app->stopping, memory_order_relaxed);
}

/* OVER: it no longer counts in the queue. GOES_ON: it does, a periodic timer between two calls. WAITS: it deferred, the
 * pump must stop here. */
enum pump_answer { PUMP_OVER, PUMP_GOES_ON, PUMP_WAITS };

static enum pump_answer pump_call(struct worker *w, struct queue *queue, struct job *job)
{
    if (job->kind == JOB_INTERNAL || job->kind == JOB_CLOSED) {
        worker_run(w, job);
        return PUMP_OVER;
    }
    if (job->kind == JOB_OPERATION) {
        worker_call_user(job->fn, job_public(job), queue_is_aborted(w->app, queue) ? WEIR_SHUTDOWN : WEIR_OK);
        return PUMP_OVER;
    }
    if (queue_is_aborted(w->app, queue))
        job->forced = WEIR_SHUTDOWN;
    bool repeats = job->kind == JOB_TIMER && timer_is_periodic(job);
    if (worker_call(w, job) == WEIR_OK && repeats)
        return PUMP_GOES_ON;
    if (!queue->replies)
        return PUMP_OVER;
    if (reply_must_wait(w, queue, job))
        return PUMP_WAITS;
    reply_settle(w, queue);
    return PUMP_OVER;
}

/* Jobs that are over leave the count together; in a queue with a limit one by one, since somebody may wait for the
 * room, and the next job for him. They leave when the next job is at hand, which keeps the queue alive meanwhile. */
void queue_pump(weir_job *pump, weir_status status)
{
    (void)status;
    struct queue *queue = pump->ctx;
    struct worker *w = worker_self();
    bool limited = atomic_load_explicit(&queue->limit, memory_order_relaxed) != 0; /* ours: the queue is held */
    uint32_t over = queue->deferred != NULL ? 1 : 0, calls = 0;
    reply_settle(w, queue);
    for (struct job *job; (job = pump_next(queue)) != NULL; calls++) {
        if (limited || calls == PUMP_BATCH) {
            queue_leave(w->app, queue, over);
            over = 0;
        }
        if (calls == PUMP_BATCH) {
            queue->backlog = job;
            queue_submit_pump(w->app, queue);
            return;
        }
        enum pump_answer answer = pump_call(w, queue, job);
        if (answer == PUMP_WAITS)
            break;
        over += answer == PUMP_OVER;
    }
    queue_leave(w->app, queue, over);                    /* 0: the queue may be gone, and is not touched */
}

/* ---- for who hands jobs over ---- */

struct queue *queue_find(struct app *app, weir_queue handle)
{
    uint32_t slot = handle_slot(handle.bits);
    return slot <= WEIR_BLOCKING ? NULL : (struct queue *)slots_at(&app->queues, slot - WEIR_BLOCKING - 1);
}

weir_status queue_reserve_in_queue(struct app *app, weir_queue handle, struct job *job)
{
    struct queue *queue = queue_find(app, handle);
    weir_status status = queue == NULL ? WEIR_STALE : queue_enter(queue, handle.bits);
    if (status != WEIR_OK)
        return status;
    job->owner = queue;
    job->lane = queue->lane;
    return WEIR_OK;
}

void queue_unreserve(struct app *app, struct job *job)
{
    if (job->owner != NULL)
        queue_leave(app, job->owner, 1);
    else
        app_lane_leave(app, job->lane);
}

void queue_dispatch_in_queue(struct app *app, struct job *job)
{
    struct queue *queue = job->owner;
    if (queue->concurrent)
        app_push(app, job->lane, job);
    else
        list_push(app, queue, job);
}
