/* SPDX-License-Identifier: Apache-2.0 */
/* expiry.c - deadlines that a session gives; see expiry.h */
#include "session/expiry.h"

#include "session/alarm.h"
#include "session/look.h"
#include "workqueue/app.h"

static _Atomic(struct expiry *) *place_of(struct sessions *all, uint32_t index)
{
    struct group_cold *cold = slots_cold(&all->ops, index & ~(uint32_t)(GROUP_SLOTS - 1));
    return &cold->expiry;
}

/* ---- the walk ---- */

/* The operation's deadline, if it is to come. If it has come it is cancelled. */
static int64_t expire(struct sessions *all, uint32_t index, int64_t now)
{
    struct op *op = (struct op *)slots_at(&all->ops, index);
    uint64_t word = atomic_load_explicit(&op->slot.word, memory_order_acquire);         /* T1 */
    int64_t deadline = op_deadline(op);
    if (op_phase(word) == OP_FREE || op_is_decided(word) || deadline == WEIR_FOREVER)
        return WEIR_FOREVER;
    if (!time_is_over(deadline, now))
        return deadline;
    op_cancel_named(all, handle_make(HANDLE_OP, all->app->place.index, index, slot_word_generation(word)),
                    WEIR_REASON_TIMEOUT, deadline);
    return WEIR_FOREVER;
}

static int64_t walk(struct sessions *all, struct expiry *e, int64_t now)
{
    struct group *group = group_of(&all->ops, e->first);
    int64_t next = WEIR_FOREVER;
    atomic_store_explicit(&e->at, WEIR_FOREVER, memory_order_relaxed);                  /* K3' publishes it */
    (void)atomic_fetch_or_explicit(&group->leaf[ROSTER_READY], 0, memory_order_acq_rel);                  /* K3' */
    /* relaxed: a slot was taken out of the free leaf before its K3 */
    uint64_t taken = ~atomic_load_explicit(&group->leaf[ROSTER_FREE], memory_order_relaxed);
    for (uint64_t rest = taken & ~UINT64_C(1); rest != 0; rest &= rest - 1) {
        int64_t deadline = expire(all, e->first + (uint32_t)__builtin_ctzll(rest), now);
        next = deadline < next ? deadline : next;
    }
    return next;
}

/* ---- the owner ---- */

static void arm(struct sessions *all, struct expiry *e, int64_t deadline)
{
    struct timers *timers = &all->app->timers;
    atomic_store_explicit(&e->at, deadline, memory_order_relaxed);                      /* see expiry.h */
    deadline_arm_at(timers, &e->timer, deadline);
    if (alarm_is_asked(&e->alarm))
        (void)deadline_disarm(timers, &e->timer);
}

static void look(struct sessions *all, struct expiry *e)
{
    do {
        alarm_heed(&e->alarm);
        int64_t next = walk(all, e, clock_now(&all->app->clock));
        if (next != WEIR_FOREVER) {
            arm(all, e, next);
            return;
        }
    } while (!alarm_let_go(&e->alarm));
}

void expiry_fire(struct sessions *all, struct expiry *e, weir_status status)
{
    if (status != WEIR_SHUTDOWN)                               /* every session has ended, and the timers refuse */
        look(all, e);
}

/* ---- starters ---- */

struct expiry *expiry_need(struct sessions *all, uint32_t index)
{
    _Atomic(struct expiry *) *place = place_of(all, index);
    struct expiry *there = atomic_load_explicit(place, memory_order_acquire);           /* with the exchange below */
    if (there != NULL)
        return there;
    struct expiry *e = memory_alloc(&all->app->memory, sizeof(*e), _Alignof(struct expiry));
    if (e == NULL)
        return NULL;
    *e = (struct expiry){ .timer.item.owner = DEADLINE_GROUP, .first = index & ~(uint32_t)(GROUP_SLOTS - 1),
                          .at = WEIR_FOREVER };
    if (atomic_compare_exchange_strong_explicit(place, &there, e,
                                                memory_order_acq_rel,    /* with the load above */
                                                memory_order_acquire))   /* the other's record is whole */
        return e;
    memory_free(&all->app->memory, e, sizeof(*e));
    return there;
}

void expiry_expect(struct sessions *all, struct expiry *e, int64_t deadline)
{
    if (atomic_load_explicit(&e->at, memory_order_relaxed) <= deadline)                 /* see expiry.h */
        return;
    if (alarm_take(&e->alarm)) {
        arm(all, e, deadline);
        return;
    }
    switch (alarm_ask(&e->alarm)) {
    case ALARM_LOOK:
        look(all, e);
        break;
    case ALARM_HURRY:
        (void)deadline_disarm(&all->app->timers, &e->timer);
        break;
    case ALARM_NOTHING:
        break;
    }
}

/* ---- the end ---- */

void expiry_fini(struct sessions *all)
{
    for (uint32_t index = 0; slots_at(&all->ops, index) != NULL; index += GROUP_SLOTS) {
        struct expiry *e = atomic_load_explicit(place_of(all, index), memory_order_relaxed);   /* nobody is left */
        memory_free(&all->app->memory, e, sizeof(*e));
    }
}
