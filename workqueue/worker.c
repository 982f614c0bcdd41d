/* SPDX-License-Identifier: Apache-2.0 */
/* worker.c - picking, running, waiting; the policy is told in worker.h */
#include "workqueue/worker.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>

#include "core/probes.h"
#include "workqueue/app.h"
#include "workqueue/fork.h"
#include "workqueue/queue.h"

enum { TAKE_BATCH = 16 };
enum { RING_EVERY = 4, OVERFLOW_EVERY = 64, LIST_EVERY = 1024 };    /* turns, see take_turn */

#define SPIN_MIN_NS  INT64_C(2000)
#define SPIN_MAX_NS  INT64_C(150000)

_Thread_local struct worker *worker_current;
_Thread_local struct worker *worker_host;

/* ---- what next: own lanes ---- */

static bool lane_is_in(uint32_t lanes, uint32_t lane)
{
    return (lanes >> lane & 1) != 0;
}

/* 4 picks of 64 are low's, 16 normal's, the rest high's (Q3 asks for 4 and 12). */
static uint32_t preferred_lane(uint32_t tick)
{
    if (tick % 16 == 15)
        return WEIR_LOW;
    return tick % 4 == 1 ? WEIR_NORMAL : WEIR_HIGH;
}

/* Part of what waits in a ring: the first to run, the others to this worker's own deque, where all can see them. Their
 * memory is on its way here meanwhile. */
static struct job *take_batch(struct worker *w, uint32_t lane, struct ring *ring)
{
    struct job *jobs[TAKE_BATCH];
    uint32_t count = ring_looks_empty(ring) ? 0 : ring_pop(ring, jobs, w->kind == WORKER_LANE ? TAKE_BATCH : 1);
    if (count == 0)
        return NULL;
    for (uint32_t i = 0; i < count; i++)
        cache_prefetch_write(jobs[i]);
    for (uint32_t i = 1; i < count; i++)
        if (!deque_push(&w->lanes[lane].jobs, jobs[i]))
            inbox_push(&w->app->overflow[lane], jobs[i]);
    if (count > 1)
        idle_notify_from_worker(&w->app->idle);          /* who looked in between found them in neither place */
    return jobs[0];
}

/* What the rings had no room for. A refill brings others within reach, whom nobody may be looking for: so it is a
 * submit, and notifies. */
static struct job *take_overflow(struct worker *w, uint32_t lane, bool list_first)
{
    struct inbox *overflow = &w->app->overflow[lane];
    struct job *job = list_first ? NULL : take_batch(w, lane, &overflow->ring);
    if (job == NULL && !inbox_list_looks_empty(overflow) && (job = inbox_refill(overflow)) != NULL)
        idle_notify(&w->app->idle);
    return job;
}

/* Own deque, own ring and the overflow take turns, so neither a flood from outside nor one from inside starves the
 * others. Each lane counts its own turns: by the worker's picks a lane could always come by on the wrong foot. */
static struct job *take_turn(struct worker *w, uint32_t lane)
{
    struct lane *own = &w->lanes[lane];
    uint32_t turn = ++own->turns;
    if (turn % OVERFLOW_EVERY == 0)
        return take_overflow(w, lane, turn % LIST_EVERY == 0);
    return turn % RING_EVERY == 0 && !ring_looks_empty(&own->ring) ? ring_pop_one(&own->ring) : NULL;
}

static struct job *lane_next(struct worker *w, uint32_t lane)
{
    struct lane *own = &w->lanes[lane];
    struct job *job = take_turn(w, lane);
    if (job == NULL)
        job = deque_steal_oldest(&own->jobs);
    return job != NULL ? job : take_batch(w, lane, &own->ring);
}

/* ---- what next: the others' ---- */

static uint32_t next_random(struct worker *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 17;
    w->random ^= w->random << 5;
    return w->random;
}

static struct job *lane_steal(struct worker *w, uint32_t lane)
{
    struct app *app = w->app;
    uint32_t start = next_random(w) % app->worker_count;
    struct job *job = take_overflow(w, lane, false);
    for (uint32_t i = 0; i < app->worker_count && job == NULL; i++) {
        struct worker *victim = &app->workers[(start + i) % app->worker_count];
        if (victim == w)
            continue;
        job = deque_steal_oldest(&victim->lanes[lane].jobs);
        if (job == NULL)
            job = take_batch(w, lane, &victim->lanes[lane].ring);
    }
    return job;
}

struct job *worker_find_fork(struct worker *w)
{
    struct app *app = w->app;
    uint32_t all = app->worker_count + APP_GUESTS;
    uint32_t start = next_random(w) % all;
    for (uint32_t i = 0; i < all; i++) {
        uint32_t at = (start + i) % all;
        struct worker *victim = at < app->worker_count ? &app->workers[at] : &app->guests[at - app->worker_count];
        struct job *job = victim == w ? NULL : deque_steal_oldest(&victim->forks);
        if (job != NULL)
            return job;
    }
    return NULL;
}

