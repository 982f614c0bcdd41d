/* SPDX-License-Identifier: Apache-2.0 */
/* fdwait.h - jobs that wait for a descriptor
 *
 * Each wait is one one-shot registration in the control thread's epoll set, with the item's address.
 * Only the control thread harvests events and only it ends a registration, after it has looked at all
 * events that it has harvested; so an address that comes out of epoll_wait is always alive.
 *
 * Four may end a wait: the descriptor (seen by the control thread), its time-out (seen by the owner of
 * the timers), a cancel, and the application's end (control thread). The winner is who moves the
 * phase on from ARMED (job.h). The control thread then lets go: it takes the descriptor out of the
 * epoll set and the item out of its list, and dispatches it; if the item is still in the wheel, the
 * owner of the timers does that last step (timers_release). A winner on another thread tells the control
 * thread through a list, one CAS, and CONTROL_FDWAITS. ready is written before the dispatch; when
 * the time-out won, the descriptor is asked once more, so ready == 0 says that it was not ready then.
 *
 * The starter. Adding the descriptor can fail, so it comes first, and from then on the item may be won
 * by anybody while the starter is still busy with it. A second word, the stage, holds the item until
 * both are through:
 *
 *      STARTING --D2--> ADDED             who wins later, tells
 *         | D1             | D1
 *         v                v
 *   STARTING|WON --D2--> ADDED|WON        who won before, leaves it to the starter to tell
 *
 *   step       by           order    partner, and what breaks without it
 *   D1 won     the winner   acq_rel  release: D2, the starter that tells hands on what the winner did.
 *                                    acquire: D2, the winner that tells hands on what the starter did
 *   D2 through the starter  acq_rel  D1, the other way round
 *   D3 tell    who is 2nd   release  D4: all that happened to the item
 *   D4 listen  control      acquire  D3
 *   D5 join    the starter  release  D6: the item's fields. Without it the list is of rubbish
 *   D6 enlist  control      acquire  D5
 *
 * D1 and D2 are read-modify-writes of one word, so exactly one of the two comes second and tells.
 * The control thread, which wins for events, needs no message if it comes second. Adding fails, but a
 * cancel has won meanwhile: the start has succeeded, as an item that was never in the set.
 *
 * The list of all armed waits exists for the end only. A starter joins by a CAS (D5) before D2,
 * without waking anybody; the control thread moves who joined into its list whenever it runs. It
 * reads the told ones before the joined ones: who is told of has joined before, so every item that it
 * lets go of is in the list.
 *
 * The end. A barrier (core/barrier.h) counts the items from before the adding until they are let go,
 * and one place for the application. fdwaits_shutdown shuts it: later starts answer WEIR_SHUTDOWN. The
 * control thread leaves a mark where joiners join, so that whoever comes later wakes it, and ends
 * what is in its list. A wait that was won before by somebody who has not told yet is waited for:
 * the last one out of the barrier, with the application's own place given up (fdwaits_stop), asks
 * the control thread to stop. So it does not stop while an item depends on it.
 *
 * A descriptor that its user closes before the last call is forgotten by the kernel: the wait then
 * ends by time-out, cancel or the application's end. If another descriptor to the same file is
 * open, the kernel does not forget, and answers with an address that may be gone: that is why the
 * header forbids it. Of the errors of a registration only "in use" and "cannot be waited for" have
 * names; the rest is WEIR_SYSTEM and a line in the log.
 *
 * Rejected: leaving descriptors in the set and re-arming them (EPOLL_CTL_MOD is one system call
 * instead of two per wait, but the library would have to know when a number was closed and means
 * another file); slots and generations instead of addresses (they would have to be allocated).
 */
#ifndef WEIR_WORKQUEUE_FDWAIT_H
#define WEIR_WORKQUEUE_FDWAIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/workqueue.h>

#include "core/barrier.h"
#include "core/cache.h"
#include "workqueue/control.h"
#include "workqueue/timers.h"

enum {
    FDWAIT_STARTING = 1,                            /* the starter is still busy with it */
    FDWAIT_ADDED = 2,                               /* it is in the epoll set */
    FDWAIT_WON = 4,                                 /* the phase has left ARMED */
    FDWAIT_EXPIRED = 8,                             /* by the time-out: it is out of the wheel */
};

/* The view of a weir_fdwait from inside. aux[1] is the link of the told ones.
 * I: fixed while armed, A: atomic, K: control thread. */
struct fdwait {
    struct timer timer;
    int fd;                                         /* I */
    uint32_t events;                                /* I */
    uint32_t ready;                                 /* K */
    _Atomic uint32_t stage;                         /* A: D1, D2 */
    struct fdwait *next, *prev;                     /* joined: next, D5; then K */
};
_Static_assert(sizeof(struct fdwait) == sizeof(weir_fdwait), "struct fdwait is the inside of weir_fdwait");

/* I: fixed after init, A: atomic, K: control thread. */
struct fdwaits {
    CACHE_ALIGNED _Atomic uintptr_t joined;         /* A: last that joined, and the mark */
    _Atomic(struct fdwait *) told;                  /* A: last that was told of */
    barrier inside;                                 /* items, and one for the application */
    _Atomic bool ending;                            /* A: fdwaits_shutdown was called */
    struct fdwait *waits;                           /* K: armed, doubly linked */
    struct fdwait *harvested;                       /* K: won by events of this round */
    struct timers *timers;                          /* I */
    struct control *control;                        /* I */
    const struct log *log;                          /* I */
    struct app *app;                                /* I */
    timers_dispatch_fn *dispatch;                   /* I */
};

/* Hooks itself into the timers and into the control thread's table. */
void fdwaits_init(struct fdwaits *fdwaits, struct timers *timers, struct control *control,
                  const struct log *log, struct app *app, timers_dispatch_fn *dispatch);
void fdwaits_fini(struct fdwaits *fdwaits);

/* A fresh item of kind JOB_FDWAIT with all that queue_dispatch needs. Not OK: BUSY, INVALID, SYSTEM,
 * SHUTDOWN, and the item is as it was before. deadline WEIR_FOREVER: no time-out. */
weir_status fdwaits_start(struct fdwaits *fdwaits, struct fdwait *wait, int64_t deadline);

/* For weir_job_cancel, kind JOB_FDWAIT, after its own move ARMED -> ENDING. The caller's last touch. */
void fdwaits_cancelled(struct fdwaits *fdwaits, struct job *job);

/* Every armed wait ends with WEIR_SHUTDOWN, and starting answers it. Any thread, any number of times. */
void fdwaits_shutdown(struct fdwaits *fdwaits);

/* After it, once: the control thread stops as soon as no wait needs it. */
void fdwaits_stop(struct fdwaits *fdwaits);

static inline struct fdwait *fdwait_of(struct job *job) { return (struct fdwait *)job; }

#endif
