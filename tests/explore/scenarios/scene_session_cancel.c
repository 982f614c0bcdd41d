/* SPDX-License-Identifier: Apache-2.0 */
/* scene_session_cancel.c - cancels against running work, hooks, tokens, deadlines and each other
 *
 * "kills" names one-line changes of the library that the search was tried with and finds. */
#include "core/parker.h"
#include "tiny_session.h"

static weir_status cancelled[2];

static void *cancel_first(void *unused)
{
    cancelled[0] = weir_op_cancel(op[0], REASON);
    return unused;
}

static void *cancel_first_too(void *unused)
{
    cancelled[1] = weir_op_cancel(op[0], REASON + 1);
    return unused;
}

/* C2: what the cancel answered is what the final says. The handle is open, so the value cannot be stale. */
static void check_decision(void)
{
    explore_check(cancelled[0] == WEIR_OK || cancelled[0] == WEIR_TOO_LATE);
    explore_check(told[0].reason == (cancelled[0] == WEIR_OK ? REASON : 0));
    explore_check(told[0].hooks == 0 || cancelled[0] == WEIR_OK);
    explore_check(told[0].hooks == 0 || told[0].hook_reason == REASON);
}

/* ---- running work ---- */

static weir_status post_and_poll(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    t->runs++;
    weir_status posted = post(task, 0);
    weir_reason reason = weir_task_cancelled(task);
    explore_check(posted != WEIR_CANCELED || reason == REASON);
    explore_check(reason == 0 || reason == REASON);
    explore_check(reason == 0 || cancelled[1] == WEIR_FULL);   /* E6: written before the cancel */
    return reason != 0 ? WEIR_CANCELED : WEIR_OK;
}

static void *mark_and_cancel(void *unused)
{
    cancelled[1] = WEIR_FULL;
    return cancel_first(unused);
}

static const weir_kind polling_kind = {
    .size = sizeof(weir_kind), .work = post_and_poll, .on_result = take_result, .gone = take_gone, .drop = take_drop,
};

/* C1, C3: queued, running, posting, delivering, over: the cancel meets it everywhere. */
EXPLORE_SCENARIO(session_cancel_against_work_that_posts, .preemptions = 3, .stale_reads = 1)
{
    begin_session();
    start_op(0, &polling_kind);
    pthread_t canceller = start(mark_and_cancel, 0);
    finish();
    pthread_join(canceller, NULL);
    finish();
    check_decision();
    explore_check(drops[0] == told[0].items);
    explore_check(told[0].runs == 1 || told[0].status == WEIR_CANCELED);
    end_session(false);
    explore_observe((uint64_t)cancelled[0] * 8 + told[0].runs * 4 + told[0].items * 2 + (told[0].status == WEIR_OK));
}

static const weir_kind discarding_kind = {
    .size = sizeof(weir_kind), .work = post_and_poll, .on_result = take_result, .gone = take_gone, .drop = take_drop,
    .flags = WEIR_DISCARD_ON_CANCEL,
};

/* The same for a kind whose undelivered items a cancel discards: delivered or discarded, and dropped once. */
EXPLORE_SCENARIO(session_cancel_discards_what_was_posted, .preemptions = 3, .stale_reads = 1)
{
    begin_session();
    start_op(0, &discarding_kind);
    pthread_t canceller = start(mark_and_cancel, 0);
    finish();
    pthread_join(canceller, NULL);
    finish();
    check_decision();
    explore_check(drops[0] >= told[0].items);
    end_session(false);
    explore_observe((uint64_t)cancelled[0] * 8 + told[0].items * 2 + drops[0]);
}

/* One wins, the other comes second (C2). */
EXPLORE_SCENARIO(session_two_cancels_against_a_claim, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &plain_kind);
    pthread_t first = start(cancel_first, 0), second = start(cancel_first_too, 0);
    finish();
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    finish();
    explore_check((cancelled[0] == WEIR_OK) + (cancelled[1] == WEIR_OK) <= 1);
    if (cancelled[0] == WEIR_OK)
        explore_check(cancelled[1] == WEIR_ALREADY && told[0].reason == REASON);
    else if (cancelled[1] == WEIR_OK)
        explore_check(cancelled[0] == WEIR_ALREADY && told[0].reason == REASON + 1);
    else
        explore_check(cancelled[0] == WEIR_TOO_LATE && cancelled[1] == WEIR_TOO_LATE && told[0].reason == 0);
    end_session(false);
    explore_observe((uint64_t)cancelled[0] * 64 + (uint64_t)cancelled[1]);
}

/* ---- hooks ---- */

static bool answer;
static bool hooked;                                            /* plain: by the work, before it registers */

