/* SPDX-License-Identifier: Apache-2.0 */
/* op_steps.h - the steps T1..T17 of an operation's word (op_word.h), which op_move.h applies
 *
 *   step        by                  from -> to, and what it decides
 *   T1  born      start               FREE -> QUEUED. A store: the slot is the starter's alone
 *   T2  claim     a worker            QUEUED -> RUNNING +STACK -WANT
 *   T3  return    that worker         -STACK, and -> DECIDED, QUEUED, PARKED or DEFERRED; after abandon: perhaps FREE
 *   T4  cancel    any thread          reason 0 -> r. The same step decides QUEUED, PARKED, and DEFERRED without a hook
 *   T5  post      the work function   PENDING + 1; or, refused because the window is full, +WANT
 *   T6  hold      a token's holder    +HOLD: the right to write into the operation; to complete also -> DECIDED -TOKEN
 *   T7  commit    that holder         -HOLD; a post: PENDING + 1, unless a cancel came between
 *   T8  defer     the work function   +TOKEN, unless a cancel came before
 *   T9  hook set, hook clear          the work function: +-HOOK_SET
 *   T10 hook enter, hook leave        who runs it: HOOK_SET -> HOOK_BUSY -> off; answer true: DEFERRED -> DECIDED
 *   T11 take      a worker            +DELIVERY: the right to call the user; for a push kind with manual ack +UNACKED
 *   T12 put       that worker         -DELIVERY; item: PENDING - 1; final: -> DONE
 *   T13 ack       any thread          -UNACKED, +DROP if the kind drops
 *   T14 close     any thread          -HANDLE; a pull operation is cancelled too, and what is unread is purged
 *   T15 next enter, take, exit        the pulling thread: +WAITER, acknowledges; PENDING - 1 +UNACKED; -WAITER
 *   T16 abandon   the close           -> ABANDONED -HANDLE -UNACKED -TOKEN; refused while a hook or a callback runs
 *   T17 retire    a worker            sealed DECIDED -> FREE by a store, when nobody else may change the word any more
 *   T18 sent      a worker            -STACK, RUNNING -> QUEUED: it claimed only to send a job to the caller's queue
 *
 * Orders. Every compare-and-swap is acq_rel, so each step sees everything that the steps before it published:
 *   E1 T1 -> T2    E2 T5, T7 -> T11, T15    E3 T3 -> T2    E4 T12, T13 -> T11    E5 T3, T7 -> T11    E6 T4 -> T10, poll
 * T1 and T17 are release stores, partners T2 and the next T1. Weaker orders were not chosen one by one: on x86-64 they
 * are the same instruction, on AArch64 the difference is below what can be measured next to the cache line's way.
 * A poll (T4's reader) loads relaxed, and loads once more with acquire only when there is something to see.
 *
 * A step answers a status and writes *new: the word to be, which is the old one if the step changes nothing. A status
 * other than OK may come with a change: a refused post leaves WANT behind.
 *
 * Data beside the word (op.h) is written before the step that publishes it and read after the step that gives the right
 * to; which step gives which right is in the legend there.
 */
#ifndef SESSION_OP_STEPS_H
#define SESSION_OP_STEPS_H

#include "session/op_word.h"

/* ---- parts of steps: pure ---- */

static inline uint64_t op_with_phase(uint64_t w, enum op_phase phase)
{
    return (w & ~(uint64_t)OP_PHASE) | phase;
}

/* The final is decided: nobody else may decide, no hook may be entered, nothing runs again. */
static inline uint64_t op_decided(uint64_t w)
{
    return op_with_phase(w & ~(uint64_t)(OP_TOKEN | OP_HOOK_SET | OP_WANT), OP_DECIDED);
}

/* The window has shrunk: whoever waits for room is called again (R7). WANT stays until the claim: it says that room is
 * why (foreign.h). */
static inline uint64_t op_with_room(uint64_t w)
{
    bool waits = op_phase(w) == OP_PARKED || op_phase(w) == OP_DEFERRED;
    if (!waits || !op_has(w, OP_WANT) || op_reason(w) != 0)
        return w;
    return op_with_phase(w, OP_QUEUED);
}

/* The last touch frees. Every step that takes something away ends here. */
static inline uint64_t op_settled(uint64_t w)
{
    return op_is_out(w) && !op_has(w, OP_STACK) ? slot_word_next(w) : w;
}

/* ---- the steps: pure. *new is the old word before the call. ---- */

