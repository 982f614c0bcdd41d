/* SPDX-License-Identifier: Apache-2.0 */
/* test_c5_default.c - C5: the deadline that a session gives to its operations, on a clock that is stepped
 *
 * The operations are deferred, so that nothing but a deadline ends them. A group of slots, which share a timer, has 63
 * operations (session/expiry.h); the tests use more. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

enum { OPS = 150, TIMEOUT = 1000 };

static struct stepped_clock steps;
static weir_token tokens[OPS];
static struct tally deferrals;
static _Atomic uint64_t allocations, left_to_allocate;

static void *counted_alloc(size_t size, size_t align, void *ctx)
{
    (void)ctx;
    if (atomic_load(&left_to_allocate) == 0)
        return NULL;
    atomic_fetch_sub(&left_to_allocate, 1);
    atomic_fetch_add(&allocations, 1);
    return aligned_alloc(align, (size + align - 1) / align * align);
}

static void counted_release(void *memory, size_t size, void *ctx)
{
    (void)size, (void)ctx;
    free(memory);
}

static int open_stepped(void **unused)
{
    (void)unused;
    seen_forget();
    deferrals = (struct tally)TALLY_INIT;
    left_to_allocate = UINT64_MAX;
    atomic_store(&steps.now, 1000);
    app = app_open_with(WEIR_NEW(weir_app_options, .workers = test_workers(), .now = stepped_now, .ctx = &steps,
                                 .alloc = counted_alloc, .release = counted_release));
    session = session_open_with(app, WEIR_NEW(weir_session_options, .timeout_ns = TIMEOUT));
    return 0;
}

static weir_status work_is_deferred(weir_task *task, void *ctx)
{
    weir_status status = weir_task_defer(task, ctx);
    tally_add(&deferrals, 1);
    return status;
}

static weir_status work_is_done(weir_task *task, void *ctx)
{
    (void)task, (void)ctx;
    return WEIR_OK;
}

static void count_final(const weir_result *result, void *ctx)
{
    (void)ctx;
    seen.by_status[result->status]++;
    tally_add(&seen.finals, 1);
}

static const weir_kind deferred = { .size = sizeof(weir_kind), .work = work_is_deferred, .on_result = count_final };
static const weir_kind done = { .size = sizeof(weir_kind), .work = work_is_done, .on_result = count_final };

static void start_deferred(weir_session in, int count)
{
    uint64_t before = tally_count(&deferrals);
    for (int i = 0; i < count; i++)
        assert_ok(weir_op_start(in, &deferred, &tokens[i], NULL, NULL));
    tally_wait(&deferrals, before + (uint64_t)count);
}

static void start_and_finish(weir_session in)
{
    uint64_t before = tally_count(&seen.finals);
    assert_ok(weir_op_start(in, &done, NULL, NULL, NULL));
    tally_wait(&seen.finals, before + 1);
}

static void each_operation_is_cancelled_at_its_own_time(void **unused)
{
    (void)unused;
    for (int i = 0; i < OPS; i++) {
        assert_ok(weir_op_start(session, &deferred, &tokens[i], NULL, NULL));
        clock_step(&steps, app, 1);
    }
    tally_wait(&deferrals, OPS);
    clock_step(&steps, app, TIMEOUT - OPS);                    /* the first one's time */
    for (uint64_t due = 1; due <= OPS; due++) {
        tally_wait(&seen.finals, due);
        assert_int_equal(tally_count(&seen.finals), due);
        clock_step(&steps, app, 1);
    }
    assert_int_equal(seen.by_status[WEIR_TIMED_OUT], OPS);
}

static void what_has_ended_leaves_later_ones_their_time(void **unused)
{
    (void)unused;
    start_and_finish(session);
    clock_step(&steps, app, TIMEOUT / 2);
    start_deferred(session, 1);
    clock_step(&steps, app, TIMEOUT - 1);                      /* long after the first one's time */
    assert_int_equal(tally_count(&seen.finals), 1);
    clock_step(&steps, app, 1);
    tally_wait(&seen.finals, 2);
    assert_int_equal(seen.by_status[WEIR_TIMED_OUT], 1);
}

static void a_session_with_a_shorter_default_does_not_wait_for_a_longer_one(void **unused)
{
    (void)unused;
    start_and_finish(session);                                 /* its group's timer is armed for TIMEOUT */
    (void)session_close(session);
    weir_session shorter = session_open_with(app, WEIR_NEW(weir_session_options, .timeout_ns = 10));
    start_deferred(shorter, 100);
    clock_step(&steps, app, 10);
    tally_wait(&seen.finals, 101);
    assert_int_equal(seen.by_status[WEIR_TIMED_OUT], 100);
}

static void a_default_that_never_comes_is_none(void **unused)
{
    (void)unused;
    weir_session endless = session_open_with(app, WEIR_NEW(weir_session_options, .timeout_ns = WEIR_FOREVER - 1));
    start_deferred(endless, 1);
    clock_step(&steps, app, INT64_C(1) << 60);
    assert_int_equal(tally_count(&seen.finals), 0);
    assert_ok(weir_token_complete(tokens[0], WEIR_OK, NULL, 0));
    tally_wait(&seen.finals, 1);
    assert_int_equal(seen.by_status[WEIR_OK], 1);
}

static void a_reserve_has_room_for_default_deadlines_too(void **unused)
{
    (void)unused;
    weir_session ready = session_open_with(app, WEIR_NEW(weir_session_options, .timeout_ns = TIMEOUT, .reserve = OPS));
    uint64_t before = allocations;
    start_deferred(ready, OPS);
    assert_int_equal(allocations, before);
}

static void a_start_without_memory_for_it_is_refused_and_the_next_one_is_not(void **unused)
{
    (void)unused;
    weir_session other = session_open_with(app, WEIR_NEW(weir_session_options, .reserve = 1));
    (void)session_close(other);                                /* leaves a group that has had no such deadline */
    left_to_allocate = 0;
    assert_status(weir_op_start(session, &deferred, &tokens[0], NULL, NULL), WEIR_NO_MEMORY);
    left_to_allocate = UINT64_MAX;
    start_deferred(session, 1);
    clock_step(&steps, app, TIMEOUT);
    tally_wait(&seen.finals, 1);
    assert_int_equal(session_close(session).accepted, 1);
}

#define TEST_STEPPED(name) cmocka_unit_test_setup_teardown(name, open_stepped, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_STEPPED(each_operation_is_cancelled_at_its_own_time),
        TEST_STEPPED(what_has_ended_leaves_later_ones_their_time),
        TEST_STEPPED(a_session_with_a_shorter_default_does_not_wait_for_a_longer_one),
        TEST_STEPPED(a_default_that_never_comes_is_none),
        TEST_STEPPED(a_reserve_has_room_for_default_deadlines_too),
        TEST_STEPPED(a_start_without_memory_for_it_is_refused_and_the_next_one_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
