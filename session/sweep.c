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

/* ---- one operation, one group ---- */

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
    chunk_count(c, COUNT_ENDED, c->plains);
    latency_plains(c, c->plains);
    c->plains = 0;
}

static void give_plain(struct chunk *c, struct op *op, uint32_t bit, uint64_t value, uint64_t sealed)
{
    const weir_kind *kind = atomic_load_explicit(&op->kind, memory_order_relaxed);      /* E1 */
    c->plain.op.bits = value;
    c->plain.tag = atomic_load_explicit(&op->tag, memory_order_relaxed);                /* E1 */
    if (op->extra != NULL)
        extra_over(op->extra);
    uint64_t before = account_enter(c->account, value);
    if (kind->on_result != NULL)
        kind->on_result(&c->plain, op->ctx);
    if (kind->gone != NULL)
        kind->gone(op->ctx);
    (void)account_enter(c->account, before);
    (void)op_retire(&op->slot, sealed);                        /* T17 */
    if (op->extra != NULL)
        extra_free(op->extra);
    c->plains++;
    c->freed |= UINT64_C(1) << bit;
    c->left++;
}

/* The step of op_swept. */
static bool take_plain(struct op *op, uint64_t word, uint64_t swept)
{
    /* acq_rel: as in op_move; relaxed: then op_move_at looks */
    return swept != 0 && !slot_word_is_worn(slot_word_next(word))
        && atomic_compare_exchange_strong_explicit(&op->slot.word, &word, swept, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

static void sweep_held(struct chunk *c, struct group *group, uint32_t bit, uint64_t value, uint32_t reason)
{
    struct op *op = group_op(group, bit);
    struct op_change change;
    latency_stamp_all(c->session, op);
    if (op_move_at(&op->slot, value, op_sweep, (traits_of(op) & OP_TRAITS) | reason << 24, &change) == WEIR_OK) {
        uint64_t decided = change.old;
        (void)op_cancel(change.old, reason, &decided);
        deliver(c, group, bit, decided, change.new);
    }
}

/* value: the operation's, without its generation. */
static void sweep_op(struct chunk *c, struct group *group, uint32_t bit, uint64_t value)
{
    struct op *op = group_op(group, bit);
    uint64_t word = atomic_load_explicit(&op->slot.word, memory_order_acquire);         /* E1 */
    if (slot_word_is_free(word))
        return;
    value |= slot_word_generation(word);
    /* relaxed: of the life that the word is of, or the steps find another one */
    uint32_t reason = cancel_applies(&c->session->cancel, atomic_load_explicit(&op->epoch, memory_order_relaxed));
    if (reason != 0) {
        uint64_t swept = op_swept(word, reason, traits_of(op));
        if (take_plain(op, word, swept)) {
            if (reason != c->plain.reason)
                begin_plains(c, reason);
            give_plain(c, op, bit, value, swept);
            return;
        }
        sweep_held(c, group, bit, value, reason);
    }
    look_at_once(c, group, bit);
}

/* The marks of what was walked go, and what asks for more is marked again (L3, L4). Slots that this chunk has freed and
 * not given back ask for nothing. */
static void settle_marks(struct chunk *c, struct group *group, uint64_t ready)
{
    if (ready == 0)
        return;
    bool empty = map_done(&group->leaf[ROSTER_READY], ready);
    if (look_wants_more(group, ready & ~c->freed))
        roster_mark(group, ready);
    else if (empty)
        roster_empty(group);
}

static void sweep_group(struct chunk *c, struct group *group)
{
    /* acq_rel: K3, the other end is start: whoever marked before is seen, whoever marks later sees the epoch */
    uint64_t ready = atomic_fetch_or_explicit(&group->leaf[ROSTER_READY], 0, memory_order_acq_rel);
    uint64_t live = ~atomic_load_explicit(&group->leaf[ROSTER_FREE], memory_order_acquire) & ~UINT64_C(1); /* A4 */
    uint64_t first = op_value(c, group, 0, 0).bits;
    chunk_give_slots(c);
    c->group = group;
    for (uint64_t rest = live; rest != 0 && c->session != NULL; rest &= rest - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(rest);
        cache_prefetch_write(group_op(group, bit) + PREFETCH_AHEAD);
        sweep_op(c, group, bit, first + ((uint64_t)bit << HANDLE_SLOT_SHIFT));
    }
    if (c->session == NULL)
        return;                                                /* work that it ran was abandoned (abandon.c) */
    settle_marks(c, group, ready);
    chunk_flush(c);
}

/* ---- shares ---- */

/* The groups to take at or after a place. False: there are none. */
static bool find_share(struct session *s, uint32_t place, struct roster_run *run, uint32_t *behind)
{
    uint32_t lane = sweep_lane(place), number = sweep_number(place);
    for (; lane < SESSION_LANES; lane++, number = 0)
        if (roster_run_from(&s->lanes[lane].roster, &number, SHARE_GROUPS, run)) {
            *behind = sweep_place(lane, number);
            return true;
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

static void call_worker(struct session *s, uint32_t generation)
{
    if (node_schedule(&s->sweep_node, generation))
        app_push(s->all->app, WEIR_HIGH, &s->sweep_job);
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
        call_worker(s, handle_generation(s->handle));
    do
        for (uint32_t i = 0; i < run->count && c->session != NULL; i++)
            sweep_group(c, group_of(c->ops, run->first + i * GROUP_SLOTS));
    while (c->session != NULL && take_share(s, true, run));
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
    call_worker(s, handle_generation(s->handle));
    rescue_later(s->all, s, ATTENTION_SWEEP);
    session_call_helpers(s);
}

void sweep_run(weir_job *job, weir_status status)
{
    struct session *s = job->ctx;
    uint32_t generation;
    (void)status;
    if (node_pop(&s->sweep_node, &generation) == NODE_LAST)
        session_release_slot(s);
    else
        (void)session_sweep(s, handle_make(HANDLE_SESSION, 0, 0, generation));
}
