/* SPDX-License-Identifier: Apache-2.0 */
#include "mailbox.h"

#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool mailbox_init(struct mailbox *box)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return false;
    *box = (struct mailbox){.lock = PTHREAD_MUTEX_INITIALIZER, .eventfd = fd};
    box->last = &box->first;
    return true;
}

void mailbox_fini(struct mailbox *box)
{
    (void)close(box->eventfd);
    (void)pthread_mutex_destroy(&box->lock);
}

void mailbox_post(struct mailbox *box, struct letter *letter)
{
    letter->next = NULL;
    (void)pthread_mutex_lock(&box->lock);
    bool was_empty = box->first == NULL;
    *box->last = letter;
    box->last = &letter->next;
    if (was_empty)                               /* under the lock: after it the letter, and perhaps the box, may go */
        (void)eventfd_write(box->eventfd, 1);
    (void)pthread_mutex_unlock(&box->lock);
}

static struct letter *take_all(struct mailbox *box)
{
    (void)pthread_mutex_lock(&box->lock);
    struct letter *first = box->first;
    box->first = NULL;
    box->last = &box->first;
    (void)pthread_mutex_unlock(&box->lock);
    return first;
}

void mailbox_read(struct mailbox *box)
{
    eventfd_t count;
    (void)eventfd_read(box->eventfd, &count);    /* before the letters: one posted after them rings again */
    struct letter *letter = take_all(box);
    while (letter != NULL) {
        struct letter *next = letter->next;      /* reading may free it */
        letter->read(letter);
        letter = next;
    }
}
