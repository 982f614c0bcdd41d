/* SPDX-License-Identifier: Apache-2.0 */
/* above.h - what an application does for the layer above it; implemented in session/
 *
 * Includes point down, so the work queue does not know what a session is; it calls these at the right moments.
 */
#ifndef WEIR_WORKQUEUE_ABOVE_H
#define WEIR_WORKQUEUE_ABOVE_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/status.h>

struct app;
struct weir_report;

/* No thread runs yet. WEIR_OK, NO_MEMORY: nothing is left over. */
weir_status above_init(struct app *app);
/* No thread runs any more. */
void above_fini(struct app *app);

/* Ends everything above, on the thread that closes the application. Until it answers OK everything works as before, but
 * nothing new is opened. TIMED_OUT: it may be called again. */
weir_status above_close(struct app *app, int64_t deadline);

/* What weir_app_close tells. sound: it may be written to. Before above_fini; closed: it was OK. */
bool above_report_is_sound(const struct weir_report *report);
void above_report(struct app *app, bool closed, struct weir_report *report);

/* 1 + the highest generation that was given out. Nobody is inside. */
uint32_t above_generation_floor(const struct app *app);

#endif
