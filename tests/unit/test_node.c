/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "session/node.h"

static struct node begun(uint32_t generation)
{
    struct node n;
    node_begin(&n, generation);
    return n;
}

static void it_is_pushed_once_until_it_is_popped(void **unused)
{
    (void)unused;
    struct node n = begun(7);
    uint32_t generation = 0;
    assert_true(node_schedule(&n, 7));
    assert_false(node_schedule(&n, 7));
    assert_int_equal(node_pop(&n, &generation), NODE_LOOK);
    assert_int_equal(generation, 7);
    assert_true(node_schedule(&n, 7));
}

static void a_late_scheduler_of_another_session_changes_nothing(void **unused)
{
    (void)unused;
    struct node n = begun(7);
    assert_false(node_schedule(&n, 6));
    assert_false(node_schedule(&n, 8));
    assert_true(node_schedule(&n, 7));
}

static void the_end_of_an_idle_node_is_at_once(void **unused)
{
    (void)unused;
    struct node n = begun(7);
    assert_true(node_end(&n));
    assert_false(node_schedule(&n, 7));
}

static void the_end_of_a_queued_node_comes_when_it_is_popped(void **unused)
{
    (void)unused;
    struct node n = begun(7);
    uint32_t generation;
    assert_true(node_schedule(&n, 7));
    assert_false(node_end(&n));
    assert_int_equal(node_pop(&n, &generation), NODE_LAST);
    assert_false(node_schedule(&n, 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_pushed_once_until_it_is_popped),
        cmocka_unit_test(a_late_scheduler_of_another_session_changes_nothing),
        cmocka_unit_test(the_end_of_an_idle_node_is_at_once),
        cmocka_unit_test(the_end_of_a_queued_node_comes_when_it_is_popped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
