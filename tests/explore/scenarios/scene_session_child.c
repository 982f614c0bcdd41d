/* SPDX-License-Identifier: Apache-2.0 */
/* scene_session_child.c - sessions of sessions: a parent's close and cancel against a child that opens, starts, closes
 *
 * The operations are deferred, so that nothing but a cancel ends them.
 * "kills" names one-line changes of the library that the search was tried with and finds. */
#include "tiny_session.h"

static weir_session child;
static weir_status opened, closed_child = WEIR_NOT_FOUND;      /* nobody has closed it */
static unsigned child_closes;

static void take_child_closed(const weir_report *report, void *ctx)
{
    explore_check(ctx == &child_closes && child_closes == 0 && closes == 0);
    explore_check(report->accepted == told[0].finals + told[1].finals);
    child_closes++;
}

/* S11: the parent's comes last; it counts its own operations only. */
static void take_parent_closed(const weir_report *report, void *ctx)
{
    explore_check(ctx == &closes && closes == 0 && report->accepted == 0);
    closes++;
}

static weir_status open_child(void)
{
    return weir_session_open(tiny.handle, WEIR_NEW(weir_session_options, .parent = session, .reserve = 1), &child);
}

static void start_in_child(unsigned i)
{
    started[i] = weir_op_start(child, &lost_kind, &told[i], NULL, NULL);
    explore_check(started[i] == WEIR_OK || started[i] == WEIR_CLOSED || started[i] == WEIR_STALE);
}

static void *open_child_and_start(void *unused)
{
    opened = open_child();
    explore_check(opened == WEIR_OK || opened == WEIR_CLOSED || opened == WEIR_STALE);
    if (opened == WEIR_OK)
        start_in_child(0);
    return unused;
}

static void *start_second(void *unused)
{
    start_in_child(1);
    return unused;
}

static void *close_child(void *unused)
{
    closed_child = weir_session_close(child, take_child_closed, &child_closes);
    explore_check(closed_child == WEIR_OK || closed_child == WEIR_CLOSING || closed_child == WEIR_STALE);
    return unused;
}

static void close_parent(void)
{
    explore_check(weir_session_close(session, take_parent_closed, &closes) == WEIR_OK);
}

static void end_parent(void)
{
    explore_check(closes == 1 && child_closes == (closed_child == WEIR_OK));
    for (unsigned i = 0; i < OPS; i++)
        check_op(i);
    end_app();
}

static void *close_parent_and_work(void *unused)
{
    close_parent();
    finish();
    return unused;
}

/* Z1, Z2: the walk finds the child, or the opener finds the close; else nobody would ever close it.
 * kills: an opener that does not look; a walk that visits nobody; Z1 relaxed, Z2 relaxed */
EXPLORE_SCENARIO(session_child_opens_against_the_close_of_its_parent, .preemptions = 1, .stale_reads = 1, .spin = 500)
{
    begin_session();
    pthread_t closer = start(close_parent_and_work, 0);
    open_child_and_start(NULL);
    pthread_join(closer, NULL);
    finish();
    explore_check(started[0] != WEIR_OK || told[0].reason == WEIR_REASON_PARENT);
    end_parent();
    explore_observe((uint64_t)opened * 64 + (uint64_t)started[0]);
}

/* S8, S11: one of the two closes it; its callback comes if it was the caller's close, and before the parent's. */
EXPLORE_SCENARIO(session_child_closes_against_the_close_of_its_parent, .preemptions = 2, .spin = 500)
{
    begin_session();
    open_child_and_start(NULL);
    pthread_t closer = start(close_child, 0);
    close_parent();
    finish();
    pthread_join(closer, NULL);
    finish();
    explore_check(told[0].reason == (closed_child == WEIR_OK ? WEIR_REASON_SESSION_CLOSED : WEIR_REASON_PARENT)
                  || told[0].reason == WEIR_REASON_PARENT);
    end_parent();
    explore_observe((uint64_t)closed_child * 64 + told[0].reason);
}

static bool is_cancelled(unsigned i)
{
    return told[i].finals == 1 && told[i].status == WEIR_CANCELED && told[i].reason == WEIR_REASON_PARENT;
}

/* K4: what the child had accepted before is cancelled; a start that comes meanwhile is either before the cancel or
 * after, and then it goes on. */
EXPLORE_SCENARIO(session_cancel_of_the_parent_against_a_start_in_its_child, .preemptions = 2, .spin = 500)
{
    begin_session();
    open_child_and_start(NULL);
    pthread_t starter = start(start_second, 0);
    explore_check(weir_session_cancel(session, REASON) == WEIR_OK);
    finish();
    pthread_join(starter, NULL);
    finish();
    explore_check(started[0] == WEIR_OK && started[1] == WEIR_OK && is_cancelled(0));
    explore_check(told[1].finals == 0 || is_cancelled(1));
    explore_observe(told[1].finals);
    close_parent();
    finish();
    explore_check(is_cancelled(1));
    end_parent();
}

/* The child adopts what its parent has seen, whoever cancels while it opens: what it accepts afterwards is not
 * cancelled by what came before it was there, and is by the next one. */
static void *cancel_parent(void *unused)
{
    explore_check(weir_session_cancel(session, REASON) == WEIR_OK);
    return unused;
}

EXPLORE_SCENARIO(session_child_opens_against_a_cancel_of_its_parent, .preemptions = 2, .stale_reads = 1, .spin = 500)
{
    begin_session();
    pthread_t canceller = start(cancel_parent, 0);
    open_child_and_start(NULL);
    pthread_join(canceller, NULL);
    finish();
    explore_check(told[0].finals == 0 || is_cancelled(0));
    explore_observe(told[0].finals);
    cancel_parent(NULL);
    finish();
    explore_check(is_cancelled(0));
    close_parent();
    finish();
    end_parent();
}
