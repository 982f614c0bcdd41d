/* SPDX-License-Identifier: Apache-2.0 */
/* test_q2_operations.c - Q2, Q4, S5, E8: operations whose work runs in a queue of the caller's */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include <weir/weir.h>

#include "tests/support/session_fixture.h"

static weir_status try_start(weir_queue queue, const weir_kind *kind, void *ctx, weir_op *out)
{
    return weir_op_start(session, kind, ctx, WEIR_NEW(weir_op_options, .queue = queue), out);
}

static weir_op start_on(weir_queue queue, const weir_kind *kind, void *ctx)
{
    weir_op op = { 0 };
    assert_ok(try_start(queue, kind, ctx, &op));
    return op;
}

static weir_queue bounded_open(uint32_t limit, bool concurrent)
{
    return queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .limit = limit, .concurrent = concurrent));
}

/* ---- order ---- */

static struct { uint64_t next, wrong; } order;   /* plain: E8 orders them */

static weir_status work_in_order(weir_task *task, void *ctx)
{
    (void)task;
    order.wrong += order.next++ != (uintptr_t)ctx;
    return WEIR_OK;
}

static struct tally ordered;

static void result_counts(const weir_result *r, void *ctx)
{
    (void)r;
    (void)ctx;
    tally_add(&ordered, 1);
}

static const weir_kind in_order = KIND(.work = work_in_order, .on_result = result_counts);

static void works_on_a_serial_queue_run_one_at_a_time_in_the_order_of_their_starts(void **unused)
{
    (void)unused;
    enum { COUNT = 2000 };
    weir_queue queue = serial_open(app);
    order.next = order.wrong = 0;
    ordered = (struct tally)TALLY_INIT;
    for (uintptr_t i = 0; i < COUNT; i++)
        assert_ok(try_start(queue, &in_order, (void *)i, NULL));
    tally_wait(&ordered, COUNT);
    session_close(session);
    assert_int_equal(order.next, COUNT);
    assert_int_equal(order.wrong, 0);
}

static char trace[8];
static _Atomic uint32_t traced;

static weir_status work_yields_once(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    (void)task;
    trace[traced++] = (char)probe->count;
    probe_called(probe);
    return probe->next++ == 0 && probe->count == 'a' ? WEIR_AGAIN : WEIR_OK;
}

static const weir_kind yields = KIND(.work = work_yields_once, .on_result = on_result);

static void work_that_yields_goes_to_the_end_of_its_queue(void **unused)
{
    (void)unused;
    struct probe a, b;
    struct hold hold;
    weir_queue queue = serial_open(app);
    traced = 0;
    probe_init(&a);
    probe_init(&b);
    a.count = 'a';
    b.count = 'b';
    hold_begin(&hold, queue);
    assert_ok(try_start(queue, &yields, &a, NULL));
    assert_ok(try_start(queue, &yields, &b, NULL));
    hold_end(&hold);
    probe_wait(&a);
    probe_wait(&b);
    assert_int_equal(traced, 3);
    assert_memory_equal(trace, "aba", 3);
}

/* ---- what does not wait for the queue ---- */

static void the_final_of_a_cancelled_operation_does_not_wait_for_the_queue(void **unused)
{
    (void)unused;
    struct probe probe;
    struct hold hold;
    weir_queue queue = serial_open(app);
    probe_init(&probe);
    hold_begin(&hold, queue);
    weir_op op = start_on(queue, &ends, &probe);
    assert_ok(weir_op_cancel(op, WEIR_REASON_OWN));
    probe_wait(&probe);
    assert_int_equal(probe.final.status, WEIR_CANCELED);
    assert_int_equal(probe.final.reason, WEIR_REASON_OWN);
    hold_end(&hold);
    assert_ok(weir_op_close(op));
    assert_int_equal(tally_count(&probe.works), 0);
}

static void a_close_does_not_wait_for_a_strangers_queue(void **unused)
{
    (void)unused;
    enum { COUNT = 200 };
    struct hold hold;
    weir_queue queue = serial_open(app);
    hold_begin(&hold, queue);
    for (int i = 0; i < COUNT; i++)
        assert_ok(try_start(queue, &ends, NULL, NULL));
    weir_report report = session_close(session);
    assert_int_equal(report.cancelled, COUNT);
    hold_end(&hold);
    struct record after;
    record_init(&after);
    assert_ok(weir_job_submit(queue, &after.job));
    record_wait(&after);                         /* the queue has gone past what they left in it */
    assert_int_equal(seen.works, 0);
}

