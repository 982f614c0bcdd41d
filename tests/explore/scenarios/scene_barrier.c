/* SPDX-License-Identifier: Apache-2.0 */
/* scene_barrier.c - core/barrier.h: one completer, who sees everything and may free at once
 *
 * The barrier lies in a block that the completer frees, so that any touch after a leave that
 * answered false is a use after free; what the completer reads is plain, so that a missing edge is
 * a race. */
#include <pthread.h>
#include <stdlib.h>

#include "core/barrier.h"
#include "explore.h"

struct session {
    barrier barrier;
    uint32_t told;                                  /* plain: by the closer, before it shuts */
    uint32_t work[2];                               /* plain: by who is inside */
};

static struct session *session;
static _Atomic uint32_t completed, accepted, work_seen, told_seen;

static void complete(void)
{
    atomic_fetch_add_explicit(&completed, 1, memory_order_relaxed);
    atomic_store_explicit(&told_seen, session->told, memory_order_relaxed);
    atomic_store_explicit(&work_seen, session->work[0] + session->work[1], memory_order_relaxed);
    free(session);
}

static void open_session(uint64_t inside)
{
    session = calloc(1, sizeof *session);
    explore_check(session != NULL);
    barrier_init(&session->barrier);
    explore_check(inside == 0 || barrier_enter_many(&session->barrier, inside));
    atomic_store_explicit(&accepted, (uint32_t)inside, memory_order_relaxed);
}

static void shut_session(void)
{
    session->told = 1;
    if (barrier_shut(&session->barrier) == BARRIER_SHUT_COMPLETE)
        complete();
}

static void check_the_end(void)
{
    explore_check(atomic_load_explicit(&completed, memory_order_relaxed) == 1);
    explore_check(atomic_load_explicit(&told_seen, memory_order_relaxed) == 1);
    explore_check(atomic_load_explicit(&work_seen, memory_order_relaxed) ==
                  atomic_load_explicit(&accepted, memory_order_relaxed));
}

static pthread_t start(void *(*run)(void *arg), uintptr_t which)
{
    pthread_t thread;
    explore_check(pthread_create(&thread, NULL, run, (void *)which) == 0);
    return thread;
}

/* ---- two who are inside leave while the gate shuts ---- */

static void *work_and_leave(void *which)
{
    session->work[(uintptr_t)which] = 1;
    if (barrier_leave(&session->barrier, 1))
        complete();
    return NULL;
}

EXPLORE_SCENARIO(barrier_two_leave_while_one_shuts, .preemptions = 6, .stale_reads = 3)
{
    open_session(2);
    pthread_t first = start(work_and_leave, 0), second = start(work_and_leave, 1);
    shut_session();
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    check_the_end();
}

/* ---- two want to come in while the gate shuts: accepted and awaited, or refused ----
 *
 * Who wants to come in must be sure that the block is there, as a caller is by his pin: so here the
 * block is not freed by the completer, but at the end. */

static void complete_and_keep(void)
{
    atomic_fetch_add_explicit(&completed, 1, memory_order_relaxed);
    atomic_store_explicit(&told_seen, session->told, memory_order_relaxed);
    atomic_store_explicit(&work_seen, session->work[0] + session->work[1], memory_order_relaxed);
}

static void *come_in_and_work(void *which)
{
    if (!barrier_enter(&session->barrier))
        return NULL;
    atomic_fetch_add_explicit(&accepted, 1, memory_order_relaxed);
    session->work[(uintptr_t)which] = 1;
    if (barrier_leave(&session->barrier, 1))
        complete_and_keep();
    return NULL;
}

EXPLORE_SCENARIO(barrier_two_start_while_one_closes, .preemptions = 6, .stale_reads = 2,
                 .spurious = 1)
{
    open_session(0);
    pthread_t first = start(come_in_and_work, 0), second = start(come_in_and_work, 1);
    session->told = 1;
    if (barrier_shut(&session->barrier) == BARRIER_SHUT_COMPLETE)
        complete_and_keep();
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    check_the_end();
    explore_check(!barrier_enter(&session->barrier));
    explore_observe(atomic_load_explicit(&accepted, memory_order_relaxed));
    free(session);
}

