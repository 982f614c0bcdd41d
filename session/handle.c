/* SPDX-License-Identifier: Apache-2.0 */
/* handle.c - what the holder of an operation's handle may do: cancel, acknowledge, close, ask for the session */
#include "session/close.h"
#include "session/look.h"

/* A token's call kept the close from abandoning the operation: it looks once more (X2 of abandon.c). */
static void abandon_again(struct op_ref *ref, uint64_t handle)
{
    struct session *s = session_at(ref->all, handle);
    /* relaxed: X2. Perhaps another session's by now: then the visit, or the walk, is in vain */
    if (s == NULL || atomic_load_explicit(&s->abandons, memory_order_relaxed) == 0
        || session_visit(&s->slot, handle) != WEIR_OK)
        return;
    session_ask(s, DRIVE_ABANDON);
    session_out(s, 1);
}

/* The final is on its way, before the step and after it: who delivers it sees what has changed when he puts the word
 * back (T12), and nobody has a duty before. */
static bool is_being_delivered(const struct op_change *change)
{
    const uint64_t of = OP_PHASE | OP_DELIVERY | OP_PULL | OP_HOLD;
    return (change->old & of) == (OP_DECIDED | OP_DELIVERY) && (change->new & of) == (OP_DECIDED | OP_DELIVERY);
}

void op_follow(struct op_ref *ref, const struct op_change *change)
{
    if (is_being_delivered(change))
        return;
    uint32_t duties = op_duties(change->old, change->new), bit = ref->index % GROUP_SLOTS;
    /* relaxed: the operation has not left yet if there is a duty to leave */
    uint64_t handle = atomic_load_explicit(&ref->group->session, memory_order_relaxed);
    if ((duties & OP_WAKE) != 0)
        event_post(&ref->group->pulled);
    if ((duties & OP_LOOK) != 0) {
        uint32_t steps = op_steps(change->new) & ~op_steps(change->old);
        struct session *s = session_at(ref->all, handle);
        session_mark(ref->group, UINT64_C(1) << bit, ref->all);
        if (s != NULL && (steps & OP_STEP_HOOK) != 0)          /* C7; perhaps another session's by now: no harm */
            rescue_hooks(ref->all, s);
        if (s != NULL && (steps & (OP_STEP_DELIVER | OP_STEP_DROP)) != 0)
            rescue_later(ref->all, s, ATTENTION_LOOK);
    }
    if ((duties & OP_FREED) != 0)
        op_give_slot(ref->all, ref->group, bit, change->new);
    if (op_has(change->old & ~change->new, OP_HOLD))
        abandon_again(ref, handle);
    if ((duties & OP_LEAVE) != 0) {
        struct session *s = session_at(ref->all, handle);
        session_give_places(s, 1);
        session_out(s, 1);
    }
}

/* A newer epoch: the reason goes into the word first (C6). Late or wrong, it finds another generation. */
void op_act_on_epoch(struct op_ref *ref, uint64_t value)
{
    struct op_change change;
    /* relaxed: while the word has not changed, it is the operation's session */
    uint64_t handle = atomic_load_explicit(&ref->group->session, memory_order_relaxed);
    struct session *s = session_at(ref->all, handle);
    /* acquire: T1; the epoch is of this life or the step below is refused */
    if (s == NULL || !slot_word_matches(atomic_load_explicit(&ref->op->slot.word, memory_order_acquire), value))
        return;
    uint32_t reason = cancel_applies(&s->cancel, atomic_load_explicit(&ref->op->epoch, memory_order_relaxed));
    if (reason != 0)
        latency_stamp_all(s, ref->op);
    if (reason != 0 && op_move_at(&ref->op->slot, value, op_cancel, reason, &change) == WEIR_OK)
        op_follow(ref, &change);
}

void op_cancel_named(struct sessions *all, uint64_t handle, uint32_t reason, int64_t since)
{
    struct op_ref ref = { .all = all, .index = handle_slot(handle) };
    struct op_change change;
    ref.op = (struct op *)slots_at(&all->ops, ref.index);
    ref.group = group_of(&all->ops, ref.index);
    op_act_on_epoch(&ref, handle);
    latency_stamp_one(ref.op, handle, since);
    if (op_move_at(&ref.op->slot, handle, op_cancel, reason, &change) == WEIR_OK)
        op_follow(&ref, &change);
}

