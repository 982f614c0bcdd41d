/* SPDX-License-Identifier: Apache-2.0 */
/* fdwait.c - see fdwait.h for the theory of operation and the proof */
#include "workqueue/fdwait.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "core/verify.h"

/* Joiners must wake the control thread: lowest bit of the word where they join. */
#define JOINED_MARK ((uintptr_t)1)

/* ---- events ----------------------------------------------------------------------------------- */

static uint32_t epoll_events(uint32_t events)
{
    return ((events & WEIR_READABLE) != 0 ? EPOLLIN : 0U) | ((events & WEIR_WRITABLE) != 0 ? EPOLLOUT : 0U);
}

static uint32_t ready_from_epoll(uint32_t events)
{
    return ((events & EPOLLIN) != 0 ? (uint32_t)WEIR_READABLE : 0U)
         | ((events & EPOLLOUT) != 0 ? (uint32_t)WEIR_WRITABLE : 0U)
         | ((events & EPOLLHUP) != 0 ? (uint32_t)WEIR_HANGUP : 0U)
         | ((events & EPOLLERR) != 0 ? (uint32_t)WEIR_FDERROR : 0U);
}

/* The bits of poll and epoll are the same numbers. */
_Static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLHUP == EPOLLHUP && POLLERR == EPOLLERR,
               "what poll answers may be read as what epoll does");

static uint32_t ready_now(const struct fdwait *wait)
{
    struct pollfd fd = { .fd = wait->fd, .events = (short)epoll_events(wait->events) };
    if (poll(&fd, 1, 0) != 1 || (fd.revents & POLLNVAL) != 0)
        return 0;
    return ready_from_epoll((uint32_t)fd.revents);
}

static int epoll_add(struct fdwaits *fdwaits, struct fdwait *wait)
{
    struct epoll_event event = { .events = epoll_events(wait->events) | EPOLLONESHOT, .data = { .ptr = wait } };
    return epoll_ctl(fdwaits->control->epoll, EPOLL_CTL_ADD, wait->fd, &event);
}

/* Fails if the user closed the descriptor: then the kernel has forgotten it already. */
static void epoll_remove(struct fdwaits *fdwaits, const struct fdwait *wait)
{
    struct epoll_event unused = { .events = 0 };
    (void)epoll_ctl(fdwaits->control->epoll, EPOLL_CTL_DEL, wait->fd, &unused);
}

static weir_status status_of_add(const struct fdwaits *fdwaits, int fd, int error)
{
    switch (error) {
    case EEXIST: return WEIR_BUSY;
    case EBADF:
    case EPERM:
    case EINVAL:
    case ELOOP:  return WEIR_INVALID;
    default:
        log_line(fdwaits->log, LOG_LEVEL_ERROR, "descriptor %d cannot be waited for: error %d", fd, error);
        return WEIR_SYSTEM;
    }
}

/* ---- the lists -------------------------------------------------------------------------------- */

static inline struct fdwait **told_link(struct fdwait *wait)
{
    return (struct fdwait **)(void *)&wait->timer.job.aux[1];
}
_Static_assert(sizeof(struct fdwait *) == sizeof(uint64_t), "the link of the told ones fits in aux[1]");

/* D3. */
static void tell_control(struct fdwaits *fdwaits, struct fdwait *wait)
{
    struct fdwait *last = atomic_load_explicit(&fdwaits->told, memory_order_relaxed); /* the CAS checks it */
    do
        *told_link(wait) = last;
    while (!atomic_compare_exchange_weak_explicit(&fdwaits->told, &last, wait,
                                                  memory_order_release,   /* D3 with D4 */
                                                  memory_order_relaxed)); /* tries again */
    control_request(fdwaits->control, CONTROL_FDWAITS);
}

/* D5. After the end has begun the control thread must hear of it. */
static void join_list(struct fdwaits *fdwaits, struct fdwait *wait)
{
    uintptr_t last = atomic_load_explicit(&fdwaits->joined, memory_order_relaxed); /* the CAS checks it */
    do
        wait->next = (struct fdwait *)(last & ~JOINED_MARK);
    while (!atomic_compare_exchange_weak_explicit(&fdwaits->joined, &last, (uintptr_t)wait | (last & JOINED_MARK),
                                                  memory_order_release,   /* D5 with D6 */
                                                  memory_order_relaxed)); /* tries again */
    if ((last & JOINED_MARK) != 0)
        control_request(fdwaits->control, CONTROL_FDWAITS);
}

