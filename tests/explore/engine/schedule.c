/* SPDX-License-Identifier: Apache-2.0 */
/* schedule.c - who takes the next step
 *
 * A step is what a thread does from one schedule_point() to the next: one access that others can
 * see, then code that they cannot. The point comes before the access and announces it
 * (thread->next), so that a step's footprint is known before it is taken: sleep sets need that.
 *
 * At a point there are candidates: the thread itself, first; the others that are ready; blocked
 * threads whose deadline may pass early or whose wait may end for no reason. search.c picks one.
 * What a pick costs:
 *   leaving a thread that goes on       1 preemption       (leaving one that blocks, ends or yields is free)
 *   going on although one yields        1 preemption       (when somebody else can run)
 *   an early time-out, a spurious end   1 of its own budget, and no preemption
 *
 * Sleep sets. Thread c goes on at a point; that subtree is searched first. Then another thread u
 * is tried, and c is put to sleep: until somebody takes a step that conflicts with c's announced
 * step t, running c only leads to what was seen already, because "u w t" has the same effect as "t
 * u w". This stays right with a bound on preemptions: "t u w" costs at most what "u w t" costs,
 * since leaving c before t costs 1 and leaving it after t costs 1 or, if t was its last, 0; and a
 * thread that blocks within w on what t would release has taken a step that conflicts with t,
 * which woke c. It would be wrong for the other candidates (swapping u behind one of *them* adds a
 * preemption), so these sleep only when preemptions are not bounded. A yield and the passing of
 * time wake everybody.
 *
 * Local steps. A thread is not left before an access to a location that no second thread has ever
 * met: leaving it after that access gives the same run at the same price. "Ever" means in any run
 * of this search; when a location turns out to be shared, search.c searches once more with that
 * knowledge, until nothing new turns up.
 *
 * Time is a number. It moves to the earliest deadline when nobody can run, or when everybody who
 * can only spins; an early time-out moves it too. */
#include "engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "shadow.h"

enum leave { GOES_ON, YIELDS, STOPS };
enum how { RUN, RUN_DUE, RUN_EARLY, RUN_SPURIOUS, SPIN_ON, TIME_PASSES };
struct candidate {
    uint8_t thread, how;
};
enum { CANDIDATES_MAX = 31, IDLE_YIELDS_MAX = 500, SPIN_ALLOWANCE = 128 };

static uint32_t bit(const struct thread *thread)
{
    return 1u << thread->id;
}

/* ---- switching ---- */

static void switch_to(struct thread *to)
{
    struct thread *from = engine.current;
    if (to == from)
        return;
    engine.current = to;
    memcpy(from->tls, engine.tls_live, engine.tls_size);
    memcpy(engine.tls_live, to->tls, engine.tls_size);
    from->saved_errno = errno;
    errno = to->saved_errno;
    fiber_switch(&from->stack_pointer, to->stack_pointer);
}

_Noreturn void schedule_leave(void)
{
    void *abandoned;
    engine.running = false;
    fiber_switch(&abandoned, engine.home);
    __builtin_unreachable();
}

_Noreturn void schedule_cut(void)
{
    engine.was_cut = true;
    schedule_leave();
}

/* ---- sleep sets ---- */

static bool conflict(struct footprint a, struct footprint b)
{
    unsigned either = a.touch | b.touch;
    if (either & TOUCH_EVERYTHING)
        return true;
    if (a.object == b.object && a.object != 0 && (either & TOUCH_WRITE))
        return true;
    enum { SC = TOUCH_SC_READ | TOUCH_SC_WRITE | TOUCH_SC_FENCE };
    return engine.weak && (either & TOUCH_SC_FENCE) && (a.touch & SC) && (b.touch & SC);
}

static void wake_sleepers(struct footprint step)
{
    for (uint32_t rest = engine.asleep; rest != 0; rest &= rest - 1) {
        int i = __builtin_ctz(rest);
        if (conflict(engine.threads[i].next, step))
            engine.asleep &= ~(1u << i);
    }
}

