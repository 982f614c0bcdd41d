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

/* The template of finals for a reason, when it is another one than before. */
static void fill_template(struct chunk *c, uint32_t reason)
{
    count_unruns(c);
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
    if (reason != 0)
        latency_stamp_all(c->session, op);
    if (reason != 0 && op_move_at(&op->slot, value, op_sweep, traits | reason << 24, &change) == WEIR_OK) {
        bool unrun = (traits & (OP_RAN | OP_MANUAL)) == 0 && !slot_word_is_worn(slot_word_next(word));
        if (unrun && op_is_sealed(change.new)) {
            if (reason != c->unrun.reason)
                fill_template(c, reason);
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
