/* SPDX-License-Identifier: Apache-2.0 */
/* stats.h - how long cancelling takes: three latencies, of each session and of the application
 *
 *      weir_op_cancel, close, deadline ---- seen: a poll, a hook, or the decision ---- the final's callback returned
 *      a close that cancels ---------------------------------------------------------- the session is complete
 *
 * When a cancel was asked for is written before it: a cancel of one into the operation's hot row before T4, a cancel
 * of all into the session before K1, and from there into the row of an operation by whoever acts on it. So of several
 * that ask at the same time the last one's time may stand beside the first one's reason; they were asking at the same
 * time.
 *
 *      cancelled_at     31 ............ 1 | 0            units of 256 ns, of the application's clock
 *                           time          ALL            ALL: from a cancel of all
 *
 * Nine minutes go into 31 bits: of an operation that takes longer than that from its cancel to its final the remainder
 * is counted. (More bits would be a field more in the one line that a start writes.)
 *
 * Who counts. The clock is read once for each request, for each poll or hook that is the first to tell the work, and
 * once for each chunk of finals (look.h): what a chunk has delivered waits in the account of its thread until then, or
 * until the thread calls the next work function. Seen, each operation counts once, by
 *   - the poll that tells the work first (OP_SEEN), unless a hook is registered; or the work's return, if that is first
 *   - the hook (its field says HOOK_TOLD afterwards)
 *   - whoever delivers the final, if it was neither: of what the library decided by itself the decision came with the
 *     cancel, so 0, or in a cancel of all by the walk that delivers it, so now; of what the work or the token answered
 *     without having been told, now
 * Abandoned operations whose work never looked do not count there.
 *
 * The application's histograms are log-linear (core/histogram.h), one set for each worker of the lanes and one for all
 * other threads, added up by who asks. A session has powers of two, 256 bytes of counters.
 */
#ifndef SESSION_STATS_H
#define SESSION_STATS_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/weir.h>

#include "core/histogram.h"

struct session;
struct sessions;
struct op;
struct chunk;

enum latency { LATENCY_SEEN, LATENCY_FINAL, LATENCY_BARRIER, LATENCIES };

static_assert((int)HISTOGRAM_COARSE_BUCKETS == (int)WEIR_LATENCY_BUCKETS, "the public buckets are the coarse ones");

/* The barrier of a session is one: not a histogram, and -1 until there is one. */
struct session_latency {
    _Atomic uint32_t bucket[LATENCY_BARRIER][WEIR_LATENCY_BUCKETS]; /* A */
    _Atomic uint32_t used;                                     /* A: bit per histogram that is not empty */
    _Atomic int64_t barrier_ns;                                /* A */
};

struct thread_latency {
    struct histogram of[LATENCIES];                            /* A */
};

/* ---- stamps: pure ---- */

enum { STAMP_ALL = 1, STAMP_SHIFT = 8 };
#define STAMP_UNITS UINT32_C(0x7fffffff)
#define STAMP_AHEAD (STAMP_UNITS - (UINT32_C(1) << 20))        /* a larger difference: the stamp is the later one */

static inline uint32_t stamp_make(int64_t now, bool all)
{
    return (uint32_t)((uint64_t)now >> STAMP_SHIFT) << 1 | (all ? (uint32_t)STAMP_ALL : 0);
}

static inline uint64_t stamp_age(uint32_t stamp, int64_t now)
{
    uint32_t units = ((uint32_t)((uint64_t)now >> STAMP_SHIFT) - (stamp >> 1)) & STAMP_UNITS;
    return units > STAMP_AHEAD ? 0 : (uint64_t)units << STAMP_SHIFT;
}

/* The work was told before its final, is told by it, or the library decided as soon as the cancel was asked for. */
enum seen_when { SEEN_BEFORE, SEEN_NOW, SEEN_AT_ONCE };

/* What a hook's field in the cold row holds when the hook has been called. */
extern const char hook_told;
#define HOOK_TOLD ((void *)(uintptr_t)&hook_told)

/* A start was refused, in that session, which may be over by now. */
void stats_refuse(struct sessions *all, struct session *s, uint64_t handle);

/* ---- requests ---- */

void latency_begin(struct session *s);

/* A cancel of all is about to be raised, perhaps by a close. The caller is inside. */
void latency_raise(struct session *s, int64_t now, bool closes);

/* K4 is about to be made: the parent's cancel of all, if it is a new one, is the child's from then on. */
void latency_inherit(struct session *s, const struct session *parent);

/* Before T4: a cancel of one, since then; and a cancel of all that is acted on. */
void latency_stamp_one(struct op *op, uint64_t handle, int64_t since);
void latency_stamp_all(const struct session *s, struct op *op);

/* Will a cancel of it win? A guess: no clock needs to be read for one that will not. */
bool latency_is_wanted(const struct op *op, uint64_t handle);

/* ---- answers ---- */

/* The work has been told, by a poll or a hook. */
void latency_told(struct session *s, const struct op *op);

/* A cancelled operation's final has been delivered; or several plain ones (sweep.c), of the last cancel of all. */
void latency_final(struct chunk *c, const struct op *op, enum seen_when seen);
void latency_plains(struct chunk *c, uint32_t count);

/* Looks at the clock for the finals that the chunk has delivered, if there are any. */
void latency_flush(struct chunk *c);

/* The session is complete. */
void latency_complete(struct session *s);

#endif
