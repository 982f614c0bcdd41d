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
 *       who holds DELIVERY. Never read for an abandoned operation: its work may still be writing.
 *   H   the work function's thread while neither HOOK_SET nor HOOK_BUSY is set; then who made T10 enter
 *   D   who holds DELIVERY
 * Fields that a stranger may read against a later owner (reports, calls with an old handle) are relaxed atomics; he
 * compares the word before and after, and forgets what he read if it changed.
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
    struct op_extra *extra;                                    /* S: deadline, foreign queue; NULL for most */
    _Atomic uint32_t started_ms;                               /* S, A: clock_coarse_ms, for reports */
    _Atomic uint32_t cancelled_at;                             /* A: written before T4, for statistics: stats.h */
};
static_assert(sizeof(struct op) == CACHE_LINE, "claiming and sweeping touch one line for each operation");
static_assert(offsetof(struct op, slot) == 0, "the word is where slots.h looks for it");

struct op_cold {
    struct op_stream *stream;                                  /* K: its window; NULL until the first post */
    const char *message;                                       /* K */
    void *data;                                                /* K: the final's detail */
    size_t size;                                               /* K */
    void *hook;                                                /* H: a weir_cancel_fn */
    void *hook_ctx;                                            /* H */
    struct ack ack;                                            /* A: ack.h; K: ack.beside, the work's status, or the
                                                                * token's */
};
static_assert(sizeof(struct op_cold) <= CACHE_LINE, "one line");

#endif
