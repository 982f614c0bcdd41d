/* SPDX-License-Identifier: Apache-2.0 */
/* scene_session_start.c - starts against closes, cancels of all, limits and refused memory
 *
 * "kills" names one-line changes of the library that the search was tried with and finds. */
#include "tiny_session.h"

static void *start_first(void *unused)
{
    started[0] = weir_op_start(session, &plain_kind, &told[0], NULL, &op[0]);
    return unused;
}

static void *start_second_without_handle(void *unused)
{
    started[1] = weir_op_start(session, &plain_kind, &told[1], NULL, NULL);
    return unused;
}

static bool accepted_or_late(unsigned i)
{
    return started[i] == WEIR_OK || started[i] == WEIR_CLOSED || started[i] == WEIR_STALE;
}

/* Accepted, and then it runs or is cancelled by the close; or refused, and nothing is called (S1, R1); refused for
 * certain once the close has returned.
 * kills: a shut gate that lets in */
EXPLORE_SCENARIO(session_start_against_close, .preemptions = 2)
{
    begin_session();
    pthread_t worker = start(worker_thread, 2), starter = start(start_first, 0);
    explore_check(close_session() == WEIR_OK);
    pthread_join(worker, NULL);
    pthread_join(starter, NULL);
    explore_check(accepted_or_late(0));
    start_second_without_handle(NULL);
    explore_check(started[1] == WEIR_CLOSED || started[1] == WEIR_STALE);
    explore_check(told[0].finals == 0 || told[0].status == WEIR_OK || told[0].reason == WEIR_REASON_SESSION_CLOSED);
    end_session(true);
    explore_observe((uint64_t)started[0] * 8 + told[0].runs);
}

/* Two at once, which share maps and node with each other. */
EXPLORE_SCENARIO(session_two_starts_against_close, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    pthread_t second = start(start_second_without_handle, 0), starter = start(start_first, 0);
    explore_check(close_session() == WEIR_OK);
    pthread_join(second, NULL);
    pthread_join(starter, NULL);
    explore_check(accepted_or_late(0) && accepted_or_late(1));
    end_session(true);
    explore_observe((uint64_t)started[0] * 64 + (uint64_t)started[1]);
}

/* A start marks its operation and schedules the node, while a worker empties the maps after the one before: what is
 * marked is looked at, without anybody's help. */
EXPLORE_SCENARIO(session_start_against_a_worker_that_empties_the_maps, .preemptions = 3, .stale_reads = 1)
{
    begin_session();
    start_op(0, &plain_kind);
    pthread_t worker = start(worker_thread, 2);
    start_second_without_handle(NULL);
    pthread_join(worker, NULL);
    finish();
    explore_check(started[1] == WEIR_OK && told[0].finals == 1 && told[1].finals == 1);
    end_session(false);
}

static void *cancel_all(void *unused)
{
    explore_check(weir_session_cancel(session, REASON) == WEIR_OK);
    return unused;
}

/* C6: it runs, or has the cancel's reason, and its final is never forgotten, whatever lies between the two. */
EXPLORE_SCENARIO(session_start_against_cancel_of_all, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    pthread_t canceller = start(cancel_all, 0), starter = start(start_first, 0);
    finish();
    pthread_join(canceller, NULL);
    pthread_join(starter, NULL);
    finish();
    explore_check(started[0] == WEIR_OK);
    explore_check(told[0].status == (told[0].runs == 1 ? WEIR_OK : WEIR_CANCELED));
    explore_check(told[0].runs == 1 || told[0].reason == REASON);
    end_session(false);
    explore_observe(told[0].runs);
}

static void *cancel_all_and_sweep(void *unused)
{
    cancel_all(unused);
    be_worker(1);
    (void)look_once();
    return unused;
}

/* The sweep finds the operation by its slot, before it is marked: only the word has published it (E1).
 * kills: a word that is published without release */
