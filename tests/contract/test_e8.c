/* SPDX-License-Identifier: Apache-2.0 */
/* test_e8.c - E8: serial job n happens before job n+1, also where the queue was idle in between, where
 * it defers, and where the pump changes threads. The data is plain: ThreadSanitizer judges, too */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

/* A linear congruential walk: any step that does not see the one before ends elsewhere. */
static uint64_t next_of(uint64_t x)
{
    return x * UINT64_C(6364136223846793005) + 1;
}

struct walk {
    uint64_t state;                              /* plain */
    _Atomic uint64_t steps;
};

static void walk_step(weir_job *job, weir_status status)
{
    struct walk *walk = job->ctx;
    (void)status;
    walk->state = next_of(walk->state);
    /* relaxed: the test learns how many, and must not order what it tests */
    atomic_fetch_add_explicit(&walk->steps, 1, memory_order_relaxed);
    free(job);
}

static bool step(weir_queue queue, struct walk *walk)
{
    weir_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return false;
    *job = (weir_job){.fn = walk_step, .ctx = walk};
    if (weir_job_submit(queue, job) == WEIR_OK)
        return true;
    free(job);
    return false;
}

static void check_walk(weir_app app, weir_queue queue, struct walk *walk, uint64_t steps)
{
    struct record closed;
    record_init(&closed);
    assert_ok(weir_queue_close(queue, false, &closed.job));
    record_wait(&closed);
    uint64_t expected = 1;
    for (uint64_t i = 0; i < steps; i++)
        expected = next_of(expected);
    assert_int_equal(atomic_load(&walk->steps), steps);
    assert_int_equal(walk->state, expected);
    app_close(app);
}

struct submitter {
    weir_queue queue;
    struct walk *walk;
    unsigned jobs, failed;
};

static void *submit_many(void *arg)
{
    struct submitter *s = arg;
    for (unsigned i = 0; i < s->jobs; i++)
        s->failed += !step(s->queue, s->walk);
    return NULL;
}

static void each_job_sees_what_the_one_before_did_whoever_submitted_it(void **unused)
{
    (void)unused;
    enum { THREADS = 3, EACH = 3000 };
    weir_app app = app_open();
    weir_queue queue = serial_open(app);
    struct walk walk = {.state = 1};
    struct submitter s[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        s[i] = (struct submitter){queue, &walk, EACH, 0};
        threads[i] = thread_start(submit_many, &s[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        thread_join(threads[i]);
        assert_int_equal(s[i].failed, 0);
    }
    check_walk(app, queue, &walk, (uint64_t)THREADS * EACH);
}

/* The submitter looks at a relaxed count only, so the queue's own idle word is all that orders. */
static void a_job_after_the_queue_was_idle_sees_the_one_before(void **unused)
{
    (void)unused;
    enum { STEPS = 2000 };
    weir_app app = app_open();
    weir_queue queue = serial_open(app);
    struct walk walk = {.state = 1};
    for (uint64_t i = 0; i < STEPS; i++) {
        assert_true(step(queue, &walk));
        while (atomic_load_explicit(&walk.steps, memory_order_relaxed) <= i)
            ;
    }
    check_walk(app, queue, &walk, STEPS);
}

static void jobs_of_queues_over_one_serial_queue_see_each_other(void **unused)
{
    (void)unused;
    enum { STEPS = 1000 };
    weir_app app = app_open();
    weir_queue target = serial_open(app);
    weir_queue above[3] = {queue_open_with(target, NULL), queue_open_with(target, NULL),
                           queue_open_with(target, NULL)};
    struct walk walk = {.state = 1};
    for (int i = 0; i < STEPS; i++)
        assert_true(step(above[i % 3], &walk));
    for (int i = 0; i < 3; i++)
        assert_ok(weir_queue_close(above[i], false, NULL));
    check_walk(app, target, &walk, STEPS);
}

struct deferring {
    weir_job job;
    struct walk *walk;
    weir_token token;
    weir_queue replier;
    weir_job reply;
};

static void reply_run(weir_job *job, weir_status status)
{
    struct deferring *d = job->ctx;
    (void)status;
    d->walk->state = next_of(d->walk->state);    /* the deferred job's second half */
    weir_token token = d->token;
    (void)weir_job_reply(token);
}

static void defer_run(weir_job *job, weir_status status)
{
    struct deferring *d = job->ctx;
    (void)status;
    d->walk->state = next_of(d->walk->state);
    atomic_fetch_add_explicit(&d->walk->steps, 2, memory_order_relaxed);
    if (weir_job_defer(job, &d->token) == WEIR_OK)
        (void)!weir_job_submit(d->replier, &d->reply);
}

static void a_job_sees_what_was_done_until_the_reply_of_the_one_before(void **unused)
{
    (void)unused;
    enum { JOBS = 400 };
    weir_app app = app_open();
    weir_queue queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .reply = true));
    struct walk walk = {.state = 1};
    static struct deferring jobs[JOBS];
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct deferring){.walk = &walk, .replier = weir_app_queue(app, (uint8_t)(i % 4))};
        jobs[i].job = (weir_job){.fn = defer_run, .ctx = &jobs[i]};
        jobs[i].reply = (weir_job){.fn = reply_run, .ctx = &jobs[i]};
        assert_ok(weir_job_submit(queue, &jobs[i].job));
    }
    check_walk(app, queue, &walk, 2 * JOBS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_job_sees_what_the_one_before_did_whoever_submitted_it),
        cmocka_unit_test(a_job_after_the_queue_was_idle_sees_the_one_before),
        cmocka_unit_test(jobs_of_queues_over_one_serial_queue_see_each_other),
        cmocka_unit_test(a_job_sees_what_was_done_until_the_reply_of_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
