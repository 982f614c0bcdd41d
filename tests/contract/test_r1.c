/* SPDX-License-Identifier: Apache-2.0 */
/* test_r1.c - R1: an accepted start delivers exactly one final; a refused one does nothing at all */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

/* ---- accepted ---- */

static void each_accepted_start_delivers_one_final(void **unused)
{
    (void)unused;
    enum { COUNT = 5000 };
    for (int i = 0; i < COUNT; i++)
        start_closed(&ends, NULL);
    weir_report report = session_close(session);
    assert_int_equal(tally_count(&seen.finals), COUNT);
    assert_int_equal(report.accepted, COUNT);
    assert_int_equal(report.completed + report.cancelled, COUNT);
}

struct who {
    weir_op op;                                  /* written by the start */
    uint64_t there, told;
};

static weir_status work_reads_the_handle(weir_task *task, void *ctx)
{
    struct who *who = ctx;
    who->there = who->op.bits;
    who->told = weir_task_op(task).bits;
    return WEIR_OK;
}

static void counts_finals(const weir_result *r, void *ctx)
{
    (void)r;
    (void)ctx;
    tally_add(&seen.finals, 1);
}

static void the_handle_is_written_before_the_work_can_run(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_reads_the_handle, .on_result = counts_finals);
    for (uint64_t i = 1; i <= 300; i++) {
        struct who who = { 0 };
        assert_ok(weir_op_start(session, &kind, &who, NULL, &who.op));
        tally_wait(&seen.finals, i);
        assert_int_equal(who.there, who.op.bits);
        assert_int_equal(who.told, who.op.bits);
        assert_ok(weir_op_close(who.op));
    }
}

/* ---- without a handle ---- */

static void without_a_handle_it_is_born_closed(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_hold(&probe, session);
    struct closing closing = CLOSING_INIT;
    assert_ok(weir_session_close(session, closing_done, &closing));
    probe_release(&probe);
    closing_wait(&closing, session);             /* no handle holds it */
}

static _Atomic int cancel_in_item, ack_in_item, close_in_item;

static void uses_the_operation_of_the_result(const weir_result *r, void *ctx)
{
    if (r->more) {
        cancel_in_item = weir_op_cancel(r->op, WEIR_REASON_OWN);
        close_in_item = weir_op_close(r->op);
        ack_in_item = weir_op_ack(r->op, r->number);
        return;
    }
    on_result(r, ctx);
}

static void the_operation_in_a_result_serves_cancel_and_ack_until_the_final_is_acknowledged(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_streams, .on_result = uses_the_operation_of_the_result,
                                       .flags = WEIR_MANUAL_ACK, .window = 4);
    struct probe probe;
    probe_init(&probe);
    probe.count = 1;
    start_closed(&kind, &probe);
    probe_wait(&probe);
    weir_op op = probe.op;
    assert_true(cancel_in_item == WEIR_OK || cancel_in_item == WEIR_TOO_LATE);
    assert_int_equal(close_in_item, WEIR_STALE); /* it was born closed */
    assert_int_equal(ack_in_item, WEIR_OK);
    assert_true(weir_op_cancel(op, WEIR_REASON_USER) != WEIR_STALE);
    assert_ok(weir_op_ack(op, probe.final.number));
    session_close(session);                      /* its callback has returned, too */
    assert_status(weir_op_cancel(op, WEIR_REASON_USER), WEIR_STALE);
    assert_status(weir_op_ack(op, probe.final.number), WEIR_STALE);
}

/* ---- refused ---- */

struct hook {
    _Atomic bool fails;
};

static void *hook_alloc(size_t size, size_t align, void *ctx)
{
    struct hook *hook = ctx;
    return hook->fails ? NULL : aligned_alloc(align, (size + align - 1) / align * align);
}

static void hook_release(void *memory, size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    free(memory);
}

static void refused(weir_session in, const weir_kind *kind, const weir_op_options *options, weir_status expected)
{
    weir_op out = { 77 };
    assert_status(weir_op_start(in, kind, NULL, options, &out), expected);
    assert_int_equal(out.bits, 77);
    assert_status(weir_op_start(in, kind, NULL, options, NULL), expected);
}

static void check_that_nothing_was_called(weir_session in)
{
    weir_report report = session_close(in);
    assert_int_equal(report.accepted, 0);
    assert_int_equal(seen.works, 0);
    assert_int_equal(seen.gones, 0);
    assert_int_equal(tally_count(&seen.finals), 0);
}

