/* SPDX-License-Identifier: Apache-2.0 */
/* expiry.h - the deadline that a session gives to every operation: one timer for each group of 63 (C5)
 *
 * A deadline of its own costs an operation a record and a timer (extra.h). One that comes from the session's default
 * costs neither: its time stands in the hot row, where the record's address would be (op_beside), and the group's timer
 * is armed for the earliest of them. When it fires its function walks the group's operations, cancels those whose time
 * has come, and arms it for the earliest of the others. Nothing is disarmed when an operation ends: the timer then
 * fires once for nothing, at most once in a time-out's length, which a final does not pay for.
 *
 * The timer is owned as alarm.h says. `at` is the time for which it is armed, or about to be; FOREVER while its owner
 * looks, and while it has none. A starter whose deadline is not before `at` has nothing to do. Why such an operation is
 * not forgotten:
 *
 *   starter     T1 publish      K3 mark, a read-modify-write of the group's ready leaf      reads `at`
 *   owner       `at` = FOREVER      K3' a read-modify-write of the same word      reads the words, K3' with T1
 *
 *   If K3 comes first, the owner sees the operation. If K3' comes first, the starter reads FOREVER, or what the owner
 *   has written since, but then not before its walk was done: a time that is not after its own, at which the owner will
 *   walk again, and K3 is before that walk. So it is relaxed, both.
 *
 * The record belongs to the group for as long as the application lives, as the group's words do: a starter is done with
 * it when the operation may be over, and the timer may fire for the session that had the group before. It knows
 * nothing of sessions; what it cancels is named by the generation, and the time beside it is of that life if the cancel
 * takes place: the word was seen first (T1), and the compare-and-swap finds it alive afterwards.
 *
 * Rejected: one timer for the session: it would have to find the earliest among all its operations, each time that one
 * has expired. Rejected: the coarse time of the start, which the row has anyhow: it is behind by up to 4 ms.
 */
#ifndef SESSION_EXPIRY_H
#define SESSION_EXPIRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "workqueue/timers.h"

struct group;
struct sessions;

/* What a deadline is part of. */
enum deadline_owner { DEADLINE_OP, DEADLINE_GROUP };

struct expiry {
    struct deadline timer;                                     /* its owner's; first: deadline_fire */
    _Atomic uint32_t alarm;                                    /* A: alarm.h */
    uint32_t first;                                            /* I: the group's first slot */
    _Atomic int64_t at;                                        /* A, written by the owner */
};

/* Before T1: the record of this slot's group. NULL: no memory. May allocate. */
struct expiry *expiry_need(struct sessions *all, uint32_t index);

/* After T1 and K3: an operation of its group has such a deadline. */
void expiry_expect(struct sessions *all, struct expiry *expiry, int64_t deadline);

/* The timer's function. */
void expiry_fire(struct sessions *all, struct expiry *expiry, weir_status status);

/* The application ends: nobody else is left. */
void expiry_fini(struct sessions *all);

#endif
