/* SPDX-License-Identifier: Apache-2.0 */
/* window.h - the items that an operation's work has posted and that nobody has dropped yet, oldest first
 *
 *      dropped        taken              posted
 *         | DROP | UNACKED | PENDING ......|            at most `size` items, which is the operation's window
 *
 * How many there are, and whether there is room, says the operation's word (op_word.h), in the step that posts, takes
 * or drops. This is only where they lie. Three counters, each plain, each with one owner at a time; the word's steps
 * hand them over (acq_rel), and the entry with them:
 *
 *   posted      the work function's thread while TOKEN is off, else who holds HOLD: writes the entry, then T5 or T7; if
 *               that is refused, the entry stays unseen, and is not counted
 *   taken       who holds DELIVERY (push), or WAITER (pull)
 *   dropped     who holds DELIVERY; of a kind without drop nobody, and it stays 0
 */
#ifndef SESSION_WINDOW_H
#define SESSION_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "core/verify.h"

struct window_item {
    void *data;
    size_t size;
};

struct window {
    uint32_t size;                                             /* I */
    uint64_t posted, taken, dropped;                           /* see above */
    uint64_t discarded;                                        /* who holds DELIVERY */
    struct window_item *item;                                  /* I: size of them */
};

static inline void window_init(struct window *w, struct window_item *item, uint32_t size)
{
    *w = (struct window){ .size = size, .item = item };
}

/* Before T5 or T7. */
static inline void window_write(struct window *w, void *data, size_t size)
{
    w->item[w->posted % w->size] = (struct window_item){ data, size };
}

/* After T5 was OK; before T7, and taken back if that refuses. */
static inline void window_posted(struct window *w)
{
    w->posted++;
}

static inline void window_unposted(struct window *w)
{
    w->posted--;
}

/* After the step that gave the right to the oldest pending one. */
static inline struct window_item window_take(struct window *w)
{
    return w->item[w->taken++ % w->size];
}

/* The oldest one that was taken and not dropped. */
static inline struct window_item window_drop(struct window *w)
{
    weir_assert(w->dropped < w->taken);
    return w->item[w->dropped++ % w->size];
}

/* The oldest one that was not dropped, when the word has said that it was taken: `taken` is somebody else's. */
static inline struct window_item window_drop_next(struct window *w)
{
    return w->item[w->dropped++ % w->size];
}

/* The i-th from the newest on, which is the first, when posting is over. */
static inline struct window_item window_newest(const struct window *w, uint32_t i)
{
    return w->item[(w->posted - i) % w->size];
}

#endif
