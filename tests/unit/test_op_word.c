/* SPDX-License-Identifier: Apache-2.0 */
/* test_op_word.c - one step at a time; all steps together are walked in test_op_graph.c */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "session/op_move.h"

#define GENERATION (UINT64_C(7) << 32)

static uint64_t word(uint32_t phase, uint32_t flags, uint32_t reason, uint32_t pending)
{
    return GENERATION | phase | flags | reason << OP_REASON_SHIFT | (uint64_t)pending << OP_PENDING_SHIFT;
}

/* Applies a step to a word; the new word is the answer. */
static uint64_t after(uint64_t old, op_step_fn *step, uint32_t arg, weir_status expected)
{
    uint64_t new = old;
    assert_int_equal(step(old, arg, &new), expected);
    return new;
}

/* ---- the table: what cancel, claim, post, complete, defer and hook answer in each phase ---- */

struct row {
    const char *name;
    op_step_fn *step;
    uint32_t arg;
    uint32_t flags;                                            /* added to the phase's own */
    struct { weir_status status; uint32_t phase; } cell[8];    /* by phase, from QUEUED on */
};

static const struct row table[] = {
    /*                                              QUEUED                        RUNNING
                                                    PARKED                        DEFERRED
                                                    DECIDED                       ABANDONED
                                                    DONE */
    { "claim", op_claim, 1, 0,                    { { WEIR_OK, OP_RUNNING },      { WEIR_BUSY, OP_RUNNING },
                                                    { WEIR_BUSY, OP_PARKED },     { WEIR_BUSY, OP_DEFERRED },
                                                    { WEIR_BUSY, OP_DECIDED },    { WEIR_BUSY, OP_ABANDONED },
                                                    { WEIR_BUSY, OP_DONE } } },
    { "cancel", op_cancel, 64, 0,                 { { WEIR_OK, OP_DECIDED },      { WEIR_OK, OP_RUNNING },
                                                    { WEIR_OK, OP_DECIDED },      { WEIR_OK, OP_DECIDED },
                                                    { WEIR_TOO_LATE, OP_DECIDED }, { WEIR_TOO_LATE, OP_ABANDONED },
                                                    { WEIR_TOO_LATE, OP_DONE } } },
    { "cancel, hook", op_cancel, 64, OP_HOOK_SET, { { WEIR_OK, OP_DECIDED },      { WEIR_OK, OP_RUNNING },
                                                    { WEIR_OK, OP_DECIDED },      { WEIR_OK, OP_DEFERRED },
                                                    { WEIR_TOO_LATE, OP_DECIDED }, { WEIR_TOO_LATE, OP_ABANDONED },
                                                    { WEIR_TOO_LATE, OP_DONE } } },
    { "complete", op_hold_to_complete, 1, 0,      { { WEIR_STALE, OP_QUEUED },    { WEIR_STALE, OP_RUNNING },
                                                    { WEIR_STALE, OP_PARKED },    { WEIR_OK, OP_DECIDED },
                                                    { WEIR_STALE, OP_DECIDED },   { WEIR_STALE, OP_ABANDONED },
                                                    { WEIR_STALE, OP_DONE } } },
    { "token post", op_hold_to_post, 1, 0,        { { WEIR_STALE, OP_QUEUED },    { WEIR_STALE, OP_RUNNING },
                                                    { WEIR_STALE, OP_PARKED },    { WEIR_OK, OP_DEFERRED },
                                                    { WEIR_STALE, OP_DECIDED },   { WEIR_STALE, OP_ABANDONED },
                                                    { WEIR_STALE, OP_DONE } } },
};

static const uint32_t own_flags[] = {
    [OP_QUEUED] = OP_HANDLE,   [OP_RUNNING] = OP_HANDLE | OP_STACK,    [OP_PARKED] = OP_HANDLE | OP_WANT,
    [OP_DEFERRED] = OP_HANDLE | OP_TOKEN, [OP_DECIDED] = OP_HANDLE, [OP_ABANDONED] = OP_STACK,
    [OP_DONE] = OP_HANDLE,
};

