/* SPDX-License-Identifier: Apache-2.0 */
/* test_event_deadline.c - what the event asks of the kernel
 *
 * Concurrency Kit sleeps in slices that grow from 2 ms to 1 s and are not cut at the deadline. The
 * event must hand the caller's own deadline to the kernel instead. To see that without measuring
 * time, this program brings its own futex_wait() and futex_wake(). */

#include "core/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <weir/status.h>

#include "core/futex.h"

static struct event event;
static int waits, wakes;
static int64_t asked_deadline, other_deadlines;
static int post_at_wait;

int futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    if (atomic_load(word) != expected)
        return 0;
    waits++;
    other_deadlines += waits > 1 && deadline_ns != asked_deadline;
    asked_deadline = deadline_ns;
    if (waits == post_at_wait)
        event_post(&event);
    return 0;
}

int futex_wake(_Atomic uint32_t *word, int count)
{
    (void)word;
    wakes++;
    assert_int_equal(count, FUTEX_WAKE_ALL);
    return 0;
}

static int start_afresh(void **unused)
{
    (void)unused;
    event_init(&event);
    waits = wakes = post_at_wait = 0;
    asked_deadline = other_deadlines = 0;
    return 0;
}

static void the_kernel_gets_the_callers_deadline_at_once(void **unused)
{
    (void)unused;
    int64_t deadline = WEIR_FOREVER - 1;
    post_at_wait = 1;
    assert_true(event_wait(&event, event_value(&event), deadline));
    assert_int_equal(waits, 1);
    assert_true(asked_deadline == deadline);
}

static void without_a_deadline_the_kernel_gets_none(void **unused)
{
    (void)unused;
    post_at_wait = 3; /* two spurious wake-ups before */
    assert_true(event_wait(&event, event_value(&event), WEIR_FOREVER));
    assert_int_equal(waits, 3);
    assert_true(asked_deadline == WEIR_FOREVER);
    assert_int_equal(other_deadlines, 0);
}

static void a_post_without_a_sleeper_makes_no_system_call(void **unused)
{
    (void)unused;
    for (int i = 0; i < 100; i++)
        event_post(&event);
    assert_int_equal(wakes, 0);
}

static void a_post_with_a_sleeper_makes_one(void **unused)
{
    (void)unused;
    post_at_wait = 1;
    assert_true(event_wait(&event, event_value(&event), WEIR_FOREVER));
    assert_int_equal(wakes, 1);
    event_post(&event);
    assert_int_equal(wakes, 1);
}

#define TEST(name) cmocka_unit_test_setup(name, start_afresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_kernel_gets_the_callers_deadline_at_once),
        TEST(without_a_deadline_the_kernel_gets_none),
        TEST(a_post_without_a_sleeper_makes_no_system_call),
        TEST(a_post_with_a_sleeper_makes_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
