/* SPDX-License-Identifier: Apache-2.0 */
/* scene_op_word.c - an operation's word under three threads, with the data that its steps publish
 *
 * The unit test of the graph shows that each order of steps ends well. Here the steps are compare-and-swaps of
 * threads, and plain data stands beside the word, written before one step and read after another: if an order were
 * too weak, the explorer would see a race on that data, and if a step were not one step, two finals.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "session/ack.h"
#include "session/op_move.h"
#include "tests/explore/engine/explore.h"

static struct slot slot;
static struct ack ack;
static const uint64_t handle = UINT64_C(3) << 61 | UINT64_C(1) << 55 | 1;          /* generation 1 */

/* Plain data, on purpose. */
static int input;                                              /* E1: before start -> work, final */
static int why;                                                /* E6: before cancel -> hook */
static int outcome;                                            /* E5: what the work or the token left -> final */
static int item;                                               /* E2: before post -> result */

static _Atomic uint32_t finals, left, freed, results, runs;

static void count(const struct op_change *change)
{
    uint32_t duties = op_duties(change->old, change->new);
    if ((duties & OP_LEAVE) != 0)
        atomic_fetch_add_explicit(&left, 1, memory_order_relaxed);
    if ((duties & OP_FREED) != 0)
        atomic_fetch_add_explicit(&freed, 1, memory_order_relaxed);
}

static weir_status take_step(op_step_fn *step, uint32_t arg)
{
    struct op_change change;
    weir_status status = op_move_at(&slot, handle, step, arg, &change);
    if (status != WEIR_STALE)
        count(&change);
    return status;
}

static void start(bool has_handle, bool pull)
{
    atomic_init(&slot.word, UINT64_C(1) << 32);
    ack_begin(&ack, 1);
    input = 1;
    op_publish(&slot, has_handle, pull);
}

/* ---- a worker: does what the word asks for until it asks for nothing ---- */

static void give_final(uint64_t word, uint32_t traits)
{
    explore_check(input == 1);
    if (op_phase(word) != OP_ABANDONED)                        /* abandoned work may be writing it */
        explore_check(outcome >= 0);
    ack_give(&ack, 1 + atomic_load_explicit(&results, memory_order_relaxed));
    atomic_fetch_add_explicit(&finals, 1, memory_order_relaxed);
    take_step(op_put_final, traits);
}

static void give_item(uint32_t traits)
{
    explore_check(item == 1);
    ack_give(&ack, 1 + atomic_fetch_add_explicit(&results, 1, memory_order_relaxed));
    take_step(op_put_item, traits);
}

static bool deliver(uint32_t traits)
{
    struct op_change change;
    if (op_move_at(&slot, handle, op_take, traits, &change) != WEIR_OK)
        return false;
    switch (op_taken(change.old, traits)) {
    case OP_TAKEN_FINAL: give_final(change.old, traits); break;
    case OP_TAKEN_ITEM: give_item(traits); break;
    case OP_TAKEN_DISCARD: take_step(op_put_discard, traits); break;
    case OP_TAKEN_DROP: take_step(op_put_drop, traits); break;
    case OP_TAKEN_PURGE: take_step(op_put_purge, traits); break;
    }
    return true;
}

static bool run(uint32_t traits)
{
    if (take_step(op_claim, traits) != WEIR_OK)
        return false;
    atomic_fetch_add_explicit(&runs, 1, memory_order_relaxed);
    explore_check(input == 1);
    outcome = 1;
    take_step(op_return, traits);
    return true;
}

static bool call_hook(void)
{
    if (take_step(op_hook_enter, 0) != WEIR_OK)
        return false;
    explore_check(why == 1);
    take_step(op_hook_leave, true);
    return true;
}

static void look(uint32_t traits)
{
    while (deliver(traits) || call_hook() || run(traits))
        ;
}

static void *worker(void *traits)
{
    look((uint32_t)(uintptr_t)traits);
    return NULL;
}

static void *canceller(void *unused)
{
    (void)unused;
    why = 1;
    take_step(op_cancel, 64);
    return NULL;
}

static void *closer_of_the_handle(void *traits)
{
    take_step(op_close, (uint32_t)(uintptr_t)traits);
    return NULL;
}