typedef weir_status op_step_fn(uint64_t old, uint32_t arg, uint64_t *new);

/* T1: the word for the store that publishes. */
static inline uint64_t op_born(uint64_t free, bool handle, bool pull)
{
    weir_assert(slot_word_is_free(free));
    return slot_word_with(free, OP_QUEUED | (handle ? (uint32_t)OP_HANDLE : 0) | (pull ? (uint32_t)OP_PULL : 0));
}

/* T2. BUSY: not waiting to be run, somebody was faster. */
static inline weir_status op_claim(uint64_t old, uint32_t traits, uint64_t *new)
{
    (void)traits;
    if (op_phase(old) != OP_QUEUED)
        return WEIR_BUSY;
    weir_assert(op_reason(old) == 0);
    *new = op_with_phase((old | OP_STACK) & ~(uint64_t)OP_WANT, OP_RUNNING);
    return WEIR_OK;
}

/* Where T3 leads while nothing is decided. */
static inline uint64_t op_returned(uint64_t w, uint32_t traits)
{
    bool full = op_held(w) >= (traits & OP_WINDOW);
    if (op_has(w, OP_TOKEN))
        return op_has(w, OP_WANT) && !full && op_reason(w) == 0 ? op_with_phase(w & ~(uint64_t)OP_WANT, OP_QUEUED)
                                                                : op_with_phase(w, OP_DEFERRED);
    if ((traits & OP_AGAIN) == 0 || op_reason(w) != 0)
        return op_decided(w);
    return op_has(w, OP_WANT) && full ? op_with_phase(w, OP_PARKED)
                                      : op_with_phase(w & ~(uint64_t)OP_WANT, OP_QUEUED);
}

/* T3. What the work answered, and the message, are written before (E5); so is what its next call shall find (E3). */
static inline weir_status op_return(uint64_t old, uint32_t traits, uint64_t *new)
{
    weir_assert(op_has(old, OP_STACK));
    uint64_t w = old & ~(uint64_t)OP_STACK;
    *new = op_phase(w) == OP_RUNNING ? op_returned(w, traits) : op_settled(w);
    return WEIR_OK;
}

/* The work gave a detail and was abandoned: nobody else will look at that. */
static inline bool op_keeps_detail(uint64_t w, uint32_t traits)
{
    return (traits & OP_DETAILED) != 0 && op_phase(w) >= OP_ABANDONED;
}

/* T18, in place of T3, by who claimed and did not call the work. If a cancel came between, as T3.
 * CANCELED: see op_return_and_take. */
static inline weir_status op_sent(uint64_t old, uint32_t traits, uint64_t *new)
{
    weir_assert(op_has(old, OP_STACK));
    if (op_keeps_detail(old, traits))
        return WEIR_CANCELED;
    if (op_phase(old) != OP_RUNNING || op_reason(old) != 0)
        return op_return(old, traits | OP_AGAIN, new);
    *new = op_with_phase(old & ~(uint64_t)(OP_STACK | OP_WANT), OP_QUEUED);
    return WEIR_OK;
}

/* T4. OK: won. ALREADY: a cancel won before. TOO_LATE: the final was decided before. STALE: nobody's slot. */
static inline weir_status op_cancel(uint64_t old, uint32_t reason, uint64_t *new)
{
    weir_assert(reason > 0 && reason <= 0xff);
    if (op_reason(old) != 0)
        return WEIR_ALREADY;
    if (op_is_decided(old))
        return WEIR_TOO_LATE;
    if (op_phase(old) == OP_FREE)
        return WEIR_STALE;
    uint64_t w = old | reason << OP_REASON_SHIFT;
    bool running = op_phase(w) == OP_RUNNING;
    if (op_has(w, OP_TOKEN) && op_has(w, OP_HOOK_SET))
        *new = running ? w : op_with_phase(w & ~(uint64_t)OP_WANT, OP_DEFERRED); /* the hook's answer decides */
    else if (running && !op_has(w, OP_TOKEN))
        *new = w;                                              /* the work's return decides; poll and hook tell it */
    else
        *new = op_decided(w);                                  /* if RUNNING, its final waits for STACK */
    return WEIR_OK;
}

/* T5. CANCELED; AGAIN: the window is full, and WANT remembers it. The item is written before (E2). */
static inline weir_status op_post(uint64_t old, uint32_t traits, uint64_t *new)
{
    if (op_reason(old) != 0 || op_is_decided(old))
        return WEIR_CANCELED;
    if (op_held(old) >= (traits & OP_WINDOW)) {
        *new = old | OP_WANT;
        return WEIR_AGAIN;
    }
    *new = (old + OP_PENDING_ONE) & ~(uint64_t)OP_WANT;
    return WEIR_OK;
}

