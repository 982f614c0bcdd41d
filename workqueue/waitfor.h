/* SPDX-License-Identifier: Apache-2.0 */
/* waitfor.h - which applications wait for which: a wait that would close a cycle of them is refused (S7)
 *
 *      edges[a][b]   how many threads of application a wait for application b, at this moment
 *
 * A thread of a (a worker of any kind, or a guest, who counts for the application that it has lent itself to and for
 * the one that it belongs to) may wait for another application b, whose workers may need a's in turn only if they wait
 * for it. So before it waits, it adds its edge, and then looks whether its own application can be reached from b.
 *
 *   step         order     partner
 *   Y1 add       seq_cst   Y2 of whoever else closes the cycle: an edge is added, then the others are looked at
 *   Y2 look      seq_cst   Y1. Finds its own application: the edge is taken back, and the wait refused
 *   Y3 end       relaxed   a look that still sees the edge refuses a wait that need not have been: see below
 *
 * No cycle is closed unseen. Suppose that all threads of a cycle wait. In the single order of all Y1 and Y2, one of
 * their Y1 is the last; the look after it comes after every Y1 of the cycle, and none of these edges has been taken
 * back since their threads wait. So it finds the whole cycle, and refuses: a contradiction. If two look at the same
 * time, both may refuse. So may a look that meets an edge just before its thread takes it back, or stops waiting: the
 * answer then is true of that moment, and as much as any caller can know.
 *
 * The edges are numbered as the applications' handles are, and all are 0 when nobody waits: whoever has one of these
 * numbers next finds nothing of the one before (A2). A closing thread ends its edge before the number is given back.
 *
 * Rejected: one word in each application, "waits for". Several of its threads may wait, each for another one; and to
 * follow the words, each application on the way would have to be kept from ending. Rejected: only a wait for ever is
 * refused: a deadlock that ends by a time-out is one all the same.
 */
#ifndef WEIR_WORKQUEUE_WAITFOR_H
#define WEIR_WORKQUEUE_WAITFOR_H

#include <stdbool.h>
#include <stdint.h>

struct app;

/* One wait's edges: on the stack of who waits. */
struct waitfor {
    uint32_t count;
    uint32_t from[2], to;
};

/* True: the thread may wait for the application, and says afterwards that it is over. False: it is one of the
 * application's own, or the wait would close a cycle; there is nothing to end, though that does no harm. A wait of no
 * time closes no cycle. */
bool waitfor_begin(const struct app *app, int64_t timeout_ns, struct waitfor *wait);
void waitfor_end(struct waitfor *wait);

#endif
