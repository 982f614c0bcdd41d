/* SPDX-License-Identifier: Apache-2.0 */
/* epoll_wrap.c - epoll and poll on the explorer's descriptors
 *
 * Readiness is computed when it is asked for. Level and edge triggers and EPOLLONESHOT are known: an edge is a write, a
 * read that makes room, an expiry, or the other end's close. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#include "descriptors.h"
#include "shadow.h"

/* ---- readiness ---- */

uint32_t descriptor_ready(const struct descriptor *d)
{
    switch (d->kind) {
    case EVENT: return (d->count > 0 ? EPOLLIN : 0) | EPOLLOUT;
    case TIMER: return d->expiry <= engine.now ? EPOLLIN : 0;
    case PIPE_READ: return (d->count > 0 ? EPOLLIN : 0) | (descriptor_get(d->peer) == NULL ? EPOLLHUP : 0);
    case PIPE_WRITE: {
        const struct descriptor *reader = descriptor_get(d->peer);
        return reader == NULL ? EPOLLERR : reader->count < PIPE_ROOM ? EPOLLOUT : 0;
    }
    case EPOLL:
    case CLOSED: break;
    }
    return 0;
}

/* A number that changes with every edge; never 0. */
static uint64_t edge_of(const struct descriptor *d)
{
    if (d->kind != TIMER || d->expiry > engine.now)
        return d->edge + 1;
    uint64_t periods = d->period > 0 ? (uint64_t)((engine.now - d->expiry) / d->period) : 0;
    return d->edge + (uint64_t)d->expiry + periods + 1;
}

/* An edge-triggered timer whose expiry was reported says nothing more until it is set anew. */
static bool is_reported(const struct watch *w, const struct descriptor *timer)
{
    return (w->events & EPOLLET) && timer->expiry <= engine.now && w->reported == edge_of(timer);
}

int64_t descriptors_next_expiry(int epoll)
{
    const struct descriptor *d = descriptor_get(epoll);
    int64_t earliest = NEVER;
    for (int i = 0; d != NULL && d->kind == EPOLL && i < WATCHES_MAX; i++) {
        const struct descriptor *watched = d->watches[i].fd ? descriptor_get(d->watches[i].fd) : NULL;
        if (watched == NULL || watched->kind != TIMER || is_reported(&d->watches[i], watched))
            continue;
        if ((d->watches[i].events & EPOLLIN) && watched->expiry < earliest)
            earliest = watched->expiry;
    }
    return earliest;
}

static int collect(struct descriptor *epoll, struct epoll_event *events, int max)
{
    int count = 0;
    for (int i = 0; i < WATCHES_MAX && count < max; i++) {
        struct watch *w = &epoll->watches[i];
        const struct descriptor *watched = w->fd ? descriptor_get(w->fd) : NULL;
        uint32_t ready = watched == NULL ? 0 : descriptor_ready(watched) & (w->events | EPOLLERR | EPOLLHUP);
        if (ready == 0 || (w->events & ~(uint32_t)EPOLLONESHOT) == 0)
            continue;
        if ((w->events & EPOLLET) && w->reported == edge_of(watched))
            continue;
        w->reported = edge_of(watched);
        shadow_range((uintptr_t)&events[count], sizeof events[count], true, 0);
        events[count].events = ready;
        events[count++].data = w->data;
        if (w->events & EPOLLONESHOT)
            w->events = EPOLLONESHOT;
    }
    return count;
}

/* ---- epoll ---- */

int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags)
{
    return engine.running ? descriptor_open(EPOLL, flags, CALLER) : __real_epoll_create1(flags);
}

struct watch *descriptor_watch(struct descriptor *epoll, int fd)
{
    for (int i = 0; i < WATCHES_MAX; i++)
        if (epoll->watches[i].fd == fd)
            return &epoll->watches[i];
    return NULL;
}

