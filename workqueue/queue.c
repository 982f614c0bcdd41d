/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c - the queue's word, the pump, deferrals; the protocol and its labels are in queue.h */
#include "workqueue/queue.h"

#include "core/verify.h"
#include "workqueue/app.h"

/* The head of a queue that is at work with nothing new. Never dereferenced. */
static struct job BUSY_MARK;
#define BUSY (&BUSY_MARK)

/* ---- the word ---- */

static uint64_t word_count(uint64_t word)
{
    return word & QUEUE_COUNT;
}

static bool word_is_over(uint64_t word)
{
    return (word & QUEUE_CLOSED) != 0 && word_count(word) == 0;
}

/* What a newcomer with this handle is told by this word. */
static weir_status word_judge(uint64_t word, uint64_t handle, uint32_t limit)
{
    if (!slot_word_matches(word, handle))
        return WEIR_STALE;
    if ((word & QUEUE_CLOSED) != 0)
        return WEIR_CLOSED;
    if ((limit != 0 && word_count(word) >= limit) || word_count(word) == QUEUE_COUNT)
        return WEIR_FULL;
    return WEIR_OK;
}

static weir_status enter(struct queue *queue, uint64_t handle)
{
    uint64_t word = atomic_load_explicit(&queue->slot.word, memory_order_acquire);                        /* G2 */
    uint32_t limit = atomic_load_explicit(&queue->limit, memory_order_relaxed);    /* of this word's owner, or the swap fails */
    weir_status status;
    while ((status = word_judge(word, handle, limit)) == WEIR_OK)
        if (atomic_compare_exchange_weak_explicit(&queue->slot.word, &word, word + 1,
                                                  memory_order_acq_rel, memory_order_acquire))            /* B2, G2 */
            break;
    return status;
}

/* For who keeps the queue alive already: the library's own jobs are outside of limits and gates. */
static void enter_held(struct queue *queue)
{
    uint64_t old = atomic_fetch_add_explicit(&queue->slot.word, 1, memory_order_relaxed);    /* held: nothing to see */
    weir_assert(word_count(old) != 0 && word_count(old) != QUEUE_COUNT);
    (void)old;
}

static void list_push(struct app *app, struct queue *queue, struct job *job);

/* The one caller that made the queue over. */
static void complete(struct app *app, struct queue *queue)
{
    struct queue *target = queue->target;
    struct job *closed = queue->closed;
    uint8_t lane = queue->lane;
    struct slots_block block = { .first = queue->index, .count = 1 };
    slots_free(&app->queues, &queue->slot);
    slots_release(&app->queues, block);
    if (closed == NULL && target != NULL)
        queue_leave(app, target, 1);
    else if (closed != NULL && target != NULL)
        list_push(app, target, closed);                  /* counts as what this queue held the target by */
    else if (closed != NULL)
        app_push(app, lane, closed);
}

void queue_leave(struct app *app, struct queue *queue, uint32_t count)
{
    if (count == 0)
        return;
    bool limited = atomic_load_explicit(&queue->limit, memory_order_relaxed) != 0; /* ours: the queue is held */
    uint64_t old = atomic_fetch_sub_explicit(&queue->slot.word, count, memory_order_seq_cst);             /* B1, F1 */
    weir_assert(word_count(old) >= count);
    if (word_is_over(old - count))
        complete(app, queue);
    else if (limited)
        room_post(&queue->room);                         /* if it is over by now: the slot is still a queue's, and stays */
}

/* ---- the list and the pump ---- */

