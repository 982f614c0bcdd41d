/* SPDX-License-Identifier: Apache-2.0
 *
 * queue.h - serial queues, bounded queues, and the way from a queue's handle to its place
 *
 * The handle of a lane names no object: its slot is the lane's number, its generation the application's. The others
 * live in a slot table; the slot's word decides who may come in:
 *
 *        63        62 ......... 32   31     30       29     28 ... 0
 *       | worn  |   generation     | LIVE | CLOSED | ABORT |  count  |
 *
 *   count   jobs that were accepted and are not over, and queues open over this one. Submitting is one
 *           compare-and-swap that checks generation, CLOSED and the limit and adds one: so a handle that is stale, a
 *           queue that is closed and one that is full are told apart without a race, and an accepted job keeps the
 *           queue alive (Q4, H1).
 *   CLOSED  with count 0: over. Whoever makes that true completes the close, once.
 *
 *      step            order     partner, and what breaks without it
 *   B1 leave           acq_rel   B1: the completer sees what all leavers did (their jobs' effects, before closed runs)
 *   B2 close, enter    acq_rel   B1; close also publishes the closed job to the completer
 *
 * Serial order. Jobs arrive on a list (newest first, one compare-and-swap) whose head tells whether the queue is at
 * work:
 *
 *      NULL  idle     --push: the pusher submits the pump to the target--> BUSY
 *      BUSY  at work, nothing new;  else a job, the newest that arrived
 *
 * The *pump* is the queue's own job on its target. It takes the list whole, turns it round (the backlog is the pump's
 * alone), and calls the jobs one by one; after PUMP_BATCH of them it submits itself again, so that a busy queue does
 * not hold its worker. When nothing is left it swaps BUSY for NULL; if that fails there is something new.
 *
 *   E8   job n -> job n+1: the same pump calls both; or it submitted itself in between (E10); or it made the head
 *        NULL (P1, release), the next pusher read that (P1, acquire) and submitted the pump.
 *   E10  push releases the job to the pump's exchange (P2).
 *
 * A job of a queue in reply mode may defer: reply.h.
 */
#ifndef WEIR_WORKQUEUE_QUEUE_H
#define WEIR_WORKQUEUE_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/slots.h"
#include "workqueue/job.h"
#include "workqueue/room.h"
#include "workqueue/worker.h"
#include "workqueue/app.h"

struct app;

enum { PUMP_BATCH = 8, QUEUES_MAX = 1 << 20 };

#define QUEUE_LIVE  (UINT64_C(1) << 31)
#define QUEUE_CLOSED (UINT64_C(1) << 30)
#define QUEUE_ABORT (UINT64_C(1) << 29)
#define QUEUE_COUNT (QUEUE_ABORT - 1)

/* I: fixed while live, A: atomic, P: the pump, one at a time. */
struct queue {
    struct slot slot;                                    /* A: the word above */
    _Atomic(struct job *) head;                          /* A: NULL, BUSY or the newest job */
    struct job *backlog;                                 /* P: oldest first */
    struct job *deferred;                                /* P: the job that waits for its reply */
    _Atomic uint64_t reply;                              /* A: reply.h */
    struct queue *target;                                /* I: NULL: a lane */
    const char *name;                                    /* I */
    struct job *closed;                                  /* from the close on I */
    uint32_t index;                                      /* I: of the slot */
    _Atomic uint32_t limit;                              /* A, fixed while live: 0: none; read before entering */
    _Atomic uint8_t full;                                /* likewise */
    uint8_t lane;                                        /* I: where the jobs run in the end */
    bool concurrent;                                     /* I */
    bool replies;                                        /* I */
    struct room room;
    struct job pump;
};

/* ---- the word: pure ---- */

static inline uint64_t queue_word_count(uint64_t word) { return word & QUEUE_COUNT; }

static inline bool queue_word_is_over(uint64_t word)
{
    return (word & QUEUE_CLOSED) != 0 && queue_word_count(word) == 0;
}

