/* SPDX-License-Identifier: Apache-2.0 */
/* timers.c - see timers.h for the theory of operation and the proof */
#include "workqueue/timers.h"

#include "core/verify.h"
#include "workqueue/control.h"

/* ---- the word --------------------------------------------------------------------------------- */

enum { WORD_OWNED = 1, WORD_PASS = 2, WORD_HANDED = 4 };

#define WORD_FLAGS ((uintptr_t)7)
_Static_assert(_Alignof(struct timer_item) > 7, "three bits of an item's address are free");

static inline struct timer_item *word_last_item(uintptr_t word)
{
    return (struct timer_item *)(word & ~WORD_FLAGS);
}

static inline uintptr_t word_with_item(uintptr_t word, struct timer_item *item)
{
    return (uintptr_t)item | (word & WORD_FLAGS);
}

/* ---- one item --------------------------------------------------------------------------------- */

_Static_assert(offsetof(struct timer_item, node) == 0 && offsetof(struct deadline, item) == 0, "see the next two");

static inline struct timer_item *item_of_node(struct wheel_node *node) { return (struct timer_item *)node; }
static inline struct deadline *deadline_of(struct timer_item *item) { return (struct deadline *)item; }

static inline struct timer_item *item_next(struct timer_item *item)
{
    return item->bare ? deadline_of(item)->next : (struct timer_item *)(void *)timer_of_item(item)->job.next;
}

static inline void item_set_next(struct timer_item *item, struct timer_item *next)
{
    if (item->bare)
        deadline_of(item)->next = next;
    else
        timer_of_item(item)->job.next = (struct job *)(void *)next;
}

static inline bool item_is_internal(struct timer_item *item)
{
    return item->bare || timer_of_item(item)->job.kind == JOB_INTERNAL;
}

static inline bool item_is_wait(struct timer_item *item)
{
    return !item->bare && timer_of_item(item)->job.kind == JOB_FDWAIT;
}

static inline _Atomic uint32_t *item_phase(struct timer_item *item)
{
    return item->bare ? &item->phase : &timer_of_item(item)->job.phase;
}

/* As job_move. */
static bool phase_move(_Atomic uint32_t *phase, uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong_explicit(phase, &from, to,
                                                   memory_order_acq_rel,  /* J1 of job.h */
                                                   memory_order_relaxed); /* decides nothing */
}

/* S2: true: LINKED. False: a cancel, or the control thread, was first, and it is LEAVING. */
static bool stage_link(struct timer_item *item)
{
    uint8_t stage = TIMER_NEW;
    bool linked = atomic_compare_exchange_strong_explicit(&item->stage, &stage, TIMER_LINKED,
                                                          memory_order_acq_rel,  /* S2 with S3 */
                                                          memory_order_acquire); /* S2 with S3 */
    weir_assert(linked || stage == TIMER_LEAVING);
    return linked;
}

/* S3: true: the item is in no list, and the caller must put it into the intake. */
static bool stage_leave(struct timer_item *item)
{
    uint8_t stage = atomic_exchange_explicit(&item->stage, TIMER_LEAVING, memory_order_acq_rel); /* S3 with S2 */
    weir_assert(stage == TIMER_NEW || stage == TIMER_LINKED);
    return stage == TIMER_LINKED;
}

static void prepare_arm(struct timer_item *item, bool bare, int64_t deadline)
{
    item->node.next = NULL;
    item->node.deadline = deadline;
    item->bare = bare;
    /* relaxed: nobody else looks before the phase becomes ARMED, which releases it (S1); for a wait, before its
     * starter is through (D2 of fdwait.h) */
    atomic_store_explicit(&item->stage, TIMER_NEW, memory_order_relaxed);
}

/* The first deadline + n * period that is after now: ticks that were missed are one (Q1). */
static int64_t next_tick(int64_t deadline, int64_t period, int64_t now)
{
    uint64_t late = now > deadline ? (uint64_t)now - (uint64_t)deadline : 0;
    int64_t ahead;
    if (__builtin_mul_overflow(late / (uint64_t)period + 1, (uint64_t)period, &ahead))
        return WEIR_FOREVER;
    return time_add(deadline, ahead);
}

