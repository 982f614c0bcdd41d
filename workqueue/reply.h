/* SPDX-License-Identifier: Apache-2.0
 *
 * reply.h - reply mode of a serial queue: a job that defers holds its queue until its token is replied
 *
 * One word per queue, {sequence, state}, which outlives the owners of the slot:
 *
 *      NONE --defer--> DEFERRED --pump, after the call--> WAITING --reply--> REPLIED  : the pump goes on
 *                          |                                      |---cancel--> CANCELED: the job is called again first
 *                          +--reply, cancel--> REPLIED, CANCELED  +---abort---> ABORTED:  likewise
 * From WAITING the winner submits the pump; from DEFERRED the pump finds the new state by itself. The pump that goes to
 * WAITING and the closer that sets ABORT each look at the other's word afterwards (R1, seq_cst), so one of them ends
 * it. The sequence is in the token: a late reply or cancel does not fit any more.
 *
 *      step                        order     partner, and what breaks without it
 *   R1 pump: -> WAITING, look at   seq_cst   R1 of the closer: ABORT set, look at the reply word. One sees the
 *      ABORT                                 other, so a reply that will not come is not waited for
 *   R2 every other step            acq_rel   R2: who ends a deferral sees what the deferred job wrote, the pump sees
 *                                            what the ender did before; defer publishes with release
 *
 * Rejected: a token per job in the job's memory: a late reply would have to touch memory that may be gone.
 */
#ifndef WEIR_WORKQUEUE_REPLY_H
#define WEIR_WORKQUEUE_REPLY_H

#include "workqueue/queue.h"

enum reply_state { REPLY_NONE, REPLY_DEFERRED, REPLY_WAITING, REPLY_REPLIED, REPLY_CANCELED, REPLY_ABORTED };

static inline enum reply_state reply_state(uint64_t reply) { return (enum reply_state)(reply & 7); }

static inline uint64_t reply_with(uint64_t reply, enum reply_state state) { return (reply & ~UINT64_C(7)) | state; }

static inline uint32_t reply_sequence(uint64_t reply) { return (uint32_t)(reply >> 3); }

/* The pump, after a call that may have deferred. True: the queue waits for the reply; somebody else may be its pump
 * already. */
bool reply_must_wait(struct worker *w, struct queue *queue, struct job *job);

/* The pump: the deferral, if there was one, is over. Calls the job again if it must be, and makes the word ready for
 * the next. */
void reply_settle(struct worker *w, struct queue *queue);

/* The closer, after ABORT was set, inside the queue: ends what the pump waits for. */
void reply_abort(struct app *app, struct queue *queue);

/* Ends a deferral by a cancel of its job: OK, ALREADY, TOO_LATE. */
weir_status reply_cancel(struct app *app, const struct job *job);

/* Is the deferral that this job remembers over? */
bool reply_is_over(const struct job *job);

/* Is the item fit to begin a life? OK; INVALID: it has no function; BUSY: it is in flight. */
weir_status reply_check_job(const struct job *job);

#endif
