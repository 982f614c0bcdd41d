/* SPDX-License-Identifier: Apache-2.0 */
/* test_c5_idle.c - C5: idle deadlines, from the last accepted post or progress on, on a clock that is stepped */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/stepped_fixture.h"

/* ---- work that does what the test's thread tells it, one thing after the other ---- */

struct told {
    struct probe probe;
    struct tally asked, answered;
    _Atomic int ask;                             /* what to do: enum asks */
    _Atomic int answer;
};

enum asks { ASK_POST, ASK_PROGRESS, ASK_RETURN };

static void told_init(struct told *t)
{
    probe_init(&t->probe);
    t->asked = t->answered = (struct tally)TALLY_INIT;
}

static weir_status work_is_told(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    gate_open(&t->probe.entered);
    for (uint64_t n = 1;; n++) {
        tally_wait(&t->asked, n);
        int ask = t->ask;
        if (ask == ASK_RETURN)
            return WEIR_OK;
        t->answer = ask == ASK_POST ? weir_task_post(task, NULL, 0) : weir_task_progress(task, n, 0);
        tally_add(&t->answered, 1);
    }
}

static int ask(struct told *t, enum asks what)
{
    t->ask = (int)what;
    uint64_t before = tally_count(&t->answered);
    tally_add(&t->asked, 1);
    if (what != ASK_RETURN)
        tally_wait(&t->answered, before + 1);
    return t->answer;
}

static void told_result(const weir_result *r, void *ctx)
{
    struct told *t = ctx;
    if (r->more)
        tally_add(&t->probe.items, 1);
    else
        probe_final(&t->probe, r);
}

static const weir_kind idle_told =
    KIND(.work = work_is_told, .on_result = told_result, .window = 3, .flags = WEIR_IDLE_TIMEOUT | WEIR_MANUAL_ACK);
static const weir_kind plain_told = KIND(.work = work_is_told, .on_result = told_result, .window = 3);
static const weir_kind idle_defers =
    KIND(.work = work_defers, .on_result = on_result, .window = 3, .flags = WEIR_IDLE_TIMEOUT | WEIR_MANUAL_ACK);

static weir_op start_for(const weir_kind *kind, void *ctx, int64_t timeout_ns)
{
    weir_op op = { 0 };
    assert_ok(weir_op_start(session, kind, ctx, WEIR_NEW(weir_op_options, .timeout_ns = timeout_ns), &op));
    return op;
}

/* Returns when the work listens. */
static weir_op start_told(const weir_kind *kind, struct told *t, int64_t timeout_ns)
{
    told_init(t);
    weir_op op = start_for(kind, t, timeout_ns);
    gate_wait(&t->probe.entered);
    return op;
}

/* Was it cancelled by its deadline? Its next word tells: a cancel has won, or it has not. */
static bool is_cancelled(struct told *t)
{
    return ask(t, ASK_PROGRESS) == WEIR_CANCELED;
}

static void told_end(struct told *t, weir_op op)
{
    (void)ask(t, ASK_RETURN);
    probe_wait(&t->probe);
    (void)weir_op_ack(op, t->probe.final.number);
    assert_ok(weir_op_close(op));
}

static void work_that_says_nothing_is_idle_from_its_start_on(void **unused)
{
    (void)unused;
    struct told t;
    weir_op op = start_told(&idle_told, &t, 100);
    step(100);
    assert_true(is_cancelled(&t));
    told_end(&t, op);
    assert_int_equal(t.probe.final.reason, WEIR_REASON_TIMEOUT);
}

static void a_post_begins_the_time_out_anew_to_the_nanosecond(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start_for(&idle_defers, &probe, 100);
    gate_wait(&probe.deferred);
    step(60);
    assert_ok(weir_token_post(probe.token, (void *)(uintptr_t)1, 0));
    step(40);                                    /* 100: the timer looks, and goes on */
    assert_ok(weir_token_post(probe.token, (void *)(uintptr_t)2, 0));
    step(60);                                    /* 160: likewise */
    step(39);                                    /* 199 */
    assert_int_equal(weir_op_cancel(op, 0), WEIR_INVALID);
    assert_int_equal(seen.by_status[WEIR_TIMED_OUT], 0);
    step(1);                                     /* 200 */
    assert_int_equal(weir_token_complete(probe.token, WEIR_OK, NULL, 0), WEIR_CANCELED);
    for (uint64_t number = 1; number <= 2; number++) {
        tally_wait(&probe.items, number);
        assert_ok(weir_op_ack(op, number));
    }
    probe_wait(&probe);
    assert_int_equal(probe.final.status, WEIR_TIMED_OUT);
    assert_int_equal(probe.final.reason, WEIR_REASON_TIMEOUT);
    assert_ok(weir_op_ack(op, 3));
    assert_ok(weir_op_close(op));
}

static void an_instant_before_its_time_it_is_not_cancelled(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start_for(&idle_defers, &probe, 100);
    gate_wait(&probe.deferred);
    step(60);
    assert_ok(weir_token_post(probe.token, (void *)(uintptr_t)1, 0));
    step(40);
    step(59);                                    /* 159 */
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    tally_wait(&probe.items, 1);
    assert_ok(weir_op_ack(op, 1));
    probe_wait(&probe);
    assert_int_equal(probe.final.status, WEIR_OK);
    assert_ok(weir_op_ack(op, 2));
    assert_ok(weir_op_close(op));
}

static void progress_begins_the_time_out_anew(void **unused)
{
    (void)unused;
    struct told t;
    weir_op op = start_told(&idle_told, &t, 100);
    for (int i = 0; i < 10; i++) {
        step(60);
        assert_int_equal(ask(&t, ASK_PROGRESS), WEIR_OK);
    }
    step(100);
    assert_true(is_cancelled(&t));
    told_end(&t, op);
}

