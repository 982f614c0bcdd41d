/* SPDX-License-Identifier: Apache-2.0 */
/* look.c - chunks, groups, nodes; see look.h */
#include "session/look.h"

#include "core/verify.h"

enum { LOOK_STEPS = 64 };

/* ---- chunks ---- */

void chunk_begin(struct chunk *c, struct session *s)
{
    const struct worker *self = worker_self();
    uint32_t may = OP_STEP_DELIVER | OP_STEP_DROP | OP_STEP_HOOK;
    if (self->kind == WORKER_LANE || self->kind == WORKER_BLOCKING || self->kind == WORKER_RESERVE)
        may |= OP_STEP_RUN;
    *c = (struct chunk){
        .session = s, .all = s->all, .ops = &s->all->ops, .may = may, .account = &s->all->accounts[self->number],
    };
    c->account->chunk = c;
    account_begin(c->account, s->handle);
}

void chunk_give_slots(struct chunk *c)
{
    if (c->freed != 0)
        roster_give(c->ops, c->group, c->freed);
    c->freed = 0;
}

void chunk_flush(struct chunk *c)
{
    if (c->session == NULL)
        return;
    chunk_give_slots(c);
    latency_flush(c);
    if (c->left == 0)
        return;
    count_plains(c);
    account_give(c->account, &c->session->counts);
    uint32_t left = c->left;
    c->left = 0;
    (void)session_leave(&c->session->slot, left);              /* never the last: the chunk's own place is kept */
}

void chunk_settle(struct chunk *c)
{
    chunk_give_slots(c);
    latency_flush(c);
    count_plains(c);
    account_give(c->account, &c->session->counts);
}

void chunk_end(struct chunk *c)
{
    if (c->session == NULL)
        return;
    chunk_settle(c);
    session_out(c->session, c->left + 1);
}

void chunk_note(struct chunk *c, struct group *group, uint32_t bit, uint64_t old, uint64_t new)
{
    uint32_t duties = op_duties(old, new);
    if ((duties & OP_WAKE) != 0)
        event_post(&group->pulled);
    if ((duties & OP_LEAVE) != 0) {
        c->left++;
        session_give_places(c->session, 1);
    }
    if (op_is_over(new) && !op_is_over(old))
        chunk_count(c, COUNT_ENDED, 1);
    if ((duties & OP_FREED) == 0) {
        /* relaxed: X2 of abandon.c; what follows needs nothing else of who set it */
        if (atomic_load_explicit(&c->session->abandons, memory_order_relaxed) != 0)
            abandon_op(c, group, bit, op_value(c, group, bit, new).bits);
        return;
    }
    if (slot_word_is_worn(new))
        slots_note_worn(c->ops);
    if (c->group != group)
        chunk_give_slots(c);
    c->group = group;
    c->freed |= UINT64_C(1) << bit;
}

weir_op op_value(const struct chunk *c, struct group *group, uint32_t bit, uint64_t word)
{
    uint64_t place = atomic_load_explicit(&group->place, memory_order_relaxed);         /* fixed while it is ours */
    uint32_t index = place_first(place) + place_group(place) * GROUP_SLOTS + bit;
    return (weir_op){ handle_make(HANDLE_OP, c->all->app->place.index, index, slot_word_generation(word)) };
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
        uint32_t traits = traits_of(op), steps = op_steps_of(word, traits) & may;
        if ((steps & (OP_STEP_DELIVER | OP_STEP_DROP)) != 0)
            (void)take(c, group, bit);
        else if ((steps & OP_STEP_HOOK) != 0) {
            call_hook(c, group, bit);
            may |= OP_STEP_DELIVER | OP_STEP_DROP;             /* the hook may be all that held the final back */
        } else if ((steps & OP_STEP_RUN) != 0 && !ran) {
            ((traits & OP_FOREIGN) != 0 ? run_elsewhere : run)(c, group, bit, op_value(c, group, bit, word).bits);
            ran = true;
            if (c->session == NULL)
                return;
        } else
            break;
        c->steps++;
    }
}

void look_at_once(struct chunk *c, struct group *group, uint32_t bit)
{
    uint32_t before = c->steps;
    look_at(c, group, bit);
    if (c->session == NULL || c->steps == before || !look_wants_more(group, UINT64_C(1) << bit))
        return;
    session_mark(group, UINT64_C(1) << bit, c->all);
}

