/* SPDX-License-Identifier: Apache-2.0 */
/* timers.h - all timers of an application: one wheel, no lock, and nobody waits for anybody
 *
 * The wheel (wheel.h) is plain memory. Whoever wants to change it either becomes its *owner* for a
 * moment, or leaves the item in the *intake*, where the owner of the moment finds it. One word is
 * both:
 *
 *        63 ................ 3     2        1       0
 *       |  last item of intake | HANDED |  PASS  | OWNED |        0: nobody owns it, nothing is in it
 *
 *   step       by           order    partner, and what breaks without it
 *   W1 own     who finds 0  acquire  W3: the wheel as the owner before left it
 *   W2 leave   any thread   release  W4: the item's fields. Acquire is not needed: it reads nothing
 *   W3 free    the owner    release  W1
 *   W4 take    the owner    acquire  W2
 *   W5 hand    the owner    acq_rel  release: W6, the wheel. Acquire: W2, the end (below)
 *   W6 get     a pass       acquire  W5
 *
 * Why no item is forgotten: W2 puts an item only into a word with OWNED, W3 only replaces OWNED
 * alone by 0. Both are compare-and-swaps of one word; so either W3 comes first, and then the thread
 * that came with the item finds 0 and owns the wheel itself, or W2 does, and then W3 fails and the
 * owner goes on. There is no third case, and no second word to look at.
 *
 * Why nobody waits: each step of a caller is one successful compare-and-swap, or a retry because
 * somebody else's succeeded. A preempted owner delays what is in the intake; it holds up no call.
 *
 * Why no owner works for the others for ever: after TIMERS_ROUNDS_MAX looks into the intake it hands
 * the wheel over to the control thread. It keeps OWNED, adds HANDED (W5) and asks for a pass; the
 * pass begins by taking HANDED away (W6). The same when somebody asked for a pass meanwhile (PASS):
 * only a pass fires what is due, and a pass runs on the control thread, or in weir_app_tick, but never
 * in a call that starts or cancels a timer: those pay for one item, not for a thousand due ones.
 *
 * ---- one item ----
 *
 * phase (job.h) says how the item ends, stage says where it is:
 *
 *   stage      the item is
 *   NEW        with the thread that arms it, or in the intake to be put into the wheel
 *   LINKED     the owner's: in the wheel
 *   LEAVING    to be ended by the owner, who finds it in the intake
 *
 *   step       by           order    partner, and what breaks without it
 *   S1 arm     the starter  release  the phase's J1 publishes NEW with everything else
 *   S2 link    the owner    acq_rel  S3: if it fails, a cancel came first, and everything that the
 *                                    canceller did with the item is before what the owner does now
 *   S3 leave   who won      acq_rel  S2. To LEAVING; if it was LINKED, it is on the winner to put
 *                                    the item into the intake (W2)
 *
 * Whoever moves the phase on from ARMED has won the item: the owner, when it is due or when the
 * application ends; else a cancel. A canceller that won does S3 as its last touch if that meets NEW:
 * the item is, or will be, in the intake as an arm, and S2 fails there. If it meets LINKED the item
 * is in no list but the wheel, and its only link is free: it goes into the intake. An owner that finds
 * an item due whose phase is not ARMED any more takes it out of the wheel and otherwise leaves it
 * alone: the canceller's item is on its way, and until it is here the memory is the canceller's.
 * So an item is in the intake at most once, and is ended at most once, by who owns the wheel:
 *
 *   won by       phase            ended by the owner
 *   due          QUEUED           at once: to its queue, or its function is called (internal)
 *   the end      QUEUED, forced   at once
 *   a cancel     ENDING, MARKED   when it takes it out of the intake
 *
 * Internal timers (struct timer of kind JOB_INTERNAL: sessions', the control thread's own) go the same
 * way, but their function is called in place, on the owner's thread, with WEIR_OK, WEIR_CANCELED or
 * WEIR_SHUTDOWN, exactly once for each timers_arm. It must be short; it may arm and disarm any timer,
 * also its own (those go through the intake), and free its memory. Who arms again after WEIR_SHUTDOWN
 * is called with it again.
 *
 * Deadlines (struct deadline) are internal timers without a job, since there may be one for each
 * operation: 40 bytes instead of 96, and one function for all of them.
 *
 * The end: timers_shutdown sets ending and asks for a pass, which makes the wheel refuse: everything
 * in it ends with WEIR_SHUTDOWN, and so does at once whatever is armed later. A start that raced with
 * the end was therefore accepted and ended; nothing is to be undone. From then on nothing depends on
 * the control thread, which may be gone before the last worker arms its last timer: who sees ending
 * hands the wheel to nobody. Who hands it over and does not see ending (W5 acquires) did so before
 * the end asked for its pass; then that pass found HANDED, or the control thread as the owner.
 *
 * Waking: the owner sets the alarm (control.h: a timerfd, absolute, exact) when the nearest deadline
 * is nearer than the alarm that is set. It costs a system call, and wakes nobody. A cancel does not
 * move the alarm: a server that arms and cancels a time-out per request sets it once per time-out's
 * length. With a manual clock there is no alarm: weir_app_tick passes.
 *
 * Rejected: a mutex (a preempted holder stops every server thread); a wheel per worker (a cancel must
 * then reach another thread's wheel: the same intake, once per worker, and as many alarms); an
 * owner word beside the intake (two words, so a store and a load on each side that must not pass one
 * another: the same cost as one word, and a longer proof); the control thread as the only owner (each
 * arm would wake it).
 */
#ifndef WEIR_WORKQUEUE_TIMERS_H
#define WEIR_WORKQUEUE_TIMERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/workqueue.h>

#include "core/cache.h"
#include "core/clock.h"
#include "workqueue/job.h"
#include "workqueue/wheel.h"

