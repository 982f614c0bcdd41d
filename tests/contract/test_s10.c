/* SPDX-License-Identifier: Apache-2.0 */
/* test_s10.c - S10: what holds a close up is named exactly; S8: inside the close callback the phase is CLOSED */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

enum { BLOCKERS = 8 };

/* ---- asking ---- */

struct asked {
    weir_report report;
    weir_blocker blocker[BLOCKERS];
};

static struct asked ask(void)
{
    struct asked asked = { .report = { .size = sizeof(weir_report), .blockers_max = BLOCKERS } };
    asked.report.blockers = asked.blocker;
    assert_ok(weir_session_inspect(session, &asked.report));
    asked.report.blockers = NULL;                              /* the copy's are elsewhere */
    return asked;
}

/* Asks until nothing is missing but what the user owes: what the library does by itself comes to an end. */
static struct asked ask_until(uint32_t missing)
{
    for (;;) {
        struct asked asked = ask();
        if (asked.report.blockers_found == 1 && asked.blocker[0].missing == missing)
            return asked;
        sched_yield();
    }
}

static struct asked ask_until_phase(uint32_t phase)
{
    for (;;) {
        struct asked asked = ask();
        if (asked.report.phase == phase)
            return asked;
        sched_yield();
    }
}

/* ---- one leak each: the close waits for it, and says for what ---- */

static struct closing closing;

static void begin_close(void)
{
    closing = (struct closing)CLOSING_INIT;
    assert_ok(weir_session_close(session, closing_done, &closing));
}

static void end_close(void)
{
    closing_wait(&closing, session);
    assert_int_equal(closing.report.phase, WEIR_PHASE_CLOSED);
    assert_int_equal(closing.report.blockers_found, 0);
}

static const weir_kind lost_token = KIND(.name = "lost token", .work = work_defers_with_hook, .on_result = on_result);

static void a_lost_token_is_named(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);                                        /* its hook answers: wait for the token */
    assert_ok(weir_op_start(session, &lost_token, &probe, WEIR_NEW(weir_op_options, .tag = 11), NULL));
    gate_wait(&probe.deferred);
    struct asked open = ask_until(WEIR_MISSING_TOKEN);
    assert_int_equal(open.report.phase, WEIR_PHASE_OPEN);
    assert_int_equal(open.report.deferred, 1);
    begin_close();
    gate_wait(&probe.hooked);
    (void)ask_until_phase(WEIR_PHASE_WAITING);
    struct asked asked = ask_until(WEIR_MISSING_TOKEN);
    assert_string_equal(asked.blocker[0].name, "lost token");
    assert_int_equal(asked.blocker[0].tag, 11);
    assert_int_equal(asked.blocker[0].worker, -1);
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    end_close();
}

static const weir_kind unacked = KIND(.name = "unacked", .work = work_ends, .on_result = on_result,
                                      .flags = WEIR_MANUAL_ACK);

static void a_missing_acknowledgement_is_named(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    assert_ok(weir_op_start(session, &unacked, &probe, WEIR_NEW(weir_op_options, .tag = 12), NULL));
    probe_wait(&probe);
    begin_close();
    struct asked asked = ask_until(WEIR_MISSING_ACK);
    assert_string_equal(asked.blocker[0].name, "unacked");
    assert_int_equal(asked.blocker[0].tag, 12);
    assert_int_equal(asked.blocker[0].op.bits, probe.op.bits);
    assert_int_equal(asked.report.completed, 1);
    assert_ok(weir_op_ack(asked.blocker[0].op, 1));
    end_close();
}

static const weir_kind open_handle = KIND(.name = "open handle", .work = work_ends, .on_result = on_result);

static void an_open_handle_is_named(void **unused)
{
    (void)unused;
    struct probe probe;
    weir_op op;
    probe_init(&probe);
    assert_ok(weir_op_start(session, &open_handle, &probe, WEIR_NEW(weir_op_options, .tag = 13), &op));
    probe_wait(&probe);
    begin_close();
    struct asked asked = ask_until(WEIR_MISSING_HANDLE);
    assert_string_equal(asked.blocker[0].name, "open handle");
    assert_int_equal(asked.blocker[0].tag, 13);
    assert_int_equal(asked.blocker[0].op.bits, op.bits);
    assert_int_equal(asked.report.handles_open, 1);
    assert_ok(weir_op_close(op));
    end_close();
}

static const weir_kind running = KIND(.name = "running work", .work = work_holds, .on_result = on_result);

