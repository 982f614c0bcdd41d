/* SPDX-License-Identifier: Apache-2.0 */
/* test_r9.c - R9: each accepted item is dropped exactly once, on a worker, whatever becomes of it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

/* An allocator of items that counts. A second drop of one would be noticed here, and by the sanitizer. */
static _Atomic uint64_t live, made, dropped_twice, dropped_elsewhere;

struct item {
    uint64_t number;
    _Atomic bool dropped;
};

static struct item *item_new(uint64_t number)
{
    struct item *item = malloc(sizeof(*item));
    *item = (struct item){ .number = number };
    live++;
    made++;
    return item;
}

static void item_free(struct item *item)
{
    live--;
    free(item);
}

static void item_drop(void *data, size_t size)
{
    struct item *item = data;
    if (size != sizeof(*item) || atomic_exchange(&item->dropped, true))
        dropped_twice++;
    if (weir_app_close(app, WEIR_FOREVER, NULL) != WEIR_WOULD_DEADLOCK)
        dropped_elsewhere++;
    tally_add(&seen.drops, 1);
    item_free(item);
}

static int setup_items(void **unused)
{
    live = made = dropped_twice = dropped_elsewhere = 0;
    return setup(unused);
}

static void check(void)
{
    session_close(session);
    assert_int_equal(live, 0);
    assert_int_equal(dropped_twice, 0);
    assert_int_equal(dropped_elsewhere, 0);
}

/* Posts items until it is refused, and gives the refused one back itself. */
static weir_status work_posts(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    while (probe->next < probe->count) {
        struct item *item = item_new(probe->next + 1);
        weir_status status = weir_task_post(task, item, sizeof(*item));
        if (status != WEIR_OK)
            item_free(item);
        if (status == WEIR_AGAIN)
            gate_open(&probe->parked);
        if (status != WEIR_OK)
            return status;
        probe->next++;
    }
    return probe->answer;
}

static weir_status work_posts_and_details(weir_task *task, void *ctx)
{
    weir_status status = work_posts(task, ctx);
    if (status == WEIR_AGAIN)
        return status;
    struct item *detail = item_new(0);
    if (weir_task_detail(task, detail, sizeof(*detail)) != WEIR_OK)
        item_free(detail);
    return status;
}

static void result_reads(const weir_result *r, void *ctx)
{
    struct probe *probe = ctx;
    const struct item *item = r->data;
    probe->op = r->op;
    if (r->more) {
        if (item->number != tally_count(&probe->items) + 1)
            probe->wrong++;
        tally_add(&probe->items, 1);
        return;
    }
    if (item != NULL && item->number != 0)
        probe->wrong++;
    probe->final = *r;
    tally_add(&probe->finals, 1);
}

#define ITEMS(...) KIND(.work = work_posts_and_details, .drop = item_drop, __VA_ARGS__)

static const weir_kind push = ITEMS(.on_result = result_reads, .window = 4);
static const weir_kind push_acked = ITEMS(.on_result = result_reads, .window = 4, .flags = WEIR_MANUAL_ACK);
static const weir_kind push_discards = ITEMS(.on_result = result_reads, .window = 4,
                                             .flags = WEIR_MANUAL_ACK | WEIR_DISCARD_ON_CANCEL);
static const weir_kind pull = ITEMS(.window = 4);
static const weir_kind pull_discards = ITEMS(.window = 4, .flags = WEIR_DISCARD_ON_CANCEL);

enum { MANY = 100 };

static weir_op start_items(const weir_kind *kind, struct probe *probe)
{
    probe_init(probe);
    probe->count = MANY;
    return start(kind, probe);
}

static void delivered_items_and_the_detail_are_dropped(void **unused)
{
    (void)unused;
    struct probe probe;
    assert_ok(weir_op_close(start_items(&push, &probe)));
    probe_wait(&probe);
    check();
    assert_int_equal(tally_count(&probe.items), MANY);
    assert_int_equal(tally_count(&seen.drops), MANY + 1);
    assert_int_equal(probe.wrong, 0);
}

static void an_item_is_valid_until_it_is_acknowledged_and_then_dropped(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_op op = start_items(&push_acked, &probe);
    gate_wait(&probe.parked);
    for (uint64_t number = 1; number <= MANY; number++) {
        tally_wait(&probe.items, number);
        assert_int_equal(tally_count(&seen.drops), number - 1);
        assert_ok(weir_op_ack(op, number));
        tally_wait(&seen.drops, number);
    }
    probe_wait(&probe);
    assert_int_equal(((struct item *)probe.final.data)->number, 0);  /* the detail is still there */
    assert_int_equal(tally_count(&seen.drops), MANY);
    assert_ok(weir_op_ack(op, MANY + 1));
    tally_wait(&seen.drops, MANY + 1);
    assert_ok(weir_op_close(op));
    check();
}

