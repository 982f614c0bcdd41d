/* SPDX-License-Identifier: Apache-2.0 */
/* test_parker.c - a token is never lost and never counted twice */

#include "core/parker.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/clock.h"
#include "tests/support/support.h"

enum { ROUNDS = 20000, LIVES = 2000, WAKERS = 3, PAST = 1 };

static uint32_t word_of(struct parker *p)
{
    return atomic_load(&p->word);
}

/* ---- one thread: every edge of the diagram ---- */

static void a_token_lets_park_return_at_once(void **unused)
{
    (void)unused;
    struct parker p = {0};
    parker_init(&p);
    assert_false(parker_unpark(&p));
    assert_int_equal(word_of(&p), PARKER_TOKEN);
    assert_true(parker_park(&p, WEIR_FOREVER));
    assert_int_equal(word_of(&p), PARKER_EMPTY);
}

static void without_a_token_park_times_out(void **unused)
{
    (void)unused;
    struct parker p = {0};
    assert_false(parker_park(&p, PAST));
    assert_int_equal(word_of(&p), PARKER_EMPTY);
}

static void a_time_out_is_not_early(void **unused)
{
    (void)unused;
    struct parker p = {0};
    int64_t deadline = clock_monotonic() + 1000000;
    assert_false(parker_park(&p, deadline));
    assert_true(clock_monotonic() >= deadline);
}

static void a_token_wins_over_a_past_deadline(void **unused)
{
    (void)unused;
    struct parker p = {0};
    (void)parker_unpark(&p);
    assert_true(parker_park(&p, PAST));
}

static void two_unparks_make_one_token(void **unused)
{
    (void)unused;
    struct parker p = {0};
    (void)parker_unpark(&p);
    assert_false(parker_unpark(&p));
    assert_true(parker_park(&p, PAST));
    assert_false(parker_park(&p, PAST));
}

static void prepare_throws_an_old_token_away(void **unused)
{
    (void)unused;
    struct parker p = {0};
    (void)parker_unpark(&p);
    parker_prepare(&p);
    assert_false(parker_park(&p, PAST));
}

static void a_token_after_prepare_counts(void **unused)
{
    (void)unused;
    struct parker p = {0};
    parker_prepare(&p);
    (void)parker_unpark(&p);
    assert_true(parker_park(&p, PAST));
}

static void an_unpark_after_the_announcement_is_a_wake(void **unused)
{
    (void)unused;
    struct parker p = {0};
    assert_true(parker_announce(&p));
    assert_int_equal(word_of(&p), PARKER_ASLEEP);
    assert_true(parker_unpark(&p));
    assert_true(parker_take(&p));
}

static void an_unpark_that_meets_a_time_out_leaves_its_token(void **unused)
{
    (void)unused;
    struct parker p = {0};
    assert_true(parker_announce(&p)); /* asleep, the time runs out, and then: */
    assert_true(parker_unpark(&p));
    assert_true(parker_take(&p));     /* park's last step answers: a token, not a time-out */
    assert_false(parker_park(&p, PAST));
}

/* ---- two threads and more ---- */

struct sleeper {
    struct parker parker;
    struct gate awake;
    int note;        /* plain: what the waker leaves for the sleeper */
    int note_read;
};

static void *sleep_for_a_note(void *arg)
{
    struct sleeper *s = arg;
    (void)parker_park(&s->parker, WEIR_FOREVER);
    s->note_read = s->note;
    gate_open(&s->awake);
    return NULL;
}

static void a_sleeper_is_woken_and_sees_why(void **unused)
{
    (void)unused;
    struct sleeper s = {.awake = GATE_INIT};
    pthread_t thread = thread_start(sleep_for_a_note, &s);
    while (atomic_load_explicit(&s.parker.word, memory_order_relaxed) != PARKER_ASLEEP)
        (void)sched_yield();
    s.note = 42;
    assert_true(parker_unpark(&s.parker));
    gate_wait(&s.awake);
    assert_int_equal(s.note_read, 42);
    thread_join(thread);
}

