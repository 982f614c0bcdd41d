/* SPDX-License-Identifier: Apache-2.0 */
/* roster.h - the operations of a session in one lane: where their slots are, which are free, which are to be looked at
 *
 *      roster        block 0          block 1 ...                     blocks of 64, 128, ... 4096 slots, from slots.h
 *      top words --> summary words -> group 0 | group 1 | ...         groups of 64 slots
 *                                     leaf words, and 63 operations   slot 0 of a group is the group's own
 *
 * Two maps of the same shape (maps.h) lie over the slots: *ready*, the operations at which a worker has to look, and
 * *free*, the slots that may be handed out. Both are hints upwards of the leaf; at the leaf, ready is a hint still,
 * and free is the truth: who takes a bit out of it by compare-and-swap owns the slot, whose word is free, until he
 * sets the bit again.
 *
 * The blocks are the session's register of operations, too: there is no other list of them. A sweep walks the groups in
 * memory order; whatever is not in the free map may be an operation.
 *
 * The maps live in the slots' own memory: the rows of each group's slot 0. That slot's word stays free for ever, so no
 * handle fits it. So a group is found from a slot's index by a mask, needs no allocation that could fail, and is as
 * type-stable as the slots: a thread with an old handle that marks an operation which is over (it lost a race) marks
 * nothing, or makes a worker look once too often. For its sake the fields that it reads are atomics, and a roster's
 * words are never freed, only reused.
 *
 *   step        by             order     partner
 *   A1 settle   who grows      acq_rel   A2, K3: the block's number in the table, after its maps are filled
 *   A2 find     anybody        acquire   A1
 *   A3 take     a starter      acquire   A4: compare-and-swap of the free leaf: the last owner's rows are his no more
 *   A4 give     who freed      release   A3; and A5
 *   K3 sweep    a sweep        acq_rel   A1, and who gave out the block's number: read-modify-writes, all of them. The
 *                                        sweep finds the block, or who settles it sees the epoch for which it sweeps
 *   A5 orphan   roster_fini    acq_rel   A4: sets bit 0 of the free leaf, which is no slot's. A give that sees it, and
 *                                        completes the group, counts the block's groups down; so does A5 itself. The
 *                                        last one gives the block back, and has seen all that was done in it
 *
 * Slots are handed out in rotation through the groups, so generations wear evenly, and an old handle meets a free slot
 * rather than a stranger. Growing is not serialised: two starters that find nothing free add a block each.
 *
 * Rejected: group headers in memory of their own, indexed by slot: one more table that grows, can fail, and has to be
 * kept; the price of this way is one slot in 64.
 */
#ifndef SESSION_ROSTER_H
#define SESSION_ROSTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/cache.h"
#include "core/event.h"
#include "core/memory.h"
#include "core/slots.h"
#include "session/maps.h"
#include "session/op.h"

enum {
    GROUP_SLOTS = 64,
    GROUP_OPS = GROUP_SLOTS - 1,
    BLOCK_GROUPS_MAX = 64,                                     /* one summary word */
    ROSTER_FIRSTS = 8,                                         /* blocks whose places are in the roster itself */
    ROSTER_TOPS = 64,                                          /* words; the first is in the roster itself */
    ROSTER_BLOCKS = ROSTER_TOPS * 64,
};

enum roster_map { ROSTER_READY, ROSTER_FREE, ROSTER_MAPS };

struct roster;
struct expiry;

/* The hot row of a group's slot 0. A: atomic, B: written when the block is settled, atomic for late markers. */
struct group {
    struct slot slot;                                          /* its word is free, always */
    _Atomic uint64_t leaf[ROSTER_MAPS];                        /* A */
    _Atomic(struct roster *) roster;                           /* B; NULL: the block is nobody's */
    _Atomic uint64_t place;                                  /* B: the block's first slot, number; the group's number */
    _Atomic uint64_t session;                                  /* B: the session's handle */
    _Atomic uint64_t worn;                                     /* A: slots that are used up (slots.h) */
    struct event pulled;                                       /* for threads in weir_op_next */
};
static_assert(sizeof(struct group) == CACHE_LINE, "a group's own words share one line, the size of a row");

/* In the cold row of a block's first slot. */
struct block {
    _Atomic uint64_t summary[ROSTER_MAPS];                     /* A */
    _Atomic uint32_t orphans;                                  /* A: groups with zombies, after roster_fini; plus it */
    uint32_t groups;                                           /* I: from A1 on */
};

/* The cold row of a group's slot 0. */
struct group_cold {
    struct block block;                                        /* of a block's first group */
    _Atomic(struct expiry *) expiry;                           /* A: expiry.c; NULL: no start has needed it so far */
};
static_assert(sizeof(struct group_cold) <= sizeof(struct op_cold), "it lies in a slot's cold row");

/* What a roster with more than 8 blocks, twelve thousand operations, needs besides: 17 KiB. */
struct roster_more {
    _Atomic uint64_t top[ROSTER_MAPS][ROSTER_TOPS];            /* A; word 0 is unused */
    _Atomic uint32_t first[ROSTER_BLOCKS];                     /* A1, A2; the first 8 are unused */
};

