/* SPDX-License-Identifier: Apache-2.0 */
/* stats.c - see stats.h; and the public statistics */
#include "session/stats.h"

#include "session/census.h"
#include "session/look.h"

/* ---- counting ---- */

/* The calling thread's, or the one that all others share. */
static struct thread_latency *latency_of_thread(const struct sessions *all)
{
    const struct worker *self = worker_self();
    bool lane = self != NULL && self->app == all->app && self->kind == WORKER_LANE;
    return &all->latencies[lane ? self->index : all->app->worker_count];
}

/* Some have taken so long. */
static void count(struct session *s, enum latency which, uint64_t ns, uint64_t times)
{
    struct session_latency *l = &s->latency;
    histogram_record_many(&latency_of_thread(s->all)->of[which], ns, times);
    /* relaxed, all: they count; whoever opens the session's slot again comes after all who were inside */
    if ((atomic_load_explicit(&l->used, memory_order_relaxed) & 1U << which) == 0)
        atomic_fetch_or_explicit(&l->used, 1U << which, memory_order_relaxed);
    atomic_fetch_add_explicit(&l->bucket[which][histogram_coarse_index(ns)], (uint32_t)times, memory_order_relaxed);
}

static int64_t now_of(const struct session *s)
{
    return clock_now(&s->all->app->clock);
}

static uint64_t passed(int64_t from, int64_t now)
{
    return now > from ? (uint64_t)(now - from) : 0;
}

/* ---- requests ---- */

void latency_begin(struct session *s)
{
    struct session_latency *l = &s->latency;
    /* relaxed, all: the session's word publishes them */
    uint32_t used = atomic_load_explicit(&l->used, memory_order_relaxed);
    atomic_store_explicit(&s->barrier_from, WEIR_FOREVER, memory_order_relaxed);
    atomic_store_explicit(&l->barrier_ns, -1, memory_order_relaxed);
    for (; used != 0; used &= used - 1)
        for (int i = 0; i < WEIR_LATENCY_BUCKETS; i++)
            atomic_store_explicit(&l->bucket[__builtin_ctz(used)][i], 0, memory_order_relaxed);
    atomic_store_explicit(&l->used, 0, memory_order_relaxed);
}

void latency_raise(struct session *s, int64_t now, bool closes)
{
    int64_t never = WEIR_FOREVER;
    /* relaxed, all: K1 publishes the one, leaving (G5) the other, of which the first counts */
    atomic_store_explicit(&s->cancelled_at, now, memory_order_relaxed);
    if (closes)
        (void)atomic_compare_exchange_strong_explicit(&s->barrier_from, &never, now, memory_order_relaxed,
                                                      memory_order_relaxed);
}

void latency_inherit(struct session *s, const struct session *parent)
{
    /* relaxed, all: a guess at what K4 will do, which publishes the time; session_fold has acquired the parent's */
    uint32_t now = cancel_epoch(atomic_load_explicit(&parent->cancel.word, memory_order_relaxed));
    uint64_t own = atomic_load_explicit(&s->cancel.word, memory_order_relaxed);
    if (cancel_seen(own) != (now & CANCEL_SEEN))
        atomic_store_explicit(&s->cancelled_at, atomic_load_explicit(&parent->cancelled_at, memory_order_relaxed),
                              memory_order_relaxed);
}

bool latency_is_wanted(const struct op *op, uint64_t handle)
{
    uint64_t word = atomic_load_explicit(&op->slot.word, memory_order_relaxed);             /* a guess */
    return slot_word_matches(word, handle) && op_reason(word) == 0 && !op_is_decided(word);
}

void latency_stamp_one(struct op *op, uint64_t handle, int64_t since)
{
    if (latency_is_wanted(op, handle))
        atomic_store_explicit(&op->cancelled_at, stamp_make(since, false), memory_order_relaxed);    /* T4 publishes */
}

void latency_stamp_all(const struct session *s, struct op *op)
{
    /* relaxed, all: K2 has found the cancel, K1 published its time; T4 publishes the stamp */
    int64_t at = atomic_load_explicit(&s->cancelled_at, memory_order_relaxed);
    if (op_reason(atomic_load_explicit(&op->slot.word, memory_order_relaxed)) == 0)
        atomic_store_explicit(&op->cancelled_at, stamp_make(at, true), memory_order_relaxed);
}

/* ---- answers ---- */

const char hook_told;

static uint32_t stamp_of(const struct op *op)
{
    return atomic_load_explicit(&op->cancelled_at, memory_order_relaxed);                   /* T4 */
}