static void a_spurious_wake_up_goes_back_to_sleep(void **unused)
{
    (void)unused;
    struct sleeper s = {.awake = GATE_INIT};
    pthread_t thread = thread_start(sleep_for_a_note, &s);
    for (int woken = 0; woken < 10; (void)sched_yield())
        woken += futex_wake(&s.parker.word, 1); /* really asleep, woken for nothing, ten times */
    assert_false(gate_is_open(&s.awake));
    (void)parker_unpark(&s.parker);
    gate_wait(&s.awake);
    thread_join(thread);
}

struct court {
    struct parker side[2];
    int ball; /* plain: travels with the token */
    struct tally done;
};

static void play(struct court *c, int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        while (!parker_park(&c->side[me], WEIR_FOREVER))
            continue;
        c->ball++;
        (void)parker_unpark(&c->side[1 - me]);
    }
    tally_add(&c->done, 1);
}

static void *play_second(void *arg)
{
    play(arg, 1);
    return NULL;
}

static void *play_first(void *arg)
{
    play(arg, 0);
    return NULL;
}

static void no_wake_up_is_lost_between_two_players(void **unused)
{
    (void)unused;
    struct court c = {.done = TALLY_INIT};
    pthread_t first = thread_start(play_first, &c);
    pthread_t second = thread_start(play_second, &c);
    (void)parker_unpark(&c.side[0]);
    tally_wait(&c.done, 2);
    thread_join(first);
    thread_join(second);
    assert_int_equal(c.ball, 2 * ROUNDS);
}

/* The owner parks with deadlines so short that time-outs and unparks meet in every order. A token
 * lost there would leave the other side waiting for its answer for ever. */
struct duel {
    struct parker parker;
    _Atomic int tokens;
    struct tally done;
    uint64_t seed;
};

static void *park_shortly(void *arg)
{
    struct duel *d = arg;
    for (int tokens = 0; tokens < ROUNDS;) {
        int64_t deadline = clock_monotonic() + (int64_t)(test_random(&d->seed) % 4000);
        if (parker_park(&d->parker, deadline))
            atomic_store_explicit(&d->tokens, ++tokens, memory_order_relaxed);
    }
    tally_add(&d->done, 1);
    return NULL;
}

static void *unpark_and_await_the_answer(void *arg)
{
    struct duel *d = arg;
    for (int i = 0; i < ROUNDS; i++) {
        (void)parker_unpark(&d->parker);
        while (atomic_load_explicit(&d->tokens, memory_order_relaxed) == i)
            (void)sched_yield();
    }
    tally_add(&d->done, 1);
    return NULL;
}

static void a_time_out_that_meets_an_unpark_loses_no_token(void **unused)
{
    (void)unused;
    struct duel d = {.done = TALLY_INIT, .seed = test_seed()};
    pthread_t owner = thread_start(park_shortly, &d);
    pthread_t waker = thread_start(unpark_and_await_the_answer, &d);
    tally_wait(&d.done, 2);
    thread_join(owner);
    thread_join(waker);
    assert_int_equal(atomic_load(&d.tokens), ROUNDS);
}

/* Several wakers, each with its own counter: one token has to carry what all of them wrote, and no
 * token may vanish between the owner's reading it and its taking it. */
struct crowd {
    struct parker parker;
    _Atomic int written[WAKERS];
    _Atomic int next;
    _Atomic int round; /* up to which the owner has seen everybody */
    struct tally done;
};

static void *write_and_unpark(void *arg)
{
    struct crowd *c = arg;
    int me = atomic_fetch_add(&c->next, 1);
    for (int i = 1; i <= ROUNDS; i++) {
        atomic_store_explicit(&c->written[me], i, memory_order_relaxed);
        (void)parker_unpark(&c->parker);
        while (atomic_load_explicit(&c->round, memory_order_relaxed) < i)
            (void)sched_yield();
    }
    tally_add(&c->done, 1);
    return NULL;
}

