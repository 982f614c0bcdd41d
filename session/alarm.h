/* SPDX-License-Identifier: Apache-2.0 */
/* alarm.h - the word of a timer that one owns, and that anybody may hurry
 *
 * A timer can be armed again only after its function was called. So it has an owner: first who arms it, then its
 * function, which looks what is due, and arms it again or lets it go. Who makes a time earlier leaves a wish, and
 * hurries the timer by disarming it: its function is then called with CANCELED, and looks as well.
 *
 *      0 --wish--> OWNED + WISH --look--> OWNED, armed --wish, disarm--> its function: look --> ... --> 0
 *
 *   step       order     partner
 *   Y0 take    acq_rel   Y1, Y4: 0 -> OWNED, by who knows what is due first, and arms without a look
 *   Y1 wish    acq_rel   Y2: +OWNED +WISH. From 0: the caller is the owner. The times it has changed go with it
 *   Y2 look    acq_rel   Y1: the owner takes WISH away, then reads the times
 *   Y3 armed   acq_rel   Y1: after arming, a read-modify-write that changes nothing. A wish that came before it is seen
 *                        here, and the owner disarms; one that comes after it finds the timer armed, and disarms itself
 *   Y4 let go  acq_rel   Y1: OWNED -> 0, which fails if there is a wish
 *
 * So no wish is lost. A disarm too many (the timer has fired meanwhile, or has another owner by now) makes the owner
 * look once too often, or meets a timer that is not armed, and does nothing.
 *
 * A session has one, for its close (alarm.c), and each group of a session with a default deadline (expiry.h).
 */
#ifndef SESSION_ALARM_H
#define SESSION_ALARM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { ALARM_OWNED = 1, ALARM_WISH = 2 };

/* What is left to do for who has wished. */
enum alarm_duty { ALARM_NOTHING, ALARM_LOOK, ALARM_HURRY };

/* True: the caller owns it. Nobody has wished so far. */
static inline bool alarm_take(_Atomic uint32_t *word)
{
    uint32_t nobodys = 0;
    return atomic_compare_exchange_strong_explicit(word, &nobodys, ALARM_OWNED, memory_order_acq_rel,      /* Y0 */
                                                   memory_order_relaxed); /* it wishes, then */
}

static inline enum alarm_duty alarm_ask(_Atomic uint32_t *word)
{
    uint32_t old = atomic_fetch_or_explicit(word, ALARM_OWNED | ALARM_WISH, memory_order_acq_rel);         /* Y1 */
    return old == 0 ? ALARM_LOOK : (old & ALARM_WISH) == 0 ? ALARM_HURRY : ALARM_NOTHING;
}

/* The owner, before it looks. */
static inline void alarm_heed(_Atomic uint32_t *word)
{
    (void)atomic_fetch_and_explicit(word, ~(uint32_t)ALARM_WISH, memory_order_acq_rel);                    /* Y2 */
}

/* The owner, after it has armed. True: it has to disarm. */
static inline bool alarm_is_asked(_Atomic uint32_t *word)
{
    return (atomic_fetch_or_explicit(word, 0, memory_order_acq_rel) & ALARM_WISH) != 0;                    /* Y3 */
}

/* The owner, when nothing is to come. False: it has to look again. */
static inline bool alarm_let_go(_Atomic uint32_t *word)
{
    uint32_t owned = ALARM_OWNED;
    return atomic_compare_exchange_strong_explicit(word, &owned, 0, memory_order_acq_rel,                  /* Y4 */
                                                   memory_order_relaxed); /* Y2 comes before the next look */
}

#endif
