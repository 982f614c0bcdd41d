/* SPDX-License-Identifier: Apache-2.0 */
/* scene_session_stream.c - results: full windows, acknowledgements, fetching, against cancels and closes
 *
 * Each item is delivered or discarded, and dropped once; the explorer's plain data finds a window's entry that two
 * threads use. "kills" names one-line changes of the library that the search was tried with and finds. */
#include "tiny_session.h"

static unsigned posted;                                        /* by the work, whose calls are ordered (E3) */
static unsigned wanted = 2;

/* Two items through a window of one: the second is refused, unless the first is gone by then. */
static weir_status post_all(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    t->runs++;
    while (posted < wanted) {
        weir_status status = post(task, posted);
        if (status != WEIR_OK)
            return status;
        posted++;
    }
    return WEIR_OK;
}

static void *cancel_first(void *unused)
{
    weir_status status = weir_op_cancel(op[0], REASON);
    explore_check(status == WEIR_OK || status == WEIR_TOO_LATE);
    return unused;
}

static void *close_as_thread(void *unused)
{
    explore_check(close_session() == WEIR_OK);
    return unused;
}

static void check_items(void)
{
    unsigned dropped = drops[0] + drops[1] + drops[2];
    explore_check(dropped == posted);
    explore_check(told[0].items <= posted);
}

/* ---- pushed ---- */

static const weir_kind push_kind = {
    .size = sizeof(weir_kind), .work = post_all, .on_result = take_result, .gone = take_gone, .drop = take_drop,
};

/* R7: two workers, one posts, the other delivers; refusal against room: it is called again without anybody's help.
 * kills: room that calls nobody */
EXPLORE_SCENARIO(session_post_into_a_full_window_against_delivery, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &push_kind);
    pthread_t worker = start(worker_thread, 2);
    finish();
    pthread_join(worker, NULL);
    finish();
    explore_check(told[0].finals == 1 && told[0].items == 2);
    end_session(false);
    check_items();
    explore_observe(told[0].runs);
}

EXPLORE_SCENARIO(session_full_window_against_cancel, .preemptions = 3, .stale_reads = 1)
{
    begin_session();
    start_op(0, &push_kind);
    pthread_t canceller = start(cancel_first, 0);
    finish();
    pthread_join(canceller, NULL);
    finish();
    explore_check(told[0].finals == 1 && told[0].items == posted);
    end_session(false);
    check_items();
    explore_observe(posted * 2 + (told[0].reason != 0));
}

EXPLORE_SCENARIO(session_full_window_against_close, .preemptions = 3, .stale_reads = 1)
{
    begin_session();
    start_op(0, &push_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    pthread_t closer = start(close_as_thread, 0);
    finish();
    pthread_join(closer, NULL);
    finish();
    explore_check(closes == 1 && told[0].items == posted);
    end_session(true);
    check_items();
    explore_observe(posted * 2 + (told[0].reason != 0));
}

/* ---- acknowledged by hand: the window stays full until then ---- */

static const weir_kind manual_kind = {
    .size = sizeof(weir_kind), .work = post_all, .on_result = take_result, .gone = take_gone, .drop = take_drop,
    .flags = WEIR_MANUAL_ACK,
};
static unsigned acknowledged;

static void *acknowledge(void *number)
{
    weir_status status = weir_op_ack(op[0], (uint64_t)(uintptr_t)number);
    explore_check(status == WEIR_OK || status == WEIR_INVALID);
    acknowledged += status == WEIR_OK;
    return NULL;
}

static void acknowledge_the_rest(void)
{
    for (uint64_t number = 1; number <= posted + 1; number++) {
        weir_status status = weir_op_ack(op[0], number);
        explore_check(status == WEIR_OK || status == WEIR_ALREADY || (number > 1 && status == WEIR_STALE));
        finish();
    }
}

/* The work is parked; the acknowledgement that makes room meets a cancel.
 * kills: a refusal that does not leave WANT behind */
EXPLORE_SCENARIO(session_parked_work_against_acknowledgement_and_cancel, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &manual_kind);
    finish();
    explore_check(posted == 1 && told[0].items == 1);
    pthread_t acknowledger = start(acknowledge, 1), canceller = start(cancel_first, 0);
    finish();
    pthread_join(acknowledger, NULL);
    pthread_join(canceller, NULL);
    finish();
    explore_check(acknowledged == 1);
    acknowledge_the_rest();
    explore_check(told[0].finals == 1 && told[0].items == posted);
    end_session(false);
    check_items();
    explore_observe(posted * 2 + (told[0].reason != 0));
}

