/* SPDX-License-Identifier: Apache-2.0
 *
 * app.h - the application: what it owns, how it opens, how it ends
 *
 *      OPEN --- weir_app_close ---> closing --- all calls have left ---> stopping --- all threads have ended ---> gone
 *
 *   closing    Nothing new is accepted (WEIR_SHUTDOWN). Sessions end first; they need everything else to be there.
 *   stopping   Registry shut: no call from outside is inside any more, and none comes in. Timers, descriptor waits
 *              and queues are ended: each item is on its way to its last call, with WEIR_SHUTDOWN. Workers run what is
 *              left, find nothing, and end.
 *
 * Why no job is lost: a job reaches a queue only from a call that has entered (it left before the registry was shut, so
 * its push is visible to the workers' last look: registry.h), or from a thread of the application, which looks at its
 * own deque before it ends. The control thread ends before the workers are told to.
 *
 * Calls enter by app_enter: on the application's own threads for free, elsewhere by a pin.
 *
 *      step                        order     partner
 *   A6 lane marked, guest inside   seq_cst   app_lanes_in_use, app_guests_inside: who looks for jobs before it sleeps
 *                                            skips what is not there
 */
#ifndef WEIR_WORKQUEUE_APP_H
#define WEIR_WORKQUEUE_APP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/workqueue.h>

#include "core/cache.h"
#include "core/clock.h"
#include "core/event.h"
#include "core/handle.h"
#include "core/idle.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/registry.h"
#include "core/slots.h"
#include "workqueue/blocking.h"
#include "workqueue/control.h"
#include "workqueue/fdwait.h"
#include "workqueue/reserve.h"
#include "workqueue/room.h"
#include "workqueue/timers.h"
#include "workqueue/worker.h"

enum { APP_GUESTS = 8 };                                 /* threads that may lend themselves at a time */

/* Jobs that find a worker's ring full go to the overflow of their lane, one for all workers: a ring as large as bursts
 * are, and a list behind it. Its memory is touched only as far as it was ever filled, unless the allocator is the
 * user's: what that gives has to be cleared, so the ring is small. */
enum { OVERFLOW_CAPACITY = 1 << 18, OVERFLOW_CAPACITY_CLEARED = 1 << 10 };

/* I: fixed after open, A: atomic, C: the closing thread only. */
struct app {
    struct memory memory;                                /* I */
    struct log log;                                      /* I */
    struct clock clock;                                  /* I */
    weir_app_options options;                            /* I: with defaults filled in */
    char thread_name[9];                                 /* I */
    struct registry_place place;                         /* I */
    weir_app handle;                                     /* I */
    uint32_t worker_count;                               /* I */
    bool may_spin;                                       /* I: there is more than one processor */
    struct worker *workers;                              /* I: worker_count of the lanes */
    struct worker *guests;                               /* I: APP_GUESTS */
    struct worker control_worker;                        /* the control thread's */
    void *rings;                                         /* I: memory of the workers' deques and rings */
    size_t rings_size;                                   /* I */
    struct inbox overflow[LANES];
    uint32_t overflow_capacity;                          /* I */
    CACHE_ALIGNED struct idle idle;
    CACHE_ALIGNED _Atomic uint32_t lanes_used;           /* A: bit per lane, once used for ever set */
    _Atomic bool closing;                                /* A: accepts nothing any more */
    _Atomic bool stopping;                               /* A: jobs are called with SHUTDOWN; threads end */
    _Atomic uint32_t call_waiters;                       /* A: threads in weir_job_cancel_wait (cancel.c) */
    CACHE_ALIGNED _Atomic uint32_t lane_counts[LANES + 1]; /* A: jobs waiting, if there is a limit */
    struct room lane_room;                               /* of all of them */
    _Atomic uint32_t guests_taken;                       /* A: bit per guest */
    _Atomic uint32_t threads;                            /* A: that have not ended */
    struct event threads_ended;                          /* posted by each thread that ends */
    struct event call_ended;                             /* posted after calls while there are call_waiters */
    _Atomic uint32_t closer;                             /* A: 1 while a thread is inside weir_app_close */
    bool stopped;                                        /* C: the part of the close that comes once is done */
    void *above;                                         /* I: what the session layer keeps (above.h) */
    struct slots queues;                                 /* serial and bounded queues (queue.h) */
    struct blocking blocking;
    struct reserve reserve;
    struct timers timers;
    struct fdwaits fdwaits;
    struct control control;
};

/* Numbers of threads: lane workers, blocking ones, the control thread, guests, reserves, in this order. */
static inline uint32_t app_thread_count(const struct app *app)
{
    return app->worker_count + app->blocking.max + 1 + APP_GUESTS + app->reserve.count;
}

