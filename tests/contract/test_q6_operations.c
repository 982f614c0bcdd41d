/* SPDX-License-Identifier: Apache-2.0 */
/* test_q6_operations.c - Q6, R1: a worker that is free comes for an operation, wherever in its session that is */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <weir/weir.h>

#include "tests/support/session_fixture.h"

/* Two operations wait, after so many others have come and gone; the first one's work ends only after the second's
 * final. */
static void two_after(uint32_t others)
{
    struct probe first, second;
    struct busy busy;
    weir_session in = session_open_with(app, WEIR_NEW(weir_session_options, .reserve = 200));
    seen_forget();
    for (uint32_t i = 0; i < others; i++) {
        assert_ok(weir_op_start(in, &ends, NULL, NULL, NULL));
        tally_wait(&seen.finals, i + 1);
    }
    probe_init(&first);
    probe_init(&second);
    busy_begin(&busy, 2);
    assert_ok(weir_op_start(in, &holds, &first, NULL, NULL));
    assert_ok(weir_op_start(in, &ends, &second, NULL, NULL));
    busy_end(&busy);
    gate_wait(&first.entered);
    probe_wait(&second);
    probe_release(&first);
    session_close(in);
}

static void work_that_blocks_holds_up_none_that_waits_beside_it(void **unused)
{
    (void)unused;
    for (uint32_t others = 0; others < 130; others++)          /* wherever their slots are */
        two_after(others);
}

static int setup_exactly_two_workers(void **unused)
{
    (void)unused;
    return setup_workers(2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(work_that_blocks_holds_up_none_that_waits_beside_it,
                                        setup_exactly_two_workers, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
