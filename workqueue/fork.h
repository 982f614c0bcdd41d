/* SPDX-License-Identifier: Apache-2.0
 *
 * fork.h - fork and join: jobs that stay with who forked them unless an idle worker takes them (Q8)
 *
 * A forked job's phase (job.phase) takes these values instead of job.h's:
 *
 *      FORK_OPEN --join, on the own deque or off a worker: runs it--> FORK_DONE
 *          |                                                             ^
 *          +--thief runs it------------------------------(F1, release)---+
 *          |                                                             |
 *          +--join finds nothing to help with: FORK_AWAITED --thief------+ and wakes the joiner
 *
 *      step            order     partner, and what breaks without it
 *   F1 thief: DONE     acq_rel   F2 (E9): the joiner sees what the child did. An exchange: it also learns of the waiter
 *   F2 join: look      acquire   F1
 *   F3 join: AWAITED   acq_rel   F1, as F2 if the thief was first
 *
 * The joiner owns the child's memory, and may return at once when it sees DONE: so F1 is the thief's last touch of the
 * child; whom to wake it has learned before (the joiner's worker, written before AWAITED).
 *
 * Nothing else is needed: a child that the joiner takes back from its own deque was seen by nobody, so it is called
 * without any atomic step on the child.
 */
#ifndef WEIR_WORKQUEUE_FORK_H
#define WEIR_WORKQUEUE_FORK_H

#include "workqueue/job.h"

enum fork_phase { FORK_OPEN = 16, FORK_AWAITED, FORK_DONE };
static_assert((int)FORK_DONE == (int)JOB_JOINED, "a joined job may be submitted");

/* A thief's part: calls the child and tells the joiner. */
void fork_run(struct job *child);

#endif
