/* SPDX-License-Identifier: Apache-2.0 */
/* session.h - what the library keeps of a session, and of all sessions of an application
 *
 * A session is a slot of the application's session table; its words are in session_word.h, its operations in four
 * rosters, one per lane (roster.h), each with a node in the work queue (node.h). Memory is type-stable until the
 * application ends.
 *
 * What is to be done for a session stands in its words (sweep, closed_due, the rosters' ready maps), not in the jobs
 * that are in queues: those only bring a worker along. So the control thread can do it as well (rescue.c), and a job
 * that comes late finds nothing to do.
 *
 * The life of a session's slot:
 *
 *      open: filled, then OPEN --> ... session_word.h ... --> CLOSED: session_complete, by the last to leave
 *        --> the closed job: close callback --> session_end: rosters given back, FREE, waiters woken
 *        --> the slot is given back by the last of: session_end, nodes that were still in a queue (S5), and threads
 *            that waited, which read the report there
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/weir.h>

#include "core/event.h"
#include "session/account.h"
#include "session/node.h"
#include "session/policy.h"
#include "session/roster.h"
#include "session/session_word.h"
#include "session/stats.h"
#include "workqueue/app.h"

enum { SESSION_LANES = WEIR_BLOCKING + 1, SESSIONS_MAX = 1 << 20 };

/* I: fixed while the session lives, A: atomic, C: the closer that won, until it leaves; then who completes. */
struct session_lane {
    struct roster roster;
    struct node node;
    struct job job;                                            /* N: in a queue while the node says QUEUED */
    struct session *session;                                   /* I */
};

/* In an order without holes: a thousand idle sessions are one megabyte. */
struct session {
    struct slot slot;                                          /* A: session_word.h */
    struct session_cancel cancel;                              /* A */
    struct sessions *all;                                      /* I */
    uint64_t handle;                                           /* I */
    const char *name;                                          /* I */
    int64_t timeout_ns;                                        /* I: of operations that have none of their own */
    uint32_t index;                                            /* I */
    _Atomic uint32_t abandons;                                 /* A: 1 once grace is over (abandon.c) */
    uint32_t live_max;                                         /* I: 0: no limit of its own (Q4) */
    _Atomic uint32_t live;                                     /* A: operations, if there is a limit */
    _Atomic uint32_t opened_ms;                                /* I: clock_coarse_ms; atomic as parent_handle */
    _Atomic uint32_t has_children;                             /* A: 1 once one was opened (children.c) */
    _Atomic(struct session *) parent;                          /* I; NULL: none. Atomic for calls with an old handle */
    _Atomic uint64_t parent_handle;                            /* I; atomic for who walks the table */
    weir_closed_fn *closed;                                    /* C */
    void *closed_ctx;                                          /* C */
    _Atomic int64_t cancelled_at, barrier_from;                /* A: stats.h: the last cancel of all, the close's */
    uint64_t sweep_seen;                                       /* the control thread's: as it was at its last look */
    struct counts counts;                                      /* A: account.h */
    struct policy policy;                                      /* A */
    struct session_latency latency;                            /* A */
    struct node due;                                           /* for what is due at once: due_run */
    struct job due_job;                                        /* N: in a queue while the node says QUEUED */
    _Atomic uint64_t sweep;                                    /* A: sweep_word.h */
    _Atomic uint32_t closed_due;                               /* A: 1 from completion until somebody begins the end */
    _Atomic uint32_t attention;                                /* A: enum session_attention, for the control thread */
    _Atomic uint32_t holders;                                  /* A: of the slot: the session, nodes, waiters */
    _Atomic uint32_t lend;                                     /* A: 1: who waits helps; by the close, then it asks */
    _Atomic uint32_t waiters;                                  /* A: threads in weir_session_wait (wait.c) */
    _Atomic uint32_t drive;                                    /* A: enum session_drive, asked for and not begun */
    _Atomic uint32_t alarm_word;                               /* A: alarm.c */
    struct event ended;
    struct timer alarm;                                        /* who made alarm_word OWNED */
    _Atomic(struct session_lane *) others[SESSION_LANES - 1];  /* A: NULL until first used; then the slot's for good */
    CACHE_ALIGNED struct session_lane normal;
};
static_assert(sizeof(struct session) <= 1024 - CACHE_LINE, "an idle session takes less than 1 KiB");

/* NULL: no operation was ever started in that lane. */
static inline struct session_lane *session_lane(struct session *s, uint32_t lane)
{
    if (lane == WEIR_NORMAL)
        return &s->normal;
    return atomic_load_explicit(&s->others[lane - 1], memory_order_acquire);            /* O8 */
}

/* Q4, both by who is inside. Operations are counted apart from LIVE, in which calls and workers that look are as well.
 * relaxed: a number, nothing is to be seen behind it. */
static inline bool session_take_place(struct session *s)
{
    if (s->live_max == 0)
        return true;
    uint32_t live = atomic_load_explicit(&s->live, memory_order_relaxed);
    do
        if (live >= s->live_max)
            return false;
    while (!atomic_compare_exchange_weak_explicit(&s->live, &live, live + 1, memory_order_relaxed,
                                                  memory_order_relaxed));
    return true;
}

/* They have left, or were not accepted after all. */
static inline void session_give_places(struct session *s, uint32_t count)
{
    if (s->live_max != 0)
        atomic_fetch_sub_explicit(&s->live, count, memory_order_relaxed);
}