/* ---- for who hands jobs over: submit.c, timers.c, fdwait.c ---- */

/* Takes a reservation back. The job was not dispatched. */
void queue_unreserve(struct app *app, struct job *job);

/* One more in the queue, outside of its limit and its gate, by who counts in it already. */
void queue_stay(struct queue *queue);

/* count jobs of the queue are over. The queue may be gone afterwards. */
void queue_leave(struct app *app, struct queue *queue, uint32_t count);

/* The live queue that a handle names, or NULL. It may be gone a moment later. */
struct queue *queue_find(struct app *app, weir_queue handle);

static inline bool queue_is_lane(weir_queue handle) { return handle_slot(handle.bits) <= WEIR_BLOCKING; }

/* The number of the lane that the handle names. Not below LANES: it names none of this application, or the blocking
 * one. By one subtraction: the handles of lanes are the application's own, of another kind and with slots. */
static inline uint64_t queue_lane_of(const struct app *app, weir_queue handle)
{
    uint64_t first = app->handle.bits + ((uint64_t)(HANDLE_QUEUE - HANDLE_APP) << HANDLE_KIND_SHIFT);
    uint64_t beyond = handle.bits - first;
    return beyond >> HANDLE_SLOT_SHIFT | beyond << (64 - HANDLE_SLOT_SHIFT);   /* turned: other bits make it large */
}

/* queue_reserve and queue_dispatch for queues that are no lanes. */
weir_status queue_reserve_in_queue(struct app *app, weir_queue handle, struct job *job);
void queue_dispatch_in_queue(struct app *app, struct job *job);

static inline void queue_fill_in(struct app *app, struct job *job, enum job_kind kind)
{
    job->kind = (uint8_t)kind;
    job->forced = WEIR_OK;
    job_set_app(job, app->handle.bits);
}

/* Accepts the job in the queue that the handle names: owner, lane, app and the rest are filled in. The job counts there
 * until its last call. OK; INVALID, STALE, CLOSED, SHUTDOWN, FULL: nothing was changed. */
static inline weir_status queue_reserve(struct app *app, weir_queue handle, struct job *job, enum job_kind kind)
{
    if (app_is_closing(app))
        return WEIR_SHUTDOWN;
    uint32_t slot = handle_slot(handle.bits);
    if (slot > WEIR_BLOCKING) {
        weir_status status = queue_reserve_in_queue(app, handle, job);
        if (status != WEIR_OK)
            return status;
    } else {
        if (handle_generation(handle.bits) != app->place.generation)
            return WEIR_STALE;
        if (!app_lane_enter(app, slot))
            return WEIR_FULL;
        job->owner = NULL;
        job->lane = (uint8_t)slot;
    }
    queue_fill_in(app, job, kind);
    return WEIR_OK;
}

/* Hands a reserved job, phase QUEUED or MARKED, to its queue. From then on it may be gone. */
static inline void queue_dispatch(struct app *app, struct job *job)
{
    if (job->owner == NULL)
        app_push(app, job->lane, job);
    else
        queue_dispatch_in_queue(app, job);
}

/* ---- for the queue's own files ---- */

/* One more job, by who has a handle: OK, STALE, CLOSED, FULL. */
weir_status queue_enter(struct queue *queue, uint64_t handle);

/* The pump goes where the queue's jobs go. By who holds the queue, when nobody else is or will be its pump. */
void queue_submit_pump(struct app *app, struct queue *queue);

/* The pump's function. */
void queue_pump(weir_job *pump, weir_status status);

/* Are jobs to be called with SHUTDOWN? */
bool queue_is_aborted(struct app *app, struct queue *queue);

/* ---- all queues of an application ---- */

weir_status queues_init(struct app *app);
void queues_fini(struct app *app);

/* For the application's close: whoever waits for room looks again. */
void queues_wake(struct app *app);

/* Likewise: every queue is closed and aborted. */
void queues_abort(struct app *app);

/* 1 + the highest generation or reply sequence that was given out. */
uint32_t queues_generation_floor(const struct app *app);

#endif