void latency_told(struct session *s, const struct op *op)
{
    count(s, LATENCY_SEEN, stamp_age(stamp_of(op), now_of(s)), 1);
}

/* How many from here on were asked for at the same time, and told alike: all, after a cancel of all. */
static uint32_t alike(const struct account *a, uint32_t first)
{
    uint32_t i = first + 1;
    while (i < a->late_count && a->late[i].stamp == a->late[first].stamp && a->late[i].seen == a->late[first].seen)
        i++;
    return i - first;
}

void latency_flush(struct chunk *c)
{
    struct account *a = c->account;
    if (a->late_count == 0)
        return;
    int64_t now = now_of(c->session);
    for (uint32_t i = 0, times; i < a->late_count; i += times) {
        uint64_t age = stamp_age(a->late[i].stamp, now);
        times = alike(a, i);
        count(c->session, LATENCY_FINAL, age, times);
        if (a->late[i].seen != SEEN_BEFORE)
            count(c->session, LATENCY_SEEN, a->late[i].seen == SEEN_NOW ? age : 0, times);
    }
    a->late_count = 0;
}

void latency_final(struct chunk *c, const struct op *op, enum seen_when seen)
{
    struct account *a = c->account;
    a->late[a->late_count++] = (struct late_final){ stamp_of(op), seen };
    if (a->late_count == LATE_FINALS_MAX)
        latency_flush(c);
}

void latency_plains(struct chunk *c, uint32_t finals)
{
    struct session *s = c->session;
    uint64_t age = passed(atomic_load_explicit(&s->cancelled_at, memory_order_relaxed), now_of(s));  /* K1 */
    count(s, LATENCY_SEEN, age, finals);
    count(s, LATENCY_FINAL, age, finals);
}

void latency_complete(struct session *s)
{
    int64_t from = atomic_load_explicit(&s->barrier_from, memory_order_relaxed);            /* G5 */
    if (from == WEIR_FOREVER)
        return;
    uint64_t ns = passed(from, now_of(s));
    histogram_record(&latency_of_thread(s->all)->of[LATENCY_BARRIER], ns);
    atomic_store_explicit(&s->latency.barrier_ns, (int64_t)ns, memory_order_relaxed);       /* a number for itself */
}

/* ---- telling ---- */

static void tell_latency(const struct histogram *h, weir_latency *out)
{
    *out = (weir_latency){
        .count = histogram_count(h), .p50_ns = histogram_percentile(h, 50), .p90_ns = histogram_percentile(h, 90),
        .p99_ns = histogram_percentile(h, 99), .p999_ns = histogram_percentile(h, 99.9), .max_ns = histogram_max(h),
    };
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        out->bucket[histogram_coarse_index(histogram_bucket_low(i))]
            += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);                   /* a counter */
}

static void tell_app_latency(const struct sessions *all, enum latency which, weir_latency *out)
{
    struct histogram sum = { .max = 0 };
    for (uint32_t i = 0; i <= all->app->worker_count; i++)
        histogram_merge(&sum, &all->latencies[i].of[which]);
    tell_latency(&sum, out);
}

static void tell_session_latency(const struct session *s, enum latency which, weir_latency *out)
{
    struct histogram_coarse h = { .bucket = { 0 } };
    *out = (weir_latency){ .count = 0 };
    for (unsigned i = 0; i < WEIR_LATENCY_BUCKETS; i++) {
        out->bucket[i] = atomic_load_explicit(&s->latency.bucket[which][i], memory_order_relaxed);  /* a counter */
        histogram_coarse_record_many(&h, histogram_coarse_bucket_low(i), out->bucket[i]);
        out->count += out->bucket[i];
    }
    out->p50_ns = histogram_coarse_percentile(&h, 50);
    out->p90_ns = histogram_coarse_percentile(&h, 90);
    out->p99_ns = histogram_coarse_percentile(&h, 99);
    out->p999_ns = histogram_coarse_percentile(&h, 99.9);
    out->max_ns = histogram_coarse_percentile(&h, 100);
}

static void tell_barrier(const struct session *s, weir_latency *out)
{
    int64_t ns = atomic_load_explicit(&s->latency.barrier_ns, memory_order_relaxed);        /* a number for itself */
    *out = (weir_latency){ .count = ns >= 0 };
    if (ns < 0)
        return;
    out->p50_ns = out->p90_ns = out->p99_ns = out->p999_ns = out->max_ns = (uint64_t)ns;
    out->bucket[histogram_coarse_index((uint64_t)ns)] = 1;
}

