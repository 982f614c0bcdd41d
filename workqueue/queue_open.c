/* SPDX-License-Identifier: Apache-2.0 */
/* queue_open.c - a queue's first and last moments, and all queues of an application; the word is told in queue.h */
#include "core/verify.h"
#include "workqueue/app.h"
#include "workqueue/reply.h"

/* ---- open ---- */

static weir_status check_options(const weir_queue_options *options, const weir_queue *out)
{
    if (out == NULL || options->size < sizeof(weir_queue_options) || options->full > WEIR_FULL_CALLER_RUNS)
        return WEIR_INVALID;
    if (options->concurrent && options->reply)
        return WEIR_INVALID;                             /* only what is serial can wait for a reply */
    if (!options->concurrent && options->full == WEIR_FULL_CALLER_RUNS)
        return WEIR_INVALID;                             /* the caller would run beside the one that runs */
    return WEIR_OK;
}

/* Holds the target for the life of the queue: counts in it as one job. */
static weir_status enter_target(struct app *app, weir_queue handle, bool concurrent, struct queue **target,
                                uint8_t *lane)
{
    if (queue_is_lane(handle)) {
        if (handle_generation(handle.bits) != app->place.generation)
            return WEIR_STALE;
        *lane = (uint8_t)handle_slot(handle.bits);
        return WEIR_OK;
    }
    if (concurrent)
        return registry_misuse(handle.bits, WEIR_INVALID);   /* its jobs have one owner to leave */
    struct queue *queue = queue_find(app, handle);
    weir_status status = queue == NULL ? WEIR_STALE : queue_enter(queue, handle.bits);
    if (status != WEIR_OK)
        return status == WEIR_FULL ? registry_misuse(handle.bits, WEIR_INVALID) : status; /* it has a limit */
    /* relaxed: ours, entered */
    if (queue->concurrent || atomic_load_explicit(&queue->limit, memory_order_relaxed) != 0) {
        queue_leave(app, queue, 1);                      /* its limit counts jobs, and it has no pump to wait for */
        return registry_misuse(handle.bits, WEIR_INVALID);
    }
    *target = queue;
    *lane = queue->lane;
    return status;
}

static void fill_in(struct queue *queue, const weir_queue_options *options, uint32_t index, uint32_t floor)
{
    queue->index = index;
    queue->name = options->name;
    queue->concurrent = options->concurrent;
    queue->replies = options->reply;
    queue->closed = NULL;
    queue->backlog = NULL;
    queue->deferred = NULL;
    /* relaxed, all three: published by the slot's word (G1); atomic for a call that has a stale handle */
    atomic_store_explicit(&queue->limit, options->limit, memory_order_relaxed);
    atomic_store_explicit(&queue->full, options->full, memory_order_relaxed);
    atomic_store_explicit(&queue->head, NULL, memory_order_relaxed);
    if (reply_sequence(atomic_load_explicit(&queue->reply, memory_order_relaxed)) < floor)
        atomic_store_explicit(&queue->reply, (uint64_t)floor << 3 | REPLY_NONE, memory_order_relaxed);
    job_init_internal(&queue->pump, queue_pump, queue, queue->lane);
}

static void abort_queue(struct app *app, uint64_t handle);

static weir_status open_queue(struct app *app, weir_queue target, const weir_queue_options *options, weir_queue *out)
{
    struct queue *over = NULL;
    uint8_t lane = 0;
    struct slots_block block;
    weir_status status = enter_target(app, target, options->concurrent, &over, &lane);
    if (status != WEIR_OK)
        return status;
    status = slots_acquire(&app->queues, 1, 0, &block);
    if (status != WEIR_OK) {
        if (over != NULL)
            queue_leave(app, over, 1);
        return status;
    }
    struct queue *queue = (struct queue *)slots_at(&app->queues, block.first);
    queue->target = over;
    queue->lane = lane;
    fill_in(queue, options, block.first, app->place.floor);
    uint64_t word = atomic_load_explicit(&queue->slot.word, memory_order_relaxed);            /* free: ours alone */
    uint64_t handle = handle_make(HANDLE_QUEUE, app->place.index, block.first + WEIR_BLOCKING + 1,
                                  slot_word_generation(word));
    atomic_store_explicit(&queue->slot.word, slot_word_with(word, QUEUE_LIVE), memory_order_seq_cst); /* G1, A3 */
    if (atomic_load_explicit(&app->closing, memory_order_seq_cst)) {                                      /* A3 */
        abort_queue(app, handle);                 /* the application's close may have missed it */
        return WEIR_SHUTDOWN;
    }
    out->bits = handle;
    return WEIR_OK;
}

