/* SPDX-License-Identifier: Apache-2.0 */
/* test_r7.c - R7: back-pressure: the window, parked operations, yields, acknowledgements by number */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

/* ---- the window ---- */

#define ACKED_WINDOW(size) \
    KIND(.work = work_streams, .on_result = on_result, .drop = on_drop, .window = (size), .flags = WEIR_MANUAL_ACK)

static void hold_window(const weir_kind *kind, uint64_t expected)
{
    struct probe probe;
    probe_init(&probe);
    probe.count = expected + 3;
    start_closed(kind, &probe);
    gate_wait(&probe.parked);                    /* the next post was refused */
    assert_int_equal(probe.next, expected);
    tally_wait(&probe.items, 1);
    assert_int_equal(tally_count(&probe.items), 1);
    for (uint64_t number = 1; number <= probe.count; number++) {
        tally_wait(&probe.items, number);
        assert_ok(weir_op_ack(probe.op, number));
    }
    probe_wait(&probe);
    assert_ok(weir_op_ack(probe.op, probe.count + 1));
    assert_int_equal(probe.wrong, 0);
}

static void a_window_of_unacknowledged_results_is_never_exceeded(void **unused)
{
    (void)unused;
    static const weir_kind kinds[] = {
        ACKED_WINDOW(0), ACKED_WINDOW(1), ACKED_WINDOW(2), ACKED_WINDOW(16), ACKED_WINDOW(WEIR_WINDOW_MAX),
    };
    hold_window(&kinds[0], 1);                   /* the default */
    for (int i = 1; i < 5; i++)
        hold_window(&kinds[i], kinds[i].window);
}

static weir_status work_is_refused(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    static char item;
    probe_called(probe);
    if (probe->next == 0)
        probe->next = weir_task_post(task, &item, 1) == WEIR_OK;
    for (int i = 0; i < 10; i++)
        probe->count += weir_task_post(task, &item, 1) == WEIR_AGAIN;
    gate_open(&probe->parked);
    return WEIR_OK;
}

static void a_refused_post_takes_nothing(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_is_refused, .on_result = on_result, .drop = on_drop,
                                       .flags = WEIR_MANUAL_ACK);
    struct probe probe;
    probe_init(&probe);
    start_closed(&kind, &probe);
    gate_wait(&probe.parked);
    tally_wait(&probe.items, 1);
    assert_ok(weir_op_ack(probe.op, 1));
    probe_wait(&probe);
    assert_ok(weir_op_ack(probe.op, 2));
    assert_int_equal(probe.count, 10);
    session_close(session);
    assert_int_equal(tally_count(&seen.drops), 1);
}

/* ---- the operation is parked, not the worker ---- */

static void parked_operations_leave_the_only_worker_free(void **unused)
{
    (void)unused;
    enum { PARKED = 100 };
    static struct probe probes[PARKED];
    struct probe patient;
    for (int i = 0; i < PARKED; i++) {
        probe_init(&probes[i]);
        probes[i].count = 3;
        start_closed(&streams_acked, &probes[i]);
    }
    for (int i = 0; i < PARKED; i++)
        gate_wait(&probes[i].parked);
    probe_init(&patient);
    patient.count = 50;
    start_closed(&streams, &patient);
    probe_wait(&patient);
    assert_int_equal(tally_count(&patient.items), 50);
    for (int i = 0; i < PARKED; i++) {
        tally_wait(&probes[i].items, 1);
        assert_int_equal(tally_count(&probes[i].items), 1);
    }
    assert_ok(weir_session_cancel(session, WEIR_REASON_USER));
    for (int i = 0; i < PARKED; i++) {
        assert_ok(weir_op_ack(probes[i].op, 1));
        probe_wait(&probes[i]);
        assert_ok(weir_op_ack(probes[i].op, 2));
    }
}

