/* SPDX-License-Identifier: Apache-2.0 */
/* scene_inbox.c - workqueue/inbox.h: every job goes to exactly one consumer, with all that was written before its push,
 * and who is about to sleep does not overlook one
 *
 * A job counts its takers in a plain word that its producer wrote: two takers of one job, and a taker without the
 * producer's writes, are races. The ring has two slots, so that rounds, overflow and refill come at once. Consumers
 * try a few times while the producers push; what is left is taken at the end, and then every job must have been taken
 * once.
 *
 * "kills" names mutants that the search was tried with and finds. It does not tell I4's plain look from a relaxed
 * one: the look at the tail that follows it (I5) brings the same. */
#include <pthread.h>
#include <stdatomic.h>

#include "explore.h"
#include "workqueue/inbox.h"
#include "workqueue/job.h"

enum { JOBS_MAX = 16, CAPACITY = 2, PRODUCERS_MAX = 3 };

static struct inbox inbox;
static _Atomic uint64_t slots[CAPACITY];
static struct job jobs[PRODUCERS_MAX][JOBS_MAX];
static unsigned pushed[PRODUCERS_MAX];                         /* its producer's own, then read at the end */

static void push_next(unsigned producer)
{
    struct job *job = &jobs[producer][pushed[producer]++];
    job->aux[0] = 1;
    inbox_push(&inbox, job);
}

static void took(struct job *job)
{
    explore_check(job->aux[0] == 1);                           /* plain: written before the push */
    job->aux[0] = 2;                                           /* plain: nobody else may be here, */
    job->next = NULL;                                          /* nor look at what was the inbox's */
}

static bool pop_one(void)
{
    struct job *job = inbox_pop_one(&inbox);
    if (job != NULL)
        took(job);
    return job != NULL;
}

static bool pop_or_refill(void)
{
    if (pop_one())
        return true;
    struct job *job = inbox_refill(&inbox);
    if (job != NULL)
        took(job);
    return job != NULL;
}

static void pop_several(uint32_t max)
{
    struct job *batch[CAPACITY + 1];
    uint32_t count = inbox_pop(&inbox, batch, max);
    explore_check(count <= max && count <= CAPACITY);
    for (uint32_t i = 0; i < count; i++)
        took(batch[i]);
}

/* ---- threads ---- */

static void *produce(void *which)
{
    push_next((unsigned)(uintptr_t)which);
    return NULL;
}

static void *produce_two(void *which)
{
    produce(which);
    return produce(which);
}

static void *consume_one(void *unused)
{
    (void)unused;
    (void)pop_one();
    return NULL;
}

static void *consume_batch(void *unused)
{
    (void)unused;
    pop_several(CAPACITY);
    return NULL;
}

static void *consume_one_or_refill(void *unused)
{
    (void)unused;
    (void)pop_or_refill();
    return NULL;
}

static void *refill_first(void *unused)
{
    (void)unused;
    struct job *job = inbox_refill(&inbox);
    if (job != NULL)
        took(job);
    return NULL;
}

static pthread_t start(void *(*run)(void *arg), uintptr_t which)
{
    pthread_t thread;
    explore_check(pthread_create(&thread, NULL, run, (void *)which) == 0);
    return thread;
}

static void begin(unsigned filled)
{
    inbox_init(&inbox, slots, CAPACITY);
    while (filled-- > 0)
        push_next(0);
}

/* Alone: what is left comes, and then it is empty. */
static void end(void)
{
    while (pop_or_refill())
        ;
    explore_check(inbox_is_empty(&inbox));
    for (unsigned producer = 0; producer < PRODUCERS_MAX; producer++)
        for (unsigned i = 0; i < pushed[producer]; i++)
            explore_check(jobs[producer][i].aux[0] == 2);
}

static void end_after(pthread_t first, pthread_t second)
{
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    end();
}

/* ---- the ring ---- */

/* Both producers find the same slot empty, one fills it, the other goes on to the next.
 *
 * kills: I1 relaxed; ring_push that fills an empty slot of another round, or takes any job for a full ring */
EXPLORE_SCENARIO(inbox_two_producers_and_a_consumer, .preemptions = 4, .stale_reads = 2)
{
    begin(0);
    pthread_t first = start(produce, 0), second = start(produce, 1);
    (void)pop_one();
    (void)pop_one();
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    explore_check(inbox_list_looks_empty(&inbox));             /* there was room for both */
    end();
}

/* Two read the same job, one moves head past it; the other must leave with nothing, not with what it has read.
 *
 *      A   job at head: J ............... head 0 -> 1: J is mine
 *      B        job at head: J .............................. head 0 -> 1 fails: nothing
 *
 * kills: pop_one that answers what was read although the claim failed; a claim that is a store */
