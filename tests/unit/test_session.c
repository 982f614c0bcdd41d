/* SPDX-License-Identifier: Apache-2.0 */
/* test_session.c - operations in sessions on a real application */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <string.h>
#include <cmocka.h>

#include <weir/weir.h>

#include "tests/support/support.h"

static weir_app app;

static int open_app(void **unused)
{
    (void)unused;
    return weir_app_open(WEIR_NEW(weir_app_options, .workers = test_workers()), &app) == WEIR_OK ? 0 : -1;
}

static int close_app(void **unused)
{
    (void)unused;
    return weir_app_close(app, WEIR_FOREVER, NULL) == WEIR_OK ? 0 : -1;
}

static weir_session open_session(void)
{
    weir_session s;
    assert_int_equal(weir_session_open(app, NULL, &s), WEIR_OK);
    return s;
}

/* ---- recording ---- */

static _Atomic uint64_t works, items, finals, drops, gones, by_status[32], wrong_order;
static struct tally final_tally = TALLY_INIT;

static void forget(void)
{
    works = items = finals = drops = gones = wrong_order = 0;
    for (int i = 0; i < 32; i++)
        by_status[i] = 0;
    final_tally.count = 0;
}

struct stream {
    uint64_t next, count, seen;
};

static weir_status work_at_once(weir_task *task, void *ctx)
{
    (void)task;
    (void)ctx;
    atomic_fetch_add(&works, 1);
    return WEIR_OK;
}

static void on_result(const weir_result *r, void *ctx)
{
    struct stream *stream = ctx;
    if (r->more) {
        atomic_fetch_add(&items, 1);
        if (stream != NULL && (uint64_t)(uintptr_t)r->data != stream->seen++ + 100)
            atomic_fetch_add(&wrong_order, 1);
        return;
    }
    if (r->posted != r->delivered + r->discarded || (stream != NULL && r->delivered != stream->seen))
        atomic_fetch_add(&wrong_order, 1);
    atomic_fetch_add(&finals, 1);
    atomic_fetch_add(&by_status[r->status], 1);
    tally_add(&final_tally, 1);
}

static void on_drop(void *data, size_t size)
{
    (void)data;
    (void)size;
    atomic_fetch_add(&drops, 1);
}

static void on_gone(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&gones, 1);
}

static const weir_kind at_once = {
    .size = sizeof(weir_kind), .work = work_at_once, .on_result = on_result, .gone = on_gone,
};

static struct gate closed_gate;
static weir_report closed_report;

static void on_closed(const weir_report *report, void *ctx)
{
    (void)ctx;
    closed_report = *report;
    gate_open(&closed_gate);
}

static void close_and_wait(weir_session s)
{
    closed_gate = (struct gate)GATE_INIT;
    assert_int_equal(weir_session_close(s, on_closed, NULL), WEIR_OK);
    gate_wait(&closed_gate);
    weir_status status = weir_session_wait(s, WEIR_FOREVER, NULL);
    assert_true(status == WEIR_OK || status == WEIR_STALE);
}

/* ---- tests ---- */

static void an_empty_session_opens_and_closes(void **unused)
{
    (void)unused;
    weir_session s = open_session();
    close_and_wait(s);
    assert_int_equal(weir_session_close(s, NULL, NULL), WEIR_STALE);
    assert_int_equal(closed_report.outcome, WEIR_OUTCOME_CLEAN);
}

static void each_started_operation_gets_one_final(void **unused)
{
    (void)unused;
    enum { COUNT = 5000 };
    forget();
    weir_session s = open_session();
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(weir_op_start(s, &at_once, NULL, NULL, NULL), WEIR_OK);
    tally_wait(&final_tally, COUNT);
    close_and_wait(s);
    assert_int_equal(works, COUNT);
    assert_int_equal(finals, COUNT);
    assert_int_equal(gones, COUNT);
    assert_int_equal(by_status[WEIR_OK], COUNT);
    assert_int_equal(closed_report.completed, COUNT);
}

static struct gate block_gate, blocked_gate;

static weir_status work_that_blocks(weir_task *task, void *ctx)
{
    (void)task;
    (void)ctx;
    gate_open(&blocked_gate);
    gate_wait(&block_gate);
    return WEIR_OK;
}

static const weir_kind blocks = { .size = sizeof(weir_kind), .work = work_that_blocks, .on_result = on_result };

