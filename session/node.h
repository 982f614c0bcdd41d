/* SPDX-License-Identifier: Apache-2.0 */
/* node.h - a session's place in the work queue: one job per lane, in the queue at most once
 *
 *      63 ....... 32 | 31 ...... 2 |   1   |   0
 *       generation   |      0      | ENDED | QUEUED
 *
 * When something in a lane's maps wants a worker (maps.h), the node's job is pushed; a worker that pops it looks. The
 * node is made idle *before* the worker looks, so that what is marked from then on pushes it again, for another
 * worker, while the first is still at work.
 *
 *   step         by                order     partner
 *   N0 begin     who opens the     release   N1: a late marker that finds the slot's next session knows of it what the
 *                session                     node says, and pushes the node's job
 *   N1 schedule  after map_mark    seq_cst   N2: the mark is made, then the node is looked at; the worker makes it
 *                                            idle, then looks at the maps. At least one sees the other
 *   N2 pop       the job's         seq_cst   N1; N3
 *                function
 *   N3 end       who ended the     acq_rel   N2: exactly one of the two is told to go on
 *                session
 *
 * Every step compares the generation, so whoever is late (it lost a race against the end of the session, whose slot is
 * perhaps another's by now) changes nothing, or makes a worker look once too often.
 *
 * A session may end while its node is in a queue, from where it cannot be taken out. Then the slot stays until the
 * node is popped: N3 answers false, and that N2 says so (S5).
 *
 * Rejected: pushing one node per batch of operations: it would have to be allocated, and a close would leave them
 * behind.
 */
#ifndef SESSION_NODE_H
#define SESSION_NODE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/verify.h"

struct node {
    _Atomic uint64_t word;                                     /* A */
};

enum { NODE_QUEUED = 1, NODE_ENDED = 2 };

enum node_pop { NODE_LOOK, NODE_LAST };

static inline uint64_t node_make(uint32_t generation, uint32_t state)
{
    return (uint64_t)generation << 32 | state;
}

/* N0. What the node's job is made of is written before. */
static inline void node_begin(struct node *n, uint32_t generation)
{
    atomic_store_explicit(&n->word, node_make(generation, 0), memory_order_release);            /* N0 with N1 */
}

/* N1. True: the caller pushes the node's job. False: it is in a queue already, or the session is not that one. */
static inline bool node_schedule(struct node *n, uint32_t generation)
{
    uint64_t idle = node_make(generation, 0);
    if (atomic_load_explicit(&n->word, memory_order_seq_cst) != idle)                           /* N1 with N2 */
        return false;
    return atomic_compare_exchange_strong_explicit(&n->word, &idle, node_make(generation, NODE_QUEUED),
                                                   memory_order_seq_cst, memory_order_relaxed); /* N1 with N0, N2, N3 */
}

/* N2. LOOK: go on, in the session of that generation if it is still there. LAST: it has ended; the node was all that
 * kept its slot. */
static inline enum node_pop node_pop(struct node *n, uint32_t *generation)
{
    /* N2 with N1, N3 */
    uint64_t old = atomic_fetch_and_explicit(&n->word, ~(uint64_t)NODE_QUEUED, memory_order_seq_cst);
    weir_assert((old & NODE_QUEUED) != 0);
    *generation = (uint32_t)(old >> 32);
    return (old & NODE_ENDED) != 0 ? NODE_LAST : NODE_LOOK;
}

/* N3. True: it is in no queue, and never will be again. False: the N2 to come is LAST. */
static inline bool node_end(struct node *n)
{
    return (atomic_fetch_or_explicit(&n->word, NODE_ENDED, memory_order_acq_rel) & NODE_QUEUED) == 0; /* N3 with N2 */
}

#endif
