/* SPDX-License-Identifier: Apache-2.0 */
/* test_s2.c - S2: OK from a close means one callback, anything else none; and never inside the call */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

static weir_session old;
static _Thread_local bool calling;
static _Atomic uint64_t inside_the_call;

static void closed_notes(const weir_report *report, void *ctx)
{
    if (calling)
        inside_the_call++;
    closing_done(report, ctx);
}

static weir_status close_with(weir_session closed, struct closing *closing)
{
    calling = true;
    weir_status status = weir_session_close(closed, closed_notes, closing);
    calling = false;
    return status;
}

static void a_close_that_answers_ok_calls_back_once(void **unused)
{
    (void)unused;
    inside_the_call = 0;
    for (int i = 0; i < 300; i++) {
        struct closing closing = CLOSING_INIT;
        old = session_open_with(app, NULL);
        for (int started = 0; started < i % 4; started++)
            assert_ok(weir_op_start(old, &ends, NULL, NULL, NULL));
        assert_ok(close_with(old, &closing));
        closing_wait(&closing, old);
    }
    assert_int_equal(inside_the_call, 0);
}

static void a_close_that_is_refused_never_calls_back(void **unused)
{
    (void)unused;
    struct closing first = CLOSING_INIT, refused = CLOSING_INIT;
    struct probe probe;
    probe_hold(&probe, session);
    assert_ok(close_with(session, &first));
    assert_status(close_with(session, &refused), WEIR_CLOSING);
    probe_release(&probe);
    closing_wait(&first, session);
    assert_status(close_with(session, &refused), WEIR_STALE);
    assert_status(close_with((weir_session){ 0 }, &refused), WEIR_INVALID);
    assert_status(close_with((weir_session){ app.bits }, &refused), WEIR_INVALID);
    app_close(app);
    assert_status(close_with(session, &refused), WEIR_STALE);
    assert_int_equal(tally_count(&first.calls), 1);
    assert_int_equal(tally_count(&refused.calls), 0);
    setup(NULL);                                 /* for the tear-down */
}

struct closer {
    struct closing closing;
    weir_status status;
};

static void *close_it(void *arg)
{
    struct closer *closer = arg;
    closer->status = weir_session_close(session, closing_done, &closer->closing);
    return NULL;
}

static void of_eight_closers_one_is_called_back(void **unused)
{
    (void)unused;
    enum { CLOSERS = 8 };
    for (int round = 0; round < 60; round++) {
        struct closer closers[CLOSERS];
        pthread_t threads[CLOSERS];
        int won = 0;
        uint64_t calls = 0;
        for (int i = 0; i < 5; i++)
            start_closed(&ends, NULL);
        for (int i = 0; i < CLOSERS; i++) {
            closers[i] = (struct closer){ .closing = CLOSING_INIT };
            threads[i] = thread_start(close_it, &closers[i]);
        }
        for (int i = 0; i < CLOSERS; i++)
            thread_join(threads[i]);
        wait_until_closed(session);
        for (int i = 0; i < CLOSERS; i++) {
            weir_status status = closers[i].status;
            assert_true(status == WEIR_OK || status == WEIR_CLOSING || status == WEIR_STALE);
            assert_int_equal(tally_count(&closers[i].closing.calls), status == WEIR_OK);
            won += status == WEIR_OK;
            calls += tally_count(&closers[i].closing.calls);
        }
        assert_int_equal(won, 1);
        assert_int_equal(calls, 1);
        session = session_open_with(app, NULL);
    }
}

static void a_close_needs_no_callback(void **unused)
{
    (void)unused;
    assert_ok(weir_session_close(session, NULL, NULL));
    wait_until_closed(session);
    assert_status(weir_session_close(session, NULL, NULL), WEIR_STALE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_close_that_answers_ok_calls_back_once),
        TEST(a_close_that_is_refused_never_calls_back),
        TEST(of_eight_closers_one_is_called_back),
        TEST(a_close_needs_no_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