EXPLORE_SCENARIO(session_start_against_a_sweep, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    pthread_t sweeper = start(cancel_all_and_sweep, 0);
    start_first(NULL);
    pthread_join(sweeper, NULL);
    finish();
    explore_check(started[0] == WEIR_OK && told[0].finals == 1);
    end_session(false);
    explore_observe(told[0].runs);
}

/* What is started when the cancel has returned is not touched by it. */
EXPLORE_SCENARIO(session_start_after_cancel_of_all, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(1, &plain_kind);
    pthread_t worker = start(worker_thread, 3);
    cancel_all(NULL);
    start_first(NULL);
    pthread_join(worker, NULL);
    finish();
    explore_check(started[0] == WEIR_OK && told[0].runs == 1 && told[0].reason == 0);
    end_session(false);
    explore_observe(told[1].runs);
}

/* ---- refusals ---- */

/* One place: the second start is let in when the first has left, not before (Q4's live_max). */
EXPLORE_SCENARIO(session_with_one_place_refuses_or_lets_in, .preemptions = 3, .stale_reads = 1)
{
    begin_session_with(1);
    start_op(0, &plain_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    pthread_t worker = start(worker_thread, 1);
    start_second_without_handle(NULL);
    pthread_join(worker, NULL);
    explore_check(started[1] == WEIR_OK || started[1] == WEIR_LIMIT);
    end_session(false);
    explore_observe((uint64_t)started[1]);
}

static weir_status post_one(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    t->runs++;
    return post(task, t == &told[0] ? 0 : 1);
}

static const weir_kind deadline_and_item = {
    .size = sizeof(weir_kind), .work = post_one, .on_result = take_result, .gone = take_gone, .drop = take_drop,
};

/* Every allocation of a start, and of the first post, is refused in turn, then two of them: what was accepted ends,
 * what was refused leaves nothing behind, and the close needs none (S6). */
EXPLORE_SCENARIO(session_start_and_post_are_refused_memory, .preemptions = 2, .stale_reads = 1)
{
    begin_session_without_room();
    refusals = 2;
    start_op_with(0, &deadline_and_item, WEIR_NEW(weir_op_options, .timeout_ns = SECOND));
    explore_check(started[0] == WEIR_OK || started[0] == WEIR_NO_MEMORY);
    pthread_t worker = start(worker_thread, 1);
    started[1] = weir_op_start(session, &deadline_and_item, &told[1], NULL, NULL);
    explore_check(started[1] == WEIR_OK || started[1] == WEIR_NO_MEMORY);
    pthread_join(worker, NULL);
    explore_observe(refusals * 64 + (uint64_t)told[0].status * 8 + (uint64_t)told[1].status);
    explore_check(drops[0] <= told[0].items + told[1].items);
    end_session(false);
}

/* ---- the application closes ---- */

static weir_session late;
static weir_status opened;

static void *open_late(void *unused)
{
    opened = weir_session_open(tiny.handle, NULL, &late);
    explore_check(opened == WEIR_OK || opened == WEIR_SHUTDOWN);
    return unused;
}

/* One look of the application's close at its sessions: none stays open that it has not seen (O1 of session.c).
 * Found: a session that became open after that look was closed by nobody, and the close waited for ever; with one stale
 * read also when the opener looked once more, by a load.
 * kills: an open that does not look again */
EXPLORE_SCENARIO(session_open_against_close_of_the_application, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    explore_check(close_session() == WEIR_OK);
    finish();
    pthread_t opener = start(open_late, 0);
    weir_status gone = above_close(&tiny, 0);
    explore_check(gone == WEIR_OK || gone == WEIR_TIMED_OUT);
    pthread_join(opener, NULL);
    finish();
    explore_check(opened != WEIR_OK || weir_session_wait(late, 0, NULL) == WEIR_STALE);
    explore_check(closes == 1);
    end_app();
    explore_observe((uint64_t)opened);
}
