/* SPDX-License-Identifier: Apache-2.0 */
/* test_r4_details.c - R4, R9: the final's detail, from the work or through the token, and how long it stays */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include <weir/weir.h>

#include "tests/support/session_fixture.h"

static char detail, second;

/* What each operation of this file is told, and what its callbacks saw. */
struct teller {
    struct probe probe;
    const weir_result *kept;                     /* the final itself, of kinds that acknowledge */
    _Atomic int first_answer, second_answer;
    struct gate told;
    weir_status work_answer;
};

static void teller_init(struct teller *t)
{
    probe_init(&t->probe);
    t->kept = NULL;
    t->first_answer = t->second_answer = -1;
    t->told = (struct gate)GATE_INIT;
    t->work_answer = WEIR_OK;
}

static _Atomic(void *) dropped_data;
static _Atomic size_t dropped_size;

static void drop_records(void *data, size_t size)
{
    dropped_data = data;
    dropped_size = size;
    tally_add(&seen.drops, 1);
}

static void teller_result(const weir_result *r, void *ctx)
{
    struct teller *t = ctx;
    t->kept = r;
    on_result(r, &t->probe);
}

static weir_status work_tells(weir_task *task, void *ctx)
{
    struct teller *t = ctx;
    t->first_answer = weir_task_detail(task, &detail, 7);
    t->second_answer = weir_task_detail(task, &second, 8);
    return t->work_answer;
}

static weir_status work_tells_and_parks(weir_task *task, void *ctx)
{
    struct teller *t = ctx;
    t->first_answer = weir_task_detail(task, &detail, 7);
    while (weir_task_post(task, &second, 1) == WEIR_OK)
        ;
    gate_open(&t->told);
    return WEIR_AGAIN;
}

static weir_status work_tells_and_defers(weir_task *task, void *ctx)
{
    struct teller *t = ctx;
    t->first_answer = weir_task_detail(task, &detail, 7);
    weir_status status = weir_task_defer(task, &t->probe.token);
    gate_open(&t->told);
    return status;
}

static weir_status work_defers_and_tells(weir_task *task, void *ctx)
{
    struct teller *t = ctx;
    weir_status status = weir_task_defer(task, &t->probe.token);
    t->first_answer = weir_task_detail(task, &detail, 7);
    gate_open(&t->told);
    return status;
}

static const weir_kind tells = KIND(.work = work_tells, .on_result = teller_result, .drop = drop_records);
static const weir_kind tells_acked =
    KIND(.work = work_tells, .on_result = teller_result, .drop = drop_records, .flags = WEIR_MANUAL_ACK);
static const weir_kind tells_pulled = KIND(.work = work_tells, .drop = drop_records);
static const weir_kind parks =
    KIND(.work = work_tells_and_parks, .on_result = teller_result, .drop = drop_records, .flags = WEIR_MANUAL_ACK);
static const weir_kind tells_deferred =
    KIND(.work = work_tells_and_defers, .on_result = teller_result, .drop = drop_records);
static const weir_kind defers_first =
    KIND(.work = work_defers_and_tells, .on_result = teller_result, .drop = drop_records);
static const weir_kind only_acked = KIND(.work = work_ends, .on_result = teller_result, .flags = WEIR_MANUAL_ACK);

static void the_works_detail_comes_with_the_final_and_is_dropped_after_it(void **unused)
{
    (void)unused;
    struct teller t;
    teller_init(&t);
    start_closed(&tells, &t);
    tally_wait(&seen.drops, 1);
    assert_int_equal(t.first_answer, WEIR_OK);
    assert_ptr_equal(t.probe.final.data, &detail);
    assert_int_equal(t.probe.final.size, 7);
    assert_int_equal(t.probe.final.posted, 0);
    assert_ptr_equal(dropped_data, &detail);
    assert_int_equal(dropped_size, 7);
}

static void a_second_detail_is_refused_and_not_taken(void **unused)
{
    (void)unused;
    struct teller t;
    teller_init(&t);
    start_closed(&tells, &t);
    tally_wait(&seen.drops, 1);
    session_close(session);
    assert_int_equal(t.second_answer, WEIR_ALREADY);
    assert_int_equal(tally_count(&seen.drops), 1);
}

static void a_final_that_waits_for_its_acknowledgement_stays_as_it_was(void **unused)
{
    (void)unused;
    struct teller t;
    struct probe others[8];
    teller_init(&t);
    t.work_answer = WEIR_FAILED;
    weir_op op = start(&tells_acked, &t);
    probe_wait(&t.probe);
    for (int i = 0; i < 8; i++) {                /* the same worker delivers other finals */
        probe_init(&others[i]);
        start_closed(&ends, &others[i]);
        probe_wait(&others[i]);
    }
    assert_int_equal(t.kept->status, WEIR_FAILED);
    assert_ptr_equal(t.kept->data, &detail);
    assert_int_equal(t.kept->size, 7);
    assert_int_equal(tally_count(&seen.drops), 0);
    assert_ok(weir_op_ack(op, t.kept->number));
    tally_wait(&seen.drops, 1);
    assert_ptr_equal(dropped_data, &detail);
    assert_ok(weir_op_close(op));
}