static bool is_local(struct footprint step)
{
    if (step.touch & (TOUCH_EVERYTHING | TOUCH_SC_FENCE))
        return false;
    return step.object == 0 || (step.object >= PAGE && !shadow_is_shared(step.object));
}

/* ---- time ---- */

static int64_t deadline_of(const struct thread *thread)
{
    int64_t timers = descriptors_next_expiry((int)thread->waits_for);
    bool polls = thread->waits_in != NULL && thread->waits_in[0] == 'e'; /* epoll_wait */
    return polls && timers < thread->deadline ? timers : thread->deadline;
}

void schedule_advance(int64_t time)
{
    if (time > engine.now)
        engine.now = time;
    engine.asleep = 0;
    for (uint32_t rest = engine.timed; rest != 0; rest &= rest - 1) {
        int i = __builtin_ctz(rest);
        if (deadline_of(&engine.threads[i]) <= engine.now)
            engine.due |= 1u << i;
    }
}

static int64_t earliest_deadline(void)
{
    int64_t earliest = NEVER;
    for (uint32_t rest = engine.timed; rest != 0; rest &= rest - 1) {
        int64_t deadline = deadline_of(&engine.threads[__builtin_ctz(rest)]);
        earliest = deadline < earliest ? deadline : earliest;
    }
    return earliest;
}

static void time_jumps(void)
{
    int64_t earliest = earliest_deadline();
    if (earliest != NEVER)
        schedule_advance(earliest);
}

/* ---- candidates ---- */

static void add(struct candidate *list, unsigned *count, uint32_t threads, enum how how)
{
    for (; threads != 0 && *count < CANDIDATES_MAX; threads &= threads - 1)
        list[(*count)++] = (struct candidate){(uint8_t)__builtin_ctz(threads), (uint8_t)how};
}

static unsigned list_candidates(enum leave leave, struct candidate *list)
{
    unsigned count = 0;
    uint32_t self = bit(engine.current);
    uint32_t others = engine.ready & ~self;
    if (leave == GOES_ON)
        add(list, &count, self, RUN);
    if (leave != GOES_ON || engine.left.preemptions > 0) {
        add(list, &count, others, RUN);
        add(list, &count, engine.due, RUN_DUE);
    }
    if (count == 0 && leave == YIELDS)
        add(list, &count, self, RUN);
    else if (leave == YIELDS && engine.left.preemptions > 0)
        add(list, &count, self, SPIN_ON);
    if (count == 0 && earliest_deadline() != NEVER)
        add(list, &count, self, TIME_PASSES);
    else if (count > 0 && engine.left.early > 0)
        add(list, &count, engine.timed & ~engine.due, RUN_EARLY);
    if (count == 0)
        return 0; /* a wait that may end for no reason is no way out */
    if (engine.left.spurious > 0)
        add(list, &count, engine.interruptible, RUN_SPURIOUS);
    return count;
}

static bool nobody_else_can_run(void)
{
    bool others = ((engine.ready & ~bit(engine.current)) | engine.due) != 0;
    return !(others && engine.left.preemptions > 0) && !(engine.left.early > 0 && (engine.timed & ~engine.due))
           && !(engine.left.spurious > 0 && engine.interruptible);
}

/* ---- reports ---- */

static _Noreturn void report_deadlock(void)
{
    char text[400] = "", name[96];
    size_t used = 0;
    for (int i = 0; i < engine.thread_count; i++) {
        const struct thread *t = &engine.threads[i];
        if (t->state == THREAD_BLOCKED && used < sizeof text)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s T%d in %s(%s)", used ? "," : "", i,
                                     t->waits_in, trace_name(t->waits_for, name, sizeof name));
    }
    explore_fail("deadlock or lost wake-up:%s", text);
}

/* ---- picking ---- */

