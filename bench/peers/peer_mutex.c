/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_mutex.c - a mutex, a condition and a list: what a C programmer writes in an hour
 *
 * Cancelling: a flag of the group, which the worker looks at when it pops an operation; then the operation's end is
 * called instead of its work. Parked operations are in a list, which the canceller walks.
 */
#include "peer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct item {
    struct item *next;
    void (*fn)(void *arg);
    void *arg;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct item *head, **tail;
    bool ends;
    unsigned workers;
    pthread_t thread[8];
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER };

static void *work(void *arg)
{
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        struct item *item = pool.head;
        if (item == NULL) {
            if (pool.ends)
                break;
            pthread_cond_wait(&pool.more, &pool.lock);
            continue;
        }
        pool.head = item->next;
        if (pool.head == NULL)
            pool.tail = &pool.head;
        pthread_mutex_unlock(&pool.lock);
        item->fn(item->arg);
        pthread_mutex_lock(&pool.lock);
    }
    pthread_mutex_unlock(&pool.lock);
    return arg;
}

static void open_pool(unsigned workers)
{
    pool.head = NULL;
    pool.tail = &pool.head;
    pool.ends = false;
    pool.workers = workers;
    for (unsigned i = 0; i < workers; i++)
        if (pthread_create(&pool.thread[i], NULL, work, NULL) != 0)
            peer_fail("no thread");
}

static void close_pool(void)
{
    pthread_mutex_lock(&pool.lock);
    pool.ends = true;
    pthread_cond_broadcast(&pool.more);
    pthread_mutex_unlock(&pool.lock);
    for (unsigned i = 0; i < pool.workers; i++)
        pthread_join(pool.thread[i], NULL);
}

static void push(struct item *item)
{
    item->next = NULL;
    pthread_mutex_lock(&pool.lock);
    *pool.tail = item;
    pool.tail = &item->next;
    pthread_cond_signal(&pool.more);
    pthread_mutex_unlock(&pool.lock);
}

static void submit(struct peer_job *job)
{
    struct item *item = (struct item *)(void *)job->room;
    item->fn = job->fn;
    item->arg = job->arg;
    push(item);
}

/* ---- operations ---- */

static _Atomic bool cancelled;
static struct item *operation;
static size_t operations;

static void run_or_end(void *arg)
{
    (void)arg;
    if (!atomic_load_explicit(&cancelled, memory_order_acquire))       /* the store in cancel() */
        peer_never();
    if (peer_ended())
        peer_all_ended();
}

static void allocate(size_t count)
{
    atomic_store_explicit(&cancelled, false, memory_order_relaxed);    /* nobody runs */
    operation = peer_memory(count, sizeof(*operation));
    operations = count;
    for (size_t i = 0; i < count; i++)
        operation[i] = (struct item){ .fn = run_or_end };
}

static void queue(size_t count)
{
    allocate(count);
    for (size_t i = 0; i < count; i++)
        push(&operation[i]);
}

static void cancel(void)
{
    atomic_store_explicit(&cancelled, true, memory_order_release);     /* run_or_end() */
}

static void release(void)
{
    free(operation);
}

const struct peer peer = {
    .name = "mutex and list", .open = open_pool, .close = close_pool, .submit = submit, .queue = queue,
    .cancel = cancel, .release = release,
};
