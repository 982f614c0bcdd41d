/* SPDX-License-Identifier: Apache-2.0 */
/* slots.h - a table of fixed-size slots: index to address in O(1), stale or not by one word
 *
 * A slot is two rows, in two arrays of the same chunk: a hot one that begins with the slot's
 * word, and an optional cold one. An operation's are 64 bytes each: claiming and sweeping touch
 * only the hot one.
 *
 *   the slot's word    63        62 .......... 32   31 ........... 0
 *                    | WORN |      generation     | the user's bits |
 *
 * The upper half is this module's: which of the slot's owners is meant, one after the other.
 * The lower half is the user's and has one rule: it is 0 exactly while the slot is free. So one
 * compare-and-swap of the word both validates a handle and acts on it: the slot cannot change
 * owners in between without the word changing (contract H1). What the hot row holds behind the
 * word is the user's.
 *
 *   step         by                order     partner
 *   G1 publish   the slot's owner  release   store of generation | bits, bits != 0, after the rows
 *                                            are filled. Partner: G2
 *   G2 validate  anybody           acquire   slots_validate: who sees the bits sees the filled rows
 *   G3 free      the slot's owner  release   CAS or store of slot_word_next(): from here on every
 *                                            copy of the handle is stale. Partner: the acquire by
 *                                            which the block's owner hands it out again, or S1
 *   The user's own compare-and-swaps on the word add what his protocol needs.
 *
 * Generations start at a floor that the table is given, are carried from owner to owner in the
 * word, and end at 2^31-1: the next step turns WORN on, and such a slot is never handed out
 * again. No handle can carry a WORN word's upper half, for it has no place for bit 63. When the
 * table ends, slots_generation_floor() says where the next table under the same application
 * number must start so that no handle of this one fits it.
 *
 * Memory: slots live in chunks of 64 granules; a granule is 1 slot (sessions, queues) or 16
 * (operations), fixed at init. A chunk is one allocation, which stays where it is until slots_fini:
 * type-stable for exactly as long as somebody can look, since every call holds the application by a
 * pin or runs on one of its workers (registry.h).
 *
 * Blocks: what is acquired is a run of 2^k granules, aligned to its own length, at most one
 * chunk: for operations 16, 32, ... 1024 slots. A session takes blocks, growing ones, hands
 * their slots out itself with no atomic step here, walks them in memory order when it closes,
 * and returns them whole. Within the block it should hand slots out in rotation, not the last
 * freed first: that spreads wear, and a stale handle then meets a free slot, not a stranger.
 * How blocks are found, and why not by free lists: slots.c.
 */
#ifndef CORE_SLOTS_H
#define CORE_SLOTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cache.h"
#include "core/handle.h"
#include "core/memory.h"
#include "weir/status.h"

enum {
    SLOTS_MAX = HANDLE_SLOT_MAX + 1,                /* every index that a handle can carry */
    SLOTS_GRANULES = 64,                            /* in a chunk: one bit each in one word */
    SLOTS_PAGE_CHUNKS = 128,                        /* in a page of the directory */
    SLOTS_FLOOR_WORN = 1 << 30,                     /* see slots_floor_is_worn */
};

/* The first member of every hot row. */
struct slot {
    _Atomic uint64_t word;                          /* A */
};

#define SLOT_WORN (UINT64_C(1) << 63)
#define SLOT_BITS UINT64_C(0xffffffff)

struct slots_page;

struct slots {
    struct memory memory;                           /* I */
    uint32_t hot_size, cold_size;                   /* I */
    uint32_t chunk_shift;                           /* I: log2 of slots in a chunk */
    uint32_t granule_shift;                         /* I: log2 of slots in a granule */
    uint32_t granules_max, chunks_max;              /* I */
    uint32_t floor;                                 /* I: generation of a fresh slot */
    _Atomic(struct slots_page *) *directory;        /* I; its elements A: once set, stay */
    CACHE_ALIGNED _Atomic uint32_t chunks;          /* A: all below it exist; only grows */
    _Atomic uint32_t taken;                         /* A: granules promised or acquired */
    _Atomic uint32_t hint;                          /* A: chunk where room was found last */
    _Atomic uint32_t worn_slots;                    /* A: used up, never to be used again */
    _Atomic uint32_t worn_granules;                 /* A: all of whose slots are */
};

