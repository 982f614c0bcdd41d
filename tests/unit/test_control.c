/* SPDX-License-Identifier: Apache-2.0 */
/* test_control.c - whoever asks the control thread is heard, and nobody wakes it for nothing */

#include "workqueue/control.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "tests/support/support.h"

struct fixture {
    struct control control;
    struct log log;
    pthread_t thread;
    struct tally calls[CONTROL_REQUESTS];            /* of each handler */
    struct gate entered, go_on;                      /* of the handler that holds the thread */
    _Atomic int order[8];                            /* which handlers ran, in order */
    _Atomic int ran;
    _Atomic int64_t called_at;
    void *data;
    uint32_t events;
};

struct call {
    struct fixture *fixture;
    enum control_request request;
};
static struct call calls[CONTROL_REQUESTS];

static void count_call(void *ctx)
{
    struct call *call = ctx;
    struct fixture *f = call->fixture;
    int at = atomic_fetch_add(&f->ran, 1);
    if (at < 8)
        atomic_store(&f->order[at], (int)call->request);
    atomic_store(&f->called_at, clock_monotonic());
    tally_add(&f->calls[call->request], 1);
}

static void hold_thread(void *ctx)
{
    struct fixture *f = ctx;
    gate_open(&f->entered);
    gate_wait(&f->go_on);
}

static void note_ready(void *ctx, void *data, uint32_t events)
{
    struct fixture *f = ctx;
    f->data = data;
    f->events = events;
}

static void *control_thread(void *control)
{
    control_run(control);
    return NULL;
}

