/* SPDX-License-Identifier: Apache-2.0 */
/* test_e1_e7.c - E1 to E7: what is plain data here is ordered by the library alone; ThreadSanitizer is the judge */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

/* No gate, tally or atomic that releases stands between writer and reader: what tells them that it is time is relaxed.
 * Only the library's own edges make these tests free of data races, and the values right. */

#define AT_ONCE(flag) atomic_store_explicit(&(flag), true, memory_order_relaxed)
static void spin_until(_Atomic bool *flag)
{
    while (!atomic_load_explicit(flag, memory_order_relaxed))
        (void)sched_yield();
}

enum { ROUNDS = 200 };

struct plain {
    uint64_t before_start, in_work, in_item, in_token, in_cancel, in_hook, in_final, in_gone;
    uint64_t seen_in_work, seen_in_final, seen_in_hook, wrong;
    weir_token token;
    _Atomic bool has_token, runs, goes_on;
};

/* ---- E1, E3, E2, E4, E5: a stream of one thread's writing ---- */

enum { CALLS = 20 };

static weir_status work_writes(weir_task *task, void *ctx)
{
    struct plain *p = ctx;
    p->seen_in_work += p->before_start;                        /* E1 */
    if (p->in_work < CALLS) {
        p->in_work++;                                          /* E3: each call finds what the one before left */
        weir_status status = weir_task_post(task, p, p->in_work);
        if (status == WEIR_AGAIN)
            p->in_work--;
        return WEIR_AGAIN;
    }
    return WEIR_OK;
}

static void result_reads(const weir_result *r, void *ctx)
{
    struct plain *p = ctx;
    if (r->more) {
        p->in_item++;                                          /* E4: from callback to callback, one at a time */
        if (r->size != p->in_item)
            p->wrong++;                                        /* E2: the item was written before it was posted */
        return;
    }
    p->seen_in_final = p->in_work;                             /* E5 */
    p->in_final = p->in_item;                                  /* E4 */
}

static void what_the_starter_wrote_is_in_the_work_and_what_that_wrote_in_the_final(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_writes, .on_result = result_reads, .window = 1);
    for (int round = 0; round < ROUNDS; round++) {
        struct plain p = { 0 };
        weir_session in = session_open_with(app, NULL);
        p.before_start = 1;
        assert_ok(weir_op_start(in, &kind, &p, NULL, NULL));
        assert_ok(weir_session_close(in, NULL, NULL));         /* may cancel some of it */
        wait_until_closed(in);                                 /* E7 */
        assert_int_equal(p.wrong, 0);
        assert_int_equal(p.seen_in_final, p.in_work);
        assert_int_equal(p.in_final, p.in_item);
        assert_true(p.seen_in_work >= p.in_work);
    }
}

/* ---- E2 for pull: post -> next ---- */

static weir_status work_posts_data(weir_task *task, void *ctx)
{
    struct plain *p = ctx;
    static uint64_t items[CALLS];
    while (p->in_work < CALLS) {
        items[p->in_work] = p->in_work + 100;
        weir_status status = weir_task_post(task, &items[p->in_work], 8);
        if (status != WEIR_OK)
            return status;
        p->in_work++;
    }
    return WEIR_OK;
}

static void what_was_written_before_a_post_is_there_after_next(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_posts_data, .window = 3);
    for (int round = 0; round < ROUNDS; round++) {
        struct plain p = { 0 };
        const weir_result *r;
        weir_op op = start(&kind, &p);
        for (uint64_t i = 0; i < CALLS; i++) {
            assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
            assert_int_equal(*(uint64_t *)r->data, i + 100);
        }
        assert_ok(weir_op_next(op, WEIR_FOREVER, &r));
        assert_false(r->more);
        assert_int_equal(p.in_work, CALLS);                    /* E5: return -> final */
        assert_ok(weir_op_close(op));
        session_close(session);                                /* items are written anew */
        session = session_open_with(app, NULL);
    }
}

