/* SPDX-License-Identifier: Apache-2.0 */
/* test_r10_exceptions.cpp - R10 with C++ exceptions: one that stays inside a user's function is nobody's business; one
 * that would cross the library to a handler beyond it stops the process with "misuse:"; one that nobody catches ends
 * it in std::terminate */
#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <unistd.h>

extern "C" {
#include <cmocka.h>

#include <weir/weir.h>

#include "tests/unit/child.h"
}

/* ---- exceptions that stay inside ---- */

static void throw_and_catch()
{
    try {
        throw std::runtime_error("inside");
    } catch (const std::runtime_error &) {
    }
}

static weir_status work_throws_inside(weir_task *task, void *ctx)
{
    throw_and_catch();
    return weir_task_post(task, ctx, 1);
}

static void result_throws_inside(const weir_result *, void *)
{
    throw_and_catch();
}

static void drop_throws_inside(void *, size_t)
{
    throw_and_catch();
}

static weir_app open_app()
{
    weir_app app = {};
    weir_app_options options = {};
    options.size = sizeof options;
    options.workers = 2;
    if (weir_app_open(&options, &app) != WEIR_OK)
        _exit(2);
    return app;
}

static void an_exception_that_is_caught_inside_is_nobodys_business(void **)
{
    weir_kind kind = {};
    kind.size = sizeof kind;
    kind.work = work_throws_inside;
    kind.on_result = result_throws_inside;
    kind.drop = drop_throws_inside;
    kind.window = 4;
    weir_app app = open_app();
    weir_session session = {};
    assert_int_equal(weir_session_open(app, nullptr, &session), WEIR_OK);
    for (int i = 0; i < 500; i++)
        assert_int_equal(weir_op_start(session, &kind, &kind, nullptr, nullptr), WEIR_OK);
    assert_int_equal(weir_app_close(app, WEIR_FOREVER, nullptr), WEIR_OK);
}

/* ---- exceptions that cross ---- */

static void throw_out()
{
    throw std::runtime_error("across");
}

static void job_throws(weir_job *, weir_status)
{
    throw_out();
}

static weir_status work_throws(weir_task *, void *)
{
    throw_out();
    return WEIR_OK;
}

static weir_status work_ends(weir_task *, void *)
{
    return WEIR_OK;
}

static void result_throws(const weir_result *, void *)
{
    throw_out();
}

static void gone_throws(void *)
{
    throw_out();
}

static void closed_throws(const weir_report *, void *)
{
    throw_out();
}

/* A handler beyond the library: this thread lends itself, and would catch what is thrown in a job that it runs. */
static void throw_across_a_lent_thread()
{
    weir_app app = open_app();
    try {
        (void)!weir_app_run(app, job_throws, nullptr, true);
    } catch (const std::runtime_error &) {
        _exit(0);
    }
}

/* The workers are busy; who waits has lent himself, and runs what the close needs. */
static weir_closed_fn *closed;
static weir_result_fn *on_result;
static weir_gone_fn *gone;

static void hold_worker(weir_job *, weir_status)
{
    for (;;)
        (void)pause();
}

static void throw_across_a_waiting_thread()
{
    static weir_job holders[2];
    static weir_kind kind;
    weir_app app = open_app();
    weir_session session = {};
    for (weir_job &holder : holders) {
        holder.fn = hold_worker;
        (void)!weir_job_submit(weir_app_queue(app, WEIR_NORMAL), &holder);
    }
    kind.size = sizeof kind;
    kind.work = work_ends;
    kind.on_result = on_result;
    kind.gone = gone;
    if (weir_session_open(app, nullptr, &session) != WEIR_OK)
        _exit(2);
    (void)!weir_op_start(session, &kind, nullptr, nullptr, nullptr);
    weir_close_options options = {};
    options.size = sizeof options;
    options.lend = true;
    options.closed = closed;
    try {
        (void)weir_session_close_with(session, &options);
        (void)!weir_session_wait(session, WEIR_FOREVER, nullptr);
    } catch (const std::runtime_error &) {
        _exit(0);
    }
}

static void nothing(const weir_result *, void *)
{
}

/* By "misuse:", or, if the control thread was faster than who waits, by std::terminate. */
static void expect_stop(void (*body)(), bool misuse)
{
    struct child child = child_run(body);
    assert_int_equal(child.signal, SIGABRT);
    assert_non_null(strstr(child.errors, misuse ? "misuse:" : ""));
}

static void an_exception_that_would_cross_the_library_is_misuse(void **)
{
    expect_stop(throw_across_a_lent_thread, true);
}

static void an_exception_in_a_callback_on_a_lent_thread_stops_the_process(void **)
{
    on_result = result_throws;
    expect_stop(throw_across_a_waiting_thread, false);
    on_result = nothing;
    gone = gone_throws;
    expect_stop(throw_across_a_waiting_thread, false);
    gone = nullptr;
    closed = closed_throws;
    expect_stop(throw_across_a_waiting_thread, false);
}

static void throw_on_a_worker()
{
    static weir_kind kind;
    weir_app app = open_app();
    weir_session session = {};
    kind.size = sizeof kind;
    kind.work = work_throws;
    kind.on_result = nothing;
    if (weir_session_open(app, nullptr, &session) != WEIR_OK)
        _exit(2);
    (void)!weir_op_start(session, &kind, nullptr, nullptr, nullptr);
    for (;;)
        (void)pause();
}

static void an_exception_that_nobody_catches_stops_the_process(void **)
{
    expect_stop(throw_on_a_worker, false);
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exception_that_is_caught_inside_is_nobodys_business),
        cmocka_unit_test(an_exception_that_would_cross_the_library_is_misuse),
        cmocka_unit_test(an_exception_in_a_callback_on_a_lent_thread_stops_the_process),
        cmocka_unit_test(an_exception_that_nobody_catches_stops_the_process),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
