/* SPDX-License-Identifier: Apache-2.0 */
/* close.c - how a session is closed, cancelled as a whole, and completed
 *
 *   step             order     partner
 *   O4 closed due    seq_cst   closed_due, of one writer; who takes it away, a job or the control thread, sees all that
 *                              was done for the session; then the node is looked at: N1, N2 of node.h
 *   O7 drive         seq_cst   bits are set, then N1; the job does N2, then takes them: at least one sees the other
 *
 * A close is driven by whoever finds something due: closers, later ones too, and the session's timer (alarm.c). Cancel-
 * ling is so short that each does it himself: K1, then G4; whose G4 it was asks for the sweep. An operation is accepted
 * by nobody any more then, so that one sweep acts on every operation, whatever epoch a slower driver raises after it.
 * Abandoning (abandon.c) and reports are done by a job, or by the control thread when no worker has come (session_ask).
 */
#include "session/close.h"
#include "session/report.h"

#include "core/verify.h"

/* ---- completion ---- */

void session_call_closed(struct session *s)
{
    if (atomic_exchange_explicit(&s->closed_due, 0, memory_order_seq_cst) == 0)         /* O4 */
        return;
    weir_report report = { .size = sizeof(report) };
    report_complete(s, &report);
    s->closed(&report, s->closed_ctx);
    session_end(s);
}

/* One job for all that is due at once: what that is, the session's words say. What comes from here on pushes it again,
 * for another worker. */
void due_run(weir_job *job, weir_status status)
{
    struct session *s = job->ctx;
    uint32_t generation;
    (void)status;
    if (node_pop(&s->due, &generation) == NODE_LAST) {
        session_release_slot(s);                               /* others were faster */
        return;
    }
    session_drive(s);
    (void)session_sweep(s, session_named(generation));
    session_call_closed(s);
}

void session_complete(struct session *s)
{
    latency_complete(s);
    if (s->closed == NULL) {
        weir_report report = { .size = sizeof(report) };
        report_complete(s, &report);                           /* for its checks */
        session_end(s);
        return;
    }
    struct sessions *all = s->all;
    uint32_t generation = handle_generation(s->handle);
    atomic_store_explicit(&s->closed_due, 1, memory_order_seq_cst);                     /* O4: now it may end */
    session_push_due(s, generation);
    rescue_later(all, s, ATTENTION_CLOSED);
    session_call_helpers(s);
}

void session_out(struct session *s, uint32_t count)
{
    if (session_leave(&s->slot, count))
        session_complete(s);
}

/* ---- cancelling ---- */

static void ask_children(struct session *s, uint32_t what)
{
    /* relaxed: of who has returned from opening one the caller knows, and of who has entered before G2 (children.c) */
    if (atomic_load_explicit(&s->has_children, memory_order_relaxed) != 0)
        session_ask(s, what);
}

void session_cancel_all(struct session *s, uint32_t reason)
{
    latency_raise(s, clock_now(&s->all->app->clock), false);
    cancel_raise(&s->cancel, reason);
    session_ask_sweep(s);
    ask_children(s, DRIVE_CANCEL_CHILDREN);
}

/* K1 before G4: who finds the phase later than DRAINING knows that everything is cancelled. */
static void cancel_what_drains(struct session *s, uint32_t reason, int64_t now)
{
    if (session_phase_now(&s->slot) != SESSION_DRAINING)
        return;
    latency_raise(s, now, true);
    cancel_raise(&s->cancel, reason);
    if (session_advance(&s->slot, SESSION_CANCELLING)) {
        session_ask_sweep(s);
        ask_children(s, DRIVE_CLOSE_CHILDREN);
    }
}

/* ---- what is due ---- */

void session_ask(struct session *s, uint32_t what)
{
    (void)session_visit(&s->slot, s->handle);                  /* a place for who does it; the caller is inside */
    if (atomic_fetch_or_explicit(&s->drive, what, memory_order_seq_cst) != 0) {         /* O7 */
        session_out(s, 1);
        return;
    }
    session_push_due(s, handle_generation(s->handle));
    rescue_later(s->all, s, ATTENTION_DRIVE);
}

void session_drive(struct session *s)
{
    uint32_t what = atomic_exchange_explicit(&s->drive, 0, memory_order_seq_cst);       /* O7 */
    if (what == 0)
        return;
    if ((what & DRIVE_CANCEL_CHILDREN) != 0)
        children_cancel(s);
    if ((what & DRIVE_CLOSE_CHILDREN) != 0)
        children_close(s);
    if ((what & DRIVE_ABANDON) != 0)
        session_abandon(s);
    if ((what & DRIVE_REPORT) != 0)
        report_log(s);
    session_out(s, 1);
}

/* Of whoever let it drain for less. */
static uint32_t reason_of_drain(const struct policy *p)
{
    return policy_at(&p->drain_at) <= policy_at(&p->parent_drain_at) ? WEIR_REASON_SESSION_CLOSED : WEIR_REASON_PARENT;
}

