/* SPDX-License-Identifier: Apache-2.0 */
/* test_stats.c - counts and cancellation latencies, by a clock that the test steps */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "session/stats.h"
#include "tests/support/session_fixture.h"

#define MS UINT64_C(1000000)

/* ---- stamps ---- */

static void a_stamp_has_an_age_to_256_ns(void **unused)
{
    (void)unused;
    int64_t then = INT64_C(123456789012345);
    uint32_t one = stamp_make(then, false), all = stamp_make(then, true);
    assert_int_equal(one & STAMP_ALL, 0);
    assert_int_equal(all & STAMP_ALL, STAMP_ALL);
    for (uint64_t age = 1000; age < UINT64_C(500000000000); age *= 7) {
        assert_in_range(stamp_age(one, then + (int64_t)age), age - 256, age + 256);
        assert_int_equal(stamp_age(all, then + (int64_t)age), stamp_age(one, then + (int64_t)age));
    }
}

static void a_stamp_of_a_moment_later_has_no_age(void **unused)
{
    (void)unused;
    int64_t now = INT64_C(99999999999);
    assert_int_equal(stamp_age(stamp_make(now, false), now), 0);
    assert_int_equal(stamp_age(stamp_make(now + 5000, false), now), 0);
}

static void a_stamp_comes_round_after_nine_minutes(void **unused)
{
    (void)unused;
    int64_t round = (int64_t)(STAMP_UNITS + UINT64_C(1)) << STAMP_SHIFT;
    assert_true(round > INT64_C(9) * 60 * 1000000000);
    assert_int_equal(stamp_age(stamp_make(7000, false), 7000 + round), 0);
}

/* ---- the application with a clock of the test's ---- */

static _Atomic int64_t now_ns;

static int64_t stepped(void *ctx)
{
    (void)ctx;
    return now_ns;
}

static int setup_stepped(void **unused)
{
    (void)unused;
    seen_forget();
    now_ns = INT64_C(5000000000);
    app = app_open_with(WEIR_NEW(weir_app_options, .workers = 1, .now = stepped));
    session = session_open_with(app, NULL);
    return 0;
}

static weir_stats stats_now(void)
{
    weir_stats stats = { .size = sizeof(stats) };
    assert_ok(weir_app_stats(app, &stats));
    return stats;
}

static weir_stats session_stats_now(void)
{
    weir_stats stats = { .size = sizeof(stats) };
    assert_ok(weir_session_stats(session, &stats));
    return stats;
}

/* The chunk that delivered looks at the clock when it ends; then everything is counted. */
static weir_stats stats_after(uint64_t finals, weir_stats *of_session)
{
    for (;;) {
        weir_stats stats = stats_now();
        *of_session = session_stats_now();
        if (stats.cancel_final.count == finals && stats.cancel_seen.count == finals
            && of_session->cancel_final.count == finals && of_session->cancel_seen.count == finals)
            return stats;
        sched_yield();
    }
}

/* The application's, to an eighth; and the session's, to a factor of two. */
static void assert_latency(const weir_latency *exact, const weir_latency *coarse, uint64_t ns)
{
    assert_in_range(exact->max_ns, ns > 256 ? ns - 256 : 0, ns);
    assert_in_range(exact->p50_ns, ns > 256 ? ns - 256 : 0, ns);
    assert_in_range(coarse->p50_ns, ns > 256 ? ns - 256 : 0, ns < 1024 ? 1024 : ns * 2);
    uint64_t sum = 0;
    for (int i = 0; i < WEIR_LATENCY_BUCKETS; i++) {
        assert_int_equal(exact->bucket[i], coarse->bucket[i]);
        sum += exact->bucket[i];
    }
    assert_int_equal(sum, exact->count);
}

/* So many finals, all with the same latencies. */
static void assert_latencies(uint64_t finals, uint64_t seen_ns, uint64_t final_ns)
{
    weir_stats coarse, stats = stats_after(finals, &coarse);
    assert_latency(&stats.cancel_seen, &coarse.cancel_seen, seen_ns);
    assert_latency(&stats.cancel_final, &coarse.cancel_final, final_ns);
}

