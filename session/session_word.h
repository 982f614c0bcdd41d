/* SPDX-License-Identifier: Apache-2.0 */
/* session_word.h - start against close against the last to leave, in one word; cancelling everything, in a second
 *
 *   the session's word    63 ....... 32 | 31 ..... 3 | 2 .. 0        the cancel word   63 .. 32 | 31 .. 8 | 7 .. 0
 *                          generation   |    LIVE    | phase                            epoch   |  seen   | reason
 *
 *     FREE --open--> OPEN --close--> DRAINING --> CANCELLING --> WAITING --> CLOSED --end--> FREE, generation + 1
 *                           (shut)     starts        epoch          all       LIVE 0           close callback has
 *                                      refused       raised         swept     (complete)       returned
 *
 *   LIVE   who keeps the session: each operation from its start until it has left (op_word.h), and each call or sweep
 *          that reads the session's fields while it is inside. A phase may be skipped, none is entered twice.
 *
 *   step          by                  order     what it decides
 *   G1 enter      start               acq_rel   OPEN: LIVE + n. Else CLOSED
 *   G2 shut       close               acq_rel   OPEN -> DRAINING, LIVE + 1 for the closer itself. Else CLOSING
 *   G3 visit      calls, sweeps       acq_rel   LIVE + 1 in any phase before CLOSED. Else STALE
 *   G4 advance    who drives a close  acq_rel   phase := the later one; the first who gets there is told
 *   G5 leave      whoever entered     acq_rel   LIVE - n. Shut and 0: -> CLOSED in the same step; the caller completes
 *   G6 end        the completer       release   CLOSED -> FREE, after the close callback has returned
 *   K1 raise      cancel, close       acq_rel   epoch + 1, with a reason
 *   K2 look       start, claim, poll  acquire   is there an epoch newer than the operation's?
 *   K4 fold       start, claim, walk  acq_rel   the parent's epoch is newer than seen: epoch + 1, seen := the parent's
 *
 * S1, start and close are linearizable. G1 and G2 are compare-and-swaps on one word. A G1 before G2 in its order is
 * accepted, and LIVE counts it; a G1 after G2 reads a phase other than OPEN and is refused. There is no third case.
 *
 * S8, one close wins: G2 succeeds once in a generation, since no step leads back to OPEN. Its winner is inside (LIVE
 * counts it), so it writes policy and callback in peace, and only its own G5 lets the session end. Losers visit (G3)
 * before they shorten the policy, so that they never write into a session that has ended.
 *
 * S4, one completion: the step to CLOSED needs LIVE = 0 and a shut gate. It is the G5 that takes away the last; LIVE
 * does not rise from 0 once the gate is shut, because G1 is refused and G3 needs somebody inside (else it finds
 * CLOSED, for the last G5 has gone there in the same step). So there is exactly one, it comes not before the last
 * operation left, and nothing stands between the two. E7: every G5 is a release and every later step a
 * read-modify-write of the same word, so the completer's acquire synchronises with all who left; session_wait gets it
 * from G6.
 *
 * C6, cancelling all in O(1). An operation remembers the epoch it was accepted in: its starter reads the cancel word
 * before G1. Newer means: not the same. Then
 *   a. accepted before the cancel => its epoch is older. The read is before G1, the cancel's K1 after the return.
 *   b. started after the cancel returned => its epoch is the new one, or a later one: not cancelled by it.
 *   c. A close raises the epoch after G2. Whoever entered before G2 read the cancel word before it: G1 releases, G2
 *      acquires, so that read cannot see this K1. Every operation of the session is covered, whatever raced.
 *   d. Between start and sweep nothing is lost. A start publishes its operation, marks it in a ready map by a read-
 *      modify-write, and then looks at the cancel word again. The sweep, after K1, does a read-modify-write of each
 *      ready map before it reads the operations. One of the two comes second in the map's order: either the sweep sees
 *      the operation, or the start sees K1 and cancels its own operation. (K3 in both places.)
 *   e. Whoever finds a newer epoch writes the reason into the operation's word (op_word.h T4), which then decides.
 * If several cancels apply before somebody acts, the reason is the latest's. The epoch has 32 bits; every raise is
 * followed by a sweep that acts on each older operation, so nobody can be 2^32 raises behind.
 *
 * Children (S11). A cancel of a session's all applies to what its children had accepted before, too, and to nothing
 * that they accept later. The walk over the children is asynchronous, so their own epochs alone would not do: what is
 * accepted between the cancel and the walk would be cancelled with the rest. So a start and a claim in a child first
 * look at the parent's epoch, and fold it into their own if it is newer than the one that was folded last (24 bits of
 * it, seen); the walk does the same. Whoever folds first raises the child's epoch once, with the reason PARENT, or
 * APPLICATION_CLOSED if it is that. A start that began after the cancel returned sees the parent's new epoch, and takes
 * the child's epoch of after the fold. With parents of parents: from the top downwards.
 *
 * Driving a close: each driver (the closer; a later, shorter one; a deadline) does G2 or G3, K1 if it is time to
 * cancel, then G4. K1 comes before CANCELLING: whoever sees that phase finds the epoch raised, so a second close that
 * asks for cancelling at once may return as soon as it has done its own K1, whether or not the first one sleeps
 * between its steps.
 *
 * Rejected: core/barrier.h as it is. Here the gate has phases, the word a generation, and the closer is counted; the
 * proof is the same. Rejected: epoch and phase in one word: an epoch of 32 bits beside LIVE would leave none for a
 * generation. Rejected: a per-worker count while open: starting costs one compare-and-swap here, which is not what a
 * start waits for (see docs/performance.md); the word may be split later without touching its callers.
 */