int __real_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    if (!descriptor_ours(epoll))
        return __real_epoll_ctl(epoll, operation, fd, event);
    struct object *object = descriptor_step();
    schedule_release(object);
    struct descriptor *d = descriptor_get(epoll);
    if (d == NULL || descriptor_get(fd) == NULL)
        return descriptor_refuse(EBADF);
    struct watch *watch = descriptor_watch(d, fd);
    if (operation == EPOLL_CTL_ADD) {
        if (watch != NULL)
            return descriptor_refuse(EEXIST);
        watch = descriptor_watch(d, 0);
    }
    if (watch == NULL)
        return descriptor_refuse(operation == EPOLL_CTL_ADD ? ENOSPC : ENOENT);
    if (operation == EPOLL_CTL_DEL)
        *watch = (struct watch){0};
    else
        *watch = (struct watch){.fd = fd, .events = event->events, .data = event->data};
    descriptor_changed();
    return 0;
}

static int wait_for(int epoll, struct epoll_event *events, int max, int64_t deadline, uintptr_t pc)
{
    struct object *object = descriptor_step();
    for (;;) {
        struct descriptor *d = descriptor_get(epoll);
        if (d == NULL || d->kind != EPOLL)
            return descriptor_refuse(EBADF);
        schedule_acquire(object);
        int count = collect(d, events, max);
        if (count > 0 || deadline <= engine.now) {
            TRACE("epoll: ready", 0, (word)count, "", pc);
            engine.idle_yields = 0;
            return count;
        }
        TRACE("epoll waits", 0, (word)epoll, "", pc);
        if (schedule_block((uintptr_t)epoll, deadline, true, "epoll_wait") == SPURIOUS)
            return descriptor_refuse(EINTR);
        schedule_meet(object);
    }
}

static int64_t deadline_after(int64_t ns)
{
    return ns < 0 ? NEVER : engine.now + ns;
}

int __real_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms);
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
    if (!descriptor_ours(epoll))
        return __real_epoll_wait(epoll, events, max, timeout_ms);
    return wait_for(epoll, events, max, deadline_after((int64_t)timeout_ms * 1000000), CALLER);
}

int __real_epoll_pwait(int epoll, struct epoll_event *events, int max, int timeout_ms, const sigset_t *mask);
int __wrap_epoll_pwait(int epoll, struct epoll_event *events, int max, int timeout_ms, const sigset_t *mask)
{
    if (!descriptor_ours(epoll))
        return __real_epoll_pwait(epoll, events, max, timeout_ms, mask);
    return wait_for(epoll, events, max, deadline_after((int64_t)timeout_ms * 1000000), CALLER);
}

int __real_epoll_pwait2(int epoll, struct epoll_event *events, int max, const struct timespec *timeout,
                        const sigset_t *mask);
int __wrap_epoll_pwait2(int epoll, struct epoll_event *events, int max, const struct timespec *timeout,
                        const sigset_t *mask)
{
    if (!descriptor_ours(epoll))
        return __real_epoll_pwait2(epoll, events, max, timeout, mask);
    int64_t ns = timeout == NULL ? -1 : (int64_t)timeout->tv_sec * NS_PER_S + timeout->tv_nsec;
    return wait_for(epoll, events, max, deadline_after(ns), CALLER);
}

int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    if (!engine.running || (count > 0 && fds[0].fd < FIRST))
        return __real_poll(fds, count, timeout_ms);
    if (timeout_ms != 0)
        explore_fail("explorer: poll() that waits");
    struct object *object = descriptor_step();
    schedule_acquire(object);
    int ready = 0;
    for (nfds_t i = 0; i < count; i++) {
        const struct descriptor *d = descriptor_get(fds[i].fd);
        int events = d == NULL ? POLLNVAL : (int)descriptor_ready(d);
        fds[i].revents = (short)(events & (fds[i].events | POLLERR | POLLHUP | POLLNVAL));
        ready += fds[i].revents != 0;
    }
    return ready;
}