static void parked_work_is_called_again_with_the_same_context_when_there_is_room(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    probe.count = 4;
    start_closed(&streams_acked, &probe);
    gate_wait(&probe.parked);
    tally_wait(&probe.items, 1);
    assert_int_equal(tally_count(&probe.works), 1);
    assert_ok(weir_op_ack(probe.op, 1));
    tally_wait(&probe.items, 2);
    assert_true(tally_count(&probe.works) >= 2);
    for (uint64_t number = 2; number <= 4; number++) {
        tally_wait(&probe.items, number);
        assert_ok(weir_op_ack(probe.op, number));
    }
    probe_wait(&probe);
    assert_ok(weir_op_ack(probe.op, 5));
    assert_int_equal(probe.wrong, 0);
}

static struct gate in_refused, leave_refused;

static weir_status work_waits_after_its_refusal(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    weir_status status = work_streams(task, ctx);
    if (status == WEIR_AGAIN && tally_count(&probe->works) == 1) {
        gate_open(&in_refused);
        gate_wait(&leave_refused);
    }
    return status;
}

static void room_that_came_before_the_return_is_not_lost(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_waits_after_its_refusal, .on_result = on_result,
                                       .flags = WEIR_MANUAL_ACK);
    struct probe probe;
    in_refused = leave_refused = (struct gate)GATE_INIT;
    probe_init(&probe);
    probe.count = 2;
    start_closed(&kind, &probe);
    gate_wait(&in_refused);
    tally_wait(&probe.items, 1);
    assert_ok(weir_op_ack(probe.op, 1));         /* the work is still on its stack */
    gate_open(&leave_refused);
    tally_wait(&probe.items, 2);
    assert_ok(weir_op_ack(probe.op, 2));
    probe_wait(&probe);
    assert_ok(weir_op_ack(probe.op, 3));
}

/* ---- a yield ---- */

static weir_status work_yields(weir_task *task, void *ctx)
{
    struct probe *other = ctx;
    (void)task;
    seen.works++;
    return tally_count(&other->works) > 0 ? WEIR_OK : WEIR_AGAIN;
}

static void again_without_a_refused_post_lets_others_run(void **unused)
{
    (void)unused;
    static const weir_kind yields = KIND(.work = work_yields);
    struct probe other;
    const weir_result *r;
    probe_init(&other);
    weir_op op = start(&yields, &other);
    while (seen.works == 0)
        (void)sched_yield();
    start_closed(&ends, &other);                 /* there is one worker */
    probe_wait(&other);
    assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
    assert_ok(r->status);
    assert_ok(weir_op_close(op));
}

static void yielding_work_that_is_cancelled_is_not_called_again(void **unused)
{
    (void)unused;
    static const weir_kind yields = KIND(.work = work_yields);
    struct probe never;
    const weir_result *r;
    probe_init(&never);
    weir_op op = start(&yields, &never);
    while (seen.works == 0)
        (void)sched_yield();
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
    uint64_t works = seen.works;
    assert_status(r->status, WEIR_CANCELED);
    assert_ok(weir_op_close(op));
    session_close(session);
    assert_int_equal(seen.works, works);
}

static weir_status work_fills_its_window_and_yields(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    probe_called(probe);
    if (probe->next == 0) {
        if (weir_task_post(task, (void *)(uintptr_t)1, 8) != WEIR_OK)
            return WEIR_FAILED;
        probe->next = 1;
        return WEIR_AGAIN;                       /* the window is full, but nothing was refused */
    }
    return WEIR_OK;
}

static void a_full_window_does_not_park_work_that_was_not_refused(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_fills_its_window_and_yields, .on_result = on_result,
                                       .flags = WEIR_MANUAL_ACK);
    struct probe probe;
    probe_init(&probe);
    start_closed(&kind, &probe);
    tally_wait(&probe.works, 2);                 /* while the item is not acknowledged */
    tally_wait(&probe.items, 1);
    assert_ok(weir_op_ack(probe.op, 1));
    probe_wait(&probe);
    assert_ok(weir_op_ack(probe.op, 2));
}

/* ---- deferred work ---- */

static weir_status work_defers_once(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    probe_called(probe);
    if (tally_count(&probe->works) == 1)
        return defer_to(task, probe);
    gate_open(&probe->parked);                   /* called again */
    return WEIR_FAILED;
}

