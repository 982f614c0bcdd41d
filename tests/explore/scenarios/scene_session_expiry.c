/* SPDX-License-Identifier: Apache-2.0 */
/* scene_session_expiry.c - deadlines that a session gives (C5, session/expiry.h): none is forgotten, none comes early
 *
 * The operations are deferred, so that nothing but their deadline ends them; both are in one group. */
#include "tiny_session.h"

static weir_token token[OPS];

static weir_status be_deferred(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    t->runs++;
    return weir_task_defer(task, &token[t - told]);
}

static const weir_kind kind = {
    .size = sizeof(weir_kind), .work = be_deferred, .on_result = take_result, .gone = take_gone,
};

static void begin(void)
{
    begin_with(WEIR_NEW(weir_session_options, .reserve = 1, .timeout_ns = SECOND));
}

static void *start_0(void *unused) { return start_op(0, &kind), unused; }
static void *start_1(void *unused) { return start_op(1, &kind), unused; }

static void *tick_past(void *unused)
{
    tiny_tick(SECOND + SECOND / 2);
    return unused;
}

static void *step_and_start_1(void *unused)
{
    (void)atomic_fetch_add_explicit(&tiny_now, SECOND / 2, memory_order_relaxed);
    return start_1(unused);
}

/* Long enough for all that is there. */
static void expect_all_timed_out(void)
{
    finish();
    tick_past(NULL);
    finish();
    for (unsigned i = 0; i < OPS; i++)
        explore_check(told[i].status == WEIR_TIMED_OUT && told[i].finals == 1);
    end_session(false);
    explore_observe(told[0].runs * 2 + told[1].runs);
}

static int64_t deadline_of(unsigned i)
{
    return op_deadline((struct op *)slots_at(&sessions_of(&tiny)->ops, handle_slot(op[i].bits)));
}

static void tick_until(int64_t time)
{
    tiny_tick(time - atomic_load_explicit(&tiny_now, memory_order_relaxed));
    finish();
}

/* Who takes the alarm need not be the one whose time comes first (Y0 to Y3). */
EXPLORE_SCENARIO(session_expiry_two_starts_with_the_clock_between, .preemptions = 2, .stale_reads = 1)
{
    begin();
    pthread_t starter = start(start_0, 0);
    step_and_start_1(NULL);
    pthread_join(starter, NULL);
    finish();
    int64_t times[OPS] = { deadline_of(0), deadline_of(1) };
    unsigned first = times[1] < times[0];
    tick_until(times[first] - 1);
    explore_check(told[0].finals + told[1].finals == 0);
    tick_until(times[first]);
    explore_check(told[first].finals == 1 && told[1 - first].finals == (times[0] == times[1]));
    expect_all_timed_out();
}

/* K3 against K3': the walk sees the operation, or the starter sees that there is a walk. */
EXPLORE_SCENARIO(session_expiry_start_against_the_walk, .preemptions = 2, .stale_reads = 1)
{
    begin();
    start_op(0, &kind);
    pthread_t clock = start(tick_past, 0);
    start_1(NULL);
    pthread_join(clock, NULL);
    expect_all_timed_out();
}

/* The walk finds nothing that is to come, and lets the timer go (Y4), while another operation needs it. */
EXPLORE_SCENARIO(session_expiry_start_against_letting_go, .preemptions = 2, .stale_reads = 1)
{
    begin();
    start_op(0, &kind);
    finish();
    explore_check(weir_token_complete(token[0], WEIR_OK, NULL, 0) == WEIR_OK);
    finish();
    pthread_t clock = start(tick_past, 0);
    start_1(NULL);
    pthread_join(clock, NULL);
    finish();
    tick_past(NULL);
    finish();
    explore_check(told[0].status == WEIR_OK && told[1].status == WEIR_TIMED_OUT);
    end_session(false);
    explore_observe(told[1].runs);
}

/* The slot is given back, and taken again, while the walk is at it: the later one's time is not the earlier one's. */
EXPLORE_SCENARIO(session_expiry_walk_against_the_end_and_the_next_one, .preemptions = 2, .stale_reads = 1)
{
    begin();
    start_op(0, &kind);
    finish();
    pthread_t clock = start(tick_past, 0);
    weir_status done = weir_token_complete(token[0], WEIR_OK, NULL, 0);
    (void)weir_op_close(op[0]);
    start_1(NULL);
    pthread_join(clock, NULL);
    finish();
    explore_check(told[0].status == (done == WEIR_OK ? WEIR_OK : WEIR_TIMED_OUT));
    tick_past(NULL);
    finish();
    explore_check(told[1].status == WEIR_TIMED_OUT && told[1].finals == 1);
    end_session(false);
    explore_observe(told[0].status == WEIR_OK);
}
