/* SPDX-License-Identifier: Apache-2.0 */
/* test_slots_ends.c - what happens at the ends: limit, memory, wear, the next incarnation */

#include "core/slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/support.h"
#include "tests/unit/slots_fixture.h"

/* ---- a memory hook that counts and can say no ---- */

struct heap {
    _Atomic size_t bytes, calls;
    _Atomic int allowed;                            /* how often it says yes; -1: always */
};

static void *heap_alloc(size_t size, size_t align, void *ctx)
{
    struct heap *heap = ctx;
    atomic_fetch_add(&heap->calls, 1);
    if (atomic_load(&heap->allowed) == 0)
        return NULL;
    if (atomic_load(&heap->allowed) > 0)
        atomic_fetch_sub(&heap->allowed, 1);
    atomic_fetch_add(&heap->bytes, size);
    return aligned_alloc(align, (size + align - 1) / align * align);
}

static void heap_release(void *address, size_t size, void *ctx)
{
    struct heap *heap = ctx;
    atomic_fetch_sub(&heap->bytes, size);
    free(address);
}

static struct memory heap_hook(struct heap *heap)
{
    return (struct memory){heap_alloc, heap_release, heap};
}

/* ---- limits and memory ---- */

static void the_limit_is_exact(void **unused)
{
    (void)unused;
    struct slots t;
    struct slots_block block, last = {0, 0};
    open_table(&t, singles(100));
    for (int i = 0; i < 100; i++)
        last = take(&t, 1);
    assert_int_equal(slots_acquire(&t, 1, 0, &block), WEIR_LIMIT);
    slots_release(&t, last);
    assert_int_equal(slots_acquire(&t, 1, 0, &block), WEIR_OK);
    assert_int_equal(block.first, last.first);
    slots_fini(&t);
}

static void every_index_of_the_largest_table_can_be_had(void **unused)
{
    (void)unused;
    struct slots t;
    struct slots_block block;
    struct slots_options options = {.hot_size = 8, .granule = 64};
    open_table(&t, options);
    uint64_t slots = 0;
    while (slots_acquire(&t, UINT32_MAX, 0, &block) == WEIR_OK)
        slots += block.count;
    assert_int_equal(slots, SLOTS_MAX);
    assert_non_null(slots_at(&t, HANDLE_SLOT_MAX));
    slots_fini(&t);
}

static void a_refused_acquire_leaves_everything_as_it_was(void **unused)
{
    (void)unused;
    struct slots t;
    struct slots_block block = {4711, 42};
    open_table(&t, ops(16));
    take(&t, 16);
    assert_int_equal(slots_acquire(&t, 16, 0, &block), WEIR_LIMIT);
    assert_int_equal(block.first, 4711);
    assert_int_equal(block.count, 42);
    assert_int_equal(slots_count(&t).taken, 16);
    slots_fini(&t);
}

static void without_memory_nothing_is_taken_and_later_all_is_well(void **unused)
{
    (void)unused;
    for (int allowed = 0; allowed < 3; allowed++) { /* directory; page; chunk */
        struct heap heap = {.allowed = allowed};
        struct slots t;
        struct slots_options options = ops(0);
        options.memory = heap_hook(&heap);
        if (allowed == 0) {
            assert_int_equal(slots_init(&t, &options), WEIR_NO_MEMORY);
            assert_int_equal(heap.bytes, 0);
            continue;
        }
        open_table(&t, options);
        struct slots_block block;
        assert_int_equal(slots_acquire(&t, 256, 0, &block), WEIR_NO_MEMORY);
        assert_int_equal(slots_count(&t).taken, 0);
        heap.allowed = -1;
        assert_int_equal(slots_acquire(&t, 256, 0, &block), WEIR_OK);
        assert_int_equal(block.count, 256);
        slots_fini(&t);
        assert_int_equal(heap.bytes, 0);
    }
}

static void without_memory_for_a_large_block_a_small_one_is_answered(void **unused)
{
    (void)unused;
    struct heap heap = {.allowed = -1};
    struct slots t;
    struct slots_options options = ops(0);
    options.memory = heap_hook(&heap);
    open_table(&t, options);
    take(&t, 512);
    take(&t, 256);
    heap.allowed = 0;
    assert_int_equal(take(&t, 1024).count, 256);
    struct slots_block block;
    assert_int_equal(slots_acquire(&t, 1024, 0, &block), WEIR_NO_MEMORY);
    slots_fini(&t);
    assert_int_equal(heap.bytes, 0);
}

static void a_release_allocates_nothing(void **unused)
{
    (void)unused;
    struct heap heap = {.allowed = -1};
    struct slots t;
    struct slots_options options = ops(0);
    options.memory = heap_hook(&heap);
    open_table(&t, options);
    struct slots_block large = take(&t, 1024), small = take(&t, 16);
    size_t calls = heap.calls;
    slots_release(&t, large);
    slots_release(&t, small);
    assert_int_equal(heap.calls, calls);
    slots_fini(&t);
    assert_int_equal(heap.bytes, 0);
}

/* ---- wear ---- */

static void a_slot_is_worn_after_its_last_generation(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, ops(16));
    struct slots_block block = take(&t, 16);
    set_generation(&t, block.first + 4, HANDLE_GENERATION_MAX);
    uint64_t last = publish(&t, block.first + 4);
    assert_non_null(slots_validate(&t, last));
    slots_free(&t, slots_at(&t, block.first + 4));
    assert_null(slots_validate(&t, last));
    assert_true(slot_word_is_worn(word_at(&t, block.first + 4)));
    assert_int_equal(slots_count(&t).worn, 1);
    slots_fini(&t);
}