/* ---- two close: one of them has done it ---- */

static _Atomic uint32_t shut_now;

static void *shut_and_tell(void *unused)
{
    (void)unused;
    enum barrier_shut shut = barrier_shut(&session->barrier);
    if (shut != BARRIER_SHUT_BEFORE)
        atomic_fetch_add_explicit(&shut_now, 1, memory_order_relaxed);
    return NULL;
}

static void *leave_and_tell(void *unused)
{
    (void)unused;
    session->work[0] = 1;
    if (barrier_leave(&session->barrier, 1))
        complete_and_keep();
    return NULL;
}

EXPLORE_SCENARIO(barrier_two_close_while_one_leaves, .preemptions = 6, .stale_reads = 2)
{
    open_session(1);
    session->told = 1;
    pthread_t leaver = start(leave_and_tell, 0), closer = start(shut_and_tell, 0);
    enum barrier_shut shut = barrier_shut(&session->barrier);
    if (shut != BARRIER_SHUT_BEFORE)
        atomic_fetch_add_explicit(&shut_now, 1, memory_order_relaxed);
    pthread_join(leaver, NULL);
    pthread_join(closer, NULL);
    explore_check(atomic_load_explicit(&shut_now, memory_order_relaxed) == 1);
    explore_check(atomic_load_explicit(&completed, memory_order_relaxed) <= 1);
    free(session);
}

/* ---- who is inside brings two children after the gate has shut ---- */

static void *bring_and_leave(void *unused)
{
    (void)unused;
    barrier_bring(&session->barrier, 1);
    pthread_t child = start(work_and_leave, 1);
    session->work[0] = 1;
    if (barrier_leave(&session->barrier, 1))
        complete();
    pthread_join(child, NULL);
    return NULL;
}

EXPLORE_SCENARIO(barrier_a_child_is_brought_while_one_shuts, .preemptions = 6, .stale_reads = 2)
{
    open_session(1);
    atomic_store_explicit(&accepted, 2, memory_order_relaxed);
    pthread_t parent = start(bring_and_leave, 0);
    shut_session();
    pthread_join(parent, NULL);
    check_the_end();
}

/* ---- what the search must find ---- */

/* B2 without its orders: the completer reads what it has not synchronised with. */
static void *work_and_leave_relaxed(void *which)
{
    session->work[(uintptr_t)which] = 1;
    uint64_t old = atomic_fetch_sub_explicit(&session->barrier.word, 1, memory_order_relaxed);
    if (old == (BARRIER_SHUT | 1))
        complete();
    return NULL;
}

EXPLORE_SCENARIO(barrier_without_orders_is_found, .preemptions = 2, .expect = "race")
{
    open_session(2);
    pthread_t first = start(work_and_leave_relaxed, 0), second = start(work_and_leave_relaxed, 1);
    shut_session();
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    check_the_end();
}

/* Coming in by adding first and undoing when the gate turns out shut: the undo completes again. */
static void *add_first(void *unused)
{
    (void)unused;
    uint64_t old = atomic_fetch_add_explicit(&session->barrier.word, 1, memory_order_relaxed);
    (void)old; /* shut or not, it leaves at once */
    if (barrier_leave(&session->barrier, 1))
        complete_and_keep();
    return NULL;
}

EXPLORE_SCENARIO(barrier_that_adds_first_is_found, .preemptions = 2, .expect = "check failed")
{
    open_session(0);
    pthread_t thread = start(add_first, 0);
    session->told = 1;
    if (barrier_shut(&session->barrier) == BARRIER_SHUT_COMPLETE)
        complete_and_keep();
    pthread_join(thread, NULL);
    free(session);
    explore_check(atomic_load_explicit(&completed, memory_order_relaxed) == 1);
}

int main(int argc, char **argv)
{
    return explore_main(argc, argv);
}
