/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_STEPPED_FIXTURE_H
#define WEIR_TESTS_STEPPED_FIXTURE_H

/* stepped_fixture.h - a session on a clock that is stepped. To be included after <cmocka.h>. */

#include "tests/support/session_fixture.h"

static struct stepped_clock clock_of_test;

static inline int setup_stepped_workers(uint32_t workers)
{
    seen_forget();
    app = app_open_stepped(&clock_of_test, workers);
    session = session_open_with(app, NULL);
    return 0;
}

static inline int setup_stepped(void **unused)
{
    (void)unused;
    return setup_stepped_workers(test_workers());
}

static inline int setup_stepped_one_worker(void **unused)
{
    (void)unused;
    return setup_stepped_workers(1);
}

/* What is due by then has been expired when it returns. */
static inline void step(int64_t ns)
{
    clock_step(&clock_of_test, app, ns);
}

#define TEST_STEPPED(name) cmocka_unit_test_setup_teardown(name, setup_stepped, teardown)
#define TEST_STEPPED_ONE_WORKER(name) cmocka_unit_test_setup_teardown(name, setup_stepped_one_worker, teardown)

#endif
