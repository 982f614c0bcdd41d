/* SPDX-License-Identifier: Apache-2.0 */
/* test_h1.c - H1: handles are values. Any bit pattern is safe to pass: one that equals no live handle
 * answers STALE or INVALID, also during and after its application's close. Limits are stated */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

static void nothing(weir_job *job, weir_status status)
{
    (void)job;
    (void)status;
}

/* The answers of every function that takes a handle, to the same bits. */
enum { CALLS = 12 };

static void call_all(uint64_t bits, weir_status answers[CALLS])
{
    weir_queue queue = {bits}, out = {0};
    weir_app app = {bits};
    weir_job job = {.fn = nothing};
    weir_job *jobs[] = {&job};
    weir_timer timer = {.job = {.fn = nothing}};
    weir_fdwait wait = {.timer = {.job = {.fn = nothing}}, .fd = 0, .events = WEIR_READABLE};
    size_t accepted;
    int n = 0;
    answers[n++] = weir_job_submit(queue, &job);
    answers[n++] = weir_job_submit_list(queue, jobs, 1, &accepted);
    answers[n++] = weir_job_submit_wait(queue, &job, 0);
    answers[n++] = weir_timer_start(queue, &timer, 1, 0);
    answers[n++] = weir_fdwait_start(queue, &wait, 0);
    answers[n++] = weir_queue_open(queue, NULL, &out);
    answers[n++] = weir_queue_close(queue, false, NULL);
    answers[n++] = weir_job_reply((weir_token){bits});
    answers[n++] = weir_app_tick(app);
    answers[n++] = weir_app_run(app, nothing, NULL, false);
    answers[n++] = weir_app_run(app, nothing, NULL, true);
    answers[n++] = weir_app_close(app, 0, NULL);
    assert_int_equal(n, CALLS);
    assert_int_equal(out.bits, 0);
    assert_status(weir_job_cancel(&job), WEIR_NOT_FOUND); /* nothing was taken */
    assert_status(weir_job_cancel(&timer.job), WEIR_NOT_FOUND);
}

static void check_refused(uint64_t bits)
{
    weir_status answers[CALLS];
    call_all(bits, answers);
    for (int i = 0; i < CALLS; i++)
        assert_true(answers[i] == WEIR_STALE || answers[i] == WEIR_INVALID);
}

static void zero_is_no_handle(void **unused)
{
    (void)unused;
    weir_status answers[CALLS];
    call_all(0, answers);
    for (int i = 0; i < CALLS; i++)
        assert_int_equal(answers[i], WEIR_INVALID);
    assert_int_equal(weir_app_queue((weir_app){0}, WEIR_NORMAL).bits, 0);
}

static void random_bits_are_refused_with_and_without_applications(void **unused)
{
    (void)unused;
    uint64_t state = test_seed();
    for (int round = 0; round < 2; round++) {
        weir_app app = {0};
        if (round == 1)
            app = app_open();
        for (int i = 0; i < 3000; i++)
            check_refused(test_random(&state) << (i % 8));
        if (round == 1)
            app_close(app);
    }
}

/* Each single bit of a live handle matters: with any other it is no live one, or an equal's. */
static void a_live_handle_with_one_bit_changed_is_refused(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = serial_open(app);
    uint64_t lanes[4];
    for (uint8_t lane = 0; lane < 4; lane++)
        lanes[lane] = weir_app_queue(app, lane).bits;
    uint64_t handles[] = {app.bits, queue.bits, lanes[0]};
    for (int h = 0; h < 3; h++)
        for (int bit = 0; bit < 64; bit++) {
            uint64_t changed = handles[h] ^ UINT64_C(1) << bit;
            bool live = changed == app.bits || changed == queue.bits;
            for (int lane = 0; lane < 4; lane++)
                live = live || changed == lanes[lane];
            if (!live)
                check_refused(changed);
        }
    app_close(app);
}

static void a_handle_of_another_kind_is_invalid(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = serial_open(app);
    weir_job job = {.fn = nothing};
    assert_status(weir_job_submit((weir_queue){app.bits}, &job), WEIR_INVALID);
    assert_status(weir_app_tick((weir_app){queue.bits}), WEIR_INVALID);
    assert_status(weir_app_close((weir_app){queue.bits}, 0, NULL), WEIR_INVALID);
    assert_status(weir_job_reply((weir_token){queue.bits}), WEIR_INVALID);
    assert_status(weir_queue_close(lane_of(app), false, NULL), WEIR_INVALID);
    assert_int_equal(weir_app_queue(app, 4).bits, 0);
    assert_int_equal(weir_app_queue((weir_app){queue.bits}, 0).bits, 0);
    app_close(app);
}

static void handles_of_a_closed_application_are_stale_also_when_its_number_is_used_again(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(1);
    weir_queue queue = serial_open(app), lane = lane_of(app);
    app_close(app);
    check_refused(app.bits);
    check_refused(queue.bits);
    check_refused(lane.bits);
    for (int i = 0; i < 70; i++) {               /* more than there are numbers */
        weir_app next = app_open_workers(1);
        weir_queue of_next = serial_open(next);
        assert_true(next.bits != app.bits && of_next.bits != queue.bits);
        check_refused(app.bits);
        check_refused(queue.bits);
        check_refused(lane.bits);
        app_close(next);
    }
}

