/* SPDX-License-Identifier: Apache-2.0
 *
 * cancel.c - what does a cancel cost, and how long until running work knows?
 *
 * One of N: N operations are parked; a random one is cancelled, and another one started in its place. "call" is the
 * cancel itself, "final" is from before it to the final's callback; the pool is asleep. All of N: the call that cancels
 * every operation of a session, whatever their number.
 *
 * Running work, one operation at a time, a millisecond apart; from before the call of cancel
 *   polling   it asks weir_task_cancelled() all the time: until it knows, and until the final's callback
 *   hook      it waits for its cancel hook, without asking: until the hook is entered, and until the final
 *   blocked   in read(2), of a descriptor that its hook writes to: until read returns, and until the final
 */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { GAP_NS = 1000000 };

static weir_app app;
static struct { _Alignas(BENCH_LINE) _Atomic int64_t final_at; } last;

/* Sleeps as long as nothing happens, spins when it may happen now: no wake-up of the asker is in the figure. */
static int64_t await_time(_Atomic int64_t *at)
{
    int64_t time;
    while ((time = atomic_load_explicit(at, memory_order_acquire)) == 0)               /* the store in note_time() */
        bench_relax();
    atomic_store_explicit(at, 0, memory_order_relaxed);
    return time;
}

static void note_time(_Atomic int64_t *at)
{
    atomic_store_explicit(at, bench_now(), memory_order_release);                      /* pairs with await_time() */
}

static void on_result(const weir_result *result, void *ctx)
{
    (void)result, (void)ctx;
    note_time(&last.final_at);
}

static void print(const char *row, const char *what, struct series *series)
{
    char name[96];
    snprintf(name, sizeof name, "%s %s", row, what);
    series_samples(series, name, "ns");
}

/* ---- one of N, and all of N ---- */

static weir_op start_parked(weir_session session)
{
    static const weir_kind KIND = { .size = sizeof KIND, .work = bench_park, .on_result = on_result };
    weir_op op;
    bench_must(weir_op_start(session, &KIND, NULL, NULL, &op), "start");
    return op;
}

static void measure_one(size_t count, size_t times)
{
    char row[64];
    weir_session session;
    weir_op *op = bench_alloc(count * sizeof *op);
    struct series call = series_make(times), final = series_make(times);
    bench_must(weir_session_open(app, NULL, &session), "open a session");
    tally_clear(&bench_parked);
    for (size_t i = 0; i < count; i++)
        op[i] = start_parked(session);
    for (size_t i = 0; i < times; i++) {
        tally_await(&bench_parked, count + i);
        bench_sleep(GAP_NS);
        weir_op *one = &op[bench_random() % count];
        int64_t began = bench_now();
        bench_must(weir_op_cancel(*one, WEIR_REASON_USER), "cancel");
        series_add(&call, bench_now() - began);
        series_add(&final, await_time(&last.final_at) - began);
        bench_must(weir_op_close(*one), "close a handle");
        *one = start_parked(session);
    }
    snprintf(row, sizeof row, "one of %zu", count);
    print(row, "call", &call);
    print(row, "final", &final);
    for (size_t i = 0; i < count; i++)
        bench_must(weir_op_close(op[i]), "close a handle");
    bench_session_end(session);
    atomic_store_explicit(&last.final_at, 0, memory_order_relaxed);
}

static void measure_all(size_t count, size_t times)
{
    static const weir_kind KIND = { .size = sizeof KIND, .work = bench_park, .on_result = bench_ignore };
    char row[64];
    weir_session session;
    struct series call = series_make(times);
    bench_must(weir_session_open(app, NULL, &session), "open a session");
    for (size_t n = 0; n < times; n++) {
        tally_clear(&bench_parked);
        for (size_t i = 0; i < count; i++)
            bench_must(weir_op_start(session, &KIND, NULL, NULL, NULL), "start");
        tally_await(&bench_parked, count);
        bench_sleep(GAP_NS);
        int64_t began = bench_now();
        bench_must(weir_session_cancel(session, WEIR_REASON_USER), "cancel all");
        series_add(&call, bench_now() - began);
    }
    bench_session_end(session);
    snprintf(row, sizeof row, "all of %zu", count);
    print(row, "call", &call);
}