/* T5 for who saw the window full, and so has written no entry: AGAIN, or BUSY: there is room by now, begin again. */
static inline weir_status op_want(uint64_t old, uint32_t traits, uint64_t *new)
{
    if (op_reason(old) != 0 || op_is_decided(old))
        return WEIR_CANCELED;
    if (op_held(old) < (traits & OP_WINDOW))
        return WEIR_BUSY;
    *new = old | OP_WANT;
    return WEIR_AGAIN;
}

static inline weir_status op_token_is_void(uint64_t w)
{
    return op_reason(w) != 0 ? WEIR_CANCELED : WEIR_STALE;
}

/* T6, to post. CANCELED, STALE: the token is of no use. BUSY: another thread uses it. AGAIN: as T5. */
static inline weir_status op_hold_to_post(uint64_t old, uint32_t traits, uint64_t *new)
{
    if (!op_has(old, OP_TOKEN) || op_reason(old) != 0)
        return op_token_is_void(old);
    if (op_has(old, OP_HOLD))
        return WEIR_BUSY;
    if (op_held(old) >= (traits & OP_WINDOW)) {
        *new = op_phase(old) == OP_QUEUED ? old : old | OP_WANT;        /* it will be called anyhow */
        return WEIR_AGAIN;
    }
    *new = old | OP_HOLD;
    return WEIR_OK;
}

/* T7 of a post. CANCELED: a cancel won between; nothing was posted. */
static inline weir_status op_commit_post(uint64_t old, uint32_t traits, uint64_t *new)
{
    (void)traits;
    weir_assert(op_has(old, OP_HOLD));
    uint64_t w = old & ~(uint64_t)OP_HOLD;
    if (op_reason(old) != 0 || op_is_decided(old)) {
        *new = op_settled(w);
        return WEIR_CANCELED;
    }
    *new = (w + OP_PENDING_ONE) & ~(uint64_t)(op_phase(w) == OP_QUEUED ? 0 : OP_WANT);
    return WEIR_OK;
}

/* T6, to complete. The final is the token's from here on; T7 lets it go. CANCELED, STALE, BUSY: nothing was taken;
 * ALREADY: the token would bring a second detail (OP_DETAILED). */
static inline weir_status op_hold_to_complete(uint64_t old, uint32_t traits, uint64_t *new)
{
    if (!op_has(old, OP_TOKEN))
        return op_token_is_void(old);
    if (op_has(old, OP_HOLD))
        return WEIR_BUSY;
    if ((traits & OP_DETAILED) != 0)
        return WEIR_ALREADY;
    *new = op_decided(old) | OP_HOLD;
    return WEIR_OK;
}

/* T7 of a completion. */
static inline weir_status op_commit_complete(uint64_t old, uint32_t traits, uint64_t *new)
{
    (void)traits;
    weir_assert(op_has(old, OP_HOLD));
    *new = op_settled(old & ~(uint64_t)OP_HOLD);
    return WEIR_OK;
}

/* T8. ALREADY; CANCELED: a cancel has won, so nobody could tell the deferred work. */
static inline weir_status op_defer(uint64_t old, uint32_t traits, uint64_t *new)
{
    (void)traits;
    if (op_reason(old) != 0 || op_is_decided(old))
        return WEIR_CANCELED;
    if (op_has(old, OP_TOKEN))
        return WEIR_ALREADY;
    *new = old | OP_TOKEN;
    return WEIR_OK;
}

/* T9. The hook is written before. CANCELED: too late, it is not registered. TOO_LATE: the token has completed. */
static inline weir_status op_hook_set(uint64_t old, uint32_t traits, uint64_t *new)
{
    (void)traits;
    if (op_reason(old) != 0)
        return WEIR_CANCELED;
    if (op_is_decided(old))
        return WEIR_TOO_LATE;
    *new = old | OP_HOOK_SET;
    return WEIR_OK;
}

/* T9. BUSY: the hook is being called; wait until it has returned, unless it is the caller. To remove a hook that a
 * cancel has made due makes deferred work one without a hook, which is final at the cancel. */
