/* SPDX-License-Identifier: Apache-2.0 */
/* test_misuse_sessions.c - the table of wrong handles for sessions, operations and tokens, given to every function,
 * from every kind of thread and callback; and waiting calls in every kind of callback, which do not wait */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

static bool is_refused(weir_status status)
{
    return status == WEIR_STALE || status == WEIR_INVALID;
}

/* ---- columns: every function that takes a handle; true: it was refused, and wrote nothing ---- */

static bool op_start(uint64_t bits)
{
    weir_op out = { 77 };
    return is_refused(weir_op_start((weir_session){ bits }, &ends, NULL, NULL, &out)) && out.bits == 77;
}

static bool op_cancel(uint64_t bits)
{
    return is_refused(weir_op_cancel((weir_op){ bits }, WEIR_REASON_USER));
}

static bool op_next(uint64_t bits)
{
    const weir_result *r = NULL;
    return is_refused(weir_op_next((weir_op){ bits }, WEIR_FOREVER, &r)) && r == NULL;
}

static bool op_ack(uint64_t bits)
{
    return is_refused(weir_op_ack((weir_op){ bits }, 1));
}

static bool op_close(uint64_t bits)
{
    return is_refused(weir_op_close((weir_op){ bits }));
}

static bool op_session(uint64_t bits)
{
    weir_session out = { 77 };
    return is_refused(weir_op_session((weir_op){ bits }, &out)) && out.bits == 77;
}

static bool token_post(uint64_t bits)
{
    return is_refused(weir_token_post((weir_token){ bits }, &bits, 1));
}

static bool token_complete(uint64_t bits)
{
    return is_refused(weir_token_complete((weir_token){ bits }, WEIR_OK, &bits, 1));
}

static bool open_in(uint64_t bits)
{
    weir_session out = { 77 };
    return is_refused(weir_session_open((weir_app){ bits }, NULL, &out)) && out.bits == 77;
}

static bool close_session(uint64_t bits)
{
    return is_refused(weir_session_close((weir_session){ bits }, NULL, NULL));
}

static bool close_session_with(uint64_t bits)
{
    return is_refused(weir_session_close_with((weir_session){ bits }, WEIR_NEW(weir_close_options, .abandon = true)));
}

static bool wait_for_session(uint64_t bits)
{
    return is_refused(weir_session_wait((weir_session){ bits }, WEIR_FOREVER, NULL));
}

static bool cancel_session(uint64_t bits)
{
    return is_refused(weir_session_cancel((weir_session){ bits }, WEIR_REASON_USER));
}

static bool inspect_session(uint64_t bits)
{
    weir_report report = { .size = sizeof(report), .accepted = 77 };
    return is_refused(weir_session_inspect((weir_session){ bits }, &report)) && report.accepted == 77;
}

static bool session_app(uint64_t bits)
{
    weir_app out = { 77 };
    return is_refused(weir_session_app((weir_session){ bits }, &out)) && out.bits == 77;
}

static bool session_stats(uint64_t bits)
{
    weir_stats stats = { .size = sizeof(stats), .accepted = 77 };
    return is_refused(weir_session_stats((weir_session){ bits }, &stats)) && stats.accepted == 77;
}

static bool app_stats(uint64_t bits)
{
    weir_stats stats = { .size = sizeof(stats), .accepted = 77 };
    return is_refused(weir_app_stats((weir_app){ bits }, &stats)) && stats.accepted == 77;
}

static bool (*const FUNCTIONS[])(uint64_t bits) = {
    op_start, op_cancel, op_next, op_ack, op_close, op_session, token_post, token_complete, open_in,
    close_session, close_session_with, wait_for_session, cancel_session, inspect_session, session_app, session_stats,
    app_stats,
};
enum { FUNCTION_COUNT = sizeof FUNCTIONS / sizeof FUNCTIONS[0] };

/* ---- rows: wrong bits ---- */

enum { ROWS = 40 };

static struct table {
    uint64_t bits[ROWS];
    unsigned rows;
    _Atomic unsigned wrong_row, wrong_function, tried;         /* the first wrong cell, from 1 */
} table;

