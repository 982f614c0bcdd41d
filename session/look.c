/* SPDX-License-Identifier: Apache-2.0 */
/* look.c - chunks, groups, nodes, sweeps; see look.h */
#include "session/look.h"

#include "core/verify.h"

enum { LOOK_STEPS = 64, PREFETCH_AHEAD = 12 };

/* ---- chunks ---- */

void chunk_begin(struct chunk *c, struct session *s)
{
    const struct worker *self = worker_self();
    uint32_t may = OP_STEP_DELIVER | OP_STEP_DROP | OP_STEP_HOOK;
    if (self->kind != WORKER_CONTROL)
        may |= OP_STEP_RUN;
    *c = (struct chunk){ .session = s, .ops = &s->all->ops, .may = may };
}

static void give_slots(struct chunk *c)
{
    if (c->freed != 0)
        roster_give(c->ops, c->group, c->freed);
    c->freed = 0;
}

/* relaxed: they count; who reads them all at the end has seen everybody leave (E7) */
static void add(_Atomic uint64_t *to, uint64_t count)
{
    if (count != 0)
        atomic_fetch_add_explicit(to, count, memory_order_relaxed);
}

static void give_counts(struct chunk *c)
{
    struct session_counts *to = &c->session->counts;
    add(&to->completed, c->counts.completed);
    add(&to->failed, c->counts.failed);
    add(&to->cancelled, c->counts.cancelled);
    add(&to->timed_out, c->counts.timed_out);
    add(&to->abandoned, c->counts.abandoned);
    add(&to->posted, c->counts.posted);
    add(&to->delivered, c->counts.delivered);
    add(&to->discarded, c->counts.discarded);
    add(&to->accepted, c->counts.completed + c->counts.failed + c->counts.cancelled + c->counts.timed_out
                       + c->counts.abandoned);
    c->counts = (struct chunk_counts){ 0 };
}

/* Between groups, and before a function that may take long: nobody else waits for this worker's bookkeeping. */
static void flush(struct chunk *c)
{
    give_slots(c);
    if (c->left == 0)
        return;
    give_counts(c);
    uint32_t left = c->left;
    c->left = 0;
    (void)session_leave(&c->session->slot, left);              /* never the last: the chunk's own place is kept */
}

void chunk_end(struct chunk *c)
{
    give_slots(c);
    give_counts(c);
    session_out(c->session, c->left + 1);
}

void chunk_note(struct chunk *c, struct group *group, uint32_t bit, uint64_t old, uint64_t new)
{
    uint32_t duties = op_duties(old, new);
    if ((duties & OP_WAKE) != 0)
        event_post(&group->pulled);
    c->left += (duties & OP_LEAVE) != 0;
    if ((duties & OP_FREED) == 0)
        return;
    if (slot_word_is_worn(new))
        slots_note_worn(c->ops);
    if (c->group != group)
        give_slots(c);
    c->group = group;
    c->freed |= UINT64_C(1) << bit;
}

weir_op op_value(const struct chunk *c, struct group *group, uint32_t bit, uint64_t word)
{
    uint64_t place = atomic_load_explicit(&group->place, memory_order_relaxed);         /* fixed while it is ours */
    uint32_t index = place_first(place) + place_group(place) * GROUP_SLOTS + bit;
    return (weir_op){ handle_make(HANDLE_OP, handle_app(c->session->handle), index, slot_word_generation(word)) };
}

/* ---- one operation ---- */

static bool take(struct chunk *c, struct group *group, uint32_t bit)
{
    struct op *op = group_op(group, bit);
    struct op_change change;
    /* relaxed: fixed in this life, and if the life is over T11 fails, or is the next life's, whose traits these are */
    uint32_t traits = atomic_load_explicit(&op->traits, memory_order_relaxed);
    if (op_move(&op->slot, op_take, traits, &change) != WEIR_OK)
        return false;
    deliver(c, group, bit, change.old, change.new);
    return true;
}

void look_at(struct chunk *c, struct group *group, uint32_t bit)
{
    struct op *op = group_op(group, bit);
    uint32_t may = c->may;
    for (bool ran = false;;) {
        uint64_t word = atomic_load_explicit(&op->slot.word, memory_order_acquire);     /* E1..E5, as op_move */
        uint32_t steps = op_steps(word) & may;
        if ((steps & (OP_STEP_DELIVER | OP_STEP_DROP)) != 0)
            (void)take(c, group, bit);
        else if ((steps & OP_STEP_HOOK) != 0) {
            call_hook(c, group, bit);
            may |= OP_STEP_DELIVER | OP_STEP_DROP;             /* the hook may be all that held the final back */
        } else if ((steps & OP_STEP_RUN) != 0 && !ran) {
            run(c, group, bit);
            ran = true;
        } else
            break;
        c->steps++;
    }
}

