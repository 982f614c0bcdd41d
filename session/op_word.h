/* SPDX-License-Identifier: Apache-2.0 */
/* op_word.h - the life of one operation, in one 64-bit word
 *
 *     63 ....... 32 | 31 .... 23 | 22 .......... 11 | 10 .... 3 | 2 .. 0
 *      generation   |  PENDING   |  the flags below |  reason   | phase
 *
 *   phase       what the operation is                                  PENDING   results accepted, not yet delivered
 *   FREE        nobody's slot; the whole lower half is 0               reason    0: no cancel has won
 *   QUEUED      waits for a worker to call its work function
 *   RUNNING     its work function has been called                      flag       while it is 1
 *   PARKED      its work waits for room in the window                  STACK      the work function is on a stack
 *   DEFERRED    its work has returned; the token will decide           TOKEN      a token may post and complete
 *   DECIDED     the final is decided, not yet delivered                HOLD       a token's call writes its result here
 *   ABANDONED   as DECIDED, but does not wait for STACK                HOOK_SET   a hook is registered, not entered
 *   DONE        the final is delivered                                 HOOK_BUSY  the hook is on a stack
 *                                                                      DELIVERY   a worker calls the user's functions
 *               claim              return                              UNACKED    the last result is not acknowledged
 *     QUEUED ----------> RUNNING ----------> DECIDED                   DROP       an acknowledged item is to be dropped
 *       ^ ^                | |  defer, return    ^ ^                   HANDLE     the caller's handle is open
 *       | |  return AGAIN  | +-----> DEFERRED ---+ | token, hook       WAITER     a thread is inside weir_op_next
 *       | +----------------+            | room     | cancel            WANT       a post was refused since the call
 *       +--------------- PARKED <-------+  (and QUEUED, PARKED         PULL       results are fetched, not called back
 *             room          return, WANT    directly by cancel)
 *
 *     DECIDED --take--> +DELIVERY --put--> DONE --last of ack, close, next, drop--> FREE, generation + 1
 *     RUNNING, DEFERRED, DECIDED --abandon--> ABANDONED --take, put--> DONE +STACK --return--> FREE
 *
 * Every step, T1 to T17, is a pure function from word to word (op_steps.h), applied by one compare-and-swap. So two
 * steps that race have an order, the second one sees what the first one did, and its function says what then holds:
 * that is the whole proof of "one decision" (C2), "one final" (R1), "one leave of the barrier" (S4) and "one free".
 * The unit test walks the complete graph of words and checks the invariants on each edge.
 *
 * Room (R7): whenever PENDING + UNACKED + DROP shrinks and WANT is set, a PARKED or DEFERRED operation becomes QUEUED
 * in the very same step. WANT and the window's fill are in one word, so a refusal and the room for it cannot miss each
 * other, and T3 looks at the fill in the step that parks.
 *
 * Leaving (S4): a word is *out* when it is DONE and no DELIVERY, UNACKED, DROP, HANDLE, WAITER, HOLD, HOOK_BUSY,
 * PENDING is left. The step that makes it so leaves the barrier; if STACK is off it frees the slot as well, in the
 * same step. STACK can be on only after abandon: then T3 frees later, what by then is the application's (S5).
 *
 * The generation is compared in the same compare-and-swap, so no step needs a reference or a pin (H1). That a word may
 * look the same again within one life is harmless, because a step depends on the word alone; the one exception is the
 * acknowledgement, which names a number: see ack.h.
 *
 * Choices:
 *   - The window's fill is in the word (PENDING). Rejected: counters of posts and acknowledgements beside it; post and
 *     cancel (C1), and refusal and room, were then races over several words.
 *   - HOLD: a completion must write its status before a worker may read it, so the step that decides has to hold the
 *     delivery back until it has written. Rejected: writing first; two completions would write at once.
 *   - WANT says that a post was refused. Rejected: a bit that says that room came: deferred work's return value is
 *     ignored, so nobody else knows that it wants to be called again.
 *   - DROP: drop runs on a worker (R9), and an acknowledgement comes from any thread.
 *   - No list contains an operation: workers find them through bit maps, and foreign queues and timers hold a record of
 *     their own, which names the operation by its handle. Rejected: links in the slot, and a bit that keeps an
 *     operation that is over until a stranger's queue has popped it.
 *   - A deferral after a won cancel is refused: no hook would be left to tell the deferred work.
 * Rejected: a reference count in the word. It says how many hold the operation, but not what is missing (S10).
 */
#ifndef SESSION_OP_WORD_H
#define SESSION_OP_WORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/slots.h"
#include "core/verify.h"
#include "weir/status.h"

