/* SPDX-License-Identifier: Apache-2.0 */
/* test_a1_report.c - A1: the report of an application's close is of all its sessions, those that have ended included */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

enum { BLOCKERS = 8 };

static void a_close_of_the_application_reports_all_its_sessions(void **unused)
{
    (void)unused;
    struct probe first, second;
    weir_blocker blocker[BLOCKERS];
    weir_report report = { .size = sizeof(report), .blockers = blocker, .blockers_max = BLOCKERS };
    app = app_open_workers(2);
    session = session_open_with(app, NULL);
    weir_session other = session_open_with(app, NULL), ended = session_open_with(app, NULL);
    seen_forget();
    assert_ok(weir_op_start(ended, &ends, NULL, NULL, NULL));
    tally_wait(&seen.finals, 1);
    (void)session_close(ended);
    probe_hold(&first, session);
    probe_hold(&second, other);
    assert_status(weir_app_close(app, 0, &report), WEIR_TIMED_OUT);
    assert_int_equal(report.blockers_found, 2);
    assert_int_equal(report.running, 2);
    assert_int_equal(report.accepted, 3);
    assert_int_equal(report.completed, 1);
    assert_int_equal(blocker[0].missing, WEIR_MISSING_WORK);
    assert_int_equal(blocker[1].missing, WEIR_MISSING_WORK);
    gate_open(&first.leave);
    gate_open(&second.leave);
    assert_status(weir_app_close(app, WEIR_FOREVER, &report), WEIR_OK);
    assert_int_equal(report.phase, WEIR_PHASE_CLOSED);
    assert_int_equal(report.blockers_found, 0);
    assert_int_equal(report.accepted, 3);
    assert_int_equal(report.completed, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_close_of_the_application_reports_all_its_sessions) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