static void deferred_work_whose_post_was_refused_is_called_again(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_defers_once, .on_result = on_result, .flags = WEIR_MANUAL_ACK);
    struct probe probe;
    probe_init(&probe);
    start_closed(&kind, &probe);
    gate_wait(&probe.deferred);
    assert_ok(weir_token_post(probe.token, (void *)(uintptr_t)1, 1));
    assert_status(weir_token_post(probe.token, (void *)(uintptr_t)2, 1), WEIR_AGAIN);
    tally_wait(&probe.items, 1);
    assert_int_equal(tally_count(&probe.works), 1);
    assert_ok(weir_op_ack(probe.op, 1));
    gate_wait(&probe.parked);
    assert_int_equal(tally_count(&probe.works), 2);
    assert_ok(weir_token_post(probe.token, (void *)(uintptr_t)2, 1));
    tally_wait(&probe.items, 2);
    assert_ok(weir_op_ack(probe.op, 2));
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    probe_wait(&probe);
    assert_ok(weir_op_ack(probe.op, 3));
    assert_int_equal(tally_count(&probe.works), 2); /* nothing was refused since */
}

static void deferred_work_whose_posts_were_taken_is_not_called_again(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_defers_once, .on_result = on_result, .window = 4);
    struct probe probe;
    probe_init(&probe);
    start_closed(&kind, &probe);
    gate_wait(&probe.deferred);
    for (uint64_t i = 1; i <= 4; i++) {
        assert_ok(weir_token_post(probe.token, (void *)(uintptr_t)i, 1));
        tally_wait(&probe.items, i);
    }
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    probe_wait(&probe);
    assert_int_equal(tally_count(&probe.works), 1);
}

/* ---- acknowledging ---- */

static void start_acked(struct probe *probe, uint64_t count)
{
    probe_init(probe);
    probe->count = count;
    start_closed(&streams_acked, probe);
    tally_wait(&probe->items, 1);
}

/* last: the number of the item that is not acknowledged. */
static void end_acked(struct probe *probe, uint64_t last)
{
    tally_wait(&probe->items, last);
    assert_ok(weir_session_cancel(session, WEIR_REASON_USER));
    assert_ok(weir_op_ack(probe->op, last));
    probe_wait(probe);
    assert_ok(weir_op_ack(probe->op, probe->final.number));
}

static void a_number_is_acknowledged_once(void **unused)
{
    (void)unused;
    struct probe probe;
    start_acked(&probe, 10);
    assert_ok(weir_op_ack(probe.op, 1));
    assert_status(weir_op_ack(probe.op, 1), WEIR_ALREADY);
    tally_wait(&probe.items, 2);
    assert_ok(weir_op_ack(probe.op, 2));
    assert_status(weir_op_ack(probe.op, 1), WEIR_ALREADY);
    assert_status(weir_op_ack(probe.op, 2), WEIR_ALREADY);
    end_acked(&probe, 3);
}

static void a_number_that_was_not_delivered_is_invalid(void **unused)
{
    (void)unused;
    struct probe probe;
    start_acked(&probe, 10);
    assert_status(weir_op_ack(probe.op, 2), WEIR_INVALID);
    assert_status(weir_op_ack(probe.op, 1000), WEIR_INVALID);
    assert_int_equal(tally_count(&probe.items), 1);
    assert_ok(weir_op_ack(probe.op, 1));
    end_acked(&probe, 2);
}

struct acker {
    weir_op op;                                  /* a copy: the probe's is written again by the next callback */
    uint64_t number;
    _Atomic uint64_t won, already, other;
};

static void *acknowledge(void *arg)
{
    struct acker *acker = arg;
    weir_status status = weir_op_ack(acker->op, acker->number);
    acker->won += status == WEIR_OK;
    acker->already += status == WEIR_ALREADY;
    acker->other += status != WEIR_OK && status != WEIR_ALREADY;
    return NULL;
}

