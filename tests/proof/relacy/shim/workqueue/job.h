/* SPDX-License-Identifier: Apache-2.0 */
/* job.h - a job: its link, and something that who submits it writes and who runs it reads */
#ifndef WEIR_WORKQUEUE_JOB_H
#define WEIR_WORKQUEUE_JOB_H

#include <stdatomic.h>

struct alignas(8) job {
    plain<struct job *> next;
    plain<int> payload;
};

/* As in workqueue/job.h. */
static inline struct job *job_list_reversed(struct job *newest, const struct job *mark)
{
    struct job *oldest = NULL;
    while (newest != NULL && newest != mark) {
        struct job *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

#endif
