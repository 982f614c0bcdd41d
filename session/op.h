/* SPDX-License-Identifier: Apache-2.0 */
/* op.h - what the library keeps of an operation: two rows of 64 bytes, and what few operations need besides
 *
 * The rows are a slot of the application's operation table (slots.h): the hot one holds what claiming and sweeping
 * touch, one cache line; the cold one the rest. A queued operation that is cancelled is ended without a look at its
 * cold row.
 *
 * Who may touch a field is told by the word, in the hot row's first eight bytes:
 *   S   the starter, until T1; fixed from then on
 *   A   atomic, anybody
 *   K   the work function's thread while STACK is set and TOKEN is not, or who holds HOLD; when the final is ready,
 *       who holds DELIVERY. Not read for an abandoned operation while STACK is set: its work may still be writing.
 *   H   the work function's thread while neither HOOK_SET nor HOOK_BUSY is set; then who made T10 enter
 *   D   who holds DELIVERY
 * Fields that a stranger may read against a later owner (reports, calls with an old handle) are relaxed atomics; he
 * compares the word before and after, and forgets what he read if it changed.
 *
 * Two words serve for two things, since few operations need either: what the work said of its progress, and, from the
 * moment it has been given, the final's detail. OP_DETAILED, among the traits, says which. It is set before the words
 * are written (P1), and a stranger looks at it after he has read them (P2): who reads a detail finds the mark, and
 * reports no progress. OP_RAN likewise is set after they were cleared of what the slot's last owner left.
 *
 *   step         order     partner
 *   P1 write     release   P2: OP_DETAILED, then the words; the words cleared, then OP_RAN
 *   P2 read      acquire   P1: OP_RAN, then the words, then OP_DETAILED
 *   P3 stream    release   P3: acquire, by who delivers; abandoned work may just be making its first post
 *
 * Rejected: two words more (a parked operation costs 128 bytes, and most have neither); a record allocated by the first
 * progress (a call that cannot fail would fail, and a report would read memory that is freed meanwhile).
 *
 * Where it was started, and when, is for reports (S10), and stands in the hot row, which the starter writes anyhow:
 * in the cold one it would cost each start a second cache line. The hook, which only work that has run can have, made
 * room for it. Who runs the operation is not here: each thread says what it is inside (stats.h).
 */
#ifndef SESSION_OP_H
#define SESSION_OP_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cache.h"
#include "session/ack.h"
#include "session/op_move.h"

struct weir_kind;
struct op_stream;
struct op_extra;

struct op {
    struct slot slot;                                          /* A: op_word.h */
    _Atomic(const struct weir_kind *) kind;                    /* S, A */
    void *ctx;                                                 /* S */
    _Atomic uint64_t tag;                                      /* S, A */
    _Atomic(const void *) site;                                /* S, A: where it was started */
    _Atomic uint32_t epoch;                                    /* S, A: cancel_now() before it was accepted */
    _Atomic uint32_t traits;                                   /* S, A: enum op_traits */
    _Atomic uint64_t beside;                                   /* S, A: op_extra, or op_deadline; 0 for most */
    _Atomic uint32_t started_ms;                               /* S, A: clock_coarse_ms, for reports */
    _Atomic uint32_t cancelled_at;                             /* A: written before T4, for statistics: stats.h */
};
static_assert(sizeof(struct op) == CACHE_LINE, "claiming and sweeping touch one line for each operation");
static_assert(offsetof(struct op, slot) == 0, "the word is where slots.h looks for it");

struct op_cold {
    _Atomic(struct op_stream *) stream;                        /* K, P3: its window; NULL until the first post */
    _Atomic uint64_t said[2];                                  /* K, P1, P2: done and total; or detail and its size */
    void *hook;                                                /* H: a weir_cancel_fn */
    void *hook_ctx;                                            /* H */
    struct ack ack;                                            /* A: ack.h; K: ack.beside, the work's status, or the
                                                                * token's; and the message, op_explained */
};
static_assert(sizeof(struct op_cold) == 56, "an operation takes 128 bytes, its share of a group's maps included");
static_assert(sizeof(void *) <= sizeof(uint64_t) && sizeof(size_t) <= sizeof(uint64_t), "a detail fits");

