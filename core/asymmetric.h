/* SPDX-License-Identifier: Apache-2.0 */
/* asymmetric.h - a full barrier between two sides, of which only the rare one pays
 *
 * Two threads, each of which writes its own word and then reads the other's, need a full barrier
 * between the two steps, or both may read the old value (store buffering). Where one side runs
 * millions of times and the other once in a while, the hot one need not pay:
 *
 *      hot side                                  rare side
 *        write x (relaxed)                         write y (relaxed)
 *        asymmetric_light()                        asymmetric_heavy()
 *        read y (relaxed)                          read x (relaxed)
 *
 * M1: at least one side reads what the other wrote. And if x was read new, or y was, the reader
 * also sees what its writer wrote before. Without the pair both may miss each other.
 *
 * With membarrier(2), light is a compiler barrier; heavy makes the kernel run a full barrier on
 * every processor that runs a thread of this process, and returns afterwards. Each hot side is then
 * either before that barrier, and its write is visible to the rare side's read, or after it, and
 * its read sees the rare side's write. Some microseconds per call.
 *
 * Without membarrier (an old kernel, a seccomp filter) both sides do a read-modify-write of one
 * shared word. One of the two comes second in that word's modification order, reads what the first
 * left, and so synchronises with it: the same M1, at the price of a shared cache line on the hot
 * side.
 *
 * Rejected: atomic_thread_fence(seq_cst) on both sides, which costs the hot one some 20 cycles, and
 * which ThreadSanitizer does not model. ThreadSanitizer does not know membarrier either: so M1 is
 * for atomic words, and must not be what makes plain data safe to read.
 *
 * Every side calls asymmetric_init() before its first light or heavy, directly or through a call
 * that happens before (opening the application). It decides once per process which of the two ways
 * it is, and that never changes. The registration is the kernel's, for the whole process; a child
 * inherits it.
 */
#ifndef CORE_ASYMMETRIC_H
#define CORE_ASYMMETRIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { ASYMMETRIC_UNDECIDED = 0, ASYMMETRIC_MEMBARRIER = 1, ASYMMETRIC_SHARED_WORD = 2 };

extern _Atomic uint32_t asymmetric_way;  /* A: written once, by whoever initialises first */
extern _Atomic uint32_t asymmetric_word; /* A: the shared word of the second way */

/* Idempotent, any thread, any number of times. True: the hot side is free. */
bool asymmetric_init(void);

void asymmetric_heavy(void);

static inline void asymmetric_light(void)
{
    /* relaxed: this thread's asymmetric_init() came before, and the value never changes after it */
    if (atomic_load_explicit(&asymmetric_way, memory_order_relaxed) == ASYMMETRIC_MEMBARRIER)
        atomic_signal_fence(memory_order_seq_cst); /* M1, the other end is the kernel's barrier */
    else /* acq_rel: M1, the other end is the same step of heavy */
        (void)atomic_fetch_add_explicit(&asymmetric_word, 1, memory_order_acq_rel);
}

#endif
