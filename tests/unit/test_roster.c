/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "session/roster.h"
#include "tests/support/support.h"

static _Atomic size_t bytes, allocations_left;

static void *counting_alloc(size_t size, size_t align, void *unused)
{
    (void)unused;
    if (allocations_left == 0)
        return NULL;
    allocations_left--;
    bytes += size;
    return aligned_alloc(align, (size + align - 1) / align * align);
}

static void counting_release(void *address, size_t size, void *unused)
{
    (void)unused;
    bytes -= size;
    free(address);
}

static const struct memory memory = { counting_alloc, counting_release, NULL };
static struct slots ops;
static struct roster roster;                                   /* zero bytes at first, as a session's slot is */

static void set_up_limited(uint32_t limit)
{
    struct slots_options options = roster_slots_options(&memory, 1);
    options.limit = limit;
    allocations_left = SIZE_MAX;
    assert_int_equal(slots_init(&ops, &options), WEIR_OK);
    roster_init(&roster, &ops, &memory, 42);
}

static int set_up(void **unused)
{
    (void)unused;
    set_up_limited(0);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    roster_destroy(&roster);
    slots_fini(&ops);
    assert_int_equal(bytes, 0);
    return 0;
}

static uint32_t take(void)
{
    uint32_t index;
    assert_int_equal(roster_take(&roster, &index), WEIR_OK);
    return index;
}

static void give(uint32_t index)
{
    roster_give(&ops, group_of(&ops, index), group_bit(index));
}

/* As if everybody had given back what he took. */
static void give_all(void)
{
    for (uint32_t i = 0; i < roster_groups(&roster); i++)
        if (roster_group(&roster, i) != NULL)
            atomic_store(&roster_group(&roster, i)->leaf[ROSTER_FREE], UINT64_MAX << 1);
}

/* ---- handing out ---- */

static void slots_are_handed_out_once_and_never_a_group_s_own(void **unused)
{
    (void)unused;
    enum { COUNT = 20000 };
    static uint8_t seen[COUNT * 2];
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t index = take();
        assert_true(index < sizeof(seen));
        assert_int_equal(seen[index]++, 0);
        assert_int_not_equal(index % GROUP_SLOTS, 0);
    }
    for (uint32_t i = 0; i < sizeof(seen); i++)
        if (seen[i])
            give(i);
    roster_fini(&roster);
    assert_int_equal(slots_count(&ops).taken, 0);
}

static void a_slot_that_was_given_back_is_handed_out_only_after_the_others(void **unused)
{
    (void)unused;
    uint32_t first = take();
    give(first);
    for (int i = 0; i < GROUP_OPS - 1; i++)
        assert_int_not_equal(take(), first);
    assert_int_equal(take(), first);
    for (uint32_t i = 1; i < GROUP_SLOTS; i++)
        give(first / GROUP_SLOTS * GROUP_SLOTS + i);
    roster_fini(&roster);
}

static void blocks_double_up_to_the_largest(void **unused)
{
    (void)unused;
    uint32_t count = 0;
    while (atomic_load(&roster.blocks) < 8) {
        take();
        count++;
    }
    assert_int_equal(count, (1 + 2 + 4 + 8 + 16 + 32 + 64) * GROUP_OPS + 1);
    give_all();
    roster_fini(&roster);
    assert_int_equal(slots_count(&ops).taken, 0);
}

static void a_full_table_is_a_limit_and_the_roster_goes_on(void **unused)
{
    (void)unused;
    roster_destroy(&roster);
    slots_fini(&ops);
    set_up_limited(128);
    uint32_t index = 0, other;
    for (int i = 0; i < 2 * GROUP_OPS; i++)
        index = take();
    assert_int_equal(roster_take(&roster, &other), WEIR_LIMIT);
    give(index);
    assert_int_equal(take(), index);
    for (uint32_t i = 0; i < 128; i++)
        if (i % GROUP_SLOTS != 0)
            give(i);
    roster_fini(&roster);
}

static void without_memory_nothing_is_taken(void **unused)
{
    (void)unused;
    uint32_t index = 7;
    allocations_left = 0;
    assert_int_equal(roster_take(&roster, &index), WEIR_NO_MEMORY);
    assert_int_equal(index, 7);
    assert_int_equal(slots_count(&ops).taken, 0);
    allocations_left = SIZE_MAX;
    give(take());
    roster_fini(&roster);
}

