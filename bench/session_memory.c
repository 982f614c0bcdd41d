/* SPDX-License-Identifier: Apache-2.0
 *
 * session_memory.c - how much memory does a parked operation need? And an idle session?
 *
 * Growth of the resident set, for deferred operations with a result callback, a cancel hook and a name; then with a
 * deadline that the session gives to all of them; then with deadlines of their own.
 */
#include "harness.h"

static weir_app app;
static struct tally deferred;                          /* the one worker's */

static bool hook(weir_reason reason, void *ctx)
{
    (void)reason, (void)ctx;
    return true;
}

static weir_status work(weir_task *task, void *ctx)
{
    weir_token token;
    bench_must(weir_task_on_cancel(task, hook, ctx), "register a hook");
    bench_must(weir_task_defer(task, &token), "defer");
    tally_add(&deferred);
    return WEIR_OK;
}

static void on_result(const weir_result *result, void *ctx)
{
    (void)result, (void)ctx;
}

static const weir_kind KIND = { .size = sizeof KIND, .name = "parked", .work = work, .on_result = on_result };

static void measure_parked(size_t count, int64_t session_ns, int64_t own_ns, const char *row)
{
    weir_session session;
    weir_session_options of_session = { .size = sizeof of_session, .timeout_ns = session_ns };
    weir_op_options of_op = { .size = sizeof of_op, .timeout_ns = own_ns };
    tally_clear(&deferred);
    double before = bench_resident();
    bench_must(weir_session_open(app, &of_session, &session), "open a session");
    for (size_t i = 0; i < count; i++)
        bench_must(weir_op_start(session, &KIND, NULL, &of_op, NULL), "start");
    tally_await(&deferred, count);
    bench_sample(row, "B", (bench_resident() - before) / (double)count);
    bench_session_end(session);
}

static void measure_sessions(size_t count)
{
    weir_session *session = bench_alloc(count * sizeof *session);
    double before = bench_resident();
    for (size_t i = 0; i < count; i++)
        bench_must(weir_session_open(app, NULL, &session[i]), "open a session");
    bench_sample("idle session", "B", (bench_resident() - before) / (double)count);
    for (size_t i = 0; i < count; i++)
        bench_session_end(session[i]);
}

/* Each in a new application: slots are kept for the next operations until the application ends. */
int main(int argc, char **argv)
{
    static const int64_t HOUR_NS = INT64_C(3600) * 1000000000;
    bench_start(argc, argv);
    size_t count = bench_count(1000000);
    app = bench_app_open(1);
    measure_parked(count, 0, 0, "parked operation");
    bench_app_close(app);
    app = bench_app_open(1);
    measure_parked(count, HOUR_NS, 0, "parked operation session's deadline");
    bench_app_close(app);
    app = bench_app_open(1);
    measure_parked(count, 0, HOUR_NS, "parked operation own deadline");
    bench_app_close(app);
    app = bench_app_open(1);
    measure_sessions(bench_count(20000));
    bench_app_close(app);
    return 0;
}