static void a_final_of_work_that_never_ran_waits_for_its_acknowledgement_too(void **unused)
{
    (void)unused;
    struct teller t;
    struct busy busy;
    struct probe other;
    teller_init(&t);
    busy_begin(&busy, 1);
    weir_op op = start(&only_acked, &t);
    assert_ok(weir_session_cancel(session, WEIR_REASON_OWN));
    busy_end(&busy);
    probe_wait(&t.probe);
    probe_init(&other);
    start_closed(&ends, &other);
    probe_wait(&other);
    assert_int_equal(t.kept->status, WEIR_CANCELED);
    assert_int_equal(t.kept->reason, WEIR_REASON_OWN);
    assert_int_equal(t.kept->number, 1);
    assert_ok(weir_op_ack(op, 1));
    assert_ok(weir_op_close(op));
}

static void a_final_that_is_fetched_has_the_works_detail(void **unused)
{
    (void)unused;
    struct teller t;
    const weir_result *r;
    teller_init(&t);
    weir_op op = start(&tells_pulled, &t);
    assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
    assert_false(r->more);
    assert_ptr_equal(r->data, &detail);
    assert_int_equal(tally_count(&seen.drops), 0);
    assert_ok(weir_op_close(op));
    tally_wait(&seen.drops, 1);
    assert_ptr_equal(dropped_data, &detail);
}

static void the_detail_of_parked_work_goes_out_with_the_librarys_final(void **unused)
{
    (void)unused;
    struct teller t;
    teller_init(&t);
    weir_op op = start(&parks, &t);
    gate_wait(&t.told);
    tally_wait(&t.probe.items, 1);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    assert_ok(weir_op_ack(op, 1));
    probe_wait(&t.probe);
    assert_int_equal(t.probe.final.status, WEIR_CANCELED);
    assert_ptr_equal(t.probe.final.data, &detail);
    assert_ok(weir_op_ack(op, 2));
    tally_wait(&seen.drops, 2);
    assert_ptr_equal(dropped_data, &detail);
    assert_ok(weir_op_close(op));
}

static void a_token_brings_the_detail_of_deferred_work(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    static const weir_kind kind = KIND(.work = work_defers, .on_result = on_result, .drop = drop_records);
    start_closed(&kind, &probe);
    gate_wait(&probe.deferred);
    assert_ok(weir_token_complete(probe.token, WEIR_FAILED, &detail, 7));
    tally_wait(&seen.drops, 1);
    assert_int_equal(probe.final.status, WEIR_FAILED);
    assert_ptr_equal(probe.final.data, &detail);
    assert_int_equal(dropped_size, 7);
}

static void a_token_does_not_bring_a_second_detail(void **unused)
{
    (void)unused;
    struct teller t;
    teller_init(&t);
    start_closed(&tells_deferred, &t);
    gate_wait(&t.told);
    assert_int_equal(weir_token_complete(t.probe.token, WEIR_FAILED, &second, 8), WEIR_ALREADY);
    assert_ok(weir_token_complete(t.probe.token, WEIR_OK, NULL, 0));
    tally_wait(&seen.drops, 1);
    assert_int_equal(t.probe.final.status, WEIR_OK);
    assert_ptr_equal(t.probe.final.data, &detail);
    assert_ptr_equal(dropped_data, &detail);
}

static void work_that_has_deferred_gives_no_detail(void **unused)
{
    (void)unused;
    struct teller t;
    teller_init(&t);
    start_closed(&defers_first, &t);
    gate_wait(&t.told);
    assert_int_equal(t.first_answer, WEIR_INVALID);
    assert_ok(weir_token_complete(t.probe.token, WEIR_OK, NULL, 0));
    probe_wait(&t.probe);
    assert_null(t.probe.final.data);
    session_close(session);
    assert_int_equal(tally_count(&seen.drops), 0);
}

static void the_detail_of_deferred_work_goes_out_when_a_cancel_decides(void **unused)
{
    (void)unused;
    struct teller t;
    teller_init(&t);
    weir_op op = start(&tells_deferred, &t);
    gate_wait(&t.told);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    tally_wait(&seen.drops, 1);
    assert_int_equal(t.probe.final.status, WEIR_CANCELED);
    assert_ptr_equal(t.probe.final.data, &detail);
    assert_ok(weir_op_close(op));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_works_detail_comes_with_the_final_and_is_dropped_after_it),
        TEST(a_second_detail_is_refused_and_not_taken),
        TEST_ONE_WORKER(a_final_that_waits_for_its_acknowledgement_stays_as_it_was),
        TEST_ONE_WORKER(a_final_of_work_that_never_ran_waits_for_its_acknowledgement_too),
        TEST(a_final_that_is_fetched_has_the_works_detail),
        TEST(the_detail_of_parked_work_goes_out_with_the_librarys_final),
        TEST(a_token_brings_the_detail_of_deferred_work),
        TEST(a_token_does_not_bring_a_second_detail),
        TEST(work_that_has_deferred_gives_no_detail),
        TEST(the_detail_of_deferred_work_goes_out_when_a_cancel_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
