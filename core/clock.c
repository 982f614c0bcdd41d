/* SPDX-License-Identifier: Apache-2.0 */
/* clock.c - the one place that asks the system what time it is */
#include "core/clock.h"

#include <time.h>

#include "core/verify.h"

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    int err = clock_gettime(clock, &now);
    weir_assert(err == 0); /* fails for a clock that does not exist or a bad address only */
    (void)err;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_monotonic(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_monotonic_coarse(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}