/* What is beside the rows: a record (extra.h), whose address is even; or the deadline that the session gave, times two,
 * plus one (expiry.h). */
static inline uint64_t op_beside_extra(const struct op_extra *extra) { return (uint64_t)(uintptr_t)extra; }

/* One that is a hundred years off is none. */
static inline uint64_t op_beside_deadline(int64_t deadline)
{
    return deadline < INT64_MAX / 2 ? (uint64_t)deadline << 1 | 1 : 0;
}

/* NULL: it has none. */
static inline struct op_extra *op_extra(const struct op *op)
{
    uint64_t beside = atomic_load_explicit(&op->beside, memory_order_relaxed);          /* E1 */
    return (beside & 1) != 0 ? NULL : (struct op_extra *)(uintptr_t)beside;
}

/* WEIR_FOREVER: the session gave it none. */
static inline int64_t op_deadline(const struct op *op)
{
    uint64_t beside = atomic_load_explicit(&op->beside, memory_order_relaxed);          /* T1, or see expiry.h */
    return (beside & 1) != 0 ? (int64_t)beside >> 1 : WEIR_FOREVER;
}

/* relaxed: written before T1, and by who may write the cold row, who then takes a step */
static inline uint32_t traits_of(const struct op *op)
{
    return atomic_load_explicit(&op->traits, memory_order_relaxed);
}

static inline void traits_add(struct op *op, uint32_t bits)
{
    atomic_store_explicit(&op->traits, traits_of(op) | bits, memory_order_release);                        /* P1 */
}

static inline void cold_say(struct op_cold *cold, uint64_t first, uint64_t second)
{
    atomic_store_explicit(&cold->said[0], first, memory_order_release);                                    /* P1 */
    atomic_store_explicit(&cold->said[1], second, memory_order_release);                                   /* P1 */
}

static inline struct op_stream *cold_stream(const struct op_cold *cold)
{
    return atomic_load_explicit(&cold->stream, memory_order_acquire);                                      /* P3 */
}

static inline void cold_set_stream(struct op_cold *cold, struct op_stream *stream)
{
    atomic_store_explicit(&cold->stream, stream, memory_order_release);                                    /* P3 */
}

/* What the slot's last owner left goes. K. */
static inline void cold_begin(struct op *op, struct op_cold *cold)
{
    atomic_store_explicit(&cold->stream, NULL, memory_order_relaxed);                   /* the next P1 publishes it */
    ack_keep(&cold->ack, NULL);
    cold->hook = NULL;                                         /* stats.h: not told */
    cold_say(cold, 0, 0);
    traits_add(op, OP_RAN);
}

static inline void cold_put_detail(struct op *op, struct op_cold *cold, void *data, size_t size)
{
    traits_add(op, OP_DETAILED);
    cold_say(cold, (uint64_t)(uintptr_t)data, size);
}

/* OP_DETAILED is set. */
static inline void *cold_detail(const struct op_cold *cold, size_t *size)
{
    /* relaxed, both: K, who wrote them handed them over by a step */
    *size = (size_t)atomic_load_explicit(&cold->said[1], memory_order_relaxed);
    return (void *)(uintptr_t)atomic_load_explicit(&cold->said[0], memory_order_relaxed);
}

/* For strangers, between two looks at the word that find the same life. False: nothing was said. */
static inline bool op_progress(const struct op *op, const struct op_cold *cold, uint64_t *done, uint64_t *total)
{
    if ((atomic_load_explicit(&op->traits, memory_order_acquire) & OP_RAN) == 0)                           /* P2 */
        return false;
    *done = atomic_load_explicit(&cold->said[0], memory_order_acquire);                                    /* P2 */
    *total = atomic_load_explicit(&cold->said[1], memory_order_acquire);                                   /* P2 */
    return (traits_of(op) & OP_DETAILED) == 0 && (*done | *total) != 0;
}

#endif