static void a_closed_queues_handle_is_stale_also_when_its_slot_is_used_again(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue old = {0};
    for (int i = 0; i < 200; i++) {
        weir_queue queue = serial_open(app);
        struct record closed;
        record_init(&closed);
        if (i > 0)
            check_refused(old.bits);
        assert_ok(weir_queue_close(queue, false, &closed.job));
        record_wait(&closed);
        old = queue;
    }
    check_refused(old.bits);
    app_close(app);
}

static void during_the_close_handles_answer_shutdown_and_take_nothing(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    weir_queue queue = serial_open(app);
    struct hold hold;
    struct record record;
    record_init(&record);
    hold_begin(&hold, queue);
    assert_status(weir_app_close(app, 0, NULL), WEIR_TIMED_OUT);
    assert_status(weir_job_submit(queue, &record.job), WEIR_SHUTDOWN);
    assert_status(weir_job_submit(lane_of(app), &record.job), WEIR_SHUTDOWN);
    assert_status(weir_job_submit_wait(queue, &record.job, WEIR_FOREVER), WEIR_SHUTDOWN);
    assert_status(weir_app_run(app, nothing, NULL, false), WEIR_SHUTDOWN);
    assert_status(weir_app_run(app, nothing, NULL, true), WEIR_SHUTDOWN);
    weir_queue out = {0};
    assert_status(weir_queue_open(lane_of(app), NULL, &out), WEIR_SHUTDOWN);
    hold_end(&hold);
    app_close(app);
    assert_status(weir_job_cancel(&record.job), WEIR_NOT_FOUND);
}

static void there_are_63_applications_at_a_time(void **unused)
{
    (void)unused;
    weir_app apps[63], one_more = {77};
    for (int i = 0; i < 63; i++)
        apps[i] = app_open_with(WEIR_NEW(weir_app_options, .workers = 1, .blocking_max = 1));
    assert_status(weir_app_open(NULL, &one_more), WEIR_LIMIT);
    assert_int_equal(one_more.bits, 77);
    app_close(apps[62]);
    apps[62] = app_open_workers(1);
    for (int i = 0; i < 63; i++)
        app_close(apps[i]);
}

struct stale_caller {
    weir_queue queue;
    _Atomic bool stop;
    uint64_t accepted, wrong;
    struct tally *ran;
};

static void count_run(weir_job *job, weir_status status)
{
    (void)status;
    struct tally *ran = job->ctx;
    free(job);
    tally_add(ran, 1);
}

static void *call_until_stopped(void *arg)
{
    struct stale_caller *c = arg;
    while (!atomic_load(&c->stop)) {
        weir_job *job = calloc(1, sizeof *job);
        if (job == NULL)
            break;
        *job = (weir_job){.fn = count_run, .ctx = c->ran};
        weir_status status = weir_job_submit(c->queue, job);
        if (status == WEIR_OK) {
            c->accepted++;
            continue;
        }
        free(job);
        c->wrong += status != WEIR_SHUTDOWN && status != WEIR_STALE && status != WEIR_CLOSED;
        if (status == WEIR_STALE)
            break;
    }
    return NULL;
}

static void calls_beside_a_close_are_accepted_and_run_or_refused(void **unused)
{
    (void)unused;
    for (int round = 0; round < 50; round++) {
        struct tally ran = TALLY_INIT;
        weir_app app = app_open();
        struct stale_caller callers[3] = {{.queue = lane_of(app), .ran = &ran},
                                          {.queue = serial_open(app), .ran = &ran},
                                          {.queue = weir_app_queue(app, WEIR_BLOCKING), .ran = &ran}};
        pthread_t threads[3];
        uint64_t accepted = 0;
        for (int i = 0; i < 3; i++)
            threads[i] = thread_start(call_until_stopped, &callers[i]);
        tally_wait(&ran, 10);
        app_close(app);
        for (int i = 0; i < 3; i++) {
            atomic_store(&callers[i].stop, true);
            thread_join(threads[i]);
            accepted += callers[i].accepted;
            assert_int_equal(callers[i].wrong, 0);
        }
        assert_int_equal(tally_count(&ran), accepted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_is_no_handle),
        cmocka_unit_test(random_bits_are_refused_with_and_without_applications),
        cmocka_unit_test(a_live_handle_with_one_bit_changed_is_refused),
        cmocka_unit_test(a_handle_of_another_kind_is_invalid),
        cmocka_unit_test(handles_of_a_closed_application_are_stale_also_when_its_number_is_used_again),
        cmocka_unit_test(a_closed_queues_handle_is_stale_also_when_its_slot_is_used_again),
        cmocka_unit_test(during_the_close_handles_answer_shutdown_and_take_nothing),
        cmocka_unit_test(there_are_63_applications_at_a_time),
        cmocka_unit_test(calls_beside_a_close_are_accepted_and_run_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