static void each_phase_answers_each_step_as_the_table_says(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        for (uint32_t phase = OP_QUEUED; phase <= OP_DONE; phase++) {
            const struct row *row = &table[i];
            uint64_t old = word(phase, own_flags[phase] | row->flags, 0, 0), new = old;
            weir_status status = row->step(old, row->arg, &new);
            if (status != row->cell[phase - 1].status || op_phase(new) != row->cell[phase - 1].phase)
                fail_msg("%s in phase %u: %s, to phase %u", row->name, phase, weir_status_name(status), op_phase(new));
        }
}

/* ---- cancel (C2, C3) ---- */

static void a_cancel_of_waiting_work_decides_its_final_at_once(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_QUEUED, OP_HANDLE, 0, 0), op_cancel, 64, WEIR_OK);
    assert_int_equal(op_steps(w), OP_STEP_DELIVER);
    assert_int_equal(op_reason(w), 64);
    after(w, op_claim, 1, WEIR_BUSY);
}

static void the_second_cancel_is_told_that_the_first_one_won(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_RUNNING, OP_STACK, 0, 0), op_cancel, 64, WEIR_OK);
    assert_true(after(w, op_cancel, 65, WEIR_ALREADY) == w);
}

static void a_cancel_after_the_decision_is_too_late(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_RUNNING, OP_STACK, 0, 0), op_return, 1, WEIR_OK);
    assert_true(after(w, op_cancel, 64, WEIR_TOO_LATE) == w);
}

static void a_free_slot_cannot_be_cancelled(void **unused)
{
    (void)unused;
    assert_true(after(GENERATION, op_cancel, 64, WEIR_STALE) == GENERATION);
    assert_true(after(GENERATION, op_sweep, 1 | UINT32_C(64) << 24, WEIR_STALE) == GENERATION);
}

static void deferred_work_without_a_hook_is_final_at_the_cancel(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_DEFERRED, OP_TOKEN, 0, 0), op_cancel, 64, WEIR_OK);
    assert_int_equal(op_steps(w), OP_STEP_DELIVER);
    after(w, op_hold_to_complete, 1, WEIR_CANCELED);
}

static void deferred_work_that_is_on_its_stack_keeps_its_final_until_it_returns(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_RUNNING, OP_TOKEN | OP_STACK, 0, 0), op_cancel, 64, WEIR_OK);
    assert_int_equal(op_phase(w), OP_DECIDED);
    assert_int_equal(op_steps(w), 0);
    w = after(w, op_return, 1 | OP_AGAIN, WEIR_OK);
    assert_int_equal(op_steps(w), OP_STEP_DELIVER);
}

static void deferred_work_that_was_to_be_called_again_is_not_called_after_a_cancel(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_QUEUED, OP_TOKEN | OP_HOOK_SET, 0, 0), op_cancel, 64, WEIR_OK);
    assert_int_equal(op_phase(w), OP_DEFERRED);
    assert_int_equal(op_steps(w), OP_STEP_HOOK);
}

/* ---- hooks (C3) ---- */

static void a_hook_is_not_entered_after_the_decision(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_RUNNING, OP_STACK | OP_HOOK_SET, 0, 0), op_cancel, 64, WEIR_OK);
    assert_int_equal(op_steps(w), OP_STEP_HOOK);
    w = after(w, op_return, 1, WEIR_OK);
    assert_true(after(w, op_hook_enter, 0, WEIR_TOO_LATE) == w);
}

static void a_running_hook_holds_the_delivery_back(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_RUNNING, OP_STACK | OP_HOOK_SET, 64, 0), op_hook_enter, 0, WEIR_OK);
    w = after(w, op_return, 1, WEIR_OK);
    assert_int_equal(op_steps(w), 0);
    w = after(w, op_hook_leave, true, WEIR_OK);
    assert_int_equal(op_steps(w), OP_STEP_DELIVER);
}

static void a_hook_that_answers_true_decides_deferred_work(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_DEFERRED, OP_TOKEN | OP_HOOK_BUSY, 64, 0), op_hook_leave, true, WEIR_OK);
    assert_int_equal(op_phase(w), OP_DECIDED);
    after(w, op_hold_to_complete, 1, WEIR_CANCELED);
}