static void a_reserve_makes_room_so_that_taking_allocates_nothing(void **unused)
{
    (void)unused;
    enum { COUNT = 1000 };
    assert_int_equal(roster_reserve(&roster, COUNT), WEIR_OK);
    allocations_left = 0;
    uint32_t index[COUNT];
    for (int i = 0; i < COUNT; i++)
        index[i] = take();
    for (int i = 0; i < COUNT; i++)
        give(index[i]);
    roster_fini(&roster);
    allocations_left = SIZE_MAX;
}

static void more_than_64_blocks_get_a_table_of_their_own(void **unused)
{
    (void)unused;
    roster_destroy(&roster);
    slots_fini(&ops);
    set_up_limited(0);
    uint32_t index = 0;
    while (atomic_load(&roster.blocks) < 66)                   /* 250 000 operations */
        index = take();
    assert_non_null(atomic_load(&roster.more));
    struct group *last = group_of(&ops, index);
    roster_mark(last, group_bit(index));
    assert_ptr_equal(roster_find_ready(&roster, 0), last);
    assert_true(map_done(&last->leaf[ROSTER_READY], group_bit(index)));
    roster_empty(last);
    assert_null(roster_find_ready(&roster, 0));
    give_all();
    roster_fini(&roster);
    assert_int_equal(slots_count(&ops).taken, 0);
}

static void a_worn_slot_is_not_handed_out_again(void **unused)
{
    (void)unused;
    uint32_t worn = take();
    struct slot *slot = slots_at(&ops, worn);
    atomic_store(&slot->word, SLOT_WORN);
    give(worn);
    uint32_t index[2 * GROUP_OPS];
    for (int i = 0; i < 2 * GROUP_OPS; i++) {
        index[i] = take();
        assert_int_not_equal(index[i], worn);
    }
    for (int i = 0; i < 2 * GROUP_OPS; i++)
        give(index[i]);
    roster_fini(&roster);
    assert_int_equal(slots_count(&ops).taken, 0);
}

/* ---- ready ---- */

static void a_marked_operation_is_found_until_its_group_is_empty(void **unused)
{
    (void)unused;
    uint32_t a = take(), b = take();
    struct group *group = group_of(&ops, a);
    assert_null(roster_find_ready(&roster, 5));
    roster_mark(group, group_bit(a));
    roster_mark(group, group_bit(b));
    assert_ptr_equal(roster_find_ready(&roster, 5), group);
    assert_false(map_done(&group->leaf[ROSTER_READY], group_bit(a)));
    assert_ptr_equal(roster_find_ready(&roster, 5), group);
    assert_true(map_done(&group->leaf[ROSTER_READY], group_bit(b)));
    roster_empty(group);
    assert_null(roster_find_ready(&roster, 5));
    give(a);
    give(b);
    roster_fini(&roster);
}

static void lookers_with_different_starts_find_different_groups(void **unused)
{
    (void)unused;
    assert_int_equal(roster_reserve(&roster, 63 * 16), WEIR_OK);
    struct group *one = roster_group(&roster, 2), *other = roster_group(&roster, 9);
    assert_null(roster_group(&roster, 16));
    roster_mark(one, 2);
    roster_mark(other, 2);
    assert_ptr_equal(roster_find_ready(&roster, 1), one);
    assert_ptr_equal(roster_find_ready(&roster, 5), other);
    roster_fini(&roster);
}

static void a_late_mark_after_the_end_marks_nothing(void **unused)
{
    (void)unused;
    uint32_t index = take();
    struct group *group = group_of(&ops, index);
    give(index);
    roster_fini(&roster);
    roster_mark(group, group_bit(index));
    roster_init(&roster, &ops, &memory, 43);
    assert_null(roster_find_ready(&roster, 0));
    index = take();
    assert_null(roster_find_ready(&roster, 0));
    give(index);
    roster_fini(&roster);
}

