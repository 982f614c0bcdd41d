/* SPDX-License-Identifier: Apache-2.0 */
/* waits.c - the public functions of time and descriptors, and the control thread's life; see waits.h */
#include "workqueue/waits.h"

#include <errno.h>
#include <pthread.h>

#include "workqueue/app.h"
#include "workqueue/reply.h"

/* ---- starting an item ------------------------------------------------------------------------- */

static int64_t deadline_after(const struct app *app, int64_t delay_ns)
{
    return time_add(clock_now(&app->clock), delay_ns > 0 ? delay_ns : 0);
}

static void begin_timer(struct app *app, struct timer *timer, int64_t delay_ns, int64_t period_ns)
{
    int64_t deadline = deadline_after(app, delay_ns);
    if (delay_ns > 0) {
        timers_arm(&app->timers, timer, deadline, period_ns);
    } else {                                         /* due already: no way through the wheel */
        timer->item.node.deadline = deadline;
        timer_set_period(&timer->job, period_ns);
        job_begin(&timer->job, JOB_QUEUED);
        queue_dispatch(app, &timer->job);
    }
}

static weir_status check_job(weir_queue queue, const struct job *job)
{
    weir_status status = reply_check_job(job);
    return status == WEIR_OK ? status : registry_misuse(queue.bits, status);
}

weir_status weir_timer_start(weir_queue queue, weir_timer *public, int64_t delay_ns, int64_t period_ns)
{
    struct app_ref ref;
    if (public == NULL || period_ns < 0)
        return registry_misuse(queue.bits, WEIR_INVALID);
    weir_status status = app_enter(queue.bits, HANDLE_QUEUE, &ref);
    if (status != WEIR_OK)
        return status;
    struct timer *timer = timer_of(job_of(&public->job));
    if ((status = check_job(queue, &timer->job)) == WEIR_OK
        && (status = queue_reserve(ref.app, queue, &timer->job, JOB_TIMER)) == WEIR_OK)
        begin_timer(ref.app, timer, delay_ns, period_ns);
    app_leave(&ref);
    return status;
}

static weir_status begin_wait(struct app *app, struct fdwait *wait, int64_t timeout_ns)
{
    int kept = errno;                                    /* R10: the reason is in the status and in the log */
    weir_status status = fdwaits_start(&app->fdwaits, wait, deadline_after(app, timeout_ns));
    if (status != WEIR_OK)
        queue_unreserve(app, &wait->timer.job);
    errno = kept;
    return status;
}

weir_status weir_fdwait_start(weir_queue queue, weir_fdwait *public, int64_t timeout_ns)
{
    struct app_ref ref;
    if (public == NULL || public->events == 0 || (public->events & ~(uint32_t)(WEIR_READABLE | WEIR_WRITABLE)) != 0)
        return registry_misuse(queue.bits, WEIR_INVALID);
    weir_status status = app_enter(queue.bits, HANDLE_QUEUE, &ref);
    if (status != WEIR_OK)
        return status;
    struct fdwait *wait = fdwait_of(job_of(&public->timer.job));
    if ((status = check_job(queue, &wait->timer.job)) == WEIR_OK
        && (status = queue_reserve(ref.app, queue, &wait->timer.job, JOB_FDWAIT)) == WEIR_OK)
        status = begin_wait(ref.app, wait, timeout_ns);
    app_leave(&ref);
    return status;
}

weir_status weir_app_tick(weir_app app)
{
    struct app_ref ref;
    weir_status status = app_enter(app.bits, HANDLE_APP, &ref);
    if (status != WEIR_OK)
        return status;
    timers_pass(&ref.app->timers);
    app_leave(&ref);
    return WEIR_OK;
}

void waits_cancelled(struct app *app, struct job *job)
{
    if (job->kind == JOB_FDWAIT)
        fdwaits_cancelled(&app->fdwaits, job);
    else
        timers_cancelled(&app->timers, job);
}

/* ---- the control thread ----------------------------------------------------------------------- */

static void pass_timers(void *timers) { timers_pass(timers); }

static void *control_main(void *argument)
{
    struct worker *w = argument;
    struct app *app = w->app;
    worker_thread_begin(w);
    control_run(&app->control);
    worker_thread_end(w);
    return NULL;
}

weir_status waits_init(struct app *app)
{
    weir_status status = control_init(&app->control, &app->log);
    if (status != WEIR_OK)
        return status;
    timers_init(&app->timers, &app->clock, &app->control, app, queue_dispatch);
    fdwaits_init(&app->fdwaits, &app->timers, &app->control, &app->log, app, queue_dispatch);
    control_handle(&app->control, CONTROL_TIMERS, pass_timers, &app->timers);
    return WEIR_OK;
}

weir_status waits_start(struct app *app)
{
    weir_status status = worker_thread_start(&app->control_worker, control_main);
    app->control.runs = status == WEIR_OK;
    return status;
}

void waits_shutdown(struct app *app)
{
    timers_shutdown(&app->timers);
    fdwaits_shutdown(&app->fdwaits);
}

void waits_stop(struct app *app)
{
    if (!app->control.runs)
        return;
    app->control.runs = false;
    fdwaits_stop(&app->fdwaits);
    (void)pthread_join(app->control_worker.thread, NULL);
}

void waits_fini(struct app *app)
{
    waits_shutdown(app);
    waits_stop(app);
    fdwaits_fini(&app->fdwaits);
    timers_fini(&app->timers);
    control_fini(&app->control);
}
