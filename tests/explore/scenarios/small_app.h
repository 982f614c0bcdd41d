/* SPDX-License-Identifier: Apache-2.0 */
/* small_app.h - the whole library, small, for scenarios: an application of one or two workers and two jobs
 *
 * Threads, sleep and wake-ups are the library's own. A job that is lost is a check that fails, a wake-up that is lost a
 * deadlock, an object that is used after the close a use after free; and the explorer itself demands that every
 * thread has ended, every block was freed, and every descriptor closed. */
#ifndef SMALL_APP_H
#define SMALL_APP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <weir/workqueue.h>

#include "explore.h"
#include "workqueue/app.h"

enum { JOBS = 2 };

static weir_app app;
static weir_job jobs[JOBS];
static weir_status told[JOBS];
static unsigned runs[JOBS];                                    /* plain: by the job; read when it is over */

static inline void run(weir_job *job, weir_status status)
{
    told[job - jobs] = status;
    runs[job - jobs]++;
}

/* A worker that spins lets time pass, and leaves the others the field meanwhile: what happens between its last look
 * and its sleep is then hardly ever disturbed. So here workers do not spin, as on a machine with one processor,
 * unless asked to. The first block is the application itself; when the second is asked for it is filled in, and no
 * thread runs. */
static bool workers_spin;
static struct app *inside;

static inline void *alloc(size_t size, size_t align, void *ctx)
{
    (void)ctx;
    void *memory = aligned_alloc(align, (size + align - 1) / align * align);
    if (inside == NULL)
        inside = memory;
    else if (inside->may_spin && !workers_spin)
        inside->may_spin = false;
    return memory;
}

static inline void release(void *memory, size_t size, void *ctx)
{
    (void)size, (void)ctx;
    free(memory);
}

static inline weir_status open_app(uint32_t workers)
{
    for (int i = 0; i < JOBS; i++)
        jobs[i].fn = run;
    return weir_app_open(WEIR_NEW(weir_app_options, .workers = workers, .blocking_max = 1, .alloc = alloc,
                                  .release = release), &app);
}

static inline void close_app(void)
{
    explore_check(weir_app_close(app, WEIR_FOREVER, NULL) == WEIR_OK);
}

static inline weir_status submit(unsigned i)
{
    return weir_job_submit(weir_app_queue(app, WEIR_NORMAL), &jobs[i]);
}

static inline pthread_t start(void *(*entry)(void *arg), uintptr_t arg)
{
    pthread_t thread;
    explore_check(pthread_create(&thread, NULL, entry, (void *)arg) == 0);
    return thread;
}

static inline bool ended(unsigned i, weir_status submitted)
{
    if (submitted != WEIR_OK)
        return runs[i] == 0;
    return runs[i] == 1 && (told[i] == WEIR_OK || told[i] == WEIR_SHUTDOWN);
}

/* Either it was accepted, or the application was closing or gone; nothing else. */
static inline weir_status expect_accepted_or_late(weir_status status)
{
    explore_check(status == WEIR_OK || status == WEIR_SHUTDOWN || status == WEIR_STALE);
    return status;
}

static inline void wait_for(unsigned i)
{
    weir_status status = weir_job_cancel_wait(&jobs[i], WEIR_FOREVER);
    explore_check(status == WEIR_OK || status == WEIR_TOO_LATE);
    explore_check(runs[i] == 1);
}

#endif