/* ---- running work ---- */

static struct {
    _Alignas(BENCH_LINE) _Atomic int64_t running_at, told_at;
    _Atomic bool stop;
    int blocker;
} work;

static weir_status work_polling(weir_task *task, void *ctx)
{
    (void)ctx;
    note_time(&work.running_at);
    while (weir_task_cancelled(task) == 0)
        bench_relax();
    note_time(&work.told_at);
    return WEIR_CANCELED;
}

static bool hook_stop(weir_reason reason, void *ctx)
{
    (void)reason, (void)ctx;
    note_time(&work.told_at);
    atomic_store_explicit(&work.stop, true, memory_order_release);                     /* pairs with work_hooked() */
    return false;
}

static weir_status work_hooked(weir_task *task, void *ctx)
{
    (void)ctx;
    atomic_store_explicit(&work.stop, false, memory_order_relaxed);
    bench_must(weir_task_on_cancel(task, hook_stop, NULL), "register a hook");
    note_time(&work.running_at);
    while (!atomic_load_explicit(&work.stop, memory_order_acquire))                    /* the store in hook_stop() */
        bench_relax();
    return WEIR_CANCELED;
}

static bool hook_write(weir_reason reason, void *ctx)
{
    (void)reason, (void)ctx;
    bench_check(eventfd_write(work.blocker, 1) == 0, "wake the reader");
    return false;
}

static weir_status work_blocked(weir_task *task, void *ctx)
{
    eventfd_t value;
    (void)ctx;
    bench_must(weir_task_on_cancel(task, hook_write, NULL), "register a hook");
    note_time(&work.running_at);
    bench_check(eventfd_read(work.blocker, &value) == 0, "read");
    note_time(&work.told_at);
    return WEIR_CANCELED;
}

static void measure_running(const char *row, const weir_kind *kind, const char *what, size_t times)
{
    weir_session session;
    weir_op op;
    struct series told = series_make(times), final = series_make(times);
    bench_must(weir_session_open(app, NULL, &session), "open a session");
    for (size_t i = 0; i < times; i++) {
        bench_must(weir_op_start(session, kind, NULL, NULL, &op), "start");
        (void)await_time(&work.running_at);
        bench_sleep(GAP_NS);
        int64_t began = bench_now();
        bench_must(weir_op_cancel(op, WEIR_REASON_USER), "cancel");
        series_add(&told, await_time(&work.told_at) - began);
        series_add(&final, await_time(&last.final_at) - began);
        bench_must(weir_op_close(op), "close a handle");
    }
    bench_session_end(session);
    print(row, what, &told);
    print(row, "final", &final);
}

int main(int argc, char **argv)
{
    static const weir_kind polling = { .size = sizeof polling, .work = work_polling, .on_result = on_result };
    static const weir_kind hooked = { .size = sizeof hooked, .work = work_hooked, .on_result = on_result };
    static const weir_kind blocked = { .size = sizeof blocked, .work = work_blocked, .on_result = on_result };
    bench_start(argc, argv);
    app = bench_app_open(1);
    bench_check((work.blocker = eventfd(0, EFD_CLOEXEC)) >= 0, "no eventfd");
    for (size_t count = 1; count <= 1000000; count *= 1000)
        measure_one(bench_is_quick() && count > 100000 ? 100000 : count, bench_count(300));
    for (size_t count = 1; count <= 100000; count *= 1000)
        measure_all(count, bench_count(100));
    measure_all(100000, bench_is_quick() ? 1 : 5);
    measure_running("polling", &polling, "knows", bench_count(300));
    measure_running("hook", &hooked, "entered", bench_count(300));
    measure_running("blocked", &blocked, "returned", bench_count(300));
    bench_app_close(app);
    return 0;
}