#ifndef SESSION_SESSION_WORD_H
#define SESSION_SESSION_WORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/slots.h"
#include "core/verify.h"
#include "weir/status.h"

enum session_phase {
    SESSION_FREE = 0,
    SESSION_OPEN,
    SESSION_DRAINING,                                          /* accepted work runs to its end */
    SESSION_CANCELLING,                                        /* everything is cancelled; finals are on their way */
    SESSION_WAITING,                                           /* swept: what is left waits for user code */
    SESSION_CLOSED,                                            /* complete; the close callback is due, or runs */
    SESSION_PHASE = 7,
};

enum { SESSION_LIVE_SHIFT = 3, SESSION_LIVE_MAX = (1 << 29) - 1 };
#define SESSION_LIVE_ONE (UINT64_C(1) << SESSION_LIVE_SHIFT)

/* ---- pure ---- */

static inline enum session_phase session_phase(uint64_t w) { return (enum session_phase)(w & SESSION_PHASE); }
static inline uint32_t session_live(uint64_t w) { return (uint32_t)(w & SLOT_BITS) >> SESSION_LIVE_SHIFT; }
static inline bool session_is_shut(uint64_t w) { return session_phase(w) > SESSION_OPEN; }

static inline uint64_t session_with_phase(uint64_t w, enum session_phase phase)
{
    return (w & ~(uint64_t)SESSION_PHASE) | phase;
}

/* G1. CLOSED; LIMIT: LIVE cannot count so many. */
static inline weir_status session_entered(uint64_t old, uint32_t count, uint64_t *new)
{
    if (session_phase(old) != SESSION_OPEN)
        return WEIR_CLOSED;
    if (session_live(old) > SESSION_LIVE_MAX - count)
        return WEIR_LIMIT;
    *new = old + count * SESSION_LIVE_ONE;
    return WEIR_OK;
}

/* G2. CLOSING: it was shut before. */
static inline weir_status session_shut(uint64_t old, uint64_t *new)
{
    if (session_phase(old) != SESSION_OPEN)
        return WEIR_CLOSING;
    *new = session_with_phase(old + SESSION_LIVE_ONE, SESSION_DRAINING);
    return WEIR_OK;
}

/* G3. STALE: it is complete. */
static inline weir_status session_visited(uint64_t old, uint64_t *new)
{
    if (session_phase(old) == SESSION_CLOSED || session_phase(old) == SESSION_FREE)
        return WEIR_STALE;
    weir_assert(session_live(old) < SESSION_LIVE_MAX);
    *new = old + SESSION_LIVE_ONE;
    return WEIR_OK;
}

