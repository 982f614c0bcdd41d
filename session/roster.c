/* SPDX-License-Identifier: Apache-2.0 */
/* roster.c - blocks come, slots are handed out and given back; see roster.h */
#include "session/roster.h"

#include "core/verify.h"

static_assert(sizeof(struct op) == CACHE_LINE, "group_op counts in rows");
static_assert((int)SLOTS_GRANULES == (int)BLOCK_GROUPS_MAX, "the largest block has one summary word");
static_assert(ROSTER_BLOCKS <= 1 << 12, "place has 12 bits for it");

struct slots_options roster_slots_options(const struct memory *memory, uint32_t floor)
{
    return (struct slots_options){
        .memory = *memory,
        .hot_size = sizeof(struct op),
        .cold_size = sizeof(struct op_cold),
        .granule = GROUP_SLOTS,
        .floor = floor,
    };
}

/* ---- the words, by a block's number ---- */

static struct roster_more *more_of(struct roster *r)
{
    return atomic_load_explicit(&r->more, memory_order_acquire);                       /* A2 */
}

/* NULL for a number that this roster does not have (any more): a late marker's. */
static _Atomic uint64_t *top_word(struct roster *r, enum roster_map map, uint32_t block)
{
    if (block < 64)
        return &r->top[map];
    struct roster_more *more = more_of(r);
    return more == NULL ? NULL : &more->top[map][block / 64];
}

static _Atomic uint32_t *first_word(struct roster *r, uint32_t block)
{
    if (block < ROSTER_FIRSTS)
        return &r->first[block];
    struct roster_more *more = more_of(r);
    return more == NULL ? NULL : &more->first[block];
}

static struct group *block_group(struct roster *r, uint32_t block, uint32_t group)
{
    _Atomic uint32_t *first = first_word(r, block);
    uint32_t at = first == NULL ? 0 : atomic_load_explicit(first, memory_order_acquire); /* A2 */
    return at == 0 ? NULL : group_of(r->ops, at - 1 + group * GROUP_SLOTS);
}

static struct block *block_at(struct roster *r, uint32_t first)
{
    return slots_cold(r->ops, first);
}

/* False: the group is nobody's; there is nothing to mark. */
static bool path_of(struct group *group, enum roster_map map, uint64_t bits, struct map_path *path)
{
    /* relaxed, both: for an owner's thread they have been there since A1, and a late marker may see anything */
    struct roster *r = atomic_load_explicit(&group->roster, memory_order_relaxed);
    uint64_t place = atomic_load_explicit(&group->place, memory_order_relaxed);
    if (r == NULL)
        return false;
    _Atomic uint64_t *top = top_word(r, map, place_block(place));
    if (top == NULL)
        return false;
    struct block *block = block_at(r, place_first(place));
    *path = (struct map_path){
        { &group->leaf[map], &block->summary[map], top },
        { bits, UINT64_C(1) << place_group(place), UINT64_C(1) << (place_block(place) % 64) },
    };
    return true;
}

/* ---- marks ---- */

void roster_mark(struct group *group, uint64_t bit)
{
    struct map_path path;
    if (path_of(group, ROSTER_READY, bit, &path))
        map_mark(&path);
}

void roster_empty(struct group *group)
{
    struct map_path path;
    if (path_of(group, ROSTER_READY, 0, &path))
        map_empty(&path);
}

#define ORPHAN UINT64_C(1)                                     /* bit 0 of a free leaf: the session is over */

/* One group of the block has no zombies. The last one: the block is free. */
static void orphan_is_whole(struct slots *ops, struct block *block, uint32_t first)
{
    uint32_t groups = block->groups;
    if (atomic_fetch_sub_explicit(&block->orphans, 1, memory_order_acq_rel) == 1)          /* A5 with A5 */
        slots_release(ops, (struct slots_block){ first, groups * GROUP_SLOTS });
}

static bool is_whole(struct group *group, uint64_t free)
{
    /* relaxed: set before the slot was last asked for */
    return ~(free | ORPHAN | atomic_load_explicit(&group->worn, memory_order_relaxed)) == 0;
}

