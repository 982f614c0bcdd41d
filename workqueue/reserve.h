/* SPDX-License-Identifier: Apache-2.0 */
/* reserve.h - threads that take the place of workers which are lost in abandoned work (S9)
 *
 * An application has as many of them in reserve as it has workers of the lanes: a struct worker each, and a place among
 * the sleepers, from the opening on, so that nothing but the thread itself can be missing when one is needed. The layer
 * above says when a worker is lost, and when it is back; the control thread starts a reserve when there are more lost
 * workers than reserves that run. A reserve stays until the application ends: who comes back goes on beside it, and the
 * next one that is lost is replaced already.
 *
 * A reserve has no deques and rings of its own. It takes what others have, from the lost worker's as well, in the same
 * shares for the lanes (worker.h); what it submits goes where submits from outside go.
 *
 * Threads of the blocking lane are not replaced: that lane starts another one as long as it may (blocking.h).
 *
 * Rejected: reserves with deques of their own: everybody who looks for work would look into them, too, at all times.
 * Rejected: ending one of them when a worker comes back: a thread is started and ended for each that is abandoned.
 */
#ifndef WEIR_WORKQUEUE_RESERVE_H
#define WEIR_WORKQUEUE_RESERVE_H

#include <stdatomic.h>
#include <stdint.h>

#include <weir/status.h>

struct app;
struct worker;

struct reserve {
    struct worker *workers;                              /* I: count of them */
    uint32_t count;                                      /* I */
    uint32_t started;                                    /* the control thread's; then who joins */
    _Atomic uint32_t lost;                               /* A: workers, of whatever lane, inside abandoned work */
    _Atomic uint32_t wanted;                             /* A: of the lanes among them */
};

weir_status reserve_init(struct app *app);
void reserve_fini(struct app *app);

/* On the control thread: starts as many as are wanted. The argument is the application. */
void reserve_start(void *app);

/* When all threads have ended. */
void reserve_join(struct app *app);

/* Any thread. number: the worker's, as in struct worker. */
void reserve_lost(struct app *app, uint32_t number);

/* That worker. */
void reserve_back(struct app *app);

#endif