static void of_many_threads_one_acknowledges(void **unused)
{
    (void)unused;
    enum { ROUNDS = 50, THREADS = 4 };
    struct probe probe;
    start_acked(&probe, ROUNDS + 1);
    for (uint64_t number = 1; number <= ROUNDS; number++) {
        tally_wait(&probe.items, number);
        struct acker acker = { .op = probe.op, .number = number };
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++)
            threads[i] = thread_start(acknowledge, &acker);
        for (int i = 0; i < THREADS; i++)
            thread_join(threads[i]);
        assert_int_equal(acker.won, 1);
        assert_int_equal(acker.already, THREADS - 1);
        assert_int_equal(acker.other, 0);
    }
    tally_wait(&probe.items, ROUNDS + 1);
    assert_ok(weir_op_ack(probe.op, ROUNDS + 1));
    probe_wait(&probe);
    assert_ok(weir_op_ack(probe.op, ROUNDS + 2));
    assert_int_equal(probe.wrong, 0);
}

static void without_manual_acknowledgement_the_callbacks_return_acknowledges(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    probe.count = 20;
    weir_op op = start(&streams, &probe);
    probe_wait(&probe);
    assert_status(weir_op_ack(op, 1), WEIR_INVALID);
    assert_status(weir_op_ack(op, 21), WEIR_INVALID);
    assert_ok(weir_op_close(op));
    assert_int_equal(tally_count(&probe.items), 20);
}

static void for_pull_the_option_means_nothing(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_streams, .flags = WEIR_MANUAL_ACK);
    struct probe probe;
    const weir_result *r;
    probe_init(&probe);
    probe.count = 5;
    weir_op op = start(&kind, &probe);
    for (uint64_t number = 1; number <= 6; number++) {
        assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
        assert_int_equal(r->number, number);
        assert_status(weir_op_ack(op, number), WEIR_INVALID);
    }
    assert_false(r->more);
    assert_ok(weir_op_close(op));
}

/* ---- what wakes parked operations ---- */

static void a_cancel_wakes_a_parked_operation(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    probe.count = 3;
    weir_op op = start(&streams_acked, &probe);
    gate_wait(&probe.parked);
    tally_wait(&probe.items, 1);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    assert_ok(weir_op_ack(op, 1));
    probe_wait(&probe);
    assert_status(probe.final.status, WEIR_CANCELED);
    assert_int_equal(tally_count(&probe.works), 1);
    assert_ok(weir_op_ack(op, 2));
    assert_ok(weir_op_close(op));
}

static void a_close_wakes_a_parked_operation(void **unused)
{
    (void)unused;
    struct probe probe;
    const weir_result *r;
    probe_init(&probe);
    probe.count = 3;
    weir_op op = start(&pulled, &probe);
    gate_wait(&probe.parked);
    assert_ok(weir_session_close(session, NULL, NULL));
    assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
    assert_int_equal(r->number, 1);
    assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
    assert_false(r->more);
    assert_int_equal(r->reason, WEIR_REASON_SESSION_CLOSED);
    assert_ok(weir_op_close(op));
    wait_until_closed(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_window_of_unacknowledged_results_is_never_exceeded),
        TEST(a_refused_post_takes_nothing),
        TEST_ONE_WORKER(parked_operations_leave_the_only_worker_free),
        TEST(parked_work_is_called_again_with_the_same_context_when_there_is_room),
        TEST_TWO_WORKERS(room_that_came_before_the_return_is_not_lost),
        TEST_ONE_WORKER(again_without_a_refused_post_lets_others_run),
        TEST_ONE_WORKER(yielding_work_that_is_cancelled_is_not_called_again),
        TEST(a_full_window_does_not_park_work_that_was_not_refused),
        TEST(deferred_work_whose_post_was_refused_is_called_again),
        TEST(deferred_work_whose_posts_were_taken_is_not_called_again),
        TEST(a_number_is_acknowledged_once),
        TEST(a_number_that_was_not_delivered_is_invalid),
        TEST(of_many_threads_one_acknowledges),
        TEST(without_manual_acknowledgement_the_callbacks_return_acknowledges),
        TEST(for_pull_the_option_means_nothing),
        TEST(a_cancel_wakes_a_parked_operation),
        TEST(a_close_wakes_a_parked_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
