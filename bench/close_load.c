/* SPDX-License-Identifier: Apache-2.0
 *
 * close_load.c - see close_load.h
 */
#include "close_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- finals are counted by the thread that delivers them ---- */

struct counter {
    _Alignas(BENCH_LINE) size_t finals;
    int64_t first, last;
};

static struct counter counters[BENCH_THREADS_MAX];
static size_t expected;

static void count_final(void)
{
    struct counter *c = &counters[bench_thread()];
    if (c->finals++ == 0)
        c->first = bench_now();
    if (c->finals == expected)
        c->last = bench_now();
}

void close_on_result(const weir_result *result, void *ctx)
{
    (void)result, (void)ctx;
    count_final();
}

void close_on_result_close(const weir_result *result, void *ctx)
{
    (void)ctx;
    count_final();
    bench_must(weir_op_close(result->op), "close a handle");
}

/* Finals from several threads: the last one was not seen as such; the callback's time is its bound. */
static struct close_times collect(int64_t began, int64_t called)
{
    struct close_times times = { .first_final = INT64_MAX, .last_final = called - began, .callback = called - began };
    size_t finals = 0;
    for (size_t i = 0; i < BENCH_THREADS_MAX; i++) {
        struct counter *c = &counters[i];
        if (c->finals != 0 && c->first - began < times.first_final)
            times.first_final = c->first - began;
        if (c->finals == expected)
            times.last_final = c->last - began;
        finals += c->finals;
    }
    bench_check(finals == expected, "a final was lost, or came twice");
    return times;
}

/* ---- closing ---- */

static _Atomic int64_t called_at;

static void closed(const weir_report *report, void *ctx)
{
    (void)ctx;
    atomic_store_explicit(&called_at, bench_now(), memory_order_release);              /* pairs with close_now */
    bench_check(report->accepted == expected, "the report counts otherwise");
}

struct close_times close_now(weir_session session, bool lend, void (*then)(void), size_t count)
{
    weir_close_options options = { .size = sizeof options, .lend = lend, .closed = closed };
    memset(counters, 0, sizeof counters);
    expected = count;
    int64_t began = bench_now();
    bench_must(weir_session_close_with(session, &options), "close a session");
    if (then != NULL)
        then();
    bench_session_await(session);
    return collect(began, atomic_load_explicit(&called_at, memory_order_acquire));     /* the store in closed() */
}

weir_session close_start(weir_app app, const weir_kind *kind, bool handles, size_t count)
{
    weir_session session;
    weir_op op;
    bench_must(weir_session_open(app, NULL, &session), "open a session");
    for (size_t i = 0; i < count; i++)
        bench_must(weir_op_start(session, kind, NULL, NULL, handles ? &op : NULL), "start");
    return session;
}

/* ---- rows ---- */

struct close_rows close_rows_make(size_t room)
{
    return (struct close_rows){ series_make(room), series_make(room), series_make(room) };
}

void close_rows_add(struct close_rows *rows, struct close_times times)
{
    series_add(&rows->first_final, times.first_final);
    series_add(&rows->last_final, times.last_final);
    series_add(&rows->callback, times.callback);
}

static void print(struct series *series, const char *row, const char *what)
{
    char name[96];
    snprintf(name, sizeof name, "%s%s", row, what);
    bench_sample(name, "ns", (double)series_at(series, 50));
    free(series->value);
}

void close_rows_print(struct close_rows *rows, const char *row)
{
    print(&rows->callback, row, "");
    print(&rows->last_final, row, " last final");
    print(&rows->first_final, row, " first final");
}

/* ---- the worker, taken out of the way as the form wants it ---- */

static weir_queue lane;
static struct gate gate;
static struct {
    weir_job job;
    struct flag entered;
    _Alignas(BENCH_LINE) _Atomic bool open;
} spinner;

static void spin(weir_job *job, weir_status status)
{
    (void)job;
    bench_must(status, "enter a gate");
    flag_raise(&spinner.entered);
    while (!atomic_load_explicit(&spinner.open, memory_order_acquire))                 /* the store in let_go() */
        bench_relax();
}

static void hold(enum close_form form)
{
    if (form != CLOSE_FREED) {
        gate_hold(&gate, lane);
        return;
    }
    memset(&spinner, 0, sizeof spinner);
    spinner.job.fn = spin;
    bench_must(weir_job_submit(lane, &spinner.job), "submit a gate");
    flag_await(&spinner.entered);
}

static void let_go_gate(void)
{
    gate_open(&gate);
}

static void let_go_spinner(void)
{
    atomic_store_explicit(&spinner.open, true, memory_order_release);                  /* pairs with spin() */
}

static void pass(weir_job *job, weir_status status)
{
    bench_must(status, "pass");
    flag_raise(job->ctx);
}

/* The gate is used again: its last user must be out of it. */
static void await_worker(void)
{
    struct flag passed = { 0 };
    weir_job job = { .fn = pass, .ctx = &passed };
    bench_must(weir_job_submit(lane, &job), "submit");
    flag_await(&passed);
}

/* ---- all forms, sorts and numbers ---- */

static struct close_times close_once(weir_app app, const struct close_sort *sort, enum close_form form, size_t count)
{
    bool parked = sort->settle != NULL;
    bool held = !parked || form != CLOSE_SLEEPING;         /* an idle worker sleeps by itself */
    if (!parked)
        hold(form);
    weir_session session = close_start(app, sort->kind, sort->handles, count);
    if (parked) {
        sort->settle(count);
        if (held)
            hold(form);
    }
    if (parked || form == CLOSE_SLEEPING)
        bench_sleep(2000000);                              /* whoever is to sleep does, and so does his processor */
    void (*let_go)(void) = form == CLOSE_FREED ? let_go_spinner : held ? let_go_gate : NULL;
    struct close_times times = close_now(session, form == CLOSE_LENT, form == CLOSE_LENT ? NULL : let_go, count);
    if (form == CLOSE_LENT)
        let_go();
    await_worker();
    return times;
}

static void measure(weir_app app, const struct close_sort *sort, enum close_form form, size_t count, size_t times)
{
    static const char *const NAMES[CLOSE_FORMS] = { "lent", "freed", "sleeping" };
    char row[64];
    struct close_rows rows = close_rows_make(times);
    size_t warm = times / 10 + 1;
    for (size_t i = 0; i < times + warm; i++) {
        struct close_times took = close_once(app, sort, form, count);
        if (i >= warm)
            close_rows_add(&rows, took);
    }
    snprintf(row, sizeof row, "%zu %s%s", count, NAMES[form], sort->suffix);
    close_rows_print(&rows, row);
}

static size_t times_of(size_t full)
{
    return full > 10 ? bench_count(full) : bench_is_quick() ? 1 : full;
}

void close_measure(const struct close_sort *sort, size_t sorts)
{
    static const struct { size_t count, times; } SIZES[] = {
        { 1, 200 }, { 10, 100 }, { 100, 100 }, { 1000, 100 }, { 10000, 20 }, { 100000, 5 }, { 1000000, 1 },
    };
    weir_app app = bench_app_open(1);
    lane = weir_app_queue(app, WEIR_NORMAL);
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES - (bench_is_quick() ? 1 : 0); i++)
        for (int form = 0; form < CLOSE_FORMS; form++)
            for (size_t k = 0; k < sorts; k++)
                if (SIZES[i].count <= sort[k].count_max)
                    measure(app, &sort[k], (enum close_form)form, SIZES[i].count, times_of(SIZES[i].times));
    bench_app_close(app);
}
