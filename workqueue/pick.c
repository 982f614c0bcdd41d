/* SPDX-License-Identifier: Apache-2.0 */
/* pick.c - what a worker runs next; the policy is told in worker.h */
#include "workqueue/app.h"

enum { TAKE_BATCH = 16 };
enum { GATHER_NS = 400, GATHER_BELOW = 4, GATHER_TRY_EVERY = 16 };  /* see take_gathered */
enum { RING_EVERY = 4, OVERFLOW_EVERY = 64, LIST_EVERY = 1024 };    /* turns, see take_turn; each divides the next */

/* ---- what next: own lanes ---- */

static bool lane_is_in(uint32_t lanes, uint32_t lane)
{
    return (lanes >> lane & 1) != 0;
}

/* 4 picks of 64 are low's, 16 normal's, the rest high's (Q3 asks for 4 and 12). */
static uint32_t preferred_lane(uint32_t tick)
{
    if (tick % 16 == 15)
        return WEIR_LOW;
    return tick % 4 == 1 ? WEIR_NORMAL : WEIR_HIGH;
}

/* Part of what waits in a ring: the first to run, the others to this worker's own deque, where all can see them. Their
 * memory is on its way here meanwhile. */
static struct job *take_batch(struct worker *w, uint32_t lane, struct ring *ring)
{
    struct job *jobs[TAKE_BATCH];
    uint32_t count = ring_looks_empty(ring) ? 0 : ring_pop(ring, jobs, w->kind == WORKER_LANE ? TAKE_BATCH : 1);
    if (count == 0)
        return NULL;
    w->batch = count;
    for (uint32_t i = 0; i < count; i++)
        cache_prefetch_write(jobs[i]);
    for (uint32_t i = 1; i < count; i++)
        if (!deque_push(&w->lanes[lane].jobs, jobs[i]))
            inbox_push(&w->app->overflow[lane], jobs[i]);
    if (count > 1)
        idle_notify_from_worker(&w->app->idle);          /* who looked in between found them in neither place */
    return jobs[0];
}

/* What the rings had no room for. A refill brings others within reach, whom nobody may be looking for: so it is a
 * submit, and notifies. */
static struct job *take_overflow(struct worker *w, uint32_t lane, bool list_first)
{
    struct inbox *overflow = &w->app->overflow[lane];
    struct job *job = list_first ? NULL : take_batch(w, lane, &overflow->ring);
    if (job == NULL && !inbox_list_looks_empty(overflow) && (job = inbox_refill(overflow)) != NULL)
        idle_notify(&w->app->idle);
    return job;
}

/* Own deque, own ring and the overflow take turns, so neither a flood from outside nor one from inside starves the
 * others. Each lane counts its own turns: by the worker's picks a lane could always come by on the wrong foot. What
 * is in the deque from outside is a batch of the ring's, and waits for no turn of the ring. */
static __attribute__((noinline)) struct job *take_turn(struct worker *w, uint32_t lane)
{
    struct lane *own = &w->lanes[lane];
    if (own->turns % OVERFLOW_EVERY == 0)
        return take_overflow(w, lane, own->turns % LIST_EVERY == 0);
    if (!own->pushed)
        return NULL;
    own->pushed = false;
    return ring_looks_empty(&own->ring) ? NULL : ring_pop_one(&own->ring);
}

static void let_gather(void)
{
    int64_t end = clock_monotonic() + GATHER_NS;
    while (clock_monotonic() < end)
        cpu_relax();
}

/* A worker that is as fast as its producer follows it slot by slot, and each job costs both of them the way of a cache
 * line and back. So after a small batch it lets a few jobs gather before it takes the next: as long as that then is
 * more than one, and now and then to see whether it would be. */
static __attribute__((noinline)) struct job *take_gathered(struct worker *w, uint32_t lane)
{
    bool gathered = w->gathers && w->batch < GATHER_BELOW;
    if (gathered)
        let_gather();
    w->batch = 0;
    struct job *job = take_batch(w, lane, &w->lanes[lane].ring);
    if (gathered)
        w->gathers = w->batch > 1;
    else if (w->batch == 1 && ++w->singles % GATHER_TRY_EVERY == 0)
        w->gathers = true;
    return job;
}

static inline struct job *lane_next(struct worker *w, uint32_t lane)
{
    struct lane *own = &w->lanes[lane];
    struct job *job = ++own->turns % RING_EVERY == 0 ? take_turn(w, lane) : NULL;
    if (job == NULL)
        job = deque_steal_oldest(&own->jobs);
    return job != NULL ? job : take_gathered(w, lane);
}

/* ---- what next: the others' ---- */

/* Where to begin, below count. */
static uint32_t next_random(struct worker *w, uint32_t count)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 17;
    w->random ^= w->random << 5;
    return (uint32_t)((uint64_t)w->random * count >> 32);
}

