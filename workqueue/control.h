/* SPDX-License-Identifier: Apache-2.0 */
/* control.h - the control thread: asleep until somebody asks, a deadline comes, or a descriptor is ready
 *
 * One per application (contract C7). It never runs jobs or work functions, so it is there when every
 * worker is stuck. It sleeps in epoll_wait without a time-out, whose set holds
 *
 *   an eventfd   written once by whoever asks first while it sleeps
 *   a timerfd    the alarm: set to the nearest deadline by whoever owns the timers; absolute, exact,
 *                never early, and no reason to wake before
 *   descriptors  of the waits (fdwait.h)
 *
 * so an idle application has no wake-ups at all (Q6). eventfd and timerfd are edge-triggered and
 * never read: each write, and each expiry after each setting, is a new edge.
 *
 * What is asked is a set of bits in one word, next to the bit that says that the thread sleeps:
 *
 *      bits 0..30: enum control_request         31: ASLEEP
 *
 *   step       by           order    partner, and what breaks without it
 *   K1 ask     any thread   release  K3: what the asker did before is there for the handler
 *   K2 sleep   the thread   relaxed  from 0 only: carries nothing
 *   K3 wake    the thread   acquire  K1
 *
 * Why no request is lost: all three are read-modify-writes of one word. K1 before K2: K2 finds a bit
 * and the thread does not sleep. K2 before K1: K1 finds ASLEEP and, being the first to, writes the
 * eventfd; later ones see that somebody asked before them and need not. The write may come after
 * the thread woke for another reason: one empty round, nothing else.
 *
 * Handlers are a table, fixed before the thread runs; bits are handled in their order.
 *
 * Rejected: a pipe (two descriptors, a read); epoll_pwait2 for the deadline (5.11; and a nearer
 * deadline must then wake the thread, which costs what an interrupt costs, where a system call on
 * the arming side does); a request queue (it could be full, or would have to allocate).
 */
#ifndef WEIR_WORKQUEUE_CONTROL_H
#define WEIR_WORKQUEUE_CONTROL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/status.h>

#include "core/cache.h"
#include "core/log.h"

enum control_request {
    CONTROL_TIMERS = 0,                             /* a pass of the timers */
    CONTROL_FDWAITS,                                /* descriptor waits have joined or ended */
    CONTROL_GROW,                                   /* the blocking lane wants a thread */
    CONTROL_RESCUE,                                 /* nobody took what a close needs */
    CONTROL_HOOKS,                                  /* cancel hooks to be run */
    CONTROL_REPLACE,                                /* a worker is lost in abandoned work */
    CONTROL_REPORT,                                 /* a close has waited for long */
    CONTROL_STOP,                                   /* control_run returns */
    CONTROL_REQUESTS,
};

typedef void control_handler_fn(void *ctx);
/* A descriptor is ready: data is what it was added with, events is epoll's. */
typedef void control_ready_fn(void *ctx, void *data, uint32_t events);

struct control_handler {
    control_handler_fn *run;
    void *ctx;
};

/* I: fixed while the thread runs, A: atomic, C: who starts and stops the thread. */
struct control {
    CACHE_ALIGNED _Atomic uint32_t word;            /* A: K1..K3 */
    int epoll;                                      /* I */
    int event;                                      /* I */
    int timer;                                      /* I */
    bool runs;                                      /* C: there is a thread to be joined */
    const struct log *log;                          /* I */
    control_ready_fn *ready;                        /* I */
    void *ready_ctx;                                /* I */
    struct control_handler handlers[CONTROL_REQUESTS]; /* I */
};

/* WEIR_OK, or WEIR_SYSTEM and nothing is left over. No thread yet. */
weir_status control_init(struct control *control, const struct log *log);
void control_fini(struct control *control);

/* Before the thread runs. */
void control_handle(struct control *control, enum control_request request, control_handler_fn *run,
                    void *ctx);
void control_on_ready(struct control *control, control_ready_fn *ready, void *ctx);

/* The thread's whole life, between its first and its last act: until CONTROL_STOP. */
void control_run(struct control *control);

/* Any thread, K1: the request's handler will run, once for any number of requests before it does. A
 * system call only if the thread sleeps and nobody asked before. */
void control_request(struct control *control, enum control_request request);

/* The owner of the timers: request CONTROL_TIMERS at this time, instead of the one set before.
 * WEIR_FOREVER: not at all. CLOCK_MONOTONIC. */
void control_set_alarm(struct control *control, int64_t deadline_ns);

#endif
