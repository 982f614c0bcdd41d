/* SPDX-License-Identifier: Apache-2.0 */
/* test_deque.c - one owner, many thieves: each position goes to one of them, in the order that each end promises */

#include "workqueue/deque.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/support.h"

enum { CAPACITY = 8 };

/* A job is an address here: never looked into. */
static char memory[4096];

static struct job *job_at(size_t i)
{
    return (struct job *)(void *)&memory[i];
}

struct fixture {
    struct deque deque;
    _Atomic(struct job *) slots[CAPACITY];
};

static void fixture_init(struct fixture *f)
{
    deque_init(&f->deque, f->slots, CAPACITY);
}

static void what_is_pushed_is_taken_youngest_first(void **unused)
{
    (void)unused;
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < 3; i++)
        assert_true(deque_push(&f.deque, job_at(i)));
    for (size_t i = 3; i-- > 0;)
        assert_ptr_equal(deque_take(&f.deque), job_at(i));
    assert_null(deque_take(&f.deque));
    assert_true(deque_is_empty(&f.deque));
}

static void what_is_pushed_is_stolen_oldest_first(void **unused)
{
    (void)unused;
    struct fixture f;
    struct job *job = NULL;
    fixture_init(&f);
    for (size_t i = 0; i < 3; i++)
        assert_true(deque_push(&f.deque, job_at(i)));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(deque_steal(&f.deque, &job), DEQUE_STOLEN);
        assert_ptr_equal(job, job_at(i));
    }
    job = NULL;
    assert_int_equal(deque_steal(&f.deque, &job), DEQUE_EMPTY);
    assert_null(job);
}

static void a_full_deque_takes_nothing_until_there_is_room_again(void **unused)
{
    (void)unused;
    struct fixture f;
    fixture_init(&f);
    for (size_t round = 0; round < 5; round++) {
        for (size_t i = 0; i < CAPACITY; i++)
            assert_true(deque_push(&f.deque, job_at(i)));
        assert_false(deque_push(&f.deque, job_at(99)));
        assert_ptr_equal(deque_steal_oldest(&f.deque), job_at(0));
        assert_true(deque_push(&f.deque, job_at(50)));
        assert_false(deque_push(&f.deque, job_at(99)));
        assert_ptr_equal(deque_take(&f.deque), job_at(50));
        for (size_t i = 1; i < CAPACITY; i++)
            assert_ptr_equal(deque_steal_oldest(&f.deque), job_at(i));
        assert_null(deque_steal_oldest(&f.deque));
    }
}

static void of_a_list_as_much_is_pushed_as_there_is_room_for(void **unused)
{
    (void)unused;
    struct fixture f;
    struct job *list[CAPACITY + 3];
    fixture_init(&f);
    for (size_t i = 0; i < CAPACITY + 3; i++)
        list[i] = job_at(i);
    assert_int_equal(deque_push_list(&f.deque, list, 0), 0);
    assert_int_equal(deque_push_list(&f.deque, list, 3), 3);
    assert_int_equal(deque_push_list(&f.deque, list + 3, CAPACITY), CAPACITY - 3);
    assert_int_equal(deque_push_list(&f.deque, list, 1), 0);
    for (size_t i = 0; i < CAPACITY; i++)
        assert_ptr_equal(deque_steal_oldest(&f.deque), job_at(i));
}

/* ---- thieves ---- */

enum { JOBS = 200000, THIEVES = 2 };

static _Atomic uint32_t taken[JOBS];

struct race {
    struct fixture f;
    _Atomic bool over;
    bool fifo;
};

static char many[JOBS];

static void count(struct job *job)
{
    atomic_fetch_add_explicit(&taken[(char *)job - many], 1, memory_order_relaxed);
}

static void *steal_all(void *arg)
{
    struct race *race = arg;
    struct job *job;
    for (;;) {
        enum deque_steal how = deque_steal(&race->f.deque, &job);
        if (how == DEQUE_STOLEN)
            count(job);
        else if (how == DEQUE_EMPTY && atomic_load(&race->over))
            return NULL;
    }
}

static void each_job_goes_to_one(bool fifo)
{
    static struct race race;
    pthread_t thieves[THIEVES];
    uint64_t random = test_seed();
    race = (struct race){.fifo = fifo};
    fixture_init(&race.f);
    for (size_t i = 0; i < JOBS; i++)
        atomic_store(&taken[i], 0);
    for (int i = 0; i < THIEVES; i++)
        thieves[i] = thread_start(steal_all, &race);
    for (size_t pushed = 0; pushed < JOBS;) {
        struct job *job = (struct job *)(void *)&many[pushed];
        pushed += deque_push(&race.f.deque, job);
        if (test_random(&random) % 2 != 0)
            continue;
        job = fifo ? deque_steal_oldest(&race.f.deque) : deque_take(&race.f.deque);
        if (job != NULL)
            count(job);
    }
    for (struct job *job; (job = deque_take(&race.f.deque)) != NULL;)
        count(job);
    atomic_store(&race.over, true);
    for (int i = 0; i < THIEVES; i++)
        thread_join(thieves[i]);
    for (size_t i = 0; i < JOBS; i++)
        assert_int_equal(atomic_load(&taken[i]), 1);
}

static void each_forked_job_goes_to_the_owner_or_to_one_thief(void **unused)
{
    (void)unused;
    each_job_goes_to_one(false);
}

static void each_job_goes_to_one_thief_of_whom_the_owner_is_one(void **unused)
{
    (void)unused;
    each_job_goes_to_one(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_pushed_is_taken_youngest_first),
        cmocka_unit_test(what_is_pushed_is_stolen_oldest_first),
        cmocka_unit_test(a_full_deque_takes_nothing_until_there_is_room_again),
        cmocka_unit_test(of_a_list_as_much_is_pushed_as_there_is_room_for),
        cmocka_unit_test(each_forked_job_goes_to_the_owner_or_to_one_thief),
        cmocka_unit_test(each_job_goes_to_one_thief_of_whom_the_owner_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
