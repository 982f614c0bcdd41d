/* SPDX-License-Identifier: Apache-2.0 */
/* sweep.c - what a cancel of all has decided is carried out: a walk over all operations of a session, shared by whoever
 * comes (sweep_word.h)
 *
 * A share is up to 16 groups of one block, a thousand operations; the first blocks are small. When there is more than
 * its first share, a walker calls another worker, for the finals' callbacks may take any time.
 *
 *   step             order     partner
 *   O5 ask           seq_cst   P1 of sweep_word.h, after K1; then N1. The job does N2, then looks at the word: at least
 *                              one of the two sees the other, and who looks sees every epoch that was raised before
 */
#include "session/look.h"

#include "core/verify.h"
#include "session/sweep_word.h"

static_assert((int)SWEEP_LANES == (int)SESSION_LANES, "sweep_word.h counts the lanes");
static_assert(ROSTER_BLOCKS * BLOCK_GROUPS_MAX == 1 << SWEEP_NUMBER_BITS, "and the groups of one");

enum { PREFETCH_AHEAD = 12, SHARE_GROUPS = 16 };

/* ---- plain finals ---- */

/* The final of what the library has decided, and that has no results and no detail, says only whose it is, and why. All
 * that have the same reason share one. */
static void begin_plains(struct chunk *c, uint32_t reason)
{
    count_plains(c);
    weir_status status = reason == WEIR_REASON_TIMEOUT ? WEIR_TIMED_OUT : WEIR_CANCELED;
    c->plain = (weir_result){
        .number = 1, .status = status, .reason = (weir_reason)reason, .message = weir_status_text(status),
    };
}

void count_plains(struct chunk *c)
{
    if (c->plains == 0)
        return;
    count_finals(c, c->plain.status, true, c->plains);
    latency_plains(c, c->plains);
    c->plains = 0;
}

/* T12 of a final inside of which the handle was not closed. */
static void put_plain(struct chunk *c, struct group *group, struct op *op)
{
    struct op_change change;
    (void)op_move(&op->slot, op_put_final, traits_of(op), &change);
    c->plains++;
    if (op_phase(change.new) == OP_FREE && op_extra(op) != NULL)
        extra_free(c->session->all, op_extra(op));
    chunk_note(c, group, (uint32_t)(op - group_op(group, 0)), change.old, change.new);
}

/* The cold row is not looked at. When the callback returns the word is sealed, unless the handle is open still: then
 * the operation ends with a store (T17). True: it did; the rest of it is still to be given back. */
static inline bool give_plain(struct chunk *c, struct group *group, struct op *op, uint64_t word)
{
    const weir_kind *kind = atomic_load_explicit(&op->kind, memory_order_relaxed);      /* E1 */
    struct op_extra *extra = op_extra(op);
    c->plain.tag = atomic_load_explicit(&op->tag, memory_order_relaxed);                /* E1 */
    struct op_extra *foreign = final_begins(c->all, extra);
    kind->on_result(&c->plain, op->ctx);
    if (kind->gone != NULL)
        kind->gone(op->ctx);
    if (op_has(word, OP_HANDLE))                               /* else it is the same, and a load here takes 3 ns */
        word = atomic_load_explicit(&op->slot.word, memory_order_acquire);              /* T14 */
    if (!op_is_sealed(word) || slot_word_is_worn(slot_word_next(word))) {
        put_plain(c, group, op);
        final_ends(c->all, foreign);
        return false;
    }
    if (extra != NULL)
        extra_free(c->session->all, extra);
    (void)op_retire(&op->slot, word);                                                   /* T17 */
    final_ends(c->all, foreign);
    return true;
}

/* ---- one operation ---- */

/* What a cancel of all means in one group. */
struct decree {
    uint32_t epoch, reason;                                    /* operations of other epochs are cancelled */
    uint64_t first;                                            /* the value of slot 0, without a generation */
};

