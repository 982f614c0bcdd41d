/* SPDX-License-Identifier: Apache-2.0 */
/* test_r8.c - R8: work that defers is completed from any thread, exactly once, through a token */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

static bool is_void(weir_status status)
{
    return status == WEIR_CANCELED || status == WEIR_STALE;
}

/* ---- completing ---- */

static void a_token_decides_the_final_and_not_the_works_return(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_defer_closed(&probe, session, &defers);
    assert_ok(weir_token_complete(probe.token, WEIR_NOT_FOUND, NULL, 0));
    probe_wait(&probe);
    assert_status(probe.final.status, WEIR_NOT_FOUND);
    assert_int_equal(probe.final.reason, WEIR_REASON_NONE);
}

static void a_completed_token_is_stale_and_takes_nothing(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_defer_closed(&probe, session, &defers);
    assert_ok(weir_token_complete(probe.token, WEIR_OK, &probe, 1));
    assert_status(weir_token_complete(probe.token, WEIR_FAILED, &probe, 1), WEIR_STALE);
    assert_status(weir_token_post(probe.token, &probe, 1), WEIR_STALE);
    probe_wait(&probe);
    session_close(session);
    assert_status(weir_token_complete(probe.token, WEIR_FAILED, &probe, 1), WEIR_STALE);
    assert_status(probe.final.status, WEIR_OK);
    assert_int_equal(tally_count(&seen.drops), 1);
}

static void again_is_no_status_of_a_final(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_defer_closed(&probe, session, &defers);
    assert_status(weir_token_complete(probe.token, WEIR_AGAIN, NULL, 0), WEIR_INVALID);
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    probe_wait(&probe);
}

struct completer {
    weir_token token;
    weir_status status;
    _Atomic uint64_t won, stale, busy, other;
};

static void *complete(void *arg)
{
    struct completer *c = arg;
    weir_status status = weir_token_complete(c->token, c->status, NULL, 0);
    c->won += status == WEIR_OK;
    c->stale += status == WEIR_STALE;
    c->busy += status == WEIR_BUSY;
    c->other += status != WEIR_OK && status != WEIR_STALE && status != WEIR_BUSY;
    return NULL;
}

static void of_many_threads_one_completes(void **unused)
{
    (void)unused;
    enum { ROUNDS = 100, THREADS = 4 };
    for (int round = 0; round < ROUNDS; round++) {
        struct probe probe;
        probe_defer_closed(&probe, session, &defers);
        struct completer c = { .token = probe.token, .status = WEIR_OK };
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++)
            threads[i] = thread_start(complete, &c);
        for (int i = 0; i < THREADS; i++)
            thread_join(threads[i]);
        assert_int_equal(c.won, 1);
        assert_int_equal(c.stale + c.busy, THREADS - 1);
        assert_int_equal(c.other, 0);
        probe_wait(&probe);
        assert_int_equal(tally_count(&probe.finals), 1);
    }
    session_close(session);
    assert_int_equal(tally_count(&seen.finals), ROUNDS);
}

static weir_status work_completes_itself(weir_task *task, void *ctx)
{
    weir_token token;
    struct probe *probe = ctx;
    weir_status status = weir_task_defer(task, &token);
    if (status == WEIR_OK)
        probe->count = weir_token_complete(token, WEIR_TIMED_OUT, NULL, 0) == WEIR_OK;
    return WEIR_FAILED;
}

static void a_token_may_be_completed_before_its_work_returns(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_completes_itself, .on_result = on_result);
    struct probe probe;
    probe_init(&probe);
    start_closed(&kind, &probe);
    probe_wait(&probe);
    assert_int_equal(probe.count, 1);
    assert_status(probe.final.status, WEIR_TIMED_OUT);
}

/* ---- posting ---- */

struct poster {
    weir_token token;
    _Atomic uint64_t taken, busy, full, other;
};

static void *post_many(void *arg)
{
    struct poster *p = arg;
    static char item;
    for (int i = 0; i < 2000; i++) {
        weir_status status = weir_token_post(p->token, &item, 1);
        p->taken += status == WEIR_OK;
        p->busy += status == WEIR_BUSY;
        p->full += status == WEIR_AGAIN;
        p->other += status != WEIR_OK && status != WEIR_BUSY && status != WEIR_AGAIN;
    }
    return NULL;
}

static void counts_items(const weir_result *r, void *ctx)
{
    struct probe *probe = ctx;
    if (r->more)
        tally_add(&probe->items, 1);
    else {
        probe->final = *r;
        tally_add(&probe->finals, 1);
    }
}

static void posts_through_copies_of_a_token_are_taken_or_refused(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_defers, .on_result = counts_items, .drop = on_drop, .window = 64);
    struct probe probe;
    probe_defer_closed(&probe, session, &kind);
    struct poster p = { .token = probe.token };
    pthread_t a = thread_start(post_many, &p), b = thread_start(post_many, &p);
    thread_join(a);
    thread_join(b);
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    probe_wait(&probe);
    session_close(session);
    assert_int_equal(p.taken + p.busy + p.full, 4000);
    assert_int_equal(p.other, 0);
    assert_int_equal(tally_count(&probe.items), p.taken);
    assert_int_equal(probe.final.posted, p.taken);
    assert_int_equal(tally_count(&seen.drops), p.taken);
}

