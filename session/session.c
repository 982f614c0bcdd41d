/* SPDX-License-Identifier: Apache-2.0 */
/* session.c - sessions come, are found, are closed, and end
 *
 *   step             order     partner
 *   O1 open, shut    seq_cst   sessions.open: SHUT and a count. A session opens by adding one unless SHUT; the
 *                              application's close sets SHUT first and then looks which sessions there are
 *   O2 gone          release   the count goes down after the last touch; acquire in above_close
 *   O3 hold          acquire   holders, from another number than 0: the count down (acq_rel) of who held the slot
 *                              before; what they read of the last owner is read
 *   O4 closed due    seq_cst   closed_due, of one writer; who takes it away, a job or the control thread, sees all that
 *                              was done for the session; then the node is looked at: N1, N2 of node.h
 *   O5 sweeps        seq_cst   raised after K1, then N1; the job does N2, then takes them: at least one sees the other,
 *                              and who takes them sees every epoch that was raised for them
 */
#include "session/session.h"

#include "core/verify.h"
#include "workqueue/above.h"

#define SHUT (UINT32_C(1) << 31)

/* ---- finding ---- */

weir_status session_find(uint64_t bits, struct session_ref *ref)
{
    weir_status status = app_enter(bits, HANDLE_SESSION, &ref->app);
    if (status != WEIR_OK)
        return status;
    ref->session = (struct session *)slots_at(&sessions_of(ref->app.app)->table, handle_slot(bits));
    if (ref->session != NULL)
        return WEIR_OK;
    app_leave(&ref->app);
    return WEIR_STALE;
}

weir_status op_find(uint64_t bits, enum handle_kind kind, struct op_ref *ref)
{
    weir_status status = app_enter(bits, kind, &ref->app);
    if (status != WEIR_OK)
        return status;
    ref->all = sessions_of(ref->app.app);
    ref->index = handle_slot(bits);
    ref->op = (struct op *)slots_at(&ref->all->ops, ref->index);
    if (ref->op != NULL) {
        ref->group = group_of(&ref->all->ops, ref->index);
        return WEIR_OK;
    }
    app_leave(&ref->app);
    return WEIR_STALE;
}

/* ---- waking ---- */

static void wake_lane(struct session *s, uint32_t lane, uint32_t generation)
{
    if (node_schedule(&s->lanes[lane].node, generation))
        app_push(s->all->app, lane, &s->lanes[lane].job);
}

void session_wake_lane(struct group *group, struct sessions *all)
{
    /* relaxed: a late one finds nobody, or somebody else, whose worker then looks in vain */
    uint64_t handle = atomic_load_explicit(&group->session, memory_order_relaxed);
    struct roster *roster = atomic_load_explicit(&group->roster, memory_order_relaxed);
    struct session *s = (struct session *)slots_at(&all->table, handle_slot(handle));
    if (handle == 0 || roster == NULL || s == NULL)
        return;
    for (uint32_t lane = 0; lane < SESSION_LANES; lane++)
        if (&s->lanes[lane].roster == roster)
            wake_lane(s, lane, handle_generation(handle));
}

/* ---- opening ---- */

static void fill_lane(struct session *s, uint32_t lane, uint32_t generation)
{
    struct session_lane *l = &s->lanes[lane];
    roster_init(&l->roster, &s->all->ops, &s->all->app->memory, s->handle);
    job_init_internal(&l->job, node_run, l, (uint8_t)lane);
    l->session = s;
    node_begin(&l->node, generation);
}

static void fill(struct session *s, struct sessions *all, uint32_t index, const weir_session_options *options)
{
    /* relaxed: the slot is this thread's */
    uint32_t generation = slot_word_generation(atomic_load_explicit(&s->slot.word, memory_order_relaxed));
    s->all = all;
    s->index = index;
    s->handle = handle_make(HANDLE_SESSION, all->app->place.index, index, generation);
    s->name = options->name;
    s->timeout_ns = options->timeout_ns != 0 ? options->timeout_ns : WEIR_FOREVER;
    uint32_t live_max = options->live_max != 0 ? options->live_max : SESSION_LIVE_MAX;
    atomic_store_explicit(&s->live_max, live_max, memory_order_relaxed);
    s->closed = NULL;
    s->counts = (struct session_counts){ 0 };
    atomic_store_explicit(&s->sweeps, 0, memory_order_relaxed);            /* published by the word, as all of these */
    atomic_store_explicit(&s->closed_due, 0, memory_order_relaxed);
    atomic_store_explicit(&s->attention, 0, memory_order_relaxed);
    atomic_store_explicit(&s->holders, 1, memory_order_relaxed);
    node_begin(&s->closed_node, generation);
    node_begin(&s->sweep_node, generation);
    job_init_internal(&s->closed_job, closed_run, s, WEIR_HIGH);
    job_init_internal(&s->sweep_job, sweep_run, s, WEIR_HIGH);
    for (uint32_t lane = 0; lane < SESSION_LANES; lane++)
        fill_lane(s, lane, generation);
}

