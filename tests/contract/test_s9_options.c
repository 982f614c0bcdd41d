/* SPDX-License-Identifier: Apache-2.0 */
/* test_s9_options.c - S9, R4, R9: abandoned work that has given a detail, runs in a queue of the caller's, or has an
 * idle deadline: what it may still say, and what it leaves behind when it returns */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

static char detail;

struct witness {
    struct probe probe;
    weir_status (*says)(weir_task *task);        /* before it is abandoned, and afterwards again */
    _Atomic int before, after;
};

static void witness_init(struct witness *w, weir_status (*says)(weir_task *task))
{
    probe_init(&w->probe);
    w->says = says;
    w->before = w->after = -1;
}

static weir_status work_says(weir_task *task, void *ctx)
{
    struct witness *w = ctx;
    w->before = w->says(task);
    gate_open(&w->probe.entered);
    gate_wait(&w->probe.leave);
    w->after = w->says(task);
    return WEIR_OK;
}

static weir_status gives_detail(weir_task *task) { return weir_task_detail(task, &detail, 1); }
static weir_status gives_detail_late(weir_task *task)
{
    return weir_task_cancelled(task) == 0 ? WEIR_OK : weir_task_detail(task, &detail, 1);
}
static weir_status posts(weir_task *task) { return weir_task_post(task, &detail, 1); }
static weir_status makes_progress(weir_task *task) { return weir_task_progress(task, 1, 2); }

static void witness_result(const weir_result *r, void *ctx)
{
    struct witness *w = ctx;
    if (!r->more)
        on_result(r, &w->probe);
}

static void witness_gone(void *ctx) { on_gone(&((struct witness *)ctx)->probe); }

static const weir_kind says =
    KIND(.work = work_says, .on_result = witness_result, .drop = on_drop, .gone = witness_gone);
static const weir_kind says_idle = KIND(.work = work_says, .on_result = witness_result, .drop = on_drop,
                                        .gone = witness_gone, .flags = WEIR_IDLE_TIMEOUT);

static void start_witness(const weir_kind *kind, struct witness *w, weir_queue queue, int64_t timeout_ns)
{
    assert_ok(weir_op_start(session, kind, w, WEIR_NEW(weir_op_options, .queue = queue, .timeout_ns = timeout_ns),
                            NULL));
    gate_wait(&w->probe.entered);
}

static void abandon(struct witness *w)
{
    struct closing closing = CLOSING_INIT;
    assert_ok(weir_session_close_with(session, WEIR_NEW(weir_close_options, .abandon = true, .closed = closing_done,
                                                        .ctx = &closing)));
    closing_wait(&closing, session);
    assert_int_equal(closing.report.abandoned, 1);
    assert_int_equal(tally_count(&w->probe.finals), 1);
    assert_int_equal(w->probe.final.status, WEIR_ABANDONED);
}

static void let_return(struct witness *w)
{
    gate_open(&w->probe.leave);
    tally_wait(&w->probe.gones, 1);
}

static void a_detail_that_was_given_before_is_dropped_when_the_work_returns(void **unused)
{
    (void)unused;
    struct witness w;
    witness_init(&w, gives_detail);
    start_witness(&says, &w, (weir_queue){ 0 }, 0);
    abandon(&w);
    assert_null(w.probe.final.data);
    assert_int_equal(tally_count(&seen.drops), 0);
    let_return(&w);
    assert_int_equal(w.before, WEIR_OK);
    assert_int_equal(tally_count(&seen.drops), 1);
}

static void abandoned_work_gives_no_detail(void **unused)
{
    (void)unused;
    struct witness w;
    witness_init(&w, gives_detail_late);
    start_witness(&says, &w, (weir_queue){ 0 }, 0);
    abandon(&w);
    let_return(&w);
    assert_int_equal(w.after, WEIR_CANCELED);
    assert_int_equal(tally_count(&seen.drops), 0);
}

static void abandoned_work_makes_no_progress(void **unused)
{
    (void)unused;
    struct witness w;
    witness_init(&w, makes_progress);
    start_witness(&says_idle, &w, (weir_queue){ 0 }, 3600000000000);
    abandon(&w);
    let_return(&w);
    assert_int_equal(w.before, WEIR_OK);
    assert_int_equal(w.after, WEIR_CANCELED);
}

static void abandoned_work_with_an_idle_deadline_posts_nothing(void **unused)
{
    (void)unused;
    struct witness w;
    witness_init(&w, posts);
    start_witness(&says_idle, &w, (weir_queue){ 0 }, 3600000000000);
    abandon(&w);
    let_return(&w);
    assert_int_equal(w.before, WEIR_OK);
    assert_int_equal(w.after, WEIR_CANCELED);
    tally_wait(&seen.drops, 1);
}

/* The queue is held by the work until that returns, and is the caller's again then. */
static void abandoned_work_gives_its_queue_back_when_it_returns(void **unused)
{
    (void)unused;
    for (int concurrent = 0; concurrent < 2; concurrent++) {
        struct witness w;
        struct record closed;
        weir_queue queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .limit = 1,
                                                                  .concurrent = concurrent != 0));
        witness_init(&w, gives_detail);
        record_init(&closed);
        start_witness(&says, &w, queue, 3600000000000);
        abandon(&w);
        assert_ok(weir_queue_close(queue, false, &closed.job));
        assert_int_equal(tally_count(&closed.calls), 0);
        let_return(&w);
        record_wait(&closed);
        session = session_open_with(app, NULL);
    }
    session_close(session);
    assert_int_equal(tally_count(&seen.drops), 2);
}

/* It would have yielded: it is not called again, and its place is nobody's. */
static weir_status work_yields_when_told(weir_task *task, void *ctx)
{
    struct witness *w = ctx;
    (void)task;
    gate_open(&w->probe.entered);
    gate_wait(&w->probe.leave);
    probe_called(&w->probe);
    return WEIR_AGAIN;
}

static void abandoned_work_that_wants_to_be_called_again_is_not(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_yields_when_told, .on_result = witness_result,
                                       .gone = witness_gone);
    struct witness w;
    struct record closed;
    weir_queue queue = serial_open(app);
    witness_init(&w, NULL);
    record_init(&closed);
    start_witness(&kind, &w, queue, 0);
    abandon(&w);
    assert_ok(weir_queue_close(queue, false, &closed.job));
    let_return(&w);
    record_wait(&closed);
    assert_int_equal(tally_count(&w.probe.works), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_TWO_WORKERS(a_detail_that_was_given_before_is_dropped_when_the_work_returns),
        TEST_TWO_WORKERS(abandoned_work_gives_no_detail),
        TEST_TWO_WORKERS(abandoned_work_makes_no_progress),
        TEST_TWO_WORKERS(abandoned_work_with_an_idle_deadline_posts_nothing),
        TEST_TWO_WORKERS(abandoned_work_gives_its_queue_back_when_it_returns),
        TEST_TWO_WORKERS(abandoned_work_that_wants_to_be_called_again_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
