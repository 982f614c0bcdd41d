/* SPDX-License-Identifier: Apache-2.0 */
/* alarm.c - one internal timer for each session: wakes its close when something is due by the policy (S9, S10)
 *
 * A timer can be armed again only after its function was called. So it has an owner: first who arms it, then its
 * function, which looks what is due, and arms it again or lets it go. Who makes a time of the policy earlier leaves a
 * wish, and hurries the timer by disarming it: its function is then called with CANCELED, and looks as well.
 *
 *      0 --wish--> OWNED + WISH --look--> OWNED, armed --wish, disarm--> its function: look --> ... --> 0
 *
 *   step       order     partner
 *   Y1 wish    acq_rel   Y2: +OWNED +WISH. From 0: the caller is the owner. The times it has changed go with it
 *   Y2 look    acq_rel   Y1: the owner takes WISH away, then reads the times
 *   Y3 armed   acq_rel   Y1: after arming, a read-modify-write that changes nothing. A wish that came before it is seen
 *                        here, and the owner disarms; one that comes after it finds the timer armed, and disarms itself
 *   Y4 let go  acq_rel   Y1: OWNED -> 0, which fails if there is a wish
 *
 * So no wish is lost. A disarm too many (the timer has fired meanwhile, or has another owner by now) makes the owner
 * look once too often, or meets a timer that is not armed, and does nothing.
 *
 * The owner holds the session's slot (session.h, holders), not the session: an armed timer keeps nobody from
 * completing. session_end leaves a wish; the function that comes then finds the session gone, and gives the slot back.
 * While a session is inside itself (its phase is before CLOSED) the function visits it (G3), and goes out at its end.
 *
 * Nothing is allocated (S6). With the system's clock a close that cancels at once and never abandons needs the timer
 * for its report only: it is armed by the rescue, a millisecond later (rescue.c), so most closes never arm it.
 *
 * Rejected: one timer of the application for all sessions: it would have to find the nearest time among them all, at
 * each close. Rejected: a timer that keeps LIVE: each close would wait for its disarming.
 */
#include "session/close.h"

enum { OWNED = 1, WISH = 2 };

static void arm(struct session *s, int64_t at)
{
    struct timers *timers = &s->all->app->timers;
    timers_arm(timers, &s->alarm, at, 0);
    if ((atomic_fetch_or_explicit(&s->alarm_word, 0, memory_order_acq_rel) & WISH) != 0)        /* Y3 */
        (void)timers_disarm(timers, &s->alarm);
}

/* The owner. not inside: the session is over. */
static void look(struct session *s, bool inside)
{
    for (uint32_t owned;;) {
        (void)atomic_fetch_and_explicit(&s->alarm_word, ~(uint32_t)WISH, memory_order_acq_rel); /* Y2 */
        int64_t next = inside ? policy_next(&s->policy, session_phase_now(&s->slot)) : WEIR_FOREVER;
        if (next != WEIR_FOREVER) {
            arm(s, next);
            return;
        }
        owned = OWNED;
        if (atomic_compare_exchange_strong_explicit(&s->alarm_word, &owned, 0, memory_order_acq_rel, /* Y4 */
                                                    memory_order_relaxed)) {
            session_release_slot(s);
            return;
        }
    }
}

/* On whichever thread has the timers, in time or hurried. */
static void ring(weir_job *job, weir_status status)
{
    struct session *s = job->ctx;
    (void)status;
    bool inside = session_visit(&s->slot, s->handle) == WEIR_OK;
    if (inside)
        close_see_to(s, clock_now(&s->all->app->clock));
    look(s, inside);
    if (inside)
        session_out(s, 1);
}

/* Once for each session: a wisher who is late may be disarming when the next owner arms. */
void alarm_init(struct session *s)
{
    atomic_store_explicit(&s->alarm_word, 0, memory_order_relaxed);        /* the session's word publishes it */
    timer_init_internal(&s->alarm, ring, s);
}

void alarm_wish(struct session *s)
{
    uint32_t old = atomic_fetch_or_explicit(&s->alarm_word, OWNED | WISH, memory_order_acq_rel);    /* Y1 */
    if (old == 0) {
        atomic_fetch_add_explicit(&s->holders, 1, memory_order_relaxed);   /* the session itself is one meanwhile */
        look(s, true);
    } else if ((old & WISH) == 0)
        (void)timers_disarm(&s->all->app->timers, &s->alarm);
}

void alarm_begin(struct session *s)
{
    if (atomic_load_explicit(&s->alarm_word, memory_order_relaxed) == 0)   /* if it is not, somebody has seen to it */
        alarm_wish(s);
}

void alarm_end(struct session *s)
{
    /* relaxed: nobody is inside, so it can only become 0 */
    if (atomic_load_explicit(&s->alarm_word, memory_order_relaxed) == 0)
        return;
    if ((atomic_fetch_or_explicit(&s->alarm_word, WISH, memory_order_acq_rel) & OWNED) != 0)        /* Y1 */
        (void)timers_disarm(&s->all->app->timers, &s->alarm);
}