static void running_work_is_named_with_its_worker(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    assert_ok(weir_op_start(session, &running, &probe, WEIR_NEW(weir_op_options, .tag = 14), NULL));
    gate_wait(&probe.entered);
    begin_close();
    struct asked asked = ask_until(WEIR_MISSING_WORK);
    assert_string_equal(asked.blocker[0].name, "running work");
    assert_int_equal(asked.blocker[0].tag, 14);
    assert_int_equal(asked.report.running, 1);
    assert_in_range(asked.blocker[0].worker, 0, test_workers() - 1);
    gate_open(&probe.leave);
    end_close();
}

static weir_status work_that_tells(weir_task *task, void *ctx)
{
    weir_status status = weir_task_progress(task, 30, 100);
    return status != WEIR_OK ? status : work_holds(task, ctx);
}

static const weir_kind telling = KIND(.work = work_that_tells, .on_result = on_result);

static void a_blocker_tells_its_progress(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    assert_ok(weir_op_start(session, &telling, &probe, NULL, NULL));
    gate_wait(&probe.entered);
    struct asked asked = ask();
    assert_int_equal(asked.blocker[0].progress, 30);
    assert_int_equal(asked.blocker[0].total, 100);
    probe_release(&probe);
}

static struct gate hook_entered, hook_leave;

static bool hook_that_stays(weir_reason reason, void *ctx)
{
    (void)reason;
    (void)ctx;
    gate_open(&hook_entered);
    gate_wait(&hook_leave);
    return true;
}

static weir_status work_with_such_a_hook(weir_task *task, void *ctx)
{
    weir_status status = weir_task_on_cancel(task, hook_that_stays, ctx);
    return status != WEIR_OK ? status : defer_to(task, ctx);
}

static const weir_kind hooked = KIND(.name = "running hook", .work = work_with_such_a_hook, .on_result = on_result);

static void a_running_hook_is_named(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    hook_entered = hook_leave = (struct gate)GATE_INIT;
    assert_ok(weir_op_start(session, &hooked, &probe, WEIR_NEW(weir_op_options, .tag = 15), NULL));
    gate_wait(&probe.deferred);
    begin_close();
    gate_wait(&hook_entered);
    struct asked asked = ask_until(WEIR_MISSING_HOOK | WEIR_MISSING_TOKEN);
    assert_string_equal(asked.blocker[0].name, "running hook");
    assert_int_equal(asked.blocker[0].tag, 15);
    assert_true(asked.blocker[0].worker >= 0);
    gate_open(&hook_leave);
    end_close();
}

static struct gate callback_entered, callback_leave;

static void result_that_stays(const weir_result *r, void *ctx)
{
    (void)r;
    (void)ctx;
    gate_open(&callback_entered);
    gate_wait(&callback_leave);
}

static const weir_kind called_back = KIND(.name = "running callback", .work = work_ends,
                                          .on_result = result_that_stays);

static void a_running_callback_is_named_with_its_worker(void **unused)
{
    (void)unused;
    callback_entered = callback_leave = (struct gate)GATE_INIT;
    assert_ok(weir_op_start(session, &called_back, NULL, WEIR_NEW(weir_op_options, .tag = 16), NULL));
    gate_wait(&callback_entered);
    begin_close();
    struct asked asked = ask_until(WEIR_MISSING_CALLBACK);
    assert_string_equal(asked.blocker[0].name, "running callback");
    assert_int_equal(asked.blocker[0].tag, 16);
    assert_in_range(asked.blocker[0].worker, 0, test_workers() - 1);
    assert_int_equal(asked.report.completed, 1);               /* its callback has been called */
    gate_open(&callback_leave);
    end_close();
}

static void what_waits_for_a_worker_is_named(void **unused)
{
    (void)unused;
    struct probe busy, waiting;
    probe_hold(&busy, session);                                /* the only worker */
    probe_init(&waiting);
    assert_ok(weir_op_start(session, &ends, &waiting, WEIR_NEW(weir_op_options, .tag = 17), NULL));
    struct asked asked = ask();
    assert_int_equal(asked.report.queued, 1);
    assert_int_equal(asked.report.running, 1);
    assert_int_equal(asked.report.blockers_found, 2);
    const weir_blocker *queued = asked.blocker[0].tag == 17 ? &asked.blocker[0] : &asked.blocker[1];
    assert_int_equal(queued->tag, 17);
    assert_int_equal(queued->missing, WEIR_MISSING_START);
    assert_string_equal(queued->name, "operation");            /* its kind has no name */
    assert_int_equal(queued->worker, -1);
    probe_release(&busy);
    probe_wait(&waiting);
}

