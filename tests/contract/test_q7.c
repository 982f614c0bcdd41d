/* SPDX-License-Identifier: Apache-2.0 */
/* test_q7.c - Q7: the monotonic clock is an option of the application, so that timers and deadlines
 * are tested by stepping it */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

static void without_a_step_no_timer_comes_and_with_it_those_that_are_due_do(void **unused)
{
    (void)unused;
    struct stepped_clock clock;
    weir_app app = app_open_stepped(&clock, test_workers());
    enum { COUNT = 50 };
    static struct record records[COUNT];
    static weir_timer timers[COUNT];
    for (int i = 0; i < COUNT; i++) {
        record_init(&records[i]);
        timers[i] = (weir_timer){.job = {.fn = record_run, .ctx = &records[i]}};
        /* microseconds, real and stepped, are far apart: real ones are over at once */
        assert_ok(weir_timer_start(lane_of(app), &timers[i], 1000 * (i + 1), 0));
    }
    assert_ok(weir_app_tick(app));
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(tally_count(&records[i].calls), 0);
    for (int i = 0; i < COUNT; i++) {
        clock_step(&clock, app, 1000);
        record_wait(&records[i]);
        if (i + 1 < COUNT)
            assert_int_equal(tally_count(&records[i + 1].calls), 0);
    }
    app_close(app);
}

static void the_time_out_of_a_descriptor_wait_is_stepped_too(void **unused)
{
    (void)unused;
    struct stepped_clock clock;
    weir_app app = app_open_stepped(&clock, test_workers());
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct record record;
    record_init(&record);
    weir_fdwait wait = {.timer = {.job = {.fn = record_run, .ctx = &record}},
                        .fd = ends[0], .events = WEIR_READABLE};
    assert_ok(weir_fdwait_start(lane_of(app), &wait, 1000));
    clock_step(&clock, app, 999);
    assert_int_equal(tally_count(&record.calls), 0);
    clock_step(&clock, app, 1);
    record_wait(&record);
    assert_int_equal(record.status, WEIR_OK);
    assert_int_equal(wait.ready, 0);
    app_close(app);
    close(ends[0]);
    close(ends[1]);
}

static void the_time_outs_of_waiting_calls_are_real_all_the_same(void **unused)
{
    (void)unused;
    struct stepped_clock clock;
    weir_app app = app_open_stepped(&clock, test_workers());
    struct hold hold;
    hold_begin(&hold, lane_of(app));
    assert_status(weir_job_cancel_wait(&hold.job, 1000000), WEIR_TIMED_OUT);
    assert_status(weir_app_close(app, 1000000, NULL), WEIR_TIMED_OUT);
    hold_end(&hold);
    app_close(app);
}

static void a_long_step_lets_a_periodic_timer_tick_once(void **unused)
{
    (void)unused;
    struct stepped_clock clock;
    weir_app app = app_open_stepped(&clock, 1);
    struct record record, probe;
    record_init(&record);
    record_init(&probe);
    weir_timer timer = {.job = {.fn = record_run, .ctx = &record}};
    assert_ok(weir_timer_start(lane_of(app), &timer, 10, 10));
    clock_step(&clock, app, 100000);
    record_wait(&record);
    assert_ok(weir_job_submit(lane_of(app), &probe.job));
    record_wait(&probe);
    assert_int_equal(tally_count(&record.calls), 1);
    app_close(app);
    assert_int_equal(tally_count(&record.calls), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_step_no_timer_comes_and_with_it_those_that_are_due_do),
        cmocka_unit_test(the_time_out_of_a_descriptor_wait_is_stepped_too),
        cmocka_unit_test(the_time_outs_of_waiting_calls_are_real_all_the_same),
        cmocka_unit_test(a_long_step_lets_a_periodic_timer_tick_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
