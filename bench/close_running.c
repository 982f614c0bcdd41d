/* SPDX-License-Identifier: Apache-2.0
 *
 * close_running.c - what does it cost to close a session whose operations run?
 *
 *   N polling   each on a worker of its own, asking weir_task_cancelled() all the time
 *   N in turns  on one worker: each call of the work returns WEIR_AGAIN, so that it is the next one's turn
 *   N blocked   each on a thread of the blocking lane, in read(2) of a descriptor that its cancel hook writes to
 *
 * Each without and with handles that are closed inside the finals, and with the closing thread lent or not. What they
 * run on is busy, and has to be told; so the forms of the other closes are here one: "at work". Finals come from
 * several threads and share a counter.
 */
#include "close_load.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { BLOCKED_MAX = 64, BLOCKED_STACK = 65536 };

static struct {
    _Alignas(BENCH_LINE) _Atomic size_t started;
    _Alignas(BENCH_LINE) _Atomic size_t finals;
    size_t expected;
    _Atomic int64_t first, last, closed;
} run;

static int blocker[BLOCKED_MAX];
static _Atomic size_t blockers_taken;

/* ---- the works ---- */

static weir_status work_polling(weir_task *task, void *ctx)
{
    (void)ctx;
    atomic_fetch_add_explicit(&run.started, 1, memory_order_relaxed);
    while (weir_task_cancelled(task) == 0)
        bench_relax();
    return WEIR_CANCELED;
}

static weir_status work_in_turns(weir_task *task, void *ctx)
{
    (void)task, (void)ctx;
    atomic_fetch_add_explicit(&run.started, 1, memory_order_relaxed);
    return WEIR_AGAIN;
}

static bool hook(weir_reason reason, void *ctx)
{
    (void)reason;
    bench_check(eventfd_write(*(int *)ctx, 1) == 0, "wake the reader");
    return false;
}

static weir_status work_blocked(weir_task *task, void *ctx)
{
    eventfd_t value;
    int *mine = &blocker[atomic_fetch_add_explicit(&blockers_taken, 1, memory_order_relaxed)];
    (void)ctx;
    bench_must(weir_task_on_cancel(task, hook, mine), "register a hook");
    atomic_fetch_add_explicit(&run.started, 1, memory_order_relaxed);
    bench_check(eventfd_read(*mine, &value) == 0, "read");
    return WEIR_CANCELED;
}

/* ---- finals ---- */

static void on_result(const weir_result *result, void *ctx)
{
    (void)result, (void)ctx;
    size_t before = atomic_fetch_add_explicit(&run.finals, 1, memory_order_relaxed);
    if (before == 0)
        atomic_store_explicit(&run.first, bench_now(), memory_order_relaxed);
    if (before + 1 == run.expected)
        atomic_store_explicit(&run.last, bench_now(), memory_order_relaxed);
}

static void on_result_close(const weir_result *result, void *ctx)
{
    on_result(result, ctx);
    bench_must(weir_op_close(result->op), "close a handle");
}

static void on_closed(const weir_report *report, void *ctx)
{
    (void)ctx;
    atomic_store_explicit(&run.closed, bench_now(), memory_order_relaxed);
    bench_check(report->accepted == run.expected, "the report counts otherwise");
}

/* ---- one close ---- */

struct question {
    const char *name;
    weir_work_fn *work;
    uint32_t flags;
    bool own_worker;
};

static struct close_times close_once(weir_app app, const weir_kind *kind, bool handles, bool lend, size_t count)
{
    weir_close_options options = { .size = sizeof options, .lend = lend, .closed = on_closed };
    atomic_store_explicit(&run.started, 0, memory_order_relaxed);
    atomic_store_explicit(&run.finals, 0, memory_order_relaxed);
    atomic_store_explicit(&blockers_taken, 0, memory_order_relaxed);
    run.expected = count;
    weir_session session = close_start(app, kind, handles, count);
    while (atomic_load_explicit(&run.started, memory_order_relaxed) < count)
        bench_sleep(100000);
    bench_sleep(1000000);                                  /* whoever is to block does */
    int64_t began = bench_now();
    bench_must(weir_session_close_with(session, &options), "close a session");
    bench_session_await(session);                          /* what the finals wrote is visible after it */
    bench_check(atomic_load_explicit(&run.finals, memory_order_relaxed) == count, "a final was lost, or came twice");
    return (struct close_times){
        .first_final = atomic_load_explicit(&run.first, memory_order_relaxed) - began,
        .last_final = atomic_load_explicit(&run.last, memory_order_relaxed) - began,
        .callback = atomic_load_explicit(&run.closed, memory_order_relaxed) - began,
    };
}

static void measure(const struct question *question, bool handles, bool lend, size_t count, size_t times)
{
    char row[64];
    weir_app app;
    weir_kind kind = { .size = sizeof kind, .work = question->work, .flags = question->flags,
                       .on_result = handles ? on_result_close : on_result };
    weir_app_options options = { .size = sizeof options, .workers = question->own_worker ? (uint32_t)count : 1,
                                 .stack_size = BLOCKED_STACK };
    bench_must(weir_app_open(&options, &app), "open the application");
    struct close_rows rows = close_rows_make(times);
    for (size_t i = 0; i < times + times / 10 + 1; i++) {
        struct close_times took = close_once(app, &kind, handles, lend, count);
        if (i > times / 10)
            close_rows_add(&rows, took);
    }
    bench_app_close(app);
    snprintf(row, sizeof row, "%zu %s %s%s", count, question->name, lend ? "lent" : "at work",
             handles ? " handles" : "");
    close_rows_print(&rows, row);
}

static void measure_each(const struct question *question, size_t count, size_t times)
{
    for (int form = 0; form < 4; form++)
        measure(question, form % 2 == 1, form < 2, count, times);
}

int main(int argc, char **argv)
{
    static const struct question polling = { .name = "polling", .work = work_polling, .own_worker = true };
    static const struct question turns = { .name = "in turns", .work = work_in_turns };
    static const struct question blocked = { .name = "blocked", .work = work_blocked, .flags = WEIR_BLOCKS };
    static const size_t running[] = { 1, 2, 8 }, many[] = { 1, 1000, 100000, 1000000 }, asleep[] = { 1, 8, 64 };
    bench_start(argc, argv);
    for (size_t i = 0; i < BLOCKED_MAX; i++)
        bench_check((blocker[i] = eventfd(0, EFD_CLOEXEC)) >= 0, "no eventfd");
    for (size_t i = 0; i < 3; i++)
        measure_each(&polling, running[i], bench_count(50));
    for (size_t i = 0; i < (bench_is_quick() ? 3 : 4); i++)
        measure_each(&turns, many[i], many[i] > 1000 ? 1 : bench_count(50));
    for (size_t i = 0; i < 3; i++)
        measure_each(&blocked, asleep[i], bench_count(20));
    return 0;
}
