/* SPDX-License-Identifier: Apache-2.0 */
/* tiny_session.h - one session in the application of tiny_app.h, for scenarios, and what its operations are told
 *
 * The threads of a scenario are workers, callers, and, by control_look(), the control thread; end_session() does alone
 * whatever is left, and then states what the contract says of every operation that was accepted: one final, one gone,
 * one drop for each item, no callback after the final, the close callback once and last.
 *
 * What callbacks write is plain, on purpose: a missing edge (E1 to E7) is a race on it. */
#ifndef TINY_SESSION_H
#define TINY_SESSION_H

#include <stdlib.h>

#include <weir/weir.h>

#include "session/session.h"
#include "tiny_app.h"
#include "workqueue/above.h"

enum { OPS = 2, ITEMS = 3, REASON = WEIR_REASON_OWN };
#define SECOND INT64_C(1000000000)

/* What an operation was told; also its context. */
struct told {
    unsigned runs, items, finals, gones, hooks;
    weir_status status;
    weir_reason reason, hook_reason;
};

static struct told told[OPS];
static unsigned drops[ITEMS];                                  /* items are named by their index + 1 */
static weir_session session;
static weir_op op[OPS];
static weir_status started[OPS] = { WEIR_CLOSED, WEIR_CLOSED };
static int input;                                              /* E1, E7: written before the start */
static unsigned closes;                                        /* calls of the close callback */

/* ---- what kinds are made of ---- */

static inline weir_status work_and_end(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    (void)task;
    explore_check(input == 1 && t->finals == 0);
    t->runs++;
    return WEIR_OK;
}

static inline void take_result(const weir_result *r, void *ctx)
{
    struct told *t = ctx;
    explore_check(input == 1 && t->finals == 0 && t->gones == 0);
    if (r->more) {
        t->items++;
        return;
    }
    explore_check(r->delivered == t->items && r->posted == r->delivered + r->discarded);
    t->status = r->status;
    t->reason = r->reason;
    t->finals++;
}

static inline void take_gone(void *ctx)
{
    struct told *t = ctx;
    explore_check(t->gones == 0);
    t->gones++;
}

static inline void take_drop(void *data, size_t size)
{
    explore_check(size >= 1 && size <= ITEMS && data == &drops[size - 1]);
    drops[size - 1]++;
    explore_check(drops[size - 1] == 1);
}

static inline weir_status post(weir_task *task, unsigned item)
{
    return weir_task_post(task, &drops[item], item + 1);
}

static const weir_kind plain_kind = {
    .size = sizeof(weir_kind), .work = work_and_end, .on_result = take_result, .gone = take_gone,
};

/* Deferred, and nobody has the token: it ends by a cancel. */
static inline weir_status work_and_lose(weir_task *task, void *ctx)
{
    struct told *t = ctx;
    weir_token lost;
    t->runs++;
    return weir_task_defer(task, &lost);
}

static const weir_kind lost_kind __attribute__((unused)) = {
    .size = sizeof(weir_kind), .work = work_and_lose, .on_result = take_result, .gone = take_gone,
};

/* ---- workers, and the control thread's part ---- */

/* As work_once(), also for the lane of sweeps and close callbacks. */
static inline bool look_once(void)
{
    struct job *job = worker_find(worker_current, 1U << WEIR_NORMAL | 1U << WEIR_HIGH);
    if (job != NULL)
        worker_run(worker_current, job);
    return job != NULL;
}

static inline void *worker_thread(void *looks)
{
    be_worker(1);
    for (intptr_t left = (intptr_t)looks; left > 0; left--)
        (void)look_once();
    return NULL;
}

static inline void *worker_0_thread(void *looks)
{
    be_worker(0);
    for (intptr_t left = (intptr_t)looks; left > 0; left--)
        (void)look_once();
    return NULL;
}