EXPLORE_SCENARIO(inbox_two_consumers_and_one_job, .preemptions = 6, .stale_reads = 2)
{
    begin(1);
    pthread_t first = start(consume_one, 0), second = start(consume_one, 0);
    (void)pop_one();
    end_after(first, second);
}

/* One wants both, one wants the first: a batch is claimed whole or not at all. A producer goes round meanwhile.
 *
 * kills: a batch that reads a job of the round before; I2 of read_jobs relaxed; a head that accepts any job */
EXPLORE_SCENARIO(inbox_a_batch_against_one_and_a_producer, .preemptions = 4, .stale_reads = 2)
{
    begin(2);
    pthread_t first = start(consume_batch, 0), second = start(produce_two, 1);
    (void)pop_one();
    end_after(first, second);
}

/* Round after round through two slots, with somebody who stands still in between: a head, a tail and a word of
 * earlier rounds must not be taken for today's.
 *
 *      slow consumer   head 0, slot 0: job (round 0) ..................... head 0 -> 1 ?
 *      others                 take it, fill slot 0 with round 1, 2, 3, 4 (the tag of round 4 is that of round 0)
 */
static void go_round(int jobs_in_turn)
{
    while (jobs_in_turn-- > 0) {
        push_next(0);
        (void)pop_one();
    }
}

/* kills: I1 release; a claim that is a store; empty(r) in place of empty(r + 1) */
EXPLORE_SCENARIO(inbox_rounds_pass_a_slow_consumer, .preemptions = 4, .stale_reads = 2)
{
    begin(0);
    pthread_t first = start(consume_one, 0);
    go_round(9);
    pthread_join(first, NULL);
    end();
}

/* Whoever skips to the tail must see all that lies below: with an old word of a slot in its eyes it would go on to
 * the next one, and leave a hole, behind which no consumer ever looks.
 *
 * kills: I5 relaxed, either end; ring_push that fills an empty slot of another round */
EXPLORE_SCENARIO(inbox_rounds_pass_a_slow_producer, .preemptions = 2, .stale_reads = 4)
{
    begin(0);
    pthread_t first = start(produce, 1);
    go_round(5);
    pthread_join(first, NULL);
    end();
}

/* One producer and one consumer and no overflow: first in, first out.
 *
 * kills: I1 relaxed */
EXPLORE_SCENARIO(inbox_keeps_the_order_of_one_producer, .preemptions = 5, .stale_reads = 2)
{
    begin(0);
    pthread_t first = start(produce_two, 0);
    struct job *a = inbox_pop_one(&inbox), *b = inbox_pop_one(&inbox);
    if (a != NULL)
        explore_check(a == &jobs[0][0]);
    if (b != NULL)
        explore_check(b == (a != NULL ? &jobs[0][1] : &jobs[0][0]));
    if (a != NULL)
        took(a);
    if (b != NULL)
        took(b);
    pthread_join(first, NULL);
    end();
}

/* ---- the list ---- */

/* The ring is full: two producers put theirs on the list, while a consumer makes room, and takes the list.
 *
 * kills: I1 of the list relaxed; I2, the exchange that takes the list, relaxed */
EXPLORE_SCENARIO(inbox_full_overflows_and_is_refilled, .preemptions = 4, .stale_reads = 1, .spurious = 1)
{
    begin(2);
    pthread_t first = start(produce_two, 1), second = start(produce, 2);
    (void)pop_or_refill();
    (void)pop_or_refill();
    (void)pop_or_refill();
    end_after(first, second);
}

/* Two find the ring empty and the list not: one refills, the other goes away; the backlog has one owner at a time.
 *
 *      A   list := NULL, ring gets two, backlog gets the rest, refilling := 0
 *      B      refilling is 1: nothing for me ...................................... refilling := 1, backlog is mine
 *
 * kills: I6 relaxed, either end; refilling not looked at; the backlog dropped; the list not turned round */
EXPLORE_SCENARIO(inbox_two_refill_from_one_list, .preemptions = 3, .stale_reads = 1)
{
    begin(6);                                                  /* two in the ring, four on the list */
    pthread_t first = start(refill_first, 0), second = start(consume_batch, 0);
    struct job *a = inbox_refill(&inbox), *b = inbox_refill(&inbox);
    if (a != NULL)
        took(a);
    if (b != NULL)
        took(b);
    explore_check(a == NULL || b == NULL || a < b);            /* the oldest first */
    end_after(first, second);
}

/* A refiller fills the ring while producers do, and while another consumer empties it: a job that the refiller has
 * pushed is somebody else's at that moment, its link too.
 *
 * kills: a refill that reads a job's link after it pushed the job; I2 of the list relaxed */
