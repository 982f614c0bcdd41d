/* SPDX-License-Identifier: Apache-2.0 */
/* worker.c - waiting for work, and a thread's life; the policy is told in worker.h */
#include "workqueue/worker.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>

#include "core/probes.h"
#include "workqueue/app.h"

#define SPIN_MIN_NS  INT64_C(2000)
#define SPIN_MAX_NS  INT64_C(150000)

_Thread_local struct worker *worker_current;
_Thread_local struct worker *worker_host;

/* ---- waiting ---- */

/* Rule b of idle.h. */
static void stop_searching(struct worker *w)
{
    idle_search_end(&w->app->idle);
    if (!worker_finds_nothing(w->app))
        idle_notify(&w->app->idle);
}

/* The last gap says how long the next spin may take: twice as long, if spinning would have bridged it. */
static void learn_spin(struct worker *w, int64_t gap_ns)
{
    if (gap_ns < SPIN_MAX_NS)
        w->spin_ns = 2 * gap_ns < SPIN_MIN_NS ? SPIN_MIN_NS : 2 * gap_ns > SPIN_MAX_NS ? SPIN_MAX_NS : 2 * gap_ns;
    else
        w->spin_ns = w->spin_ns / 2 < SPIN_MIN_NS ? SPIN_MIN_NS : w->spin_ns / 2;
}

/* A gap begins, and the one before is over for long. Its end was a moment to run a job, not to read a clock: so it was
 * noted in ticks, whose rate the two beginnings tell. */
static void begin_gap(struct worker *w)
{
    int64_t now = clock_monotonic();
    uint64_t ticks = clock_ticks();
    if (w->idle_ns != 0 && ticks > w->idle_ticks) {
        double rate = (double)(now - w->idle_ns) / (double)(ticks - w->idle_ticks);
        double gap = (double)(int64_t)(w->busy_ticks - w->idle_ticks) * rate;
        learn_spin(w, gap < (double)SPIN_MAX_NS ? (int64_t)gap : SPIN_MAX_NS);
    }
    w->idle_ns = now;
    w->idle_ticks = ticks;
}

static struct job *spin(struct worker *w)
{
    int64_t end = 0;                                     /* the first look comes before the clock: a job may be there */
    for (uint32_t round = 0; !app_is_stopping(w->app); round++) {
        struct job *job = worker_find(w, app_lanes_in_use(w->app));
        if (job != NULL)
            return job;
        cpu_relax();
        if (round == 0)
            end = time_add(clock_monotonic(), w->spin_ns);
        if (round % 16 != 15)
            continue;
        if (clock_monotonic() >= end)
            return NULL;
        (void)sched_yield();                             /* the producer may need this very processor */
    }
    return NULL;
}

/* This worker is the searcher; in the end it is not. */
static struct job *search(struct worker *w)
{
    struct job *job = w->app->may_spin ? spin(w) : worker_find(w, app_lanes_in_use(w->app));
    stop_searching(w);
    return job;
}

/* Says that it sleeps, looks again, sleeps. A job, or NULL: woken and found nothing, or stopping. */
static struct job *look_again_and_sleep(struct worker *w)
{
    struct app *app = w->app;
    idle_prepare(&app->idle, w->index);
    struct job *job = worker_find(w, app_lanes_in_use(app));
    if (job == NULL && !app_is_stopping(app) && worker_finds_nothing(app)) {
        WEIR_PROBE1(worker_park, w->index);
        (void)idle_commit(&app->idle, w->index, WEIR_FOREVER);
        WEIR_PROBE1(worker_wake, w->index);
        return search(w);
    }
    if (!idle_cancel(&app->idle, w->index))
        stop_searching(w);
    if (job == NULL)
        (void)sched_yield();                             /* somebody holds what is there, and may be pre-empted */
    return job;
}

/* NULL: the application stops, and nothing is left. */
static struct job *wait_for_job(struct worker *w)
{
    struct job *job = NULL;
    begin_gap(w);
    if (w->app->may_spin && idle_search_begin(&w->app->idle))
        job = search(w);
    while (job == NULL && !app_is_stopping(w->app))
        job = look_again_and_sleep(w);
    w->busy_ticks = clock_ticks();
    if (job == NULL)
        job = worker_find(w, LANE_ALL);
    return job != NULL ? job : blocking_take(w->app);    /* the application stops: whoever is there ends what is left */
}

/* ---- a thread's life ---- */

static struct job *lane_worker_next(struct worker *w)
{
    struct job *job = worker_find(w, app_lanes_in_use(w->app));
    return job != NULL ? job : wait_for_job(w);
}

void *worker_main(void *argument)
{
    struct worker *w = argument;
    bool blocking = w->kind == WORKER_BLOCKING;
    struct job *job;
    worker_thread_begin(w);
    while ((job = blocking ? blocking_next(w) : lane_worker_next(w)) != NULL) {
        worker_run(w, job);
        weir_verify(!registry_is_forked(&w->app->place), "a job's function forked, and returned in the child as well");
    }
    worker_thread_end(w);
    return NULL;
}

static void set_thread_name(const struct worker *w)
{
    static const char *const KIND[] = { [WORKER_LANE] = "", [WORKER_BLOCKING] = "b", [WORKER_CONTROL] = "ctl",
                                       [WORKER_RESERVE] = "" };
    char name[16];
    if (w->kind == WORKER_CONTROL)
        (void)snprintf(name, sizeof(name), "%s:%s", w->app->thread_name, KIND[w->kind]);
    else
        (void)snprintf(name, sizeof(name), "%s:%s%u", w->app->thread_name, KIND[w->kind], w->index);
    (void)pthread_setname_np(pthread_self(), name);
}

void worker_thread_begin(struct worker *w)
{
    const weir_app_options *options = &w->app->options;
    worker_current = w;
    set_thread_name(w);
    if (options->on_thread != NULL)
        options->on_thread(w->app->handle, w->number, true, options->ctx);
}

void worker_thread_end(struct worker *w)
{
    struct app *app = w->app;
    if (app->options.on_thread != NULL)
        app->options.on_thread(app->handle, w->number, false, app->options.ctx);
    if (w->kind == WORKER_BLOCKING)
        blocking_end(w);
    worker_current = NULL;
    atomic_fetch_sub_explicit(&app->threads, 1, memory_order_release);             /* A2 of app.c */
    event_post(&app->threads_ended);
}

/* Blocks all signals but those that a fault of the thread itself raises: the user's handlers run on the user's
 * threads. */
static void block_signals(sigset_t *before)
{
    static const int SYNCHRONOUS[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT };
    sigset_t blocked;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof(SYNCHRONOUS) / sizeof(SYNCHRONOUS[0]); i++)
        sigdelset(&blocked, SYNCHRONOUS[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, before);
}

weir_status worker_thread_start(struct worker *w, void *(*main)(void *worker))
{
    struct app *app = w->app;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return WEIR_SYSTEM;
    int error = 0;
    if (app->options.stack_size != 0)
        error = pthread_attr_setstacksize(&attributes, app->options.stack_size);
    sigset_t before;
    block_signals(&before);
    atomic_fetch_add_explicit(&app->threads, 1, memory_order_relaxed);             /* the starter reads it later */
    if (error == 0)
        error = pthread_create(&w->thread, &attributes, main, w);
    if (error != 0)
        atomic_fetch_sub_explicit(&app->threads, 1, memory_order_relaxed);         /* likewise */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (error == 0)
        return WEIR_OK;
    log_line(&app->log, WEIR_LOG_ERROR, "a thread could not be started: error %d", error);
    return WEIR_SYSTEM;
}
