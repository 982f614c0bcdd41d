/* SPDX-License-Identifier: Apache-2.0 */
/* scene_session_foreign.c - operations whose work runs in a queue of the caller's: who sends the job, who gives its
 * place back
 *
 * At the end of each the queue is closed, and its last job must come: a place that was kept too long holds it back, one
 * that was given back twice ends the queue too early.
 * "kills" names one-line changes of the library that the search was tried with and finds. */
#include "tiny_session.h"

static weir_queue queue;
static weir_job last;
static unsigned lasts;
static weir_status cancelled, aborted = WEIR_NOT_FOUND;

static void take_last(weir_job *job, weir_status status)
{
    explore_check(job == &last && status == WEIR_OK && lasts == 0);
    explore_check(started[0] != WEIR_OK || told[0].finals == 1 || aborted == WEIR_OK);
    lasts++;
}

static void begin_queue(const weir_kind *kind)
{
    begin_session();
    last.fn = take_last;
    explore_check(weir_queue_open(tiny_lane(), NULL, &queue) == WEIR_OK);
    start_op_with(0, kind, WEIR_NEW(weir_op_options, .queue = queue));
    explore_check(started[0] == WEIR_OK);
}

static void end_queue(bool session_is_closed)
{
    finish();
    explore_check(told[0].finals == 1);
    if (aborted == WEIR_NOT_FOUND)
        explore_check(weir_queue_close(queue, false, &last) == WEIR_OK);
    finish();
    explore_check(lasts == 1);
    end_session(session_is_closed);
}

static void *cancel(void *unused)
{
    cancelled = weir_op_cancel(op[0], REASON);
    explore_check(cancelled == WEIR_OK || cancelled == WEIR_TOO_LATE);
    return unused;
}

static void check_cancel(void)
{
    explore_check(told[0].reason == (cancelled == WEIR_OK ? REASON : 0));
}

/* ---- a job that is in the queue ---- */

EXPLORE_SCENARIO(session_job_in_a_queue_against_a_cancel, .preemptions = 2, .stale_reads = 1)
{
    begin_queue(&plain_kind);
    pthread_t canceller = start(cancel, 0);
    finish();
    pthread_join(canceller, NULL);
    finish();
    check_cancel();
    end_queue(false);
    explore_observe(told[0].runs * 2 + (cancelled == WEIR_OK));
}

static void *close_as_thread(void *unused)
{
    explore_check(close_session() == WEIR_OK);
    return unused;
}

/* S5: the session ends, whatever the queue does. */
EXPLORE_SCENARIO(session_job_in_a_queue_against_a_close, .preemptions = 2)
{
    begin_queue(&plain_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    pthread_t closer = start(close_as_thread, 0);
    finish();
    pthread_join(closer, NULL);
    finish();
    explore_check(closes == 1);
    end_queue(true);
    explore_observe(told[0].runs * 2u + (told[0].status == WEIR_OK));
}

static void *abort_queue(void *unused)
{
    aborted = weir_queue_close(queue, true, &last);
    explore_check(aborted == WEIR_OK);
    return unused;
}

/* Aborted: it is cancelled, as if by the user; or it has been called. */
EXPLORE_SCENARIO(session_job_in_a_queue_that_is_aborted, .preemptions = 2, .stale_reads = 1)
{
    begin_queue(&plain_kind);
    pthread_t other = start(abort_queue, 0);
    finish();
    pthread_join(other, NULL);
    finish();
    explore_check(told[0].runs == 1 || told[0].reason == WEIR_REASON_USER);
    end_queue(false);
    explore_observe(told[0].runs);
}

/* ---- work that is parked, with its place ---- */

static weir_status post_twice(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    while (t->runs < 2) {
        weir_status posted = post(task, t->runs);
        if (posted != WEIR_OK)
            return posted;
        t->runs++;
    }
    return WEIR_OK;
}

static const weir_kind stream_kind = {
    .size = sizeof(weir_kind), .work = post_twice, .on_result = take_result, .gone = take_gone, .drop = take_drop,
};
static const weir_kind acknowledged_kind = {
    .size = sizeof(weir_kind), .work = post_twice, .on_result = take_result, .gone = take_gone, .drop = take_drop,
    .flags = WEIR_MANUAL_ACK,
};

/* F1, F2: one worker is inside the work, which finds no room, another delivers the item, and sends the job again. */
EXPLORE_SCENARIO(session_job_goes_on_when_room_comes, .preemptions = 2)
{
    begin_queue(&stream_kind);
    pthread_t worker = start(worker_thread, 3);
    finish();
    pthread_join(worker, NULL);
    finish();
    explore_check(told[0].status == WEIR_OK && told[0].items == 2);
    end_queue(false);
}

static void *acknowledge(void *unused)
{
    weir_status status = weir_op_ack(op[0], 1);
    explore_check(status == WEIR_OK || status == WEIR_ALREADY);
    return unused;
}

/* F2: room comes, and with it a sender; a cancel comes, and with it the final: one of them has the place. */
EXPLORE_SCENARIO(session_parked_job_against_room_and_a_cancel, .preemptions = 2)
{
    begin_queue(&acknowledged_kind);
    finish();
    explore_check(told[0].items == 1 && told[0].finals == 0);
    pthread_t acknowledger = start(acknowledge, 0), canceller = start(cancel, 0);
    finish();
    pthread_join(acknowledger, NULL);
    pthread_join(canceller, NULL);
    finish();
    for (uint64_t number = 2; number <= 3; number++)
        if (weir_op_ack(op[0], number) == WEIR_OK)
            finish();
    check_cancel();
    end_queue(false);
    explore_observe(told[0].items * 2 + (cancelled == WEIR_OK));
}
