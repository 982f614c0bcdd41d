/* SPDX-License-Identifier: Apache-2.0
 *
 * usage.h - what do the other threads of this process use?
 */
#ifndef WEIR_BENCH_USAGE_H
#define WEIR_BENCH_USAGE_H

#include <stdint.h>

struct usage {
    int64_t cpu_ns;            /* processor time */
    long wakeups;              /* voluntary context switches, from /proc/self/task/TID/status */
};

/** usage_of_others - of all threads of the process but the calling one, since they were started */
struct usage usage_of_others(void);

#endif
