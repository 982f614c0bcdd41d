/* SPDX-License-Identifier: Apache-2.0 */
/* scene_fork.c - workqueue/fork.h: a child runs once, and the join returns with all that it did
 *
 * What a child writes is plain, and the join's caller reads it and then writes the child's memory: so a join that
 * returns too early, and a thief that touches the child after it is done, are races.
 *
 * The joiner sleeps after LOOKS_BEFORE_SLEEP looks, which one scenario waits for; built with 2 instead of 256, the
 * others see it, too. "kills" names mutants that they were tried with, in that way, and find. */
#include <sched.h>

#include "tiny_app.h"
#include "workqueue/fork.h"

enum { CHILDREN = 3 };

static weir_job children[CHILDREN];
static unsigned result[CHILDREN];                              /* plain: by the child */

static void run_child(weir_job *child, weir_status status)
{
    explore_check(status == WEIR_OK);
    result[child - children]++;
}

static void fork_child(unsigned i)
{
    children[i] = (weir_job){ .fn = run_child };
    explore_check(weir_fork(&children[i]) == WEIR_OK);
}

static void join_child(unsigned i)
{
    explore_check(weir_join(&children[i]) == WEIR_OK);
    explore_check(result[i] == 1);                             /* E9 */
    children[i] = (weir_job){ .fn = NULL };                    /* it was on a stack that is gone */
}

static void begin(void)
{
    tiny_begin();
    be_worker(0);
}

static void end(void)
{
    worker_current = NULL;
    explore_check(deque_is_empty(&tiny_workers[0].forks) && deque_is_empty(&tiny_workers[1].forks));
    tiny_end();
}

static void *help_once(void *unused)
{
    (void)unused;
    struct job *job = worker_find_fork(be_worker(1));
    if (job != NULL)
        fork_run(job);
    return NULL;
}

static void *help_twice(void *unused)
{
    help_once(unused);
    return help_once(unused);
}

/* The joiner takes its child back, or a thief has it and runs it.
 *
 * kills: F1 acquire or relaxed; F2 relaxed; a thief that does not wake the joiner; a joiner that sleeps although F3
 * says DONE; deque_take without D3 */
EXPLORE_SCENARIO(fork_join_against_a_thief, .preemptions = 6, .stale_reads = 2)
{
    begin();
    fork_child(0);
    pthread_t thief = start(help_once, 0);
    join_child(0);
    pthread_join(thief, NULL);
    end();
}

/* Two children, joined in reverse, as a stack: the thief takes the oldest. */
EXPLORE_SCENARIO(fork_two_joined_in_reverse, .preemptions = 5, .stale_reads = 2)
{
    begin();
    fork_child(0);
    fork_child(1);
    pthread_t thief = start(help_twice, 0);
    join_child(1);
    join_child(0);
    pthread_join(thief, NULL);
    end();
}

/* Joined in the order of the forks: what lies above the child is run on the way.
 *
 * kills: a join that calls its child although it took another */
EXPLORE_SCENARIO(fork_two_joined_in_order, .preemptions = 5, .stale_reads = 2)
{
    begin();
    fork_child(0);
    fork_child(1);
    pthread_t thief = start(help_once, 0);
    join_child(0);
    join_child(1);
    pthread_join(thief, NULL);
    end();
}

/* ---- the joiner sleeps ---- */

/* The thief's child forks one of its own, which the waiting joiner helps with. */
static void run_parent(weir_job *child, weir_status status)
{
    run_child(child, status);
    fork_child(2);
    join_child(2);
}

EXPLORE_SCENARIO(fork_the_joiner_helps_the_thief, .preemptions = 4, .stale_reads = 2)
{
    begin();
    children[0] = (weir_job){ .fn = run_parent };
    explore_check(weir_fork(&children[0]) == WEIR_OK);
    pthread_t thief = start(help_once, 0);
    join_child(0);
    pthread_join(thief, NULL);
    explore_check(result[2] == 1);
    end();
}

