/* SPDX-License-Identifier: Apache-2.0 */
/* foreign.c - jobs of operations in queues of the caller's; see foreign.h */
#include "session/foreign.h"

#include "core/verify.h"

static struct app *app_of(const struct op_foreign *foreign)
{
    return foreign->all->app;
}

/* The session that the operation was started in, if it is not over. */
static struct session *session_of(struct sessions *all, struct group *group, uint64_t *handle)
{
    /* relaxed: if it is another one's by now, the operation is over, and its claim fails */
    *handle = atomic_load_explicit(&group->session, memory_order_relaxed);
    return *handle != 0 ? session_at(all, *handle) : NULL;
}

static void call_work(struct sessions *all, uint64_t op)
{
    struct group *group = group_of(&all->ops, handle_slot(op));
    uint64_t handle;
    struct session *s = session_of(all, group, &handle);
    if (s == NULL || session_visit(&s->slot, handle) != WEIR_OK)
        return;
    struct chunk c;
    chunk_begin(&c, s);
    run(&c, group, handle_slot(op) % GROUP_SLOTS, op);
    chunk_end(&c);
}

/* The job's function: in its queue, with OK or SHUTDOWN. */
static void foreign_run(weir_job *job, weir_status status)
{
    struct op_foreign *foreign = job->ctx;
    struct sessions *all = foreign->all;
    uint64_t op = foreign->idle.extra.handle;
    if (status == WEIR_OK)
        call_work(all, op);
    else
        op_cancel_named(all, op, app_is_stopping(all->app) ? WEIR_REASON_APPLICATION_CLOSED : WEIR_REASON_USER,
                        clock_now(&all->app->clock));
    extra_drop(all, &foreign->idle.extra);
}

void foreign_init(struct sessions *all, struct op_foreign *foreign)
{
    foreign->all = all;
    foreign->job = (struct job){ .fn = foreign_run, .ctx = foreign };
    atomic_store_explicit(&foreign->place, false, memory_order_relaxed);               /* nobody has seen it */
}

weir_status foreign_reserve(struct op_foreign *foreign, weir_queue queue)
{
    weir_assert(!queue_is_lane(queue));
    return queue_reserve(app_of(foreign), queue, &foreign->job, JOB_OPERATION);
}

void foreign_unreserve(struct op_foreign *foreign)
{
    queue_unreserve(app_of(foreign), &foreign->job);
}

void foreign_send_first(struct op_foreign *foreign)
{
    extra_hold(&foreign->idle.extra);
    queue_dispatch(app_of(foreign), &foreign->job);
}

static bool take_place(struct op_foreign *foreign)
{
    return atomic_exchange_explicit(&foreign->place, false, memory_order_acq_rel);                         /* F2 */
}

void foreign_send(struct op_foreign *foreign)
{
    if (take_place(foreign))
        foreign_send_first(foreign);
}

void foreign_keep_place(struct op_foreign *foreign)
{
    queue_stay(foreign->job.owner);
    atomic_store_explicit(&foreign->place, true, memory_order_release);                                    /* F1 */
}

void foreign_give_place(struct op_foreign *foreign)
{
    if (take_place(foreign))
        queue_leave(app_of(foreign), foreign->job.owner, 1);
}