/* G4, by somebody inside. ALREADY: it has come as far, or farther. */
static inline weir_status session_advanced(uint64_t old, enum session_phase phase, uint64_t *new)
{
    weir_assert(session_live(old) > 0 && session_is_shut(old) && phase < SESSION_CLOSED);
    if (session_phase(old) >= phase)
        return WEIR_ALREADY;
    *new = session_with_phase(old, phase);
    return WEIR_OK;
}

/* G5. */
static inline uint64_t session_left(uint64_t old, uint32_t count)
{
    weir_assert(session_live(old) >= count && session_phase(old) != SESSION_CLOSED);
    uint64_t w = old - count * SESSION_LIVE_ONE;
    return session_is_shut(w) && session_live(w) == 0 ? session_with_phase(w, SESSION_CLOSED) : w;
}

/* What session_visit and its like compare of a handle: all of it that is in the word. */
static inline uint64_t session_named(uint32_t generation)
{
    return handle_make(HANDLE_SESSION, 0, 0, generation);
}

/* ---- applied ----
 * The compare-and-swaps are acq_rel, the loads before them acquire, all for the same pairs: G1 with G2 (c. above), G2
 * and G5 with the completing G5 (S4), G6 of the slot's last owner with whoever finds the next one. The caller is
 * inside the application; handle: what the user passed, of the right kind. */

static inline bool session_swap(struct slot *slot, uint64_t *old, uint64_t new)
{
    /* acq_rel, acquire: see above */
    return atomic_compare_exchange_weak_explicit(&slot->word, old, new, memory_order_acq_rel, memory_order_acquire);
}

static inline enum session_phase session_phase_now(const struct slot *slot)
{
    return session_phase(atomic_load_explicit(&slot->word, memory_order_acquire));     /* G2, G4 */
}

/* Has it ended, its close callback with it? */
static inline bool session_is_gone(const struct slot *slot, uint64_t handle)
{
    return !slot_word_matches(atomic_load_explicit(&slot->word, memory_order_acquire), handle);         /* G6, E7 */
}

/* G1. OK: the caller leaves so many times. STALE, CLOSED, LIMIT: nothing was changed. */
static inline weir_status session_enter(struct slot *slot, uint64_t handle, uint32_t count)
{
    uint64_t new, old = atomic_load_explicit(&slot->word, memory_order_acquire);       /* G6 of the owner before */
    do {
        if (!slot_word_matches(old, handle))
            return WEIR_STALE;
        weir_status status = session_entered(old, count, &new);
        if (status != WEIR_OK)
            return status;
    } while (!session_swap(slot, &old, new));                                          /* G1 */
    return WEIR_OK;
}

/* G2. OK: this close wins, and is inside. */
static inline weir_status session_shut_gate(struct slot *slot, uint64_t handle)
{
    uint64_t new, old = atomic_load_explicit(&slot->word, memory_order_acquire);       /* G6 of the owner before */
    do {
        if (!slot_word_matches(old, handle))
            return WEIR_STALE;
        weir_status status = session_shut(old, &new);
        if (status != WEIR_OK)
            return status;
    } while (!session_swap(slot, &old, new));                                          /* G2 */
    return WEIR_OK;
}

/* G3. OK: the caller is inside until it leaves. */
static inline weir_status session_visit(struct slot *slot, uint64_t handle)
{
    uint64_t new, old = atomic_load_explicit(&slot->word, memory_order_acquire);       /* G6 of the owner before */
    do {
        if (!slot_word_matches(old, handle))
            return WEIR_STALE;
        weir_status status = session_visited(old, &new);
        if (status != WEIR_OK)
            return status;
    } while (!session_swap(slot, &old, new));                                          /* G3 */
    return WEIR_OK;
}

/* G4. True: the caller was the first to get the session there. Inside only. */
static inline bool session_advance(struct slot *slot, enum session_phase phase)
{
    uint64_t new, old = atomic_load_explicit(&slot->word, memory_order_acquire);       /* G4 of another driver */
    do {
        if (session_advanced(old, phase, &new) != WEIR_OK)
            return false;
    } while (!session_swap(slot, &old, new));                                          /* G4 */
    return true;
}

