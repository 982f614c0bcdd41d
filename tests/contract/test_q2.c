/* SPDX-License-Identifier: Apache-2.0 */
/* test_q2.c - Q2: the kinds of queues and items: concurrent, serial (first in first out, one at a
 * time, over any other queue, also in reply mode), delayed and periodic (never early), waiting */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

/* ---- concurrent ---- */

static void a_concurrent_queue_runs_as_many_jobs_at_once_as_there_are_workers(void **unused)
{
    (void)unused;
    struct hold holds[64];
    weir_app app = app_open();
    hold_all(holds, app, test_workers());        /* hangs if one does not begin beside the others */
    release_all(holds, test_workers());
    app_close(app);
}

static void a_job_runs_on_another_thread_than_its_submitters(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct record record;
    record_init(&record);
    assert_ok(weir_job_submit(lane_of(app), &record.job));
    record_wait(&record);
    assert_false(pthread_equal(record.thread, pthread_self()));
    app_close(app);
}

/* ---- serial ---- */

enum { JOBS = 500 };

struct line {
    struct line_job {
        weir_job job;
        struct line *line;
        unsigned number;
    } jobs[JOBS];
    unsigned next;                               /* plain on purpose: each job sees the one before */
    unsigned wrong;
    unsigned inside;
    struct tally over;
};

static void line_run(weir_job *job, weir_status status)
{
    struct line_job *own = job->ctx;
    struct line *line = own->line;
    line->wrong += line->inside++ != 0 || line->next != own->number || status != WEIR_OK;
    line->next = own->number + 1;
    line->inside--;
    tally_add(&line->over, 1);
}

static struct line *line_new(void)
{
    struct line *line = calloc(1, sizeof *line);
    assert_non_null(line);
    line->over = (struct tally)TALLY_INIT;
    for (unsigned i = 0; i < JOBS; i++)
        line->jobs[i] = (struct line_job){{.fn = line_run, .ctx = &line->jobs[i]}, line, i};
    return line;
}

static void line_submit(struct line *line, weir_queue queue)
{
    for (unsigned i = 0; i < JOBS; i++)
        assert_ok(weir_job_submit(queue, &line->jobs[i].job));
}

static void line_check(struct line *line)
{
    tally_wait(&line->over, JOBS);
    assert_int_equal(line->wrong, 0);
    free(line);
}

static void a_serial_queue_runs_its_jobs_one_at_a_time_in_the_order_of_submission(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct line *line = line_new();
    line_submit(line, serial_open(app));
    line_check(line);
    app_close(app);
}

static void a_list_of_jobs_keeps_its_order_in_a_serial_queue(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct line *line = line_new();
    weir_job *list[JOBS];
    size_t accepted;
    for (unsigned i = 0; i < JOBS; i++)
        list[i] = &line->jobs[i].job;
    assert_ok(weir_job_submit_list(serial_open(app), list, JOBS, &accepted));
    assert_int_equal(accepted, JOBS);
    line_check(line);
    app_close(app);
}

static void a_serial_queue_works_over_every_lane_and_over_other_queues(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct line *lines[6];
    weir_queue queues[6];
    for (uint8_t lane = 0; lane < 4; lane++)
        queues[lane] = queue_open_with(weir_app_queue(app, lane), NULL);
    queues[4] = queue_open_with(queues[0], NULL);
    queues[5] = queue_open_with(queues[4], NULL);
    for (int i = 0; i < 6; i++)
        line_submit(lines[i] = line_new(), queues[i]);
    for (int i = 0; i < 6; i++)
        line_check(lines[i]);
    app_close(app);
}

static void jobs_of_two_queues_over_one_serial_queue_never_run_together(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue target = serial_open(app);
    weir_queue first = queue_open_with(target, NULL), second = queue_open_with(target, NULL);
    struct hold hold;
    hold_begin(&hold, first);
    struct record record;
    record_init(&record);
    assert_ok(weir_job_submit(second, &record.job));
    struct record elsewhere;                     /* a job beside them passes, if there is a worker */
    record_init(&elsewhere);
    assert_ok(weir_job_submit(weir_app_queue(app, WEIR_BLOCKING), &elsewhere.job));
    record_wait(&elsewhere);
    assert_int_equal(tally_count(&record.calls), 0);
    hold_end(&hold);
    record_wait(&record);
    app_close(app);
}

