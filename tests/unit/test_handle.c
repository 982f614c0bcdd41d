/* SPDX-License-Identifier: Apache-2.0 */
/* test_handle.c - packing and judging handles; everything here is pure */

#include "core/handle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/support.h"

enum { PATTERNS = 100 * 1000 };

static const enum handle_kind kinds[] = {
    HANDLE_APP, HANDLE_SESSION, HANDLE_OP, HANDLE_QUEUE, HANDLE_TOKEN, HANDLE_REPLY,
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void a_handle_unpacks_to_what_it_was_made_of(void **unused)
{
    (void)unused;
    uint64_t bits = handle_make(HANDLE_OP, 63, 0xabcdef, 0x76543210);
    assert_int_equal(handle_kind(bits), HANDLE_OP);
    assert_int_equal(handle_app(bits), 63);
    assert_int_equal(handle_slot(bits), 0xabcdef);
    assert_int_equal(handle_generation(bits), 0x76543210);
}

static void the_fields_at_their_largest_fill_the_word(void **unused)
{
    (void)unused;
    uint64_t bits = handle_make((enum handle_kind)7, HANDLE_APP_MAX, HANDLE_SLOT_MAX,
                                HANDLE_GENERATION_MAX);
    assert_int_equal(bits, UINT64_MAX);
}

static void a_field_that_is_too_large_touches_no_other(void **unused)
{
    (void)unused;
    uint64_t bits = handle_make(HANDLE_SESSION, 64 + 5, (1u << 24) + 6, (1u << 31) + 7);
    assert_int_equal(bits, handle_make(HANDLE_SESSION, 5, 6, 7));
}

static void any_pattern_unpacks_and_packs_to_itself(void **unused)
{
    (void)unused;
    uint64_t random = test_seed();
    for (int i = 0; i < PATTERNS; i++) {
        uint64_t bits = test_random(&random);
        assert_int_equal(bits, handle_make(handle_kind(bits), handle_app(bits), handle_slot(bits),
                                           handle_generation(bits)));
    }
}

static void all_zero_bits_are_no_handle_of_any_kind(void **unused)
{
    (void)unused;
    assert_false(handle_is_plausible(0, HANDLE_NONE));
    for (int i = 0; i < KINDS; i++)
        assert_int_equal(handle_check(0, kinds[i]), WEIR_INVALID);
}

static void a_handle_is_plausible_as_its_own_kind_only(void **unused)
{
    (void)unused;
    for (int made = 0; made < KINDS; made++)
        for (int asked = 0; asked < KINDS; asked++)
            assert_int_equal(handle_is_plausible(handle_make(kinds[made], 1, 0, 1), kinds[asked]),
                             made == asked);
}

static void kinds_without_a_name_are_plausible_as_nothing(void **unused)
{
    (void)unused;
    for (unsigned kind = HANDLE_REPLY + 1; kind < 8; kind++)
        for (int asked = 0; asked < KINDS; asked++)
            assert_false(handle_is_plausible(handle_make((enum handle_kind)kind, 1, 0, 1),
                                             kinds[asked]));
}

static void application_zero_was_never_given_out(void **unused)
{
    (void)unused;
    for (int i = 0; i < KINDS; i++)
        assert_int_equal(handle_check(handle_make(kinds[i], 0, 0, 1), kinds[i]), WEIR_INVALID);
}

static void generation_zero_was_never_given_out(void **unused)
{
    (void)unused;
    for (int i = 0; i < KINDS; i++)
        assert_int_equal(handle_check(handle_make(kinds[i], 1, 0, 0), kinds[i]), WEIR_INVALID);
}

static void an_application_has_no_slot(void **unused)
{
    (void)unused;
    assert_int_equal(handle_check(handle_make(HANDLE_APP, 1, 1, 1), HANDLE_APP), WEIR_INVALID);
    assert_int_equal(handle_check(handle_make(HANDLE_SESSION, 1, 1, 1), HANDLE_SESSION), WEIR_OK);
}

static void no_pattern_is_plausible_as_two_kinds(void **unused)
{
    (void)unused;
    uint64_t random = test_seed() + 1;
    for (int i = 0; i < PATTERNS; i++) {
        uint64_t bits = test_random(&random);
        int plausible = 0;
        for (int k = 0; k < KINDS; k++)
            plausible += handle_is_plausible(bits, kinds[k]);
        assert_true(plausible <= 1);
    }
}

static void a_token_names_the_slot_of_its_operation(void **unused)
{
    (void)unused;
    uint64_t op = handle_make(HANDLE_OP, 7, 4711, 12);
    uint64_t token = handle_as(op, HANDLE_TOKEN);
    assert_int_equal(token, handle_make(HANDLE_TOKEN, 7, 4711, 12));
    assert_int_equal(handle_as(token, HANDLE_OP), op);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handle_unpacks_to_what_it_was_made_of),
        cmocka_unit_test(the_fields_at_their_largest_fill_the_word),
        cmocka_unit_test(a_field_that_is_too_large_touches_no_other),
        cmocka_unit_test(any_pattern_unpacks_and_packs_to_itself),
        cmocka_unit_test(all_zero_bits_are_no_handle_of_any_kind),
        cmocka_unit_test(a_handle_is_plausible_as_its_own_kind_only),
        cmocka_unit_test(kinds_without_a_name_are_plausible_as_nothing),
        cmocka_unit_test(application_zero_was_never_given_out),
        cmocka_unit_test(generation_zero_was_never_given_out),
        cmocka_unit_test(an_application_has_no_slot),
        cmocka_unit_test(no_pattern_is_plausible_as_two_kinds),
        cmocka_unit_test(a_token_names_the_slot_of_its_operation),
    };
    return cmocka_run_group_tests_name("handle", tests, NULL, NULL);
}