EXPLORE_SCENARIO(inbox_refill_meets_a_push_and_a_pop, .preemptions = 4, .stale_reads = 1)
{
    begin(5);
    pop_several(CAPACITY);
    pthread_t first = start(produce, 1), second = start(consume_one_or_refill, 0);
    (void)pop_or_refill();
    end_after(first, second);
}

/* ---- about to sleep ---- */

static _Atomic uint32_t sleeping;
static _Atomic bool woken;

/* What idle.h does: a fill by a seq_cst step, then a look at who sleeps. */
static void *produce_and_look_who_sleeps(void *which)
{
    push_next((unsigned)(uintptr_t)which);
    if (atomic_load_explicit(&sleeping, memory_order_seq_cst) != 0)
        atomic_store_explicit(&woken, true, memory_order_relaxed);
    return NULL;
}

/* Says that it sleeps, then looks. */
static bool finds_it_empty(void)
{
    atomic_fetch_or_explicit(&sleeping, 1, memory_order_seq_cst);
    return inbox_is_empty(&inbox);
}

static bool something_is_left(void)
{
    for (unsigned producer = 0; producer < PRODUCERS_MAX; producer++)
        for (unsigned i = 0; i < pushed[producer]; i++)
            if (jobs[producer][i].aux[0] == 1)
                return true;
    return false;
}

static void check_nothing_is_overlooked(bool sleeps, pthread_t first, pthread_t second)
{
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    bool left = something_is_left();
    explore_observe((uint64_t)sleeps << 1 | (uint64_t)left);
    if (sleeps && left)
        explore_check(atomic_load_explicit(&woken, memory_order_relaxed));
    end();
}

/* Either the producer sees the sleeper, or the sleeper the job; in whichever slot, and on the list.
 *
 * kills: I1 release; I2 of ring_has_job acquire */
EXPLORE_SCENARIO(inbox_sleeper_and_two_producers_see_each_other, .preemptions = 5, .stale_reads = 2)
{
    begin(0);
    pthread_t first = start(produce_and_look_who_sleeps, 0), second = start(produce_and_look_who_sleeps, 1);
    check_nothing_is_overlooked(finds_it_empty(), first, second);
}

/* kills: I1 of the list release; I2 of the list acquire; inbox_is_empty that does not look at the list; I3 relaxed */
EXPLORE_SCENARIO(inbox_sleeper_sees_what_overflowed, .preemptions = 5, .stale_reads = 2)
{
    begin(2);
    pthread_t first = start(produce_and_look_who_sleeps, 1), second = start(consume_batch, 0);
    check_nothing_is_overlooked(finds_it_empty(), first, second);
}

/* A head that is out of date: the sleeper looks at a slot that has gone round, finds a word that is not of its round,
 * and must look again further on, not say "empty".
 *
 * kills: ring_has_job that answers no for any word that is not its job; I3 relaxed */
EXPLORE_SCENARIO(inbox_sleeper_with_an_old_head, .preemptions = 4, .stale_reads = 3)
{
    begin(2);
    pthread_t first = start(produce_and_look_who_sleeps, 1), second = start(consume_batch, 0);
    (void)pop_one();
    push_next(2);
    check_nothing_is_overlooked(finds_it_empty(), first, second);
}

/* A refiller holds the list in its hands: empty for the sleeper. The refiller is awake, and notifies after it has put
 * something back: then it is a producer like any other. */
static void *refill_and_look_who_sleeps(void *unused)
{
    (void)unused;
    struct job *job = inbox_refill(&inbox);
    if (job == NULL)
        return NULL;
    took(job);
    if (atomic_load_explicit(&sleeping, memory_order_seq_cst) != 0)
        atomic_store_explicit(&woken, true, memory_order_relaxed);
    return NULL;
}

/* A defect was found here: the backlog was put back by a relaxed store, and the sleeper overlooked it.
 *
 * kills: I7 relaxed, either end */
EXPLORE_SCENARIO(inbox_sleeper_and_a_refiller, .preemptions = 5, .stale_reads = 2)
{
    begin(6);
    pop_several(CAPACITY);
    pthread_t first = start(refill_and_look_who_sleeps, 0), second = start(consume_batch, 0);
    check_nothing_is_overlooked(finds_it_empty(), first, second);
}

/* ---- what the search must find ---- */

/* The first form of the worker's look: it took the job that it had looked at, not the one that it had popped. */
static void *take_what_was_looked_at(void *unused)
{
    (void)unused;
    struct job *job = NULL;
    (void)inbox_pop(&inbox, &job, 1);
    if (job != NULL)
        took(job);
    return NULL;
}

EXPLORE_SCENARIO(inbox_loser_that_takes_what_it_has_read_is_found, .preemptions = 2, .expect = "race")
{
    begin(1);
    pthread_t first = start(take_what_was_looked_at, 0), second = start(take_what_was_looked_at, 0);
    end_after(first, second);
}
