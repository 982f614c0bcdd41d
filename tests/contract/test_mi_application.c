/* SPDX-License-Identifier: Apache-2.0 */
/* test_mi_application.c - cases of the Windows MI client API, by their ids there: A, Y */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"
#include "tests/unit/child.h"

/* ---- A ---- */

static void mi_a2_bad_arguments_of_an_open_are_invalid_and_write_nothing(void **unused)
{
    (void)unused;
    weir_app out = { 77 };
    assert_status(weir_app_open(NULL, NULL), WEIR_INVALID);
    assert_status(weir_app_open(&(weir_app_options){ .size = 1 }, &out), WEIR_INVALID);
    assert_status(weir_app_open(WEIR_NEW(weir_app_options, .workers = 100000), &out), WEIR_INVALID);
    assert_int_equal(out.bits, 77);
}

static void mi_a6_closing_the_application_cancels_all_operations(void **unused)
{
    (void)unused;
    static struct probe probes[15];
    weir_session sessions[3];
    for (int i = 0; i < 15; i++) {
        if (i % 5 == 0)
            sessions[i / 5] = session_open_with(app, NULL);
        probe_init(&probes[i]);
        assert_ok(weir_op_start(sessions[i / 5], &defers, &probes[i], NULL, NULL));
        gate_wait(&probes[i].deferred);
    }
    app_close(app);
    for (int i = 0; i < 15; i++) {
        assert_int_equal(tally_count(&probes[i].finals), 1);
        assert_int_equal(probes[i].final.reason, WEIR_REASON_APPLICATION_CLOSED);
    }
    setup(NULL);                                 /* for the tear-down */
}

static weir_status work_loses_its_token(weir_task *task, void *ctx)
{
    weir_token token;
    (void)ctx;
    return weir_task_defer(task, &token);
}

static const weir_kind lost = KIND(.work = work_loses_its_token, .on_result = on_result);

/* Buffers of a fixed size, there, cancelled nobody from 100 on. */
static void mi_a7_any_number_of_sessions_is_cancelled(void **unused)
{
    (void)unused;
    static const int counts[] = { 99, 100, 101, 150 };
    for (int i = 0; i < 4; i++) {
        weir_app many = app_open();
        seen_forget();
        for (int k = 0; k < counts[i]; k++)
            assert_ok(weir_op_start(session_open_with(many, NULL), &lost, NULL, NULL, NULL));
        app_close(many);
        assert_int_equal(tally_count(&seen.finals), counts[i]);
        assert_int_equal(seen.by_status[WEIR_CANCELED], counts[i]);
    }
}

static void mi_a11_closing_an_application_frees_everything(void **unused)
{
    (void)unused;
    unsigned threads = entries_of("/proc/self/task"), files = entries_of("/proc/self/fd");
    for (int i = 0; i < 100; i++) {
        weir_app cycle = app_open_workers(2);
        assert_ok(weir_op_start(session_open_with(cycle, NULL), &ends, NULL, NULL, NULL));
        app_close(cycle);
    }
    wait_for_entries("/proc/self/task", threads);
    assert_int_equal(entries_of("/proc/self/fd"), files);
    assert_int_equal(tally_count(&seen.finals), 100);
}

static void mi_a12_a_start_during_the_close_of_the_application_has_one_final_or_is_refused(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < 20; round++) {
        weir_app closing = app_open();
        struct starter s = { .session = session_open_with(closing, NULL), .starts = TALLY_INIT };
        seen_forget();
        pthread_t thread = thread_start(start_until_refused, &s);
        tally_wait(&s.starts, round * 10);
        app_close(closing);
        thread_join(thread);
        assert_int_equal(tally_count(&seen.finals), s.accepted);
    }
}

static void mi_a13_handles_of_a_closed_application_are_stale(void **unused)
{
    (void)unused;
    weir_op op = start(&ends, NULL);
    tally_wait(&seen.finals, 1);
    assert_ok(weir_op_close(op));
    app_close(app);
    const weir_result *r;
    assert_status(weir_op_cancel(op, WEIR_REASON_USER), WEIR_STALE);
    assert_status(weir_op_next(op, 0, &r), WEIR_STALE);
    assert_status(weir_session_close(session, NULL, NULL), WEIR_STALE);
    assert_status(weir_session_wait(session, 0, NULL), WEIR_STALE);
    setup(NULL);                                 /* for the tear-down */
}

/* ---- Y ---- */

static void mi_y3_a_blocked_pool_goes_on_as_soon_as_one_worker_returns(void **unused)
{
    (void)unused;
    struct busy busy;
    struct closing closing = CLOSING_INIT;
    busy_begin(&busy, test_workers());
    start_closed(&ends, NULL);
    start_closed(&ends, NULL);
    hold_end(&busy.holds[0]);
    tally_wait(&seen.finals, 2);
    assert_int_equal(seen.works, 2);
    assert_ok(weir_session_close(session, closing_done, &closing));
    closing_wait(&closing, session);
    for (uint32_t i = 1; i < busy.count; i++)
        hold_end(&busy.holds[i]);
}

static void closed_frees(const weir_report *report, void *ctx)
{
    (void)report;
    free(ctx);
    tally_add(&seen.drops, 1);
}

