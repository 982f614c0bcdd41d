/* SPDX-License-Identifier: Apache-2.0 */
/* test_inbox.c - the ring and the list behind it: nothing is lost, nothing is there twice, the ring is in order */

#include "workqueue/inbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/support.h"
#include "workqueue/job.h"

enum { CAPACITY = 4 };

struct fixture {
    struct inbox inbox;
    _Atomic uint64_t slots[CAPACITY];
    struct job jobs[64];
};

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.inbox = {.overflow = NULL}};
    inbox_init(&f->inbox, f->slots, CAPACITY);
}

static void jobs_in_the_ring_come_out_in_the_order_of_their_pushes(void **unused)
{
    (void)unused;
    struct fixture f;
    fixture_init(&f);
    assert_true(inbox_is_empty(&f.inbox));
    assert_null(inbox_pop_one(&f.inbox));
    for (int round = 0; round < 50; round++) {   /* many rounds of every slot */
        for (int i = 0; i < 3; i++)
            inbox_push(&f.inbox, &f.jobs[i]);
        assert_false(inbox_is_empty(&f.inbox));
        for (int i = 0; i < 3; i++)
            assert_ptr_equal(inbox_pop_one(&f.inbox), &f.jobs[i]);
        assert_true(inbox_is_empty(&f.inbox));
    }
}

static void a_batch_is_as_large_as_asked_or_as_there_is(void **unused)
{
    (void)unused;
    struct fixture f;
    struct job *out[8];
    fixture_init(&f);
    for (int i = 0; i < CAPACITY; i++)
        inbox_push(&f.inbox, &f.jobs[i]);
    assert_int_equal(inbox_pop(&f.inbox, out, 3), 3);
    assert_ptr_equal(out[2], &f.jobs[2]);
    assert_int_equal(inbox_pop(&f.inbox, out, 8), 1);
    assert_ptr_equal(out[0], &f.jobs[3]);
    assert_int_equal(inbox_pop(&f.inbox, out, 8), 0);
}

static void a_full_ring_refuses_until_a_job_is_taken(void **unused)
{
    (void)unused;
    struct fixture f;
    fixture_init(&f);
    for (int i = 0; i < CAPACITY; i++)
        assert_true(ring_push(&f.inbox.ring, &f.jobs[i]));
    assert_false(ring_push(&f.inbox.ring, &f.jobs[9]));
    assert_ptr_equal(ring_pop_one(&f.inbox.ring), &f.jobs[0]);
    assert_true(ring_push(&f.inbox.ring, &f.jobs[9]));
    assert_false(ring_push(&f.inbox.ring, &f.jobs[10]));
}

static void what_the_ring_has_no_room_for_comes_by_refills_oldest_first(void **unused)
{
    (void)unused;
    struct fixture f;
    fixture_init(&f);
    for (int i = 0; i < 12; i++)
        inbox_push(&f.inbox, &f.jobs[i]);
    for (int i = 0; i < CAPACITY; i++)
        assert_ptr_equal(inbox_pop_one(&f.inbox), &f.jobs[i]);
    assert_null(inbox_pop_one(&f.inbox));
    assert_false(inbox_is_empty(&f.inbox));      /* the list counts */
    for (int i = CAPACITY; i < 12;) {
        assert_ptr_equal(inbox_refill(&f.inbox), &f.jobs[i]);
        i++;
        for (struct job *job; (job = inbox_pop_one(&f.inbox)) != NULL; i++)
            assert_ptr_equal(job, &f.jobs[i]);
    }
    assert_null(inbox_refill(&f.inbox));
    assert_true(inbox_is_empty(&f.inbox));
}

static void a_refill_beside_another_takes_nothing(void **unused)
{
    (void)unused;
    struct fixture f;
    fixture_init(&f);
    for (int i = 0; i < 6; i++)
        inbox_push(&f.inbox, &f.jobs[i]);
    atomic_store(&f.inbox.refilling, 1);
    assert_null(inbox_refill(&f.inbox));
    atomic_store(&f.inbox.refilling, 0);
    assert_ptr_equal(inbox_refill(&f.inbox), &f.jobs[4]);
}

/* ---- producers and consumers ---- */

enum { JOBS = 60000, PRODUCERS = 2, CONSUMERS = 2 };

struct numbered {
    struct job job;
    _Atomic uint32_t times;
};

struct race {
    struct inbox inbox;
    _Atomic uint64_t slots[CAPACITY];
    struct numbered *jobs;
    _Atomic uint64_t popped;
    _Atomic uint32_t producer;
};

static void *push_half(void *arg)
{
    struct race *race = arg;
    uint32_t own = atomic_fetch_add(&race->producer, 1);
    for (uint32_t i = own; i < JOBS; i += PRODUCERS)
        inbox_push(&race->inbox, &race->jobs[i].job);
    return NULL;
}

static void *pop_all(void *arg)
{
    struct race *race = arg;
    while (atomic_load(&race->popped) < JOBS) {
        struct job *jobs[3];
        uint32_t count = inbox_pop(&race->inbox, jobs, 3);
        if (count == 0)
            count = (jobs[0] = inbox_refill(&race->inbox)) != NULL;
        for (uint32_t i = 0; i < count; i++)
            atomic_fetch_add(&((struct numbered *)(void *)jobs[i])->times, 1);
        atomic_fetch_add(&race->popped, count);
    }
    return NULL;
}

static void each_job_of_several_producers_goes_to_one_consumer(void **unused)
{
    (void)unused;
    static struct race race;
    pthread_t threads[PRODUCERS + CONSUMERS];
    race.jobs = calloc(JOBS, sizeof *race.jobs);
    assert_non_null(race.jobs);
    inbox_init(&race.inbox, race.slots, CAPACITY);
    for (int i = 0; i < PRODUCERS; i++)
        threads[i] = thread_start(push_half, &race);
    for (int i = 0; i < CONSUMERS; i++)
        threads[PRODUCERS + i] = thread_start(pop_all, &race);
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
        thread_join(threads[i]);
    for (uint32_t i = 0; i < JOBS; i++)
        assert_int_equal(atomic_load(&race.jobs[i].times), 1);
    assert_true(inbox_is_empty(&race.inbox));
    free(race.jobs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_in_the_ring_come_out_in_the_order_of_their_pushes),
        cmocka_unit_test(a_batch_is_as_large_as_asked_or_as_there_is),
        cmocka_unit_test(a_full_ring_refuses_until_a_job_is_taken),
        cmocka_unit_test(what_the_ring_has_no_room_for_comes_by_refills_oldest_first),
        cmocka_unit_test(a_refill_beside_another_takes_nothing),
        cmocka_unit_test(each_job_of_several_producers_goes_to_one_consumer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
