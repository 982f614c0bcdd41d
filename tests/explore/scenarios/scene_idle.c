/* SPDX-License-Identifier: Apache-2.0 */
/* scene_idle.c - core/idle.h: no wake-up is lost, and none is invented
 *
 * The queue is one counter. A worker here does in little what workqueue/worker.c does: it takes, says that it sleeps,
 * looks again, sleeps; woken, it is the searcher, takes, ends the search, looks once more. It goes home after its
 * share of items, so that a lost wake-up shows as a deadlock.
 *
 * "kills" names mutants that the search was tried with and finds. W5 relaxed is not among them: its orders matter
 * only if a read-modify-write of searching could be ordered before one that was executed earlier. */
#include <pthread.h>
#include <stdatomic.h>

#include <weir/status.h>

#include "core/clock.h"
#include "core/idle.h"
#include "explore.h"

enum { WORKERS_MAX = 3 };

static struct idle idle;
static const struct memory memory;
static _Atomic uint32_t items;                                 /* the queue */
static _Atomic uint32_t wanted;                                /* items that are still to be taken, by anybody */

static bool take(void)
{
    uint32_t seen = atomic_load_explicit(&items, memory_order_seq_cst);
    while (seen != 0)
        if (atomic_compare_exchange_strong_explicit(&items, &seen, seen - 1,
                                                    memory_order_seq_cst, memory_order_seq_cst))
            return true;
    return false;
}

static bool look(void)
{
    return atomic_load_explicit(&items, memory_order_seq_cst) != 0;
}

static bool all_taken(void)
{
    return atomic_load_explicit(&wanted, memory_order_seq_cst) == 0;
}

/* Who takes the last sends everybody home. */
static void run_one(void)
{
    if (atomic_fetch_sub_explicit(&wanted, 1, memory_order_seq_cst) == 1)
        idle_wake_all(&idle);
}

static void stop_searching(void)
{
    idle_search_end(&idle);
    if (look())
        idle_notify(&idle);
}

static bool take_as_searcher(void)
{
    bool taken = take();
    stop_searching();
    return taken;
}

/* True: it has an item. */
static bool sleep_once(uint32_t self, int64_t deadline)
{
    idle_prepare(&idle, self);
    bool taken = take();
    if (!taken && !all_taken() && !look())
        return idle_commit(&idle, self, deadline) && take_as_searcher();
    if (!idle_cancel(&idle, self))
        stop_searching();
    return taken;
}

static void work_until_all_is_taken(uint32_t self, int64_t patience_ns)
{
    while (!all_taken())
        if (take() || sleep_once(self, time_add(clock_monotonic(), patience_ns)))
            run_one();
}

static void *worker(void *self)
{
    work_until_all_is_taken((uint32_t)(uintptr_t)self, WEIR_FOREVER);
    return NULL;
}

/* A submitter from outside: a seq_cst step. */
static void *submit(void *unused)
{
    (void)unused;
    atomic_fetch_add_explicit(&items, 1, memory_order_seq_cst);
    idle_notify(&idle);
    return NULL;
}

static void *submit_twice(void *unused)
{
    submit(unused);
    return submit(unused);
}

static pthread_t start(void *(*run)(void *arg), uintptr_t arg)
{
    pthread_t thread;
    explore_check(pthread_create(&thread, NULL, run, (void *)arg) == 0);
    return thread;
}

static void begin(uint32_t workers, uint32_t to_come)
{
    explore_check(idle_init(&idle, &memory, workers) == WEIR_OK);
    atomic_store_explicit(&wanted, to_come, memory_order_relaxed);
}

/* Nobody sleeps, nobody searches, nothing is left. */
static void end(void)
{
    explore_check(!look() && idle_is_empty(&idle));
    explore_check(atomic_load_explicit(&idle.searching, memory_order_relaxed) == 0);
    idle_fini(&idle, &memory);
}

static void end_after(pthread_t first, pthread_t second)
{
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    end();
}

/* ---- who submits, who sleeps ---- */

/* The classic: the worker says that it sleeps and looks; the submitter fills and looks who sleeps.
 *
 *      worker      looks: nothing ................... sleeping |= bit, sleeps
 *      submitter                  fills, nobody sleeps
 *
 * kills: no second look after the bit; W1 release and W2 acquire (without membarrier, which covers for both) */
EXPLORE_SCENARIO(idle_a_submit_meets_a_worker_that_goes_to_sleep, .preemptions = 5, .stale_reads = 2, .spurious = 1)
{
    begin(1, 1);
    pthread_t first = start(submit, 0);
    work_until_all_is_taken(0, WEIR_FOREVER);
    pthread_join(first, NULL);
    end();
}