static bool take_hook(weir_reason reason, void *ctx)
{
    struct told *t = ctx;
    explore_check(t->finals == 0 && t->hooks == 0 && hooked);
    t->hooks++;
    t->hook_reason = reason;
    return answer;
}

static weir_status set_hook_and_clear_it(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    t->runs++;
    hooked = true;
    weir_status set = weir_task_on_cancel(task, take_hook, ctx);
    explore_check(set == WEIR_OK || set == WEIR_CANCELED);
    explore_check(set == WEIR_OK || weir_task_cancelled(task) == REASON);
    weir_status cleared = weir_task_on_cancel(task, NULL, NULL);
    unsigned hooks = t->hooks;                                 /* it has returned, or never runs: no race */
    explore_check(hooks == 0 || (set == WEIR_OK && cleared == WEIR_CANCELED));
    return cleared;
}

static const weir_kind hook_kind = {
    .size = sizeof(weir_kind), .work = set_hook_and_clear_it, .on_result = take_result, .gone = take_gone,
};

static void *cancel_and_be_control(void *unused)
{
    cancel_first(unused);
    (void)control_look();
    return unused;
}

/* This thread is the worker, which looks once. */
static void hook_against_cancel(const weir_kind *kind)
{
    begin_session();
    start_op(0, kind);
    pthread_t canceller = start(cancel_and_be_control, 0);
    be_worker(1);
    (void)look_once();
    worker_current = NULL;
    pthread_join(canceller, NULL);
    finish();
    check_decision();
    end_session(false);
    explore_observe((uint64_t)cancelled[0] * 8 + told[0].runs * 4 + told[0].hooks);
}

/* C3: after the removal has returned the hook neither runs nor will; the control thread calls it while the work runs.
 * kills: a hook's leave that does not wake the work that waits for it */
EXPLORE_SCENARIO(session_cancel_against_a_hook_that_comes_and_goes, .preemptions = 2, .stale_reads = 1)
{
    hook_against_cancel(&hook_kind);
}

static weir_status set_hook(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    t->runs++;
    hooked = true;
    return weir_task_on_cancel(task, take_hook, ctx);
}

static const weir_kind hook_that_stays_kind = {
    .size = sizeof(weir_kind), .work = set_hook, .on_result = take_result, .gone = take_gone,
};

/* R3: the work returns while the hook runs, and the final waits for it.
 * kills: a final that waits for no hook */
EXPLORE_SCENARIO(session_cancel_against_a_hook_and_the_return, .preemptions = 2, .stale_reads = 1)
{
    hook_against_cancel(&hook_that_stays_kind);
}

/* ---- deferred work ---- */

static _Atomic uint64_t token;
static weir_status completed;
static int outcome;                                            /* E5: written before the completion */

static weir_status hook_and_defer(weir_task *task, void *ctx)
{
    weir_token mine = { 0 };
    struct told *t = ctx;
    t->runs++;
    hooked = true;
    if (weir_task_on_cancel(task, take_hook, ctx) != WEIR_OK)
        return WEIR_CANCELED;
    if (weir_task_defer(task, &mine) != WEIR_OK)
        return WEIR_CANCELED;
    atomic_store_explicit(&token, mine.bits, memory_order_release);
    return WEIR_OK;
}

static weir_status just_defer(weir_task *task, void *ctx)
{
    weir_token mine = { 0 };
    struct told *t = ctx;
    t->runs++;
    if (weir_task_defer(task, &mine) != WEIR_OK)
        return WEIR_CANCELED;
    atomic_store_explicit(&token, mine.bits, memory_order_release);
    return WEIR_OK;
}

static void take_outcome(const weir_result *r, void *ctx)
{
    if (!r->more && r->status == WEIR_LIMIT)                   /* the token's */
        explore_check(outcome == 1 && r->data == NULL);
    take_result(r, ctx);
}

static void *complete(void *unused)
{
    uint64_t bits = atomic_load_explicit(&token, memory_order_acquire);
    outcome = 1;
    completed = bits == 0 ? WEIR_NOT_FOUND : weir_token_complete((weir_token){ bits }, WEIR_LIMIT, NULL, 0);
    explore_check(completed == WEIR_OK || completed == WEIR_CANCELED || completed == WEIR_STALE
                  || completed == WEIR_NOT_FOUND);
    return unused;
}

static const weir_kind hooked_deferred_kind = {
    .size = sizeof(weir_kind), .work = hook_and_defer, .on_result = take_outcome, .gone = take_gone,
};
static const weir_kind deferred_kind = {
    .size = sizeof(weir_kind), .work = just_defer, .on_result = take_outcome, .gone = take_gone,
};

static void *tick(void *unused)
{
    tiny_tick(2 * SECOND);
    return unused;
}