weir_status weir_queue_open(weir_queue target, const weir_queue_options *options, weir_queue *out)
{
    static const weir_queue_options DEFAULTS = { .size = sizeof(weir_queue_options) };
    struct app_ref ref;
    options = options != NULL ? options : &DEFAULTS;
    weir_status status = check_options(options, out);
    status = status != WEIR_OK ? registry_misuse(target.bits, status) : app_enter(target.bits, HANDLE_QUEUE, &ref);
    if (status != WEIR_OK)
        return status;
    status = app_is_closing(ref.app) ? WEIR_SHUTDOWN : open_queue(ref.app, target, options, out);
    app_leave(&ref);
    return status;
}

/* Sets flags, and holds the queue for the caller by one in the count. What the word was before, or STALE. */
static weir_status mark(struct queue *queue, uint64_t handle, uint64_t flags, uint64_t *before)
{
    uint64_t word = atomic_load_explicit(&queue->slot.word, memory_order_acquire);                        /* G2 */
    do {
        if (!slot_word_matches(word, handle) || queue_word_is_over(word))
            return WEIR_STALE;
        weir_assert(queue_word_count(word) != QUEUE_COUNT);
    } while (!atomic_compare_exchange_weak_explicit(&queue->slot.word, &word, (word | flags) + 1,
                                                    memory_order_seq_cst,                             /* B2, R1 */
                                                    memory_order_acquire));                               /* G2 */
    *before = word;
    return WEIR_OK;
}

static weir_status close_queue(struct app *app, weir_queue handle, bool abort, struct job *closed)
{
    struct queue *queue = queue_find(app, handle);
    uint64_t before;
    if (queue == NULL || mark(queue, handle.bits, QUEUE_CLOSED | (abort ? QUEUE_ABORT : 0), &before) != WEIR_OK)
        return WEIR_STALE;
    bool first = (before & QUEUE_CLOSED) == 0;
    if (first && closed != NULL) {
        closed->kind = JOB_CLOSED;
        closed->lane = queue->lane;
        job_set_app(closed, app->handle.bits);
        job_begin(closed, JOB_CLOSING);
        queue->closed = closed;
    }
    if (abort)
        reply_abort(app, queue);
    event_post(&queue->room.event);                      /* who waits for room is told that there will be none */
    queue_leave(app, queue, 1);
    return first ? WEIR_OK : WEIR_CLOSING;
}

static void abort_queue(struct app *app, uint64_t handle)
{
    (void)close_queue(app, (weir_queue){ handle }, true, NULL);
}

weir_status weir_queue_close(weir_queue handle, bool abort, weir_job *closed)
{
    struct app_ref ref;
    weir_status status = app_enter(handle.bits, HANDLE_QUEUE, &ref);
    if (status != WEIR_OK)
        return status;
    if (queue_is_lane(handle))
        status = WEIR_INVALID;
    else if (closed != NULL)
        status = reply_check_job(job_of(closed));
    status = status == WEIR_OK ? close_queue(ref.app, handle, abort, closed != NULL ? job_of(closed) : NULL)
                               : registry_misuse(handle.bits, status);
    app_leave(&ref);
    return status;
}

/* ---- all queues of an application ---- */

weir_status queues_init(struct app *app)
{
    const struct slots_options options = {
        .memory = app->memory, .hot_size = sizeof(struct queue), .granule = 1,
        .limit = QUEUES_MAX, .floor = app->place.floor,
    };
    return slots_init(&app->queues, &options);
}

void queues_wake(struct app *app)
{
    struct slot *slot;
    for (uint32_t i = 0; (slot = slots_at(&app->queues, i)) != NULL; i++)
        event_post(&((struct queue *)slot)->room.event);
}

void queues_abort(struct app *app)
{
    struct slot *slot;
    for (uint32_t i = 0; (slot = slots_at(&app->queues, i)) != NULL; i++) {
        uint64_t word = atomic_load_explicit(&slot->word, memory_order_seq_cst);                          /* A3 */
        if (!slot_word_is_free(word))
            abort_queue(app, handle_make(HANDLE_QUEUE, app->place.index, i + WEIR_BLOCKING + 1,
                                         slot_word_generation(word)));
    }
}

uint32_t queues_generation_floor(const struct app *app)
{
    uint32_t floor = slots_generation_floor(&app->queues);
    struct slot *slot;
    for (uint32_t i = 0; (slot = slots_at(&app->queues, i)) != NULL; i++) {
        /* relaxed: no thread is left */
        uint32_t next = reply_sequence(atomic_load_explicit(&((struct queue *)slot)->reply, memory_order_relaxed)) + 1;
        if (next > floor)
            floor = next;
    }
    return floor;
}

void queues_fini(struct app *app)
{
    slots_fini(&app->queues);
}
