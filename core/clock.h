/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - the monotonic clock of one application, in nanoseconds
 *
 * An all-zero struct means CLOCK_MONOTONIC. A test puts its own function there and steps it, so
 * that timers and deadlines are tested without waiting (contract Q7). The hook must be thread-safe,
 * must not go backwards and must not call weir.
 *
 * With a manual clock nobody sleeps until a deadline, since the kernel would count real time. Who
 * sleeps then passes WEIR_FOREVER to the parker or the event and is woken by whoever steps the
 * clock:
 *
 *      parker_park(&worker->parker, clock_sleep_until(&app->clock, deadline));
 *
 * Deadlines are absolute, timeouts relative; WEIR_FOREVER is both. One clock read costs 20 to 30
 * ns: stamp requests and batches, never each operation.
 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/status.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CLOCK_TICKS_BY_CLOCK
#endif
#elif defined(__SANITIZE_THREAD__)
#define CLOCK_TICKS_BY_CLOCK
#endif

struct clock {
    int64_t (*now)(void *ctx);                                 /* I; NULL: CLOCK_MONOTONIC */
    void *ctx;                                                 /* I */
};

/* CLOCK_MONOTONIC, in nanoseconds; what every deadline handed to the kernel is measured by. */
int64_t clock_monotonic(void);

/* The same to the kernel's tick, a few milliseconds: for stamps that every operation gets, at 4 ns each. */
int64_t clock_monotonic_coarse(void);

/* The processor's own count of time, at an even rate that the reader has to find out. A clock read costs as much as a
 * wake-up may when the kernel's page for it is cold; this costs 5 ns always. For guesses: no promise leans on it. Where
 * every step must be repeatable (the schedule explorer) it is the clock. */
static inline uint64_t clock_ticks(void)
{
#if defined(__x86_64__) && !defined(CLOCK_TICKS_BY_CLOCK)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__) && !defined(CLOCK_TICKS_BY_CLOCK)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return (uint64_t)clock_monotonic();
#endif
}

static inline bool clock_is_manual(const struct clock *c)
{
    return c->now != NULL;
}

static inline int64_t clock_now(const struct clock *c)
{
    return clock_is_manual(c) ? c->now(c->ctx) : clock_monotonic();
}

/* Milliseconds, from some time on; after 49 days they begin again. Differences hold. */
static inline uint32_t clock_coarse_ms(const struct clock *c)
{
    return (uint32_t)((clock_is_manual(c) ? c->now(c->ctx) : clock_monotonic_coarse()) / 1000000);
}

/* The deadline to sleep with: the given one, or none if real time does not lead there. */
static inline int64_t clock_sleep_until(const struct clock *c, int64_t deadline_ns)
{
    return clock_is_manual(c) ? WEIR_FOREVER : deadline_ns;
}

/* now + delta, which sticks at WEIR_FOREVER: for ever plus or minus anything is still for ever, and
 * so is a sum too large for the type. A sum too small sticks at INT64_MIN, which is long past. */
static inline int64_t time_add(int64_t now_ns, int64_t delta_ns)
{
    if (now_ns == WEIR_FOREVER || delta_ns == WEIR_FOREVER)
        return WEIR_FOREVER;
    if (delta_ns > 0 && now_ns > INT64_MAX - delta_ns)
        return WEIR_FOREVER;
    if (delta_ns < 0 && now_ns < INT64_MIN - delta_ns)
        return INT64_MIN;
    return now_ns + delta_ns;
}

/* Has the deadline come? WEIR_FOREVER never does. */
static inline bool time_is_over(int64_t deadline_ns, int64_t now_ns)
{
    return deadline_ns != WEIR_FOREVER && now_ns >= deadline_ns;
}

#endif
