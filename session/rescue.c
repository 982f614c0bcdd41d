/* SPDX-License-Identifier: Apache-2.0 */
/* rescue.c - the control thread does what no worker has come to (C7)
 *
 * With every worker stuck in work functions, a cancel would help nobody: the hook that unblocks them would wait for a
 * worker. So the control thread calls hooks of running work as soon as a cancel makes them due, and what else ends
 * things, sweeps, finals, drops and close callbacks, when nobody has taken them within a millisecond. A worker may be
 * faster, or come at the same time: words decide who does what. It never calls a work function.
 *
 * Which sessions want it, their attention bits say. The millisecond is one internal timer for all of them, armed by
 * the first who has something to be watched; when it is over, whatever is still there is done, also what came a moment
 * ago. With a stepped clock there is no millisecond, and the control thread is asked at once.
 *
 *   step          order     partner
 *   W1 attend     seq_cst   W2: sets the session's bit, by a read-modify-write, then looks at watch; IDLE: arms it
 *   W2 serve      seq_cst   W1: makes watch IDLE, then looks at the bits: at least one of the two sees the other. Who
 *                           takes a bit away sees what the attender marked before
 *
 * Rejected: a timer for each session (armed and disarmed by each close, for nothing); asking the control thread at once
 * for everything (a wake-up for each final that a token completes).
 */
#include "session/close.h"
#include "session/look.h"
#include "session/sweep_word.h"

enum { WATCH_IDLE, WATCH_ARMED };

#define RESCUE_AFTER_NS INT64_C(1000000)

/* A walk that is under way is left to those who walk, as long as they get on: one that is where it was a millisecond
 * ago is stuck in a callback, and the groups that nobody has taken are taken here. */
static void rescue_sweep(struct session *s, uint64_t handle)
{
    uint64_t sweep = atomic_load_explicit(&s->sweep, memory_order_seq_cst);             /* O5 */
    if (!sweep_is_due(sweep))
        return;
    bool gets_on = sweep_at_work(sweep) != 0 && sweep != s->sweep_seen;
    s->sweep_seen = sweep;
    if (gets_on)
        rescue_later(s->all, s, ATTENTION_SWEEP);
    else
        (void)session_sweep(s, handle);
}

/* A close that takes longer than a millisecond gets its timer now, for the report (alarm.c). */
static void rescue_close(struct session *s, uint64_t handle)
{
    rescue_sweep(s, handle);
    if (session_visit(&s->slot, handle) != WEIR_OK)
        return;
    if (session_phase_now(&s->slot) > SESSION_OPEN)
        alarm_begin(s);
    session_out(s, 1);
}

/* On the control thread. */
static void serve_session(struct session *s, uint32_t attention)
{
    struct chunk c;
    uint64_t word = atomic_load_explicit(&s->slot.word, memory_order_acquire);          /* G6 */
    if (slot_word_is_free(word))
        return;
    uint64_t handle = session_named(slot_word_generation(word));
    if ((attention & ATTENTION_CLOSED) != 0)
        session_call_closed(s);
    if ((attention & ATTENTION_SWEEP) != 0)
        rescue_close(s, handle);
    if ((attention & ATTENTION_DRIVE) != 0)
        session_drive(s);
    if ((attention & (ATTENTION_LOOK | ATTENTION_HOOKS)) == 0 || session_visit(&s->slot, handle) != WEIR_OK)
        return;
    chunk_begin(&c, s);
    if ((attention & ATTENTION_LOOK) == 0)
        c.may = OP_STEP_HOOK;
    look_at_all(&c);
    chunk_end(&c);
}

static void serve(struct sessions *all, uint32_t attention)
{
    struct session *s;
    bool returned __attribute__((cleanup(worker_verify_returned))) = false;            /* R10 */
    for (uint32_t i = 0; (s = (struct session *)slots_at(&all->table, i)) != NULL; i++) {
        if ((atomic_load_explicit(&s->attention, memory_order_seq_cst) & attention) == 0)                  /* W2 */
            continue;
        uint32_t bits = atomic_fetch_and_explicit(&s->attention, ~attention, memory_order_seq_cst);        /* W2 */
        serve_session(s, bits & attention);
        weir_verify(!registry_is_forked(&all->app->place),
                    "a hook or a callback forked, and returned in the child as well");
    }
    returned = true;                                           /* NOLINT: read by its cleanup */
}

static void serve_hooks(void *all)
{
    serve(all, ATTENTION_HOOKS);
}

static void serve_rescue(void *ctx)
{
    struct sessions *all = ctx;
    atomic_store_explicit(&all->watch, WATCH_IDLE, memory_order_seq_cst);                                  /* W2 */
    serve(all, ATTENTION_LOOK | ATTENTION_SWEEP | ATTENTION_CLOSED | ATTENTION_DRIVE);
}

/* On whichever thread has the timers. */
static void watch_over(weir_job *job, weir_status status)
{
    struct sessions *all = job->ctx;
    if (status == WEIR_OK)                                     /* else there are no sessions any more */
        control_request(&all->app->control, CONTROL_RESCUE);
}

void rescue_init(struct sessions *all)
{
    control_handle(&all->app->control, CONTROL_HOOKS, serve_hooks, all);
    control_handle(&all->app->control, CONTROL_RESCUE, serve_rescue, all);
}

/* A bit that is found set is taken by a W2 to come, which sees what was marked before this look. */
static void attend(struct session *s, uint32_t attention)
{
    if ((atomic_load_explicit(&s->attention, memory_order_seq_cst) & attention) != attention)              /* W1 */
        atomic_fetch_or_explicit(&s->attention, attention, memory_order_seq_cst);                          /* W1 */
}

void rescue_hooks(struct sessions *all, struct session *s)
{
    attend(s, ATTENTION_HOOKS);
    control_request(&all->app->control, CONTROL_HOOKS);
}

void rescue_later(struct sessions *all, struct session *s, uint32_t attention)
{
    struct app *app = all->app;
    attend(s, attention);
    uint32_t idle = WATCH_IDLE;
    if (atomic_load_explicit(&all->watch, memory_order_seq_cst) != WATCH_IDLE                              /* W1 */
        || !atomic_compare_exchange_strong_explicit(&all->watch, &idle, WATCH_ARMED, memory_order_seq_cst, /* W1 */
                                                    memory_order_relaxed))
        return;
    if (clock_is_manual(&app->clock)) {
        control_request(&app->control, CONTROL_RESCUE);
        return;
    }
    timer_init_internal(&all->watch_timer, watch_over, all);
    timers_arm(&app->timers, &all->watch_timer, time_add(clock_now(&app->clock), RESCUE_AFTER_NS), 0);
}