static struct fixture *fixture_new(void)
{
    struct fixture *f = aligned_alloc(CACHE_LINE, (sizeof *f + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
    assert_non_null(f);
    *f = (struct fixture){ .entered = GATE_INIT, .go_on = GATE_INIT };
    assert_int_equal(control_init(&f->control, &f->log), WEIR_OK);
    for (int i = 0; i < CONTROL_REQUESTS; i++) {
        f->calls[i] = (struct tally)TALLY_INIT;
        calls[i] = (struct call){ f, (enum control_request)i };
        control_handle(&f->control, (enum control_request)i, count_call, &calls[i]);
    }
    control_handle(&f->control, CONTROL_HOOKS, hold_thread, f);
    control_on_ready(&f->control, note_ready, f);
    return f;
}

static void fixture_start(struct fixture *f)
{
    f->thread = thread_start(control_thread, &f->control);
}

static void fixture_free(struct fixture *f)
{
    control_fini(&f->control);
    free(f);
}

static void fixture_stop(struct fixture *f)
{
    control_request(&f->control, CONTROL_STOP);
    thread_join(f->thread);
    fixture_free(f);
}

static void wait_until_asleep(struct fixture *f)
{
    while (atomic_load(&f->control.word) >> 31 == 0)
        sched_yield();
}

/* How often the eventfd was written since the last time. The library never reads it. */
static uint64_t writes(struct fixture *f)
{
    uint64_t count = 0;
    return read(f->control.event, &count, sizeof count) == sizeof count ? count : 0;
}

static void a_request_to_a_sleeping_thread_runs_its_handler(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new();
    fixture_start(f);
    wait_until_asleep(f);
    control_request(&f->control, CONTROL_GROW);
    tally_wait(&f->calls[CONTROL_GROW], 1);
    assert_int_equal(tally_count(&f->calls[CONTROL_REPORT]), 0);
    fixture_stop(f);
}

static void a_request_before_the_thread_starts_is_not_lost(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new();
    control_request(&f->control, CONTROL_GROW);
    fixture_start(f);
    tally_wait(&f->calls[CONTROL_GROW], 1);
    fixture_stop(f);
}

static void requests_that_come_before_the_handler_runs_are_one(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new();
    fixture_start(f);
    control_request(&f->control, CONTROL_HOOKS);
    gate_wait(&f->entered);
    for (int i = 0; i < 10; i++)
        control_request(&f->control, CONTROL_GROW);
    gate_open(&f->go_on);
    control_request(&f->control, CONTROL_STOP);
    thread_join(f->thread);
    assert_int_equal(tally_count(&f->calls[CONTROL_GROW]), 1);
    fixture_free(f);
}

static void only_the_first_request_of_a_sleep_is_a_system_call(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new();
    control_request(&f->control, CONTROL_GROW);      /* awake: it looks by itself */
    assert_int_equal(writes(f), 0);
    atomic_store(&f->control.word, UINT32_C(1) << 31);
    control_request(&f->control, CONTROL_GROW);
    control_request(&f->control, CONTROL_TIMERS);
    control_request(&f->control, CONTROL_GROW);
    assert_int_equal(writes(f), 1);
    fixture_free(f);
}

static void handlers_run_in_the_order_of_their_bits_and_stop_is_last(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new();
    control_request(&f->control, CONTROL_STOP);
    control_request(&f->control, CONTROL_REPORT);
    control_request(&f->control, CONTROL_TIMERS);
    fixture_start(f);
    thread_join(f->thread);
    assert_int_equal(f->ran, 3);
    assert_int_equal(f->order[0], CONTROL_TIMERS);
    assert_int_equal(f->order[1], CONTROL_REPORT);
    assert_int_equal(f->order[2], CONTROL_STOP);
    fixture_free(f);
}

static void ask_again(void *ctx)
{
    struct fixture *f = ctx;
    tally_add(&f->calls[CONTROL_GROW], 1);
    if (tally_count(&f->calls[CONTROL_GROW]) < 5)
        control_request(&f->control, CONTROL_GROW);
}

static void a_handler_may_ask_for_itself(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new();
    control_handle(&f->control, CONTROL_GROW, ask_again, f);
    fixture_start(f);
    control_request(&f->control, CONTROL_GROW);
    tally_wait(&f->calls[CONTROL_GROW], 5);
    fixture_stop(f);
}

static void an_alarm_asks_for_the_timers_and_never_early(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new();
    fixture_start(f);
    for (uint64_t round = 1; round <= 5; round++) {  /* each setting is a new edge */
        int64_t deadline = clock_monotonic() + 300000;
        control_set_alarm(&f->control, deadline);
        tally_wait(&f->calls[CONTROL_TIMERS], round);
        assert_true(f->called_at >= deadline);
    }
    fixture_stop(f);
}

static void an_alarm_in_the_past_rings_at_once(void **unused)
{
    (void)unused;
    static const int64_t past[] = { INT64_MIN, -5, 0, 1 };
    struct fixture *f = fixture_new();
    fixture_start(f);
    for (uint64_t i = 0; i < 4; i++) {
        control_set_alarm(&f->control, past[i]);
        tally_wait(&f->calls[CONTROL_TIMERS], i + 1);
    }
    fixture_stop(f);
}

static void an_alarm_for_ever_is_none(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new();
    struct itimerspec at;
    control_set_alarm(&f->control, clock_monotonic() + INT64_C(3600000000000));
    assert_int_equal(timerfd_gettime(f->control.timer, &at), 0);
    assert_true(at.it_value.tv_sec > 3000);
    control_set_alarm(&f->control, WEIR_FOREVER);
    assert_int_equal(timerfd_gettime(f->control.timer, &at), 0);
    assert_int_equal(at.it_value.tv_sec, 0);
    assert_int_equal(at.it_value.tv_nsec, 0);
    fixture_free(f);
}

static void a_ready_descriptor_is_handed_out_and_then_the_waits_are_handled(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new();
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data = { .ptr = ends } };
    assert_int_equal(epoll_ctl(f->control.epoll, EPOLL_CTL_ADD, ends[0], &event), 0);
    fixture_start(f);
    assert_int_equal(write(ends[1], "x", 1), 1);
    tally_wait(&f->calls[CONTROL_FDWAITS], 1);
    assert_ptr_equal(f->data, ends);
    assert_int_equal(f->events, EPOLLIN);
    fixture_stop(f);
    close(ends[0]);
    close(ends[1]);
}

/* Descriptors are looked at also while requests never end. */
static void ask_until_ready(void *ctx)
{
    struct fixture *f = ctx;
    if (f->data == NULL)
        control_request(&f->control, CONTROL_GROW);
}

static void requests_do_not_starve_descriptors(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new();
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data = { .ptr = ends } };
    assert_int_equal(epoll_ctl(f->control.epoll, EPOLL_CTL_ADD, ends[0], &event), 0);
    control_handle(&f->control, CONTROL_GROW, ask_until_ready, f);
    control_request(&f->control, CONTROL_GROW);
    fixture_start(f);
    assert_int_equal(write(ends[1], "x", 1), 1);
    tally_wait(&f->calls[CONTROL_FDWAITS], 1);
    fixture_stop(f);
    close(ends[0]);
    close(ends[1]);
}