EXPLORE_SCENARIO(idle_a_submit_meets_a_sleeper_without_membarrier, .preemptions = 5, .stale_reads = 2,
                 .without_membarrier = true)
{
    begin(1, 1);
    pthread_t first = start(submit, 0);
    work_until_all_is_taken(0, WEIR_FOREVER);
    pthread_join(first, NULL);
    end();
}

/* The second submitter may rely on the first, who is about to wake the only sleeper: for both of their items.
 *
 * kills: a woken worker that does not look after W4; idle_wake_one that keeps searching; a commit that any token ends
 * */
EXPLORE_SCENARIO(idle_two_submits_and_one_sleeper, .preemptions = 4, .stale_reads = 2)
{
    begin(1, 2);
    pthread_t first = start(submit, 0), second = start(submit, 0);
    work_until_all_is_taken(0, WEIR_FOREVER);
    end_after(first, second);
}

/* Two workers, one item at a time: who is woken and finds nothing sleeps again; the last item sends both home.
 *
 * kills: idle_wake_one without its second round; a claim that does not look at what the bit was */
EXPLORE_SCENARIO(idle_one_submit_and_two_workers, .preemptions = 3, .stale_reads = 1)
{
    begin(2, 1);
    pthread_t first = start(worker, 1), second = start(submit, 0);
    work_until_all_is_taken(0, WEIR_FOREVER);
    end_after(first, second);
}

EXPLORE_SCENARIO(idle_two_submits_and_two_workers, .preemptions = 2, .stale_reads = 1)
{
    begin(2, 2);
    pthread_t first = start(worker, 1), second = start(submit, 0);
    pthread_t third = start(submit, 0);
    work_until_all_is_taken(0, WEIR_FOREVER);
    pthread_join(third, NULL);
    end_after(first, second);
}

/* ---- a submitter that is a worker: a plain store, and the free half of the asymmetric barrier ---- */

static _Atomic uint32_t slot;                                  /* what a worker fills: its own deque, one deep */

static void *fill_by_a_store(void *unused)
{
    (void)unused;
    atomic_store_explicit(&slot, 1, memory_order_release);
    idle_notify_from_worker(&idle);
    return NULL;
}

static bool take_slot(void)
{
    return atomic_load_explicit(&slot, memory_order_seq_cst) != 0
        && atomic_exchange_explicit(&slot, 0, memory_order_seq_cst) != 0;
}

static void sleep_until_the_slot_is_filled(void)
{
    bool taken = take_slot();
    while (!taken) {
        idle_prepare(&idle, 0);
        if ((taken = take_slot())) {
            if (!idle_cancel(&idle, 0))
                idle_search_end(&idle);
        } else {
            bool woken = idle_commit(&idle, 0, WEIR_FOREVER);
            taken = take_slot();
            if (woken)
                idle_search_end(&idle);
        }
    }
}

/* The store may still be in its processor's buffer when the submitter finds nobody asleep. The sleeper's heavy half,
 * between its bit and its look, has it out.
 *
 * kills: idle_prepare without asymmetric_heavy; asymmetric_heavy before the bit; notify without asymmetric_light */
EXPLORE_SCENARIO(idle_a_worker_submits_by_a_plain_store, .preemptions = 5, .stale_reads = 3, .spurious = 1)
{
    begin(1, 0);
    pthread_t first = start(fill_by_a_store, 0);
    sleep_until_the_slot_is_filled();
    pthread_join(first, NULL);
    end();
}

EXPLORE_SCENARIO(idle_a_worker_submits_by_a_plain_store_without_membarrier, .preemptions = 5, .stale_reads = 3,
                 .without_membarrier = true)
{
    begin(1, 0);
    pthread_t first = start(fill_by_a_store, 0);
    sleep_until_the_slot_is_filled();
    pthread_join(first, NULL);
    end();
}

/* ---- who searches ---- */

static void *search_in_vain(void *unused)
{
    (void)unused;
    if (!idle_search_begin(&idle))
        return NULL;
    bool taken = take();
    stop_searching();
    if (taken)
        run_one();
    return NULL;
}

/* The submitter finds a searcher and leaves the wake-up to him; he has already looked, in vain.
 *
 *      searcher    looks: nothing .................. ends the search, looks: wakes the sleeper
 *      submitter                  fills, relies on him
 *
 * kills: stop_searching that does not look; W3 that only looks at searching */
EXPLORE_SCENARIO(idle_a_searcher_ends_while_a_submit_relies_on_it, .preemptions = 4, .stale_reads = 2)
{
    begin(1, 1);
    pthread_t first = start(search_in_vain, 0), second = start(submit, 0);
    work_until_all_is_taken(0, WEIR_FOREVER);
    end_after(first, second);
}

