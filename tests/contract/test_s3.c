/* SPDX-License-Identifier: Apache-2.0 */
/* test_s3.c - S3: a close never waits; its jobs follow workers and blocks, not operations, and split while there is
 * work to share */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/session_fixture.h"

#include "workqueue/app.h"

enum { FEW = 100, MANY = 50000 };

static void start_many(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        start_closed(&ends, NULL);
}

static void a_close_returns_while_every_worker_is_busy(void **unused)
{
    (void)unused;
    struct closing closing = CLOSING_INIT;
    struct busy busy;
    busy_begin(&busy, test_workers());
    start_many(FEW);
    assert_ok(weir_session_close(session, closing_done, &closing));
    busy_end(&busy);
    closing_wait(&closing, session);
    assert_false(pthread_equal(closing.thread, pthread_self()));
}

static void each_operation_gets_its_final_with_the_reason_of_the_close(void **unused)
{
    (void)unused;
    struct busy busy;
    static struct probe probes[FEW];
    busy_begin(&busy, test_workers());
    for (int i = 0; i < FEW; i++) {
        probe_init(&probes[i]);
        start_closed(&ends, &probes[i]);
    }
    struct closing closing = CLOSING_INIT;
    assert_ok(weir_session_close(session, closing_done, &closing));
    busy_end(&busy);
    closing_wait(&closing, session);
    for (int i = 0; i < FEW; i++) {
        assert_int_equal(tally_count(&probes[i].finals), 1);
        assert_int_equal(probes[i].final.status, WEIR_CANCELED);
        assert_int_equal(probes[i].final.reason, WEIR_REASON_SESSION_CLOSED);
    }
}

/* ---- jobs are counted where workers take them: in the rings and deques of the high lane ---- */

/* While all workers are held, and nothing is under way. */
static uint64_t jobs_taken(void)
{
    struct app_ref ref;
    uint64_t count = 0;
    assert_ok(app_enter(app.bits, HANDLE_APP, &ref));
    for (uint32_t i = 0; i < ref.app->worker_count; i++) {
        struct lane *lane = &ref.app->workers[i].lanes[WEIR_HIGH];
        count += atomic_load(&lane->ring.head) + (uint64_t)atomic_load(&lane->jobs.top);
    }
    app_leave(&ref);
    return count;
}

static uint64_t jobs_of_a_close(uint32_t operations)
{
    struct busy busy;
    struct closing closing = CLOSING_INIT;
    session = session_open_with(app, NULL);
    busy_begin(&busy, test_workers());
    start_many(operations);
    uint64_t before = jobs_taken();
    assert_ok(weir_session_close(session, closing_done, &closing));
    busy_end(&busy);
    closing_wait(&closing, session);
    busy_begin(&busy, test_workers());
    uint64_t jobs = jobs_taken() - before;
    busy_end(&busy);
    return jobs;
}

/* One sweep job, one more for each thread that takes part (the control thread may), and the close callback's. A job
 * that came in a batch was taken twice. */
static void the_jobs_of_a_close_do_not_grow_with_its_operations(void **unused)
{
    (void)unused;
    uint64_t most = 2 * (1 + test_workers() + 1 + 1);
    assert_in_range(jobs_of_a_close(FEW), 1, most);
    assert_in_range(jobs_of_a_close(MANY), 1, most);
    assert_int_equal(seen.by_status[WEIR_CANCELED], FEW + MANY);
}

/* ---- split ---- */

static struct gate first_final, go_on;
static _Atomic bool holding;

static void the_first_holds(const weir_result *r, void *ctx)
{
    (void)ctx, (void)r;
    if (!atomic_exchange(&holding, true)) {
        gate_open(&first_final);
        gate_wait(&go_on);
    }
    tally_add(&seen.finals, 1);
}

static const weir_kind first_holds = KIND(.work = work_ends, .on_result = the_first_holds);

/* At most a share of it waits for the callback: 16 groups of 63. */
static void a_sweep_goes_on_beside_a_callback_that_takes_long(void **unused)
{
    (void)unused;
    struct busy busy;
    struct closing closing = CLOSING_INIT;
    first_final = go_on = (struct gate)GATE_INIT;
    atomic_store(&holding, false);
    busy_begin(&busy, test_workers() > 2 ? test_workers() : 2);
    for (int i = 0; i < MANY; i++)
        start_closed(&first_holds, NULL);
    assert_ok(weir_session_close(session, closing_done, &closing));
    busy_end(&busy);
    gate_wait(&first_final);
    tally_wait(&seen.finals, MANY - 16 * 63);
    assert_int_equal(tally_count(&closing.calls), 0);
    gate_open(&go_on);
    closing_wait(&closing, session);
    assert_int_equal(tally_count(&seen.finals), MANY);
}

static void what_a_stuck_walk_left_is_taken_by_the_control_thread(void **unused)
{
    (void)unused;
    struct busy busy;
    struct closing closing = CLOSING_INIT;
    first_final = go_on = (struct gate)GATE_INIT;
    atomic_store(&holding, false);
    busy_begin(&busy, 1);
    for (int i = 0; i < MANY; i++)
        start_closed(&first_holds, NULL);
    assert_ok(weir_session_close(session, closing_done, &closing));
    busy_end(&busy);
    gate_wait(&first_final);
    tally_wait(&seen.finals, MANY - 16 * 63);
    gate_open(&go_on);
    closing_wait(&closing, session);
    assert_int_equal(tally_count(&seen.finals), MANY);
}

/* ---- several cancels ---- */

/* Each round's operations are cancelled by their round's cancel, though its sweep may still be at work on the last. */
static void cancels_that_follow_each_other_closely_leave_nothing_out(void **unused)
{
    (void)unused;
    enum { ROUNDS = 20, EACH = 500 };
    struct busy busy;
    busy_begin(&busy, test_workers());
    for (int round = 0; round < ROUNDS; round++) {
        start_many(EACH);
        assert_ok(weir_session_cancel(session, (weir_reason)(WEIR_REASON_OWN + round)));
        if (round == ROUNDS / 2)
            busy_end(&busy);
    }
    tally_wait(&seen.finals, ROUNDS * EACH);
    weir_report report = session_close(session);
    assert_int_equal(report.accepted, ROUNDS * EACH);
    assert_int_equal(report.completed + report.cancelled, ROUNDS * EACH);
    assert_true(report.cancelled >= ROUNDS / 2 * EACH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_close_returns_while_every_worker_is_busy),
        TEST(each_operation_gets_its_final_with_the_reason_of_the_close),
        TEST(the_jobs_of_a_close_do_not_grow_with_its_operations),
        TEST_TWO_WORKERS(a_sweep_goes_on_beside_a_callback_that_takes_long),
        TEST_ONE_WORKER(what_a_stuck_walk_left_is_taken_by_the_control_thread),
        TEST(cancels_that_follow_each_other_closely_leave_nothing_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