static void mi_y6_the_user_frees_everything_in_the_close_callback(void **unused)
{
    (void)unused;
    for (int i = 0; i < 100; i++) {
        struct probe *probe = malloc(sizeof(*probe));
        assert_non_null(probe);
        probe_init(probe);
        probe->hook_answer = true;
        weir_session in = session_open_with(app, NULL);
        assert_ok(weir_op_start(in, &defers_with_hook, probe, NULL, NULL));
        assert_ok(weir_session_close(in, closed_frees, probe));
    }
    tally_wait(&seen.drops, 100);
}

static weir_status work_posts_three(weir_task *task, void *ctx)
{
    weir_status status = WEIR_OK;
    for (int i = 0; i < 3 && status == WEIR_OK; i++)
        status = weir_task_post(task, ctx, 0);
    return status == WEIR_AGAIN ? WEIR_FAILED : status;
}

static void result_ignored(const weir_result *r, void *ctx)
{
    (void)r;
    (void)ctx;
}

static const weir_kind short_stream = KIND(.work = work_posts_three, .on_result = result_ignored, .window = 2);
static const weir_kind fetched_stream = KIND(.work = work_posts_three, .drop = on_drop, .window = 2);

/* ---- Y1: exits ---- */

static void close_and_exit(void)
{
    weir_app exits = { 0 };
    weir_session in = { 0 };
    if (weir_app_open(WEIR_NEW(weir_app_options, .workers = 2), &exits) != WEIR_OK
        || weir_session_open(exits, NULL, &in) != WEIR_OK || weir_op_start(in, &ends, NULL, NULL, NULL) != WEIR_OK
        || weir_app_close(exits, WEIR_FOREVER, NULL) != WEIR_OK)
        _exit(2);
    exit(0);
}

static void exit_with_everything_open(void)
{
    weir_app exits = { 0 };
    weir_session in = { 0 };
    if (weir_app_open(WEIR_NEW(weir_app_options, .workers = 2), &exits) != WEIR_OK
        || weir_session_open(exits, NULL, &in) != WEIR_OK || weir_op_start(in, &lost, NULL, NULL, NULL) != WEIR_OK)
        _exit(2);
    _exit(0);
}

static void mi_y1_a_process_may_exit_after_the_close_or_without_one(void **unused)
{
    (void)unused;
    if (UNDER_SANITIZER != 0)                    /* a child there starts no threads (app_fixture.h) */
        skip();
    app_close(app);
    assert_int_equal(child_run(close_and_exit).signal, 0);
    assert_int_equal(child_run(exit_with_everything_open).signal, 0);
    setup(NULL);                                 /* for the tear-down */
}

/* ---- Y4: anything, at random ---- */

enum { ROUNDS = 300, KEPT = 16 };

static const weir_kind *random_kind(uint64_t *state)
{
    static const weir_kind *const kinds[] = { &ends, &lost, &short_stream, &fetched_stream };
    return kinds[test_random(state) % 4];
}

/* Calls, legal and illegal, on one session with few handles. The answers do not matter; the accounts do. */
static uint64_t call_at_random(weir_session in, uint64_t *state)
{
    weir_op kept[KEPT] = { { 0 } };
    uint64_t accepted = 0;
    for (int i = 0; i < 200; i++) {
        weir_op *op = &kept[test_random(state) % KEPT];
        const weir_result *r;
        switch (test_random(state) % 8) {
        case 0: (void)weir_op_cancel(*op, (weir_reason)test_random(state)); break;
        case 1: (void)weir_op_close(*op); break;
        case 2: (void)!weir_op_next(*op, 0, &r); break;
        case 3: (void)weir_op_ack(*op, test_random(state) % 5); break;
        case 4: (void)weir_session_cancel(in, (weir_reason)test_random(state)); break;
        default:
            (void)weir_op_close(*op);
            accepted += weir_op_start(in, random_kind(state), NULL, NULL, op) == WEIR_OK;
            break;
        }
    }
    for (int i = 0; i < KEPT; i++)
        (void)weir_op_close(kept[i]);
    return accepted;
}

static void mi_y4_after_random_calls_every_start_has_ended(void **unused)
{
    (void)unused;
    uint64_t state = test_seed();
    for (int round = 0; round < ROUNDS; round++) {
        weir_session in = session_open_with(app, NULL);
        uint64_t accepted = call_at_random(in, &state);
        weir_report report = session_close(in);
        assert_int_equal(report.accepted, accepted);
        assert_int_equal(report.completed + report.failed + report.cancelled, accepted);
        assert_int_equal(report.posted, report.delivered + report.discarded);
        assert_int_equal(report.handles_open, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mi_a2_bad_arguments_of_an_open_are_invalid_and_write_nothing),
        TEST(mi_a6_closing_the_application_cancels_all_operations),
        TEST(mi_a7_any_number_of_sessions_is_cancelled),
        TEST(mi_a11_closing_an_application_frees_everything),
        TEST(mi_a12_a_start_during_the_close_of_the_application_has_one_final_or_is_refused),
        TEST(mi_a13_handles_of_a_closed_application_are_stale),
        TEST(mi_y3_a_blocked_pool_goes_on_as_soon_as_one_worker_returns),
        TEST(mi_y6_the_user_frees_everything_in_the_close_callback),
        TEST(mi_y1_a_process_may_exit_after_the_close_or_without_one),
        TEST(mi_y4_after_random_calls_every_start_has_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
