/* SPDX-License-Identifier: Apache-2.0 */
/* fd_wrap.c - eventfd, pipe and timerfd, on descriptors of the explorer's own; epoll_wrap.c waits for them
 *
 * Descriptors start at 1000; calls on others go to the system, so that printing works. All steps on descriptors
 * conflict with each other: coarse, and enough. A write and the read that gets it synchronise, as the kernel's
 * locks make them. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "descriptors.h"
#include "shadow.h"

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

int descriptor_refuse(int error)
{
    errno = error;
    return -1;
}

bool descriptor_ours(int fd)
{
    return engine.running && fd >= FIRST;
}

struct object *descriptor_step(void)
{
    schedule_point(OBJECT_DESCRIPTORS, TOUCH_READ | TOUCH_WRITE);
    struct object *object = schedule_object(OBJECT_DESCRIPTORS);
    schedule_meet(object);
    return object;
}

struct descriptor *descriptor_get(int fd)
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
    return descriptor_refuse(EMFILE);
}

int descriptor_open(enum kind kind, int flags, uintptr_t pc)
{
    (void)descriptor_step();
    if (search_risk(&engine.left.faults)) {
        TRACE("descriptor refused", 0, 0, "", pc);
        return descriptor_refuse(EMFILE);
    }
    int fd = open_one(kind, flags, pc);
    TRACE("opens descriptor", 0, (word)fd, "", pc);
    return fd;
}

/* Whoever waits for any descriptor looks again. */
void descriptor_changed(void)
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

/* ---- the descriptors that are waited for ---- */

int __real_eventfd(unsigned value, int flags);
int __wrap_eventfd(unsigned value, int flags)
{
    if (!engine.running)
        return __real_eventfd(value, flags);
    int fd = descriptor_open(EVENT, flags, CALLER);
    if (fd >= 0)
        descriptor_get(fd)->count = value;
    return fd;
}

int __real_pipe2(int fds[2], int flags);
int __wrap_pipe2(int fds[2], int flags)
{
    if (!engine.running)
        return __real_pipe2(fds, flags);
    int reader = descriptor_open(PIPE_READ, flags, CALLER);
    if (reader < 0)
        return -1;
    int writer = open_one(PIPE_WRITE, flags, CALLER);
    if (writer < 0) {
        descriptor_get(reader)->kind = CLOSED;
        return -1;
    }
    descriptor_get(reader)->peer = writer;
    descriptor_get(writer)->peer = reader;
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
    return engine.running ? descriptor_open(TIMER, flags, CALLER) : __real_timerfd_create(clock, flags);
}

int __real_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
    if (!descriptor_ours(fd))
        return __real_timerfd_settime(fd, flags, new, old);
    schedule_release(descriptor_step());
    struct descriptor *d = descriptor_get(fd);
    if (d == NULL || d->kind != TIMER)
        return descriptor_refuse(EBADF);
    int64_t first = (int64_t) new->it_value.tv_sec *NS_PER_S + new->it_value.tv_nsec;
    d->period = (int64_t) new->it_interval.tv_sec *NS_PER_S + new->it_interval.tv_nsec;
    d->edge++;
    d->expiry = first == 0 ? NEVER : flags & TFD_TIMER_ABSTIME ? first : engine.now + first;
    descriptor_changed();
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
    if (descriptor_get(d->peer) != NULL)
        descriptor_get(d->peer)->edge++;
    return (ssize_t)got;
}

ssize_t __real_read(int fd, void *buffer, size_t size);
ssize_t __wrap_read(int fd, void *buffer, size_t size)
{
    if (!descriptor_ours(fd))
        return __real_read(fd, buffer, size);
    struct object *object = descriptor_step();
    for (;;) {
        struct descriptor *d = descriptor_get(fd);
        if (d == NULL || d->kind == EPOLL || d->kind == PIPE_WRITE)
            return descriptor_refuse(EBADF);
        if (d->kind != PIPE_READ && size < sizeof(uint64_t))
            return descriptor_refuse(EINVAL);
        if (descriptor_ready(d) & (EPOLLIN | EPOLLHUP)) {
            schedule_acquire(object);
            shadow_range((uintptr_t)buffer, d->kind == PIPE_READ ? size : sizeof(uint64_t), true, CALLER);
            ssize_t got = d->kind == PIPE_READ ? read_bytes(d, buffer, size) : read_count(d, buffer);
            descriptor_changed();
            TRACE("reads descriptor", 0, (word)fd, "", CALLER);
            return got;
        }
        if (d->flags & O_NONBLOCK)
            return descriptor_refuse(EAGAIN);
        int64_t until = d->kind == TIMER ? d->expiry : NEVER;
        if (schedule_block((uintptr_t)fd, until, true, "read") == SPURIOUS)
            return descriptor_refuse(EINTR);
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
    return put == 0 && size > 0 ? descriptor_refuse(EAGAIN) : (ssize_t)put;
}

ssize_t __real_write(int fd, const void *buffer, size_t size);
ssize_t __wrap_write(int fd, const void *buffer, size_t size)
{
    if (!descriptor_ours(fd)) /* what the library logs is of interest in the run that is printed */
        return engine.running && fd == STDERR_FILENO && !engine.tracing ? (ssize_t)size
                                                                        : __real_write(fd, buffer, size);
    struct object *object = descriptor_step();
    struct descriptor *d = descriptor_get(fd);
    if (d == NULL || (d->kind != EVENT && d->kind != PIPE_WRITE))
        return descriptor_refuse(EBADF);
    shadow_range((uintptr_t)buffer, size, false, CALLER);
    schedule_release(object);
    ssize_t put = sizeof(uint64_t);
    if (d->kind == PIPE_WRITE) {
        struct descriptor *reader = descriptor_get(d->peer);
        if (reader == NULL)
            return descriptor_refuse(EPIPE);
        put = write_bytes(reader, buffer, size);
    } else {
        uint64_t value;
        memcpy(&value, buffer, sizeof value);
        if (value > UINT64_MAX - 1 - d->count)
            return descriptor_refuse(EAGAIN);
        d->count += value;
        d->edge++;
    }
    TRACE("writes descriptor", 0, (word)fd, "", CALLER);
    descriptor_changed();
    return put;
}

int __real_close(int fd);
int __wrap_close(int fd)
{
    if (!descriptor_ours(fd))
        return __real_close(fd);
    (void)descriptor_step();
    struct descriptor *d = descriptor_get(fd);
    if (d == NULL)
        explore_fail("T%d closes descriptor %d, which is not open", engine.current->id, fd);
    d->kind = CLOSED;
    if (d->peer != 0 && descriptor_get(d->peer) != NULL)
        descriptor_get(d->peer)->edge++;
    TRACE("closes descriptor", 0, (word)fd, "", CALLER);
    for (int i = 0; i < table.used; i++) {
        struct watch *watch = table.all[i].kind == EPOLL ? descriptor_watch(&table.all[i], fd) : NULL;
        if (watch != NULL)
            *watch = (struct watch){0};
    }
    descriptor_changed();
    return 0;
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    long argument = va_arg(arguments, long);
    va_end(arguments);
    if (!descriptor_ours(fd))
        return __real_fcntl(fd, command, argument);
    struct descriptor *d = descriptor_get(fd);
    if (d == NULL)
        return descriptor_refuse(EBADF);
    if (command == F_GETFL)
        return d->flags;
    if (command == F_SETFL)
        d->flags = (int)argument;
    return 0;
}
