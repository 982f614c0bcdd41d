/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_libuv.c - libuv: uv_queue_work with a pool of one thread, uv_cancel; a parked operation is a timer far away
 *
 * Only the loop's thread may queue work, and ends are called there. So the asker runs the loop while it waits.
 */
#include "peer.h"

#include <stdlib.h>
#include <uv.h>

static uv_loop_t *loop;

static void open_pool(unsigned workers)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", workers);
    setenv("UV_THREADPOOL_SIZE", text, 1);                 /* read once, by the first work that is queued */
    loop = uv_default_loop();
}

static void close_pool(void)
{
}

static void wait(void)
{
    (void)uv_run(loop, UV_RUN_DEFAULT);                    /* until every request and handle has ended */
}

struct work {
    uv_work_t request;
};
_Static_assert(sizeof(struct work) <= sizeof(((struct peer_job *)0)->room), "a request fits");

static void run(uv_work_t *request)
{
    struct peer_job *job = request->data;
    job->fn(job->arg);
}

static void after(uv_work_t *request, int status)
{
    (void)request, (void)status;
}

static void submit(struct peer_job *job)
{
    uv_work_t *request = (uv_work_t *)(void *)job->room;
    request->data = job;
    if (uv_queue_work(loop, request, run, after) != 0)
        peer_fail("uv_queue_work");
}

/* ---- operations ---- */

static uv_work_t *queued;
static uv_timer_t *timers;
static size_t operations;

static void never(uv_work_t *request)
{
    (void)request;
    peer_never();
}

static void ended(uv_work_t *request, int status)
{
    (void)request;
    if (status != UV_ECANCELED)
        peer_fail("not cancelled");
    if (peer_ended())
        peer_all_ended();
}

static void queue(size_t count)
{
    queued = peer_memory(count, sizeof(*queued));
    operations = count;
    timers = NULL;
    for (size_t i = 0; i < count; i++)
        if (uv_queue_work(loop, &queued[i], never, ended) != 0)
            peer_fail("uv_queue_work");
}

static void fired(uv_timer_t *timer)
{
    (void)timer;
    peer_never();
}

static void park(size_t count)
{
    timers = peer_memory(count, sizeof(*timers));
    operations = count;
    for (size_t i = 0; i < count; i++)
        if (uv_timer_init(loop, &timers[i]) != 0 || uv_timer_start(&timers[i], fired, 1000000000, 0) != 0)
            peer_fail("timer");
}

static void closed(uv_handle_t *handle)
{
    (void)handle;
    if (peer_ended())
        peer_all_ended();
}

static void cancel(void)
{
    for (size_t i = 0; i < operations; i++)
        if (timers != NULL)
            uv_close((uv_handle_t *)&timers[i], closed);
        else if (uv_cancel((uv_req_t *)&queued[i]) != 0)
            peer_fail("uv_cancel");
}

static void release(void)
{
    free(timers != NULL ? (void *)timers : (void *)queued);
}

const struct peer peer = {
    .name = "libuv", .open = open_pool, .close = close_pool, .submit = submit, .one_producer = true, .queue = queue,
    .park = park, .cancel = cancel, .release = release, .wait = wait,
};
