/* SPDX-License-Identifier: Apache-2.0 */
/* test_s10_log.c - S10: a close that waits says by itself for what, through the log hook, and again ten times later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

#define SECOND INT64_C(1000000000)

/* ---- a clock and a log of the test's ---- */

enum { LINES_MAX = 16, LINE_MAX = 512 };

static _Atomic int64_t now_ns;
static char line[LINES_MAX][LINE_MAX];
static struct tally lines;

static int64_t stepped(void *ctx)
{
    (void)ctx;
    return now_ns;
}

/* On one thread at a time: a close has one reporter. */
static void keep_line(int level, const char *text, void *ctx)
{
    (void)ctx;
    if (level > 1 || strstr(text, "closing for") == NULL)
        return;
    (void)snprintf(line[tally_count(&lines) % LINES_MAX], LINE_MAX, "%s", text);
    tally_add(&lines, 1);
}

static int setup_log_workers(uint32_t workers)
{
    seen_forget();
    now_ns = 5 * SECOND;
    lines = (struct tally)TALLY_INIT;
    app = app_open_with(WEIR_NEW(weir_app_options, .workers = workers, .now = stepped, .log = keep_line));
    session = session_open_with(app, WEIR_NEW(weir_session_options, .name = "upload"));
    return 0;
}

static int setup_log(void **unused)
{
    (void)unused;
    return setup_log_workers(2);
}

/* The only worker will be inside work: the control thread reports (C7). */
static int setup_log_one_worker(void **unused)
{
    (void)unused;
    return setup_log_workers(1);
}

static void step(int64_t ns)
{
    now_ns += ns;
    assert_ok(weir_app_tick(app));
}

static void assert_says(uint64_t number, const char *what)
{
    if (strstr(line[number], what) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", line[number], what);
}

static struct closing closing;

static void begin_close(int64_t report_ns)
{
    closing = (struct closing)CLOSING_INIT;
    weir_close_options options = {
        .size = sizeof(options), .report_ns = report_ns, .closed = closing_done, .ctx = &closing,
    };
    assert_ok(weir_session_close_with(session, &options));
}

static const weir_kind search = KIND(.name = "search", .work = work_holds, .on_result = on_result);

/* The workers have come back from the finals' callbacks: nothing is missing but handles. */
static void wait_for_handles_only(uint64_t count)
{
    for (uint64_t only = 0; only != count; sched_yield()) {
        weir_blocker blocker[LINES_MAX];
        weir_report report = { .size = sizeof(report), .blockers = blocker, .blockers_max = LINES_MAX };
        assert_ok(weir_session_inspect(session, &report));
        only = 0;
        for (uint64_t i = 0; i < report.blockers_found; i++)
            only += blocker[i].missing == WEIR_MISSING_HANDLE;
    }
}

/* ---- tests ---- */

static void what_is_missing_is_said_after_the_time_and_ten_times_later(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    assert_ok(weir_op_start(session, &search, &probe, WEIR_NEW(weir_op_options, .tag = 7), NULL));
    gate_wait(&probe.entered);
    now_ns += 2 * SECOND;
    begin_close(2 * SECOND);
    step(2 * SECOND - 1);
    assert_int_equal(tally_count(&lines), 0);
    step(1);
    tally_wait(&lines, 1);
    assert_says(0, "session upload closing for 2.0 s: 1 search: work running; tag 7 on worker ");
    assert_says(0, " for 4.0 s, started at 0x");
    step(18 * SECOND);
    tally_wait(&lines, 2);
    assert_says(1, "session upload closing for 20.0 s: 1 search: work running");
    probe_release(&probe);
    closing_wait(&closing, session);
    assert_int_equal(tally_count(&lines), 2);
}

static void operations_that_wait_for_the_same_share_a_line(void **unused)
{
    (void)unused;
    enum { COUNT = 5 };
    weir_op op[COUNT];
    struct probe probe;
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_ok(weir_op_start(session, &ends, NULL, WEIR_NEW(weir_op_options, .tag = 100 + i), &op[i]));
        tally_wait(&seen.finals, i + 1);
        now_ns += SECOND;                                      /* the first is the oldest */
    }
    wait_for_handles_only(COUNT);
    probe_init(&probe);
    assert_ok(weir_op_start(session, &search, &probe, NULL, NULL));
    gate_wait(&probe.entered);
    begin_close(SECOND);
    step(SECOND);
    tally_wait(&lines, 2);
    uint64_t handles = strstr(line[0], "handle open") != NULL ? 0 : 1;
    assert_says(handles, "5 operation: handle open; tag 100 for 6.0 s");
    assert_says(handles, "; tag 101 for 5.0 s");
    assert_says(handles, "; 2 more");
    assert_says(1 - handles, "1 search: work running");
    for (int i = 0; i < COUNT; i++)
        assert_ok(weir_op_close(op[i]));
    probe_release(&probe);
    closing_wait(&closing, session);
}