static struct job *reversed(struct job *newest)
{
    struct job *oldest = NULL;
    while (newest != NULL && newest != BUSY) {
        struct job *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

/* The pump goes where the queue's jobs go. */
static void submit_pump(struct app *app, struct queue *queue)
{
    if (queue->target == NULL) {
        app_push(app, queue->lane, &queue->pump);
    } else {
        enter_held(queue->target);
        list_push(app, queue->target, &queue->pump);
    }
}

static void list_push(struct app *app, struct queue *queue, struct job *job)
{
    struct job *head = atomic_load_explicit(&queue->head, memory_order_relaxed);   /* the swap checks it */
    do
        job->next = head;
    while (!atomic_compare_exchange_weak_explicit(&queue->head, &head, job,
                                                  memory_order_acq_rel,                                   /* P1, P2 */
                                                  memory_order_relaxed));          /* tries again */
    if (head == NULL)
        submit_pump(app, queue);
}

/* The oldest job that has not run, or NULL: nothing more, and the queue is idle: it may be gone. */
static struct job *pump_next(struct queue *queue)
{
    struct job *busy = BUSY;
    if (queue->backlog == NULL) {
        if (atomic_compare_exchange_strong_explicit(&queue->head, &busy, NULL,
                                                    memory_order_release,                                 /* P1 */
                                                    memory_order_relaxed))         /* the exchange acquires */
            return NULL;
        queue->backlog = reversed(atomic_exchange_explicit(&queue->head, BUSY, memory_order_acquire));    /* P2 */
    }
    struct job *job = queue->backlog;
    queue->backlog = job->next;
    return job;
}

/* ---- deferrals ---- */

static enum reply_state reply_state(uint64_t reply) { return (enum reply_state)(reply & 7); }

static uint64_t reply_with(uint64_t reply, enum reply_state state) { return (reply & ~UINT64_C(7)) | state; }

static uint32_t reply_sequence(uint64_t reply) { return (uint32_t)(reply >> 3); }

static bool reply_move(struct queue *queue, uint64_t from, enum reply_state to)
{
    return atomic_compare_exchange_strong_explicit(&queue->reply, &from, reply_with(from, to),
                                                   memory_order_seq_cst,                                  /* R1, R2 */
                                                   memory_order_acquire);                                 /* R2 */
}

/* The job's second and last call. */
static void end_deferred(struct worker *w, struct queue *queue, enum reply_state how)
{
    struct job *job = queue->deferred;
    queue->deferred = NULL;
    if (how == REPLY_REPLIED)
        return;                                          /* its first call was its last */
    bool called = worker_call_last(w, job, how == REPLY_CANCELED ? WEIR_CANCELED : WEIR_SHUTDOWN);
    weir_assert(called);                                 /* pumps run at the bottom of a worker's calls */
    (void)called;
}

static bool is_aborted(struct app *app, struct queue *queue)
{
    uint64_t word = atomic_load_explicit(&queue->slot.word, memory_order_seq_cst);                        /* R1 */
    return (word & QUEUE_ABORT) != 0 || atomic_load_explicit(&app->stopping, memory_order_relaxed);
}

/* After a call that deferred. True: the queue waits for the reply; somebody else may be its pump already. */
static bool pump_must_wait(struct worker *w, struct queue *queue, struct job *job)
{
    uint64_t reply = atomic_load_explicit(&queue->reply, memory_order_acquire);                           /* R2 */
    if (reply_state(reply) == REPLY_NONE)
        return false;
    queue->deferred = job;
    if (reply_state(reply) == REPLY_DEFERRED && reply_move(queue, reply, REPLY_WAITING)) {
        uint64_t waiting = reply_with(reply, REPLY_WAITING);
        if (!is_aborted(w->app, queue) || !reply_move(queue, waiting, REPLY_ABORTED))
            return true;
    }
    return false;
}

/* The deferral, if there was one, is over: says how, and makes the word ready for the next. */
static void pump_settle(struct worker *w, struct queue *queue)
{
    if (queue->deferred == NULL)
        return;
    uint64_t reply = atomic_load_explicit(&queue->reply, memory_order_acquire);                           /* R2 */
    end_deferred(w, queue, reply_state(reply));
    /* release: R2, a later defer on this word follows the calls so far; the pump alone leaves these states */
    atomic_store_explicit(&queue->reply, reply_with(reply, REPLY_NONE), memory_order_release);
}

/* ---- the pump ---- */

/* True: the job is over. False: it deferred, the pump must stop here. */
static bool pump_call(struct worker *w, struct queue *queue, struct job *job)
{
    if (job->kind == JOB_INTERNAL) {
        job->fn(job_public(job), WEIR_OK);
        return true;
    }
    if (is_aborted(w->app, queue))
        job->forced = WEIR_SHUTDOWN;
    (void)worker_call(w, job);
    if (!queue->replies)
        return true;
    if (pump_must_wait(w, queue, job))
        return false;
    pump_settle(w, queue);
    return true;
}

static void pump_run(weir_job *pump, weir_status status)
{
    (void)status;
    struct queue *queue = pump->ctx;
    struct worker *w = worker_self();
    uint32_t over = queue->deferred != NULL ? 1 : 0;
    pump_settle(w, queue);
    for (struct job *job; (job = pump_next(queue)) != NULL; over++) {
        if (over >= PUMP_BATCH) {
            queue->backlog = job;                        /* it keeps the queue alive while the others leave */
            queue_leave(w->app, queue, over);
            submit_pump(w->app, queue);
            return;
        }
        if (!pump_call(w, queue, job))
            break;
    }
    queue_leave(w->app, queue, over);                    /* 0: the queue may be gone, and is not touched */
}

/* ---- for who hands jobs over ---- */

struct queue *queue_find(struct app *app, weir_queue handle)
{
    uint32_t slot = handle_slot(handle.bits);
    return slot <= WEIR_BLOCKING ? NULL : (struct queue *)slots_at(&app->queues, slot - WEIR_BLOCKING - 1);
}

static weir_status reserve_lane(struct app *app, weir_queue handle, struct job *job)
{
    if (handle_generation(handle.bits) != app->place.generation)
        return WEIR_STALE;
    uint32_t lane = handle_slot(handle.bits);
    if (!app_lane_enter(app, lane))
        return WEIR_FULL;
    job->owner = NULL;
    job->lane = (uint8_t)lane;
    return WEIR_OK;
}

static weir_status reserve_queue(struct app *app, weir_queue handle, struct job *job)
{
    struct queue *queue = queue_find(app, handle);
    weir_status status = queue == NULL ? WEIR_STALE : enter(queue, handle.bits);
    if (status != WEIR_OK)
        return status;
    job->owner = queue;
    job->lane = queue->lane;
    return WEIR_OK;
}

weir_status queue_reserve(struct app *app, weir_queue handle, struct job *job, enum job_kind kind)
{
    if (app_is_closing(app))
        return WEIR_SHUTDOWN;
    weir_status status = queue_is_lane(handle) ? reserve_lane(app, handle, job) : reserve_queue(app, handle, job);
    if (status != WEIR_OK)
        return status;
    job->kind = (uint8_t)kind;
    job->forced = WEIR_OK;
    job->app = app->handle.bits;
    return WEIR_OK;
}

void queue_unreserve(struct app *app, struct job *job)
{
    if (job->owner != NULL)
        queue_leave(app, job->owner, 1);
    else
        app_lane_leave(app, job->lane);
}

void queue_dispatch(struct app *app, struct job *job)
{
    struct queue *queue = job->owner;
    if (queue != NULL && !queue->concurrent)
        list_push(app, queue, job);
    else
        app_push(app, job->lane, job);
}

/* ---- deferrals, from outside ---- */

static struct queue *queue_of_token(struct app *app, uint64_t token)
{
    return queue_find(app, (weir_queue){ token });
}

/* Ends the deferral that the token names; what decides is the one swap of the reply word. */
static weir_status end_deferral(struct app *app, uint64_t token, enum reply_state how)
{
    struct queue *queue = queue_of_token(app, token);
    if (queue == NULL)
        return WEIR_STALE;
    for (;;) {
        uint64_t reply = atomic_load_explicit(&queue->reply, memory_order_acquire);                       /* R2 */
        enum reply_state state = reply_state(reply);
        if (reply_sequence(reply) != handle_generation(token) || state == REPLY_NONE)
            return WEIR_STALE;
        if (state != REPLY_DEFERRED && state != REPLY_WAITING)
            return WEIR_ALREADY;
        if (!reply_move(queue, reply, how))
            continue;
        if (state == REPLY_WAITING)
            submit_pump(app, queue);                     /* the deferred job keeps the queue alive */
        return WEIR_OK;
    }
}

weir_status queue_cancel_deferred(struct app *app, const struct job *job)
{
    weir_status status = end_deferral(app, job->aux[0], REPLY_CANCELED);
    return status == WEIR_STALE ? WEIR_TOO_LATE : status;
}

bool queue_deferral_is_over(struct app *app, const struct job *job)
{
    struct queue *queue = queue_of_token(app, job->aux[0]);
    if (queue == NULL)
        return true;
    uint64_t reply = atomic_load_explicit(&queue->reply, memory_order_acquire);                           /* R2 */
    return reply_sequence(reply) != handle_generation(job->aux[0]) || reply_state(reply) == REPLY_NONE
        || reply_state(reply) == REPLY_REPLIED;
}

weir_status weir_job_defer(weir_job *public, weir_token *out)
{
    struct worker *w = worker_self();
    struct job *job = job_of(public);
    if (public == NULL || out == NULL || w == NULL || !worker_is_inside(w, job))
        return WEIR_INVALID;
    struct queue *queue = job->owner;
    if (job->kind != JOB_PLAIN || queue == NULL || !queue->replies)
        return WEIR_INVALID;
    uint64_t reply = atomic_load_explicit(&queue->reply, memory_order_acquire);                           /* R2 */
    if (reply_state(reply) != REPLY_NONE)
        return WEIR_ALREADY;
    if (reply_sequence(reply) == HANDLE_GENERATION_MAX)
        return WEIR_LIMIT;
    uint64_t next = (uint64_t)(reply_sequence(reply) + 1) << 3 | REPLY_DEFERRED;
    uint64_t token = handle_make(HANDLE_REPLY, w->app->place.index, queue->index + WEIR_BLOCKING + 1,
                                 reply_sequence(next));
    job->aux[0] = token;
    /* release: J1, a cancel that sees DEFERRED reads the token */
    atomic_store_explicit(&job->phase, JOB_DEFERRED, memory_order_release);
    atomic_store_explicit(&queue->reply, next, memory_order_release);                                     /* R2 */
    out->bits = token;
    return WEIR_OK;
}

weir_status weir_job_reply(weir_token token)
{
    struct app_ref ref;
    weir_status status = app_enter(token.bits, HANDLE_REPLY, &ref);
    if (status != WEIR_OK)
        return status;
    status = end_deferral(ref.app, token.bits, REPLY_REPLIED);
    app_leave(&ref);
    return status == WEIR_ALREADY ? WEIR_STALE : status;
}

/* ---- open, close ---- */

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
static weir_status enter_target(struct app *app, weir_queue handle, bool concurrent, struct queue **target, uint8_t *lane)
{
    struct job place = { .owner = NULL };
    if (queue_is_lane(handle)) {
        if (handle_generation(handle.bits) != app->place.generation)
            return WEIR_STALE;
        *lane = (uint8_t)handle_slot(handle.bits);
        return WEIR_OK;
    }
    if (concurrent)
        return WEIR_INVALID;                             /* its jobs have one owner to leave */
    weir_status status = reserve_queue(app, handle, &place);
    if (status == WEIR_OK) {
        *target = place.owner;
        *lane = place.lane;
    }
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
    job_init_internal(&queue->pump, pump_run, queue, queue->lane);
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
    if (status == WEIR_OK)
        status = app_enter(target.bits, HANDLE_QUEUE, &ref);
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
        if (!slot_word_matches(word, handle) || word_is_over(word))
            return WEIR_STALE;
        weir_assert(word_count(word) != QUEUE_COUNT);
    } while (!atomic_compare_exchange_weak_explicit(&queue->slot.word, &word, (word | flags) + 1,
                                                    memory_order_seq_cst,                             /* B2, R1 */
                                                    memory_order_acquire));                               /* G2 */
    *before = word;
    return WEIR_OK;
}

/* After ABORT was set: the pump may be waiting for a reply that need not come. The caller holds the queue. */
static void abort_deferral(struct app *app, struct queue *queue)
{
    uint64_t reply = atomic_load_explicit(&queue->reply, memory_order_seq_cst);                           /* R1 */
    if (reply_state(reply) == REPLY_WAITING && reply_move(queue, reply, REPLY_ABORTED))
        submit_pump(app, queue);
}

static weir_status close_queue(struct app *app, weir_queue handle, bool abort, struct job *closed)
{
    struct queue *queue = queue_find(app, handle);
    uint64_t before;
    if (queue == NULL || mark(queue, handle.bits, QUEUE_CLOSED | (abort ? QUEUE_ABORT : 0), &before) != WEIR_OK)
        return WEIR_STALE;
    bool first = (before & QUEUE_CLOSED) == 0;
    if (first && closed != NULL) {
        closed->kind = JOB_INTERNAL;
        closed->lane = queue->lane;
        atomic_store_explicit(&closed->phase, JOB_OVER, memory_order_relaxed);     /* no cancel: it is too late */
        queue->closed = closed;
    }
    if (abort)
        abort_deferral(app, queue);
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
    if (closed != NULL && closed->fn == NULL)
        return WEIR_INVALID;
    weir_status status = app_enter(handle.bits, HANDLE_QUEUE, &ref);
    if (status != WEIR_OK)
        return status;
    if (queue_is_lane(handle))
        status = WEIR_INVALID;
    else if (closed != NULL && !job_is_free(job_of(closed)))
        status = WEIR_BUSY;
    else
        status = close_queue(ref.app, handle, abort, closed != NULL ? job_of(closed) : NULL);
    app_leave(&ref);
    return status;
}

/* ---- all queues of an application ---- */

weir_status queues_init(struct app *app)
{
    const struct slots_options options = {
        .memory = app->memory, .hot_size = sizeof(struct queue), .granule = 1, .limit = QUEUES_MAX, .floor = app->place.floor,
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