static void a_hook_that_answers_false_leaves_the_final_to_the_token(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_DEFERRED, OP_TOKEN | OP_HOOK_BUSY, 64, 0), op_hook_leave, false, WEIR_OK);
    assert_int_equal(op_steps(w), 0);
    after(w, op_hold_to_post, 1, WEIR_CANCELED);
    w = after(w, op_hold_to_complete, 1, WEIR_OK);
    assert_int_equal(op_steps(w), 0);                          /* its status is not written yet */
    assert_int_equal(op_steps(after(w, op_commit_complete, 1, WEIR_OK)), OP_STEP_DELIVER);
}

static void a_hook_answer_does_not_decide_work_that_has_not_deferred(void **unused)
{
    (void)unused;
    uint64_t w = word(OP_RUNNING, OP_STACK | OP_HOOK_BUSY, 64, 0);
    assert_int_equal(op_phase(after(w, op_hook_leave, true, WEIR_OK)), OP_RUNNING);
}

static void a_hook_registered_after_a_cancel_is_refused(void **unused)
{
    (void)unused;
    uint64_t w = word(OP_RUNNING, OP_STACK, 64, 0);
    assert_true(after(w, op_hook_set, 0, WEIR_CANCELED) == w);
}

static void removing_a_hook_that_is_due_leaves_deferred_work_without_one(void **unused)
{
    (void)unused;
    uint64_t w = word(OP_RUNNING, OP_STACK | OP_TOKEN | OP_HOOK_SET, 64, 0);
    assert_int_equal(op_phase(after(w, op_hook_clear, 0, WEIR_OK)), OP_DECIDED);
}

static void removing_a_running_hook_has_to_wait(void **unused)
{
    (void)unused;
    after(word(OP_RUNNING, OP_STACK | OP_HOOK_BUSY, 64, 0), op_hook_clear, 0, WEIR_BUSY);
}

/* ---- window (R7, C1) ---- */

static void a_refused_post_parks_the_work_until_there_is_room(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_RUNNING, OP_STACK, 0, 0), op_post, 1, WEIR_OK);
    w = after(w, op_post, 1, WEIR_AGAIN);
    w = after(w, op_return, 1 | OP_AGAIN, WEIR_OK);
    assert_int_equal(op_phase(w), OP_PARKED);
    w = after(w, op_take, 1, WEIR_OK);
    w = after(w, op_put_item, 1, WEIR_OK);
    assert_int_equal(op_phase(w), OP_QUEUED);
}

static void room_that_came_before_the_return_is_not_missed(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_RUNNING, OP_STACK, 0, 1), op_post, 1, WEIR_AGAIN);
    w = after(w, op_take, 1, WEIR_OK);
    w = after(w, op_put_item, 1, WEIR_OK);
    assert_int_equal(op_phase(after(w, op_return, 1 | OP_AGAIN, WEIR_OK)), OP_QUEUED);
}

static void again_without_a_refused_post_is_a_yield(void **unused)
{
    (void)unused;
    uint64_t w = word(OP_RUNNING, OP_STACK, 0, 1);             /* the window is full, but nothing was refused */
    assert_int_equal(op_phase(after(w, op_return, 1 | OP_AGAIN, WEIR_OK)), OP_QUEUED);
}

static void a_refusal_is_remembered_only_while_the_window_is_full(void **unused)
{
    (void)unused;
    assert_true(op_has(after(word(OP_RUNNING, OP_STACK, 0, 1), op_want, 1, WEIR_AGAIN), OP_WANT));
    after(word(OP_RUNNING, OP_STACK, 0, 0), op_want, 1, WEIR_BUSY);
    after(word(OP_RUNNING, OP_STACK, 64, 1), op_want, 1, WEIR_CANCELED);
}

static void an_accepted_post_makes_a_refused_one_forgotten(void **unused)
{
    (void)unused;
    uint64_t w = word(OP_RUNNING, OP_STACK | OP_WANT, 0, 0);
    assert_false(op_has(after(w, op_post, 1, WEIR_OK), OP_WANT));
}

static void deferred_work_is_called_again_when_a_refused_token_post_has_room(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_DEFERRED, OP_TOKEN, 0, 1), op_hold_to_post, 1, WEIR_AGAIN);
    w = after(w, op_take, 1, WEIR_OK);
    w = after(w, op_put_item, 1, WEIR_OK);
    assert_int_equal(op_steps(w), OP_STEP_RUN);
    assert_true(op_has(w, OP_TOKEN));
}

