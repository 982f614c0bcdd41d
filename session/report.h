/* SPDX-License-Identifier: Apache-2.0 */
/* report.h - what a session has done, and what it waits for (S10) */
#ifndef SESSION_REPORT_H
#define SESSION_REPORT_H

#include "session/session.h"

/* May a report be written there? NULL may not. */
bool report_is_sound(const weir_report *report);

/* What is known of the session, now. Its size, and the array of blockers, stay the caller's. The caller holds the slot,
 * and the session may be over, but no later one has it. */
void report_fill(struct session *s, weir_report *report);

/* The same, once and for all, by who completes it: if the accounts do not balance, the process stops. */
void report_complete(struct session *s, weir_report *report);

/* The same for the application: the sum over its sessions, ended ones included. The phase is the earliest. */
void report_fill_app(struct sessions *all, weir_report *report);

/* What a close still waits for, through the log hook. The caller is inside. Allocates nothing. */
void report_log(struct session *s);

#endif