/* ---- seen, final, barrier ---- */

static struct gate hook_entered, hook_leave;

static bool hook_that_stays(weir_reason reason, void *ctx)
{
    (void)reason;
    (void)ctx;
    gate_open(&hook_entered);
    gate_wait(&hook_leave);
    return true;
}

static weir_status work_with_hook(weir_task *task, void *ctx)
{
    weir_status status = weir_task_on_cancel(task, hook_that_stays, ctx);
    return status != WEIR_OK ? status : defer_to(task, ctx);
}

static const weir_kind hooked = KIND(.work = work_with_hook, .on_result = on_result);

/* Neither the worker nor the control thread, which is inside the hook of another operation, comes to deliver it. */
static void waiting_work_is_decided_with_the_cancel_and_delivered_by_a_worker(void **unused)
{
    (void)unused;
    struct probe other, busy, waiting;
    probe_init(&other);
    probe_init(&waiting);
    hook_entered = hook_leave = (struct gate)GATE_INIT;
    weir_op stuck = start(&hooked, &other);
    gate_wait(&other.deferred);
    probe_hold(&busy, session);
    assert_ok(weir_op_cancel(stuck, WEIR_REASON_USER));
    gate_wait(&hook_entered);
    weir_op op = start(&ends, &waiting);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    now_ns += 5 * MS;
    gate_open(&hook_leave);
    probe_release(&busy);
    probe_wait(&waiting);
    probe_wait(&other);
    assert_latencies(2, 0, 5 * MS);
    assert_ok(weir_op_close(op));
    assert_ok(weir_op_close(stuck));
}

struct poller {
    struct gate entered, poll, polled, leave;
};

static weir_status work_that_polls(weir_task *task, void *ctx)
{
    struct poller *poller = ctx;
    gate_open(&poller->entered);
    gate_wait(&poller->poll);
    bool first = weir_task_cancelled(task) != 0, again = weir_task_cancelled(task) != 0;
    gate_open(&poller->polled);
    gate_wait(&poller->leave);
    return first && again && weir_task_cancelled(task) != 0 ? WEIR_CANCELED : WEIR_FAILED;
}

static void count_final(const weir_result *r, void *ctx)
{
    (void)ctx;
    seen.by_status[r->status]++;
    tally_add(&seen.finals, 1);
}

static const weir_kind polls = KIND(.work = work_that_polls, .on_result = count_final);

static void poller_run(struct poller *poller, bool all)
{
    *poller = (struct poller){ GATE_INIT, GATE_INIT, GATE_INIT, GATE_INIT };
    weir_op op = start(&polls, poller);
    gate_wait(&poller->entered);
    assert_ok(all ? weir_session_cancel(session, WEIR_REASON_USER) : weir_op_cancel(op, WEIR_REASON_USER));
    now_ns += 2 * MS;
    gate_open(&poller->poll);
    gate_wait(&poller->polled);
    now_ns += 4 * MS;
    gate_open(&poller->leave);
    tally_wait(&seen.finals, 1);
    assert_int_equal(seen.by_status[WEIR_CANCELED], 1);
    assert_latencies(1, 2 * MS, 6 * MS);
    assert_ok(weir_op_close(op));
}

static void running_work_is_told_by_the_first_poll(void **unused)
{
    (void)unused;
    struct poller poller;
    poller_run(&poller, false);
}

static void running_work_is_told_of_a_cancel_of_all_by_the_first_poll(void **unused)
{
    (void)unused;
    struct poller poller;
    poller_run(&poller, true);
}

static void work_that_never_asks_is_told_by_its_end(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&holds, &probe);
    gate_wait(&probe.entered);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    now_ns += 3 * MS;
    probe_release(&probe);
    assert_latencies(1, 3 * MS, 3 * MS);
    assert_ok(weir_op_close(op));
}