static void a_post_after_the_cancel_is_not_counted(void **unused)
{
    (void)unused;
    uint64_t w = word(OP_RUNNING, OP_STACK, 64, 0);
    assert_true(after(w, op_post, 1, WEIR_CANCELED) == w);
}

static void a_cancel_between_hold_and_commit_takes_the_post_back(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_DEFERRED, OP_TOKEN, 0, 0), op_hold_to_post, 1, WEIR_OK);
    w = after(w, op_cancel, 64, WEIR_OK);
    assert_int_equal(op_steps(w), 0);                          /* the poster is still writing */
    w = after(w, op_commit_post, 1, WEIR_CANCELED);
    assert_int_equal(op_pending(w), 0);
    assert_int_equal(op_steps(w), OP_STEP_DELIVER);
}

static void results_accepted_before_the_cancel_come_before_the_final(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_PARKED, OP_WANT, 0, 2), op_cancel, 64, WEIR_OK);
    assert_int_equal(op_taken(w, 2), OP_TAKEN_ITEM);
    assert_int_equal(op_taken(w, 2 | OP_DISCARDS), OP_TAKEN_DISCARD);
    w = after(after(w, op_take, 2, WEIR_OK), op_put_item, 2, WEIR_OK);
    w = after(after(w, op_take, 2, WEIR_OK), op_put_item, 2, WEIR_OK);
    assert_int_equal(op_taken(w, 2), OP_TAKEN_FINAL);
}

/* ---- acknowledgement (R7, R9) ---- */

static void the_next_result_waits_for_the_acknowledgement(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_RUNNING, OP_STACK, 0, 2), op_take, 2 | OP_MANUAL, WEIR_OK);
    w = after(w, op_put_item, 2 | OP_MANUAL, WEIR_OK);
    assert_int_equal(op_steps(w), 0);
    assert_int_equal(op_steps(after(w, op_ack, 2 | OP_MANUAL, WEIR_OK)), OP_STEP_DELIVER);
}

static void an_acknowledgement_inside_the_callback_is_one(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_DECIDED, 0, 0, 0), op_take, 1 | OP_MANUAL, WEIR_OK);
    w = after(w, op_ack, 1 | OP_MANUAL, WEIR_OK);
    w = after(w, op_put_final, 1 | OP_MANUAL, WEIR_OK);
    assert_int_equal(op_phase(w), OP_FREE);
}

static void an_acknowledged_item_is_dropped_by_a_worker(void **unused)
{
    (void)unused;
    const uint32_t traits = 1 | OP_MANUAL | OP_DROPS;
    uint64_t w = after(word(OP_PARKED, OP_WANT | OP_UNACKED, 0, 0), op_ack, traits, WEIR_OK);
    assert_int_equal(op_phase(w), OP_PARKED);                  /* there is room only after the drop */
    assert_int_equal(op_steps(w), OP_STEP_DROP);
    w = after(after(w, op_take, traits, WEIR_OK), op_put_drop, traits, WEIR_OK);
    assert_int_equal(op_phase(w), OP_QUEUED);
}

/* ---- pull, close, leaving (S4, H3) ---- */

static void closing_an_unread_pull_operation_cancels_it(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_PARKED, OP_PULL | OP_HANDLE | OP_WANT, 0, 1), op_close, 1, WEIR_OK);
    assert_int_equal(op_reason(w), OP_BY_USER);
    assert_int_equal(op_taken(w, 1), OP_TAKEN_PURGE);
    after(w, op_close, 1, WEIR_STALE);
}

static void closing_a_push_operation_cancels_nothing(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_RUNNING, OP_STACK | OP_HANDLE, 0, 0), op_close, 1, WEIR_OK);
    assert_int_equal(op_reason(w), 0);
}

static void the_second_thread_in_next_is_refused(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_RUNNING, OP_STACK | OP_PULL | OP_HANDLE, 0, 0), op_next_enter, 1, WEIR_OK);
    after(w, op_next_enter, 1, WEIR_BUSY);
}

static void next_acknowledges_what_it_gave_before(void **unused)
{
    (void)unused;
    uint64_t w = word(OP_PARKED, OP_PULL | OP_HANDLE | OP_WANT | OP_UNACKED, 0, 0);
    w = after(w, op_next_enter, 1, WEIR_OK);
    assert_int_equal(op_phase(w), OP_QUEUED);
}