static void add_row(uint64_t bits)
{
    assert_true(table.rows < ROWS);
    table.bits[table.rows++] = bits;
}

static void add_ended(weir_app in)
{
    struct probe probe;
    weir_session ended = session_open_with(in, NULL);
    probe_init(&probe);
    weir_op op = start_in(ended, &defers, &probe);
    gate_wait(&probe.deferred);
    weir_token token = probe.token;
    assert_ok(weir_token_complete(token, WEIR_OK, NULL, 0));
    probe_wait(&probe);
    assert_ok(weir_op_close(op));                              /* closed twice, and used after it: below */
    session_close(ended);
    add_row(op.bits);
    add_row(token.bits);
    add_row(ended.bits);
}

static void make_table(void)
{
    uint64_t state = test_seed();
    weir_app gone = app_open_workers(1);
    table = (struct table){ .rows = 0 };
    add_row(0);
    add_row(UINT64_MAX);
    add_row(1);
    add_ended(app);
    add_ended(gone);                                           /* foreign to every other application */
    app_close(gone);
    add_row(gone.bits);
    add_row(session.bits + 1);                                 /* other generations, slots, kinds */
    add_row(session.bits ^ UINT64_C(1) << 45);
    add_row(weir_app_queue(app, WEIR_NORMAL).bits);
    for (int i = 0; i < 16; i++)
        add_row(test_random(&state));
    seen_forget();
}

static void try_table(void)
{
    for (unsigned row = 0; row < table.rows; row++)
        for (unsigned function = 0; function < FUNCTION_COUNT; function++)
            if (!FUNCTIONS[function](table.bits[row]) && table.wrong_row == 0) {
                table.wrong_row = row + 1;
                table.wrong_function = function + 1;
            }
    table.tried++;
}

static void check_table(void)
{
    if (table.wrong_row != 0)
        fail_msg("bits %#llx, function %u", (unsigned long long)table.bits[table.wrong_row - 1], table.wrong_function);
}

/* ---- waiting calls ---- */

static _Atomic uint64_t waited;                                /* answers other than WOULD_DEADLOCK */
static weir_op never_fetched;
static weir_session never_closed;

/* Another callback may be inside next at this moment (R6). */
static bool answers(weir_status status, weir_status expected)
{
    return status == expected || status == WEIR_BUSY;
}

static void try_to_wait(void)
{
    const weir_result *r;
    waited += weir_session_wait(never_closed, WEIR_FOREVER, NULL) != WEIR_WOULD_DEADLOCK;
    waited += weir_session_wait(session, 1000000, NULL) != WEIR_WOULD_DEADLOCK;
    waited += !answers(weir_op_next(never_fetched, WEIR_FOREVER, &r), WEIR_WOULD_DEADLOCK);
    waited += weir_app_close(app, WEIR_FOREVER, NULL) != WEIR_WOULD_DEADLOCK;
    waited += weir_app_close(app, 0, NULL) != WEIR_WOULD_DEADLOCK;
    waited += weir_session_wait(never_closed, 0, NULL) != WEIR_TIMED_OUT;      /* legal everywhere */
    waited += !answers(weir_op_next(never_fetched, 0, &r), WEIR_TIMED_OUT);
}

/* ---- every kind of callback ---- */

static void (*try)(void);

static bool hook_tries(weir_reason reason, void *ctx)
{
    (void)reason;
    (void)ctx;
    try();
    return true;
}

static weir_status work_tries(weir_task *task, void *ctx)
{
    try();
    return weir_task_post(task, ctx, 1);
}

static weir_status work_defers_and_tries(weir_task *task, void *ctx)
{
    weir_status status = weir_task_on_cancel(task, hook_tries, NULL);
    return status != WEIR_OK ? status : defer_to(task, ctx);
}

static void result_tries(const weir_result *r, void *ctx)
{
    (void)r;
    (void)ctx;
    try();
}

static void drop_tries(void *data, size_t size)
{
    (void)data;
    (void)size;
    try();
}

static void gone_tries(void *ctx)
{
    (void)ctx;
    try();
}

static void closed_tries(const weir_report *report, void *ctx)
{
    try();
    closing_done(report, ctx);
}

