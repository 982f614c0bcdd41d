/* SPDX-License-Identifier: Apache-2.0 */
/* wait.c - weir_session_wait: who waits holds the session's slot, where the report is, beyond its end
 *
 *   step             order     partner
 *   O3 hold          acquire   holders, from another number than 0: the count down (acq_rel) of who held the slot
 *                              before; what they read of the last owner is read
 */
#include "session/report.h"
#include "session/session.h"

#include "core/verify.h"

/* Another holder of the slot, unless there is none left. */
static bool hold_slot(struct session *s)
{
    uint32_t holders = atomic_load_explicit(&s->holders, memory_order_relaxed);        /* the swap checks it */
    do
        if (holders == 0)
            return false;
    while (!atomic_compare_exchange_weak_explicit(&s->holders, &holders, holders + 1, memory_order_acquire, /* O3 */
                                                  memory_order_relaxed));
    return true;
}

static bool is_gone(struct session *s, uint64_t handle)
{
    /* acquire: G6, E7 */
    return !slot_word_matches(atomic_load_explicit(&s->slot.word, memory_order_acquire), handle);
}

static weir_status wait_for_end(struct session *s, uint64_t handle, int64_t deadline)
{
    for (bool in_time = true;;) {
        uint32_t seen = event_value(&s->ended);
        if (is_gone(s, handle))
            return WEIR_OK;
        if (!in_time)
            return WEIR_TIMED_OUT;
        in_time = event_wait(&s->ended, seen, deadline);
    }
}

/* The slot is held: after the end it keeps the report until this thread has read it. */
static weir_status wait_held(struct session_ref *ref, uint64_t handle, int64_t timeout_ns, weir_report *report)
{
    struct session *s = ref->session;
    if (is_gone(s, handle))
        return WEIR_STALE;
    if (timeout_ns != 0 && worker_must_not_wait(ref->app.app))
        return WEIR_WOULD_DEADLOCK;
    weir_status status = wait_for_end(s, handle, time_add(clock_monotonic(), timeout_ns));
    if (report != NULL)
        report_fill(s, report);
    return status;
}

weir_status weir_session_wait(weir_session session, int64_t timeout_ns, weir_report *report)
{
    struct session_ref ref;
    if (report != NULL && report->size < sizeof(*report))
        return WEIR_INVALID;
    weir_status status = session_find(session.bits, &ref);
    if (status != WEIR_OK)
        return status;
    if (hold_slot(ref.session)) {
        status = wait_held(&ref, session.bits, timeout_ns, report);
        session_release_slot(ref.session);
    } else
        status = WEIR_STALE;
    app_leave(&ref.app);
    return status;
}
