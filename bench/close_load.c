/* SPDX-License-Identifier: Apache-2.0
 *
 * close_load.c - see close_load.h
 */
#include "close_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *close_form_name(enum close_form form)
{
    static const char *const NAMES[CLOSE_FORMS] = { "lent", "freed", "sleeping" };
    return NAMES[form];
}

/* ---- finals are counted by the thread that delivers them ---- */

struct counter {
    _Alignas(BENCH_LINE) size_t finals;
    int64_t first, last;
};

static struct counter counters[BENCH_THREADS_MAX];
static _Atomic unsigned counters_taken;
static _Thread_local struct counter *mine;
static size_t expected;

static struct counter *take_counter(void)
{
    unsigned number = atomic_fetch_add_explicit(&counters_taken, 1, memory_order_relaxed);
    bench_check(number < BENCH_THREADS_MAX, "more threads deliver than there are counters");
    return mine = &counters[number];
}

void close_count_final(void)
{
    struct counter *c = mine != NULL ? mine : take_counter();
    if (c->finals++ == 0)
        c->first = bench_now();
    if (c->finals == expected)
        c->last = bench_now();
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

/* ---- the worker ---- */

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
    while (!atomic_load_explicit(&spinner.open, memory_order_acquire))
        bench_relax();
}

void close_hold(weir_app app, enum close_form form)
{
    lane = weir_app_queue(app, WEIR_NORMAL);
    if (form != CLOSE_FREED) {
        gate_hold(&gate, lane);
        return;
    }
    memset(&spinner, 0, sizeof spinner);
    spinner.job.fn = spin;
    bench_must(weir_job_submit(lane, &spinner.job), "submit a gate");
    flag_await(&spinner.entered);
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

static void let_go(enum close_form form)
{
    if (form == CLOSE_FREED)
        atomic_store_explicit(&spinner.open, true, memory_order_release);
    else
        gate_open(&gate);
}

/* ---- closing ---- */

static _Atomic int64_t called_at;

static void closed(const weir_report *report, void *ctx)
{
    (void)ctx;
    atomic_store_explicit(&called_at, bench_now(), memory_order_release);
    bench_check(report->accepted == expected, "the report counts otherwise");
}

struct close_times close_measure(weir_session session, enum close_form form, size_t count)
{
    weir_close_options options = { .size = sizeof options, .lend = form == CLOSE_LENT, .closed = closed };
    memset(counters, 0, sizeof counters);
    expected = count;
    int64_t began = bench_now();
    bench_must(weir_session_close_with(session, &options), "close a session");
    if (form != CLOSE_LENT)
        let_go(form);
    weir_status status = weir_session_wait(session, WEIR_FOREVER, NULL);
    bench_check(status == WEIR_OK || status == WEIR_STALE, "wait for a session");
    struct close_times times = collect(began, atomic_load_explicit(&called_at, memory_order_acquire));
    if (form == CLOSE_LENT)
        let_go(form);
    await_worker();
    return times;
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

static void print(struct series *series, const char *row, const char *what, size_t count)
{
    char name[96];
    bool each = count >= 10000;
    snprintf(name, sizeof name, "%s%s", row, what);
    bench_sample(name, each ? "ns/op" : "ns", (double)series_at(series, 50) / (each ? (double)count : 1));
}

void close_rows_print(struct close_rows *rows, const char *row, size_t count)
{
    char name[96];
    print(&rows->callback, row, "", count);
    print(&rows->last_final, row, " last final", count);
    snprintf(name, sizeof name, "%s first final", row);
    bench_sample(name, "ns", (double)series_at(&rows->first_final, 50));
    free(rows->first_final.value);
    free(rows->last_final.value);
    free(rows->callback.value);
}
