/* SPDX-License-Identifier: Apache-2.0 */
/* app.c - open, enter, close; the order of things is in app.h
 *
 *      step               order     partner
 *   A1 stopping := true   release   acquire loads by threads that are about to sleep or to end: what the closer did
 *                                   before (the last jobs it queued) is there for their last look
 *   A2 threads -= 1       release   acquire in wait_for_threads: what a thread did last is before the close returns
 *   A3 closing := true    seq_cst   weir_queue_open: a queue that becomes live looks at closing afterwards, the closer
 *                                   looks for live queues afterwards; one finds the other
 */
#include "workqueue/app.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "core/verify.h"
#include "workqueue/above.h"
#include "workqueue/queue.h"
#include "workqueue/waitfor.h"
#include "workqueue/waits.h"

enum { THREAD_NAME_MAX = 8, GUEST_FORKS = 256 };

/* ---- enter, leave ---- */

weir_status app_enter_pinned(uint64_t bits, enum handle_kind kind, struct app_ref *ref)
{
    weir_status status = registry_pin(bits, kind, &ref->pin);
    if (status == WEIR_OK)
        ref->app = ref->pin.app;
    return status;
}

/* ---- guests ---- */

struct worker *app_guest_begin(struct app *app)
{
    uint32_t taken = atomic_load_explicit(&app->guests_taken, memory_order_relaxed);         /* the swap checks it */
    uint32_t free;
    do {
        free = ~taken & ((1U << APP_GUESTS) - 1);
        if (free == 0 || worker_host != NULL)
            return NULL;
    } while (!atomic_compare_exchange_weak_explicit(&app->guests_taken, &taken, taken | (free & (0 - free)),
                                                    memory_order_seq_cst,                             /* A4, A6 */
                                                    memory_order_relaxed));        /* tries again */
    struct worker *guest = &app->guests[__builtin_ctz(free)];
    worker_host = worker_current;                        /* goes back to that afterwards */
    worker_current = guest;
    return guest;
}

void app_guest_end(struct worker *guest)
{
    weir_assert(worker_current == guest && guest->depth == 0);
    worker_current = worker_host;
    worker_host = NULL;
    /* release: A4, the next guest in this struct begins where this one left its deque */
    (void)atomic_fetch_and_explicit(&guest->app->guests_taken, ~(1U << guest->index), memory_order_release);
}

/* ---- open ---- */

static const weir_app_options OPTION_DEFAULTS = { .size = sizeof(weir_app_options) };

static uint32_t processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        return (uint32_t)CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

static weir_status check_options(const weir_app_options *options, const weir_app *out)
{
    if (out == NULL || options->size < sizeof(weir_app_options))
        return registry_misuse(0, WEIR_INVALID);
    if (options->workers > IDLE_WORKERS_MAX || options->blocking_max > IDLE_WORKERS_MAX)
        return registry_misuse(0, WEIR_INVALID);
    return WEIR_OK;
}

static void fill_in(struct app *app, const weir_app_options *options)
{
    uint32_t cpus = processors();
    app->memory = (struct memory){ options->alloc, options->release, options->ctx };
    app->log = (struct log){ options->log, options->ctx };
    app->clock = (struct clock){ options->now, options->ctx };
    app->options = *options;
    if (app->options.workers == 0)
        app->options.workers = cpus < IDLE_WORKERS_MAX ? cpus : IDLE_WORKERS_MAX;
    if (app->options.blocking_max == 0)
        app->options.blocking_max = BLOCKING_MAX_DEFAULT;
    app->worker_count = app->options.workers;
    app->may_spin = cpus > 1;
    const char *name = options->thread_name != NULL ? options->thread_name : "weir";
    memcpy(app->thread_name, name, strnlen(name, THREAD_NAME_MAX));
}

enum { RINGS_PER_WORKER = (LANES + 1) * WORKER_DEQUE_CAPACITY + LANES * WORKER_RING_CAPACITY };

static void init_worker(struct worker *w, struct app *app, uint32_t index, uint64_t *ring)
{
    *w = (struct worker){ .app = app, .index = index, .number = index, .kind = WORKER_LANE, .random = index + 1 };
    deque_init(&w->forks, (_Atomic(struct job *) *)(void *)ring, WORKER_DEQUE_CAPACITY);
    ring += WORKER_DEQUE_CAPACITY;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        deque_init(&w->lanes[lane].jobs, (_Atomic(struct job *) *)(void *)ring, WORKER_DEQUE_CAPACITY);
        ring += WORKER_DEQUE_CAPACITY;
        ring_init(&w->lanes[lane].ring, (_Atomic uint64_t *)(void *)ring, WORKER_RING_CAPACITY);
        ring += WORKER_RING_CAPACITY;
    }
}

static void init_guest(struct worker *w, struct app *app, uint32_t index, uint64_t *ring)
{
    uint32_t number = app->worker_count + app->options.blocking_max + 1 + index;
    *w = (struct worker){ .app = app, .index = index, .number = number, .kind = WORKER_GUEST, .random = index + 1 };
    deque_init(&w->forks, (_Atomic(struct job *) *)(void *)ring, GUEST_FORKS);
}