static inline weir_status op_hook_clear(uint64_t old, uint32_t traits, uint64_t *new)
{
    (void)traits;
    if (op_has(old, OP_HOOK_BUSY))
        return WEIR_BUSY;
    bool was_due = op_has(old, OP_HOOK_SET) && op_reason(old) != 0 && op_has(old, OP_TOKEN);
    *new = was_due ? op_decided(old) : old & ~(uint64_t)OP_HOOK_SET;
    return WEIR_OK;
}

/* T10. TOO_LATE: it was removed, or the final is decided: never enter it now. */
static inline weir_status op_hook_enter(uint64_t old, uint32_t traits, uint64_t *new)
{
    (void)traits;
    if ((op_steps(old) & OP_STEP_HOOK) == 0)
        return WEIR_TOO_LATE;
    *new = (old & ~(uint64_t)OP_HOOK_SET) | OP_HOOK_BUSY;
    return WEIR_OK;
}

/* T10. answer: nothing uses the context any more; it counts for deferred work. */
static inline weir_status op_hook_leave(uint64_t old, uint32_t answer, uint64_t *new)
{
    weir_assert(op_has(old, OP_HOOK_BUSY));
    uint64_t w = old & ~(uint64_t)OP_HOOK_BUSY;
    *new = answer != 0 && op_has(w, OP_TOKEN) ? op_decided(w) : w;
    return WEIR_OK;
}

/* T11 gives the right to call one of these. */
enum op_taken { OP_TAKEN_ITEM, OP_TAKEN_FINAL, OP_TAKEN_DISCARD, OP_TAKEN_DROP, OP_TAKEN_PURGE };

/* What T11 took, from the word before it. PURGE: everything unread of a closed pull operation. DISCARD: everything that
 * waits, because of a cancel. The others: one. */
static inline enum op_taken op_taken(uint64_t old, uint32_t traits)
{
    if ((op_steps(old) & OP_STEP_DROP) != 0)
        return op_has(old, OP_PULL) && !op_has(old, OP_HANDLE) ? OP_TAKEN_PURGE : OP_TAKEN_DROP;
    if (op_has(old, OP_PULL) || op_pending(old) == 0)
        return OP_TAKEN_FINAL;
    return (traits & OP_DISCARDS) != 0 && op_reason(old) != 0 ? OP_TAKEN_DISCARD : OP_TAKEN_ITEM;
}

/* Does the caller's acknowledgement come later than the callback's return? Nobody asks for it after an abandon. */
static inline bool op_acks_later(uint64_t w, uint32_t traits)
{
    return (traits & OP_MANUAL) != 0 && !op_has(w, OP_PULL) && op_phase(w) != OP_ABANDONED;
}

/* T11, the other end of E2, E4, E5. BUSY: nothing to take, somebody was faster. With manual acknowledgement UNACKED
 * is set before the callback, inside which the acknowledgement may come. The final of a pull operation takes what a
 * cancel discards with it, in the same step, since weir_op_next takes items too. */
static inline weir_status op_take(uint64_t old, uint32_t traits, uint64_t *new)
{
    if ((op_steps(old) & (OP_STEP_DELIVER | OP_STEP_DROP)) == 0)
        return WEIR_BUSY;
    enum op_taken taken = op_taken(old, traits);
    uint64_t w = old | OP_DELIVERY;
    if (op_acks_later(old, traits) && taken == OP_TAKEN_ITEM)
        w = (w - OP_PENDING_ONE) | OP_UNACKED;
    if (op_acks_later(old, traits) && taken == OP_TAKEN_FINAL)
        w |= OP_UNACKED;
    if (op_has(old, OP_PULL) && taken == OP_TAKEN_FINAL && (traits & OP_DISCARDS) != 0 && op_reason(old) != 0
        && op_phase(old) != OP_ABANDONED)                      /* its handle is closed: all of it is purged */
        w &= ~OP_PENDING;
    *new = w;
    return WEIR_OK;
}

/* T12 of an item. */
static inline weir_status op_put_item(uint64_t old, uint32_t traits, uint64_t *new)
{
    weir_assert(op_has(old, OP_DELIVERY));
    uint64_t w = old & ~(uint64_t)OP_DELIVERY;
    bool acked_now = !op_acks_later(old, traits);              /* as at T11: an abandon waits for DELIVERY */
    weir_assert(!acked_now || op_pending(w) > 0);
    *new = op_settled(acked_now ? op_with_room(w - OP_PENDING_ONE) : w);
    return WEIR_OK;
}

