/* SPDX-License-Identifier: Apache-2.0 */
/* waits.h - timers, descriptor waits and the control thread of an application, put together
 *
 * What the application calls, in this order:
 *
 *   waits_init        descriptors and tables; nothing runs
 *   waits_start       the control thread runs
 *   waits_shutdown    no call from outside is inside any more. Every item that waits is on its way to its last
 *                     call, with WEIR_SHUTDOWN; a worker that starts one all the same is refused, or it goes
 *                     the same way
 *   waits_stop        joins the control thread. It ends when no wait needs it any more, which takes no longer than
 *                     a worker needs to finish a call of weir_fdwait_start or weir_job_cancel that is under way.
 *                     Timers do not need it any more
 *   waits_fini        stops what still runs; for an open that failed half-way, too
 *
 * Handlers of other modules (control_handle) go between init and start.
 */
#ifndef WEIR_WORKQUEUE_WAITS_H
#define WEIR_WORKQUEUE_WAITS_H

#include <weir/status.h>

struct app;
struct job;

weir_status waits_init(struct app *app);
weir_status waits_start(struct app *app);
void waits_shutdown(struct app *app);
void waits_stop(struct app *app);
void waits_fini(struct app *app);

/* For weir_job_cancel, after its own move ARMED -> ENDING. The caller's last touch of the item. */
void waits_cancelled(struct app *app, struct job *job);

#endif