static void a_held_serial_queue_holds_up_no_other(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(test_workers() + 1);
    struct hold hold;
    hold_begin(&hold, serial_open(app));
    struct record record;
    record_init(&record);
    assert_ok(weir_job_submit(serial_open(app), &record.job));
    record_wait(&record);
    hold_end(&hold);
    app_close(app);
}

static void a_closed_queue_runs_what_it_accepted_and_then_tells(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = serial_open(app);
    struct hold hold;
    struct record last, closed, late;
    record_init(&last);
    record_init(&closed);
    record_init(&late);
    hold_begin(&hold, queue);
    assert_ok(weir_job_submit(queue, &last.job));
    assert_ok(weir_queue_close(queue, false, &closed.job));
    assert_status(weir_queue_close(queue, false, NULL), WEIR_CLOSING);
    assert_status(weir_job_submit(queue, &late.job), WEIR_CLOSED);
    assert_int_equal(tally_count(&closed.calls), 0);
    hold_end(&hold);
    record_wait(&closed);
    assert_int_equal(tally_count(&last.calls), 1);
    assert_int_equal(last.status, WEIR_OK);
    assert_int_equal(closed.status, WEIR_OK);
    assert_status(weir_job_submit(queue, &late.job), WEIR_STALE);
    app_close(app);
    assert_int_equal(tally_count(&closed.calls), 1);
    assert_int_equal(tally_count(&late.calls), 0);
}

static void a_queue_outlives_those_that_are_open_over_it(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue target = serial_open(app), above = queue_open_with(target, NULL);
    struct record target_closed, above_closed, job;
    record_init(&target_closed);
    record_init(&above_closed);
    record_init(&job);
    assert_ok(weir_queue_close(target, false, &target_closed.job));
    assert_ok(weir_job_submit(above, &job.job)); /* the target is closed for others only */
    record_wait(&job);
    assert_int_equal(tally_count(&target_closed.calls), 0);
    assert_ok(weir_queue_close(above, false, &above_closed.job));
    record_wait(&target_closed);
    assert_int_equal(tally_count(&above_closed.calls), 1);
    app_close(app);
}

/* ---- reply mode ---- */

struct replying {
    weir_job job;
    weir_token token;
    weir_status deferred, again;
    struct gate ran;
};

static void defer_run(weir_job *job, weir_status status)
{
    struct replying *r = job->ctx;
    weir_token second;
    (void)status;
    r->deferred = weir_job_defer(job, &r->token);
    r->again = weir_job_defer(job, &second);
    gate_open(&r->ran);
}

static void replying_begin(struct replying *r, weir_queue queue)
{
    *r = (struct replying){.ran = GATE_INIT};
    r->job = (weir_job){.fn = defer_run, .ctx = r};
    assert_ok(weir_job_submit(queue, &r->job));
}

static void a_reply_queue_advances_when_the_token_is_replied_and_not_before(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .reply = true));
    struct replying first;
    struct record second, beside;
    record_init(&second);
    record_init(&beside);
    replying_begin(&first, queue);
    gate_wait(&first.ran);
    assert_ok(first.deferred);
    assert_int_equal(first.again, WEIR_ALREADY);
    assert_ok(weir_job_submit(queue, &second.job));
    assert_ok(weir_job_submit(lane_of(app), &beside.job)); /* the worker is free meanwhile */
    record_wait(&beside);
    assert_int_equal(tally_count(&second.calls), 0);
    assert_ok(weir_job_reply(first.token));
    record_wait(&second);
    assert_status(weir_job_reply(first.token), WEIR_STALE);
    app_close(app);
}

static void a_job_that_does_not_defer_advances_a_reply_queue_by_itself(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .reply = true));
    struct line *line = line_new();
    line_submit(line, queue);
    line_check(line);
    app_close(app);
}

static void a_job_may_be_replied_while_its_function_still_runs(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .reply = true));
    enum { ROUNDS = 200 };
    for (int i = 0; i < ROUNDS; i++) {           /* the gate opens inside the function */
        struct replying r;
        replying_begin(&r, queue);
        gate_wait(&r.ran);
        assert_ok(weir_job_reply(r.token));
        struct record next;
        record_init(&next);
        assert_ok(weir_job_submit(queue, &next.job));
        record_wait(&next);                      /* and so the function of r has returned */
    }
    app_close(app);
}

static void a_job_that_was_replied_may_be_submitted_again_at_once(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .reply = true));
    struct record next;
    struct replying r;
    replying_begin(&r, queue);
    gate_wait(&r.ran);
    assert_status(weir_job_submit(queue, &r.job), WEIR_BUSY);
    assert_ok(weir_job_reply(r.token));
    r.job.fn = record_run;
    r.job.ctx = &next;
    record_init(&next);
    assert_ok(weir_job_submit(queue, &r.job));
    record_wait(&next);
    app_close(app);
}

