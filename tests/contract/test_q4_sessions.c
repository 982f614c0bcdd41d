/* SPDX-License-Identifier: Apache-2.0 */
/* test_q4_sessions.c - Q4 for sessions: live_max counts operations, and nothing else that is inside */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

static struct probe probes[4];
static struct gate in_final, leave_final;

static weir_session open_narrow(uint32_t live_max)
{
    return session_open_with(app, WEIR_NEW(weir_session_options, .live_max = live_max));
}

static weir_status start_one_more(weir_session in, struct probe *probe)
{
    probe_init(probe);
    return weir_op_start(in, &defers, probe, NULL, NULL);
}

static void there_are_so_many_and_no_more(void **unused)
{
    (void)unused;
    weir_session narrow = open_narrow(3);
    for (int i = 0; i < 3; i++)
        assert_ok(start_one_more(narrow, &probes[i]));
    assert_status(start_one_more(narrow, &probes[3]), WEIR_LIMIT);
}

static void one_that_has_left_makes_room_for_one(void **unused)
{
    (void)unused;
    weir_session narrow = open_narrow(2);
    for (int i = 0; i < 2; i++)
        probe_defer_closed(&probes[i], narrow, &defers);
    assert_ok(weir_token_complete(probes[0].token, WEIR_OK, NULL, 0));
    weir_status status;
    while ((status = start_one_more(narrow, &probes[2])) == WEIR_LIMIT)
        (void)sched_yield();
    assert_ok(status);
    assert_status(start_one_more(narrow, &probes[3]), WEIR_LIMIT);
}

static void a_start_that_is_refused_takes_no_place(void **unused)
{
    (void)unused;
    weir_session narrow = open_narrow(1);
    weir_queue full = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .limit = 1));
    probe_init(&probes[0]);
    assert_ok(weir_op_start(session, &defers, &probes[0], WEIR_NEW(weir_op_options, .queue = full), NULL));
    assert_status(weir_op_start(narrow, &defers, &probes[1], WEIR_NEW(weir_op_options, .queue = full), NULL),
                  WEIR_FULL);
    assert_ok(start_one_more(narrow, &probes[1]));
}

static void a_child_is_no_operation(void **unused)
{
    (void)unused;
    weir_session narrow = open_narrow(1);
    (void)session_open_with(app, WEIR_NEW(weir_session_options, .parent = narrow));
    assert_ok(start_one_more(narrow, &probes[0]));
}

static void final_that_waits(const weir_result *r, void *ctx)
{
    (void)r, (void)ctx;
    gate_open(&in_final);
    gate_wait(&leave_final);
}

/* The worker is inside the session as well as its operation. */
static void a_worker_is_no_operation(void **unused)
{
    (void)unused;
    static const weir_kind waits = KIND(.work = work_ends, .on_result = final_that_waits);
    in_final = leave_final = (struct gate)GATE_INIT;
    weir_session narrow = open_narrow(2);
    probe_init(&probes[0]);
    assert_ok(weir_op_start(narrow, &waits, &probes[0], NULL, NULL));
    gate_wait(&in_final);
    weir_status status = start_one_more(narrow, &probes[1]);
    gate_open(&leave_final);
    assert_ok(status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(there_are_so_many_and_no_more),
        TEST(one_that_has_left_makes_room_for_one),
        TEST(a_start_that_is_refused_takes_no_place),
        TEST(a_child_is_no_operation),
        TEST(a_worker_is_no_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
