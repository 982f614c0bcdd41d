/* SPDX-License-Identifier: Apache-2.0
 *
 * blocking.h - the lane for jobs that block: threads of its own, started on demand, up to a limit (Q3)
 *
 * One inbox, one set of sleepers. A submit wakes a sleeping thread; when none sleeps it asks the control thread for one
 * more, so that submitting itself starts no thread and allocates nothing. A thread that finds a job looks whether there
 * are more and does the same: so a burst of n jobs starts n threads, one after the other. A thread that had nothing
 * to do for BLOCKING_IDLE_NS ends.
 *
 * When no thread can be had and none exists, the jobs go to the workers of the normal lane: slower than promised, but
 * not lost, and the log says so.
 *
 *      seat     EMPTY --control--> RUNNING --the thread, last act--> ENDED --control or close: join--> EMPTY
 */
#ifndef WEIR_WORKQUEUE_BLOCKING_H
#define WEIR_WORKQUEUE_BLOCKING_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/idle.h"
#include "workqueue/inbox.h"

struct app;
struct job;
struct worker;

#define BLOCKING_IDLE_NS INT64_C(5000000000)

enum { BLOCKING_INBOX_CAPACITY = 256, BLOCKING_REFILL_EVERY = 64, BLOCKING_MAX_DEFAULT = 64 };

enum blocking_seat_state { SEAT_EMPTY = 0, SEAT_RUNNING, SEAT_ENDED };

struct blocking {
    struct inbox inbox;
    struct idle idle;
    uint32_t max;                                        /* I */
    _Atomic uint32_t threads;                            /* A: in state RUNNING */
    _Atomic uint32_t turns;                              /* A: looks for a job */
    struct worker *workers;                              /* I: max of them */
    _Atomic uint32_t *seats;                             /* I; elements A: enum blocking_seat_state */
    _Atomic uint64_t *slots;                             /* I: the inbox's */
};

/* WEIR_OK or WEIR_NO_MEMORY. Starts no thread. */
weir_status blocking_init(struct app *app, uint32_t max);
void blocking_fini(struct app *app);

/* Any thread: lock-free, never waits. */
void blocking_push(struct app *app, struct job *job);

/* On the control thread: starts a thread if one is needed. */
void blocking_grow(struct app *app);

/* The control thread is gone: joins whoever has ended. To be called when all have. */
void blocking_join(struct app *app);

/* For a blocking thread: a job; NULL when it has been idle for long or the application stops. */
struct job *blocking_next(struct worker *w);

/* A job of the lane for whoever is there; NULL: none. */
struct job *blocking_take(struct app *app);

/* Its last act. */
void blocking_end(struct worker *w);

#endif