static void deferred_work_is_told_by_its_hook(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    hook_entered = hook_leave = (struct gate)GATE_INIT;
    weir_op op = start(&hooked, &probe);
    gate_wait(&probe.deferred);
    assert_ok(weir_op_cancel(op, WEIR_REASON_USER));
    gate_wait(&hook_entered);
    now_ns += 7 * MS;
    gate_open(&hook_leave);
    probe_wait(&probe);
    assert_latencies(1, 0, 7 * MS);
    assert_ok(weir_op_close(op));
}

static void a_deadline_counts_from_its_expiry(void **unused)
{
    (void)unused;
    struct probe busy, waiting;
    weir_op op;
    probe_hold(&busy, session);
    probe_init(&waiting);
    weir_op_options options = { .size = sizeof(options), .timeout_ns = (int64_t)(10 * MS) };
    assert_ok(weir_op_start(session, &ends, &waiting, &options, &op));
    now_ns += 14 * MS;                                         /* 4 ms too late */
    assert_ok(weir_app_tick(app));
    probe_release(&busy);
    probe_wait(&waiting);
    assert_int_equal(seen.by_status[WEIR_TIMED_OUT], 1);
    weir_stats coarse, stats = stats_after(1, &coarse);
    assert_in_range(stats.cancel_final.max_ns, 4 * MS - 256, 4 * MS);
    assert_ok(weir_op_close(op));
}

static void a_close_counts_every_final_and_one_barrier(void **unused)
{
    (void)unused;
    enum { COUNT = 100 };
    struct probe busy;
    struct closing closing = CLOSING_INIT;
    probe_hold(&busy, session);
    for (int i = 0; i < COUNT; i++)
        start_closed(&ends, NULL);
    assert_ok(weir_session_close(session, closing_done, &closing));
    tally_wait(&seen.finals, COUNT);                           /* the control thread comes */
    now_ns += 9 * MS;
    probe_release(&busy);
    closing_wait(&closing, session);
    weir_stats stats = stats_now();                            /* all chunks have ended */
    assert_int_equal(stats.cancel_final.count, COUNT + 1);
    assert_int_equal(stats.cancel_seen.count, COUNT + 1);
    assert_int_equal(stats.cancel_barrier.count, 1);
    assert_int_equal(stats.cancel_barrier.max_ns, 9 * MS);
    assert_in_range(stats.cancel_final.max_ns, 9 * MS - 256, 9 * MS);
}

static void what_ends_by_itself_has_no_latency(void **unused)
{
    (void)unused;
    start_closed(&ends, NULL);
    tally_wait(&seen.finals, 1);
    (void)session_close(session);
    weir_stats stats = stats_now();
    assert_int_equal(stats.completed, 1);
    assert_int_equal(stats.cancel_seen.count, 0);
    assert_int_equal(stats.cancel_final.count, 0);
    assert_int_equal(stats.cancel_barrier.count, 1);
}

/* Sessions come to slots that others have left: here to the same one in the end. */
static void a_session_begins_with_nothing(void **unused)
{
    (void)unused;
    for (int round = 0; round < 3; round++) {
        struct probe busy;
        weir_stats stats = session_stats_now();
        assert_int_equal(stats.cancel_seen.count + stats.cancel_final.count + stats.cancel_barrier.count, 0);
        assert_int_equal(stats.accepted + stats.cancelled + stats.completed, 0);
        probe_hold(&busy, session);
        start_closed(&ends, NULL);
        struct closing closing = CLOSING_INIT;
        assert_ok(weir_session_close(session, closing_done, &closing));
        probe_release(&busy);
        closing_wait(&closing, session);
        session = session_open_with(app, NULL);
    }
}

/* ---- counts ---- */

