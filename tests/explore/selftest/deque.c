/* SPDX-License-Identifier: Apache-2.0 */
/* deque.c - a textbook deque for figures, and with the four faults that are easy to make
 *
 * Chase and Lev's deque as given by Le, Pop, Cohen and Zappa Nardelli (PPoPP 2013), with release
 * stores to bottom instead of a release fence. It is not the library's: it does not change, so
 * figures stay comparable. */
#include <pthread.h>
#include <stdatomic.h>

#include "explore.h"

#define RLX memory_order_relaxed
#define ACQ memory_order_acquire
#define REL memory_order_release
#define SC memory_order_seq_cst

enum { CAPACITY = 4, EMPTY = -1, ITEMS = 3 };
enum fault { NONE, WEAK_TAKE_FENCE, WEAK_STEAL_FENCE, RELAXED_PUSH, TAKE_WITHOUT_CAS };

static enum fault fault;
static _Atomic long top = 1, bottom = 1, slots[CAPACITY];
static int payload[ITEMS + 1], got[ITEMS + 1][3];

static void push(long value)
{
    long b = atomic_load_explicit(&bottom, RLX);
    long t = atomic_load_explicit(&top, ACQ);
    explore_check(b - t < CAPACITY);
    atomic_store_explicit(&slots[b % CAPACITY], value, RLX);
    atomic_store_explicit(&bottom, b + 1, fault == RELAXED_PUSH ? RLX : REL);
}

static long take(void)
{
    long b = atomic_load_explicit(&bottom, RLX) - 1;
    atomic_store_explicit(&bottom, b, REL);
    atomic_thread_fence(fault == WEAK_TAKE_FENCE ? memory_order_acq_rel : SC);
    long t = atomic_load_explicit(&top, RLX);
    if (t > b) {
        atomic_store_explicit(&bottom, b + 1, REL);
        return EMPTY;
    }
    long value = atomic_load_explicit(&slots[b % CAPACITY], RLX);
    if (t < b)
        return value;
    if (fault == TAKE_WITHOUT_CAS)
        atomic_store_explicit(&top, t + 1, SC);
    else if (!atomic_compare_exchange_strong_explicit(&top, &t, t + 1, SC, RLX))
        value = EMPTY;
    atomic_store_explicit(&bottom, b + 1, REL);
    return value;
}

static long steal(void)
{
    long t = atomic_load_explicit(&top, ACQ);
    atomic_thread_fence(fault == WEAK_STEAL_FENCE ? memory_order_acq_rel : SC);
    long b = atomic_load_explicit(&bottom, ACQ);
    if (t >= b)
        return EMPTY;
    long value = atomic_load_explicit(&slots[t % CAPACITY], RLX);
    return atomic_compare_exchange_strong_explicit(&top, &t, t + 1, SC, RLX) ? value : EMPTY;
}

static void note(long value, int thread)
{
    if (value == EMPTY)
        return;
    explore_check(value >= 1 && value <= ITEMS && payload[value] == 100 + (int)value);
    got[value][thread]++;
}

static void *thief(void *number)
{
    for (int i = 0; i < 2; i++)
        note(steal(), (int)(intptr_t)number);
    return NULL;
}

static void own(enum fault which, int thieves)
{
    pthread_t ids[2];
    fault = which;
    for (int i = 0; i < thieves; i++)
        explore_check(pthread_create(&ids[i], NULL, thief, (void *)(intptr_t)(i + 1)) == 0);
    for (int i = 1; i <= ITEMS; i++) {
        payload[i] = 100 + i;
        push(i);
        if (i == 2)
            note(take(), 0);
    }
    note(take(), 0);
    note(take(), 0);
    for (int i = 0; i < thieves; i++)
        pthread_join(ids[i], NULL);
    for (int i = 0; i < ITEMS; i++)
        note(take(), 0);
    for (int i = 1; i <= ITEMS; i++)
        explore_check(got[i][0] + got[i][1] + got[i][2] == 1);
}

EXPLORE_SCENARIO(deque_one_thief, .preemptions = 3, .stale_reads = 1)
{
    own(NONE, 1);
}
EXPLORE_SCENARIO(deque_one_thief_wide, .preemptions = EXPLORE_UNBOUNDED, .stale_reads = 2)
{
    own(NONE, 1);
}
EXPLORE_SCENARIO(deque_two_thieves_p2, .preemptions = 2, .stale_reads = 1)
{
    own(NONE, 2);
}
EXPLORE_SCENARIO(deque_two_thieves_p3, .preemptions = 3, .stale_reads = 1)
{
    own(NONE, 2);
}
EXPLORE_SCENARIO(deque_weak_take_fence, .preemptions = 2, .stale_reads = 1, .expect = "check failed")
{
    own(WEAK_TAKE_FENCE, 2);
}
EXPLORE_SCENARIO(deque_weak_steal_fence, .preemptions = 3, .stale_reads = 1, .expect = "check failed")
{
    own(WEAK_STEAL_FENCE, 2);
}
EXPLORE_SCENARIO(deque_relaxed_push, .preemptions = 2, .stale_reads = 1, .expect = "data race")
{
    own(RELAXED_PUSH, 2);
}
EXPLORE_SCENARIO(deque_take_without_cas, .preemptions = 3, .expect = "check failed")
{
    own(TAKE_WITHOUT_CAS, 2);
}
