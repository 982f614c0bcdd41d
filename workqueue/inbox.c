/* SPDX-License-Identifier: Apache-2.0 */
/* inbox.c - the list behind a ring; the protocol, its labels and its proof are in inbox.h */
#include "workqueue/inbox.h"

#include "workqueue/job.h"

static_assert(_Alignof(struct job) == RING_TAG + 1, "a job's address leaves the tag's bits free");

static void overflow_push(struct inbox *inbox, struct job *job)
{
    struct job *newest = atomic_load_explicit(&inbox->overflow, memory_order_relaxed); /* the swap checks it */
    do
        job->next = newest;
    while (!atomic_compare_exchange_weak_explicit(&inbox->overflow, &newest, job,
                                                  memory_order_seq_cst,                                   /* I1 */
                                                  memory_order_relaxed));          /* tries again */
}

void inbox_push(struct inbox *inbox, struct job *job)
{
    if (!ring_push(&inbox->ring, job))
        overflow_push(inbox, job);
}

static bool list_is_empty(struct inbox *inbox)
{
    return atomic_load_explicit(&inbox->overflow, memory_order_seq_cst) == NULL                           /* I2 */
        && atomic_load_explicit(&inbox->backlog, memory_order_seq_cst) == NULL;                           /* I7 */
}

struct job *inbox_refill(struct inbox *inbox)
{
    if (list_is_empty(inbox))
        return NULL;
    /* acquire: I6, the refiller before this one wrote the backlog's links and then released */
    if (atomic_exchange_explicit(&inbox->refilling, 1, memory_order_acquire) != 0)
        return NULL;
    struct job *list = atomic_load_explicit(&inbox->backlog, memory_order_relaxed);          /* ours while refilling */
    if (list == NULL)
        list = job_list_reversed(atomic_exchange_explicit(&inbox->overflow, NULL,
                                                          memory_order_acquire), NULL);           /* I2 */
    struct job *first = list;
    if (list != NULL)
        list = list->next;
    while (list != NULL) {
        struct job *next = list->next;   /* from the push on the job is somebody else's */
        if (!ring_push(&inbox->ring, list))
            break;
        list = next;
    }
    atomic_store_explicit(&inbox->backlog, list, memory_order_seq_cst);                                   /* I7 */
    atomic_store_explicit(&inbox->refilling, 0, memory_order_release);                                    /* I6 */
    return first;
}

bool inbox_is_empty(struct inbox *inbox)
{
    return ring_is_empty(&inbox->ring) && list_is_empty(inbox);
}

void inbox_init(struct inbox *inbox, _Atomic uint64_t *slots, uint32_t capacity)
{
    *inbox = (struct inbox){ 0 };
    ring_init(&inbox->ring, slots, capacity);
}