/* Every worker is inside a work function, so that what is started now waits. */
static void block_one_worker(weir_session s)
{
    block_gate = blocked_gate = (struct gate)GATE_INIT;
    assert_int_equal(weir_op_start(s, &blocks, NULL, NULL, NULL), WEIR_OK);
    gate_wait(&blocked_gate);
}

static void a_close_ends_what_waits_and_what_runs(void **unused)
{
    (void)unused;
    enum { COUNT = 10000 };
    forget();
    weir_session s = open_session();
    block_one_worker(s);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(weir_op_start(s, &at_once, NULL, NULL, NULL), WEIR_OK);
    closed_gate = (struct gate)GATE_INIT;
    assert_int_equal(weir_session_close(s, on_closed, NULL), WEIR_OK);
    assert_int_equal(weir_session_close(s, on_closed, NULL), WEIR_CLOSING);
    assert_int_equal(weir_op_start(s, &at_once, NULL, NULL, NULL), WEIR_CLOSED);
    gate_open(&block_gate);
    gate_wait(&closed_gate);
    assert_int_equal(finals, COUNT + 1);
    assert_int_equal(works + by_status[WEIR_CANCELED], COUNT);
    assert_int_equal(closed_report.accepted, COUNT + 1);
}

static void a_cancel_of_one_wins_once(void **unused)
{
    (void)unused;
    forget();
    weir_session s = open_session();
    block_one_worker(s);
    weir_op op;
    assert_int_equal(weir_op_start(s, &blocks, NULL, NULL, &op), WEIR_OK);
    assert_int_equal(weir_op_cancel(op, 64), WEIR_OK);
    weir_status again = weir_op_cancel(op, 65);
    assert_int_equal(again, WEIR_ALREADY);
    gate_open(&block_gate);
    tally_wait(&final_tally, 2);
    assert_int_equal(weir_op_cancel(op, 65), WEIR_ALREADY);    /* the handle is open */
    assert_int_equal(weir_op_close(op), WEIR_OK);
    assert_int_equal(weir_op_close(op), WEIR_STALE);
    close_and_wait(s);
    assert_int_equal(weir_op_cancel(op, 65), WEIR_STALE);
}

static void an_open_handle_holds_the_close(void **unused)
{
    (void)unused;
    forget();
    weir_session s = open_session();
    weir_op op;
    assert_int_equal(weir_op_start(s, &at_once, NULL, NULL, &op), WEIR_OK);
    tally_wait(&final_tally, 1);
    closed_gate = (struct gate)GATE_INIT;
    assert_int_equal(weir_session_close(s, on_closed, NULL), WEIR_OK);
    assert_int_equal(weir_session_wait(s, 0, NULL), WEIR_TIMED_OUT);
    weir_session mine = { 0 };
    assert_int_equal(weir_op_session(op, &mine), WEIR_OK);
    assert_int_equal(mine.bits, s.bits);
    assert_int_equal(weir_op_close(op), WEIR_OK);
    gate_wait(&closed_gate);
}

static weir_status work_of_a_stream(weir_task *task, void *ctx)
{
    struct stream *stream = ctx;
    while (stream->next < stream->count) {
        if (weir_task_cancelled(task) != 0)
            return WEIR_CANCELED;
        weir_status status = weir_task_post(task, (void *)(uintptr_t)(stream->next + 100), 8);
        if (status != WEIR_OK)
            return status;
        stream->next++;
    }
    return weir_task_explain(task, "all lines were read");
}

static void stream_with_window(uint32_t window)
{
    enum { COUNT = 1000 };
    const weir_kind kind = {
        .size = sizeof(weir_kind), .work = work_of_a_stream, .on_result = on_result, .drop = on_drop, .window = window,
    };
    struct stream stream = { .count = COUNT };
    forget();
    weir_session s = open_session();
    assert_int_equal(weir_op_start(s, &kind, &stream, NULL, NULL), WEIR_OK);
    tally_wait(&final_tally, 1);
    close_and_wait(s);
    assert_int_equal(items, COUNT);
    assert_int_equal(drops, COUNT);
    assert_int_equal(wrong_order, 0);
    assert_int_equal(by_status[WEIR_OK], 1);
}

static void a_stream_comes_in_order_through_any_window(void **unused)
{
    (void)unused;
    stream_with_window(0);
    stream_with_window(2);
    stream_with_window(7);
    stream_with_window(WEIR_WINDOW_MAX);
}

static _Atomic uint64_t acked;