/* One call's stay inside an application. */
struct app_ref {
    struct app *app;
    struct registry_pin pin;                             /* .app NULL: this thread is the application's own */
};

/* app_enter for threads that are not the application's own: by a pin. */
weir_status app_enter_pinned(uint64_t bits, enum handle_kind kind, struct app_ref *ref);

/* OK; INVALID, STALE, FORKED, SHUTDOWN: nothing to leave. */
static inline weir_status app_enter(uint64_t bits, enum handle_kind kind, struct app_ref *ref)
{
    struct worker *self = worker_self();
    if (self == NULL || self->app->place.index != handle_app(bits))
        return app_enter_pinned(bits, kind, ref);
    if (!handle_is_plausible(bits, kind))
        return registry_misuse(bits, WEIR_INVALID);
    if (registry_is_forked(&self->app->place))
        return WEIR_FORKED;
    if (kind == HANDLE_APP && bits != self->app->handle.bits)
        return WEIR_STALE;
    ref->app = self->app;
    ref->pin.app = NULL;
    return WEIR_OK;
}

static inline void app_leave(struct app_ref *ref)
{
    if (ref->pin.app != NULL)
        registry_unpin(&ref->pin);
}

static inline bool app_is_closing(const struct app *app)
{
    /* relaxed: a call that has not seen it left before the registry was shut, or is a worker's, which looks again */
    return atomic_load_explicit(&app->closing, memory_order_relaxed);
}

/* For a thread that is about to sleep or to end: what the closer queued before is there for its last look. */
static inline bool app_is_stopping(const struct app *app)
{
    return atomic_load_explicit(&app->stopping, memory_order_acquire);             /* A1 of app.c */
}

/* The lanes that were ever used, and the guests that are inside: where there can be jobs at all. For who has said that
 * it will sleep this is as exact as the look at the queues themselves: a lane is marked and a guest is inside (A6)
 * before a job of theirs is filled in, so what idle.W1 and W2 say of the queue's word holds for this one, too. */
static inline uint32_t app_lanes_in_use(struct app *app)
{
    return atomic_load_explicit(&app->lanes_used, memory_order_seq_cst);                                  /* A6 */
}

static inline uint32_t app_guests_inside(struct app *app)
{
    return atomic_load_explicit(&app->guests_taken, memory_order_seq_cst);                                /* A6 */
}

/* Hands several jobs, phase QUEUED or MARKED or internal ones, to a lane, with one publication where the queue
 * allows it, and one wake-up. */
void app_push_list(struct app *app, uint32_t lane, struct job *const *jobs, size_t count);

/* One more job in a lane, if there is room. */
bool app_lane_enter_limited(struct app *app, uint32_t lane);
void app_lane_leave_limited(struct app *app, uint32_t lane);

static inline bool app_lane_enter(struct app *app, uint32_t lane)
{
    return app->options.lane_limit == 0 || app_lane_enter_limited(app, lane);
}

static inline void app_lane_leave(struct app *app, uint32_t lane)
{
    if (app->options.lane_limit != 0)
        app_lane_leave_limited(app, lane);
}

/* app_push for who is no worker of the lanes, for the blocking lane, and where the deque is full. */
void app_push_elsewhere(struct app *app, uint32_t lane, struct job *job);

/* The same on a worker of the lanes, to its own deque. False: it is full, or the lane is used for the first time. */
static inline bool app_push_here(struct worker *self, uint32_t lane, struct job *job)
{
    struct app *app = self->app;
    /* relaxed: only ever grows; what was seen here stays before the look who sleeps, by asymmetric.M1 */
    bool used = (atomic_load_explicit(&app->lanes_used, memory_order_relaxed) >> lane & 1) != 0;
    if (!used || !deque_push(&self->lanes[lane].jobs, job))
        return false;
    self->lanes[lane].pushed = true;
    idle_notify_from_worker(&app->idle);
    return true;
}

/* Hands a job to a lane: phase QUEUED or MARKED, or an internal one. Any thread that has entered. */
static inline void app_push(struct app *app, uint32_t lane, struct job *job)
{
    struct worker *self = worker_self();
    if (self == NULL || self->app != app || self->kind != WORKER_LANE || !app_push_here(self, lane, job))
        app_push_elsewhere(app, lane, job);
}

/* A worker struct for the calling thread, which lends itself; NULL: all are taken. */
struct worker *app_guest_begin(struct app *app);
void app_guest_end(struct worker *guest);

#endif
