/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_glib.c - GLib: GThreadPool, exclusive; GCancellable
 *
 * Queued operations share one GCancellable, which each looks at when its turn comes. Parked ones have a callback
 * connected to a GCancellable of their own; one shared by all was tried: the same for a thousand, and quadratic in the
 * number of callbacks that disconnect themselves for more.
 */
#include "peer.h"

#include <gio/gio.h>

static GThreadPool *pool;
static GCancellable *group;
static GCancellable **own;
static size_t operations;

static void run(gpointer data, gpointer user_data)
{
    struct peer_job *job = data;
    (void)user_data;
    job->fn(job->arg);
}

static void open_pool(unsigned workers)
{
    pool = g_thread_pool_new(run, NULL, (gint)workers, TRUE, NULL);
    if (pool == NULL)
        peer_fail("no pool");
}

static void close_pool(void)
{
    g_thread_pool_free(pool, FALSE, TRUE);
}

static void submit(struct peer_job *job)
{
    if (!g_thread_pool_push(pool, job, NULL))
        peer_fail("push");
}

static void run_or_end(void *arg)
{
    (void)arg;
    if (!g_cancellable_is_cancelled(group))
        peer_never();
    if (peer_ended())
        peer_all_ended();
}

static struct peer_job *jobs;

static void queue(size_t count)
{
    group = g_cancellable_new();
    jobs = peer_memory(count, sizeof(*jobs));
    for (size_t i = 0; i < count; i++) {
        jobs[i].fn = run_or_end;
        submit(&jobs[i]);
    }
    operations = 0;
}

static void on_cancelled(GCancellable *cancellable, gpointer data)
{
    (void)cancellable, (void)data;
    if (peer_ended())
        peer_all_ended();
}

static void park(size_t count)
{
    group = NULL;
    own = peer_memory(count, sizeof(GCancellable *));
    operations = count;
    for (size_t i = 0; i < count; i++) {
        own[i] = g_cancellable_new();
        g_cancellable_connect(own[i], G_CALLBACK(on_cancelled), NULL, NULL);
    }
}

static void cancel(void)
{
    if (group != NULL)
        g_cancellable_cancel(group);
    for (size_t i = 0; i < operations; i++)
        g_cancellable_cancel(own[i]);
}

static void release(void)
{
    for (size_t i = 0; i < operations; i++)
        g_object_unref(own[i]);
    if (group != NULL) {
        g_object_unref(group);
        free(jobs);
    } else {
        free(own);
    }
}

const struct peer peer = {
    .name = "GLib", .open = open_pool, .close = close_pool, .submit = submit, .queue = queue, .park = park,
    .cancel = cancel, .release = release,
};