static void job_tries(weir_job *job, weir_status status)
{
    (void)job;
    (void)status;
    try();
}

/* In work, item, final, drop, gone of one operation; in the hook of another; in the close callback; in jobs. */
static void try_everywhere(void (*what)(void), uint64_t *tries)
{
    static const weir_kind all = KIND(.work = work_tries, .on_result = result_tries, .drop = drop_tries,
                                      .gone = gone_tries);
    static const weir_kind hooked = KIND(.work = work_defers_and_tries, .on_result = result_tries);
    struct closing closing = CLOSING_INIT;
    struct probe probe;
    weir_session in = session_open_with(app, NULL);
    try = what;
    probe_init(&probe);
    assert_ok(weir_op_start(in, &hooked, &probe, NULL, NULL));
    gate_wait(&probe.deferred);
    assert_ok(weir_op_start(in, &all, &probe, NULL, NULL));
    assert_ok(weir_op_start(in, &all, &probe, WEIR_NEW(weir_op_options, .lane = WEIR_BLOCKING), NULL));
    assert_ok(weir_app_run(app, job_tries, NULL, false));
    assert_ok(weir_app_run(app, job_tries, NULL, true));       /* on a lent thread */
    assert_ok(weir_session_close(in, closed_tries, &closing));
    closing_wait(&closing, in);
    *tries = closing.report.accepted;
}

static void wrong_handles_are_refused_outside_of_every_application(void **unused)
{
    (void)unused;
    make_table();
    try_table();
    check_table();
    app_close(app);
    try_table();
    check_table();
    setup(NULL);                                               /* for the tear-down */
}

static void wrong_handles_are_refused_in_every_kind_of_callback(void **unused)
{
    (void)unused;
    uint64_t started;
    make_table();
    try_everywhere(try_table, &started);
    check_table();
    assert_int_equal(started, 3);
    assert_true(table.tried >= 7);                             /* two jobs, hook, three finals, the close */
}

static void waiting_calls_do_not_wait_in_any_kind_of_callback(void **unused)
{
    (void)unused;
    uint64_t started;
    static const weir_kind kind = KIND(.work = work_defers);
    struct probe probe;
    waited = 0;
    probe_init(&probe);
    never_closed = session_open_with(app, NULL);
    never_fetched = start(&kind, &probe);
    gate_wait(&probe.deferred);
    try_everywhere(try_to_wait, &started);
    assert_ok(weir_op_close(never_fetched));
    assert_int_equal(started, 3);
    assert_int_equal(waited, 0);
}

/* ---- nowhere to write ---- */

static void a_call_without_a_place_for_its_answer_is_invalid(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&pulled, &probe);
    assert_status(weir_op_next(op, 0, NULL), WEIR_INVALID);
    assert_status(weir_op_session(op, NULL), WEIR_INVALID);
    assert_status(weir_session_app(session, NULL), WEIR_INVALID);
    assert_status(weir_session_inspect(session, NULL), WEIR_INVALID);
    assert_status(weir_session_stats(session, NULL), WEIR_INVALID);
    assert_status(weir_session_open(app, NULL, NULL), WEIR_INVALID);
    assert_ok(weir_op_close(op));
    session_close(session);
}

/* ---- double closes ---- */

static void closing_twice_is_refused_and_frees_once(void **unused)
{
    (void)unused;
    for (int i = 0; i < 100; i++) {
        weir_session in = session_open_with(app, NULL);
        weir_op op = start_in(in, &ends, NULL), copy = op;
        assert_ok(weir_op_close(op));
        assert_true(is_refused(weir_op_close(copy)));
        assert_int_equal(session_close(in).accepted, 1);
        assert_true(is_refused(weir_op_close(copy)));
        assert_true(is_refused(weir_session_close(in, NULL, NULL)));
    }
    assert_int_equal(tally_count(&seen.finals), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wrong_handles_are_refused_outside_of_every_application),
        TEST(wrong_handles_are_refused_in_every_kind_of_callback),
        TEST(waiting_calls_do_not_wait_in_any_kind_of_callback),
        TEST(a_call_without_a_place_for_its_answer_is_invalid),
        TEST(closing_twice_is_refused_and_frees_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
