/* SPDX-License-Identifier: Apache-2.0
 *
 * job.h - what the library keeps in a job, and the one word that decides how the job ends
 *
 *      phase    meaning                                          who moves it on
 *      IDLE     zeroed memory, never submitted                   submit
 *      QUEUED   in a queue; its function will be called          the worker that claims it; a cancel
 *      MARKED   in a queue; a cancel won                         the worker that claims it
 *      ARMED    a timer or a descriptor wait, waiting            its time; a cancel
 *      ENDING   taken from ARMED by a cancel, not yet queued     whoever took it: it will be queued, MARKED
 *      DEFERRED ran, its token is not replied (reply queues)     the reply; a cancel
 *      PERIODIC its function runs, and it will be armed again    the worker after the call; a cancel (to MARKED)
 *      CLOSING  the job that tells of its queue's end            the worker, before the call; no cancel
 *      OVER     its last call was entered                        submit, which starts a new life
 *
 *               submit            claim                              arm                  due
 *      IDLE ----------> QUEUED ----------> OVER             IDLE ----------> ARMED --------------> QUEUED
 *      OVER               | cancel           ^ claim:       OVER               | cancel             (as on the left)
 *                         v                  | CANCELED                        v
 *                       MARKED --------------+                               ENDING --> MARKED
 *
 * Exactly once (Q1): OVER is entered by one exchange, the claim, by the worker that has the job from its queue; it
 * calls the function and tells it what the claim met. Nothing reads or writes the job after that, so a job may be freed
 * or submitted again inside its function. A cancel is a compare-and-swap on the same word: it wins before the claim, or
 * it is too late; there is no third case.
 *
 *      order       where             why this order is enough
 *      release     submit, arm       J1: who sees the phase sees the fields written before it (owner, lane, app)
 *      acquire     cancel            J1: a cancel of an armed item reads the item's application
 *      acquire     claim             J2: the worker sees what the canceller wrote before its cancel (cancel ->
 *                                    CANCELED)
 *      release     cancel            J2
 * That the job's own contents (fn, ctx, what ctx points to) are visible to the worker is the queue's promise (E10), not
 * this word's.
 *
 * Rejected: a claim without a read-modify-write, by a store that the canceller checks after a process-wide barrier: it
 * saves 2 to 5 ns a job and makes each cancel cost microseconds.
 */
#ifndef WEIR_WORKQUEUE_JOB_H
#define WEIR_WORKQUEUE_JOB_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/workqueue.h>

#include "core/verify.h"

enum job_phase {
    JOB_IDLE = 0,
    JOB_QUEUED,
    JOB_MARKED,
    JOB_ARMED,
    JOB_ENDING,
    JOB_DEFERRED,
    JOB_PERIODIC,
    JOB_CLOSING,
    JOB_OVER,
    JOB_JOINED = 18, /* forked jobs are apart: enum fork_phase (fork.h), of which this is FORK_DONE */
};

/* What kind of item the job is part of: tells the worker what to do around the call, and a cancel where to look. */
enum job_kind {
    JOB_PLAIN = 0,
    JOB_TIMER,     /* the first member of a weir_timer */
    JOB_FDWAIT,    /* the first member of a weir_fdwait's timer */
    JOB_FORK,      /* on a fork deque; joined, never cancelled */
    JOB_INTERNAL,  /* the library's own node: no claim, no cancel, may be freed or reused inside its function */
    JOB_CLOSED,    /* the user's job that tells of a queue's end: one call, with WEIR_OK; no cancel */
    JOB_OPERATION, /* the layer above's, in a queue of the user's: as INTERNAL, but it counts, and is told SHUTDOWN */
};

struct queue;

