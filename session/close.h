/* SPDX-License-Identifier: Apache-2.0 */
/* close.h - how a session is closed: what a closer wants, and what becomes due later */
#ifndef SESSION_CLOSE_H
#define SESSION_CLOSE_H

#include "session/session.h"

/* What one closer wants. Times are absolute; a close that came before may have shorter ones (policy.h). */
struct close_terms {
    int64_t now, drain_at, abandon_at, report_at;
    uint32_t reason;                                           /* of the cancel at drain_at */
    bool lends;
    weir_closed_fn *closed;                                    /* these two count only if it is the first */
    void *ctx;
};

struct close_terms close_at_once(const struct app *app, uint32_t reason);

/* OK, CLOSING, STALE. */
weir_status session_close_as(struct session *s, uint64_t handle, const struct close_terms *terms);

/* Cancels everything accepted so far, and asks for a sweep. The caller is inside. */
void session_cancel_all(struct session *s, uint32_t reason);

/* Sees to what the policy says is due by now. The caller is inside a session that is shut. */
void close_see_to(struct session *s, int64_t now);

/* What takes longer than a caller or a timer should be held up: done by a job, or by the control thread. */
enum session_drive { DRIVE_REPORT = 1, DRIVE_ABANDON = 2, DRIVE_CANCEL_CHILDREN = 4, DRIVE_CLOSE_CHILDREN = 8 };

/* The caller is inside. */
void session_ask(struct session *s, uint32_t what);

/* abandon.c: everything that waits for user code is abandoned. On a thread of the application, inside. */
void session_abandon(struct session *s);

/* ---- children.c ---- */

/* Inside, on a thread of the application: each child is cancelled as a whole, or closed as this one is. */
void children_cancel(struct session *s);
void children_close(struct session *s);

/* While it is opened. enter: before it is published; OK: the parent counts it, and the caller. CLOSED, STALE, LIMIT.
 * opened: afterwards; the caller goes out of the parent. end: when it is over, and its slot given back. */
weir_status child_enter(struct session *s, uint64_t parent);
void child_opened(struct session *parent, struct session *s, uint64_t handle);
void child_end(struct session *parent);

/* ---- alarm.c ---- */

/* Before the session is published. */
void alarm_init(struct session *s);

/* The policy's times have changed: the timer looks again. The caller is inside. */
void alarm_wish(struct session *s);

/* The same if nobody has armed the timer yet. */
void alarm_begin(struct session *s);

/* The session has ended: the timer is called once more, and lets go of the slot. */
void alarm_end(struct session *s);

#endif