/* The token's last chance: if the hook has answered that it is to decide, somebody must complete. */
static void end_deferred(void)
{
    finish();
    if (told[0].finals == 0) {
        complete(NULL);
        explore_check(completed == WEIR_OK);
        finish();
    }
    if (completed == WEIR_OK)
        explore_check(told[0].status == WEIR_LIMIT);
    else if (completed == WEIR_CANCELED)
        explore_check(told[0].status == WEIR_CANCELED || told[0].status == WEIR_TIMED_OUT);
    end_session(false);
}

/* R8, C3: the cancel decides at once, or the token does; never both. Work, token and cancel meet. */
EXPLORE_SCENARIO(session_token_against_cancel, .preemptions = 2)
{
    begin_session();
    start_op(0, &deferred_kind);
    pthread_t completer = start(complete, 0), canceller = start(cancel_first, 0);
    finish();
    pthread_join(completer, NULL);
    pthread_join(canceller, NULL);
    if (told[0].finals == 0 && cancelled[0] == WEIR_OK)
        finish();
    explore_check(cancelled[0] == WEIR_TOO_LATE || completed != WEIR_OK);
    explore_observe((uint64_t)completed * 64 + (uint64_t)cancelled[0] * 2 + told[0].runs);
    end_deferred();
}

/* The hook's answer decides, or leaves it to the token. */
static void hook_against_token(bool hook_ends_it)
{
    begin_session();
    answer = hook_ends_it;
    start_op(0, &hooked_deferred_kind);
    finish();                                                  /* it is deferred by now */
    pthread_t completer = start(complete, 0), control = start(control_thread, 1);
    cancel_first(NULL);
    pthread_join(completer, NULL);
    pthread_join(control, NULL);
    finish();
    explore_check(told[0].hooks == 0 || cancelled[0] == WEIR_OK);
    explore_observe((uint64_t)completed * 64 + (uint64_t)cancelled[0] * 2 + told[0].hooks);
    end_deferred();
}

EXPLORE_SCENARIO(session_token_against_a_hook_that_decides, .preemptions = 2, .stale_reads = 1)
{
    hook_against_token(true);
}

EXPLORE_SCENARIO(session_token_against_a_hook_that_does_not_decide, .preemptions = 2, .stale_reads = 1)
{
    hook_against_token(false);
}

/* The work is still on its stack when token, hook and cancel come. */
EXPLORE_SCENARIO(session_deferral_against_cancel_and_token, .preemptions = 2)
{
    begin_session();
    answer = true;
    start_op(0, &hooked_deferred_kind);
    pthread_t completer = start(complete, 0), canceller = start(cancel_and_be_control, 0);
    (void)worker_0_thread((void *)(intptr_t)2);                /* the canceller is the only control thread */
    pthread_join(completer, NULL);
    pthread_join(canceller, NULL);
    finish();
    explore_observe((uint64_t)completed * 64 + (uint64_t)cancelled[0] * 2 + told[0].hooks);
    end_deferred();
}

/* Two tokens, one operation: one completes, the other is told so (R8). */
static weir_status completed_too;

static void *complete_too(void *unused)
{
    uint64_t bits = atomic_load_explicit(&token, memory_order_acquire);
    completed_too = weir_token_complete((weir_token){ bits }, WEIR_NO_MEMORY, NULL, 0);
    return unused;
}

EXPLORE_SCENARIO(session_two_complete_one_token, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &deferred_kind);
    finish();
    pthread_t other = start(complete_too, 0), worker = start(worker_thread, 1);
    complete(NULL);
    pthread_join(other, NULL);
    pthread_join(worker, NULL);
    explore_check((completed == WEIR_OK) + (completed_too == WEIR_OK) == 1);
    explore_check(completed == WEIR_OK || completed == WEIR_STALE || completed == WEIR_BUSY);
    explore_check(completed_too == WEIR_OK || completed_too == WEIR_STALE || completed_too == WEIR_BUSY);
    weir_status expected = completed == WEIR_OK ? WEIR_LIMIT : WEIR_NO_MEMORY;
    finish();
    explore_check(told[0].status == expected);
    end_session(false);
}

/* ---- deadlines (C5) ---- */

static void *start_with_deadline(void *unused)
{
    start_op_with(0, &plain_kind, WEIR_NEW(weir_op_options, .timeout_ns = SECOND));
    return unused;
}

