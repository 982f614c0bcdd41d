/* SPDX-License-Identifier: Apache-2.0 */
/* test_s7.c - S7, sessions, and applications that wait for each other: every waiting call, on workers of one
 * application, for another one that waits for it already; and when it does not any more */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/session_fixture.h"

#include "session/session.h"

enum { APPS = 3 };

/* Applications with what there is to wait for in each: a session, a job that runs, a full queue, a pull operation. */
struct side {
    weir_app app;
    weir_session session;
    struct hold hold;
    weir_queue full;
    weir_op pull;
    struct probe probe;
};

static struct side sides[APPS];

static weir_status work_waits(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    (void)task;
    gate_wait(&probe->leave);
    return WEIR_OK;
}

static const weir_kind pulled_later = KIND(.work = work_waits);

static void side_begin(struct side *side)
{
    side->app = app_open_workers(test_workers() + 3);          /* the hold, the pull operation, a job that waits */
    side->session = session_open_with(side->app, NULL);
    side->full = queue_open_with(lane_of(side->app), WEIR_NEW(weir_queue_options, .limit = 1));
    hold_begin(&side->hold, side->full);
    probe_init(&side->probe);
    side->pull = start_in(side->session, &pulled_later, &side->probe);
}

static void side_end(struct side *side)
{
    gate_open(&side->probe.leave);
    hold_end(&side->hold);
    (void)weir_op_close(side->pull);                           /* unless the test has */
    app_close(side->app);
}

static int begin(void **unused)
{
    (void)unused;
    for (int i = 0; i < APPS; i++)
        side_begin(&sides[i]);
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    for (int i = 0; i < APPS; i++)
        side_end(&sides[i]);
    return 0;
}

/* ---- a job that waits for a session ---- */

struct waiting {
    weir_job job;
    struct gate begun, over;
    weir_session session;
    weir_status status;
};

static void waiting_run(weir_job *job, weir_status status)
{
    struct waiting *w = job->ctx;
    (void)status;
    gate_open(&w->begun);
    w->status = weir_session_wait(w->session, WEIR_FOREVER, NULL);
    gate_open(&w->over);
}

/* Returns when a thread waits for it: its edge is there. */
static void await_waiter(weir_session for_which)
{
    struct session_ref ref;
    assert_ok(session_find(for_which.bits, &ref));
    while (atomic_load(&ref.session->waiters) == 0)
        (void)sched_yield();
    app_leave(&ref.app);
}

static void waiting_submit(struct waiting *w, struct side *on, struct side *for_whom)
{
    *w = (struct waiting){ .begun = GATE_INIT, .over = GATE_INIT, .session = for_whom->session, .status = WEIR_FAILED };
    w->job = (weir_job){ .fn = waiting_run, .ctx = w };
    assert_ok(weir_job_submit(lane_of(on->app), &w->job));
    gate_wait(&w->begun);
    await_waiter(for_whom->session);
}

/* ---- a job that tries every waiting call ---- */

static void nothing(weir_job *job, weir_status status)
{
    (void)job, (void)status;
}

struct tries {
    weir_job job;
    struct gate over;
    struct side *target;
    int64_t timeout;
    struct record spare;
    weir_status wait, next, cancel, submit, run, close;
};

static void tries_run(weir_job *job, weir_status status)
{
    struct tries *t = job->ctx;
    struct side *target = t->target;
    const weir_result *result;
    (void)status;
    t->wait = weir_session_wait(target->session, t->timeout, NULL);
    t->next = weir_op_next(target->pull, t->timeout, &result);
    t->cancel = weir_job_cancel_wait(&target->hold.job, t->timeout);
    t->submit = weir_job_submit_wait(target->full, &t->spare.job, t->timeout);
    t->run = t->timeout == 0 ? WEIR_OK : weir_app_run(target->app, nothing, NULL, false);
    if (t->timeout == WEIR_FOREVER)                            /* it would begin the close, and go on */
        t->close = weir_app_close(target->app, t->timeout, NULL);
    gate_open(&t->over);
}

static void try_all(struct tries *t, struct side *on, struct side *target, int64_t timeout)
{
    *t = (struct tries){ .over = GATE_INIT, .target = target, .timeout = timeout };
    record_init(&t->spare);
    t->job = (weir_job){ .fn = tries_run, .ctx = t };
    assert_ok(weir_job_submit(lane_of(on->app), &t->job));
    gate_wait(&t->over);
}

static void check_refused(const struct tries *t)
{
    assert_int_equal(t->wait, WEIR_WOULD_DEADLOCK);
    assert_int_equal(t->next, WEIR_WOULD_DEADLOCK);
    assert_int_equal(t->cancel, WEIR_WOULD_DEADLOCK);
    assert_int_equal(t->submit, WEIR_FULL);
    assert_int_equal(t->run, WEIR_WOULD_DEADLOCK);
    assert_int_equal(t->close, WEIR_WOULD_DEADLOCK);
}

