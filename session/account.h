/* SPDX-License-Identifier: Apache-2.0 */
/* account.h - what was done is counted by each thread for itself, and given to the session by the chunk
 *
 *      account, of one thread                      session             whoever asks
 *        open    since the chunk began    --give-->  counts              counts + open of all who are at it
 *        total   all that was given                                      application: total + open of all threads
 *
 * A thread counts in its own account by plain loads and stores, before it calls the user: so a callback that has been
 * called is counted, also while its worker is long since inside another function. When a chunk ends or is flushed
 * (look.h), what is open is added to the session's counts and to the thread's total.
 *
 *   step        by             order     partner
 *   N1 count    the thread     release   N4: who reads the count reads for which session it is, too
 *   N2 turn     the thread     relaxed   N4: odd while open counts are on their way, so that they are counted once
 *   N3 give     the thread     release   N4: who sees a session's new count, or an open count that is gone, sees N2
 *   N4 read     anybody        acquire   N1, N3: reads the turns, everything, and the turns again; if one was odd or
 *                                        has changed, once more. The last of a few attempts is good enough, for who
 *                                        reads while others count gets a moment's truth at best. Once a session is
 *                                        complete nobody counts for it any more, and the first attempt is exact
 *
 * The exception is a sweep: what it ends without a look at more than the word it counts by groups of up to 63.
 *
 * What is counted where (the identities are checked at the end of every session: account_check):
 *
 *   ended       at T12 or T17 of an operation's word, when it gets to DONE
 *   completed, failed, cancelled, timed_out, abandoned     by the status of the final, before its callback
 *   posted      by who posts, in the operation's window; summed up at its final. What is fetched (pull) is counted as
 *               posted when it is fetched or discarded: an abandoned operation's thread may be posting at its final
 *   delivered   before each callback with an item, and by weir_op_next
 *   discarded   by who discards
 *
 * Accepted are those that have ended and those that have not. No counter says so, because a counter that all starters
 * share would cost each start a read-modify-write; but the session's word does: G1 counts each accepted operation in
 * LIVE, each gives its place back once, when its word is out, which is after DONE (op_word.h), and the session is
 * complete when LIVE is 0. So at that moment `ended` is the number of accepted starts.
 *
 * Rejected: counts on the chunk's stack; what a worker had finished was not to be seen until its next function, which
 * may run for ever, had returned. Rejected: counters per session and thread; a session would need as many lines as
 * there are threads.
 */
#ifndef SESSION_ACCOUNT_H
#define SESSION_ACCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/cache.h"

struct chunk;
struct op;
struct session;
struct sessions;

enum count {
    COUNT_ENDED, COUNT_COMPLETED, COUNT_FAILED, COUNT_CANCELLED, COUNT_TIMED_OUT, COUNT_ABANDONED,
    COUNT_DECIDED,                                             /* finals whose status is the library's (S9) */
    COUNT_POSTED, COUNT_DELIVERED, COUNT_DISCARDED,
    COUNT_REFUSED,                                             /* starts */
    COUNTS
};

struct counts {
    _Atomic uint64_t of[COUNTS];                               /* A */
};

/* A final that a cancel came before: its latencies are counted when its chunk looks at the clock (stats.h). */
struct late_final {
    uint32_t stamp;                                            /* when the cancel was asked for */
    uint32_t seen;                                             /* enum seen_when: does that count, too? */
};

enum { LATE_FINALS_MAX = 32 };

/* A: written by its thread only, read by anybody. O: this thread's own. */
struct account {
    CACHE_ALIGNED _Atomic uint64_t turn;                       /* A: N2 */
    _Atomic uint64_t session;                                  /* A: handle of the session that it is at; 0: none */
    _Atomic uint64_t inside;                                   /* A: operation whose function it calls; 0: none */
    _Atomic(struct op *) work;                                 /* A: whose work is on its stack: abandon.c B1 */
    struct chunk *chunk;                                       /* its thread's; while there is work, who abandons it */
    struct counts open, total;                                 /* A: N1, N3 */
    uint32_t late_count;                                       /* O */
    struct late_final late[LATE_FINALS_MAX];                   /* O */
};

/* As an account is read. */
struct sums {
    uint64_t of[COUNTS];
};

/* N1. */
static inline void account_count(struct account *a, enum count which, uint64_t count)
{
    /* relaxed: this thread's own */
    uint64_t now = atomic_load_explicit(&a->open.of[which], memory_order_relaxed) + count;
    atomic_store_explicit(&a->open.of[which], now, memory_order_release);                /* N1 */
}

/* Whose function is called here, for reports. The one before, which is to be set again: calls nest. */
static inline uint64_t account_enter(struct account *a, uint64_t op)
{
    /* relaxed, both: this thread's own; a reader finds it or does not */
    uint64_t before = atomic_load_explicit(&a->inside, memory_order_relaxed);
    atomic_store_explicit(&a->inside, op, memory_order_relaxed);
    return before;
}

/* A chunk of that session begins: nothing is open. N3: gives what is open. */
void account_begin(struct account *a, uint64_t session);
void account_give(struct account *a, struct counts *session);

/* By a thread that has no account. */
void counts_add(struct counts *c, enum count which, uint64_t count);

/* N4. Of a session, as far as chunks have given it, which is all when none is under way; all of a session; of all. */
void session_sums_given(const struct session *s, struct sums *out);
void session_sums(struct session *s, struct sums *out);
void sessions_sums(struct sessions *all, struct sums *out);

/* Which thread is inside a function of the operation: its number, or -1. */
int32_t account_worker(const struct sessions *all, uint64_t op);

/* The session is complete: its accounts balance, or the process stops. */
bool account_balances(const struct sums *sums);
void account_check(const struct sums *sums);

#endif
