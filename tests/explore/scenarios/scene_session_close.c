/* SPDX-License-Identifier: Apache-2.0 */
/* scene_session_close.c - the close of a session against completions, acknowledgements, handles, and other closers;
 * closes from inside each kind of callback
 *
 * That there is one close callback, after everything else, take_closed() and end_session() state for all of them.
 * "kills" names one-line changes of the library that the search was tried with and finds. */
#include "tiny_session.h"

static weir_status closed, closed_too;

static void *close_as_thread(void *unused)
{
    closed_too = close_session();
    return unused;
}

static void *close_first_handle(void *unused)
{
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    return unused;
}

/* ---- the last to leave ---- */

/* Work that completes, its handle's close, and the close of the session: whoever is last completes. */
EXPLORE_SCENARIO(session_close_against_completion_and_handle, .preemptions = 2)
{
    begin_session();
    start_op(0, &plain_kind);
    pthread_t closer = start(close_as_thread, 0), holder = start(close_first_handle, 0);
    finish();
    pthread_join(closer, NULL);
    pthread_join(holder, NULL);
    finish();
    explore_check(closed_too == WEIR_OK && closes == 1);       /* at once, not when somebody looks again (S4) */
    end_session(true);
    explore_observe(told[0].runs * 8u + told[0].reason);
}

static void *look_twice(void *unused)
{
    (void)worker_thread((void *)(intptr_t)2);
    return unused;
}

/* The close callback comes by a worker: the job that is due is being popped, for the sweep, when the last one leaves,
 * and he pushes it again, or it finds the callback due. The control thread would come a millisecond later.
 * kills: O4's store release; N1 and N2 of the job that is due */
EXPLORE_SCENARIO(session_close_calls_back_without_the_control_thread, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &plain_kind);
    finish();
    explore_check(close_session() == WEIR_OK);
    pthread_t worker = start(look_twice, 0);
    explore_check(weir_op_close(op[0]) == WEIR_OK);            /* the last to leave */
    pthread_join(worker, NULL);
    be_worker(0);
    while (look_once())
        ;
    worker_current = NULL;
    explore_check(closes == 1);
    end_session(true);
}

/* Two operations: one is in the hands of a worker, the other is swept by another. */
EXPLORE_SCENARIO(session_close_against_a_worker_at_work, .preemptions = 2)
{
    begin_session();
    start_op(0, &plain_kind);
    start_op(1, &plain_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK && weir_op_close(op[1]) == WEIR_OK);
    pthread_t worker = start(worker_thread, 1);
    explore_check(close_session() == WEIR_OK);
    finish();
    pthread_join(worker, NULL);
    finish();
    explore_check(closes == 1);
    end_session(true);
    explore_observe(told[0].runs * 2 + told[1].runs);
}

static void *control_twice(void *unused)
{
    (void)control_look();
    (void)control_look();
    return unused;
}

