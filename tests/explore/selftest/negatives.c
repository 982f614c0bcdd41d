/* SPDX-License-Identifier: Apache-2.0 */
/* negatives.c - programs with one known fault each; the explorer must find every one of them
 *
 * `expect` names the fault. Next to it stands the same program without the fault, which must be
 * explored to the end. */
#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
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

/* ---- globals and thread-local variables are fresh in every run, and per thread ---- */

static int initialized = 5;
static atomic_int zero;
static _Thread_local int local = 7, local_zero;

static void *use_locals(void *number)
{
    explore_check(local == 7 && local_zero == 0);
    local = (int)(intptr_t)number;
    local_zero = 1;
    (void)atomic_fetch_add(&zero, 1);
    (void)atomic_load(&zero);
    explore_check(local == (int)(intptr_t)number && local_zero == 1);
    return NULL;
}

EXPLORE_SCENARIO(globals_and_locals_are_fresh, .preemptions = 3, .stale_reads = 1)
{
    explore_check(initialized == 5 && atomic_load(&zero) == 0 && local == 7);
    initialized = 6;
    local = 1;
    pthread_t a = start(use_locals, (void *)10), b = start(use_locals, (void *)11);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    explore_check(local == 1 && atomic_load(&zero) == 2);
}

/* ---- data race ---- */

static int payload;
static atomic_int flag;

static void *publish_released(void *unused)
{
    payload = 42;
    atomic_store_explicit(&flag, 1, REL);
    return unused;
}

static void *publish_relaxed(void *unused)
{
    payload = 42;
    atomic_store_explicit(&flag, 1, RLX);
    return unused;
}

static void read_published(void *(*publisher)(void *))
{
    pthread_t id = start(publisher, NULL);
    if (atomic_load_explicit(&flag, ACQ) == 1)
        explore_check(payload == 42);
    pthread_join(id, NULL);
}

EXPLORE_SCENARIO(race_absent, .preemptions = 2, .stale_reads = 1)
{
    read_published(publish_released);
}
EXPLORE_SCENARIO(race_relaxed_publication, .preemptions = 1, .expect = "data race")
{
    read_published(publish_relaxed);
}

/* Through memcpy, which gcc does not instrument by itself. */
static char text[64];
static void *copy_text(void *from)
{
    memcpy(text, from, sizeof text);
    return NULL;
}

EXPLORE_SCENARIO(race_through_memcpy, .preemptions = 1, .expect = "data race")
{
    char mine[64] = "mine";
    pthread_t id = start(copy_text, mine);
    memset(text, 0, sizeof text);
    pthread_join(id, NULL);
}

/* ---- memory ---- */

static void *free_it(void *memory)
{
    free(memory);
    return NULL;
}

EXPLORE_SCENARIO(use_after_free, .preemptions = 1, .expect = "use after free")
{
    int *memory = malloc(sizeof *memory);
    pthread_t id = start(free_it, memory);
    pthread_join(id, NULL);
    *memory = 1;
}

EXPLORE_SCENARIO(use_while_freed, .preemptions = 1, .expect = "data race")
{
    int *memory = malloc(sizeof *memory);
    pthread_t id = start(free_it, memory);
    *memory = 1;
    pthread_join(id, NULL);
}

EXPLORE_SCENARIO(write_behind_a_block, .expect = "outside of a block")
{
    char *memory = malloc(32);
    memset(memory, 0, 40);
    free(memory);
}

static atomic_int freed;
static void *free_once_badly(void *memory)
{
    if (atomic_load(&freed) == 0) {
        atomic_store(&freed, 1);
        free(memory);
    }
    return NULL;
}

static void *free_once(void *memory)
{
    if (atomic_exchange(&freed, 1) == 0)
        free(memory);
    return NULL;
}

EXPLORE_SCENARIO(double_free_absent, .preemptions = 2)
{
    void *memory = malloc(8);
    pthread_t id = start(free_once, memory);
    free_once(memory);
    pthread_join(id, NULL);
}

/* Either report is right: nothing orders the two frees. */
EXPLORE_SCENARIO(double_free_by_two, .preemptions = 1, .expect = "free")
{
    void *memory = malloc(8);
    pthread_t id = start(free_once_badly, memory);
    free_once_badly(memory);
    pthread_join(id, NULL);
}