static weir_status overflow_init(struct app *app)
{
    app->overflow_capacity = app->memory.alloc == NULL ? OVERFLOW_CAPACITY : OVERFLOW_CAPACITY_CLEARED;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        size_t size = app->overflow_capacity * sizeof(uint64_t);
        _Atomic uint64_t *slots = memory_zalloc(&app->memory, size, sizeof(uint64_t));
        if (slots == NULL)
            return WEIR_NO_MEMORY;
        inbox_init(&app->overflow[lane], slots, app->overflow_capacity);
    }
    return WEIR_OK;
}

static void overflow_fini(struct app *app)
{
    for (uint32_t lane = 0; lane < LANES; lane++)
        memory_free(&app->memory, (void *)app->overflow[lane].ring.slots, app->overflow_capacity * sizeof(uint64_t));
}

static weir_status workers_init(struct app *app)
{
    size_t words = (size_t)app->worker_count * RINGS_PER_WORKER + (size_t)APP_GUESTS * GUEST_FORKS;
    app->rings_size = words * sizeof(uint64_t);
    app->rings = memory_zalloc(&app->memory, app->rings_size, CACHE_LINE);
    app->workers = memory_zalloc(&app->memory, app->worker_count * sizeof(struct worker), CACHE_LINE);
    app->guests = memory_zalloc(&app->memory, APP_GUESTS * sizeof(struct worker), CACHE_LINE);
    if (app->rings == NULL || app->workers == NULL || app->guests == NULL)
        return WEIR_NO_MEMORY;
    uint64_t *ring = app->rings;
    for (uint32_t i = 0; i < app->worker_count; i++, ring += RINGS_PER_WORKER)
        init_worker(&app->workers[i], app, i, ring);
    for (uint32_t i = 0; i < APP_GUESTS; i++, ring += GUEST_FORKS)
        init_guest(&app->guests[i], app, i, ring);
    uint32_t number = app->worker_count + app->options.blocking_max;
    app->control_worker = (struct worker){ .app = app, .number = number, .kind = WORKER_CONTROL };
    return WEIR_OK;
}

static void workers_fini(struct app *app)
{
    memory_free(&app->memory, app->guests, APP_GUESTS * sizeof(struct worker));
    memory_free(&app->memory, app->workers, app->worker_count * sizeof(struct worker));
    memory_free(&app->memory, app->rings, app->rings_size);
}

static void grow_blocking(void *app) { blocking_grow(app); }

/* All parts; no thread runs yet. */
static weir_status parts_init(struct app *app)
{
    weir_status status;
    if ((status = workers_init(app)) != WEIR_OK)                                          goto fail_workers;
    if ((status = overflow_init(app)) != WEIR_OK)                                         goto fail_overflow;
    if ((status = reserve_init(app)) != WEIR_OK)                                          goto fail_overflow;
    if ((status = idle_init(&app->idle, &app->memory, app->worker_count + app->reserve.count)) != WEIR_OK)
        goto fail_reserve;
    if ((status = blocking_init(app, app->options.blocking_max)) != WEIR_OK)              goto fail_idle;
    if ((status = queues_init(app)) != WEIR_OK)                                           goto fail_blocking;
    if ((status = waits_init(app)) != WEIR_OK)                                            goto fail_queues;
    if ((status = above_init(app)) != WEIR_OK)                                            goto fail_waits;
    control_handle(&app->control, CONTROL_GROW, grow_blocking, app);
    control_handle(&app->control, CONTROL_REPLACE, reserve_start, app);
    return WEIR_OK;
fail_waits:    waits_fini(app);
fail_queues:   queues_fini(app);
fail_blocking: blocking_fini(app);
fail_idle:     idle_fini(&app->idle, &app->memory);
fail_reserve:  reserve_fini(app);
fail_overflow: overflow_fini(app);
fail_workers:  workers_fini(app);
    return status;
}

static void parts_fini(struct app *app)
{
    above_fini(app);
    waits_fini(app);
    queues_fini(app);
    blocking_fini(app);
    idle_fini(&app->idle, &app->memory);
    reserve_fini(app);
    overflow_fini(app);
    workers_fini(app);
}

static void stop_workers(struct app *app)
{
    atomic_store_explicit(&app->stopping, true, memory_order_seq_cst);             /* A1, and W1 of idle.h */
    idle_wake_all(&app->idle);
    idle_wake_all(&app->blocking.idle);
}

static void join_workers(struct app *app, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        (void)pthread_join(app->workers[i].thread, NULL);
    reserve_join(app);
    blocking_join(app);
}

static weir_status threads_start(struct app *app)
{
    weir_status status = waits_start(app);
    uint32_t started = 0;
    while (status == WEIR_OK && started < app->worker_count)
        if ((status = worker_thread_start(&app->workers[started], worker_main)) == WEIR_OK)
            started++;
    if (status == WEIR_OK)
        return WEIR_OK;
    if (started != 0 || app->worker_count != 0) {
        stop_workers(app);
        join_workers(app, started);
    }
    return status;
}

