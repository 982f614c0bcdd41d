/* SPDX-License-Identifier: Apache-2.0 */
/* test_slots.c - the word, look-up, stale handles, blocks */

#include "core/slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/support.h"
#include "tests/unit/slots_fixture.h"

/* ---- the word ---- */

static void freeing_advances_the_generation_and_clears_the_bits(void **unused)
{
    (void)unused;
    uint64_t word = slot_word_with(UINT64_C(7) << 32, 0xffffffff);
    assert_int_equal(slot_word_generation(word), 7);
    assert_false(slot_word_is_free(word));
    assert_int_equal(slot_word_next(word), UINT64_C(8) << 32);
    assert_true(slot_word_is_free(slot_word_next(word)));
}

static void after_the_last_generation_the_word_is_worn_and_fits_no_handle(void **unused)
{
    (void)unused;
    uint64_t last = slot_word_with((uint64_t)HANDLE_GENERATION_MAX << 32, 1);
    assert_false(slot_word_is_worn(last));
    assert_true(slot_word_matches(last, handle_make(HANDLE_OP, APP, 0, HANDLE_GENERATION_MAX)));
    uint64_t worn = slot_word_next(last);
    assert_true(slot_word_is_worn(worn));
    assert_false(slot_word_matches(worn | 1, UINT64_MAX));
    assert_false(slot_word_matches(worn | 1, handle_make(HANDLE_OP, APP, 0, 0)));
}

/* ---- look-up ---- */

static void every_index_may_be_looked_up(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, ops(0));
    assert_null(slots_at(&t, 0));
    assert_null(slots_at(&t, HANDLE_SLOT_MAX));
    take(&t, 16);
    assert_non_null(slots_at(&t, OPS_CHUNK - 1));
    assert_null(slots_at(&t, OPS_CHUNK));
    assert_null(slots_cold(&t, OPS_CHUNK));
    assert_null(slots_at(&t, HANDLE_SLOT_MAX));
    assert_null(slots_at(&t, UINT32_MAX));
    slots_fini(&t);
}

static void rows_of_a_block_follow_each_other_on_whole_lines(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, ops(0));
    struct slots_block block = take(&t, 256);
    unsigned char *hot = (unsigned char *)slots_at(&t, block.first);
    unsigned char *cold = slots_cold(&t, block.first);
    assert_int_equal((uintptr_t)hot % CACHE_LINE, 0);
    for (uint32_t i = 0; i < block.count; i++) {
        assert_ptr_equal(slots_at(&t, block.first + i), hot + (size_t)i * HOT);
        assert_ptr_equal(slots_cold(&t, block.first + i), cold + (size_t)i * COLD);
    }
    slots_fini(&t);
}

static void no_two_rows_overlap(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, ops(2 * OPS_CHUNK));
    take(&t, OPS_CHUNK);
    take(&t, OPS_CHUNK);
    for (uint32_t i = 0; i < 2 * OPS_CHUNK; i++) {
        memset((void *)slots_at(&t, i), (int)(i % 251), HOT);
        memset(slots_cold(&t, i), (int)(i % 241), COLD);
    }
    for (uint32_t i = 0; i < 2 * OPS_CHUNK; i++) {
        unsigned char *hot = (unsigned char *)slots_at(&t, i), *cold = slots_cold(&t, i);
        assert_true(hot[0] == i % 251 && hot[HOT - 1] == i % 251);
        assert_true(cold[0] == i % 241 && cold[COLD - 1] == i % 241);
    }
    slots_fini(&t);
}

static void a_fresh_slot_is_free_and_zero_but_for_the_floor(void **unused)
{
    (void)unused;
    static const unsigned char zero[HOT];
    struct slots t;
    struct slots_options options = ops(0);
    options.floor = 77;
    open_table(&t, options);
    struct slots_block block = take(&t, OPS_CHUNK);
    for (uint32_t i = block.first; i < block.first + block.count; i++) {
        assert_int_equal(word_at(&t, i), UINT64_C(77) << 32);
        assert_memory_equal((unsigned char *)slots_at(&t, i) + 8, zero, HOT - 8);
        assert_memory_equal(slots_cold(&t, i), zero, COLD);
    }
    slots_fini(&t);
}

