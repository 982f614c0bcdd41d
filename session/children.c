/* SPDX-License-Identifier: Apache-2.0 */
/* children.c - sessions of sessions: cancel and close reach them, and their parent waits for them (S11)
 *
 * A child counts in its parent's LIVE like an operation, from its opening (G1: if the parent was shut before, there is
 * no child) to its end, when its close callback has returned. So the parent is there as long as its child is, and
 * completes after it.
 *
 * There is no list of children: the table of sessions is walked, and each session that names this one as its parent is
 * visited. Sessions are few, and only one that has had a child walks. The walk is a job (session_ask): a caller pays
 * for it as little as for a sweep.
 *
 *   cancel   K4 in each child, a sweep there, and the same for its own children
 *   close    each child is closed with the parent's times, and with the reason PARENT; or APPLICATION_CLOSED, if that
 *            is why the parent is closed. It drains as long as the parent does. Its own policy may be shorter
 *
 *   step        order     partner
 *   Z1 child    acq_rel   Z2: it is published, then the parent's word is read and written; shut: the opener closes it
 *   Z2 walk     acq_rel   Z1: after G2, or after the visit (G3) of who shortened the parent's times. Both are read-
 *                         modify-writes of the parent's word: the walker finds the child, or the opener finds the
 *                         close, with its times
 *
 * Rejected: a lock-free list of children, from which they would have to be removed from the middle. Rejected: walking
 * on the caller's thread.
 */
#include "session/close.h"

/* ---- folding ---- */

static uint32_t reason_for_children(const struct session *s)
{
    uint64_t word = atomic_load_explicit(&s->cancel.word, memory_order_acquire);       /* K1 */
    return cancel_reason(word) == WEIR_REASON_APPLICATION_CLOSED ? WEIR_REASON_APPLICATION_CLOSED : WEIR_REASON_PARENT;
}

void session_fold_slow(struct session *s, struct session *parent)
{
    session_fold(parent);
    latency_inherit(s, parent);
    (void)cancel_fold(&s->cancel, &parent->cancel, reason_for_children(parent));
}

/* Is there something to be folded, here or above? */
static bool is_behind(const struct session *s)
{
    const struct session *parent = atomic_load_explicit(&s->parent, memory_order_relaxed);      /* as in session_fold */
    if (parent == NULL)
        return false;
    /* relaxed, both: what the caller was told of is there; a mistake costs a visit */
    uint32_t now = cancel_epoch(atomic_load_explicit(&parent->cancel.word, memory_order_relaxed));
    uint64_t own = atomic_load_explicit(&s->cancel.word, memory_order_relaxed);
    return cancel_seen(own) != (now & CANCEL_SEEN) || is_behind(parent);
}

/* A fold into a stranger, whose slot it is by now, would cancel his operations. */
void session_fold_visiting(struct session *s, uint64_t handle)
{
    if (!is_behind(s) || session_visit(&s->slot, handle) != WEIR_OK)
        return;
    session_fold(s);
    session_out(s, 1);
}

/* ---- opening and ending ---- */

weir_status child_enter(struct session *s, uint64_t handle)
{
    struct session *parent = session_at(s->all, handle);
    if (parent == NULL)
        return WEIR_STALE;
    atomic_store_explicit(&parent->has_children, 1, memory_order_relaxed);  /* G1 releases it; in vain if that fails */
    weir_status status = session_enter(&parent->slot, handle, 2);
    if (status != WEIR_OK)
        return status;
    session_fold(parent);
    cancel_adopt(&s->cancel, &parent->cancel);
    /* relaxed, both: the session's word publishes them */
    atomic_store_explicit(&s->parent_handle, handle, memory_order_relaxed);
    atomic_store_explicit(&s->parent, parent, memory_order_relaxed);
    return WEIR_OK;
}

static struct close_terms terms_for_children(struct session *s)
{
    struct close_terms terms = close_at_once(s->all->app, reason_for_children(s));
    uint64_t word = atomic_load_explicit(&s->slot.word, memory_order_acquire);         /* G4 */
    if (session_phase(word) == SESSION_DRAINING)
        terms.drain_at = policy_drain_at(&s->policy);
    /* relaxed: O7, Z2 */
    bool abandons = atomic_load_explicit(&s->abandons, memory_order_relaxed) != 0;
    terms.abandon_at = abandons ? terms.now : policy_at(&s->policy.abandon_at);
    terms.report_at = policy_at(&s->policy.report_at);
    terms.lends = atomic_load_explicit(&s->lend, memory_order_relaxed) != 0;           /* as above */
    return terms;
}

void child_opened(struct session *parent, struct session *s, uint64_t handle)
{
    uint64_t word = atomic_fetch_or_explicit(&parent->slot.word, 0, memory_order_acq_rel);              /* Z1 */
    if (session_is_shut(word)) {
        struct close_terms terms = terms_for_children(parent);
        (void)session_close_as(s, handle, &terms);
    }
    session_out(parent, 1);
}

void child_end(struct session *parent)
{
    if (parent != NULL)
        session_out(parent, 1);
}

/* ---- walking ---- */

static bool is_child(const struct session *s, uint64_t parent)
{
    return atomic_load_explicit(&s->parent_handle, memory_order_relaxed) == parent;    /* once more after the visit */
}

/* The next child at or after a place in the table; the caller is inside then. NULL: there is none. */
static struct session *next_child(struct session *s, uint32_t *place)
{
    for (struct session *child; (child = (struct session *)slots_at(&s->all->table, *place)) != NULL; (*place)++) {
        uint64_t word = atomic_load_explicit(&child->slot.word, memory_order_acquire);  /* Z2 */
        if (slot_word_is_free(word) || !is_child(child, s->handle))
            continue;
        uint64_t handle = session_named(slot_word_generation(word));
        if (session_visit(&child->slot, handle) != WEIR_OK)
            continue;
        if (is_child(child, s->handle)) {
            (*place)++;
            return child;
        }
        session_out(child, 1);
    }
    return NULL;
}

void children_cancel(struct session *s)
{
    struct session *child;
    for (uint32_t place = 0; (child = next_child(s, &place)) != NULL;) {
        session_fold(child);                                   /* or a start has done it already */
        session_ask_sweep(child);
        if (atomic_load_explicit(&child->has_children, memory_order_relaxed) != 0)     /* G1, by the visit */
            session_ask(child, DRIVE_CANCEL_CHILDREN);
        session_out(child, 1);
    }
}

void children_close(struct session *s)
{
    struct session *child;
    struct close_terms terms = terms_for_children(s);
    for (uint32_t place = 0; (child = next_child(s, &place)) != NULL;) {
        (void)session_close_as(child, child->handle, &terms);
        session_out(child, 1);
    }
}
