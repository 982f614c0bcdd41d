/* SPDX-License-Identifier: Apache-2.0 */
/* fork.c - fork, join, and roots for them; the protocol and its labels are in fork.h */
#include "workqueue/fork.h"

#include <sched.h>

#include "core/futex.h"
#include "workqueue/app.h"
#include "workqueue/reply.h"
#include "workqueue/waitfor.h"

#ifndef LOOKS_BEFORE_SLEEP                               /* the schedule explorer sleeps sooner */
#define LOOKS_BEFORE_SLEEP 256
#endif

/* aux[0]: the worker that forked the child and will join it; 0: none, the child runs at the join. */
static struct worker *joiner_of(const struct job *child)
{
    return (struct worker *)(uintptr_t)child->aux[0];
}

static bool may_fork(const struct worker *w)
{
    return w != NULL && (w->kind == WORKER_LANE || w->kind == WORKER_GUEST);
}

static uint32_t phase_of(struct job *child)
{
    return atomic_load_explicit(&child->phase, memory_order_acquire);                                     /* F2 */
}

static void call(struct job *child)
{
    worker_call_user(child->fn, job_public(child), WEIR_OK);
}

void fork_run(struct job *child)
{
    struct worker *joiner = joiner_of(child);
    call(child);
    uint32_t old = atomic_exchange_explicit(&child->phase, FORK_DONE, memory_order_acq_rel);              /* F1 */
    if (old == FORK_AWAITED)
        (void)parker_unpark(&joiner->join_parker);
}

weir_status weir_fork(weir_job *public)
{
    if (public == NULL || public->fn == NULL)
        return registry_misuse(0, WEIR_INVALID);
    struct job *child = job_of(public);
    struct worker *w = worker_self();
    if (!job_is_free(child) && reply_check_job(child) != WEIR_OK)
        return WEIR_BUSY;
    child->kind = JOB_FORK;
    child->aux[0] = 0;
    /* relaxed: published by the deque (D1), or seen by this thread only */
    atomic_store_explicit(&child->phase, FORK_OPEN, memory_order_relaxed);
    if (!may_fork(w))
        return WEIR_OK;
    child->aux[0] = (uint64_t)(uintptr_t)w;
    if (deque_push(&w->forks, child))
        idle_notify_from_worker(&w->app->idle);
    else
        child->aux[0] = 0;                               /* the deque is full: enough is on offer */
    return WEIR_OK;
}

/* The child was taken by somebody else. */
static void help_until_done(struct worker *w, struct job *child)
{
    for (uint32_t looks = 0; phase_of(child) != FORK_DONE; looks++) {
        struct job *other = worker_find_fork(w);
        if (other != NULL) {
            fork_run(other);
            looks = 0;
        } else if (looks < LOOKS_BEFORE_SLEEP) {
            cpu_relax();
            if (looks % 32 == 31)
                (void)sched_yield();
        } else {
            uint32_t open = FORK_OPEN;
            /* F3. Failed: DONE, which the loop sees; or AWAITED already, after an old token */
            (void)atomic_compare_exchange_strong_explicit(&child->phase, &open, FORK_AWAITED,
                                                          memory_order_acq_rel, memory_order_acquire);
            if (open != FORK_DONE)
                (void)parker_park(&w->join_parker, WEIR_FOREVER);
        }
    }
}

static void run_at_join(struct job *child)
{
    call(child);
    atomic_store_explicit(&child->phase, FORK_DONE, memory_order_relaxed);         /* seen by this thread only */
}

/* The joiner has taken that from its own deque, or nothing. */
static __attribute__((noinline)) void join_otherwise(struct worker *w, struct job *child, struct job *taken)
{
    for (; taken != NULL && taken != child; taken = deque_take(&w->forks))
        fork_run(taken);                                 /* forked later and not joined in order */
    if (taken == child)
        run_at_join(child);
    else
        help_until_done(w, child);
}

weir_status weir_join(weir_job *public)
{
    if (public == NULL || public->fn == NULL)
        return registry_misuse(0, WEIR_INVALID);
    struct job *child = job_of(public);
    uint32_t phase = phase_of(child);
    if (phase != FORK_OPEN && phase != FORK_DONE)
        return registry_misuse(0, WEIR_INVALID);
    struct worker *w = joiner_of(child);
    weir_verify(w == NULL || w == worker_self(), "join of a job that another thread forked");
    if (phase == FORK_DONE)
        return WEIR_OK;
    struct job *taken = w == NULL ? child : deque_take(&w->forks);
    if (taken == child)
        run_at_join(child);
    else
        join_otherwise(w, child, taken);
    return WEIR_OK;
}

/* ---- roots ---- */

/* On the stack of the thread that waits. The waiter sleeps on done, not on anything of the application: it holds
 * no pin. */
struct root {
    struct job job;
    weir_job_fn *fn;
    weir_job argument;
    _Atomic uint32_t done;
};

static void root_run(weir_job *job, weir_status status)
{
    struct root *root = job->ctx;
    worker_call_user(root->fn, &root->argument, status);
    /* release: F4, what the root did is there for who waits. The wake uses the address only */
    atomic_store_explicit(&root->done, 1, memory_order_release);
    (void)futex_wake(&root->done, 1);
}

static void wait_for_root(struct root *root)
{
    while (atomic_load_explicit(&root->done, memory_order_acquire) == 0)                                  /* F4 */
        (void)futex_wait(&root->done, 0, WEIR_FOREVER);
}

static weir_status run_on_worker(struct app_ref *ref, weir_job_fn *fn, void *ctx)
{
    struct root root = { .fn = fn, .argument = { .fn = fn, .ctx = ctx } };
    struct app *app = ref->app;
    struct waitfor wait;
    weir_status status = !waitfor_begin(app, WEIR_FOREVER, &wait) ? WEIR_WOULD_DEADLOCK
                       : app_is_closing(app)        ? WEIR_SHUTDOWN
                                                    : WEIR_OK;
    if (status == WEIR_OK) {
        job_init_internal(&root.job, root_run, &root, WEIR_NORMAL);
        app_push(app, WEIR_NORMAL, &root.job);
    }
    if (status == WEIR_WOULD_DEADLOCK)
        (void)registry_misuse(app->handle.bits, status);
    app_leave(ref);
    if (status == WEIR_OK)
        wait_for_root(&root);
    waitfor_end(&wait);
    return status;
}

static weir_status run_here(struct app_ref *ref, weir_job_fn *fn, void *ctx)
{
    weir_job argument = { .fn = fn, .ctx = ctx };
    struct worker *guest = NULL;
    weir_status status = app_is_closing(ref->app) ? WEIR_SHUTDOWN : WEIR_OK;
    if (status == WEIR_OK && (!worker_is_of(ref->app) || !may_fork(worker_self()))) {
        guest = app_guest_begin(ref->app);
        status = guest == NULL ? WEIR_LIMIT : WEIR_OK;
    }
    if (status == WEIR_OK)
        worker_call_user(fn, &argument, WEIR_OK);
    if (guest != NULL)
        app_guest_end(guest);
    app_leave(ref);
    return status;
}

weir_status weir_app_run(weir_app app, weir_job_fn *fn, void *ctx, bool lend)
{
    struct app_ref ref;
    if (fn == NULL)
        return registry_misuse(app.bits, WEIR_INVALID);
    weir_status status = app_enter(app.bits, HANDLE_APP, &ref);
    if (status != WEIR_OK)
        return status;
    return lend ? run_here(&ref, fn, ctx) : run_on_worker(&ref, fn, ctx);
}
