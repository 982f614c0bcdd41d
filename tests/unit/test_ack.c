/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "session/ack.h"

static const uint64_t generation_7 = 7;

static struct ack given(uint64_t number)
{
    struct ack a;
    ack_begin(&a, 7);
    for (uint64_t i = 1; i < number; i++) {
        ack_give(&a, i);
        assert_int_equal(ack_win(&a, generation_7, i), WEIR_OK);
    }
    ack_give(&a, number);
    return a;
}

static void the_result_given_last_is_acknowledged_once(void **unused)
{
    (void)unused;
    struct ack a = given(3);
    assert_int_equal(ack_win(&a, generation_7, 3), WEIR_OK);
    assert_int_equal(ack_win(&a, generation_7, 3), WEIR_ALREADY);
}

static void a_smaller_number_was_acknowledged_already(void **unused)
{
    (void)unused;
    struct ack a = given(3);
    assert_int_equal(ack_win(&a, generation_7, 2), WEIR_ALREADY);
    assert_int_equal(ack_win(&a, generation_7, 0), WEIR_ALREADY);
    assert_int_equal(ack_win(&a, generation_7, 3), WEIR_OK);
}

static void a_number_that_was_not_delivered_is_invalid(void **unused)
{
    (void)unused;
    struct ack a = given(3);
    assert_int_equal(ack_win(&a, generation_7, 4), WEIR_INVALID);
    assert_int_equal(ack_win(&a, generation_7, 3), WEIR_OK);
    assert_int_equal(ack_win(&a, generation_7, 4), WEIR_INVALID);
}

static void numbers_that_were_discarded_are_left_out(void **unused)
{
    (void)unused;
    struct ack a = given(1);
    assert_int_equal(ack_win(&a, generation_7, 1), WEIR_OK);
    ack_give(&a, 5);                                           /* the final; 2 to 4 were discarded */
    assert_int_equal(ack_win(&a, generation_7, 2), WEIR_INVALID);
    assert_int_equal(ack_win(&a, generation_7, 4), WEIR_INVALID);
    assert_int_equal(ack_win(&a, generation_7, 5), WEIR_OK);
    assert_int_equal(ack_win(&a, generation_7, 5), WEIR_ALREADY);
}

static void another_generation_is_stale(void **unused)
{
    (void)unused;
    struct ack a = given(1);
    assert_int_equal(ack_win(&a, generation_7 + 1, 1), WEIR_STALE);
}

static void numbers_go_on_where_32_bits_end(void **unused)
{
    (void)unused;
    struct ack a;
    atomic_init(&a.word, UINT64_C(7) << 32 | UINT32_MAX);
    atomic_init(&a.delivered, UINT32_MAX);
    assert_int_equal(ack_win(&a, generation_7, UINT32_MAX), WEIR_ALREADY);
    ack_give(&a, UINT64_C(1) << 32);
    assert_int_equal(ack_win(&a, generation_7, UINT64_C(1) << 32), WEIR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_result_given_last_is_acknowledged_once),
        cmocka_unit_test(a_smaller_number_was_acknowledged_already),
        cmocka_unit_test(a_number_that_was_not_delivered_is_invalid),
        cmocka_unit_test(numbers_that_were_discarded_are_left_out),
        cmocka_unit_test(another_generation_is_stale),
        cmocka_unit_test(numbers_go_on_where_32_bits_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
