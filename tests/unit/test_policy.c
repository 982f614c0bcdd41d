/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "session/policy.h"

enum { NOW = 1000 };

/* As after a plain close: at once, never abandoned, reported after a second. */
static struct policy plain(void)
{
    struct policy p;
    policy_init(&p);
    policy_shorten(&p.closed_at, NOW);
    policy_shorten(&p.drain_at, NOW);
    policy_shorten(&p.report_at, NOW + POLICY_REPORT_FIRST_NS);
    return p;
}

static struct policy draining_until(int64_t time)
{
    struct policy p = plain();
    atomic_store(&p.drain_at, time);
    return p;
}

static void nothing_is_ever_due_before_a_close(void **unused)
{
    (void)unused;
    struct policy p;
    policy_init(&p);
    assert_int_equal(policy_take_due(&p, SESSION_DRAINING, WEIR_FOREVER - 1), 0);
    assert_int_equal(policy_next(&p, SESSION_DRAINING), WEIR_FOREVER);
}

static void a_plain_close_cancels_at_once_and_never_abandons(void **unused)
{
    (void)unused;
    struct policy p = plain();
    assert_int_equal(policy_take_due(&p, SESSION_DRAINING, NOW), POLICY_CANCEL);
    assert_int_equal(policy_take_due(&p, SESSION_WAITING, WEIR_FOREVER - 1) & POLICY_ABANDON, 0);
}

static void a_drain_cancels_when_its_time_has_come(void **unused)
{
    (void)unused;
    struct policy p = draining_until(NOW + 50);
    assert_int_equal(policy_take_due(&p, SESSION_DRAINING, NOW + 49), 0);
    assert_int_equal(policy_next(&p, SESSION_DRAINING), NOW + 50);
    assert_int_equal(policy_take_due(&p, SESSION_DRAINING, NOW + 50), POLICY_CANCEL);
}

static void a_parent_that_drains_for_less_is_heeded(void **unused)
{
    (void)unused;
    struct policy p = draining_until(NOW + 50);
    assert_true(policy_shorten(&p.parent_drain_at, NOW + 20));
    assert_int_equal(policy_next(&p, SESSION_DRAINING), NOW + 20);
    assert_int_equal(policy_take_due(&p, SESSION_DRAINING, NOW + 20), POLICY_CANCEL);
}

static void a_later_close_shortens_and_never_lengthens(void **unused)
{
    (void)unused;
    struct policy p = draining_until(NOW + 50);
    assert_false(policy_shorten(&p.drain_at, NOW + 60));
    assert_false(policy_shorten(&p.drain_at, NOW + 50));
    assert_true(policy_shorten(&p.drain_at, NOW + 40));
    assert_int_equal(policy_at(&p.drain_at), NOW + 40);
    assert_true(policy_shorten(&p.abandon_at, NOW + 70));
}

static void abandoning_waits_for_the_cancel(void **unused)
{
    (void)unused;
    struct policy p = draining_until(NOW + 50);
    atomic_store(&p.abandon_at, NOW + 10);
    assert_int_equal(policy_take_due(&p, SESSION_DRAINING, NOW + 20), 0);
    assert_int_equal(policy_take_due(&p, SESSION_CANCELLING, NOW + 20), POLICY_ABANDON);
}

static void abandoning_is_due_once(void **unused)
{
    (void)unused;
    struct policy p = plain();
    atomic_store(&p.abandon_at, NOW + 10);
    assert_int_equal(policy_take_due(&p, SESSION_WAITING, NOW + 10), POLICY_ABANDON);
    assert_int_equal(policy_take_due(&p, SESSION_WAITING, NOW + 10), 0);
}

static void nothing_is_due_once_it_is_closed(void **unused)
{
    (void)unused;
    struct policy p = plain();
    assert_int_equal(policy_take_due(&p, SESSION_CLOSED, WEIR_FOREVER - 1), 0);
}

static void reports_come_ten_times_later_each(void **unused)
{
    (void)unused;
    struct policy p = plain();
    int64_t first = NOW + POLICY_REPORT_FIRST_NS;
    assert_int_equal(policy_take_due(&p, SESSION_WAITING, first), POLICY_REPORT);
    assert_int_equal(policy_take_due(&p, SESSION_WAITING, first), 0);
    assert_int_equal(policy_next(&p, SESSION_WAITING), NOW + 10 * POLICY_REPORT_FIRST_NS);
    assert_int_equal(policy_report_after(&p, WEIR_FOREVER - 1), WEIR_FOREVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_ever_due_before_a_close),
        cmocka_unit_test(a_plain_close_cancels_at_once_and_never_abandons),
        cmocka_unit_test(a_drain_cancels_when_its_time_has_come),
        cmocka_unit_test(a_later_close_shortens_and_never_lengthens),
        cmocka_unit_test(abandoning_waits_for_the_cancel),
        cmocka_unit_test(abandoning_is_due_once),
        cmocka_unit_test(a_parent_that_drains_for_less_is_heeded),
        cmocka_unit_test(nothing_is_due_once_it_is_closed),
        cmocka_unit_test(reports_come_ten_times_later_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