/* ---- what next ---- */

static const uint8_t PRIORITY[LANES] = { WEIR_HIGH, WEIR_NORMAL, WEIR_LOW };

static struct job *find_preferred(struct worker *w, uint32_t lanes)
{
    uint32_t lane = preferred_lane(w->tick);
    if (lane == WEIR_HIGH || !lane_is_in(lanes, lane))
        return NULL;                                     /* high is first in the usual order, too */
    struct job *job = lane_next(w, lane);
    return job != NULL ? job : lane_steal(w, lane);
}

static struct job *find_own(struct worker *w, uint32_t lanes)
{
    for (uint32_t i = 0; i < LANES; i++) {
        struct job *job = lane_is_in(lanes, PRIORITY[i]) ? lane_next(w, PRIORITY[i]) : NULL;
        if (job != NULL)
            return job;
    }
    return NULL;
}

static struct job *find_elsewhere(struct worker *w, uint32_t lanes)
{
    struct job *job = worker_find_fork(w);
    for (uint32_t i = 0; i < LANES && job == NULL; i++)
        if (lane_is_in(lanes, PRIORITY[i]))
            job = lane_steal(w, PRIORITY[i]);
    return job;
}

struct job *worker_find_left(struct worker *w)
{
    return find_elsewhere(w, LANE_ALL);
}

struct job *worker_find(struct worker *w, uint32_t lanes)
{
    struct job *job = NULL;
    w->tick++;
    if (lanes != 1U << WEIR_NORMAL)
        job = find_preferred(w, lanes);
    if (job == NULL)
        job = find_own(w, lanes);
    return job != NULL ? job : find_elsewhere(w, lanes);
}

/* relaxed: a lane that was just used for the first time is found a pick later; the look before sleep takes them all */
static uint32_t lanes_in_use(const struct app *app)
{
    return atomic_load_explicit(&app->lanes_used, memory_order_relaxed);
}

/* ---- running ---- */

static bool call_push(struct worker *w, struct job *job)
{
    if (w->depth == WORKER_CALLS_MAX)
        return false;
    /* relaxed: K1, released by the claim that follows (job.h), which is what a canceller reads */
    atomic_store_explicit(&w->calls[w->depth++], job, memory_order_relaxed);
    return true;
}

static void call_pop(struct worker *w)
{
    /* release: K2, who no longer finds the job here (cancel.c) sees all that its function did */
    atomic_store_explicit(&w->calls[--w->depth], NULL, memory_order_release);
    asymmetric_light();                                                                                   /* K3 */
    if (atomic_load_explicit(&w->app->call_waiters, memory_order_relaxed) != 0)
        event_post(&w->app->call_ended);
}

static void call_function(struct job *job, weir_status status)
{
    worker_call_user(job->fn, job_public(job), status);
}

static weir_status claim(const struct app *app, struct job *job)
{
    weir_status forced = job->forced;
    bool stopping = atomic_load_explicit(&app->stopping, memory_order_relaxed);    /* a job claimed meanwhile runs */
    if (forced == WEIR_OK && !stopping && job->kind == JOB_TIMER && timer_is_periodic(job)
        && job_move(job, JOB_QUEUED, JOB_PERIODIC))
        return WEIR_OK;
    weir_status status = job_claim(job);
    if (status == WEIR_OK && (forced != WEIR_OK || stopping))
        return WEIR_SHUTDOWN;
    return status;
}

weir_status worker_call(struct worker *w, struct job *job)
{
    struct app *app = w->app;
    bool periodic = job->kind == JOB_TIMER && timer_is_periodic(job);
    bool pushed = call_push(w, job);
    weir_assert(pushed);
    (void)pushed;
    weir_status status = claim(app, job);
    WEIR_PROBE2(job_run, job, status);
    call_function(job, status);
    call_pop(w);
    if (periodic && status == WEIR_OK)
        timers_rearm(&app->timers, job);
    return status;
}

bool worker_call_last(struct worker *w, struct job *job, weir_status status)
{
    if (!call_push(w, job))
        return false;
    atomic_store_explicit(&job->phase, JOB_OVER, memory_order_release);                                   /* K1 */
    call_function(job, status);
    call_pop(w);
    return true;
}

bool worker_is_inside(const struct worker *w, const struct job *job)
{
    for (uint32_t i = 0; i < w->depth; i++)
        if (atomic_load_explicit(&w->calls[i], memory_order_relaxed) == job)       /* this thread's own store */
            return true;
    return false;
}

/* A job counts in a lane until it is picked, in a queue until its call is over; a periodic timer in both until its
 * last call, since it was accepted once. */