static void count_state(const struct live_op *live, void *ctx)
{
    weir_stats *stats = ctx;
    if (live->op == 0)
        return;                                                /* a child session */
    switch (op_phase(live->word)) {
    case OP_QUEUED: stats->queued++; break;
    case OP_RUNNING: stats->running++; break;
    case OP_PARKED: stats->parked++; break;
    case OP_DEFERRED: stats->deferred++; break;
    default: break;
    }
    stats->accepted += !op_is_over(live->word);
}

static void tell_counts(const struct sums *n, weir_stats *stats)
{
    stats->accepted += n->of[COUNT_ENDED];                     /* and what the walk has found that has not ended */
    stats->refused = n->of[COUNT_REFUSED];
    stats->completed = n->of[COUNT_COMPLETED];
    stats->failed = n->of[COUNT_FAILED];
    stats->cancelled = n->of[COUNT_CANCELLED];
    stats->timed_out = n->of[COUNT_TIMED_OUT];
    stats->abandoned = n->of[COUNT_ABANDONED];
    stats->posted = n->of[COUNT_POSTED];
    stats->delivered = n->of[COUNT_DELIVERED];
    stats->discarded = n->of[COUNT_DISCARDED];
}

/* By handles of the application, and by calls that had none. */
static void tell_misuses(const struct sessions *all, weir_stats *stats)
{
    stats->misuses = registry_misuses(all->app->place.index) + registry_misuses(0);
}

static bool is_sound(const weir_stats *stats)
{
    return stats != NULL && stats->size >= sizeof(*stats);
}

static void walk(struct session *s, uint64_t handle, weir_stats *stats)
{
    if (session_visit(&s->slot, handle) != WEIR_OK)
        return;
    census_take(s, count_state, stats);
    session_out(s, 1);
}

/* The slot is held. */
static void tell_session(struct session *s, weir_stats *stats)
{
    struct sums sums;
    *stats = (weir_stats){ .size = stats->size };
    session_sums(s, &sums);
    walk(s, s->handle, stats);
    tell_counts(&sums, stats);
    tell_misuses(s->all, stats);
    tell_session_latency(s, LATENCY_SEEN, &stats->cancel_seen);
    tell_session_latency(s, LATENCY_FINAL, &stats->cancel_final);
    tell_barrier(s, &stats->cancel_barrier);
}

static void tell_app(struct sessions *all, weir_stats *stats)
{
    struct sums sums;
    struct session *s;
    *stats = (weir_stats){ .size = stats->size };
    sessions_sums(all, &sums);
    for (uint32_t i = 0; (s = (struct session *)slots_at(&all->table, i)) != NULL; i++) {
        uint64_t word = atomic_load_explicit(&s->slot.word, memory_order_acquire);      /* G6 of the owner before */
        if (!slot_word_is_free(word))
            walk(s, handle_make(HANDLE_SESSION, all->app->place.index, i, slot_word_generation(word)), stats);
    }
    tell_counts(&sums, stats);
    tell_misuses(all, stats);
    tell_app_latency(all, LATENCY_SEEN, &stats->cancel_seen);
    tell_app_latency(all, LATENCY_FINAL, &stats->cancel_final);
    tell_app_latency(all, LATENCY_BARRIER, &stats->cancel_barrier);
}

/* ---- refusals ---- */

void stats_refuse(struct sessions *all, struct session *s, uint64_t handle)
{
    counts_add(&all->outside, COUNT_REFUSED, 1);
    if (session_visit(&s->slot, handle) != WEIR_OK)
        return;                                                /* its counts are closed */
    counts_add(&s->counts, COUNT_REFUSED, 1);
    session_out(s, 1);
}

/* ---- asked ---- */

weir_status weir_session_stats(weir_session session, weir_stats *stats)
{
    struct session_ref ref;
    if (!is_sound(stats))
        return registry_misuse(session.bits, WEIR_INVALID);
    weir_status status = session_find_held(session.bits, &ref);
    if (status != WEIR_OK)
        return status;
    tell_session(ref.session, stats);
    session_release_slot(ref.session);
    app_leave(&ref.app);
    return WEIR_OK;
}

weir_status weir_app_stats(weir_app app, weir_stats *stats)
{
    struct app_ref ref;
    if (!is_sound(stats))
        return registry_misuse(app.bits, WEIR_INVALID);
    weir_status status = app_enter(app.bits, HANDLE_APP, &ref);
    if (status != WEIR_OK)
        return status;
    tell_app(sessions_of(ref.app), stats);
    app_leave(&ref);
    return WEIR_OK;
}
