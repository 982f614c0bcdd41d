/* SPDX-License-Identifier: Apache-2.0
 *
 * mailbox.h - what workers tell the loop thread
 *
 * A list under a mutex, and an eventfd that makes the loop look. Letters are parts of what they speak of, so posting
 * allocates nothing and cannot fail. First in, first out: what a worker posted before an operation's final is read
 * before it. The mutex is held for a few stores; the eventfd is written only when the list was empty.
 */
#ifndef SEARCHD_MAILBOX_H
#define SEARCHD_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>

struct letter {
    struct letter *next;
    void (*read)(struct letter *letter);         /* called on the loop thread */
};

struct mailbox {
    pthread_mutex_t lock;
    struct letter *first, **last;                /* under the lock */
    int eventfd;                                 /* readable: there may be letters */
};

bool mailbox_init(struct mailbox *box);
void mailbox_fini(struct mailbox *box);

/* Any thread. The letter is the loop's from here on. */
void mailbox_post(struct mailbox *box, struct letter *letter);

/* The loop thread: reads all letters. */
void mailbox_read(struct mailbox *box);

#endif
