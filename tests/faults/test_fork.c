/* SPDX-License-Identifier: Apache-2.0 */
/* test_fork.c - processes that fork and end while an application works: in jobs and outside, with
 * exit() and _exit(), and the parent goes on undisturbed (what the child is answered: contract A3) */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

static void check_child(pid_t child)
{
    int how = -1;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
}

struct forking {
    weir_job job;
    weir_queue queue;
    weir_job other;
    pid_t child;
    struct gate done;
};

static void fork_inside(weir_job *job, weir_status status)
{
    struct forking *f = job->ctx;
    (void)status;
    f->child = fork();
    if (f->child == 0) {
        _exit(weir_job_submit(f->queue, &f->other) == WEIR_FORKED ? 0 : 1);
    }
    gate_open(&f->done);
}

static void a_job_that_forks_goes_on_in_the_parent(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queues[] = {lane_of(app), serial_open(app), weir_app_queue(app, WEIR_BLOCKING)};
    for (int i = 0; i < 6; i++) {
        struct forking f = {.queue = queues[i % 3], .done = GATE_INIT};
        struct record after;
        record_init(&after);
        f.job = (weir_job){.fn = fork_inside, .ctx = &f};
        f.other = (weir_job){.fn = record_run, .ctx = &after};
        assert_ok(weir_job_submit(queues[i % 3], &f.job));
        gate_wait(&f.done);
        check_child(f.child);
        assert_ok(weir_job_submit(queues[i % 3], &after.job));
        record_wait(&after);
    }
    app_close(app);
}

static void children_that_exit_leave_the_parents_application_alone(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct hold hold;
    struct record waiting, timed;
    weir_queue queue = serial_open(app);
    record_init(&waiting);
    record_init(&timed);
    hold_begin(&hold, queue);
    assert_ok(weir_job_submit(queue, &waiting.job));
    weir_timer timer = {.job = {.fn = record_run, .ctx = &timed}};
    assert_ok(weir_timer_start(lane_of(app), &timer, WEIR_FOREVER, 0));
    for (int i = 0; i < 10; i++) {
        pid_t child = fork();
        if (child == 0) {
            if (weir_app_close(app, WEIR_FOREVER, NULL) != WEIR_FORKED)
                _exit(1);
            if (i % 2 == 0 && !UNDER_SANITIZER)
                exit(0);
            _exit(0);
        }
        check_child(child);
    }
    assert_int_equal(tally_count(&waiting.calls), 0);
    hold_end(&hold);
    record_wait(&waiting);
    app_close(app);
    assert_int_equal(timed.status, WEIR_SHUTDOWN);
}

static void work_goes_on_beside_forks(void **unused)
{
    (void)unused;
    enum { JOBS = 2000 };
    weir_app app = app_open();
    static struct record records[JOBS];
    weir_queue queue = serial_open(app);
    for (int i = 0; i < JOBS; i++) {
        record_init(&records[i]);
        assert_ok(weir_job_submit(i % 2 ? queue : lane_of(app), &records[i].job));
        if (i % 100 == 0) {
            pid_t child = fork();
            if (child == 0)
                _exit(0);
            check_child(child);
        }
    }
    app_close(app);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(tally_count(&records[i].calls), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_that_forks_goes_on_in_the_parent),
        cmocka_unit_test(children_that_exit_leave_the_parents_application_alone),
        cmocka_unit_test(work_goes_on_beside_forks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
