/* SPDX-License-Identifier: Apache-2.0 */
/* test_h2.c - H2: every function may be called from any thread and from any callback: here inside
 * jobs of every kind of queue, inside timers' and descriptors' functions, inside the closed job, and
 * on a lent thread */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

/* Calls everything once that does not wait, and counts what was not as it should be. */
struct everything {
    weir_app app;
    int fd;
    struct record plain, listed, timed, ready, above, closed;
    weir_timer timer;
    weir_fdwait wait;
    weir_job replied;
    weir_token token;
    struct gate deferred;
    unsigned line;                               /* of the first call that was answered otherwise */
    struct gate done;
};

static void remember(struct everything *e, bool right, unsigned line)
{
    if (!right && e->line == 0)
        e->line = line;
}
#define right(condition) remember(e, (condition), __LINE__)

static void defer_run(weir_job *job, weir_status status)
{
    struct everything *e = job->ctx;
    if (status == WEIR_OK && weir_job_defer(job, &e->token) == WEIR_OK)
        gate_open(&e->deferred);
}

static void submit_everything(struct everything *e)
{
    weir_queue lane = lane_of(e->app), serial = {0};
    weir_job *list[] = {&e->listed.job};
    size_t accepted;
    right(weir_job_submit(lane, &e->plain.job) == WEIR_OK);
    right(weir_job_submit_list(weir_app_queue(e->app, WEIR_BLOCKING), list, 1, &accepted) == WEIR_OK);
    right(weir_timer_start(lane, &e->timer, WEIR_FOREVER, 0) == WEIR_OK);
    right(weir_job_cancel(&e->timer.job) == WEIR_OK);
    right(weir_fdwait_start(lane, &e->wait, WEIR_FOREVER) == WEIR_OK);
    right(weir_job_cancel(&e->wait.timer.job) == WEIR_OK);
    right(weir_queue_open(lane, NULL, &serial) == WEIR_OK);
    right(weir_job_submit_wait(serial, &e->above.job, WEIR_FOREVER) == WEIR_OK);
    right(weir_queue_close(serial, false, &e->closed.job) == WEIR_OK);
}

static void fork_everything(struct everything *e)
{
    struct record child;
    weir_app inner = {0};
    record_init(&child);
    right(weir_fork(&child.job) == WEIR_OK);
    right(weir_join(&child.job) == WEIR_OK);
    right(tally_count(&child.calls) == 1);
    right(weir_app_tick(e->app) == WEIR_OK);
    right(weir_app_open(WEIR_NEW(weir_app_options, .workers = 1), &inner) == WEIR_OK);
    right(weir_app_close(inner, WEIR_FOREVER, NULL) == WEIR_OK);
}

static void call_everything(weir_job *job, weir_status status)
{
    struct everything *e = job->ctx;
    (void)status;
    submit_everything(e);
    fork_everything(e);
    gate_open(&e->done);
}

static void everything_init(struct everything *e, weir_app app, int fd)
{
    *e = (struct everything){.app = app, .fd = fd, .done = GATE_INIT, .deferred = GATE_INIT};
    record_init(&e->plain);
    record_init(&e->listed);
    record_init(&e->timed);
    record_init(&e->ready);
    record_init(&e->above);
    record_init(&e->closed);
    e->timer = (weir_timer){.job = {.fn = record_run, .ctx = &e->timed}};
    e->wait = (weir_fdwait){.timer = {.job = {.fn = record_run, .ctx = &e->ready}}, .fd = fd,
                            .events = WEIR_READABLE};
}

static void check_everything(struct everything *e)
{
    gate_wait(&e->done);
    assert_int_equal(e->line, 0);
    record_wait(&e->plain);
    record_wait(&e->listed);
    record_wait(&e->timed);
    record_wait(&e->ready);
    record_wait(&e->above);
    record_wait(&e->closed);
    assert_int_equal(e->timed.status, WEIR_CANCELED);
    assert_int_equal(e->ready.status, WEIR_CANCELED);
}

struct scene {
    weir_app app;
    int ends[2];
    struct everything e;
};

static struct scene *scene_open(void)
{
    struct scene *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->app = app_open();
    assert_int_equal(pipe(s->ends), 0);
    everything_init(&s->e, s->app, s->ends[0]);
    return s;
}

static void scene_check_and_close(struct scene *s)
{
    check_everything(&s->e);
    app_close(s->app);
    (void)close(s->ends[0]);
    (void)close(s->ends[1]);
    free(s);
}

