/* SPDX-License-Identifier: Apache-2.0 */
/* scene_session_idle.c - deadlines against what ends their operations, and against who starts them
 *
 * The operations are deferred, so that nothing but a token, a deadline or a close ends them: a cancel that finds nobody
 * is one that is missing at the end. What a deadline has left behind, the wheel shows.
 * "kills" names one-line changes of the library that the search was tried with and finds. */
#include "tiny_session.h"

static weir_token token;

static weir_status defer(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    t->runs++;
    return weir_task_defer(task, &token);
}

static const weir_kind idle_kind = {
    .size = sizeof(weir_kind), .work = defer, .on_result = take_result, .gone = take_gone, .drop = take_drop,
    .flags = WEIR_IDLE_TIMEOUT,
};
static const weir_kind deferred_kind = {
    .size = sizeof(weir_kind), .work = defer, .on_result = take_result, .gone = take_gone,
};

static void *pass_0_6_s(void *unused)
{
    tiny_tick(SECOND / 10 * 6);
    return unused;
}

static void *pass_2_s(void *unused)
{
    tiny_tick(2 * SECOND);
    return unused;
}

static bool no_timer_is_armed(void)
{
    return wheel_is_empty(&tiny.timers.wheel);
}

/* A post in the middle: the deadline comes after 1.2 s, finds that 0.6 s are left, and arms itself again. */
static void begin_idle(void)
{
    begin_session();
    start_op_with(0, &idle_kind, WEIR_NEW(weir_op_options, .timeout_ns = SECOND));
    finish();
    pass_0_6_s(NULL);
    explore_check(weir_token_post(token, &drops[0], 1) == WEIR_OK);
    finish();
    explore_check(told[0].items == 1 && drops[0] == 1);
}

/* D3, D4: the final meets the deadline that arms itself again; one of the two disarms it.
 * kills: either of the two that does not; a disarm that reads, plainly, what the timers' owner writes */
EXPLORE_SCENARIO(session_idle_deadline_goes_on_against_the_final, .preemptions = 2, .stale_reads = 1)
{
    begin_idle();
    pthread_t clock = start(pass_0_6_s, 0);
    explore_check(weir_token_complete(token, WEIR_LIMIT, NULL, 0) == WEIR_OK);
    finish();
    pthread_join(clock, NULL);
    finish();
    explore_check(told[0].status == WEIR_LIMIT);
    explore_check(no_timer_is_armed());
    end_session(false);
}

/* The same with a close, which cancels. */
EXPLORE_SCENARIO(session_idle_deadline_goes_on_against_a_close, .preemptions = 2)
{
    begin_idle();
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    pthread_t clock = start(pass_0_6_s, 0);
    explore_check(close_session() == WEIR_OK);
    finish();
    pthread_join(clock, NULL);
    finish();
    explore_check(closes == 1 && told[0].status == WEIR_CANCELED);
    end_session(true);
}

static void *start_deferred(void *unused)
{
    start_op_with(0, &deferred_kind, WEIR_NEW(weir_op_options, .timeout_ns = SECOND));
    return unused;
}

/* D1, D2: the time is over while the operation is being published. Who comes second, the timer or the starter, cancels
 * it; that work runs meanwhile does not help.
 * Three stale reads: a cancel looks at the word three times before it finds that there is nobody.
 * kills: a starter that does not look whether the time is over already; D1 or D2 without their order */
EXPLORE_SCENARIO(session_deadline_against_the_publication, .preemptions = 2, .stale_reads = 3)
{
    begin_session();
    pthread_t starter = start(start_deferred, 0);
    pass_2_s(NULL);
    pthread_join(starter, NULL);
    finish();
    if (!no_timer_is_armed()) {                                /* the clock was before the start */
        pass_2_s(NULL);
        finish();
    }
    explore_check(told[0].finals == 1 && told[0].status == WEIR_TIMED_OUT);
    explore_check(no_timer_is_armed());
    end_session(false);
    explore_observe(told[0].runs);
}
