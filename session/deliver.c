/* SPDX-License-Identifier: Apache-2.0 */
/* deliver.c - callbacks, drops and gones: what a worker may do after T11, and T12 after it */
#include "session/look.h"

#include "core/verify.h"

/* One delivery: the operation, what all need to know of it, and the word before and after T11. */
struct delivery {
    struct chunk *c;
    struct group *group;
    struct op *op;
    struct op_cold *cold;                                      /* of use only if it ran: */
    bool ran;                                                  /* else there is nothing in it but the last owner's */
    const weir_kind *kind;
    uint32_t bit, traits;
    uint64_t word, now, value;                                 /* value: the operation's handle */
};

/* ---- the window ---- */

static size_t stream_bytes(uint32_t window)
{
    return sizeof(struct op_stream) + window * sizeof(struct window_item);
}

struct op_stream *stream_of(const struct memory *memory, struct op *op, struct op_cold *cold)
{
    uint32_t window = traits_of(op) & OP_WINDOW;
    struct op_stream *stream = cold_stream(cold);
    if (stream == NULL && (stream = memory_alloc(memory, stream_bytes(window), CACHE_LINE)) != NULL) {
        stream->final.data = NULL;
        stream->message = NULL;
        stream->is_given = false;
        window_init(&stream->window, (struct window_item *)(stream + 1), window);
        cold_set_stream(cold, stream);
        traits_add(op, OP_STREAMS);
    }
    return stream;
}

void op_free_rest(struct sessions *all, struct op *op, struct op_cold *cold)
{
    if (op_extra(op) != NULL)
        extra_free(all, op_extra(op));
    if ((traits_of(op) & OP_STREAMS) == 0)
        return;
    memory_free(&all->app->memory, cold_stream(cold), stream_bytes(traits_of(op) & OP_WINDOW));
    atomic_store_explicit(&cold->stream, NULL, memory_order_relaxed);                   /* the slot is the caller's */
}

void op_give_slot(struct sessions *all, struct group *group, uint32_t bit, uint64_t free)
{
    op_free_rest(all, group_op(group, bit), cold_of(&all->ops, group, bit));
    if (slot_word_is_worn(free))
        slots_note_worn(&all->ops);
    roster_give(&all->ops, group, UINT64_C(1) << bit);
}

/* ---- T12 ---- */

static void finish(struct delivery *d, op_step_fn *step)
{
    struct op_change change;
    if (step == op_put_final && op_has(d->now, OP_HANDLE))     /* perhaps it was closed inside the callback */
        d->now = atomic_load_explicit(&d->op->slot.word, memory_order_acquire);         /* T14 */
    if (step == op_put_final && op_is_sealed(d->now)) {
        change.old = d->now;
        change.new = op_retire(&d->op->slot, d->now);          /* T17 */
    } else
        (void)op_move(&d->op->slot, step, d->traits, &change);
    /* the slot is not handed out before chunk_note has its bit given back, so its rows are still ours */
    if ((op_duties(change.old, change.new) & OP_FREED) != 0)
        op_free_rest(d->c->all, d->op, d->cold);
    chunk_note(d->c, d->group, d->bit, change.old, change.new);
}

/* ---- results ---- */

static weir_result *fill(struct delivery *d, weir_result *r)
{
    *r = (weir_result){ .op.bits = d->value };
    r->tag = atomic_load_explicit(&d->op->tag, memory_order_relaxed);                   /* E1 */
    return r;
}

static void deliver_item(struct delivery *d)
{
    struct op_stream *stream = cold_stream(d->cold);
    struct window_item item = window_take(&stream->window);
    weir_result *r = fill(d, &stream->result);
    r->number = stream->window.taken;
    r->more = true;
    r->data = item.data;
    r->size = item.size;
    chunk_count(d->c, COUNT_DELIVERED, 1);
    ack_give(&d->cold->ack, r->number);
    d->kind->on_result(r, d->op->ctx);
    if (!op_acks_later(d->word, d->traits) && d->kind->drop != NULL) {
        (void)window_drop(&stream->window);
        d->kind->drop(item.data, item.size);
    }
    finish(d, op_put_item);
}

/* Everything that waits, seen by nobody. */
static void discard(struct delivery *d, uint32_t count)
{
    struct window *window = &cold_stream(d->cold)->window;
    for (; count > 0; count--) {
        struct window_item item = window_take(window);
        window->discarded++;
        chunk_count(d->c, COUNT_DISCARDED, 1);
        if (d->kind->drop != NULL) {
            (void)window_drop(window);
            d->kind->drop(item.data, item.size);
        }
    }
}