EXPLORE_SCENARIO(session_parked_work_against_acknowledgement_and_close, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &manual_kind);
    finish();
    pthread_t acknowledger = start(acknowledge, 1), closer = start(close_as_thread, 0);
    finish();
    pthread_join(acknowledger, NULL);
    pthread_join(closer, NULL);
    finish();
    explore_check(acknowledged == 1 && closes == 0);
    acknowledge_the_rest();
    explore_check(told[0].finals == 1 && told[0].items == posted);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    finish();
    explore_check(closes == 1);
    end_session(true);
    check_items();
    explore_observe(posted);
}

/* ---- through a token ---- */

static _Atomic uint64_t token;
static weir_status token_posted;

static weir_status defer_once(weir_task *task, void *ctx)
{
    weir_token mine = { 0 };
    struct told *t = ctx;
    t->runs++;
    if (weir_task_defer(task, &mine) != WEIR_OK)
        return WEIR_OK;                                        /* called again: there is room; ignored */
    atomic_store_explicit(&token, mine.bits, memory_order_release);
    return WEIR_OK;
}

static const weir_kind token_kind = {
    .size = sizeof(weir_kind), .work = defer_once, .on_result = take_result, .gone = take_gone, .drop = take_drop,
};

static void *post_by_token(void *item)
{
    uintptr_t i = (uintptr_t)item;
    weir_token mine = { atomic_load_explicit(&token, memory_order_acquire) };
    token_posted = weir_token_post(mine, &drops[i], i + 1);
    explore_check(token_posted == WEIR_OK || token_posted == WEIR_CANCELED || token_posted == WEIR_AGAIN
                  || token_posted == WEIR_STALE);
    posted += token_posted == WEIR_OK;
    return NULL;
}

/* C1: a post through a token against a cancel and a worker: taken, then delivered and dropped; or not. */
EXPLORE_SCENARIO(session_token_post_against_cancel, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &token_kind);
    finish();
    pthread_t poster = start(post_by_token, 0), canceller = start(cancel_first, 0);
    finish();
    pthread_join(poster, NULL);
    pthread_join(canceller, NULL);
    finish();
    explore_check(token_posted != WEIR_STALE);                 /* the handle is open */
    explore_check(told[0].finals == 1 && told[0].status == WEIR_CANCELED && told[0].items == posted);
    end_session(false);
    check_items();
    explore_observe((uint64_t)token_posted);
}

EXPLORE_SCENARIO(session_token_post_against_close, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &token_kind);
    finish();
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    pthread_t poster = start(post_by_token, 0), closer = start(close_as_thread, 0);
    finish();
    pthread_join(poster, NULL);
    pthread_join(closer, NULL);
    finish();
    explore_check(closes == 1 && told[0].items == posted);
    end_session(true);
    check_items();
    explore_observe((uint64_t)token_posted);
}

/* A refused post and the delivery that makes room: the work is called again (R7, R8). */
EXPLORE_SCENARIO(session_token_post_against_room, .preemptions = 3, .stale_reads = 1)
{
    begin_session();
    start_op(0, &token_kind);
    finish();
    post_by_token((void *)0);
    explore_check(token_posted == WEIR_OK);
    pthread_t poster = start(post_by_token, 1);
    finish();
    pthread_join(poster, NULL);
    finish();
    explore_check(told[0].runs == (token_posted == WEIR_AGAIN ? 2 : 1));
    explore_check(weir_op_cancel(op[0], REASON) == WEIR_OK);
    end_session(false);
    check_items();
    explore_observe((uint64_t)token_posted);
}