/* Two threads beside this one, which is a worker; the last look is what a duty would have called a worker for. */
static void run_three(void *(*first)(void *), void *(*second)(void *), uint32_t traits)
{
    pthread_t a, b;
    explore_check(pthread_create(&a, NULL, first, (void *)(uintptr_t)traits) == 0);
    explore_check(pthread_create(&b, NULL, second, (void *)(uintptr_t)traits) == 0);
    look(traits);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    look(traits);
}

static void check_the_end(void)
{
    explore_check(atomic_load(&finals) == 1);
    explore_check(atomic_load(&left) == 1);
    explore_check(atomic_load(&freed) == 1);
    explore_check(slot_word_is_free(atomic_load(&slot.word)));
    explore_check(slot_word_generation(atomic_load(&slot.word)) == 2);
    explore_observe(atomic_load(&runs));
}

/* C2, C3: cancel against claim against the close of the handle; whoever is last frees. */
EXPLORE_SCENARIO(op_cancel_claim_close, .preemptions = 3, .stale_reads = 2)
{
    start(true, false);
    run_three(canceller, closer_of_the_handle, 1);
    check_the_end();
}

EXPLORE_SCENARIO(op_two_workers_and_a_cancel, .preemptions = 3, .stale_reads = 2)
{
    start(false, false);
    run_three(worker, canceller, 1);
    check_the_end();
}

/* R8: a token against a cancel with a hook; one of them decides, the data of the winner is what the final sees. */
static void *token_holder(void *unused)
{
    (void)unused;
    if (take_step(op_hold_to_complete, 1) == WEIR_OK) {
        outcome = 2;
        take_step(op_commit_complete, 1);
    }
    return NULL;
}

static void start_deferred(bool hook)
{
    start(false, false);
    take_step(op_claim, 1);
    take_step(op_defer, 1);
    if (hook)
        take_step(op_hook_set, 1);
    take_step(op_return, 1);
}

EXPLORE_SCENARIO(op_token_against_cancel_and_hook, .preemptions = 3, .stale_reads = 2)
{
    start_deferred(true);
    run_three(canceller, token_holder, 1);
    check_the_end();
}

EXPLORE_SCENARIO(op_token_against_cancel_and_a_worker, .preemptions = 3, .stale_reads = 2)
{
    start_deferred(false);
    run_three(canceller, token_holder, 1);
    check_the_end();
}

/* C1: a post through a token against a cancel: accepted and seen, or refused and not counted. */
static _Atomic uint32_t accepted;

static void *token_poster(void *unused)
{
    (void)unused;
    if (take_step(op_hold_to_post, 1) != WEIR_OK)
        return NULL;
    item = 1;
    if (take_step(op_commit_post, 1) == WEIR_OK)
        atomic_fetch_add_explicit(&accepted, 1, memory_order_relaxed);
    return NULL;
}

EXPLORE_SCENARIO(op_post_against_cancel, .preemptions = 3, .stale_reads = 2)
{
    start_deferred(false);
    run_three(canceller, token_poster, 1);
    explore_check(atomic_load(&results) == atomic_load(&accepted));
    check_the_end();
}

/* R7: two threads acknowledge one number, while the callback may still run: one wins, the operation ends once. */
static _Atomic uint32_t acks_won;

static void *acker(void *unused)
{
    (void)unused;
    if (ack_win(&ack, handle, 1) == WEIR_OK) {                 /* INVALID: not delivered yet */
        atomic_fetch_add_explicit(&acks_won, 1, memory_order_relaxed);
        take_step(op_ack, 1 | OP_MANUAL);
    }
    return NULL;
}

EXPLORE_SCENARIO(op_two_acknowledge_one_final, .preemptions = 3, .stale_reads = 2)
{
    start(false, false);
    run_three(acker, acker, 1 | OP_MANUAL);
    acker(NULL);                                               /* if both came before the final */
    explore_check(atomic_load(&acks_won) == 1);
    check_the_end();
}

/* S9: an abandon against the return of the work. */
static void *abandoner(void *unused)
{
    (void)unused;
    take_step(op_abandon, 1);
    return NULL;
}

static void *returner(void *unused)
{
    (void)unused;
    outcome = 1;
    take_step(op_return, 1);
    return NULL;
}

EXPLORE_SCENARIO(op_abandon_against_return, .preemptions = 3, .stale_reads = 2)
{
    start(true, false);
    take_step(op_claim, 1);
    canceller(NULL);
    run_three(abandoner, returner, 1);
    take_step(op_close, 1);                                    /* STALE if it was abandoned */
    check_the_end();
}
