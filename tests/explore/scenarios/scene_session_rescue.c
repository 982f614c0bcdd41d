/* SPDX-License-Identifier: Apache-2.0 */
/* scene_session_rescue.c - the control thread alone: what comes while it begins to look is not forgotten
 *
 * There is no worker when the finals are due. The clock is stepped, so the control thread is asked at once.
 * "kills" names one-line changes of the library that the search was tried with and finds. */
#include "tiny_session.h"

static weir_token tokens[OPS];

static weir_status defer(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    t->runs++;
    return weir_task_defer(task, &tokens[t - told]);
}

static const weir_kind deferred_kind = {
    .size = sizeof(weir_kind), .work = defer, .on_result = take_result, .gone = take_gone,
};

static void complete(unsigned i)
{
    explore_check(weir_token_complete(tokens[i], WEIR_OK, NULL, 0) == WEIR_OK);
}

static void *complete_second(void *unused)
{
    complete(1);
    return unused;
}

static void begin_deferred(void)
{
    begin_session();
    start_op(0, &deferred_kind);
    start_op(1, &deferred_kind);
    finish();
}

/* W1, W2: it has been asked for one session, and serves, when the other one has something: that asks again, or is seen.
 * kills: W1's bit acq_rel; W2's look at the bits acquire */
EXPLORE_SCENARIO(session_rescue_of_one_session_against_another, .preemptions = 2, .stale_reads = 2)
{
    weir_session other_session;
    begin_session();
    start_op(0, &deferred_kind);
    explore_check(weir_session_open(tiny.handle, WEIR_NEW(weir_session_options, .reserve = 1), &other_session)
                  == WEIR_OK);
    explore_check(weir_op_start(other_session, &deferred_kind, &told[1], NULL, NULL) == WEIR_OK);
    finish();
    complete(0);
    pthread_t other = start(complete_second, 0);
    (void)control_look();
    pthread_join(other, NULL);
    while (control_look())
        ;
    explore_check(told[0].finals == 1 && told[1].finals == 1);
    explore_check(weir_op_close(op[0]) == WEIR_OK && weir_session_close(session, NULL, NULL) == WEIR_OK);
    explore_check(weir_session_close(other_session, NULL, NULL) == WEIR_OK);
    finish();
    end_app();
}

/* The same with a sweep and its finals: a close, by a thread that is no worker. */
static void *close_as_thread(void *unused)
{
    explore_check(close_session() == WEIR_OK);
    return unused;
}

EXPLORE_SCENARIO(session_rescue_of_a_final_against_a_close, .preemptions = 2)
{
    begin_deferred();
    explore_check(weir_op_close(op[0]) == WEIR_OK && weir_op_close(op[1]) == WEIR_OK);
    complete(0);
    pthread_t closer = start(close_as_thread, 0);
    (void)control_look();
    pthread_join(closer, NULL);
    while (control_look())
        ;
    explore_check(closes == 1 && told[0].finals == 1 && told[1].status == WEIR_CANCELED);
    end_session(true);
}
