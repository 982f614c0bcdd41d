/* SPDX-License-Identifier: Apache-2.0 */
/* scene_session_alarm.c - a session's timer: who shortens a close's times, against the timer's owner
 *
 * The operation is deferred: if the timer is not armed for the nearest time, it is never cancelled.
 * "kills" names one-line changes of the library that the search was tried with and finds. */
#include "tiny_session.h"

static weir_status drain_for(int64_t ns)
{
    return weir_session_close_with(session, WEIR_NEW(weir_close_options, .drain_ns = ns, .report_ns = WEIR_FOREVER,
                                                     .closed = take_closed, .ctx = &closes));
}

static void *drain_for_1_s(void *unused)
{
    weir_status status = drain_for(SECOND);
    explore_check(status == WEIR_OK || status == WEIR_CLOSING);
    return unused;
}

static void *pass_2_s(void *unused)
{
    tiny_tick(2 * SECOND);
    return unused;
}

static void begin_draining(int64_t ns)
{
    begin_session();
    start_op(0, &lost_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    finish();
    explore_check(drain_for(ns) == WEIR_OK);
}

static void must_be_over(void)
{
    finish();
    explore_check(closes == 1 && told[0].status == WEIR_CANCELED && told[0].reason == WEIR_REASON_SESSION_CLOSED);
    end_session(true);
}

/* Y1, Y3: both close it, with different times, and whoever arms the timer, it is for the nearer one.
 * kills: a wish that does not hurry the timer; an owner that does not look for a wish when it has armed */
EXPLORE_SCENARIO(session_alarm_is_armed_for_the_nearer_time, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &lost_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    finish();
    pthread_t other = start(drain_for_1_s, 0);
    weir_status status = drain_for(100 * SECOND);
    explore_check(status == WEIR_OK || status == WEIR_CLOSING);
    pthread_join(other, NULL);
    finish();
    explore_check(closes == 0);
    pass_2_s(NULL);
    must_be_over();
}

/* Y2, Y4: the timer has fired, and its function is letting go, or arming anew, when the time is shortened. */
EXPLORE_SCENARIO(session_alarm_fires_while_the_time_is_shortened, .preemptions = 2, .stale_reads = 1)
{
    begin_draining(3 * SECOND);
    pthread_t clock = start(pass_2_s, 0);
    drain_for_1_s(NULL);
    pthread_join(clock, NULL);
    finish();
    pass_2_s(NULL);
    must_be_over();
}

/* Y4: nothing is due, ever, so that the first owner lets go; the second close has a time. */
EXPLORE_SCENARIO(session_alarm_is_let_go_while_a_time_comes, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &lost_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    finish();
    pthread_t other = start(drain_for_1_s, 0);
    weir_status status = drain_for(WEIR_FOREVER);
    explore_check(status == WEIR_OK || status == WEIR_CLOSING);
    pthread_join(other, NULL);
    pass_2_s(NULL);
    must_be_over();
}

/* The session ends while its timer fires: the slot is given back once, by the last of the two, and the next session's
 * timer is not disturbed. */
EXPLORE_SCENARIO(session_alarm_fires_against_the_end, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &plain_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    explore_check(drain_for(SECOND) == WEIR_OK);
    pthread_t clock = start(pass_2_s, 0);
    finish();
    pthread_join(clock, NULL);
    finish();
    explore_check(closes == 1 && told[0].finals == 1);
    explore_check(wheel_is_empty(&tiny.timers.wheel));
    end_session(true);
    explore_observe((uint64_t)told[0].status);
}
