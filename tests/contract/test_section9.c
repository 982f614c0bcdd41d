/* SPDX-License-Identifier: Apache-2.0 */
/* test_section9.c - section 9: what a caller does wrong is answered where it can be recognised; a
 * failing call leaves its outputs untouched and takes nothing; structs start with their size */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

static void an_open_with_wrong_options_writes_nothing(void **unused)
{
    (void)unused;
    weir_app app = {77};
    assert_status(weir_app_open(NULL, NULL), WEIR_INVALID);
    weir_app_options options = {.size = sizeof options - 1, .workers = 1};
    assert_status(weir_app_open(&options, &app), WEIR_INVALID);
    options = (weir_app_options){.workers = 1};
    assert_status(weir_app_open(&options, &app), WEIR_INVALID);
    assert_status(weir_app_open(WEIR_NEW(weir_app_options, .workers = 1025), &app), WEIR_INVALID);
    assert_status(weir_app_open(WEIR_NEW(weir_app_options, .workers = 1, .blocking_max = 5000), &app),
                  WEIR_INVALID);
    assert_int_equal(app.bits, 77);
}

static void a_struct_from_a_later_version_is_accepted(void **unused)
{
    (void)unused;
    struct {
        weir_app_options options;
        uint64_t later[4];
    } newer = {.options = {.size = sizeof newer, .workers = 1}, .later = {1, 2, 3, 4}};
    struct {
        weir_queue_options options;
        uint64_t later[4];
    } queue_newer = {.options = {.size = sizeof queue_newer}};
    weir_app app = app_open_with(&newer.options);
    (void)queue_open_with(lane_of(app), &queue_newer.options);
    app_close(app);
}

static void a_queue_open_with_wrong_options_writes_nothing(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = {77};
    weir_queue_options small = {.size = sizeof small - 1};
    assert_status(weir_queue_open(lane_of(app), NULL, NULL), WEIR_INVALID);
    assert_status(weir_queue_open(lane_of(app), &small, &queue), WEIR_INVALID);
    assert_status(weir_queue_open(lane_of(app), WEIR_NEW(weir_queue_options, .full = 9), &queue), WEIR_INVALID);
    assert_status(weir_queue_open(lane_of(app), WEIR_NEW(weir_queue_options, .concurrent = true, .reply = true),
                                  &queue), WEIR_INVALID);
    assert_status(weir_queue_open(lane_of(app), WEIR_NEW(weir_queue_options, .full = WEIR_FULL_CALLER_RUNS),
                                  &queue), WEIR_INVALID);
    weir_queue closed = serial_open(app);
    struct hold hold;
    hold_begin(&hold, closed);
    assert_ok(weir_queue_close(closed, false, NULL));
    assert_status(weir_queue_open(closed, NULL, &queue), WEIR_CLOSED);
    assert_int_equal(queue.bits, 77);
    hold_end(&hold);
    app_close(app);
}

static void a_job_without_a_function_is_refused(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue serial = serial_open(app);
    weir_job empty = {.fn = NULL};
    weir_timer timer = {.job = {.fn = NULL}};
    weir_fdwait wait = {.events = WEIR_READABLE};
    weir_job *list[] = {&empty};
    size_t accepted = 77;
    assert_status(weir_job_submit(serial, &empty), WEIR_INVALID);
    assert_status(weir_job_submit(serial, NULL), WEIR_INVALID);
    assert_status(weir_job_submit_wait(serial, &empty, 0), WEIR_INVALID);
    assert_status(weir_job_submit_list(serial, list, 1, &accepted), WEIR_INVALID);
    assert_int_equal(accepted, 0);
    accepted = 77;
    assert_status(weir_job_submit_list(serial, NULL, 1, &accepted), WEIR_INVALID);
    assert_int_equal(accepted, 0);
    assert_status(weir_job_submit_list(serial, list, 1, NULL), WEIR_INVALID);
    assert_ok(weir_job_submit_list(serial, NULL, 0, &accepted));
    assert_status(weir_timer_start(serial, &timer, 1, 0), WEIR_INVALID);
    assert_status(weir_timer_start(serial, NULL, 1, 0), WEIR_INVALID);
    assert_status(weir_fdwait_start(serial, &wait, 0), WEIR_INVALID);
    assert_status(weir_fdwait_start(serial, NULL, 0), WEIR_INVALID);
    assert_status(weir_queue_close(serial, false, &empty), WEIR_INVALID);
    assert_status(weir_app_run(app, NULL, NULL, false), WEIR_INVALID);
    struct record record;
    record_init(&record);
    assert_ok(weir_job_submit(serial, &record.job)); /* the queue is as it was */
    record_wait(&record);
    app_close(app);
}