static bool all_have_written(struct crowd *c, int i)
{
    bool all = true;
    for (int waker = 0; waker < WAKERS; waker++)
        all = all && atomic_load_explicit(&c->written[waker], memory_order_relaxed) >= i;
    return all;
}

static void *sleep_until_all_have_written(void *arg)
{
    struct crowd *c = arg;
    for (int i = 1; i <= ROUNDS; i++) {
        parker_prepare(&c->parker);
        while (!all_have_written(c, i))
            (void)parker_park(&c->parker, WEIR_FOREVER);
        atomic_store_explicit(&c->round, i, memory_order_relaxed);
    }
    tally_add(&c->done, 1);
    return NULL;
}

static void one_token_carries_what_all_wakers_wrote(void **unused)
{
    (void)unused;
    struct crowd c = {.done = TALLY_INIT};
    pthread_t waker[WAKERS];
    pthread_t owner = thread_start(sleep_until_all_have_written, &c);
    for (int i = 0; i < WAKERS; i++)
        waker[i] = thread_start(write_and_unpark, &c);
    tally_wait(&c.done, WAKERS + 1);
    thread_join(owner);
    for (int i = 0; i < WAKERS; i++)
        thread_join(waker[i]);
    assert_int_equal(atomic_load(&c.round), ROUNDS);
}

/* The owner frees the parker as soon as the token is out, and makes the next one. */
struct handover {
    struct parker *_Atomic parker;
    struct tally done;
};

static void *live_and_free(void *arg)
{
    struct handover *h = arg;
    for (int i = 0; i < LIVES; i++) {
        struct parker *p = malloc(sizeof(*p));
        parker_init(p);
        atomic_store_explicit(&h->parker, p, memory_order_release); /* for the waker's acquire */
        while (!parker_park(p, WEIR_FOREVER))
            continue;
        free(p);
    }
    tally_add(&h->done, 1);
    return NULL;
}

static void *wake_each_life_once(void *arg)
{
    struct handover *h = arg;
    for (int i = 0; i < LIVES; i++) {
        struct parker *p;
        do /* acquire: pairs with the owner's release; the parker is initialised */
            p = atomic_exchange_explicit(&h->parker, NULL, memory_order_acquire);
        while (!p && sched_yield() == 0);
        (void)parker_unpark(p);
    }
    tally_add(&h->done, 1);
    return NULL;
}

static void the_owner_may_free_the_parker_once_it_has_the_token(void **unused)
{
    (void)unused;
    struct handover h = {.done = TALLY_INIT};
    pthread_t owner = thread_start(live_and_free, &h);
    pthread_t waker = thread_start(wake_each_life_once, &h);
    tally_wait(&h.done, 2);
    thread_join(owner);
    thread_join(waker);
    assert_null(atomic_load(&h.parker));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_lets_park_return_at_once),
        cmocka_unit_test(without_a_token_park_times_out),
        cmocka_unit_test(a_time_out_is_not_early),
        cmocka_unit_test(a_token_wins_over_a_past_deadline),
        cmocka_unit_test(two_unparks_make_one_token),
        cmocka_unit_test(prepare_throws_an_old_token_away),
        cmocka_unit_test(a_token_after_prepare_counts),
        cmocka_unit_test(an_unpark_after_the_announcement_is_a_wake),
        cmocka_unit_test(an_unpark_that_meets_a_time_out_leaves_its_token),
        cmocka_unit_test(a_sleeper_is_woken_and_sees_why),
        cmocka_unit_test(a_spurious_wake_up_goes_back_to_sleep),
        cmocka_unit_test(no_wake_up_is_lost_between_two_players),
        cmocka_unit_test(a_time_out_that_meets_an_unpark_loses_no_token),
        cmocka_unit_test(one_token_carries_what_all_wakers_wrote),
        cmocka_unit_test(the_owner_may_free_the_parker_once_it_has_the_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
