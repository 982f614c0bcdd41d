/* SPDX-License-Identifier: Apache-2.0 */
/* test_r5_lend.c - R5, S9: a thread in weir_session_wait that was asked to lend itself does what ends its session, and
 * nothing else */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/session_fixture.h"

enum { FEW = 100 };

/* ---- no worker and no control thread comes: the only worker is in a work function, control in that one's hook ---- */

struct lonely {
    struct probe probe;
    struct gate hook_entered, hook_leave;
    weir_session session;
};

static struct lonely lonely;

static bool hook_holds(weir_reason reason, void *ctx)
{
    (void)reason, (void)ctx;
    gate_open(&lonely.hook_entered);
    gate_wait(&lonely.hook_leave);
    return true;
}

static weir_status work_holds_hooked(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    weir_status status = weir_task_on_cancel(task, hook_holds, NULL);
    gate_open(&probe->entered);
    gate_wait(&probe->leave);
    return status;
}

static const weir_kind holds_hooked = KIND(.work = work_holds_hooked, .on_result = on_result);

static void lonely_begin(void)
{
    lonely.hook_entered = lonely.hook_leave = (struct gate)GATE_INIT;
    probe_init(&lonely.probe);
    lonely.session = session_open_with(app, NULL);
    weir_op op = start_in(lonely.session, &holds_hooked, &lonely.probe);
    gate_wait(&lonely.probe.entered);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    gate_wait(&lonely.hook_entered);
    assert_ok(weir_op_close(op));
}

static void lonely_end(void)
{
    gate_open(&lonely.hook_leave);
    gate_open(&lonely.probe.leave);
    session_close(lonely.session);
}

/* ---- where were callbacks? ---- */

static pthread_t final_thread, closed_thread;
static bool in_final_was_worker;

static void final_notes(const weir_result *r, void *ctx)
{
    final_thread = pthread_self();
    in_final_was_worker = weir_session_wait(session, 1, NULL) == WEIR_WOULD_DEADLOCK;
    on_result(r, ctx);
}

static const weir_kind notes = KIND(.work = work_ends, .on_result = final_notes);

static void closed_notes(const weir_report *report, void *ctx)
{
    (void)report;
    closed_thread = pthread_self();
    tally_add(ctx, 1);
}

static void close_lent(weir_session closed, weir_closed_fn *fn, void *ctx)
{
    weir_close_options options = { .size = sizeof(options), .lend = true, .closed = fn, .ctx = ctx };
    assert_ok(weir_session_close_with(closed, &options));
}

static void a_lent_thread_sweeps_delivers_and_calls_back(void **unused)
{
    (void)unused;
    struct tally closed = TALLY_INIT;
    lonely_begin();
    for (int i = 0; i < FEW; i++)
        start_closed(&notes, NULL);
    close_lent(session, closed_notes, &closed);
    assert_int_equal(tally_count(&seen.finals), 0);            /* the close itself runs nothing */
    assert_ok(weir_session_wait(session, WEIR_FOREVER, NULL));
    assert_int_equal(seen.by_status[WEIR_CANCELED], FEW);
    assert_int_equal(tally_count(&closed), 1);
    assert_true(pthread_equal(final_thread, pthread_self()));
    assert_true(pthread_equal(closed_thread, pthread_self()));
    assert_true(in_final_was_worker);
    lonely_end();
}

static void without_lend_a_waiting_thread_runs_nothing(void **unused)
{
    (void)unused;
    lonely_begin();
    start_closed(&notes, NULL);
    assert_ok(weir_session_close(session, NULL, NULL));
    assert_status(weir_session_wait(session, 1000000, NULL), WEIR_TIMED_OUT);
    assert_int_equal(tally_count(&seen.finals), 0);
    lonely_end();
    wait_until_closed(session);
    assert_false(pthread_equal(final_thread, pthread_self()));
}

