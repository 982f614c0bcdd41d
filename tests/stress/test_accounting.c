/* SPDX-License-Identifier: Apache-2.0 */
/* test_accounting.c - eight threads start operations of every sort, cancel some, and are refused when the sessions
 * close under them; others ask all the time; what reports and statistics say in the end is what callbacks counted */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "tests/support/app_fixture.h"
#include "tests/support/stress.h"

enum { STARTERS = 8, SESSIONS = 2, STARTS = 300 };

/* What the test counts for itself. */
struct own {
    _Atomic uint64_t accepted, refused, completed, failed, cancelled, timed_out, reasons;
    _Atomic uint64_t posted, delivered, told_posted, told_delivered, told_discarded, drops, gones, wrong;
};

struct arena {
    weir_session session;
    struct own own;
    struct gate closed;
    weir_report report;
};

struct one {
    struct own *own;
    uint32_t items, next;
    uint64_t random;
};

/* ---- callbacks ---- */

static weir_status work_streams(weir_task *task, void *ctx)
{
    struct one *one = ctx;
    for (; one->next < one->items; one->next++) {
        weir_status status = weir_task_post(task, one, 1);
        if (status != WEIR_OK)
            return status;
        one->own->posted++;
    }
    return one->random % 4 == 0 ? WEIR_FAILED : WEIR_OK;
}

static weir_status work_until_cancelled(weir_task *task, void *ctx)
{
    (void)ctx;
    return weir_task_cancelled(task) != 0 ? WEIR_CANCELED : WEIR_AGAIN;
}

/* Posts through the token, and completes; or leaves the rest to a cancel. */
static weir_status work_defers(weir_task *task, void *ctx)
{
    struct one *one = ctx;
    struct own *own = one->own;
    uint64_t random = one->random;
    weir_token token;
    weir_status status = weir_task_defer(task, &token);
    if (status == WEIR_ALREADY)                                /* called again, since a post was refused */
        return WEIR_OK;
    if (status != WEIR_OK)
        return status;
    own->posted += weir_token_post(token, one, 1) == WEIR_OK;
    if (random % 2 == 0)
        (void)!weir_token_complete(token, WEIR_OK, NULL, 0);
    return WEIR_OK;
}

static void count_final(struct own *own, const weir_result *r)
{
    own->told_posted += r->posted;
    own->told_delivered += r->delivered;
    own->told_discarded += r->discarded;
    own->reasons += r->reason != 0;
    switch (r->status) {
    case WEIR_OK: own->completed++; break;
    case WEIR_CANCELED: own->cancelled++; break;
    case WEIR_TIMED_OUT: own->timed_out++; break;
    default: own->failed++; break;
    }
}

static void on_result(const weir_result *r, void *ctx)
{
    struct one *one = ctx;
    if (r->more)
        one->own->delivered++;
    else
        count_final(one->own, r);
}

static void on_result_acked(const weir_result *r, void *ctx)
{
    struct one *one = ctx;
    on_result(r, ctx);
    one->own->wrong += weir_op_ack(r->op, r->number) != WEIR_OK;
}

static void on_drop(void *data, size_t size)
{
    struct one *one = data;
    one->own->drops += size;
}

static void on_gone(void *ctx)
{
    struct one *one = ctx;
    one->own->gones++;
    free(one);
}

#define KIND(...) { .size = sizeof(weir_kind), .gone = on_gone, .drop = on_drop, __VA_ARGS__ }

