/* SPDX-License-Identifier: Apache-2.0 */
/* test_q3.c - Q3: lanes. Of 64 picks with several lanes non-empty at least 12 are normal and 4 low;
 * blocking jobs have elastic threads of their own */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

/* ---- shares ---- */

enum { PICKS = 64, EACH = 4 * PICKS };

struct tagged {
    weir_job job;
    uint8_t lane;
};

static uint8_t order[3 * EACH];
static unsigned ran;                             /* one worker, and read after its tally */
static struct tally over;

static void tagged_run(weir_job *job, weir_status status)
{
    struct tagged *tagged = job->ctx;
    (void)status;
    order[ran++] = tagged->lane;
    tally_add(&over, 1);
}

static unsigned count_in_window(unsigned from, uint8_t lane)
{
    unsigned count = 0;
    for (unsigned i = from; i < from + PICKS; i++)
        count += order[i] == lane;
    return count;
}

/* Submitted from outside, or by a job of the only worker, so that both of its queues are tried. */
struct batch {
    weir_job job;
    weir_app app;
    struct tagged *jobs;
    struct gate submitted;
    unsigned refused;
};

static void submit_batch(weir_job *job, weir_status status)
{
    struct batch *batch = job->ctx;
    (void)status;
    for (unsigned i = 0; i < 3 * EACH; i++) {
        struct tagged *tagged = &batch->jobs[i];
        tagged->lane = (uint8_t)(i % 3);
        tagged->job = (weir_job){.fn = tagged_run, .ctx = tagged};
        batch->refused += weir_job_submit(weir_app_queue(batch->app, tagged->lane), &tagged->job)
                       != WEIR_OK;
    }
    gate_open(&batch->submitted);
}

static void check_shares(bool from_worker)
{
    weir_app app = app_open_workers(1);
    struct batch batch = {.app = app, .submitted = GATE_INIT};
    struct hold hold;
    batch.job = (weir_job){.fn = submit_batch, .ctx = &batch};
    batch.jobs = calloc(3 * EACH, sizeof *batch.jobs);
    assert_non_null(batch.jobs);
    ran = 0;
    over = (struct tally)TALLY_INIT;
    hold_begin(&hold, lane_of(app));
    if (from_worker)
        assert_ok(weir_job_submit(lane_of(app), &batch.job));
    else
        submit_batch(&batch.job, WEIR_OK);
    hold_end(&hold);
    tally_wait(&over, 3 * EACH);
    assert_int_equal(batch.refused, 0);
    /* High is the first to run out, after at most 256 * 64 / 44 picks: until then all three wait. */
    for (unsigned from = 0; from + PICKS <= EACH; from++) {
        assert_true(count_in_window(from, WEIR_NORMAL) >= 12);
        assert_true(count_in_window(from, WEIR_LOW) >= 4);
        assert_true(count_in_window(from, WEIR_HIGH) >= 32);
    }
    app_close(app);
    free(batch.jobs);
}

static void each_lane_has_its_share_of_jobs_that_come_from_outside(void **unused)
{
    (void)unused;
    check_shares(false);
}

static void each_lane_has_its_share_of_jobs_that_a_worker_submits(void **unused)
{
    (void)unused;
    check_shares(true);
}

/* ---- nobody starves ---- */

struct busy {
    weir_job job;
    weir_queue queue;
    struct gate stop;
    struct gate stopped;
};

static void busy_run(weir_job *job, weir_status status)
{
    struct busy *busy = job->ctx;
    if (status == WEIR_OK && !gate_is_open(&busy->stop)
        && weir_job_submit(busy->queue, job) == WEIR_OK)
        return;
    gate_open(&busy->stopped);
}

static void busy_begin(struct busy *busy, weir_queue queue)
{
    *busy = (struct busy){.queue = queue, .stop = GATE_INIT, .stopped = GATE_INIT};
    busy->job = (weir_job){.fn = busy_run, .ctx = busy};
    assert_ok(weir_job_submit(queue, &busy->job));
}

static void busy_end(struct busy *busy)
{
    gate_open(&busy->stop);
    gate_wait(&busy->stopped);
}

/* The worker's own deques of all lanes are never empty; what comes from outside is in its inboxes. */
static void a_job_from_outside_gets_its_turn_beside_workers_that_feed_themselves(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(1);
    struct busy busy[3];
    for (uint8_t lane = 0; lane < 3; lane++)
        busy_begin(&busy[lane], weir_app_queue(app, lane));
    for (uint8_t lane = 0; lane < 3; lane++) {
        struct record record;
        record_init(&record);
        assert_ok(weir_job_submit(weir_app_queue(app, lane), &record.job));
        record_wait(&record);
    }
    for (uint8_t lane = 0; lane < 3; lane++)
        busy_end(&busy[lane]);
    app_close(app);
}

/* More jobs than the inboxes hold, in each lane, beside feeders: the lists behind them, too. */
static void jobs_beyond_the_inboxes_get_their_turn_beside_workers_that_feed_themselves(void **unused)
{
    (void)unused;
    enum { MANY = 1500 };
    weir_app app = app_open_workers(1);
    struct busy busy[3];
    struct record *records = calloc(3 * MANY, sizeof *records);
    assert_non_null(records);
    for (uint8_t lane = 0; lane < 3; lane++)
        busy_begin(&busy[lane], weir_app_queue(app, lane));
    for (unsigned i = 0; i < 3 * MANY; i++) {
        record_init(&records[i]);
        assert_ok(weir_job_submit(weir_app_queue(app, (uint8_t)(i % 3)), &records[i].job));
    }
    for (unsigned i = 0; i < 3 * MANY; i++)
        record_wait(&records[i]);
    for (uint8_t lane = 0; lane < 3; lane++)
        busy_end(&busy[lane]);
    app_close(app);
    free(records);
}

