/* SPDX-License-Identifier: Apache-2.0 */
/* lanes.c - the concurrent queues of an application: from a caller to a worker's deque or ring, and their limits */
#include "workqueue/app.h"

weir_queue weir_app_queue(weir_app app, uint8_t lane)
{
    weir_queue queue = { 0 };
    if (lane <= WEIR_BLOCKING && handle_is_plausible(app.bits, HANDLE_APP))
        queue.bits = handle_make(HANDLE_QUEUE, handle_app(app.bits), lane, handle_generation(app.bits));
    return queue;
}

/* Whoever looks for work skips lanes that were never used, so this comes before the push. seq_cst, both: A6 */
static void use_lane(struct app *app, uint32_t lane)
{
    uint32_t used = atomic_load_explicit(&app->lanes_used, memory_order_seq_cst);                         /* A6 */
    if ((used >> lane & 1) == 0)
        (void)atomic_fetch_or_explicit(&app->lanes_used, 1U << lane, memory_order_seq_cst);               /* A6 */
}

/* Producers spread over the workers by thread, and stay: their jobs run where their memory is warm. */
static struct ring *ring_for_caller(struct app *app, uint32_t lane)
{
    static _Atomic uint32_t threads;                     /* A: relaxed, only spreads */
    static _Thread_local uint32_t number;
    if (number == 0)
        number = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) + 1;
    return &app->workers[number % app->worker_count].lanes[lane].ring;
}

static bool is_lane_worker_of(const struct worker *w, const struct app *app)
{
    return w != NULL && w->app == app && w->kind == WORKER_LANE;
}

static void push_to_ring(struct app *app, uint32_t lane, struct ring *ring, struct job *job)
{
    if (!ring_push(ring, job))
        inbox_push(&app->overflow[lane], job);
}

void app_push_elsewhere(struct app *app, uint32_t lane, struct job *job)
{
    struct worker *self = worker_self();
    if (lane == WEIR_BLOCKING) {
        blocking_push(app, job);
        return;
    }
    use_lane(app, lane);
    push_to_ring(app, lane, is_lane_worker_of(self, app) ? &self->lanes[lane].ring : ring_for_caller(app, lane), job);
    idle_notify(&app->idle);
}

void app_push_list(struct app *app, uint32_t lane, struct job *const *jobs, size_t count)
{
    struct worker *self = worker_self();
    size_t n = 0;
    if (lane == WEIR_BLOCKING || count == 0) {
        for (; n < count; n++)
            blocking_push(app, jobs[n]);
        return;
    }
    use_lane(app, lane);
    bool own = is_lane_worker_of(self, app);
    struct ring *ring = own ? &self->lanes[lane].ring : ring_for_caller(app, lane);
    if (own) {
        n = deque_push_list(&self->lanes[lane].jobs, jobs, count);
        self->lanes[lane].pushed = true;
    }
    for (; n < count; n++)
        push_to_ring(app, lane, ring, jobs[n]);
    if (own)
        idle_notify_from_worker(&app->idle);
    else
        idle_notify(&app->idle);
}

bool app_lane_enter_limited(struct app *app, uint32_t lane)
{
    uint32_t waiting = atomic_load_explicit(&app->lane_counts[lane], memory_order_seq_cst);               /* F1 */
    do
        if (waiting >= app->options.lane_limit)
            return false;
    while (!atomic_compare_exchange_weak_explicit(&app->lane_counts[lane], &waiting, waiting + 1,
                                                  memory_order_seq_cst, memory_order_seq_cst));           /* F1 */
    return true;
}

void app_lane_leave_limited(struct app *app, uint32_t lane)
{
    (void)atomic_fetch_sub_explicit(&app->lane_counts[lane], 1, memory_order_seq_cst);                    /* F1 */
    room_post(&app->lane_room);
}