static unsigned pick_by_priority(const struct candidate *list, unsigned count, enum leave leave)
{
    struct thread *me = engine.current;
    for (int i = 0; i < engine.options.depth; i++)
        if (engine.pct_change[i] == engine.steps)
            me->priority = --engine.pct_low;
    if (leave == YIELDS)
        me->priority = --engine.pct_low;
    unsigned best = 0;
    for (unsigned i = 1; i < count; i++) {
        if (list[i].how == RUN_EARLY || list[i].how == RUN_SPURIOUS) {
            if (search_random() % 8 == 0)
                return i;
        } else if (list[i].how != SPIN_ON
                   && engine.threads[list[i].thread].priority > engine.threads[list[best].thread].priority)
            best = i;
    }
    return best;
}

static unsigned pick_at_random(const struct candidate *list, unsigned count, enum leave leave)
{
    if (leave == GOES_ON && search_random() % 4 != 0)
        return 0;
    unsigned k = (unsigned)(search_random() % count);
    return list[k].how == SPIN_ON && search_random() % 4 != 0 ? 0 : k;
}

static uint64_t state_now(enum leave leave)
{
    uint64_t state = (uint64_t)engine.now;
    for (int i = 0; i < engine.thread_count; i++)
        state += hash_mix(engine.threads[i].hash, (uint64_t)i + 1);
    if (leave == YIELDS)
        return hash_mix(state, 100 + (uint64_t)engine.current->id);
    if (leave == GOES_ON && engine.bounds.preemptions < EXPLORE_UNBOUNDED)
        return hash_mix(state, 1 + (uint64_t)engine.current->id);
    return state;
}

static uint32_t not_worth_trying(const struct candidate *list, unsigned count, enum leave leave)
{
    uint32_t skip = 0;
    if (leave == GOES_ON && is_local(engine.current->next))
        skip = (1u << count) - 2;
    for (unsigned i = 0; i < count; i++)
        if (list[i].how <= RUN_DUE && (engine.asleep >> list[i].thread & 1))
            skip |= 1u << i;
    return skip;
}

static unsigned pick(const struct candidate *list, unsigned count, enum leave leave)
{
    if (count == 1 && !engine.reduce)
        return 0;
    if (engine.options.mode == EXPLORE_PCT || engine.options.mode == EXPLORE_RANDOM) {
        unsigned k = engine.options.mode == EXPLORE_PCT ? pick_by_priority(list, count, leave)
                                                        : pick_at_random(list, count, leave);
        return search_choose(count, ~(1u << k));
    }
    if (!engine.reduce)
        return search_choose(count, 0);
    uint32_t skip = not_worth_trying(list, count, leave);
    if (count == 1 && skip == 0)
        return 0;
    bool branches = (~skip & ((1u << count) - 1)) != 1;
    if (branches && engine.choice_at == engine.choice_count && search_is_known(state_now(leave)))
        schedule_cut();
    unsigned k = search_choose(count, skip);
    bool all_sleep = engine.bounds.preemptions >= EXPLORE_UNBOUNDED;
    for (unsigned i = 0; i < k; i++)
        if (list[i].how == RUN && (all_sleep || (leave == GOES_ON && i == 0)))
            engine.asleep |= 1u << list[i].thread;
    return k;
}

/* ---- the step ---- */

static void unblock(struct thread *thread, enum wake_reason reason)
{
    uint32_t mask = bit(thread);
    thread->state = THREAD_READY;
    thread->reason = reason;
    thread_saw(thread, (uint64_t)reason + 1);
    engine.ready |= mask;
    engine.due &= ~mask;
    engine.timed &= ~mask;
    engine.interruptible &= ~mask;
}

