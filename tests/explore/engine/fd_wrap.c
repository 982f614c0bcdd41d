/* SPDX-License-Identifier: Apache-2.0 */
/* fd_wrap.c - epoll, eventfd, pipe and timerfd, on descriptors of the explorer's own
 *
 * Descriptors start at 1000; calls on others go to the system, so that printing works. All steps
 * on descriptors conflict with each other: coarse, and enough. Level and edge triggers and
 * EPOLLONESHOT are known: an edge is a write, a read that makes room, an expiry, or the other
 * end's close. A write and the read that gets it synchronise, as the kernel's locks make them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "engine.h"
#include "shadow.h"

enum { FIRST = 1000, DESCRIPTORS_MAX = 64, WATCHES_MAX = 32, PIPE_ROOM = 4096 };
enum kind { CLOSED, EPOLL, EVENT, PIPE_READ, PIPE_WRITE, TIMER };

struct watch {
    int fd; /* 0: free */
    uint32_t events;
    uint64_t reported; /* EPOLLET: the last edge that was told */
    epoll_data_t data;
};
struct descriptor {
    enum kind kind;
    int flags, peer; /* pipe: the other end */
    uintptr_t pc;
    uint64_t count; /* event: its value; pipe's reading end: bytes in it */
    uint8_t bytes[PIPE_ROOM];
    uint64_t edge;          /* counts what an edge-triggered watch must tell */
    int64_t expiry, period; /* timer */
    struct watch watches[WATCHES_MAX];
};
struct descriptors {
    int used; /* the first so many have been open in this run */
    struct descriptor all[DESCRIPTORS_MAX];
};
#define table (*engine.descriptors)

