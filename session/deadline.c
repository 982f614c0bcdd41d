/* SPDX-License-Identifier: Apache-2.0 */
/* deadline.c - an operation's deadline: an internal timer that cancels it with reason TIMEOUT (C5)
 *
 * The timer's record is not part of the operation: few have a deadline, and it may fire when the operation is over, as
 * a cancel of a stale handle. It has three holders: the timer until its function has been called, the operation until
 * its slot is free, the starter until the operation is published. The last one frees it.
 *
 *   step        order     partner
 *   D1 fire     acq_rel   D2: fired := true, then the operation is cancelled
 *   D2 look     acq_rel   D1: after T1. If D1 came first, the cancel may have found nobody: the starter cancels; else
 *                         D1 has seen T1
 *   D3 drop     acq_rel   holders - 1: the last one sees what all have done
 */
#include "session/look.h"
#include "workqueue/app.h"

struct op_extra {
    struct timer timer;
    struct sessions *all;                                      /* I */
    int64_t deadline;                                          /* I, likewise */
    uint64_t handle;                                           /* I, from before the timer is armed */
    _Atomic uint32_t holders;                                  /* A: D3 */
    _Atomic bool fired;                                        /* A: D1, D2 */
};

static void drop(struct op_extra *extra, uint32_t holders)
{
    if (atomic_fetch_sub_explicit(&extra->holders, holders, memory_order_acq_rel) == holders)              /* D3 */
        memory_free(&extra->all->app->memory, extra, sizeof(*extra));
}

static void expire(struct sessions *all, uint64_t handle, int64_t deadline)
{
    struct op_ref ref = { .all = all, .index = handle_slot(handle) };
    struct op_change change;
    ref.op = (struct op *)slots_at(&all->ops, ref.index);
    ref.group = group_of(&all->ops, ref.index);
    latency_stamp_one(ref.op, handle, deadline);
    if (op_move_at(&ref.op->slot, handle, op_cancel, WEIR_REASON_TIMEOUT, &change) == WEIR_OK)
        op_follow(&ref, &change);
}

/* On whichever thread has the timers. */
static void deadline_fire(weir_job *job, weir_status status)
{
    struct op_extra *extra = job->ctx;
    if (status == WEIR_OK) {
        (void)atomic_exchange_explicit(&extra->fired, true, memory_order_acq_rel);                         /* D1 */
        expire(extra->all, extra->handle, extra->deadline);
    }
    drop(extra, 1);
}

struct op_extra *deadline_make(struct sessions *all)
{
    struct op_extra *extra = memory_alloc(&all->app->memory, sizeof(*extra), CACHE_LINE);
    if (extra == NULL)
        return NULL;
    *extra = (struct op_extra){ .all = all, .holders = 3 };
    timer_init_internal(&extra->timer, deadline_fire, extra);
    return extra;
}

void deadline_unmake(struct op_extra *extra)
{
    if (extra != NULL)
        drop(extra, 3);
}

void deadline_arm(struct op_extra *extra, uint64_t handle, int64_t timeout_ns)
{
    struct app *app = extra->all->app;
    extra->handle = handle;
    extra->deadline = time_add(clock_now(&app->clock), timeout_ns);
    timers_arm(&app->timers, &extra->timer, extra->deadline, 0);
}

void deadline_published(struct op_extra *extra)
{
    if (atomic_exchange_explicit(&extra->fired, true, memory_order_acq_rel))                               /* D2 */
        expire(extra->all, extra->handle, extra->deadline);
    drop(extra, 1);
}

void deadline_over(struct op_extra *extra)
{
    (void)timers_disarm(&extra->all->app->timers, &extra->timer);
}

void deadline_free(struct op_extra *extra)
{
    drop(extra, 1);
}
