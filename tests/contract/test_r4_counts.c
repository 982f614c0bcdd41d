/* SPDX-License-Identifier: Apache-2.0 */
/* test_r4_counts.c - R4: a final says how many results were posted, delivered and discarded, and the report agrees */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

static void assert_counts(const weir_result *final, uint64_t posted, uint64_t delivered, uint64_t discarded)
{
    assert_false(final->more);
    assert_int_equal(final->posted, posted);
    assert_int_equal(final->delivered, delivered);
    assert_int_equal(final->discarded, discarded);
}

static void assert_report(uint64_t posted, uint64_t delivered, uint64_t discarded)
{
    weir_report report = session_close(session);
    assert_int_equal(report.posted, posted);
    assert_int_equal(report.delivered, delivered);
    assert_int_equal(report.discarded, discarded);
    assert_int_equal(report.accepted, report.completed + report.failed + report.cancelled + report.timed_out);
}

static void who_posts_nothing_has_none(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    start_closed(&ends, &probe);
    probe_wait(&probe);
    assert_counts(&probe.final, 0, 0, 0);
    assert_int_equal(probe.final.number, 1);
    assert_string_equal(probe.final.message, weir_status_text(WEIR_OK));
    assert_report(0, 0, 0);
}

/* The window is one: posts are refused again and again, and that is no post. */
static void a_refused_post_is_not_counted(void **unused)
{
    (void)unused;
    enum { COUNT = 50 };
    struct probe probe;
    probe_init(&probe);
    probe.count = COUNT;
    start_closed(&streams, &probe);
    probe_wait(&probe);
    assert_true(tally_count(&probe.works) > 1);
    assert_counts(&probe.final, COUNT, COUNT, 0);
    assert_int_equal(probe.final.number, COUNT + 1);
    assert_report(COUNT, COUNT, 0);
}

static weir_status work_posts_three_and_stays(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    for (uint64_t i = 1; i <= 3; i++)
        if (weir_task_post(task, (void *)(uintptr_t)i, 8) != WEIR_OK)
            return WEIR_FAILED;
    gate_open(&probe->entered);
    gate_wait(&probe->leave);
    return WEIR_OK;
}

static const weir_kind discards = KIND(.work = work_posts_three_and_stays, .on_result = on_result, .drop = on_drop,
                                       .window = 4, .flags = WEIR_DISCARD_ON_CANCEL | WEIR_MANUAL_ACK);

/* One was delivered, and is not acknowledged; the two behind it are discarded. */
static void what_a_cancel_discards_is_counted(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&discards, &probe);
    gate_wait(&probe.entered);
    tally_wait(&probe.items, 1);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    gate_open(&probe.leave);
    assert_ok(weir_op_ack(op, 1));
    probe_wait(&probe);
    assert_counts(&probe.final, 3, 1, 2);
    assert_ok(weir_op_ack(op, probe.final.number));
    assert_ok(weir_op_close(op));
    tally_wait(&seen.drops, 3);
    assert_report(3, 1, 2);
}

static void what_is_posted_through_a_token_is_counted(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    start_closed(&defers, &probe);
    gate_wait(&probe.deferred);
    for (uint64_t i = 1; i <= 4; i++) {
        weir_status status;
        while ((status = weir_token_post(probe.token, (void *)(uintptr_t)i, 8)) == WEIR_AGAIN || status == WEIR_BUSY)
            sched_yield();                                     /* the window is one */
        assert_ok(status);
        tally_wait(&probe.items, i);
    }
    weir_status status;
    while ((status = weir_token_complete(probe.token, WEIR_OK, NULL, 0)) == WEIR_BUSY)
        sched_yield();
    assert_ok(status);
    probe_wait(&probe);
    assert_counts(&probe.final, 4, 4, 0);
    assert_report(4, 4, 0);
}

static void what_is_fetched_is_delivered_and_the_rest_discarded(void **unused)
{
    (void)unused;
    static const weir_kind wide = KIND(.work = work_streams, .drop = on_drop, .window = 8);
    struct probe probe;
    const weir_result *r;
    probe_init(&probe);
    probe.count = 5;
    weir_op op = start(&wide, &probe);
    for (int i = 0; i < 2; i++)
        assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
    tally_wait(&probe.works, 1);
    while (seen.posted < 5)
        sched_yield();
    assert_ok(weir_op_close(op));
    tally_wait(&seen.drops, 5);
    assert_report(5, 2, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_posts_nothing_has_none),
        TEST(a_refused_post_is_not_counted),
        TEST_TWO_WORKERS(what_a_cancel_discards_is_counted),
        TEST_TWO_WORKERS(what_is_posted_through_a_token_is_counted),
        TEST(what_is_fetched_is_delivered_and_the_rest_discarded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
