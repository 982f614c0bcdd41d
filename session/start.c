/* SPDX-License-Identifier: Apache-2.0 */
/* start.c - weir_op_start: everything that can fail, then one store that publishes (T1) */
#include "session/look.h"

static const weir_op_options defaults = { .size = sizeof(defaults) };

static weir_status check(const weir_kind *kind, const weir_op_options *options, const weir_op *out)
{
    if (kind == NULL || kind->size < sizeof(*kind) || kind->work == NULL || kind->window > WEIR_WINDOW_MAX)
        return WEIR_INVALID;
    if (options->size < sizeof(*options) || options->lane > WEIR_BLOCKING || options->timeout_ns < 0)
        return WEIR_INVALID;
    return kind->on_result == NULL && out == NULL ? WEIR_INVALID : WEIR_OK;
}

static bool manual(const weir_kind *kind)
{
    return (kind->flags & WEIR_MANUAL_ACK) != 0 && kind->on_result != NULL;
}

static uint32_t traits_from(const weir_kind *kind)
{
    uint32_t traits = kind->window != 0 ? kind->window : 1;
    traits |= manual(kind) ? (uint32_t)OP_MANUAL : 0;
    traits |= (kind->flags & WEIR_DISCARD_ON_CANCEL) != 0 ? (uint32_t)OP_DISCARDS : 0;
    return traits | (kind->drop != NULL ? (uint32_t)OP_DROPS : 0);
}

static void fill(struct op *op, const weir_kind *kind, void *ctx, const weir_op_options *options, uint32_t epoch,
                 struct op_extra *extra, const void *site, uint32_t now_ms)
{
    /* relaxed, all: T1 publishes them; atomics for readers with an old handle */
    atomic_store_explicit(&op->kind, kind, memory_order_relaxed);
    atomic_store_explicit(&op->tag, options->tag, memory_order_relaxed);
    atomic_store_explicit(&op->traits, traits_from(kind), memory_order_relaxed);
    op->ctx = ctx;
    atomic_store_explicit(&op->epoch, epoch, memory_order_relaxed);
    op->extra = extra;
    atomic_store_explicit(&op->site, site, memory_order_relaxed);
    atomic_store_explicit(&op->started_ms, now_ms, memory_order_relaxed);
}

/* Results that are fetched, or acknowledged by number, outlive their delivery, the final too: so there is room for them
 * from the start, when that can still be refused. */
static bool make_stream(struct session *s, struct op *op, struct op_cold *cold)
{
    cold_begin(op, cold);
    return stream_of(&s->all->app->memory, op, cold) != NULL;
}

/* The caller is inside the session for the new operation. From T1 on that may end, and the session with it; what is
 * touched afterwards is type-stable, and compared by generation: a mark that comes late marks nothing. */
static weir_status start(struct session *s, uint64_t session, uint32_t lane, const weir_kind *kind, void *ctx,
                         const weir_op_options *options, uint32_t epoch, const void *site, weir_op *out)
{
    uint32_t index;
    struct app *app = s->all->app;
    struct op_extra *extra = NULL;
    int64_t timeout_ns = options->timeout_ns != 0 ? options->timeout_ns : s->timeout_ns;
    if (timeout_ns != WEIR_FOREVER && (extra = deadline_make(s->all)) == NULL)
        return WEIR_NO_MEMORY;
    weir_status status = roster_take(&s->lanes[lane].roster, &index);
    if (status != WEIR_OK) {
        deadline_unmake(extra);
        return status;
    }
    struct group *group = group_of(&s->all->ops, index);
    struct op *op = group_op(group, index % GROUP_SLOTS);
    fill(op, kind, ctx, options, epoch, extra, site, clock_coarse_ms(&app->clock));
    uint32_t generation = slot_word_generation(atomic_load_explicit(&op->slot.word, memory_order_relaxed)); /* ours */
    uint64_t value = handle_make(HANDLE_OP, s->all->app->place.index, index, generation);
    struct op_cold *cold = slots_cold(&s->all->ops, index);
    bool keeps = kind->on_result == NULL || manual(kind);
    if (keeps && !make_stream(s, op, cold)) {
        roster_give(&s->all->ops, group, group_bit(index));
        deadline_unmake(extra);
        return WEIR_NO_MEMORY;
    }
    if (manual(kind))
        ack_begin(&cold->ack, generation);
    if (out != NULL)
        out->bits = value;
    if (extra != NULL)
        deadline_arm(extra, value, timeout_ns);
    op_publish(&op->slot, out != NULL, kind->on_result == NULL);                        /* T1, E1 */
    roster_mark(group, group_bit(index));                                               /* K3, with the sweep */
    if (extra != NULL)
        deadline_published(extra);
    uint32_t reason = cancel_applies(&s->cancel, epoch);
    struct op_change change;
    if (reason != 0) {                                         /* the sweep may have been here before T1 */
        latency_stamp_all(s, op);
        (void)op_move_at(&op->slot, value, op_cancel, reason, &change);
    }
    if (node_schedule(&s->lanes[lane].node, handle_generation(session)))
        app_push(app, lane, &s->lanes[lane].job);
    return WEIR_OK;
}

weir_status weir_op_start(weir_session session, const weir_kind *kind, void *ctx, const weir_op_options *options,
                          weir_op *out)
{
    struct session_ref ref;
    options = options != NULL ? options : &defaults;
    weir_status status = check(kind, options, out);
    if (status != WEIR_OK || (status = session_find(session.bits, &ref)) != WEIR_OK)
        return status;
    struct session *s = ref.session;
    uint32_t epoch = cancel_now(&s->cancel);                   /* before G1: see session_word.h C6 */
    /* relaxed: fixed from the session's opening on, and if the handle is not this session's, G1 fails */
    uint32_t live_max = atomic_load_explicit(&s->live_max, memory_order_relaxed);
    status = session_enter(&s->slot, session.bits, 1, live_max);
    if (status == WEIR_OK) {
        uint32_t lane = options->lane != WEIR_NORMAL ? options->lane
                      : (kind->flags & WEIR_BLOCKS) != 0 ? WEIR_BLOCKING : WEIR_NORMAL;
        const void *site = __builtin_return_address(0);        /* S10: where the caller is */
        status = start(s, session.bits, lane, kind, ctx, options, epoch, site, out);
        if (status != WEIR_OK)
            session_out(s, 1);
    }
    if (status != WEIR_OK && status != WEIR_STALE)
        stats_refuse(sessions_of(ref.app.app), s, session.bits);
    app_leave(&ref.app);
    return status;
}
