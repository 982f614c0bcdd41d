/* SPDX-License-Identifier: Apache-2.0 */
/* waits.h - timers, descriptor waits and the control thread of an application, put together
 *
 * What the application calls, in this order:
 *
 *   waits_init        descriptors and tables; nothing runs
 *   waits_start       the control thread runs
 *   waits_shutdown    every item that waits is on its way to its last call, with WEIR_SHUTDOWN, or
 *                     will be before the control thread stops; later ones go the same way
 *   waits_stop        joins the control thread. Nobody else is inside any more but workers. The thread
 *                     goes round once more before it ends, so what was asked before is done
 *   waits_fini
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
