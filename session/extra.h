/* SPDX-License-Identifier: Apache-2.0 */
/* extra.h - what an operation needs besides its rows if it has a deadline, or runs in a queue of the caller's
 *
 * The record is not part of the operation: few need one, its timer may fire and its job may be called when the
 * operation is long over. So it names the operation by its handle, and nobody who closes a session waits for a timer or
 * for a stranger's queue (S5). It has up to four holders:
 *
 *   the operation   until its slot is free: so its work, and who holds its token, may touch the record
 *   the starter     until the operation is published
 *   the timer       until its function has been called for the last time
 *   the job         from being handed to its queue until its function returns; each time anew
 *
 *   step        order     partner
 *   X1 drop     acq_rel   X1: holders - n; the last one sees what all have done, and frees it
 *
 * A deadline alone is 56 bytes, so that with the C library's allocator it costs one line of 64.
 *
 * Rejected: a record of one size (an operation with a deadline alone, by far the most, would pay for a job); a pointer
 * to the sessions in it (whoever comes here knows them).
 */
#ifndef SESSION_EXTRA_H
#define SESSION_EXTRA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workqueue/job.h"
#include "workqueue/timers.h"

struct sessions;

/* What is in it: a set. It says how large it is. */
enum extra_has { EXTRA_TIMER = 1, EXTRA_IDLE = 2, EXTRA_JOB = 4 };

enum extra_marks { EXTRA_FIRED = 1, EXTRA_OVER = 2 };

struct op_extra {
    struct deadline timer;                                     /* TIMER: its holder's; first, see extra_of */
    uint64_t handle;                                           /* I, from before the timer is armed or the job sent */
    _Atomic uint32_t holders;                                  /* A: X1 */
    _Atomic uint8_t marks;                                     /* A: deadline.c */
    uint8_t has;                                               /* I */
};
static_assert(sizeof(struct op_extra) <= 56, "64 bytes with what the C library's allocator adds");
static_assert(offsetof(struct op_extra, timer) == 0, "a deadline's function finds the record");

/* With an idle deadline. */
struct op_idle {
    struct op_extra extra;
    int64_t timeout_ns;                                        /* I */
    _Atomic int64_t stamp;                                     /* A: deadline.c */
};

/* In a queue of the caller's. */
struct op_foreign {
    struct op_idle idle;
    struct sessions *all;                                      /* I */
    struct job job;                                            /* in its queue, or nobody's: foreign.h */
    _Atomic bool place;                                        /* A: foreign.h */
};

static inline struct op_idle *extra_idle(struct op_extra *extra) { return (struct op_idle *)extra; }
static inline struct op_foreign *extra_foreign(struct op_extra *extra) { return (struct op_foreign *)extra; }

/* NULL: no memory. Held by the operation, the starter, and the timer if it has one. */
struct op_extra *extra_make(struct sessions *all, uint32_t has);

/* Nobody has seen it. */
void extra_unmake(struct sessions *all, struct op_extra *extra);

void extra_hold(struct op_extra *extra);
void extra_drop(struct sessions *all, struct op_extra *extra);

/* The final is about to be delivered: nothing runs again, and no deadline is waited for. */
void extra_over(struct sessions *all, struct op_extra *extra);

/* The slot is free. */
void extra_free(struct sessions *all, struct op_extra *extra);

/* ---- deadline.c ---- */

/* Before T1; and published after it, which drops the starter's hold. */
void deadline_arm(struct sessions *all, struct op_extra *extra, int64_t timeout_ns);
void deadline_published(struct sessions *all, struct op_extra *extra);
void deadline_over(struct sessions *all, struct op_extra *extra);

/* What the timers call. */
void deadline_fire(struct app *app, struct deadline *deadline, weir_status status);

/* A post was accepted, or progress was made. By who may post. */
void deadline_touch(struct sessions *all, struct op_extra *extra);

#endif