/* T12 of what a cancel discarded: posting has ended, so it is all there was. */
static inline weir_status op_put_discard(uint64_t old, uint32_t traits, uint64_t *new)
{
    (void)traits;
    *new = op_settled(old & ~(OP_DELIVERY | OP_PENDING));
    return WEIR_OK;
}

/* T12 of one acknowledged item, dropped. */
static inline weir_status op_put_drop(uint64_t old, uint32_t traits, uint64_t *new)
{
    (void)traits;
    weir_assert(op_has(old, OP_DELIVERY) && op_has(old, OP_DROP));
    bool closed = op_has(old, OP_PULL) && !op_has(old, OP_HANDLE);   /* meanwhile; DROP asks for a purge */
    *new = op_settled(op_with_room(old & ~(uint64_t)(closed ? OP_DELIVERY : OP_DELIVERY | OP_DROP)));
    return WEIR_OK;
}

/* T12 of all that was unread. Nobody else adds or takes: the handle is closed, and the cancel in it has ended
 * posting. */
static inline weir_status op_put_purge(uint64_t old, uint32_t traits, uint64_t *new)
{
    (void)traits;
    *new = op_settled(old & ~(OP_DELIVERY | OP_DROP | OP_UNACKED | OP_PENDING));
    return WEIR_OK;
}

/* T12 of the final. */
static inline weir_status op_put_final(uint64_t old, uint32_t traits, uint64_t *new)
{
    (void)traits;
    weir_assert(op_has(old, OP_DELIVERY));
    *new = op_settled(op_with_phase(old & ~(uint64_t)OP_DELIVERY, OP_DONE));
    return WEIR_OK;
}

/* T12 of an abandoned operation's final while its work is on its stack: that worker calls gone when it returns (T3
 * finds DONE). BUSY: it has returned; gone is to be called here, and then T12 as usual. */
static inline weir_status op_put_final_early(uint64_t old, uint32_t traits, uint64_t *new)
{
    return op_has(old, OP_STACK) ? op_put_final(old, traits, new) : WEIR_BUSY;
}

static inline uint64_t op_acked(uint64_t w, uint32_t traits)
{
    w &= ~(uint64_t)OP_UNACKED;
    return (traits & OP_DROPS) != 0 ? w | OP_DROP : op_with_room(w);
}

/* T13, by who has won the number (ack.h). STALE: an abandon acknowledged first. */
static inline weir_status op_ack(uint64_t old, uint32_t traits, uint64_t *new)
{
    if (!op_has(old, OP_UNACKED) || op_has(old, OP_PULL))
        return WEIR_STALE;
    *new = op_settled(op_acked(old, traits));
    return WEIR_OK;
}

/* T14. STALE: it is closed. A pull operation is cancelled with it; if its kind drops, a worker drops what is left. */
static inline weir_status op_close(uint64_t old, uint32_t traits, uint64_t *new)
{
    if (!op_has(old, OP_HANDLE))
        return WEIR_STALE;
    uint64_t w = old;
    if (op_has(old, OP_PULL)) {
        (void)op_cancel(old, OP_BY_USER, &w);                  /* lost: the cancel before holds */
        w |= (traits & OP_DROPS) != 0 ? (uint32_t)OP_DROP : 0;
    }
    *new = op_settled(w & ~(uint64_t)OP_HANDLE);
    return WEIR_OK;
}

/* T15: comes in, and acknowledges what it was given last time. STALE; INVALID: not a pull operation; BUSY: another
 * thread is inside. While the item before is not dropped yet, this one stays UNACKED and T15 take answers AGAIN. */
static inline weir_status op_next_enter(uint64_t old, uint32_t traits, uint64_t *new)
{
    if (!op_has(old, OP_HANDLE))
        return WEIR_STALE;                                     /* H3, whatever kind it was */
    if (!op_has(old, OP_PULL))
        return WEIR_INVALID;
    if (op_has(old, OP_WAITER))
        return WEIR_BUSY;
    bool acks = op_has(old, OP_UNACKED) && !op_has(old, OP_DROP);
    *new = (acks ? op_acked(old, traits) : old) | OP_WAITER;
    return WEIR_OK;
}

/* T15: OK: an item is the caller's; ALREADY: the final is; AGAIN: neither yet; STALE: the handle was closed
 * meanwhile. */
