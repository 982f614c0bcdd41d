/* SPDX-License-Identifier: Apache-2.0 */
/* test_q6.c - Q6: an idle application uses no CPU; a wake-up is never lost */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

/* ---- no CPU ---- */

enum { THREADS_MAX = 80 };

static struct thread_clocks {
    pthread_mutex_t lock;
    clockid_t clocks[THREADS_MAX];
    unsigned count;
    int64_t ended;                               /* what the threads used that are no more */
} threads = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int64_t clock_of(clockid_t id)
{
    struct timespec used;
    if (clock_gettime(id, &used) != 0)
        abort();                                 /* on a worker, too: no assertion */
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

static void remove_clock(struct thread_clocks *t, clockid_t id)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->clocks[i] == id) {
            t->clocks[i] = t->clocks[--t->count];
            t->ended += clock_of(id);
            return;
        }
}

/* On that thread. One of the blocking lane ends when it has had nothing to do for a while. */
static void note_thread(weir_app app, uint32_t worker, bool starts, void *ctx)
{
    struct thread_clocks *t = ctx;
    clockid_t id;
    (void)app;
    (void)worker;
    if (pthread_getcpuclockid(pthread_self(), &id) != 0)
        return;
    pthread_mutex_lock(&t->lock);
    if (!starts)
        remove_clock(t, id);
    else if (t->count < THREADS_MAX)
        t->clocks[t->count++] = id;
    pthread_mutex_unlock(&t->lock);
}

static int64_t used_by_threads(void)
{
    pthread_mutex_lock(&threads.lock);
    int64_t sum = threads.ended;
    for (unsigned i = 0; i < threads.count; i++)
        sum += clock_of(threads.clocks[i]);
    pthread_mutex_unlock(&threads.lock);
    return sum;
}

/* This thread computes for as long as it takes to use 20 ms of its own time. */
static void compute(void)
{
    int64_t end = clock_of(CLOCK_THREAD_CPUTIME_ID) + 20000000;
    while (clock_of(CLOCK_THREAD_CPUTIME_ID) < end)
        ;
}

/* Once all threads sleep the number stands still, to the nanosecond; how long it takes until then
 * does not matter. A thread that woke now and then would never let it stand still for 20 ms, ten
 * times in a row. */
static void wait_until_idle(void)
{
    unsigned still = 0;
    for (unsigned rounds = 0; still < 10; rounds++) {
        assert_true(rounds < 1000);
        int64_t before = used_by_threads();
        compute();
        still = used_by_threads() == before ? still + 1 : 0;
    }
}

static void an_idle_application_uses_no_cpu(void **unused)
{
    (void)unused;
    weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = test_workers(),
                                          .on_thread = note_thread, .ctx = &threads));
    wait_until_idle();
    assert_int_equal(threads.count, test_workers() + 1); /* and the control thread */
    app_close(app);
}

static void an_application_that_waits_for_a_timer_uses_no_cpu(void **unused)
{
    (void)unused;
    weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = test_workers(),
                                          .on_thread = note_thread, .ctx = &threads));
    struct record records[3];
    for (int i = 0; i < 3; i++)
        record_init(&records[i]);
    weir_timer timer = {.job = {.fn = record_run, .ctx = &records[0]}};
    assert_ok(weir_timer_start(lane_of(app), &timer, INT64_C(3600000000000), 0));
    for (uint8_t lane = 0; lane < 4; lane++) {
        record_init(&records[1]);
        assert_ok(weir_job_submit(weir_app_queue(app, lane), &records[1].job));
        record_wait(&records[1]);
    }
    wait_until_idle();
    app_close(app);
}

/* ---- no lost wake-up ---- */

static void a_job_submitted_to_sleeping_workers_runs(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    for (int i = 0; i < 2000; i++) {             /* each time the workers have or have not fallen asleep */
        struct record record;
        record_init(&record);
        assert_ok(weir_job_submit(weir_app_queue(app, (uint8_t)(i % 4)), &record.job));
        record_wait(&record);
    }
    app_close(app);
}

/* A job on a worker submits another to its own deque and waits for it: somebody must be woken. */
struct dependent {
    weir_job job;
    weir_queue queue;
    struct record other;
    struct gate done;
};

static void submit_and_wait(weir_job *job, weir_status status)
{
    struct dependent *d = job->ctx;
    (void)status;
    if (weir_job_submit(d->queue, &d->other.job) == WEIR_OK)
        record_wait(&d->other);
    gate_open(&d->done);
}

static void a_job_that_a_held_worker_has_submitted_runs_on_another(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(test_workers() + 1);
    for (int i = 0; i < 2000; i++) {
        struct dependent d = {.queue = weir_app_queue(app, (uint8_t)(i % 3)), .done = GATE_INIT};
        d.job = (weir_job){.fn = submit_and_wait, .ctx = &d};
        record_init(&d.other);
        assert_ok(weir_job_submit(lane_of(app), &d.job));
        gate_wait(&d.done);
    }
    app_close(app);
}

/* Of several jobs in one worker's inbox the first waits for the last. Whoever takes several at once
 * has to see to it that the others are found, while other workers are falling asleep. */
struct chain {
    weir_job job;
    struct gate *wait_for;
    struct gate *open;
    struct tally *over;
};

static void chain_run(weir_job *job, weir_status status)
{
    struct chain *chain = job->ctx;
    (void)status;
    if (chain->wait_for != NULL)
        gate_wait(chain->wait_for);
    if (chain->open != NULL)
        gate_open(chain->open);
    tally_add(chain->over, 1);
}

static void the_first_of_several_jobs_may_wait_for_the_last(void **unused)
{
    (void)unused;
    enum { JOBS = 12, ROUNDS = 1500 };
    weir_app app = app_open_workers(test_workers() + 2);
    for (int round = 0; round < ROUNDS; round++) {
        struct gate last = GATE_INIT;
        struct tally over = TALLY_INIT;
        struct chain chain[JOBS];
        weir_job *jobs[JOBS];
        size_t accepted;
        for (int i = 0; i < JOBS; i++) {
            chain[i] = (struct chain){.wait_for = i == 0 ? &last : NULL,
                                      .open = i == JOBS - 1 ? &last : NULL, .over = &over};
            chain[i].job = (weir_job){.fn = chain_run, .ctx = &chain[i]};
            jobs[i] = &chain[i].job;
        }
        assert_ok(weir_job_submit_list(lane_of(app), jobs, JOBS, &accepted));
        tally_wait(&over, JOBS);
    }
    app_close(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_application_uses_no_cpu),
        cmocka_unit_test(an_application_that_waits_for_a_timer_uses_no_cpu),
        cmocka_unit_test(a_job_submitted_to_sleeping_workers_runs),
        cmocka_unit_test(a_job_that_a_held_worker_has_submitted_runs_on_another),
        cmocka_unit_test(the_first_of_several_jobs_may_wait_for_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
