/* SPDX-License-Identifier: Apache-2.0 */
/* look.h - a worker looks at operations, and does what their words ask for
 *
 * A *chunk* is what one worker does for one session without a word to anybody: it holds a place in the session (G3),
 * counts for itself (account.h), and gives the counts, the freed slots and the places of those who have left in one
 * go. So per operation no step is paid but those of its own word.
 *
 * The order when a chunk ends: slots are given back (A4) before the session is left (G5), since after that it may be
 * gone.
 */
#ifndef SESSION_LOOK_H
#define SESSION_LOOK_H

#include "session/extra.h"
#include "session/session.h"
#include "session/window.h"

/* What an operation with results needs besides: the one that was given last, and those that wait. */
struct op_stream {
    weir_result result;                                        /* valid until it is acknowledged */
    weir_result final;                                         /* pull: until the handle is closed */
    bool is_given;                                             /* pull: the final, to whoever holds WAITER */
    const char *message;                                       /* of kinds with manual acknowledgement: op_explained */
    struct window window;
};                                                             /* and its items behind it */

/* The final's message, NULL: none. It lies where numbers would; of a kind that has those, in the stream, which such an
 * operation has from its start. K. */
static inline const char *op_explained(const struct op *op, const struct op_cold *cold)
{
    return (traits_of(op) & OP_MANUAL) != 0 ? cold_stream(cold)->message : ack_kept(&cold->ack);
}

static inline void op_explain(const struct op *op, struct op_cold *cold, const char *text)
{
    if ((traits_of(op) & OP_MANUAL) != 0)
        cold_stream(cold)->message = text;
    else
        ack_keep(&cold->ack, text);
}

/* On the stack of one worker. */
struct chunk {
    struct session *session;                                   /* NULL: its work was abandoned (abandon.c) */
    struct sessions *all;
    struct slots *ops;
    _Atomic uint32_t lost;                                     /* A: B3 of abandon.c */
    struct account *account;                                   /* this thread's */
    struct group *group;                                       /* the one whose slots are in freed */
    uint64_t freed;                                            /* bits of slots whose words are free */
    uint32_t left;                                        /* operations that have left, and are still counted in LIVE */
    uint32_t steps;
    uint32_t may;                                              /* enum op_steps; RUN: workers only */
    weir_result plain;                                         /* sweep.c: a final that only says who and why */
    uint32_t plains;                                           /* that were given with it, and are not counted yet */
};

static inline void chunk_count(struct chunk *c, enum count which, uint64_t count)
{
    account_count(c->account, which, count);
}

/* The caller is inside the session by one place, which chunk_end gives back. */
void chunk_begin(struct chunk *c, struct session *s);
void chunk_end(struct chunk *c);

/* Between groups, and before a function that may take long: nobody else waits for this worker's bookkeeping. */
void chunk_flush(struct chunk *c);
void chunk_give_slots(struct chunk *c);

/* Slots and counts are given; what is left are the places of those who have left, and the chunk's own. */
void chunk_settle(struct chunk *c);

/* What follows a step that this worker made. */
void chunk_note(struct chunk *c, struct group *group, uint32_t bit, uint64_t old, uint64_t new);

/* Does what the operation's word asks for, until it asks for nothing; RUN at most once. */
void look_at(struct chunk *c, struct group *group, uint32_t bit);

/* The same for who is not about to look again: what is left, or has come by these very steps, is for a worker. */
void look_at_once(struct chunk *c, struct group *group, uint32_t bit);

/* Does one of these operations of the group ask for a step? */
bool look_wants_more(struct group *group, uint64_t bits);

/* Whatever is marked in the session's ready maps, as far as the chunk may. Takes no mark away. */
void look_at_all(struct chunk *c);

/* deliver.c: what T11 gave the right to. word: before T11; now: after it. */
void deliver(struct chunk *c, struct group *group, uint32_t bit, uint64_t word, uint64_t now);

