/* SPDX-License-Identifier: Apache-2.0 */
/* os_wrap.c - futex, membarrier, the clock, and what the machine is said to be
 *
 * futex(2) wait: a full barrier, then a look at the word and the decision to sleep as one step.
 * The look may be stale like any other: a store that is still in its processor's buffer, whose
 * thread then skipped the wake-up because it saw no sleeper, is the classic lost wake-up. A
 * wake-up comes with a barrier of its own before it, and with the order of the kernel's queue
 * lock: who waits after a wake-up sees what was stored before it. None of this synchronises in the
 * sense of C11, so data that is handed over by a futex alone is a race. */
#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"
#include "shadow.h"

static long refuse(int error)
{
    errno = error;
    return -1;
}

static int64_t to_ns(const struct timespec *time)
{
    return (int64_t)time->tv_sec * NS_PER_S + time->tv_nsec;
}

/* ---- futex ---- */

static struct object *futex_step(uintptr_t word_at)
{
    schedule_point(word_at, TOUCH_READ | TOUCH_WRITE | TOUCH_SC_FENCE);
    shadow_make_shared(word_at);
    model_fence(engine.current, __ATOMIC_SEQ_CST);
    struct object *queue = schedule_object(word_at ^ 1);
    schedule_meet(queue);
    return queue;
}

static long futex_wait(uintptr_t word_at, uint32_t expected, int64_t deadline, uintptr_t pc)
{
    struct object *queue = futex_step(word_at);
    shadow_atomic(word_at, 4, false, pc); /* a wake-up does not: the word may be gone by then */
    clock_join(&engine.current->view, &queue->view);
    uint32_t value = (uint32_t)model_kernel_load(word_at);
    if (value != expected) {
        TRACE("futex wait: not", word_at, value, "", pc);
        return refuse(EAGAIN);
    }
    TRACE("futex wait", word_at, value, "", pc);
    enum wake_reason reason = schedule_block(word_at, deadline, true, "futex wait");
    TRACE(reason == WOKEN       ? "futex: woken"
          : reason == TIMED_OUT ? "futex: times out"
                                : "futex: EINTR",
          word_at, 0, "", pc);
    if (reason == WOKEN)
        return 0;
    return refuse(reason == TIMED_OUT ? ETIMEDOUT : EINTR);
}

/* Fewer wake-ups than sleepers: which ones is a choice. */
static long futex_wake(uintptr_t word_at, int wanted, uintptr_t pc)
{
    struct object *queue = futex_step(word_at);
    clock_join(&queue->view, &engine.current->view);
    thread_tick(engine.current);
    engine.idle_yields = 0;
    struct thread *sleepers[THREADS_MAX];
    unsigned count = schedule_waiters(word_at, sleepers);
    long woken = 0;
    while (count > 0 && woken < wanted) {
        unsigned chosen = (int)count > wanted - woken ? search_choose_data(count) : 0;
        schedule_wake(sleepers[chosen]);
        sleepers[chosen] = sleepers[--count];
        woken++;
    }
    TRACE("futex wake", word_at, (word)woken, "", pc);
    thread_saw(engine.current, (uint64_t)woken);
    return woken;
}

static long do_futex(const long *a, uintptr_t pc)
{
    uintptr_t word_at = (uintptr_t)a[0];
    const struct timespec *time = (const struct timespec *)a[3];
    int64_t deadline = NEVER;
    switch ((int)a[1] & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
        if (time != NULL)
            deadline = engine.now + to_ns(time);
        return futex_wait(word_at, (uint32_t)a[2], deadline, pc);
    case FUTEX_WAIT_BITSET:
        if (time != NULL)
            deadline = to_ns(time);
        return futex_wait(word_at, (uint32_t)a[2], deadline, pc);
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET: return futex_wake(word_at, (int)a[2], pc);
    default: explore_fail("explorer: futex operation %ld", a[1]);
    }
}

/* ---- membarrier ---- */

static long do_membarrier(long command)
{
    if (engine.bounds.without_membarrier)
        return refuse(ENOSYS);
    switch (command) {
    case MEMBARRIER_CMD_QUERY:
        return MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
    case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: return 0;
    case MEMBARRIER_CMD_GLOBAL:
    case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
        schedule_point(0, TOUCH_EVERYTHING);
        TRACE("membarrier", 0, 0, "", 0);
        model_fence_everywhere();
        return 0;
    default: return refuse(EINVAL);
    }
}