static void parked_work_is_not_running(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    probe.count = 3;
    assert_ok(weir_op_start(session, &streams_acked, &probe, NULL, NULL));
    gate_wait(&probe.parked);
    tally_wait(&probe.items, 1);
    struct asked asked = ask_until(WEIR_MISSING_START | WEIR_MISSING_ACK);
    assert_int_equal(asked.report.parked, 1);
    assert_int_equal(asked.report.running, 0);
    assert_int_equal(asked.report.delivered, 1);
    begin_close();
    (void)ask_until(WEIR_MISSING_ACK);
    assert_ok(weir_op_ack(probe.op, 1));
    probe_wait(&probe);
    (void)ask_until(WEIR_MISSING_ACK);                         /* the final's */
    assert_ok(weir_op_ack(probe.op, 2));
    end_close();
}

/* ---- where and since when ---- */

static _Atomic int64_t now_ns;

static int64_t stepped(void *ctx)
{
    (void)ctx;
    return now_ns;
}

/* A call site of its own: the blocker's place lies within. */
__attribute__((noinline)) static weir_op start_from_here(void *ctx)
{
    weir_op op = { 0 };
    assert_ok(weir_op_start(session, &holds, ctx, NULL, &op));
    return op;
}

static void open_stepped(void)
{
    now_ns = INT64_C(1000000000);
    app = app_open_with(WEIR_NEW(weir_app_options, .workers = 2, .now = stepped));
    session = session_open_with(app, NULL);
}

static void a_blocker_has_an_age_and_the_place_of_its_start(void **unused)
{
    (void)unused;
    struct probe first, second;
    open_stepped();
    probe_init(&first);
    probe_init(&second);
    weir_op ops[2] = { start_from_here(&first), start_from_here(&second) };
    gate_wait(&first.entered);
    gate_wait(&second.entered);
    now_ns += INT64_C(2500000000);
    struct asked asked = ask();
    assert_int_equal(asked.report.blockers_found, 2);
    assert_int_equal(asked.blocker[0].age_ns, UINT64_C(2500000000));
    assert_int_equal(asked.blocker[1].age_ns, UINT64_C(2500000000));
    assert_ptr_equal(asked.blocker[0].site, asked.blocker[1].site);
    uintptr_t site = (uintptr_t)asked.blocker[0].site, here = (uintptr_t)start_from_here;
    assert_in_range(site, here, here + 4096);
    for (int i = 0; i < 2; i++)
        assert_ok(weir_op_close(ops[i]));
    probe_release(&first);
    probe_release(&second);
    app_close(app);
}

/* ---- the report itself ---- */

static void what_there_is_no_room_for_is_counted(void **unused)
{
    (void)unused;
    enum { COUNT = 5 };
    weir_op op[COUNT];
    struct probe probe;
    probe_init(&probe);
    for (int i = 0; i < COUNT; i++)
        op[i] = start(&ends, NULL);
    tally_wait(&seen.finals, COUNT);
    weir_blocker two[2];
    weir_report report = { .size = sizeof(report), .blockers = two, .blockers_max = 2 };
    assert_ok(weir_session_inspect(session, &report));
    assert_int_equal(report.blockers_found, COUNT);
    assert_int_equal(report.handles_open, COUNT);
    assert_ptr_equal(report.blockers, two);
    assert_int_equal(report.blockers_max, 2);
    assert_int_equal(report.size, sizeof(report));
    for (int i = 0; i < COUNT; i++)
        assert_ok(weir_op_close(op[i]));
}

static void a_report_that_is_too_small_is_refused_untouched(void **unused)
{
    (void)unused;
    weir_report report = { .size = sizeof(report) - 1, .accepted = 77 };
    assert_status(weir_session_inspect(session, &report), WEIR_INVALID);
    assert_status(weir_session_wait(session, 0, &report), WEIR_INVALID);
    assert_status(weir_app_close(app, 0, &report), WEIR_INVALID);
    assert_int_equal(report.accepted, 77);
    report = (weir_report){ .size = sizeof(report), .blockers_max = 1, .accepted = 77 };
    assert_status(weir_session_inspect(session, &report), WEIR_INVALID);
    assert_int_equal(report.accepted, 77);
    assert_status(weir_session_inspect(session, NULL), WEIR_INVALID);
}