void descriptors_init(void)
{
    engine.descriptors = mmap(NULL, sizeof table, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (engine.descriptors == MAP_FAILED)
        abort();
}

void descriptors_begin_run(void)
{
    for (int i = 0; i < table.used; i++)
        memset(&table.all[i], 0, sizeof table.all[i]);
    table.used = 0;
}

void descriptors_check_closed(void)
{
    char place[160];
    for (int i = 0; i < table.used; i++)
        if (table.all[i].kind != CLOSED)
            explore_fail("leak: descriptor %d, opened at %s", FIRST + i,
                         trace_place(table.all[i].pc, place, sizeof place));
}

/* ---- steps ---- */

static int refuse(int error)
{
    errno = error;
    return -1;
}

static bool ours(int fd)
{
    return engine.running && fd >= FIRST;
}

static struct object *step(void)
{
    schedule_point(OBJECT_DESCRIPTORS, TOUCH_READ | TOUCH_WRITE);
    struct object *object = schedule_object(OBJECT_DESCRIPTORS);
    schedule_meet(object);
    return object;
}

static struct descriptor *get(int fd)
{
    int i = fd - FIRST;
    return i >= 0 && i < DESCRIPTORS_MAX && table.all[i].kind != CLOSED ? &table.all[i] : NULL;
}

static int open_one(enum kind kind, int flags, uintptr_t pc)
{
    for (int i = 0; i < DESCRIPTORS_MAX; i++)
        if (table.all[i].kind == CLOSED) {
            memset(&table.all[i], 0, sizeof table.all[i]);
            table.all[i].kind = kind;
            table.all[i].flags = flags;
            table.all[i].pc = pc;
            table.all[i].expiry = NEVER;
            table.used = i >= table.used ? i + 1 : table.used;
            return FIRST + i;
        }
    return refuse(EMFILE);
}

static int open_step(enum kind kind, int flags, uintptr_t pc)
{
    (void)step();
    if (search_risk(&engine.left.faults)) {
        TRACE("descriptor refused", 0, 0, "", pc);
        return refuse(EMFILE);
    }
    int fd = open_one(kind, flags, pc);
    TRACE("opens descriptor", 0, (word)fd, "", pc);
    return fd;
}

/* Whoever waits for any descriptor looks again. */
static void changed(void)
{
    engine.idle_yields = 0;
    struct thread *waiters[THREADS_MAX];
    for (int fd = FIRST; fd < FIRST + table.used; fd++) {
        unsigned count = schedule_waiters((uintptr_t)fd, waiters);
        for (unsigned i = 0; i < count; i++) {
            schedule_wake(waiters[i]);
            waiters[i]->next = (struct footprint){OBJECT_DESCRIPTORS, TOUCH_READ | TOUCH_WRITE};
        }
    }
}

/* ---- readiness ---- */

static uint32_t ready_events(const struct descriptor *d)
{
    switch (d->kind) {
    case EVENT: return (d->count > 0 ? EPOLLIN : 0) | EPOLLOUT;
    case TIMER: return d->expiry <= engine.now ? EPOLLIN : 0;
    case PIPE_READ: return (d->count > 0 ? EPOLLIN : 0) | (get(d->peer) == NULL ? EPOLLHUP : 0);
    case PIPE_WRITE: {
        const struct descriptor *reader = get(d->peer);
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

int64_t descriptors_next_expiry(int epoll)
{
    const struct descriptor *d = get(epoll);
    int64_t earliest = NEVER;
    for (int i = 0; d != NULL && d->kind == EPOLL && i < WATCHES_MAX; i++) {
        const struct descriptor *watched = d->watches[i].fd ? get(d->watches[i].fd) : NULL;
        if (watched != NULL && watched->kind == TIMER && (d->watches[i].events & EPOLLIN) && watched->expiry < earliest)
            earliest = watched->expiry;
    }
    return earliest;
}

static int collect(struct descriptor *epoll, struct epoll_event *events, int max)
{
    int count = 0;
    for (int i = 0; i < WATCHES_MAX && count < max; i++) {
        struct watch *w = &epoll->watches[i];
        const struct descriptor *watched = w->fd ? get(w->fd) : NULL;
        uint32_t ready = watched == NULL ? 0 : ready_events(watched) & (w->events | EPOLLERR | EPOLLHUP);
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
    return engine.running ? open_step(EPOLL, flags, CALLER) : __real_epoll_create1(flags);
}

static struct watch *find_watch(struct descriptor *epoll, int fd)
{
    for (int i = 0; i < WATCHES_MAX; i++)
        if (epoll->watches[i].fd == fd)
            return &epoll->watches[i];
    return NULL;
}

int __real_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    if (!ours(epoll))
        return __real_epoll_ctl(epoll, operation, fd, event);
    struct object *object = step();
    schedule_release(object);
    struct descriptor *d = get(epoll);
    if (d == NULL || get(fd) == NULL)
        return refuse(EBADF);
    struct watch *watch = find_watch(d, fd);
    if (operation == EPOLL_CTL_ADD) {
        if (watch != NULL)
            return refuse(EEXIST);
        watch = find_watch(d, 0);
    }
    if (watch == NULL)
        return refuse(operation == EPOLL_CTL_ADD ? ENOSPC : ENOENT);
    if (operation == EPOLL_CTL_DEL)
        *watch = (struct watch){0};
    else
        *watch = (struct watch){.fd = fd, .events = event->events, .data = event->data};
    changed();
    return 0;
}

static int wait_for(int epoll, struct epoll_event *events, int max, int64_t deadline, uintptr_t pc)
{
    struct object *object = step();
    for (;;) {
        struct descriptor *d = get(epoll);
        if (d == NULL || d->kind != EPOLL)
            return refuse(EBADF);
        schedule_acquire(object);
        int count = collect(d, events, max);
        if (count > 0 || deadline <= engine.now) {
            TRACE("epoll: ready", 0, (word)count, "", pc);
            engine.idle_yields = 0;
            return count;
        }
        TRACE("epoll waits", 0, (word)epoll, "", pc);
        if (schedule_block((uintptr_t)epoll, deadline, true, "epoll_wait") == SPURIOUS)
            return refuse(EINTR);
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
    if (!ours(epoll))
        return __real_epoll_wait(epoll, events, max, timeout_ms);
    return wait_for(epoll, events, max, deadline_after((int64_t)timeout_ms * 1000000), CALLER);
}

int __real_epoll_pwait(int epoll, struct epoll_event *events, int max, int timeout_ms, const sigset_t *mask);
int __wrap_epoll_pwait(int epoll, struct epoll_event *events, int max, int timeout_ms, const sigset_t *mask)
{
    if (!ours(epoll))
        return __real_epoll_pwait(epoll, events, max, timeout_ms, mask);
    return wait_for(epoll, events, max, deadline_after((int64_t)timeout_ms * 1000000), CALLER);
}

int __real_epoll_pwait2(int epoll, struct epoll_event *events, int max, const struct timespec *timeout,
                        const sigset_t *mask);
int __wrap_epoll_pwait2(int epoll, struct epoll_event *events, int max, const struct timespec *timeout,
                        const sigset_t *mask)
{
    if (!ours(epoll))
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
    struct object *object = step();
    schedule_acquire(object);
    int ready = 0;
    for (nfds_t i = 0; i < count; i++) {
        const struct descriptor *d = get(fds[i].fd);
        int events = d == NULL ? POLLNVAL : (int)ready_events(d);
        fds[i].revents = (short)(events & (fds[i].events | POLLERR | POLLHUP | POLLNVAL));
        ready += fds[i].revents != 0;
    }
    return ready;
}

/* ---- the descriptors that are waited for ---- */

int __real_eventfd(unsigned value, int flags);
int __wrap_eventfd(unsigned value, int flags)
{
    if (!engine.running)
        return __real_eventfd(value, flags);
    int fd = open_step(EVENT, flags, CALLER);
    if (fd >= 0)
        get(fd)->count = value;
    return fd;
}

int __real_pipe2(int fds[2], int flags);
int __wrap_pipe2(int fds[2], int flags)
{
    if (!engine.running)
        return __real_pipe2(fds, flags);
    int reader = open_step(PIPE_READ, flags, CALLER);
    if (reader < 0)
        return -1;
    int writer = open_one(PIPE_WRITE, flags, CALLER);
    if (writer < 0) {
        get(reader)->kind = CLOSED;
        return -1;
    }
    get(reader)->peer = writer;
    get(writer)->peer = reader;
    shadow_range((uintptr_t)fds, 2 * sizeof *fds, true, CALLER);
    fds[0] = reader;
    fds[1] = writer;
    return 0;
}

int __real_pipe(int fds[2]);
int __wrap_pipe(int fds[2])
{
    return engine.running ? __wrap_pipe2(fds, 0) : __real_pipe(fds);
}

int __real_timerfd_create(int clock, int flags);
int __wrap_timerfd_create(int clock, int flags)
{
    return engine.running ? open_step(TIMER, flags, CALLER) : __real_timerfd_create(clock, flags);
}

int __real_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
    if (!ours(fd))
        return __real_timerfd_settime(fd, flags, new, old);
    schedule_release(step());
    struct descriptor *d = get(fd);
    if (d == NULL || d->kind != TIMER)
        return refuse(EBADF);
    int64_t first = (int64_t) new->it_value.tv_sec *NS_PER_S + new->it_value.tv_nsec;
    d->period = (int64_t) new->it_interval.tv_sec *NS_PER_S + new->it_interval.tv_nsec;
    d->edge++;
    d->expiry = first == 0 ? NEVER : flags & TFD_TIMER_ABSTIME ? first : engine.now + first;
    changed();
    return 0;
}

static ssize_t read_count(struct descriptor *d, void *buffer)
{
    uint64_t value = d->count;
    if (d->kind == TIMER) {
        value = 1 + (d->period > 0 ? (uint64_t)((engine.now - d->expiry) / d->period) : 0);
        d->expiry = d->period > 0 ? d->expiry + (int64_t)value * d->period : NEVER;
    } else if (d->flags & EFD_SEMAPHORE) {
        value = 1;
    }
    if (d->kind == EVENT)
        d->count -= value;
    d->edge++;
    memcpy(buffer, &value, sizeof value);
    return sizeof value;
}

static ssize_t read_bytes(struct descriptor *d, void *buffer, size_t size)
{
    size_t got = d->count < size ? (size_t)d->count : size;
    memcpy(buffer, d->bytes, got);
    memmove(d->bytes, d->bytes + got, (size_t)d->count - got);
    d->count -= got;
    if (get(d->peer) != NULL)
        get(d->peer)->edge++;
    return (ssize_t)got;
}

ssize_t __real_read(int fd, void *buffer, size_t size);
ssize_t __wrap_read(int fd, void *buffer, size_t size)
{
    if (!ours(fd))
        return __real_read(fd, buffer, size);
    struct object *object = step();
    for (;;) {
        struct descriptor *d = get(fd);
        if (d == NULL || d->kind == EPOLL || d->kind == PIPE_WRITE)
            return refuse(EBADF);
        if (d->kind != PIPE_READ && size < sizeof(uint64_t))
            return refuse(EINVAL);
        if (ready_events(d) & (EPOLLIN | EPOLLHUP)) {
            schedule_acquire(object);
            shadow_range((uintptr_t)buffer, d->kind == PIPE_READ ? size : sizeof(uint64_t), true, CALLER);
            ssize_t got = d->kind == PIPE_READ ? read_bytes(d, buffer, size) : read_count(d, buffer);
            changed();
            TRACE("reads descriptor", 0, (word)fd, "", CALLER);
            return got;
        }
        if (d->flags & O_NONBLOCK)
            return refuse(EAGAIN);
        int64_t until = d->kind == TIMER ? d->expiry : NEVER;
        if (schedule_block((uintptr_t)fd, until, true, "read") == SPURIOUS)
            return refuse(EINTR);
        schedule_meet(object);
    }
}

static ssize_t write_bytes(struct descriptor *reader, const void *buffer, size_t size)
{
    size_t room = PIPE_ROOM - (size_t)reader->count;
    size_t put = size < room ? size : room;
    memcpy(reader->bytes + reader->count, buffer, put);
    reader->count += put;
    reader->edge++;
    return put == 0 && size > 0 ? refuse(EAGAIN) : (ssize_t)put;
}

ssize_t __real_write(int fd, const void *buffer, size_t size);
ssize_t __wrap_write(int fd, const void *buffer, size_t size)
{
    if (!ours(fd))
        return __real_write(fd, buffer, size);
    struct object *object = step();
    struct descriptor *d = get(fd);
    if (d == NULL || (d->kind != EVENT && d->kind != PIPE_WRITE))
        return refuse(EBADF);
    shadow_range((uintptr_t)buffer, size, false, CALLER);
    schedule_release(object);
    ssize_t put = sizeof(uint64_t);
    if (d->kind == PIPE_WRITE) {
        struct descriptor *reader = get(d->peer);
        if (reader == NULL)
            return refuse(EPIPE);
        put = write_bytes(reader, buffer, size);
    } else {
        uint64_t value;
        memcpy(&value, buffer, sizeof value);
        if (value > UINT64_MAX - 1 - d->count)
            return refuse(EAGAIN);
        d->count += value;
        d->edge++;
    }
    TRACE("writes descriptor", 0, (word)fd, "", CALLER);
    changed();
    return put;
}

int __real_close(int fd);
int __wrap_close(int fd)
{
    if (!ours(fd))
        return __real_close(fd);
    (void)step();
    struct descriptor *d = get(fd);
    if (d == NULL)
        explore_fail("T%d closes descriptor %d, which is not open", engine.current->id, fd);
    d->kind = CLOSED;
    if (d->peer != 0 && get(d->peer) != NULL)
        get(d->peer)->edge++;
    TRACE("closes descriptor", 0, (word)fd, "", CALLER);
    for (int i = 0; i < table.used; i++) {
        struct watch *watch = table.all[i].kind == EPOLL ? find_watch(&table.all[i], fd) : NULL;
        if (watch != NULL)
            *watch = (struct watch){0};
    }
    changed();
    return 0;
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    long argument = va_arg(arguments, long);
    va_end(arguments);
    if (!ours(fd))
        return __real_fcntl(fd, command, argument);
    struct descriptor *d = get(fd);
    if (d == NULL)
        return refuse(EBADF);
    if (command == F_GETFL)
        return d->flags;
    if (command == F_SETFL)
        d->flags = (int)argument;
    return 0;
}