static void errno_survives_a_request_and_an_alarm(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new();
    atomic_store(&f->control.word, UINT32_C(1) << 31);
    errno = 1234;
    control_request(&f->control, CONTROL_GROW);
    control_set_alarm(&f->control, 1);
    assert_int_equal(errno, 1234);
    errno = 0;
    fixture_free(f);
}

/* ---- races ------------------------------------------------------------------------------------- */

enum { ASKERS = 2, ASKS = 3000 };

struct asker {
    struct fixture *fixture;
    unsigned said;                                   /* plain: the request must publish it */
    _Atomic unsigned heard;
    enum control_request request;
};

static void hear(void *ctx)
{
    struct asker *asker = ctx;
    atomic_store_explicit(&asker->heard, asker->said, memory_order_release);
}

static void *ask_often(void *arg)
{
    struct asker *asker = arg;
    for (unsigned i = 1; i <= ASKS; i++) {
        asker->said = i;
        control_request(&asker->fixture->control, asker->request);
        while (atomic_load_explicit(&asker->heard, memory_order_acquire) != i)
            sched_yield();
    }
    return NULL;
}

static void no_request_is_lost_while_the_thread_falls_asleep(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new();
    struct asker askers[ASKERS];
    pthread_t threads[ASKERS];
    for (int i = 0; i < ASKERS; i++) {
        askers[i] = (struct asker){ .fixture = f, .request = i == 0 ? CONTROL_GROW : CONTROL_RESCUE };
        control_handle(&f->control, askers[i].request, hear, &askers[i]);
    }
    fixture_start(f);
    for (int i = 0; i < ASKERS; i++)
        threads[i] = thread_start(ask_often, &askers[i]);
    for (int i = 0; i < ASKERS; i++)
        thread_join(threads[i]);
    for (int i = 0; i < ASKERS; i++)
        assert_int_equal(askers[i].heard, ASKS);
    fixture_stop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_to_a_sleeping_thread_runs_its_handler),
        cmocka_unit_test(a_request_before_the_thread_starts_is_not_lost),
        cmocka_unit_test(requests_that_come_before_the_handler_runs_are_one),
        cmocka_unit_test(only_the_first_request_of_a_sleep_is_a_system_call),
        cmocka_unit_test(handlers_run_in_the_order_of_their_bits_and_stop_is_last),
        cmocka_unit_test(a_handler_may_ask_for_itself),
        cmocka_unit_test(an_alarm_asks_for_the_timers_and_never_early),
        cmocka_unit_test(an_alarm_in_the_past_rings_at_once),
        cmocka_unit_test(an_alarm_for_ever_is_none),
        cmocka_unit_test(a_ready_descriptor_is_handed_out_and_then_the_waits_are_handled),
        cmocka_unit_test(requests_do_not_starve_descriptors),
        cmocka_unit_test(errno_survives_a_request_and_an_alarm),
        cmocka_unit_test(no_request_is_lost_while_the_thread_falls_asleep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
