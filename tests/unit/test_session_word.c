/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sched.h>
#include <setjmp.h>
#include <cmocka.h>

#include "session/session_word.h"
#include "tests/support/support.h"

static const uint64_t handle = UINT64_C(2) << 61 | UINT64_C(1) << 55 | 7;  /* a session, application 1, generation 7 */

static uint64_t word(enum session_phase phase, uint32_t live)
{
    return UINT64_C(7) << 32 | live * SESSION_LIVE_ONE | phase;
}

static struct slot slot_in(enum session_phase phase, uint32_t live)
{
    struct slot s;
    atomic_init(&s.word, word(phase, live));
    return s;
}

/* ---- the gate (S1) ---- */

static void an_open_session_lets_in_and_counts(void **unused)
{
    (void)unused;
    struct slot s = slot_in(SESSION_OPEN, 2);
    assert_int_equal(session_enter(&s, handle, 3), WEIR_OK);
    assert_int_equal(session_live(atomic_load(&s.word)), 5);
}

static void nobody_enters_once_it_is_shut(void **unused)
{
    (void)unused;
    for (int phase = SESSION_DRAINING; phase <= SESSION_CLOSED; phase++) {
        struct slot s = slot_in((enum session_phase)phase, phase == SESSION_CLOSED ? 0 : 1);
        uint64_t before = atomic_load(&s.word);
        assert_int_equal(session_enter(&s, handle, 1), WEIR_CLOSED);
        assert_true(atomic_load(&s.word) == before);
    }
}

static void another_generation_is_stale_for_every_call(void **unused)
{
    (void)unused;
    struct slot s = slot_in(SESSION_OPEN, 0);
    assert_int_equal(session_enter(&s, handle + 1, 1), WEIR_STALE);
    assert_int_equal(session_shut_gate(&s, handle + 1), WEIR_STALE);
    assert_int_equal(session_visit(&s, handle - 1), WEIR_STALE);
    assert_true(atomic_load(&s.word) == word(SESSION_OPEN, 0));
}

static void a_free_slot_is_stale(void **unused)
{
    (void)unused;
    struct slot s = slot_in(SESSION_FREE, 0);
    assert_int_equal(session_enter(&s, handle, 1), WEIR_STALE);
    assert_int_equal(session_visit(&s, handle), WEIR_STALE);
}

static void live_does_not_count_beyond_its_field(void **unused)
{
    (void)unused;
    struct slot s = slot_in(SESSION_OPEN, SESSION_LIVE_MAX - 2);
    assert_int_equal(session_enter(&s, handle, 3), WEIR_LIMIT);
    assert_int_equal(session_enter(&s, handle, 2), WEIR_OK);
    assert_int_equal(session_enter(&s, handle, 1), WEIR_LIMIT);
}

/* ---- closing (S4, S8) ---- */

static void the_first_close_wins_and_is_inside(void **unused)
{
    (void)unused;
    struct slot s = slot_in(SESSION_OPEN, 0);
    assert_int_equal(session_shut_gate(&s, handle), WEIR_OK);
    assert_int_equal(session_shut_gate(&s, handle), WEIR_CLOSING);
    assert_true(atomic_load(&s.word) == word(SESSION_DRAINING, 1));
}

static void the_last_to_leave_a_shut_session_completes_it(void **unused)
{
    (void)unused;
    struct slot s = slot_in(SESSION_DRAINING, 3);
    assert_false(session_leave(&s, 2));
    assert_true(session_leave(&s, 1));
    assert_true(atomic_load(&s.word) == word(SESSION_CLOSED, 0));
}

static void the_last_to_leave_an_open_session_completes_nothing(void **unused)
{
    (void)unused;
    struct slot s = slot_in(SESSION_OPEN, 1);
    assert_false(session_leave(&s, 1));
    assert_true(atomic_load(&s.word) == word(SESSION_OPEN, 0));
}

static void an_empty_session_is_completed_by_its_closer(void **unused)
{
    (void)unused;
    struct slot s = slot_in(SESSION_OPEN, 0);
    assert_int_equal(session_shut_gate(&s, handle), WEIR_OK);
    assert_true(session_leave(&s, 1));
}

static void a_visitor_comes_in_until_it_is_complete(void **unused)
{
    (void)unused;
    struct slot s = slot_in(SESSION_WAITING, 1);
    assert_int_equal(session_visit(&s, handle), WEIR_OK);
    assert_false(session_leave(&s, 1));
    assert_true(session_leave(&s, 1));
    assert_int_equal(session_visit(&s, handle), WEIR_STALE);
}