enum op_phase {
    OP_FREE = 0, OP_QUEUED, OP_RUNNING, OP_PARKED, OP_DEFERRED, OP_DECIDED, OP_ABANDONED, OP_DONE,
    OP_PHASE = 7,
};

/* Reasons of a cancel that the library gives, as the public header numbers them; the user's own begin at 64. */
enum op_by { OP_BY_USER = 1, OP_BY_TIMEOUT, OP_BY_SESSION, OP_BY_APPLICATION, OP_BY_PARENT };

enum {
    OP_REASON_SHIFT = 3,
    OP_REASON = 0xff << OP_REASON_SHIFT,
    OP_STACK = 1 << 11,
    OP_TOKEN = 1 << 12,
    OP_HOLD = 1 << 13,
    OP_HOOK_SET = 1 << 14,
    OP_HOOK_BUSY = 1 << 15,
    OP_DELIVERY = 1 << 16,
    OP_UNACKED = 1 << 17,
    OP_DROP = 1 << 18,
    OP_HANDLE = 1 << 19,
    OP_WAITER = 1 << 20,
    OP_WANT = 1 << 21,
    OP_PULL = 1 << 22,
    OP_PENDING_SHIFT = 23,
    OP_WINDOW_MAX = 511,
};
#define OP_PENDING_ONE (UINT64_C(1) << OP_PENDING_SHIFT)
#define OP_PENDING (OP_PENDING_ONE * OP_WINDOW_MAX)
static_assert((OP_PENDING | (OP_PENDING_ONE - 1)) == SLOT_BITS, "the fields fill the user's half of the slot's word");
static_assert(OP_DECIDED < OP_ABANDONED && OP_ABANDONED < OP_DONE && OP_DEFERRED < OP_DECIDED, "see op_is_decided");

/* What a step must know of the operation besides its word: fixed at its start, and for T3 and T6 what is asked. */
enum op_traits {
    OP_WINDOW = OP_WINDOW_MAX,                                 /* the low bits: the window, 1.. */
    OP_IDLE = 1 << 10,                                         /* its deadline counts from posts and progress */
    OP_DETAILED = 1 << 9,                                      /* set before T3, T7: the final has a detail (op.h) */
    OP_STREAMS = 1 << 11,                                      /* it has a stream (look.h) */
    OP_MANUAL = 1 << 16,                                       /* results are acknowledged by number */
    OP_DROPS = 1 << 17,                                        /* the kind has a drop function */
    OP_DISCARDS = 1 << 18,                                     /* a cancel discards what was not delivered */
    OP_FOREIGN = 1 << 19,                                      /* runs in a queue of the caller's, not here */
    OP_RESTS = OP_STREAMS | OP_DETAILED,                       /* there is more in the cold row than the hook */
    OP_TRAITS = 0xffffff,                                      /* what of them fits beside a reason (op_sweep) */
    OP_AGAIN = 1 << 20,                                        /* T3: the work function answered AGAIN */
    OP_RAN = 1 << 21,                                          /* set by T2's worker: the cold row has been filled in */
    OP_SEEN = 1 << 23,                                         /* the work was told of a cancel by a poll (stats.h) */
    OP_ANSWERED = 1 << 22,                                   /* set before T3, T7: the status there is the work's own */
};

/* What a worker that looks at the operation may do; each is begun by the step beside it, which decides who does. */
enum op_steps {
    OP_STEP_DELIVER = 1,                                       /* T11: a result, or the final */
    OP_STEP_DROP = 2,                                          /* T11: an acknowledged item, or all that is unread */
    OP_STEP_HOOK = 4,                                          /* T10 */
    OP_STEP_RUN = 8,                                           /* T2 */
};

/* What has to follow a step, by whoever made it. */
enum op_duties {
    OP_LOOK = 1,                                               /* a worker has to look: there is a new step for it */
    OP_WAKE = 2,                                               /* the thread inside weir_op_next has to look */
    OP_LEAVE = 4,                                             /* the operation has left its session: tell the barrier */
    OP_FREED = 8,                                              /* the slot may be handed out again */
};

/* ---- questions: pure ---- */

static inline enum op_phase op_phase(uint64_t w) { return (enum op_phase)(w & OP_PHASE); }
static inline uint32_t op_reason(uint64_t w) { return (uint32_t)(w & OP_REASON) >> OP_REASON_SHIFT; }
static inline uint32_t op_pending(uint64_t w) { return (uint32_t)(w & SLOT_BITS) >> OP_PENDING_SHIFT; }
static inline bool op_has(uint64_t w, uint32_t flags) { return (w & flags) != 0; }
static inline bool op_is_decided(uint64_t w) { return op_phase(w) >= OP_DECIDED; }

