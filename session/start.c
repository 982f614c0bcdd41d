/* SPDX-License-Identifier: Apache-2.0 */
/* start.c - weir_op_start: everything that can fail, then one store that publishes (T1)
 *
 *   what is taken                   refused by                       given back, in reverse, if a later one is refused
 *   to be inside the session (G1)   CLOSED, STALE                    session_out
 *   a place, if there is a limit    LIMIT                            session_give_places
 *   a record (extra.h)              NO_MEMORY                        extra_unmake
 *   a place in the caller's queue   FULL, CLOSED, STALE, SHUTDOWN    foreign_unreserve
 *   a slot                          NO_MEMORY, LIMIT                 roster_give
 *   its group's timer (expiry.h)    NO_MEMORY                        (it stays the group's)
 *   a stream, if results are kept   NO_MEMORY
 *
 * Nothing of this is seen by anybody before T1, and nothing after T1 can fail.
 */
#include "session/expiry.h"
#include "session/foreign.h"

static const weir_op_options defaults = { .size = sizeof(defaults) };

/* What a start is told, and what it has taken so far. */
struct start {
    struct session *s;
    struct sessions *all;                                      /* of its application; s may be another's later */
    uint64_t session;                                          /* its handle, as the caller has it */
    const weir_kind *kind;
    void *ctx;
    const weir_op_options *options;
    const void *site;
    int64_t timeout_ns;
    int64_t given;                                             /* the deadline that the session gives; FOREVER: none */
    uint32_t epoch, lane, traits;
    struct op_extra *extra;                                    /* NULL: it needs none */
    struct expiry *expiry;                                     /* its group's, if the session gives a deadline */
    struct group *group;
    struct op *op;
    uint32_t index;
    uint64_t value;                                            /* the operation's */
};

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

static uint32_t traits_from(const weir_kind *kind, bool elsewhere, bool idle)
{
    uint32_t traits = kind->window != 0 ? kind->window : 1;
    traits |= manual(kind) ? (uint32_t)OP_MANUAL : 0;
    traits |= (kind->flags & WEIR_DISCARD_ON_CANCEL) != 0 ? (uint32_t)OP_DISCARDS : 0;
    traits |= elsewhere ? (uint32_t)OP_FOREIGN : 0;
    traits |= idle ? (uint32_t)OP_IDLE : 0;
    return traits | (kind->drop != NULL ? (uint32_t)OP_DROPS : 0);
}

/* ---- what is taken ---- */

/* By the session's default. */
static void give_deadline(struct start *st)
{
    if (st->timeout_ns != WEIR_FOREVER)
        st->given = time_add(clock_now(&st->all->app->clock), st->timeout_ns);
    st->timeout_ns = WEIR_FOREVER;
}

/* Where it runs, and how long. */
static weir_status place(struct start *st)
{
    const weir_queue queue = st->options->queue;
    st->timeout_ns = st->options->timeout_ns != 0 ? st->options->timeout_ns : st->s->timeout_ns;
    bool idle = st->timeout_ns != WEIR_FOREVER && (st->kind->flags & WEIR_IDLE_TIMEOUT) != 0;
    bool elsewhere = queue.bits != 0 && !queue_is_lane(queue);
    if (st->options->timeout_ns == 0 && !idle && !elsewhere)   /* else it has a record of its own */
        give_deadline(st);
    st->traits = traits_from(st->kind, elsewhere, idle);
    st->lane = st->options->lane != WEIR_NORMAL ? st->options->lane
             : (st->kind->flags & WEIR_BLOCKS) != 0 ? WEIR_BLOCKING : WEIR_NORMAL;
    if (queue.bits == 0)
        return WEIR_OK;
    const struct app *app = st->all->app;
    if (!handle_is_plausible(queue.bits, HANDLE_QUEUE) || handle_app(queue.bits) != app->place.index)
        return registry_misuse(st->session, WEIR_INVALID);
    if (elsewhere)
        return WEIR_OK;
    st->lane = handle_slot(queue.bits);
    return handle_generation(queue.bits) == app->place.generation ? WEIR_OK : WEIR_STALE;
}