/* The view of a weir_job from inside. I: fixed while in flight, A: atomic, Q: belongs to the queue the job is in. */
struct job {
    weir_job_fn *fn;                     /* I */
    void *ctx;                           /* I */
    struct job *next;                    /* Q: link of a list; the library's only link, so a job is in one list */
    _Atomic uint32_t phase;              /* A: enum job_phase; forked jobs: enum fork_phase (fork.h) */
    uint8_t kind;                        /* I: enum job_kind */
    uint8_t lane;                        /* I: the lane that it finally runs in */
    uint8_t forced;                      /* Q: status that overrides the claim's (WEIR_SHUTDOWN), or 0 */
    uint8_t reserved;
    struct queue *owner;                 /* I: the serial or bounded queue that accepted it, or NULL for a lane */
    _Atomic uint64_t app;                /* I: bits of the application's handle: a cancel pins it by this. Atomic: a
                                            cancel may read it while the item begins its next life */
    uint64_t aux[2];                     /* Q: the queue's or the timer's own */
};
static_assert(sizeof(struct job) == sizeof(weir_job), "struct job is the inside of weir_job");
static_assert(offsetof(struct job, fn) == offsetof(weir_job, fn), "fn is where the caller put it");
static_assert(offsetof(struct job, ctx) == offsetof(weir_job, ctx), "ctx is where the caller put it");

static inline struct job *job_of(weir_job *job) { return (struct job *)job; }

static inline weir_job *job_public(struct job *job) { return (weir_job *)job; }

static inline void job_init_internal(struct job *job, weir_job_fn *fn, void *ctx, uint8_t lane)
{
    *job = (struct job){ .fn = fn, .ctx = ctx, .kind = JOB_INTERNAL, .lane = lane };
}

static inline uint64_t job_app(const struct job *job)
{
    /* relaxed: J1, the phase that the caller has seen acquired it; or it is that of a later life, alike */
    return atomic_load_explicit(&job->app, memory_order_relaxed);
}

static inline void job_set_app(struct job *job, uint64_t app)
{
    atomic_store_explicit(&job->app, app, memory_order_relaxed);                   /* released by job_begin */
}

/* May a new life begin? False: the item is in flight. Relaxed: the caller owns an item that is not in flight, so it
 * either wrote the phase itself or learned by its own means that the last call was entered. */
static inline bool job_is_free(const struct job *job)
{
    uint32_t phase = atomic_load_explicit(&job->phase, memory_order_relaxed);
    return phase == JOB_IDLE || phase == JOB_OVER || phase == JOB_JOINED;
}

/* Begins a life. A plain store, not a swap: two threads that submit one job at once are writing the same memory of
 * theirs without an agreement, before any library could see it. */
static inline void job_begin(struct job *job, uint32_t phase)
{
    weir_assert(phase == JOB_QUEUED || phase == JOB_ARMED || phase == JOB_CLOSING);
    atomic_store_explicit(&job->phase, phase, memory_order_release);                             /* J1 */
}

/* Takes back a life that began but was refused, before anybody else could see the job. */
static inline void job_unbegin(struct job *job)
{
    atomic_store_explicit(&job->phase, JOB_IDLE, memory_order_relaxed);
}

static inline bool job_move(struct job *job, uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong_explicit(&job->phase, &from, to,
                                                   memory_order_acq_rel,                         /* J1, J2 */
                                                   memory_order_relaxed);                        /* decides nothing */
}

/* The claim: the one entry into the last call. Returns the status to call the function with. */
static inline weir_status job_claim(struct job *job)
{
    uint32_t old = atomic_exchange_explicit(&job->phase, JOB_OVER, memory_order_acq_rel);         /* J2 */
    weir_assert(old == JOB_QUEUED || old == JOB_MARKED);
    return old == JOB_QUEUED ? WEIR_OK : WEIR_CANCELED;
}

/* A list that was pushed newest first, and is the caller's alone now, turned round. It ends at NULL or at a mark. */
static inline struct job *job_list_reversed(struct job *newest, const struct job *mark)
{
    struct job *oldest = NULL;
    while (newest != NULL && newest != mark) {
        struct job *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

#endif