/* I: fixed after init, A: atomic. */
struct roster {
    struct slots *ops;                                         /* I */
    const struct memory *memory;                               /* I */
    uint64_t session;                                          /* I: the session's handle */
    _Atomic uint64_t top[ROSTER_MAPS];                         /* A */
    _Atomic uint32_t blocks;                                   /* A: numbers given out; some may not be settled yet */
    _Atomic uint32_t cursor;                                   /* A: slot that was handed out last */
    _Atomic uint32_t first[ROSTER_FIRSTS];                     /* A1, A2: a block's first slot + 1; 0: not settled */
    _Atomic(struct roster_more *) more;                        /* A: NULL until the 9th block */
};

/* The options with which the application's table of operations is to be made. */
struct slots_options roster_slots_options(const struct memory *memory, uint32_t floor);

void roster_init(struct roster *r, struct slots *ops, const struct memory *memory, uint64_t session);

/* The session is over: gives its blocks back. A slot that is not free by then is a *zombie*: an abandoned operation
 * whose work has not returned (S5, S9). A block with zombies stays, nobody's, until the last of them is given. */
void roster_fini(struct roster *r);

/* The table of sessions ends: frees what a large roster needed besides. */
void roster_destroy(struct roster *r);

/* Room for this many operations, at least. WEIR_OK, NO_MEMORY, LIMIT. */
weir_status roster_reserve(struct roster *r, uint32_t count);

/* A slot whose word is free, and which is the caller's. WEIR_OK, NO_MEMORY, LIMIT. May allocate. */
weir_status roster_take(struct roster *r, uint32_t *index);

/* Slots of a group whose words are free again: a set of bits. Also those of zombies. */
void roster_give(struct slots *ops, struct group *group, uint64_t bits);

/* An operation's word has changed, and a worker has to look. The caller sees to the session's node. */
void roster_mark(struct group *group, uint64_t bit);

/* The group's ready leaf is empty (map_done has said so). */
void roster_empty(struct group *group);

/* Is something marked ready? Exact as to marks that were made before. */
static inline bool roster_has_ready(struct roster *r)
{
    for (uint32_t word = 0; word < ROSTER_TOPS; word++) {
        struct roster_more *more = word == 0 ? NULL : atomic_load_explicit(&r->more, memory_order_acquire);  /* A2 */
        if (word != 0 && more == NULL)
            return false;
        if (map_look(word == 0 ? &r->top[ROSTER_READY] : &more->top[ROSTER_READY][word]) != 0)
            return true;
    }
    return false;
}

/* A group with something ready, from a place that differs by `start`; NULL: there is none. */
struct group *roster_find_ready(struct roster *r, uint32_t start);

/* Groups of one block, side by side. */
struct roster_run {
    uint32_t first, count;                                     /* the first one's own slot; how many */
};

/* For sweeps: at most so many groups, from *number on, which moves behind them; they are numbered block by block, and
 * not every number is in use. False: there is none. Then every block that is settled later is settled by a thread
 * that sees what the caller saw (K3). */
bool roster_run_from(struct roster *r, uint32_t *number, uint32_t most, struct roster_run *run);

/* The groups by number, for looks: below roster_groups; in each block in memory order. NULL: there is none of that
 * number. */
uint32_t roster_groups(struct roster *r);
struct group *roster_group(struct roster *r, uint32_t number);

/* ---- from a slot's index to what it belongs to: pure ---- */

static inline struct group *group_of(const struct slots *ops, uint32_t index)
{
    return (struct group *)slots_at(ops, index & ~(uint32_t)(GROUP_SLOTS - 1));
}

static inline uint64_t group_bit(uint32_t index)
{
    return UINT64_C(1) << (index % GROUP_SLOTS);
}

/* Consecutive rows: slot `bit` of the group. */
static inline struct op *group_op(struct group *group, uint32_t bit)
{
    return (struct op *)group + bit;
}

/* place: 23..0 the block's first slot, 35..24 its number, 41..36 the group's number in it */
static inline uint32_t place_first(uint64_t place) { return (uint32_t)place & HANDLE_SLOT_MAX; }
static inline uint32_t place_block(uint64_t place) { return (uint32_t)(place >> 24) & (ROSTER_BLOCKS - 1); }
static inline uint32_t place_group(uint64_t place) { return (uint32_t)(place >> 36) & (BLOCK_GROUPS_MAX - 1); }

/* The index of its slot 0. Fixed while the group is a session's. */
static inline uint32_t group_first(struct group *group)
{
    uint64_t place = atomic_load_explicit(&group->place, memory_order_relaxed);
    return place_first(place) + place_group(place) * GROUP_SLOTS;
}

static inline uint64_t place_make(uint32_t first, uint32_t block, uint32_t group)
{
    return first | (uint64_t)block << 24 | (uint64_t)group << 36;
}

#endif