/* ---- a group, a node ---- */

static void wake_another(struct chunk *c, struct session_lane *lane)
{
    session_push(c->all->app, &lane->node, handle_generation(c->session->handle), &lane->job);
}

bool look_wants_more(struct group *group, uint64_t bits)
{
    while (bits != 0) {
        struct op *op = group_op(group, (uint32_t)__builtin_ctzll(bits));
        uint64_t word = atomic_load_explicit(&op->slot.word, memory_order_acquire);     /* as in look_at */
        if (op_steps_of(word, traits_of(op)) != 0)
            return true;
        bits &= bits - 1;
    }
    return false;
}

/* Is something marked in a group of another block? */
static bool other_blocks_are_ready(struct roster *r, uint32_t block)
{
    uint32_t words = (roster_groups(r) / BLOCK_GROUPS_MAX + 63) / 64;
    for (uint32_t word = 0; word < words; word++) {
        struct roster_more *more = word == 0 ? NULL : atomic_load_explicit(&r->more, memory_order_acquire);  /* A2 */
        uint64_t top = map_look(more == NULL ? &r->top[ROSTER_READY] : &more->top[ROSTER_READY][word]);
        if ((word == block / 64 ? top & ~(UINT64_C(1) << (block % 64)) : top) != 0)
            return true;
    }
    return false;
}

/* The same for any other group; a hint, as all marks are. */
static bool others_are_ready(struct chunk *c, struct roster *r, struct group *group)
{
    uint64_t place = atomic_load_explicit(&group->place, memory_order_relaxed);         /* fixed while inside */
    struct block *block = slots_cold(c->ops, place_first(place));
    uint64_t summary = map_look(&block->summary[ROSTER_READY]);
    return (summary & ~(UINT64_C(1) << place_group(place))) != 0 || other_blocks_are_ready(r, place_block(place));
}

static void look_at_group(struct chunk *c, struct session_lane *lane, struct group *group)
{
    uint64_t bits = map_look(&group->leaf[ROSTER_READY]);
    if ((bits & (bits - 1)) != 0 || others_are_ready(c, &lane->roster, group))
        wake_another(c, lane);                                 /* the rest is not held hostage by the first */
    for (uint64_t rest = bits; rest != 0 && c->session != NULL; rest &= rest - 1)
        look_at(c, group, (uint32_t)__builtin_ctzll(rest));
    if (c->session == NULL)
        return;                                                /* whoever is there finds the marks as they were */
    bool empty = map_done(&group->leaf[ROSTER_READY], bits);   /* L3 */
    if (c->group == group)
        bits &= ~c->freed;                                     /* slots that are not given back yet ask for nothing */
    if (look_wants_more(group, bits))                          /* the second look; also work that yielded */
        roster_mark(group, bits);
    else if (empty)
        roster_empty(group);
    chunk_flush(c);
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
    uint64_t handle = session_named(generation);
    if (session_visit(&s->slot, handle) != WEIR_OK)
        return;                                                /* complete: nothing to look at */
    struct chunk c;
    chunk_begin(&c, s);
    uint32_t start = worker_self()->number;
    for (struct group *group; c.steps < LOOK_STEPS && (group = roster_find_ready(&lane->roster, start)) != NULL;) {
        look_at_group(&c, lane, group);
        if (c.session == NULL)
            return;
    }
    if (roster_find_ready(&lane->roster, start) != NULL)
        wake_another(&c, lane);
    chunk_end(&c);
}

/* The marks stay for a worker: some of them may be of work to be run, and a mark too many costs only a look. */
void look_at_all(struct chunk *c)
{
    for (uint32_t lane = 0; lane < SESSION_LANES; lane++) {
        if (session_lane(c->session, lane) == NULL)
            continue;
        struct roster *r = &session_lane(c->session, lane)->roster;
        for (uint32_t i = 0, numbers = roster_groups(r); i < numbers; i++) {
            struct group *group = roster_group(r, i);
            uint64_t rest = group != NULL ? map_look(&group->leaf[ROSTER_READY]) : 0;
            for (; rest != 0 && c->session != NULL; rest &= rest - 1)
                look_at_once(c, group, (uint32_t)__builtin_ctzll(rest));
            if (c->session == NULL)
                return;
            chunk_flush(c);
        }
    }
}
