/* SPDX-License-Identifier: Apache-2.0 */
/* test_mi_time_pressure.c - cases of the Windows MI client API, by their ids there: V, C13, C25, K9 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/stepped_fixture.h"

static void start_for(weir_session in, const weir_kind *kind, struct probe *probe, int64_t timeout_ns)
{
    probe_init(probe);
    assert_ok(weir_op_start(in, kind, probe, WEIR_NEW(weir_op_options, .timeout_ns = timeout_ns), NULL));
}

/* ---- V ---- */

static void mi_v2_a_time_out_is_not_reported_as_success(void **unused)
{
    (void)unused;
    struct probe push;
    const weir_result *r;
    weir_op op;
    static const weir_kind fetched = KIND(.work = work_defers);
    struct probe pull;
    start_for(session, &defers, &push, 50);
    gate_wait(&push.deferred);
    probe_init(&pull);
    assert_ok(weir_op_start(session, &fetched, &pull, WEIR_NEW(weir_op_options, .timeout_ns = 50), &op));
    gate_wait(&pull.deferred);
    step(50);
    probe_wait(&push);
    assert_status(push.final.status, WEIR_TIMED_OUT);
    assert_int_equal(push.final.reason, WEIR_REASON_TIMEOUT);
    assert_non_null(push.final.message);
    assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
    assert_status(r->status, WEIR_TIMED_OUT);
    assert_int_equal(r->reason, WEIR_REASON_TIMEOUT);
    assert_ok(weir_op_close(op));
}

static weir_status work_defers_and_goes_on(weir_task *task, void *ctx)
{
    return defer_to(task, ctx);
}

static void mi_v3_each_post_starts_the_time_anew(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_defers_and_goes_on, .on_result = on_result, .window = 16,
                                       .flags = WEIR_IDLE_TIMEOUT);
    struct probe probe;
    start_for(session, &kind, &probe, 50);
    gate_wait(&probe.deferred);
    for (uint64_t i = 1; i <= 10; i++) {
        step(30);
        assert_ok(weir_token_post(probe.token, (void *)(uintptr_t)i, 1));
        tally_wait(&probe.items, i);
    }
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    probe_wait(&probe);
    assert_ok(probe.final.status);
}

static void mi_v4_the_operations_own_time_out_is_the_one_that_counts(void **unused)
{
    (void)unused;
    struct probe short_one, long_one;
    weir_session in = session_open_with(app, WEIR_NEW(weir_session_options, .timeout_ns = 50));
    start_for(in, &defers, &short_one, 0);
    start_for(in, &defers, &long_one, 500);
    gate_wait(&short_one.deferred);
    gate_wait(&long_one.deferred);
    step(50);
    probe_wait(&short_one);
    assert_status(short_one.final.status, WEIR_TIMED_OUT);
    assert_ok(weir_token_complete(long_one.token, WEIR_OK, NULL, 0));
    probe_wait(&long_one);
    assert_ok(long_one.final.status);
}

static void mi_v5_a_time_out_of_zero_is_none_unless_the_session_has_one(void **unused)
{
    (void)unused;
    struct probe probe;
    start_for(session, &defers, &probe, 0);
    gate_wait(&probe.deferred);
    step(INT64_C(1000000000000000));
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    probe_wait(&probe);
    assert_ok(probe.final.status);
}

static void mi_v8_options_may_go_after_the_start(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_op_options *options = malloc(sizeof(*options));
    assert_non_null(options);
    *options = (weir_op_options){ .size = sizeof(*options), .tag = 4711, .timeout_ns = 1000 };
    probe_init(&probe);
    assert_ok(weir_op_start(session, &ends, &probe, options, NULL));
    memset(options, 0xee, sizeof(*options));
    free(options);
    probe_wait(&probe);
    assert_int_equal(probe.final.tag, 4711);
}

/* ---- C13 ---- */

static _Atomic uint64_t first_hooks;

static bool first_hook(weir_reason reason, void *ctx)
{
    (void)reason;
    (void)ctx;
    first_hooks++;
    return true;
}

static weir_status work_registers_two_hooks(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    if (weir_task_on_cancel(task, first_hook, NULL) != WEIR_OK
        || weir_task_on_cancel(task, hook_records, probe) != WEIR_OK)
        return WEIR_FAILED;
    return defer_to(task, probe);
}

