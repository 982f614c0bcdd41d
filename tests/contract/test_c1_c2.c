/* SPDX-License-Identifier: Apache-2.0 */
/* test_c1_c2.c - C1: a cancel is a request, the final is the answer; C2: one decision, one of four answers */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

/* ---- C1 ---- */

static struct gate posted_some, cancelled;
static weir_status after_the_cancel;

static weir_status work_posts_over_a_cancel(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    for (uintptr_t i = 1; i <= 3; i++)
        probe->next += weir_task_post(task, (void *)i, 8) == WEIR_OK;
    gate_open(&posted_some);
    gate_wait(&cancelled);
    after_the_cancel = weir_task_post(task, (void *)(uintptr_t)4, 8);
    return WEIR_OK;
}

static void cancel_between_posts(const weir_kind *kind, struct probe *probe, bool whole_session)
{
    posted_some = cancelled = (struct gate)GATE_INIT;
    probe_init(probe);
    weir_op op = start(kind, probe);
    gate_wait(&posted_some);
    assert_int_equal(probe->next, 3);
    if (whole_session)
        assert_ok(weir_session_cancel(session, WEIR_REASON_USER));
    else
        assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    gate_open(&cancelled);
    probe_wait(probe);
    assert_ok(weir_op_close(op));
    assert_status(after_the_cancel, WEIR_CANCELED);
    assert_int_equal(probe->final.posted, 3);    /* the refused one was not counted */
}

static void what_was_posted_before_a_cancel_is_delivered_and_nothing_is_taken_after_it(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_posts_over_a_cancel, .on_result = on_result, .drop = on_drop,
                                       .window = 8);
    struct probe probe;
    for (int whole_session = 0; whole_session < 2; whole_session++) {
        cancel_between_posts(&kind, &probe, whole_session);
        assert_int_equal(tally_count(&probe.items), 3);
        assert_int_equal(probe.final.delivered, 3);
        assert_int_equal(probe.wrong, 0);
    }
    session_close(session);
    assert_int_equal(tally_count(&seen.drops), 6);
}

static struct gate in_first_item, leave_first_item;

static void stays_in_the_first_item(const weir_result *r, void *ctx)
{
    bool first = r->more && r->number == 1;
    if (first) {
        gate_open(&in_first_item);
        gate_wait(&leave_first_item);
    }
    on_result(r, ctx);
}

static void a_kind_that_discards_delivers_no_more_items_after_a_cancel(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_posts_over_a_cancel, .on_result = stays_in_the_first_item,
                                       .drop = on_drop, .window = 8, .flags = WEIR_DISCARD_ON_CANCEL);
    struct probe probe;
    posted_some = cancelled = in_first_item = leave_first_item = (struct gate)GATE_INIT;
    probe_init(&probe);
    weir_op op = start(&kind, &probe);
    gate_wait(&posted_some);
    gate_wait(&in_first_item);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    gate_open(&leave_first_item);
    gate_open(&cancelled);
    probe_wait(&probe);
    assert_int_equal(probe.final.posted, 3);
    assert_int_equal(probe.final.delivered, 1);
    assert_int_equal(probe.final.discarded, 2);
    assert_int_equal(tally_count(&probe.items), 1);
    assert_ok(weir_op_close(op));
    session_close(session);
    assert_int_equal(tally_count(&seen.drops), 3);
}

static void the_final_of_running_work_comes_when_it_returns_and_not_at_the_cancel(void **unused)
{
    (void)unused;
    struct probe probe, other;
    probe_init(&probe);
    probe_init(&other);
    weir_op op = start(&holds, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    start_closed(&ends, &other);
    probe_wait(&other);                          /* another worker has looked at what there is */
    assert_int_equal(tally_count(&probe.finals), 0);
    probe_release(&probe);
    assert_ok(weir_op_close(op));
}

/* ---- C2 ---- */

static void the_first_cancel_wins_and_the_second_is_already(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&holds, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_op_cancel(op, 70));
    assert_status(weir_op_cancel(op, 71), WEIR_ALREADY);
    probe_release(&probe);
    assert_status(weir_op_cancel(op, 72), WEIR_ALREADY);      /* also after the final */
    assert_int_equal(probe.final.reason, 70);
    assert_ok(weir_op_close(op));
    session_close(session);
    assert_status(weir_op_cancel(op, 73), WEIR_STALE);
}

