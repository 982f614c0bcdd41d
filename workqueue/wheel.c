/* SPDX-License-Identifier: Apache-2.0 */
/* wheel.c - see wheel.h for the theory of operation */
#include "workqueue/wheel.h"

#include "core/clock.h"
#include "core/verify.h"

/* ---- places: pure functions of base and deadline --------------------------------------------- */

/* Deadlines as unsigned numbers of the same order: the most negative becomes 0. */
static inline uint64_t ordered(int64_t time)
{
    return (uint64_t)time ^ (UINT64_C(1) << 63);
}

/* The highest digit in which the two differ; 0 if none does, or only the grain. */
static inline unsigned level_between(uint64_t base, uint64_t time)
{
    uint64_t difference = (base ^ time) >> WHEEL_GRAIN_BITS;
    if (difference == 0)
        return 0;
    return (63 - (unsigned)__builtin_clzll(difference)) / WHEEL_DIGIT_BITS;
}

static inline unsigned level_shift(unsigned level)
{
    return WHEEL_GRAIN_BITS + level * WHEEL_DIGIT_BITS;
}

static inline unsigned digit_of(uint64_t time, unsigned level)
{
    return (unsigned)(time >> level_shift(level)) & (WHEEL_SLOTS - 1);
}

/* When the time of a slot begins: base's digits above, the slot's own, and zeros. */
static uint64_t slot_begin(uint64_t base, unsigned level, unsigned digit)
{
    unsigned shift = level_shift(level);
    uint64_t digits = (base >> shift) & ~(uint64_t)(WHEEL_SLOTS - 1);
    return (digits | digit) << shift;
}

/* ---- slots ------------------------------------------------------------------------------------ */

static inline struct wheel_node *slot_at(struct wheel *wheel, unsigned level, unsigned digit)
{
    return &wheel->slots[level * WHEEL_SLOTS + digit];
}

/* In use: an empty ring, about to get its first node. */
static void slot_begin_use(struct wheel *wheel, unsigned level, unsigned digit)
{
    struct wheel_node *slot = slot_at(wheel, level, digit);
    slot->next = slot->prev = slot;
    slot->deadline = INT64_MAX;
    wheel->slots_used[level] |= UINT64_C(1) << digit;
    wheel->levels_used |= 1U << level;
}

static void slot_end_use(struct wheel *wheel, unsigned level, unsigned digit)
{
    wheel->slots_used[level] &= ~(UINT64_C(1) << digit);
    if (wheel->slots_used[level] == 0)
        wheel->levels_used &= ~(1U << level);
}

/* The first slot in use of the lowest wheel in use. There is one. */
static inline void find_first_slot(const struct wheel *wheel, unsigned *level, unsigned *digit)
{
    *level = (unsigned)__builtin_ctz(wheel->levels_used);
    *digit = (unsigned)__builtin_ctzll(wheel->slots_used[*level]);
}

/* ---- one node --------------------------------------------------------------------------------- */

void wheel_insert(struct wheel *wheel, struct wheel_node *node)
{
    uint64_t time = ordered(node->deadline);
    if (time < wheel->base)
        time = wheel->base;
    unsigned level = level_between(wheel->base, time);
    unsigned digit = digit_of(time, level);
    if ((wheel->slots_used[level] >> digit & 1) == 0)
        slot_begin_use(wheel, level, digit);

    struct wheel_node *slot = slot_at(wheel, level, digit);
    node->next = slot;
    node->prev = slot->prev;
    slot->prev->next = node;
    slot->prev = node;
    if (node->deadline < slot->deadline)
        slot->deadline = node->deadline;
}

void wheel_remove(struct wheel *wheel, struct wheel_node *node)
{
    weir_assert(wheel_node_is_in(node));
    if (node->next == node->prev) {                  /* both are the slot's head */
        unsigned index = (unsigned)(node->next - wheel->slots);
        slot_end_use(wheel, index / WHEEL_SLOTS, index % WHEEL_SLOTS);
    } else {
        node->next->prev = node->prev;
        node->prev->next = node->next;
    }
    node->next = NULL;
}

int64_t wheel_next_deadline(const struct wheel *wheel)
{
    if (wheel_is_empty(wheel))
        return WEIR_FOREVER;
    unsigned level, digit;
    find_first_slot(wheel, &level, &digit);
    return wheel->slots[level * WHEEL_SLOTS + digit].deadline;
}