static void run_plain(struct worker *w, struct job *job)
{
    struct app *app = w->app;
    struct queue *owner = job->owner;
    uint8_t lane = job->lane;
    bool repeats = job->kind == JOB_TIMER && timer_is_periodic(job);
    if (owner == NULL && !repeats)
        app_lane_leave(app, lane);
    if (owner != NULL && queue_is_aborted(app, owner))
        job->forced = WEIR_SHUTDOWN;
    if (worker_call(w, job) == WEIR_OK && repeats)
        return;
    if (owner != NULL)
        queue_leave(app, owner, 1);
    else if (repeats)
        app_lane_leave(app, lane);
}

void worker_run(struct worker *w, struct job *job)
{
    switch (job->kind) {
    case JOB_INTERNAL:
        job->fn(job_public(job), WEIR_OK);
        break;
    case JOB_FORK:
        fork_run(job);
        break;
    case JOB_CLOSED:
        (void)worker_call_last(w, job, WEIR_OK);
        break;
    default:
        run_plain(w, job);
    }
}

/* ---- waiting ---- */

static bool lanes_are_empty(struct worker *owner)
{
    for (uint32_t lane = 0; lane < LANES; lane++)
        if (!deque_is_empty(&owner->lanes[lane].jobs) || !ring_is_empty(&owner->lanes[lane].ring))
            return false;
    return true;
}

static bool everything_is_empty(struct app *app)
{
    for (uint32_t i = 0; i < app->worker_count; i++)
        if (!deque_is_empty(&app->workers[i].forks) || !lanes_are_empty(&app->workers[i]))
            return false;
    for (uint32_t i = 0; i < APP_GUESTS; i++)
        if (!deque_is_empty(&app->guests[i].forks))
            return false;
    for (uint32_t lane = 0; lane < LANES; lane++)
        if (!inbox_is_empty(&app->overflow[lane]))
            return false;
    return true;
}

static bool is_stopping(const struct app *app)
{
    return atomic_load_explicit(&app->stopping, memory_order_acquire);             /* A1 of app.c */
}

/* Rule b of idle.h. */
static void stop_searching(struct worker *w)
{
    idle_search_end(&w->app->idle);
    if (!everything_is_empty(w->app))
        idle_notify(&w->app->idle);
}

/* The gap that has just ended says how long the next spin may take: twice as long, if spinning would have bridged
 * it. */
static void learn_spin(struct worker *w, int64_t gap_ns)
{
    if (gap_ns <= SPIN_MAX_NS)
        w->spin_ns = 2 * gap_ns < SPIN_MIN_NS ? SPIN_MIN_NS : 2 * gap_ns > SPIN_MAX_NS ? SPIN_MAX_NS : 2 * gap_ns;
    else
        w->spin_ns = w->spin_ns / 2 < SPIN_MIN_NS ? SPIN_MIN_NS : w->spin_ns / 2;
}

static struct job *spin(struct worker *w)
{
    int64_t end = time_add(clock_monotonic(), w->spin_ns);
    for (uint32_t round = 1; !is_stopping(w->app); round++) {
        struct job *job = worker_find(w, lanes_in_use(w->app));
        if (job != NULL)
            return job;
        cpu_relax();
        if (round % 16 == 0) {
            if (clock_monotonic() >= end)
                return NULL;
            (void)sched_yield();                         /* the producer may need this very processor */
        }
    }
    return NULL;
}

/* This worker is the searcher; in the end it is not. */
static struct job *search(struct worker *w)
{
    struct job *job = w->app->may_spin ? spin(w) : worker_find(w, LANE_ALL);
    stop_searching(w);
    return job;
}

/* Says that it sleeps, looks again, sleeps. A job, or NULL: woken and found nothing, or stopping. */
static struct job *look_again_and_sleep(struct worker *w)
{
    struct app *app = w->app;
    idle_prepare(&app->idle, w->index);
    struct job *job = worker_find(w, LANE_ALL);
    if (job == NULL && !is_stopping(app) && everything_is_empty(app)) {
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
    int64_t start = clock_monotonic();
    struct job *job = NULL;
    if (w->app->may_spin && idle_search_begin(&w->app->idle))
        job = search(w);
    while (job == NULL && !is_stopping(w->app))
        job = look_again_and_sleep(w);
    learn_spin(w, clock_monotonic() - start);
    if (job == NULL)
        job = worker_find(w, LANE_ALL);
    return job != NULL ? job : blocking_take(w->app);    /* the application stops: whoever is there ends what is left */
}

/* ---- a thread's life ---- */

static struct job *lane_worker_next(struct worker *w)
{
    struct job *job = worker_find(w, lanes_in_use(w->app));
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
    static const char *const KIND[] = { [WORKER_LANE] = "", [WORKER_BLOCKING] = "b", [WORKER_CONTROL] = "ctl" };
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