static void deliver_discard(struct delivery *d)
{
    discard(d, op_pending(d->word));
    finish(d, op_put_discard);
}

/* Pull, with the final: what a cancel discards is the newest; the older ones are who fetches them's. */
static void discard_newest(struct delivery *d, uint32_t count)
{
    struct window *window = &cold_stream(d->cold)->window;
    window->discarded += count;
    chunk_count(d->c, COUNT_POSTED, count);
    chunk_count(d->c, COUNT_DISCARDED, count);
    for (uint32_t i = count; i > 0 && d->kind->drop != NULL; i--) {
        struct window_item item = window_newest(window, i);
        d->kind->drop(item.data, item.size);
    }
}

/* Pull, closed: what nobody will fetch, what nobody will acknowledge, and the final's detail. */
static void deliver_purge(struct delivery *d)
{
    struct op_stream *stream = cold_stream(d->cold);
    for (uint32_t count = op_pending(d->word); count > 0; count--) {
        (void)window_take(&stream->window);
        stream->window.discarded++;
        chunk_count(d->c, COUNT_POSTED, 1);
        chunk_count(d->c, COUNT_DISCARDED, 1);
    }
    while (d->kind->drop != NULL && stream->window.dropped < stream->window.taken) {
        struct window_item item = window_drop(&stream->window);
        d->kind->drop(item.data, item.size);
    }
    if (d->kind->drop != NULL && stream->final.data != NULL)
        d->kind->drop(stream->final.data, stream->final.size);
    stream->final.data = NULL;
    finish(d, op_put_purge);
}

/* ---- the final ---- */

/* A detail goes out with the final, whoever decides that. But abandoned work that is on its stack may still be writing
 * it: whoever has it return drops it (run.c). */
static void fill_detail(struct delivery *d, weir_result *r)
{
    bool may_change = op_phase(d->word) == OP_ABANDONED && op_has(d->word, OP_STACK);
    if ((d->traits & OP_DETAILED) != 0 && !may_change)
        r->data = cold_detail(d->cold, &r->size);
}

/* Has the work, or its token, answered? Abandoned work that is on its stack may just be writing its answer: not read.
 * What was decided before the abandon, and waited for an acknowledgement or a handle, keeps its answer. */
static bool is_answered(const struct delivery *d)
{
    bool may_change = op_phase(d->word) == OP_ABANDONED && op_has(d->word, OP_STACK);
    return (d->traits & OP_ANSWERED) != 0 && !may_change;
}

/* Its status: the work's own answer, or the library's (C4). */
static void fill_outcome(struct delivery *d, weir_result *r)
{
    fill_detail(d, r);
    r->reason = (weir_reason)op_reason(d->word);
    if (is_answered(d)) {
        r->status = d->cold->ack.beside;
        r->message = op_explained(d->op, d->cold);
    } else if (op_phase(d->word) == OP_ABANDONED)
        r->status = WEIR_ABANDONED;
    else
        r->status = r->reason == WEIR_REASON_TIMEOUT ? WEIR_TIMED_OUT : WEIR_CANCELED;
    if (r->message == NULL)
        r->message = weir_status_text(r->status);
}

/* Who posts has counted. Abandoned work may be at it still: of that what was taken, for all that waited has been. */
static uint64_t posted_of(struct delivery *d, const struct window *window)
{
    return op_phase(d->word) == OP_ABANDONED ? window->taken : window->posted;
}

static void fill_counts(struct delivery *d, weir_result *r)
{
    const struct op_stream *stream = d->ran ? cold_stream(d->cold) : NULL;
    r->number = 1;
    if (stream == NULL || op_has(d->word, OP_PULL))
        return;                                                /* pull: each when it is fetched or discarded */
    uint64_t posted = posted_of(d, &stream->window);
    chunk_count(d->c, COUNT_POSTED, posted);
    r->posted = posted;
    r->discarded = stream->window.discarded;
    r->delivered = stream->window.taken - r->discarded;
    r->number = r->posted + 1;
}

static enum count class_of(weir_status status)
{
    switch (status) {
    case WEIR_OK: return COUNT_COMPLETED;
    case WEIR_CANCELED: return COUNT_CANCELLED;
    case WEIR_TIMED_OUT: return COUNT_TIMED_OUT;
    case WEIR_ABANDONED: return COUNT_ABANDONED;
    default: return COUNT_FAILED;
    }
}

void count_finals(struct chunk *c, weir_status status, bool decided, uint32_t count)
{
    chunk_count(c, class_of(status), count);
    if (decided)
        chunk_count(c, COUNT_DECIDED, count);
}

