/* SPDX-License-Identifier: Apache-2.0
 *
 * session_run.c - what does an operation cost from its start to its end, when all goes well?
 *
 * Start with a result callback, run, final, close of the handle inside the final; per operation, from the first start
 * to the last final. Then the parts: starts while the worker is held back; runs while the starter is silent.
 */
#include "harness.h"

static weir_app app;
static struct { _Alignas(BENCH_LINE) size_t left; struct flag done; int64_t ended; } finals;  /* the one worker's */

static weir_status work(weir_task *task, void *ctx)
{
    (void)task, (void)ctx;
    return WEIR_OK;
}

static void count_final(void)
{
    if (--finals.left > 0)
        return;
    finals.ended = bench_now();
    flag_raise(&finals.done);
}

static void on_result(const weir_result *result, void *ctx)
{
    (void)result, (void)ctx;
    count_final();
}

static void on_result_close(const weir_result *result, void *ctx)
{
    (void)ctx;
    bench_must(weir_op_close(result->op), "close a handle");
    count_final();
}

static const weir_kind KIND = { .size = sizeof KIND, .work = work, .on_result = on_result };
static const weir_kind KIND_HANDLES = { .size = sizeof KIND_HANDLES, .work = work, .on_result = on_result_close };

static void start_all(weir_session session, size_t count, bool handles)
{
    weir_op op;
    for (size_t i = 0; i < count; i++)
        bench_must(weir_op_start(session, handles ? &KIND_HANDLES : &KIND, NULL, NULL, handles ? &op : NULL), "start");
}

static double run_all(weir_session session, size_t count, bool handles)
{
    finals.left = count;
    int64_t began = bench_now();
    start_all(session, count, handles);
    flag_await(&finals.done);
    return (double)(finals.ended - began) / (double)count;
}

static void measure(const char *row, size_t count, bool handles)
{
    weir_session session;
    bench_must(weir_session_open(app, NULL, &session), "open a session");
    (void)run_all(session, count / 10, handles);
    bench_sample(row, "ns/op", run_all(session, count, handles));
    bench_must(weir_session_close(session, NULL, NULL), "close a session");
}

static void measure_parts(size_t count)
{
    weir_session session;
    struct gate gate;
    bench_must(weir_session_open(app, NULL, &session), "open a session");
    for (int round = 0; round < 2; round++) {
        gate_hold(&gate, weir_app_queue(app, WEIR_NORMAL));
        finals.left = count;
        int64_t began = bench_now();
        start_all(session, count, false);
        int64_t started = bench_now();
        gate_open(&gate);
        flag_await(&finals.done);
        if (round == 0)
            continue;
        bench_sample("starts alone", "ns/op", (double)(started - began) / (double)count);
        bench_sample("runs alone", "ns/op", (double)(finals.ended - started) / (double)count);
    }
    bench_must(weir_session_close(session, NULL, NULL), "close a session");
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    app = bench_app_open(1);
    size_t count = bench_count(1000000);
    measure("start + run + final + close handle", count, true);
    measure("start + run + final", count, false);
    measure_parts(bench_count(100000));
    bench_app_close(app);
    return 0;
}
