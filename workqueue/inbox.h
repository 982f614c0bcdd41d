/* SPDX-License-Identifier: Apache-2.0
 *
 * inbox.h - an unbounded queue of jobs: a ring (ring.h), and a list behind it for what the ring has no room for
 *
 * When the ring is full, a job goes on the list (one compare-and-swap, newest first). A consumer that finds the ring
 * empty takes the list whole, turns it round, and fills the ring with the oldest; what does not fit stays in the
 * backlog. One consumer at a time does that; the others do not wait for it: they go on looking elsewhere. Jobs on
 * the list are later than those in the ring, but not earlier than all that comes into the ring later: a concurrent
 * queue promises no order. To be sure that the list gets its turn while the ring is never empty, consumers look at
 * it every 64th time.
 *
 *      step                  order     partner, and what breaks without it
 *   I1 push on the list      seq_cst   I2: the job's contents and its link (E10); idle.h W1, as with the ring's fill
 *   I2 look at the list,     seq_cst,  I1
 *      take it               acquire
 *   I6 refilling          acquire,  the refiller before: the backlog and its links
 *                         release
 *   I7 backlog            seq_cst   idle.h W1: a refiller puts the backlog back, then looks who sleeps
 *
 * What a refiller has in its hands does not show; it notifies when it has put that back, like a producer.
 *
 * Rejected: the list alone, everything taken by one exchange (it was measured: the consumer then waits for one cache
 * miss per job, 84 ns against 23 for a ring whose pointers it can fetch ahead). That is why the ring is large where
 * a burst may be large (app.h).
 */
#ifndef WEIR_WORKQUEUE_INBOX_H
#define WEIR_WORKQUEUE_INBOX_H

#include "workqueue/ring.h"

struct inbox {
    struct ring ring;
    CACHE_ALIGNED _Atomic(struct job *) overflow; /* A: newest first */
    _Atomic(struct job *) backlog;                /* A, written by the refiller: oldest first */
    _Atomic uint32_t refilling;                   /* A: 1 while a consumer owns the backlog */
};

/* slots: as for ring_init. */
void inbox_init(struct inbox *inbox, _Atomic uint64_t *slots, uint32_t capacity);

/* Any thread. Never fails, never waits. */
void inbox_push(struct inbox *inbox, struct job *job);

/* Any thread: as ring_pop, ring_pop_one; the list's turn is inbox_refill(). */
static inline uint32_t inbox_pop(struct inbox *inbox, struct job **jobs, uint32_t max)
{
    return ring_pop(&inbox->ring, jobs, max);
}

static inline struct job *inbox_pop_one(struct inbox *inbox) { return ring_pop_one(&inbox->ring); }

/* Any thread, when the ring was empty or now and then: takes one job from the list and refills the ring from it.
 * NULL: the list is empty, or another consumer is at it. */
struct job *inbox_refill(struct inbox *inbox);

/* A quick look, which may be wrong for a moment: not for who is about to sleep. */
static inline bool inbox_list_looks_empty(struct inbox *inbox)
{
    /* relaxed, both: wrong is allowed */
    return atomic_load_explicit(&inbox->overflow, memory_order_relaxed) == NULL
        && atomic_load_explicit(&inbox->backlog, memory_order_relaxed) == NULL;
}

/* Nothing was there a moment ago. For a thread that has said that it will sleep this is exact as to what was there
 * before, what a refiller has in its hands excepted. */
bool inbox_is_empty(struct inbox *inbox);

#endif
