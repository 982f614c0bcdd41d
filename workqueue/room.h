/* SPDX-License-Identifier: Apache-2.0
 *
 * room.h - waiting for room in something that counts and is full
 *
 *      who leaves: count -= 1 (F1); look at waiters (F1); post        who waits: waiters += 1 (F1); try to enter
 *                                                                     (F1); sleep
 *
 * F1, all four seq_cst: of a leaver and a waiter one sees the other. If the leaver's look comes before the waiter
 * counted itself, the waiter's try comes after the leaver's count went down, and finds room.
 */
#ifndef WEIR_WORKQUEUE_ROOM_H
#define WEIR_WORKQUEUE_ROOM_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/event.h"

struct room {
    _Atomic uint32_t waiters;                            /* A: threads in weir_job_submit_wait */
    struct event event;
};

/* After the count went down by a seq_cst read-modify-write. */
static inline void room_post(struct room *room)
{
    if (atomic_load_explicit(&room->waiters, memory_order_seq_cst) != 0)                                  /* F1 */
        event_post(&room->event);
}

#endif
