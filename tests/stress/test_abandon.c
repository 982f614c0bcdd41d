/* SPDX-License-Identifier: Apache-2.0 */
/* test_abandon.c - sessions full of work that does not end, closed in all ways, abandoned after no grace or little:
 * each operation has one final and one gone, each session one close callback, and everything adds up */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include <weir/weir.h>

#include "tests/support/app_fixture.h"
#include "tests/support/stress.h"

enum { CLOSERS = 3, OPS = 40 };

static weir_app app;
static _Atomic uint64_t starts, finals, gones, items, drops, wrong;
static _Atomic uint32_t in_work;

struct op_ctx {
    _Atomic int finals, gones;
    weir_token token;
    _Atomic int deferred;
    uint32_t way;
};

static weir_status work_spins(weir_task *task, void *ctx)
{
    struct op_ctx *op = ctx;
    in_work++;
    for (uint32_t i = 0; i < 200 + op->way % 2000; i++) {
        if (weir_task_post(task, ctx, 8) == WEIR_OK)
            items++;
        if (op->way % 7 == 0 && weir_task_cancelled(task) != 0)
            break;
        if (i % 64 == 0)
            (void)sched_yield();
    }
    (void)weir_task_explain(task, "at its end");
    if (weir_task_detail(task, ctx, 8) == WEIR_OK)
        items++;
    in_work--;
    return WEIR_OK;
}

static bool hook(weir_reason reason, void *ctx)
{
    (void)reason;
    return ((struct op_ctx *)ctx)->way % 2 == 0;
}

static weir_status work_defers(weir_task *task, void *ctx)
{
    struct op_ctx *op = ctx;
    if (op->way % 3 == 0 && weir_task_on_cancel(task, hook, ctx) != WEIR_OK)
        return WEIR_FAILED;
    weir_token token;
    weir_status status = weir_task_defer(task, &token);
    if (status != WEIR_OK)
        return status;
    op->token = token;
    op->deferred = 1;
    return WEIR_OK;
}

static void on_result(const weir_result *r, void *ctx)
{
    struct op_ctx *op = ctx;
    if (r->more)
        return;
    if (op->finals++ != 0 || r->posted != r->delivered + r->discarded)
        wrong++;
    finals++;
}

static void on_drop(void *data, size_t size)
{
    (void)data;
    (void)size;
    drops++;
}

static void on_gone(void *ctx)
{
    struct op_ctx *op = ctx;
    if (op->finals != 1)
        wrong++;
    gones++;
    op->gones++;                                               /* it may be freed now */
}

static void on_gone_pull(void *ctx)
{
    struct op_ctx *op = ctx;
    gones++;
    op->gones++;                                               /* as above */
}

static const weir_kind kinds[] = {
    { .size = sizeof(weir_kind), .work = work_spins, .on_result = on_result, .drop = on_drop, .gone = on_gone,
      .window = 4 },
    { .size = sizeof(weir_kind), .work = work_spins, .on_result = on_result, .drop = on_drop, .gone = on_gone,
      .window = 2, .flags = WEIR_MANUAL_ACK | WEIR_DISCARD_ON_CANCEL },
    { .size = sizeof(weir_kind), .work = work_defers, .on_result = on_result, .drop = on_drop, .gone = on_gone },
    { .size = sizeof(weir_kind), .work = work_spins, .drop = on_drop, .gone = on_gone_pull, .window = 8 },
    { .size = sizeof(weir_kind), .work = work_spins, .drop = on_drop, .gone = on_gone_pull, .window = 3,
      .flags = WEIR_DISCARD_ON_CANCEL },
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), PULLS_FROM = 3 };

struct closed {
    struct tally calls;
    weir_report report;
};

static void on_closed(const weir_report *report, void *ctx)
{
    struct closed *closed = ctx;
    closed->report = *report;
    tally_add(&closed->calls, 1);
}

