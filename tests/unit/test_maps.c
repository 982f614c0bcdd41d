/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "session/maps.h"

static _Atomic uint64_t leaf, neighbour, summary, top;

static struct map_path path_of(unsigned op)
{
    return (struct map_path){ { &leaf, &summary, &top }, { UINT64_C(1) << op, 1 << 3, 1 << 5 } };
}

static int clear(void **unused)
{
    (void)unused;
    leaf = neighbour = summary = top = 0;
    return 0;
}

static void a_mark_reaches_the_top(void **unused)
{
    (void)unused;
    struct map_path path = path_of(63);
    map_mark(&path);
    assert_true(leaf == UINT64_C(1) << 63);
    assert_int_equal(summary, 1 << 3);
    assert_int_equal(top, 1 << 5);
}

static void a_mark_repairs_a_level_that_another_marker_has_not_reached_yet(void **unused)
{
    (void)unused;
    leaf = 1;                                                  /* that one stands between leaf and summary */
    struct map_path path = path_of(7);
    map_mark(&path);
    assert_int_equal(summary, 1 << 3);
    assert_int_equal(top, 1 << 5);
}

static void the_last_one_done_empties_every_level(void **unused)
{
    (void)unused;
    struct map_path path = path_of(7), other = path_of(8);
    map_mark(&path);
    map_mark(&other);
    assert_false(map_done(&leaf, 1 << 7));
    assert_true(map_done(&leaf, 1 << 8));
    map_empty(&path);
    assert_int_equal(leaf | summary | top, 0);
}

static void a_level_with_other_bits_keeps_the_one_above(void **unused)
{
    (void)unused;
    struct map_path path = path_of(7);
    map_mark(&path);
    summary |= 1;                                              /* another group */
    assert_true(map_done(&leaf, 1 << 7));
    map_empty(&path);
    assert_int_equal(summary, 1);
    assert_int_equal(top, 1 << 5);
}

static void a_mark_between_done_and_empty_is_kept(void **unused)
{
    (void)unused;
    struct map_path path = path_of(7);
    map_mark(&path);
    assert_true(map_done(&leaf, 1 << 7));
    map_mark(&path);
    map_empty(&path);
    assert_int_equal(leaf, 1 << 7);
    assert_int_equal(summary, 1 << 3);
    assert_int_equal(top, 1 << 5);
}

static void a_walk_goes_round_from_its_start(void **unused)
{
    (void)unused;
    struct map_walk walk = map_walk(UINT64_C(1) << 63 | 1 << 5 | 1, 6);
    assert_int_equal(map_next(&walk), 63);
    assert_int_equal(map_next(&walk), 0);
    assert_int_equal(map_next(&walk), 5);
    assert_int_equal(map_next(&walk), -1);
    walk = map_walk(3, 64);                                    /* starts are taken modulo 64 */
    assert_int_equal(map_next(&walk), 0);
    assert_int_equal(map_next(&walk), 1);
    assert_int_equal(map_next(&walk), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_mark_reaches_the_top, clear),
        cmocka_unit_test_setup(a_mark_repairs_a_level_that_another_marker_has_not_reached_yet, clear),
        cmocka_unit_test_setup(the_last_one_done_empties_every_level, clear),
        cmocka_unit_test_setup(a_level_with_other_bits_keeps_the_one_above, clear),
        cmocka_unit_test_setup(a_mark_between_done_and_empty_is_kept, clear),
        cmocka_unit_test_setup(a_walk_goes_round_from_its_start, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