/* ---- E4 by number: acknowledgement -> next callback ---- */

static _Atomic uint64_t given;
static weir_op given_op;

static void result_is_acked_elsewhere(const weir_result *r, void *ctx)
{
    struct plain *p = ctx;
    if (p->in_item != r->number - 1)                           /* written by who acknowledged */
        p->wrong++;
    p->in_final = !r->more;
    if (r->number == 1)
        given_op = r->op;
    atomic_store_explicit(&given, r->number, memory_order_release);
}

static weir_status work_posts_many(weir_task *task, void *ctx)
{
    struct plain *p = ctx;
    while (p->in_work < ROUNDS) {
        weir_status status = weir_task_post(task, NULL, 0);
        if (status != WEIR_OK)
            return status;
        p->in_work++;
    }
    return WEIR_OK;
}

static void what_was_written_before_an_acknowledgement_is_in_the_next_callback(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_posts_many, .on_result = result_is_acked_elsewhere,
                                       .flags = WEIR_MANUAL_ACK);
    struct plain p = { 0 };
    given = 0;
    start_closed(&kind, &p);
    for (uint64_t number = 1; number <= ROUNDS + 1; number++) {
        while (atomic_load_explicit(&given, memory_order_acquire) != number)
            (void)sched_yield();
        p.in_item = number;
        assert_ok(weir_op_ack(given_op, number));
    }
    session_close(session);
    assert_int_equal(p.wrong, 0);
    assert_int_equal(p.in_final, 1);
}

/* ---- E5 by token: completion -> final ---- */

static weir_status work_gives_its_token(weir_task *task, void *ctx)
{
    struct plain *p = ctx;
    weir_token token;
    weir_status status = weir_task_defer(task, &token);
    if (status != WEIR_OK)
        return status;
    p->token = token;
    atomic_store_explicit(&p->has_token, true, memory_order_release);
    return WEIR_OK;
}

static void final_reads_the_token(const weir_result *r, void *ctx)
{
    struct plain *p = ctx;
    p->seen_in_final = p->in_token;
    p->wrong += r->status != WEIR_OK;
}

static void what_was_written_before_a_completion_is_in_the_final(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_gives_its_token, .on_result = final_reads_the_token);
    for (int round = 0; round < ROUNDS; round++) {
        struct plain p = { 0 };
        weir_session in = session_open_with(app, NULL);
        assert_ok(weir_op_start(in, &kind, &p, NULL, NULL));
        while (!atomic_load_explicit(&p.has_token, memory_order_acquire))
            (void)sched_yield();
        p.in_token = 5;
        assert_ok(weir_token_complete(p.token, WEIR_OK, NULL, 0));
        assert_ok(weir_session_close(in, NULL, NULL));
        wait_until_closed(in);
        assert_int_equal(p.seen_in_final, 5);
        assert_int_equal(p.wrong, 0);
    }
}

/* ---- E6: cancel -> poll, cancel -> hook ---- */

static weir_status work_polls(weir_task *task, void *ctx)
{
    struct plain *p = ctx;
    AT_ONCE(p->runs);
    while (weir_task_cancelled(task) == WEIR_REASON_NONE)
        (void)sched_yield();
    p->seen_in_work = p->in_cancel;
    return WEIR_CANCELED;
}

static bool hook_reads(weir_reason reason, void *ctx)
{
    struct plain *p = ctx;
    p->seen_in_hook = p->in_cancel;
    p->in_hook = reason;
    AT_ONCE(p->goes_on);
    return true;
}

static weir_status work_hooks(weir_task *task, void *ctx)
{
    struct plain *p = ctx;
    weir_status status = weir_task_on_cancel(task, hook_reads, p);
    AT_ONCE(p->runs);
    if (status == WEIR_OK)
        spin_until(&p->goes_on);
    return WEIR_CANCELED;
}

