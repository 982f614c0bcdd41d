/* SPDX-License-Identifier: Apache-2.0 */
/* test_timers.c - each armed item ends once, by its time, a cancel or the end, and never early
 *
 * The queue behind the timers is played by a function that records what it is given. */

#include "workqueue/timers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>

#include <cmocka.h>

#include "tests/support/support.h"
#include "workqueue/control.h"

enum { RECORDS = 4096 };

struct fixture {
    struct timers timers;
    struct control control;
    struct clock clock;
    _Atomic int64_t now;
    unsigned dispatched;
    struct job *jobs[RECORDS];
};

static int64_t fixture_now(void *ctx)
{
    struct fixture *f = ctx;
    return atomic_load(&f->now);
}

static void record_dispatch(struct app *app, struct job *job)
{
    struct fixture *f = (struct fixture *)(void *)app;
    f->jobs[f->dispatched++] = job;
}

static struct fixture *fixture_new(timers_dispatch_fn *dispatch)
{
    void *memory = aligned_alloc(CACHE_LINE, (sizeof(struct fixture) + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
    assert_non_null(memory);
    struct fixture *f = memset(memory, 0, sizeof *f);
    atomic_store(&f->now, 1000);
    f->clock = (struct clock){ fixture_now, f };
    timers_init(&f->timers, &f->clock, &f->control, (struct app *)(void *)f, dispatch);
    return f;
}

static void fixture_free(struct fixture *f)
{
    timers_fini(&f->timers);
    free(f);
}

static void step(struct fixture *f, int64_t to)
{
    atomic_store(&f->now, to);
    timers_pass(&f->timers);
}

static void never_called(weir_job *job, weir_status status)
{
    (void)job;
    (void)status;
    fail_msg("a user's function was called in place");
}

static void make_timer(struct timer *timer)
{
    *timer = (struct timer){ .job = { .fn = never_called, .kind = JOB_TIMER } };
}

static uint32_t phase_of(struct timer *timer)
{
    return atomic_load(&timer->job.phase);
}

static bool cancel(struct fixture *f, struct timer *timer)
{
    if (!job_move(&timer->job, JOB_ARMED, JOB_ENDING))
        return false;
    timers_cancelled(&f->timers, &timer->job);
    return true;
}

static bool control_was_asked(struct fixture *f)
{
    return (atomic_exchange(&f->control.word, 0) >> CONTROL_TIMERS & 1) != 0;
}

/* ---- once -------------------------------------------------------------------------------------- */

static void a_timer_is_queued_at_its_deadline_and_not_before(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer timer;
    make_timer(&timer);
    timers_arm(&f->timers, &timer, 5000, 0);
    assert_int_equal(phase_of(&timer), JOB_ARMED);
    step(f, 4999);
    assert_int_equal(f->dispatched, 0);
    step(f, 5000);
    assert_int_equal(f->dispatched, 1);
    assert_ptr_equal(f->jobs[0], &timer.job);
    assert_int_equal(phase_of(&timer), JOB_QUEUED);
    step(f, 9000);
    assert_int_equal(f->dispatched, 1);
    fixture_free(f);
}

static void a_timer_for_ever_waits_for_its_cancel(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer timer;
    make_timer(&timer);
    timers_arm(&f->timers, &timer, WEIR_FOREVER, 0);
    step(f, INT64_MAX);
    assert_int_equal(f->dispatched, 0);
    assert_true(cancel(f, &timer));
    assert_int_equal(f->dispatched, 1);
    fixture_free(f);
}

static void a_cancelled_timer_is_queued_at_once_and_marked(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer timer;
    make_timer(&timer);
    timers_arm(&f->timers, &timer, 5000, 0);
    assert_true(cancel(f, &timer));
    assert_int_equal(f->dispatched, 1);
    assert_int_equal(phase_of(&timer), JOB_MARKED);
    step(f, 9000);
    assert_int_equal(f->dispatched, 1);
    fixture_free(f);
}

static void a_cancel_after_the_deadline_is_too_late(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer timer;
    make_timer(&timer);
    timers_arm(&f->timers, &timer, 5000, 0);
    step(f, 5000);
    assert_false(cancel(f, &timer));
    assert_int_equal(f->dispatched, 1);
    fixture_free(f);
}

static void equal_deadlines_keep_the_order_of_arming(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer timers[20];
    for (int i = 0; i < 20; i++) {
        make_timer(&timers[i]);
        timers_arm(&f->timers, &timers[i], i % 2 == 0 ? 7000000 : 5000, 0);
    }
    step(f, 8000000);
    assert_int_equal(f->dispatched, 20);
    for (int i = 0; i < 20; i++)
        assert_ptr_equal(f->jobs[i], &timers[i < 10 ? i * 2 + 1 : (i - 10) * 2].job);
    fixture_free(f);
}

static void a_timer_may_be_armed_again_after_its_last_call(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer timer;
    make_timer(&timer);
    for (int64_t life = 1; life <= 3; life++) {
        timers_arm(&f->timers, &timer, life * 10000, 0);
        step(f, life * 10000);
        assert_int_equal(f->dispatched, life);
        assert_int_equal(job_claim(&timer.job), WEIR_OK);
    }
    fixture_free(f);
}

/* ---- periodic ---------------------------------------------------------------------------------- */

static void a_periodic_timer_stays_on_its_grid_and_missed_ticks_are_one(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer timer;
    make_timer(&timer);
    timers_arm(&f->timers, &timer, 2000, 100);
    assert_true(timer_is_periodic(&timer.job));
    static const struct { int64_t run_at, next; } ticks[] = {
        { 2000, 2100 }, { 2150, 2200 }, { 2200, 2300 }, { 2799, 2800 }, { 2800, 2900 }, { 9050, 9100 },
    };
    for (unsigned i = 0; i < sizeof ticks / sizeof ticks[0]; i++) {
        step(f, ticks[i].run_at);
        assert_int_equal(f->dispatched, i + 1);
        assert_true(job_move(&timer.job, JOB_QUEUED, JOB_PERIODIC));
        timers_rearm(&f->timers, &timer.job);
        assert_int_equal(phase_of(&timer), JOB_ARMED);
        assert_true(wheel_next_deadline(&f->timers.wheel) == ticks[i].next);
    }
    assert_true(cancel(f, &timer));
    fixture_free(f);
}

static void a_periodic_timer_that_is_cancelled_while_it_runs_is_queued_marked(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer timer;
    make_timer(&timer);
    timers_arm(&f->timers, &timer, 2000, 100);
    step(f, 2000);
    assert_true(job_move(&timer.job, JOB_QUEUED, JOB_PERIODIC));
    assert_true(job_move(&timer.job, JOB_PERIODIC, JOB_MARKED));
    timers_rearm(&f->timers, &timer.job);
    assert_int_equal(f->dispatched, 2);
    assert_int_equal(phase_of(&timer), JOB_MARKED);
    fixture_free(f);
}

static void a_period_beyond_the_end_of_time_never_comes(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer timer;
    make_timer(&timer);
    timers_arm(&f->timers, &timer, 2000, INT64_MAX);
    step(f, 2000);
    assert_true(job_move(&timer.job, JOB_QUEUED, JOB_PERIODIC));
    timers_rearm(&f->timers, &timer.job);
    assert_true(wheel_next_deadline(&f->timers.wheel) == WEIR_FOREVER);
    assert_true(cancel(f, &timer));
    fixture_free(f);
}

/* ---- the end ------------------------------------------------------------------------------------ */

static void the_end_takes_everything_that_is_armed_and_what_comes_later(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer armed, never, periodic, late;
    make_timer(&armed);
    make_timer(&never);
    make_timer(&periodic);
    make_timer(&late);
    timers_arm(&f->timers, &periodic, 2000, 100);
    step(f, 2000);
    assert_true(job_move(&periodic.job, JOB_QUEUED, JOB_PERIODIC));
    timers_arm(&f->timers, &armed, 5000, 0);
    timers_arm(&f->timers, &never, WEIR_FOREVER, 0);
    timers_shutdown(&f->timers);
    assert_int_equal(f->dispatched, 3);
    timers_arm(&f->timers, &late, 1, 0);
    assert_int_equal(f->dispatched, 4);
    timers_rearm(&f->timers, &periodic.job);
    assert_int_equal(f->dispatched, 5);
    for (unsigned i = 1; i < 5; i++) {
        assert_int_equal(f->jobs[i]->forced, WEIR_SHUTDOWN);
        assert_int_equal(atomic_load(&f->jobs[i]->phase), JOB_QUEUED);
    }
    assert_false(control_was_asked(f));
    fixture_free(f);
}

static void a_cancel_that_won_before_the_end_stands(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer timer;
    make_timer(&timer);
    timers_arm(&f->timers, &timer, 5000, 0);
    assert_true(job_move(&timer.job, JOB_ARMED, JOB_ENDING));
    timers_shutdown(&f->timers);
    assert_int_equal(f->dispatched, 0);              /* the canceller's, until it has told */
    timers_cancelled(&f->timers, &timer.job);
    assert_int_equal(f->dispatched, 1);
    assert_int_equal(phase_of(&timer), JOB_MARKED);
    assert_int_equal(timer.job.forced, 0);
    fixture_free(f);
}

static void a_cancel_that_won_before_the_deadline_stands(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer timer;
    make_timer(&timer);
    timers_arm(&f->timers, &timer, 5000, 0);
    assert_true(job_move(&timer.job, JOB_ARMED, JOB_ENDING));
    step(f, 6000);
    assert_int_equal(f->dispatched, 0);
    timers_cancelled(&f->timers, &timer.job);
    assert_int_equal(f->dispatched, 1);
    assert_int_equal(phase_of(&timer), JOB_MARKED);
    fixture_free(f);
}

/* ---- internal timers, and an owner that is busy -------------------------------------------------- */

struct script {
    struct fixture *fixture;
    void (*act)(struct script *script);              /* inside the function, on the owner's thread */
    weir_status statuses[128];
    unsigned calls;
    struct timer *other;
    int left;
};

static void run_script(weir_job *job, weir_status status)
{
    struct script *script = job->ctx;
    script->statuses[script->calls++] = status;
    if (script->act != NULL)
        script->act(script);
}

static void an_internal_timer_is_called_once_with_what_ended_it(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct script script = { .fixture = f };
    struct timer timer;
    timer_init_internal(&timer, run_script, &script);
    timers_arm(&f->timers, &timer, 2000, 0);
    step(f, 2000);
    assert_false(timers_disarm(&f->timers, &timer));
    timers_arm(&f->timers, &timer, 3000, 0);
    assert_true(timers_disarm(&f->timers, &timer));
    assert_false(timers_disarm(&f->timers, &timer));
    timers_arm(&f->timers, &timer, 3000, 0);
    timers_shutdown(&f->timers);
    assert_int_equal(script.calls, 3);
    assert_int_equal(script.statuses[0], WEIR_OK);
    assert_int_equal(script.statuses[1], WEIR_CANCELED);
    assert_int_equal(script.statuses[2], WEIR_SHUTDOWN);
    assert_int_equal(f->dispatched, 0);
    fixture_free(f);
}

static void arm_and_cancel_other(struct script *script)
{
    struct fixture *f = script->fixture;
    timers_arm(&f->timers, script->other, 9000, 0);
    assert_false(wheel_node_is_in(&script->other->item.node));
    assert_true(cancel(f, script->other));
    assert_int_equal(f->dispatched, 0);
}

static void a_cancel_that_meets_the_arm_in_the_intake_is_found_there(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer other, timer;
    struct script script = { .fixture = f, .act = arm_and_cancel_other, .other = &other };
    make_timer(&other);
    timer_init_internal(&timer, run_script, &script);
    timers_arm(&f->timers, &timer, 2000, 0);
    step(f, 2000);
    assert_int_equal(script.calls, 1);
    assert_int_equal(f->dispatched, 1);
    assert_ptr_equal(f->jobs[0], &other.job);
    assert_int_equal(phase_of(&other), JOB_MARKED);
    fixture_free(f);
}

static void cancel_other(struct script *script)
{
    assert_true(cancel(script->fixture, script->other));
}

static void a_cancel_of_an_item_that_is_just_coming_out_ends_it_once(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer other, timer;
    struct script script = { .fixture = f, .act = cancel_other, .other = &other };
    make_timer(&other);
    timer_init_internal(&timer, run_script, &script);
    timers_arm(&f->timers, &timer, 2000, 0);
    timers_arm(&f->timers, &other, 2001, 0);
    step(f, 3000);                                   /* both are due, and on one list */
    assert_int_equal(f->dispatched, 1);
    assert_int_equal(phase_of(&other), JOB_MARKED);
    fixture_free(f);
}

static void ask_for_a_pass(struct script *script)
{
    atomic_store(&script->fixture->now, 5000);
    timers_pass(&script->fixture->timers);
}

static void a_pass_asked_of_another_pass_happens_there(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer other, timer;
    struct script script = { .fixture = f, .act = ask_for_a_pass };
    make_timer(&other);
    timer_init_internal(&timer, run_script, &script);
    timers_arm(&f->timers, &timer, 2000, 0);
    timers_arm(&f->timers, &other, 5000, 0);
    step(f, 2000);
    assert_int_equal(f->dispatched, 1);
    assert_false(control_was_asked(f));
    fixture_free(f);
}

static void a_pass_asked_of_a_caller_goes_to_the_control_thread(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer other, timer;
    struct script script = { .fixture = f, .act = ask_for_a_pass };
    make_timer(&other);
    timer_init_internal(&timer, run_script, &script);
    timers_arm(&f->timers, &timer, 2000, 0);
    timers_arm(&f->timers, &other, 5000, 0);
    assert_true(timers_disarm(&f->timers, &timer));  /* this call owns the wheel while the script runs */
    assert_int_equal(script.statuses[0], WEIR_CANCELED);
    assert_int_equal(f->dispatched, 0);
    assert_true(control_was_asked(f));
    timers_pass(&f->timers);                         /* as the control thread does */
    assert_int_equal(f->dispatched, 1);
    fixture_free(f);
}

static void a_pass_finds_what_was_armed_since_the_wheel_was_handed_over(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer late, timer;
    struct script script = { .fixture = f, .act = ask_for_a_pass };
    make_timer(&late);
    timer_init_internal(&timer, run_script, &script);
    timers_arm(&f->timers, &timer, 2000, 0);
    assert_true(timers_disarm(&f->timers, &timer));  /* hands the wheel over */
    timers_arm(&f->timers, &late, 4000, 0);          /* due, and in the intake */
    assert_int_equal(f->dispatched, 0);
    timers_pass(&f->timers);
    assert_int_equal(f->dispatched, 1);
    fixture_free(f);
}

static void arm_and_disarm_again(struct script *script)
{
    if (script->left-- <= 0)
        return;
    timers_arm(&script->fixture->timers, script->other, 9000, 0);
    (void)timers_disarm(&script->fixture->timers, script->other);
}

static void an_owner_that_gets_ever_more_to_do_hands_the_wheel_over(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer timer;
    struct script script = { .fixture = f, .act = arm_and_disarm_again, .other = &timer, .left = 100 };
    timer_init_internal(&timer, run_script, &script);
    timers_arm(&f->timers, &timer, 2000, 0);
    assert_true(timers_disarm(&f->timers, &timer));
    assert_in_range(script.calls, TIMERS_ROUNDS_MAX, TIMERS_ROUNDS_MAX + 2);
    assert_true(control_was_asked(f));
    unsigned passes = 0;
    do {
        timers_pass(&f->timers);
        passes++;
    } while (control_was_asked(f));
    assert_in_range(passes, 2, 100 / TIMERS_ROUNDS_MAX + 1);
    assert_int_equal(script.calls, 101);
    fixture_free(f);
}

static void after_the_end_nothing_is_left_to_the_control_thread(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer timer;
    struct script script = { .fixture = f, .act = arm_and_disarm_again, .other = &timer, .left = 100 };
    timers_shutdown(&f->timers);
    timer_init_internal(&timer, run_script, &script);
    timers_arm(&f->timers, &timer, 2000, 0);
    assert_int_equal(script.calls, 101);
    assert_false(control_was_asked(f));
    fixture_free(f);
}

/* ---- descriptor waits ----------------------------------------------------------------------------- */

static void record_expired(void *ctx, struct timer *timer)
{
    struct timer **expired = ctx;
    *expired = timer;
}

static void the_time_out_of_a_wait_goes_to_its_module_instead_of_a_queue(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer *expired = NULL, timer;
    timers_on_expired(&f->timers, record_expired, &expired);
    make_timer(&timer);
    timer.job.kind = JOB_FDWAIT;
    timers_arm(&f->timers, &timer, 2000, 0);
    step(f, 2000);
    assert_ptr_equal(expired, &timer);
    assert_int_equal(phase_of(&timer), JOB_QUEUED);
    assert_int_equal(f->dispatched, 0);
    fixture_free(f);
}

static void a_wait_that_is_over_leaves_the_wheel_and_then_is_queued(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer timer;
    make_timer(&timer);
    timer.job.kind = JOB_FDWAIT;
    timers_arm(&f->timers, &timer, 2000, 0);
    assert_true(job_move(&timer.job, JOB_ARMED, JOB_QUEUED));
    timers_release(&f->timers, &timer);
    assert_int_equal(f->dispatched, 1);
    assert_int_equal(phase_of(&timer), JOB_QUEUED);
    assert_true(wheel_is_empty(&f->timers.wheel));
    fixture_free(f);
}

static void the_end_leaves_waits_to_their_module(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct timer before, after;
    make_timer(&before);
    make_timer(&after);
    before.job.kind = after.job.kind = JOB_FDWAIT;
    timers_arm(&f->timers, &before, 2000, 0);
    timers_shutdown(&f->timers);
    timers_arm(&f->timers, &after, 2000, 0);
    assert_int_equal(f->dispatched, 0);
    struct timer *both[] = { &before, &after };
    for (unsigned i = 0; i < 2; i++) {
        assert_true(job_move(&both[i]->job, JOB_ARMED, JOB_QUEUED));
        timers_release(&f->timers, both[i]);
        assert_int_equal(f->dispatched, i + 1);
    }
    fixture_free(f);
}

/* ---- the alarm ------------------------------------------------------------------------------------ */

static bool alarm_is_set(struct fixture *f)
{
    struct itimerspec at;
    assert_int_equal(timerfd_gettime(f->control.timer, &at), 0);
    return at.it_value.tv_sec != 0 || at.it_value.tv_nsec != 0;
}

static void the_alarm_follows_the_nearest_deadline_down_and_only_down(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct log log = { NULL, NULL };
    assert_int_equal(control_init(&f->control, &log), WEIR_OK);
    f->clock = (struct clock){ NULL, NULL };
    timers_init(&f->timers, &f->clock, &f->control, (struct app *)(void *)f, record_dispatch);
    struct timer hour, day, minute;
    make_timer(&hour);
    make_timer(&day);
    make_timer(&minute);
    int64_t second = 1000000000, now = clock_now(&f->clock);
    assert_false(alarm_is_set(f));
    timers_arm(&f->timers, &hour, now + 3600 * second, 0);
    assert_true(alarm_is_set(f));
    assert_true(f->timers.alarm == now + 3600 * second);
    timers_arm(&f->timers, &day, now + 86400 * second, 0);
    assert_true(f->timers.alarm == now + 3600 * second);
    timers_arm(&f->timers, &minute, now + 60 * second, 0);
    assert_true(f->timers.alarm == now + 60 * second);
    assert_true(cancel(f, &minute));
    assert_true(f->timers.alarm == now + 60 * second); /* one idle wake-up is cheaper than a system call each */
    timers_shutdown(&f->timers);
    control_fini(&f->control);
    fixture_free(f);
}

/* ---- races ---------------------------------------------------------------------------------------- */

enum { RACERS = 64, ROUNDS = 4000 };

struct racer {
    struct timer timer;
    _Atomic unsigned lives, ends;
};

struct race {
    struct fixture *fixture;
    struct racer racers[RACERS];
    _Atomic bool over;
    _Atomic uint64_t ok, canceled, shutdown, won;
};

static struct race *the_race;

/* Claims at once, as a worker would a little later. */
static void claim_dispatched(struct app *app, struct job *job)
{
    (void)app;
    struct racer *racer = (struct racer *)(void *)job;
    bool forced = job->forced == WEIR_SHUTDOWN;
    weir_status status = job_claim(job);
    _Atomic uint64_t *count = status == WEIR_CANCELED ? &the_race->canceled
                            : forced                  ? &the_race->shutdown
                                                      : &the_race->ok;
    atomic_fetch_add(count, 1);
    atomic_fetch_add(&racer->ends, 1);
}

static void *arm_many(void *arg)
{
    struct race *race = arg;
    uint64_t random = test_seed();
    for (int round = 0; round < ROUNDS; round++) {
        struct racer *racer = &race->racers[test_random(&random) % RACERS];
        if (atomic_load(&racer->ends) != atomic_load(&racer->lives))
            continue;
        atomic_fetch_add(&racer->lives, 1);
        int64_t distance = (int64_t)(test_random(&random) % 20000);
        timers_arm(&race->fixture->timers, &racer->timer, atomic_load(&race->fixture->now) + distance, 0);
    }
    atomic_store(&race->over, true);
    return NULL;
}

static void *cancel_many(void *arg)
{
    struct race *race = arg;
    uint64_t random = test_seed() + 1;
    while (!atomic_load(&race->over)) {
        struct racer *racer = &race->racers[test_random(&random) % RACERS];
        if (cancel(race->fixture, &racer->timer))
            atomic_fetch_add(&race->won, 1);
    }
    return NULL;
}

static void *pass_many(void *arg)
{
    struct race *race = arg;
    while (!atomic_load(&race->over)) {
        atomic_fetch_add(&race->fixture->now, 3000);
        timers_pass(&race->fixture->timers);
    }
    return NULL;
}

static void every_arm_ends_once_while_threads_arm_cancel_and_pass(void **unused)
{
    (void)unused;
    struct race *race = calloc(1, sizeof *race);
    assert_non_null(race);
    the_race = race;
    race->fixture = fixture_new(claim_dispatched);
    for (int i = 0; i < RACERS; i++)
        make_timer(&race->racers[i].timer);
    pthread_t threads[] = { thread_start(arm_many, race), thread_start(cancel_many, race),
                            thread_start(pass_many, race) };
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    timers_pass(&race->fixture->timers);             /* what was handed over last */
    timers_shutdown(&race->fixture->timers);
    uint64_t lives = 0;
    for (int i = 0; i < RACERS; i++) {
        assert_int_equal(race->racers[i].lives, race->racers[i].ends);
        lives += race->racers[i].lives;
    }
    assert_int_equal(race->ok + race->canceled + race->shutdown, lives);
    assert_int_equal(race->canceled, race->won);
    fixture_free(race->fixture);
    free(race);
}

/* Arms its own timers, and cancels them at once: each is freed by whoever ends it. */
static void free_dispatched(struct app *app, struct job *job)
{
    (void)app;
    (void)job_claim(job);
    free(job);
    atomic_fetch_add(&the_race->ok, 1);
}

static void *arm_and_cancel_own(void *arg)
{
    struct race *race = arg;
    for (int round = 0; round < ROUNDS; round++) {
        struct timer *timer = malloc(sizeof *timer);
        if (timer == NULL)
            abort();
        make_timer(timer);
        timers_arm(&race->fixture->timers, timer, WEIR_FOREVER, 0);
        if (!cancel(race->fixture, timer))
            abort();
    }
    return NULL;
}

static void the_last_call_may_free_the_item_whoever_ends_it(void **unused)
{
    (void)unused;
    struct race *race = calloc(1, sizeof *race);
    assert_non_null(race);
    the_race = race;
    race->fixture = fixture_new(free_dispatched);
    pthread_t threads[] = { thread_start(arm_and_cancel_own, race), thread_start(arm_and_cancel_own, race) };
    thread_join(threads[0]);
    thread_join(threads[1]);
    timers_pass(&race->fixture->timers);
    assert_int_equal(race->ok, 2 * ROUNDS);
    fixture_free(race->fixture);
    free(race);
}

static void *end_it(void *arg)
{
    struct race *race = arg;
    timers_shutdown(&race->fixture->timers);
    return NULL;
}

static void an_arm_that_races_with_the_end_is_ended(void **unused)
{
    (void)unused;
    for (int round = 0; round < 200; round++) {
        struct race *race = calloc(1, sizeof *race);
        assert_non_null(race);
        the_race = race;
        race->fixture = fixture_new(free_dispatched);
        pthread_t ender = thread_start(end_it, race);
        enum { COUNT = 20 };
        for (int i = 0; i < COUNT; i++) {
            struct timer *timer = malloc(sizeof *timer);
            assert_non_null(timer);
            make_timer(timer);
            timers_arm(&race->fixture->timers, timer, WEIR_FOREVER, 0);
        }
        thread_join(ender);
        assert_int_equal(race->ok, COUNT);
        assert_false(control_was_asked(race->fixture));
        fixture_free(race->fixture);
        free(race);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_is_queued_at_its_deadline_and_not_before),
        cmocka_unit_test(a_timer_for_ever_waits_for_its_cancel),
        cmocka_unit_test(a_cancelled_timer_is_queued_at_once_and_marked),
        cmocka_unit_test(a_cancel_after_the_deadline_is_too_late),
        cmocka_unit_test(equal_deadlines_keep_the_order_of_arming),
        cmocka_unit_test(a_timer_may_be_armed_again_after_its_last_call),
        cmocka_unit_test(a_periodic_timer_stays_on_its_grid_and_missed_ticks_are_one),
        cmocka_unit_test(a_periodic_timer_that_is_cancelled_while_it_runs_is_queued_marked),
        cmocka_unit_test(a_period_beyond_the_end_of_time_never_comes),
        cmocka_unit_test(the_end_takes_everything_that_is_armed_and_what_comes_later),
        cmocka_unit_test(a_cancel_that_won_before_the_end_stands),
        cmocka_unit_test(a_cancel_that_won_before_the_deadline_stands),
        cmocka_unit_test(an_internal_timer_is_called_once_with_what_ended_it),
        cmocka_unit_test(a_cancel_that_meets_the_arm_in_the_intake_is_found_there),
        cmocka_unit_test(a_cancel_of_an_item_that_is_just_coming_out_ends_it_once),
        cmocka_unit_test(a_pass_asked_of_another_pass_happens_there),
        cmocka_unit_test(a_pass_asked_of_a_caller_goes_to_the_control_thread),
        cmocka_unit_test(a_pass_finds_what_was_armed_since_the_wheel_was_handed_over),
        cmocka_unit_test(an_owner_that_gets_ever_more_to_do_hands_the_wheel_over),
        cmocka_unit_test(after_the_end_nothing_is_left_to_the_control_thread),
        cmocka_unit_test(the_time_out_of_a_wait_goes_to_its_module_instead_of_a_queue),
        cmocka_unit_test(a_wait_that_is_over_leaves_the_wheel_and_then_is_queued),
        cmocka_unit_test(the_end_leaves_waits_to_their_module),
        cmocka_unit_test(the_alarm_follows_the_nearest_deadline_down_and_only_down),
        cmocka_unit_test(every_arm_ends_once_while_threads_arm_cancel_and_pass),
        cmocka_unit_test(the_last_call_may_free_the_item_whoever_ends_it),
        cmocka_unit_test(an_arm_that_races_with_the_end_is_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