/* The timer may fire before the operation is published, while it is queued, runs, or is over. */
EXPLORE_SCENARIO(session_deadline_against_start_and_run, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    pthread_t clock = start(tick, 0), starter = start(start_with_deadline, 0);
    finish();
    pthread_join(clock, NULL);
    pthread_join(starter, NULL);
    finish();
    tick(NULL);                                                /* if the clock was before the start */
    finish();
    explore_check(started[0] == WEIR_OK && told[0].finals == 1);
    explore_check(told[0].status == (told[0].runs == 1 ? WEIR_OK : WEIR_TIMED_OUT));
    end_session(false);
    explore_observe(told[0].runs * 8u + told[0].reason);
}

static void *start_deferred_with_deadline(void *unused)
{
    start_op_with(0, &deferred_kind, WEIR_NEW(weir_op_options, .timeout_ns = SECOND));
    return unused;
}

/* Nothing else ends it: a deadline that fires while the operation is being published is not forgotten (D1, D2). */
EXPLORE_SCENARIO(session_deadline_fires_while_it_is_published, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    pthread_t starter = start(start_deferred_with_deadline, 0);
    tick(NULL);
    pthread_join(starter, NULL);
    finish();
    tick(NULL);                                                /* if the clock was before the start */
    finish();
    explore_check(told[0].finals == 1 && told[0].status == WEIR_TIMED_OUT);
    end_session(false);
    explore_observe(told[0].runs);
}

EXPLORE_SCENARIO(session_deadline_against_token_and_cancel, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op_with(0, &deferred_kind, WEIR_NEW(weir_op_options, .timeout_ns = SECOND));
    finish();
    pthread_t clock = start(tick, 0), completer = start(complete, 0);
    cancel_first(NULL);
    pthread_join(clock, NULL);
    pthread_join(completer, NULL);
    finish();
    explore_check(told[0].finals == 1);
    if (cancelled[0] == WEIR_OK)
        explore_check(told[0].status == WEIR_CANCELED && told[0].reason == REASON);
    else if (completed == WEIR_OK)
        explore_check(told[0].status == WEIR_LIMIT && told[0].reason == 0);
    else
        explore_check(told[0].status == WEIR_TIMED_OUT && told[0].reason == WEIR_REASON_TIMEOUT);
    end_session(false);
    explore_observe((uint64_t)told[0].status);
}

/* ---- rescue (C7): the only worker is inside work that ends when its hook is called ---- */

static struct parker unblocked;

static bool unblock(weir_reason reason, void *ctx)
{
    struct told *t = ctx;
    t->hooks++;
    t->hook_reason = reason;
    (void)parker_unpark(&unblocked);
    return true;
}

static weir_status block_until_hook(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    t->runs++;
    if (weir_task_on_cancel(task, unblock, ctx) != WEIR_OK)
        return WEIR_CANCELED;
    (void)parker_park(&unblocked, WEIR_FOREVER);
    return WEIR_CANCELED;
}

static const weir_kind blocking_kind = {
    .size = sizeof(weir_kind), .work = block_until_hook, .on_result = take_result, .gone = take_gone,
};

static void *look_once_as_worker(void *unused)
{
    be_worker(1);
    (void)look_once();
    return unused;
}

/* kills: a cancel that does not ask the control thread */
EXPLORE_SCENARIO(session_cancel_unblocks_work_by_the_control_thread, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &blocking_kind);
    pthread_t worker = start(look_once_as_worker, 0);
    cancel_first(NULL);
    (void)control_look();
    pthread_join(worker, NULL);                                /* a deadlock, if nobody has called the hook */
    finish();
    check_decision();
    end_session(false);
    explore_observe(told[0].runs * 2 + told[0].hooks);
}

/* The same by a close and by a deadline: each asks the control thread, again until it asks for nothing. */
EXPLORE_SCENARIO(session_close_unblocks_work_by_the_control_thread, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op(0, &blocking_kind);
    explore_check(weir_op_close(op[0]) == WEIR_OK);
    pthread_t worker = start(look_once_as_worker, 0);
    explore_check(close_session() == WEIR_OK);
    while (control_look())
        ;
    pthread_join(worker, NULL);
    end_session(true);
    explore_check(told[0].reason == WEIR_REASON_SESSION_CLOSED);
    explore_observe(told[0].runs * 2 + told[0].hooks);
}

EXPLORE_SCENARIO(session_deadline_unblocks_work_by_the_control_thread, .preemptions = 2, .stale_reads = 1)
{
    begin_session();
    start_op_with(0, &blocking_kind, WEIR_NEW(weir_op_options, .timeout_ns = SECOND));
    pthread_t worker = start(look_once_as_worker, 0);
    tick(NULL);
    while (control_look())
        ;
    pthread_join(worker, NULL);
    finish();
    explore_check(told[0].reason == WEIR_REASON_TIMEOUT && told[0].finals == 1);
    end_session(false);
    explore_observe(told[0].runs * 2 + told[0].hooks);
}