static void on_its_own_workers_nothing_waits(void **unused)
{
    (void)unused;
    struct tries t;
    try_all(&t, &sides[0], &sides[0], WEIR_FOREVER);
    check_refused(&t);
}

static void on_workers_of_another_application_calls_wait(void **unused)
{
    (void)unused;
    struct tries t;
    try_all(&t, &sides[0], &sides[1], 0);
    assert_int_equal(t.wait, WEIR_TIMED_OUT);
    assert_int_equal(t.next, WEIR_TIMED_OUT);
    assert_int_equal(t.cancel, WEIR_TIMED_OUT);
    assert_int_equal(t.submit, WEIR_TIMED_OUT);
    struct waiting w;
    waiting_submit(&w, &sides[0], &sides[1]);
    gate_open(&sides[1].probe.leave);
    assert_ok(weir_op_close(sides[1].pull));
    assert_ok(weir_session_close(sides[1].session, NULL, NULL));
    gate_wait(&w.over);
    assert_true(w.status == WEIR_OK || w.status == WEIR_STALE);
}

static void close_session_of(struct side *side)
{
    gate_open(&side->probe.leave);
    assert_ok(weir_op_close(side->pull));
    assert_ok(weir_session_close(side->session, NULL, NULL));
}

static void a_wait_that_would_close_a_cycle_of_two_is_refused(void **unused)
{
    (void)unused;
    struct waiting w;
    struct tries t;
    waiting_submit(&w, &sides[0], &sides[1]);
    try_all(&t, &sides[1], &sides[0], WEIR_FOREVER);
    check_refused(&t);
    try_all(&t, &sides[1], &sides[0], 0);
    assert_int_equal(t.wait, WEIR_TIMED_OUT);                  /* no time: no cycle */
    close_session_of(&sides[1]);
    gate_wait(&w.over);
}

static void a_wait_that_would_close_a_cycle_of_three_is_refused(void **unused)
{
    (void)unused;
    struct waiting first, second;
    struct tries t;
    waiting_submit(&first, &sides[0], &sides[1]);
    waiting_submit(&second, &sides[1], &sides[2]);
    try_all(&t, &sides[2], &sides[0], WEIR_FOREVER);
    check_refused(&t);
    try_all(&t, &sides[0], &sides[2], 1);                      /* the same way round: no cycle */
    assert_int_equal(t.wait, WEIR_TIMED_OUT);
    close_session_of(&sides[2]);
    close_session_of(&sides[1]);
    gate_wait(&first.over);
    gate_wait(&second.over);
}

static void when_a_wait_is_over_the_other_way_is_free(void **unused)
{
    (void)unused;
    struct waiting w;
    struct tries t;
    waiting_submit(&w, &sides[0], &sides[1]);
    close_session_of(&sides[1]);
    gate_wait(&w.over);
    try_all(&t, &sides[1], &sides[0], 1);
    assert_int_equal(t.wait, WEIR_TIMED_OUT);
    assert_int_equal(t.next, WEIR_TIMED_OUT);
}

/* Each time both begin to wait at once: were both let, nothing would end the test. */
static void of_two_that_close_a_cycle_at_once_one_is_refused(void **unused)
{
    (void)unused;
    for (int round = 0; round < 50; round++) {
        weir_session both[2];
        struct waiting w[2];
        for (int i = 0; i < 2; i++) {
            both[i] = session_open_with(sides[i].app, NULL);
            w[i] = (struct waiting){ .begun = GATE_INIT, .over = GATE_INIT };
            w[i].job = (weir_job){ .fn = waiting_run, .ctx = &w[i] };
        }
        for (int i = 0; i < 2; i++) {
            w[i].session = both[1 - i];
            assert_ok(weir_job_submit(lane_of(sides[i].app), &w[i].job));
        }
        while (!gate_is_open(&w[0].over) && !gate_is_open(&w[1].over))
            (void)sched_yield();                               /* the first to be over was refused */
        int refused = gate_is_open(&w[0].over) ? 0 : 1;
        gate_wait(&w[refused].over);
        assert_int_equal(w[refused].status, WEIR_WOULD_DEADLOCK);
        for (int i = 0; i < 2; i++)
            assert_ok(weir_session_close(both[i], NULL, NULL));
        gate_wait(&w[1 - refused].over);
        for (int i = 0; i < 2; i++)
            wait_until_closed(both[i]);
    }
}

#define MATRIX(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MATRIX(on_its_own_workers_nothing_waits),
        MATRIX(on_workers_of_another_application_calls_wait),
        MATRIX(a_wait_that_would_close_a_cycle_of_two_is_refused),
        MATRIX(a_wait_that_would_close_a_cycle_of_three_is_refused),
        MATRIX(when_a_wait_is_over_the_other_way_is_free),
        MATRIX(of_two_that_close_a_cycle_at_once_one_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
