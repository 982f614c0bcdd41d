/* SPDX-License-Identifier: Apache-2.0 */
/* abandon.c - when grace is over: nobody waits any more for work, tokens, acknowledgements and handles (S9)
 *
 * A walk over all operations takes T16 on each that waits for user code; their finals are then delivered like any
 * other. It calls no function of the user's itself, so it is not held up by one.
 *
 * What is BUSY, because a callback, a hook or a token's call is at it, is abandoned when that has returned, by whoever
 * makes that step (chunk_note, op_follow). A walker that meets BUSY leaves a trace: a read-modify-write of the word
 * that changes nothing.
 *
 * A worker that is inside abandoned work is lost to its session, which may end before the work returns. But its chunk
 * (look.h) holds a place there, and perhaps things that are not given yet: slots, counts, places of operations that
 * have left. While STACK is set the worker touches none of them, and its T3 tells it that T16 came first. So who took
 * T16 on a word with STACK takes the chunk over: it settles what is open, and gives its place back. The worker, when
 * the work has returned, waits until that was done, and leaves with a chunk of no session; what remains to be done for
 * the operation it does by itself: gone, and the slot. The application keeps the slot meanwhile (roster.h A5), its
 * group and its rows; the worker finds them through pointers of its own.
 *
 *   step          order      partner
 *   X1 at work    release    whose work is on a thread's stack: written after T2, when the thread is through with its
 *                            chunk; then a light barrier, then the cancel word is looked at (run.c). The walker comes
 *                            after K1, with a heavy one: it finds who it is, or that thread sees the epoch, calls
 *                            nothing, and its T3 decides. Which thread it is, is read between two looks at a word
 *                            with STACK and a reason: that call is the last, so if T16 succeeds it was that thread.
 *                            Emptied before T3
 *   X2 again      acq_rel    abandons, then a read-modify-write of the word that was BUSY; who makes the step that ends
 *                            BUSY is a later one, reads abandons after it, and does T16 himself. T17 alone is a store:
 *                            then nothing is left to abandon
 *   X3 lost       release    acquire by the worker that comes back: the chunk was taken over
 *
 * Starts that are under way (they entered before the close) are found by the walk, or by the worker that delivers their
 * final: the walk does a read-modify-write of each ready map, as a sweep does (K3), and whoever takes a later mark from
 * there sees abandons.
 *
 * A worker of the lanes that is lost is replaced by a reserved thread (workqueue/reserve.h).
 *
 * Rejected: a place of each operation's own while its work runs, in place of the chunk's: two read-modify-writes more
 * for each call. Rejected: flushing the chunk before each call: as many again.
 */
#include "session/close.h"
#include "session/look.h"

#include <inttypes.h>

#include "core/verify.h"
#include "workqueue/reserve.h"

enum { NAMED_MAX = 8 };

/* ---- one operation ---- */

static struct account *account_at_work(struct sessions *all, const struct op *op)
{
    for (uint32_t i = 0; i < all->accounts_count; i++)
        if (atomic_load_explicit(&all->accounts[i].work, memory_order_acquire) == op)   /* X1 */
            return &all->accounts[i];
    return NULL;
}

/* T16. False: nothing has changed. *lost: who has its work on the stack. */
static bool take_step(struct chunk *c, struct op *op, uint64_t value, struct op_change *change, struct account **lost)
{
    uint64_t old = atomic_load_explicit(&op->slot.word, memory_order_acquire);          /* as op_move */
    for (;;) {
        uint64_t new = old;
        *lost = NULL;
        if (!slot_word_matches(old, value))
            return false;
        weir_status status = op_abandon(old, traits_of(op), &new);
        if (status == WEIR_NOT_FOUND || (status == WEIR_OK && new == old))
            return false;
        if (status == WEIR_OK && op_has(old, OP_STACK) && op_phase(old) != OP_DONE
            && (*lost = account_at_work(c->all, op)) == NULL)
            new = old;                                         /* it has just returned, or will not be called: X1 */
        *change = (struct op_change){ old, new };
        if (atomic_compare_exchange_weak_explicit(&op->slot.word, &old, new, memory_order_acq_rel,     /* X2 */
                                                  memory_order_acquire))                /* as op_move */
            return new != change->old;
    }
}

/* X3. The thread's chunk is this one's from now on, with its place. */
static void take_over(struct chunk *c, struct group *group, struct account *account)
{
    struct chunk *lost = account->chunk;
    chunk_settle(lost);
    c->left += lost->left + 1;
    reserve_lost(c->all->app, (uint32_t)(account - c->all->accounts));
    atomic_store_explicit(&lost->lost, 1, memory_order_release);                        /* X3; the last touch of it */
    event_post(&group->pulled);
}