/* ---- syscall ---- */

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
    long a[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    if (!engine.running)
        return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    switch (number) {
    case SYS_futex: return do_futex(a, CALLER);
    case SYS_membarrier: return do_membarrier(a[0]);
    case SYS_gettid: return 1000 + engine.current->id;
    case SYS_getcpu: *(unsigned *)a[0] = (unsigned)engine.current->id % 2; return 0;
    default: explore_fail("explorer: system call %ld", number);
    }
}

/* ---- time ---- */

enum { CLOCK_LOOKS = 64, CLOCK_STEP = 1000000 };

/* Time stands still between two jumps. Only with early time-outs can it jump while somebody runs:
 * then a look at the clock is a step. Who does nothing but look makes a millisecond pass. */
static int64_t look_at_clock(void)
{
    struct thread *me = engine.current;
    if (engine.bounds.early_timeouts > 0)
        schedule_point(OBJECT_CLOCK, TOUCH_READ);
    if (++me->clock_looks % CLOCK_LOOKS == 0) {
        schedule_yield();
        schedule_advance(engine.now + CLOCK_STEP);
    }
    thread_saw(me, (uint64_t)engine.now);
    return engine.now;
}

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    if (!engine.running)
        return __real_clock_gettime(clock, time);
    int64_t now = look_at_clock();
    shadow_range((uintptr_t)time, sizeof *time, true, CALLER);
    *time = (struct timespec){.tv_sec = now / NS_PER_S, .tv_nsec = now % NS_PER_S};
    return 0;
}

static void sleep_until(int64_t deadline)
{
    schedule_point(0, 0);
    (void)schedule_block((uintptr_t)&engine.current->deadline, deadline, false, "sleep");
}

int __real_nanosleep(const struct timespec *time, struct timespec *rest);
int __wrap_nanosleep(const struct timespec *time, struct timespec *rest)
{
    if (!engine.running)
        return __real_nanosleep(time, rest);
    sleep_until(engine.now + to_ns(time));
    return 0;
}

int __real_clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *rest);
int __wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *rest)
{
    if (!engine.running)
        return __real_clock_nanosleep(clock, flags, time, rest);
    sleep_until(flags & TIMER_ABSTIME ? to_ns(time) : engine.now + to_ns(time));
    return 0;
}

int __real_usleep(useconds_t us);
int __wrap_usleep(useconds_t us)
{
    if (!engine.running)
        return __real_usleep(us);
    sleep_until(engine.now + (int64_t)us * 1000);
    return 0;
}

/* ---- the machine: two processors, whatever there is ---- */

enum { PROCESSORS = 2 };

int __real_sched_getaffinity(pid_t id, size_t size, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t id, size_t size, cpu_set_t *set)
{
    if (!engine.running)
        return __real_sched_getaffinity(id, size, set);
    shadow_range((uintptr_t)set, size, true, CALLER);
    memset(set, 0, size);
    for (int i = 0; i < PROCESSORS; i++)
        CPU_SET_S((size_t)i, size, set);
    return 0;
}

int __real_sched_getcpu(void);
int __wrap_sched_getcpu(void)
{
    return engine.running ? engine.current->id % PROCESSORS : __real_sched_getcpu();
}

long __real_sysconf(int name);
long __wrap_sysconf(int name)
{
    if (engine.running && (name == _SC_NPROCESSORS_ONLN || name == _SC_NPROCESSORS_CONF))
        return PROCESSORS;
    return __real_sysconf(name);
}

/* ---- the ends of a process are violations ---- */

_Noreturn void __real_abort(void);
_Noreturn void __wrap_abort(void)
{
    char place[160];
    if (engine.running)
        explore_fail("abort: T%d at %s", engine.current->id, trace_place(CALLER, place, sizeof place));
    __real_abort();
}

_Noreturn void __real_exit(int code);
_Noreturn void __wrap_exit(int code)
{
    if (engine.running)
        explore_fail("exit(%d) by T%d", code, engine.current->id);
    __real_exit(code);
}

_Noreturn void __real___assert_fail(const char *text, const char *file, unsigned line, const char *function);
_Noreturn void __wrap___assert_fail(const char *text, const char *file, unsigned line, const char *function)
{
    if (engine.running)
        explore_fail("assertion failed: %s (%s:%u)", text, file, line);
    __real___assert_fail(text, file, line, function);
}