static void a_fetched_item_is_valid_until_the_next_is_fetched_and_then_dropped(void **unused)
{
    (void)unused;
    struct probe probe;
    const weir_result *r;
    weir_op op = start_items(&pull, &probe);
    for (uint64_t number = 1; number <= MANY; number++) {
        assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
        assert_int_equal(((struct item *)r->data)->number, number);
        assert_true(tally_count(&seen.drops) < number);
    }
    assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
    assert_int_equal(((struct item *)r->data)->number, 0);
    tally_wait(&seen.drops, MANY);
    assert_int_equal(tally_count(&seen.drops), MANY);
    assert_ok(weir_op_close(op));
    check();
    assert_int_equal(tally_count(&seen.drops), MANY + 1);
}

static void unread_items_of_a_closed_pull_operation_are_dropped(void **unused)
{
    (void)unused;
    struct probe probe;
    const weir_result *r;
    for (uint64_t fetched = 0; fetched < 4; fetched++) {
        weir_op op = start_items(&pull, &probe);
        gate_wait(&probe.parked);
        for (uint64_t i = 0; i < fetched; i++)
            assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
        assert_ok(weir_op_close(op));
        weir_session old = session;
        weir_session_close(old, NULL, NULL);
        wait_until_closed(old);
        assert_int_equal(live, 0);
        session = session_open_with(app, NULL);
    }
    check();
}

static void items_that_wait_at_a_cancel_are_delivered_and_dropped(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_op op = start_items(&push_acked, &probe);
    gate_wait(&probe.parked);
    tally_wait(&probe.items, 1);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    for (uint64_t number = 1; number <= 4; number++) {
        tally_wait(&probe.items, number);
        assert_ok(weir_op_ack(op, number));
    }
    probe_wait(&probe);
    assert_int_equal(probe.final.delivered, 4);
    assert_ok(weir_op_ack(op, 5));
    assert_ok(weir_op_close(op));
    check();
}

static void items_that_a_cancel_discards_are_dropped(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_op op = start_items(&push_discards, &probe);
    gate_wait(&probe.parked);
    tally_wait(&probe.items, 1);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    assert_ok(weir_op_ack(op, 1));
    probe_wait(&probe);
    assert_int_equal(probe.final.posted, 4);
    assert_int_equal(probe.final.delivered, 1);
    assert_int_equal(probe.final.discarded, 3);
    assert_ok(weir_op_ack(op, 5));
    assert_ok(weir_op_close(op));
    check();
}

static void items_that_a_cancel_discards_of_a_pull_operation_are_dropped(void **unused)
{
    (void)unused;
    struct probe probe;
    const weir_result *r;
    weir_op op = start_items(&pull_discards, &probe);
    gate_wait(&probe.parked);
    assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    do
        assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
    while (r->more);
    assert_int_equal(r->posted, r->delivered + r->discarded);
    assert_ok(weir_op_close(op));
    check();
}

static void items_that_wait_at_a_close_are_dropped(void **unused)
{
    (void)unused;
    enum { OPERATIONS = 30 };
    static struct probe probes[OPERATIONS];
    for (int i = 0; i < OPERATIONS; i++) {
        probe_init(&probes[i]);
        probes[i].count = MANY;
        start_closed(&push, &probes[i]);
    }
    check();
    uint64_t items = 0;
    for (int i = 0; i < OPERATIONS; i++) {
        items += probes[i].final.posted;
        assert_int_equal(probes[i].final.delivered, tally_count(&probes[i].items));
    }
    assert_true(tally_count(&seen.drops) >= items);
}

/* ---- tokens ---- */

static weir_token deferred_token(struct probe *probe, const weir_kind *kind)
{
    probe_init(probe);
    start_closed(kind, probe);
    gate_wait(&probe->deferred);
    return probe->token;
}

static const weir_kind by_token = KIND(.work = work_defers, .on_result = result_reads, .drop = item_drop, .window = 4);

static weir_status post_item(weir_token token, uint64_t number)
{
    struct item *item = item_new(number);
    weir_status status = weir_token_post(token, item, sizeof(*item));
    if (status != WEIR_OK)
        item_free(item);
    return status;
}

static weir_status complete_with_detail(weir_token token)
{
    struct item *detail = item_new(0);
    weir_status status = weir_token_complete(token, WEIR_OK, detail, sizeof(*detail));
    if (status != WEIR_OK)
        item_free(detail);
    return status;
}

