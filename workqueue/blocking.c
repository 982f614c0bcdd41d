/* SPDX-License-Identifier: Apache-2.0 */
/* blocking.c - threads on demand; the policy is told in blocking.h */
#include "workqueue/blocking.h"

#include "workqueue/app.h"

/* seq_cst: T1, with the load in blocking_push, which fills the inbox and then looks at the count */
static void count_thread(struct blocking *b, int32_t change)
{
    atomic_fetch_add_explicit(&b->threads, (uint32_t)change, memory_order_seq_cst);
}

/* Somebody who sleeps is woken; if nobody does, and there may be more threads, one is asked for. Also if the last who
 * seemed to sleep had just found another job, which may block until this one has run. */
static void want_thread(struct app *app)
{
    struct blocking *b = &app->blocking;
    if (!idle_is_empty(&b->idle) && idle_wake_one(&b->idle))
        return;
    if (atomic_load_explicit(&b->threads, memory_order_seq_cst) < b->max)                            /* T1 */
        control_request(&app->control, CONTROL_GROW);
}

void blocking_push(struct app *app, struct job *job)
{
    inbox_push(&app->blocking.inbox, job);
    want_thread(app);
}

struct job *blocking_take(struct app *app)
{
    struct blocking *b = &app->blocking;
    struct job *job = NULL;
    /* relaxed: a count of turns, so that the list gets its own although the ring is never empty */
    if (atomic_fetch_add_explicit(&b->turns, 1, memory_order_relaxed) % BLOCKING_REFILL_EVERY == 0)
        job = inbox_refill(&b->inbox);
    if (job == NULL)
        job = inbox_pop_one(&b->inbox);
    return job != NULL ? job : inbox_refill(&b->inbox);
}

/* A job, and whoever else is needed for those that are left. */
static struct job *take_and_share(struct app *app)
{
    struct job *job = blocking_take(app);
    if (job != NULL && !inbox_is_empty(&app->blocking.inbox))
        want_thread(app);
    return job;
}

/* Rule b of idle.h. */
static void stop_searching(struct app *app)
{
    idle_search_end(&app->blocking.idle);
    if (!inbox_is_empty(&app->blocking.inbox))
        want_thread(app);
}

struct job *blocking_next(struct worker *w)
{
    struct app *app = w->app;
    struct blocking *b = &app->blocking;
    struct job *job = take_and_share(app);
    while (job == NULL && !app_is_stopping(app)) {
        idle_prepare(&b->idle, w->index);
        job = take_and_share(app);
        if (job != NULL || app_is_stopping(app) || !inbox_is_empty(&b->inbox)) {
            if (!idle_cancel(&b->idle, w->index))
                stop_searching(app);
            continue;
        }
        if (!idle_commit(&b->idle, w->index, time_add(clock_monotonic(), BLOCKING_IDLE_NS)))
            return NULL;
        job = blocking_take(app);
        stop_searching(app);
    }
    if (job == NULL)
        job = blocking_take(app);
    return job != NULL ? job : worker_find_left(w);      /* the application stops */
}

void blocking_end(struct worker *w)
{
    struct blocking *b = &w->app->blocking;
    /* release: the seat's next user, after the join, needs nothing of this thread; the join orders the rest */
    atomic_store_explicit(&b->seats[w->index], SEAT_ENDED, memory_order_release);                         /* T2 */
    count_thread(b, -1);
    if (!inbox_is_empty(&b->inbox))                      /* a push that still counted this thread */
        want_thread(w->app);
}

/* ---- on the control thread ---- */

static void join_ended(struct blocking *b, uint32_t seat)
{
    if (atomic_load_explicit(&b->seats[seat], memory_order_acquire) != SEAT_ENDED)                        /* T2 */
        return;
    (void)pthread_join(b->workers[seat].thread, NULL);
    atomic_store_explicit(&b->seats[seat], SEAT_EMPTY, memory_order_relaxed);      /* this thread alone reads EMPTY */
}

/* -1: none is free. */
static int32_t free_seat(struct blocking *b)
{
    for (uint32_t seat = 0; seat < b->max; seat++) {
        join_ended(b, seat);
        if (atomic_load_explicit(&b->seats[seat], memory_order_relaxed) == SEAT_EMPTY)       /* see join_ended */
            return (int32_t)seat;
    }
    return -1;
}

/* No thread can be had: the jobs run on the workers. */
static void hand_over(struct app *app)
{
    struct job *job;
    log_line(&app->log, WEIR_LOG_WARNING, "blocking jobs run on ordinary workers, since no thread could be started");
    while ((job = blocking_take(app)) != NULL)
        app_push(app, WEIR_NORMAL, job);
}

void blocking_grow(struct app *app)
{
    struct blocking *b = &app->blocking;
    int32_t seat = free_seat(b);
    if (seat < 0 || inbox_is_empty(&b->inbox) || !idle_is_empty(&b->idle))
        return;
    atomic_store_explicit(&b->seats[seat], SEAT_RUNNING, memory_order_relaxed);    /* handed over by its creation */
    count_thread(b, 1);
    if (worker_thread_start(&b->workers[seat], worker_main) == WEIR_OK)
        return;
    atomic_store_explicit(&b->seats[seat], SEAT_EMPTY, memory_order_relaxed);      /* there is no thread */
    count_thread(b, -1);
    if (atomic_load_explicit(&b->threads, memory_order_relaxed) == 0)              /* only this thread adds */
        hand_over(app);
}

void blocking_join(struct app *app)
{
    for (uint32_t seat = 0; seat < app->blocking.max; seat++)
        join_ended(&app->blocking, seat);
}

/* ---- life ---- */

static size_t slots_size(void) { return BLOCKING_INBOX_CAPACITY * sizeof(uint64_t); }

static void free_arrays(struct app *app)
{
    struct blocking *b = &app->blocking;
    memory_free(&app->memory, b->workers, b->max * sizeof(struct worker));
    memory_free(&app->memory, (void *)b->seats, b->max * sizeof(*b->seats));
    memory_free(&app->memory, (void *)b->slots, slots_size());
}

weir_status blocking_init(struct app *app, uint32_t max)
{
    struct blocking *b = &app->blocking;
    b->max = max;
    b->workers = memory_zalloc(&app->memory, max * sizeof(struct worker), CACHE_LINE);
    b->seats = memory_zalloc(&app->memory, max * sizeof(*b->seats), CACHE_LINE);
    b->slots = memory_zalloc(&app->memory, slots_size(), CACHE_LINE);
    if (b->workers == NULL || b->seats == NULL || b->slots == NULL
        || idle_init(&b->idle, &app->memory, max) != WEIR_OK) {
        free_arrays(app);
        return WEIR_NO_MEMORY;
    }
    inbox_init(&b->inbox, b->slots, BLOCKING_INBOX_CAPACITY);
    for (uint32_t i = 0; i < max; i++)
        b->workers[i] = (struct worker){
            .app = app, .index = i, .number = app->worker_count + i, .kind = WORKER_BLOCKING,
        };
    return WEIR_OK;
}

void blocking_fini(struct app *app)
{
    idle_fini(&app->blocking.idle, &app->memory);
    free_arrays(app);
}
