/* SPDX-License-Identifier: Apache-2.0
 *
 * count.c - what does one call do to memory? No time is measured, so a busy machine does not matter.
 *
 * Per call, after a warm-up: read-modify-writes, cache lines written, cache lines only read, wake-ups (counter.h). One
 * worker, which a gate holds while the calls of a row are counted, so that nobody is asleep but where the row says so;
 * what a worker does for each is counted on the worker, from one of its callbacks to the next. Averages over many
 * calls: what happens once in 64 is seen as a fraction.
 */
#include "harness.h"

#include <stdio.h>
#include <string.h>

#include "counter.h"

enum { CALLS = 4096 };

static weir_app app;
static weir_queue queue;

static void print(const char *row, const char *what, uint64_t count, uint64_t calls)
{
    char name[96];
    snprintf(name, sizeof name, "%s: %s", row, what);
    bench_sample(name, "per call", (double)count / (double)calls);
}

static void print_counts(const char *row, struct counts counts, uint64_t calls)
{
    print(row, "read-modify-writes", counts.rmw, calls);
    print(row, "lines written", counts.written, calls);
    print(row, "lines read", counts.read, calls);
    print(row, "wake-ups", counts.wakes, calls);
}

/* The calls of this thread since the last time. */
static void tell(const char *row)
{
    struct counts counts = counter_take();
    print_counts(row, counts, counts.calls);
}

/* ---- what the worker does for each: from one callback to the next ---- */

static struct {
    size_t left;
    struct counts counts;
    struct flag over;
} per;

static void per_begin(size_t count)
{
    per.left = count;
}

static void per_callback(void)
{
    counter_end();
    if (--per.left > 0) {
        counter_begin();
        return;
    }
    per.counts = counter_take();
    flag_raise(&per.over);
}

static void per_tell(const char *row)
{
    flag_await(&per.over);
    print_counts(row, per.counts, per.counts.calls);
}

#define COUNT(call)      \
    do {                 \
        counter_begin(); \
        (call);          \
        counter_end();   \
    } while (0)

/* ---- jobs ---- */

static void job_run(weir_job *job, weir_status status)
{
    (void)job, (void)status;
    per_callback();
}

static void job_ignored(weir_job *job, weir_status status)
{
    (void)job, (void)status;
}

static void count_jobs(weir_queue target, const char *submit, const char *run)
{
    static weir_job job[CALLS];
    struct gate gate;
    for (int round = 0; round < 2; round++) {
        gate_hold(&gate, queue);
        memset(job, 0, sizeof job);
        per_begin(CALLS);
        for (size_t i = 0; i < CALLS; i++) {
            job[i].fn = job_run;
            COUNT(bench_must(weir_job_submit(target, &job[i]), "submit"));
        }
        gate_end(&gate);
        if (round == 0) {
            flag_await(&per.over);
            counter_take();
        }
    }
    per_tell(run);
    tell(submit);
}

static void count_wake(void)
{
    enum { TIMES = 50 };
    weir_job job = { .fn = job_run };
    for (size_t i = 0; i < TIMES; i++) {
        bench_sleep(5000000);
        per_begin(1);
        COUNT(bench_must(weir_job_submit(queue, &job), "submit"));
        flag_await(&per.over);
    }
    tell("submit to a sleeping pool");
}

static void fork_many(weir_job *root, weir_status status)
{
    (void)root, (void)status;
    counter_take();
    for (size_t i = 0; i < CALLS; i++) {
        weir_job job = { .fn = job_ignored };
        counter_begin();
        weir_fork(&job);
        weir_join(&job);
        counter_end();
    }
    per.counts = counter_take();
}

static struct tally ran;

static void job_tallied(weir_job *job, weir_status status)
{
    (void)job, (void)status;
    tally_add(&ran);
}

static void submit_many(weir_job *root, weir_status status)
{
    static weir_job job[CALLS];
    (void)root, (void)status;
    counter_take();
    for (size_t i = 0; i < CALLS; i++) {
        job[i] = (weir_job){ .fn = job_tallied };
        COUNT(bench_must(weir_job_submit(queue, &job[i]), "submit on a worker"));
    }
    per.counts = counter_take();
}

static void count_on_worker(weir_job_fn *fn, const char *row, size_t jobs)
{
    for (int round = 0; round < 2; round++) {              /* the first one warms up */
        tally_clear(&ran);
        bench_must(weir_app_run(app, fn, NULL, false), "run on a worker");
        tally_await(&ran, jobs);
    }
    print_counts(row, per.counts, per.counts.calls);
}

static void count_timers(void)
{
    static weir_timer timer[CALLS];
    for (size_t i = 0; i < CALLS; i++) {
        timer[i].job.fn = job_ignored;
        COUNT(bench_must(weir_timer_start(queue, &timer[i], (int64_t)(60 + i) * 1000000000, 0), "arm"));
    }
    tell("arm a timer");
    struct gate gate;
    gate_hold(&gate, queue);
    for (size_t i = 0; i < CALLS; i++)
        COUNT(bench_must(weir_job_cancel(&timer[i].job), "cancel"));
    tell("cancel a timer");
    gate_end(&gate);
}

/* ---- operations ---- */

static weir_status work(weir_task *task, void *ctx)
{
    (void)task, (void)ctx;
    return WEIR_OK;
}

