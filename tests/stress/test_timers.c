/* SPDX-License-Identifier: Apache-2.0 */
/* test_timers.c - thousands of timers of the real clock, once and periodic, started and cancelled on
 * every kind of thread until the application closes: never early, each ends once */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"
#include "tests/support/stress.h"

enum { THREADS = 3, TIMERS = 1000 };

struct item {
    weir_timer timer;
    int64_t due, period;
    uint32_t ends, early;                        /* plain: calls of one timer never overlap */
};

static void item_run(weir_job *job, weir_status status)
{
    struct item *item = job->ctx;
    if (status == WEIR_OK) {
        item->early += stress_now() < item->due;
        item->due += item->period;               /* at the earliest */
    }
    item->ends += status != WEIR_OK || item->period == 0;
}

struct starter {
    weir_app app;
    weir_queue serial;
    struct item *items;
    uint64_t random;
    uint64_t started, refused;
};

static void start_all(weir_job *job, weir_status status)
{
    struct starter *s = job->ctx;
    (void)status;
    for (uint32_t i = 0; i < TIMERS; i++) {
        struct item *item = &s->items[i];
        uint64_t random = test_random(&s->random);
        int64_t delay = (int64_t)(random >> 40) % 3000000;
        item->period = random % 5 == 0 ? 1 + (int64_t)(random >> 44) % 300000 : 0;
        item->timer.job = (weir_job){.fn = item_run, .ctx = item};
        item->due = stress_now() + delay;
        weir_queue queue = random % 7 == 0 ? s->serial : weir_app_queue(s->app, (uint8_t)(random % 4));
        weir_status answer = weir_timer_start(queue, &item->timer, delay, item->period);
        s->started += answer == WEIR_OK;
        s->refused += answer != WEIR_OK;
        if (random % 3 == 0)
            (void)weir_job_cancel(&s->items[(random >> 20) % (i + 1)].timer.job);
    }
}

static void *start_on_thread(void *arg)
{
    weir_job job = {.ctx = arg};
    start_all(&job, WEIR_OK);
    return NULL;
}

static void run_round(struct stress *s, struct item *items)
{
    weir_app app = app_open();
    struct starter starters[THREADS];
    weir_job jobs[THREADS];
    pthread_t threads[THREADS];
    memset(items, 0, THREADS * TIMERS * sizeof *items);
    for (int i = 0; i < THREADS; i++) {
        starters[i] = (struct starter){.app = app, .serial = serial_open(app), .items = items + i * TIMERS,
                                       .random = test_random(&s->random)};
        jobs[i] = (weir_job){.fn = start_all, .ctx = &starters[i]};
    }
    threads[0] = thread_start(start_on_thread, &starters[0]);
    assert_ok(weir_job_submit(lane_of(app), &jobs[1]));
    assert_ok(weir_job_submit(weir_app_queue(app, WEIR_BLOCKING), &jobs[2]));
    bool early = stress_below(s, 2) == 0;        /* the close comes beside the starters, or after the first */
    if (!early)
        thread_join(threads[0]);
    app_close(app);
    if (early)
        thread_join(threads[0]);
    for (int i = 0; i < THREADS; i++) {
        uint64_t ended = 0;
        for (int k = 0; k < TIMERS; k++) {
            assert_int_equal(starters[i].items[k].early, 0);
            assert_true(starters[i].items[k].ends <= 1);
            ended += starters[i].items[k].ends;
        }
        assert_int_equal(ended, starters[i].started);
    }
}

static void timers_of_all_threads_end_once_and_are_never_early(void **unused)
{
    (void)unused;
    struct item *items = calloc(THREADS * TIMERS, sizeof *items);
    assert_non_null(items);
    for (struct stress s = stress_begin(1); stress_goes_on(&s);)
        run_round(&s, items);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_of_all_threads_end_once_and_are_never_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