/* What the control thread is asked to look for. */
enum session_attention { ATTENTION_HOOKS = 1, ATTENTION_LOOK = 2, ATTENTION_SWEEP = 4, ATTENTION_CLOSED = 8,
                         ATTENTION_DRIVE = 16 };

/* All of an application: app->above. */
struct sessions {
    struct app *app;                                           /* I */
    struct slots ops, table;
    _Atomic uint32_t open;                                     /* A: SHUT and how many; session.c */
    struct event none_left;
    struct account *accounts;                                  /* I: one for each thread, by its number */
    uint32_t accounts_count;                                   /* I */
    struct thread_latency *latencies;                          /* I: one for each lane worker, one for all others */
    struct counts outside;                                     /* A: of threads that have none */
    _Atomic uint32_t watch;                                    /* A: rescue.c */
    struct timer watch_timer;                                  /* who made watch ARMED, until it is over */
};

static inline struct sessions *sessions_of(const struct app *app) { return app->above; }

/* The slot that a handle names, whoever has it by now; NULL: there is none. */
static inline struct session *session_at(const struct sessions *all, uint64_t handle)
{
    return (struct session *)slots_at(&all->table, handle_slot(handle));
}

/* N1: the node's job is pushed, if it is in no queue. */
static inline void session_push(struct app *app, struct node *node, uint32_t generation, struct job *job)
{
    if (node_schedule(node, generation))
        app_push(app, job->lane, job);
}

/* The same for what is due at once. */
static inline void session_push_due(struct session *s, uint32_t generation)
{
    session_push(s->all->app, &s->due, generation, &s->due_job);
}

/* Reasons that a caller may give; the rest are the library's. */
static inline bool reason_is_a_callers(weir_reason reason)
{
    return reason == WEIR_REASON_USER || reason >= WEIR_REASON_OWN;
}

/* A call's stay: the application, and the slot that the handle names. The slot may be another session's by the time. */
struct session_ref {
    struct app_ref app;
    struct session *session;
};
weir_status session_find(uint64_t bits, struct session_ref *ref);

/* The same, with the slot held (session_hold): the session is that one. */
weir_status session_find_held(uint64_t bits, struct session_ref *ref);

/* The same for an operation: its row, its group. */
struct op_ref {
    struct app_ref app;
    struct sessions *all;
    struct op *op;
    struct group *group;
    uint32_t index;
};
weir_status op_find(uint64_t bits, enum handle_kind kind, struct op_ref *ref);

/* For a start, which is inside: the lane is there afterwards. WEIR_OK, WEIR_NO_MEMORY. */
weir_status session_need_lane(struct session *s, uint32_t lane);

/* For a sweep: the lane, or NULL, and then who makes it sees what the caller saw (K3). */
struct session_lane *session_lane_swept(struct session *s, uint32_t lane);

/* These operations of the group want a worker: they are marked, and the node of their lane is pushed, if it has to
 * be. */
void session_mark(struct group *group, uint64_t bits, struct sessions *all);

/* After the close callback: the last touch but for nodes that are in a queue. */
void session_end(struct session *s);

/* The last one has left (session_leave was true). */
void session_complete(struct session *s);

/* Leaves, and completes if that was the last. The session may be gone afterwards. */
void session_out(struct session *s, uint32_t count);

/* wait.c: another holder of the slot, which keeps it from a next owner. False: it had none. */
bool session_hold(struct session *s);

/* A node of an ended session was popped, or who held it lets it go. */
void session_release_slot(struct session *s);

/* A cancel of all was raised: operations are to be walked. The caller is inside, once, and was before the raise. */
void session_ask_sweep(struct session *s);

/* On threads of the application: takes part in the sweep, if there is something left to take. False: there was not. */
bool session_sweep(struct session *s, uint64_t handle);

/* Of whatever session is in the slot: what is due (close.c), and the close callback, if nobody has begun it. */
void session_drive(struct session *s);
void session_call_closed(struct session *s);

/* K4, before an operation is accepted or called: what the parent cancelled, and its parents. The caller is inside. */
void session_fold_slow(struct session *s, struct session *parent);

static inline void session_fold(struct session *s)
{
    struct session *parent = atomic_load_explicit(&s->parent, memory_order_relaxed);   /* fixed */
    if (parent != NULL)
        session_fold_slow(s, parent);
}

/* The same for who has only a handle. */
void session_fold_visiting(struct session *s, uint64_t handle);

static inline void session_fold_from_outside(struct session *s, uint64_t handle)
{
    /* relaxed: fixed, or the handle is not this session's, and the visit is in vain */
    if (atomic_load_explicit(&s->parent, memory_order_relaxed) != NULL)
        session_fold_visiting(s, handle);
}

/* Something has come that a thread in weir_session_wait may do: wakes those who lend themselves. After the mark; the
 * session may be another one by now. */
void session_call_helpers(struct session *s);

/* Job functions. */
weir_job_fn node_run, due_run;

/* ---- rescue.c ---- */

void rescue_init(struct sessions *all);

/* The session may have ended by now, and its slot be another's: then that one is looked at, in vain. */

/* A cancel has made a hook due: now. */
void rescue_hooks(struct sessions *all, struct session *s);

/* A sweep, a final or a close callback is due, as a set of attention bits says: in a millisecond, if no worker has
 * taken it by then. */
void rescue_later(struct sessions *all, struct session *s, uint32_t attention);

#endif