/* The thief is slow: its child sleeps again and again, and time passes for nobody else while the joiner looks. So the
 * joiner comes to the end of its looks, says that it waits, and sleeps; the thief wakes it.
 *
 * kills: a thief that does not wake the joiner */
enum { NAPS = 24 };

static void run_slowly(weir_job *child, weir_status status)
{
    struct parker parker = { 0 };
    for (int64_t nap = 1; nap <= NAPS; nap++)
        (void)parker_park(&parker, (int64_t)2000000000 + nap);
    run_child(child, status);
}

EXPLORE_SCENARIO(fork_the_joiner_sleeps_until_the_thief_is_done, .preemptions = 1, .stale_reads = 1)
{
    begin();
    children[0] = (weir_job){ .fn = run_slowly };
    explore_check(weir_fork(&children[0]) == WEIR_OK);
    pthread_t thief = start(help_once, 0);
    join_child(0);
    pthread_join(thief, NULL);
    end();
}

/* ---- roots ---- */

static unsigned root_ran;

static void run_root(weir_job *root, weir_status status)
{
    explore_check(status == WEIR_OK && root->ctx == &root_ran);
    root_ran++;
    fork_child(0);
    join_child(0);
}

/* A root on a worker: the caller sleeps, and its stack, with the root on it, is gone when it wakes.
 *
 * kills: F4 relaxed, either end */
static _Atomic bool root_is_done;

static void *work_until_the_root_is_done(void *unused)
{
    (void)unused;
    be_worker(1);
    while (!atomic_load_explicit(&root_is_done, memory_order_relaxed))
        if (!work_once())
            sched_yield();
    return NULL;
}

EXPLORE_SCENARIO(fork_root_on_a_worker, .preemptions = 4, .stale_reads = 2)
{
    tiny_begin();
    pthread_t worker = start(work_until_the_root_is_done, 0);
    explore_check(weir_app_run(tiny.handle, run_root, &root_ran, false) == WEIR_OK);
    explore_check(root_ran == 1);
    atomic_store_explicit(&root_is_done, true, memory_order_relaxed);
    pthread_join(worker, NULL);
    tiny_end();
}

/* The caller lends itself: it forks, and a worker steals from it. */
EXPLORE_SCENARIO(fork_root_on_a_guest, .preemptions = 5, .stale_reads = 2)
{
    tiny_begin();
    pthread_t thief = start(help_once, 0);
    explore_check(weir_app_run(tiny.handle, run_root, &root_ran, true) == WEIR_OK);
    explore_check(root_ran == 1);
    pthread_join(thief, NULL);
    explore_check(worker_self() == NULL && atomic_load(&tiny.guests_taken) == 0);
    tiny_end();
}

static _Atomic unsigned lent;

static void run_nothing(weir_job *child, weir_status status)
{
    (void)child, (void)status;
}

static void run_lent_root(weir_job *root, weir_status status)
{
    static _Thread_local weir_job child;
    (void)root;
    explore_check(status == WEIR_OK);
    child = (weir_job){ .fn = run_nothing };
    explore_check(weir_fork(&child) == WEIR_OK && weir_join(&child) == WEIR_OK);
}

static void *lend_if_there_is_room(void *unused)
{
    weir_status status = weir_app_run(tiny.handle, run_lent_root, NULL, true);
    explore_check(status == WEIR_OK || status == WEIR_LIMIT);
    if (status == WEIR_OK)
        (void)atomic_fetch_add_explicit(&lent, 1, memory_order_relaxed);
    return unused;
}

/* One after the other, or both at once: who gets the other's struct begins with the deque as he left it (A4). */
EXPLORE_SCENARIO(fork_roots_on_one_guest_after_another, .preemptions = 3, .stale_reads = 1)
{
    tiny_begin();
    tiny.guests_taken = ~UINT32_C(1) & ((1U << APP_GUESTS) - 1);   /* one is left */
    pthread_t other = start(lend_if_there_is_room, 0);
    (void)lend_if_there_is_room(NULL);
    pthread_join(other, NULL);
    explore_check(atomic_load(&lent) >= 1);
    explore_observe(atomic_load(&lent));
    tiny.guests_taken = 0;
    tiny_end();
}