static void mi_c13_the_last_hook_is_the_one_that_is_called(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_registers_two_hooks, .on_result = on_result);
    struct probe probe;
    first_hooks = 0;
    probe_init(&probe);
    probe.hook_answer = true;
    weir_op op = start(&kind, &probe);
    gate_wait(&probe.deferred);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    probe_wait(&probe);
    assert_int_equal(seen.hooks, 1);
    assert_int_equal(first_hooks, 0);
    assert_ok(weir_op_close(op));
}

/* ---- C25 ---- */

enum { STORM = 1000, THREADS = 4 };
static weir_op storm[STORM];
static weir_session stormy[2];

static void *cancel_close_and_fetch(void *seed)
{
    uint64_t state = *(uint64_t *)seed;
    const weir_result *r;
    for (int i = 0; i < STORM; i++) {
        weir_op op = storm[test_random(&state) % STORM];
        (void)weir_op_cancel(op, WEIR_REASON_USER);
        (void)!weir_op_next(op, 0, &r);
        (void)weir_op_close(op);
        if (i == STORM / 2)
            (void)weir_session_close(stormy[state % 2], NULL, NULL);
    }
    return NULL;
}

static void mi_c25_a_storm_of_cancels_closes_and_fetches(void **unused)
{
    (void)unused;
    static const weir_kind fetched = KIND(.work = work_ends);
    pthread_t threads[THREADS];
    uint64_t seeds[THREADS];
    weir_report reports[2];
    stormy[0] = session_open_with(app, NULL);
    stormy[1] = session_open_with(app, NULL);
    for (int i = 0; i < STORM; i++)
        storm[i] = start_in(stormy[i % 2], i % 3 == 0 ? &fetched : &ends, NULL);
    for (int i = 0; i < THREADS; i++) {
        seeds[i] = test_seed() + (uint64_t)i;
        threads[i] = thread_start(cancel_close_and_fetch, &seeds[i]);
    }
    for (int i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    for (int i = 0; i < STORM; i++)
        (void)weir_op_close(storm[i]);
    for (int i = 0; i < 2; i++) {
        reports[i] = (weir_report){ .size = sizeof(weir_report) };
        (void)weir_session_close(stormy[i], NULL, NULL);
        weir_status status = weir_session_wait(stormy[i], WEIR_FOREVER, &reports[i]);
        assert_true(status == WEIR_STALE || (status == WEIR_OK && reports[i].accepted == STORM / 2));
    }
    assert_int_equal(tally_count(&seen.finals), STORM - (STORM + 2) / 3);
}

/* ---- K9 ---- */

static _Atomic int64_t held, most;

static weir_status work_makes_items(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    while (probe->next < probe->count) {
        held++;
        weir_status status = weir_task_post(task, probe, 1);
        if (status != WEIR_OK) {
            held--;
            return status;
        }
        if (held > most)
            most = held;
        probe->next++;
    }
    return WEIR_OK;
}

static void item_gone(void *data, size_t size)
{
    (void)data;
    (void)size;
    held--;
}

static void mi_k9_fast_work_holds_no_more_than_its_window(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_makes_items, .drop = item_gone, .window = 8);
    struct probe probe;
    const weir_result *r;
    held = most = 0;
    probe_init(&probe);
    probe.count = UNDER_SANITIZER != 0 ? 5000 : 50000;
    weir_op op = start(&kind, &probe);
    do
        assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
    while (r->more);
    assert_int_equal(r->delivered, probe.count);
    assert_ok(weir_op_close(op));
    assert_in_range(most, 1, 9);                 /* and the one that is about to be posted */
    session_close(session);
    assert_int_equal(held, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_STEPPED_ONE_WORKER(mi_v2_a_time_out_is_not_reported_as_success),
        TEST_STEPPED_ONE_WORKER(mi_v3_each_post_starts_the_time_anew),
        TEST_STEPPED_ONE_WORKER(mi_v4_the_operations_own_time_out_is_the_one_that_counts),
        TEST_STEPPED_ONE_WORKER(mi_v5_a_time_out_of_zero_is_none_unless_the_session_has_one),
        TEST(mi_v8_options_may_go_after_the_start),
        TEST(mi_c13_the_last_hook_is_the_one_that_is_called),
        TEST(mi_c25_a_storm_of_cancels_closes_and_fetches),
        TEST(mi_k9_fast_work_holds_no_more_than_its_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
