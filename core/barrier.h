/* SPDX-License-Identifier: Apache-2.0 */
/* barrier.h - the completion barrier: a gate that shuts once, a count of who is inside
 *
 *        63      62 ........ 0
 *      | SHUT |     inside    |
 *
 *            B1 enter, leave               B3 shut             B2 leave
 *      open, n ------------> open, n +- 1 -------> SHUT, n ---------> SHUT, n - 1 ... SHUT, 0
 *                                                  enter: refused                    complete
 *
 *   step        by             order     partner, and what breaks without it
 *   B1 enter    who comes in   relaxed   carries no data: what it uses was published to it before
 *   B2 leave    who was in     acq_rel   release: what was done inside happens before the completer
 *                                        goes on (contract E7, this end). acquire: the same
 *                                        edge's other end, for the one leaver that completes;
 *                                        without it the completer could free what another
 *                                        leaver still seems to write
 *   B3 shut     who closes     acq_rel   release: what the closer prepared (whom to call, how)
 *                                        is there for the completer. acquire: as in B2, when the
 *                                        closer itself completes
 *
 * Every step is a read-modify-write of one word, so the word's modification order is the proof:
 *   - Start against close: an enter comes before B3 in that order, and then the count holds the end
 *     back until its leave; or after B3, and then it fails. There is no third case (contract S1).
 *   - Exactly one completer: the value "SHUT, 0" is reached by one step, the B3 that found 0
 *     inside or the B2 that took away the last; no step leaves it, since enter refuses and
 *     leave needs somebody inside. That step's caller is told; nobody else is.
 *   - E7 for all leavers, not only for the last: each B2 is a release, and all later steps are
 *     read-modify-writes, which extend its release sequence. Whoever reads "SHUT, 0" out of the
 *     last of them with acquire synchronises with every one. B1 is relaxed but is a
 *     read-modify-write too, so it cuts no sequence.
 *
 * Lifetime: a leave is the leaver's last touch of the barrier, unless it answers true: the
 * completer may free the memory at once. For the same reason a shut that answers BARRIER_SHUT_NOW
 * must not look again unless the closer holds the memory by other means.
 *
 * Batch forms: a sweep enters or leaves once per chunk of 64, not once per operation.
 *
 * Overflow: the count has 63 bits, of which assertions allow 62. At one enter per nanosecond they
 * last for a century, so the assertion catches a leave too many or a wild count, not the world.
 *
 * Rejected: adding first and undoing when the gate turns out shut (one instruction shorter, but the
 * undo could step onto "SHUT, 0" a second time, after the completer has freed the word); a count
 * that starts at 1 for the open gate (then "shut" and "leave" are the same step, and a second shut
 * cannot be told from a leave too many); a mutex (the leavers are callbacks of strangers).
 */
#ifndef CORE_BARRIER_H
#define CORE_BARRIER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/verify.h"

typedef struct barrier {
    _Atomic uint64_t word;                          /* A */
} barrier;

enum barrier_shut {
    BARRIER_SHUT_BEFORE,                            /* somebody else shut it: nothing done */
    BARRIER_SHUT_NOW,                               /* shut; a leaver will complete it */
    BARRIER_SHUT_COMPLETE,                          /* shut, nobody inside: you complete it */
};

#define BARRIER_SHUT (UINT64_C(1) << 63)
#define BARRIER_INSIDE_MAX (UINT64_C(1) << 62)

static inline uint64_t barrier_inside(uint64_t word)
{
    return word & ~BARRIER_SHUT;
}

static inline bool barrier_is_shut(uint64_t word)
{
    return (word & BARRIER_SHUT) != 0;
}

static inline void barrier_init(barrier *b)
{
    atomic_init(&b->word, 0);
}

/* For reports: true a moment ago. relaxed, because nothing may be concluded from it. */
static inline uint64_t barrier_look(const barrier *b)
{
    return atomic_load_explicit(&b->word, memory_order_relaxed);
}

/* B1. All count of them, or false and none: the gate is shut. */
static inline bool barrier_enter_many(barrier *b, uint64_t count)
{
    /* relaxed: a guess, which the CAS checks */
    uint64_t old = atomic_load_explicit(&b->word, memory_order_relaxed);
    do {
        if (barrier_is_shut(old))
            return false;
        weir_assert(count <= BARRIER_INSIDE_MAX - old);
    } while (!atomic_compare_exchange_weak_explicit(&b->word, &old, old + count,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

static inline bool barrier_enter(barrier *b)
{
    return barrier_enter_many(b, 1);
}

/* For who is inside and vouches for count more, gate shut or not: a parent for its children.
 * Holding a place keeps the end away, so the gate need not be asked. relaxed as B1. */
static inline void barrier_bring(barrier *b, uint64_t count)
{
    uint64_t old = atomic_fetch_add_explicit(&b->word, count, memory_order_relaxed);
    weir_assert(barrier_inside(old) != 0);
    weir_assert(count <= BARRIER_INSIDE_MAX - barrier_inside(old));
    (void)old;
}

/* B2. True for exactly one caller in the barrier's life: everybody is out, the gate is shut, and it
 * is this caller who goes on. False: do not touch the barrier again. */
static inline bool barrier_leave(barrier *b, uint64_t count)
{
    uint64_t old = atomic_fetch_sub_explicit(&b->word, count, memory_order_acq_rel);
    weir_assert(barrier_inside(old) >= count);
    return old == (BARRIER_SHUT | count);
}

/* B3. */
static inline enum barrier_shut barrier_shut(barrier *b)
{
    uint64_t old = atomic_fetch_or_explicit(&b->word, BARRIER_SHUT, memory_order_acq_rel);
    if (barrier_is_shut(old))
        return BARRIER_SHUT_BEFORE;
    return barrier_inside(old) == 0 ? BARRIER_SHUT_COMPLETE : BARRIER_SHUT_NOW;
}

#endif
