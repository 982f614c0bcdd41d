/* SPDX-License-Identifier: Apache-2.0 */
/* report.h - what a session has done, and what it waits for (S10) */
#ifndef SESSION_REPORT_H
#define SESSION_REPORT_H

#include "session/session.h"

/* What is known of the session, now. The caller is inside, or completes it. */
void report_fill(struct session *s, weir_report *report);

#endif
