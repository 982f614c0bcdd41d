/* SPDX-License-Identifier: Apache-2.0 */
/* test_submit.c - what submitting writes into a job, and lists around the size of a chunk */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"
#include "workqueue/job.h"

static void a_submitted_job_knows_its_application_lane_and_queue(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(1);
    struct hold hold;
    struct record in_lane, in_queue;
    hold_begin(&hold, lane_of(app));
    record_init(&in_lane);
    record_init(&in_queue);
    assert_ok(weir_job_submit(weir_app_queue(app, WEIR_LOW), &in_lane.job));
    assert_ok(weir_job_submit(queue_open_with(weir_app_queue(app, WEIR_HIGH), NULL), &in_queue.job));
    assert_int_equal(job_app(job_of(&in_lane.job)), app.bits);
    assert_int_equal(job_of(&in_lane.job)->lane, WEIR_LOW);
    assert_null(job_of(&in_lane.job)->owner);
    assert_int_equal(job_of(&in_queue.job)->lane, WEIR_HIGH);
    assert_non_null(job_of(&in_queue.job)->owner);
    assert_int_equal(job_of(&in_queue.job)->kind, JOB_PLAIN);
    hold_end(&hold);
    app_close(app);
}

static void a_refused_job_is_as_it_was(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(1);
    struct hold hold;
    struct record record;
    weir_queue full = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .limit = 1));
    hold_begin(&hold, full);
    record_init(&record);
    weir_job before = record.job;
    assert_int_equal(weir_job_submit(full, &record.job), WEIR_FULL);
    assert_memory_equal(&record.job, &before, sizeof before);
    hold_end(&hold);
    app_close(app);
}

static void lists_of_every_length_around_a_chunk_are_accepted_whole(void **unused)
{
    (void)unused;
    static const size_t LENGTHS[] = {0, 1, 2, 63, 64, 65, 127, 128, 129, 300};
    enum { MOST = 300 };
    weir_app app = app_open();
    weir_queue queues[] = {lane_of(app), serial_open(app), weir_app_queue(app, WEIR_BLOCKING)};
    static struct record records[MOST];
    weir_job *jobs[MOST];
    for (size_t q = 0; q < 3; q++)
        for (size_t l = 0; l < sizeof LENGTHS / sizeof LENGTHS[0]; l++) {
            size_t accepted = 77;
            for (size_t i = 0; i < MOST; i++) {
                record_init(&records[i]);
                jobs[i] = &records[i].job;
            }
            assert_ok(weir_job_submit_list(queues[q], jobs, LENGTHS[l], &accepted));
            assert_int_equal(accepted, LENGTHS[l]);
            for (size_t i = 0; i < LENGTHS[l]; i++)
                record_wait(&records[i]);
        }
    app_close(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_submitted_job_knows_its_application_lane_and_queue),
        cmocka_unit_test(a_refused_job_is_as_it_was),
        cmocka_unit_test(lists_of_every_length_around_a_chunk_are_accepted_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