static void only_a_job_of_a_reply_queue_can_defer_and_only_inside_its_function(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_token token;
    struct replying r;
    replying_begin(&r, serial_open(app));
    gate_wait(&r.ran);
    assert_int_equal(r.deferred, WEIR_INVALID);
    replying_begin(&r, lane_of(app));
    gate_wait(&r.ran);
    assert_int_equal(r.deferred, WEIR_INVALID);
    assert_status(weir_job_defer(&r.job, &token), WEIR_INVALID);
    app_close(app);
}

/* ---- timers and descriptors ---- */

static void a_timer_is_not_early_and_comes_with_its_time(void **unused)
{
    (void)unused;
    struct stepped_clock clock;
    weir_app app = app_open_stepped(&clock, test_workers());
    struct record record, probe;
    record_init(&record);
    record_init(&probe);
    weir_timer timer = {.job = {.fn = record_run, .ctx = &record}};
    weir_queue queue = serial_open(app);
    assert_ok(weir_timer_start(queue, &timer, 5000, 0));
    clock_step(&clock, app, 4999);
    assert_ok(weir_job_submit(queue, &probe.job));
    record_wait(&probe);                         /* behind the timer, had it been queued */
    assert_int_equal(tally_count(&record.calls), 0);
    clock_step(&clock, app, 1);
    record_wait(&record);
    app_close(app);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct stamped {
    struct record record;
    weir_timer timer;
    int64_t at;
};

static void stamp_run(weir_job *job, weir_status status)
{
    struct stamped *stamped = job->ctx;
    (void)status;
    stamped->at = now_ns();
    tally_add(&stamped->record.calls, 1);
}

static void a_timer_of_the_real_clock_is_not_early(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    for (int64_t delay = 0; delay < 3000000; delay += 500000) {
        struct stamped stamped = {.timer = {.job = {.fn = stamp_run, .ctx = &stamped}}};
        record_init(&stamped.record);
        int64_t start = now_ns();
        assert_ok(weir_timer_start(lane_of(app), &stamped.timer, delay, 0));
        record_wait(&stamped.record);
        assert_true(stamped.at - start >= delay);
    }
    app_close(app);
}

static void a_job_runs_when_its_descriptor_becomes_ready(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct record record;
    record_init(&record);
    weir_fdwait wait = {.timer = {.job = {.fn = record_run, .ctx = &record}},
                        .fd = ends[0], .events = WEIR_READABLE};
    assert_ok(weir_fdwait_start(serial_open(app), &wait, WEIR_FOREVER));
    assert_int_equal(tally_count(&record.calls), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    record_wait(&record);
    assert_int_equal(record.status, WEIR_OK);
    assert_int_equal(wait.ready, WEIR_READABLE);
    app_close(app);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_concurrent_queue_runs_as_many_jobs_at_once_as_there_are_workers),
        cmocka_unit_test(a_job_runs_on_another_thread_than_its_submitters),
        cmocka_unit_test(a_serial_queue_runs_its_jobs_one_at_a_time_in_the_order_of_submission),
        cmocka_unit_test(a_list_of_jobs_keeps_its_order_in_a_serial_queue),
        cmocka_unit_test(a_serial_queue_works_over_every_lane_and_over_other_queues),
        cmocka_unit_test(jobs_of_two_queues_over_one_serial_queue_never_run_together),
        cmocka_unit_test(a_held_serial_queue_holds_up_no_other),
        cmocka_unit_test(a_closed_queue_runs_what_it_accepted_and_then_tells),
        cmocka_unit_test(a_queue_outlives_those_that_are_open_over_it),
        cmocka_unit_test(a_reply_queue_advances_when_the_token_is_replied_and_not_before),
        cmocka_unit_test(a_job_that_does_not_defer_advances_a_reply_queue_by_itself),
        cmocka_unit_test(a_job_may_be_replied_while_its_function_still_runs),
        cmocka_unit_test(a_job_that_was_replied_may_be_submitted_again_at_once),
        cmocka_unit_test(only_a_job_of_a_reply_queue_can_defer_and_only_inside_its_function),
        cmocka_unit_test(a_timer_is_not_early_and_comes_with_its_time),
        cmocka_unit_test(a_timer_of_the_real_clock_is_not_early),
        cmocka_unit_test(a_job_runs_when_its_descriptor_becomes_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
