/* SPDX-License-Identifier: Apache-2.0
 *
 * deadline.c - what do deadlines cost, and what when they all expire?
 *
 * Starts: as many operations as a gate holds back, without a deadline, with the session's, and with their own. A storm:
 * N parked operations have the same deadline on a clock of the application's own, which is stepped past it; from the
 * tick to the first and to the last final's callback. Lateness: N parked operations have deadlines spread over a tenth
 * of a second of real time; from each deadline to its final's callback. Finals come from the worker and, where it is
 * late, from the control thread, so they share a counter.
 */
#include "harness.h"

#include <stdio.h>

enum { MS = 1000000, SECOND = 1000 * MS, SPREAD_NS = 100 * MS, SETTLE_NS = 2 * MS };

static weir_app app;
static struct flag over;
static struct {
    _Alignas(BENCH_LINE) _Atomic size_t left;
    size_t all;
    _Atomic int64_t first_at, last_at;
} finals;

static void expect(size_t count)
{
    finals.all = count;
    atomic_store_explicit(&finals.left, count, memory_order_relaxed);
    tally_clear(&bench_parked);
}

static void count_final(void)
{
    size_t before = atomic_fetch_sub_explicit(&finals.left, 1, memory_order_acq_rel);  /* the other finals' notes */
    if (before == finals.all)
        atomic_store_explicit(&finals.first_at, bench_now(), memory_order_relaxed);
    if (before > 1)
        return;
    atomic_store_explicit(&finals.last_at, bench_now(), memory_order_relaxed);
    flag_raise(&over);
}

static void on_result(const weir_result *result, void *ctx)
{
    (void)ctx;
    bench_check(result->reason == WEIR_REASON_TIMEOUT, "it ended otherwise");
    count_final();
}

static const weir_kind KIND = { .size = sizeof KIND, .work = bench_park, .on_result = on_result };

static weir_session open_session(int64_t timeout_ns)
{
    weir_session session;
    weir_session_options options = { .size = sizeof options, .timeout_ns = timeout_ns };
    bench_must(weir_session_open(app, &options, &session), "open a session");
    return session;
}

/* ---- starts ---- */

static void measure_starts(const char *row, int64_t of_session_ns, int64_t own_ns, size_t count)
{
    static const weir_kind quiet = { .size = sizeof quiet, .work = bench_park, .on_result = bench_ignore };
    weir_op_options options = { .size = sizeof options, .timeout_ns = own_ns };
    struct gate gate;
    int64_t took = 0;
    app = bench_app_open(1);
    for (int round = 0; round < 2; round++) {              /* the first one warms up */
        gate_hold(&gate, weir_app_queue(app, WEIR_NORMAL));
        weir_session session = open_session(of_session_ns);
        int64_t began = bench_now();
        for (size_t i = 0; i < count; i++)
            bench_must(weir_op_start(session, &quiet, NULL, &options, NULL), "start");
        took = bench_now() - began;
        bench_must(weir_session_close(session, NULL, NULL), "close a session");
        gate_end(&gate);
        bench_session_await(session);
    }
    bench_sample(row, "ns/op", (double)took / (double)count);
    bench_app_close(app);
}

/* ---- a storm ---- */

static _Atomic int64_t stepped_now = 1;

static int64_t stepped_clock(void *ctx)
{
    (void)ctx;
    return atomic_load_explicit(&stepped_now, memory_order_acquire);                   /* the step in storm() */
}

static void storm(size_t count, bool of_session, int64_t *first, int64_t *last)
{
    weir_op_options options = { .size = sizeof options, .timeout_ns = of_session ? 0 : SECOND };
    weir_session session = open_session(of_session ? SECOND : 0);
    expect(count);
    for (size_t i = 0; i < count; i++)
        bench_must(weir_op_start(session, &KIND, NULL, &options, NULL), "start");
    tally_await(&bench_parked, count);
    bench_sleep(SETTLE_NS);
    int64_t began = bench_now();
    atomic_fetch_add_explicit(&stepped_now, 2ll * SECOND, memory_order_acq_rel);       /* pairs with stepped_clock() */
    bench_must(weir_app_tick(app), "tick");
    flag_await(&over);
    *first = atomic_load_explicit(&finals.first_at, memory_order_relaxed) - began;
    *last = atomic_load_explicit(&finals.last_at, memory_order_relaxed) - began;
    bench_session_end(session);
}

static void measure_storm(size_t count, bool of_session, size_t times)
{
    char row[64];
    weir_app_options options = { .size = sizeof options, .workers = 1, .now = stepped_clock };
    struct series firsts = series_make(times), lasts = series_make(times);
    bench_must(weir_app_open(&options, &app), "open the application");
    for (size_t i = 0; i < times + 1; i++) {
        int64_t first, last;
        storm(count, of_session, &first, &last);
        if (i == 0)
            continue;
        series_add(&firsts, first);
        series_add(&lasts, last);
    }
    bench_app_close(app);
    snprintf(row, sizeof row, "%zu expire at once%s", count, of_session ? " session's deadline" : "");
    bench_sample(row, "ns", (double)series_at(&lasts, 50));
    snprintf(row, sizeof row, "%zu expire at once%s first final", count, of_session ? " session's deadline" : "");
    bench_sample(row, "ns", (double)series_at(&firsts, 50));
}

/* ---- lateness ---- */

struct late {
    int64_t due;               /* the starter's */
    int64_t by;                /* its final's */
};

static void on_result_late(const weir_result *result, void *ctx)
{
    struct late *late = ctx;
    (void)result;
    late->by = bench_now() - late->due;
    count_final();
}

static void measure_lateness(size_t count)
{
    static const weir_kind kind = { .size = sizeof kind, .work = bench_park, .on_result = on_result_late };
    char row[64];
    struct late *late = bench_alloc(count * sizeof *late);
    struct series series = series_make(count);
    app = bench_app_open(1);
    weir_session session = open_session(0);
    expect(count);
    int64_t storm_at = bench_now() + SPREAD_NS + (int64_t)count * 3000;                /* all are parked by then */
    for (size_t i = 0; i < count; i++) {
        late[i].due = storm_at + bench_random() % SPREAD_NS;
        weir_op_options options = { .size = sizeof options, .timeout_ns = late[i].due - bench_now() };
        bench_must(weir_op_start(session, &kind, &late[i], &options, NULL), "start");
    }
    flag_await(&over);
    for (size_t i = 0; i < count; i++)
        series_add(&series, late[i].by);
    bench_session_end(session);
    bench_app_close(app);
    snprintf(row, sizeof row, "late among %zu", count);
    series_samples(&series, row, "ns");
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    measure_starts("start without a deadline", 0, 0, bench_count(100000));
    measure_starts("start session's deadline", 3600ll * SECOND, 0, bench_count(100000));
    measure_starts("start own deadline", 0, 3600ll * SECOND, bench_count(100000));
    for (int of_session = 0; of_session < 2; of_session++) {
        measure_storm(1000, of_session != 0, bench_count(50));
        measure_storm(100000, of_session != 0, bench_is_quick() ? 1 : 5);
        if (!bench_is_quick())
            measure_storm(1000000, of_session != 0, 1);
    }
    measure_lateness(100);
    measure_lateness(10000);
    if (!bench_is_quick())
        measure_lateness(100000);
    return 0;
}
