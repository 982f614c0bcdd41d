/* SPDX-License-Identifier: Apache-2.0 */
/* test_s9_late_calls.c - S9, R7, H3: what calls answer that name an operation which was abandoned */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include <weir/weir.h>

#include "tests/support/session_fixture.h"

static void abandon_now(void)
{
    struct closing closing = CLOSING_INIT;
    assert_ok(weir_session_close_with(session, WEIR_NEW(weir_close_options, .abandon = true, .closed = closing_done,
                                                        .ctx = &closing)));
    closing_wait(&closing, session);
    assert_int_equal(closing.report.abandoned, 1);
}

static uint64_t misuses(void)
{
    weir_stats stats = { .size = sizeof(stats) };
    assert_ok(weir_app_stats(app, &stats));
    return stats.misuses;
}

/* ---- its session is over, and its work goes on ---- */

static const weir_kind holds_gone = KIND(.work = work_holds, .on_result = on_result, .gone = on_gone);

static void an_operation_that_outlives_its_session_has_none(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&holds_gone, &probe);
    gate_wait(&probe.entered);
    abandon_now();
    weir_session mine = { 77 };
    assert_status(weir_op_session(op, &mine), WEIR_STALE);
    assert_int_equal(mine.bits, 77);
    gate_open(&probe.leave);
    tally_wait(&probe.gones, 1);
}

/* ---- its final was decided before ---- */

/* Gives one result, defers, and fails by its token, behind the result that nobody acknowledges. */
static weir_status work_gives_one_and_defers(weir_task *task, void *ctx)
{
    weir_status status = weir_task_post(task, (void *)(uintptr_t)1, 8);
    return status != WEIR_OK ? status : defer_to(task, ctx);
}

static weir_status work_gives_one_and_fails(weir_task *task, void *ctx)
{
    (void)ctx;
    weir_status status = weir_task_post(task, (void *)(uintptr_t)1, 8);
    return status != WEIR_OK ? status : WEIR_FAILED;
}

static weir_report abandon_what_is_answered(const weir_kind *kind, bool by_token)
{
    struct probe probe;
    struct closing closing = CLOSING_INIT;
    weir_session in = session_open_with(app, NULL);
    probe_init(&probe);
    start_in(in, kind, &probe);                                /* the handle stays open, too */
    tally_wait(&probe.items, 1);
    if (by_token) {
        gate_wait(&probe.deferred);
        assert_ok(weir_token_complete(probe.token, WEIR_FAILED, NULL, 0));
    } else {
        weir_report r = { .size = sizeof(r) };
        do
            assert_ok(weir_session_inspect(in, &r));
        while (r.running != 0);                                /* until it has returned */
    }
    assert_ok(weir_session_close_with(in, WEIR_NEW(weir_close_options, .abandon = true, .closed = closing_done,
                                                   .ctx = &closing)));
    closing_wait(&closing, in);
    assert_status(probe.final.status, WEIR_FAILED);
    return closing.report;
}

static void a_final_that_was_decided_before_keeps_its_status(void **unused)
{
    (void)unused;
    static const weir_kind defers_acked = KIND(.work = work_gives_one_and_defers, .on_result = on_result,
                                               .flags = WEIR_MANUAL_ACK);
    static const weir_kind fails_acked = KIND(.work = work_gives_one_and_fails, .on_result = on_result,
                                              .flags = WEIR_MANUAL_ACK);
    for (int by_token = 0; by_token < 2; by_token++) {
        weir_report report = abandon_what_is_answered(by_token != 0 ? &defers_acked : &fails_acked, by_token != 0);
        assert_int_equal(report.failed, 1);
        assert_int_equal(report.abandoned, 0);
        assert_int_equal(report.outcome, WEIR_OUTCOME_CLEAN);
    }
}

/* ---- acknowledgements ---- */

struct stream {
    struct gate given, leave;
    struct tally finals, gones;
    weir_status of_item, of_final;
    weir_op op;
};

/* One result, and then it holds its worker. */
static weir_status work_gives_one_and_holds(weir_task *task, void *ctx)
{
    struct stream *stream = ctx;
    weir_status status = weir_task_post(task, NULL, 0);
    if (status != WEIR_OK)
        return status;
    gate_wait(&stream->leave);
    return WEIR_OK;
}

static void result_acks_late(const weir_result *r, void *ctx)
{
    struct stream *stream = ctx;
    stream->op = r->op;
    if (r->more) {
        gate_open(&stream->given);
        return;
    }
    stream->of_item = weir_op_ack(r->op, 1);
    stream->of_final = weir_op_ack(r->op, r->number);
    tally_add(&stream->finals, 1);
}

static void gone_counts(void *ctx)
{
    tally_add(&((struct stream *)ctx)->gones, 1);
}

static const weir_kind holds_acked = KIND(.work = work_gives_one_and_holds, .on_result = result_acks_late,
                                          .gone = gone_counts, .flags = WEIR_MANUAL_ACK);

static void an_abandoned_operations_results_need_no_acknowledgement_and_may_have_one(void **unused)
{
    (void)unused;
    struct stream stream = { .given = GATE_INIT, .leave = GATE_INIT, .finals = TALLY_INIT, .gones = TALLY_INIT };
    uint64_t before = misuses();
    assert_ok(weir_op_start(session, &holds_acked, &stream, NULL, NULL));
    gate_wait(&stream.given);
    abandon_now();
    tally_wait(&stream.finals, 1);
    assert_status(stream.of_item, WEIR_STALE);                 /* the abandon was first */
    assert_status(stream.of_final, WEIR_STALE);
    assert_int_equal(misuses(), before);
    assert_status(weir_op_ack(stream.op, 3), WEIR_INVALID);    /* one that never was */
    assert_int_equal(misuses(), before + 1);
    gate_open(&stream.leave);
    tally_wait(&stream.gones, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_operation_that_outlives_its_session_has_none),
        TEST(a_final_that_was_decided_before_keeps_its_status),
        TEST_TWO_WORKERS(an_abandoned_operations_results_need_no_acknowledgement_and_may_have_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
