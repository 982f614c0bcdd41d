/* SPDX-License-Identifier: Apache-2.0 */
/* pins.h - who is inside which application: for each thread a row of counts that it alone writes
 *
 * A pin announces itself and then looks at a word that says whether it is let in; whoever shuts writes
 * that word and then looks who is inside. The word is the caller's (registry.c), the counts are here:
 *
 *      caller                                    closer
 *      P1  count += 1           relaxed          P3  the word         the closer's own
 *      M1  light                                 M1  heavy
 *      P2  look at the word     the caller's     P4  look at each count  acquire, until it reads 0
 *      inside, if let in; else out again
 *      P5  count -= 1           release          after P4: nobody is inside whom P3 turns away
 *
 * M1 (asymmetric.h): P2 sees P3, or P4 sees P1. So if a P2 is still let in, P4 reads that P1's value or
 * a later one of the same count. Now a count that reads 0 has had as many P5 as P1 up to that value, and
 * each P5 follows its own P1; so every P1 up to there has had its P5, that successful pin's too. And P5
 * is a release, of the thread that alone writes the count, or else of a read-modify-write that the later
 * ones pass on; so P4's 0 happens after all that was done under the pin. Without M1 P2 could be let in
 * and P4 read 0: store buffering, and the application would be freed under the call.
 *   - The counts need not be read at one moment: the argument holds for each by itself, because a pin
 *     goes out at the count where it came in.
 *   - Who is refused at P2 has been counted for a moment. That delays a closer, to P5, three
 *     instructions away.
 *   - A row that is not in use yet is not looked at: its bit is set before its first P1, and seen with it.
 *
 * Whose row. A thread takes one at its first pin (T1, a compare-and-swap of the row's thread) and never
 * gives it back: nothing is told of a thread's end, since what is told could be called after the library
 * was unloaded. Who finds none left asks the kernel which of their threads are gone, and takes such a
 * one's (T2: by a read-modify-write of each count, which sees what that thread did last, and passes it
 * on to P4). If more than 56 threads that have pinned are alive, the others share eight rows, and count
 * by read-modify-writes. All of it is static: no memory, no lock, nothing to be freed.
 *
 *   step          order     partner
 *   T1 take       relaxed   T1: one of two. What is in the row is its thread's; see T2
 *   T2 inherit    acq_rel   P5 of the thread that is gone, and P4
 *
 * Fork. Rows belong to threads that a child does not have. pins_begin_anew(), before the child's first
 * application is there, makes all rows free and every thread look for one again.
 *
 * P4 waits for calls, which are short unless their thread is preempted: first it spins, then it yields,
 * then it sleeps 0.1 ms at a time, since a yield is no help to a caller of lower real-time priority. P5
 * wakes nobody: that would cost each unpin a look.
 *
 * Rejected: eight counts to an application, which threads share, with seq_cst on both sides: two
 * read-modify-writes a call, and a start took 59 ns instead of 56. Rejected: a list of threads with a
 * destructor that takes them out of it: hidden state that matters (A2). Rejected: hazard pointers and
 * epochs: the same list.
 */
#ifndef CORE_PINS_H
#define CORE_PINS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    PINS_ROWS = 64,
    PINS_SHARED_ROWS = 8,                           /* for threads that have none of their own */
};

/* One stay. Lives on the stack of one call; not to be copied. */
struct pin {
    _Atomic uint32_t *count;
    bool shared;                                    /* the count is other threads' as well */
};

/* P1 and M1. P2 is due next. */
void pin_enter(struct pin *pin, uint32_t app);

/* P5. */
void pin_leave(struct pin *pin);

/* M1 and P4, after P3. False: the deadline came first. */
bool pins_wait_until_none(uint32_t app, int64_t deadline_ns);

/* In a child of fork, while nobody pins: who is inside is a thread of another process. But for applications of that
 * process, a set of them: this thread may be inside one, and goes out some day. */
void pins_begin_anew(uint64_t forked);

#endif
