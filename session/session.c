/* SPDX-License-Identifier: Apache-2.0 */
/* session.c - sessions come, are found, and end
 *
 *   step             order     partner
 *   O1 open, shut    acq_rel   sessions.open: SHUT and a count. A session opens by adding one unless SHUT, and once
 *                              more reads and writes the word when it is there; the application's close sets SHUT and
 *                              then looks which sessions there are. Who comes second sees what the first did
 *   O8 lane          acq_rel   a lane's memory, once made, is there for whoever finds it (acquire); a sweep looks by a
 *                              read-modify-write, so that who makes it later sees the sweep's epoch (K3)
 *   O2 gone          release   the count goes down after the last touch; acquire in above_close
 */
#include "session/close.h"
#include "session/expiry.h"
#include "session/extra.h"

#include "core/verify.h"
#include "session/sweep_word.h"
#include "workqueue/above.h"

#define SHUT (UINT32_C(1) << 31)

/* ---- finding ---- */

weir_status session_find(uint64_t bits, struct session_ref *ref)
{
    weir_status status = app_enter(bits, HANDLE_SESSION, &ref->app);
    if (status != WEIR_OK)
        return status;
    ref->session = session_at(sessions_of(ref->app.app), bits);
    if (ref->session != NULL)
        return WEIR_OK;
    app_leave(&ref->app);
    return WEIR_STALE;
}