static void pay(struct candidate chosen, unsigned k, enum leave leave)
{
    struct thread *thread = &engine.threads[chosen.thread];
    if (chosen.how == RUN_EARLY)
        engine.left.early--;
    else if (chosen.how == RUN_SPURIOUS)
        engine.left.spurious--;
    else if (chosen.how == SPIN_ON || (leave == GOES_ON && k != 0))
        engine.left.preemptions--;

    struct footprint step = thread->next;
    switch ((enum how)chosen.how) {
    case RUN: break;
    case RUN_EARLY:
        schedule_advance(deadline_of(thread));
        TRACE("time-out comes early", 0, 0, "", 0);
        /* fall through */
    case RUN_DUE:
        unblock(thread, TIMED_OUT);
        step.touch |= TOUCH_EVERYTHING;
        break;
    case RUN_SPURIOUS: unblock(thread, SPURIOUS); break;
    case TIME_PASSES: break;
    case SPIN_ON:
        thread->may_spin = SPIN_ALLOWANCE;
        thread_saw(thread, 77);
        break;
    }
    engine.asleep &= ~bit(thread);
    if (engine.asleep != 0)
        wake_sleepers(step);
}

static void dispatch(enum leave leave)
{
    struct thread *me = engine.current;
    if (++engine.steps > (uint64_t)engine.bounds.steps)
        explore_fail("livelock: more than %d steps", engine.bounds.steps);
    if (leave == GOES_ON && nobody_else_can_run()) {
        if (engine.asleep != 0)
            wake_sleepers(me->next);
        return;
    }
    struct candidate list[CANDIDATES_MAX];
    unsigned k;
    for (;;) {
        unsigned count = list_candidates(leave, list);
        if (count == 0)
            report_deadlock();
        k = pick(list, count, leave);
        if (list[k].how != TIME_PASSES)
            break;
        time_jumps();
    }
    pay(list[k], k, leave);
    switch_to(&engine.threads[list[k].thread]);
}

void schedule_point(uintptr_t object, unsigned touch)
{
    engine.current->next = (struct footprint){object, touch};
    thread_saw(engine.current, 13); /* having announced this is a state of its own */
    dispatch(GOES_ON);
}

void schedule_yield(void)
{
    struct thread *me = engine.current;
    if (++engine.idle_yields > IDLE_YIELDS_MAX)
        explore_fail("livelock: T%d spins, and nobody makes progress", me->id);
    if (engine.idle_yields > 2 * (unsigned)engine.thread_count)
        time_jumps(); /* who can run only spins: time passes meanwhile */
    me->progress++;
    me->next = (struct footprint){0, TOUCH_EVERYTHING};
    thread_saw(me, 99);
    engine.asleep = 0; /* the yield itself is the step, and it conflicts */
    dispatch(YIELDS);
}

void schedule_looked_in_vain(void)
{
    if (engine.current->may_spin > 0)
        engine.current->may_spin--;
    else
        schedule_yield();
}

/* The caller has announced and taken the step that found a reason to wait. */
enum wake_reason schedule_block(uintptr_t object, int64_t deadline, bool interruptible, const char *in)
{
    struct thread *me = engine.current;
    me->state = THREAD_BLOCKED;
    me->waits_for = object;
    me->waits_in = in;
    me->deadline = deadline;
    me->interruptible = interruptible;
    me->next = (struct footprint){object, TOUCH_WRITE};
    uint32_t mask = bit(me);
    engine.ready &= ~mask;
    if (deadline_of(me) != NEVER)
        engine.timed |= mask;
    if (deadline_of(me) <= engine.now)
        engine.due |= mask;
    if (interruptible)
        engine.interruptible |= mask;
    thread_saw(me, object);
    dispatch(STOPS);
    return me->reason;
}

void schedule_wake(struct thread *thread)
{
    thread_saw(thread, engine.current->hash);
    unblock(thread, WOKEN);
    thread->next = (struct footprint){0, 0};
}

unsigned schedule_waiters(uintptr_t object, struct thread **waiters)
{
    unsigned count = 0;
    for (int i = 0; i < engine.thread_count; i++)
        if (engine.threads[i].state == THREAD_BLOCKED && engine.threads[i].waits_for == object)
            waiters[count++] = &engine.threads[i];
    return count;
}

/* The current thread has ended. */
_Noreturn void schedule_stop(void)
{
    engine.current->state = THREAD_ENDED;
    engine.ready &= ~bit(engine.current);
    engine.idle_yields = 0;
    dispatch(STOPS);
    __builtin_unreachable();
}