static struct job *lane_steal(struct worker *w, uint32_t lane)
{
    struct app *app = w->app;
    uint32_t at = next_random(w, app->worker_count);
    struct job *job = take_overflow(w, lane, false);
    for (uint32_t i = 0; i < app->worker_count && job == NULL; i++) {
        struct worker *victim = &app->workers[at];
        at = at + 1 == app->worker_count ? 0 : at + 1;
        if (victim == w)
            continue;
        job = deque_steal_oldest(&victim->lanes[lane].jobs);
        if (job == NULL)
            job = take_batch(w, lane, &victim->lanes[lane].ring);
    }
    return job;
}

static struct job *guests_fork(struct worker *w)
{
    struct job *job = NULL;
    for (uint32_t taken = app_guests_inside(w->app); taken != 0 && job == NULL; taken &= taken - 1) {
        struct worker *victim = &w->app->guests[__builtin_ctz(taken)];
        job = victim == w ? NULL : deque_steal_oldest(&victim->forks);
    }
    return job;
}

struct job *worker_find_fork(struct worker *w)
{
    struct app *app = w->app;
    uint32_t at = next_random(w, app->worker_count);
    for (uint32_t i = 0; i < app->worker_count; i++) {
        struct worker *victim = &app->workers[at];
        at = at + 1 == app->worker_count ? 0 : at + 1;
        struct job *job = victim == w ? NULL : deque_steal_oldest(&victim->forks);
        if (job != NULL)
            return job;
    }
    return guests_fork(w);
}

/* ---- what next ---- */

static const uint8_t PRIORITY[LANES] = { WEIR_HIGH, WEIR_NORMAL, WEIR_LOW };

static struct job *find_preferred(struct worker *w, uint32_t lanes)
{
    uint32_t lane = preferred_lane(w->tick);
    if (lane == WEIR_HIGH || !lane_is_in(lanes, lane))
        return NULL;                                     /* high is first in the usual order, too */
    struct job *job = lane_next(w, lane);
    return job != NULL ? job : lane_steal(w, lane);
}

static struct job *find_own(struct worker *w, uint32_t lanes)
{
    for (uint32_t i = 0; i < LANES; i++) {
        struct job *job = lane_is_in(lanes, PRIORITY[i]) ? lane_next(w, PRIORITY[i]) : NULL;
        if (job != NULL)
            return job;
    }
    return NULL;
}

static __attribute__((noinline)) struct job *find_elsewhere(struct worker *w, uint32_t lanes)
{
    struct job *job = worker_find_fork(w);
    for (uint32_t i = 0; i < LANES && job == NULL; i++)
        if (lane_is_in(lanes, PRIORITY[i]))
            job = lane_steal(w, PRIORITY[i]);
    return job;
}

struct job *worker_find_left(struct worker *w)
{
    return find_elsewhere(w, LANE_ALL);
}

/* Has no lanes of its own. */
static struct job *find_for_reserve(struct worker *w, uint32_t lanes)
{
    uint32_t lane = preferred_lane(w->tick);
    struct job *job = lane_is_in(lanes, lane) ? lane_steal(w, lane) : NULL;
    return job != NULL ? job : find_elsewhere(w, lanes);
}

static __attribute__((noinline)) struct job *find_in_lanes(struct worker *w, uint32_t lanes)
{
    struct job *job = find_preferred(w, lanes);
    return job != NULL ? job : find_own(w, lanes);
}

struct job *worker_find(struct worker *w, uint32_t lanes)
{
    w->tick++;
    if (w->kind == WORKER_RESERVE)
        return find_for_reserve(w, lanes);
    struct job *job = lanes == 1U << WEIR_NORMAL ? lane_next(w, WEIR_NORMAL) : find_in_lanes(w, lanes);
    return job != NULL ? job : find_elsewhere(w, lanes);
}

/* ---- is anything left? ---- */

static bool lane_is_empty(struct app *app, uint32_t lane)
{
    for (uint32_t i = 0; i < app->worker_count; i++) {
        struct lane *own = &app->workers[i].lanes[lane];
        if (!deque_is_empty(&own->jobs) || !ring_is_empty(&own->ring))
            return false;
    }
    return inbox_is_empty(&app->overflow[lane]);
}

static bool forks_are_empty(struct app *app)
{
    for (uint32_t i = 0; i < app->worker_count; i++)
        if (!deque_is_empty(&app->workers[i].forks))
            return false;
    for (uint32_t taken = app_guests_inside(app); taken != 0; taken &= taken - 1)
        if (!deque_is_empty(&app->guests[__builtin_ctz(taken)].forks))
            return false;
    return true;
}

bool worker_finds_nothing(struct app *app)
{
    uint32_t lanes = app_lanes_in_use(app);
    for (uint32_t lane = 0; lane < LANES; lane++)
        if (lane_is_in(lanes, lane) && !lane_is_empty(app, lane))
            return false;
    return forks_are_empty(app);
}