static void a_late_mark_in_the_top_is_cleaned_up(void **unused)
{
    (void)unused;
    atomic_store(&roster.top[ROSTER_READY], 1 << 5);           /* of a block that this session does not have */
    give(take());
    assert_null(roster_find_ready(&roster, 0));
    assert_int_equal(atomic_load(&roster.top[ROSTER_READY]), 0);
    roster_fini(&roster);
}

/* ---- zombies ---- */

static void a_block_with_zombies_stays_until_the_last_is_given(void **unused)
{
    (void)unused;
    uint32_t a = take(), b = take();
    roster_fini(&roster);
    assert_int_equal(slots_count(&ops).taken, GROUP_SLOTS);
    give(a);
    assert_int_equal(slots_count(&ops).taken, GROUP_SLOTS);
    give(b);
    assert_int_equal(slots_count(&ops).taken, 0);
}

static void blocks_without_zombies_do_not_wait_for_those_with(void **unused)
{
    (void)unused;
    assert_int_equal(roster_reserve(&roster, 63 * 2), WEIR_OK);
    uint32_t zombie = take();
    uint32_t before = slots_count(&ops).taken;
    roster_fini(&roster);
    assert_true(slots_count(&ops).taken < before || atomic_load(&roster.blocks) == 0);
    give(zombie);
    assert_int_equal(slots_count(&ops).taken, 0);
}

/* ---- two threads ---- */

enum { ROUNDS = 30000, KEEP = 100 };

static _Atomic uint8_t owned[1 << 16];
static _Atomic uint32_t twice;

static void *take_and_give(void *seed)
{
    uint64_t state = (uintptr_t)seed;
    uint32_t mine[KEEP] = { 0 };
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t at = (uint32_t)(test_random(&state) % KEEP);
        if (mine[at] != 0) {
            atomic_store(&owned[mine[at]], 0);
            give(mine[at]);
            mine[at] = 0;
        } else if (roster_take(&roster, &mine[at]) == WEIR_OK && atomic_exchange(&owned[mine[at]], 1) != 0)
            atomic_fetch_add(&twice, 1);
    }
    for (int i = 0; i < KEEP; i++)
        if (mine[i] != 0) {
            atomic_store(&owned[mine[i]], 0);
            give(mine[i]);
        }
    return NULL;
}

static void two_threads_never_own_one_slot(void **unused)
{
    (void)unused;
    uint64_t seed = test_seed();
    pthread_t a = thread_start(take_and_give, (void *)(uintptr_t)seed);
    pthread_t b = thread_start(take_and_give, (void *)(uintptr_t)(seed + 1));
    thread_join(a);
    thread_join(b);
    assert_int_equal(atomic_load(&twice), 0);
    assert_true(atomic_load(&roster.blocks) <= 4);             /* growing at once may give one or two too many */
    roster_fini(&roster);
    assert_int_equal(slots_count(&ops).taken, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_handed_out_once_and_never_a_group_s_own),
        cmocka_unit_test(a_slot_that_was_given_back_is_handed_out_only_after_the_others),
        cmocka_unit_test(blocks_double_up_to_the_largest),
        cmocka_unit_test(a_full_table_is_a_limit_and_the_roster_goes_on),
        cmocka_unit_test(without_memory_nothing_is_taken),
        cmocka_unit_test(a_reserve_makes_room_so_that_taking_allocates_nothing),
        cmocka_unit_test(more_than_64_blocks_get_a_table_of_their_own),
        cmocka_unit_test(a_worn_slot_is_not_handed_out_again),
        cmocka_unit_test(a_marked_operation_is_found_until_its_group_is_empty),
        cmocka_unit_test(lookers_with_different_starts_find_different_groups),
        cmocka_unit_test(a_late_mark_after_the_end_marks_nothing),
        cmocka_unit_test(a_late_mark_in_the_top_is_cleaned_up),
        cmocka_unit_test(a_block_with_zombies_stays_until_the_last_is_given),
        cmocka_unit_test(blocks_without_zombies_do_not_wait_for_those_with),
        cmocka_unit_test(two_threads_never_own_one_slot),
    };
    struct CMUnitTest each[sizeof(tests) / sizeof(tests[0])];
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        each[i] = tests[i];
        each[i].setup_func = set_up;
        each[i].teardown_func = tear_down;
    }
    return cmocka_run_group_tests(each, NULL, NULL);
}