static void an_application_closes_over_jobs_that_nobody_waited_for(void **unused)
{
    (void)unused;
    struct hold hold;
    weir_queue queue = serial_open(app);
    hold_begin(&hold, queue);
    for (int i = 0; i < 20; i++)
        assert_ok(try_start(queue, &ends, NULL, NULL));
    session_close(session);
    hold_end(&hold);                             /* teardown closes, and the allocator's checker counts */
}

/* ---- limits ---- */

static void a_full_queue_refuses_the_start_and_has_room_after_the_final(void **unused)
{
    (void)unused;
    for (int concurrent = 0; concurrent < 2; concurrent++) {
        struct probe probe;
        weir_op untouched = { 77 };
        weir_queue queue = bounded_open(1, concurrent != 0);
        probe_init(&probe);
        weir_op op = start_on(queue, &holds, &probe);
        gate_wait(&probe.entered);
        assert_int_equal(try_start(queue, &ends, NULL, &untouched), WEIR_FULL);
        assert_int_equal(untouched.bits, 77);
        probe_release(&probe);
        assert_ok(weir_op_close(op));
        weir_job closed = { .fn = record_run };
        struct record record;
        record_init(&record);
        closed.ctx = &record;
        assert_ok(weir_queue_close(queue, false, &closed));
        record_wait(&record);                    /* nothing is left in it */
    }
    assert_int_equal(seen.works, 2);
}

static void a_parked_operation_keeps_its_place(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_queue queue = bounded_open(1, false);
    probe_init(&probe);
    probe.count = 2;
    weir_op op = start_on(queue, &streams_acked, &probe);
    gate_wait(&probe.parked);
    tally_wait(&probe.items, 1);
    assert_int_equal(try_start(queue, &ends, NULL, NULL), WEIR_FULL);
    assert_ok(weir_op_ack(op, 1));
    tally_wait(&probe.items, 2);
    assert_ok(weir_op_ack(op, 2));
    probe_wait(&probe);
    assert_int_equal(probe.final.status, WEIR_OK);
    assert_ok(weir_op_ack(op, 3));
    assert_ok(weir_op_close(op));
    session_close(session);
    struct record record;
    record_init(&record);
    assert_ok(weir_job_submit_wait(queue, &record.job, WEIR_FOREVER));
    record_wait(&record);
    assert_int_equal(record.status, WEIR_OK);
}

static void a_deferred_operation_gives_its_place_back_when_it_is_cancelled(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_queue queue = bounded_open(1, false);
    probe_init(&probe);
    weir_op op = start_on(queue, &defers, &probe);
    gate_wait(&probe.deferred);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    probe_wait(&probe);
    struct record record;
    record_init(&record);
    assert_ok(weir_job_submit_wait(queue, &record.job, WEIR_FOREVER));
    record_wait(&record);
    assert_ok(weir_op_close(op));
}

/* ---- called again, in the queue ---- */

static void room_brings_the_work_back_to_its_queue_and_not_past_it(void **unused)
{
    (void)unused;
    struct probe probe;
    struct hold hold;
    weir_queue queue = serial_open(app);
    probe_init(&probe);
    probe.count = 3;
    weir_op op = start_on(queue, &streams_acked, &probe);
    tally_wait(&probe.items, 1);
    gate_wait(&probe.parked);
    hold_begin(&hold, queue);
    uint64_t works = tally_count(&probe.works);
    assert_ok(weir_op_ack(op, 1));
    struct probe other;
    probe_init(&other);
    start_closed(&ends, &other);
    probe_wait(&other);                          /* the session's own workers go on */
    assert_int_equal(tally_count(&probe.works), works);
    hold_end(&hold);
    tally_wait(&probe.items, 2);
    assert_ok(weir_op_ack(op, 2));
    tally_wait(&probe.items, 3);
    assert_ok(weir_op_ack(op, 3));
    probe_wait(&probe);
    assert_ok(weir_op_ack(op, 4));
    assert_ok(weir_op_close(op));
    assert_int_equal(probe.wrong, 0);
    assert_int_equal(probe.final.delivered, 3);
}