/* What a user might still do with his handles and tokens meanwhile. */
static void use(struct stress *random, struct op_ctx *op, weir_op handle)
{
    const weir_result *r;
    switch (stress_below(random, 6)) {
    case 0: (void)weir_op_cancel(handle, WEIR_REASON_USER); break;
    case 1: (void)weir_op_ack(handle, 1); break;
    case 2: (void)weir_op_close(handle); break;
    case 3:
        if (op->deferred && weir_token_complete(op->token, WEIR_OK, op, 8) == WEIR_OK)
            items++;
        break;
    case 4:
        if (op->deferred && weir_token_post(op->token, op, 8) == WEIR_OK)
            items++;
        break;
    default: (void)(weir_op_next(handle, 0, &r) == WEIR_OK);
    }
}

static void one_round(struct stress *random)
{
    struct closed parent_closed = { .calls = TALLY_INIT }, closed = { .calls = TALLY_INIT };
    struct op_ctx *ops = calloc(OPS, sizeof(*ops));
    weir_op handles[OPS];
    weir_session parent, session;
    uint64_t gones_due = 0;
    if (ops == NULL || weir_session_open(app, NULL, &parent) != WEIR_OK
        || weir_session_open(app, WEIR_NEW(weir_session_options, .parent = parent), &session) != WEIR_OK)
        abort();
    for (int i = 0; i < OPS; i++) {
        ops[i].way = stress_below(random, 4000);
        handles[i] = (weir_op){ 0 };
        gones_due += weir_op_start(session, &kinds[stress_below(random, KINDS)], &ops[i], NULL, &handles[i]) == WEIR_OK;
    }
    starts += gones_due;
    for (int i = 0; i < OPS; i++)
        use(random, &ops[i], handles[i]);
    bool by_parent = stress_below(random, 2) == 0;
    weir_close_options how = {
        .size = sizeof(how), .abandon = true, .grace_ns = stress_below(random, 3) * 100000,
        .drain_ns = stress_below(random, 3) * 50000, .closed = on_closed,
    };
    how.ctx = by_parent ? &parent_closed : &closed;
    if (weir_session_close_with(by_parent ? parent : session, &how) != WEIR_OK)
        abort();
    for (int i = 0; i < OPS; i++)
        use(random, &ops[i], handles[i]);
    if (!by_parent && weir_session_close(parent, on_closed, &parent_closed) != WEIR_OK)
        abort();
    tally_wait(&parent_closed.calls, 1);
    if (!by_parent && (tally_count(&closed.calls) != 1 || closed.report.accepted != gones_due
                       || closed.report.posted != closed.report.delivered + closed.report.discarded))
        wrong++;
    while (weir_session_wait(parent, WEIR_FOREVER, NULL) == WEIR_TIMED_OUT)
        ;
    for (int i = 0; i < OPS; i++)
        while (handles[i].bits != 0 && ops[i].gones == 0)      /* abandoned work returns by itself */
            (void)sched_yield();
    free(ops);
}

static void *close_and_abandon(void *seed)
{
    struct stress random = stress_begin(1);
    random.random += (uintptr_t)seed;
    do
        one_round(&random);
    while (stress_goes_on(&random));
    return NULL;
}

static void everything_abandoned_is_accounted_for(void **unused)
{
    (void)unused;
    pthread_t threads[CLOSERS];
    app = app_open_with(WEIR_NEW(weir_app_options, .workers = test_workers(), .log = NULL));
    for (uintptr_t i = 0; i < CLOSERS; i++)
        threads[i] = thread_start(close_and_abandon, (void *)(i * 1000003));
    for (int i = 0; i < CLOSERS; i++)
        thread_join(threads[i]);
    app_close(app);
    assert_int_equal(wrong, 0);
    assert_int_equal(in_work, 0);
    assert_int_equal(drops, items);
    assert_int_equal(gones, starts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_abandoned_is_accounted_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