static void *search_the_slot_in_vain(void *unused)
{
    (void)unused;
    if (!idle_search_begin(&idle))
        return NULL;
    bool taken = take_slot();
    idle_search_end(&idle);
    if (taken)
        atomic_store_explicit(&slot, 1, memory_order_release); /* not for him: back, as a submitter */
    if (taken || atomic_load_explicit(&slot, memory_order_seq_cst) != 0)
        idle_notify_from_worker(&idle);
    return NULL;
}

/* The same with a fill that is a plain store: W3 and W4 must bring it to the searcher's last look.
 *
 * kills: W3 relaxed; W4 relaxed */
EXPLORE_SCENARIO(idle_a_plain_store_relies_on_a_searcher, .preemptions = 4, .stale_reads = 3)
{
    begin(1, 0);
    pthread_t first = start(search_the_slot_in_vain, 0), second = start(fill_by_a_store, 0);
    sleep_until_the_slot_is_filled();
    end_after(first, second);
}

/* ---- the end of a sleep meets its claim ---- */

/* The worker finds the item in its second look while a waker has taken its bit: it is the searcher then, and the token
 * in its parker must not count the next time.
 *
 * kills: a claim that does not look at what the bit was; idle_commit that any token ends */
EXPLORE_SCENARIO(idle_a_cancel_meets_a_claim, .preemptions = 5, .stale_reads = 1, .spurious = 1)
{
    begin(1, 2);
    pthread_t first = start(submit_twice, 0);
    work_until_all_is_taken(0, WEIR_FOREVER);
    pthread_join(first, NULL);
    end();
}

/* kills: idle_commit that says "timed out" although its bit was taken: the search would never end */
EXPLORE_SCENARIO(idle_a_time_out_meets_a_claim, .preemptions = 4, .stale_reads = 1, .early_timeouts = 2)
{
    begin(1, 1);
    pthread_t first = start(submit, 0);
    work_until_all_is_taken(0, 1000);
    pthread_join(first, NULL);
    end();
}

/* ---- all at once ---- */

static _Atomic bool over;

static void *sleep_until_over(void *self)
{
    uint32_t worker = (uint32_t)(uintptr_t)self;
    while (!atomic_load_explicit(&over, memory_order_seq_cst)) {
        idle_prepare(&idle, worker);
        bool searches = false;
        if (atomic_load_explicit(&over, memory_order_seq_cst))
            searches = !idle_cancel(&idle, worker);
        else
            searches = idle_commit(&idle, worker, WEIR_FOREVER);
        if (searches)
            idle_search_end(&idle);
    }
    return NULL;
}

/* Stopping: the flag, then everybody who sleeps. Nobody is left asleep.
 *
 * A defect was found here: a worker was counted as a searcher after its bit had been taken, and could end its search
 * before.
 *
 * kills: wake_all that counts after the claim; wake_all that leaves one out */
EXPLORE_SCENARIO(idle_wake_all_leaves_nobody_asleep, .preemptions = 4, .stale_reads = 1)
{
    begin(2, 0);
    pthread_t first = start(sleep_until_over, 0), second = start(sleep_until_over, 1);
    atomic_store_explicit(&over, true, memory_order_seq_cst);
    idle_wake_all(&idle);
    end_after(first, second);
}

static void *wake_all(void *unused)
{
    (void)unused;
    idle_wake_all(&idle);
    return NULL;
}

/* While it goes through the workers it counts as a searcher, and a submitter may rely on it: for a worker that it has
 * passed already.
 *
 * kills: wake_all that does not notify in the end */
EXPLORE_SCENARIO(idle_a_submit_relies_on_wake_all, .preemptions = 5, .stale_reads = 1)
{
    begin(1, 1);
    pthread_t first = start(wake_all, 0), second = start(submit, 0);
    work_until_all_is_taken(0, WEIR_FOREVER);
    end_after(first, second);
}

/* ---- what the search must find ---- */

static void *rely_on_a_searcher_that_looked(void *unused)
{
    (void)unused;
    if (idle_search_begin(&idle)) {
        bool taken = take();
        idle_search_end(&idle);                                /* and does not look again */
        if (taken)
            run_one();
    }
    return NULL;
}

EXPLORE_SCENARIO(idle_searcher_that_does_not_look_again_is_found, .preemptions = 3, .expect = "lost wake-up")
{
    begin(1, 1);
    pthread_t first = start(rely_on_a_searcher_that_looked, 0), second = start(submit, 0);
    work_until_all_is_taken(0, WEIR_FOREVER);
    end_after(first, second);
}
