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

/* False: it was not to be called any more. */
static bool call_work(struct sessions *all, uint64_t op)
{
    struct group *group = group_of(&all->ops, handle_slot(op));
    uint64_t handle;
    struct session *s = session_of(all, group, &handle);
    if (s == NULL || session_visit(&s->slot, handle) != WEIR_OK)
        return false;
    struct chunk c;
    chunk_begin(&c, s);
    bool called = run_claimed(&c, group, handle_slot(op) % GROUP_SLOTS, op);
    chunk_end(&c);
    return called;
}

static bool is_over(struct op_foreign *foreign)
{
    uint64_t op = foreign->idle.extra.handle;
    const struct slot *slot = slots_at(&foreign->all->ops, handle_slot(op));
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);                               /* F3 */
    return !slot_word_matches(word, op) || op_is_over(word);
}

/* What ends the operation has not waited for the job, and its final is still to come, perhaps. */
static void keep_place_until_final(struct op_foreign *foreign)
{
    if (is_over(foreign))
        return;
    foreign_keep_place(foreign);
    if (is_over(foreign))                                      /* F3: who delivered it may have been before */
        foreign_give_place(foreign);
}

/* The job's function: in its queue, with OK or SHUTDOWN. */
static void foreign_run(weir_job *job, weir_status status)
{
    struct op_foreign *foreign = job->ctx;
    struct sessions *all = foreign->all;
    uint64_t op = foreign->idle.extra.handle;
    bool called = status == WEIR_OK && call_work(all, op);
    if (status != WEIR_OK)
        op_cancel_named(all, op, app_is_stopping(all->app) ? WEIR_REASON_APPLICATION_CLOSED : WEIR_REASON_USER,
                        clock_now(&all->app->clock));
    if (!called)
        keep_place_until_final(foreign);
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
    (void)atomic_exchange_explicit(&foreign->place, true, memory_order_acq_rel);                           /* F1, F3 */
}

void foreign_give_place(struct op_foreign *foreign)
{
    if (take_place(foreign))
        queue_leave(app_of(foreign), foreign->job.owner, 1);
}
