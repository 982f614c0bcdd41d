/* SPDX-License-Identifier: Apache-2.0 */
/* op_move.h - the steps of op_steps.h applied to an operation's word
 *
 * op_move takes a step by compare-and-swap, again and again until no other thread comes between; since each step is
 * static inline and named at the call, the compiler makes one loop of it. The orders, and their partners, are in
 * op_steps.h.
 */
#ifndef SESSION_OP_MOVE_H
#define SESSION_OP_MOVE_H

#include "session/op_steps.h"

struct op_change {
    uint64_t old, new;                                         /* equal: nothing changed */
};

/* T2..T16 on a word of which the caller knows that its life cannot end under it; and T2, T10 enter, T11 on any word,
 * since they begin what any life may ask for. */
static inline weir_status op_move(struct slot *slot, op_step_fn *step, uint32_t arg, struct op_change *change)
{
    /* acquire, and acq_rel below: every step sees what those before it published (E1..E6, table in op_word.h) */
    uint64_t old = atomic_load_explicit(&slot->word, memory_order_acquire);
    for (;;) {
        uint64_t new = old;
        weir_status status = step(old, arg, &new);
        change->old = old;
        change->new = new;
        if (new == old)
            return status;
        if (atomic_compare_exchange_weak_explicit(&slot->word, &old, new, memory_order_acq_rel, memory_order_acquire))
            return status;
    }
}

/* The same for callers that have only a handle: STALE, and nothing done, once the slot is somebody else's. */
static inline weir_status op_move_at(struct slot *slot, uint64_t handle, op_step_fn *step, uint32_t arg,
                                     struct op_change *change)
{
    /* acquire, acq_rel: as in op_move */
    uint64_t old = atomic_load_explicit(&slot->word, memory_order_acquire);
    for (;;) {
        if (!slot_word_matches(old, handle))
            return WEIR_STALE;
        uint64_t new = old;
        weir_status status = step(old, arg, &new);
        change->old = old;
        change->new = new;
        if (new == old)
            return status;
        if (atomic_compare_exchange_weak_explicit(&slot->word, &old, new, memory_order_acq_rel, memory_order_acquire))
            return status;
    }
}

/* T1. The rows are filled; from here on workers and holders of the handle see the operation. */
static inline void op_publish(struct slot *slot, bool handle, bool pull)
{
    /* relaxed: the slot is the starter's alone, who took it from the free map with acquire */
    uint64_t free = atomic_load_explicit(&slot->word, memory_order_relaxed);
    /* release: E1, partner T2; a claim would see rows of the slot's last owner */
    atomic_store_explicit(&slot->word, op_born(free, handle, pull), memory_order_release);
}

/* T17, in place of T12 put: the final of a sealed word was delivered. Returns the free word. */
static inline uint64_t op_retire(struct slot *slot, uint64_t sealed)
{
    weir_assert(op_is_sealed(sealed));
    uint64_t free = slot_word_next(sealed);
    /* release: who finds the word free, or looks for a stale handle, sees the callback's effects; partner T1's owner */
    atomic_store_explicit(&slot->word, free, memory_order_release);
    return free;
}

/* The reason of the cancel that won, 0 for none: the poll. */
static inline uint32_t op_poll(const struct slot *slot)
{
    /* relaxed: nothing to see in the common case, and then nothing to order */
    if (op_reason(atomic_load_explicit(&slot->word, memory_order_relaxed)) == 0)
        return 0;
    /* acquire: E6, partner T4; the work may read what the canceller wrote before */
    return op_reason(atomic_load_explicit(&slot->word, memory_order_acquire));
}

#endif