static const weir_kind kinds[] = {
    KIND(.work = work_streams, .on_result = on_result),
    KIND(.work = work_streams, .on_result = on_result, .window = 4, .flags = WEIR_DISCARD_ON_CANCEL),
    KIND(.work = work_streams, .on_result = on_result_acked, .window = 2, .flags = WEIR_MANUAL_ACK),
    KIND(.work = work_until_cancelled, .on_result = on_result),
    KIND(.work = work_defers, .on_result = on_result, .window = 2),
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* ---- threads ---- */

struct starter {
    struct arena *arena;
    uint64_t random;
};

static void start_one(struct arena *arena, uint64_t random)
{
    struct own *own = &arena->own;
    struct one *one = malloc(sizeof(*one));
    if (one == NULL)
        abort();                                               /* not what is tested */
    *one = (struct one){ .own = own, .items = (uint32_t)(random >> 8) % 6, .random = random >> 16 };
    weir_op_options options = { .size = sizeof(options), .timeout_ns = random % 7 == 0 ? 200000 : 0 };
    weir_op op, *out = random % 3 == 0 ? &op : NULL;
    weir_status status = weir_op_start(arena->session, &kinds[(random >> 32) % KINDS], one, &options, out);
    if (status != WEIR_OK) {
        own->refused += status == WEIR_CLOSED;
        own->wrong += status != WEIR_CLOSED && status != WEIR_STALE;
        free(one);
        return;
    }
    own->accepted++;
    if (out != NULL && random % 2 == 0)
        (void)weir_op_cancel(op, WEIR_REASON_USER);
    own->wrong += out != NULL && weir_op_close(op) != WEIR_OK;
}

static void *start_many(void *arg)
{
    struct starter *starter = arg;
    for (int i = 0; i < STARTS; i++)
        start_one(starter->arena, test_random(&starter->random));
    return NULL;
}

struct asker {
    weir_app app;
    struct arena *arena;
    _Atomic bool stop;
    uint64_t wrong, times;
};

static void *keep_asking(void *arg)
{
    struct asker *asker = arg;
    while (!asker->stop) {
        weir_blocker blocker[16];
        weir_report report = { .size = sizeof(report), .blockers = blocker, .blockers_max = 16 };
        weir_stats stats = { .size = sizeof(stats) };
        weir_status status = weir_session_inspect(asker->arena[asker->times++ % SESSIONS].session, &report);
        uint64_t shown = report.blockers_found < 16 ? report.blockers_found : 16;
        for (uint64_t i = 0; status == WEIR_OK && i < shown; i++)
            asker->wrong += blocker[i].missing == 0 || blocker[i].name == NULL || blocker[i].site == NULL;
        asker->wrong += status != WEIR_OK && status != WEIR_STALE;
        asker->wrong += weir_app_stats(asker->app, &stats) != WEIR_OK;
    }
    return NULL;
}

static void on_closed(const weir_report *report, void *ctx)
{
    struct arena *arena = ctx;
    arena->report = *report;
    gate_open(&arena->closed);
}

/* ---- the books ---- */

static void compare_report(struct arena *arena)
{
    const weir_report *r = &arena->report;
    const struct own *own = &arena->own;
    assert_int_equal(own->wrong, 0);
    assert_int_equal(r->accepted, own->accepted);
    assert_int_equal(r->completed, own->completed);
    assert_int_equal(r->failed, own->failed);
    assert_int_equal(r->cancelled, own->cancelled);
    assert_int_equal(r->timed_out, own->timed_out);
    assert_int_equal(r->abandoned, 0);
    assert_int_equal(r->accepted, r->completed + r->failed + r->cancelled + r->timed_out);
    assert_int_equal(r->posted, own->posted);
    assert_int_equal(r->delivered, own->delivered);
    assert_int_equal(r->posted, r->delivered + r->discarded);
    assert_int_equal(own->told_posted, own->posted);
    assert_int_equal(own->told_delivered, own->delivered);
    assert_int_equal(own->told_discarded, r->discarded);
    assert_int_equal(own->drops, own->posted);
    assert_int_equal(own->gones, own->accepted);
}

static void compare_stats(weir_app app, const struct arena *arena)
{
    weir_stats stats = { .size = sizeof(stats) };
    uint64_t accepted = 0, refused = 0, delivered = 0, posted = 0, cancelled = 0, reasons = 0;
    assert_int_equal(weir_app_stats(app, &stats), WEIR_OK);
    for (int i = 0; i < SESSIONS; i++) {
        accepted += arena[i].own.accepted;
        refused += arena[i].own.refused;
        posted += arena[i].own.posted;
        delivered += arena[i].own.delivered;
        cancelled += arena[i].own.cancelled;
        reasons += arena[i].own.reasons;
    }
    assert_int_equal(stats.accepted, accepted);
    assert_int_equal(stats.refused, refused);
    assert_int_equal(stats.posted, posted);
    assert_int_equal(stats.delivered, delivered);
    assert_int_equal(stats.cancelled, cancelled);
    assert_int_equal(stats.queued + stats.running + stats.parked + stats.deferred, 0);
    assert_int_equal(stats.cancel_barrier.count, SESSIONS);
    assert_int_equal(stats.cancel_final.count, reasons);       /* each cancelled one was told, and delivered, once */
    assert_int_equal(stats.cancel_seen.count, reasons);
}

/* ---- a round ---- */

static void close_under_them(struct arena *arena, struct stress *s)
{
    uint64_t enough = stress_below(s, STARTERS * STARTS / SESSIONS);
    while (arena->own.accepted < enough / 2)
        sched_yield();
    assert_int_equal(weir_session_close(arena->session, on_closed, arena), WEIR_OK);
}

static void run_round(struct stress *s)
{
    static struct arena arena[SESSIONS];
    struct starter starter[STARTERS];
    struct asker asker = { .arena = arena };
    pthread_t thread[STARTERS], asking;
    asker.app = app_open();
    for (int i = 0; i < SESSIONS; i++) {
        arena[i] = (struct arena){ .closed = GATE_INIT };
        assert_int_equal(weir_session_open(asker.app, NULL, &arena[i].session), WEIR_OK);
    }
    asking = thread_start(keep_asking, &asker);
    for (int i = 0; i < STARTERS; i++) {
        starter[i] = (struct starter){ &arena[i % SESSIONS], test_random(&s->random) };
        thread[i] = thread_start(start_many, &starter[i]);
    }
    for (int i = 0; i < SESSIONS; i++)
        close_under_them(&arena[i], s);
    for (int i = 0; i < STARTERS; i++)
        thread_join(thread[i]);
    for (int i = 0; i < SESSIONS; i++)
        gate_wait(&arena[i].closed);
    asker.stop = true;
    thread_join(asking);
    for (int i = 0; i < SESSIONS; i++)
        compare_report(&arena[i]);
    assert_int_equal(asker.wrong, 0);
    compare_stats(asker.app, arena);
    app_close(asker.app);
}

static void the_books_are_what_the_callbacks_counted(void **unused)
{
    (void)unused;
    struct stress s = stress_begin(1);
    do
        run_round(&s);
    while (stress_goes_on(&s));
    print_message("%llu rounds\n", (unsigned long long)s.rounds);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_books_are_what_the_callbacks_counted) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