/* One look: what was asked of it. */
static inline bool control_look(void)
{
    struct worker *before = worker_current;
    uint32_t asked = atomic_exchange_explicit(&tiny.control.word, 0, memory_order_acquire);     /* K3 of control.h */
    worker_current = &tiny.control_worker;
    for (uint32_t rest = asked; rest != 0; rest &= rest - 1) {
        struct control_handler *handler = &tiny.control.handlers[__builtin_ctz(rest)];
        if (handler->run != NULL)
            handler->run(handler->ctx);
    }
    worker_current = before;
    return asked != 0;
}

static inline void *control_thread(void *looks)
{
    for (intptr_t left = (intptr_t)looks; left > 0; left--)
        (void)control_look();
    return NULL;
}

/* ---- the session ---- */

static inline void take_closed(const weir_report *report, void *ctx)
{
    explore_check(ctx == &closes && closes == 0);
    closes++;
    explore_check(report->accepted == told[0].finals + told[1].finals);
    explore_check(report->accepted == told[0].gones + told[1].gones);
    explore_check(report->posted == report->delivered + report->discarded);
}

/* Memory that is refused: so many allocations, from when it is set, at every place in turn. */
static unsigned refusals;

static inline void *tiny_alloc(size_t size, size_t align, void *ctx)
{
    (void)ctx;
    if (refusals > 0 && explore_choose(2) == 1) {
        refusals--;
        return NULL;
    }
    return aligned_alloc(align, (size + align - 1) / align * align);
}

static inline void tiny_release(void *memory, size_t size, void *ctx)
{
    (void)size, (void)ctx;
    free(memory);
}

static inline void pass_timers(void *timers) { timers_pass(timers); }

static inline void begin_with(const weir_session_options *options)
{
    tiny.memory = (struct memory){ tiny_alloc, tiny_release, NULL };
    tiny_begin();
    tiny.control_worker = (struct worker){ .app = &tiny, .kind = WORKER_CONTROL, .number = TINY_WORKERS + APP_GUESTS };
    control_handle(&tiny.control, CONTROL_TIMERS, pass_timers, &tiny.timers);
    explore_check(above_init(&tiny) == WEIR_OK);
    explore_check(weir_session_open(tiny.handle, options, &session) == WEIR_OK);
    input = 1;
}

/* With room, so that a start does not make, and clear, memory for thousands of operations in each run. */
static inline void begin_session(void)
{
    begin_with(WEIR_NEW(weir_session_options, .reserve = 1));
}

static inline void begin_session_with(uint32_t live_max)
{
    begin_with(WEIR_NEW(weir_session_options, .reserve = 1, .live_max = live_max));
}

static inline void begin_session_without_room(void)
{
    begin_with(NULL);
}

static inline void start_op_with(unsigned i, const weir_kind *kind, const weir_op_options *options)
{
    started[i] = weir_op_start(session, kind, &told[i], options, &op[i]);
}

static inline void start_op(unsigned i, const weir_kind *kind)
{
    start_op_with(i, kind, NULL);
    explore_check(started[i] == WEIR_OK);
}

static inline weir_status close_session(void)
{
    return weir_session_close(session, take_closed, &closes);
}

/* Alone: everything that is left, on a worker and on the control thread. */
static inline void finish(void)
{
    be_worker(0);
    while (look_once() || control_look())
        ;
    worker_current = NULL;
}

static inline void end_app(void)
{
    explore_check(weir_session_wait(session, 0, NULL) == WEIR_STALE);
    explore_check(above_close(&tiny, 0) == WEIR_OK);
    timers_shutdown(&tiny.timers);
    finish();
    above_fini(&tiny);
    tiny_end();
}

static inline void check_op(unsigned i)
{
    bool accepted = started[i] == WEIR_OK;
    explore_check(told[i].finals == accepted && told[i].gones == accepted);
}

/* Handles that are still open are closed; closed_before: somebody has closed the session. */
static inline void end_session(bool closed_before)
{
    for (unsigned i = 0; i < OPS; i++)
        if (started[i] == WEIR_OK)
            (void)weir_op_close(op[i]);
    finish();
    explore_check(close_session() == (closed_before ? WEIR_STALE : WEIR_OK));
    finish();
    explore_check(closes == 1);
    for (unsigned i = 0; i < OPS; i++)
        check_op(i);
    end_app();
}

#endif
