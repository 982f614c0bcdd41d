/* SPDX-License-Identifier: Apache-2.0
 *
 * counter.h - counts what the library does to memory, in a build of it with -fsanitize=thread, whose run-time this is
 *
 * Counted on a thread between counter_begin() and counter_end(), which is one call: read-modify-writes, the distinct
 * cache lines written and those only read, and the futex calls that wake somebody. Not counted: the thread's own stack
 * and its thread-local words, which are always in its cache; code; and what the C library touches for itself.
 */
#ifndef WEIR_BENCH_COUNTER_H
#define WEIR_BENCH_COUNTER_H

#include <stdint.h>

struct counts {
    uint64_t calls, rmw, written, read, wakes;
};

void counter_begin(void);
void counter_end(void);

/** counter_take - what the calling thread has counted since the last time */
struct counts counter_take(void);

#endif