static void streams_of_every_style_run_through_queues(void **unused)
{
    (void)unused;
    enum { ITEMS = 300 };
    weir_queue queues[] = { serial_open(app), bounded_open(8, true), bounded_open(8, false) };
    for (int i = 0; i < 3; i++) {
        struct probe push, pull;
        const weir_result *r = NULL;
        probe_init(&push);
        probe_init(&pull);
        push.count = pull.count = ITEMS;
        assert_ok(try_start(queues[i], &streams, &push, NULL));
        weir_op op = start_on(queues[i], &pulled, &pull);
        for (uint64_t number = 1; number <= ITEMS; number++) {
            assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
            assert_int_equal((uintptr_t)r->data, number);
        }
        assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
        assert_false(r->more);
        assert_ok(weir_op_close(op));
        probe_wait(&push);
        assert_int_equal(push.wrong, 0);
        assert_int_equal(push.final.delivered, ITEMS);
    }
    session_close(session);
    assert_int_equal(tally_count(&seen.drops), 6 * ITEMS);
}

/* Posts through the token until it is refused; the work is called again when there is room. */
static weir_status work_posts_by_token(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    probe_called(probe);
    if (probe->token.bits == 0 && weir_task_defer(task, &probe->token) != WEIR_OK)
        return WEIR_FAILED;
    while (probe->next < probe->count) {
        weir_status status = weir_token_post(probe->token, (void *)(uintptr_t)(probe->next + 1), 8);
        if (status != WEIR_OK)
            return WEIR_OK;                      /* ignored */
        probe->next++;
    }
    return weir_token_complete(probe->token, WEIR_OK, NULL, 0);
}

static void deferred_work_comes_back_to_its_queue(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_posts_by_token, .on_result = on_result);
    struct probe probe;
    weir_queue queue = bounded_open(1, true);
    probe_init(&probe);
    probe.count = 200;
    assert_ok(try_start(queue, &kind, &probe, NULL));
    probe_wait(&probe);
    assert_int_equal(probe.wrong, 0);
    assert_int_equal(probe.final.status, WEIR_OK);
    assert_int_equal(probe.final.delivered, 200);
}

static void a_reply_queue_does_not_wait_for_deferred_work(void **unused)
{
    (void)unused;
    struct probe probe, next;
    weir_queue queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .reply = true));
    probe_init(&probe);
    probe_init(&next);
    weir_op op = start_on(queue, &defers, &probe);
    gate_wait(&probe.deferred);
    assert_ok(try_start(queue, &ends, &next, NULL));
    probe_wait(&next);
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    probe_wait(&probe);
    assert_ok(weir_op_close(op));
}

/* ---- the queue's end ---- */

static void an_aborted_queue_cancels_what_waits_in_it(void **unused)
{
    (void)unused;
    for (int concurrent = 0; concurrent < 2; concurrent++) {
        struct probe probe;
        struct hold hold;
        struct busy busy;
        weir_queue queue = bounded_open(100, concurrent != 0);
        probe_init(&probe);
        if (concurrent)
            busy_begin(&busy, test_workers());
        else
            hold_begin(&hold, queue);
        weir_op op = start_on(queue, &ends, &probe);
        assert_ok(weir_queue_close(queue, true, NULL));
        if (concurrent)
            busy_end(&busy);
        else
            hold_end(&hold);
        probe_wait(&probe);
        assert_int_equal(probe.final.status, WEIR_CANCELED);
        assert_int_equal(probe.final.reason, WEIR_REASON_USER);
        assert_int_equal(tally_count(&probe.works), 0);
        assert_ok(weir_op_close(op));
    }
}

static void a_closed_queue_ends_after_the_operations_that_it_accepted(void **unused)
{
    (void)unused;
    struct probe probe;
    struct record closed;
    weir_queue queue = serial_open(app);
    probe_init(&probe);
    record_init(&closed);
    probe.count = 2;
    weir_op op = start_on(queue, &streams_acked, &probe);
    tally_wait(&probe.items, 1);
    gate_wait(&probe.parked);
    assert_ok(weir_queue_close(queue, false, &closed.job));
    assert_int_equal(try_start(queue, &ends, NULL, NULL), WEIR_CLOSED);
    assert_int_equal(tally_count(&closed.calls), 0);
    assert_ok(weir_op_ack(op, 1));
    tally_wait(&probe.items, 2);
    assert_ok(weir_op_ack(op, 2));
    probe_wait(&probe);
    record_wait(&closed);
    assert_int_equal(probe.final.status, WEIR_OK);
    assert_int_equal(try_start(queue, &ends, NULL, NULL), WEIR_STALE);
    assert_ok(weir_op_ack(op, 3));
    assert_ok(weir_op_close(op));
}

