/* SPDX-License-Identifier: Apache-2.0 */
/* test_s1.c - S1: start and close are linearizable: an operation is accepted, or refused, and never both */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

enum { STARTERS = 8 };

struct answers {
    _Atomic uint64_t accepted, closed, stale, other;
};

static struct tally starts;

static void *start_and_count(void *arg)
{
    struct answers *got = arg;
    for (;;) {
        weir_status status = weir_op_start(session, &ends, NULL, NULL, NULL);
        got->accepted += status == WEIR_OK;
        got->closed += status == WEIR_CLOSED;
        got->stale += status == WEIR_STALE;
        got->other += status != WEIR_OK && status != WEIR_CLOSED && status != WEIR_STALE;
        tally_add(&starts, 1);
        if (status != WEIR_OK)
            return NULL;
    }
}

/* Each accepted start has its final before the close callback; each later one is refused. */
static void eight_threads_start_against_a_close(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < 40; round++) {
        struct answers got = { 0 };
        struct closing closing = CLOSING_INIT;
        pthread_t threads[STARTERS];
        starts = (struct tally)TALLY_INIT;
        seen_forget();
        for (int i = 0; i < STARTERS; i++)
            threads[i] = thread_start(start_and_count, &got);
        tally_wait(&starts, round * 20);
        assert_ok(weir_session_close(session, closing_done, &closing));
        assert_true(weir_op_start(session, &ends, NULL, NULL, NULL) != WEIR_OK);
        closing_wait(&closing, session);
        uint64_t finals = tally_count(&seen.finals);
        for (int i = 0; i < STARTERS; i++)
            thread_join(threads[i]);
        assert_int_equal(got.other, 0);
        assert_int_equal(got.closed + got.stale, STARTERS);
        assert_int_equal(closing.report.accepted, got.accepted);
        assert_int_equal(finals, got.accepted);
        assert_int_equal(tally_count(&seen.finals), got.accepted);
        session = session_open_with(app, NULL);
    }
}

static weir_status in_work, in_callback;

static weir_status work_starts(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    (void)task;
    gate_open(&probe->entered);
    gate_wait(&probe->leave);
    in_work = weir_op_start(session, &ends, NULL, NULL, NULL);
    return WEIR_OK;
}

static void result_starts(const weir_result *r, void *ctx)
{
    in_callback = weir_op_start(session, &ends, NULL, NULL, NULL);
    on_result(r, ctx);
}

static void after_a_close_starts_are_refused_also_in_the_sessions_own_work_and_callbacks(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_starts, .on_result = result_starts);
    struct probe probe;
    probe_init(&probe);
    start_closed(&kind, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_session_close(session, NULL, NULL));
    assert_status(weir_op_start(session, &ends, NULL, NULL, NULL), WEIR_CLOSED);
    probe_release(&probe);
    wait_until_closed(session);
    assert_status(in_work, WEIR_CLOSED);
    assert_status(in_callback, WEIR_CLOSED);
    assert_int_equal(tally_count(&seen.finals), 1);
}

static void before_a_close_a_callback_may_start_the_next(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_ends, .on_result = result_starts);
    struct probe probe;
    probe_init(&probe);
    start_closed(&kind, &probe);
    tally_wait(&seen.finals, 2);
    assert_ok(in_callback);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(eight_threads_start_against_a_close),
        TEST(after_a_close_starts_are_refused_also_in_the_sessions_own_work_and_callbacks),
        TEST(before_a_close_a_callback_may_start_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
