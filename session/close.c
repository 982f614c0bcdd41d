/* SPDX-License-Identifier: Apache-2.0 */
/* close.c - how a session is closed, cancelled as a whole, and completed
 *
 *   step             order     partner
 *   O4 closed due    seq_cst   closed_due, of one writer; who takes it away, a job or the control thread, sees all that
 *                              was done for the session; then the node is looked at: N1, N2 of node.h
 */
#include "session/report.h"
#include "session/session.h"

#include "core/verify.h"

/* ---- completion ---- */

void session_call_closed(struct session *s)
{
    if (atomic_exchange_explicit(&s->closed_due, 0, memory_order_seq_cst) == 0)         /* O4 */
        return;
    s->closed(&s->report, s->closed_ctx);
    session_end(s);
}

void closed_run(weir_job *job, weir_status status)
{
    struct session *s = job->ctx;
    uint32_t generation;
    (void)status;
    if (node_pop(&s->closed_node, &generation) == NODE_LAST)
        session_release_slot(s);                               /* the control thread was faster */
    else
        session_call_closed(s);
}

void session_complete(struct session *s)
{
    s->report = (weir_report){ .size = sizeof(weir_report) };
    report_complete(s, &s->report);
    if (s->closed == NULL) {
        session_end(s);
        return;
    }
    struct sessions *all = s->all;
    uint32_t generation = handle_generation(s->handle);
    atomic_store_explicit(&s->closed_due, 1, memory_order_seq_cst);                     /* O4: now it may end */
    if (node_schedule(&s->closed_node, generation))
        app_push(all->app, WEIR_HIGH, &s->closed_job);
    rescue_later(all, s, ATTENTION_CLOSED);
    session_call_helpers(s);
}

void session_out(struct session *s, uint32_t count)
{
    if (session_leave(&s->slot, count))
        session_complete(s);
}

/* ---- closing and cancelling ---- */

void session_cancel_all(struct session *s, uint32_t reason)
{
    cancel_raise(&s->cancel, reason);
    session_ask_sweep(s);
}

/* K1 before G4, by whoever finds it not cancelled yet: once a close has returned, the epoch is raised (S8). */
static void cancel_for_close(struct session *s, uint32_t reason)
{
    /* acquire: G4 of who was faster, with its K1 */
    if (session_phase(atomic_load_explicit(&s->slot.word, memory_order_acquire)) < SESSION_CANCELLING)
        cancel_raise(&s->cancel, reason);
    if (session_advance(&s->slot, SESSION_CANCELLING))
        session_ask_sweep(s);
}

weir_status session_close_as(struct session *s, uint64_t handle, weir_closed_fn *closed, void *ctx, uint32_t reason)
{
    weir_status status = session_shut_gate(&s->slot, handle);
    if (status == WEIR_CLOSING) {
        if (session_visit(&s->slot, handle) != WEIR_OK)
            return slot_word_matches(atomic_load_explicit(&s->slot.word, memory_order_acquire), handle) /* G6 */
                 ? WEIR_CLOSING : WEIR_STALE;
    } else if (status != WEIR_OK)
        return status;
    else {
        s->closed = closed;
        s->closed_ctx = ctx;
    }
    cancel_for_close(s, reason);
    session_out(s, 1);
    return status;
}

weir_status weir_session_close(weir_session session, weir_closed_fn *closed, void *ctx)
{
    struct session_ref ref;
    weir_status status = session_find(session.bits, &ref);
    if (status != WEIR_OK)
        return status;
    status = session_close_as(ref.session, session.bits, closed, ctx, WEIR_REASON_SESSION_CLOSED);
    app_leave(&ref.app);
    return status;
}

weir_status weir_session_cancel(weir_session session, weir_reason reason)
{
    struct session_ref ref;
    if (reason != WEIR_REASON_USER && reason < WEIR_REASON_OWN)
        return WEIR_INVALID;
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