static void a_post_of_running_work_begins_the_time_out_anew(void **unused)
{
    (void)unused;
    struct told t;
    weir_op op = start_told(&idle_told, &t, 100);
    step(60);
    assert_int_equal(ask(&t, ASK_POST), WEIR_OK);
    step(99);
    assert_int_equal(ask(&t, ASK_POST), WEIR_OK);
    step(100);
    assert_int_equal(ask(&t, ASK_POST), WEIR_CANCELED);
    (void)ask(&t, ASK_RETURN);
    for (uint64_t number = 1; number <= 2; number++) {
        tally_wait(&t.probe.items, number);
        assert_ok(weir_op_ack(op, number));
    }
    probe_wait(&t.probe);
    assert_int_equal(t.probe.final.reason, WEIR_REASON_TIMEOUT);
    assert_ok(weir_op_ack(op, 3));
    assert_ok(weir_op_close(op));
}

static void a_post_that_is_refused_does_not_count(void **unused)
{
    (void)unused;
    struct told t;
    weir_op op = start_told(&idle_told, &t, 100);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(&t, ASK_POST), WEIR_OK);
    step(60);
    assert_int_equal(ask(&t, ASK_POST), WEIR_AGAIN);
    step(40);
    assert_int_equal(ask(&t, ASK_PROGRESS), WEIR_CANCELED);
    (void)ask(&t, ASK_RETURN);
    for (uint64_t number = 1; number <= 3; number++) {
        tally_wait(&t.probe.items, number);
        assert_ok(weir_op_ack(op, number));
    }
    probe_wait(&t.probe);
    assert_ok(weir_op_ack(op, 4));
    assert_ok(weir_op_close(op));
}

static void without_the_flag_posts_and_progress_change_nothing(void **unused)
{
    (void)unused;
    struct told t;
    weir_op op = start_told(&plain_told, &t, 100);
    step(60);
    assert_int_equal(ask(&t, ASK_POST), WEIR_OK);
    assert_int_equal(ask(&t, ASK_PROGRESS), WEIR_OK);
    step(40);
    assert_true(is_cancelled(&t));
    told_end(&t, op);
}

static void a_sessions_default_is_idle_for_such_a_kind(void **unused)
{
    (void)unused;
    struct told t;
    session_close(session);
    session = session_open_with(app, WEIR_NEW(weir_session_options, .timeout_ns = 100));
    weir_op op = start_told(&idle_told, &t, 0);
    step(60);
    assert_int_equal(ask(&t, ASK_PROGRESS), WEIR_OK);
    step(60);
    assert_false(is_cancelled(&t));
    step(100);
    assert_true(is_cancelled(&t));
    told_end(&t, op);
}

static void progress_after_a_cancel_is_answered_canceled(void **unused)
{
    (void)unused;
    struct told t;
    weir_op op = start_told(&plain_told, &t, WEIR_FOREVER);
    assert_int_equal(ask(&t, ASK_PROGRESS), WEIR_OK);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    assert_int_equal(ask(&t, ASK_PROGRESS), WEIR_CANCELED);
    told_end(&t, op);
}

static void an_operation_that_is_over_leaves_no_timer_behind(void **unused)
{
    (void)unused;
    enum { COUNT = 100 };
    for (int i = 0; i < COUNT; i++) {
        struct told t;
        weir_op op = start_told(&idle_told, &t, 100);
        step(60);
        assert_int_equal(ask(&t, ASK_PROGRESS), WEIR_OK);
        step(i % 2 == 0 ? 40 : 1);
        told_end(&t, op);
        assert_ok(t.probe.final.status);
    }
    step(1000);
}

/* On the real clock: timers that arm themselves again against operations that end. */
static void idle_deadlines_meet_ends(void **unused)
{
    (void)unused;
    enum { ROUNDS = 300, COUNT = 4, ITEMS = 20 };
    static const weir_kind kind = KIND(.work = work_streams, .on_result = on_result, .flags = WEIR_IDLE_TIMEOUT);
    uint64_t finals = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct probe probes[COUNT];
        for (int k = 0; k < COUNT; k++) {
            probe_init(&probes[k]);
            probes[k].count = ITEMS;
            assert_ok(weir_op_start(session, &kind, &probes[k], WEIR_NEW(weir_op_options, .timeout_ns = 1000 << k),
                                    NULL));
        }
        for (int k = 0; k < COUNT; k++)
            probe_wait(&probes[k]);
        finals += COUNT;
    }
    weir_report report = session_close(session);
    assert_int_equal(report.completed + report.cancelled + report.timed_out, finals);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_STEPPED(work_that_says_nothing_is_idle_from_its_start_on),
        TEST_STEPPED(a_post_begins_the_time_out_anew_to_the_nanosecond),
        TEST_STEPPED(an_instant_before_its_time_it_is_not_cancelled),
        TEST_STEPPED(progress_begins_the_time_out_anew),
        TEST_STEPPED(a_post_of_running_work_begins_the_time_out_anew),
        TEST_STEPPED(a_post_that_is_refused_does_not_count),
        TEST_STEPPED(without_the_flag_posts_and_progress_change_nothing),
        TEST_STEPPED(a_sessions_default_is_idle_for_such_a_kind),
        TEST_STEPPED(progress_after_a_cancel_is_answered_canceled),
        TEST_STEPPED(an_operation_that_is_over_leaves_no_timer_behind),
        TEST(idle_deadlines_meet_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