void roster_give(struct slots *ops, struct group *group, uint64_t bits)
{
    struct map_path path;
    weir_assert((bits & ORPHAN) == 0);
    uint64_t old = atomic_fetch_or_explicit(&group->leaf[ROSTER_FREE], bits, memory_order_seq_cst); /* A4; L1 */
    if ((old & ORPHAN) != 0) {
        uint32_t first = place_first(atomic_load_explicit(&group->place, memory_order_relaxed)); /* fixed since A1 */
        if (is_whole(group, old | bits))
            orphan_is_whole(ops, slots_cold(ops, first), first);
    } else if (path_of(group, ROSTER_FREE, bits, &path))
        map_mark_from(&path, 1);
}

/* ---- finding ---- */

/* The bit that is first in rotation, of a word that is not 0. */
static uint32_t pick(uint64_t word, uint32_t start)
{
    uint64_t from_start = word & ~((UINT64_C(1) << (start % 64)) - 1);
    return (uint32_t)__builtin_ctzll(from_start != 0 ? from_start : word);
}

/* A bit whose word below turned out empty: somebody else is about to take it away, or died on the way. */
static void repair(struct group *group, enum roster_map map)
{
    struct map_path path;
    if (path_of(group, map, 0, &path))
        map_empty(&path);
}

/* A top bit of a block that is not there: a late marker's, of the roster's last session. Or the block is just being
 * settled; then its bit is due after A1, so look again. */
static void repair_top(struct roster *r, enum roster_map map, uint32_t block)
{
    _Atomic uint64_t *top = top_word(r, map, block);
    atomic_fetch_and_explicit(top, ~(UINT64_C(1) << (block % 64)), memory_order_seq_cst);      /* as L4 */
    if (block_group(r, block, 0) != NULL)
        atomic_fetch_or_explicit(top, UINT64_C(1) << (block % 64), memory_order_seq_cst);      /* as L1 */
}

static struct group *find_in_block(struct roster *r, enum roster_map map, uint32_t block, uint32_t start)
{
    struct group *head = block_group(r, block, 0);
    if (head == NULL) {
        repair_top(r, map, block);
        return NULL;
    }
    uint32_t first = place_first(atomic_load_explicit(&head->place, memory_order_relaxed)); /* fixed since A1 */
    uint64_t summary = map_look(&block_at(r, first)->summary[map]);
    for (struct map_walk walk = map_walk(summary, start);;) {
        int number = map_next(&walk);
        if (number < 0)
            return NULL;
        struct group *group = block_group(r, block, (uint32_t)number);
        if (map_look(&group->leaf[map]) != 0)
            return group;
        repair(group, map);
    }
}

/* A group with a bit in its leaf, from the block and group of `start` on; NULL: none, a moment ago. */
static struct group *find(struct roster *r, enum roster_map map, uint32_t start_block, uint32_t start_group)
{
    uint32_t blocks = atomic_load_explicit(&r->blocks, memory_order_relaxed);           /* only bounds the search */
    uint32_t words = (blocks + 63) / 64;
    for (uint32_t i = 0; i < words; i++) {
        uint32_t number = (start_block / 64 + i) % words;
        _Atomic uint64_t *top = top_word(r, map, number * 64);
        if (top == NULL)
            continue;
        for (struct map_walk walk = map_walk(map_look(top), start_block);;) {
            int bit = map_next(&walk);
            if (bit < 0)
                break;
            struct group *group = find_in_block(r, map, number * 64 + (uint32_t)bit, start_group);
            if (group != NULL)
                return group;
        }
    }
    return NULL;
}

struct group *roster_find_ready(struct roster *r, uint32_t start)
{
    return find(r, ROSTER_READY, start / BLOCK_GROUPS_MAX, start);
}

uint32_t roster_groups(struct roster *r)
{
    return atomic_load_explicit(&r->blocks, memory_order_acquire) * BLOCK_GROUPS_MAX;   /* A2, of the numbers */
}

struct group *roster_group(struct roster *r, uint32_t number)
{
    struct group *head = block_group(r, number / BLOCK_GROUPS_MAX, 0);
    if (head == NULL)
        return NULL;                                           /* its starter has not settled it: nothing is in it */
    uint32_t first = place_first(atomic_load_explicit(&head->place, memory_order_relaxed)); /* fixed since A1 */
    uint32_t group = number % BLOCK_GROUPS_MAX;
    return group < block_at(r, first)->groups ? group_of(r->ops, first + group * GROUP_SLOTS) : NULL;
}

