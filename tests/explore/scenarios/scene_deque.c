/* SPDX-License-Identifier: Apache-2.0 */
/* scene_deque.c - workqueue/deque.h: every job goes to exactly one taker, with all that was written before its push
 *
 * A job counts its takers in a plain word that its pusher wrote: two takers of one job, and a taker without the
 * pusher's writes, are races. At the end every job must have been taken once.
 *
 * "kills" names mutants of the deque that the search was tried with and finds. Three weaker orders it does not tell
 * from the right ones: D6, and D5 of steal, are about a machine that lets an access pass an earlier load, which the
 * explorer does not model; and who reads what take stores when it puts bottom back, finds top beyond it and gets
 * nothing. */
#include <pthread.h>
#include <stdatomic.h>

#include "explore.h"
#include "workqueue/deque.h"
#include "workqueue/job.h"

enum { JOBS_MAX = 5, CAPACITY_MAX = 4 };

static struct deque deque;
static _Atomic(struct job *) slots[CAPACITY_MAX];
static struct job jobs[JOBS_MAX];
static unsigned pushed;                                        /* by the owner, in the order of jobs[] */

static void begin(uint32_t capacity)
{
    deque_init(&deque, slots, capacity);
}

static void took(struct job *job)
{
    explore_check(job >= jobs && job < jobs + JOBS_MAX);
    explore_check(job->aux[0] == 1);                           /* plain: written before the push */
    job->aux[0] = 2;                                           /* plain: nobody else may be here */
}

static bool push(void)
{
    jobs[pushed].aux[0] = 1;
    if (!deque_push(&deque, &jobs[pushed]))
        return false;
    pushed++;
    return true;
}

static bool take(void)
{
    struct job *job = deque_take(&deque);
    if (job != NULL)
        took(job);
    return job != NULL;
}

static void *steal_once(void *unused)
{
    (void)unused;
    struct job *job = NULL;
    if (deque_steal(&deque, &job) == DEQUE_STOLEN)
        took(job);
    return NULL;
}

static void *steal_twice(void *unused)
{
    steal_once(unused);
    return steal_once(unused);
}

static pthread_t start(void *(*run)(void *arg))
{
    pthread_t thread;
    explore_check(pthread_create(&thread, NULL, run, NULL) == 0);
    return thread;
}

static void end(pthread_t first, pthread_t second)
{
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    while (take())
        ;
    for (unsigned i = 0; i < pushed; i++)
        explore_check(jobs[i].aux[0] == 2);
}

/* One item, three who want it; whatever each believes of the others, moving top decides:
 *
 *      owner   bottom := 0, top is 0 ........................ top 0 -> 1
 *      thieves                       bottom is 1, top is 0 .. top 0 -> 1
 *
 * kills: take that does without D3 for the last item */
EXPLORE_SCENARIO(deque_last_item_goes_to_one, .preemptions = 6, .stale_reads = 3)
{
    begin(2);
    explore_check(push());
    pthread_t first = start(steal_once), second = start(steal_once);
    (void)take();
    end(first, second);
}

/* The owner finds two and takes the youngest without D3, while a thief that stood still reaches for the same
 * position: top moved past the first one meanwhile.
 *
 *      thief   top 0 -> 1 (first) ......................... bottom is 2: top 1 -> 2 (second)
 *      owner                      bottom := 1, top is 0: the second is mine, without a look back
 *
 * kills: D4 release; D5 of take acquire; D2 of steal acquire; D3 of steal relaxed; take without D3 */
EXPLORE_SCENARIO(deque_owner_takes_the_youngest_while_two_steal, .preemptions = 6, .stale_reads = 2)
{
    begin(2);
    explore_check(push() && push());
    pthread_t first = start(steal_twice), second = start(steal_once);
    (void)take();
    (void)take();
    end(first, second);
}

/* The owner pushes while they steal: a thief that sees the position sees the slot and the job.
 *
 * kills: D1 of push relaxed; D2 of steal relaxed; take that leaves bottom low when a thief was first */
EXPLORE_SCENARIO(deque_owner_pushes_and_takes_while_two_steal, .preemptions = 6, .stale_reads = 2)
{
    begin(2);
    pthread_t first = start(steal_once), second = start(steal_once);
    explore_check(push() && push());
    (void)take();
    (void)push();
    (void)take();
    end(first, second);
}