/* ---- what the owner does ---------------------------------------------------------------------- */

static void call_internal(struct timers *timers, struct timer_item *item, weir_status status)
{
    struct job *job = &timer_of_item(item)->job;
    if (item->bare)
        timers->deadline(timers->app, deadline_of(item), status);
    else
        job->fn(job_public(job), status);
}

/* It has been found in the intake, LEAVING: its phase is decided, and it is nobody else's any more. */
static void end_leaving(struct timers *timers, struct timer_item *item)
{
    bool internal = item_is_internal(item);
    if (wheel_node_is_in(&item->node))
        wheel_remove(&timers->wheel, &item->node);
    /* relaxed: only the owner moves it on from ENDING, and what the canceller did before came here with S3 */
    if (atomic_load_explicit(item_phase(item), memory_order_relaxed) == JOB_ENDING)
        atomic_store_explicit(item_phase(item), internal ? JOB_OVER : JOB_MARKED,
                              memory_order_relaxed); /* and goes on with the queue (E10) */
    if (internal)
        call_internal(timers, item, WEIR_CANCELED);
    else
        timers->dispatch(timers->app, &timer_of_item(item)->job);
}

/* Its time has come, and it is out of the wheel. If a cancel was first it will be in the intake. */
static void end_due(struct timers *timers, struct timer_item *item)
{
    bool internal = item_is_internal(item);
    if (!phase_move(item_phase(item), JOB_ARMED, internal ? JOB_OVER : JOB_QUEUED))
        return;
    if (internal)
        call_internal(timers, item, WEIR_OK);
    else if (item_is_wait(item))
        timers->expired(timers->expired_ctx, timer_of_item(item));
    else
        timers->dispatch(timers->app, &timer_of_item(item)->job);
}

/* The application ends, and it is out of the wheel. A descriptor wait is ended by the control thread, which
 * then finds it here as an item without a place in the wheel. */
static void end_refused(struct timers *timers, struct timer_item *item)
{
    if (item_is_wait(item))
        return;
    bool internal = item_is_internal(item);
    if (!phase_move(item_phase(item), JOB_ARMED, internal ? JOB_OVER : JOB_QUEUED))
        return;
    if (internal) {
        call_internal(timers, item, WEIR_SHUTDOWN);
    } else {
        struct job *job = &timer_of_item(item)->job;
        job->forced = WEIR_SHUTDOWN;
        timers->dispatch(timers->app, job);
    }
}

static void apply_item(struct timers *timers, struct timer_item *item)
{
    if (!stage_link(item))
        end_leaving(timers, item);
    else if (timers->refusing)
        end_refused(timers, item);
    else
        wheel_insert(&timers->wheel, &item->node);
}

/* Oldest first, so that equal deadlines stay in the order in which they were armed. */
static void apply_intake(struct timers *timers, struct timer_item *last)
{
    struct timer_item *first = NULL;
    for (struct timer_item *item = last, *before; item != NULL; item = before) {
        before = item_next(item);
        item_set_next(item, first);
        first = item;
    }
    while (first != NULL) {
        struct timer_item *item = first;
        first = item_next(item);
        apply_item(timers, item);
    }
}

static void refuse_all(struct timers *timers)
{
    timers->refusing = true;
    struct wheel_list all = wheel_drain(&timers->wheel);
    for (struct wheel_node *node; (node = wheel_list_take(&all)) != NULL;)
        end_refused(timers, item_of_node(node));
}

static bool is_ending(const struct timers *timers)
{
    /* relaxed: timers_shutdown set it before it asked for its pass (W1, W2 or W6) */
    return atomic_load_explicit(&timers->ending, memory_order_relaxed);
}

