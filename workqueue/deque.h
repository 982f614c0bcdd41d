/* SPDX-License-Identifier: Apache-2.0
 *
 * deque.h - a bounded work-stealing deque: one owner pushes, everybody takes (after Chase and Lev)
 *
 *        top                     bottom
 *         v                        v
 *      | .. | job | job | job | job | .. |     positions count up for ever; slot = position & mask
 *        steal: from the top          push, take: at the bottom, by the owner only
 *
 * Two uses. Jobs are pushed and stolen, also by their owner, so that they run in the order of submission and none
 * starves. Forked jobs are pushed and taken, so that a join finds its child where it put it; thieves steal the oldest,
 * which is the largest piece of work.
 *
 *      step           order      partner, and what breaks without it
 *   D1 push.bottom    release    D2: a thief that sees the position sees the slot (and the job behind it: E10, E9)
 *   D2 steal.bottom   seq_cst    D1; and D4
 *   D3 steal.top CAS  seq_cst    decides: a position goes to whoever moves top past it. Success releases to D6
 *   D4 take.bottom    seq_cst    D2: the owner says that it takes the last position, then looks at top, while a
 *                                thief looks at bottom, then moves top. In the single order of these four one comes
 *                                first: if the thief does not see the lower bottom, the owner sees the higher top,
 *                                and lets go
 *   D5 take.top       seq_cst    D3 and D4, as above
 *   D6 push.top       acquire    D3: the thief had read the slot before the owner writes it again. Only a machine that
 *                                lets a store pass an earlier load of another thread (load buffering) needs it
 * Two positions or more apart, owner and thieves do not meet: take then costs one exchange (D4) and push no
 * read-modify-write at all.
 *
 * All stores to bottom release: a thief may read any of them and must see the slots below it. Rejected: the published
 * form with stand-alone fences, which ThreadSanitizer does not model and which leans on release sequences of one
 * thread, gone from C++20. Rejected: growing, since a full deque has an inbox beside it. Rejected: a private part
 * without atomics that is shared on demand: what is private waits as long as the job that its owner runs, and that
 * job may wait for it.
 */
#ifndef WEIR_WORKQUEUE_DEQUE_H
#define WEIR_WORKQUEUE_DEQUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cache.h"
#include "core/verify.h"

struct job;

struct deque {
    CACHE_ALIGNED _Atomic(struct job *) *slots;   /* I; its elements A */
    int64_t mask;                                 /* I: capacity - 1 */
    CACHE_ALIGNED _Atomic int64_t top;            /* A: the oldest position; only moves up */
    CACHE_ALIGNED _Atomic int64_t bottom;         /* A, written by the owner: the position after the youngest */
};

/* slots: capacity elements, a power of two, which the caller keeps and frees. */
static inline void deque_init(struct deque *d, _Atomic(struct job *) *slots, uint32_t capacity)
{
    weir_assert(capacity != 0 && (capacity & (capacity - 1)) == 0);
    atomic_init(&d->top, 0);
    atomic_init(&d->bottom, 0);
    d->slots = slots;
    d->mask = (int64_t)capacity - 1;
}

/* A moment ago, for anybody. For a thread that has said that it will sleep it is exact as to what was pushed before. */
static inline bool deque_is_empty(struct deque *d)
{
    int64_t top = atomic_load_explicit(&d->top, memory_order_seq_cst);                                   /* D5 */
    return top >= atomic_load_explicit(&d->bottom, memory_order_seq_cst);                                /* D2 */
}

static inline _Atomic(struct job *) *deque_slot(struct deque *d, int64_t position)
{
    return &d->slots[position & d->mask];
}

/* Owner. False: full, nothing was pushed. */
static inline bool deque_push(struct deque *d, struct job *job)
{
    int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed);       /* the owner's own last store */
    int64_t top = atomic_load_explicit(&d->top, memory_order_acquire);                                    /* D6 */
    if (bottom - top > d->mask)
        return false;
    atomic_store_explicit(deque_slot(d, bottom), job, memory_order_relaxed);       /* published by the next line */
    atomic_store_explicit(&d->bottom, bottom + 1, memory_order_release);                                  /* D1 */
    return true;
}

/* Owner: as many as fit, from the front, with one publication. How many. */
static inline size_t deque_push_list(struct deque *d, struct job *const *jobs, size_t count)
{
    int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed);       /* the owner's own last store */
    int64_t top = atomic_load_explicit(&d->top, memory_order_acquire);                                    /* D6 */
    size_t room = (size_t)(d->mask + 1 - (bottom - top));
    size_t n = count < room ? count : room;
    for (size_t i = 0; i < n; i++)
        atomic_store_explicit(deque_slot(d, bottom + (int64_t)i), jobs[i], memory_order_relaxed); /* published below */
    atomic_store_explicit(&d->bottom, bottom + (int64_t)n, memory_order_release);                         /* D1 */
    return n;
}

/* Owner: the youngest, or NULL. */
static inline struct job *deque_take(struct deque *d)
{
    int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed) - 1;   /* the owner's own last store */
    atomic_store_explicit(&d->bottom, bottom, memory_order_seq_cst);                                      /* D4 */
    int64_t top = atomic_load_explicit(&d->top, memory_order_seq_cst);                                    /* D5 */
    struct job *job = NULL;
    if (top <= bottom) {
        job = atomic_load_explicit(deque_slot(d, bottom), memory_order_relaxed);   /* the owner wrote it */
        if (top < bottom)
            return job;
        if (!atomic_compare_exchange_strong_explicit(&d->top, &top, top + 1,                              /* D3 */
                                                     memory_order_seq_cst, memory_order_relaxed))
            job = NULL;                                                            /* a thief was first */
    }
    atomic_store_explicit(&d->bottom, bottom + 1, memory_order_release);                                  /* D1 */
    return job;
}

enum deque_steal { DEQUE_EMPTY, DEQUE_LOST, DEQUE_STOLEN };

/* Anybody: the oldest. LOST: somebody else took it at this moment; there may be more. */
static inline enum deque_steal deque_steal(struct deque *d, struct job **out)
{
    int64_t top = atomic_load_explicit(&d->top, memory_order_seq_cst);                                    /* D5 */
    if (top >= atomic_load_explicit(&d->bottom, memory_order_seq_cst))                                    /* D2 */
        return DEQUE_EMPTY;
    struct job *job = atomic_load_explicit(deque_slot(d, top), memory_order_relaxed); /* D2 made it visible */
    if (!atomic_compare_exchange_strong_explicit(&d->top, &top, top + 1,                                  /* D3 */
                                                 memory_order_seq_cst, memory_order_relaxed))
        return DEQUE_LOST;
    *out = job;
    return DEQUE_STOLEN;
}

/* Anybody: steals the oldest, and tries again as long as somebody else is faster. NULL: it was empty. */
static inline struct job *deque_steal_oldest(struct deque *d)
{
    struct job *job = NULL;
    while (deque_steal(d, &job) == DEQUE_LOST)
        cpu_relax();
    return job;
}

#endif