static void items_and_details_of_tokens_are_dropped(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_token token = deferred_token(&probe, &by_token);
    for (uint64_t number = 1; number <= 4; number++)
        assert_ok(post_item(token, number));
    assert_ok(complete_with_detail(token));
    assert_status(complete_with_detail(token), WEIR_STALE);
    assert_status(post_item(token, 9), WEIR_STALE);
    probe_wait(&probe);
    check();
    assert_int_equal(tally_count(&seen.drops), 5);
}

static void what_a_token_was_refused_after_a_cancel_is_not_dropped(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_token token = deferred_token(&probe, &by_token);
    assert_ok(post_item(token, 1));
    assert_ok(weir_session_cancel(session, WEIR_REASON_USER));
    assert_true(post_item(token, 2) != WEIR_OK);
    assert_true(complete_with_detail(token) != WEIR_OK);
    probe_wait(&probe);
    check();
    assert_int_equal(tally_count(&seen.drops), 1);
}

/* ---- details of work that the library ends ---- */

static weir_status work_details_and_yields(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    if (!probe->hook_answer) {
        struct item *detail = item_new(0);
        if (weir_task_detail(task, detail, sizeof(*detail)) != WEIR_OK)
            item_free(detail);
        probe->hook_answer = true;
    }
    gate_open(&probe->entered);
    return WEIR_AGAIN;
}

static void end_with_a_detail_that_nobody_asks_for(const weir_kind *kind)
{
    struct probe probe;
    probe_init(&probe);
    start_closed(kind, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_session_cancel(session, WEIR_REASON_USER));
    probe_wait(&probe);
    assert_status(probe.final.status, WEIR_CANCELED);
    if (kind->flags == WEIR_MANUAL_ACK)
        assert_ok(weir_op_ack(probe.op, 1));
    check();
    assert_int_equal(tally_count(&seen.drops), 1);
}

static void the_detail_of_work_that_the_library_ends_is_dropped(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_details_and_yields, .on_result = result_reads, .drop = item_drop);
    end_with_a_detail_that_nobody_asks_for(&kind);
}

static void the_same_with_manual_acknowledgement(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_details_and_yields, .on_result = result_reads, .drop = item_drop,
                                       .flags = WEIR_MANUAL_ACK);
    end_with_a_detail_that_nobody_asks_for(&kind);
}

static void the_same_for_pull(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_details_and_yields, .drop = item_drop);
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&kind, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_op_close(op));
    check();
    assert_int_equal(tally_count(&seen.drops), 1);
}

static weir_status work_details_and_defers(weir_task *task, void *ctx)
{
    struct item *detail = item_new(0);
    if (weir_task_detail(task, detail, sizeof(*detail)) != WEIR_OK)
        item_free(detail);
    return defer_to(task, ctx);
}

static void a_second_detail_is_refused_and_not_dropped(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_details_and_defers, .on_result = result_reads, .drop = item_drop);
    struct probe probe;
    weir_token token = deferred_token(&probe, &kind);
    assert_status(complete_with_detail(token), WEIR_ALREADY);
    assert_ok(weir_token_complete(token, WEIR_OK, NULL, 0));
    probe_wait(&probe);
    check();
    assert_int_equal(tally_count(&seen.drops), 1);
}

/* ---- without a drop ---- */

static void a_kind_without_a_drop_needs_none(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_streams, .on_result = on_result, .window = 3);
    struct probe probe;
    probe_init(&probe);
    probe.count = MANY;
    start_closed(&kind, &probe);
    probe_wait(&probe);
    check();
    assert_int_equal(tally_count(&probe.items), MANY);
}

#define TEST_ITEMS(name) cmocka_unit_test_setup_teardown(name, setup_items, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ITEMS(delivered_items_and_the_detail_are_dropped),
        TEST_ITEMS(an_item_is_valid_until_it_is_acknowledged_and_then_dropped),
        TEST_ITEMS(a_fetched_item_is_valid_until_the_next_is_fetched_and_then_dropped),
        TEST_ITEMS(unread_items_of_a_closed_pull_operation_are_dropped),
        TEST_ITEMS(items_that_wait_at_a_cancel_are_delivered_and_dropped),
        TEST_ITEMS(items_that_a_cancel_discards_are_dropped),
        TEST_ITEMS(items_that_a_cancel_discards_of_a_pull_operation_are_dropped),
        TEST_ITEMS(items_that_wait_at_a_close_are_dropped),
        TEST_ITEMS(items_and_details_of_tokens_are_dropped),
        TEST_ITEMS(what_a_token_was_refused_after_a_cancel_is_not_dropped),
        TEST_ITEMS(the_detail_of_work_that_the_library_ends_is_dropped),
        TEST_ITEMS(the_same_with_manual_acknowledgement),
        TEST_ITEMS(the_same_for_pull),
        TEST_ITEMS(a_second_detail_is_refused_and_not_dropped),
        TEST_ITEMS(a_kind_without_a_drop_needs_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