static void fire_due(struct timers *timers)
{
    if (!timers->refusing && is_ending(timers))
        refuse_all(timers);
    int64_t now = clock_now(timers->clock);
    if (time_is_over(timers->alarm, now))
        timers->alarm = WEIR_FOREVER;
    struct wheel_list due = wheel_expire(&timers->wheel, now);
    for (struct wheel_node *node; (node = wheel_list_take(&due)) != NULL;)
        end_due(timers, item_of_node(node));
}

static void set_alarm(struct timers *timers)
{
    int64_t next = wheel_next_deadline(&timers->wheel);
    if (next >= timers->alarm || clock_is_manual(timers->clock))
        return;
    timers->alarm = next;
    control_set_alarm(timers->control, next);
}

/* W5. After the end has begun the control thread may be gone: the pass is then done here, unless somebody
 * else has taken the wheel meanwhile. acquire: if the end's pass was asked for before W5, ending shows;
 * if after, then whoever asked finds HANDED. */
static void hand_over(struct timers *timers)
{
    (void)atomic_fetch_or_explicit(&timers->word, WORD_HANDED, memory_order_acq_rel); /* W5 with W6, W2 */
    if (is_ending(timers))
        timers_pass(timers);
    else
        control_request(timers->control, CONTROL_TIMERS);
}

/* The owner goes: by W3, or by W5 when more is asked of it than it should do. */
static void leave_wheel(struct timers *timers, bool in_pass)
{
    for (unsigned round = 0;; round++) {
        set_alarm(timers);
        uintptr_t word = WORD_OWNED;
        if (atomic_compare_exchange_strong_explicit(&timers->word, &word, 0,
                                                    memory_order_release,  /* W3 with W1 */
                                                    memory_order_relaxed)) /* W4 follows */
            return;
        word = atomic_exchange_explicit(&timers->word, WORD_OWNED, memory_order_acquire); /* W4 with W2 */
        apply_intake(timers, word_last_item(word));
        bool asked = (word & WORD_PASS) != 0, ending = is_ending(timers);
        if (!ending && ((asked && !in_pass) || round == TIMERS_ROUNDS_MAX)) {
            hand_over(timers);
            return;
        }
        if (asked)
            fire_due(timers);
    }
}

/* ---- what the others do ----------------------------------------------------------------------- */

/* Puts an item before the owner: W1, and the caller does it itself; or W2. */
static void submit_item(struct timers *timers, struct timer_item *item)
{
    uintptr_t word = atomic_load_explicit(&timers->word, memory_order_relaxed); /* a guess; the CAS checks */
    for (;;) {
        if (word == 0) {
            if (atomic_compare_exchange_weak_explicit(&timers->word, &word, WORD_OWNED,
                                                      memory_order_acquire, /* W1 with W3 */
                                                      memory_order_relaxed)) {
                apply_item(timers, item);
                leave_wheel(timers, false);
                return;
            }
        } else {
            item_set_next(item, word_last_item(word));
            if (atomic_compare_exchange_weak_explicit(&timers->word, &word, word_with_item(word, item),
                                                      memory_order_release, /* W2 with W4 */
                                                      memory_order_relaxed))
                return;
        }
    }
}

void timers_arm(struct timers *timers, struct timer *timer, int64_t deadline, int64_t period)
{
    weir_assert(job_is_free(&timer->job));
    prepare_arm(&timer->item, false, deadline);
    timer_set_period(&timer->job, period);
    job_begin(&timer->job, JOB_ARMED); /* S1 */
    submit_item(timers, &timer->item);
}

void timers_join(struct timers *timers, struct timer *timer, int64_t deadline)
{
    prepare_arm(&timer->item, false, deadline);
    submit_item(timers, &timer->item);
}

void timers_rearm(struct timers *timers, struct job *job)
{
    struct timer *timer = timer_of(job);
    int64_t deadline = next_tick(timer->item.node.deadline, timer_period(job), clock_now(timers->clock));
    prepare_arm(&timer->item, false, deadline);
    if (job_move(job, JOB_PERIODIC, JOB_ARMED)) /* S1 */
        submit_item(timers, &timer->item);
    else
        timers->dispatch(timers->app, job);
}