static void every_function_may_be_called_inside_a_job(void **unused)
{
    (void)unused;
    for (int place = 0; place < 6; place++) {
        struct scene *s = scene_open();
        weir_queue queue = place < 4 ? weir_app_queue(s->app, (uint8_t)place) : serial_open(s->app);
        if (place == 5)
            queue = queue_open_with(queue, NULL);
        weir_job job = {.fn = call_everything, .ctx = &s->e};
        assert_ok(weir_job_submit(queue, &job));
        scene_check_and_close(s);
    }
}

static void every_function_may_be_called_inside_a_timers_function(void **unused)
{
    (void)unused;
    struct scene *s = scene_open();
    weir_timer timer = {.job = {.fn = call_everything, .ctx = &s->e}};
    assert_ok(weir_timer_start(lane_of(s->app), &timer, 1000, 0));
    scene_check_and_close(s);
}

static void every_function_may_be_called_inside_a_descriptors_function(void **unused)
{
    (void)unused;
    struct scene *s = scene_open();
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    weir_fdwait wait = {.timer = {.job = {.fn = call_everything, .ctx = &s->e}}, .fd = ends[1],
                        .events = WEIR_WRITABLE};
    assert_ok(weir_fdwait_start(lane_of(s->app), &wait, WEIR_FOREVER));
    scene_check_and_close(s);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void every_function_may_be_called_inside_the_closed_job(void **unused)
{
    (void)unused;
    for (int chained = 0; chained < 2; chained++) {
        struct scene *s = scene_open();
        weir_queue queue = serial_open(s->app);
        if (chained)
            queue = queue_open_with(queue, NULL);
        weir_job job = {.fn = call_everything, .ctx = &s->e};
        assert_ok(weir_queue_close(queue, false, &job));
        scene_check_and_close(s);
    }
}

static void every_function_may_be_called_on_a_lent_thread(void **unused)
{
    (void)unused;
    struct scene *s = scene_open();
    assert_ok(weir_app_run(s->app, call_everything, &s->e, true));
    scene_check_and_close(s);
}

static void every_function_may_be_called_by_a_job_that_was_cancelled(void **unused)
{
    (void)unused;
    struct scene *s = scene_open();
    struct hold hold;
    weir_queue queue = serial_open(s->app);
    hold_begin(&hold, queue);
    weir_job job = {.fn = call_everything, .ctx = &s->e};
    assert_ok(weir_job_submit(queue, &job));
    assert_ok(weir_job_cancel(&job));
    hold_end(&hold);
    scene_check_and_close(s);
}

/* The same deferral may be ended from anywhere. */
static void reply_run(weir_job *job, weir_status status)
{
    struct everything *e = job->ctx;
    (void)status;
    right(weir_job_reply(e->token) == WEIR_OK);
    gate_open(&e->done);
}

static void a_reply_may_come_from_any_thread_and_any_callback(void **unused)
{
    (void)unused;
    for (int place = 0; place < 5; place++) {
        weir_app app = app_open_workers(test_workers() + 1);
        struct everything e = {.app = app, .done = GATE_INIT, .deferred = GATE_INIT};
        weir_queue queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .reply = true));
        struct record next;
        record_init(&next);
        e.replied = (weir_job){.fn = defer_run, .ctx = &e};
        assert_ok(weir_job_submit(queue, &e.replied));
        assert_ok(weir_job_submit(queue, &next.job));
        gate_wait(&e.deferred);
        weir_job job = {.fn = reply_run, .ctx = &e};
        if (place < 4)
            assert_ok(weir_job_submit(weir_app_queue(app, (uint8_t)place), &job));
        else
            reply_run(&job, WEIR_OK);
        gate_wait(&e.done);
        assert_int_equal(e.line, 0);
        record_wait(&next);
        app_close(app);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_function_may_be_called_inside_a_job),
        cmocka_unit_test(every_function_may_be_called_inside_a_timers_function),
        cmocka_unit_test(every_function_may_be_called_inside_a_descriptors_function),
        cmocka_unit_test(every_function_may_be_called_inside_the_closed_job),
        cmocka_unit_test(every_function_may_be_called_on_a_lent_thread),
        cmocka_unit_test(every_function_may_be_called_by_a_job_that_was_cancelled),
        cmocka_unit_test(a_reply_may_come_from_any_thread_and_any_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
