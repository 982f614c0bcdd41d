/* SPDX-License-Identifier: Apache-2.0 */
/* sweep.c - what a cancel of all has decided is carried out: one walk over all operations of a session */
#include "session/look.h"

#include "core/verify.h"

enum { PREFETCH_AHEAD = 12 };

/* The template of finals for a reason, when it is another one than before. */
static void fill_template(struct chunk *c, uint32_t reason)
{
    weir_status status = reason == WEIR_REASON_TIMEOUT ? WEIR_TIMED_OUT : WEIR_CANCELED;
    c->unrun = (weir_result){
        .number = 1, .status = status, .reason = (weir_reason)reason, .message = weir_status_text(status),
    };
}

/* value: the operation's, without its generation. */
static void sweep_op(struct chunk *c, struct group *group, uint32_t bit, uint64_t value)
{
    struct op *op = group_op(group, bit);
    uint64_t word = atomic_load_explicit(&op->slot.word, memory_order_acquire);         /* E1 */
    if (slot_word_is_free(word))
        return;
    value |= slot_word_generation(word);
    /* relaxed: of the life that the word is of, or op_move_at finds another one */
    uint32_t reason = cancel_applies(&c->session->cancel, atomic_load_explicit(&op->epoch, memory_order_relaxed));
    uint32_t traits = traits_of(op) & OP_TRAITS;
    struct op_change change;
    if (reason != 0 && op_move_at(&op->slot, value, op_sweep, traits | reason << 24, &change) == WEIR_OK) {
        bool unrun = (traits & (OP_RAN | OP_MANUAL)) == 0 && !slot_word_is_worn(slot_word_next(word));
        if (unrun && op_is_sealed(change.new)) {
            if (reason != c->unrun.reason)
                fill_template(c, reason);
            c->counts.cancelled += reason != WEIR_REASON_TIMEOUT;
            c->counts.timed_out += reason == WEIR_REASON_TIMEOUT;
            deliver_unrun(c, group, bit, value, change.new);
            return;
        }
        uint64_t decided = change.old;
        (void)op_cancel(change.old, reason, &decided);
        deliver(c, group, bit, decided, change.new);
    }
    look_at_once(c, group, bit);
}

static void sweep_group(struct chunk *c, struct group *group)
{
    /* acq_rel: K3, the other end is start: whoever marked before is seen, whoever marks later sees the epoch */
    uint64_t ready = atomic_fetch_or_explicit(&group->leaf[ROSTER_READY], 0, memory_order_acq_rel);
    uint64_t live = ~atomic_load_explicit(&group->leaf[ROSTER_FREE], memory_order_acquire) & ~UINT64_C(1); /* A4 */
    uint64_t first = op_value(c, group, 0, 0).bits;
    chunk_give_slots(c);
    c->group = group;
    for (uint64_t rest = live; rest != 0; rest &= rest - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(rest);
        cache_prefetch_write(group_op(group, bit) + PREFETCH_AHEAD);
        sweep_op(c, group, bit, first + ((uint64_t)bit << HANDLE_SLOT_SHIFT));
    }
    if (ready != 0 && map_done(&group->leaf[ROSTER_READY], ready)) {
        if (look_wants_more(group, ready))
            roster_mark(group, ready);
        else
            roster_empty(group);
    } else if (ready != 0 && look_wants_more(group, ready))
        roster_mark(group, ready);
    chunk_flush(c);
}

void session_sweep(struct session *s)
{
    struct chunk c;
    if (atomic_exchange_explicit(&s->sweeps, 0, memory_order_seq_cst) == 0)             /* O5 */
        return;
    chunk_begin(&c, s);                                        /* in the place that was taken for the sweep */
    for (uint32_t lane = 0; lane < SESSION_LANES; lane++) {
        struct roster *r = &s->lanes[lane].roster;
        uint32_t numbers = roster_groups(r);
        for (uint32_t i = 0; i < numbers; i++) {
            struct group *group = roster_group(r, i);
            if (group != NULL)
                sweep_group(&c, group);
        }
    }
    /* Only CANCELLING ends here: the sweep of a cancel may be at its end between a close's G2 and G4. acquire: G4 */
    if (session_phase(atomic_load_explicit(&s->slot.word, memory_order_acquire)) == SESSION_CANCELLING)
        (void)session_advance(&s->slot, SESSION_WAITING);
    chunk_end(&c);
}

void sweep_run(weir_job *job, weir_status status)
{
    struct session *s = job->ctx;
    uint32_t generation;
    (void)status;
    if (node_pop(&s->sweep_node, &generation) == NODE_LAST)
        session_release_slot(s);
    else
        session_sweep(s);
}
