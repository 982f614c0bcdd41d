/* SPDX-License-Identifier: Apache-2.0 */
/* policy.h - how a close goes on, as data: what is due when (S8, S9, S10)
 *
 *      close ----- drain_at ------------ abandon_at
 *        | work runs  | cancelled, finals     | whatever still waits for work, tokens, acknowledgements
 *        | to its end | are delivered         | or handles is abandoned
 *        report_at, and then each time ten times later: the log says what is missing
 *
 * Times are absolute, on the application's clock; WEIR_FOREVER never comes, and is what every time is at first. A close
 * only shortens: each time becomes the earlier of the two; so does the first one. Since every time is a word of its own
 * and only ever gets smaller, closers need no agreement but the minimum, by compare-and-swap; whoever made one earlier
 * has the session's timer look again (alarm.c). All of them are inside the session (session_word.h G2, G3).
 *
 * How long work may go on is told by two words: one for closes of this session, one for those of its parent, since the
 * cancel in the end has another reason (S11). Abandoning and each report are due once: who takes a time that has come
 * puts the next one in its place, or WEIR_FOREVER, by the same compare-and-swap.
 */
#ifndef SESSION_POLICY_H
#define SESSION_POLICY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/clock.h"
#include "session/session_word.h"

struct policy {
    _Atomic int64_t drain_at, parent_drain_at, abandon_at, report_at;  /* A */
    _Atomic int64_t closed_at;                                 /* A: when the first close came */
};

#define POLICY_REPORT_FIRST_NS INT64_C(1000000000)

/* Nothing is ever due. */
static inline void policy_init(struct policy *p)
{
    _Atomic int64_t *times[] = { &p->drain_at, &p->parent_drain_at, &p->abandon_at, &p->report_at, &p->closed_at };
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        atomic_store_explicit(times[i], WEIR_FOREVER, memory_order_relaxed);   /* the session's word publishes them */
}

/* relaxed, here and below: nothing else travels by these words */
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

/* Until when work goes on. */
static inline int64_t policy_drain_at(const struct policy *p)
{
    int64_t own = policy_at(&p->drain_at), parent = policy_at(&p->parent_drain_at);
    return own < parent ? own : parent;
}

/* True: it has come, and this caller is the one who sees to it; then is in its place. */
static inline bool policy_take(_Atomic int64_t *time, int64_t now, int64_t then)
{
    int64_t old = policy_at(time);
    while (time_is_over(old, now))
        if (atomic_compare_exchange_weak_explicit(time, &old, then, memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

/* The next of the reports: ten times as long after the close as this one is. */
static inline int64_t policy_report_after(const struct policy *p, int64_t now)
{
    int64_t closed_at = policy_at(&p->closed_at);
    int64_t waited = now > closed_at ? now - closed_at : 1;
    return waited > WEIR_FOREVER / 10 ? WEIR_FOREVER : time_add(closed_at, waited * 10);
}

enum policy_due { POLICY_CANCEL = 1, POLICY_ABANDON = 2, POLICY_REPORT = 4 };

/* What is due, and the caller's to see to: a set of enum policy_due. Abandoning comes after cancelling, whatever the
 * times say; a cancel is due until the phase has gone on. */
static inline uint32_t policy_take_due(struct policy *p, enum session_phase phase, int64_t now)
{
    uint32_t due = 0;
    if (phase == SESSION_DRAINING && time_is_over(policy_drain_at(p), now))
        due |= POLICY_CANCEL;
    if (phase > SESSION_DRAINING && phase < SESSION_CLOSED && policy_take(&p->abandon_at, now, WEIR_FOREVER))
        due |= POLICY_ABANDON;
    if (phase < SESSION_CLOSED && policy_take(&p->report_at, now, policy_report_after(p, now)))
        due |= POLICY_REPORT;
    return due;
}

/* When to ask again, if nothing is due now. */
static inline int64_t policy_next(const struct policy *p, enum session_phase phase)
{
    int64_t next = policy_at(&p->report_at);
    int64_t step = phase == SESSION_DRAINING ? policy_drain_at(p) : policy_at(&p->abandon_at);
    return step < next ? step : next;
}

#endif