/* deliver.c: before a final's callback, and after T12. With the second no deadline is waited for any more, and a place
 * in a queue of the caller's is given back, so that the queue ends after the final (F3 of foreign.h); begins answers
 * the record if there is such a place, and holds it. Of others the first does it all. NULL is fine. */
struct op_extra *final_begins_slow(struct sessions *all, struct op_extra *extra);
void final_ends_slow(struct sessions *all, struct op_extra *foreign);

static inline struct op_extra *final_begins(struct sessions *all, struct op_extra *extra)
{
    return extra != NULL ? final_begins_slow(all, extra) : NULL;
}

static inline void final_ends(struct sessions *all, struct op_extra *foreign)
{
    if (foreign != NULL)
        final_ends_slow(all, foreign);
}

/* deliver.c: finals of that status; decided: by the library. */
void count_finals(struct chunk *c, weir_status status, bool decided, uint32_t count);
/* What was given with the template; before that changes. */
void count_plains(struct chunk *c);

/* hook.c: a cancel has made the hook due. */
void call_hook(struct chunk *c, struct group *group, uint32_t bit);

/* handle.c: a cancel by the library, asked for at that time, of whatever operation the handle names. */
void op_cancel_named(struct sessions *all, uint64_t handle, uint32_t reason, int64_t since);

/* handle.c: what follows a step of a thread that looks at nothing itself. The operation may be over already. */
void op_follow(struct op_ref *ref, const struct op_change *change);

/* handle.c: a cancel of all that applies to the operation gets into its word before anything else does (C6). */
void op_act_on_epoch(struct op_ref *ref, uint64_t value);

/* On the stack of the worker that calls the work function (run.c). */
struct weir_task {
    struct chunk *c;
    struct group *group;
    struct op *op;
    struct op_cold *cold;
    uint32_t bit;
    bool deferred;                                             /* in this call or in one before */
    bool told;                                                 /* a poll has said that it is cancelled */
    uint64_t session;                                          /* I: its handle; the session may end before the work */
};

/* run.c: QUEUED: call the work function, and deliver at once what is ready then. value: the operation's, so that it is
 * no other life's, which may have to run elsewhere. */
void run(struct chunk *c, struct group *group, uint32_t bit, uint64_t value);

/* The same. False: it is not QUEUED any more. */
bool run_claimed(struct chunk *c, struct group *group, uint32_t bit, uint64_t value);

/* run.c: QUEUED, WANT, and to be run in a queue of the caller's: send it there. */
void run_elsewhere(struct chunk *c, struct group *group, uint32_t bit, uint64_t value);

/* abandon.c: work that was abandoned has returned; change: by T3. Afterwards the chunk is of no session. rest: what was
 * read before T3, since afterwards the operation may be over. */
struct abandoned {
    const weir_kind *kind;
    void *ctx;
};
void abandoned_returned(struct chunk *c, struct group *group, uint32_t bit, const struct op_change *change,
                        const struct abandoned *rest);

/* abandon.c: T16, for one operation, on behalf of a session that abandons. */
void abandon_op(struct chunk *c, struct group *group, uint32_t bit, uint64_t value);

/* deliver.c: the window of an operation's cold row; NULL: no memory. Whoever may write there calls it. */
struct op_stream *stream_of(const struct memory *memory, struct op *op, struct op_cold *cold);

/* deliver.c: a step has made the slot free, which is still the caller's: what the operation had besides its rows goes.
 * Traits: of its life. */
void op_free_rest(struct sessions *all, struct op *op, struct op_cold *cold);

/* The same, and the slot itself, by who has no chunk. free: its word. */
void op_give_slot(struct sessions *all, struct group *group, uint32_t bit, uint64_t free);

static inline struct op_cold *cold_of(const struct slots *ops, struct group *group, uint32_t bit)
{
    uint64_t place = atomic_load_explicit(&group->place, memory_order_relaxed);         /* fixed while it is ours */
    return slots_cold(ops, place_first(place) + place_group(place) * GROUP_SLOTS + bit);
}

/* The value of the operation whose word this is. */
weir_op op_value(const struct chunk *c, struct group *group, uint32_t bit, uint64_t word);

#endif