static inline weir_status op_next_take(uint64_t old, uint32_t traits, uint64_t *new)
{
    weir_assert(op_has(old, OP_WAITER));
    if (!op_has(old, OP_HANDLE))
        return WEIR_STALE;
    if (op_has(old, OP_UNACKED) && op_has(old, OP_DROP))
        return WEIR_AGAIN;
    uint64_t w = op_has(old, OP_UNACKED) ? op_acked(old, traits) : old;
    *new = op_pending(w) > 0 ? (w - OP_PENDING_ONE) | OP_UNACKED : w;
    if (op_pending(w) > 0)
        return WEIR_OK;
    return op_phase(w) == OP_DONE ? WEIR_ALREADY : WEIR_AGAIN;
}

/* T15: goes out. */
static inline weir_status op_next_exit(uint64_t old, uint32_t traits, uint64_t *new)
{
    (void)traits;
    weir_assert(op_has(old, OP_WAITER));
    *new = op_settled(old & ~(uint64_t)OP_WAITER);
    return WEIR_OK;
}

/* T16. OK: whatever it waited for, it waits no more; if the final was not delivered, it is ABANDONED. BUSY: the
 * library or a callback is at it, look again later. NOT_FOUND: it waits for nothing that can be abandoned. What a
 * pull operation holds is purged by a worker when the thread inside weir_op_next, which is woken, has gone. */
static inline weir_status op_abandon(uint64_t old, uint32_t traits, uint64_t *new)
{
    bool waits = op_has(old, OP_STACK | OP_TOKEN | OP_UNACKED | OP_HANDLE) && !op_is_out(old);
    if (!waits || op_phase(old) == OP_ABANDONED)
        return WEIR_NOT_FOUND;
    if (op_has(old, OP_HOLD | OP_HOOK_BUSY | OP_DELIVERY) || (op_reason(old) == 0 && !op_is_decided(old)))
        return WEIR_BUSY;
    uint64_t w = op_phase(old) == OP_DONE ? old : op_with_phase(op_decided(old), OP_ABANDONED);
    bool pull = op_has(old, OP_PULL);
    bool drops = (traits & OP_DROPS) != 0 && (pull || op_has(old, OP_UNACKED));
    w &= ~(uint64_t)(pull ? OP_HANDLE : OP_HANDLE | OP_UNACKED);
    *new = op_settled(w | (drops ? (uint32_t)OP_DROP : 0));
    return WEIR_OK;
}

/* T4 and T11 in one, for the sweep: what waits in a queue is decided and taken by one step. OK: taken, see op_taken.
 * AGAIN: cancelled, but nothing to take now. ALREADY, TOO_LATE: nothing changed. */
static inline weir_status op_sweep(uint64_t old, uint32_t arg, uint64_t *new)
{
    uint64_t w = old;
    weir_status won = op_cancel(old, arg >> 24, &w);
    if (won != WEIR_OK)
        return won;
    *new = w;
    return op_take(w, arg & 0xffffff, new) == WEIR_OK ? WEIR_OK : WEIR_AGAIN;
}

/* What op_sweep makes of the words that a sweep meets most, without a look at what they cannot have: the operation
 * waits for its turn, or has deferred without a hook, and holds nothing. Once its handle is closed the final is sealed
 * (op_is_sealed). 0: it is another word, or the operation holds something after all. */
static inline uint64_t op_swept(uint64_t old, uint32_t reason, uint32_t traits)
{
    uint64_t state = old & SLOT_BITS & ~(uint64_t)OP_HANDLE;
    if ((state != OP_QUEUED && state != (OP_DEFERRED | OP_TOKEN)) || (traits & (OP_RESTS | OP_MANUAL)) != 0)
        return 0;
    return (old ^ state) | reason << OP_REASON_SHIFT | OP_DECIDED | OP_DELIVERY;
}

/* T3 and T11 in one, for the worker whose work has returned: most finals are ready in that moment. OK: taken. BUSY:
 * nothing to take now; in a queue of the caller's it does not take, for the queue is not for results. STALE: only T3;
 * the work was abandoned, and the final is somebody else's. CANCELED, and nothing changed: likewise, and the work gave
 * a detail, at which nobody else will look; take it back, and return again without OP_DETAILED. */
static inline weir_status op_return_and_take(uint64_t old, uint32_t traits, uint64_t *new)
{
    uint64_t w = old;
    if (op_keeps_detail(old, traits))
        return WEIR_CANCELED;
    (void)op_return(old, traits, &w);
    *new = w;
    if (op_phase(old) >= OP_ABANDONED)
        return WEIR_STALE;
    return (traits & OP_FOREIGN) != 0 ? WEIR_BUSY : op_take(w, traits & ~(uint32_t)OP_AGAIN, new);
}

#endif