static void release_item(struct timers *timers, struct timer_item *item)
{
    if (stage_leave(item))
        submit_item(timers, item);
}

void timers_release(struct timers *timers, struct timer *timer)
{
    release_item(timers, &timer->item);
}

void timers_cancelled(struct timers *timers, struct job *job)
{
    timers_release(timers, timer_of(job));
}

bool timers_disarm(struct timers *timers, struct timer *timer)
{
    weir_assert(timer->job.kind == JOB_INTERNAL);
    if (!job_move(&timer->job, JOB_ARMED, JOB_ENDING))
        return false;
    timers_release(timers, timer);
    return true;
}

void deadline_arm_at(struct timers *timers, struct deadline *deadline, int64_t time)
{
    prepare_arm(&deadline->item, true, time);
    atomic_store_explicit(&deadline->item.phase, JOB_ARMED, memory_order_release); /* S1; J1 of job.h */
    submit_item(timers, &deadline->item);
}

bool deadline_disarm(struct timers *timers, struct deadline *deadline)
{
    /* Its own phase: until that is ENDING, the owner may arm it anew, and nothing else of it is to be read. */
    if (!phase_move(&deadline->item.phase, JOB_ARMED, JOB_ENDING))
        return false;
    release_item(timers, &deadline->item);
    return true;
}

void timer_init_internal(struct timer *timer, weir_job_fn *fn, void *ctx)
{
    *timer = (struct timer){ .item = { .bare = false } };
    job_init_internal(&timer->job, fn, ctx, WEIR_NORMAL);
}

/* Asks for a pass, and takes the wheel for it if it is to be had: W1 or W6. False: its owner will see to it. */
static bool enter_for_pass(struct timers *timers)
{
    uintptr_t word = atomic_load_explicit(&timers->word, memory_order_relaxed); /* a guess; the CAS checks */
    for (;;) {
        bool mine = word == 0 || (word & WORD_HANDED) != 0;
        uintptr_t next = (word & ~(uintptr_t)WORD_HANDED) | WORD_OWNED | WORD_PASS;
        if (atomic_compare_exchange_weak_explicit(&timers->word, &word, next,
                                                  memory_order_acq_rel, /* W1, W6; or W2, for PASS */
                                                  memory_order_relaxed))
            return mine;
    }
}

/* As the owner the caller finds its own PASS, after the intake: what was armed before it asked is in the wheel
 * by then. */
void timers_pass(struct timers *timers)
{
    if (enter_for_pass(timers))
        leave_wheel(timers, true);
}

void timers_shutdown(struct timers *timers)
{
    /* relaxed: timers_pass releases it, to whoever does the pass (W2), or does it here */
    atomic_store_explicit(&timers->ending, true, memory_order_relaxed);
    timers_pass(timers);
}

/* ---- create and destroy ----------------------------------------------------------------------- */

void timers_init(struct timers *timers, const struct clock *clock, struct control *control,
                 struct app *app, timers_dispatch_fn *dispatch)
{
    atomic_init(&timers->word, 0);
    atomic_init(&timers->ending, false);
    timers->refusing = false;
    timers->alarm = WEIR_FOREVER;
    timers->clock = clock;
    timers->control = control;
    timers->app = app;
    timers->dispatch = dispatch;
    timers->expired = NULL;
    timers->expired_ctx = NULL;
    timers->deadline = NULL;
    wheel_init(&timers->wheel, clock_now(clock));
}

void timers_on_expired(struct timers *timers, timers_expired_fn *expired, void *ctx)
{
    timers->expired = expired;
    timers->expired_ctx = ctx;
}

void timers_on_deadline(struct timers *timers, timers_deadline_fn *deadline)
{
    timers->deadline = deadline;
}

void timers_fini(struct timers *timers)
{
    weir_assert(word_last_item(atomic_load_explicit(&timers->word, memory_order_relaxed)) == NULL); /* alone */
    weir_assert(wheel_is_empty(&timers->wheel));
    (void)timers;
}