void close_see_to(struct session *s, int64_t now)
{
    for (uint32_t due; (due = policy_take_due(&s->policy, session_phase_now(&s->slot), now)) != 0;) {
        if ((due & POLICY_CANCEL) != 0)
            cancel_what_drains(s, reason_of_drain(&s->policy), now);
        if ((due & POLICY_ABANDON) != 0) {
            atomic_store_explicit(&s->abandons, 1, memory_order_relaxed);              /* O7 publishes it: X2 */
            session_ask(s, DRIVE_ABANDON);
            ask_children(s, DRIVE_CLOSE_CHILDREN);             /* a walk may just have found the time taken */
        }
        if ((due & POLICY_REPORT) != 0)
            session_ask(s, DRIVE_REPORT);
    }
}

/* ---- closing ---- */

struct close_terms close_at_once(const struct app *app, uint32_t reason)
{
    int64_t now = clock_now(&app->clock);
    return (struct close_terms){
        .now = now, .drain_at = now, .abandon_at = WEIR_FOREVER, .report_at = time_add(now, POLICY_REPORT_FIRST_NS),
        .reason = reason,
    };
}

static void agree(struct session *s, const struct close_terms *terms)
{
    (void)policy_shorten(&s->policy.closed_at, terms->now);
    bool by_parent = terms->reason == WEIR_REASON_PARENT;
    (void)policy_shorten(by_parent ? &s->policy.parent_drain_at : &s->policy.drain_at, terms->drain_at);
    (void)policy_shorten(&s->policy.abandon_at, terms->abandon_at);
    (void)policy_shorten(&s->policy.report_at, terms->report_at);
    if (terms->lends) {
        atomic_store_explicit(&s->lend, 1, memory_order_seq_cst);      /* O6 of wait.c: before it is looked at here */
        session_call_helpers(s);
    }
}

/* The caller is inside. */
static void go_on(struct session *s, const struct close_terms *terms)
{
    bool at_once = time_is_over(terms->drain_at, terms->now);
    agree(s, terms);
    if (at_once)
        cancel_what_drains(s, terms->reason, terms->now);
    close_see_to(s, terms->now);
    ask_children(s, DRIVE_CLOSE_CHILDREN);                     /* and whose times are shorter now */
    if (!at_once || terms->abandon_at != WEIR_FOREVER || clock_is_manual(&s->all->app->clock))
        alarm_wish(s);                                         /* else there is only the report: rescue.c sees to it */
}

weir_status session_close_as(struct session *s, uint64_t handle, const struct close_terms *terms)
{
    weir_status status = session_shut_gate(&s->slot, handle);
    if (status == WEIR_CLOSING) {
        if (session_visit(&s->slot, handle) != WEIR_OK)
            return session_is_gone(&s->slot, handle) ? WEIR_STALE : WEIR_CLOSING;
    } else if (status != WEIR_OK)
        return status;
    else {
        s->closed = terms->closed;
        s->closed_ctx = terms->ctx;
    }
    go_on(s, terms);
    session_out(s, 1);
    return status;
}

/* ---- the calls ---- */

static weir_status close_handle(struct session_ref *ref, uint64_t handle, const struct close_terms *terms)
{
    weir_status status = session_close_as(ref->session, handle, terms);
    app_leave(&ref->app);
    return status;
}

weir_status weir_session_close(weir_session session, weir_closed_fn *closed, void *ctx)
{
    struct session_ref ref;
    weir_status status = session_find(session.bits, &ref);
    if (status != WEIR_OK)
        return status;
    struct close_terms terms = close_at_once(ref.app.app, WEIR_REASON_SESSION_CLOSED);
    terms.closed = closed;
    terms.ctx = ctx;
    return close_handle(&ref, session.bits, &terms);
}

static bool terms_are_valid(const weir_close_options *o)
{
    return o != NULL && o->size >= sizeof(*o) && o->drain_ns >= 0 && o->grace_ns >= 0 && o->report_ns >= 0;
}

weir_status weir_session_close_with(weir_session session, const weir_close_options *o)
{
    struct session_ref ref;
    if (!terms_are_valid(o))
        return registry_misuse(session.bits, WEIR_INVALID);
    weir_status status = session_find(session.bits, &ref);
    if (status != WEIR_OK)
        return status;
    struct close_terms terms = close_at_once(ref.app.app, WEIR_REASON_SESSION_CLOSED);
    terms.drain_at = time_add(terms.now, o->drain_ns);
    if (o->abandon)
        terms.abandon_at = time_add(terms.drain_at, o->grace_ns);
    if (o->report_ns != 0)
        terms.report_at = time_add(terms.now, o->report_ns);
    terms.lends = o->lend;
    terms.closed = o->closed;
    terms.ctx = o->ctx;
    return close_handle(&ref, session.bits, &terms);
}

weir_status weir_session_cancel(weir_session session, weir_reason reason)
{
    struct session_ref ref;
    if (!reason_is_a_callers(reason))
        return registry_misuse(session.bits, WEIR_INVALID);
    weir_status status = session_find(session.bits, &ref);
    if (status != WEIR_OK)
        return status;
    status = session_visit(&ref.session->slot, session.bits);
    if (status == WEIR_OK) {
        session_cancel_all(ref.session, reason);
        session_out(ref.session, 1);
    }
    app_leave(&ref.app);
    return status;
}
