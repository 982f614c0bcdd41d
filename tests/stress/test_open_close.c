/* SPDX-License-Identifier: Apache-2.0 */
/* test_open_close.c - applications are opened and closed while threads that share their handles call
 * every function: each call is accepted and kept, or refused with a status of its own, and nothing is
 * left when the last is closed */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"
#include "tests/support/stress.h"

enum { CALLERS = 3, SEATS = 3 };

struct seat {
    _Atomic uint64_t app, queue;                 /* handles, stale or live: any bits are safe to pass */
};

struct shared {
    struct seat seats[SEATS];
    _Atomic bool stop;
    _Atomic uint64_t accepted, called, wrong;
};

static struct shared shared;

static void one_call(weir_job *job, weir_status status)
{
    if (status != WEIR_OK && status != WEIR_SHUTDOWN && status != WEIR_CANCELED)
        atomic_fetch_add(&shared.wrong, 1);
    free(job->ctx);
    atomic_fetch_add(&shared.called, 1);
}

static bool is_refusal(weir_status status)
{
    return status == WEIR_STALE || status == WEIR_SHUTDOWN || status == WEIR_CLOSED || status == WEIR_INVALID
        || status == WEIR_FULL || status == WEIR_LIMIT || status == WEIR_TIMED_OUT;
}

static void note(weir_status status, void *memory)
{
    if (status == WEIR_OK) {
        atomic_fetch_add(&shared.accepted, 1);
        return;
    }
    free(memory);
    if (!is_refusal(status))
        atomic_fetch_add(&shared.wrong, 1);
}

static void call_with(weir_app app, weir_queue queue, uint64_t random)
{
    weir_queue target = random % 2 == 0 ? queue : weir_app_queue(app, (uint8_t)(random >> 8) % 4);
    weir_timer *timer = calloc(1, sizeof *timer);
    if (timer == NULL)
        return;
    timer->job = (weir_job){.fn = one_call, .ctx = timer};
    switch ((random >> 16) % 5) {
    case 0:
        note(weir_timer_start(target, timer, (int64_t)(random >> 40) % 100000, 0), timer);
        break;
    case 1:
        note(weir_job_submit_wait(target, &timer->job, 100000), timer);
        break;
    case 2: {
        weir_job *list[] = {&timer->job};
        size_t accepted;
        note(weir_job_submit_list(target, list, 1, &accepted), timer);
        break;
    }
    case 3: {
        weir_queue opened = {0};
        if (weir_queue_open(target, NULL, &opened) == WEIR_OK)
            (void)weir_queue_close(opened, random % 3 == 0, NULL);
        note(weir_job_submit(target, &timer->job), timer);
        break;
    }
    default:
        (void)weir_app_tick(app);
        note(weir_job_submit(target, &timer->job), timer);
    }
}

static void *keep_calling(void *arg)
{
    uint64_t random = *(uint64_t *)arg;
    while (!atomic_load_explicit(&shared.stop, memory_order_relaxed)) {
        uint64_t number = test_random(&random);
        struct seat *seat = &shared.seats[(number >> 48) % SEATS];
        call_with((weir_app){atomic_load(&seat->app)}, (weir_queue){atomic_load(&seat->queue)}, number);
    }
    return NULL;
}

static void open_seat(struct stress *s, struct seat *seat)
{
    weir_app app = app_open_workers(1 + stress_below(s, test_workers()));
    weir_queue queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options,
                                                              .limit = stress_below(s, 2) * 20));
    atomic_store(&seat->queue, queue.bits);
    atomic_store(&seat->app, app.bits);
}

static void close_seat(struct stress *s, struct seat *seat)
{
    weir_app app = {atomic_load(&seat->app)};
    if (stress_below(s, 3) == 0)
        (void)weir_queue_close((weir_queue){atomic_load(&seat->queue)}, stress_below(s, 2) == 0, NULL);
    while (weir_app_close(app, stress_below(s, 2) == 0 ? 0 : WEIR_FOREVER, NULL) == WEIR_TIMED_OUT)
        ;
}

static void calls_beside_opens_and_closes_are_kept_or_refused(void **unused)
{
    (void)unused;
    uint64_t seeds[CALLERS];
    pthread_t threads[CALLERS];
    struct stress s = stress_begin(1);
    for (int i = 0; i < SEATS; i++)
        open_seat(&s, &shared.seats[i]);
    for (int i = 0; i < CALLERS; i++) {
        seeds[i] = test_random(&s.random);
        threads[i] = thread_start(keep_calling, &seeds[i]);
    }
    while (stress_goes_on(&s)) {
        struct seat *seat = &shared.seats[stress_below(&s, SEATS)];
        close_seat(&s, seat);
        open_seat(&s, seat);
    }
    atomic_store(&shared.stop, true);
    for (int i = 0; i < CALLERS; i++)
        thread_join(threads[i]);
    for (int i = 0; i < SEATS; i++)
        close_seat(&s, &shared.seats[i]);
    assert_int_equal(atomic_load(&shared.wrong), 0);
    assert_int_equal(atomic_load(&shared.called), atomic_load(&shared.accepted));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_beside_opens_and_closes_are_kept_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
