/* SPDX-License-Identifier: Apache-2.0 */
/* parker.h - one thread's place to sleep: at most one sleeper, any number of wakers
 *
 *                     unpark                      EMPTY   nobody sleeps, nothing to hand over
 *         EMPTY ------------------> TOKEN         TOKEN   the next park returns at once
 *           |  ^                    ^  |          ASLEEP  the owner sleeps, or is about to
 *      park |  | time-out    unpark |  | park, prepare
 *           v  |             + wake |  v
 *         ASLEEP -------------------+  EMPTY
 *
 *   step       by          order     why this order is enough
 *   T1 unpark  any thread  release   P1: what the waker wrote is seen by whoever takes the token
 *   T2 take    owner       acquire   P1, other end; without it the owner wakes and sees no reason
 *   T3 sleep   owner       relaxed   only says that a wake is needed; it carries no data
 *
 * Why no wake-up is lost: T1 and T3 are read-modify-writes of one word, which has one modification
 * order. T1 before T3: T3 finds TOKEN and does not sleep. T3 before T1: T1 finds ASLEEP and wakes;
 * the kernel compares the word under its lock, so a sleeper that is not queued yet finds TOKEN
 * there.
 *
 * Tokens do not add up: two unparks make one token. The second replaces the first with T1, a
 * read-modify-write, so it extends the first one's release sequence, and one T2 acquires both. That
 * is why T2 is an exchange: a plain store of EMPTY could overwrite a token that T2 had not read.
 *
 * A time-out that meets an unpark: the owner leaves with T2 in every case, so it either finds the
 * token and says so, or its EMPTY comes first, and the token stays for the next park. None is lost.
 *
 * A worker that looks for work:  parker_prepare; say "I am idle"; look again; parker_park.
 * prepare throws away a token left over from an earlier time-out, whose only effect would be a
 * useless round. That is sound because the look comes after, and prepare acquires what the token
 * published.
 *
 * Rejected: pthread_mutex and pthread_cond, which take three locks for one wake. Rejected: an event
 * count per thread: a count says "something changed", a token says "you were meant", and needs no
 * re-check.
 */
#ifndef CORE_PARKER_H
#define CORE_PARKER_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/futex.h"
#include "core/verify.h"

enum { PARKER_EMPTY = 0, PARKER_TOKEN = 1, PARKER_ASLEEP = 2 };

struct parker {
    _Atomic uint32_t word;                                     /* A; zero: ready for use */
};

static inline void parker_init(struct parker *p)
{
    atomic_init(&p->word, PARKER_EMPTY);
}

/* T2: the word becomes EMPTY; was there a token? */
static inline bool parker_take(struct parker *p)
{
    /* acquire: P1, the other end is T1 */
    return atomic_exchange_explicit(&p->word, PARKER_EMPTY, memory_order_acquire) == PARKER_TOKEN;
}

/* Owner: throws an old token away. Look for work after this, not before. */
static inline void parker_prepare(struct parker *p)
{
    /* relaxed: EMPTY read here means that every later token is still to come, and stays */
    if (atomic_load_explicit(&p->word, memory_order_relaxed) != PARKER_EMPTY)
        (void)parker_take(p);
}

/* T3: true when the owner may sleep, false when a token is there. */
static inline bool parker_announce(struct parker *p)
{
    uint32_t old = PARKER_EMPTY;
    bool asleep = atomic_compare_exchange_strong_explicit(&p->word, &old, PARKER_ASLEEP,
                                                          memory_order_relaxed,  /* T3 */
                                                          memory_order_relaxed); /* T2 follows */
    weir_assert(asleep || old == PARKER_TOKEN); /* ASLEEP: a second thread parks here */
    return asleep;
}

/* Owner: returns with a token (true) or when CLOCK_MONOTONIC reaches the deadline (false). A token
 * that is there already wins over a deadline that has passed. WEIR_FOREVER: only with a token. */
static inline bool parker_park(struct parker *p, int64_t deadline_ns)
{
    if (!parker_announce(p))
        return parker_take(p);
    /* relaxed: only whether to go on sleeping; parker_take() below acquires */
    while (atomic_load_explicit(&p->word, memory_order_relaxed) == PARKER_ASLEEP)
        if (futex_wait(&p->word, PARKER_ASLEEP, deadline_ns) == ETIMEDOUT)
            break;
    return parker_take(p);
}

/* Any thread, T1: the owner's present or next park returns. Costs one exchange, and a system call
 * only if the owner sleeps. Once the token is out, the owner may leave and free the parker: the
 * wake uses no more than its address. True: the owner slept, and was woken. */
static inline bool parker_unpark(struct parker *p)
{
    /* release: P1, the other end is T2 */
    uint32_t old = atomic_exchange_explicit(&p->word, PARKER_TOKEN, memory_order_release);
    if (old != PARKER_ASLEEP)
        return false;
    (void)futex_wake(&p->word, 1);
    return true;
}

#endif