/* ---- fetched ---- */

static const weir_kind pull_kind = {
    .size = sizeof(weir_kind), .work = post_all, .gone = take_gone, .drop = take_drop,
};
static const weir_kind pull_discarding_kind = {
    .size = sizeof(weir_kind), .work = post_all, .gone = take_gone, .drop = take_drop, .flags = WEIR_DISCARD_ON_CANCEL,
    .window = 2,
};

static unsigned fetched;
static bool handle_may_close;                                  /* then nobody may look into a result */
static weir_status fetched_last;

/* One look each: an item, nothing yet, the final, or the handle is closed. Items come in order. */
static void *fetch(void *times)
{
    for (intptr_t left = (intptr_t)times; left > 0; left--) {
        const weir_result *r = NULL;
        fetched_last = weir_op_next(op[0], 0, &r);
        explore_check(fetched_last == WEIR_OK || fetched_last == WEIR_TIMED_OUT || fetched_last == WEIR_STALE);
        if (fetched_last == WEIR_OK && handle_may_close)
            continue;
        if (fetched_last == WEIR_OK && r->more) {
            explore_check(r->number == fetched + 1 && r->data == &drops[fetched] && drops[fetched] == 0);
            fetched++;
        } else if (fetched_last == WEIR_OK)
            explore_check(r->posted == r->delivered + r->discarded && r->delivered == fetched);
    }
    return NULL;
}

/* A pull operation has no final's callback. */
static void end_pull(bool closed_before)
{
    told[0].finals = 1;
    if (fetched_last != WEIR_STALE)
        explore_check(weir_op_close(op[0]) == WEIR_OK);
    finish();
    explore_check(told[0].gones == 1);
    check_items();
    end_session(closed_before);
}

/* A window of one: a fetch acknowledges, a worker drops, the work is called again; the fetcher misses nothing. */
EXPLORE_SCENARIO(session_next_against_post, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &pull_kind);
    pthread_t fetcher = start(fetch, 2);
    finish();
    pthread_join(fetcher, NULL);
    for (int i = 0; i < 4; i++) {
        finish();
        fetch((void *)1);
    }
    explore_check(fetched == 2 && fetched_last == WEIR_OK);
    explore_observe(told[0].runs);
    end_pull(false);
}

EXPLORE_SCENARIO(session_next_against_cancel, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &pull_discarding_kind);
    pthread_t fetcher = start(fetch, 1), canceller = start(cancel_first, 0);
    finish();
    pthread_join(fetcher, NULL);
    pthread_join(canceller, NULL);
    finish();
    explore_observe(posted * 4 + fetched);
    end_pull(false);
}

static void *close_first_handle(void *unused)
{
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    return unused;
}

/* H4: who is inside is told STALE; what was not read is discarded, and dropped once. */
EXPLORE_SCENARIO(session_next_against_close_of_the_handle, .preemptions = 2)
{
    begin_session();
    handle_may_close = true;
    start_op(0, &pull_kind);
    pthread_t fetcher = start(fetch, 1), closer = start(close_first_handle, 0);
    finish();
    pthread_join(fetcher, NULL);
    pthread_join(closer, NULL);
    finish();
    explore_observe(posted);
    fetched_last = WEIR_STALE;
    end_pull(false);
}

EXPLORE_SCENARIO(session_next_against_close_of_the_session, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &pull_kind);
    pthread_t fetcher = start(fetch, 1), closer = start(close_as_thread, 0);
    finish();
    pthread_join(fetcher, NULL);
    pthread_join(closer, NULL);
    finish();
    explore_check(closes == 0);                                /* the handle is open (S4) */
    explore_observe(posted * 4 + fetched);
    end_pull(true);
}
