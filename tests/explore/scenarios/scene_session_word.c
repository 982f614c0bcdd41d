/* SPDX-License-Identifier: Apache-2.0 */
/* scene_session_word.c - start against close against the last to leave; a cancel of all against a start and a claim */
#include <pthread.h>
#include <stdatomic.h>

#include "session/op_move.h"
#include "session/session_word.h"
#include "tests/explore/engine/explore.h"

static struct slot session;
static struct session_cancel cancel;
static const uint64_t handle = UINT64_C(2) << 61 | UINT64_C(1) << 55 | 1;          /* generation 1 */

/* Plain data, on purpose: E7. */
static int work_of_a, work_of_b;
static int callback;                                           /* what the winning closer leaves for the completer */

static _Atomic uint32_t wins, completions;

static void open_session(void)
{
    atomic_init(&session.word, UINT64_C(1) << 32 | SESSION_OPEN);
}

static void leave(void)
{
    if (!session_leave(&session, 1))
        return;
    atomic_fetch_add_explicit(&completions, 1, memory_order_relaxed);
    explore_check(callback == 1);
    explore_observe((uint64_t)(work_of_a * 2 + work_of_b));
}

static void *start_a(void *unused)
{
    (void)unused;
    if (session_enter(&session, handle, 1) == WEIR_OK) {
        work_of_a = 1;
        leave();
    }
    return NULL;
}

static void *start_b(void *unused)
{
    (void)unused;
    if (session_enter(&session, handle, 1) == WEIR_OK) {
        work_of_b = 1;
        leave();
    }
    return NULL;
}

static void *close_session(void *unused)
{
    (void)unused;
    if (session_shut_gate(&session, handle) == WEIR_OK) {
        atomic_fetch_add_explicit(&wins, 1, memory_order_relaxed);
        callback = 1;
        cancel_raise(&cancel, OP_BY_SESSION);
        session_advance(&session, SESSION_CANCELLING);
        leave();
    } else if (session_visit(&session, handle) == WEIR_OK) {   /* shortens */
        cancel_raise(&cancel, OP_BY_SESSION);
        session_advance(&session, SESSION_CANCELLING);
        leave();
    }
    return NULL;
}

static void run_with_main(void *(*first)(void *), void *(*second)(void *), void *(*here)(void *))
{
    pthread_t a, b;
    explore_check(pthread_create(&a, NULL, first, NULL) == 0);
    explore_check(pthread_create(&b, NULL, second, NULL) == 0);
    here(NULL);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    explore_check(atomic_load(&wins) == 1);
    explore_check(atomic_load(&completions) == 1);
    explore_check(session_phase(atomic_load(&session.word)) == SESSION_CLOSED);
}

EXPLORE_SCENARIO(session_two_starts_and_a_close, .preemptions = 3, .stale_reads = 2)
{
    open_session();
    run_with_main(start_a, start_b, close_session);
}

EXPLORE_SCENARIO(session_two_closers_and_a_start, .preemptions = 3, .stale_reads = 2)
{
    open_session();
    run_with_main(start_a, close_session, close_session);
}

/* ---- C6: a cancel of all, a start, a worker: the operation runs, or it is cancelled; its final is never forgotten
 * ---- */

static struct slot op;
static uint32_t op_epoch;
static _Atomic uint64_t map;                                   /* the ready map, of one operation */
static _Atomic uint32_t finals, runs;
static const uint64_t op_handle = UINT64_C(3) << 61 | UINT64_C(1) << 55 | 1;

static void act_on(uint32_t reason)
{
    struct op_change change;
    (void)op_move_at(&op, op_handle, op_cancel, reason, &change);
}

static void deliver(void)
{
    struct op_change change;
    if (op_move_at(&op, op_handle, op_take, 1, &change) == WEIR_OK) {
        atomic_fetch_add_explicit(&finals, 1, memory_order_relaxed);
        (void)op_move_at(&op, op_handle, op_put_final, 1, &change);
    }
}

static void *start_op(void *unused)
{
    (void)unused;
    op_epoch = cancel_now(&cancel);
    if (session_enter(&session, handle, 1) != WEIR_OK)
        return NULL;
    op_publish(&op, false, false);
    atomic_fetch_or_explicit(&map, 1, memory_order_acq_rel);                         /* K3, see session_word.h d. */
    uint32_t reason = cancel_applies(&cancel, op_epoch);
    if (reason != 0) {
        act_on(reason);
        deliver();                                             /* a worker's duty; this one stands for it */
    }
    return NULL;
}

static void *sweep(void *unused)
{
    (void)unused;
    cancel_raise(&cancel, 64);
    (void)atomic_exchange_explicit(&map, 0, memory_order_acq_rel);                   /* K3 */
    if (slot_word_matches(atomic_load_explicit(&op.word, memory_order_acquire), op_handle)
        && cancel_applies(&cancel, op_epoch) != 0) {
        act_on(64);
        deliver();
    }
    return NULL;
}

static void *claim_op(void *unused)
{
    (void)unused;
    if (atomic_load_explicit(&map, memory_order_acquire) == 0)
        return NULL;
    struct op_change change;
    uint32_t reason = cancel_applies(&cancel, op_epoch);
    if (reason != 0)
        act_on(reason);
    else if (op_move_at(&op, op_handle, op_claim, 1, &change) == WEIR_OK) {
        atomic_fetch_add_explicit(&runs, 1, memory_order_relaxed);
        (void)op_move_at(&op, op_handle, op_return, 1, &change);
    }
    deliver();
    return NULL;
}

EXPLORE_SCENARIO(session_cancel_start_and_claim, .preemptions = 3, .stale_reads = 2)
{
    open_session();
    atomic_init(&op.word, UINT64_C(1) << 32);
    pthread_t a, b;
    explore_check(pthread_create(&a, NULL, start_op, NULL) == 0);
    explore_check(pthread_create(&b, NULL, claim_op, NULL) == 0);
    sweep(NULL);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    bool old = op_epoch != cancel_now(&cancel);                /* accepted before the cancel */
    if (old)
        explore_check(atomic_load(&finals) == 1);              /* delivered or, if it ran, by its worker */
    explore_observe(atomic_load(&finals) * 2 + atomic_load(&runs));
}