static weir_status work_post(weir_task *task, void *ctx)
{
    size_t *posted = ctx;
    while (*posted < CALLS) {
        weir_status status;
        COUNT(status = weir_task_post(task, posted, 1));
        if (status == WEIR_AGAIN)
            return WEIR_AGAIN;
        bench_must(status, "post");
        ++*posted;
    }
    return WEIR_OK;
}

static void on_result(const weir_result *result, void *ctx)
{
    (void)result, (void)ctx;
    per_callback();
}

static weir_session session_open(void)
{
    weir_session session;
    bench_must(weir_session_open(app, NULL, &session), "open a session");
    return session;
}

static void count_starts(void)
{
    static const weir_kind kind = { .size = sizeof kind, .work = work, .on_result = on_result };
    weir_session session = session_open();
    struct gate gate;
    for (int round = 0; round < 2; round++) {
        gate_hold(&gate, queue);
        per_begin(CALLS);
        for (size_t i = 0; i < CALLS; i++)
            COUNT(bench_must(weir_op_start(session, &kind, NULL, NULL, NULL), "start"));
        gate_end(&gate);
        if (round == 0) {
            flag_await(&per.over);
            counter_take();
        }
    }
    per_tell("run an operation to its final (worker)");
    tell("start an operation");
    bench_session_end(session);
}

static void count_cancels(void)
{
    static const weir_kind kind = { .size = sizeof kind, .work = bench_park, .on_result = bench_ignore };
    static weir_op op[CALLS];
    struct gate gate;
    weir_session session = session_open();
    tally_clear(&bench_parked);
    for (size_t i = 0; i < CALLS; i++)
        bench_must(weir_op_start(session, &kind, NULL, NULL, &op[i]), "start");
    tally_await(&bench_parked, CALLS);
    gate_hold(&gate, queue);
    counter_take();
    for (size_t i = 0; i < CALLS; i++)
        COUNT(bench_must(weir_op_cancel(op[i], WEIR_REASON_USER), "cancel"));
    tell("cancel one parked operation");
    for (size_t i = 0; i < CALLS; i++)
        COUNT(bench_must(weir_op_close(op[i]), "close a handle"));
    tell("close a handle");
    gate_end(&gate);
    bench_session_end(session);
}

static void count_posts(void)
{
    weir_session session = session_open();
    static const weir_kind kind = { .size = sizeof kind, .work = work_post, .on_result = bench_ignore,
                                    .window = 256 };
    size_t posted = 0;
    bench_must(weir_op_start(session, &kind, &posted, NULL, NULL), "start");
    bench_must(weir_session_close_with(session, WEIR_NEW(weir_close_options, .drain_ns = WEIR_FOREVER)), "close");
    bench_session_await(session);
    bench_check(posted == CALLS, "results are missing");
}

static void take_counts(weir_job *job, weir_status status)
{
    (void)job, (void)status;
    per.counts = counter_take();
}

/* Closes are counted one by one; then the sweep, on the lent thread, is shared out over its operations. */
static void count_close(size_t operations, const char *row_close, const char *row_sweep)
{
    static const weir_kind kind = { .size = sizeof kind, .work = work, .on_result = bench_ignore };
    struct counts closes = { 0 }, waits = { 0 };
    struct gate gate;
    enum { TIMES = 20 };
    gate_hold(&gate, queue);
    counter_take();
    for (size_t n = 0; n < TIMES; n++) {
        weir_session session = session_open();
        for (size_t i = 0; i < operations; i++)
            bench_must(weir_op_start(session, &kind, NULL, NULL, NULL), "start");
        COUNT(bench_must(weir_session_close_with(session, WEIR_NEW(weir_close_options, .lend = true)), "close"));
        struct counts one = counter_take();
        COUNT(bench_session_await(session));
        struct counts two = counter_take();
        closes.rmw += one.rmw, closes.written += one.written, closes.read += one.read, closes.wakes += one.wakes;
        waits.rmw += two.rmw, waits.written += two.written, waits.read += two.read, waits.wakes += two.wakes;
    }
    gate_end(&gate);
    print_counts(row_close, closes, TIMES);
    print_counts(row_sweep, waits, TIMES * (uint64_t)operations);
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    app = bench_app_open(1);
    queue = weir_app_queue(app, WEIR_NORMAL);
    weir_queue serial;
    count_jobs(queue, "submit a job", "run a job (worker)");
    bench_must(weir_queue_open(queue, NULL, &serial), "open a serial queue");
    count_jobs(serial, "submit a job to a serial queue", "run a job of a serial queue (worker)");
    bench_must(weir_queue_close(serial, false, NULL), "close a serial queue");
    count_wake();
    count_on_worker(submit_many, "submit a job on a worker", CALLS);
    count_on_worker(fork_many, "fork and join", 0);
    count_timers();
    count_starts();
    count_cancels();
    count_posts();
    bench_must(weir_app_run(app, take_counts, NULL, false), "read the worker's counts");
    print_counts("post a result (worker)", per.counts, per.counts.calls);
    count_close(1, "close a session of 1 operation", "close a session of 1 operation: the wait lent");
    count_close(1000, "close a session of 1000 operations",
                "close a session of 1000 operations: the wait lent for each");
    bench_app_close(app);
    return 0;
}
