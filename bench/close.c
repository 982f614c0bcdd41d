/* SPDX-License-Identifier: Apache-2.0
 *
 * close.c - what does it cost to close a session with N operations that wait for a worker?
 *
 * Three forms (close_load.h), for operations whose handles were born closed, and for operations whose handles are
 * closed inside their finals.
 */
#include "close_load.h"

#include <stdio.h>

static weir_app app;

static weir_status never(weir_task *task, void *ctx)
{
    (void)task, (void)ctx;
    bench_fail("work ran that was to be cancelled");
}

static void on_result(const weir_result *result, void *ctx)
{
    (void)result, (void)ctx;
    close_count_final();
}

static void on_result_close(const weir_result *result, void *ctx)
{
    (void)ctx;
    close_count_final();
    bench_must(weir_op_close(result->op), "close a handle");
}

static const weir_kind KIND = { .size = sizeof KIND, .work = never, .on_result = on_result };
static const weir_kind KIND_HANDLES = { .size = sizeof KIND_HANDLES, .work = never, .on_result = on_result_close };

static struct close_times close_once(size_t count, bool handles, enum close_form form)
{
    weir_session session;
    weir_op op;
    close_hold(app, form);
    bench_must(weir_session_open(app, NULL, &session), "open a session");
    for (size_t i = 0; i < count; i++)
        bench_must(weir_op_start(session, handles ? &KIND_HANDLES : &KIND, NULL, NULL, handles ? &op : NULL), "start");
    if (form == CLOSE_SLEEPING)
        bench_sleep(2000000);                          /* the worker is asleep in its gate, and so is its processor */
    return close_measure(session, form, count);
}

static void measure(size_t count, size_t times, bool handles, enum close_form form)
{
    char row[64];
    struct close_rows rows = close_rows_make(times);
    for (size_t i = 0; i < times + times / 10 + 1; i++) {
        struct close_times took = close_once(count, handles, form);
        if (i > times / 10)
            close_rows_add(&rows, took);
    }
    snprintf(row, sizeof row, "%zu %s%s", count, close_form_name(form), handles ? " handles" : "");
    close_rows_print(&rows, row, count);
}

int main(int argc, char **argv)
{
    static const struct { size_t count, times; } SIZES[] = { { 1, 200 }, { 1000, 100 }, { 100000, 5 }, { 1000000, 1 } };
    bench_start(argc, argv);
    app = bench_app_open(1);
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES - (bench_is_quick() ? 1 : 0); i++)
        for (int form = 0; form < CLOSE_FORMS; form++) {
            size_t times = SIZES[i].times > 10 && bench_is_quick() ? SIZES[i].times / 10 : SIZES[i].times;
            measure(SIZES[i].count, times, false, (enum close_form)form);
            measure(SIZES[i].count, times, true, (enum close_form)form);
        }
    bench_app_close(app);
    return 0;
}