/* ---- sweeping ---- */

static bool block_is_there(struct roster *r, uint32_t block)
{
    return block < atomic_load_explicit(&r->blocks, memory_order_acquire)              /* A2, of the numbers */
        || block < atomic_fetch_add_explicit(&r->blocks, 0, memory_order_acq_rel);     /* K3 */
}

static struct group *settled(struct roster *r, uint32_t block)
{
    struct group *head = block_group(r, block, 0);
    if (head != NULL)
        return head;
    (void)atomic_fetch_add_explicit(first_word(r, block), 0, memory_order_acq_rel);    /* K3 */
    return block_group(r, block, 0);
}

bool roster_run_from(struct roster *r, uint32_t *number, uint32_t most, struct roster_run *run)
{
    uint32_t block = *number / BLOCK_GROUPS_MAX, group = *number % BLOCK_GROUPS_MAX;
    for (; block_is_there(r, block); block++, group = 0) {
        struct group *head = settled(r, block);
        if (head == NULL)
            continue;
        uint32_t first = place_first(atomic_load_explicit(&head->place, memory_order_relaxed)); /* fixed since A1 */
        uint32_t groups = block_at(r, first)->groups;
        if (group >= groups)
            continue;
        run->first = first + group * GROUP_SLOTS;
        run->count = groups - group < most ? groups - group : most;
        *number = block * BLOCK_GROUPS_MAX + group + run->count;
        return true;
    }
    return false;
}

/* ---- growing ---- */

static weir_status need_more(struct roster *r)
{
    if (more_of(r) != NULL)
        return WEIR_OK;
    struct roster_more *fresh = memory_zalloc(r->memory, sizeof(*fresh), CACHE_LINE), *there = NULL;
    if (fresh == NULL)
        return WEIR_NO_MEMORY;
    if (!atomic_compare_exchange_strong_explicit(&r->more, &there, fresh,
                                                 memory_order_acq_rel, memory_order_acquire)) /* A1, A2 */
        memory_free(r->memory, fresh, sizeof(*fresh));
    return WEIR_OK;
}

/* A number for one more block, whose words exist. */
static weir_status take_number(struct roster *r, uint32_t *out)
{
    uint32_t number = atomic_load_explicit(&r->blocks, memory_order_relaxed);           /* the swap checks it */
    do {
        if (number == ROSTER_BLOCKS)
            return WEIR_LIMIT;
        weir_status status = number >= ROSTER_FIRSTS ? need_more(r) : WEIR_OK;
        if (status != WEIR_OK)
            return status;
    } while (!atomic_compare_exchange_weak_explicit(&r->blocks, &number, number + 1,
                                                    memory_order_acq_rel,   /* A2 of roster_groups; K3 */
                                                    memory_order_relaxed));
    *out = number;
    return WEIR_OK;
}

static void settle_group(struct roster *r, struct group *group, uint64_t place, uint64_t free)
{
    /* relaxed, all: A1 publishes them */
    atomic_store_explicit(&group->worn, ~(free | ORPHAN), memory_order_relaxed);
    atomic_store_explicit(&group->leaf[ROSTER_READY], 0, memory_order_relaxed);
    atomic_store_explicit(&group->leaf[ROSTER_FREE], free, memory_order_relaxed);
    atomic_store_explicit(&group->place, place, memory_order_relaxed);
    atomic_store_explicit(&group->session, r->session, memory_order_relaxed);
    atomic_store_explicit(&group->roster, r, memory_order_relaxed);
}

/* The slots of a group that are not worn out, without its own. */
static uint64_t usable(const struct roster *r, struct group *group)
{
    uint64_t bits = 0;
    /* relaxed: who wore out a slot of this block said so before its release */
    if (atomic_load_explicit(&r->ops->worn_slots, memory_order_relaxed) == 0)
        return ~ORPHAN;
    for (uint32_t bit = 1; bit < GROUP_SLOTS; bit++) {
        /* relaxed: the block is this thread's alone */
        uint64_t word = atomic_load_explicit(&group_op(group, bit)->slot.word, memory_order_relaxed);
        weir_assert(slot_word_is_free(word));
        if (!slot_word_is_worn(word))
            bits |= UINT64_C(1) << bit;
    }
    return bits;
}

