/* SPDX-License-Identifier: Apache-2.0 */
/* wheel.h - deadlines in a hierarchy of wheels: arm and unlink in O(1) at any distance
 *
 * A deadline is 64 bits. The lowest 16 (65 microseconds) are grain: they do not choose a place. The
 * other 48 are eight digits of six bits, and each digit has a wheel of 64 slots. A node lies in the
 * wheel of the highest digit in which its deadline differs from the wheel's base, in the slot of
 * its own digit there:
 *
 *      base      .. 07 31 02 | grain      a node due at  .. 07 31 40   lies in wheel 0, slot 40
 *                                                        .. 07 33 00   lies in wheel 1, slot 33
 *                                                        .. 09 00 00   lies in wheel 2, slot  9
 *
 * Why that is an order. No node is due before base (one that is counts as due at base, for its
 * place only). So in its wheel each node has a digit above base's, or, in wheel 0, the same one; and
 * whatever lies in wheel n shares all digits above n with base, so it is due before all that lies in
 * wheel n + 1. Hence the nearest deadline is in the first slot in use of the lowest wheel in use:
 * two bit maps find it. No slot is ever passed twice ("wrapped"), and no distance is too far.
 *
 * Exact, never early. Each slot remembers the earliest deadline that was put into it, in full. The
 * next wake-up is that of the first slot: not the end of a grain, and never a boundary at which
 * nodes only move to a finer wheel, so the thread that sleeps wakes for nothing but deadlines.
 * Taking a node out does not raise the memory of its slot: when the earliest of a slot is taken
 * out and others stay, one wake-up comes too early for anything to fire, and sets it right.
 *
 * wheel_expire(now) does nothing before that time. Then it empties every slot whose time has
 * begun, keeps what is due, makes now the base, and puts the rest back, which lands in a lower
 * wheel, or in the slot of base: each node moves at most seven times in its life, and is looked at
 * again only while the sixty-five microseconds in which it is due are running.
 *
 * What is due comes out in the order of the deadlines, equal ones in the order of insertion. For
 * the latter: the place of a node depends on base and deadline only, and holds as long as no slot
 * that has begun is left unemptied; so equal deadlines are always in one slot, in order.
 *
 * Rejected: a heap (O(log n), and memory that grows); one ring of slots with counters of rounds
 * (each round walks everything that is far); slots that fire when their time is over (late by up to
 * their width, or wheels so fine that there must be ten); rounding far deadlines, as the kernel's
 * timer wheel does, to never cascade (late by an eighth of the distance).
 *
 * A pure data structure: no atomics, no clock, no allocation. Its owner serialises everything.
 */
#ifndef WEIR_WORKQUEUE_WHEEL_H
#define WEIR_WORKQUEUE_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/status.h>

enum {
    WHEEL_GRAIN_BITS = 16,
    WHEEL_DIGIT_BITS = 6,
    WHEEL_LEVELS = 8,
    WHEEL_SLOTS = 1 << WHEEL_DIGIT_BITS,
};
_Static_assert(WHEEL_GRAIN_BITS + WHEEL_LEVELS * WHEEL_DIGIT_BITS == 64, "every deadline has a place");

struct wheel_node {
    struct wheel_node *next;                        /* NULL: in no wheel */
    struct wheel_node *prev;
    int64_t deadline;                               /* of a slot: the earliest, or earlier */
};

/* What comes out of a wheel: a chain by next. */
struct wheel_list {
    struct wheel_node *first;
    struct wheel_node *last;
};

struct wheel {
    uint64_t base;                                  /* nothing is due before; in ordered form */
    uint32_t levels_used;                           /* bit n: some slot of wheel n is in use */
    uint32_t padding;
    uint64_t slots_used[WHEEL_LEVELS];              /* bit n: slot n has nodes, and its head is valid */
    struct wheel_node slots[WHEEL_LEVELS * WHEEL_SLOTS]; /* heads of rings */
};

void wheel_init(struct wheel *wheel, int64_t now);

/* node->deadline is set; any value. WEIR_FOREVER never becomes due, but can be drained. */
void wheel_insert(struct wheel *wheel, struct wheel_node *node);

/* node is in this wheel. */
void wheel_remove(struct wheel *wheel, struct wheel_node *node);

/* When to call wheel_expire: no later than the nearest deadline, and exactly then unless a node was
 * removed. WEIR_FOREVER: never. */
int64_t wheel_next_deadline(const struct wheel *wheel);

/* Takes out what is due at now, in order. The nodes' next is the chain: read it, then make it NULL. */
struct wheel_list wheel_expire(struct wheel *wheel, int64_t now);

/* Takes out everything, in no order. */
struct wheel_list wheel_drain(struct wheel *wheel);

static inline bool wheel_is_empty(const struct wheel *wheel) { return wheel->levels_used == 0; }

static inline bool wheel_node_is_in(const struct wheel_node *node) { return node->next != NULL; }

/* The first node of what came out, which is then in no list; NULL: none is left. */
static inline struct wheel_node *wheel_list_take(struct wheel_list *list)
{
    struct wheel_node *node = list->first;
    if (node != NULL) {
        list->first = node->next;
        node->next = NULL;
    }
    return node;
}

#endif
