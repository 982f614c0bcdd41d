/* SPDX-License-Identifier: Apache-2.0 */
/* foreign.h - an operation whose work runs in a queue of the caller's: serial, or concurrent and bounded
 *
 * Its job lies in the operation's record (extra.h), names it by handle, and is sent to the queue each time the work is
 * to be called: by the start, by the job itself when the work has yielded, and when room has come (R7) by whoever of
 * the session's workers looks at it. Results, finals and hooks are the session's workers' as always, so nothing of an
 * operation's end waits for the queue; a job that finds its operation over does nothing.
 *
 * Who sends it? The phase QUEUED means "to be called", and the job is in the queue, or on its way there:
 *
 *   became QUEUED by     WANT   sent by
 *   T1  start            off    the starter, after T1
 *   T3  return           off    the job, which has just returned from the work
 *   T12, T13, T15: room  on     a worker of the session, by a step of its own: it claims the operation as if to run it
 *                               (which takes WANT away, and keeps it from ending), sends the job, and returns: T18
 *
 * So a QUEUED operation without WANT is nobody's to look at, and one with WANT has no job in the queue (op_steps_of).
 *
 * Its place. An operation counts in its queue as one job, from its start until its final's callback has returned (Q4),
 * also parked or deferred, so that a full queue refuses starts and nothing else, and so that the queue is still there
 * when the work goes on, and ends after the finals. The place is the job's while that is in the queue, which gives it
 * back after the call; else the record's, while `place` is set. Before T3 the job takes a place for the record; a job
 * that finds its operation decided, or cancels it, does so at its end. Who sends the job takes that along, who delivers
 * the final gives it back:
 *
 *   step       order     partner
 *   F1 keep    acq_rel   F2: the place is counted, then set, by an exchange; before T3
 *   F2 take    acq_rel   F1, F2: an exchange. One of sender and deliverer has it
 *   F3 over    acquire   T12, then F2 of who delivers; F1, then the word is looked at: F2 takes the place, or comes
 *                        before F1, which sees T12 then, and gives the place back
 *
 * An aborted queue calls the job with SHUTDOWN: then the operation is cancelled, reason USER, since it was the user who
 * aborted it. (Sessions are over before an application's close aborts anything.) One that is parked or deferred at the
 * time is not cancelled until its work is to be called, and the queue's end waits for it.
 *
 * Results and finals that the job leaves behind it are for the session's workers; since its own goes on with the queue,
 * which may hold it up for long, the control thread is asked, too (C7).
 *
 * Rejected: whoever makes room sends the job: an acknowledgement may race with an abandon, after which the record is
 * gone. Rejected: to give the place up while parked: the queue may be full, or closed, when room comes. Rejected:
 * finals in the queue: a close would wait for a stranger's.
 */
#ifndef SESSION_FOREIGN_H
#define SESSION_FOREIGN_H

#include "session/look.h"
#include "workqueue/queue.h"

void foreign_init(struct sessions *all, struct op_foreign *foreign);

/* A place in the queue that the handle names: of this application, no lane. STALE, CLOSED, FULL, SHUTDOWN. */
weir_status foreign_reserve(struct op_foreign *foreign, weir_queue queue);
void foreign_unreserve(struct op_foreign *foreign);

/* The lane that its queue lies over. After reserve. */
static inline uint32_t foreign_lane(const struct op_foreign *foreign) { return foreign->job.lane; }

/* With the place that was reserved: after T1. */
void foreign_send_first(struct op_foreign *foreign);

/* With the place that the record has; if it has none any more, the operation is over. By a holder. */
void foreign_send(struct op_foreign *foreign);

/* F1: inside the job's function. F2: what has become of it since is no matter. */
void foreign_keep_place(struct op_foreign *foreign);
void foreign_give_place(struct op_foreign *foreign);

#endif
