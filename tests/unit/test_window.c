/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "session/window.h"

static struct window *window_of(uint32_t size)
{
    static struct window_item item[8];
    static struct window w;
    assert_true(size <= 8);
    window_init(&w, item, size);
    return &w;
}

static void items_come_out_in_order_and_are_dropped_in_order(void **unused)
{
    (void)unused;
    struct window *w = window_of(3);
    char item[100];
    for (size_t i = 0; i < 100; i++) {
        window_write(w, &item[i], i);
        window_posted(w);
        struct window_item taken = window_take(w);
        assert_ptr_equal(taken.data, &item[i]);
        assert_int_equal(taken.size, i);
        assert_ptr_equal(window_drop(w).data, &item[i]);
    }
}

static void an_item_that_was_refused_is_overwritten(void **unused)
{
    (void)unused;
    struct window *w = window_of(1);
    char refused, accepted;
    window_write(w, &refused, 1);
    window_write(w, &accepted, 1);
    window_posted(w);
    assert_ptr_equal(window_take(w).data, &accepted);
}

static void taken_items_stay_until_they_are_dropped(void **unused)
{
    (void)unused;
    struct window *w = window_of(2);
    char a, b, c;
    window_write(w, &a, 0);
    window_posted(w);
    window_write(w, &b, 0);
    window_posted(w);
    assert_ptr_equal(window_take(w).data, &a);
    assert_ptr_equal(window_take(w).data, &b);
    assert_ptr_equal(window_drop(w).data, &a);
    window_write(w, &c, 0);
    window_posted(w);
    assert_ptr_equal(window_drop(w).data, &b);
    assert_ptr_equal(window_take(w).data, &c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_in_order_and_are_dropped_in_order),
        cmocka_unit_test(an_item_that_was_refused_is_overwritten),
        cmocka_unit_test(taken_items_stay_until_they_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
