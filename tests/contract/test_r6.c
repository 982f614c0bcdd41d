/* SPDX-License-Identifier: Apache-2.0 */
/* test_r6.c - R6: pull, and what becomes of a pull operation whose handle is closed (H3) */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include <weir/weir.h>

#include "tests/support/support.h"

static weir_app app;
static weir_session session;
static _Atomic uint64_t drops, gones;
static struct gate posted, inside;

static int open_app(void **unused)
{
    (void)unused;
    drops = gones = 0;
    posted = inside = (struct gate)GATE_INIT;
    if (weir_app_open(WEIR_NEW(weir_app_options, .workers = test_workers()), &app) != WEIR_OK)
        return -1;
    return weir_session_open(app, NULL, &session) == WEIR_OK ? 0 : -1;
}

static int close_app(void **unused)
{
    (void)unused;
    return weir_app_close(app, WEIR_FOREVER, NULL) == WEIR_OK ? 0 : -1;
}

struct stream {
    uint64_t next, count;
    bool stays;                                                /* parked at the end, until it is cancelled */
};

static weir_status work(weir_task *task, void *ctx)
{
    struct stream *stream = ctx;
    while (stream->next < stream->count || stream->stays) {
        weir_status status = weir_task_post(task, (void *)(uintptr_t)(stream->next + 100), 8);
        if (status == WEIR_AGAIN)
            gate_open(&posted);
        if (status != WEIR_OK)
            return status;
        stream->next++;
    }
    static char detail;
    return weir_task_detail(task, &detail, 1);
}

static void on_drop(void *data, size_t size)
{
    (void)data;
    (void)size;
    drops++;
}

static void on_gone(void *ctx)
{
    (void)ctx;
    gones++;
}

static const weir_kind narrow = { .size = sizeof(weir_kind), .work = work, .drop = on_drop, .gone = on_gone };
static const weir_kind wide = {
    .size = sizeof(weir_kind), .work = work, .drop = on_drop, .gone = on_gone, .window = 8,
};
static const weir_kind plain = { .size = sizeof(weir_kind), .work = work, .window = 3 };

static void finish(weir_op op)
{
    assert_int_equal(weir_op_close(op), WEIR_OK);
    assert_int_equal(weir_session_close(session, NULL, NULL), WEIR_OK);
    weir_report report = { .size = sizeof(report) };
    weir_status status = weir_session_wait(session, WEIR_FOREVER, &report);
    assert_true(status == WEIR_STALE || (status == WEIR_OK && report.posted == report.delivered + report.discarded));
}

static void read_all(const weir_kind *kind)
{
    enum { COUNT = 500 };
    struct stream stream = { .count = COUNT };
    weir_op op;
    const weir_result *r;
    assert_int_equal(weir_op_start(session, kind, &stream, WEIR_NEW(weir_op_options, .tag = 7), &op), WEIR_OK);
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_int_equal(weir_op_next(op, WEIR_FOREVER, &r), WEIR_OK);
        assert_true(r->more);
        assert_int_equal(r->number, i + 1);
        assert_int_equal((uintptr_t)r->data, i + 100);
        assert_int_equal(r->tag, 7);
    }
    for (int again = 0; again < 3; again++) {
        assert_int_equal(weir_op_next(op, WEIR_FOREVER, &r), WEIR_OK);
        assert_false(r->more);
        assert_int_equal(r->status, WEIR_OK);
        assert_int_equal(r->number, COUNT + 1);
        assert_int_equal(r->posted, COUNT);
        assert_int_equal(r->delivered, COUNT);
        assert_non_null(r->data);
    }
    finish(op);
    if (kind->drop != NULL)
        assert_int_equal(drops, COUNT + 1);                    /* and the detail */
}

static void results_are_fetched_in_order_and_the_final_again_and_again(void **unused)
{
    (void)unused;
    read_all(&narrow);
}

static void a_window_of_results_waits_for_who_fetches_them(void **unused)
{
    (void)unused;
    read_all(&wide);
}

static void results_without_a_drop_are_fetched_as_well(void **unused)
{
    (void)unused;
    read_all(&plain);
}

static void closing_an_unread_operation_cancels_and_discards(void **unused)
{
    (void)unused;
    struct stream stream = { .stays = true };
    weir_op op;
    const weir_result *r;
    assert_int_equal(weir_op_start(session, &wide, &stream, NULL, &op), WEIR_OK);
    gate_wait(&posted);
    assert_int_equal(weir_op_next(op, 0, &r), WEIR_OK);
    weir_op forgotten = op;
    finish(op);
    assert_int_equal(weir_op_next(forgotten, 0, &r), WEIR_STALE);
    assert_int_equal(weir_op_close(forgotten), WEIR_STALE);
    assert_int_equal(drops, stream.next);
    assert_int_equal(gones, 1);
}

static weir_status work_waits(weir_task *task, void *ctx)
{
    (void)task;
    (void)ctx;
    gate_open(&inside);
    gate_wait(&posted);
    return WEIR_FAILED;
}