struct slots_options {
    struct memory memory;                           /* all zero: the C library's */
    uint32_t hot_size;                              /* multiple of 8; 64 for whole lines */
    uint32_t cold_size;                             /* multiple of 8; 0: no cold rows */
    uint32_t granule;                               /* slots in one: power of two, up to 64 */
    uint32_t limit;                                 /* slots, in whole granules; 0: SLOTS_MAX */
    uint32_t floor;                                 /* first generation; 0: 1 */
};

/* What was acquired: count slots from index first on, in one chunk, so rows are consecutive too. */
struct slots_block {
    uint32_t first, count;
};

/* ---- the word: pure ---- */

/* 2^31 for a slot that is used up: the generation of no handle. */
static inline uint32_t slot_word_generation(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static inline bool slot_word_is_worn(uint64_t word)
{
    return (word & SLOT_WORN) != 0;
}

static inline bool slot_word_is_free(uint64_t word)
{
    return (word & SLOT_BITS) == 0;
}

/* The word for a new owner: the generation it has now, with the owner's bits (not 0). */
static inline uint64_t slot_word_with(uint64_t word, uint32_t bits)
{
    return (word & ~SLOT_BITS) | bits;
}

/* The word after G3: free, the next generation; after generation 2^31-1 WORN. */
static inline uint64_t slot_word_next(uint64_t word)
{
    return (word & ~SLOT_BITS) + (UINT64_C(1) << 32);
}

/* Is this word that of the object the handle names, alive? */
static inline bool slot_word_matches(uint64_t word, uint64_t handle)
{
    return slot_word_generation(word) == handle_generation(handle) && !slot_word_is_free(word);
}

/* ---- look-up: any thread, any index, no lock, no wait ---- */

/* The hot row of a slot that exists, live or not; else NULL. */
struct slot *slots_at(const struct slots *t, uint32_t index);

/* The cold row of a slot that exists; NULL if it does not or if the table has no cold rows. It is
 * zero bytes at the slot's first acquisition, and afterwards what the owner before left. */
void *slots_cold(const struct slots *t, uint32_t index);

/* G2. The live slot that the handle names, or NULL: stale. By the time the caller acts on it the
 * slot may be somebody else's: act by compare-and-swap, from a word that matches the handle. */
struct slot *slots_validate(const struct slots *t, uint64_t handle);

/* ---- acquire and release: lock-free ---- */

/* At most count slots, at least one granule; the largest power of two that limit, memory and room
 * allow. near: any index; where to look first, such as the caller's last block. May allocate.
 * LIMIT: the table is full. NO_MEMORY: it is not, but cannot grow. */
weir_status slots_acquire(struct slots *t, uint32_t count, uint32_t near, struct slots_block *out);

/* The whole block, every slot free (G3 done). Never allocates, cannot fail. */
void slots_release(struct slots *t, struct slots_block block);

/* To be said once for each slot that G3 has turned WORN, by who did it and before its block is
 * released. slots_free() says it by itself. */
void slots_note_worn(struct slots *t);

/* G3 for who needs no compare-and-swap, because nobody else changes the word any more. */
void slots_free(struct slots *t, struct slot *slot);

/* ---- the table ---- */

weir_status slots_init(struct slots *t, const struct slots_options *options);
/* Nobody else is looking any more. */
void slots_fini(struct slots *t);

/* 1 + the highest generation that a handle of this table may carry, at least the table's own floor.
 * Reads every slot: for the end of the table, before slots_fini. */
uint32_t slots_generation_floor(const struct slots *t);

/* Would a table that starts at this floor have too little left? Half of all generations is the
 * line: above it slots wear out so soon that a busy table would eat its index space. */
static inline bool slots_floor_is_worn(uint32_t floor)
{
    return floor > SLOTS_FLOOR_WORN;
}

/* For reports; true a moment ago. */
struct slots_counts {
    uint32_t taken, room, worn;                     /* slots: in blocks, in memory, used up */
};
struct slots_counts slots_count(const struct slots *t);

#endif
