/* SPDX-License-Identifier: Apache-2.0
 *
 * ring.h - a bounded queue of jobs for many producers and many consumers, lock-free on both sides
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
 * A job pointer is a multiple of 8; the low bits of the word say which it is: 0: empty, and the round above it, so that
 * zeroed memory is an empty ring in round 0; 1: a job, and the round modulo 4 in bits 1 and 2.
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
 *   head              relaxed          carries nothing: a stale head makes the claim fail, and the failure reads the
 *                                      newest
 *
 * Rejected: a ring whose producers reserve a position first: a pre-empted producer then holds up all consumers
 * behind it. Rejected: positions or rounds beside the pointer in 16 bytes: half as many slots in a line.
 */
#ifndef WEIR_WORKQUEUE_RING_H
#define WEIR_WORKQUEUE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cache.h"
#include "core/verify.h"

struct job;

/* What never changes has a line of its own: each push writes the tail's, each pop the head's. */
struct ring {
    CACHE_ALIGNED _Atomic uint64_t *slots;        /* I; its elements A */
    uint32_t shift;                               /* I: log2 of the capacity */
    CACHE_ALIGNED _Atomic uint64_t head;          /* A: the oldest position that is not claimed; only moves up */
    CACHE_ALIGNED _Atomic uint64_t tail;          /* A: a hint, at most the end */
};

/* slots: capacity elements, a power of two, all zero; the caller keeps and frees them. */
static inline void ring_init(struct ring *ring, _Atomic uint64_t *slots, uint32_t capacity)
{
    weir_assert(capacity > 1 && (capacity & (capacity - 1)) == 0);
    *ring = (struct ring){ .slots = slots, .shift = (uint32_t)__builtin_ctz(capacity) };
}

/* ---- the word of a slot: pure ---- */

enum { RING_JOB = 1, RING_ROUND_SHIFT = 1, RING_ROUND_MASK = 3 << RING_ROUND_SHIFT, RING_TAG = 7 };

static inline uint64_t ring_word_empty(uint64_t round)
{
    return round << RING_ROUND_SHIFT;
}

static inline uint64_t ring_word_job(const struct job *job, uint64_t round)
{
    return (uint64_t)(uintptr_t)job | (round << RING_ROUND_SHIFT & RING_ROUND_MASK) | RING_JOB;
}

static inline bool ring_word_is_job(uint64_t word)
{
    return (word & RING_JOB) != 0;
}

static inline bool ring_word_is_job_of(uint64_t word, uint64_t round)
{
    return ring_word_is_job(word) && (word & RING_ROUND_MASK) == (round << RING_ROUND_SHIFT & RING_ROUND_MASK);
}

static inline struct job *ring_word_to_job(uint64_t word)
{
    return (struct job *)(uintptr_t)(word & ~(uint64_t)RING_TAG);
}

static inline uint64_t ring_round(const struct ring *ring, uint64_t position)
{
    return position >> ring->shift;
}

static inline _Atomic uint64_t *ring_slot(const struct ring *ring, uint64_t position)
{
    return &ring->slots[position & ((UINT64_C(1) << ring->shift) - 1)];
}

/* ---- fill ---- */

/* A later producer's hint is not taken back, or the next one would walk the distance again. */
static inline void ring_advance_tail(struct ring *ring, uint64_t position)
{
    if (atomic_load_explicit(&ring->tail, memory_order_relaxed) < position)       /* a hint about a hint */
        atomic_store_explicit(&ring->tail, position, memory_order_release);                              /* I5 */
}

/* Any thread. False: full, nothing was pushed. */
static inline bool ring_push(struct ring *ring, struct job *job)
{
    uint64_t position = atomic_load_explicit(&ring->tail, memory_order_acquire);                         /* I5 */
    for (;;) {
        uint64_t round = ring_round(ring, position);
        _Atomic uint64_t *slot = ring_slot(ring, position);
        uint64_t seen = atomic_load_explicit(slot, memory_order_acquire);                                 /* I4 */
        if (seen == ring_word_empty(round)
            && atomic_compare_exchange_strong_explicit(slot, &seen, ring_word_job(job, round),
                                                       memory_order_seq_cst,                              /* I1 */
                                                       memory_order_acquire)) {                           /* I4 */
            ring_advance_tail(ring, position + 1);
            return true;
        }
        if (ring_word_is_job_of(seen, round - 1))
            return false;                                /* the round before is not emptied yet */
        uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);                         /* I5 */
        position = tail > position ? tail : position + 1; /* filled, or even emptied again: go on */
    }
}

/* ---- claim, empty ---- */

/* Is there a job at *head? If not, is that because head was out of date? Then *head is brought up to date first. */
static inline bool ring_has_job(struct ring *ring, uint64_t *head)
{
    for (;;) {
        uint64_t word = atomic_load_explicit(ring_slot(ring, *head), memory_order_seq_cst);                /* I2 */
        if (ring_word_is_job_of(word, ring_round(ring, *head)))
            return true;
        if (word == ring_word_empty(ring_round(ring, *head)))
            return false;
        /* A job of the round before, whose consumer has not emptied the slot yet; or a word of a later round. By I1 and
         * I3 who reads the latter now reads a head beyond it. */
        uint64_t now = atomic_load_explicit(&ring->head, memory_order_relaxed);   /* see the line above */
        if (now == *head)
            return false;
        *head = now;
    }
}

static inline uint32_t ring_read(struct ring *ring, uint64_t head, struct job **jobs, uint32_t max)
{
    uint32_t count = 0;
    for (; count < max; count++) {
        uint64_t word = atomic_load_explicit(ring_slot(ring, head + count), memory_order_seq_cst);         /* I2 */
        if (!ring_word_is_job_of(word, ring_round(ring, head + count)))
            break;
        jobs[count] = ring_word_to_job(word);
    }
    return count;
}

/* Any thread: takes up to max of the oldest jobs; how many. 0: nothing was there to be had at this moment. What
 * stands in jobs beyond the count means nothing. */
static inline uint32_t ring_pop(struct ring *ring, struct job **jobs, uint32_t max)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);      /* a stale one fails below */
    while (ring_has_job(ring, &head)) {
        uint32_t count = ring_read(ring, head, jobs, max);
        if (count != 0
            && atomic_compare_exchange_strong_explicit(&ring->head, &head, head + count,
                                                       memory_order_relaxed,       /* the slots carry it all */
                                                       memory_order_relaxed)) {
            for (uint32_t i = 0; i < count; i++)
                atomic_store_explicit(ring_slot(ring, head + i), ring_word_empty(ring_round(ring, head + i) + 1),
                                      memory_order_release);                                              /* I3 */
            return count;
        }
    }
    return 0;
}

/* The oldest, or NULL. */
static inline struct job *ring_pop_one(struct ring *ring)
{
    struct job *job;
    return ring_pop(ring, &job, 1) != 0 ? job : NULL;
}

/* Nothing was there a moment ago. For a thread that has said that it will sleep this is exact as to what was
 * pushed before. */
static inline bool ring_is_empty(struct ring *ring)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);       /* checked against the slot */
    return !ring_has_job(ring, &head);
}

/* A quick look, which may be wrong for a moment: not for who is about to sleep. */
static inline bool ring_looks_empty(struct ring *ring)
{
    /* relaxed, both: wrong is allowed */
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    return !ring_word_is_job(atomic_load_explicit(ring_slot(ring, head), memory_order_relaxed));
}

#endif