static void a_lane_does_not_starve_behind_a_worker_that_is_busy_with_another(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(2);
    struct busy high[2];
    busy_begin(&high[0], weir_app_queue(app, WEIR_HIGH));
    busy_begin(&high[1], weir_app_queue(app, WEIR_HIGH));
    struct record record;
    record_init(&record);
    assert_ok(weir_job_submit(weir_app_queue(app, WEIR_LOW), &record.job));
    record_wait(&record);
    busy_end(&high[0]);
    busy_end(&high[1]);
    app_close(app);
}

/* ---- blocking ---- */

static void a_blocking_job_runs_while_all_workers_are_held(void **unused)
{
    (void)unused;
    struct hold holds[64];
    struct record record;
    weir_app app = app_open();
    hold_all(holds, app, test_workers());
    record_init(&record);
    assert_ok(weir_job_submit(weir_app_queue(app, WEIR_BLOCKING), &record.job));
    record_wait(&record);
    release_all(holds, test_workers());
    app_close(app);
}

static void blocking_jobs_up_to_the_limit_run_at_once(void **unused)
{
    (void)unused;
    enum { MOST = 12 };
    struct hold holds[MOST];
    weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = 1, .blocking_max = MOST));
    for (int i = 0; i < MOST; i++)
        hold_begin(&holds[i], weir_app_queue(app, WEIR_BLOCKING));
    release_all(holds, MOST);
    app_close(app);
}

static void blocking_jobs_beyond_the_limit_wait_for_a_thread(void **unused)
{
    (void)unused;
    struct hold hold;
    struct record record, probe;
    weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = 1, .blocking_max = 1));
    hold_begin(&hold, weir_app_queue(app, WEIR_BLOCKING));
    record_init(&record);
    record_init(&probe);
    assert_ok(weir_job_submit(weir_app_queue(app, WEIR_BLOCKING), &record.job));
    assert_ok(weir_job_submit(lane_of(app), &probe.job));
    record_wait(&probe);
    assert_int_equal(tally_count(&record.calls), 0);
    hold_end(&hold);
    record_wait(&record);
    app_close(app);
}

/* Two jobs that wait for each other, again and again: each round one of them meets a thread that is
 * about to sleep, or has just found the other. */
static struct gate_pair {
    struct tally here;
    uint64_t round;
} pair;

static void meet(weir_job *job, weir_status status)
{
    struct tally *left = job->ctx;
    (void)status;
    tally_add(&pair.here, 1);
    tally_wait(&pair.here, 2 * pair.round);
    tally_add(left, 1);
}

static void two_blocking_jobs_always_get_two_threads(void **unused)
{
    (void)unused;
    enum { ROUNDS = 2000 };
    weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = 1, .blocking_max = 8));
    struct tally left = TALLY_INIT;
    pair.here = (struct tally)TALLY_INIT;
    for (pair.round = 1; pair.round <= ROUNDS; pair.round++) {
        weir_job jobs[2] = {{.fn = meet, .ctx = &left}, {.fn = meet, .ctx = &left}};
        assert_ok(weir_job_submit(weir_app_queue(app, WEIR_BLOCKING), &jobs[0]));
        assert_ok(weir_job_submit(weir_app_queue(app, WEIR_BLOCKING), &jobs[1]));
        tally_wait(&left, 2 * pair.round);
    }
    app_close(app);
}

/* One request may stand for several jobs: whoever takes one sees to the rest. */
static void blocking_jobs_that_came_together_all_get_threads(void **unused)
{
    (void)unused;
    enum { JOBS = 6, ROUNDS = 30 };
    for (int round = 0; round < ROUNDS; round++) {
        struct hold holds[JOBS];
        weir_job *list[JOBS];
        size_t accepted;
        weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = 1, .blocking_max = JOBS));
        for (int i = 0; i < JOBS; i++) {
            hold_init(&holds[i]);
            list[i] = &holds[i].job;
        }
        assert_ok(weir_job_submit_list(weir_app_queue(app, WEIR_BLOCKING), list, JOBS, &accepted));
        for (int i = 0; i < JOBS; i++)
            gate_wait(&holds[i].entered);
        release_all(holds, JOBS);
        app_close(app);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_lane_has_its_share_of_jobs_that_come_from_outside),
        cmocka_unit_test(each_lane_has_its_share_of_jobs_that_a_worker_submits),
        cmocka_unit_test(a_job_from_outside_gets_its_turn_beside_workers_that_feed_themselves),
        cmocka_unit_test(jobs_beyond_the_inboxes_get_their_turn_beside_workers_that_feed_themselves),
        cmocka_unit_test(a_lane_does_not_starve_behind_a_worker_that_is_busy_with_another),
        cmocka_unit_test(a_blocking_job_runs_while_all_workers_are_held),
        cmocka_unit_test(blocking_jobs_up_to_the_limit_run_at_once),
        cmocka_unit_test(blocking_jobs_beyond_the_limit_wait_for_a_thread),
        cmocka_unit_test(two_blocking_jobs_always_get_two_threads),
        cmocka_unit_test(blocking_jobs_that_came_together_all_get_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