weir_status session_find_held(uint64_t bits, struct session_ref *ref)
{
    weir_status status = session_find(bits, ref);
    if (status != WEIR_OK)
        return status;
    bool held = session_hold(ref->session);
    if (held && !session_is_gone(&ref->session->slot, bits))
        return WEIR_OK;
    if (held)
        session_release_slot(ref->session);
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

void session_mark(struct group *group, uint64_t bits, struct sessions *all)
{
    roster_mark(group, bits);
    /* relaxed: a late one finds nobody, or somebody else, whose worker then looks in vain */
    uint64_t handle = atomic_load_explicit(&group->session, memory_order_relaxed);
    struct roster *roster = atomic_load_explicit(&group->roster, memory_order_relaxed);
    struct session *s = session_at(all, handle);
    if (handle == 0 || roster == NULL || s == NULL)
        return;
    for (uint32_t lane = 0; lane < SESSION_LANES; lane++) {
        struct session_lane *l = session_lane(s, lane);
        if (l != NULL && &l->roster == roster)
            session_push(all->app, &l->node, handle_generation(handle), &l->job);
    }
    session_call_helpers(s);
}

/* ---- opening ---- */

static void fill_lane(struct session *s, struct session_lane *l, uint32_t lane, uint32_t generation)
{
    roster_init(&l->roster, &s->all->ops, &s->all->app->memory, s->handle);
    job_init_internal(&l->job, node_run, l, (uint8_t)lane);
    l->session = s;
    node_begin(&l->node, generation);
}

weir_status session_need_lane(struct session *s, uint32_t lane)
{
    if (lane == WEIR_NORMAL || session_lane(s, lane) != NULL)
        return WEIR_OK;
    const struct memory *memory = &s->all->app->memory;
    struct session_lane *there = NULL, *l = memory_zalloc(memory, sizeof(*l), CACHE_LINE);
    if (l == NULL)
        return WEIR_NO_MEMORY;
    fill_lane(s, l, lane, handle_generation(s->handle));
    if (!atomic_compare_exchange_strong_explicit(&s->others[lane - 1], &there, l, memory_order_acq_rel,    /* O8 */
                                                 memory_order_acquire))
        memory_free(memory, l, sizeof(*l));                    /* another starter's is there */
    return WEIR_OK;
}

struct session_lane *session_lane_swept(struct session *s, uint32_t lane)
{
    struct session_lane *l = session_lane(s, lane);
    if (l == NULL)                                             /* by a read-modify-write that changes nothing */
        (void)atomic_compare_exchange_strong_explicit(&s->others[lane - 1], &l, NULL, memory_order_acq_rel, /* O8 */
                                                      memory_order_acquire);
    return l;
}

static void fill(struct session *s, struct sessions *all, uint32_t index, const weir_session_options *options)
{
    /* relaxed: the slot is this thread's */
    uint32_t generation = slot_word_generation(atomic_load_explicit(&s->slot.word, memory_order_relaxed));
    if (s->all == NULL)
        s->all = all;                                          /* once: abandoned work may be reading it */
    s->index = index;
    s->handle = handle_make(HANDLE_SESSION, all->app->place.index, index, generation);
    s->name = options->name;
    atomic_store_explicit(&s->opened_ms, clock_coarse_ms(&all->app->clock), memory_order_relaxed); /* as the rest */
    s->timeout_ns = options->timeout_ns != 0 ? options->timeout_ns : WEIR_FOREVER;
    s->live_max = options->live_max;
    weir_assert(atomic_load_explicit(&s->live, memory_order_relaxed) == 0);
    s->closed = NULL;
    s->counts = (struct counts){ 0 };
    latency_begin(s);
    atomic_store_explicit(&s->sweep, SWEEP_NONE, memory_order_relaxed);    /* published by the word, as all of these */
    atomic_store_explicit(&s->lend, 0, memory_order_relaxed);
    atomic_store_explicit(&s->abandons, 0, memory_order_relaxed);
    atomic_store_explicit(&s->has_children, 0, memory_order_relaxed);
    atomic_store_explicit(&s->parent, NULL, memory_order_relaxed);
    atomic_store_explicit(&s->parent_handle, 0, memory_order_relaxed);
    atomic_store_explicit(&s->drive, 0, memory_order_relaxed);
    policy_init(&s->policy);
    alarm_init(s);
    atomic_store_explicit(&s->closed_due, 0, memory_order_relaxed);
    atomic_store_explicit(&s->attention, 0, memory_order_relaxed);
    job_init_internal(&s->due_job, due_run, s, WEIR_HIGH);
    node_begin(&s->due, generation);
    for (uint32_t lane = 0; lane < SESSION_LANES; lane++)
        if (session_lane(s, lane) != NULL)
            fill_lane(s, session_lane(s, lane), lane, generation);
    /* release: O3; a waiter with an old handle may hold the slot from here on, and give it back by the fields above */
    atomic_store_explicit(&s->holders, 1, memory_order_release);
}

static bool count_in(struct sessions *all)
{
    uint32_t open = atomic_load_explicit(&all->open, memory_order_relaxed);             /* the swap checks it */
    do
        if ((open & SHUT) != 0)
            return false;
    while (!atomic_compare_exchange_weak_explicit(&all->open, &open, open + 1,
                                                  memory_order_relaxed,   /* it is not there yet, see O1 */
                                                  memory_order_relaxed));
    return true;
}

static void count_out(struct sessions *all)
{
    if (atomic_fetch_sub_explicit(&all->open, 1, memory_order_release) == (SHUT | 1))   /* O2 */
        event_post(&all->none_left);
}

/* The application's close may have looked before the session was there. */
static void close_what_came_late(const struct sessions *all, struct session *s, uint64_t handle)
{
    struct close_terms terms = close_at_once(all->app, WEIR_REASON_APPLICATION_CLOSED);
    (void)session_close_as(s, handle, &terms);
}

enum { OPS_MAX = SLOTS_MAX / GROUP_SLOTS * GROUP_OPS };        /* of an application */

/* With a default deadline, also what its groups need for that. What can never be is refused before it costs memory. */
static weir_status reserve(struct session *s, uint32_t count)
{
    struct roster *roster = &s->normal.roster;
    weir_status status = count > OPS_MAX ? WEIR_LIMIT : roster_reserve(roster, count);
    if (status != WEIR_OK || s->timeout_ns == WEIR_FOREVER)
        return status;
    uint32_t groups = roster_groups(roster);
    for (uint32_t number = 0; number < groups; number++) {
        struct group *group = roster_group(roster, number);
        if (group != NULL && expiry_need(s->all, group_first(group)) == NULL)
            return WEIR_NO_MEMORY;
    }
    return WEIR_OK;
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
    if (options->reserve != 0 && (status = reserve(s, options->reserve)) != WEIR_OK)
        goto fail_slot;
    if (options->parent.bits != 0 && (status = child_enter(s, options->parent.bits)) != WEIR_OK)
        goto fail_slot;
    struct session *parent = atomic_load_explicit(&s->parent, memory_order_relaxed);    /* this thread's */
    uint64_t handle = s->handle;
    uint64_t word = atomic_load_explicit(&s->slot.word, memory_order_relaxed);          /* this thread's */
    /* release: whoever enters (G1) sees the session filled in */
    atomic_store_explicit(&s->slot.word, slot_word_with(word, SESSION_OPEN), memory_order_release);
    out->bits = handle;
    if ((atomic_fetch_or_explicit(&all->open, 0, memory_order_acq_rel) & SHUT) != 0)                    /* O1 */
        close_what_came_late(all, s, handle);
    if (parent != NULL)
        child_opened(parent, s, handle);
    return WEIR_OK;
fail_slot:
    roster_fini(&s->normal.roster);
    session_release_slot(s);                             /* not at once: a thread with an old handle may hold it */
    return status;
fail_count:
    count_out(all);
    return status;
}

/* {0}, or perhaps a session of the same application. */
static bool is_parent(uint64_t app, uint64_t parent)
{
    return parent == 0 || (handle_is_plausible(parent, HANDLE_SESSION) && handle_app(parent) == handle_app(app));
}

weir_status weir_session_open(weir_app app, const weir_session_options *options, weir_session *out)
{
    static const weir_session_options defaults = { .size = sizeof(defaults) };
    struct app_ref ref;
    options = options != NULL ? options : &defaults;
    if (out == NULL || options->size < sizeof(*options) || options->timeout_ns < 0
        || !is_parent(app.bits, options->parent.bits))
        return registry_misuse(app.bits, WEIR_INVALID);
    weir_status status = app_enter(app.bits, HANDLE_APP, &ref);
    if (status != WEIR_OK)
        return status;
    status = open_session(sessions_of(ref.app), options, out);
    app_leave(&ref);
    return status;
}

weir_status weir_session_app(weir_session session, weir_app *out)
{
    struct session_ref ref;
    if (out == NULL)
        return registry_misuse(session.bits, WEIR_INVALID);
    weir_status status = session_find(session.bits, &ref);
    if (status != WEIR_OK)
        return status;
    /* relaxed: only whether it is still there */
    if (slot_word_matches(atomic_load_explicit(&ref.session->slot.word, memory_order_relaxed), session.bits))
        *out = ref.app.app->handle;
    else
        status = WEIR_STALE;
    app_leave(&ref.app);
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

void session_end(struct session *s)
{
    struct session *parent = atomic_load_explicit(&s->parent, memory_order_relaxed);    /* fixed until now */
    for (uint32_t lane = 0; lane < SESSION_LANES; lane++) {
        struct session_lane *l = session_lane(s, lane);
        if (l == NULL)
            continue;
        roster_fini(&l->roster);
        end_node(s, &l->node);
    }
    end_node(s, &s->due);
    alarm_end(s);
    uint64_t word = atomic_load_explicit(&s->slot.word, memory_order_relaxed);          /* nobody else changes it */
    /* release: G6; what everybody did, and the callback, happens before who finds the session gone (E7) */
    atomic_store_explicit(&s->slot.word, slot_word_next(word), memory_order_release);
    event_post(&s->ended);
    session_release_slot(s);
    child_end(parent);
}

/* ---- with the application ---- */

static size_t latencies_size(const struct app *app)
{
    return (app->worker_count + 1) * sizeof(struct thread_latency);
}

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
    all->accounts_count = app_thread_count(app);
    weir_status status = WEIR_NO_MEMORY;
    all->accounts = memory_zalloc(&app->memory, all->accounts_count * sizeof(struct account), CACHE_LINE);
    all->latencies = memory_zalloc(&app->memory, latencies_size(app), CACHE_LINE);
    if (all->accounts == NULL || all->latencies == NULL)
        goto fail_accounts;
    if ((status = slots_init(&all->ops, &ops)) != WEIR_OK)
        goto fail_accounts;
    if ((status = slots_init(&all->table, &table)) != WEIR_OK)
        goto fail_ops;
    all->app = app;
    app->above = all;
    rescue_init(all);
    timers_on_deadline(&app->timers, deadline_fire);
    return WEIR_OK;
fail_ops:      slots_fini(&all->ops);
fail_accounts: memory_free(&app->memory, all->accounts, all->accounts_count * sizeof(struct account));
    memory_free(&app->memory, all->latencies, latencies_size(app));
    memory_free(&app->memory, all, sizeof(*all));
    return status;
}

static void destroy_lane(const struct app *app, struct session *s, uint32_t lane)
{
    struct session_lane *l = session_lane(s, lane);
    if (s->all == NULL || l == NULL)
        return;                                                /* the slot, or the lane, was never used */
    roster_destroy(&l->roster);
    if (lane != WEIR_NORMAL)
        memory_free(&app->memory, l, sizeof(*l));
}

void above_fini(struct app *app)
{
    struct sessions *all = app->above;
    for (uint32_t i = 0; slots_at(&all->table, i) != NULL; i++)
        for (uint32_t lane = 0; lane < SESSION_LANES; lane++)
            destroy_lane(app, (struct session *)slots_at(&all->table, i), lane);
    expiry_fini(all);
    slots_fini(&all->table);
    slots_fini(&all->ops);
    memory_free(&app->memory, all->accounts, all->accounts_count * sizeof(struct account));
    memory_free(&app->memory, all->latencies, latencies_size(app));
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
    atomic_fetch_or_explicit(&all->open, SHUT, memory_order_acq_rel);                   /* O1 */
    struct close_terms terms = close_at_once(app, WEIR_REASON_APPLICATION_CLOSED);
    struct session *s;
    for (uint32_t i = 0; (s = (struct session *)slots_at(&all->table, i)) != NULL; i++) {
        uint64_t word = atomic_load_explicit(&s->slot.word, memory_order_acquire);      /* O1, G6 */
        uint64_t handle = handle_make(HANDLE_SESSION, app->place.index, i, slot_word_generation(word));
        if (!slot_word_is_free(word))
            (void)session_close_as(s, handle, &terms);
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