static void a_block_with_a_worn_slot_goes_on_without_it(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, ops(16));
    struct slots_block block = take(&t, 16);
    set_generation(&t, block.first + 4, HANDLE_GENERATION_MAX);
    publish_and_free(&t, block.first + 4);
    slots_release(&t, block);
    block = take(&t, 16);
    assert_true(slot_word_is_worn(word_at(&t, block.first + 4)));
    assert_false(slot_word_is_worn(word_at(&t, block.first + 5)));
    slots_fini(&t);
}

static void a_granule_of_worn_slots_is_never_handed_out_again(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, ops(64));
    struct slots_block block = take(&t, 64);
    for (uint32_t i = 16; i < 32; i++) {
        set_generation(&t, block.first + i, HANDLE_GENERATION_MAX);
        publish_and_free(&t, block.first + i);
    }
    slots_release(&t, block);
    assert_int_equal(slots_count(&t).taken, 0);
    assert_int_equal(slots_count(&t).worn, 16);
    uint32_t had = 0;
    while (slots_acquire(&t, 64, 0, &block) == WEIR_OK) {
        assert_true(block.first + block.count <= 16 || block.first >= 32);
        had += block.count;
    }
    assert_int_equal(had, 48);
    slots_fini(&t);
}

static void a_worn_single_slot_is_replaced_by_a_fresh_one(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, singles(2));
    struct slots_block block = take(&t, 1);
    set_generation(&t, block.first, HANDLE_GENERATION_MAX);
    publish_and_free(&t, block.first);
    slots_release(&t, block);
    struct slots_block next = take(&t, 1);
    assert_int_not_equal(next.first, block.first);
    assert_int_equal(slots_acquire(&t, 1, 0, &next), WEIR_LIMIT);
    slots_fini(&t);
}

/* ---- the next incarnation ---- */

static uint32_t floor_after(struct slots *t)
{
    uint32_t floor = slots_generation_floor(t);
    slots_fini(t);
    return floor;
}

static void an_unused_table_keeps_its_floor(void **unused)
{
    (void)unused;
    struct slots t;
    struct slots_options options = ops(0);
    options.floor = 9;
    open_table(&t, options);
    take(&t, 16);
    assert_int_equal(floor_after(&t), 9);
}

static void the_floor_is_above_every_generation_that_was_given_out(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, ops(0));
    struct slots_block low = take(&t, 1024), high = take(&t, 16);
    publish_and_free(&t, low.first);
    for (int i = 0; i < 3; i++)
        publish_and_free(&t, high.first + 15);
    assert_int_equal(floor_after(&t), 4);
}

static void a_slot_that_still_lives_counts_for_the_floor(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, ops(0));
    struct slots_block block = take(&t, 16);
    set_generation(&t, block.first, 50);
    publish(&t, block.first);
    assert_int_equal(floor_after(&t), 51);
}

static void a_worn_slot_leaves_no_floor_to_start_from(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, ops(0));
    struct slots_block block = take(&t, 16);
    set_generation(&t, block.first, HANDLE_GENERATION_MAX);
    publish_and_free(&t, block.first);
    assert_true(slots_floor_is_worn(floor_after(&t)));
    assert_false(slots_floor_is_worn(1));
}

static void no_handle_of_a_table_fits_the_next_one(void **unused)
{
    (void)unused;
    enum { OLD = 64 };
    uint64_t old[OLD];
    struct slots t;
    open_table(&t, ops(0));
    struct slots_block block = take(&t, OLD);
    for (uint32_t i = 0; i < OLD; i++) {
        for (uint32_t use = 0; use < i % 5; use++)
            publish_and_free(&t, block.first + i);
        old[i] = publish(&t, block.first + i);
    }
    struct slots_options options = ops(0);
    options.floor = floor_after(&t);
    open_table(&t, options);
    block = take(&t, OLD);
    for (uint32_t i = 0; i < OLD; i++) {
        publish(&t, block.first + i);
        assert_null(slots_validate(&t, old[i]));
    }
    slots_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limit_is_exact),
        cmocka_unit_test(every_index_of_the_largest_table_can_be_had),
        cmocka_unit_test(a_refused_acquire_leaves_everything_as_it_was),
        cmocka_unit_test(without_memory_nothing_is_taken_and_later_all_is_well),
        cmocka_unit_test(without_memory_for_a_large_block_a_small_one_is_answered),
        cmocka_unit_test(a_release_allocates_nothing),
        cmocka_unit_test(a_slot_is_worn_after_its_last_generation),
        cmocka_unit_test(a_block_with_a_worn_slot_goes_on_without_it),
        cmocka_unit_test(a_granule_of_worn_slots_is_never_handed_out_again),
        cmocka_unit_test(a_worn_single_slot_is_replaced_by_a_fresh_one),
        cmocka_unit_test(an_unused_table_keeps_its_floor),
        cmocka_unit_test(the_floor_is_above_every_generation_that_was_given_out),
        cmocka_unit_test(a_slot_that_still_lives_counts_for_the_floor),
        cmocka_unit_test(a_worn_slot_leaves_no_floor_to_start_from),
        cmocka_unit_test(no_handle_of_a_table_fits_the_next_one),
    };
    return cmocka_run_group_tests_name("slots_ends", tests, NULL, NULL);
}
