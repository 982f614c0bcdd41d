/* SPDX-License-Identifier: Apache-2.0 */
/* negatives_memory.c - programs with one fault of memory each; every one must be found
 *
 * `expect` names the fault. Next to it stands the same program without the fault, which must be explored to the end. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "explore.h"

#define RLX memory_order_relaxed
#define ACQ memory_order_acquire
#define REL memory_order_release

static pthread_t start(void *(*run)(void *), void *argument)
{
    pthread_t id;
    explore_check(pthread_create(&id, NULL, run, argument) == 0);
    return id;
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

/* A plain neighbour in the same eight bytes takes nothing away from an atomic's history. */
static struct {
    _Alignas(8) volatile int plain; /* volatile: never read, and written all the same */
    atomic_int flag;
} neighbours;

static void *write_both(void *unused)
{
    payload = 1;
    atomic_store_explicit(&neighbours.flag, 1, REL);
    (void)atomic_fetch_add_explicit(&flag, 1, RLX);
    return unused;
}

EXPLORE_SCENARIO(plain_neighbour_of_an_atomic, .preemptions = 2)
{
    pthread_t id = start(write_both, NULL);
    (void)atomic_fetch_add_explicit(&flag, 1, RLX); /* after the other's, in some runs */
    neighbours.plain = 1;
    if (atomic_load_explicit(&neighbours.flag, ACQ) == 1)
        explore_check(payload == 1);
    pthread_join(id, NULL);
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