static void the_final_of_a_pull_operation_is_answered_again(void **unused)
{
    (void)unused;
    uint64_t w = word(OP_DONE, OP_PULL | OP_HANDLE, 0, 0);
    for (int i = 0; i < 2; i++) {
        w = after(w, op_next_enter, 1, WEIR_OK);
        assert_true(after(w, op_next_take, 1, WEIR_ALREADY) == w);
        w = after(w, op_next_exit, 1, WEIR_OK);
    }
    assert_int_equal(op_phase(after(w, op_close, 1, WEIR_OK)), OP_FREE);
}

static void the_final_of_a_cancelled_pull_operation_takes_what_it_discards(void **unused)
{
    (void)unused;
    uint64_t w = word(OP_DECIDED, OP_PULL | OP_HANDLE, 64, 2);
    assert_int_equal(op_pending(after(w, op_take, 2 | OP_DISCARDS, WEIR_OK)), 0);
    assert_int_equal(op_pending(after(w, op_take, 2, WEIR_OK)), 2);
}

static void a_close_wakes_the_thread_in_next(void **unused)
{
    (void)unused;
    uint64_t old = word(OP_DONE, OP_PULL | OP_HANDLE | OP_WAITER, 0, 0);
    uint64_t new = after(old, op_close, 1, WEIR_OK);
    assert_int_equal(op_duties(old, new), OP_WAKE);
    after(new, op_next_take, 1, WEIR_STALE);
    assert_int_equal(op_duties(new, after(new, op_next_exit, 1, WEIR_OK)), OP_LEAVE | OP_FREED);
}

static void the_last_of_what_is_missing_leaves_and_frees_in_one_step(void **unused)
{
    (void)unused;
    uint64_t old = word(OP_DONE, OP_HANDLE, 0, 0);
    uint64_t new = after(old, op_close, 1, WEIR_OK);
    assert_true(new == slot_word_next(GENERATION));
    assert_int_equal(op_duties(old, new), OP_LEAVE | OP_FREED);
}

/* ---- abandon (S9) ---- */

static void abandoned_work_leaves_while_it_is_on_its_stack_and_frees_when_it_returns(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_RUNNING, OP_STACK | OP_HANDLE, 64, 0), op_abandon, 1, WEIR_OK);
    after(w, op_post, 1, WEIR_CANCELED);
    w = after(w, op_take, 1 | OP_MANUAL, WEIR_OK);
    uint64_t done = after(w, op_put_final, 1 | OP_MANUAL, WEIR_OK);
    assert_int_equal(op_duties(w, done), OP_LEAVE);
    uint64_t gone = after(done, op_return, 1, WEIR_OK);
    assert_int_equal(op_duties(done, gone), OP_FREED);
}

static void gone_is_called_by_whoever_is_last_of_the_final_and_the_abandoned_work(void **unused)
{
    (void)unused;
    uint64_t delivering = word(OP_ABANDONED, OP_STACK | OP_DELIVERY, 64, 0);
    assert_int_equal(op_phase(after(delivering, op_put_final_early, 1, WEIR_OK)), OP_DONE);
    uint64_t returned = after(delivering, op_return, 1, WEIR_OK);
    after(returned, op_put_final_early, 1, WEIR_BUSY);
}

static void a_running_callback_or_hook_cannot_be_abandoned(void **unused)
{
    (void)unused;
    after(word(OP_DECIDED, OP_DELIVERY | OP_HANDLE, 64, 0), op_abandon, 1, WEIR_BUSY);
    after(word(OP_DEFERRED, OP_TOKEN | OP_HOOK_BUSY, 64, 0), op_abandon, 1, WEIR_BUSY);
}

static void an_open_handle_can_be_abandoned(void **unused)
{
    (void)unused;
    assert_int_equal(op_phase(after(word(OP_DONE, OP_HANDLE, 0, 0), op_abandon, 1, WEIR_OK)), OP_FREE);
}

/* ---- the sweep ---- */

static void the_sweep_decides_and_takes_waiting_work_in_one_step_that_seals_it(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_QUEUED, 0, 0, 0), op_sweep, 1 | (uint32_t)OP_BY_SESSION << 24, WEIR_OK);
    assert_true(op_is_sealed(w));
    assert_int_equal(op_reason(w), OP_BY_SESSION);
}

