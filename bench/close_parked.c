/* SPDX-License-Identifier: Apache-2.0
 *
 * close_parked.c - what does it cost to close a session with N deferred operations, whose tokens nobody completes?
 *
 * Three forms (close_load.h); without a cancel hook, and with one that says that nothing uses the context any more.
 */
#include "close_load.h"

#include <stdio.h>

static weir_app app;
static struct { _Alignas(BENCH_LINE) _Atomic size_t deferred; } parked;          /* written by the one worker */

static bool hook(weir_reason reason, void *ctx)
{
    (void)reason, (void)ctx;
    return true;
}

static weir_status defer(weir_task *task, void *ctx)
{
    weir_token token;
    (void)ctx;
    bench_must(weir_task_defer(task, &token), "defer");
    size_t deferred = atomic_load_explicit(&parked.deferred, memory_order_relaxed);
    atomic_store_explicit(&parked.deferred, deferred + 1, memory_order_release);
    return WEIR_OK;
}

static weir_status defer_hooked(weir_task *task, void *ctx)
{
    bench_must(weir_task_on_cancel(task, hook, ctx), "register a hook");
    return defer(task, ctx);
}

static void on_result(const weir_result *result, void *ctx)
{
    (void)result, (void)ctx;
    close_count_final();
}

static const weir_kind KIND = { .size = sizeof KIND, .work = defer, .on_result = on_result };
static const weir_kind KIND_HOOKED = { .size = sizeof KIND_HOOKED, .work = defer_hooked, .on_result = on_result };

static struct close_times close_once(size_t count, bool hooked, enum close_form form)
{
    weir_session session;
    bench_must(weir_session_open(app, NULL, &session), "open a session");
    atomic_store_explicit(&parked.deferred, 0, memory_order_relaxed);
    for (size_t i = 0; i < count; i++)
        bench_must(weir_op_start(session, hooked ? &KIND_HOOKED : &KIND, NULL, NULL, NULL), "start");
    while (atomic_load_explicit(&parked.deferred, memory_order_acquire) != count)
        bench_sleep(100000);
    if (form != CLOSE_SLEEPING)
        close_hold(app, form);
    bench_sleep(2000000);                              /* whoever is to sleep does */
    return close_measure(session, form, count);
}

static void measure(size_t count, size_t times, bool hooked, enum close_form form)
{
    char row[64];
    struct close_rows rows = close_rows_make(times);
    for (size_t i = 0; i < times + 1; i++) {
        struct close_times took = close_once(count, hooked, form);
        if (i > 0)
            close_rows_add(&rows, took);
    }
    snprintf(row, sizeof row, "%zu %s%s", count, close_form_name(form), hooked ? " hook" : "");
    close_rows_print(&rows, row, count);
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    app = bench_app_open(1);
    for (int form = 0; form < CLOSE_FORMS; form++) {
        measure(1000, bench_count(50), false, (enum close_form)form);
        measure(100000, 5, false, (enum close_form)form);
        measure(100000, 5, true, (enum close_form)form);
    }
    bench_app_close(app);
    return 0;
}