static void after_a_cancel_of_all_a_cancel_of_one_is_already(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&holds, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_session_cancel(session, 70));
    assert_status(weir_op_cancel(op, 71), WEIR_ALREADY);
    probe_release(&probe);
    assert_int_equal(probe.final.reason, 70);
    assert_ok(weir_op_close(op));
}

static void a_cancel_after_the_decision_is_too_late(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&ends, &probe);
    probe_wait(&probe);
    assert_status(weir_op_cancel(op, WEIR_REASON_USER), WEIR_TOO_LATE);
    assert_status(weir_op_cancel(op, WEIR_REASON_USER), WEIR_TOO_LATE);
    assert_int_equal(probe.final.reason, WEIR_REASON_NONE);
    assert_ok(weir_op_close(op));
    session_close(session);
    assert_status(weir_op_cancel(op, WEIR_REASON_USER), WEIR_STALE);
}

static void a_completed_tokens_operation_is_too_late_to_cancel(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&defers, &probe);
    gate_wait(&probe.deferred);
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    assert_status(weir_op_cancel(op, WEIR_REASON_USER), WEIR_TOO_LATE);
    probe_wait(&probe);
    assert_ok(weir_op_close(op));
}

struct canceller {
    weir_op op;
    weir_reason reason;
    weir_status status;
};

static void *cancel(void *arg)
{
    struct canceller *c = arg;
    c->status = weir_op_cancel(c->op, c->reason);
    return NULL;
}

static void of_many_cancels_and_the_end_of_the_work_one_decides(void **unused)
{
    (void)unused;
    enum { THREADS = 3 };
    for (int round = 0; round < 300; round++) {
        struct probe probe;
        struct canceller cancellers[THREADS];
        pthread_t threads[THREADS];
        int won = 0, already = 0, late = 0;
        probe_init(&probe);
        weir_op op = start(&ends, &probe);
        for (int i = 0; i < THREADS; i++) {
            cancellers[i] = (struct canceller){ op, (weir_reason)(WEIR_REASON_OWN + i), WEIR_STALE };
            threads[i] = thread_start(cancel, &cancellers[i]);
        }
        for (int i = 0; i < THREADS; i++) {
            thread_join(threads[i]);
            won += cancellers[i].status == WEIR_OK;
            already += cancellers[i].status == WEIR_ALREADY;
            late += cancellers[i].status == WEIR_TOO_LATE;
        }
        probe_wait(&probe);
        assert_int_equal(won + already + late, THREADS);
        assert_true(won == 1 ? late == 0 : late == THREADS);
        assert_int_equal(probe.final.reason != WEIR_REASON_NONE, won);
        for (int i = 0; i < THREADS; i++)
            if (cancellers[i].status == WEIR_OK)
                assert_int_equal(probe.final.reason, WEIR_REASON_OWN + i);
        assert_ok(weir_op_close(op));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_posted_before_a_cancel_is_delivered_and_nothing_is_taken_after_it),
        TEST_TWO_WORKERS(a_kind_that_discards_delivers_no_more_items_after_a_cancel),
        TEST_TWO_WORKERS(the_final_of_running_work_comes_when_it_returns_and_not_at_the_cancel),
        TEST(the_first_cancel_wins_and_the_second_is_already),
        TEST(after_a_cancel_of_all_a_cancel_of_one_is_already),
        TEST(a_cancel_after_the_decision_is_too_late),
        TEST(a_completed_tokens_operation_is_too_late_to_cancel),
        TEST(of_many_cancels_and_the_end_of_the_work_one_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