static void the_same_kind_from_which_something_else_is_missing_has_its_own_line(void **unused)
{
    (void)unused;
    struct probe with, without;
    probe_init(&with);
    probe_init(&without);
    weir_op op = start(&search, &with);
    start_closed(&search, &without);
    gate_wait(&with.entered);
    gate_wait(&without.entered);
    begin_close(SECOND);
    step(SECOND);
    tally_wait(&lines, 2);
    uint64_t handle = strstr(line[0], "handle open") != NULL ? 0 : 1;
    assert_says(handle, "1 search: work running, handle open; tag 0");
    assert_says(1 - handle, "1 search: work running; tag 0");
    assert_ok(weir_op_close(op));
    probe_release(&with);
    probe_release(&without);
    closing_wait(&closing, session);
}

static void a_child_session_that_is_not_closed_is_named(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_blocker blocker[2];
    weir_report report = { .size = sizeof(report), .blockers = blocker, .blockers_max = 2 };
    weir_session_options options = { .size = sizeof(options), .name = "part 1", .parent = session };
    weir_session child = session_open_with(app, &options);
    now_ns += 3 * SECOND;
    probe_hold(&probe, child);
    begin_close(SECOND);
    assert_ok(weir_session_inspect(session, &report));
    assert_int_equal(report.blockers_found, 1);
    assert_string_equal(blocker[0].name, "part 1");
    assert_int_equal(blocker[0].missing, WEIR_MISSING_SESSION);
    assert_int_equal(blocker[0].op.bits, 0);
    assert_int_equal(blocker[0].age_ns, 3 * SECOND);
    assert_int_equal(report.accepted, 0);                      /* the operation is the child's */
    do                                                         /* a worker closes the child */
        assert_ok(weir_session_inspect(child, &report));
    while (report.phase != WEIR_PHASE_WAITING);
    step(SECOND);
    tally_wait(&lines, 2);
    uint64_t parents = strstr(line[0], "session upload") != NULL ? 0 : 1;
    assert_says(parents, "session upload closing for 1.0 s: 1 part 1: child session not closed; for 4.0 s");
    assert_says(1 - parents, "session part 1 closing for 1.0 s: 1 operation: work running");
    probe_release(&probe);
    closing_wait(&closing, session);
}

static void a_close_that_is_over_in_time_says_nothing(void **unused)
{
    (void)unused;
    start_closed(&ends, NULL);
    tally_wait(&seen.finals, 1);
    begin_close(SECOND);
    closing_wait(&closing, session);
    step(100 * SECOND);
    assert_int_equal(tally_count(&lines), 0);
}

static void for_ever_is_never(void **unused)
{
    (void)unused;
    weir_op op = start(&ends, NULL);
    wait_for_handles_only(1);
    begin_close(WEIR_FOREVER);
    step(1000 * SECOND);
    assert_int_equal(tally_count(&lines), 0);
    assert_ok(weir_op_close(op));
    closing_wait(&closing, session);
    assert_int_equal(tally_count(&lines), 0);
}

#define LOGGED(name) cmocka_unit_test_setup_teardown(name, setup_log, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_missing_is_said_after_the_time_and_ten_times_later,
                                        setup_log_one_worker, teardown),
        LOGGED(operations_that_wait_for_the_same_share_a_line),
        LOGGED(the_same_kind_from_which_something_else_is_missing_has_its_own_line),
        LOGGED(a_child_session_that_is_not_closed_is_named),
        LOGGED(a_close_that_is_over_in_time_says_nothing),
        LOGGED(for_ever_is_never),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
