/* SPDX-License-Identifier: Apache-2.0 */
/* maps.h - which operations want a worker to look at them: three levels of bits
 *
 *      top          one bit per block with something ready          a few words, in the session
 *      summary      one bit per group of the block                  64 groups: one word, in the block
 *      leaf         one bit per operation of the group              64 operations: one word, in the group
 *
 * A bit is a hint. It says: look. What there is to do, and who does it, the operation's word decides (op_word.h), so
 * a bit too many costs a look, and nobody owns a bit. What must not happen is a bit too few:
 *
 *      an operation whose word asks for a step has its leaf's bit set, or somebody is on his way to look at it;
 *      the same for each word that is not 0 and its bit one level up, and for the top and the session's node.
 *
 *   step       by            order     partner
 *   L1 mark    who has the   seq_cst   L4, at each level: sets the bit by a read-modify-write, then looks whether the
 *              duty LOOK               level above has its own; if not, sets that. Stops at no level without a look
 *   L2 find    a looker      seq_cst   L1. From the top down, from a start that differs from worker to worker
 *   L3 done    a looker      acq_rel   L1, at the leaf: takes away the bits of what it looked at, and *then looks at
 *                                      each of those words once more*
 *   L4 empty   a looker      seq_cst   L1: the word below is 0: takes the bit away, then looks at the word below again,
 *                                      and if it is not 0 any more, marks again
 *
 * Why nothing is lost at the leaf. A mover changes a word, then does L1. If its L1 comes after L3 in the leaf's
 * order, the bit is set. If it comes before, L3 has read it, and synchronises with it: the second look sees the
 * change. And above: L1 writes below and then looks above, L4 writes above and then looks below, all seq_cst: at
 * least one of the two sees the other. L1 never relies on another marker's next step, since that thread may be asleep
 * between the two.
 *
 * Bits stay set while a looker is at work and are taken away when it is done: so the rest of a group is not held
 * hostage by a work function that blocks in the first of its operations. Another worker finds the same bits, and the
 * words tell it which operations are still to be done.
 *
 * Rejected: a list of ready operations. It needs a link in the slot, so an operation that a cancel has ended stays in
 * the list, or its final has to wait until it is popped. Rejected: taking a group's bits by one exchange; it would be
 * one read-modify-write less, and 63 hostages.
 */
#ifndef SESSION_MAPS_H
#define SESSION_MAPS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { MAP_LEVELS = 3 };

/* The way from an operation's bit up to the top. */
struct map_path {
    _Atomic uint64_t *word[MAP_LEVELS];
    uint64_t bit[MAP_LEVELS];
};

/* The bits of a word in the order in which to try them: from bit `start` on, then from 0. */
struct map_walk {
    uint64_t first, rest;
};

static inline struct map_walk map_walk(uint64_t word, unsigned start)
{
    uint64_t below = (UINT64_C(1) << (start & 63)) - 1;
    return (struct map_walk){ word & ~below, word & below };
}

/* The next one, or -1. */
static inline int map_next(struct map_walk *walk)
{
    if (walk->first == 0) {
        walk->first = walk->rest;
        walk->rest = 0;
    }
    if (walk->first == 0)
        return -1;
    int bit = __builtin_ctzll(walk->first);
    walk->first &= walk->first - 1;
    return bit;
}

/* L2. */
static inline uint64_t map_look(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_seq_cst);                            /* L1, L4 */
}

/* L1, from a level up. */
static inline void map_mark_from(const struct map_path *path, int level)
{
    for (int i = level; i < MAP_LEVELS; i++)
        if ((map_look(path->word[i]) & path->bit[i]) == 0)
            atomic_fetch_or_explicit(path->word[i], path->bit[i], memory_order_seq_cst); /* L1 with L4 */
}

/* L1: the operation's word has changed; somebody has to look at it. The caller sees to the session's node. */
static inline void map_mark(const struct map_path *path)
{
    /* by a read-modify-write even if the bit is set: a looker may be between its look and L3 */
    atomic_fetch_or_explicit(path->word[0], path->bit[0], memory_order_seq_cst);         /* L1 with L3, L4 */
    map_mark_from(path, 1);
}

/* L3: these have been looked at. Look at them again, now. True: the leaf is empty, L4 is due. */
static inline bool map_done(_Atomic uint64_t *leaf, uint64_t done)
{
    return (atomic_fetch_and_explicit(leaf, ~done, memory_order_acq_rel) & ~done) == 0;  /* L3 with L1 */
}

/* L4: the leaf was empty. */
static inline void map_empty(const struct map_path *path)
{
    for (int i = 1; i < MAP_LEVELS; i++) {
        uint64_t left = atomic_fetch_and_explicit(path->word[i], ~path->bit[i], memory_order_seq_cst); /* L4 with L1 */
        if (map_look(path->word[i - 1]) != 0) {
            map_mark_from(path, i);
            return;
        }
        if ((left & ~path->bit[i]) != 0)
            return;
    }
}

#endif