static void enlist(struct fdwaits *fdwaits, struct fdwait *wait)
{
    wait->prev = NULL;
    wait->next = fdwaits->waits;
    if (wait->next != NULL)
        wait->next->prev = wait;
    fdwaits->waits = wait;
}

static void unlist(struct fdwaits *fdwaits, struct fdwait *wait)
{
    if (wait->prev == NULL)
        fdwaits->waits = wait->next;
    else
        wait->prev->next = wait->next;
    if (wait->next != NULL)
        wait->next->prev = wait->prev;
}

/* ---- winning ---------------------------------------------------------------------------------- */

/* D1. True: the starter is through, and it is on the winner to tell. */
static bool note_won(struct fdwait *wait, uint32_t how)
{
    uint32_t stage = atomic_fetch_or_explicit(&wait->stage, FDWAIT_WON | how, memory_order_acq_rel); /* D1 with D2 */
    weir_assert((stage & FDWAIT_WON) == 0);
    return (stage & FDWAIT_STARTING) == 0;
}

/* D2. True: it is won already, and it is on the starter to tell. */
static bool note_through(struct fdwait *wait, bool added)
{
    uint32_t change = FDWAIT_STARTING | (added ? (uint32_t)FDWAIT_ADDED : 0U);
    uint32_t stage = atomic_fetch_xor_explicit(&wait->stage, change, memory_order_acq_rel); /* D2 with D1 */
    return (stage & FDWAIT_WON) != 0;
}

void fdwaits_cancelled(struct fdwaits *fdwaits, struct job *job)
{
    if (note_won(fdwait_of(job), 0))
        tell_control(fdwaits, fdwait_of(job));
}

/* The owner of the timers: the phase is QUEUED. */
static void time_is_out(void *ctx, struct timer *timer)
{
    struct fdwait *wait = fdwait_of(&timer->job);
    if (note_won(wait, FDWAIT_EXPIRED))
        tell_control(ctx, wait);
}

/* The control thread, for each event that it has harvested. */
static void descriptor_is_ready(void *ctx, void *data, uint32_t events)
{
    struct fdwaits *fdwaits = ctx;
    struct fdwait *wait = data;
    if (!job_move(&wait->timer.job, JOB_ARMED, JOB_QUEUED))
        return;                                      /* another won, and will tell */
    wait->ready = ready_from_epoll(events);
    if (note_won(wait, 0)) {
        *told_link(wait) = fdwaits->harvested;
        fdwaits->harvested = wait;
    }
}

/* ---- letting go, on the control thread -------------------------------------------------------- */

static void leave_barrier(struct fdwaits *fdwaits)
{
    if (barrier_leave(&fdwaits->inside, 1))
        control_request(fdwaits->control, CONTROL_STOP);
}

static void let_go(struct fdwaits *fdwaits, struct fdwait *wait)
{
    struct job *job = &wait->timer.job;
    /* relaxed: D4 or D1 has acquired it, and nobody changes it any more */
    uint32_t stage = atomic_load_explicit(&wait->stage, memory_order_relaxed);
    bool in_wheel = wait->timer.item.node.deadline != WEIR_FOREVER && (stage & FDWAIT_EXPIRED) == 0;
    if ((stage & FDWAIT_ADDED) != 0)
        epoll_remove(fdwaits, wait);
    if ((stage & FDWAIT_EXPIRED) != 0)
        wait->ready = ready_now(wait);
    unlist(fdwaits, wait);
    /* relaxed: only this thread moves it on from ENDING, and what the canceller did before came with D1 to D4 */
    if (atomic_load_explicit(&job->phase, memory_order_relaxed) == JOB_ENDING)
        atomic_store_explicit(&job->phase, JOB_MARKED, memory_order_relaxed); /* and goes on with the queue (E10) */
    if (in_wheel)
        timers_release(fdwaits->timers, &wait->timer);
    else
        fdwaits->dispatch(fdwaits->app, job);
    leave_barrier(fdwaits);
}

static void let_go_all(struct fdwaits *fdwaits, struct fdwait *told)
{
    for (struct fdwait *next; told != NULL; told = next) {
        next = *told_link(told);
        let_go(fdwaits, told);
    }
}