static void states_and_classes_are_counted_per_session_and_for_the_application(void **unused)
{
    (void)unused;
    struct probe busy, failed, other;
    weir_session second = session_open_with(app, NULL);
    probe_init(&failed);
    failed.answer = WEIR_FAILED;
    start_closed(&ends, &failed);
    probe_wait(&failed);
    probe_init(&other);
    assert_ok(weir_op_start(second, &ends, &other, NULL, NULL));
    probe_wait(&other);
    probe_hold(&busy, session);
    start_closed(&ends, NULL);
    weir_stats mine = session_stats_now(), all = stats_now();
    assert_int_equal(mine.accepted, 3);
    assert_int_equal(mine.failed, 1);
    assert_int_equal(mine.completed, 0);
    assert_int_equal(mine.running, 1);
    assert_int_equal(mine.queued, 1);
    assert_int_equal(all.accepted, 4);
    assert_int_equal(all.completed, 1);
    assert_int_equal(all.running, 1);
    probe_release(&busy);
    tally_wait(&seen.finals, 4);
    (void)session_close(session);
    (void)session_close(second);
    all = stats_now();                                         /* what ended sessions did is kept */
    assert_int_equal(all.accepted, 4);
    assert_int_equal(all.completed, 3);
    assert_int_equal(all.queued + all.running + all.parked + all.deferred, 0);
}

static void items_are_counted(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    probe.count = 20;
    start_closed(&streams, &probe);
    probe_wait(&probe);
    weir_stats stats = session_stats_now();
    assert_int_equal(stats.posted, 20);
    assert_int_equal(stats.delivered, 20);
    assert_int_equal(stats.discarded, 0);
}

static void a_refused_start_is_counted(void **unused)
{
    (void)unused;
    struct probe busy;
    struct closing closing = CLOSING_INIT;
    probe_hold(&busy, session);
    assert_ok(weir_session_close(session, closing_done, &closing));
    for (int i = 0; i < 3; i++)
        assert_status(weir_op_start(session, &ends, NULL, NULL, NULL), WEIR_CLOSED);
    assert_int_equal(session_stats_now().refused, 3);
    probe_release(&busy);
    closing_wait(&closing, session);
    assert_status(weir_op_start(session, &ends, NULL, NULL, NULL), WEIR_STALE);
    assert_int_equal(stats_now().refused, 3);
    assert_int_equal(stats_now().accepted, 1);
}

static void statistics_that_do_not_fit_are_refused_untouched(void **unused)
{
    (void)unused;
    weir_stats stats = { .size = sizeof(stats) - 1, .accepted = 9 };
    assert_status(weir_app_stats(app, &stats), WEIR_INVALID);
    assert_status(weir_session_stats(session, &stats), WEIR_INVALID);
    (void)session_close(session);
    stats.size = sizeof(stats);
    assert_status(weir_session_stats(session, &stats), WEIR_STALE);
    assert_int_equal(stats.accepted, 9);
    assert_status(weir_session_stats(session, NULL), WEIR_INVALID);
}

#define STEPPED(name) cmocka_unit_test_setup_teardown(name, setup_stepped, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stamp_has_an_age_to_256_ns),
        cmocka_unit_test(a_stamp_of_a_moment_later_has_no_age),
        cmocka_unit_test(a_stamp_comes_round_after_nine_minutes),
        STEPPED(waiting_work_is_decided_with_the_cancel_and_delivered_by_a_worker),
        STEPPED(running_work_is_told_by_the_first_poll),
        STEPPED(running_work_is_told_of_a_cancel_of_all_by_the_first_poll),
        STEPPED(work_that_never_asks_is_told_by_its_end),
        STEPPED(deferred_work_is_told_by_its_hook),
        STEPPED(a_deadline_counts_from_its_expiry),
        STEPPED(a_close_counts_every_final_and_one_barrier),
        STEPPED(what_ends_by_itself_has_no_latency),
        STEPPED(a_session_begins_with_nothing),
        STEPPED(states_and_classes_are_counted_per_session_and_for_the_application),
        STEPPED(items_are_counted),
        STEPPED(a_refused_start_is_counted),
        STEPPED(statistics_that_do_not_fit_are_refused_untouched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
