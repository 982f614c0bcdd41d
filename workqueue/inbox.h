/* SPDX-License-Identifier: Apache-2.0
 *
 * inbox.h - where jobs arrive from other threads: a bounded ring for many producers and consumers, and a list behind it
 *
 *      head                          end
 *       v                             v
 *     | job 3 | job 3 | job 3 | job 3 | empty 3 | empty 3 | empty 4 ...
 *
 * Positions count up for ever; a position's slot is position & mask, its round position >> shift. A slot's word goes
 * through the rounds without skipping one:
 *
 *     empty(r) --- a producer fills it ---> job(r) --- its consumer empties it ---> empty(r + 1) ---> ...
 *
 * A job pointer is a multiple of 8; the low bits of the word say which it is: 1: empty, and the round above it;
 * 0: a job, and the round modulo 4 in bits 1 and 2.
 *
 *   fill    A producer fills the first empty slot from the tail on by one compare-and-swap: that is the push. The
 *           tail is a hint, which never runs ahead of the end: it is stored after the slot before it was filled. So
 *           filled positions have no hole, and no producer waits for another: a slow one has either filled its slot
 *           or not.
 *   claim   A consumer reads jobs from head on, then moves head past them by one compare-and-swap, one for a whole
 *           batch: the jobs are its own, since a slot changes after it was filled only through whoever claimed it.
 *   empty   Then it writes empty(r + 1). A producer that comes by before finds a job of the round before: full.
 *
 *      step           order            partner, and what breaks without it
 *   I1 fill           seq_cst          I2: the job's contents (E10). And idle.h W1: who is about to sleep and who has
 *                                      filled see each other (W1 says how)
 *   I2 read slot      seq_cst          I1, W1
 *   I3 write empty    release          I4: who finds the slot empty again also finds head beyond it, and does not look
 *                                      there for ever
 *   I4 read slot      acquire          I3, by producers; and the fills before it, see I5
 *   I5 tail           release,         who skips to the tail has all fills below it before its own; without that a
 *                     acquire          consumer could see a later fill, and still find an earlier slot empty
 *   I6 refilling      acquire, release the next refiller finds the backlog and its links as the one before left them
 *   I7 backlog        seq_cst          W1, as I1 and I2: a refiller puts the backlog back, then looks who sleeps
 *   head              relaxed          carries nothing: a stale head makes the claim fail, and the failure reads the
 *                                      newest
 *
 * When the ring is full, the job goes on the overflow list (one compare-and-swap, newest first). A consumer that
 * finds the ring empty takes the list whole, turns it round, and fills the ring with the oldest; what does not fit
 * stays in the backlog. One consumer at a time does that; the others do not wait for it: they go on looking
 * elsewhere. Jobs on the list are later than those in the ring, but not earlier than all that comes into the ring
 * later: a concurrent queue promises no order. To be sure that the list gets its turn while the ring is never empty,
 * consumers look at it every 64th time.
 *
 * Rejected: one list, everything taken by one exchange (it was measured: the consumer then waits for one cache miss
 * per job, 84 ns against 23 for a ring whose pointers it can fetch ahead). Rejected: a ring whose producers
 * reserve a position first (a pre-empted producer then holds up all consumers behind it).
 */
#ifndef WEIR_WORKQUEUE_INBOX_H
#define WEIR_WORKQUEUE_INBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cache.h"

struct job;

struct inbox {
    CACHE_ALIGNED _Atomic uint64_t head;          /* A: the oldest position that is not claimed; only moves up */
    CACHE_ALIGNED _Atomic uint64_t tail;          /* A: a hint, at most the end */
    _Atomic uint64_t *slots;                      /* I; its elements A */
    uint32_t shift;                               /* I: log2 of the capacity */
    CACHE_ALIGNED _Atomic(struct job *) overflow; /* A: newest first */
    _Atomic(struct job *) backlog;                /* A, written by the refiller: oldest first */
    _Atomic uint32_t refilling;                   /* A: 1 while a consumer owns the backlog */
};

/* slots: capacity elements, a power of two, which the caller keeps and frees. */
void inbox_init(struct inbox *inbox, _Atomic uint64_t *slots, uint32_t capacity);

/* Any thread. Never fails, never waits. */
void inbox_push(struct inbox *inbox, struct job *job);

/* Any thread: takes up to max of the oldest jobs; how many. 0: nothing was there to be had at this moment. What
 * stands in jobs beyond the count means nothing. */
uint32_t inbox_pop(struct inbox *inbox, struct job **jobs, uint32_t max);

/* The oldest, or NULL. */
static inline struct job *inbox_pop_one(struct inbox *inbox)
{
    struct job *job;
    return inbox_pop(inbox, &job, 1) != 0 ? job : NULL;
}

/* Any thread, when the ring was empty or now and then: takes one job from the list and refills the ring from it.
 * NULL: the list is empty, or another consumer is at it. */
struct job *inbox_refill(struct inbox *inbox);

/* A quick look: is there anything in the ring, or on the list? It may be wrong for a moment, so it is not for who is
 * about to sleep. */
static inline bool inbox_ring_looks_empty(struct inbox *inbox)
{
    /* relaxed, both: wrong is allowed */
    uint64_t head = atomic_load_explicit(&inbox->head, memory_order_relaxed);
    uint64_t slot = head & ((UINT64_C(1) << inbox->shift) - 1);
    return (atomic_load_explicit(&inbox->slots[slot], memory_order_relaxed) & 1) != 0;
}

static inline bool inbox_list_looks_empty(struct inbox *inbox)
{
    /* relaxed, both: wrong is allowed */
    return atomic_load_explicit(&inbox->overflow, memory_order_relaxed) == NULL
        && atomic_load_explicit(&inbox->backlog, memory_order_relaxed) == NULL;
}

/* Nothing was there a moment ago. What a refiller has in its hands at that moment does not show: it notifies when it
 * has put that back, like a producer. For a thread that has said that it will sleep this is exact as to what was
 * there before. */
bool inbox_is_empty(struct inbox *inbox);

/* Brings the next jobs to be popped closer to this processor. */
void inbox_prefetch(struct inbox *inbox);

#endif