/* Has its final been delivered? */
static inline bool op_is_over(uint64_t w) { return op_phase(w) == OP_DONE || op_phase(w) == OP_FREE; }

/* Results that the library holds: the window's fill. */
static inline uint32_t op_held(uint64_t w)
{
    return op_pending(w) + op_has(w, OP_UNACKED) + op_has(w, OP_DROP);
}

/* Nothing but the callback is missing before the final (R3). */
static inline bool op_final_is_ready(uint64_t w)
{
    if (op_has(w, OP_HOLD | OP_HOOK_BUSY))
        return false;
    return op_phase(w) == OP_ABANDONED || (op_phase(w) == OP_DECIDED && !op_has(w, OP_STACK));
}

/* Has it left its session's barrier? True for a free word, too: that is where the last step leads. */
static inline bool op_is_out(uint64_t w)
{
    const uint32_t keep = OP_DELIVERY | OP_UNACKED | OP_DROP | OP_HANDLE | OP_WAITER | OP_HOLD | OP_HOOK_BUSY;
    if (op_phase(w) == OP_FREE)
        return true;
    return op_phase(w) == OP_DONE && !op_has(w, keep) && op_pending(w) == 0;
}

/* T17's condition: a worker is about to give the final, and no step of anybody else changes this word. Acknowledging,
 * closing, next, tokens, hooks and the work function have lost their bits; cancel comes too late; abandon respects
 * DELIVERY. */
static inline bool op_is_sealed(uint64_t w)
{
    return (w & SLOT_BITS & ~(uint64_t)OP_REASON) == (OP_DECIDED | OP_DELIVERY);
}

static inline uint32_t op_steps_push(uint64_t w)
{
    if (op_has(w, OP_DELIVERY))
        return 0;
    if (op_has(w, OP_DROP))
        return OP_STEP_DROP;
    if (op_has(w, OP_UNACKED))
        return 0;                                              /* E4: the next one only after the acknowledgement */
    return op_pending(w) > 0 || op_final_is_ready(w) ? OP_STEP_DELIVER : 0;
}

static inline uint32_t op_steps_pull(uint64_t w)
{
    if (op_has(w, OP_DELIVERY))
        return 0;
    bool unread = !op_has(w, OP_HANDLE | OP_WAITER) && (op_held(w) > 0);
    bool drop = op_has(w, OP_HANDLE) && op_has(w, OP_DROP);
    return (op_final_is_ready(w) ? OP_STEP_DELIVER : 0) | (unread || drop ? OP_STEP_DROP : 0);
}

/* What workers may begin: a set of enum op_steps. */
static inline uint32_t op_steps(uint64_t w)
{
    bool live = op_phase(w) == OP_RUNNING || op_phase(w) == OP_DEFERRED;
    uint32_t hook = op_has(w, OP_HOOK_SET) && op_reason(w) != 0 && live ? OP_STEP_HOOK : 0;
    uint32_t run = op_phase(w) == OP_QUEUED ? OP_STEP_RUN : 0;
    return hook | run | (op_has(w, OP_PULL) ? op_steps_pull(w) : op_steps_push(w));
}

/* The same of an operation with these traits. What runs in a queue of the caller's, a worker that looks at the session
 * only sends there, when room has come, which WANT says (foreign.h). */
static inline uint32_t op_steps_of(uint64_t w, uint32_t traits)
{
    bool elsewhere = (traits & OP_FOREIGN) != 0 && !op_has(w, OP_WANT);
    return op_steps(w) & ~(elsewhere ? (uint32_t)OP_STEP_RUN : 0);
}

/* A set of enum op_duties. Who goes on looking at the operation himself may ignore OP_LOOK. */
static inline uint32_t op_duties(uint64_t old, uint64_t new)
{
    uint32_t duties = (op_steps(new) & ~op_steps(old)) != 0 ? OP_LOOK : 0;
    bool more = op_pending(new) > op_pending(old) || op_phase(new) != op_phase(old);
    bool less = op_has(old & ~new, OP_HANDLE | OP_DROP);
    if (op_has(old & new, OP_WAITER) && (more || less))
        duties |= OP_WAKE;
    if (op_is_out(new) && !op_is_out(old))
        duties |= OP_LEAVE;
    if (op_phase(new) == OP_FREE && op_phase(old) != OP_FREE)
        duties |= OP_FREED;
    return duties;
}

/* The word as text, such as "#7 RUNNING reason 3 STACK HANDLE"; 160 bytes hold any. */
void op_word_print(uint64_t w, char *text, size_t size);

#endif
