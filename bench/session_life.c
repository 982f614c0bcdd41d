/* SPDX-License-Identifier: Apache-2.0
 *
 * session_life.c - what does a session cost that lives for one operation? And starts that meet a close?
 *
 * open, start one operation, close, wait until the close callback has returned. Lent: the worker sleeps in a gate, so
 * the waiting thread does it all; the operation is cancelled. Handed over: the only worker does, awake or not. Started
 * by a worker, it need not be woken.
 */
#include <pthread.h>

#include "harness.h"

static weir_app app;

static weir_status work(weir_task *task, void *ctx)
{
    (void)task, (void)ctx;
    return WEIR_OK;
}

static void on_result(const weir_result *result, void *ctx)
{
    (void)result, (void)ctx;
}

static void on_closed(const weir_report *report, void *ctx)
{
    (void)report, (void)ctx;
}

static const weir_kind KIND = { .size = sizeof KIND, .work = work, .on_result = on_result };

static weir_session open_with_one(void)
{
    weir_session session;
    bench_must(weir_session_open(app, NULL, &session), "open a session");
    bench_must(weir_op_start(session, &KIND, NULL, NULL, NULL), "start");
    return session;
}

static void measure_life(const char *row, bool lend, size_t times)
{
    weir_close_options options = { .size = sizeof options, .lend = lend, .closed = on_closed };
    struct series life = series_make(times);
    struct gate gate;
    if (lend)
        gate_hold(&gate, weir_app_queue(app, WEIR_NORMAL));
    for (size_t i = 0; i < times + times / 10; i++) {
        int64_t began = bench_now();
        weir_session session = open_with_one();
        bench_must(weir_session_close_with(session, &options), "close a session");
        bench_session_await(session);
        if (i >= times / 10)
            series_add(&life, bench_now() - began);
    }
    if (lend)
        gate_end(&gate);
    series_samples(&life, row, "ns");
}

/* ---- start against close ---- */

static struct { _Alignas(BENCH_LINE) _Atomic uint64_t session; _Atomic uint64_t accepted; } race;

/* Starts operations in whatever session there is, until that is closed; then waits for the next. */
static void *starter(void *unused)
{
    weir_session session = { 0 };
    uint64_t accepted = 0, bits;
    while ((bits = atomic_load_explicit(&race.session, memory_order_acquire)) != UINT64_MAX) {
        if (bits == session.bits) {
            bench_relax();
            continue;
        }
        session.bits = bits;
        weir_status status;
        while ((status = weir_op_start(session, &KIND, NULL, NULL, NULL)) == WEIR_OK)
            accepted++;
        bench_check(status == WEIR_CLOSED || status == WEIR_STALE, "a start was refused otherwise");
    }
    atomic_store_explicit(&race.accepted, accepted, memory_order_relaxed);
    return unused;
}

static void measure_race(size_t times)
{
    struct series took = series_make(times);
    pthread_t thread;
    bench_check(pthread_create(&thread, NULL, starter, NULL) == 0, "start a thread");
    for (size_t i = 0; i < times + times / 10; i++) {
        weir_session session;
        bench_must(weir_session_open(app, NULL, &session), "open a session");
        atomic_store_explicit(&race.session, session.bits, memory_order_release);
        bench_spin(20000);
        int64_t began = bench_now();
        bench_must(weir_session_close(session, on_closed, NULL), "close a session");
        bench_session_await(session);
        if (i >= times / 10)
            series_add(&took, bench_now() - began);
    }
    atomic_store_explicit(&race.session, UINT64_MAX, memory_order_release);
    pthread_join(thread, NULL);
    series_samples(&took, "close against a starter", "ns");
    double accepted = (double)atomic_load_explicit(&race.accepted, memory_order_relaxed);
    bench_sample("started in each session", "ops", accepted / (1.1 * (double)times));
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    app = bench_app_open(1);
    measure_life("open + start + close lent", true, bench_count(20000));
    measure_life("open + start + close handed over", false, bench_count(20000));
    measure_race(bench_count(2000));
    bench_app_close(app);
    return 0;
}
