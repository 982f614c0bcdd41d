/* SPDX-License-Identifier: Apache-2.0 */
/* test_event.c - everybody who waits is woken by the next post
 *
 * test_event_shadow.c runs the same tests over the stand-in that the schedule explorer uses. */

#include "core/event.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/futex.h"
#include "tests/support/support.h"

enum { WAITERS = 3, ROUNDS = 5000, PAST = 1 };

static _Atomic uint32_t *word_of(struct event *e)
{
    return (_Atomic uint32_t *)&e->counter;
}

/* ---- one thread ---- */

static void zero_bytes_are_an_event(void **unused)
{
    (void)unused;
    struct event zero = {0};
    struct event fresh = {77};
    event_init(&fresh);
    assert_int_equal(event_value(&zero), event_value(&fresh));
}

static void a_post_changes_the_value(void **unused)
{
    (void)unused;
    struct event e = {0};
    uint32_t before = event_value(&e);
    event_post(&e);
    assert_int_not_equal(event_value(&e), before);
}

static void a_wait_for_what_has_happened_does_not_sleep(void **unused)
{
    (void)unused;
    struct event e = {0};
    uint32_t seen = event_value(&e);
    event_post(&e);
    assert_true(event_wait(&e, seen, WEIR_FOREVER));
    assert_true(event_wait(&e, seen, PAST));
}

static void a_past_deadline_does_not_wait(void **unused)
{
    (void)unused;
    struct event e = {0};
    uint32_t seen = event_value(&e);
    assert_false(event_wait(&e, seen, PAST));
    assert_false(event_wait(&e, seen, 0));
    assert_false(event_wait(&e, seen, -1));
}

static void a_time_out_is_never_early(void **unused)
{
    (void)unused;
    struct event e = {0};
    for (int64_t delta = 1; delta < 10000000; delta *= 7) {
        int64_t deadline = clock_monotonic() + delta;
        assert_false(event_wait(&e, event_value(&e), deadline));
        assert_true(clock_monotonic() >= deadline);
    }
}

static void a_time_out_leaves_the_event_usable(void **unused)
{
    (void)unused;
    struct event e = {0};
    uint32_t seen = event_value(&e);
    assert_false(event_wait(&e, seen, clock_monotonic() + 1000));
    assert_int_equal(event_value(&e), seen);
    event_post(&e);
    assert_true(event_wait(&e, seen, WEIR_FOREVER));
}

static void the_count_wraps_and_is_still_a_count(void **unused)
{
    (void)unused;
    struct event e = {INT32_MAX}; /* the largest count of 31 bits */
    for (int i = 0; i < 3; i++) {
        uint32_t seen = event_value(&e);
        event_post(&e);
        assert_int_not_equal(event_value(&e), seen);
        assert_true(event_wait(&e, seen, WEIR_FOREVER));
        assert_false(event_wait(&e, event_value(&e), PAST));
    }
}

/* ---- several threads ---- */

struct crowd {
    struct event event;
    _Atomic int happened; /* what they wait for */
    struct tally awake;
};

static void *wait_until_it_happened(void *arg)
{
    struct crowd *c = arg;
    for (;;) {
        uint32_t seen = event_value(&c->event);
        if (atomic_load_explicit(&c->happened, memory_order_relaxed) != 0)
            break;
        (void)event_wait(&c->event, seen, WEIR_FOREVER);
    }
    tally_add(&c->awake, 1);
    return NULL;
}

static void let_it_happen(struct crowd *c)
{
    atomic_store_explicit(&c->happened, 1, memory_order_release); /* before the post */
    event_post(&c->event);
}

/* Wakes until so many were really found asleep; they go back to sleep. */
static void see_them_sleep(struct crowd *c, int count)
{
    for (int woken = 0; woken < count; (void)sched_yield())
        woken += futex_wake(word_of(&c->event), FUTEX_WAKE_ALL);
}