static void end_all(struct fdwaits *fdwaits)
{
    for (struct fdwait *wait = fdwaits->waits, *next; wait != NULL; wait = next) {
        next = wait->next;
        if (!job_move(&wait->timer.job, JOB_ARMED, JOB_QUEUED))
            continue;                                /* another won, and will tell */
        wait->timer.job.forced = WEIR_SHUTDOWN;
        if (note_won(wait, 0))
            let_go(fdwaits, wait);
    }
}

/* The handler of CONTROL_FDWAITS, after every round of events too. */
static void run_control(void *ctx)
{
    struct fdwaits *fdwaits = ctx;
    struct fdwait *told = atomic_exchange_explicit(&fdwaits->told, NULL, memory_order_acquire); /* D4 with D3 */
    struct fdwait *harvested = fdwaits->harvested;
    fdwaits->harvested = NULL;
    /* relaxed: the request that came with it acquired it (K3 of control.h) */
    bool ending = atomic_load_explicit(&fdwaits->ending, memory_order_relaxed);
    uintptr_t joined = atomic_exchange_explicit(&fdwaits->joined, ending ? JOINED_MARK : 0,
                                                memory_order_acquire); /* D6 with D5 */
    for (struct fdwait *wait = (struct fdwait *)(joined & ~JOINED_MARK), *next; wait != NULL; wait = next) {
        next = wait->next;
        enlist(fdwaits, wait);
    }
    let_go_all(fdwaits, told);
    let_go_all(fdwaits, harvested);
    if (ending)
        end_all(fdwaits);
}

/* ---- starting --------------------------------------------------------------------------------- */

static void prepare_start(struct fdwait *wait, int64_t deadline)
{
    wait->ready = 0;
    wait->timer.item.node.deadline = deadline;
    wait->timer.item.node.next = NULL;
    atomic_store_explicit(&wait->stage, FDWAIT_STARTING, memory_order_relaxed); /* J1 releases it with the phase */
    job_begin(&wait->timer.job, JOB_ARMED);
}

weir_status fdwaits_start(struct fdwaits *fdwaits, struct fdwait *wait, int64_t deadline)
{
    if (!barrier_enter(&fdwaits->inside))
        return WEIR_SHUTDOWN;
    prepare_start(wait, deadline);
    int before = errno;                              /* calls preserve it (R10) */
    bool added = epoll_add(fdwaits, wait) == 0;
    int error = errno;
    errno = before;
    if (!added && job_move(&wait->timer.job, JOB_ARMED, JOB_IDLE)) {
        weir_status status = status_of_add(fdwaits, wait->fd, error);
        leave_barrier(fdwaits);
        return status;
    }
    if (deadline != WEIR_FOREVER)
        timers_join(fdwaits->timers, &wait->timer, deadline);
    join_list(fdwaits, wait);
    if (note_through(wait, added))
        tell_control(fdwaits, wait);
    return WEIR_OK;
}

/* ---- the end, create and destroy ---------------------------------------------------------------- */

void fdwaits_shutdown(struct fdwaits *fdwaits)
{
    (void)barrier_shut(&fdwaits->inside);            /* the application's place keeps it from being complete */
    /* relaxed: the request releases it (K1 of control.h) */
    atomic_store_explicit(&fdwaits->ending, true, memory_order_relaxed);
    control_request(fdwaits->control, CONTROL_FDWAITS);
}

void fdwaits_stop(struct fdwaits *fdwaits)
{
    leave_barrier(fdwaits);
}

void fdwaits_init(struct fdwaits *fdwaits, struct timers *timers, struct control *control,
                  const struct log *log, struct app *app, timers_dispatch_fn *dispatch)
{
    atomic_init(&fdwaits->joined, 0);
    atomic_init(&fdwaits->told, NULL);
    atomic_init(&fdwaits->ending, false);
    barrier_init(&fdwaits->inside);
    (void)barrier_enter(&fdwaits->inside);           /* the application's own place */
    fdwaits->waits = NULL;
    fdwaits->harvested = NULL;
    fdwaits->timers = timers;
    fdwaits->control = control;
    fdwaits->log = log;
    fdwaits->app = app;
    fdwaits->dispatch = dispatch;
    timers_on_expired(timers, time_is_out, fdwaits);
    control_handle(control, CONTROL_FDWAITS, run_control, fdwaits);
    control_on_ready(control, descriptor_is_ready, fdwaits);
}

void fdwaits_fini(struct fdwaits *fdwaits)
{
    weir_assert(fdwaits->waits == NULL);
    (void)fdwaits;
}