static void phases_go_forward_only_and_the_first_is_told(void **unused)
{
    (void)unused;
    struct slot s = slot_in(SESSION_DRAINING, 1);
    assert_true(session_advance(&s, SESSION_WAITING));
    assert_false(session_advance(&s, SESSION_CANCELLING));
    assert_false(session_advance(&s, SESSION_WAITING));
    assert_true(atomic_load(&s.word) == word(SESSION_WAITING, 1));
}

/* ---- cancelling all (C6) ---- */

static void a_raise_applies_to_what_was_accepted_before_only(void **unused)
{
    (void)unused;
    struct session_cancel c = { 0 };
    uint32_t before = cancel_now(&c);
    assert_int_equal(cancel_applies(&c, before), 0);
    cancel_raise(&c, 64);
    assert_int_equal(cancel_applies(&c, before), 64);
    assert_int_equal(cancel_applies(&c, cancel_now(&c)), 0);
}

static void the_epoch_goes_on_where_32_bits_end(void **unused)
{
    (void)unused;
    struct session_cancel c;
    atomic_init(&c.word, UINT64_C(0xffffffff) << 32 | 64);
    uint32_t before = cancel_now(&c);
    cancel_raise(&c, 65);
    assert_int_equal(cancel_now(&c), 0);
    assert_int_equal(cancel_applies(&c, before), 65);
}

/* ---- threads: each start is accepted or refused, and somebody completes, once ---- */

enum { ROUNDS = 2000 };

static struct slot shared;
static _Atomic uint32_t ready, accepted, completions, wins;

static void meet(uint32_t round, uint32_t threads)
{
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < (round + 1) * threads)
        sched_yield();
}

static void *starter(void *unused)
{
    (void)unused;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        meet(round * 2, 3);
        if (session_enter(&shared, handle, 1) == WEIR_OK) {
            atomic_fetch_add(&accepted, 1);
            if (session_leave(&shared, 1))
                atomic_fetch_add(&completions, 1);
        }
        meet(round * 2 + 1, 3);
    }
    return NULL;
}

static void close_shared(void)
{
    if (session_shut_gate(&shared, handle) != WEIR_OK)
        return;
    atomic_fetch_add(&wins, 1);
    if (session_leave(&shared, 1))
        atomic_fetch_add(&completions, 1);
}

static void *closer(void *unused)
{
    (void)unused;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        meet(round * 2, 3);
        close_shared();
        meet(round * 2 + 1, 3);
    }
    return NULL;
}

static void of_two_closers_and_a_starter_one_wins_and_one_completes(void **unused)
{
    (void)unused;
    shared = slot_in(SESSION_OPEN, 0);
    pthread_t a = thread_start(starter, NULL), b = thread_start(closer, NULL);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        atomic_store(&shared.word, word(SESSION_OPEN, 0));
        meet(round * 2, 3);
        close_shared();
        meet(round * 2 + 1, 3);
        assert_int_equal(atomic_load(&wins), round + 1);
        assert_int_equal(atomic_load(&completions), round + 1);
        assert_true(atomic_load(&shared.word) == word(SESSION_CLOSED, 0));
    }
    thread_join(a);
    thread_join(b);
    print_message("%u of %u starts were accepted\n", atomic_load(&accepted), (uint32_t)ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_session_lets_in_and_counts),
        cmocka_unit_test(nobody_enters_once_it_is_shut),
        cmocka_unit_test(another_generation_is_stale_for_every_call),
        cmocka_unit_test(a_free_slot_is_stale),
        cmocka_unit_test(live_does_not_count_beyond_its_field),
        cmocka_unit_test(the_first_close_wins_and_is_inside),
        cmocka_unit_test(the_last_to_leave_a_shut_session_completes_it),
        cmocka_unit_test(the_last_to_leave_an_open_session_completes_nothing),
        cmocka_unit_test(an_empty_session_is_completed_by_its_closer),
        cmocka_unit_test(a_visitor_comes_in_until_it_is_complete),
        cmocka_unit_test(phases_go_forward_only_and_the_first_is_told),
        cmocka_unit_test(a_raise_applies_to_what_was_accepted_before_only),
        cmocka_unit_test(the_epoch_goes_on_where_32_bits_end),
        cmocka_unit_test(of_two_closers_and_a_starter_one_wins_and_one_completes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