static weir_status take_record(struct start *st)
{
    bool elsewhere = (st->traits & OP_FOREIGN) != 0;
    uint32_t has = (st->timeout_ns != WEIR_FOREVER ? (uint32_t)EXTRA_TIMER : 0)
                 | ((st->traits & OP_IDLE) != 0 ? (uint32_t)EXTRA_IDLE : 0) | (elsewhere ? (uint32_t)EXTRA_JOB : 0);
    if (has == 0)
        return WEIR_OK;
    struct op_extra *extra = extra_make(st->all, has);
    if (extra == NULL)
        return WEIR_NO_MEMORY;
    if (elsewhere) {
        weir_status status = foreign_reserve(extra_foreign(extra), st->options->queue);
        if (status != WEIR_OK) {
            extra_unmake(st->all, extra);
            return status;
        }
        st->lane = foreign_lane(extra_foreign(extra));         /* there its results are delivered */
    }
    st->extra = extra;
    return WEIR_OK;
}

static void give_record(struct start *st)
{
    if ((st->traits & OP_FOREIGN) != 0)
        foreign_unreserve(extra_foreign(st->extra));
    extra_unmake(st->all, st->extra);
}

static void fill(struct start *st)
{
    struct op *op = st->op;
    /* relaxed, all: T1 publishes them; atomics for readers with an old handle */
    atomic_store_explicit(&op->kind, st->kind, memory_order_relaxed);
    atomic_store_explicit(&op->tag, st->options->tag, memory_order_relaxed);
    atomic_store_explicit(&op->traits, st->traits, memory_order_relaxed);
    op->ctx = st->ctx;
    atomic_store_explicit(&op->epoch, st->epoch, memory_order_relaxed);
    atomic_store_explicit(&op->beside, st->given != WEIR_FOREVER ? op_beside_deadline(st->given)
                                                                 : op_beside_extra(st->extra), memory_order_relaxed);
    atomic_store_explicit(&op->site, st->site, memory_order_relaxed);
    atomic_store_explicit(&op->started_ms, clock_coarse_ms(&st->all->app->clock), memory_order_relaxed);
}

/* Results that are fetched, or acknowledged by number, outlive their delivery, the final too: so there is room for them
 * from the start, when that can still be refused. */
static bool take_stream(struct start *st)
{
    if (st->kind->on_result != NULL && !manual(st->kind))
        return true;
    struct op_cold *cold = slots_cold(&st->all->ops, st->index);
    cold_begin(st->op, cold);
    if (manual(st->kind))
        ack_begin(&cold->ack, handle_generation(st->value));
    return stream_of(&st->all->app->memory, st->op, cold) != NULL;
}

static weir_status take_slot(struct start *st)
{
    struct sessions *all = st->all;
    weir_status status = session_need_lane(st->s, st->lane);
    if (status != WEIR_OK || (status = roster_take(&session_lane(st->s, st->lane)->roster, &st->index)) != WEIR_OK)
        return status;
    st->group = group_of(&all->ops, st->index);
    st->op = group_op(st->group, st->index % GROUP_SLOTS);
    uint64_t word = atomic_load_explicit(&st->op->slot.word, memory_order_relaxed);     /* ours */
    st->value = handle_make(HANDLE_OP, all->app->place.index, st->index, slot_word_generation(word));
    fill(st);
    if (st->given != WEIR_FOREVER)
        st->expiry = expiry_need(all, st->index);
    if ((st->given == WEIR_FOREVER || st->expiry != NULL) && take_stream(st))
        return WEIR_OK;
    roster_give(&all->ops, st->group, group_bit(st->index));
    return WEIR_NO_MEMORY;
}

/* ---- from T1 on ----
 * The operation may end at once, and the session with it; what is touched is type-stable, and compared by generation: a
 * mark that comes late marks nothing. The record is held by the starter. */