static void on_result_ack_inside(const weir_result *r, void *ctx)
{
    on_result(r, ctx);
    if (weir_op_ack(r->op, r->number) == WEIR_OK)
        atomic_fetch_add(&acked, 1);
    if (weir_op_ack(r->op, r->number) == WEIR_OK || weir_op_ack(r->op, r->number + 1) == WEIR_OK)
        atomic_fetch_add(&wrong_order, 1);
}

static void acknowledging_by_number_lets_the_next_one_come(void **unused)
{
    (void)unused;
    enum { COUNT = 300 };
    const weir_kind kind = {
        .size = sizeof(weir_kind), .work = work_of_a_stream, .on_result = on_result_ack_inside, .drop = on_drop,
        .window = 3, .flags = WEIR_MANUAL_ACK,
    };
    struct stream stream = { .count = COUNT };
    forget();
    acked = 0;
    weir_session s = open_session();
    assert_int_equal(weir_op_start(s, &kind, &stream, NULL, NULL), WEIR_OK);
    tally_wait(&final_tally, 1);
    close_and_wait(s);
    assert_int_equal(acked, COUNT + 1);
    assert_int_equal(drops, COUNT);
    assert_int_equal(items, COUNT);
    assert_int_equal(wrong_order, 0);
}

static void a_session_cancel_leaves_the_session_open(void **unused)
{
    (void)unused;
    enum { COUNT = 1000 };
    forget();
    weir_session s = open_session();
    block_one_worker(s);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(weir_op_start(s, &at_once, NULL, NULL, NULL), WEIR_OK);
    assert_int_equal(weir_session_cancel(s, 70), WEIR_OK);
    gate_open(&block_gate);
    tally_wait(&final_tally, COUNT + 1);
    assert_int_equal(works + by_status[WEIR_CANCELED], COUNT);
    assert_int_equal(weir_op_start(s, &at_once, NULL, NULL, NULL), WEIR_OK);
    tally_wait(&final_tally, COUNT + 2);
    assert_true(by_status[WEIR_OK] >= 2);
    close_and_wait(s);
}

/* ---- hooks, tokens ---- */

static struct gate hook_gate, deferred_gate;
static weir_token token;
static _Atomic uint64_t hooks, hook_reason;
static bool hook_answer;

static bool on_cancel(weir_reason reason, void *ctx)
{
    (void)ctx;
    hooks++;
    hook_reason = reason;
    gate_open(&hook_gate);
    return hook_answer;
}

static weir_status work_until_the_hook(weir_task *task, void *ctx)
{
    weir_status status = weir_task_on_cancel(task, on_cancel, ctx);
    if (status != WEIR_OK)
        return status;
    gate_open(&blocked_gate);
    gate_wait(&hook_gate);
    (void)!weir_task_on_cancel(task, NULL, NULL);
    return weir_task_cancelled(task) == 77 ? WEIR_CANCELED : WEIR_OK;
}

static const weir_kind hooked = { .size = sizeof(weir_kind), .work = work_until_the_hook, .on_result = on_result };

static void a_cancel_calls_the_hook_of_running_work(void **unused)
{
    (void)unused;
    forget();
    hooks = 0;
    weir_session s = open_session();
    weir_op op;
    blocked_gate = hook_gate = (struct gate)GATE_INIT;
    assert_int_equal(weir_op_start(s, &hooked, NULL, NULL, &op), WEIR_OK);
    gate_wait(&blocked_gate);
    assert_int_equal(weir_op_cancel(op, 77), WEIR_OK);
    tally_wait(&final_tally, 1);
    assert_int_equal(weir_op_close(op), WEIR_OK);
    close_and_wait(s);
    assert_int_equal(hooks, 1);
    assert_int_equal(hook_reason, 77);
    assert_int_equal(by_status[WEIR_CANCELED], 1);
}

static weir_status work_that_defers(weir_task *task, void *ctx)
{
    (void)ctx;
    (void)!weir_task_on_cancel(task, on_cancel, NULL);
    weir_token t;
    weir_status status = weir_task_defer(task, &t);
    if (status == WEIR_OK) {
        token = t;
        gate_open(&deferred_gate);
    }
    return WEIR_FAILED;                                        /* ignored after a deferral */
}

static const weir_kind defers = {
    .size = sizeof(weir_kind), .work = work_that_defers, .on_result = on_result, .drop = on_drop, .gone = on_gone,
};

static weir_session start_deferred(void)
{
    forget();
    hooks = 0;
    hook_gate = deferred_gate = (struct gate)GATE_INIT;
    weir_session s = open_session();
    assert_int_equal(weir_op_start(s, &defers, NULL, NULL, NULL), WEIR_OK);
    gate_wait(&deferred_gate);
    return s;
}