static weir_status open_app(const weir_app_options *options, weir_app *out)
{
    struct registry_place place;
    struct memory memory = { options->alloc, options->release, options->ctx };
    weir_status status = registry_reserve(&place);
    if (status != WEIR_OK)
        return status;
    struct app *app = memory_zalloc(&memory, sizeof(struct app), CACHE_LINE);
    if (app == NULL) {
        status = WEIR_NO_MEMORY;
        goto fail_place;
    }
    fill_in(app, options);
    app->place = place;
    app->handle.bits = registry_handle(&place);
    if ((status = parts_init(app)) != WEIR_OK)
        goto fail_app;
    if ((status = threads_start(app)) != WEIR_OK)
        goto fail_parts;
    registry_publish(&place, app);
    *out = app->handle;
    return WEIR_OK;
fail_parts:
    parts_fini(app);
fail_app:
    memory_free(&memory, app, sizeof(struct app));
fail_place:
    registry_free(&place, place.floor);
    return status;
}

weir_status weir_app_open(const weir_app_options *options, weir_app *out)
{
    options = options != NULL ? options : &OPTION_DEFAULTS;
    weir_status status = check_options(options, out);
    int before = errno;                                  /* calls preserve it (R10); the log line has said why */
    if (status == WEIR_OK)
        status = open_app(options, out);
    errno = before;
    return status;
}

/* ---- close ---- */

/* Comes once: from here on nothing new comes in, and all that waits is on its way to its last call. */
static void begin_stop(struct app *app)
{
    waits_shutdown(app);
    queues_abort(app);
    waits_stop(app);
    stop_workers(app);
    app->stopped = true;
}

static weir_status wait_for_threads(struct app *app, int64_t deadline)
{
    for (bool in_time = true;;) {
        uint32_t seen = event_value(&app->threads_ended);
        if (atomic_load_explicit(&app->threads, memory_order_acquire) == 0)                               /* A2 */
            return WEIR_OK;
        if (!in_time)
            return WEIR_TIMED_OUT;
        in_time = event_wait(&app->threads_ended, seen, deadline);
    }
}

static void destroy(struct app *app)
{
    struct memory memory = app->memory;
    struct registry_place place = app->place;
    join_workers(app, app->worker_count);
    registry_close(&place);
    uint32_t floor = queues_generation_floor(app), above = above_generation_floor(app);
    floor = above > floor ? above : floor;
    parts_fini(app);
    memory_free(&memory, app, sizeof(struct app));
    registry_free(&place, floor);
}

/* Who waits with a pin is told that it is in vain, or registry_shut would wait for it. */
static void refuse_everything(struct app *app)
{
    atomic_store_explicit(&app->closing, true, memory_order_seq_cst);                                     /* A3 */
    event_post(&app->call_ended);
    event_post(&app->lane_room.event);
    queues_wake(app);
}

static weir_status close_app(struct app *app, int64_t deadline, struct waitfor *wait, struct weir_report *report)
{
    weir_status status = above_close(app, deadline);
    if (status == WEIR_OK && !app->stopped) {
        refuse_everything(app);
        if (registry_shut_until(&app->place, deadline))
            begin_stop(app);
        else
            status = WEIR_TIMED_OUT;                     /* a lent thread, or a caller that runs its job, is inside */
    }
    if (status == WEIR_OK)
        status = wait_for_threads(app, deadline);
    waitfor_end(wait);                                   /* before the number is given back */
    if (report != NULL)
        above_report(app, status == WEIR_OK, report);
    if (status == WEIR_OK)
        destroy(app);
    else /* release: A5, the next closer sees what this one did */
        atomic_store_explicit(&app->closer, 0, memory_order_release);
    return status;
}

weir_status weir_app_close(weir_app handle, int64_t timeout_ns, struct weir_report *report)
{
    struct registry_pin pin;
    if (report != NULL && !above_report_is_sound(report))
        return registry_misuse(handle.bits, WEIR_INVALID);
    weir_status status = registry_pin_closer(handle.bits, &pin);
    if (status != WEIR_OK)
        return status;
    struct app *app = pin.app;
    uint32_t nobody = 0;
    struct waitfor wait;
    if (!waitfor_begin(app, timeout_ns, &wait))
        status = registry_misuse(handle.bits, WEIR_WOULD_DEADLOCK);
    else if (!atomic_compare_exchange_strong_explicit(&app->closer, &nobody, 1,
                                                      memory_order_acquire,                               /* A5 */
                                                      memory_order_relaxed))       /* answers, looks at nothing */
        status = WEIR_CLOSING;
    registry_unpin(&pin);                                /* the closer's claim keeps the application from here on */
    if (status == WEIR_OK)
        return close_app(app, time_add(clock_monotonic(), timeout_ns), &wait, report);
    waitfor_end(&wait);
    return status;
}