/* The same for who is not about to look again: what is left, or has come by these very steps, is for a worker. */
static void look_at_once(struct chunk *c, struct group *group, uint32_t bit)
{
    uint32_t before = c->steps;
    look_at(c, group, bit);
    uint64_t word = atomic_load_explicit(&group_op(group, bit)->slot.word, memory_order_acquire);   /* as in look_at */
    if (c->steps == before || op_steps(word) == 0)
        return;
    roster_mark(group, UINT64_C(1) << bit);
    session_wake_lane(group, c->session->all);
}

/* ---- a group, a node ---- */

static void wake_another(struct chunk *c, struct session_lane *lane)
{
    if (node_schedule(&lane->node, handle_generation(c->session->handle)))
        app_push(c->session->all->app, lane->job.lane, &lane->job);
}

static bool wants_more(struct group *group, uint64_t bits)
{
    while (bits != 0) {
        struct op *op = group_op(group, (uint32_t)__builtin_ctzll(bits));
        if (op_steps(atomic_load_explicit(&op->slot.word, memory_order_acquire)) != 0)  /* as in look_at */
            return true;
        bits &= bits - 1;
    }
    return false;
}

static void look_at_group(struct chunk *c, struct session_lane *lane, struct group *group)
{
    uint64_t bits = map_look(&group->leaf[ROSTER_READY]);
    if ((bits & (bits - 1)) != 0)
        wake_another(c, lane);                                 /* the rest is not held hostage by the first */
    for (uint64_t rest = bits; rest != 0; rest &= rest - 1)
        look_at(c, group, (uint32_t)__builtin_ctzll(rest));
    bool empty = map_done(&group->leaf[ROSTER_READY], bits);   /* L3 */
    if (wants_more(group, bits))                               /* the second look; also work that yielded */
        roster_mark(group, bits);
    else if (empty)
        roster_empty(group);
    flush(c);
}

void node_run(weir_job *job, weir_status status)
{
    struct session_lane *lane = job->ctx;
    struct session *s = lane->session;
    uint32_t generation;
    (void)status;
    if (node_pop(&lane->node, &generation) == NODE_LAST) {
        session_release_slot(s);
        return;
    }
    uint64_t handle = handle_make(HANDLE_SESSION, 0, 0, generation);
    if (session_visit(&s->slot, handle) != WEIR_OK)
        return;                                                /* complete: nothing to look at */
    struct chunk c;
    chunk_begin(&c, s);
    uint32_t start = worker_self()->number;
    for (struct group *group; c.steps < LOOK_STEPS && (group = roster_find_ready(&lane->roster, start)) != NULL;)
        look_at_group(&c, lane, group);
    if (roster_find_ready(&lane->roster, start) != NULL)
        wake_another(&c, lane);
    chunk_end(&c);
}

/* The marks stay for a worker: some of them may be of work to be run, and a mark too many costs only a look. */
void look_at_all(struct chunk *c)
{
    for (uint32_t lane = 0; lane < SESSION_LANES; lane++) {
        struct roster *r = &c->session->lanes[lane].roster;
        for (uint32_t i = 0, numbers = roster_groups(r); i < numbers; i++) {
            struct group *group = roster_group(r, i);
            uint64_t rest = group != NULL ? map_look(&group->leaf[ROSTER_READY]) : 0;
            for (; rest != 0; rest &= rest - 1)
                look_at_once(c, group, (uint32_t)__builtin_ctzll(rest));
            flush(c);
        }
    }
}

/* ---- sweeps ---- */

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
    give_slots(c);
    c->group = group;
    for (uint64_t rest = live; rest != 0; rest &= rest - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(rest);
        cache_prefetch_write(group_op(group, bit) + PREFETCH_AHEAD);
        sweep_op(c, group, bit, first + ((uint64_t)bit << HANDLE_SLOT_SHIFT));
    }
    if (ready != 0 && map_done(&group->leaf[ROSTER_READY], ready)) {
        if (wants_more(group, ready))
            roster_mark(group, ready);
        else
            roster_empty(group);
    } else if (ready != 0 && wants_more(group, ready))
        roster_mark(group, ready);
    flush(c);
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
    if (session_is_shut(atomic_load_explicit(&s->slot.word, memory_order_acquire)))     /* G2 */
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
