/* SPDX-License-Identifier: Apache-2.0 */
/* scene_slots.c - core/slots.c: one holder per slot, exact limits, growth, stale handles
 *
 * Holders write their slots' rows plainly, so that two holders at once, or a hand-over without its
 * edge (S1, S2), are a data race. A chunk has 64 granules; lower limits keep searches small. */
#include <pthread.h>

#include "core/slots.h"
#include "explore.h"

enum { APP = 1, ALIVE = 1, CANCELLED = 2 };

struct row {
    struct slot slot;
    uint64_t owner;                                 /* plain */
};

static struct slots table;
static _Atomic uint32_t granted, refused, without_memory;

static weir_status open_table(uint32_t limit)
{
    const struct slots_options options = {
        .hot_size = sizeof(struct row), .granule = 1, .limit = limit,
    };
    return slots_init(&table, &options);
}

static pthread_t start(void *(*run)(void *arg), uintptr_t which)
{
    pthread_t thread;
    explore_check(pthread_create(&thread, NULL, run, (void *)which) == 0);
    return thread;
}

static void count(_Atomic uint32_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static uint32_t value(_Atomic uint32_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint64_t publish(uint32_t index)
{
    struct slot *slot = slots_at(&table, index);
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
    atomic_store_explicit(&slot->word, slot_word_with(word, ALIVE), memory_order_release);
    return handle_make(HANDLE_SESSION, APP, index, slot_word_generation(word));
}

/* ---- acquire, use, release: by two threads ---- */

static void *take_use_and_give_back(void *which)
{
    struct slots_block block;
    weir_status status = slots_acquire(&table, 1, 0, &block);
    if (status == WEIR_LIMIT)
        count(&refused);
    else if (status == WEIR_NO_MEMORY)
        count(&without_memory);
    if (status != WEIR_OK)
        return NULL;
    count(&granted);
    struct row *row = (struct row *)slots_at(&table, block.first);
    row->owner = (uintptr_t)which;
    publish(block.first);
    explore_check(row->owner == (uintptr_t)which);
    slots_free(&table, &row->slot);
    slots_release(&table, block);
    return NULL;
}

EXPLORE_SCENARIO(slots_two_threads_want_the_only_slot, .preemptions = 6, .stale_reads = 2)
{
    struct slots_block block;
    explore_check(open_table(1) == WEIR_OK);
    explore_check(slots_acquire(&table, 1, 0, &block) == WEIR_OK);
    slots_release(&table, block);
    pthread_t other = start(take_use_and_give_back, 1);
    take_use_and_give_back((void *)2);
    pthread_join(other, NULL);
    explore_check(value(&granted) + value(&refused) == 2 && value(&granted) >= 1);
    explore_check(slots_count(&table).taken == 0);
    explore_check(slots_generation_floor(&table) == 1 + value(&granted));
    explore_observe(value(&granted));
    slots_fini(&table);
}

EXPLORE_SCENARIO(slots_two_threads_two_slots_nobody_is_refused, .preemptions = 6, .stale_reads = 1)
{
    struct slots_block block;
    explore_check(open_table(2) == WEIR_OK);
    explore_check(slots_acquire(&table, 1, 0, &block) == WEIR_OK);
    slots_release(&table, block);
    pthread_t other = start(take_use_and_give_back, 1);
    take_use_and_give_back((void *)2);
    pthread_join(other, NULL);
    explore_check(value(&granted) == 2);
    slots_fini(&table);
}

EXPLORE_SCENARIO(slots_three_threads_want_two_slots, .preemptions = 2, .stale_reads = 1)
{
    struct slots_block block;
    explore_check(open_table(2) == WEIR_OK);
    explore_check(slots_acquire(&table, 1, 0, &block) == WEIR_OK);
    slots_release(&table, block);
    pthread_t one = start(take_use_and_give_back, 1), two = start(take_use_and_give_back, 2);
    take_use_and_give_back((void *)3);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    explore_check(value(&granted) >= 2 && value(&granted) + value(&refused) == 3);
    explore_check(slots_count(&table).taken == 0);
    explore_observe(value(&granted));
    slots_fini(&table);
}

/* ---- the first chunk is made by one of two, or by both and one gives in ---- */

static struct slots_block first_of[3];
static weir_status status_of[3];

static void *take_and_keep(void *which)
{
    uintptr_t me = (uintptr_t)which;
    status_of[me] = slots_acquire(&table, 1, 0, &first_of[me]);
    if (status_of[me] == WEIR_OK)
        ((struct row *)slots_at(&table, first_of[me].first))->owner = me;
    return NULL;
}

EXPLORE_SCENARIO(slots_two_threads_grow_the_table, .preemptions = 5, .stale_reads = 1)
{
    explore_check(open_table(2) == WEIR_OK);
    pthread_t other = start(take_and_keep, 1);
    take_and_keep((void *)0);
    pthread_join(other, NULL);
    explore_check(status_of[0] == WEIR_OK && status_of[1] == WEIR_OK);
    explore_check(first_of[0].first != first_of[1].first);
    explore_check(slots_count(&table).room == SLOTS_GRANULES);
    slots_fini(&table);
}

/* One makes it, the other finds it there and counts it, the third takes what was counted: the pointer must have come
 * with the count. Kills: what grow has of another's pointer relaxed, found or failed on. */
EXPLORE_SCENARIO(slots_two_threads_grow_the_table_for_a_third, .preemptions = 3, .stale_reads = 1)
{
    explore_check(open_table(3) == WEIR_OK);
    pthread_t one = start(take_and_keep, 1), two = start(take_and_keep, 2);
    take_and_keep((void *)0);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    for (int i = 0; i < 3; i++)
        explore_check(status_of[i] == WEIR_OK);
    explore_check(slots_count(&table).room == SLOTS_GRANULES);
    slots_fini(&table);
}

EXPLORE_SCENARIO(slots_growth_without_memory, .preemptions = 4, .faults = 2)
{
    pthread_t other;
    if (open_table(2) != WEIR_OK)
        return;
    bool started = pthread_create(&other, NULL, take_and_keep, (void *)1) == 0;
    take_and_keep((void *)0);
    if (started)
        pthread_join(other, NULL);
    else
        take_and_keep((void *)1);
    uint32_t kept = 0;
    for (int i = 0; i < 2; i++) {
        explore_check(status_of[i] == WEIR_OK || status_of[i] == WEIR_NO_MEMORY);
        kept += status_of[i] == WEIR_OK;
    }
    explore_check(slots_count(&table).taken == kept);
    slots_fini(&table);
}

/* ---- a pair against a single: bits and promises agree ---- */

static void *take_two_and_give_back(void *unused)
{
    (void)unused;
    struct slots_block block;
    if (slots_acquire(&table, 2, 0, &block) != WEIR_OK) {
        count(&refused);
        return NULL;
    }
    for (uint32_t i = 0; i < block.count; i++)
        ((struct row *)slots_at(&table, block.first + i))->owner = 7;
    slots_release(&table, block);
    return NULL;
}

EXPLORE_SCENARIO(slots_a_pair_against_a_single, .preemptions = 6, .stale_reads = 2)
{
    struct slots_block block;
    explore_check(open_table(2) == WEIR_OK);
    explore_check(slots_acquire(&table, 1, 0, &block) == WEIR_OK);
    slots_release(&table, block);
    pthread_t other = start(take_two_and_give_back, 1);
    take_use_and_give_back((void *)2);
    pthread_join(other, NULL);
    explore_check(slots_count(&table).taken == 0);
    explore_check(slots_acquire(&table, 2, 0, &block) == WEIR_OK && block.count == 2);
    explore_observe(value(&refused));
    slots_fini(&table);
}

/* ---- a stale handle against the slot's next life ---- */

static uint64_t first_life;
static _Atomic uint32_t won;

static void *cancel_first_life(void *unused)
{
    (void)unused;
    struct slot *slot = slots_validate(&table, first_life);
    if (slot == NULL)
        return NULL;
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
    while (slot_word_matches(word, first_life))
        if (atomic_compare_exchange_weak_explicit(&slot->word, &word, word | CANCELLED,
                                                  memory_order_acq_rel, memory_order_acquire)) {
            count(&won);
            break;
        }
    return NULL;
}

/* What freeing is for a slot whose word others change: one compare-and-swap. */
static uint64_t end_life(struct slot *slot)
{
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&slot->word, &word, slot_word_next(word),
                                                  memory_order_acq_rel, memory_order_relaxed))
        continue;
    return word;
}