/* ---- which queue ---- */

static void a_queue_that_is_none_of_the_applications_is_refused(void **unused)
{
    (void)unused;
    weir_op untouched = { 77 };
    weir_app other = app_open_workers(1);
    weir_queue theirs = serial_open(other);
    assert_int_equal(try_start(theirs, &ends, NULL, &untouched), WEIR_INVALID);
    assert_int_equal(try_start(lane_of(other), &ends, NULL, &untouched), WEIR_INVALID);
    assert_int_equal(try_start((weir_queue){ session.bits }, &ends, NULL, &untouched), WEIR_INVALID);
    assert_int_equal(try_start((weir_queue){ 1 }, &ends, NULL, &untouched), WEIR_INVALID);
    assert_int_equal(untouched.bits, 77);
    app_close(other);
    weir_report report = session_close(session);
    assert_int_equal(report.accepted, 0);
}

static void a_lanes_queue_is_the_lane(void **unused)
{
    (void)unused;
    struct probe probes[3];
    for (int i = 0; i < 3; i++) {                /* more than there are workers: only the blocking lane has threads */
        probe_init(&probes[i]);
        assert_ok(try_start(weir_app_queue(app, WEIR_BLOCKING), &holds, &probes[i], NULL));
    }
    for (int i = 0; i < 3; i++)
        gate_wait(&probes[i].entered);
    for (int i = 0; i < 3; i++)
        probe_release(&probes[i]);
}

/* ---- all at once ---- */

static void sessions_come_and_go_over_queues_that_stay(void **unused)
{
    (void)unused;
    weir_queue serial = serial_open(app), bounded = bounded_open(3, true);
    uint64_t random = test_seed(), accepted = 0;
    for (int round = 0; round < 60; round++) {
        weir_session brief = session_open_with(app, NULL);
        struct probe probes[8];
        for (int i = 0; i < 8; i++) {
            probe_init(&probes[i]);
            probes[i].count = test_random(&random) % 4;
        }
        for (int i = 0; i < 8; i++) {
            weir_queue queue = test_random(&random) % 2 == 0 ? serial : bounded;
            int64_t timeout = test_random(&random) % 3 == 0 ? 20000 : WEIR_FOREVER;
            accepted += weir_op_start(brief, &streams, &probes[i], WEIR_NEW(weir_op_options, .queue = queue,
                                      .timeout_ns = timeout), NULL) == WEIR_OK;
        }
        if (test_random(&random) % 2 == 0)
            assert_ok(weir_session_cancel(brief, WEIR_REASON_USER));
        weir_report report = session_close(brief);
        assert_int_equal(report.accepted, report.completed + report.cancelled + report.timed_out);
    }
    assert_int_equal(tally_count(&seen.finals), accepted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(works_on_a_serial_queue_run_one_at_a_time_in_the_order_of_their_starts),
        TEST(work_that_yields_goes_to_the_end_of_its_queue),
        TEST_TWO_WORKERS(the_final_of_a_cancelled_operation_does_not_wait_for_the_queue),
        TEST_TWO_WORKERS(a_close_does_not_wait_for_a_strangers_queue),
        TEST_TWO_WORKERS(an_application_closes_over_jobs_that_nobody_waited_for),
        TEST(a_full_queue_refuses_the_start_and_has_room_after_the_final),
        TEST(a_parked_operation_keeps_its_place),
        TEST(a_deferred_operation_gives_its_place_back_when_it_is_cancelled),
        TEST_TWO_WORKERS(room_brings_the_work_back_to_its_queue_and_not_past_it),
        TEST(streams_of_every_style_run_through_queues),
        TEST(deferred_work_comes_back_to_its_queue),
        TEST(a_reply_queue_does_not_wait_for_deferred_work),
        TEST(an_aborted_queue_cancels_what_waits_in_it),
        TEST(a_closed_queue_ends_after_the_operations_that_it_accepted),
        TEST(a_queue_that_is_none_of_the_applications_is_refused),
        TEST_ONE_WORKER(a_lanes_queue_is_the_lane),
        TEST(sessions_come_and_go_over_queues_that_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
