/* SPDX-License-Identifier: Apache-2.0 */
/* event.c - event.h over Concurrency Kit's event count, the only place that knows Concurrency Kit
 *
 * What is used: ck_ec32 in multiple-producer mode. Its word is a flag, bit 31, and a count. A
 * waiter raises the flag with a CAS before it sleeps; a post adds 1 and, if the flag was there,
 * clears it and wakes everybody. The header's essay is the best text there is on event counts.
 *
 * What is avoided, and why (version 0.7.1, which is what distributions carry):
 *   - Single-producer mode rests on an argument about the time a store may stay in a buffer.
 *   - ck_ec32_inc() is inline assembly of its own on x86; ck_ec32_add(..., 1) goes through ck_pr.h,
 *     which the shadow replaces, so that sanitizers and the schedule explorer see the post.
 *   - Its sleeps are slices of 2, 16 and 128 ms and 1 s before the real deadline counts, and a
 *     slice is not cut at the deadline: 20 ms become 128. Only single-producer mode needs slices.
 *     So sleep_on_word() ignores the slice and takes the real deadline, which comes as data.
 *   - ck_ec64: the kernel compares half of its word anyway, and mixed sizes are hard on tools.
 *   - Waking one: ck_ec cannot. Workers park on a parker each, see parker.h.
 *
 * The slow half of ck_ec is compiled into libck, so no sanitizer sees it. ThreadSanitizer needs
 * nothing: no promise travels through the word. The schedule explorer links core/shadow/ck_ec.c,
 * which takes the same steps upon the same word, in place of it, as it does for the kernel's futex.
 *
 * Rejected: an event count of our own. It is 40 lines, and would spare a post its second touch of
 * the word; but sleeping and waking are where such code goes wrong, and this one has been tested
 * for years.
 */
#include "core/event.h"

#include <assert.h>
#include <stddef.h>
#include <time.h>

#include <ck_ec.h>
#include <weir/status.h>

#include "core/futex.h"

enum { NS_PER_S = 1000000000, SPINS_BEFORE_SLEEP = 32 };

static_assert(sizeof(struct event) == sizeof(struct ck_ec32), "an event is one ck_ec32");

/* The same four bytes; the object's type is uint32_t on both sides. */
static struct ck_ec32 *ec_of(const struct event *e)
{
    return (struct ck_ec32 *)(uintptr_t)&e->counter;
}

static _Atomic uint32_t *futex_of(const uint32_t *counter)
{
    return (_Atomic uint32_t *)(uintptr_t)counter;
}

static int read_clock(const struct ck_ec_ops *ops, struct timespec *out)
{
    (void)ops;
    return clock_gettime(CLOCK_MONOTONIC, out);
}

/* data is event_wait()'s deadline; slice is ck_ec's and shorter or longer than that */
static void sleep_on_word(const struct ck_ec_wait_state *state, const uint32_t *counter,
                          uint32_t expected, const struct timespec *slice)
{
    (void)slice;
    const int64_t *deadline_ns = state->data;
    (void)futex_wait(futex_of(counter), expected, *deadline_ns);
}

static void wake_all(const struct ck_ec_ops *ops, const uint32_t *counter)
{
    (void)ops;
    (void)futex_wake(futex_of(counter), FUTEX_WAKE_ALL);
}

static const struct ck_ec_ops event_ops = {
    .gettime = read_clock,
    .wait32 = sleep_on_word,
    .wake32 = wake_all,
    .busy_loop_iter = SPINS_BEFORE_SLEEP,
};

static const struct ck_ec_mode event_mode = {.ops = &event_ops, .single_producer = false};

static struct timespec deadline_to_timespec(int64_t deadline_ns)
{
    int64_t ns = deadline_ns > 0 ? deadline_ns : 0;
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

uint32_t event_value(const struct event *e)
{
    return ck_ec32_value(ec_of(e)); /* acquire: V2, the other end is V1 */
}

void event_post(struct event *e)
{
    (void)ck_ec32_add(ec_of(e), &event_mode, 1); /* release: V1, the other end is V2 */
}

bool event_wait(struct event *e, uint32_t seen, int64_t deadline_ns)
{
    struct timespec deadline = deadline_to_timespec(deadline_ns);
    const struct timespec *until = deadline_ns == WEIR_FOREVER ? NULL : &deadline;
    /* acquire: V3, the other end is V1 */
    return ck_ec32_wait_pred(ec_of(e), &event_mode, seen, NULL, &deadline_ns, until) == 0;
}
