/* SPDX-License-Identifier: Apache-2.0 */
/* test_s7_workqueue.c - S7, as far as the work queue waits: a waiting call on a worker of the same
 * application answers WOULD_DEADLOCK unless it need not wait; on a worker of another it may wait; a
 * time-out of 0 is legal everywhere */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

static void nothing(weir_job *job, weir_status status)
{
    (void)job;
    (void)status;
}

/* Every waiting call, made where the test wants it. */
struct waits {
    weir_app app;                                /* to be waited for */
    weir_job *running;                           /* one of its jobs, held */
    weir_job *over;                              /* one that is over */
    weir_queue full;
    struct record spare;
    int64_t timeout;
    weir_status close, cancel, cancel_over, submit, run;
};

static void try_all(weir_job *job, weir_status status)
{
    struct waits *w = job->ctx;
    (void)status;
    w->cancel = weir_job_cancel_wait(w->running, w->timeout);
    w->cancel_over = weir_job_cancel_wait(w->over, w->timeout);
    w->submit = weir_job_submit_wait(w->full, &w->spare.job, w->timeout);
    w->run = weir_app_run(w->app, nothing, NULL, false);
    w->close = weir_app_close(w->app, w->timeout, NULL);
}

struct scene {
    weir_app app;
    struct hold hold;
    struct record over;
    struct waits waits;
};

static void scene_begin(struct scene *s, int64_t timeout)
{
    s->app = app_open_workers(test_workers() + 1);
    weir_queue full = queue_open_with(lane_of(s->app), WEIR_NEW(weir_queue_options, .limit = 1));
    hold_begin(&s->hold, full);
    record_init(&s->over);
    assert_ok(weir_job_submit(lane_of(s->app), &s->over.job));
    record_wait(&s->over);
    s->waits = (struct waits){.app = s->app, .running = &s->hold.job, .over = &s->over.job,
                              .full = full, .timeout = timeout};
    record_init(&s->waits.spare);
    assert_status(weir_job_cancel_wait(&s->over.job, WEIR_FOREVER), WEIR_TOO_LATE);
}

static void scene_end(struct scene *s)
{
    hold_end(&s->hold);
    app_close(s->app);
}

static void check_would_deadlock(const struct waits *w)
{
    assert_int_equal(w->cancel, WEIR_WOULD_DEADLOCK);
    assert_int_equal(w->cancel_over, WEIR_TOO_LATE);
    assert_int_equal(w->submit, WEIR_FULL);
    assert_int_equal(w->run, WEIR_WOULD_DEADLOCK);
    assert_int_equal(w->close, WEIR_WOULD_DEADLOCK);
}

struct call {
    weir_job job;
    weir_job_fn *fn;
    void *ctx;
    struct gate done;
};

static void call_run(weir_job *job, weir_status status)
{
    struct call *call = job->ctx;
    weir_job inner = {.fn = call->fn, .ctx = call->ctx};
    call->fn(&inner, status);
    gate_open(&call->done);
}

static void call_on(weir_queue queue, weir_job_fn *fn, void *ctx)
{
    struct call call = {.fn = fn, .ctx = ctx, .done = GATE_INIT};
    call.job = (weir_job){.fn = call_run, .ctx = &call};
    assert_ok(weir_job_submit(queue, &call.job));
    gate_wait(&call.done);
}

static void no_call_waits_on_a_worker_of_its_own_application(void **unused)
{
    (void)unused;
    struct scene s;
    scene_begin(&s, WEIR_FOREVER);
    weir_queue places[] = {lane_of(s.app), weir_app_queue(s.app, WEIR_BLOCKING), serial_open(s.app)};
    for (int i = 0; i < 3; i++) {
        call_on(places[i], try_all, &s.waits);
        check_would_deadlock(&s.waits);
    }
    assert_ok(weir_app_run(s.app, try_all, &s.waits, true)); /* lent: a worker meanwhile */
    check_would_deadlock(&s.waits);
    scene_end(&s);
}

/* On a worker that has lent itself to another application it still is its own one's worker. */
struct lending {
    weir_app other;
    struct waits *waits;
    weir_status status;
};

static void lend_and_try(weir_job *job, weir_status status)
{
    struct lending *l = job->ctx;
    (void)status;
    l->status = weir_app_run(l->other, try_all, l->waits, true);
}

static void a_worker_that_has_lent_itself_elsewhere_does_not_wait_for_its_own_application(void **unused)
{
    (void)unused;
    struct scene s;
    scene_begin(&s, WEIR_FOREVER);
    struct lending l = {app_open(), &s.waits, -1};
    call_on(lane_of(s.app), lend_and_try, &l);
    assert_ok(l.status);
    check_would_deadlock(&s.waits);
    app_close(l.other);
    scene_end(&s);
}

static void a_time_out_of_zero_is_legal_everywhere(void **unused)
{
    (void)unused;
    struct scene s;
    scene_begin(&s, 0);
    call_on(lane_of(s.app), try_all, &s.waits);
    check_would_deadlock(&s.waits);
    weir_job outside = {.ctx = &s.waits};
    try_all(&outside, WEIR_OK);
    assert_int_equal(s.waits.cancel, WEIR_TIMED_OUT);
    assert_int_equal(s.waits.cancel_over, WEIR_TOO_LATE);
    assert_int_equal(s.waits.submit, WEIR_TIMED_OUT);
    assert_int_equal(s.waits.close, WEIR_TIMED_OUT);
    scene_end(&s);
}

static void a_worker_of_another_application_may_wait(void **unused)
{
    (void)unused;
    struct scene s;
    scene_begin(&s, 1000000);
    weir_app other = app_open();
    call_on(lane_of(other), try_all, &s.waits);
    assert_int_equal(s.waits.cancel, WEIR_TIMED_OUT);
    assert_int_equal(s.waits.submit, WEIR_TIMED_OUT);
    assert_int_equal(s.waits.run, WEIR_OK);
    assert_int_equal(s.waits.close, WEIR_TIMED_OUT);
    app_close(other);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_call_waits_on_a_worker_of_its_own_application),
        cmocka_unit_test(a_worker_that_has_lent_itself_elsewhere_does_not_wait_for_its_own_application),
        cmocka_unit_test(a_time_out_of_zero_is_legal_everywhere),
        cmocka_unit_test(a_worker_of_another_application_may_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
