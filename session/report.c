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

/* As far as chunks have given their counts. */
void report_fill(struct session *s, weir_report *r)
{
    const struct session_counts *c = &s->counts;
    /* relaxed: a moment old; once the session is complete everybody who counted has left (E7) */
    *r = (weir_report){
        .size = r->size,
        .blockers = r->blockers,
        .blockers_max = r->blockers_max,
        .phase = phase_of(s),
        .accepted = atomic_load_explicit(&c->accepted, memory_order_relaxed),
        .completed = atomic_load_explicit(&c->completed, memory_order_relaxed),
        .failed = atomic_load_explicit(&c->failed, memory_order_relaxed),
        .cancelled = atomic_load_explicit(&c->cancelled, memory_order_relaxed),
        .timed_out = atomic_load_explicit(&c->timed_out, memory_order_relaxed),
        .abandoned = atomic_load_explicit(&c->abandoned, memory_order_relaxed),
        .posted = atomic_load_explicit(&c->posted, memory_order_relaxed),
        .delivered = atomic_load_explicit(&c->delivered, memory_order_relaxed),
        .discarded = atomic_load_explicit(&c->discarded, memory_order_relaxed),
    };
    r->outcome = r->cancelled + r->timed_out != 0 ? WEIR_OUTCOME_CANCELED : WEIR_OUTCOME_CLEAN;
}

/* ---- of the application ---- */

void report_fill_app(struct sessions *all, weir_report *r)
{
    (void)all;
    *r = (weir_report){ .size = r->size, .blockers = r->blockers, .blockers_max = r->blockers_max };
}

/* ---- in the log ---- */

void report_log(struct session *s)
{
    uint64_t word = atomic_load_explicit(&s->slot.word, memory_order_relaxed);          /* a moment old */
    log_line(&s->all->app->log, LOG_LEVEL_WARNING, "session %s closing: %" PRIu32 " operations and calls inside",
             s->name != NULL ? s->name : "without a name", session_live(word));
}
