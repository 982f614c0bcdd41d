/* SPDX-License-Identifier: Apache-2.0 */
/* token.c - work that ends later than its function returns: posting and completing from any thread (T6, T7, T8) */
#include "session/look.h"

weir_status weir_task_defer(weir_task *task, weir_token *out)
{
    struct op_change change;
    if (out == NULL)
        return registry_misuse(task->session, WEIR_INVALID);
    if (weir_task_cancelled(task) != 0)
        return WEIR_CANCELED;
    /* before T8: from then on the token's holder may decide, and this function must not write the outcome over his */
    bool before = task->deferred;
    task->deferred = true;
    weir_status status = op_move(&task->op->slot, op_defer, 0, &change);
    if (status == WEIR_OK)
        out->bits = handle_as(weir_task_op(task).bits, HANDLE_TOKEN);
    else
        task->deferred = before;
    return status;
}

/* Inside HOLD. */
static weir_status write_item(struct op_ref *ref, struct op_stream **stream, void *data, size_t size)
{
    struct op_cold *cold = slots_cold(&ref->all->ops, ref->index);
    *stream = stream_of(&ref->all->app->memory, ref->op, cold);
    if (*stream == NULL)
        return WEIR_NO_MEMORY;
    window_write(&(*stream)->window, data, size);
    if ((traits_of(ref->op) & OP_IDLE) != 0)
        deadline_touch(ref->all, op_extra(ref->op));          /* now: after T7 the operation may be over */
    return WEIR_OK;
}

/* T7 of a post, but for one thing: refused it keeps HOLD, under which the count is put right. */
static inline weir_status commit_or_keep(uint64_t old, uint32_t traits, uint64_t *new)
{
    if (op_reason(old) != 0 || op_is_decided(old))
        return WEIR_CANCELED;
    return op_commit_post(old, traits, new);
}

static weir_status post(struct op_ref *ref, uint64_t token, void *data, size_t size)
{
    struct op_change change;
    struct op_stream *stream;
    weir_status status = op_move_at(&ref->op->slot, token, op_hold_to_post, traits_of(ref->op), &change);
    if (status != WEIR_OK)
        return status;
    status = write_item(ref, &stream, data, size);
    if (status == WEIR_OK) {
        window_posted(&stream->window);                        /* before T7: afterwards it is not ours */
        status = op_move(&ref->op->slot, commit_or_keep, 0, &change);
        if (status != WEIR_OK)
            window_unposted(&stream->window);
    }
    if (status != WEIR_OK)
        (void)op_move(&ref->op->slot, op_commit_complete, 0, &change);                  /* only -HOLD */
    op_follow(ref, &change);                                   /* the operation may be over by now */
    return status;
}

weir_status weir_token_post(weir_token token, void *data, size_t size)
{
    struct op_ref ref;
    weir_status status = op_find(token.bits, HANDLE_TOKEN, &ref);
    if (status != WEIR_OK)
        return status;
    op_act_on_epoch(&ref, token.bits);
    status = post(&ref, token.bits, data, size);
    app_leave(&ref.app);
    return status;
}

weir_status weir_token_complete(weir_token token, weir_status result, void *data, size_t size)
{
    struct op_ref ref;
    struct op_change change;
    if (result == WEIR_AGAIN)
        return registry_misuse(token.bits, WEIR_INVALID);
    weir_status status = op_find(token.bits, HANDLE_TOKEN, &ref);
    if (status != WEIR_OK)
        return status;
    op_act_on_epoch(&ref, token.bits);
    /* of another life: refused with it; and while TOKEN is set nobody else gives a detail */
    uint32_t second = data != NULL ? traits_of(ref.op) & OP_DETAILED : 0;
    status = op_move_at(&ref.op->slot, token.bits, op_hold_to_complete, second, &change);
    if (status == WEIR_OK) {
        struct op_cold *cold = slots_cold(&ref.all->ops, ref.index);
        cold->ack.beside = result;
        if (data != NULL)
            cold_put_detail(ref.op, cold, data, size);
        traits_add(ref.op, OP_ANSWERED);
        (void)op_move(&ref.op->slot, op_commit_complete, 0, &change);                   /* E5 */
        op_follow(&ref, &change);
    }
    app_leave(&ref.app);
    return status;
}
