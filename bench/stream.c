/* SPDX-License-Identifier: Apache-2.0
 *
 * stream.c - what does one result of a stream cost?
 *
 * One operation posts results, and returns WEIR_AGAIN where the window is full, until all have been taken; from its
 * start to its final, per result. Push: a callback on the pool, which counts; acknowledged by its return, or by number.
 * Pull: a thread outside of the pool calls weir_op_next(). Several streams at once share one worker.
 *
 * Back-pressure: the consumer keeps itself busy for a microsecond with each result. What the row has is the time
 * beyond that microsecond, and how often the work was called again, per result.
 */
#include "harness.h"

#include <stdio.h>

enum { STREAMS_MAX = 10, SLOW_NS = 1000 };

struct stream {
    _Alignas(BENCH_LINE) uint64_t posted, calls;       /* the work's */
    uint64_t taken;                                    /* the callback's */
};

static struct {
    uint64_t results;          /* of each stream */
    bool slow;
    struct flag over;
    _Alignas(BENCH_LINE) _Atomic unsigned running;
    struct stream stream[STREAMS_MAX];
} run;

static weir_app app;

/* ---- both ends ---- */

static weir_status work(weir_task *task, void *ctx)
{
    struct stream *stream = ctx;
    stream->calls++;
    while (stream->posted < run.results) {
        weir_status status = weir_task_post(task, stream, 1);
        if (status == WEIR_AGAIN)
            return WEIR_AGAIN;
        bench_must(status, "post");
        stream->posted++;
    }
    return WEIR_OK;
}

static void take(struct stream *stream)
{
    stream->taken++;
    if (run.slow)
        bench_spin(SLOW_NS);
}

static void finish(const struct stream *stream)
{
    bench_check(stream->taken == run.results && stream->posted == run.results, "a result was lost, or came twice");
    if (atomic_fetch_sub_explicit(&run.running, 1, memory_order_acq_rel) == 1)         /* the other streams' ends */
        flag_raise(&run.over);
}

static void on_result(const weir_result *result, void *ctx)
{
    if (result->more)
        take(ctx);
    else
        finish(ctx);
}

static void on_result_ack(const weir_result *result, void *ctx)
{
    weir_op op = result->op;
    uint64_t number = result->number;
    bool more = result->more;
    if (more)
        take(ctx);
    bench_must(weir_op_ack(op, number), "acknowledge");
    if (!more)
        finish(ctx);
}

static void pull(weir_op op, struct stream *stream)
{
    const weir_result *result;
    for (;;) {
        bench_must(weir_op_next(op, WEIR_FOREVER, &result), "next");
        if (!result->more)
            break;
        take(stream);
    }
    finish(stream);
}

/* ---- one measurement ---- */

struct question {
    const char *name;
    weir_result_fn *on_result; /* NULL: pull */
    uint32_t window, workers;
    unsigned streams;
    bool manual, slow;
};

static double run_once(const struct question *question, uint64_t results)
{
    weir_kind kind = { .size = sizeof kind, .work = work, .on_result = question->on_result, .window = question->window,
                       .flags = question->manual ? WEIR_MANUAL_ACK : 0 };
    weir_session session;
    weir_op op = { 0 };
    bench_must(weir_session_open(app, NULL, &session), "open a session");
    run.results = results / question->streams;
    run.slow = question->slow;
    atomic_store_explicit(&run.running, question->streams, memory_order_relaxed);
    int64_t began = bench_now();
    for (unsigned i = 0; i < question->streams; i++) {
        run.stream[i] = (struct stream){ 0 };
        bench_must(weir_op_start(session, &kind, &run.stream[i], NULL, &op), "start");
        if (question->on_result != NULL)
            bench_must(weir_op_close(op), "close a handle");
    }
    if (question->on_result == NULL)
        pull(op, &run.stream[0]);
    flag_await(&run.over);
    int64_t took = bench_now() - began;
    if (question->on_result == NULL)
        bench_must(weir_op_close(op), "close a handle");
    bench_session_end(session);
    return (double)took / (double)results;
}

static void measure(const struct question *question, size_t results)
{
    char row[64];
    app = bench_app_open(question->workers);
    run_once(question, results / 10);                      /* warm-up */
    double took = run_once(question, results);
    bench_app_close(app);
    bench_sample(question->name, "ns/result", took - (question->slow ? SLOW_NS : 0));
    if (!question->slow)
        return;
    snprintf(row, sizeof row, "%s: calls of the work", question->name);
    bench_sample(row, "calls", (double)run.stream[0].calls / (double)results);
}

int main(int argc, char **argv)
{
    static const struct question questions[] = {
        { .name = "push window 1", .on_result = on_result, .window = 1, .workers = 1, .streams = 1 },
        { .name = "push window 16", .on_result = on_result, .window = 16, .workers = 1, .streams = 1 },
        { .name = "push window 256", .on_result = on_result, .window = 256, .workers = 1, .streams = 1 },
        { .name = "push window 16 2 workers", .on_result = on_result, .window = 16, .workers = 2, .streams = 1 },
        { .name = "push window 256 2 workers", .on_result = on_result, .window = 256, .workers = 2, .streams = 1 },
        { .name = "push window 16 acknowledged by number", .on_result = on_result_ack, .window = 16, .workers = 1,
          .streams = 1, .manual = true },
        { .name = "push window 16 ten streams", .on_result = on_result, .window = 16, .workers = 1, .streams = 10 },
        { .name = "pull window 1", .window = 1, .workers = 1, .streams = 1 },
        { .name = "pull window 16", .window = 16, .workers = 1, .streams = 1 },
        { .name = "pull window 256", .window = 256, .workers = 1, .streams = 1 },
        { .name = "back-pressure push window 16", .on_result = on_result, .window = 16, .workers = 2, .streams = 1,
          .slow = true },
        { .name = "back-pressure pull window 16", .window = 16, .workers = 1, .streams = 1, .slow = true },
    };
    bench_start(argc, argv);
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
        measure(&questions[i], bench_count(questions[i].slow || questions[i].window == 1 ? 100000 : 1000000));
    return 0;
}