static void the_short_sweep_is_for_what_holds_nothing(void **unused)
{
    (void)unused;
    assert_true(op_swept(word(OP_QUEUED, 0, 0, 0), OP_BY_SESSION, 1) != 0);
    assert_true(op_swept(word(OP_DEFERRED, OP_TOKEN, 0, 0), OP_BY_SESSION, 1) != 0);
    assert_true(op_swept(word(OP_QUEUED, 0, 0, 0), OP_BY_SESSION, 1 | OP_STREAMS) == 0);
    assert_true(op_swept(word(OP_QUEUED, OP_HANDLE, 0, 0), OP_BY_SESSION, 1) != 0);
    assert_true(op_swept(word(OP_QUEUED, OP_PULL, 0, 0), OP_BY_SESSION, 1) == 0);
    assert_true(op_swept(word(OP_DEFERRED, OP_TOKEN | OP_HOOK_SET, 0, 0), OP_BY_SESSION, 1) == 0);
}

static void the_sweep_tells_running_work_and_takes_nothing(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_RUNNING, OP_STACK, 0, 0), op_sweep, 1 | (uint32_t)OP_BY_SESSION << 24, WEIR_AGAIN);
    assert_int_equal(op_reason(w), OP_BY_SESSION);
}

static void a_return_takes_the_final_in_the_same_step_and_seals_it(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_RUNNING, OP_STACK, 0, 0), op_return_and_take, 1, WEIR_OK);
    assert_true(op_is_sealed(w));
    w = after(word(OP_RUNNING, OP_STACK, 0, 1), op_return_and_take, 1 | OP_AGAIN, WEIR_OK);
    assert_int_equal(op_phase(w), OP_QUEUED);                  /* a yield; an item is delivered meanwhile */
    assert_true(op_has(w, OP_DELIVERY));
}

static void a_return_with_nothing_to_take_is_a_return(void **unused)
{
    (void)unused;
    uint64_t w = after(word(OP_RUNNING, OP_STACK, 0, 0), op_return_and_take, 1 | OP_AGAIN, WEIR_BUSY);
    assert_int_equal(op_phase(w), OP_QUEUED);
}

/* ---- the word itself ---- */

static void a_retired_word_is_free_and_one_generation_older(void **unused)
{
    (void)unused;
    struct slot slot;
    atomic_init(&slot.word, word(OP_DECIDED, OP_DELIVERY, 64, 0));
    assert_true(op_retire(&slot, atomic_load(&slot.word)) == UINT64_C(8) << 32);
    assert_true(atomic_load(&slot.word) == UINT64_C(8) << 32);
}

static void a_stale_handle_changes_nothing(void **unused)
{
    (void)unused;
    struct slot slot;
    struct op_change change;
    atomic_init(&slot.word, word(OP_QUEUED, OP_HANDLE, 0, 0));
    assert_int_equal(op_move_at(&slot, handle_make(HANDLE_OP, 1, 1, 6), op_cancel, 64, &change), WEIR_STALE);
    assert_int_equal(op_move_at(&slot, handle_make(HANDLE_OP, 1, 1, 7), op_cancel, 64, &change), WEIR_OK);
    assert_int_equal(op_poll(&slot), 64);
}

static void publishing_keeps_the_generation(void **unused)
{
    (void)unused;
    struct slot slot;
    atomic_init(&slot.word, GENERATION);
    op_publish(&slot, true, true);
    assert_true(atomic_load(&slot.word) == word(OP_QUEUED, OP_HANDLE | OP_PULL, 0, 0));
}

static void a_word_prints_as_a_line(void **unused)
{
    (void)unused;
    char text[160];
    op_word_print(word(OP_RUNNING, OP_STACK | OP_HANDLE, 3, 2), text, sizeof(text));
    assert_string_equal(text, "#7 RUNNING reason 3 pending 2 STACK HANDLE");
}