/* G5. True: the session is complete, and the caller, alone, goes on with it. False: do not touch it again. */
static inline bool session_leave(struct slot *slot, uint32_t count)
{
    uint64_t new, old = atomic_load_explicit(&slot->word, memory_order_acquire);       /* the others' G5: E7 */
    do
        new = session_left(old, count);
    while (!session_swap(slot, &old, new));                                            /* G5 */
    return session_phase(new) == SESSION_CLOSED;
}

/* ---- the cancel word ---- */

struct session_cancel {
    _Atomic uint64_t word;                                     /* A */
};

static inline uint32_t cancel_epoch(uint64_t w) { return (uint32_t)(w >> 32); }
static inline uint32_t cancel_reason(uint64_t w) { return (uint32_t)w & 0xff; }

enum { CANCEL_SEEN_SHIFT = 8, CANCEL_SEEN = 0xffffff };
static inline uint32_t cancel_seen(uint64_t w) { return (uint32_t)(w >> CANCEL_SEEN_SHIFT) & CANCEL_SEEN; }

static inline uint64_t cancel_make(uint32_t epoch, uint32_t seen, uint32_t reason)
{
    return (uint64_t)epoch << 32 | (uint64_t)(seen & CANCEL_SEEN) << CANCEL_SEEN_SHIFT | reason;
}

/* K1. Everything accepted before is cancelled. */
static inline void cancel_raise(struct session_cancel *c, uint32_t reason)
{
    weir_assert(reason > 0 && reason <= 0xff);
    uint64_t old = atomic_load_explicit(&c->word, memory_order_relaxed);               /* a guess; the swap checks */
    while (!atomic_compare_exchange_weak_explicit(&c->word, &old,
                                                  cancel_make(cancel_epoch(old) + 1, cancel_seen(old), reason),
                                                  memory_order_acq_rel,                /* K1: E6, this end */
                                                  memory_order_relaxed))
        ;
}

/* K4. True: it was newer, and this call has folded it in. A parent's epoch that was read long ago is not newer. */
static inline bool cancel_fold(struct session_cancel *c, const struct session_cancel *parent, uint32_t reason)
{
    /* acquire: K1 of the parent; what its canceller did goes on to who acts here */
    uint32_t now = cancel_epoch(atomic_load_explicit(&parent->word, memory_order_acquire));
    uint64_t old = atomic_load_explicit(&c->word, memory_order_relaxed);               /* a guess; the swap checks */
    for (;;) {
        uint32_t ahead = (now - cancel_seen(old)) & CANCEL_SEEN;
        if (ahead == 0 || ahead > CANCEL_SEEN / 2)
            return false;
        if (atomic_compare_exchange_weak_explicit(&c->word, &old, cancel_make(cancel_epoch(old) + 1, now, reason),
                                                  memory_order_acq_rel,                /* K4, as K1 */
                                                  memory_order_relaxed))
            return true;
    }
}

/* A session that is being opened: what its parent cancelled before is nothing to it. */
static inline void cancel_adopt(struct session_cancel *c, const struct session_cancel *parent)
{
    uint64_t old = atomic_load_explicit(&c->word, memory_order_relaxed);               /* a guess; the swap checks */
    uint32_t now = cancel_epoch(atomic_load_explicit(&parent->word, memory_order_acquire));    /* K1 */
    while (!atomic_compare_exchange_weak_explicit(&c->word, &old, cancel_make(cancel_epoch(old), now, 0),
                                                  memory_order_acq_rel, memory_order_relaxed))   /* K4, as K1 */
        ;
}

/* The epoch that an operation starts in; before G1. Relaxed: G1 keeps it before the close's K1, and what the user
 * ordered himself (a cancel that returned before) is kept by the word's own modification order. */
static inline uint32_t cancel_now(const struct session_cancel *c)
{
    return cancel_epoch(atomic_load_explicit(&c->word, memory_order_relaxed));
}

/* K2. The reason of a cancel that applies to an operation of this epoch; 0: none does. */
static inline uint32_t cancel_applies(const struct session_cancel *c, uint32_t epoch)
{
    /* relaxed: nothing to see in the common case */
    if (cancel_epoch(atomic_load_explicit(&c->word, memory_order_relaxed)) == epoch)
        return 0;
    return cancel_reason(atomic_load_explicit(&c->word, memory_order_acquire));        /* K2 with K1: E6 */
}

#endif
