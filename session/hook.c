/* SPDX-License-Identifier: Apache-2.0 */
/* hook.c - cancel hooks: registered by the work, called by whoever looks, never after the decision (T9, T10)
 *
 * The work may have to wait for a hook that runs on another thread (C3). It sleeps on its group's event, which whoever
 * leaves a hook posts while STACK is set; the event says only that something changed, the word says what.
 */
#include "session/look.h"

void call_hook(struct chunk *c, struct group *group, uint32_t bit)
{
    struct op *op = group_op(group, bit);
    struct op_change change;
    if (op_move(&op->slot, op_hook_enter, 0, &change) != WEIR_OK)
        return;                                                /* removed, decided, or called by somebody else */
    struct op_cold *cold = cold_of(c->ops, group, bit);
    weir_cancel_fn *hook;
    *(void **)&hook = cold->hook;
    uint64_t before = account_enter(c->account, op_value(c, group, bit, change.new).bits);
    void *hook_ctx = cold->hook_ctx;
    latency_told(c->session, op);
    cold->hook = HOOK_TOLD;
    bool answer = hook((weir_reason)op_reason(change.new), hook_ctx);
    (void)account_enter(c->account, before);
    (void)op_move(&op->slot, op_hook_leave, answer, &change);
    if (op_has(change.old, OP_STACK))
        event_post(&group->pulled);
    chunk_note(c, group, bit, change.old, change.new);
}

/* Returns when the hook that was registered is off, and does not run. */
static void clear_hook(weir_task *task)
{
    struct op_change change;
    for (;;) {
        uint32_t seen = event_value(&task->group->pulled);
        if (op_move(&task->op->slot, op_hook_clear, 0, &change) == WEIR_OK)
            return;
        (void)event_wait(&task->group->pulled, seen, WEIR_FOREVER);
    }
}

/* The work's own thread is inside its function, where no hook is called. So it is the hook that calls, which has been
 * given the task by the work, and it must not wait for itself. */
static bool is_called_by_the_hook(const weir_task *task)
{
    const struct worker *self = worker_self();
    return self == NULL || &task->c->all->accounts[self->number] != task->c->account;
}

weir_status weir_task_on_cancel(weir_task *task, weir_cancel_fn *hook, void *ctx)
{
    struct op_change change;
    if (is_called_by_the_hook(task))
        return WEIR_CANCELED;                                  /* its own registration was off when it was called */
    clear_hook(task);
    if (weir_task_cancelled(task) != 0)
        return WEIR_CANCELED;
    if (hook == NULL)
        return WEIR_OK;
    task->cold->hook = *(void **)&hook;
    task->cold->hook_ctx = ctx;
    return op_move(&task->op->slot, op_hook_set, 0, &change);
}