static void a_timer_with_a_negative_period_is_refused(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct record record;
    record_init(&record);
    weir_timer timer = {.job = {.fn = record_run, .ctx = &record}};
    assert_status(weir_timer_start(lane_of(app), &timer, 1, -1), WEIR_INVALID);
    assert_status(weir_job_cancel(&timer.job), WEIR_NOT_FOUND);
    app_close(app);
}

static void a_job_in_flight_is_busy_and_its_flight_is_not_disturbed(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = serial_open(app);
    struct hold hold;
    struct record record, timed;
    record_init(&record);
    record_init(&timed);
    weir_timer timer = {.job = {.fn = record_run, .ctx = &timed}};
    weir_job *list[] = {&record.job};
    size_t accepted = 77;
    hold_begin(&hold, queue);
    assert_ok(weir_job_submit(queue, &record.job));
    assert_status(weir_job_submit(queue, &record.job), WEIR_BUSY);
    assert_status(weir_job_submit(lane_of(app), &record.job), WEIR_BUSY);
    assert_status(weir_job_submit_list(lane_of(app), list, 1, &accepted), WEIR_BUSY);
    assert_int_equal(accepted, 0);
    assert_status(weir_fork(&record.job), WEIR_BUSY);
    assert_status(weir_join(&record.job), WEIR_INVALID);
    assert_status(weir_queue_close(queue, false, &record.job), WEIR_BUSY);
    assert_ok(weir_timer_start(queue, &timer, WEIR_FOREVER, 0));
    assert_status(weir_timer_start(queue, &timer, 1, 0), WEIR_BUSY);
    assert_status(weir_job_submit(queue, &timer.job), WEIR_BUSY);
    assert_ok(weir_job_cancel(&timer.job));
    hold_end(&hold);
    record_wait(&record);
    record_wait(&timed);
    app_close(app);
    assert_int_equal(tally_count(&record.calls), 1);
    assert_int_equal(tally_count(&timed.calls), 1);
    assert_int_equal(timed.status, WEIR_CANCELED);
}

static void a_list_that_names_a_job_twice_takes_it_once(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(1);
    struct hold hold;
    struct record record;
    size_t accepted = 77;
    record_init(&record);
    weir_job *list[] = {&record.job, &record.job};
    hold_begin(&hold, lane_of(app));
    assert_status(weir_job_submit_list(lane_of(app), list, 2, &accepted), WEIR_BUSY);
    assert_int_equal(accepted, 1);
    hold_end(&hold);
    app_close(app);
    assert_int_equal(tally_count(&record.calls), 1);
}

static void every_status_of_the_work_queue_has_a_name_and_a_sentence(void **unused)
{
    (void)unused;
    for (weir_status status = 0; status < WEIR_STATUS_COUNT; status++) {
        assert_true(strncmp(weir_status_name(status), "WEIR_", 5) == 0);
        assert_true(strlen(weir_status_text(status)) > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_with_wrong_options_writes_nothing),
        cmocka_unit_test(a_struct_from_a_later_version_is_accepted),
        cmocka_unit_test(a_queue_open_with_wrong_options_writes_nothing),
        cmocka_unit_test(a_job_without_a_function_is_refused),
        cmocka_unit_test(a_timer_with_a_negative_period_is_refused),
        cmocka_unit_test(a_job_in_flight_is_busy_and_its_flight_is_not_disturbed),
        cmocka_unit_test(a_list_that_names_a_job_twice_takes_it_once),
        cmocka_unit_test(every_status_of_the_work_queue_has_a_name_and_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