EXPLORE_SCENARIO(double_free_by_one, .expect = "double free")
{
    void *volatile memory = malloc(8);
    free(memory);
    free(memory);
}

EXPLORE_SCENARIO(leak, .expect = "leak: 1 block, the first of 24 bytes")
{
    explore_check(malloc(24) != NULL);
}

EXPLORE_SCENARIO(leak_when_memory_is_short, .faults = 1, .expect = "leak")
{
    void *a = malloc(8), *b = malloc(8);
    if (a == NULL || b == NULL)
        return;
    free(a);
    free(b);
}

EXPLORE_SCENARIO(leak_of_a_descriptor, .expect = "leak: descriptor")
{
    explore_check(eventfd(0, 0) >= 0);
}

EXPLORE_SCENARIO(thread_refused, .faults = 1, .expect = "check failed")
{
    pthread_t id = start(free_it, NULL);
    pthread_join(id, NULL);
}

EXPLORE_SCENARIO(thread_not_joined, .preemptions = 0, .expect = "has not ended")
{
    start(free_it, NULL);
}

EXPLORE_SCENARIO(crash, .expect = "crash")
{
    *(volatile int *)(uintptr_t)explore_choose(2) = 1;
}

/* ---- ABA: only when memory comes back ---- */

struct node {
    struct node *next;
    int value;
};
static _Atomic(struct node *) top;

static void push(struct node *node)
{
    struct node *old = atomic_load_explicit(&top, RLX);
    do
        __atomic_store_n(&node->next, old, __ATOMIC_RELAXED);
    while (!atomic_compare_exchange_weak_explicit(&top, &old, node, REL, RLX));
}

/* The next field is atomic here: the fault in question is the compare-exchange. */
static struct node *pop(void)
{
    struct node *old = atomic_load_explicit(&top, ACQ), *next;
    do {
        if (old == NULL)
            return NULL;
        next = __atomic_load_n(&old->next, __ATOMIC_RELAXED);
    } while (!atomic_compare_exchange_weak_explicit(&top, &old, next, ACQ, ACQ));
    return old;
}

static struct node *pool[3]; /* nodes are not freed but come back: type-stable memory */

static void *pop_two_push_first(void *unused)
{
    struct node *a = pop(), *b = pop();
    if (a != NULL)
        push(a);
    return b != NULL ? b : unused;
}

EXPLORE_SCENARIO(aba_in_stable_memory, .preemptions = 2, .expect = "popped twice")
{
    for (int i = 0; i < 3; i++) {
        pool[i] = malloc(sizeof *pool[i]);
        pool[i]->value = i;
        __atomic_store_n(&pool[i]->next, NULL, __ATOMIC_RELAXED);
    }
    for (int i = 0; i < 3; i++)
        push(pool[i]);
    pthread_t id = start(pop_two_push_first, NULL);
    struct node *mine = pop();
    void *theirs;
    pthread_join(id, &theirs);
    struct node *rest;
    while ((rest = pop()) != NULL)
        if (rest == theirs || rest == mine)
            explore_fail("popped twice");
    for (int i = 0; i < 3; i++)
        free(pool[i]);
}

/* Lock-free on tagged words, but the block itself is freed and allocated again: the address
 * repeats. */
static _Atomic uintptr_t published;

static void *replace_twice(void *unused)
{
    void *old = (void *)atomic_exchange(&published, 0);
    free(old);
    void *new = malloc(32);
    atomic_store(&published, (uintptr_t) new);
    return unused;
}

static void compare_addresses(void)
{
    void *first = malloc(32);
    atomic_store(&published, (uintptr_t)first);
    pthread_t id = start(replace_twice, NULL);
    uintptr_t seen = atomic_load(&published);
    uintptr_t again = seen;
    pthread_join(id, NULL);
    if (seen == (uintptr_t)first && atomic_compare_exchange_strong(&published, &again, seen))
        explore_fail("the address came back");
    free((void *)atomic_load(&published));
}

EXPLORE_SCENARIO(aba_needs_reuse, .preemptions = 2)
{
    compare_addresses();
}
EXPLORE_SCENARIO(aba_by_reuse, .preemptions = 2, .reuse = 1, .expect = "the address came back")
{
    compare_addresses();
}

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
