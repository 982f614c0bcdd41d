/* SPDX-License-Identifier: Apache-2.0 */
/* run.c - the work function's call, and what it may do inside it */
#include "session/foreign.h"

#include "core/verify.h"

/* A newer epoch: the reason goes into the word, which decides from then on (C6). Its life is held by STACK. True:
 * there is. */
static bool act_on_epoch(struct chunk *c, struct op *op)
{
    uint32_t epoch = atomic_load_explicit(&op->epoch, memory_order_relaxed);            /* E1 */
    uint32_t reason = cancel_applies(&c->session->cancel, epoch);
    struct op_change change;
    if (reason != 0) {
        latency_stamp_all(c->session, op);
        (void)op_move(&op->slot, op_cancel, reason, &change);
    }
    return reason != 0;
}

/* The work knows of the cancel, by a poll or because it has ended. With a hook the hook counts; after a deferral the
 * row is the token's, and who delivers the final counts. */
static void told(weir_task *task)
{
    uint64_t word = atomic_load_explicit(&task->op->slot.word, memory_order_acquire);   /* T10: the hook's field */
    bool theirs = op_phase(word) >= OP_ABANDONED || task->deferred || op_has(word, OP_HOOK_SET | OP_HOOK_BUSY);
    if (theirs || (traits_of(task->op) & OP_SEEN) != 0 || task->cold->hook == HOOK_TOLD)
        return;
    latency_told(task->c->session, task->op);
    traits_add(task->op, OP_SEEN);
}

static void returned(struct chunk *c, struct group *group, uint32_t bit, struct op_change *change, weir_status took,
                     uint32_t traits)
{
    uint64_t word = change->old;
    (void)op_return(change->old, traits, &word);
    if (took == WEIR_OK)
        deliver(c, group, bit, word, change->new);
    else
        chunk_note(c, group, bit, change->old, change->new);
    uint32_t steps = (traits & OP_FOREIGN) != 0 ? op_steps_of(change->new, traits) : 0;
    if (steps != 0)                                            /* not for this queue */
        session_mark(group, UINT64_C(1) << bit, c->all);
    if ((steps & (OP_STEP_DELIVER | OP_STEP_DROP)) != 0)       /* C7: this worker goes on with the queue */
        rescue_later(c->all, c->session, ATTENTION_LOOK);
}

/* T3, or T18. Of work that was abandoned this thread is the last to know a detail. */
static weir_status take_return(struct chunk *c, struct group *group, uint32_t bit, op_step_fn *step, uint32_t *traits,
                               struct op_change *change)
{
    struct op *op = group_op(group, bit);
    weir_status took = op_move(&op->slot, step, *traits, change);
    if (took != WEIR_CANCELED)
        return took;
    const weir_kind *kind = atomic_load_explicit(&op->kind, memory_order_relaxed);      /* E1: T2 */
    size_t size;
    void *detail = cold_detail(cold_of(c->ops, group, bit), &size);
    if (kind->drop != NULL && detail != NULL)
        kind->drop(detail, size);
    *traits &= ~(uint32_t)OP_DETAILED;
    atomic_store_explicit(&op->traits, *traits & ~(uint32_t)OP_AGAIN, memory_order_relaxed);    /* T3 releases it */
    return op_move(&op->slot, step, *traits, change);
}

/* AGAIN, and nothing was called: a cancel of all came before the claim, so the library decides. From X1 on the work may
 * be abandoned, and chunk and session are not this thread's to touch: what it needs of them it has by then. */
static weir_status call_work(struct chunk *c, struct group *group, struct op *op, uint32_t bit, bool deferred)
{
    struct weir_task task = {
        .c = c, .group = group, .op = op, .bit = bit, .cold = cold_of(c->ops, group, bit), .deferred = deferred,
        .session = c->session->handle,
    };
    const weir_kind *kind = atomic_load_explicit(&op->kind, memory_order_relaxed);      /* E1: T2 */
    session_fold(c->session);
    if ((traits_of(op) & OP_RAN) == 0)
        cold_begin(op, task.cold);
    latency_flush(c);
    uint64_t before = account_enter(c->account, weir_task_op(&task).bits);
    atomic_store_explicit(&c->account->work, op, memory_order_release);                 /* X1 of abandon.c */
    asymmetric_light();                                                                 /* X1 */
    bool cancelled = act_on_epoch(c, op);
    weir_status status = cancelled ? WEIR_AGAIN : kind->work(&task, op->ctx);
    (void)account_enter(c->account, before);
    if (cancelled)
        return WEIR_AGAIN;
    if (op_poll(&op->slot) != 0)
        told(&task);
    if (status != WEIR_AGAIN && !task.deferred) {              /* else the token decides, perhaps already */
        task.cold->ack.beside = status;
        traits_add(op, OP_ANSWERED);
    }
    return status;
}

/* Its record, which the caller holds as the job, and with its place; NULL: it is not in a queue of the caller's. */
static struct op_foreign *foreign_of(struct op *op, uint32_t traits)
{
    if ((traits & OP_FOREIGN) == 0)
        return NULL;
    struct op_foreign *foreign = extra_foreign(op_extra(op));
    foreign_keep_place(foreign);
    return foreign;
}

