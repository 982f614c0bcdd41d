/* SPDX-License-Identifier: Apache-2.0 */
/* report.c - what a session has done, and what it waits for (S10)
 *
 * What has been done is counted (account.h); what there is, is looked for, operation by operation (census.h). The two
 * are read one after the other while both go on, so they need not agree to the last operation until things stand still.
 */
#include "session/report.h"

#include "session/census.h"

bool report_is_sound(const weir_report *r)
{
    return r != NULL && r->size >= sizeof(*r) && (r->blockers_max == 0 || r->blockers != NULL);
}

/* ---- what has been done ---- */

static void fill_counts(const struct sums *n, weir_report *r)
{
    r->completed = n->of[COUNT_COMPLETED];
    r->failed = n->of[COUNT_FAILED];
    r->cancelled = n->of[COUNT_CANCELLED];
    r->timed_out = n->of[COUNT_TIMED_OUT];
    r->abandoned = n->of[COUNT_ABANDONED];
    r->posted = n->of[COUNT_POSTED];
    r->delivered = n->of[COUNT_DELIVERED];
    r->discarded = n->of[COUNT_DISCARDED];
    r->accepted += n->of[COUNT_ENDED];                         /* and what the walk has found that has not ended */
    r->outcome = r->abandoned != 0 ? WEIR_OUTCOME_ABANDONED
               : n->of[COUNT_DECIDED] != 0 ? WEIR_OUTCOME_CANCELED : WEIR_OUTCOME_CLEAN;
}

/* What is not counted by sessions. The rest is filled in. */
static void clear(const struct sessions *all, weir_report *r)
{
    *r = (weir_report){ .size = r->size, .blockers = r->blockers, .blockers_max = r->blockers_max };
    r->workers_lost = atomic_load_explicit(&all->app->reserve.lost, memory_order_relaxed);      /* a moment old */
}

/* ---- what there is ---- */

static void count_state(weir_report *r, uint64_t word)
{
    switch (op_phase(word)) {
    case OP_QUEUED: r->queued++; break;
    case OP_RUNNING: r->running++; break;
    case OP_PARKED: r->parked++; break;
    case OP_DEFERRED: r->deferred++; break;
    default: break;                                            /* decided: what is missing says the rest */
    }
    r->handles_open += op_has(word, OP_HANDLE);
    r->accepted += !op_is_over(word);
}

/* Which thread is inside a function of it; -1: none. */
static int32_t worker_of(const struct sessions *all, const struct live_op *live)
{
    return op_has(live->word, OP_STACK | OP_DELIVERY | OP_HOOK_BUSY) ? account_worker(all, live->op) : -1;
}

struct walk {
    const struct sessions *all;
    weir_report *report;
};

static void add_to_report(const struct live_op *live, void *ctx)
{
    struct walk *walk = ctx;
    weir_report *r = walk->report;
    if (live->op != 0)
        count_state(r, live->word);
    if (r->blockers_found < r->blockers_max)
        r->blockers[r->blockers_found] = (weir_blocker){
            .op.bits = live->op, .name = live->name, .site = live->site, .age_ns = live->age_ms * UINT64_C(1000000),
            .tag = live->tag, .progress = live->progress, .total = live->total,
            .missing = live->missing, .worker = worker_of(walk->all, live),
        };
    r->blockers_found++;
}

static void walk(struct session *s, weir_report *r)
{
    struct walk walk = { s->all, r };
    census_take(s, add_to_report, &walk);
}

/* ---- of a session ---- */

void report_fill(struct session *s, weir_report *r)
{
    struct sums sums;
    clear(s->all, r);
    session_sums(s, &sums);
    r->phase = WEIR_PHASE_CLOSED;
    if (session_visit(&s->slot, s->handle) == WEIR_OK) {
        r->phase = session_phase(atomic_load_explicit(&s->slot.word, memory_order_relaxed));   /* a moment old */
        walk(s, r);
        session_out(s, 1);
    }
    fill_counts(&sums, r);
}

void report_complete(struct session *s, weir_report *r)
{
    struct sums sums;
    session_sums_given(s, &sums);
    if (!account_balances(&sums))                              /* a worker in abandoned work may not have given */
        session_sums(s, &sums);
    account_check(&sums);
    clear(s->all, r);
    r->phase = WEIR_PHASE_CLOSED;
    fill_counts(&sums, r);
}

weir_status weir_session_inspect(weir_session session, weir_report *report)
{
    struct session_ref ref;
    if (!report_is_sound(report))
        return registry_misuse(session.bits, WEIR_INVALID);
    weir_status status = session_find_held(session.bits, &ref);
    if (status != WEIR_OK)
        return status;
    report_fill(ref.session, report);
    session_release_slot(ref.session);
    app_leave(&ref.app);
    return WEIR_OK;
}

/* ---- of the application ---- */

static uint32_t earlier(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void add_session(struct session *s, uint32_t app, uint32_t index, weir_report *r)
{
    uint64_t word = atomic_load_explicit(&s->slot.word, memory_order_acquire);          /* G6 of the owner before */
    uint64_t handle = handle_make(HANDLE_SESSION, app, index, slot_word_generation(word));
    if (slot_word_is_free(word) || session_visit(&s->slot, handle) != WEIR_OK)
        return;
    r->phase = earlier(r->phase, session_phase(word));
    walk(s, r);
    session_out(s, 1);
}

void report_fill_app(struct sessions *all, weir_report *r)
{
    struct sums sums;
    struct session *s;
    clear(all, r);
    r->phase = WEIR_PHASE_WAITING;
    sessions_sums(all, &sums);
    for (uint32_t i = 0; (s = (struct session *)slots_at(&all->table, i)) != NULL; i++)
        add_session(s, all->app->place.index, i, r);
    fill_counts(&sums, r);
}

/* ---- above.h ---- */

bool above_report_is_sound(const struct weir_report *report)
{
    return report_is_sound(report);
}

void above_report(struct app *app, bool closed, struct weir_report *report)
{
    report_fill_app(sessions_of(app), report);
    report->phase = closed ? WEIR_PHASE_CLOSED : report->phase;
}
