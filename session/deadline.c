/* SPDX-License-Identifier: Apache-2.0 */
/* deadline.c - an operation's own deadline: an internal timer that cancels it with reason TIMEOUT (C5)
 *
 * The timer is part of a record of its own (extra.h), and may fire when the operation is over, as a cancel of a stale
 * handle. It is armed before the operation is published, since afterwards that may be over at any moment.
 *
 *   step        order     partner
 *   D1 fire     acq_rel   D2: FIRED, then the operation is cancelled
 *   D2 look     acq_rel   D1: after T1. If D1 came first, the cancel may have found nobody: the starter cancels; else
 *                         D1 has seen T1
 *   D3 over     acq_rel   D4: OVER, then the timer is disarmed
 *   D4 rearm    acq_rel   D3: armed again, then OVER is looked for: at least one of the two disarms it
 *
 * An idle deadline counts from the last accepted post, or progress. To move the timer with each of them would cost
 * what arming costs. So a post leaves a stamp, the clock's time, and that is all; the timer, when its time has come,
 * looks at the stamp, and if that is younger arms itself for what is left.
 *
 *   Never early: it cancels only if the stamp it looks at is as old as the time-out. Stamps go forward only, and a post
 *   leaves one before it returns. (A post that runs at the very moment of the look may lose against it, as against any
 *   cancel.)
 *   Late by no more than any timer: it is always armed for the time-out after *a* stamp, the last one it looked at, or
 *   the start, and that is not later than the time-out after the last stamp. Cost: one wake-up more for each time-out's
 *   length in which something was posted.
 *
 * Rejected: the kernel's coarse clock for the stamps: it is behind by up to 4 ms, and the deadline would be early.
 */
#include "session/expiry.h"
#include "session/look.h"
#include "workqueue/app.h"

static bool mark(struct op_extra *extra, uint8_t mark)
{
    return (atomic_fetch_or_explicit(&extra->marks, mark, memory_order_acq_rel) & mark) != 0;   /* D1, D2, D3 */
}

static void expire(struct sessions *all, struct op_extra *extra)
{
    op_cancel_named(all, extra->handle, WEIR_REASON_TIMEOUT, extra->timer.item.node.deadline);
}

/* ---- idle ---- */

void deadline_touch(struct sessions *all, struct op_extra *extra)
{
    struct op_idle *idle = extra_idle(extra);
    int64_t now = clock_now(&all->app->clock);
    /* relaxed, both: a number; nothing is to be seen behind it */
    int64_t last = atomic_load_explicit(&idle->stamp, memory_order_relaxed);
    while (last < now && !atomic_compare_exchange_weak_explicit(&idle->stamp, &last, now, memory_order_relaxed,
                                                                memory_order_relaxed))
        ;
}

/* Inside the timer's function, which is therefore not called again before it returns. */
static bool goes_on(struct app *app, struct op_extra *extra)
{
    struct op_idle *idle = extra_idle(extra);
    /* relaxed: as in deadline_touch; by a read-modify-write, which reads the latest one */
    int64_t last = atomic_fetch_add_explicit(&idle->stamp, 0, memory_order_relaxed);
    int64_t deadline = time_add(last, idle->timeout_ns);
    if (time_is_over(deadline, clock_now(&app->clock)))
        return false;
    deadline_arm_at(&app->timers, &extra->timer, deadline);
    if ((atomic_fetch_or_explicit(&extra->marks, 0, memory_order_acq_rel) & EXTRA_OVER) != 0)              /* D4 */
        (void)deadline_disarm(&app->timers, &extra->timer);
    return true;
}

/* ---- both ---- */

/* On whichever thread has the timers. */
void deadline_fire(struct app *app, struct deadline *deadline, weir_status status)
{
    if (deadline->item.owner == DEADLINE_GROUP) {
        expiry_fire(sessions_of(app), (struct expiry *)deadline, status);                /* its first member */
        return;
    }
    struct op_extra *extra = (struct op_extra *)deadline;      /* its first member */
    if (status == WEIR_OK && (extra->has & EXTRA_IDLE) != 0 && goes_on(app, extra))
        return;
    if (status == WEIR_OK) {
        (void)mark(extra, EXTRA_FIRED);                                                                    /* D1 */
        expire(sessions_of(app), extra);
    }
    extra_drop(sessions_of(app), extra);
}

void deadline_arm(struct sessions *all, struct op_extra *extra, int64_t timeout_ns)
{
    int64_t now = clock_now(&all->app->clock);
    if ((extra->has & EXTRA_IDLE) != 0) {
        extra_idle(extra)->timeout_ns = timeout_ns;
        atomic_store_explicit(&extra_idle(extra)->stamp, now, memory_order_relaxed);   /* published by the arming */
    }
    deadline_arm_at(&all->app->timers, &extra->timer, time_add(now, timeout_ns));
}

void deadline_published(struct sessions *all, struct op_extra *extra)
{
    if ((extra->has & EXTRA_TIMER) != 0 && mark(extra, EXTRA_FIRED))                                       /* D2 */
        expire(all, extra);
    extra_drop(all, extra);
}

void deadline_over(struct sessions *all, struct op_extra *extra)
{
    if ((extra->has & EXTRA_IDLE) != 0)
        (void)mark(extra, EXTRA_OVER);                                                                     /* D3 */
    (void)deadline_disarm(&all->app->timers, &extra->timer);
}