static void a_wait_of_no_time_runs_nothing(void **unused)
{
    (void)unused;
    lonely_begin();
    start_closed(&notes, NULL);
    close_lent(session, NULL, NULL);
    assert_status(weir_session_wait(session, 0, NULL), WEIR_TIMED_OUT);
    assert_int_equal(tally_count(&seen.finals), 0);
    assert_ok(weir_session_wait(session, WEIR_FOREVER, NULL));
    lonely_end();
}

/* ---- what comes while it waits ---- */

struct waiter {
    weir_session session;
    pthread_t thread;
    weir_status status;
};

static void *wait_for_session(void *arg)
{
    struct waiter *waiter = arg;
    waiter->status = weir_session_wait(waiter->session, WEIR_FOREVER, NULL);
    return NULL;
}

static uint32_t phase_of(weir_session of)
{
    weir_report report = { .size = sizeof(report) };
    assert_status(weir_session_wait(of, 0, &report), WEIR_TIMED_OUT);
    return report.phase;
}

static void a_lent_thread_wakes_for_what_comes_later(void **unused)
{
    (void)unused;
    struct probe probe;
    struct waiter waiter = { .session = session };
    probe_init(&probe);
    probe.hook_answer = false;                                 /* the token is still to complete */
    weir_op op = start(&defers_with_hook, &probe);
    gate_wait(&probe.deferred);
    lonely_begin();
    waiter.thread = thread_start(wait_for_session, &waiter);
    close_lent(session, NULL, NULL);
    gate_wait(&probe.hooked);                                  /* on the waiting thread: there is no other */
    while (phase_of(session) != WEIR_PHASE_WAITING)            /* it is through, and sleeps, or is about to */
        (void)sched_yield();
    assert_status(weir_token_complete(probe.token, WEIR_OK, NULL, 0), WEIR_OK);
    probe_wait(&probe);
    assert_ok(weir_op_close(op));
    thread_join(waiter.thread);
    assert_ok(waiter.status);
    lonely_end();
}

static void a_lent_thread_runs_no_work(void **unused)
{
    (void)unused;
    struct waiter waiter = { .session = session };
    weir_close_options drain = { .size = sizeof(drain), .drain_ns = WEIR_FOREVER, .lend = true };
    lonely_begin();
    start_closed(&ends, NULL);
    assert_ok(weir_session_close_with(session, &drain));
    assert_status(weir_session_wait(session, 1000000, NULL), WEIR_TIMED_OUT);
    assert_int_equal(seen.works, 0);
    waiter.thread = thread_start(wait_for_session, &waiter);
    lonely_end();
    thread_join(waiter.thread);
    assert_true(waiter.status == WEIR_OK || waiter.status == WEIR_STALE);
    assert_int_equal(seen.works, 1);
}

static void more_threads_may_wait_than_may_help(void **unused)
{
    (void)unused;
    enum { THREADS = 20 };
    struct waiter waiters[THREADS];
    lonely_begin();
    for (int i = 0; i < FEW; i++)
        start_closed(&ends, NULL);
    for (int i = 0; i < THREADS; i++) {
        waiters[i] = (struct waiter){ .session = session };
        waiters[i].thread = thread_start(wait_for_session, &waiters[i]);
    }
    close_lent(session, NULL, NULL);
    for (int i = 0; i < THREADS; i++) {
        thread_join(waiters[i].thread);
        assert_true(waiters[i].status == WEIR_OK || waiters[i].status == WEIR_STALE);
    }
    assert_int_equal(seen.by_status[WEIR_CANCELED], FEW);
    lonely_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ONE_WORKER(a_lent_thread_sweeps_delivers_and_calls_back),
        TEST_ONE_WORKER(without_lend_a_waiting_thread_runs_nothing),
        TEST_ONE_WORKER(a_wait_of_no_time_runs_nothing),
        TEST_ONE_WORKER(a_lent_thread_wakes_for_what_comes_later),
        TEST_ONE_WORKER(a_lent_thread_runs_no_work),
        TEST_ONE_WORKER(more_threads_may_wait_than_may_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