static void settle(struct roster *r, struct slots_block slots, uint32_t number)
{
    struct block *block = block_at(r, slots.first);
    uint32_t groups = slots.count / GROUP_SLOTS;
    uint64_t with_free = 0;
    block->groups = groups;
    for (uint32_t i = 0; i < groups; i++) {
        struct group *group = group_of(r->ops, slots.first + i * GROUP_SLOTS);
        uint64_t free = usable(r, group);
        settle_group(r, group, place_make(slots.first, number, i), free);
        with_free |= (uint64_t)(free != 0) << i;
    }
    /* relaxed: A1 publishes them */
    atomic_store_explicit(&block->summary[ROSTER_READY], 0, memory_order_relaxed);
    atomic_store_explicit(&block->summary[ROSTER_FREE], with_free, memory_order_relaxed);
    (void)atomic_exchange_explicit(first_word(r, number), slots.first + 1, memory_order_acq_rel); /* A1 with A2, K3 */
    atomic_fetch_or_explicit(top_word(r, ROSTER_FREE, number), UINT64_C(1) << (number % 64),
                             memory_order_seq_cst);                                         /* as map_mark: L1 */
}

/* The n-th block has 64 << n slots, up to the largest; if memory or room are scarce it may be smaller. */
static uint32_t size_of_next(uint32_t number)
{
    return (uint32_t)GROUP_SLOTS << (number < 6 ? number : 6);
}

static weir_status grow(struct roster *r, uint32_t count)
{
    struct slots_block slots;
    uint32_t number, near = atomic_load_explicit(&r->cursor, memory_order_relaxed);    /* a hint */
    weir_status status = slots_acquire(r->ops, count, near, &slots);
    if (status != WEIR_OK)
        return status;
    status = take_number(r, &number);
    if (status != WEIR_OK) {
        slots_release(r->ops, slots);
        return status;
    }
    settle(r, slots, number);
    return WEIR_OK;
}

static uint32_t room_of(struct roster *r)
{
    uint32_t room = 0, numbers = roster_groups(r);
    for (uint32_t i = 0; i < numbers; i++)
        room += roster_group(r, i) != NULL ? GROUP_OPS : 0;
    return room;
}

weir_status roster_reserve(struct roster *r, uint32_t count)
{
    for (uint32_t room; (room = room_of(r)) < count;) {
        uint32_t before = atomic_load_explicit(&r->blocks, memory_order_relaxed);      /* a guess at the size only */
        uint32_t missing = (count - room + GROUP_OPS - 1) / GROUP_OPS * GROUP_SLOTS, size = size_of_next(before);
        while (size < missing && size < GROUP_SLOTS * BLOCK_GROUPS_MAX)
            size *= 2;
        weir_status status = grow(r, size);
        if (status != WEIR_OK)
            return status;
    }
    return WEIR_OK;
}

/* ---- handing out ---- */

/* A3. False: the leaf is empty by now. */
static bool take_from(struct group *group, uint32_t start, uint32_t *bit)
{
    uint64_t free = atomic_load_explicit(&group->leaf[ROSTER_FREE], memory_order_relaxed); /* the swap checks it */
    do {
        if (free == 0)
            return false;
        *bit = pick(free, start);
    } while (!atomic_compare_exchange_weak_explicit(&group->leaf[ROSTER_FREE], &free, free & ~(UINT64_C(1) << *bit),
                                                    memory_order_seq_cst,              /* A3 with A4; L4 */
                                                    memory_order_relaxed));
    if ((free & (free - 1)) == 0)
        repair(group, ROSTER_FREE);                            /* that was the last */
    return true;
}

/* Is the slot used up? Then its bit stays off for good. */
static bool retire_worn(struct group *group, uint32_t bit)
{
    /* relaxed: A3 has made the slot this thread's */
    if (!slot_word_is_worn(atomic_load_explicit(&group_op(group, bit)->slot.word, memory_order_relaxed)))
        return false;
    atomic_fetch_or_explicit(&group->worn, UINT64_C(1) << bit, memory_order_relaxed);          /* read after A5 only */
    return true;
}