bool run_claimed(struct chunk *c, struct group *group, uint32_t bit, uint64_t value)
{
    struct op *op = group_op(group, bit);
    struct op_change change;
    if (op_move_at(&op->slot, value, op_claim, 0, &change) != WEIR_OK)
        return false;
    weir_status status = call_work(c, group, op, bit, op_has(change.new, OP_TOKEN));
    struct abandoned rest = { atomic_load_explicit(&op->kind, memory_order_relaxed), op->ctx };    /* E1: T2 */
    uint32_t traits = traits_of(op) | (status == WEIR_AGAIN ? (uint32_t)OP_AGAIN : 0);
    struct op_foreign *foreign = foreign_of(op, traits);
    atomic_store_explicit(&c->account->work, NULL, memory_order_relaxed);               /* X1: T3 releases it */
    weir_status took = take_return(c, group, bit, op_return_and_take, &traits, &change);
    if (op_phase(change.old) >= OP_ABANDONED) {
        abandoned_returned(c, group, bit, &change, &rest);
        return true;
    }
    returned(c, group, bit, &change, took, traits);
    if (foreign != NULL && op_phase(change.new) == OP_QUEUED)
        foreign_send(foreign);
    return true;
}

void run(struct chunk *c, struct group *group, uint32_t bit, uint64_t value)
{
    (void)run_claimed(c, group, bit, value);
}

/* The claim keeps the operation, and so its record, while that is taken hold of. */
void run_elsewhere(struct chunk *c, struct group *group, uint32_t bit, uint64_t value)
{
    struct op *op = group_op(group, bit);
    struct op_change change;
    if (op_move_at(&op->slot, value, op_claim, 0, &change) != WEIR_OK)
        return;
    struct op_extra *extra = op_extra(op);
    uint32_t traits = traits_of(op);
    extra_hold(extra);
    (void)take_return(c, group, bit, op_sent, &traits, &change);
    returned(c, group, bit, &change, WEIR_BUSY, traits);
    if (op_phase(change.new) == OP_QUEUED)
        foreign_send(extra_foreign(extra));
    extra_drop(c->session->all, extra);
}

/* ---- inside ---- */

weir_reason weir_task_cancelled(const weir_task *task)
{
    uint32_t reason = op_poll(&task->op->slot);
    if (reason == 0 && act_on_epoch(task->c, task->op))
        reason = op_poll(&task->op->slot);
    if (reason != 0 && !task->told) {
        weir_task *mine = (weir_task *)(uintptr_t)task;        /* on this thread's stack (run.c) */
        mine->told = true;
        told(mine);
    }
    return (weir_reason)reason;
}

/* The record is there until the slot is free, which STACK keeps it from. */
static void touch(weir_task *task)
{
    if ((traits_of(task->op) & OP_IDLE) != 0)
        deadline_touch(task->c->session->all, op_extra(task->op));
}

/* The entry is written only if there is room for it; nobody but this thread takes room away. */
static weir_status post(weir_task *task, struct window *window, struct window_item item, struct op_change *change)
{
    struct slot *slot = &task->op->slot;
    uint32_t traits = traits_of(task->op);
    for (;;) {
        /* acquire: E4, the entry's last user is done with it */
        uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
        bool full = op_held(word) >= window->size;
        if (!full)
            window_write(window, item.data, item.size);
        weir_status status = op_move(slot, full ? op_want : op_post, traits, change);
        if (status != WEIR_BUSY)
            return status;
    }
}

weir_status weir_task_post(weir_task *task, void *data, size_t size)
{
    struct op_change change;
    if (task->deferred)                                        /* no longer the only poster */
        return weir_token_post((weir_token){ handle_as(weir_task_op(task).bits, HANDLE_TOKEN) }, data, size);
    if (weir_task_cancelled(task) != 0)
        return WEIR_CANCELED;
    struct op_stream *stream = stream_of(&task->c->all->app->memory, task->op, task->cold);
    if (stream == NULL)
        return WEIR_NO_MEMORY;
    weir_status status = post(task, &stream->window, (struct window_item){ data, size }, &change);
    if (status == WEIR_OK) {
        window_posted(&stream->window);
        touch(task);
    }
    uint32_t duties = op_duties(change.old, change.new);
    if ((duties & OP_WAKE) != 0)
        event_post(&task->group->pulled);
    if ((duties & OP_LOOK) != 0) {
        session_mark(task->group, UINT64_C(1) << task->bit, task->c->all);
    }
    return status;
}

weir_status weir_task_progress(weir_task *task, uint64_t done, uint64_t total)
{
    if (weir_task_cancelled(task) != 0)
        return WEIR_CANCELED;
    /* relaxed: there is nothing to see behind it */
    if (op_is_decided(atomic_load_explicit(&task->op->slot.word, memory_order_relaxed)))
        return WEIR_CANCELED;
    if (!task->deferred && (traits_of(task->op) & OP_DETAILED) == 0)
        cold_say(task->cold, done, total);                     /* else K is the token's, or the detail's */
    touch(task);
    return WEIR_OK;
}

weir_status weir_task_explain(weir_task *task, const char *static_text)
{
    if (static_text == NULL)
        return registry_misuse(task->session, WEIR_INVALID);
    op_explain(task->op, task->cold, static_text);
    return WEIR_OK;
}

/* Abandoned later than this look: T3 finds it. */
weir_status weir_task_detail(weir_task *task, void *data, size_t size)
{
    if (task->deferred)                                        /* K is the token's */
        return registry_misuse(task->session, WEIR_INVALID);
    if ((traits_of(task->op) & OP_DETAILED) != 0)
        return WEIR_ALREADY;
    /* relaxed: there is nothing to see behind it */
    if (op_phase(atomic_load_explicit(&task->op->slot.word, memory_order_relaxed)) >= OP_ABANDONED)
        return WEIR_CANCELED;
    cold_put_detail(task->op, task->cold, data, size);
    return WEIR_OK;
}

weir_op weir_task_op(const weir_task *task)
{
    return op_value(task->c, task->group, task->bit, atomic_load_explicit(&task->op->slot.word, memory_order_relaxed));
}

weir_session weir_task_session(const weir_task *task)
{
    return (weir_session){ task->session };
}