static void a_wait_that_runs_out_says_what_is_missing(void **unused)
{
    (void)unused;
    weir_blocker one;
    weir_report report = { .size = sizeof(report), .blockers = &one, .blockers_max = 1 };
    weir_op op = start(&ends, NULL);
    tally_wait(&seen.finals, 1);
    begin_close();
    (void)ask_until(WEIR_MISSING_HANDLE);
    assert_status(weir_session_wait(session, 0, &report), WEIR_TIMED_OUT);
    assert_int_equal(report.blockers_found, 1);
    assert_int_equal(one.op.bits, op.bits);
    assert_int_equal(one.missing, WEIR_MISSING_HANDLE);
    assert_ok(weir_op_close(op));
    end_close();
}

static const weir_kind abandoned = KIND(.work = work_holds, .on_result = on_result, .gone = on_gone);

static void a_worker_that_is_lost_in_abandoned_work_is_reported(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    assert_ok(weir_op_start(session, &abandoned, &probe, NULL, NULL));
    gate_wait(&probe.entered);
    closing = (struct closing)CLOSING_INIT;
    weir_close_options options = {
        .size = sizeof(options), .abandon = true, .closed = closing_done, .ctx = &closing,
    };
    assert_ok(weir_session_close_with(session, &options));
    end_close();
    assert_int_equal(closing.report.outcome, WEIR_OUTCOME_ABANDONED);
    assert_int_equal(closing.report.abandoned, 1);
    assert_int_equal(closing.report.accepted, 1);
    assert_int_equal(closing.report.workers_lost, 1);
    gate_open(&probe.leave);
    tally_wait(&probe.gones, 1);
}

static struct {
    struct gate done;
    weir_status status, wait, close;
    weir_report report;
    weir_session session;
} within;

static void inspect_within(const weir_report *report, void *ctx)
{
    (void)report;
    (void)ctx;
    within.report = (weir_report){ .size = sizeof(weir_report) };
    within.status = weir_session_inspect(within.session, &within.report);
    within.wait = weir_session_wait(within.session, WEIR_FOREVER, NULL);
    within.close = weir_session_close(within.session, NULL, NULL);
    gate_open(&within.done);
}

static void inside_the_close_callback_the_phase_is_closed(void **unused)
{
    (void)unused;
    within.done = (struct gate)GATE_INIT;
    within.session = session;
    start_closed(&ends, NULL);
    tally_wait(&seen.finals, 1);
    assert_ok(weir_session_close(session, inspect_within, NULL));
    gate_wait(&within.done);
    wait_until_closed(session);
    assert_int_equal(within.status, WEIR_OK);
    assert_int_equal(within.report.phase, WEIR_PHASE_CLOSED);
    assert_int_equal(within.report.accepted, 1);
    assert_int_equal(within.report.completed, 1);
    assert_int_equal(within.wait, WEIR_WOULD_DEADLOCK);
    assert_int_equal(within.close, WEIR_CLOSING);
    weir_report after = { .size = sizeof(after) };
    assert_status(weir_session_inspect(session, &after), WEIR_STALE);
}

static void the_application_of_a_session_is_known_until_it_is_closed(void **unused)
{
    (void)unused;
    weir_app of = { 0 };
    assert_ok(weir_session_app(session, &of));
    assert_int_equal(of.bits, app.bits);
    (void)session_close(session);
    of.bits = 5;
    assert_status(weir_session_app(session, &of), WEIR_STALE);
    assert_int_equal(of.bits, 5);
    assert_status(weir_session_app(session, NULL), WEIR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lost_token_is_named),
        TEST(a_missing_acknowledgement_is_named),
        TEST(an_open_handle_is_named),
        TEST(running_work_is_named_with_its_worker),
        TEST(a_blocker_tells_its_progress),
        TEST(a_running_hook_is_named),
        TEST(a_running_callback_is_named_with_its_worker),
        TEST_ONE_WORKER(what_waits_for_a_worker_is_named),
        TEST(parked_work_is_not_running),
        cmocka_unit_test(a_blocker_has_an_age_and_the_place_of_its_start),
        TEST(what_there_is_no_room_for_is_counted),
        TEST(a_report_that_is_too_small_is_refused_untouched),
        TEST(a_wait_that_runs_out_says_what_is_missing),
        TEST(a_worker_that_is_lost_in_abandoned_work_is_reported),
        TEST(inside_the_close_callback_the_phase_is_closed),
        TEST(the_application_of_a_session_is_known_until_it_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
