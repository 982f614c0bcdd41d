/* SPDX-License-Identifier: Apache-2.0 */
/* test_op_said.c - what work says: progress and the final's detail, in the same two words (op.h) */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "session/op.h"

static uint64_t word(enum op_phase phase, uint32_t flags)
{
    return slot_word_with(UINT64_C(7) << 32, phase | flags);
}

static void nothing_is_said_before_the_work_has_run(void **unused)
{
    (void)unused;
    struct op op = { .traits = 0 };
    struct op_cold cold = { .said = { 3, 4 } };                /* the slot's last owner's */
    uint64_t done, total;
    assert_false(op_progress(&op, &cold, &done, &total));
}

static void progress_is_what_was_said_last(void **unused)
{
    (void)unused;
    struct op op = { .traits = 0 };
    struct op_cold cold = { .said = { 3, 4 } };
    uint64_t done = 0, total = 0;
    cold_begin(&op, &cold);
    assert_false(op_progress(&op, &cold, &done, &total));
    cold_say(&cold, 5, 10);
    cold_say(&cold, 6, 10);
    assert_true(op_progress(&op, &cold, &done, &total));
    assert_int_equal(done, 6);
    assert_int_equal(total, 10);
}

static void a_detail_is_no_progress(void **unused)
{
    (void)unused;
    struct op op = { .traits = 0 };
    struct op_cold cold = { .said = { 0, 0 } };
    uint64_t done, total;
    size_t size = 0;
    cold_begin(&op, &cold);
    cold_say(&cold, 5, 10);
    cold_put_detail(&op, &cold, &op, 9);
    assert_false(op_progress(&op, &cold, &done, &total));
    assert_ptr_equal(cold_detail(&cold, &size), &op);
    assert_int_equal(size, 9);
}

static void abandoned_work_with_a_detail_does_not_return_before_it_has_taken_it_back(void **unused)
{
    (void)unused;
    uint64_t abandoned[] = { word(OP_ABANDONED, OP_STACK), word(OP_DONE, OP_STACK) };
    for (int i = 0; i < 2; i++) {
        uint64_t new = abandoned[i];
        assert_int_equal(op_return_and_take(abandoned[i], 1 | OP_DETAILED, &new), WEIR_CANCELED);
        assert_true(new == abandoned[i]);
        assert_int_not_equal(op_return_and_take(abandoned[i], 1, &new), WEIR_CANCELED);
        assert_false(op_has(new, OP_STACK));
    }
}

static void work_that_was_not_abandoned_returns_with_its_detail(void **unused)
{
    (void)unused;
    uint64_t old = word(OP_RUNNING, OP_STACK), new = old;
    assert_int_equal(op_return_and_take(old, 1 | OP_DETAILED, &new), WEIR_OK);
    assert_int_equal(op_phase(new), OP_DECIDED);
}

static void a_token_with_a_second_detail_is_refused_before_it_decides(void **unused)
{
    (void)unused;
    uint64_t old = word(OP_DEFERRED, OP_TOKEN), new = old;
    assert_int_equal(op_hold_to_complete(old, OP_DETAILED, &new), WEIR_ALREADY);
    assert_true(new == old);
    assert_int_equal(op_hold_to_complete(old, 0, &new), WEIR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_said_before_the_work_has_run),
        cmocka_unit_test(progress_is_what_was_said_last),
        cmocka_unit_test(a_detail_is_no_progress),
        cmocka_unit_test(abandoned_work_with_a_detail_does_not_return_before_it_has_taken_it_back),
        cmocka_unit_test(work_that_was_not_abandoned_returns_with_its_detail),
        cmocka_unit_test(a_token_with_a_second_detail_is_refused_before_it_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
