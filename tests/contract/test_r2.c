/* SPDX-License-Identifier: Apache-2.0 */
/* test_r2.c - R2: the results of an operation come one at a time, in order, and the final is the last */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

static int setup_four_workers(void **unused)
{
    (void)unused;
    return setup_workers(4);
}

#define TEST_FOUR_WORKERS(name) cmocka_unit_test_setup_teardown(name, setup_four_workers, teardown)

enum { OPERATIONS = 8, ITEMS = 1000 };

/* Several at once, so that four workers have something to do. */
static void stream_all(const weir_kind *kind)
{
    static struct probe probes[OPERATIONS];
    for (int i = 0; i < OPERATIONS; i++) {
        probe_init(&probes[i]);
        probes[i].count = ITEMS;
        start_closed(kind, &probes[i]);
    }
    for (int i = 0; i < OPERATIONS; i++)
        probe_wait(&probes[i]);
    weir_report report = session_close(session);
    for (int i = 0; i < OPERATIONS; i++) {
        assert_int_equal(tally_count(&probes[i].items), ITEMS);
        assert_int_equal(tally_count(&probes[i].finals), 1);
        assert_int_equal(probes[i].wrong, 0);
        assert_int_equal(probes[i].final.number, ITEMS + 1);
    }
    assert_int_equal(report.delivered, OPERATIONS * ITEMS);
}

static void a_thousand_items_come_in_order_through_the_default_window(void **unused)
{
    (void)unused;
    stream_all(&streams);
}

static void a_thousand_items_come_in_order_through_a_wide_window(void **unused)
{
    (void)unused;
    static const weir_kind wide = KIND(.work = work_streams, .on_result = on_result, .window = 64);
    stream_all(&wide);
}

static void acks_by_number(const weir_result *r, void *ctx)
{
    weir_op op = r->op;
    uint64_t number = r->number;
    on_result(r, ctx);
    (void)weir_op_ack(op, number);
}

static void a_thousand_items_come_in_order_with_acknowledgement_inside(void **unused)
{
    (void)unused;
    static const weir_kind acked = KIND(.work = work_streams, .on_result = acks_by_number, .window = 3,
                                        .flags = WEIR_MANUAL_ACK);
    stream_all(&acked);
}

/* The work posts through its token from the test's thread, against workers that deliver. */
static void items_of_a_token_come_in_order(void **unused)
{
    (void)unused;
    static const weir_kind wide = KIND(.work = work_defers, .on_result = on_result, .window = 16);
    struct probe probe;
    probe_init(&probe);
    start_closed(&wide, &probe);
    gate_wait(&probe.deferred);
    for (uint64_t i = 1; i <= ITEMS; i++) {
        weir_status status;
        while ((status = weir_token_post(probe.token, (void *)(uintptr_t)i, 8)) == WEIR_AGAIN)
            (void)sched_yield();                 /* the work is called again; its second deferral is ALREADY */
        assert_ok(status);
    }
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    probe_wait(&probe);
    assert_int_equal(tally_count(&probe.items), ITEMS);
    assert_int_equal(probe.wrong, 0);
}

static struct gate in_callback, leave_callback;

static void stays_in_the_first(const weir_result *r, void *ctx)
{
    bool first = r->more && r->number == 1;
    if (first) {
        gate_open(&in_callback);
        gate_wait(&leave_callback);
    }
    on_result(r, ctx);
}

/* All other workers are idle, and the window is full of results that they could deliver. */
static void the_next_result_waits_until_the_callback_has_returned(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_streams, .on_result = stays_in_the_first, .window = 8);
    struct probe probe, other;
    in_callback = leave_callback = (struct gate)GATE_INIT;
    probe_init(&probe);
    probe_init(&other);
    probe.count = 8;
    start_closed(&kind, &probe);
    gate_wait(&in_callback);
    start_closed(&ends, &other);                 /* the other workers do come by */
    probe_wait(&other);
    assert_int_equal(tally_count(&probe.items), 0);
    assert_int_equal(tally_count(&probe.finals), 0);
    gate_open(&leave_callback);
    probe_wait(&probe);
    assert_int_equal(probe.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_FOUR_WORKERS(a_thousand_items_come_in_order_through_the_default_window),
        TEST_FOUR_WORKERS(a_thousand_items_come_in_order_through_a_wide_window),
        TEST_FOUR_WORKERS(a_thousand_items_come_in_order_with_acknowledgement_inside),
        TEST_FOUR_WORKERS(items_of_a_token_come_in_order),
        TEST_FOUR_WORKERS(the_next_result_waits_until_the_callback_has_returned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
