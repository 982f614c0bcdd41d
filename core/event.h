/* SPDX-License-Identifier: Apache-2.0 */
/* event.h - broadcast: any number of threads wait for the next post, and all of them wake
 *
 *      poster                                  waiter
 *        publish x (its own release or RMW)      seen = event_value(e)           V2
 *        event_post(e)             V1            look at x: what it waits for is there: done
 *                                                event_wait(e, seen, deadline); again from the top
 *
 *   step       by           order    why this order is enough
 *   V1 post    any thread   release  what was published before is visible to who sees the new count
 *   V2 value   any waiter   acquire  V1, other end; without it the look at x could read an old x
 *                                    under a new count, and the wait would then sleep through it
 *   V3 wait    any waiter   acquire  a change that it reports is V1's, as in V2
 *
 * Why no wake-up is lost: either V2 reads the count after V1, and then the look sees x; or before
 * it, and then the wait meets a count other than seen, or raises its flag in the count's word
 * before V1 does its addition there. Both are read-modify-writes of one word, so V1 finds the flag,
 * and wakes.
 *
 * An event says "something changed", never what: no promise of the library travels through it. Both
 * sides use their own atomic words for that, which is also what ThreadSanitizer and readers see.
 *
 * Price: a post is one read-modify-write, and a system call only if somebody sleeps. Whoever posts
 * on a hot path keeps a WAITER bit in his own word, and posts only when it is set.
 *
 * Lifetime: a post that finds a sleeper touches the word once more after the count has changed. So
 * the memory outlives every post's return, not only its effect: events live in slots, which stay,
 * and in applications, whose close waits for whoever is inside. For the same reason initialise an
 * event once for its memory, not once for each life: the count simply goes on.
 *
 * The count has 31 bits. To be fooled, a waiter would have to stand still between V2 and V3 for
 * exactly 2^31 posts, no more and no fewer: minutes at the highest rate that there is.
 */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

struct event {
    uint32_t counter;                                          /* A, through event.c only */
};

/* Zero bytes are an initialised event, too. Nobody else may know the event yet. */
static inline void event_init(struct event *e)
{
    e->counter = 0;
}

/* V2: read this before looking at what is waited for. */
uint32_t event_value(const struct event *e);

/* V3: true when the count differs from seen, at once or after sleeping; false when CLOCK_MONOTONIC
 * has reached the deadline (WEIR_FOREVER: never). Look again in both cases. */
bool event_wait(struct event *e, uint32_t seen, int64_t deadline_ns);

/* V1: every waiter that read the count before wakes. */
void event_post(struct event *e);

#endif
