/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_weir.c - the library itself: jobs in the asker's memory on a lane, fork-join on the worker's stack, operations
 * in a session, born closed, whose close cancels them and calls back
 */
#include "peer.h"

#include "../harness.h"

#include <weir/weir.h>

static weir_app app;
static weir_queue queue;
static weir_session session;

static void check(weir_status status, const char *what)
{
    bench_must(status, what);
}

static void open_pool(unsigned workers)
{
    check(weir_app_open(WEIR_NEW(weir_app_options, .workers = workers), &app), "open an application");
    queue = weir_app_queue(app, WEIR_NORMAL);
}

static void close_pool(void)
{
    check(weir_app_close(app, WEIR_FOREVER, NULL), "close the application");
}

/* ---- jobs ---- */

_Static_assert(sizeof(weir_job) <= sizeof(((struct peer_job *)0)->room), "a job fits");

static void run_job(weir_job *job, weir_status status)
{
    struct peer_job *asked = job->ctx;
    (void)status;
    asked->fn(asked->arg);
}

static void submit(struct peer_job *asked)
{
    weir_job *job = (weir_job *)(void *)asked->room;
    *job = (weir_job){ .fn = run_job, .ctx = asked };
    check(weir_job_submit(queue, job), "submit");
}

/* ---- fork and join ---- */

struct node {
    weir_job job;
    unsigned depth;
};

static void grow(unsigned depth);

static void grow_forked(weir_job *job, weir_status status)
{
    (void)status;
    grow(((struct node *)job)->depth);
}

static void grow(unsigned depth)
{
    if (depth == 0)
        return;
    struct node left = { .job = { .fn = grow_forked }, .depth = depth - 1 };
    weir_fork(&left.job);
    grow(depth - 1);
    weir_join(&left.job);
}

static void grow_root(weir_job *job, weir_status status)
{
    (void)status;
    grow(*(unsigned *)job->ctx);
}

static void tree(unsigned depth)
{
    check(weir_app_run(app, grow_root, &depth, false), "run a tree");
}

/* ---- operations ---- */

static size_t parked;
static struct flag all_parked;

static void on_result(const weir_result *result, void *ctx)
{
    (void)ctx;
    if (result->status != WEIR_CANCELED)
        peer_fail("an operation ended by itself");
    (void)peer_ended();
}

static weir_status never(weir_task *task, void *ctx)
{
    (void)task, (void)ctx;
    peer_never();
    return WEIR_OK;
}

static weir_status park_here(weir_task *task, void *ctx)
{
    weir_token token;
    (void)ctx;
    check(weir_task_defer(task, &token), "defer");
    if (--parked == 0)
        flag_raise(&all_parked);
    return WEIR_OK;
}

static const weir_kind queued_kind = { .size = sizeof(weir_kind), .work = never, .on_result = on_result };
static const weir_kind parked_kind = { .size = sizeof(weir_kind), .work = park_here, .on_result = on_result };

static void start(const weir_kind *kind, size_t count)
{
    check(weir_session_open(app, NULL, &session), "open a session");
    for (size_t i = 0; i < count; i++)
        check(weir_op_start(session, kind, NULL, NULL, NULL), "start");
}

static void queue_them(size_t count)
{
    start(&queued_kind, count);
}

static void park_them(size_t count)
{
    parked = count;
    start(&parked_kind, count);
    flag_await(&all_parked);
}

static void on_closed(const weir_report *report, void *ctx)
{
    (void)report, (void)ctx;
    peer_all_ended();
}

static void cancel(void)
{
    check(weir_session_close(session, on_closed, NULL), "close");
}

static void release(void)
{
}

/* ---- a scope for one ---- */

static weir_status nothing(weir_task *task, void *ctx)
{
    (void)task, (void)ctx;
    return WEIR_OK;
}

static void ignore(const weir_result *result, void *ctx)
{
    (void)result, (void)ctx;
}

static void cycle(void)
{
    static const weir_kind kind = { .size = sizeof(weir_kind), .work = nothing, .on_result = ignore };
    weir_session one;
    check(weir_session_open(app, NULL, &one), "open a session");
    check(weir_op_start(one, &kind, NULL, NULL, NULL), "start");
    check(weir_session_close(one, NULL, NULL), "close");
    weir_status status = weir_session_wait(one, WEIR_FOREVER, NULL);
    if (status != WEIR_STALE)                              /* it was over before the wait began */
        check(status, "wait");
}

const struct peer peer = {
    .name = "weir", .open = open_pool, .close = close_pool, .submit = submit, .tree = tree, .queue = queue_them,
    .park = park_them, .cancel = cancel, .release = release, .cycle = cycle,
};
