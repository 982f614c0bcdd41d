/* SPDX-License-Identifier: Apache-2.0 */
/* test_e10.c - E10: submit happens before the job; and what the job did is there for who waited for
 * it: the close, cancel_wait. The data is plain: ThreadSanitizer judges, too */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

struct letter {
    weir_timer timer;
    weir_job job;
    uint64_t in, out;                            /* plain */
};

static void answer(weir_job *job, weir_status status)
{
    struct letter *letter = job->ctx;
    (void)status;
    letter->out = letter->in * 7 + 1;
}

enum { LETTERS = 3000 };

static struct letter *letters_new(void)
{
    struct letter *letters = calloc(LETTERS, sizeof *letters);
    assert_non_null(letters);
    for (unsigned i = 0; i < LETTERS; i++) {
        letters[i].job = (weir_job){.fn = answer, .ctx = &letters[i]};
        letters[i].timer.job = letters[i].job;
        letters[i].in = i;
    }
    return letters;
}

static void check_letters(struct letter *letters)
{
    for (unsigned i = 0; i < LETTERS; i++)
        assert_int_equal(letters[i].out, i * UINT64_C(7) + 1);
    free(letters);
}

static void a_job_sees_what_its_submitter_wrote_and_the_close_what_it_did(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queues[6];
    for (uint8_t lane = 0; lane < 4; lane++)
        queues[lane] = weir_app_queue(app, lane);
    queues[4] = serial_open(app);
    queues[5] = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .concurrent = true));
    struct letter *letters = letters_new();
    for (unsigned i = 0; i < LETTERS; i++)
        assert_ok(weir_job_submit(queues[i % 6], &letters[i].job));
    app_close(app);
    check_letters(letters);
}

struct postman {
    weir_job job;
    weir_app app;
    struct letter *letters;
    unsigned failed;
};

static void submit_all(weir_job *job, weir_status status)
{
    struct postman *p = job->ctx;
    (void)status;
    for (unsigned i = 0; i < LETTERS; i++)
        p->failed += weir_job_submit(weir_app_queue(p->app, (uint8_t)(i % 4)), &p->letters[i].job) != WEIR_OK;
}

static void a_job_submitted_on_a_worker_sees_what_was_written_there(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct postman p = {.app = app, .letters = letters_new()};
    p.job = (weir_job){.fn = submit_all, .ctx = &p};
    assert_ok(weir_app_run(app, submit_all, &p, false));
    app_close(app);
    assert_int_equal(p.failed, 0);
    check_letters(p.letters);
}

static void a_timers_function_sees_what_its_starter_wrote(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct letter *letters = letters_new();
    for (unsigned i = 0; i < LETTERS; i++)
        assert_ok(weir_timer_start(lane_of(app), &letters[i].timer, i % 5 * 1000, 0));
    app_close(app);
    check_letters(letters);
}

static void who_waited_for_the_end_of_a_call_sees_what_it_did(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct letter *letters = letters_new();
    for (unsigned i = 0; i < LETTERS; i++) {
        assert_ok(weir_job_submit(lane_of(app), &letters[i].job));
        (void)weir_job_cancel_wait(&letters[i].job, WEIR_FOREVER);
        assert_int_equal(letters[i].out, i * UINT64_C(7) + 1);
    }
    app_close(app);
    check_letters(letters);
}

struct cancelled {
    weir_timer timer;
    uint64_t why, seen;                          /* plain */
};

static void read_why(weir_job *job, weir_status status)
{
    struct cancelled *c = job->ctx;
    c->seen = status == WEIR_CANCELED ? c->why : 0;
}

static void a_call_with_canceled_sees_what_was_written_before_the_cancel(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    for (uint64_t i = 1; i <= 1000; i++) {
        struct cancelled c = {.why = 0};
        c.timer.job = (weir_job){.fn = read_why, .ctx = &c};
        assert_ok(weir_timer_start(lane_of(app), &c.timer, WEIR_FOREVER, 0));
        c.why = i;                               /* the timer is asleep: nobody else looks */
        assert_ok(weir_job_cancel_wait(&c.timer.job, WEIR_FOREVER));
        assert_int_equal(c.seen, i);
    }
    app_close(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_sees_what_its_submitter_wrote_and_the_close_what_it_did),
        cmocka_unit_test(a_job_submitted_on_a_worker_sees_what_was_written_there),
        cmocka_unit_test(a_timers_function_sees_what_its_starter_wrote),
        cmocka_unit_test(who_waited_for_the_end_of_a_call_sees_what_it_did),
        cmocka_unit_test(a_call_with_canceled_sees_what_was_written_before_the_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
