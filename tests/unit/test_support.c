/* SPDX-License-Identifier: Apache-2.0 */
/* test_support.c - the tools of the tests do what they say */

#include "tests/support/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct relay {
    struct gate start, done;
    uint64_t carried;
};

static void *carry_through_gates(void *arg)
{
    struct relay *relay = arg;
    gate_wait(&relay->start);
    relay->carried += 1;
    gate_open(&relay->done);
    return NULL;
}

static void a_gate_hands_over_what_was_written_before_it_opened(void **unused)
{
    (void)unused;
    struct relay relay = {GATE_INIT, GATE_INIT, 0};
    pthread_t thread = thread_start(carry_through_gates, &relay);
    relay.carried = 41;
    assert_false(gate_is_open(&relay.done));
    gate_open(&relay.start);
    gate_wait(&relay.done);
    assert_int_equal(relay.carried, 42);
    thread_join(thread);
}

static void an_open_gate_stays_open(void **unused)
{
    (void)unused;
    struct gate gate = GATE_INIT;
    assert_false(gate_is_open(&gate));
    gate_open(&gate);
    gate_wait(&gate);
    gate_wait(&gate);
    assert_true(gate_is_open(&gate));
}

static void *add_hundred_times_one(void *arg)
{
    struct tally *tally = arg;
    for (int i = 0; i < 100; i++)
        tally_add(tally, 1);
    return NULL;
}

static void a_tally_loses_no_count(void **unused)
{
    (void)unused;
    struct tally tally = TALLY_INIT;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        threads[i] = thread_start(add_hundred_times_one, &tally);
    tally_wait(&tally, 400);
    assert_int_equal(tally_count(&tally), 400);
    for (int i = 0; i < 4; i++)
        thread_join(threads[i]);
}

static void the_environment_chooses_the_workers(void **unused)
{
    (void)unused;
    assert_int_equal(setenv("WEIR_TEST_WORKERS", "8", 1), 0);
    assert_int_equal(test_workers(), 8);
    assert_int_equal(unsetenv("WEIR_TEST_WORKERS"), 0);
    assert_int_equal(test_workers(), 2);
}

static void a_seed_repeats_its_sequence(void **unused)
{
    (void)unused;
    uint64_t first = test_seed(), again = test_seed();
    assert_true(first == again);
    for (int i = 0; i < 10; i++)
        assert_true(test_random(&first) == test_random(&again));
}

static void a_sequence_is_splitmix64(void **unused)
{
    (void)unused;
    uint64_t state = 0;
    assert_true(test_random(&state) == 0xe220a8397b1dcdafu);
    assert_true(test_random(&state) == 0x6e789e6aa1b965f4u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gate_hands_over_what_was_written_before_it_opened),
        cmocka_unit_test(an_open_gate_stays_open),
        cmocka_unit_test(a_tally_loses_no_count),
        cmocka_unit_test(the_environment_chooses_the_workers),
        cmocka_unit_test(a_seed_repeats_its_sequence),
        cmocka_unit_test(a_sequence_is_splitmix64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
