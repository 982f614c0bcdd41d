/* SPDX-License-Identifier: Apache-2.0 */
/* alarm.c - one internal timer for each session: wakes its close when something is due by the policy (S9, S10)
 *
 * Who owns it, and how it is hurried: alarm.h. The times are the policy's.
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
#include "session/alarm.h"

#include "session/close.h"

static void arm(struct session *s, int64_t at)
{
    struct timers *timers = &s->all->app->timers;
    timers_arm(timers, &s->alarm, at, 0);
    if (alarm_is_asked(&s->alarm_word))
        (void)timers_disarm(timers, &s->alarm);
}

/* The owner. not inside: the session is over. */
static void look(struct session *s, bool inside)
{
    do {
        alarm_heed(&s->alarm_word);
        int64_t next = inside ? policy_next(&s->policy, session_phase_now(&s->slot)) : WEIR_FOREVER;
        if (next != WEIR_FOREVER) {
            arm(s, next);
            return;
        }
    } while (!alarm_let_go(&s->alarm_word));
    session_release_slot(s);
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
    switch (alarm_ask(&s->alarm_word)) {
    case ALARM_LOOK:
        atomic_fetch_add_explicit(&s->holders, 1, memory_order_relaxed);   /* the session itself is one meanwhile */
        look(s, true);
        break;
    case ALARM_HURRY:
        (void)timers_disarm(&s->all->app->timers, &s->alarm);
        break;
    case ALARM_NOTHING:
        break;
    }
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
    if ((atomic_fetch_or_explicit(&s->alarm_word, ALARM_WISH, memory_order_acq_rel) & ALARM_OWNED) != 0)   /* Y1 */
        (void)timers_disarm(&s->all->app->timers, &s->alarm);
}
