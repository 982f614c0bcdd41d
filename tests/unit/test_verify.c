/* SPDX-License-Identifier: Apache-2.0 */
/* test_verify.c - what stops a process says why, on one line */

#include "core/verify.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/child.h"

static void check_something_false(void)
{
    int inside = 2;
    weir_verify(inside == 1, "two threads in a call for one");
}

static void reach_the_unreachable(void)
{
    weir_bug("a job in no state");
}

static void assert_something_false(void)
{
    int inside = 2;
    weir_assert(inside == 1);
}

static void say_more_than_fits(void)
{
    static char text[2000];
    memset(text, 'x', sizeof(text) - 1);
    weir_verify(false, text);
}

static void a_failed_check_aborts_and_names_the_misuse(void **unused)
{
    (void)unused;
    struct child child = child_run(check_something_false);
    assert_int_equal(child.signal, SIGABRT);
    assert_non_null(strstr(child.errors, "weir: misuse: two threads in a call for one"));
    assert_non_null(strstr(child.errors, " [inside == 1] ("));
    assert_non_null(strstr(child.errors, "test_verify.c:"));
    assert_non_null(strstr(child.errors, ", check_something_false)\n"));
}

static void a_bug_aborts_and_is_called_one(void **unused)
{
    (void)unused;
    struct child child = child_run(reach_the_unreachable);
    assert_int_equal(child.signal, SIGABRT);
    assert_non_null(strstr(child.errors, "weir: bug: a job in no state ("));
}

static void an_assertion_stops_debug_builds_only(void **unused)
{
    (void)unused;
    struct child child = child_run(assert_something_false);
#ifdef NDEBUG
    assert_int_equal(child.signal, 0);
#else
    assert_int_equal(child.signal, SIGABRT);
    assert_non_null(strstr(child.errors, "weir: bug: "));
    assert_non_null(strstr(child.errors, "[inside == 1]"));
#endif
}

static void a_check_that_holds_is_evaluated_once(void **unused)
{
    (void)unused;
    int evaluated = 0;
    weir_verify(++evaluated == 1, "never printed");
    assert_int_equal(evaluated, 1);
}

static void an_assertion_is_evaluated_in_debug_builds_only(void **unused)
{
    (void)unused;
    int evaluated = 0;
    weir_assert(++evaluated == 1);
#ifdef NDEBUG
    assert_int_equal(evaluated, 0);
#else
    assert_int_equal(evaluated, 1);
#endif
}

static void a_text_that_is_too_long_is_cut_and_still_a_line(void **unused)
{
    (void)unused;
    struct child child = child_run(say_more_than_fits);
    assert_int_equal(child.signal, SIGABRT);
    char *end = strchr(child.errors, '\n');
    assert_non_null(end);
    assert_in_range(end - child.errors, 100, 511);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_check_aborts_and_names_the_misuse),
        cmocka_unit_test(a_bug_aborts_and_is_called_one),
        cmocka_unit_test(an_assertion_stops_debug_builds_only),
        cmocka_unit_test(a_check_that_holds_is_evaluated_once),
        cmocka_unit_test(an_assertion_is_evaluated_in_debug_builds_only),
        cmocka_unit_test(a_text_that_is_too_long_is_cut_and_still_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
