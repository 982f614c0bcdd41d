/* SPDX-License-Identifier: Apache-2.0 */
/* idle.h - which workers sleep, who looks for work, and who is woken: an event count with wake-one
 *
 *   worker, nothing found              sleeping: one bit per worker, set by the worker itself
 *      search_begin: spin a little     searching: how many workers look for work, 0 or 1 in general
 *      search_end
 *      prepare: own bit := 1           Whoever wakes a worker first takes searching from 0 to 1 and clears
 *      look again                      the worker's bit; the woken one is then the searcher. So at most one
 *      commit: sleep                   wake-up is on its way at a time: the woken one wakes the next, if it
 *                                      finds that there is more to do than it takes.
 *
 *      step                          order     partner
 *   W1 prepare: sleeping |= bit      seq_cst   W2. The worker says that it sleeps, then looks at the queues;
 *                                              the submitter fills a queue, then looks who sleeps
 *   W2 notify: load sleeping         seq_cst   W1
 *   W3 notify: searching 0 -> 1,     acq_rel   W4. Both are read-modify-writes of one word
 *      or n -> n if n searchers are
 *   W4 search_end: searching -= 1    acq_rel   W3
 *   W5 claim: sleeping &= ~bit       acq_rel   W1, and other claims: one of them gets the worker
 *
 * No wake-up is lost. Let a submitter fill a queue and then notify; some worker finds what it filled, or is
 * awake and will look:
 *   a. W2 finds nobody asleep. Then every later W1 comes after W2, so its worker's second look finds it.
 *      The submitter's side needs its store before its load: either it filled by a seq_cst read-modify-write
 *      (inbox.h I1) and the worker looks with seq_cst loads; or it is a worker that filled its own deque with
 *      a plain release store and asymmetric_light(), and the sleeper's asymmetric_heavy() in prepare is the
 *      other end (asymmetric.h M1).
 *   b. W3 finds a searcher. That one has yet to do W4, which reads what W3 wrote, so it sees the filled queue when
 *      it looks after W4. The rule is: after search_end look, and notify or take (idle_search_end says so).
 *   c. W3 makes the submitter the one who wakes. It claims a worker (W5), who looks when it is up. If all
 *      bits are gone meanwhile, the submitter gives the searching back and starts again from W2, because
 *      others may have relied on it as in b.
 *
 * A worker that finds work in its second look takes its bit back (idle_cancel). If a waker was faster, it is
 * the searcher now, and a token lies in its parker: the next sleep returns at once, finds the bit still set,
 * and sleeps again (commit loops). So tokens need not be counted.
 *
 * The lowest bit is woken first: under light load the same few workers stay warm and the others asleep.
 * Rejected: a stack of sleepers in last-in-first-out order, which a worker cannot leave from the middle.
 * Rejected: the kernel's queue on one futex word: first in, first out, the coldest worker is woken.
 * Rejected: a second summary word for more than 64 workers: two words to keep in step, to save loading
 * sixteen words when a thousand workers are all busy.
 */
#ifndef CORE_IDLE_H
#define CORE_IDLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/asymmetric.h"
#include "core/cache.h"
#include "core/memory.h"
#include "core/parker.h"
#include "weir/status.h"

enum { IDLE_WORKERS_MAX = 1024 };

struct idle_seat {
    CACHE_ALIGNED struct parker parker;
};

/* What never changes has a line of its own: every submit reads it. */
struct idle {
    CACHE_ALIGNED struct idle_seat *seats;                          /* I */
    uint32_t words;                                                 /* I: of sleeping that are in use */
    uint32_t workers;                                               /* I */
    CACHE_ALIGNED _Atomic uint64_t sleeping[IDLE_WORKERS_MAX / 64]; /* A: bit set: prepared or asleep */
    CACHE_ALIGNED _Atomic uint32_t searching;                       /* A */
};

/* WEIR_OK or WEIR_NO_MEMORY. */
weir_status idle_init(struct idle *idle, const struct memory *memory, uint32_t workers);
void idle_fini(struct idle *idle, const struct memory *memory);

/* W2: nobody asleep? Then there is nobody to wake, and this is all that a submit pays. */
static inline bool idle_is_empty(struct idle *idle)
{
    if (atomic_load_explicit(&idle->sleeping[0], memory_order_seq_cst) != 0)                        /* W2 */
        return false;
    for (uint32_t i = 1; i < idle->words; i++)
        if (atomic_load_explicit(&idle->sleeping[i], memory_order_seq_cst) != 0)                   /* W2 */
            return false;
    return true;
}

/* The slow half of idle_notify. False: in the end nobody slept, and nobody is woken. */
bool idle_wake_one(struct idle *idle);

/* After filling a queue by a seq_cst read-modify-write: wakes one sleeper unless somebody searches. */
static inline void idle_notify(struct idle *idle)
{
    if (!idle_is_empty(idle))
        (void)idle_wake_one(idle);
}

/* After filling the worker's own deque by release stores. */
static inline void idle_notify_from_worker(struct idle *idle)
{
    asymmetric_light();                                                                             /* M1 */
    idle_notify(idle);
}

/* Wakes all who sleep now; each becomes a searcher. For stopping. */
void idle_wake_all(struct idle *idle);

/* True: this worker is now the one that searches and may spin. False: another one is. */
bool idle_search_begin(struct idle *idle);

/* After this, look at the queues: if something is there, take it or notify (rule b). */
void idle_search_end(struct idle *idle);

/* The worker says that it is going to sleep. Then: look again; then idle_cancel or idle_commit. */
void idle_prepare(struct idle *idle, uint32_t worker);

/* True: it stays awake as if nothing had been. False: somebody woke it meanwhile; it is a searcher. */
bool idle_cancel(struct idle *idle, uint32_t worker);

/* Sleeps. True: woken, it is a searcher. False: the deadline came first; it is awake, and no searcher. */
bool idle_commit(struct idle *idle, uint32_t worker, int64_t deadline_ns);

#endif
