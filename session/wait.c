/* SPDX-License-Identifier: Apache-2.0 */
/* wait.c - weir_session_wait: who waits holds the session's slot, where the report is, beyond its end; and lends itself
 *
 *   step             order     partner
 *   O3 hold          acquire   holders, from another number than 0: the count down (acq_rel) of who held the slot
 *                              before; what they read of the last owner is read. 0: the session is over, and so is
 *                              everything that ran for it (E7)
 *   O6 help          seq_cst   waiters: raised, then the session's words are looked at; who has marked something there
 *                              looks at waiters. At least one sees the other. lend: written by the close, which then
 *                              asks for a sweep, and so wakes who found it off. Each wake-up is a post of ended, whose
 *                              value the waiter read before it looked (event.h)
 *
 * A thread that lends itself (R5) does what ends its session: sweeps, hooks, finals, drops, the close callback. Not
 * before the session is being cancelled; and never work functions, after which its time-out would mean nothing. When
 * there is nothing to do it sleeps. It is a guest of the application only while it does something, so that a hundred
 * threads may wait, and eight of them help. A wait that does not wait (time-out 0) does not help.
 *
 * Rejected: guests look for any job of the application; they came for this session. Rejected: leaving the jobs out that
 * bring workers along, since somebody helps: who waits may be slow, or leave, and a worker that comes in vain is cheap.
 */
#include "session/look.h"
#include "session/report.h"

#include "core/verify.h"
#include "session/sweep_word.h"
#include "workqueue/waitfor.h"

bool session_hold(struct session *s)
{
    uint32_t holders = atomic_load_explicit(&s->holders, memory_order_acquire);         /* O3: also if it is 0 (E7) */
    do
        if (holders == 0)
            return false;
    while (!atomic_compare_exchange_weak_explicit(&s->holders, &holders, holders + 1, memory_order_acquire, /* O3 */
                                                  memory_order_acquire));              /* O3 */
    return true;
}

/* ---- helping ---- */

void session_call_helpers(struct session *s)
{
    if (atomic_load_explicit(&s->lend, memory_order_seq_cst) != 0                       /* O6 */
        && atomic_load_explicit(&s->waiters, memory_order_seq_cst) != 0)                /* O6 */
        event_post(&s->ended);
}

static bool has_marks(struct session *s)
{
    for (uint32_t lane = 0; lane < SESSION_LANES; lane++)
        if (session_lane(s, lane) != NULL && roster_has_ready(&session_lane(s, lane)->roster))
            return true;
    return false;
}

static bool may_help(struct session *s)
{
    return atomic_load_explicit(&s->lend, memory_order_seq_cst) != 0                    /* O6 */
        && session_phase_now(&s->slot) >= SESSION_CANCELLING;
}

static bool is_due(struct session *s)
{
    return atomic_load_explicit(&s->closed_due, memory_order_seq_cst) != 0              /* O4, O6 */
        || sweep_is_due(atomic_load_explicit(&s->sweep, memory_order_seq_cst))          /* O5, O6 */
        || has_marks(s);
}

/* On a thread of the application. The slot is held. */
static void do_what_is_due(struct session *s, uint64_t handle)
{
    struct chunk c;
    (void)session_sweep(s, handle);
    if (has_marks(s) && session_visit(&s->slot, handle) == WEIR_OK) {
        chunk_begin(&c, s);
        look_at_all(&c);
        chunk_end(&c);
    }
    session_call_closed(s);
}

/* Nothing is done if eight threads help already, or this one has lent itself to another application. */
static void help(struct session *s, uint64_t handle)
{
    struct worker *guest = app_guest_begin(s->all->app);
    if (guest == NULL)
        return;
    {
        bool returned __attribute__((cleanup(worker_verify_returned))) = false;        /* R10 */
        do_what_is_due(s, handle);
        weir_verify(!registry_is_forked(&s->all->app->place), "a callback forked, and returned in the child as well");
        returned = true;                                       /* NOLINT: read by its cleanup */
    }
    app_guest_end(guest);
}

/* ---- waiting ---- */

static weir_status wait_for_end(struct session *s, uint64_t handle, int64_t deadline)
{
    for (bool in_time = true;;) {
        uint32_t seen = event_value(&s->ended);
        if (session_is_gone(&s->slot, handle))
            return WEIR_OK;
        if (!in_time)
            return WEIR_TIMED_OUT;
        if (may_help(s) && is_due(s))
            help(s, handle);
        in_time = event_wait(&s->ended, seen, deadline);
    }
}

/* The slot is held: after the end it keeps the report until this thread has read it. */
static weir_status wait_held(struct session_ref *ref, uint64_t handle, int64_t timeout_ns, weir_report *report)
{
    struct session *s = ref->session;
    struct waitfor wait;
    weir_status status = WEIR_TIMED_OUT;
    if (timeout_ns > 0) {
        if (!waitfor_begin(ref->app.app, timeout_ns, &wait))
            return registry_misuse(handle, WEIR_WOULD_DEADLOCK);
        atomic_fetch_add_explicit(&s->waiters, 1, memory_order_seq_cst);                /* O6 */
        status = wait_for_end(s, handle, time_add(clock_monotonic(), timeout_ns));
        atomic_fetch_sub_explicit(&s->waiters, 1, memory_order_relaxed);     /* one post too many is no harm */
        waitfor_end(&wait);
    }
    if (report != NULL)
        report_fill(s, report);
    return status;
}

weir_status weir_session_wait(weir_session session, int64_t timeout_ns, weir_report *report)
{
    struct session_ref ref;
    if (report != NULL && !report_is_sound(report))
        return registry_misuse(session.bits, WEIR_INVALID);
    weir_status status = session_find_held(session.bits, &ref);
    if (status != WEIR_OK)
        return status;
    status = wait_held(&ref, session.bits, timeout_ns, report);
    session_release_slot(ref.session);
    app_leave(&ref.app);
    return status;
}