static void a_start_with_wrong_arguments_does_nothing(void **unused)
{
    (void)unused;
    static const weir_kind idle = KIND(.on_result = on_result, .gone = on_gone);
    static const weir_kind small = { .size = sizeof(weir_kind) - 1, .work = work_ends, .on_result = on_result };
    static const weir_kind wide = KIND(.work = work_ends, .on_result = on_result, .window = WEIR_WINDOW_MAX + 1);
    refused(session, NULL, NULL, WEIR_INVALID);
    refused(session, &idle, NULL, WEIR_INVALID);
    refused(session, &small, NULL, WEIR_INVALID);
    refused(session, &wide, NULL, WEIR_INVALID);
    refused(session, &ends, WEIR_NEW(weir_op_options, .lane = WEIR_BLOCKING + 1), WEIR_INVALID);
    refused(session, &ends, WEIR_NEW(weir_op_options, .timeout_ns = -1), WEIR_INVALID);
    refused(session, &ends, &(weir_op_options){ .size = sizeof(weir_op_options) - 1 }, WEIR_INVALID);
    check_that_nothing_was_called(session);
}

static void a_pull_operation_needs_a_handle(void **unused)
{
    (void)unused;
    assert_status(weir_op_start(session, &pulled, NULL, NULL, NULL), WEIR_INVALID);
    check_that_nothing_was_called(session);
}

static void a_start_in_a_closed_session_does_nothing(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_hold(&probe, session);
    assert_ok(weir_session_close(session, NULL, NULL));
    refused(session, &ends, NULL, WEIR_CLOSED);
    probe_release(&probe);
    wait_until_closed(session);
    refused(session, &ends, NULL, WEIR_STALE);
    assert_int_equal(seen.works, 1);
    assert_int_equal(tally_count(&seen.finals), 1);
}

/* A worker that looks at the session counts for a moment, too. */
static void start_when_there_is_room(weir_session in, const weir_kind *kind, struct probe *probe)
{
    weir_status status;
    probe_init(probe);
    while ((status = weir_op_start(in, kind, probe, NULL, NULL)) == WEIR_LIMIT)
        (void)sched_yield();
    assert_ok(status);
}

static void a_start_beyond_the_sessions_limit_does_nothing(void **unused)
{
    (void)unused;
    struct probe probes[3];
    weir_session narrow = session_open_with(app, WEIR_NEW(weir_session_options, .live_max = 2));
    for (int i = 0; i < 2; i++) {
        start_when_there_is_room(narrow, &defers, &probes[i]);
        gate_wait(&probes[i].deferred);
    }
    refused(narrow, &ends, NULL, WEIR_LIMIT);
    assert_ok(weir_token_complete(probes[0].token, WEIR_OK, NULL, 0));
    start_when_there_is_room(narrow, &ends, &probes[2]);
    probe_wait(&probes[2]);
    weir_report report = session_close(narrow);
    assert_int_equal(report.accepted, 3);
    assert_int_equal(tally_count(&seen.finals), 3);
}

static void a_start_without_memory_does_nothing(void **unused)
{
    (void)unused;
    struct hook hook = { false };
    weir_app poor = app_open_with(WEIR_NEW(weir_app_options, .workers = 1, .alloc = hook_alloc,
                                           .release = hook_release, .ctx = &hook));
    weir_session in = session_open_with(poor, NULL);
    hook.fails = true;
    refused(in, &ends, NULL, WEIR_NO_MEMORY);
    refused(in, &ends, WEIR_NEW(weir_op_options, .timeout_ns = 1000), WEIR_NO_MEMORY);
    hook.fails = false;
    check_that_nothing_was_called(in);
    app_close(poor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_accepted_start_delivers_one_final),
        TEST(the_handle_is_written_before_the_work_can_run),
        TEST(without_a_handle_it_is_born_closed),
        TEST(the_operation_in_a_result_serves_cancel_and_ack_until_the_final_is_acknowledged),
        TEST(a_start_with_wrong_arguments_does_nothing),
        TEST(a_pull_operation_needs_a_handle),
        TEST(a_start_in_a_closed_session_does_nothing),
        TEST(a_start_beyond_the_sessions_limit_does_nothing),
        TEST(a_start_without_memory_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