/* A session's worker has to look. */
static void wake(struct start *st)
{
    struct session_lane *lane = session_lane(st->s, st->lane);
    session_push(st->all->app, &lane->node, handle_generation(st->session), &lane->job);
}

/* The sweep may have been here before T1. True: it was, and the final is the session's workers'. */
static bool cancel_if_swept(struct start *st)
{
    struct op_change change;
    uint32_t reason = cancel_applies(&st->s->cancel, st->epoch);
    if (reason != 0)
        latency_stamp_all(st->s, st->op);
    return reason != 0 && op_move_at(&st->op->slot, st->value, op_cancel, reason, &change) == WEIR_OK;
}

/* C7: every worker may be stuck, and what the sweep asked for may have been done before. */
static void rescue(struct start *st)
{
    rescue_later(st->all, st->s, ATTENTION_LOOK);
}

static void hand_to_session(struct start *st)
{
    roster_mark(st->group, group_bit(st->index));                                       /* K3, with the sweep */
    if (st->extra != NULL)
        deadline_published(st->all, st->extra);
    if (st->given != WEIR_FOREVER)
        expiry_expect(st->all, st->expiry, st->given);
    bool swept = cancel_if_swept(st);
    wake(st);
    if (swept)
        rescue(st);
}

/* Nobody of the session has to look yet; K3 is the ready map's read-modify-write all the same. */
static void hand_to_queue(struct start *st)
{
    (void)atomic_fetch_or_explicit(&st->group->leaf[ROSTER_READY], 0, memory_order_acq_rel);               /* K3 */
    foreign_send_first(extra_foreign(st->extra));
    deadline_published(st->all, st->extra);
    if (cancel_if_swept(st)) {
        roster_mark(st->group, group_bit(st->index));
        wake(st);
        rescue(st);
    }
}

static weir_status take_all(struct start *st)
{
    weir_status status = place(st);
    if (status != WEIR_OK || (status = take_record(st)) != WEIR_OK)
        return status;
    status = take_slot(st);
    if (status != WEIR_OK && st->extra != NULL)
        give_record(st);
    return status;
}

static weir_status start(struct start *st, weir_op *out)
{
    if (!session_take_place(st->s))
        return WEIR_LIMIT;
    weir_status status = take_all(st);
    if (status != WEIR_OK) {
        session_give_places(st->s, 1);
        return status;
    }
    if (out != NULL)
        out->bits = st->value;
    if (st->extra != NULL) {
        st->extra->handle = st->value;
        if (st->timeout_ns != WEIR_FOREVER)
            deadline_arm(st->all, st->extra, st->timeout_ns);
    }
    op_publish(&st->op->slot, out != NULL, st->kind->on_result == NULL);                /* T1, E1 */
    ((st->traits & OP_FOREIGN) != 0 ? hand_to_queue : hand_to_session)(st);
    return WEIR_OK;
}

weir_status weir_op_start(weir_session session, const weir_kind *kind, void *ctx, const weir_op_options *options,
                          weir_op *out)
{
    struct session_ref ref;
    options = options != NULL ? options : &defaults;
    weir_status status = check(kind, options, out);
    if (status != WEIR_OK)
        return registry_misuse(session.bits, status);
    if ((status = session_find(session.bits, &ref)) != WEIR_OK)
        return status;
    session_fold_from_outside(ref.session, session.bits);
    struct start st = {
        .s = ref.session, .all = sessions_of(ref.app.app), .session = session.bits,
        .kind = kind, .ctx = ctx, .options = options,
        .site = __builtin_return_address(0),                   /* S10: where the caller is */
        .given = WEIR_FOREVER,
        .epoch = cancel_now(&ref.session->cancel),             /* before G1: see session_word.h C6 */
    };
    if ((status = session_enter(&st.s->slot, session.bits, 1)) == WEIR_OK && (status = start(&st, out)) != WEIR_OK)
        session_out(st.s, 1);
    if (status != WEIR_OK && status != WEIR_STALE)
        stats_refuse(sessions_of(ref.app.app), st.s, session.bits);
    app_leave(&ref.app);
    return status;
}
