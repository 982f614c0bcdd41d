/* SPDX-License-Identifier: Apache-2.0 */
/* pull.c - weir_op_next: results fetched by a thread of the user's (R6, T15)
 *
 * Whoever is inside holds WAITER: so the operation cannot be over, the oldest results are his, and what he is given
 * stays until he comes again. He sleeps on the group's event; it says only that something changed, the word says what.
 */
#include "session/look.h"
#include "workqueue/waitfor.h"

/* The right to the oldest item came with the step. */
static const weir_result *give_item(struct op_ref *ref, uint64_t handle, struct op_stream *stream)
{
    uint64_t session = atomic_load_explicit(&ref->group->session, memory_order_relaxed);   /* held by WAITER */
    struct session *s = session_at(ref->all, session);
    struct window_item item = window_take(&stream->window);
    stream->result = (weir_result){
        .op.bits = handle, .number = stream->window.taken, .more = true, .data = item.data, .size = item.size,
        .tag = atomic_load_explicit(&ref->op->tag, memory_order_relaxed),                   /* E1 */
    };
    counts_add(&s->counts, COUNT_POSTED, 1);
    counts_add(&s->counts, COUNT_DELIVERED, 1);
    counts_add(&ref->all->outside, COUNT_POSTED, 1);
    counts_add(&ref->all->outside, COUNT_DELIVERED, 1);
    return &stream->result;
}

/* All items are taken by now. Filled in once: who was given it may still be reading when the next asks. */
static const weir_result *give_final(struct op_stream *stream)
{
    weir_result *r = &stream->final;
    if (stream->is_given)
        return r;
    stream->is_given = true;
    r->posted = stream->window.posted;
    r->discarded = stream->window.discarded;
    r->delivered = stream->window.taken;
    r->number = r->posted + 1;
    return r;
}

static weir_status take(struct op_ref *ref, uint64_t handle, const weir_result **out)
{
    struct op_change change;
    weir_status status = op_move(&ref->op->slot, op_next_take, traits_of(ref->op), &change);
    struct op_stream *stream = cold_stream(slots_cold(&ref->all->ops, ref->index));
    if (status == WEIR_OK)
        *out = give_item(ref, handle, stream);
    else if (status == WEIR_ALREADY)
        *out = give_final(stream);
    op_follow(ref, &change);
    return status == WEIR_ALREADY ? WEIR_OK : status;
}

static weir_status take_or_wait(struct op_ref *ref, uint64_t handle, int64_t timeout_ns, struct waitfor *wait,
                                const weir_result **out)
{
    bool waits = false;
    int64_t deadline = timeout_ns != 0 ? time_add(clock_monotonic(), timeout_ns) : 0;
    for (bool in_time = timeout_ns != 0;;) {
        uint32_t seen = event_value(&ref->group->pulled);
        weir_status status = take(ref, handle, out);
        if (status != WEIR_AGAIN)
            return status;
        if (!in_time)
            return WEIR_TIMED_OUT;
        if (!waits && !(waits = waitfor_begin(ref->all->app, timeout_ns, wait)))
            return registry_misuse(handle, WEIR_WOULD_DEADLOCK);
        in_time = event_wait(&ref->group->pulled, seen, deadline);
    }
}

weir_status weir_op_next(weir_op op, int64_t timeout_ns, const weir_result **out)
{
    struct op_ref ref;
    struct op_change change;
    const weir_result *result = NULL;
    if (out == NULL || timeout_ns < 0)
        return registry_misuse(op.bits, WEIR_INVALID);
    weir_status status = op_find(op.bits, HANDLE_OP, &ref);
    if (status != WEIR_OK)
        return status;
    status = op_move_at(&ref.op->slot, op.bits, op_next_enter, traits_of(ref.op), &change);
    if (status == WEIR_OK) {
        op_follow(&ref, &change);
        struct waitfor wait = { 0 };
        status = take_or_wait(&ref, op.bits, timeout_ns, &wait, &result);
        waitfor_end(&wait);
        if (status == WEIR_OK)
            *out = result;
        (void)op_move(&ref.op->slot, op_next_exit, 0, &change);
        op_follow(&ref, &change);                              /* the operation may be over by now */
    } else if (status != WEIR_BUSY)
        (void)registry_misuse(op.bits, status);                /* no pull operation, or its handle was closed before */
    app_leave(&ref.app);
    return status;
}