static bool count_in(struct sessions *all)
{
    uint32_t open = atomic_load_explicit(&all->open, memory_order_relaxed);             /* the swap checks it */
    do
        if ((open & SHUT) != 0)
            return false;
    while (!atomic_compare_exchange_weak_explicit(&all->open, &open, open + 1, memory_order_seq_cst, /* O1 */
                                                  memory_order_relaxed));
    return true;
}

static void count_out(struct sessions *all)
{
    if (atomic_fetch_sub_explicit(&all->open, 1, memory_order_release) == (SHUT | 1))   /* O2 */
        event_post(&all->none_left);
}

static weir_status open_session(struct sessions *all, const weir_session_options *options, weir_session *out)
{
    struct slots_block block;
    if (!count_in(all))
        return WEIR_SHUTDOWN;
    weir_status status = slots_acquire(&all->table, 1, 0, &block);
    if (status != WEIR_OK)
        goto fail_count;
    struct session *s = (struct session *)slots_at(&all->table, block.first);
    fill(s, all, block.first, options);
    if (options->reserve != 0 && (status = roster_reserve(&s->lanes[WEIR_NORMAL].roster, options->reserve)) != WEIR_OK)
        goto fail_slot;
    uint64_t handle = s->handle;
    uint64_t word = atomic_load_explicit(&s->slot.word, memory_order_relaxed);          /* this thread's */
    /* release: whoever enters (G1) sees the session filled in */
    atomic_store_explicit(&s->slot.word, slot_word_with(word, SESSION_OPEN), memory_order_release);
    out->bits = handle;
    return WEIR_OK;
fail_slot:
    roster_fini(&s->lanes[WEIR_NORMAL].roster);
    session_release_slot(s);                             /* not at once: a thread with an old handle may hold it */
    return status;
fail_count:
    count_out(all);
    return status;
}

weir_status weir_session_open(weir_app app, const weir_session_options *options, weir_session *out)
{
    static const weir_session_options defaults = { .size = sizeof(defaults) };
    struct app_ref ref;
    options = options != NULL ? options : &defaults;
    if (out == NULL || options->size < sizeof(*options) || options->timeout_ns < 0)
        return WEIR_INVALID;
    weir_status status = app_enter(app.bits, HANDLE_APP, &ref);
    if (status != WEIR_OK)
        return status;
    status = open_session(sessions_of(ref.app), options, out);
    app_leave(&ref);
    return status;
}

/* ---- ending ---- */

void session_release_slot(struct session *s)
{
    struct sessions *all = s->all;
    struct slots_block block = { s->index, 1 };
    if (atomic_fetch_sub_explicit(&s->holders, 1, memory_order_acq_rel) != 1)           /* N2, N3: the last one */
        return;
    slots_release(&all->table, block);
    count_out(all);
}

static void end_node(struct session *s, struct node *node)
{
    atomic_fetch_add_explicit(&s->holders, 1, memory_order_relaxed);                    /* before N3 lets it go */
    if (node_end(node))
        atomic_fetch_sub_explicit(&s->holders, 1, memory_order_relaxed);                /* this thread has one more */
}

/* After the close callback: the last touch but for nodes that are in a queue. */
static void end(struct session *s)
{
    for (uint32_t lane = 0; lane < SESSION_LANES; lane++) {
        roster_fini(&s->lanes[lane].roster);
        end_node(s, &s->lanes[lane].node);
    }
    end_node(s, &s->closed_node);
    end_node(s, &s->sweep_node);
    uint64_t word = atomic_load_explicit(&s->slot.word, memory_order_relaxed);          /* nobody else changes it */
    /* release: G6; what everybody did, and the callback, happens before who finds the session gone (E7) */
    atomic_store_explicit(&s->slot.word, slot_word_next(word), memory_order_release);
    event_post(&s->ended);
    session_release_slot(s);
}

