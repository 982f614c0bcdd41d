/* SPDX-License-Identifier: Apache-2.0 */
/* extra.c - the record comes and goes; see extra.h */
#include "session/extra.h"

#include "session/foreign.h"
#include "session/session.h"

static size_t size_of(uint32_t has)
{
    return (has & EXTRA_JOB) != 0 ? sizeof(struct op_foreign)
         : (has & EXTRA_IDLE) != 0 ? sizeof(struct op_idle) : sizeof(struct op_extra);
}

struct op_extra *extra_make(struct sessions *all, uint32_t has)
{
    struct op_extra *extra = memory_alloc(&all->app->memory, size_of(has), _Alignof(struct op_extra));
    if (extra == NULL)
        return NULL;
    *extra = (struct op_extra){ .has = (uint8_t)has, .holders = (has & EXTRA_TIMER) != 0 ? 3 : 2 };
    if ((has & EXTRA_JOB) != 0)
        foreign_init(all, extra_foreign(extra));
    return extra;
}

void extra_unmake(struct sessions *all, struct op_extra *extra)
{
    if (extra != NULL)
        memory_free(&all->app->memory, extra, size_of(extra->has));
}

void extra_hold(struct op_extra *extra)
{
    atomic_fetch_add_explicit(&extra->holders, 1, memory_order_relaxed);               /* the caller is held himself */
}

void extra_drop(struct sessions *all, struct op_extra *extra)
{
    if (atomic_fetch_sub_explicit(&extra->holders, 1, memory_order_acq_rel) == 1)                          /* X1 */
        extra_unmake(all, extra);
}

void extra_over(struct sessions *all, struct op_extra *extra)
{
    if ((extra->has & EXTRA_TIMER) != 0)
        deadline_over(all, extra);
    if ((extra->has & EXTRA_JOB) != 0)
        foreign_give_place(extra_foreign(extra));
}

/* The place again: work that was abandoned may have kept it when the final was out. */
void extra_free(struct sessions *all, struct op_extra *extra)
{
    if ((extra->has & EXTRA_JOB) != 0)
        foreign_give_place(extra_foreign(extra));
    extra_drop(all, extra);
}
