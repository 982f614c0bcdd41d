/* SPDX-License-Identifier: Apache-2.0 */
/* test_h4.c - H4: a double close is STALE (of a queue that is not over yet: CLOSING). Operations come
 * with the sessions */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

static void the_second_close_of_an_application_is_stale(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    app_close(app);
    assert_status(weir_app_close(app, WEIR_FOREVER, NULL), WEIR_STALE);
    assert_status(weir_app_close(app, 0, NULL), WEIR_STALE);
}

static void the_second_close_of_a_queue_is_stale_and_takes_no_job(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = serial_open(app);
    struct record first, second;
    record_init(&first);
    record_init(&second);
    assert_ok(weir_queue_close(queue, false, &first.job));
    record_wait(&first);
    assert_status(weir_queue_close(queue, false, &second.job), WEIR_STALE);
    assert_status(weir_queue_close(queue, true, NULL), WEIR_STALE);
    app_close(app);
    assert_int_equal(tally_count(&first.calls), 1);
    assert_int_equal(tally_count(&second.calls), 0);
}

static void a_second_close_before_the_end_makes_it_an_abort_and_takes_no_job(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = serial_open(app);
    struct hold hold;
    struct record waiting, first, second;
    record_init(&waiting);
    record_init(&first);
    record_init(&second);
    hold_begin(&hold, queue);
    assert_ok(weir_job_submit(queue, &waiting.job));
    assert_ok(weir_queue_close(queue, false, &first.job));
    assert_status(weir_queue_close(queue, true, &second.job), WEIR_CLOSING);
    hold_end(&hold);
    record_wait(&first);
    app_close(app);
    assert_int_equal(waiting.status, WEIR_SHUTDOWN);
    assert_int_equal(tally_count(&waiting.calls), 1);
    assert_int_equal(tally_count(&second.calls), 0);
}

static void the_closed_job_is_in_flight_until_it_is_called(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = serial_open(app), other = serial_open(app);
    struct hold hold;
    struct record closed;
    record_init(&closed);
    hold_begin(&hold, queue);
    assert_ok(weir_queue_close(queue, false, &closed.job));
    assert_status(weir_job_submit(lane_of(app), &closed.job), WEIR_BUSY);
    assert_status(weir_queue_close(other, false, &closed.job), WEIR_BUSY);
    assert_status(weir_job_cancel(&closed.job), WEIR_TOO_LATE);
    assert_status(weir_job_cancel_wait(&closed.job, 0), WEIR_TIMED_OUT);
    hold_end(&hold);
    record_wait(&closed);
    assert_status(weir_job_cancel_wait(&closed.job, WEIR_FOREVER), WEIR_TOO_LATE);
    assert_ok(weir_queue_close(other, false, &closed.job));
    tally_wait(&closed.calls, 2);
    app_close(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_close_of_an_application_is_stale),
        cmocka_unit_test(the_second_close_of_a_queue_is_stale_and_takes_no_job),
        cmocka_unit_test(a_second_close_before_the_end_makes_it_an_abort_and_takes_no_job),
        cmocka_unit_test(the_closed_job_is_in_flight_until_it_is_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
