/* SPDX-License-Identifier: Apache-2.0 */
/* reserve.c - see reserve.h */
#include "workqueue/reserve.h"

#include "workqueue/app.h"

void reserve_start(void *ctx)
{
    struct app *app = ctx;
    struct reserve *r = &app->reserve;
    /* relaxed: a count; the request that brought this thread here came after it (control.K1) */
    uint32_t wanted = atomic_load_explicit(&r->wanted, memory_order_relaxed);
    while (r->started < wanted && r->started < r->count) {
        if (worker_thread_start(&r->workers[r->started], worker_main) != WEIR_OK)
            return;                                      /* the log has it; the next one that is lost tries again */
        r->started++;
    }
    if (r->started < wanted)
        log_line(&app->log, LOG_LEVEL_WARNING, "%u workers are lost in abandoned work, %u of them replaced",
                 wanted, r->started);
}

void reserve_lost(struct app *app, uint32_t number)
{
    /* relaxed, both: counts; control.K1 brings them over */
    atomic_fetch_add_explicit(&app->reserve.lost, 1, memory_order_relaxed);
    if (number >= app->worker_count && number < app_thread_count(app) - app->reserve.count)
        return;                                          /* of the blocking lane */
    atomic_fetch_add_explicit(&app->reserve.wanted, 1, memory_order_relaxed);
    control_request(&app->control, CONTROL_REPLACE);
}

void reserve_back(struct app *app)
{
    const struct worker *self = worker_self();
    /* relaxed, both: counts */
    atomic_fetch_sub_explicit(&app->reserve.lost, 1, memory_order_relaxed);
    if (self->kind != WORKER_BLOCKING)
        atomic_fetch_sub_explicit(&app->reserve.wanted, 1, memory_order_relaxed);
}

void reserve_join(struct app *app)
{
    for (uint32_t i = 0; i < app->reserve.started; i++)
        (void)pthread_join(app->reserve.workers[i].thread, NULL);
}

weir_status reserve_init(struct app *app)
{
    struct reserve *r = &app->reserve;
    uint32_t room = IDLE_WORKERS_MAX - app->worker_count;
    r->count = app->worker_count < room ? app->worker_count : room;
    if (r->count == 0)
        return WEIR_OK;
    if ((r->workers = memory_zalloc(&app->memory, r->count * sizeof(struct worker), CACHE_LINE)) == NULL)
        return WEIR_NO_MEMORY;
    for (uint32_t i = 0; i < r->count; i++)
        r->workers[i] = (struct worker){
            .app = app, .index = app->worker_count + i, .kind = WORKER_RESERVE, .random = i + 1,
            .number = app->worker_count + app->options.blocking_max + 1 + APP_GUESTS + i,
        };
    return WEIR_OK;
}

void reserve_fini(struct app *app)
{
    memory_free(&app->memory, app->reserve.workers, app->reserve.count * sizeof(struct worker));
}