static bool abandon(struct chunk *c, struct group *group, uint32_t bit, uint64_t value)
{
    struct op *op = group_op(group, bit);
    struct op_change change;
    struct account *lost;
    /* relaxed: of the life that value is of, or the step is refused */
    uint32_t reason = cancel_applies(&c->session->cancel, atomic_load_explicit(&op->epoch, memory_order_relaxed));
    if (reason != 0 && op_move_at(&op->slot, value, op_cancel, reason, &change) == WEIR_OK)
        chunk_note(c, group, bit, change.old, change.new);     /* which comes here again */
    if (!take_step(c, op, value, &change, &lost))
        return false;
    if (lost != NULL)
        take_over(c, group, lost);
    if ((op_duties(change.old, change.new) & OP_FREED) != 0)   /* only its handle, or an acknowledgement, was missing */
        op_free_rest(c->all, op, cold_of(c->ops, group, bit));
    chunk_note(c, group, bit, change.old, change.new);
    return op_phase(change.new) == OP_ABANDONED;
}

void abandon_op(struct chunk *c, struct group *group, uint32_t bit, uint64_t value)
{
    (void)abandon(c, group, bit, value);
}

/* ---- all ---- */

static void name_it(struct chunk *c, struct group *group, uint32_t bit)
{
    /* relaxed, both: for the log */
    const weir_kind *kind = atomic_load_explicit(&group_op(group, bit)->kind, memory_order_relaxed);
    uint64_t tag = atomic_load_explicit(&group_op(group, bit)->tag, memory_order_relaxed);
    log_line(&c->all->app->log, LOG_LEVEL_WARNING, "session %s: abandoned: %s, tag %" PRIu64,
             c->session->name != NULL ? c->session->name : "without a name",
             kind->name != NULL ? kind->name : "operation", tag);
}

static uint32_t abandon_group(struct chunk *c, struct group *group, uint32_t named)
{
    /* acq_rel: K3, as in a sweep */
    (void)atomic_fetch_or_explicit(&group->leaf[ROSTER_READY], 0, memory_order_acq_rel);
    uint64_t live = ~atomic_load_explicit(&group->leaf[ROSTER_FREE], memory_order_acquire) & ~UINT64_C(1); /* A4 */
    uint64_t marks = 0;
    for (uint64_t rest = live; rest != 0; rest &= rest - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(rest);
        struct op *op = group_op(group, bit);
        uint64_t word = atomic_load_explicit(&op->slot.word, memory_order_acquire);     /* E1 */
        if (!slot_word_is_free(word) && abandon(c, group, bit, op_value(c, group, bit, word).bits)
            && named++ < NAMED_MAX)
            name_it(c, group, bit);
        if (op_steps(atomic_load_explicit(&op->slot.word, memory_order_acquire)) != 0)  /* as in look_at */
            marks |= UINT64_C(1) << bit;
    }
    if (marks != 0) {
        session_mark(group, marks, c->all);
    }
    chunk_flush(c);
    return named;
}

void session_abandon(struct session *s)
{
    struct chunk c;
    uint32_t named = 0;
    (void)session_visit(&s->slot, s->handle);                  /* the chunk's place; the caller is inside */
    chunk_begin(&c, s);
    asymmetric_heavy();                                                                 /* X1 */
    for (uint32_t lane = 0; lane < SESSION_LANES; lane++) {
        struct session_lane *l = session_lane(s, lane);
        for (uint32_t i = 0, numbers = l != NULL ? roster_groups(&l->roster) : 0; i < numbers; i++) {
            struct group *group = roster_group(&l->roster, i);
            if (group != NULL)
                named = abandon_group(&c, group, named);
        }
    }
    rescue_later(s->all, s, ATTENTION_LOOK);
    session_call_helpers(s);
    chunk_end(&c);
}

/* ---- who comes back ---- */

static void wait_until_lost(struct chunk *c, struct group *group)
{
    for (;;) {
        uint32_t seen = event_value(&group->pulled);
        if (atomic_load_explicit(&c->lost, memory_order_acquire) != 0)                  /* X3 */
            return;
        (void)event_wait(&group->pulled, seen, WEIR_FOREVER);
    }
}

void abandoned_returned(struct chunk *c, struct group *group, uint32_t bit, const struct op_change *change,
                        const struct abandoned *rest)
{
    wait_until_lost(c, group);
    c->session = NULL;
    account_begin(c->account, 0);
    reserve_back(c->all->app);
    if (op_phase(change->old) == OP_DONE && rest->kind->gone != NULL)      /* else who delivers the final calls it */
        rest->kind->gone(rest->ctx);
    if ((op_duties(change->old, change->new) & OP_FREED) != 0)
        op_give_slot(c->all, group, bit, change->new);
}
