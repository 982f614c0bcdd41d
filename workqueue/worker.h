/* SPDX-License-Identifier: Apache-2.0
 *
 * worker.h - a thread of the application that runs jobs, and its share of the queues
 *
 *      lanes[NORMAL HIGH LOW]                    forks
 *        jobs   deque: submitted on this worker    deque: forked on this worker, joined by it or stolen
 *        ring   ring:   submitted elsewhere; what it has no room for goes to the application's overflow (app.h)
 *
 * What to run next (worker_find). Every pick prefers one lane: of 64 picks 4 prefer low, 16 normal, 44 high (Q3), and a
 * preferred lane is looked for everywhere, on the other workers too, before another lane gets the turn; so no lane
 * starves behind a worker that is busy with another. Then the lanes in the order high, normal, low: first the worker's
 * own, then the others'. Own deque, own ring and the overflow take turns, each first in, first out, so none starves the
 * others; thieves take forked jobs first, since somebody waits for those, then one job from a deque, or a batch from a
 * ring. A batch goes to the taker's own deque, with its memory fetched ahead.
 *
 * Nothing found: idle.h. One worker at most spins, for as long as the gaps between arrivals have lately been; the rest
 * sleep at once. After a second look that covers everything (also lanes that were never used).
 *
 * Five kinds of thread have this struct, because all of them count as workers in what the library promises (waiting
 * calls answer WOULD_DEADLOCK there, their calls need no pin): those of the lanes, those of the blocking lane
 * (blocking.h), the control thread (control.h), a guest: a thread of the user's that lends itself (fork.c), and a
 * reserve (reserve.h).
 */
#ifndef WEIR_WORKQUEUE_WORKER_H
#define WEIR_WORKQUEUE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/cache.h"
#include "core/parker.h"
#include "workqueue/deque.h"
#include "workqueue/ring.h"
#include "workqueue/job.h"

struct app;

enum { LANES = 3, LANE_ALL = (1 << LANES) - 1 };         /* those with workers; WEIR_BLOCKING has its own threads */
static_assert((int)WEIR_BLOCKING == (int)LANES, "the blocking lane is numbered after the others");

enum { WORKER_DEQUE_CAPACITY = 256, WORKER_RING_CAPACITY = 1024 };

enum { WORKER_CALLS_MAX = 4 };                           /* calls nest by CALLER_RUNS and by lending only */

enum worker_kind { WORKER_LANE, WORKER_BLOCKING, WORKER_CONTROL, WORKER_GUEST, WORKER_RESERVE };

struct lane {
    struct deque jobs;
    struct ring ring;
    uint32_t turns;                                      /* W: looks for a job of this lane */
    bool pushed;                                         /* W: this worker submitted to it since the ring's last turn */
};

/* I: fixed while the thread runs, W: this thread only, A: atomic. */
struct worker {
    struct app *app;                                     /* I */
    uint32_t index;                                      /* I: among its kind */
    uint32_t number;                                     /* I: among all of the application's: app_thread_count() */
    enum worker_kind kind;                               /* I */
    pthread_t thread;                                    /* I; a guest has none */
    uint32_t tick;                                       /* W: picks so far */
    uint32_t random;                                     /* W: where to begin to steal */
    uint32_t depth;                                      /* W: calls that are under way */
    weir_status told[WORKER_CALLS_MAX];                  /* W: what the functions of calls were called with */
    int64_t spin_ns;                                     /* W: how long spinning has lately been worth it */
    int64_t idle_ns;                                     /* W: when it last found nothing to do; 0: never yet */
    uint64_t idle_ticks, busy_ticks;                     /* W: the same, and when it found something again */
    uint32_t batch;                                      /* W: jobs of the last batch */
    uint32_t singles;                                    /* W: batches of one */
    bool gathers;                                        /* W: letting jobs gather has lately paid (pick.c) */
    _Atomic(struct job *) calls[WORKER_CALLS_MAX];       /* A, written by W: the jobs whose functions run here */
    struct parker join_parker;                           /* A: where a join sleeps (fork.c) */
    struct deque forks;                                  /* lane workers and guests */
    struct lane lanes[LANES];                            /* lane workers */
};

extern _Thread_local struct worker *worker_current;
extern _Thread_local struct worker *worker_host;         /* what a guest was before it lent itself, or NULL */

/* The worker that this thread is, or NULL. Of whatever application: compare. */
static inline struct worker *worker_self(void) { return worker_current; }

/* Is this thread one of the application's own, of any kind? */
static inline bool worker_is_of(const struct app *app)
{
    return worker_current != NULL && worker_current->app == app;
}

/* Would a wait for the application wait for this very thread? Also if it has lent itself to another meanwhile. */
static inline bool worker_must_not_wait(const struct app *app)
{
    return worker_is_of(app) || (worker_host != NULL && worker_host->app == app);
}

/* ---- pick.c ---- */

/* A job to run, or NULL. lanes: those worth a look. Lane workers, guests. */
struct job *worker_find(struct worker *w, uint32_t lanes);

/* One forked job of anybody's, or NULL; all that a join may help with. */
struct job *worker_find_fork(struct worker *w);

/* Whatever is left in any lane, or NULL: for a blocking thread that is about to end because the application does. It
 * may have put it there itself after the workers had ended: as the owner of the timers for a moment, for instance. */
struct job *worker_find_left(struct worker *w);

/* Is nothing there that worker_find could find? Exact as to what was there before the worker said that it will
 * sleep. */
bool worker_finds_nothing(struct app *app);

/* ---- call.c ---- */

/* R10: a user function leaves by returning. An exception or a thread exit that unwinds through here ends the
 * process. */
static inline void worker_verify_returned(const bool *returned)
{
    weir_verify(*returned, "a user function left by an exception, pthread_exit or thread cancellation");
}

static inline void worker_call_user(weir_job_fn *fn, weir_job *job, weir_status status)
{
    bool returned __attribute__((cleanup(worker_verify_returned))) = false;
    fn(job, status);
    returned = true;                                     /* NOLINT: read by its cleanup, which no checker follows */
}

/* Runs what worker_find gave. */
void worker_run(struct worker *w, struct job *job);

/* Claims the job and calls its function; what the claim saw. For who runs jobs of a serial queue one by one. */
weir_status worker_call(struct worker *w, struct job *job);

/* Calls a job's function for the last time without a claim: who calls has won it otherwise (a full queue whose
 * caller runs the job, the second call of a deferred one). False: calls are nested too deep on this thread. */
bool worker_call_last(struct worker *w, struct job *job, weir_status status);

/* Does a function of the job run on this very thread? */
bool worker_is_inside(const struct worker *w, const struct job *job);

/* Likewise, and was it told WEIR_OK? */
bool worker_is_inside_ok(const struct worker *w, const struct job *job);

/* ---- worker.c ---- */

/* A thread's life: lane workers and blocking ones. The argument is its struct worker. */
void *worker_main(void *worker);

/* To be said first and last on every thread of the application: thread-local mark, name, the user's hook. */
void worker_thread_begin(struct worker *w);
void worker_thread_end(struct worker *w);

/* pthread_create with all signals blocked but synchronous ones. WEIR_OK or WEIR_SYSTEM. */
weir_status worker_thread_start(struct worker *w, void *(*main)(void *worker));

#endif
