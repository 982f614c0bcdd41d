/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_SESSION_FIXTURE_H
#define WEIR_TESTS_SESSION_FIXTURE_H

/* session_fixture.h - an application with a session, operations that record, and closes that are waited for
 *
 * A *probe* is the context of one operation: what its functions shall do, and what they saw. Callbacks record, the
 * test's own thread asserts, after it has waited for what the callbacks count. What concerns no single operation, such
 * as drops, is in `seen`, which each test finds empty. To be included after <cmocka.h>. */

#include <weir/weir.h>

#include "tests/support/app_fixture.h"

/* ---- what all callbacks of a test saw ---- */

struct seen {
    _Atomic uint64_t works, items, posted, delivered, discarded, gones, hooks;
    _Atomic uint64_t by_status[WEIR_STATUS_COUNT];
    struct tally finals, drops;
};

static struct seen seen __attribute__((unused));
static weir_app app __attribute__((unused));
static weir_session session __attribute__((unused));

static inline void seen_forget(void)
{
    seen.works = seen.items = seen.posted = seen.delivered = seen.discarded = seen.gones = seen.hooks = 0;
    for (int status = 0; status < WEIR_STATUS_COUNT; status++)
        seen.by_status[status] = 0;
    seen.finals = seen.drops = (struct tally)TALLY_INIT;
}

/* ---- the application and its session ---- */

static inline weir_session session_open_with(weir_app in, const weir_session_options *options)
{
    weir_session opened = { 0 };
    assert_ok(weir_session_open(in, options, &opened));
    return opened;
}

static inline int setup_workers(uint32_t workers)
{
    seen_forget();
    app = app_open_workers(workers);
    session = session_open_with(app, NULL);
    return 0;
}

static inline int setup(void **unused)
{
    (void)unused;
    return setup_workers(test_workers());
}

static inline int setup_one_worker(void **unused)
{
    (void)unused;
    return setup_workers(1);
}

/* For what needs two workers inside user functions at once. */
static inline int setup_two_workers(void **unused)
{
    (void)unused;
    return setup_workers(test_workers() > 2 ? test_workers() : 2);
}

