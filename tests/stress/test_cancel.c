/* SPDX-License-Identifier: Apache-2.0 */
/* test_cancel.c - jobs, timers and deferred jobs are cancelled by several threads at any moment, with
 * and without waiting: for each life exactly one cancel wins or none, and the last call says which */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"
#include "tests/support/stress.h"

enum { THREADS = 2, ITEMS = 16 };

struct item {
    weir_timer timer;
    uint32_t ok, canceled, shutdown;             /* plain: calls of one item never overlap */
    _Atomic uint32_t won, alive;                 /* alive: a last call is to come */
    _Atomic uint32_t unsaid;                     /* waits whose answer does not say who won */
    bool periodic, defers;
    weir_token token;
};

static void item_run(weir_job *job, weir_status status)
{
    struct item *item = job->ctx;
    item->ok += status == WEIR_OK;
    item->canceled += status == WEIR_CANCELED;
    item->shutdown += status == WEIR_SHUTDOWN;
    bool last = status != WEIR_OK || !item->periodic;
    if (status == WEIR_OK && item->defers && weir_job_defer(job, &item->token) == WEIR_OK)
        return;                                  /* nobody replies: a cancel or the close ends it */
    if (last)
        atomic_store_explicit(&item->alive, 0, memory_order_release);
}

struct canceller {
    struct item *items;
    uint64_t random;
    uint64_t wrong;
    _Atomic bool *stop;
};

static void *keep_cancelling(void *arg)
{
    struct canceller *c = arg;
    while (!atomic_load_explicit(c->stop, memory_order_relaxed)) {
        uint64_t random = test_random(&c->random);
        struct item *item = &c->items[(random >> 32) % ITEMS];
        weir_status status = weir_job_cancel(&item->timer.job);
        if (status == WEIR_OK)
            atomic_fetch_add(&item->won, 1);
        c->wrong += status == WEIR_INVALID || status == WEIR_STALE || status == WEIR_BUSY;
        if (random % 4 != 0)
            continue;
        status = weir_job_cancel_wait(&item->timer.job, random % 8 == 0 ? 0 : 1000000);
        if (status == WEIR_OK)                   /* it has met the item's next life */
            atomic_fetch_add(&item->won, 1);
        else if (status == WEIR_TIMED_OUT || status == WEIR_SHUTDOWN)
            atomic_fetch_add(&item->unsaid, 1);
    }
    return NULL;
}

static weir_status begin(struct item *item, weir_queue queue, struct stress *s)
{
    switch (stress_below(s, 4)) {
    case 0:  return weir_timer_start(queue, &item->timer, stress_below(s, 3) * INT64_C(50000), 0);
    case 1:  item->periodic = true;
             return weir_timer_start(queue, &item->timer, 1 + stress_below(s, 50000), 1 + stress_below(s, 50000));
    case 2:  item->defers = true;
             return weir_job_submit(queue, &item->timer.job);
    default: return weir_job_submit(queue, &item->timer.job);
    }
}

static void run_round(struct stress *s, struct item *items)
{
    weir_app app = app_open();
    weir_queue queues[5] = {lane_of(app), serial_open(app), weir_app_queue(app, WEIR_BLOCKING),
                            queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .reply = true)),
                            queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .concurrent = true))};
    _Atomic bool stop = false;
    struct canceller cancellers[THREADS];
    pthread_t threads[THREADS];
    uint64_t lives = 0;
    memset(items, 0, ITEMS * sizeof *items);
    for (int i = 0; i < ITEMS; i++)
        items[i].timer.job = (weir_job){.fn = item_run, .ctx = &items[i]};
    for (int i = 0; i < THREADS; i++) {
        cancellers[i] = (struct canceller){items, test_random(&s->random), 0, &stop};
        threads[i] = thread_start(keep_cancelling, &cancellers[i]);
    }
    for (int turn = 0; turn < 4000; turn++) {
        struct item *item = &items[stress_below(s, ITEMS)];
        if (atomic_load_explicit(&item->alive, memory_order_acquire) != 0)
            continue;
        item->periodic = item->defers = false;
        atomic_store_explicit(&item->alive, 1, memory_order_relaxed);
        assert_ok(begin(item, queues[stress_below(s, 5)], s));
        lives++;
    }
    bool beside = stress_below(s, 2) == 0;
    if (beside)
        app_close(app);                          /* beside the cancellers */
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++) {
        thread_join(threads[i]);
        assert_int_equal(cancellers[i].wrong, 0);
    }
    if (!beside)
        app_close(app);
    uint64_t ended = 0;
    for (int i = 0; i < ITEMS; i++) {
        assert_int_equal(atomic_load(&items[i].alive), 0);
        assert_in_range(items[i].canceled, atomic_load(&items[i].won),
                        atomic_load(&items[i].won) + atomic_load(&items[i].unsaid));
        ended += items[i].canceled + items[i].shutdown;
    }
    assert_true(ended <= lives);
}

/* A deferred job that stays deferred in a lane does not exist: weir_job_defer answers INVALID there,
 * and the life ends with its call. */
static void each_life_has_one_end_and_at_most_one_cancel_that_won(void **unused)
{
    (void)unused;
    struct item *items = calloc(ITEMS, sizeof *items);
    assert_non_null(items);
    for (struct stress s = stress_begin(1); stress_goes_on(&s);)
        run_round(&s, items);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_life_has_one_end_and_at_most_one_cancel_that_won),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
