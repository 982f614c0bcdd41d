/* SPDX-License-Identifier: Apache-2.0 */
/* negatives_waiting.c - programs with one fault of sleeping, spinning, locking or time each; every one must be found
 *
 * `expect` names the fault. Next to it stands the same program without the fault, which must be explored to the end. */
#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "explore.h"

#define RLX memory_order_relaxed
#define ACQ memory_order_acquire
#define REL memory_order_release
#define SC memory_order_seq_cst

static pthread_t start(void *(*run)(void *), void *argument)
{
    pthread_t id;
    explore_check(pthread_create(&id, NULL, run, argument) == 0);
    return id;
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    (void)syscall(SYS_futex, word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
}

static int payload;

/* ---- sleeping ---- */

static _Atomic uint32_t gate, sleepers;

static void *wait_at_gate(void *unused)
{
    while (atomic_load_explicit(&gate, ACQ) == 0)
        futex_wait(&gate, 0);
    return unused;
}

static void *wait_at_gate_once(void *unused)
{
    if (atomic_load_explicit(&gate, ACQ) == 0)
        futex_wait(&gate, 0);
    explore_check(atomic_load_explicit(&gate, ACQ) == 1);
    return unused;
}

static void open_gate(void *(*waiter)(void *), bool wakes)
{
    pthread_t id = start(waiter, NULL);
    atomic_store_explicit(&gate, 1, REL);
    if (wakes)
        futex_wake(&gate);
    pthread_join(id, NULL);
}

EXPLORE_SCENARIO(futex_right, .preemptions = 3, .stale_reads = 2, .spurious = 1)
{
    open_gate(wait_at_gate, true);
}
EXPLORE_SCENARIO(futex_wake_forgotten, .preemptions = 1, .expect = "lost wake-up")
{
    open_gate(wait_at_gate, false);
}
EXPLORE_SCENARIO(spurious_wake_not_expected, .preemptions = 1, .spurious = 1, .expect = "check failed")
{
    open_gate(wait_at_gate_once, true);
}

/* The waker skips the call when it sees no sleeper: both sides need a full barrier. */
static void wait_announced(bool barrier)
{
    atomic_store_explicit(&sleepers, 1, RLX);
    if (barrier)
        atomic_thread_fence(SC);
    while (atomic_load_explicit(&gate, ACQ) == 0)
        futex_wait(&gate, 0);
}

static void open_if_announced(bool barrier)
{
    atomic_store_explicit(&gate, 1, REL);
    if (barrier)
        atomic_thread_fence(SC);
    if (atomic_load_explicit(&sleepers, RLX) != 0)
        futex_wake(&gate);
}

static void *wait_announced_rightly(void *unused)
{
    wait_announced(true);
    return unused;
}

EXPLORE_SCENARIO(announced_sleep_right, .preemptions = 3, .stale_reads = 2)
{
    pthread_t id = start(wait_announced_rightly, NULL);
    open_if_announced(true);
    pthread_join(id, NULL);
}

EXPLORE_SCENARIO(announced_sleep_without_barrier, .preemptions = 2, .stale_reads = 2, .expect = "lost wake-up")
{
    pthread_t id = start(wait_announced_rightly, NULL);
    open_if_announced(false);
    pthread_join(id, NULL);
}

/* ---- membarrier: one side pays for both ---- */

static atomic_int here, there;

static void *light_side(void *unused)
{
    atomic_store_explicit(&here, 1, RLX);
    atomic_signal_fence(SC);
    return atomic_load_explicit(&there, RLX) != 0 ? &here : unused;
}

static void asymmetric_dekker(bool heavy)
{
    void *light_saw;
    pthread_t id = start(light_side, NULL);
    atomic_store_explicit(&there, 1, RLX);
    if (heavy)
        explore_check(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0);
    bool heavy_saw = atomic_load_explicit(&here, RLX) != 0;
    pthread_join(id, &light_saw);
    explore_check(heavy_saw || light_saw != NULL);
}

EXPLORE_SCENARIO(membarrier_right, .preemptions = 3, .stale_reads = 3)
{
    asymmetric_dekker(true);
}
EXPLORE_SCENARIO(membarrier_missing, .preemptions = 2, .stale_reads = 1, .expect = "check failed")
{
    asymmetric_dekker(false);
}

EXPLORE_SCENARIO(membarrier_refused, .without_membarrier = true, .expect = "check failed")
{
    asymmetric_dekker(true);
}

/* ---- spinning ---- */

static atomic_int one, two;

static void *spin_for_one(void *unused)
{
    while (atomic_load_explicit(&one, ACQ) == 0)
        ;
    atomic_store_explicit(&two, 1, REL);
    return unused;
}

static void *lock_by_exchange(void *unused)
{
    while (atomic_exchange_explicit(&two, 1, ACQ) != 0)
        ;
    payload++;
    atomic_store_explicit(&two, 0, REL);
    return unused;
}

EXPLORE_SCENARIO(spinning_right, .preemptions = 2, .stale_reads = 2)
{
    pthread_t id = start(spin_for_one, NULL);
    atomic_store_explicit(&one, 1, REL);
    while (atomic_load_explicit(&two, ACQ) == 0)
        sched_yield();
    pthread_join(id, NULL);
}

EXPLORE_SCENARIO(spin_lock_right, .preemptions = 3)
{
    pthread_t a = start(lock_by_exchange, NULL), b = start(lock_by_exchange, NULL);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    explore_check(payload == 2);
}

EXPLORE_SCENARIO(livelock, .preemptions = 1, .expect = "livelock")
{
    pthread_t id = start(spin_for_one, NULL);
    pthread_join(id, NULL);
}

/* ---- locks ---- */

static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER, second = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void *lock_in_order(void *unused)
{
    pthread_mutex_lock(&first);
    pthread_mutex_lock(&second);
    pthread_mutex_unlock(&second);
    pthread_mutex_unlock(&first);
    return unused;
}

EXPLORE_SCENARIO(deadlock, .preemptions = 1, .expect = "deadlock")
{
    pthread_t id = start(lock_in_order, NULL);
    pthread_mutex_lock(&second);
    pthread_mutex_lock(&first);
    pthread_mutex_unlock(&first);
    pthread_mutex_unlock(&second);
    pthread_join(id, NULL);
}

static void *set_under_lock(void *unused)
{
    pthread_mutex_lock(&first);
    payload = 1;
    pthread_mutex_unlock(&first);
    pthread_cond_signal(&changed);
    return unused;
}

static void wait_for_payload(bool loops)
{
    pthread_t id = start(set_under_lock, NULL);
    pthread_mutex_lock(&first);
    if (loops)
        while (payload == 0)
            pthread_cond_wait(&changed, &first);
    else if (payload == 0)
        pthread_cond_wait(&changed, &first);
    explore_check(payload == 1);
    pthread_mutex_unlock(&first);
    pthread_join(id, NULL);
}

EXPLORE_SCENARIO(condition_right, .preemptions = 3, .spurious = 2)
{
    wait_for_payload(true);
}
EXPLORE_SCENARIO(condition_without_loop, .preemptions = 1, .spurious = 1, .expect = "check failed")
{
    wait_for_payload(false);
}

/* ---- time ---- */

static int wait_a_second(void)
{
    struct timespec second_from_now;
    clock_gettime(CLOCK_MONOTONIC, &second_from_now);
    second_from_now.tv_sec++;
    int result = 0;
    pthread_mutex_lock(&first);
    while (payload == 0 && result == 0)
        result = pthread_cond_timedwait(&changed, &first, &second_from_now);
    pthread_mutex_unlock(&first);
    return result;
}

EXPLORE_SCENARIO(time_jumps_when_nobody_can_run, .preemptions = 2)
{
    explore_check(wait_a_second() == ETIMEDOUT);
}

EXPLORE_SCENARIO(time_does_not_jump_otherwise, .preemptions = 2)
{
    pthread_t id = start(set_under_lock, NULL);
    explore_check(wait_a_second() == 0);
    pthread_join(id, NULL);
}

EXPLORE_SCENARIO(early_timeout, .preemptions = 2, .early_timeouts = 1, .expect = "check failed")
{
    pthread_t id = start(set_under_lock, NULL);
    explore_check(wait_a_second() == 0);
    pthread_join(id, NULL);
}

/* ---- descriptors ---- */

static void *write_event(void *fd)
{
    uint64_t one_more = 1;
    payload = 9;
    explore_check(write((int)(intptr_t)fd, &one_more, sizeof one_more) == sizeof one_more);
    return NULL;
}

static void poll_event(int timeout_ms, int expected)
{
    int poller = epoll_create1(EPOLL_CLOEXEC), event = eventfd(0, EFD_NONBLOCK);
    struct epoll_event wanted = {.events = EPOLLIN, .data.fd = event}, got;
    explore_check(epoll_ctl(poller, EPOLL_CTL_ADD, event, &wanted) == 0);
    pthread_t id = start(write_event, (void *)(intptr_t)event);
    int count = epoll_wait(poller, &got, 1, timeout_ms);
    explore_check(count == expected);
    uint64_t value = 0;
    if (count == 1)
        explore_check(read(event, &value, sizeof value) == sizeof value && value == 1 && payload == 9);
    pthread_join(id, NULL);
    close(event);
    close(poller);
}

EXPLORE_SCENARIO(epoll_is_woken, .preemptions = 3)
{
    poll_event(-1, 1);
}
EXPLORE_SCENARIO(epoll_may_time_out, .preemptions = 1, .early_timeouts = 1, .expect = "check failed")
{
    poll_event(10, 1);
}