/* Capacity 2, up to five jobs: a thief that read slot 0 at position 0 stands still, the owner writes slot 0 for
 * position 2, and the thief's move of top must fail if its job was another's:
 *
 *      thief   top 0, slot 0: job 0 ................................... top 0 -> 1 ?
 *      other            top 0 -> 1 (job 0)
 *      owner                          slot 0 := job 2, bottom := 3
 *
 * kills: push that allows one more than the capacity; D1, D3, D4, D5 as above */
EXPLORE_SCENARIO(deque_wraps_around_under_thieves, .preemptions = 5, .stale_reads = 2)
{
    begin(2);
    explore_check(push() && push());
    pthread_t first = start(steal_twice), second = start(steal_once);
    while (pushed < JOBS_MAX)
        if (!push())
            (void)take();
    end(first, second);
}

/* ---- first in, first out: the owner steals, too ---- */

static struct job *last_of_owner, *last_of_thief;

static bool next_in_order(struct job **last)
{
    struct job *job = deque_steal_oldest(&deque);
    if (job == NULL)
        return false;
    took(job);
    explore_check(*last < job);                                /* each taker sees them in the order of the pushes */
    *last = job;
    return true;
}

static void *steal_in_order(void *unused)
{
    (void)unused;
    (void)next_in_order(&last_of_thief);
    (void)next_in_order(&last_of_thief);
    return NULL;
}

/* Nobody takes at the bottom. When the owner's steal says empty, it is: it pushed them all itself.
 *
 * kills: deque_steal_oldest that gives up when it LOST; push that allows one more than the capacity */
EXPLORE_SCENARIO(deque_owner_steals_like_a_thief, .preemptions = 5, .stale_reads = 2)
{
    begin(2);
    explore_check(push() && push());
    pthread_t thief = start(steal_in_order), other = start(steal_once);
    while (pushed < 3)
        if (!push())
            (void)next_in_order(&last_of_owner);
    while (next_in_order(&last_of_owner))
        ;
    int64_t left = atomic_load_explicit(&deque.bottom, memory_order_relaxed)
                 - atomic_load_explicit(&deque.top, memory_order_acquire);
    explore_check(left == 0);
    end(thief, other);
}

/* ---- several with one publication ---- */

/* As many as fit; who sees the publication sees all of them.
 *
 * kills: D1 of push_list relaxed; push_list that takes one more than there is room */
EXPLORE_SCENARIO(deque_list_is_published_at_once, .preemptions = 6, .stale_reads = 2)
{
    struct job *list[4];
    begin(4);
    explore_check(push());
    pthread_t first = start(steal_twice), second = start(steal_once);
    for (unsigned i = 0; i < 4; i++) {
        list[i] = &jobs[pushed + i];
        list[i]->aux[0] = 1;
    }
    size_t count = deque_push_list(&deque, list, 4);
    explore_check(count >= 3);
    pushed += (unsigned)count;
    (void)take();
    end(first, second);
}

/* ---- what the search must find ---- */

/* The owner's two steps without their single order: both sides look too early. */
static struct job *take_with_release(void)
{
    int64_t bottom = atomic_load_explicit(&deque.bottom, memory_order_relaxed) - 1;
    atomic_store_explicit(&deque.bottom, bottom, memory_order_release);
    int64_t top = atomic_load_explicit(&deque.top, memory_order_acquire);
    struct job *job = top <= bottom ? atomic_load_explicit(&slots[bottom & deque.mask], memory_order_relaxed) : NULL;
    if (top < bottom)
        return job;
    if (job != NULL && !atomic_compare_exchange_strong(&deque.top, &top, top + 1))
        job = NULL;
    atomic_store_explicit(&deque.bottom, bottom + 1, memory_order_release);
    return job;
}

EXPLORE_SCENARIO(deque_without_the_single_order_is_found, .preemptions = 4, .stale_reads = 2, .expect = "race")
{
    begin(2);
    explore_check(push() && push());
    pthread_t first = start(steal_twice), second = start(steal_once);
    struct job *job = take_with_release();
    if (job != NULL)
        took(job);
    end(first, second);
}