static void a_token_completes_once(void **unused)
{
    (void)unused;
    weir_session s = start_deferred();
    char detail;
    assert_int_equal(weir_token_complete(token, WEIR_OK, &detail, 1), WEIR_OK);
    weir_status again = weir_token_complete(token, WEIR_OK, NULL, 0);
    assert_int_equal(again, WEIR_STALE);
    tally_wait(&final_tally, 1);
    close_and_wait(s);
    assert_int_equal(by_status[WEIR_OK], 1);
    assert_int_equal(drops, 1);
    assert_int_equal(gones, 1);
    assert_int_equal(hooks, 0);
}

static void results_come_through_a_token(void **unused)
{
    (void)unused;
    weir_session s = start_deferred();
    weir_status status = WEIR_OK;
    uint64_t posted = 0;
    for (uint64_t i = 0; i < 100; i++) {
        while ((status = weir_token_post(token, (void *)(uintptr_t)(i + 100), 1)) == WEIR_AGAIN)
            deferred_gate = (struct gate)GATE_INIT;
        posted += status == WEIR_OK;
    }
    assert_int_equal(posted, 100);
    assert_int_equal(weir_token_complete(token, WEIR_FAILED, NULL, 0), WEIR_OK);
    tally_wait(&final_tally, 1);
    close_and_wait(s);
    assert_int_equal(items, 100);
    assert_int_equal(drops, 100);
    assert_int_equal(by_status[WEIR_FAILED], 1);
}

static void a_hook_that_answers_true_ends_deferred_work(void **unused)
{
    (void)unused;
    hook_answer = true;
    weir_session s = start_deferred();
    close_and_wait(s);
    assert_int_equal(hooks, 1);
    assert_int_equal(by_status[WEIR_CANCELED], 1);
    assert_int_equal(weir_token_complete(token, WEIR_OK, NULL, 0), WEIR_STALE);
}

static void a_hook_that_answers_false_leaves_the_final_to_the_token(void **unused)
{
    (void)unused;
    hook_answer = false;
    weir_session s = start_deferred();
    closed_gate = (struct gate)GATE_INIT;
    assert_int_equal(weir_session_close(s, on_closed, NULL), WEIR_OK);
    gate_wait(&hook_gate);
    assert_int_equal(weir_token_post(token, NULL, 0), WEIR_CANCELED);
    assert_int_equal(weir_token_complete(token, WEIR_OK, NULL, 0), WEIR_OK);
    gate_wait(&closed_gate);
    assert_int_equal(by_status[WEIR_OK], 1);
    assert_int_equal(closed_report.completed, 1);
}

static void closing_the_application_closes_its_sessions(void **unused)
{
    (void)unused;
    enum { COUNT = 3000 };
    forget();
    for (int i = 0; i < 3; i++) {
        weir_session s = open_session();
        for (int k = 0; k < COUNT; k++)
            assert_int_equal(weir_op_start(s, &at_once, NULL, NULL, NULL), WEIR_OK);
    }
    assert_int_equal(weir_app_close(app, WEIR_FOREVER, NULL), WEIR_OK);
    assert_int_equal(finals, 3 * COUNT);
    assert_int_equal(gones, 3 * COUNT);
    assert_int_equal(works + by_status[WEIR_CANCELED], 3 * COUNT);
    assert_int_equal(open_app(NULL), 0);                       /* for the tear-down */
}

static void the_application_waits_for_its_sessions_until_its_deadline(void **unused)
{
    (void)unused;
    forget();
    weir_session s = open_session();
    weir_op op;
    assert_int_equal(weir_op_start(s, &at_once, NULL, NULL, &op), WEIR_OK);
    tally_wait(&final_tally, 1);
    assert_int_equal(weir_app_close(app, 0, NULL), WEIR_TIMED_OUT);
    assert_int_equal(weir_app_close(app, 1000000, NULL), WEIR_TIMED_OUT);
    weir_session late = { 0 };
    assert_int_equal(weir_session_open(app, NULL, &late), WEIR_SHUTDOWN);
    assert_int_equal(weir_op_start(s, &at_once, NULL, NULL, NULL), WEIR_CLOSED);
    assert_int_equal(weir_op_close(op), WEIR_OK);
    assert_int_equal(weir_app_close(app, WEIR_FOREVER, NULL), WEIR_OK);
    assert_int_equal(weir_session_close(s, NULL, NULL), WEIR_STALE);
    assert_int_equal(open_app(NULL), 0);                       /* for the tear-down */
}