/* ---- lists that come out ---------------------------------------------------------------------- */

static void list_append(struct wheel_list *list, struct wheel_node *node)
{
    node->next = NULL;
    if (list->first == NULL)
        list->first = node;
    else
        list->last->next = node;
    list->last = node;
}

static void list_join(struct wheel_list *list, struct wheel_list more)
{
    if (more.first == NULL)
        return;
    if (list->first == NULL)
        list->first = more.first;
    else
        list->last->next = more.first;
    list->last = more.last;
}

/* Two sorted chains into one; of equal deadlines those of the first come first. */
static struct wheel_node *merge_chains(struct wheel_node *a, struct wheel_node *b)
{
    struct wheel_node head, *last = &head;
    while (a != NULL && b != NULL) {
        struct wheel_node **least = b->deadline < a->deadline ? &b : &a;
        last->next = *least;
        last = *least;
        *least = last->next;
    }
    last->next = a != NULL ? a : b;
    return head.next;
}

/* Cuts the longest chain that is sorted already off the front. */
static struct wheel_node *take_run(struct wheel_node **rest)
{
    struct wheel_node *run = *rest, *last = run;
    while (last->next != NULL && last->next->deadline >= last->deadline)
        last = last->next;
    *rest = last->next;
    last->next = NULL;
    return run;
}

/* Natural merge sort: pending[i] is NULL, or 2^i runs in one. A sorted list is one run. */
static struct wheel_list sort_list(struct wheel_list list)
{
    struct wheel_node *pending[48] = { NULL };
    struct wheel_node *rest = list.first;
    while (rest != NULL) {
        struct wheel_node *run = take_run(&rest);
        unsigned i = 0;
        for (; pending[i] != NULL; pending[i++] = NULL)
            run = merge_chains(pending[i], run);
        pending[i] = run;
    }
    struct wheel_node *sorted = NULL;
    for (unsigned i = 0; i < sizeof pending / sizeof pending[0]; i++)
        if (pending[i] != NULL)
            sorted = merge_chains(pending[i], sorted);
    struct wheel_list result = { NULL, NULL };
    result.first = result.last = sorted;
    while (result.last != NULL && result.last->next != NULL)
        result.last = result.last->next;
    return result;
}

/* ---- expiry ----------------------------------------------------------------------------------- */

/* Empties a slot: its nodes as a chain, in the order of insertion. */
static struct wheel_node *empty_slot(struct wheel *wheel, unsigned level, unsigned digit)
{
    struct wheel_node *slot = slot_at(wheel, level, digit);
    slot->prev->next = NULL;
    slot_end_use(wheel, level, digit);
    return slot->next;
}

struct wheel_list wheel_expire(struct wheel *wheel, int64_t now)
{
    struct wheel_list due = { NULL, NULL }, later = { NULL, NULL };
    if (!time_is_over(wheel_next_deadline(wheel), now))
        return due;

    uint64_t base = ordered(now) > wheel->base ? ordered(now) : wheel->base; /* a clock that went back */
    while (!wheel_is_empty(wheel)) {
        unsigned level, digit;
        find_first_slot(wheel, &level, &digit);
        if (slot_begin(wheel->base, level, digit) > base)
            break;
        struct wheel_list of_slot = { NULL, NULL };
        for (struct wheel_node *node = empty_slot(wheel, level, digit), *next; node != NULL; node = next) {
            next = node->next;
            list_append(time_is_over(node->deadline, now) ? &of_slot : &later, node);
        }
        list_join(&due, sort_list(of_slot));
    }
    wheel->base = base;
    for (struct wheel_node *node = later.first, *next; node != NULL; node = next) {
        next = node->next;
        wheel_insert(wheel, node);
    }
    return due;
}

struct wheel_list wheel_drain(struct wheel *wheel)
{
    struct wheel_list all = { NULL, NULL };
    while (!wheel_is_empty(wheel)) {
        unsigned level, digit;
        find_first_slot(wheel, &level, &digit);
        for (struct wheel_node *node = empty_slot(wheel, level, digit), *next; node != NULL; node = next) {
            next = node->next;
            list_append(&all, node);
        }
    }
    return all;
}

void wheel_init(struct wheel *wheel, int64_t now)
{
    wheel->base = ordered(now);
    wheel->levels_used = 0;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++)
        wheel->slots_used[level] = 0;
}