/* Is it a cancel? Of a pull operation closing is one, too. */
static bool is_a_cancel(const struct op_ref *ref, op_step_fn *step)
{
    /* relaxed: PULL is fixed in this life */
    return step == op_cancel || op_has(atomic_load_explicit(&ref->op->slot.word, memory_order_relaxed), OP_PULL);
}

static weir_status take_step(weir_op op, op_step_fn *step, uint32_t arg)
{
    struct op_ref ref;
    struct op_change change;
    weir_status status = op_find(op.bits, HANDLE_OP, &ref);
    if (status != WEIR_OK)
        return status;
    if (is_a_cancel(&ref, step))
        op_act_on_epoch(&ref, op.bits);
    if (step != op_cancel)
        arg |= traits_of(ref.op);
    if (step == op_cancel && latency_is_wanted(ref.op, op.bits))
        latency_stamp_one(ref.op, op.bits, clock_now(&ref.app.app->clock));
    status = op_move_at(&ref.op->slot, op.bits, step, arg, &change);
    if (status != WEIR_STALE)
        op_follow(&ref, &change);
    app_leave(&ref.app);
    return status;
}

weir_status weir_op_cancel(weir_op op, weir_reason reason)
{
    if (!reason_is_a_callers(reason))
        return registry_misuse(op.bits, WEIR_INVALID);
    return take_step(op, op_cancel, reason);
}

weir_status weir_op_close(weir_op op)
{
    weir_status status = take_step(op, op_close, 0);
    return status == WEIR_STALE ? registry_misuse(op.bits, status) : status;           /* it was closed before */
}

/* A number below the one that was given last, and never acknowledged by one: a cancel has discarded it, or an abandon
 * has acknowledged it, after which nothing is UNACKED. */
static bool is_acked_by_abandon(const struct op_ref *ref, const struct ack *ack, uint64_t number)
{
    uint64_t word = atomic_load_explicit(&ref->op->slot.word, memory_order_acquire);    /* T16 */
    return (int32_t)((uint32_t)number - atomic_load_explicit(&ack->delivered, memory_order_relaxed)) < 0
        && op_phase(word) >= OP_ABANDONED && !op_has(word, OP_UNACKED);                 /* relaxed: N3 was before */
}

weir_status weir_op_ack(weir_op op, uint64_t number)
{
    struct op_ref ref;
    weir_status status = op_find(op.bits, HANDLE_OP, &ref);
    if (status != WEIR_OK)
        return status;
    struct op_cold *cold = slots_cold(&ref.all->ops, ref.index);
    /* acquire: T1; the row is filled in */
    if (!slot_word_matches(atomic_load_explicit(&ref.op->slot.word, memory_order_acquire), op.bits))
        status = WEIR_STALE;
    else if ((traits_of(ref.op) & OP_MANUAL) == 0)
        status = WEIR_INVALID;
    else
        status = ack_win(&cold->ack, op.bits, number);
    if (status == WEIR_INVALID && (traits_of(ref.op) & OP_MANUAL) != 0
        && is_acked_by_abandon(&ref, &cold->ack, number))
        status = WEIR_STALE;
    struct op_change change;
    if (status == WEIR_OK)                                     /* the number is ours: tell the word */
        status = op_move_at(&ref.op->slot, op.bits, op_ack, traits_of(ref.op), &change);
    if (status == WEIR_OK)
        op_follow(&ref, &change);
    if (status == WEIR_INVALID)
        (void)registry_misuse(op.bits, status);
    app_leave(&ref.app);
    return status;
}

weir_status weir_op_session(weir_op op, weir_session *out)
{
    struct op_ref ref;
    if (out == NULL)
        return registry_misuse(op.bits, WEIR_INVALID);
    weir_status status = op_find(op.bits, HANDLE_OP, &ref);
    if (status != WEIR_OK)
        return status;
    /* acquire, both: if the word still matches afterwards, what was read is this life's. One that is out keeps its slot
     * if it was abandoned, and may have outlived its session */
    uint64_t session = atomic_load_explicit(&ref.group->session, memory_order_acquire);
    uint64_t word = atomic_load_explicit(&ref.op->slot.word, memory_order_acquire);
    if (slot_word_matches(word, op.bits) && !op_is_out(word) && session != 0)
        out->bits = session;
    else
        status = WEIR_STALE;
    app_leave(&ref.app);
    return status;
}
