/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_weir.c - the library itself: jobs in the asker's memory on a lane, fork-join on the worker's stack, operations
 * in a session, born closed, whose close cancels them
 *
 * Built twice: who waits for the close lends his thread to it, as the waiters of oneTBB and OpenMP do, and as Java's
 * canceller does; or, with HANDED_OVER, leaves it to the worker.
 */
#include "peer.h"

#include "../harness.h"

#include <weir/weir.h>

static weir_app app;
static weir_queue queue;
static weir_session session;                           /* of the operations; {0}: there are none */

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

#ifdef HANDED_OVER
enum { LEND = 0 };
#define NAME "weir handed over"
#else
enum { LEND = 1 };
#define NAME "weir"
#endif

static void close_it(weir_session closing)
{
    check(weir_session_close_with(closing, WEIR_NEW(weir_close_options, .lend = LEND)), "close");
}

static void await_it(weir_session closing)
{
    weir_status status = weir_session_wait(closing, WEIR_FOREVER, NULL);
    if (status != WEIR_STALE)                              /* it was over before the wait began */
        check(status, "wait");
}

static void cancel(void)
{
    close_it(session);
}

static void wait(void)
{
    if (session.bits == 0)
        return;
    await_it(session);
    session.bits = 0;
    peer_all_ended();
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
    close_it(one);
    await_it(one);
}

const struct peer peer = {
    .name = NAME, .open = open_pool, .close = close_pool, .submit = submit, .tree = tree, .queue = queue_them,
    .park = park_them, .cancel = cancel, .release = release, .cycle = cycle, .wait = wait,
};