static void nothing(const weir_result *r, void *ctx)
{
    (void)r;
    (void)ctx;
}

static void cancel_running(const weir_kind *kind, struct plain *p, int how)
{
    weir_session in = session_open_with(app, NULL);
    weir_op op = start_in(in, kind, p);
    spin_until(&p->runs);
    p->in_cancel = 9;
    if (how == 0)
        assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    else if (how == 1)
        assert_ok(weir_session_cancel(in, WEIR_REASON_USER));
    else
        assert_ok(weir_session_close(in, NULL, NULL));
    assert_ok(weir_op_close(op));
    if (how != 2)
        assert_ok(weir_session_close(in, NULL, NULL));
    wait_until_closed(in);
}

static void what_was_written_before_a_cancel_is_in_the_work_and_in_the_hook(void **unused)
{
    (void)unused;
    static const weir_kind polled = KIND(.work = work_polls, .on_result = nothing);
    static const weir_kind hooked = KIND(.work = work_hooks, .on_result = nothing);
    for (int round = 0; round < ROUNDS; round++) {
        struct plain by_poll = { 0 }, by_hook = { 0 };
        cancel_running(&polled, &by_poll, round % 3);
        cancel_running(&hooked, &by_hook, round % 3);
        assert_int_equal(by_poll.seen_in_work, 9);
        assert_int_equal(by_hook.seen_in_hook, 9);
    }
}

/* ---- E7: everything -> close callback, and -> session_wait ---- */

static struct plain ended[30];
static struct { uint64_t finals, hooks, gones; } sum;

static bool hook_writes(weir_reason reason, void *ctx)
{
    struct plain *p = ctx;
    p->in_hook = reason != WEIR_REASON_NONE;
    return true;
}

static weir_status work_defers_plainly(weir_task *task, void *ctx)
{
    weir_token token;
    weir_status status = weir_task_on_cancel(task, hook_writes, ctx);
    return status != WEIR_OK ? status : weir_task_defer(task, &token);
}

static void final_writes(const weir_result *r, void *ctx)
{
    struct plain *p = ctx;
    (void)r;
    p->in_final = 1;
}

static void gone_writes(void *ctx)
{
    struct plain *p = ctx;
    p->in_gone = p->in_final;
}

static void closed_reads(const weir_report *report, void *ctx)
{
    (void)report;
    (void)ctx;
    for (int i = 0; i < 30; i++) {
        sum.finals += ended[i].in_final;
        sum.hooks += ended[i].in_hook;
        sum.gones += ended[i].in_gone;
    }
}

static void everything_is_visible_in_the_close_callback_and_that_after_the_wait(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_defers_plainly, .on_result = final_writes, .gone = gone_writes);
    for (int round = 0; round < ROUNDS; round++) {
        weir_session in = session_open_with(app, NULL);
        memset(ended, 0, sizeof ended);
        memset(&sum, 0, sizeof sum);
        for (int i = 0; i < 30; i++)
            assert_ok(weir_op_start(in, &kind, &ended[i], NULL, NULL));
        assert_ok(weir_session_close(in, closed_reads, NULL));
        wait_until_closed(in);
        uint64_t hooks = 0;
        for (int i = 0; i < 30; i++)
            hooks += ended[i].in_hook;
        assert_int_equal(sum.finals, 30);
        assert_int_equal(sum.gones, 30);
        assert_int_equal(sum.hooks, hooks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_the_starter_wrote_is_in_the_work_and_what_that_wrote_in_the_final),
        TEST(what_was_written_before_a_post_is_there_after_next),
        TEST(what_was_written_before_an_acknowledgement_is_in_the_next_callback),
        TEST(what_was_written_before_a_completion_is_in_the_final),
        TEST(what_was_written_before_a_cancel_is_in_the_work_and_in_the_hook),
        TEST(everything_is_visible_in_the_close_callback_and_that_after_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
