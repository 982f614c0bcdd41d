/* SPDX-License-Identifier: Apache-2.0 */
/* test_session_streams.c - results stream through windows, by callback and by token */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

enum { COUNT = 1000 };

static void stream_through(const weir_kind *kind)
{
    struct probe probe;
    seen_forget();
    probe_init(&probe);
    probe.count = COUNT;
    start_closed(kind, &probe);
    probe_wait(&probe);
    session_close(session);
    session = session_open_with(app, NULL);
    assert_int_equal(tally_count(&probe.items), COUNT);
    assert_int_equal(tally_count(&seen.drops), COUNT);
    assert_int_equal(probe.wrong, 0);
    assert_int_equal(seen.by_status[WEIR_OK], 1);
}

#define WINDOW(size) KIND(.work = work_streams, .on_result = on_result, .drop = on_drop, .window = (size))

static void a_stream_comes_in_order_through_any_window(void **unused)
{
    (void)unused;
    static const weir_kind kinds[] = { WINDOW(0), WINDOW(1), WINDOW(2), WINDOW(7), WINDOW(WEIR_WINDOW_MAX) };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        stream_through(&kinds[i]);
}

static _Atomic uint64_t acked, acked_twice;

static void acknowledges_inside(const weir_result *r, void *ctx)
{
    acked += weir_op_ack(r->op, r->number) == WEIR_OK;
    acked_twice += weir_op_ack(r->op, r->number) == WEIR_OK || weir_op_ack(r->op, r->number + 1) == WEIR_OK;
    on_result(r, ctx);
}

static void acknowledging_by_number_lets_the_next_one_come(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_streams, .on_result = acknowledges_inside, .drop = on_drop,
                                       .window = 3, .flags = WEIR_MANUAL_ACK);
    acked = acked_twice = 0;
    stream_through(&kind);
    assert_int_equal(acked, COUNT + 1);
    assert_int_equal(acked_twice, 0);
}

static void a_token_completes_once(void **unused)
{
    (void)unused;
    struct probe probe;
    char detail;
    probe_init(&probe);
    start_closed(&defers_with_hook, &probe);
    gate_wait(&probe.deferred);
    assert_ok(weir_token_complete(probe.token, WEIR_OK, &detail, 1));
    assert_status(weir_token_complete(probe.token, WEIR_OK, NULL, 0), WEIR_STALE);
    probe_wait(&probe);
    session_close(session);
    assert_int_equal(seen.by_status[WEIR_OK], 1);
    assert_int_equal(tally_count(&seen.drops), 1);
    assert_int_equal(seen.hooks, 0);
}

static void results_come_through_a_token(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_status status;
    probe_init(&probe);
    start_closed(&defers, &probe);
    gate_wait(&probe.deferred);
    for (uintptr_t i = 1; i <= 100; i++) {
        while ((status = weir_token_post(probe.token, (void *)i, 1)) == WEIR_AGAIN)
            (void)sched_yield();
        assert_ok(status);
    }
    assert_ok(weir_token_complete(probe.token, WEIR_FAILED, NULL, 0));
    probe_wait(&probe);
    session_close(session);
    assert_int_equal(tally_count(&probe.items), 100);
    assert_int_equal(tally_count(&seen.drops), 100);
    assert_int_equal(probe.wrong, 0);
    assert_int_equal(seen.by_status[WEIR_FAILED], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stream_comes_in_order_through_any_window),
        TEST(acknowledging_by_number_lets_the_next_one_come),
        TEST(a_token_completes_once),
        TEST(results_come_through_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