EXPLORE_SCENARIO(slots_a_stale_cancel_never_strikes_the_next_life, .preemptions = 6,
                 .stale_reads = 3, .spurious = 1)
{
    struct slots_block block;
    explore_check(open_table(1) == WEIR_OK);
    explore_check(slots_acquire(&table, 1, 0, &block) == WEIR_OK);
    struct slot *slot = slots_at(&table, block.first);
    first_life = publish(block.first);
    pthread_t stranger = start(cancel_first_life, 0);
    uint64_t first_word = end_life(slot);
    publish(block.first);
    uint64_t second_word = end_life(slot);
    pthread_join(stranger, NULL);
    explore_check(((first_word & CANCELLED) != 0) == (value(&won) == 1));
    explore_check((second_word & CANCELLED) == 0);
    explore_observe(value(&won));
    slots_fini(&table);
}

/* ---- a forged handle, whose index nobody gave to this thread, as its chunk is made ---- */

static void *look_up_a_forged_handle(void *unused)
{
    (void)unused;
    explore_check(slots_validate(&table, handle_make(HANDLE_SESSION, APP, 0, 1)) == NULL);
    explore_check(slots_validate(&table, handle_make(HANDLE_SESSION, APP, 63, 7)) == NULL);
    return NULL;
}

EXPLORE_SCENARIO(slots_a_forged_handle_while_the_table_grows, .preemptions = 6, .stale_reads = 3)
{
    struct slots_block block;
    explore_check(open_table(2) == WEIR_OK);
    pthread_t stranger = start(look_up_a_forged_handle, 0);
    explore_check(slots_acquire(&table, 1, 0, &block) == WEIR_OK);
    pthread_join(stranger, NULL);
    slots_fini(&table);
}

