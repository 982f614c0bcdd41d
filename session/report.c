/* SPDX-License-Identifier: Apache-2.0 */
/* report.c - what a session has done, and what it waits for (S10) */
#include "session/report.h"

#include <inttypes.h>

/* Who reports holds the slot: a free one is of the session that has just ended. */
static uint32_t phase_of(struct session *s)
{
    enum session_phase phase = session_phase(atomic_load_explicit(&s->slot.word, memory_order_relaxed));
    return phase == SESSION_FREE ? WEIR_PHASE_CLOSED : phase;
}

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
    r->accepted = n->of[COUNT_ENDED];
    r->outcome = r->abandoned != 0 ? WEIR_OUTCOME_ABANDONED
               : n->of[COUNT_DECIDED] != 0 ? WEIR_OUTCOME_CANCELED : WEIR_OUTCOME_CLEAN;
}

static void clear(weir_report *r)
{
    *r = (weir_report){ .size = r->size, .blockers = r->blockers, .blockers_max = r->blockers_max };
}

void report_fill(struct session *s, weir_report *r)
{
    struct sums sums;
    clear(r);
    r->phase = phase_of(s);
    session_sums(s, &sums);
    fill_counts(&sums, r);
}

void report_complete(struct session *s, weir_report *r)
{
    struct sums sums;
    session_sums_given(s, &sums);
    if (!account_balances(&sums))                              /* a worker in abandoned work may not have given */
        session_sums(s, &sums);
    account_check(&sums);
    clear(r);
    r->phase = WEIR_PHASE_CLOSED;
    fill_counts(&sums, r);
}

/* ---- of the application ---- */

void report_fill_app(struct sessions *all, weir_report *r)
{
    struct sums sums;
    clear(r);
    sessions_sums(all, &sums);
    fill_counts(&sums, r);
}

/* ---- in the log ---- */

void report_log(struct session *s)
{
    uint64_t word = atomic_load_explicit(&s->slot.word, memory_order_relaxed);          /* a moment old */
    log_line(&s->all->app->log, LOG_LEVEL_WARNING, "session %s closing: %" PRIu32 " operations and calls inside",
             s->name != NULL ? s->name : "without a name", session_live(word));
}
