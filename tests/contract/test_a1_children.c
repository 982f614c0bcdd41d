/* SPDX-License-Identifier: Apache-2.0 */
/* test_a1_children.c - A1, S11: the reason of an application's close in the children of its sessions */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <weir/weir.h>

#include "tests/support/session_fixture.h"

static int setup_only(void **unused)
{
    (void)unused;
    return setup_workers(test_workers());
}

/* A start looks for what the parent has cancelled, before it is refused. */
static void it_is_the_applications_whoever_brings_it_to_the_child(void **unused)
{
    (void)unused;
    struct probe probe;
    struct busy busy;
    weir_session child = session_open_with(app, WEIR_NEW(weir_session_options, .parent = session));
    probe_init(&probe);
    busy_begin(&busy, test_workers());
    weir_op op = start_in(child, &ends, &probe);  /* the handle keeps the child from ending before the next start */
    assert_status(weir_app_close(app, 0, NULL), WEIR_TIMED_OUT);
    assert_status(weir_op_start(child, &ends, &probe, NULL, NULL), WEIR_CLOSED);
    assert_ok(weir_op_close(op));
    busy_end(&busy);
    app_close(app);
    assert_int_equal(tally_count(&probe.finals), 1);
    assert_int_equal(probe.final.reason, WEIR_REASON_APPLICATION_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_is_the_applications_whoever_brings_it_to_the_child, setup_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