/* ---- who finds a live slot sees its filled row (G1, G2); without G1's order it is found ---- */

static void *read_what_the_handle_names(void *unused)
{
    (void)unused;
    const struct slot *slot = slots_validate(&table, first_life);
    if (slot != NULL)
        explore_check(((const struct row *)slot)->owner == 42);
    return NULL;
}

static void fill_and_publish(memory_order order)
{
    struct slots_block block;
    explore_check(open_table(1) == WEIR_OK);
    explore_check(slots_acquire(&table, 1, 0, &block) == WEIR_OK);
    struct row *row = (struct row *)slots_at(&table, block.first);
    uint64_t word = atomic_load_explicit(&row->slot.word, memory_order_relaxed);
    first_life = handle_make(HANDLE_SESSION, APP, block.first, slot_word_generation(word));
    pthread_t reader = start(read_what_the_handle_names, 0);
    row->owner = 42;
    atomic_store_explicit(&row->slot.word, slot_word_with(word, ALIVE), order);
    pthread_join(reader, NULL);
    slots_fini(&table);
}

EXPLORE_SCENARIO(slots_a_live_slot_shows_its_row, .preemptions = 6, .stale_reads = 3)
{
    fill_and_publish(memory_order_release);
}

EXPLORE_SCENARIO(slots_a_row_published_without_order_is_found, .preemptions = 2, .expect = "race")
{
    fill_and_publish(memory_order_relaxed);
}

int main(int argc, char **argv)
{
    return explore_main(argc, argv);
}