/* Sweep and close callback by a worker, and by the control thread at the same time. */
EXPLORE_SCENARIO(session_close_is_served_twice, .preemptions = 2)
{
    begin_session();
    start_op(0, &plain_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    explore_check(close_session() == WEIR_OK);
    pthread_t control = start(control_twice, 0);
    finish();
    pthread_join(control, NULL);
    finish();
    explore_check(closes == 1);
    end_session(true);
    explore_observe(told[0].runs);
}

/* S8: one is told OK, and the other CLOSING, or STALE if it comes after the end. */
EXPLORE_SCENARIO(session_two_close_it, .preemptions = 2)
{
    begin_session();
    start_op(0, &plain_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    pthread_t other = start(close_as_thread, 0);
    closed = close_session();
    finish();
    pthread_join(other, NULL);
    finish();
    explore_check((closed == WEIR_OK) + (closed_too == WEIR_OK) == 1);
    weir_status late = closed == WEIR_OK ? closed_too : closed;
    explore_check(late == WEIR_CLOSING || late == WEIR_STALE);
    end_session(true);
    explore_observe((uint64_t)late);
}

static void *cancel_first(void *unused)
{
    (void)weir_op_cancel(op[0], WEIR_REASON_USER);
    return unused;
}

/* A cancel has decided, and has not yet marked: meanwhile the session ends, and its slot and its operations' are the
 * next one's. The late mark has that one's worker look, in vain.
 *
 * kills: node.h N0 relaxed */
EXPLORE_SCENARIO(session_slot_is_anothers_when_a_mark_comes, .preemptions = 2)
{
    weir_session next;
    begin_session();
    start_op(0, &plain_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    pthread_t canceller = start(cancel_first, 0);
    explore_check(close_session() == WEIR_OK);
    finish();
    explore_check(weir_session_open(tiny.handle, WEIR_NEW(weir_session_options, .reserve = 1), &next) == WEIR_OK);
    pthread_join(canceller, NULL);
    finish();
    explore_check(weir_session_close(next, NULL, NULL) == WEIR_OK);
    end_session(true);
    explore_observe(told[0].runs * 8u + told[0].reason);
}

/* ---- manual acknowledgement ---- */

static weir_status acknowledged, acknowledged_too;

static void *acknowledge(void *unused)
{
    acknowledged_too = weir_op_ack(op[0], 1);
    return unused;
}

static const weir_kind manual_kind = {
    .size = sizeof(weir_kind), .work = work_and_end, .on_result = take_result, .gone = take_gone,
    .flags = WEIR_MANUAL_ACK,
};

/* The final is number 1; two acknowledge it, and one of them may be the last to leave. */
EXPLORE_SCENARIO(session_close_against_two_acknowledgements, .preemptions = 2)
{
    begin_session();
    start_op(0, &manual_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    pthread_t other = start(acknowledge, 0), closer = start(close_as_thread, 0);
    finish();
    acknowledged = weir_op_ack(op[0], 1);
    pthread_join(other, NULL);
    pthread_join(closer, NULL);
    finish();
    if (acknowledged != WEIR_OK && acknowledged_too != WEIR_OK)    /* the other came before the delivery: see closes */
        explore_check(weir_op_ack(op[0], 1) == WEIR_OK);
    else
        explore_check((acknowledged == WEIR_OK) + (acknowledged_too == WEIR_OK) == 1);
    explore_check(acknowledged_too != WEIR_NOT_FOUND && closed_too == WEIR_OK);
    finish();
    explore_check(closes == 1);
    end_session(true);
    explore_observe((uint64_t)acknowledged * 64 + (uint64_t)acknowledged_too);
}

/* ---- from inside ---- */

/* Who of them closes the session, in its callback. */
enum { IN_WORK, IN_ITEM, IN_FINAL, IN_HOOK, IN_GONE, IN_DROP, PLACES };
static int place;
static weir_status closed_inside = WEIR_NOT_FOUND;

static void close_inside(int here)
{
    if (here == place && closed_inside == WEIR_NOT_FOUND)
        closed_inside = close_session();
}

static bool close_in_hook(weir_reason reason, void *ctx)
{
    struct told *t = ctx;
    explore_check(t->finals == 0 && reason != 0);
    t->hooks++;
    close_inside(IN_HOOK);
    return true;
}

static weir_status close_in_work(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    t->runs++;
    if (weir_task_on_cancel(task, close_in_hook, ctx) != WEIR_OK)
        return WEIR_CANCELED;
    weir_status posted = post(task, 0);
    close_inside(IN_WORK);
    return posted;
}

static void close_in_result(const weir_result *r, void *ctx)
{
    take_result(r, ctx);
    if (!r->more)
        explore_check(weir_op_close(r->op) == WEIR_OK);        /* the handle, inside the final: H3 */
    close_inside(r->more ? IN_ITEM : IN_FINAL);
}

static void close_in_gone(void *ctx)
{
    take_gone(ctx);
    close_inside(IN_GONE);
}

static void close_in_drop(void *data, size_t size)
{
    take_drop(data, size);
    close_inside(IN_DROP);
}

static const weir_kind closing_kind = {
    .size = sizeof(weir_kind), .work = close_in_work, .on_result = close_in_result, .gone = close_in_gone,
    .drop = close_in_drop,
};

static void *start_another(void *unused)
{
    started[1] = weir_op_start(session, &plain_kind, &told[1], NULL, NULL);
    explore_check(started[1] == WEIR_OK || started[1] == WEIR_CLOSED || started[1] == WEIR_STALE);
    return unused;
}

static void close_from(int where)
{
    place = where;
    begin_session();
    start_op(0, &closing_kind);
    pthread_t starter = start(start_another, 0);
    finish();
    pthread_join(starter, NULL);
    finish();
    explore_check(closed_inside == WEIR_OK && closes == 1);
    end_session(true);
    explore_observe((uint64_t)started[1] * 2 + told[1].runs);
}

EXPLORE_SCENARIO(session_closed_in_its_work, .preemptions = 2, .stale_reads = 1) { close_from(IN_WORK); }
EXPLORE_SCENARIO(session_closed_in_a_result, .preemptions = 2, .stale_reads = 1) { close_from(IN_ITEM); }
EXPLORE_SCENARIO(session_closed_in_a_final, .preemptions = 2, .stale_reads = 1) { close_from(IN_FINAL); }
EXPLORE_SCENARIO(session_closed_in_gone, .preemptions = 2, .stale_reads = 1) { close_from(IN_GONE); }
EXPLORE_SCENARIO(session_closed_in_a_drop, .preemptions = 2, .stale_reads = 1) { close_from(IN_DROP); }

/* The hook is due by a cancel of all, while a worker runs the work. */
EXPLORE_SCENARIO(session_closed_in_a_hook, .preemptions = 2, .stale_reads = 1)
{
    place = IN_HOOK;
    begin_session();
    start_op(0, &closing_kind);
    pthread_t worker = start(worker_thread, 1);
    explore_check(weir_session_cancel(session, REASON) == WEIR_OK);
    (void)control_look();
    pthread_join(worker, NULL);
    finish();
    explore_check(closed_inside == WEIR_OK || told[0].hooks == 0);
    bool was_closed = closed_inside == WEIR_OK;
    explore_check(closes == was_closed);
    end_session(was_closed);
    explore_observe(told[0].hooks * 2 + told[0].runs);
}

/* ---- the close callback of one session closes another ---- */

static weir_session first;
static unsigned first_closes;

static void close_the_other(const weir_report *report, void *ctx)
{
    explore_check(report->accepted == 0 && ctx == &first_closes);
    first_closes++;
    explore_check(weir_session_close(first, NULL, NULL) == WEIR_CLOSING);
    explore_check(weir_session_wait(first, 0, NULL) == WEIR_WOULD_DEADLOCK
                  || weir_session_wait(first, 0, NULL) == WEIR_TIMED_OUT);
    closed_inside = close_session();
}

EXPLORE_SCENARIO(session_closed_in_the_close_callback_of_another, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    explore_check(weir_session_open(tiny.handle, NULL, &first) == WEIR_OK);
    start_op(0, &plain_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    pthread_t other = start(close_as_thread, 0);
    explore_check(weir_session_close(first, close_the_other, &first_closes) == WEIR_OK);
    finish();
    pthread_join(other, NULL);
    finish();
    explore_check(first_closes == 1 && closes == 1);
    explore_check((closed_inside == WEIR_OK) + (closed_too == WEIR_OK) == 1);
    end_session(true);
}

/* ---- the slot's next owner ---- */

static unsigned next_closes;

static void count_close(const weir_report *report, void *ctx)
{
    explore_check(ctx == &next_closes && report->accepted == 1);
    next_closes++;
}

/* The control thread has ended a session whose nodes still wait in queues: its slot is nobody's before they are popped
 * (S5), while another session opens and works.
 * kills: an end that gives the slot back although a node is queued */
EXPLORE_SCENARIO(session_opens_while_nodes_of_an_ended_one_are_queued, .preemptions = 2, .stale_reads = 1)
{
    weir_session old;
    begin_session();
    start_op(0, &plain_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK && close_session() == WEIR_OK);
    while (control_look())
        ;
    explore_check(closes == 1);
    pthread_t worker = start(worker_thread, 2);
    old = session;
    explore_check(weir_session_open(tiny.handle, NULL, &session) == WEIR_OK && session.bits != old.bits);
    explore_check(weir_op_start(session, &plain_kind, &told[1], NULL, NULL) == WEIR_OK);
    explore_check(weir_session_close(session, count_close, &next_closes) == WEIR_OK);
    pthread_join(worker, NULL);
    finish();
    explore_check(next_closes == 1 && told[1].finals == 1);
    started[1] = WEIR_OK;
    end_app();
}
