/* SPDX-License-Identifier: Apache-2.0 */
/* control.c - see control.h for the theory of operation */
#include "workqueue/control.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "core/verify.h"

#define CONTROL_ASLEEP (UINT32_C(1) << 31)

enum { CONTROL_EVENTS = 64 };                        /* harvested at a time; the rest stays ready */

_Static_assert(CONTROL_REQUESTS < 31, "requests and ASLEEP share a word");

/* ---- asking ----------------------------------------------------------------------------------- */

static void ring(struct control *control)
{
    int saved = errno;
    uint64_t one = 1;
    while (write(control->event, &one, sizeof one) < 0 && errno == EINTR)
        ;
    errno = saved;
}

void control_request(struct control *control, enum control_request request)
{
    uint32_t old = atomic_fetch_or_explicit(&control->word, UINT32_C(1) << request,
                                            memory_order_release); /* K1 with K3 */
    if (old == CONTROL_ASLEEP)                       /* asleep, and nobody asked before */
        ring(control);
}

void control_set_alarm(struct control *control, int64_t deadline_ns)
{
    struct itimerspec at = { { 0, 0 }, { 0, 0 } };   /* all zero: no alarm */
    if (deadline_ns != WEIR_FOREVER) {
        int64_t ns = deadline_ns > 0 ? deadline_ns : 1; /* long past, but not zero */
        at.it_value.tv_sec = (time_t)(ns / 1000000000);
        at.it_value.tv_nsec = (long)(ns % 1000000000);
    }
    int saved = errno;
    int failed = timerfd_settime(control->timer, TFD_TIMER_ABSTIME, &at, NULL);
    weir_assert(failed == 0);
    (void)failed;
    errno = saved;
}

/* ---- the thread ------------------------------------------------------------------------------- */

/* K2. False: somebody asked meanwhile. */
static bool fall_asleep(struct control *control)
{
    uint32_t word = 0;
    return atomic_compare_exchange_strong_explicit(&control->word, &word, CONTROL_ASLEEP,
                                                   memory_order_relaxed,  /* K2: carries nothing */
                                                   memory_order_relaxed); /* K3 follows */
}

/* K3. What was asked for since the last time. */
static uint32_t wake_up(struct control *control)
{
    return atomic_exchange_explicit(&control->word, 0, memory_order_acquire) & ~CONTROL_ASLEEP; /* K3 with K1 */
}

/* The two descriptors of our own are told from those of waits by what they were added with. */
static uint32_t take_event(struct control *control, const struct epoll_event *event)
{
    if (event->data.ptr == &control->event)
        return 0;                                    /* the request itself is in the word */
    if (event->data.ptr == &control->timer)
        return UINT32_C(1) << CONTROL_TIMERS;
    control->ready(control->ready_ctx, event->data.ptr, event->events);
    return UINT32_C(1) << CONTROL_FDWAITS;
}

/* One sleep, or one look at the descriptors if there is something to do already; what is to be done. */
static uint32_t wait_for_work(struct control *control)
{
    struct epoll_event events[CONTROL_EVENTS];
    int timeout_ms = fall_asleep(control) ? -1 : 0;
    int count = epoll_wait(control->epoll, events, CONTROL_EVENTS, timeout_ms); /* -1: EINTR, nothing came */
    uint32_t requests = wake_up(control);
    for (int i = 0; i < count; i++)
        requests |= take_event(control, &events[i]);
    return requests;
}

static void handle_requests(struct control *control, uint32_t requests)
{
    for (; requests != 0; requests &= requests - 1) {
        const struct control_handler *handler = &control->handlers[__builtin_ctz(requests)];
        if (handler->run != NULL)
            handler->run(handler->ctx);
    }
}

void control_run(struct control *control)
{
    uint32_t requests;
    do {
        requests = wait_for_work(control);
        handle_requests(control, requests);
    } while ((requests >> CONTROL_STOP & 1) == 0);
}

/* ---- create and destroy ----------------------------------------------------------------------- */

void control_handle(struct control *control, enum control_request request, control_handler_fn *run,
                    void *ctx)
{
    control->handlers[request] = (struct control_handler){ run, ctx };
}

void control_on_ready(struct control *control, control_ready_fn *ready, void *ctx)
{
    control->ready = ready;
    control->ready_ctx = ctx;
}

/* Edge-triggered: it is never read. */
static int watch_own(struct control *control, int *fd)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data = { .ptr = fd } };
    return epoll_ctl(control->epoll, EPOLL_CTL_ADD, *fd, &event);
}

static weir_status complain(const struct log *log, const char *call)
{
    log_line(log, LOG_LEVEL_ERROR, "the control thread cannot be prepared: %s: error %d", call, errno);
    return WEIR_SYSTEM;
}

weir_status control_init(struct control *control, const struct log *log)
{
    weir_status status;
    *control = (struct control){ .epoll = -1, .event = -1, .timer = -1, .log = log };
    if ((control->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
        return complain(log, "epoll_create1");
    if ((control->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
        status = complain(log, "eventfd");
        goto close_epoll;
    }
    if ((control->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) < 0) {
        status = complain(log, "timerfd_create");
        goto close_event;
    }
    if (watch_own(control, &control->event) != 0 || watch_own(control, &control->timer) != 0) {
        status = complain(log, "epoll_ctl");
        goto close_timer;
    }
    return WEIR_OK;
close_timer:
    (void)close(control->timer);
close_event:
    (void)close(control->event);
close_epoll:
    (void)close(control->epoll);
    return status;
}

void control_fini(struct control *control)
{
    (void)close(control->timer);
    (void)close(control->event);
    (void)close(control->epoll);
}
