/* SPDX-License-Identifier: Apache-2.0 */
/* test_q1_replies.c - Q1, Q2, A3: where deferrals, cancels and lives meet
 *
 * Each of these was once different from what the contract says. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

/* Defers in every call, and records what that answered. */
struct insisting {
    weir_job job;
    weir_token token;
    weir_status answers[4];
    struct tally calls;
};

static void insist(weir_job *job, weir_status status)
{
    (void)status;
    struct insisting *i = job->ctx;
    uint64_t call = tally_count(&i->calls);
    if (call < 4)
        i->answers[call] = weir_job_defer(job, &i->token);
    tally_add(&i->calls, 1);
}

static void insisting_begin(struct insisting *i, weir_queue queue)
{
    *i = (struct insisting){.calls = TALLY_INIT};
    i->job.fn = insist;
    i->job.ctx = i;
    assert_ok(weir_job_submit(queue, &i->job));
    tally_wait(&i->calls, 1);
}

static weir_queue reply_queue_of(weir_app app)
{
    return queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .reply = true));
}

static void a_job_that_is_told_that_it_was_cancelled_cannot_defer_again(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct insisting i;
    insisting_begin(&i, reply_queue_of(app));
    assert_ok(weir_job_cancel(&i.job));
    tally_wait(&i.calls, 2);
    app_close(app);
    assert_status(i.answers[0], WEIR_OK);
    assert_status(i.answers[1], WEIR_INVALID);
    assert_int_equal(tally_count(&i.calls), 2);
}

static void a_job_that_was_replied_in_one_application_is_free_for_another(void **unused)
{
    (void)unused;
    weir_app one = app_open(), other = app_open();
    struct insisting waits, moves;
    insisting_begin(&waits, reply_queue_of(other));      /* the same slot, the same number, and not replied */
    insisting_begin(&moves, reply_queue_of(one));
    assert_ok(weir_job_reply(moves.token));
    struct record record;
    record_init(&record);
    moves.job.fn = record_run;
    moves.job.ctx = &record;
    assert_ok(weir_job_submit(lane_of(other), &moves.job));
    record_wait(&record);
    app_close(one);
    app_close(other);
    assert_status(record.status, WEIR_OK);
}

static void a_job_that_waits_for_its_reply_is_in_flight_for_other_applications_too(void **unused)
{
    (void)unused;
    weir_app one = app_open(), other = app_open();
    struct insisting i;
    insisting_begin(&i, reply_queue_of(one));
    assert_status(weir_job_submit(lane_of(other), &i.job), WEIR_BUSY);
    assert_status(weir_fork(&i.job), WEIR_BUSY);
    app_close(one);
    app_close(other);
}

static void a_job_that_was_replied_may_be_forked(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct insisting i;
    insisting_begin(&i, reply_queue_of(app));
    assert_ok(weir_job_reply(i.token));
    struct record record;
    record_init(&record);
    i.job.fn = record_run;
    i.job.ctx = &record;
    assert_ok(weir_fork(&i.job));
    assert_ok(weir_join(&i.job));
    app_close(app);
    assert_int_equal(tally_count(&record.calls), 1);
}

static void a_queue_cannot_lie_over_one_with_a_limit_or_a_concurrent_one(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue limited = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .limit = 1));
    weir_queue concurrent = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .concurrent = true));
    weir_queue out = {0};
    assert_status(weir_queue_open(limited, NULL, &out), WEIR_INVALID);
    assert_status(weir_queue_open(concurrent, NULL, &out), WEIR_INVALID);
    assert_int_equal(out.bits, 0);
    struct record record;
    record_init(&record);
    assert_ok(weir_job_submit(limited, &record.job));    /* the refused open has left its room */
    record_wait(&record);
    app_close(app);
}

static void a_cancel_of_a_queued_job_in_a_forked_child_says_so(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(1);
    struct hold hold;
    struct record record;
    hold_begin(&hold, lane_of(app));
    record_init(&record);
    assert_ok(weir_job_submit(lane_of(app), &record.job));
    pid_t child = fork();
    if (child == 0)
        _exit(weir_job_cancel(&record.job) == WEIR_FORKED ? 0 : 1);
    int answer = -1;
    assert_int_equal(waitpid(child, &answer, 0), child);
    hold_end(&hold);
    record_wait(&record);
    app_close(app);
    assert_int_equal(answer, 0);
    assert_status(record.status, WEIR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_that_is_told_that_it_was_cancelled_cannot_defer_again),
        cmocka_unit_test(a_job_that_was_replied_in_one_application_is_free_for_another),
        cmocka_unit_test(a_job_that_waits_for_its_reply_is_in_flight_for_other_applications_too),
        cmocka_unit_test(a_job_that_was_replied_may_be_forked),
        cmocka_unit_test(a_queue_cannot_lie_over_one_with_a_limit_or_a_concurrent_one),
        cmocka_unit_test(a_cancel_of_a_queued_job_in_a_forked_child_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