static void a_table_without_cold_rows_has_none(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, singles(0));
    struct slots_block block = take(&t, 1);
    assert_int_equal(block.count, 1);
    assert_non_null(slots_at(&t, block.first));
    assert_null(slots_cold(&t, block.first));
    slots_fini(&t);
}

/* ---- handles ---- */

static void a_live_handle_finds_its_slot(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, ops(0));
    struct slots_block block = take(&t, 16);
    uint64_t handle = publish(&t, block.first + 3);
    assert_ptr_equal(slots_validate(&t, handle), slots_at(&t, block.first + 3));
    slots_fini(&t);
}

static void a_freed_handle_is_stale_also_when_the_slot_lives_again(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, ops(0));
    struct slots_block block = take(&t, 16);
    uint64_t old = publish(&t, block.first);
    slots_free(&t, slots_at(&t, block.first));
    assert_null(slots_validate(&t, old));
    uint64_t new = publish(&t, block.first);
    assert_int_equal(handle_slot(new), handle_slot(old));
    assert_null(slots_validate(&t, old));
    assert_non_null(slots_validate(&t, new));
    slots_fini(&t);
}

static void a_forged_handle_of_a_free_slot_is_stale(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, ops(0));
    struct slots_block block = take(&t, 16);
    assert_null(slots_validate(&t, handle_make(HANDLE_OP, APP, block.first, 1)));
    slots_fini(&t);
}

static void no_pattern_but_the_live_ones_finds_a_slot(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, ops(0));
    struct slots_block block = take(&t, 64);
    uint64_t live = publish(&t, block.first + 9);
    uint64_t random = test_seed();
    for (int i = 0; i < 100 * 1000; i++) {
        uint64_t bits = test_random(&random);
        if (handle_as(bits, HANDLE_OP) != live)
            assert_null(slots_validate(&t, bits));
        uint64_t near = handle_make(HANDLE_OP, APP, (uint32_t)(bits % 64),
                                    (uint32_t)(bits >> 32) % 4);
        assert_int_equal(slots_validate(&t, near) != NULL, near == live);
    }
    slots_fini(&t);
}

/* ---- blocks ---- */

static void a_block_is_as_long_as_asked_and_aligned_to_its_length(void **unused)
{
    (void)unused;
    static const uint32_t counts[] = {16, 256, 64, 1024, 32, 512, 16, 128, 1024, 16};
    struct slots t;
    open_table(&t, ops(0));
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct slots_block block = take(&t, counts[i]);
        assert_int_equal(block.count, counts[i]);
        assert_int_equal(block.first % block.count, 0);
    }
    slots_fini(&t);
}

static void a_count_between_two_lengths_gets_the_shorter(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, ops(0));
    assert_int_equal(take(&t, 0).count, 16);
    assert_int_equal(take(&t, 1).count, 16);
    assert_int_equal(take(&t, 63).count, 32);
    assert_int_equal(take(&t, 1023).count, 512);
    assert_int_equal(take(&t, UINT32_MAX).count, 1024);
    slots_fini(&t);
}

static void neighbours_given_back_are_one_large_block_again(void **unused)
{
    (void)unused;
    struct slots t;
    struct slots_block small[OPS_CHUNK / 16];
    open_table(&t, ops(OPS_CHUNK));
    for (int i = 0; i < OPS_CHUNK / 16; i++)
        small[i] = take(&t, 16);
    for (int i = 0; i < OPS_CHUNK / 16; i++)
        slots_release(&t, small[i]);
    assert_int_equal(take(&t, OPS_CHUNK).count, OPS_CHUNK);
    slots_fini(&t);
}