static uint32_t index_of(struct group *group, uint32_t bit)
{
    uint64_t place = atomic_load_explicit(&group->place, memory_order_relaxed);        /* fixed since A1 */
    return place_first(place) + place_group(place) * GROUP_SLOTS + bit;
}

weir_status roster_take(struct roster *r, uint32_t *index)
{
    for (;;) {
        uint32_t last = atomic_load_explicit(&r->cursor, memory_order_relaxed);        /* a hint */
        struct group *group = last == 0 ? NULL : group_of(r->ops, last);
        uint32_t bit;
        /* the group where the last one was, if it goes on there; else the next group round */
        if (group == NULL || last % GROUP_SLOTS == GROUP_OPS || !take_from(group, last + 1, &bit)) {
            uint64_t place = group == NULL ? 0 : atomic_load_explicit(&group->place, memory_order_relaxed);
            group = find(r, ROSTER_FREE, place_block(place), place_group(place) + 1);
            if (group != NULL && !take_from(group, 0, &bit))
                continue;
        }
        if (group != NULL && retire_worn(group, bit))
            continue;
        if (group != NULL) {
            *index = index_of(group, bit);
            atomic_store_explicit(&r->cursor, *index, memory_order_relaxed);           /* a hint */
            return WEIR_OK;
        }
        uint32_t blocks = atomic_load_explicit(&r->blocks, memory_order_relaxed);      /* a guess at the size only */
        weir_status status = grow(r, size_of_next(blocks));
        if (status != WEIR_OK)
            return status;
    }
}

/* ---- init, fini ---- */

static void clear_words(struct roster *r)
{
    /* relaxed, all: the session's word publishes the roster */
    uint32_t blocks = atomic_load_explicit(&r->blocks, memory_order_relaxed);
    for (int map = 0; map < ROSTER_MAPS; map++)
        for (uint32_t i = 0; i < blocks || i == 0; i += 64)
            atomic_store_explicit(top_word(r, (enum roster_map)map, i), 0, memory_order_relaxed);
    for (uint32_t i = 0; i < blocks; i++)
        atomic_store_explicit(first_word(r, i), 0, memory_order_relaxed);
    atomic_store_explicit(&r->blocks, 0, memory_order_relaxed);
    atomic_store_explicit(&r->cursor, 0, memory_order_relaxed);
}

void roster_init(struct roster *r, struct slots *ops, const struct memory *memory, uint64_t session)
{
    if (r->ops != ops) {                                       /* once: late markers of its last session read them */
        r->ops = ops;
        r->memory = memory;
    }
    r->session = session;
    clear_words(r);
}

static void give_block_back(struct roster *r, uint32_t first)
{
    struct block *block = block_at(r, first);
    uint32_t groups = block->groups;
    /* relaxed: A5 below publishes it to zombies */
    atomic_store_explicit(&block->orphans, groups + 1, memory_order_relaxed);
    for (uint32_t i = 0; i < groups; i++) {
        struct group *group = group_of(r->ops, first + i * GROUP_SLOTS);
        /* relaxed: for late markers, who may see it or not */
        atomic_store_explicit(&group->roster, NULL, memory_order_relaxed);
        atomic_store_explicit(&group->session, 0, memory_order_relaxed);
        uint64_t free = atomic_fetch_or_explicit(&group->leaf[ROSTER_FREE], ORPHAN, memory_order_acq_rel); /* A5 */
        if (is_whole(group, free))
            orphan_is_whole(r->ops, block, first);
    }
    orphan_is_whole(r->ops, block, first);                     /* this function's own */
}

void roster_fini(struct roster *r)
{
    uint32_t blocks = atomic_load_explicit(&r->blocks, memory_order_relaxed);          /* nobody else is inside */
    for (uint32_t i = 0; i < blocks; i++)
        give_block_back(r, atomic_load_explicit(first_word(r, i), memory_order_relaxed) - 1);
    clear_words(r);
}

void roster_destroy(struct roster *r)
{
    memory_free(r->memory, more_of(r), sizeof(struct roster_more));
    atomic_store_explicit(&r->more, NULL, memory_order_relaxed);                       /* nobody is left to look */
}