static void a_word_with_everything_fits_and_a_short_buffer_cuts(void **unused)
{
    (void)unused;
    char text[160], small[8];
    op_word_print(UINT64_C(0x7fffffffffffffff), text, sizeof(text));
    assert_true(strlen(text) < sizeof(text) - 1);
    op_word_print(UINT64_C(0x7fffffffffffffff), small, sizeof(small));
    assert_int_equal(strlen(small), sizeof(small) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_phase_answers_each_step_as_the_table_says),
        cmocka_unit_test(a_cancel_of_waiting_work_decides_its_final_at_once),
        cmocka_unit_test(the_second_cancel_is_told_that_the_first_one_won),
        cmocka_unit_test(a_cancel_after_the_decision_is_too_late),
        cmocka_unit_test(a_free_slot_cannot_be_cancelled),
        cmocka_unit_test(deferred_work_without_a_hook_is_final_at_the_cancel),
        cmocka_unit_test(deferred_work_that_is_on_its_stack_keeps_its_final_until_it_returns),
        cmocka_unit_test(deferred_work_that_was_to_be_called_again_is_not_called_after_a_cancel),
        cmocka_unit_test(a_hook_is_not_entered_after_the_decision),
        cmocka_unit_test(a_running_hook_holds_the_delivery_back),
        cmocka_unit_test(a_hook_that_answers_true_decides_deferred_work),
        cmocka_unit_test(a_hook_that_answers_false_leaves_the_final_to_the_token),
        cmocka_unit_test(a_hook_answer_does_not_decide_work_that_has_not_deferred),
        cmocka_unit_test(a_hook_registered_after_a_cancel_is_refused),
        cmocka_unit_test(removing_a_hook_that_is_due_leaves_deferred_work_without_one),
        cmocka_unit_test(removing_a_running_hook_has_to_wait),
        cmocka_unit_test(a_refused_post_parks_the_work_until_there_is_room),
        cmocka_unit_test(room_that_came_before_the_return_is_not_missed),
        cmocka_unit_test(again_without_a_refused_post_is_a_yield),
        cmocka_unit_test(a_refusal_is_remembered_only_while_the_window_is_full),
        cmocka_unit_test(an_accepted_post_makes_a_refused_one_forgotten),
        cmocka_unit_test(deferred_work_is_called_again_when_a_refused_token_post_has_room),
        cmocka_unit_test(a_post_after_the_cancel_is_not_counted),
        cmocka_unit_test(a_cancel_between_hold_and_commit_takes_the_post_back),
        cmocka_unit_test(results_accepted_before_the_cancel_come_before_the_final),
        cmocka_unit_test(the_next_result_waits_for_the_acknowledgement),
        cmocka_unit_test(an_acknowledgement_inside_the_callback_is_one),
        cmocka_unit_test(an_acknowledged_item_is_dropped_by_a_worker),
        cmocka_unit_test(closing_an_unread_pull_operation_cancels_it),
        cmocka_unit_test(closing_a_push_operation_cancels_nothing),
        cmocka_unit_test(the_second_thread_in_next_is_refused),
        cmocka_unit_test(next_acknowledges_what_it_gave_before),
        cmocka_unit_test(the_final_of_a_pull_operation_is_answered_again),
        cmocka_unit_test(the_final_of_a_cancelled_pull_operation_takes_what_it_discards),
        cmocka_unit_test(a_close_wakes_the_thread_in_next),
        cmocka_unit_test(the_last_of_what_is_missing_leaves_and_frees_in_one_step),
        cmocka_unit_test(abandoned_work_leaves_while_it_is_on_its_stack_and_frees_when_it_returns),
        cmocka_unit_test(gone_is_called_by_whoever_is_last_of_the_final_and_the_abandoned_work),
        cmocka_unit_test(a_running_callback_or_hook_cannot_be_abandoned),
        cmocka_unit_test(an_open_handle_can_be_abandoned),
        cmocka_unit_test(the_sweep_decides_and_takes_waiting_work_in_one_step_that_seals_it),
        cmocka_unit_test(the_short_sweep_is_for_what_holds_nothing),
        cmocka_unit_test(the_sweep_tells_running_work_and_takes_nothing),
        cmocka_unit_test(a_return_takes_the_final_in_the_same_step_and_seals_it),
        cmocka_unit_test(a_return_with_nothing_to_take_is_a_return),
        cmocka_unit_test(a_retired_word_is_free_and_one_generation_older),
        cmocka_unit_test(a_stale_handle_changes_nothing),
        cmocka_unit_test(publishing_keeps_the_generation),
        cmocka_unit_test(a_word_prints_as_a_line),
        cmocka_unit_test(a_word_with_everything_fits_and_a_short_buffer_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