static void when_no_large_block_is_left_a_smaller_one_is_answered(void **unused)
{
    (void)unused;
    struct slots t;
    struct slots_block small[OPS_CHUNK / 16];
    open_table(&t, ops(OPS_CHUNK));
    for (int i = 0; i < OPS_CHUNK / 16; i++)
        small[i] = take(&t, 16);
    for (int i = 0; i < OPS_CHUNK / 16; i += 2)     /* half of all is free, in pieces of 16 */
        slots_release(&t, small[i]);
    assert_int_equal(take(&t, 512).count, 16);
    assert_int_equal(slots_count(&t).taken, OPS_CHUNK / 2 + 16);
    slots_fini(&t);
}

static void a_block_is_looked_for_near_the_callers_last_one(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, ops(0));
    struct slots_block mine = take(&t, 512);
    take(&t, 512);
    struct slots_block other = take(&t, 512);       /* where the table found room last */
    slots_release(&t, mine);
    struct slots_block next;
    assert_int_equal(slots_acquire(&t, 16, mine.first, &next), WEIR_OK);
    assert_int_equal(next.first / OPS_CHUNK, mine.first / OPS_CHUNK);
    assert_int_equal(slots_acquire(&t, 16, other.first, &next), WEIR_OK);
    assert_int_equal(next.first / OPS_CHUNK, other.first / OPS_CHUNK);
    slots_fini(&t);
}

static void any_number_may_be_given_as_near(void **unused)
{
    (void)unused;
    struct slots t;
    struct slots_block block;
    open_table(&t, ops(0));
    assert_int_equal(slots_acquire(&t, 16, UINT32_MAX, &block), WEIR_OK);
    assert_int_equal(slots_acquire(&t, 16, UINT32_MAX, &block), WEIR_OK);
    slots_fini(&t);
}

static void a_generation_lives_on_in_the_next_owner_of_the_block(void **unused)
{
    (void)unused;
    struct slots t;
    open_table(&t, ops(16));
    struct slots_block block = take(&t, 16);
    uint64_t old = publish(&t, block.first + 2);
    slots_free(&t, slots_at(&t, block.first + 2));
    slots_release(&t, block);
    block = take(&t, 16);
    uint32_t generation = slot_word_generation(word_at(&t, block.first + 2));
    assert_int_equal(generation, handle_generation(old) + 1);
    slots_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(freeing_advances_the_generation_and_clears_the_bits),
        cmocka_unit_test(after_the_last_generation_the_word_is_worn_and_fits_no_handle),
        cmocka_unit_test(every_index_may_be_looked_up),
        cmocka_unit_test(rows_of_a_block_follow_each_other_on_whole_lines),
        cmocka_unit_test(no_two_rows_overlap),
        cmocka_unit_test(a_fresh_slot_is_free_and_zero_but_for_the_floor),
        cmocka_unit_test(a_table_without_cold_rows_has_none),
        cmocka_unit_test(a_live_handle_finds_its_slot),
        cmocka_unit_test(a_freed_handle_is_stale_also_when_the_slot_lives_again),
        cmocka_unit_test(a_forged_handle_of_a_free_slot_is_stale),
        cmocka_unit_test(no_pattern_but_the_live_ones_finds_a_slot),
        cmocka_unit_test(a_block_is_as_long_as_asked_and_aligned_to_its_length),
        cmocka_unit_test(a_count_between_two_lengths_gets_the_shorter),
        cmocka_unit_test(neighbours_given_back_are_one_large_block_again),
        cmocka_unit_test(when_no_large_block_is_left_a_smaller_one_is_answered),
        cmocka_unit_test(a_block_is_looked_for_near_the_callers_last_one),
        cmocka_unit_test(any_number_may_be_given_as_near),
        cmocka_unit_test(a_generation_lives_on_in_the_next_owner_of_the_block),
    };
    return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