/* Anything that is not plain: the steps one by one. */
static void sweep_held(struct chunk *c, const struct decree *d, struct group *group, uint32_t bit, uint64_t value)
{
    struct op *op = group_op(group, bit);
    struct op_change change;
    latency_stamp_all(c->session, op);
    if (op_move_at(&op->slot, value, op_sweep, (traits_of(op) & OP_TRAITS) | d->reason << 24, &change) == WEIR_OK) {
        uint64_t decided = change.old;
        (void)op_cancel(change.old, d->reason, &decided);
        deliver(c, group, bit, decided, change.new);
    }
    look_at_once(c, group, bit);
}

/* The step of op_swept. */
static inline bool take_plain(struct op *op, uint64_t word, uint64_t swept)
{
    /* acq_rel: as in op_move; relaxed: then op_move_at looks */
    return swept != 0
        && atomic_compare_exchange_strong_explicit(&op->slot.word, &word, swept, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

/* True: as give_plain. */
static inline bool sweep_op(struct chunk *c, const struct decree *d, struct group *group, uint32_t bit)
{
    struct op *op = group_op(group, bit);
    uint64_t word = atomic_load_explicit(&op->slot.word, memory_order_acquire);         /* E1 */
    if (slot_word_is_free(word))
        return false;
    /* relaxed: of the life that the word is of, or the steps find another one */
    if (atomic_load_explicit(&op->epoch, memory_order_relaxed) == d->epoch) {
        look_at_once(c, group, bit);
        return false;
    }
    uint64_t value = d->first + ((uint64_t)bit << HANDLE_SLOT_SHIFT) + slot_word_generation(word);
    uint64_t swept = op_swept(word, d->reason, traits_of(op));
    if (!take_plain(op, word, swept)) {
        sweep_held(c, d, group, bit, value);
        return false;
    }
    c->plain.op.bits = value;
    (void)account_enter(c->account, value);
    if ((traits_of(op) & OP_RESTS) == 0)                       /* still: with DELIVERY they are this thread's to read */
        return give_plain(c, group, op, swept);
    latency_stamp_all(c->session, op);
    deliver(c, group, bit, swept & ~(uint64_t)OP_DELIVERY, swept);
    return false;
}

/* ---- one group ---- */

/* acq_rel: K3, the other end is start: whoever marked before is seen, whoever marks later sees the epoch */
static uint64_t marks_of(struct group *group)
{
    return atomic_fetch_or_explicit(&group->leaf[ROSTER_READY], 0, memory_order_acq_rel);
}

/* The marks of what was walked go, and what asks for more is marked again (L3, L4), for a worker: one that came between
 * has found no mark, and gone (N1). Slots that this chunk has freed and not given back ask for nothing. */
static void settle_marks(struct chunk *c, struct group *group, uint64_t ready)
{
    if (ready == 0)
        return;
    bool empty = map_done(&group->leaf[ROSTER_READY], ready);
    if (look_wants_more(group, ready & ~c->freed)) {
        session_mark(group, ready & ~c->freed, c->all);
    } else if (empty)
        roster_empty(group);
}

static void sweep_live(struct chunk *c, const struct decree *d, struct group *group, uint64_t live)
{
    uint64_t ended = 0, before = account_enter(c->account, 0);
    for (uint64_t rest = live; rest != 0; rest &= rest - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(rest);
        cache_prefetch_write(group_op(group, bit) + PREFETCH_AHEAD);
        ended |= (uint64_t)sweep_op(c, d, group, bit) << bit;
    }
    (void)account_enter(c->account, before);
    uint32_t count = (uint32_t)__builtin_popcountll(ended);
    c->freed |= ended;
    c->plains += count;
    c->left += count;
    session_give_places(c->session, count);
    chunk_count(c, COUNT_ENDED, count);
}

static void sweep_group(struct chunk *c, struct group *group)
{
    uint64_t ready = marks_of(group);
    uint64_t live = ~atomic_load_explicit(&group->leaf[ROSTER_FREE], memory_order_acquire) & ~UINT64_C(1); /* A4 */
    uint64_t cancel = atomic_load_explicit(&c->session->cancel.word, memory_order_acquire);                /* K2, E6 */
    struct decree decree = {
        .epoch = cancel_epoch(cancel), .reason = cancel_reason(cancel), .first = op_value(c, group, 0, 0).bits,
    };
    chunk_give_slots(c);
    c->group = group;
    if (decree.reason != c->plain.reason)
        begin_plains(c, decree.reason);
    sweep_live(c, &decree, group, live);
    settle_marks(c, group, ready);
    chunk_flush(c);
}

/* ---- shares ---- */

/* The groups to take at or after a place. False: there are none. */
static bool find_share(struct session *s, uint32_t place, struct roster_run *run, uint32_t *behind)
{
    uint32_t lane = sweep_lane(place), number = sweep_number(place);
    for (; lane < SESSION_LANES; lane++, number = 0) {
        struct session_lane *l = session_lane_swept(s, lane);
        if (l != NULL && roster_run_from(&l->roster, &number, SHARE_GROUPS, run)) {
            *behind = sweep_place(lane, number);
            return true;
        }
    }
    return false;
}

/* P2; false: P3. */
static bool take_share(struct session *s, bool inside, struct roster_run *run)
{
    uint64_t new, old = atomic_load_explicit(&s->sweep, memory_order_seq_cst);          /* P1, O5 */
    bool found;
    do {
        uint32_t behind = SWEEP_END;
        found = sweep_is_due(old) && find_share(s, sweep_from(old), run, &behind);
        new = found ? sweep_taken(old, behind, inside) : sweep_left(old, inside);
    } while (!atomic_compare_exchange_weak_explicit(&s->sweep, &old, new, memory_order_seq_cst,  /* P2, P3 with P1 */
                                                    memory_order_seq_cst));
    if (!found && sweep_is_over(new))
        (void)session_advance(&s->slot, SESSION_WAITING);
    return found;
}

/* Is there more than this thread's share? relaxed: a hint; who takes looks again. */
static bool is_to_be_shared(struct session *s)
{
    struct roster_run run;
    uint32_t behind;
    uint64_t w = atomic_load_explicit(&s->sweep, memory_order_relaxed);
    return s->all->app->worker_count > 1 && sweep_is_due(w) && find_share(s, sweep_from(w), &run, &behind);
}

static void sweep_shares(struct chunk *c, struct roster_run *run)
{
    struct session *s = c->session;
    if (is_to_be_shared(s))
        session_push_due(s, handle_generation(s->handle));
    do
        for (uint32_t i = 0; i < run->count; i++)
            sweep_group(c, group_of(c->ops, run->first + i * GROUP_SLOTS));
    while (take_share(s, true, run));
}

/* ---- from outside ---- */

bool session_sweep(struct session *s, uint64_t handle)
{
    struct roster_run run;
    struct chunk c;
    if (!sweep_is_due(atomic_load_explicit(&s->sweep, memory_order_seq_cst))            /* P1, O5 */
        || session_visit(&s->slot, handle) != WEIR_OK)
        return false;
    bool found = take_share(s, false, &run);
    if (!found) {
        session_out(s, 1);
        return false;
    }
    chunk_begin(&c, s);
    c.may &= ~(uint32_t)OP_STEP_RUN;                           /* a walk ends things, and is not to be held up */
    sweep_shares(&c, &run);
    chunk_end(&c);
    return true;
}

void session_ask_sweep(struct session *s)
{
    uint64_t word = atomic_load_explicit(&s->slot.word, memory_order_acquire);          /* G2, G4 */
    /* nobody but the caller is inside, and nobody comes in: there is nothing to sweep */
    if (session_is_shut(word) && session_live(word) == 1)
        return;
    uint64_t ask = SWEEP_ASKED | (session_phase(word) >= SESSION_CANCELLING ? SWEEP_LAST : 0);
    atomic_fetch_or_explicit(&s->sweep, ask, memory_order_seq_cst);                     /* P1, O5 */
    session_push_due(s, handle_generation(s->handle));
    rescue_later(s->all, s, ATTENTION_SWEEP);
    session_call_helpers(s);
}
