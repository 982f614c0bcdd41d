/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_STRESS_H
#define WEIR_TESTS_STRESS_H

/* stress.h - for how long, and with what numbers
 *
 * A stress test does rounds until its time is over, WEIR_TEST_SECONDS or 5. Time decides how many
 * rounds there are, never whether one passes: each is accounted for exactly. The seed is printed. */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "tests/support/support.h"

static inline int64_t stress_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct stress {
    int64_t end;
    uint64_t random;
    uint64_t rounds;
};

/* of: how many such loops share the test's time. */
static inline struct stress stress_begin(int of)
{
    const char *seconds = getenv("WEIR_TEST_SECONDS");
    int64_t length = (seconds != NULL && atoi(seconds) > 0 ? atoi(seconds) : 5) * INT64_C(1000000000);
    return (struct stress){.end = stress_now() + length / of, .random = test_seed()};
}

static inline bool stress_goes_on(struct stress *stress)
{
    stress->rounds++;
    return stress_now() < stress->end;
}

static inline uint32_t stress_below(struct stress *stress, uint32_t bound)
{
    return (uint32_t)(test_random(&stress->random) >> 32) % bound;
}

#endif