/* As far as chunks have given their counts. */
static void fill_report(struct session *s, weir_report *r)
{
    const struct session_counts *c = &s->counts;
    /* relaxed: a moment old; once the session is complete everybody who counted has left (E7) */
    *r = (weir_report){
        .size = sizeof(weir_report),
        .phase = session_phase(atomic_load_explicit(&s->slot.word, memory_order_relaxed)),
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

void session_call_closed(struct session *s)
{
    if (atomic_exchange_explicit(&s->closed_due, 0, memory_order_seq_cst) == 0)         /* O4 */
        return;
    s->closed(&s->report, s->closed_ctx);
    end(s);
}

void closed_run(weir_job *job, weir_status status)
{
    struct session *s = job->ctx;
    uint32_t generation;
    (void)status;
    if (node_pop(&s->closed_node, &generation) == NODE_LAST)
        session_release_slot(s);                               /* the control thread was faster */
    else
        session_call_closed(s);
}

void session_complete(struct session *s)
{
    fill_report(s, &s->report);
    weir_assert(s->report.posted == s->report.delivered + s->report.discarded);
    if (s->closed == NULL) {
        end(s);
        return;
    }
    struct sessions *all = s->all;
    uint32_t generation = handle_generation(s->handle);
    atomic_store_explicit(&s->closed_due, 1, memory_order_seq_cst);                     /* O4: now it may end */
    if (node_schedule(&s->closed_node, generation))
        app_push(all->app, WEIR_HIGH, &s->closed_job);
    rescue_later(all, s);
}

void session_out(struct session *s, uint32_t count)
{
    if (session_leave(&s->slot, count))
        session_complete(s);
}

/* ---- closing, cancelling, waiting ---- */

void session_cancel_all(struct session *s, uint32_t reason)
{
    cancel_raise(&s->cancel, reason);
    (void)session_visit(&s->slot, s->handle);          /* the sweep's own place; the caller is inside, so it is there */
    if (atomic_fetch_add_explicit(&s->sweeps, 1, memory_order_seq_cst) != 0) {          /* O5 */
        session_out(s, 1);                                     /* one that has not begun yet will see it, too */
        return;
    }
    if (node_schedule(&s->sweep_node, handle_generation(s->handle)))
        app_push(s->all->app, WEIR_HIGH, &s->sweep_job);
    rescue_later(s->all, s);
}

static weir_status close_session(struct session *s, uint64_t handle, weir_closed_fn *closed, void *ctx, uint32_t reason)
{
    weir_status status = session_shut_gate(&s->slot, handle);
    if (status == WEIR_CLOSING) {
        if (session_visit(&s->slot, handle) != WEIR_OK)
            return slot_word_matches(atomic_load_explicit(&s->slot.word, memory_order_acquire), handle) /* G6 */
                 ? WEIR_CLOSING : WEIR_STALE;
    } else if (status != WEIR_OK)
        return status;
    else {
        s->closed = closed;
        s->closed_ctx = ctx;
    }
    if (session_advance(&s->slot, SESSION_CANCELLING))
        session_cancel_all(s, reason);
    session_out(s, 1);
    return status;
}

weir_status weir_session_close(weir_session session, weir_closed_fn *closed, void *ctx)
{
    struct session_ref ref;
    weir_status status = session_find(session.bits, &ref);
    if (status != WEIR_OK)
        return status;
    status = close_session(ref.session, session.bits, closed, ctx, WEIR_REASON_SESSION_CLOSED);
    app_leave(&ref.app);
    return status;
}

weir_status weir_session_cancel(weir_session session, weir_reason reason)
{
    struct session_ref ref;
    if (reason != WEIR_REASON_USER && reason < WEIR_REASON_OWN)
        return WEIR_INVALID;
    weir_status status = session_find(session.bits, &ref);
    if (status != WEIR_OK)
        return status;
    status = session_visit(&ref.session->slot, session.bits);
    if (status == WEIR_OK) {
        session_cancel_all(ref.session, reason);
        session_out(ref.session, 1);
    }
    app_leave(&ref.app);
    return status;
}

/* Another holder of the slot, unless there is none left. */
static bool hold_slot(struct session *s)
{
    uint32_t holders = atomic_load_explicit(&s->holders, memory_order_relaxed);        /* the swap checks it */
    do
        if (holders == 0)
            return false;
    while (!atomic_compare_exchange_weak_explicit(&s->holders, &holders, holders + 1, memory_order_acquire, /* O3 */
                                                  memory_order_relaxed));
    return true;
}

static bool is_gone(struct session *s, uint64_t handle)
{
    /* acquire: G6, E7 */
    return !slot_word_matches(atomic_load_explicit(&s->slot.word, memory_order_acquire), handle);
}

static weir_status wait_for_end(struct session *s, uint64_t handle, int64_t deadline)
{
    for (bool in_time = true;;) {
        uint32_t seen = event_value(&s->ended);
        if (is_gone(s, handle))
            return WEIR_OK;
        if (!in_time)
            return WEIR_TIMED_OUT;
        in_time = event_wait(&s->ended, seen, deadline);
    }
}

/* The slot is held: after the end it keeps the report until this thread has read it. */
static weir_status wait_held(struct session_ref *ref, uint64_t handle, int64_t timeout_ns, weir_report *report)
{
    struct session *s = ref->session;
    if (is_gone(s, handle))
        return WEIR_STALE;
    if (timeout_ns != 0 && worker_must_not_wait(ref->app.app))
        return WEIR_WOULD_DEADLOCK;
    weir_status status = wait_for_end(s, handle, time_add(clock_monotonic(), timeout_ns));
    if (report != NULL && status == WEIR_OK)
        *report = s->report;
    else if (report != NULL)
        fill_report(s, report);
    return status;
}

weir_status weir_session_wait(weir_session session, int64_t timeout_ns, weir_report *report)
{
    struct session_ref ref;
    if (report != NULL && report->size < sizeof(*report))
        return WEIR_INVALID;
    weir_status status = session_find(session.bits, &ref);
    if (status != WEIR_OK)
        return status;
    if (hold_slot(ref.session)) {
        status = wait_held(&ref, session.bits, timeout_ns, report);
        session_release_slot(ref.session);
    } else
        status = WEIR_STALE;
    app_leave(&ref.app);
    return status;
}

/* ---- with the application ---- */

weir_status above_init(struct app *app)
{
    struct sessions *all = memory_zalloc(&app->memory, sizeof(*all), CACHE_LINE);
    if (all == NULL)
        return WEIR_NO_MEMORY;
    struct slots_options ops = roster_slots_options(&app->memory, app->place.floor);
    struct slots_options table = {
        .memory = app->memory, .hot_size = sizeof(struct session), .granule = 1, .limit = SESSIONS_MAX,
        .floor = app->place.floor,
    };
    weir_status status = slots_init(&all->ops, &ops);
    if (status != WEIR_OK)
        goto fail_memory;
    if ((status = slots_init(&all->table, &table)) != WEIR_OK)
        goto fail_ops;
    all->app = app;
    app->above = all;
    rescue_init(all);
    return WEIR_OK;
fail_ops:    slots_fini(&all->ops);
fail_memory: memory_free(&app->memory, all, sizeof(*all));
    return status;
}

void above_fini(struct app *app)
{
    struct sessions *all = app->above;
    for (uint32_t i = 0; slots_at(&all->table, i) != NULL; i++)
        for (uint32_t lane = 0; lane < SESSION_LANES; lane++) {
            struct session *s = (struct session *)slots_at(&all->table, i);
            if (s->all != NULL)
                roster_destroy(&s->lanes[lane].roster);
        }
    slots_fini(&all->table);
    slots_fini(&all->ops);
    memory_free(&app->memory, all, sizeof(*all));
}

uint32_t above_generation_floor(const struct app *app)
{
    const struct sessions *all = app->above;
    uint32_t ops = slots_generation_floor(&all->ops), table = slots_generation_floor(&all->table);
    return ops > table ? ops : table;
}

weir_status above_close(struct app *app, int64_t deadline)
{
    struct sessions *all = app->above;
    atomic_fetch_or_explicit(&all->open, SHUT, memory_order_seq_cst);                   /* O1 */
    struct session *s;
    for (uint32_t i = 0; (s = (struct session *)slots_at(&all->table, i)) != NULL; i++) {
        uint64_t word = atomic_load_explicit(&s->slot.word, memory_order_seq_cst);      /* O1 */
        uint64_t handle = handle_make(HANDLE_SESSION, app->place.index, i, slot_word_generation(word));
        if (!slot_word_is_free(word))
            (void)close_session(s, handle, NULL, NULL, WEIR_REASON_APPLICATION_CLOSED);
    }
    for (bool in_time = true;;) {
        uint32_t seen = event_value(&all->none_left);
        if (atomic_load_explicit(&all->open, memory_order_acquire) == SHUT)             /* O2 */
            return WEIR_OK;
        if (!in_time)
            return WEIR_TIMED_OUT;
        in_time = event_wait(&all->none_left, seen, deadline);
    }
}
