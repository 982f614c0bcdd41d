/* SPDX-License-Identifier: Apache-2.0 */
/* test_a3.c - A3: after fork the child owns nothing: every call on an object opened before answers
 * FORKED at once, takes no lock and destroys nothing; a new application may be opened */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

/* A child has no use for the test's assertions: it exits with the number of the line that failed. */
#define expect(condition) ((condition) ? (void)0 : child_fails(#condition, __LINE__))

static void child_fails(const char *condition, int line)
{
    (void)fprintf(stderr, "child: %s (line %d)\n", condition, line);
    _exit(1);
}

static void check_child(pid_t child)
{
    int how = -1;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

static void nothing(weir_job *job, weir_status status)
{
    (void)job;
    (void)status;
}

struct before {
    weir_app app;
    weir_queue queue, lane;
    weir_token token;
};

static void expect_all_forked(const struct before *b)
{
    weir_job job = {.fn = nothing};
    weir_job *jobs[] = {&job};
    weir_timer timer = {.job = {.fn = nothing}};
    weir_fdwait wait = {.timer = {.job = {.fn = nothing}}, .fd = 0, .events = WEIR_READABLE};
    weir_queue queue = {77};
    size_t accepted = 77;
    for (int i = 0; i < 2; i++) {
        weir_queue q = i == 0 ? b->queue : b->lane;
        expect(weir_job_submit(q, &job) == WEIR_FORKED);
        expect(weir_job_submit_list(q, jobs, 1, &accepted) == WEIR_FORKED);
        expect(accepted == 0);
        expect(weir_job_submit_wait(q, &job, WEIR_FOREVER) == WEIR_FORKED);
        expect(weir_timer_start(q, &timer, 1, 0) == WEIR_FORKED);
        expect(weir_fdwait_start(q, &wait, WEIR_FOREVER) == WEIR_FORKED);
        expect(weir_queue_open(q, NULL, &queue) == WEIR_FORKED);
        expect(queue.bits == 77);
        expect(weir_queue_close(q, true, NULL) == WEIR_FORKED);
    }
    expect(weir_job_reply(b->token) == WEIR_FORKED);
    expect(weir_app_tick(b->app) == WEIR_FORKED);
    expect(weir_app_run(b->app, nothing, NULL, false) == WEIR_FORKED);
    expect(weir_app_run(b->app, nothing, NULL, true) == WEIR_FORKED);
    expect(weir_app_close(b->app, WEIR_FOREVER, NULL) == WEIR_FORKED);
}

struct deferred {
    weir_job job;
    weir_token token;
    struct gate ran;
};

static void defer(weir_job *job, weir_status status)
{
    struct deferred *deferred = job->ctx;
    if (status == WEIR_OK && weir_job_defer(job, &deferred->token) == WEIR_OK)
        gate_open(&deferred->ran);
}

static void open_before(struct before *b, struct deferred *deferred)
{
    b->app = app_open();
    b->lane = lane_of(b->app);
    b->queue = queue_open_with(b->lane, WEIR_NEW(weir_queue_options, .reply = true));
    *deferred = (struct deferred){.job = {.fn = defer, .ctx = deferred}, .ran = GATE_INIT};
    assert_ok(weir_job_submit(b->queue, &deferred->job));
    gate_wait(&deferred->ran);
    b->token = deferred->token;
}

static void in_a_child_every_call_answers_forked(void **unused)
{
    (void)unused;
    struct before b;
    struct deferred deferred;
    open_before(&b, &deferred);
    pid_t child = fork();
    if (child == 0) {
        expect_all_forked(&b);
        _exit(0);
    }
    check_child(child);
    assert_ok(weir_job_reply(b.token));          /* the parent's are as they were */
    app_close(b.app);
}

static void a_child_may_open_an_application_of_its_own(void **unused)
{
    (void)unused;
    if (UNDER_SANITIZER)
        skip();
    struct before b;
    struct deferred deferred;
    open_before(&b, &deferred);
    pid_t child = fork();
    if (child == 0) {
        weir_app app = {0};
        struct record record;
        expect(weir_app_open(WEIR_NEW(weir_app_options, .workers = 2), &app) == WEIR_OK);
        record_init(&record);
        expect(weir_job_submit(weir_app_queue(app, WEIR_NORMAL), &record.job) == WEIR_OK);
        record_wait(&record);
        expect_all_forked(&b);
        expect(weir_app_close(app, WEIR_FOREVER, NULL) == WEIR_OK);
        expect_all_forked(&b);
        _exit(0);
    }
    check_child(child);
    app_close(b.app);
}

/* A job forks, and its function goes on in the child, where its thread is the only one. */
struct forking {
    weir_job job;
    struct before *before;
    pid_t child;
    struct gate done;
};

static void fork_inside(weir_job *job, weir_status status)
{
    struct forking *f = job->ctx;
    (void)status;
    f->child = fork();
    if (f->child == 0) {
        expect_all_forked(f->before);
        _exit(0);
    }
    gate_open(&f->done);
}

static void a_job_that_forks_is_answered_forked_in_the_child(void **unused)
{
    (void)unused;
    struct before b;
    struct deferred deferred;
    open_before(&b, &deferred);
    struct forking f = {.before = &b, .done = GATE_INIT};
    f.job = (weir_job){.fn = fork_inside, .ctx = &f};
    assert_ok(weir_job_submit(b.lane, &f.job));
    gate_wait(&f.done);
    check_child(f.child);
    app_close(b.app);
}

/* Forks while other threads are in the middle of every kind of call: no lock can be left behind. */
static _Atomic bool stop;

static void *keep_calling(void *arg)
{
    const struct before *b = arg;
    while (!atomic_load(&stop)) {
        struct record record;
        weir_queue queue = {0};
        record_init(&record);
        if (weir_job_submit(b->lane, &record.job) == WEIR_OK)
            record_wait(&record);
        if (weir_queue_open(b->lane, NULL, &queue) == WEIR_OK)
            (void)weir_queue_close(queue, false, NULL);
    }
    return NULL;
}

static void a_fork_beside_busy_threads_leaves_the_child_no_lock(void **unused)
{
    (void)unused;
    struct before b;
    struct deferred deferred;
    open_before(&b, &deferred);
    atomic_store(&stop, false);
    pthread_t threads[2] = {thread_start(keep_calling, &b), thread_start(keep_calling, &b)};
    for (int i = 0; i < 30; i++) {
        pid_t child = fork();
        if (child == 0) {
            expect_all_forked(&b);
            _exit(0);
        }
        check_child(child);
    }
    atomic_store(&stop, true);
    thread_join(threads[0]);
    thread_join(threads[1]);
    app_close(b.app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_a_child_every_call_answers_forked),
        cmocka_unit_test(a_child_may_open_an_application_of_its_own),
        cmocka_unit_test(a_job_that_forks_is_answered_forked_in_the_child),
        cmocka_unit_test(a_fork_beside_busy_threads_leaves_the_child_no_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