static weir_report waiting_report;
static weir_status waiting_status;
static struct gate waits_gate;

static void *wait_for_session(void *session)
{
    waiting_report.size = sizeof(waiting_report);
    gate_open(&waits_gate);
    waiting_status = weir_session_wait(*(weir_session *)session, WEIR_FOREVER, &waiting_report);
    return NULL;
}

static void who_waits_is_given_the_report(void **unused)
{
    (void)unused;
    forget();
    weir_session s = open_session();
    block_one_worker(s);
    weir_report report = { .size = sizeof(report) };
    assert_int_equal(weir_session_wait(s, 0, &report), WEIR_TIMED_OUT);
    assert_int_equal(report.phase, WEIR_PHASE_OPEN);
    waits_gate = (struct gate)GATE_INIT;
    pthread_t waiter = thread_start(wait_for_session, &s);
    gate_wait(&waits_gate);
    gate_open(&block_gate);
    tally_wait(&final_tally, 1);
    assert_int_equal(weir_session_close(s, NULL, NULL), WEIR_OK);
    thread_join(waiter);
    assert_true(waiting_status == WEIR_OK || waiting_status == WEIR_STALE);
    if (waiting_status == WEIR_OK) {
        assert_int_equal(waiting_report.phase, WEIR_PHASE_CLOSED);
        assert_int_equal(waiting_report.completed, 1);
    }
    assert_int_equal(weir_session_wait(s, 0, &report), WEIR_STALE);
    report.size--;
    assert_int_equal(weir_session_wait(s, 0, &report), WEIR_INVALID);
}

/* ---- starts against closes ---- */

static _Atomic uint64_t accepted, refused;
static weir_session raced;

static void *start_many(void *unused)
{
    (void)unused;
    for (int i = 0; i < 300; i++)
        if (weir_op_start(raced, &at_once, NULL, NULL, NULL) == WEIR_OK)
            atomic_fetch_add(&accepted, 1);
        else
            atomic_fetch_add(&refused, 1);
    return NULL;
}

static void a_start_that_races_with_a_close_is_accepted_or_refused(void **unused)
{
    (void)unused;
    for (int round = 0; round < 200; round++) {
        forget();
        accepted = refused = 0;
        raced = open_session();
        pthread_t a = thread_start(start_many, NULL), b = thread_start(start_many, NULL);
        tally_wait(&final_tally, 1 + (uint64_t)round % 50);
        close_and_wait(raced);
        assert_int_equal(finals, closed_report.accepted);
        thread_join(a);
        thread_join(b);
        assert_int_equal(finals, accepted);
        assert_int_equal(accepted + refused, 600);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_session_opens_and_closes, open_app, close_app),
        cmocka_unit_test_setup_teardown(each_started_operation_gets_one_final, open_app, close_app),
        cmocka_unit_test_setup_teardown(a_close_ends_what_waits_and_what_runs, open_app, close_app),
        cmocka_unit_test_setup_teardown(a_cancel_of_one_wins_once, open_app, close_app),
        cmocka_unit_test_setup_teardown(an_open_handle_holds_the_close, open_app, close_app),
        cmocka_unit_test_setup_teardown(a_stream_comes_in_order_through_any_window, open_app, close_app),
        cmocka_unit_test_setup_teardown(acknowledging_by_number_lets_the_next_one_come, open_app, close_app),
        cmocka_unit_test_setup_teardown(a_session_cancel_leaves_the_session_open, open_app, close_app),
        cmocka_unit_test_setup_teardown(a_cancel_calls_the_hook_of_running_work, open_app, close_app),
        cmocka_unit_test_setup_teardown(a_token_completes_once, open_app, close_app),
        cmocka_unit_test_setup_teardown(results_come_through_a_token, open_app, close_app),
        cmocka_unit_test_setup_teardown(a_hook_that_answers_true_ends_deferred_work, open_app, close_app),
        cmocka_unit_test_setup_teardown(a_hook_that_answers_false_leaves_the_final_to_the_token, open_app, close_app),
        cmocka_unit_test_setup_teardown(closing_the_application_closes_its_sessions, open_app, close_app),
        cmocka_unit_test_setup_teardown(the_application_waits_for_its_sessions_until_its_deadline, open_app, close_app),
        cmocka_unit_test_setup_teardown(who_waits_is_given_the_report, open_app, close_app),
        cmocka_unit_test_setup_teardown(a_start_that_races_with_a_close_is_accepted_or_refused, open_app, close_app),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