static void one_post_wakes_everybody(void **unused)
{
    (void)unused;
    struct crowd c = {.awake = TALLY_INIT};
    pthread_t thread[WAITERS];
    for (int i = 0; i < WAITERS; i++)
        thread[i] = thread_start(wait_until_it_happened, &c);
    see_them_sleep(&c, WAITERS);
    let_it_happen(&c);
    tally_wait(&c.awake, WAITERS);
    for (int i = 0; i < WAITERS; i++)
        thread_join(thread[i]);
}

static void a_spurious_wake_up_goes_back_to_sleep(void **unused)
{
    (void)unused;
    struct crowd c = {.awake = TALLY_INIT};
    pthread_t thread = thread_start(wait_until_it_happened, &c);
    see_them_sleep(&c, 10);
    assert_int_equal(tally_count(&c.awake), 0);
    let_it_happen(&c);
    tally_wait(&c.awake, 1);
    thread_join(thread);
}

/* Rounds: the poster raises a number, everybody waits for it and answers. A lost wake-up hangs. */
struct rounds {
    struct event raised;
    struct event answered;
    _Atomic int number;
    _Atomic int answers;
    int64_t patience_ns; /* WEIR_FOREVER, or deadlines so short that they meet the posts */
    struct tally done;
};

static int64_t deadline_of(struct rounds *r)
{
    return time_add(clock_monotonic(), r->patience_ns);
}

static void wait_for_number(struct rounds *r, int number)
{
    for (;;) {
        uint32_t seen = event_value(&r->raised);
        if (atomic_load_explicit(&r->number, memory_order_relaxed) >= number)
            return;
        (void)event_wait(&r->raised, seen, deadline_of(r));
    }
}

static void *answer_every_number(void *arg)
{
    struct rounds *r = arg;
    for (int i = 1; i <= ROUNDS; i++) {
        wait_for_number(r, i);
        (void)atomic_fetch_add_explicit(&r->answers, 1, memory_order_release); /* before the post */
        event_post(&r->answered);
    }
    tally_add(&r->done, 1);
    return NULL;
}

static void *raise_numbers(void *arg)
{
    struct rounds *r = arg;
    for (int i = 1; i <= ROUNDS; i++) {
        atomic_store_explicit(&r->number, i, memory_order_release); /* before the post */
        event_post(&r->raised);
        for (;;) {
            uint32_t seen = event_value(&r->answered);
            if (atomic_load_explicit(&r->answers, memory_order_relaxed) == i * WAITERS)
                break;
            (void)event_wait(&r->answered, seen, deadline_of(r));
        }
    }
    tally_add(&r->done, 1);
    return NULL;
}

static void play_rounds(int64_t patience_ns)
{
    struct rounds r = {.patience_ns = patience_ns, .done = TALLY_INIT};
    pthread_t waiter[WAITERS];
    pthread_t poster = thread_start(raise_numbers, &r);
    for (int i = 0; i < WAITERS; i++)
        waiter[i] = thread_start(answer_every_number, &r);
    tally_wait(&r.done, WAITERS + 1);
    thread_join(poster);
    for (int i = 0; i < WAITERS; i++)
        thread_join(waiter[i]);
    assert_int_equal(atomic_load(&r.answers), ROUNDS * WAITERS);
}

static void no_wake_up_is_lost(void **unused)
{
    (void)unused;
    play_rounds(WEIR_FOREVER);
}

static void time_outs_that_meet_posts_do_no_harm(void **unused)
{
    (void)unused;
    play_rounds(2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_bytes_are_an_event),
        cmocka_unit_test(a_post_changes_the_value),
        cmocka_unit_test(a_wait_for_what_has_happened_does_not_sleep),
        cmocka_unit_test(a_past_deadline_does_not_wait),
        cmocka_unit_test(a_time_out_is_never_early),
        cmocka_unit_test(a_time_out_leaves_the_event_usable),
        cmocka_unit_test(the_count_wraps_and_is_still_a_count),
        cmocka_unit_test(one_post_wakes_everybody),
        cmocka_unit_test(a_spurious_wake_up_goes_back_to_sleep),
        cmocka_unit_test(no_wake_up_is_lost),
        cmocka_unit_test(time_outs_that_meet_posts_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
