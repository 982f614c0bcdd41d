/* SPDX-License-Identifier: Apache-2.0 */
/* census.c - see census.h */
#include "session/census.h"

#include "session/look.h"

/* ---- what is missing: pure ---- */

/* Of the work, before the final is decided. */
static uint32_t missing_for_decision(uint64_t w)
{
    uint32_t missing = 0;
    if (op_is_decided(w))
        return op_phase(w) == OP_DECIDED && op_has(w, OP_STACK) ? WEIR_MISSING_WORK : 0;
    if (op_has(w, OP_TOKEN))
        missing |= WEIR_MISSING_TOKEN;
    if (op_has(w, OP_STACK))
        return missing | WEIR_MISSING_WORK;
    return op_phase(w) == OP_QUEUED || op_phase(w) == OP_PARKED ? missing | WEIR_MISSING_START : missing;
}

/* Of those who have been given something. A pull operation's results are given back with its handle. */
static uint32_t missing_from_others(uint64_t w)
{
    uint32_t missing = op_has(w, OP_HOLD) ? WEIR_MISSING_TOKEN : 0;
    missing |= op_has(w, OP_UNACKED) && !op_has(w, OP_PULL) ? WEIR_MISSING_ACK : 0;
    return missing | (op_has(w, OP_HANDLE | OP_WAITER) ? WEIR_MISSING_HANDLE : 0);
}

uint32_t census_missing(uint64_t w)
{
    uint32_t missing = missing_for_decision(w) | missing_from_others(w);
    missing |= op_has(w, OP_HOOK_BUSY) ? WEIR_MISSING_HOOK : 0;
    missing |= op_has(w, OP_DELIVERY) ? WEIR_MISSING_CALLBACK : 0;
    return missing != 0 ? missing : WEIR_MISSING_CALLBACK;     /* it is on its way to one */
}

/* ---- the walk ---- */

static const char *name_of(const weir_kind *kind)
{
    return kind->name != NULL ? kind->name : "operation";
}

/* False: there is none, or not any more. */
static bool read_op(struct op *op, const struct op_cold *cold, uint64_t value, uint32_t now_ms, struct live_op *live)
{
    uint64_t word = atomic_load_explicit(&op->slot.word, memory_order_acquire);         /* V1 */
    if (op_is_out(word))
        return false;
    const weir_kind *kind = atomic_load_explicit(&op->kind, memory_order_acquire);      /* V2, these four */
    live->site = atomic_load_explicit(&op->site, memory_order_acquire);                 /* V2 */
    live->tag = atomic_load_explicit(&op->tag, memory_order_acquire);                   /* V2 */
    live->age_ms = now_ms - atomic_load_explicit(&op->started_ms, memory_order_acquire); /* V2 */
    if (!op_progress(op, cold, &live->progress, &live->total))
        live->progress = live->total = 0;
    live->word = atomic_load_explicit(&op->slot.word, memory_order_acquire);            /* V2 */
    if (slot_word_generation(live->word) != slot_word_generation(word) || op_is_out(live->word))
        return false;
    live->missing = census_missing(live->word);
    live->name = name_of(kind);
    live->op = value | slot_word_generation(word);
    return true;
}

static void walk_group(struct session *s, struct group *group, uint32_t now_ms, census_fn *fn, void *ctx)
{
    struct live_op live;
    uint64_t place = atomic_load_explicit(&group->place, memory_order_relaxed);         /* fixed while inside */
    uint32_t first = place_first(place) + place_group(place) * GROUP_SLOTS;
    uint64_t taken = ~atomic_load_explicit(&group->leaf[ROSTER_FREE], memory_order_acquire) & ~UINT64_C(1); /* A4 */
    for (; taken != 0; taken &= taken - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(taken);
        uint64_t value = handle_make(HANDLE_OP, handle_app(s->handle), first + bit, 0);
        const struct op_cold *cold = slots_cold(&s->all->ops, first + bit);
        if (read_op(group_op(group, bit), cold, value, now_ms, &live))
            fn(&live, ctx);
    }
}

/* The slot is held. */
static bool read_child(struct session *s, uint64_t parent, uint32_t now_ms, struct live_op *live)
{
    uint64_t word = atomic_load_explicit(&s->slot.word, memory_order_acquire);          /* its opening, G6 */
    if (slot_word_is_free(word) || atomic_load_explicit(&s->parent_handle, memory_order_relaxed) != parent)
        return false;                                          /* relaxed: the word has published it */
    uint32_t opened_ms = atomic_load_explicit(&s->opened_ms, memory_order_relaxed);     /* likewise */
    *live = (struct live_op){
        .missing = WEIR_MISSING_SESSION, .name = s->name != NULL ? s->name : "session", .age_ms = now_ms - opened_ms,
    };
    return true;
}

static void walk_children(struct session *s, uint32_t now_ms, census_fn *fn, void *ctx)
{
    struct session *child;
    struct live_op live;
    if (atomic_load_explicit(&s->has_children, memory_order_relaxed) == 0)             /* G1 of who opened one */
        return;
    for (uint32_t i = 0; (child = (struct session *)slots_at(&s->all->table, i)) != NULL; i++) {
        /* relaxed: a guess, asked again when the slot is held */
        if (atomic_load_explicit(&child->parent_handle, memory_order_relaxed) != s->handle || !session_hold(child))
            continue;
        if (read_child(child, s->handle, now_ms, &live))
            fn(&live, ctx);
        session_release_slot(child);
    }
}

void census_take(struct session *s, census_fn *fn, void *ctx)
{
    uint32_t now_ms = clock_coarse_ms(&s->all->app->clock);
    for (uint32_t lane = 0; lane < SESSION_LANES; lane++) {
        if (session_lane(s, lane) == NULL)
            continue;
        struct roster *r = &session_lane(s, lane)->roster;
        for (uint32_t i = 0, numbers = roster_groups(r); i < numbers; i++) {
            struct group *group = roster_group(r, i);
            if (group != NULL)
                walk_group(s, group, now_ms, fn, ctx);
        }
    }
    walk_children(s, now_ms, fn, ctx);
}