/* When was the work told? Nobody knows of work that was abandoned. */
static void note_latency(struct delivery *d)
{
    bool abandoned = op_phase(d->word) == OP_ABANDONED;        /* it may be writing there */
    bool told = (d->traits & OP_SEEN) != 0 || (!abandoned && d->ran && d->cold->hook == HOOK_TOLD);
    bool late = (d->traits & OP_ANSWERED) != 0 || (atomic_load_explicit(&d->op->cancelled_at, memory_order_relaxed)
                                                   & STAMP_ALL) != 0;                   /* relaxed: T4 */
    latency_final(d->c, d->op, abandoned || told ? SEEN_BEFORE
                             : late ? SEEN_NOW : SEEN_AT_ONCE);
}

/* gone: here, unless abandoned work is on its stack; then its worker calls it (run.c). One step decides. */
static void finish_final(struct delivery *d)
{
    struct op_change change;
    if (op_has(d->now, OP_STACK) && op_move(&d->op->slot, op_put_final_early, d->traits, &change) == WEIR_OK) {
        chunk_note(d->c, d->group, d->bit, change.old, change.new);
        return;
    }
    if (d->kind->gone != NULL)
        d->kind->gone(d->op->ctx);
    finish(d, op_put_final);
}

struct op_extra *final_begins_slow(struct sessions *all, struct op_extra *extra)
{
    if ((extra->has & EXTRA_JOB) != 0) {
        extra_hold(extra);
        return extra;
    }
    extra_over(all, extra);
    return NULL;
}

void final_ends_slow(struct sessions *all, struct op_extra *foreign)
{
    extra_over(all, foreign);
    extra_drop(all, foreign);
}

static void deliver_final(struct delivery *d)
{
    weir_result on_stack, *r;
    bool acks_later = op_acks_later(d->word, d->traits), pull = op_has(d->word, OP_PULL);
    struct op_extra *foreign = final_begins(d->c->all, op_extra(d->op));
    /* what outlives the callback lies in the stream, which such an operation has from its start */
    r = fill(d, pull ? &cold_stream(d->cold)->final : acks_later ? &cold_stream(d->cold)->result : &on_stack);
    fill_outcome(d, r);
    fill_counts(d, r);
    count_finals(d->c, r->status, !is_answered(d), 1);
    if ((d->traits & OP_MANUAL) != 0)                          /* also of an abandoned one: who acknowledges is late */
        ack_give(&d->cold->ack, r->number);
    if (d->kind->on_result != NULL)
        d->kind->on_result(r, d->op->ctx);
    if (pull)
        discard_newest(d, op_pending(d->word) - op_pending(d->now));
    bool kept = acks_later || (pull && op_has(d->word, OP_HANDLE));
    if (!kept && d->kind->drop != NULL && r->data != NULL) {
        d->kind->drop(r->data, r->size);
        r->data = NULL;
    }
    if (op_reason(d->word) != 0)
        note_latency(d);
    finish_final(d);
    final_ends(d->c->all, foreign);
}

/* ---- drops ---- */

static void deliver_drop(struct delivery *d)
{
    struct op_stream *stream = d->ran ? cold_stream(d->cold) : NULL;
    if (stream != NULL && (op_has(d->word, OP_PULL) || stream->window.dropped < stream->window.taken)) {
        struct window_item item = window_drop_next(&stream->window);
        d->kind->drop(item.data, item.size);
    } else if ((d->traits & OP_DETAILED) != 0) {
        size_t size;
        void *detail = cold_detail(d->cold, &size);
        if (detail != NULL)
            d->kind->drop(detail, size);
    }
    finish(d, op_put_drop);
}

/* ---- which ---- */

void deliver(struct chunk *c, struct group *group, uint32_t bit, uint64_t word, uint64_t now)
{
    struct op *op = group_op(group, bit);
    struct delivery d = {
        .c = c, .group = group, .op = op, .bit = bit, .traits = traits_of(op), .word = word, .now = now,
        .kind = atomic_load_explicit(&op->kind, memory_order_relaxed),                  /* E1 */
    };
    d.ran = (d.traits & OP_RAN) != 0;
    d.cold = cold_of(c->ops, group, bit);
    d.value = op_value(c, group, bit, word).bits;
    uint64_t before = account_enter(c->account, d.value);
    switch (op_taken(word, d.traits)) {
    case OP_TAKEN_ITEM: deliver_item(&d); break;
    case OP_TAKEN_FINAL: deliver_final(&d); break;
    case OP_TAKEN_DISCARD: deliver_discard(&d); break;
    case OP_TAKEN_DROP: deliver_drop(&d); break;
    case OP_TAKEN_PURGE: deliver_purge(&d); break;
    }
    (void)account_enter(c->account, before);
}