static const weir_kind waits = { .size = sizeof(weir_kind), .work = work_waits };

static void a_deadline_passes_and_the_operation_goes_on(void **unused)
{
    (void)unused;
    weir_op op;
    const weir_result *r = NULL;
    assert_int_equal(weir_op_start(session, &waits, NULL, NULL, &op), WEIR_OK);
    gate_wait(&inside);
    assert_int_equal(weir_op_next(op, 0, &r), WEIR_TIMED_OUT);
    assert_int_equal(weir_op_next(op, 1000, &r), WEIR_TIMED_OUT);
    assert_null(r);
    assert_int_equal(weir_op_next(op, -1, &r), WEIR_INVALID);
    gate_open(&posted);
    assert_int_equal(weir_op_next(op, WEIR_FOREVER, &r), WEIR_OK);
    assert_int_equal(r->status, WEIR_FAILED);
    finish(op);
}

static weir_op fetched;
static _Atomic int fetch_status;

static void *fetch(void *unused)
{
    const weir_result *r;
    (void)unused;
    do
        fetch_status = (int)weir_op_next(fetched, WEIR_FOREVER, &r);
    while (fetch_status == WEIR_BUSY);                         /* the test is inside, for a moment */
    return NULL;
}

static void who_waits_is_told_that_the_handle_was_closed(void **unused)
{
    (void)unused;
    const weir_result *r;
    weir_status status;
    assert_int_equal(weir_op_start(session, &waits, NULL, NULL, &fetched), WEIR_OK);
    gate_wait(&inside);
    pthread_t thread = thread_start(fetch, NULL);
    while ((status = weir_op_next(fetched, 0, &r)) == WEIR_TIMED_OUT)
        ;                                                      /* until the other one is inside */
    assert_int_equal(status, WEIR_BUSY);
    assert_int_equal(weir_op_close(fetched), WEIR_OK);
    thread_join(thread);
    assert_int_equal(fetch_status, WEIR_STALE);
    gate_open(&posted);
}

static void a_cancel_ends_the_wait_with_the_final(void **unused)
{
    (void)unused;
    struct stream stream = { .stays = true };
    weir_op op;
    const weir_result *r;
    uint64_t items = 0;
    assert_int_equal(weir_op_start(session, &wide, &stream, NULL, &op), WEIR_OK);
    gate_wait(&posted);
    assert_int_equal(weir_op_cancel(op, 80), WEIR_OK);
    for (;;) {
        assert_int_equal(weir_op_next(op, WEIR_FOREVER, &r), WEIR_OK);
        if (!r->more)
            break;
        items++;
    }
    assert_int_equal(r->status, WEIR_CANCELED);
    assert_int_equal(r->reason, 80);
    assert_int_equal(r->delivered, items);
    assert_int_equal(r->posted, items);
    finish(op);
    assert_int_equal(drops, items);
}

static void a_kind_that_discards_gives_the_final_at_once(void **unused)
{
    (void)unused;
    static const weir_kind discards = {
        .size = sizeof(weir_kind), .work = work, .drop = on_drop, .window = 8, .flags = WEIR_DISCARD_ON_CANCEL,
    };
    struct stream stream = { .stays = true };
    weir_op op;
    const weir_result *r;
    assert_int_equal(weir_op_start(session, &discards, &stream, NULL, &op), WEIR_OK);
    gate_wait(&posted);
    assert_int_equal(weir_op_next(op, WEIR_FOREVER, &r), WEIR_OK);
    assert_int_equal(weir_session_cancel(session, 81), WEIR_OK);
    do
        assert_int_equal(weir_op_next(op, WEIR_FOREVER, &r), WEIR_OK);
    while (r->more);
    assert_int_equal(r->reason, 81);
    assert_int_equal(r->posted, r->delivered + r->discarded);
    uint64_t all = r->posted;
    finish(op);
    assert_int_equal(drops, all);
}

static void a_pull_kind_needs_a_handle_and_a_push_kind_is_not_fetched(void **unused)
{
    (void)unused;
    weir_op none = { 0 };
    const weir_result *r;
    assert_int_equal(weir_op_start(session, &waits, NULL, NULL, NULL), WEIR_INVALID);
    assert_int_equal(weir_op_next(none, 0, &r), WEIR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_app, close_app)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(results_are_fetched_in_order_and_the_final_again_and_again),
        TEST(a_window_of_results_waits_for_who_fetches_them),
        TEST(results_without_a_drop_are_fetched_as_well),
        TEST(closing_an_unread_operation_cancels_and_discards),
        TEST(a_deadline_passes_and_the_operation_goes_on),
        TEST(who_waits_is_told_that_the_handle_was_closed),
        TEST(a_cancel_ends_the_wait_with_the_final),
        TEST(a_kind_that_discards_gives_the_final_at_once),
        TEST(a_pull_kind_needs_a_handle_and_a_push_kind_is_not_fetched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
