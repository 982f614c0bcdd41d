/* SPDX-License-Identifier: Apache-2.0 */
/* policy.h - how a close goes on, as data: what is due when (S8, S9, S10)
 *
 *      close ----- drain_at ------------ abandon_at
 *        | work runs  | cancelled, finals     | whatever still waits for work, tokens, acknowledgements
 *        | to its end | are delivered         | or handles is abandoned
 *        report_at, and then each time ten times later: the log says what is missing
 *
 * Times are absolute, on the application's clock; WEIR_FOREVER never comes. A later close can only shorten: each time
 * becomes the earlier of the two. Since every time is a word of its own and only ever gets smaller, closers need no
 * agreement but the minimum, by compare-and-swap; whoever made one earlier sets the session's timer again. All of
 * them are inside the session (session_word.h G2, G3), which is what publishes the words to the timer and to the
 * sweeps.
 */
#ifndef SESSION_POLICY_H
#define SESSION_POLICY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/clock.h"
#include "session/session_word.h"

struct policy {
    _Atomic int64_t drain_at, abandon_at, report_at;           /* A */
};

#define POLICY_REPORT_FIRST_NS INT64_C(1000000000)

/* Ends work at once, waits for ever after, reports after a second. */
static inline void policy_init(struct policy *p, int64_t now)
{
    /* relaxed, here and below: nothing else travels by these words */
    atomic_store_explicit(&p->drain_at, now, memory_order_relaxed);
    atomic_store_explicit(&p->abandon_at, WEIR_FOREVER, memory_order_relaxed);
    atomic_store_explicit(&p->report_at, time_add(now, POLICY_REPORT_FIRST_NS), memory_order_relaxed);
}

static inline int64_t policy_at(const _Atomic int64_t *time)
{
    return atomic_load_explicit(time, memory_order_relaxed);
}

/* True: it became earlier. */
static inline bool policy_shorten(_Atomic int64_t *time, int64_t to)
{
    int64_t old = policy_at(time);
    while (to < old)
        if (atomic_compare_exchange_weak_explicit(time, &old, to, memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

/* The next of the reports: ten times as long after the close as this one was. */
static inline void policy_report_again(struct policy *p, int64_t closed_at, int64_t now)
{
    int64_t waited = now > closed_at ? now - closed_at : 1;
    int64_t next = waited > WEIR_FOREVER / 10 ? WEIR_FOREVER : time_add(closed_at, waited * 10);
    atomic_store_explicit(&p->report_at, next, memory_order_relaxed);
}

enum policy_due { POLICY_CANCEL = 1, POLICY_ABANDON = 2, POLICY_REPORT = 4 };

/* What is due: a set of enum policy_due. Abandoning comes after cancelling, whatever the times say. */
static inline uint32_t policy_due(const struct policy *p, enum session_phase phase, int64_t now)
{
    uint32_t due = 0;
    if (phase == SESSION_DRAINING && policy_at(&p->drain_at) <= now)
        due |= POLICY_CANCEL;
    if (phase > SESSION_DRAINING && phase < SESSION_CLOSED && policy_at(&p->abandon_at) <= now)
        due |= POLICY_ABANDON;
    if (phase < SESSION_CLOSED && policy_at(&p->report_at) <= now)
        due |= POLICY_REPORT;
    return due;
}

/* When to ask again, if nothing is due now. */
static inline int64_t policy_next(const struct policy *p, enum session_phase phase)
{
    int64_t next = policy_at(&p->report_at);
    int64_t step = phase == SESSION_DRAINING ? policy_at(&p->drain_at) : policy_at(&p->abandon_at);
    return step < next ? step : next;
}

#endif