/* ---- deferring ---- */

static weir_status work_defers_twice(weir_task *task, void *ctx)
{
    weir_token second = { 77 };
    struct probe *probe = ctx;
    weir_status status = weir_task_defer(task, &probe->token);
    probe->answer = weir_task_defer(task, &second);
    probe->count = second.bits;
    gate_open(&probe->deferred);
    return status;
}

static void a_second_deferral_answers_already(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_defers_twice, .on_result = on_result);
    struct probe probe;
    probe_defer_closed(&probe, session, &kind);
    assert_status(probe.answer, WEIR_ALREADY);
    assert_int_equal(probe.count, 77);
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    probe_wait(&probe);
}

static weir_status work_defers_when_cancelled(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    gate_open(&probe->entered);
    gate_wait(&probe->leave);
    probe->token.bits = 77;
    probe->answer = weir_task_defer(task, &probe->token);
    return WEIR_NOT_FOUND;
}

static void a_deferral_after_a_cancel_is_refused_and_the_return_counts(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_defers_when_cancelled, .on_result = on_result);
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&kind, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    gate_open(&probe.leave);
    probe_wait(&probe);
    assert_status(probe.answer, WEIR_CANCELED);
    assert_int_equal(probe.token.bits, 77);
    assert_status(probe.final.status, WEIR_NOT_FOUND);
    assert_int_equal(probe.final.reason, WEIR_REASON_USER);
    assert_ok(weir_op_close(op));
}

static void the_same_after_a_cancel_of_the_session(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_defers_when_cancelled, .on_result = on_result);
    struct probe probe;
    probe_init(&probe);
    start_closed(&kind, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_session_cancel(session, WEIR_REASON_OWN));
    gate_open(&probe.leave);
    probe_wait(&probe);
    assert_status(probe.answer, WEIR_CANCELED);
    assert_status(probe.final.status, WEIR_NOT_FOUND);
    assert_int_equal(probe.final.reason, WEIR_REASON_OWN);
}

/* ---- a lost token ---- */

static void a_lost_token_ends_by_a_cancel(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_op op = probe_defer(&probe, &defers);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    probe_wait(&probe);
    assert_status(probe.final.status, WEIR_CANCELED);
    assert_true(is_void(weir_token_complete(probe.token, WEIR_OK, &probe, 1)));
    assert_true(is_void(weir_token_post(probe.token, &probe, 1)));
    assert_ok(weir_op_close(op));
    assert_true(is_void(weir_token_complete(probe.token, WEIR_OK, &probe, 1)));
    session_close(session);
    assert_int_equal(tally_count(&seen.drops), 0);
}

static void a_lost_token_ends_by_a_close(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_defer_closed(&probe, session, &defers);
    session_close(session);
    assert_status(probe.final.status, WEIR_CANCELED);
    assert_int_equal(probe.final.reason, WEIR_REASON_SESSION_CLOSED);
    assert_true(is_void(weir_token_complete(probe.token, WEIR_OK, &probe, 1)));
    assert_int_equal(tally_count(&seen.drops), 0);
}

static void a_completion_against_a_cancel_has_one_outcome(void **unused)
{
    (void)unused;
    for (int round = 0; round < 300; round++) {
        struct probe probe;
        weir_op op = probe_defer(&probe, &defers);
        struct completer c = { .token = probe.token, .status = WEIR_FAILED };
        pthread_t thread = thread_start(complete, &c);
        weir_status cancel = weir_op_cancel(op, WEIR_REASON_USER);
        thread_join(thread);
        probe_wait(&probe);
        assert_true(cancel == WEIR_OK || cancel == WEIR_TOO_LATE);
        assert_int_equal(c.won, cancel == WEIR_TOO_LATE);
        assert_status(probe.final.status, cancel == WEIR_OK ? WEIR_CANCELED : WEIR_FAILED);
        assert_int_equal(probe.final.reason, cancel == WEIR_OK ? WEIR_REASON_USER : WEIR_REASON_NONE);
        assert_ok(weir_op_close(op));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_decides_the_final_and_not_the_works_return),
        TEST(a_completed_token_is_stale_and_takes_nothing),
        TEST(again_is_no_status_of_a_final),
        TEST(of_many_threads_one_completes),
        TEST(a_token_may_be_completed_before_its_work_returns),
        TEST(posts_through_copies_of_a_token_are_taken_or_refused),
        TEST(a_second_deferral_answers_already),
        TEST(a_deferral_after_a_cancel_is_refused_and_the_return_counts),
        TEST(the_same_after_a_cancel_of_the_session),
        TEST(a_lost_token_ends_by_a_cancel),
        TEST(a_lost_token_ends_by_a_close),
        TEST(a_completion_against_a_cancel_has_one_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