struct app;
struct control;

enum { TIMERS_ROUNDS_MAX = 16 };

enum timer_stage { TIMER_NEW = 0, TIMER_LINKED, TIMER_LEAVING };

/* What the wheel and the intake know of an item. I: fixed while armed, A: atomic, O: the owner of the
 * wheel. */
struct timer_item {
    struct wheel_node node;                         /* O; the deadline I */
    _Atomic uint8_t stage;                          /* A: enum timer_stage */
    bool bare;                                      /* I: part of a struct deadline, else of a struct timer */
    uint8_t owner;                                  /* I: of a deadline: what it is part of, for its function */
    _Atomic uint32_t phase;                         /* A: of a deadline; that of a timer is its job's */
};

/* The view of a weir_timer from inside. job.aux[0] is the period, 0: once; job.next the link of the
 * intake. */
struct timer {
    struct job job;
    struct timer_item item;
};
_Static_assert(sizeof(struct timer) == sizeof(weir_timer), "struct timer is the inside of weir_timer");

struct deadline {
    struct timer_item item;
    struct timer_item *next;                        /* the link of the intake */
};
_Static_assert(sizeof(struct deadline) == 40, "many operations have one");

/* Where an item goes that has left the wheel: phase QUEUED or MARKED. */
typedef void timers_dispatch_fn(struct app *app, struct job *job);
/* A descriptor wait whose time is over: phase QUEUED, out of the wheel. */
typedef void timers_expired_fn(void *ctx, struct timer *timer);
/* A deadline's function, as that of an internal timer. */
typedef void timers_deadline_fn(struct app *app, struct deadline *deadline, weir_status status);

/* I: fixed after init, A: atomic, O: the owner of the wheel. */
struct timers {
    CACHE_ALIGNED _Atomic uintptr_t word;           /* A: W1..W6 */
    _Atomic bool ending;                            /* A: timers_shutdown was called */
    bool refusing;                                  /* O: and has been seen by an owner */
    int64_t alarm;                                  /* O: what the control thread's alarm is set to */
    const struct clock *clock;                      /* I */
    struct control *control;                        /* I */
    struct app *app;                                /* I */
    timers_dispatch_fn *dispatch;                   /* I */
    timers_expired_fn *expired;                     /* I; NULL: there are no descriptor waits */
    void *expired_ctx;                              /* I */
    timers_deadline_fn *deadline;                   /* I; NULL: there are none */
    struct wheel wheel;                             /* O */
};

void timers_init(struct timers *timers, const struct clock *clock, struct control *control,
                 struct app *app, timers_dispatch_fn *dispatch);
void timers_on_expired(struct timers *timers, timers_expired_fn *expired, void *ctx);
void timers_on_deadline(struct timers *timers, timers_deadline_fn *deadline);

/* ---- items: any thread that is inside the application; nobody waits ---- */

/* A fresh item, in no phase but IDLE or OVER: the job's kind is set, and all that queue_dispatch
 * needs. For an internal one timer_init_internal. */
void timers_arm(struct timers *timers, struct timer *timer, int64_t deadline, int64_t period);

/* For weir_job_cancel, kind JOB_TIMER, after its own move ARMED -> ENDING: the item will be
 * dispatched, MARKED. The caller's last touch. */
void timers_cancelled(struct timers *timers, struct job *job);

/* A worker, after a call of a periodic timer's function with WEIR_OK, in phase PERIODIC or, after a
 * cancel, MARKED: the next deadline is the first multiple of the period after now. */
void timers_rearm(struct timers *timers, struct job *job);

/* Internal timers. timers_disarm true: this call won, and fn is called with WEIR_CANCELED, maybe
 * before this returns; false: fn was or will be called with something else. */
void timer_init_internal(struct timer *timer, weir_job_fn *fn, void *ctx);
bool timers_disarm(struct timers *timers, struct timer *timer);

/* The same for deadlines. The memory of a new one is zero. */
void deadline_arm_at(struct timers *timers, struct deadline *deadline, int64_t time);
bool deadline_disarm(struct timers *timers, struct deadline *deadline);

/* The time-out of a descriptor wait, whose phase is its own business: it may have left ARMED already. */
void timers_join(struct timers *timers, struct timer *timer, int64_t deadline);

/* After the phase has left ARMED, unless it was by the time-out: dispatch once it is out of the wheel. */
void timers_release(struct timers *timers, struct timer *timer);

/* ---- the application ---- */

/* A pass: fires what is due. On the calling thread, if the wheel is free; else its owner sees to it. */
void timers_pass(struct timers *timers);

/* Everything armed is ended with WEIR_SHUTDOWN, and so is whatever is armed from now on. */
void timers_shutdown(struct timers *timers);

/* Nobody is inside and nothing is armed. */
void timers_fini(struct timers *timers);

static inline struct timer *timer_of(struct job *job) { return (struct timer *)job; }

static inline struct timer *timer_of_item(struct timer_item *item)
{
    return (struct timer *)(void *)((char *)item - offsetof(struct timer, item));
}

/* relaxed, both: it is the armer's, and published by J1; atomic, since a late cancel may still read a token there, of
 * the memory's life before (reply.c) */
static inline int64_t timer_period(const struct job *job)
{
    return (int64_t)atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&job->aux[0], memory_order_relaxed);
}

static inline void timer_set_period(struct job *job, int64_t period)
{
    atomic_store_explicit((_Atomic uint64_t *)(void *)&job->aux[0], (uint64_t)period, memory_order_relaxed);
}

/* Must its function be called again after this call? Only for kind JOB_TIMER. */
static inline bool timer_is_periodic(const struct job *job) { return timer_period(job) != 0; }

#endif