static inline int teardown(void **unused)
{
    (void)unused;
    app_close(app);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_ONE_WORKER(name) cmocka_unit_test_setup_teardown(name, setup_one_worker, teardown)
#define TEST_TWO_WORKERS(name) cmocka_unit_test_setup_teardown(name, setup_two_workers, teardown)

/* ---- closes ---- */

struct closing {
    struct tally calls;
    weir_report report;
    pthread_t thread;
};
#define CLOSING_INIT { .calls = TALLY_INIT }

static inline void closing_done(const weir_report *report, void *ctx)
{
    struct closing *closing = ctx;
    closing->report = *report;
    closing->thread = pthread_self();
    tally_add(&closing->calls, 1);
}

static inline void wait_until_closed(weir_session closed)
{
    weir_status status = weir_session_wait(closed, WEIR_FOREVER, NULL);
    assert_true(status == WEIR_OK || status == WEIR_STALE);
}

/* The close callback has come, and returned. */
static inline void closing_wait(struct closing *closing, weir_session closed)
{
    tally_wait(&closing->calls, 1);
    wait_until_closed(closed);
    assert_int_equal(tally_count(&closing->calls), 1);
}

static inline weir_report session_close(weir_session closed)
{
    struct closing closing = CLOSING_INIT;
    assert_ok(weir_session_close(closed, closing_done, &closing));
    closing_wait(&closing, closed);
    return closing.report;
}

/* ---- probes ---- */

struct probe {
    struct gate entered, leave;                  /* work_holds */
    struct gate deferred, hooked, parked;
    struct tally works, items, finals, gones;
    uint64_t count, next;                        /* work_streams: items to post, and the position */
    weir_status answer;                          /* what the work returns in the end */
    weir_token token;                            /* work_defers: from before `deferred` opens */
    bool hook_answer;
    _Atomic int hook_reason;
    weir_op op;                                  /* of the last result */
    weir_result final;                           /* written before `finals` counts */
    _Atomic uint64_t wrong;                      /* results out of order, after the final, or more than one at a time */
    _Atomic int inside;
};

/* In place, since it holds locks. */
static inline void probe_init(struct probe *probe)
{
    *probe = (struct probe){
        .entered = GATE_INIT, .leave = GATE_INIT, .deferred = GATE_INIT, .hooked = GATE_INIT, .parked = GATE_INIT,
        .works = TALLY_INIT, .items = TALLY_INIT, .finals = TALLY_INIT, .gones = TALLY_INIT,
    };
}

static inline void probe_called(struct probe *probe)
{
    seen.works++;
    if (probe != NULL)
        tally_add(&probe->works, 1);
}

static inline weir_status work_ends(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    (void)task;
    probe_called(probe);
    return probe != NULL ? probe->answer : WEIR_OK;
}

static inline weir_status work_holds(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    (void)task;
    probe_called(probe);
    gate_open(&probe->entered);
    gate_wait(&probe->leave);
    return probe->answer;
}

/* Posts the numbers from 1 to count as items. */
static inline weir_status work_streams(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    probe_called(probe);
    while (probe->next < probe->count) {
        weir_status status = weir_task_post(task, (void *)(uintptr_t)(probe->next + 1), 8);
        if (status == WEIR_AGAIN)
            gate_open(&probe->parked);           /* or rather: soon; the word of it is set */
        if (status != WEIR_OK)
            return status;
        probe->next++;
        seen.posted++;
    }
    return probe->answer;
}

static inline bool hook_records(weir_reason reason, void *ctx)
{
    struct probe *probe = ctx;
    bool answer = probe->hook_answer;
    seen.hooks++;
    probe->hook_reason = reason;
    gate_open(&probe->hooked);                   /* then the probe may be gone */
    return answer;
}

static inline weir_status defer_to(weir_task *task, struct probe *probe)
{
    weir_token token;
    weir_status status = weir_task_defer(task, &token);
    if (status != WEIR_OK)
        return status;
    probe->token = token;
    gate_open(&probe->deferred);
    return WEIR_FAILED;                          /* ignored after a deferral */
}

static inline weir_status work_defers(weir_task *task, void *ctx)
{
    probe_called(ctx);
    return defer_to(task, ctx);
}

static inline weir_status work_defers_with_hook(weir_task *task, void *ctx)
{
    probe_called(ctx);
    weir_status status = weir_task_on_cancel(task, hook_records, ctx);
    return status != WEIR_OK ? status : defer_to(task, ctx);
}

static inline void probe_item(struct probe *probe, const weir_result *r)
{
    uint64_t number = tally_count(&probe->items) + 1;
    if (r->number != number || (uintptr_t)r->data != number || r->status != WEIR_OK)
        probe->wrong++;
    probe->op = r->op;
    tally_add(&probe->items, 1);
}

static inline void probe_final(struct probe *probe, const weir_result *r)
{
    probe->final = *r;
    probe->op = r->op;
    probe->inside--;                             /* when it counts, the probe may be gone */
    tally_add(&probe->finals, 1);
}

static inline void on_result(const weir_result *r, void *ctx)
{
    struct probe *probe = ctx;
    bool more = r->more;
    if (probe != NULL && (probe->inside++ != 0 || tally_count(&probe->finals) != 0))
        probe->wrong++;
    if (more) {
        seen.items++;
        if (probe != NULL)
            probe_item(probe, r), probe->inside--;
        return;
    }
    seen.by_status[r->status]++;
    seen.delivered += r->delivered;
    seen.discarded += r->discarded;
    if (probe != NULL)
        probe_final(probe, r);
    tally_add(&seen.finals, 1);
}

static inline void on_drop(void *data, size_t size)
{
    (void)data;
    (void)size;
    tally_add(&seen.drops, 1);
}

static inline void on_gone(void *ctx)
{
    struct probe *probe = ctx;
    seen.gones++;
    if (probe != NULL)
        tally_add(&probe->gones, 1);
}

#define KIND(...) { .size = sizeof(weir_kind), __VA_ARGS__ }

static const weir_kind ends __attribute__((unused)) = KIND(.work = work_ends, .on_result = on_result);
static const weir_kind holds __attribute__((unused)) = KIND(.work = work_holds, .on_result = on_result);
static const weir_kind streams __attribute__((unused)) =
    KIND(.work = work_streams, .on_result = on_result, .drop = on_drop);
static const weir_kind streams_acked __attribute__((unused)) =
    KIND(.work = work_streams, .on_result = on_result, .drop = on_drop, .flags = WEIR_MANUAL_ACK);
static const weir_kind ends_acked __attribute__((unused)) =
    KIND(.work = work_ends, .on_result = on_result, .flags = WEIR_MANUAL_ACK);
static const weir_kind pulled __attribute__((unused)) = KIND(.work = work_streams, .drop = on_drop);
static const weir_kind defers __attribute__((unused)) =
    KIND(.work = work_defers, .on_result = on_result, .drop = on_drop);
static const weir_kind defers_with_hook __attribute__((unused)) =
    KIND(.work = work_defers_with_hook, .on_result = on_result, .drop = on_drop);

/* ---- starting ---- */

static inline weir_op start_in(weir_session in, const weir_kind *kind, void *ctx)
{
    weir_op op = { 0 };
    assert_ok(weir_op_start(in, kind, ctx, NULL, &op));
    return op;
}

static inline weir_op start(const weir_kind *kind, void *ctx)
{
    return start_in(session, kind, ctx);
}

/* Its handle is born closed. */
static inline void start_closed(const weir_kind *kind, void *ctx)
{
    assert_ok(weir_op_start(session, kind, ctx, NULL, NULL));
}

static inline void probe_wait(struct probe *probe)
{
    tally_wait(&probe->finals, 1);
}

/* Starts an operation that holds a worker inside its work; returns when it does. */
static inline void probe_hold(struct probe *probe, weir_session in)
{
    probe_init(probe);
    assert_ok(weir_op_start(in, &holds, probe, NULL, NULL));
    gate_wait(&probe->entered);
}

static inline void probe_release(struct probe *probe)
{
    gate_open(&probe->leave);
    probe_wait(probe);
}

/* Starts an operation that defers; returns when its token is in the probe. */
static inline weir_op probe_defer(struct probe *probe, const weir_kind *kind)
{
    probe_init(probe);
    weir_op op = start(kind, probe);
    gate_wait(&probe->deferred);
    return op;
}

/* The same; its handle is born closed. */
static inline void probe_defer_closed(struct probe *probe, weir_session in, const weir_kind *kind)
{
    probe_init(probe);
    assert_ok(weir_op_start(in, kind, probe, NULL, NULL));
    gate_wait(&probe->deferred);
}

/* ---- threads that start ---- */

struct starter {
    weir_session session;
    _Atomic uint64_t accepted;
    struct tally starts;
};

static inline void *start_until_refused(void *arg)
{
    struct starter *starter = arg;
    while (weir_op_start(starter->session, &ends, NULL, NULL, NULL) == WEIR_OK) {
        starter->accepted++;
        tally_add(&starter->starts, 1);
    }
    return NULL;
}

/* ---- busy workers ---- */

/* Every worker is inside a job: what is started now waits in its queue. */
struct busy {
    struct hold holds[64];
    uint32_t count;
};

static inline void busy_begin(struct busy *busy, uint32_t workers)
{
    busy->count = workers;
    hold_all(busy->holds, app, workers);
}

static inline void busy_end(struct busy *busy)
{
    release_all(busy->holds, busy->count);
}

#endif
