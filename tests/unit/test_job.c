/* SPDX-License-Identifier: Apache-2.0 */
/* test_job.c - the word that decides how a job ends: who moves it, and who may not */

#include "workqueue/job.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/support.h"

static uint32_t phase_of(struct job *job)
{
    return atomic_load(&job->phase);
}

static void a_zeroed_job_is_free(void **unused)
{
    (void)unused;
    weir_job public = {.fn = NULL};
    assert_int_equal(phase_of(job_of(&public)), JOB_IDLE);
    assert_true(job_is_free(job_of(&public)));
    assert_ptr_equal(job_public(job_of(&public)), &public);
}

static void a_claim_after_a_submit_is_ok_and_makes_the_job_free(void **unused)
{
    (void)unused;
    struct job job = {.fn = NULL};
    job_begin(&job, JOB_QUEUED);
    assert_false(job_is_free(&job));
    assert_int_equal(job_claim(&job), WEIR_OK);
    assert_int_equal(phase_of(&job), JOB_OVER);
    assert_true(job_is_free(&job));
}

static void a_claim_after_a_cancel_says_canceled(void **unused)
{
    (void)unused;
    struct job job = {.fn = NULL};
    job_begin(&job, JOB_QUEUED);
    assert_true(job_move(&job, JOB_QUEUED, JOB_MARKED));
    assert_false(job_move(&job, JOB_QUEUED, JOB_MARKED));
    assert_false(job_is_free(&job));
    assert_int_equal(job_claim(&job), WEIR_CANCELED);
    assert_true(job_is_free(&job));
}

static void a_move_from_another_phase_changes_nothing(void **unused)
{
    (void)unused;
    struct job job = {.fn = NULL};
    job_begin(&job, JOB_ARMED);
    assert_false(job_move(&job, JOB_QUEUED, JOB_MARKED));
    assert_int_equal(phase_of(&job), JOB_ARMED);
}

static void a_joined_job_is_free_and_a_forked_one_is_not(void **unused)
{
    (void)unused;
    struct job job = {.fn = NULL};
    atomic_store(&job.phase, JOB_JOINED);
    assert_true(job_is_free(&job));
    atomic_store(&job.phase, JOB_JOINED - 1);
    assert_false(job_is_free(&job));
    atomic_store(&job.phase, JOB_DEFERRED);
    assert_false(job_is_free(&job));
}

/* A claim and cancels at the same moment: each life ends once, and the claim tells who won. */
enum { LIVES = 1000 };

struct race {
    struct job job;
    _Atomic uint32_t life, done;
    _Atomic uint32_t won[2];
    _Atomic bool over;
};

struct canceller {
    struct race *race;
    uint32_t number;
};

static void *cancel_each_life(void *arg)
{
    struct canceller *c = arg;
    for (uint32_t seen = 0; !atomic_load(&c->race->over);) {
        uint32_t life = atomic_load(&c->race->life);
        if (life == seen) {
            (void)sched_yield();
            continue;
        }
        seen = life;
        if (job_move(&c->race->job, JOB_QUEUED, JOB_MARKED))
            atomic_fetch_add(&c->race->won[c->number], 1);
        atomic_fetch_add(&c->race->done, 1);
    }
    return NULL;
}

static void of_a_claim_and_two_cancels_one_decides(void **unused)
{
    (void)unused;
    static struct race race;
    struct canceller cancellers[2] = {{&race, 0}, {&race, 1}};
    pthread_t threads[2];
    uint32_t canceled = 0;
    for (int i = 0; i < 2; i++)
        threads[i] = thread_start(cancel_each_life, &cancellers[i]);
    for (uint32_t life = 1; life <= LIVES; life++) {
        job_begin(&race.job, JOB_QUEUED);
        atomic_store(&race.done, 0);
        atomic_store(&race.life, life);
        canceled += job_claim(&race.job) == WEIR_CANCELED;
        while (atomic_load(&race.done) != 2)   /* on one processor the others need it */
            (void)sched_yield();
    }
    atomic_store(&race.over, true);
    for (int i = 0; i < 2; i++)
        thread_join(threads[i]);
    assert_int_equal(canceled, atomic_load(&race.won[0]) + atomic_load(&race.won[1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_job_is_free),
        cmocka_unit_test(a_claim_after_a_submit_is_ok_and_makes_the_job_free),
        cmocka_unit_test(a_claim_after_a_cancel_says_canceled),
        cmocka_unit_test(a_move_from_another_phase_changes_nothing),
        cmocka_unit_test(a_joined_job_is_free_and_a_forked_one_is_not),
        cmocka_unit_test(of_a_claim_and_two_cancels_one_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
