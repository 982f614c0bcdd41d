/* SPDX-License-Identifier: Apache-2.0 */
/* test_fdwait.c - each wait ends once: by its descriptor, its time-out, a cancel or the end
 *
 * The timers, the control thread and the kernel are the real ones; the clock is stepped, and the queue
 * behind is played by a function that records what it is given. */

#include "workqueue/fdwait.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/support.h"

enum { RECORDS = 64 };

struct fixture {
    struct timers timers;
    struct fdwaits fdwaits;
    struct control control;
    struct clock clock;
    struct log log;
    _Atomic int64_t now;
    pthread_t thread;
    struct tally dispatched;
    struct job *jobs[RECORDS];                       /* in order; written before dispatched is added to */
    struct gate entered, go_on;                      /* of the handler that holds the control thread */
    int ends[2];                                     /* a pipe: read here, write there */
};

static int64_t fixture_now(void *ctx)
{
    struct fixture *f = ctx;
    return atomic_load(&f->now);
}

static void record_dispatch(struct app *app, struct job *job)
{
    struct fixture *f = (struct fixture *)(void *)app;
    f->jobs[tally_count(&f->dispatched)] = job;
    tally_add(&f->dispatched, 1);
}

static void pass_timers(void *timers)
{
    timers_pass(timers);
}

static void hold_thread(void *ctx)
{
    struct fixture *f = ctx;
    gate_open(&f->entered);
    gate_wait(&f->go_on);
}

static void *control_thread(void *control)
{
    control_run(control);
    return NULL;
}

static struct fixture *fixture_new(timers_dispatch_fn *dispatch)
{
    struct fixture *f = aligned_alloc(CACHE_LINE, (sizeof *f + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
    assert_non_null(f);
    memset(f, 0, sizeof *f);
    f->dispatched = (struct tally)TALLY_INIT;
    f->entered = f->go_on = (struct gate)GATE_INIT;
    atomic_store(&f->now, 1000);
    f->clock = (struct clock){ fixture_now, f };
    struct app *app = (struct app *)(void *)f;
    assert_int_equal(control_init(&f->control, &f->log), WEIR_OK);
    timers_init(&f->timers, &f->clock, &f->control, app, dispatch);
    fdwaits_init(&f->fdwaits, &f->timers, &f->control, &f->log, app, dispatch);
    control_handle(&f->control, CONTROL_TIMERS, pass_timers, &f->timers);
    control_handle(&f->control, CONTROL_HOOKS, hold_thread, f);
    assert_int_equal(pipe(f->ends), 0);
    f->thread = thread_start(control_thread, &f->control);
    return f;
}

static void fixture_end(struct fixture *f)
{
    timers_shutdown(&f->timers);
    fdwaits_shutdown(&f->fdwaits);
}

/* After fixture_end. */
static void fixture_free(struct fixture *f)
{
    fdwaits_stop(&f->fdwaits);
    thread_join(f->thread);
    fdwaits_fini(&f->fdwaits);
    timers_fini(&f->timers);
    control_fini(&f->control);
    close(f->ends[0]);
    close(f->ends[1]);
    free(f);
}

static void step(struct fixture *f, int64_t to)
{
    atomic_store(&f->now, to);
    timers_pass(&f->timers);
}

static void hold(struct fixture *f)
{
    control_request(&f->control, CONTROL_HOOKS);
    gate_wait(&f->entered);
}

static void never_called(weir_job *job, weir_status status)
{
    (void)job;
    (void)status;
    abort();                                         /* a user's function, called in place */
}

static void make_wait(struct fdwait *wait, int fd, uint32_t events)
{
    *wait = (struct fdwait){ .timer.job = { .fn = never_called, .kind = JOB_FDWAIT }, .fd = fd, .events = events };
}

static uint32_t phase_of(struct fdwait *wait)
{
    return atomic_load(&wait->timer.job.phase);
}

static bool cancel(struct fixture *f, struct fdwait *wait)
{
    if (!job_move(&wait->timer.job, JOB_ARMED, JOB_ENDING))
        return false;
    fdwaits_cancelled(&f->fdwaits, &wait->timer.job);
    return true;
}

static void put(int fd)
{
    if (write(fd, "x", 1) != 1)
        abort();
}

/* ---- ready --------------------------------------------------------------------------------------- */

static void a_wait_ends_when_its_descriptor_becomes_readable(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct fdwait wait;
    make_wait(&wait, f->ends[0], WEIR_READABLE);
    assert_int_equal(fdwaits_start(&f->fdwaits, &wait, WEIR_FOREVER), WEIR_OK);
    put(f->ends[1]);
    tally_wait(&f->dispatched, 1);
    assert_ptr_equal(f->jobs[0], &wait.timer.job);
    assert_int_equal(phase_of(&wait), JOB_QUEUED);
    assert_int_equal(wait.ready, WEIR_READABLE);
    fixture_end(f);
    fixture_free(f);
}

static void a_descriptor_that_is_ready_already_ends_the_wait(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct fdwait wait;
    make_wait(&wait, f->ends[1], WEIR_WRITABLE);
    assert_int_equal(fdwaits_start(&f->fdwaits, &wait, WEIR_FOREVER), WEIR_OK);
    tally_wait(&f->dispatched, 1);
    assert_int_equal(wait.ready, WEIR_WRITABLE);
    fixture_end(f);
    fixture_free(f);
}

static void a_hang_up_is_told_apart_from_data(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct fdwait wait;
    make_wait(&wait, f->ends[0], WEIR_READABLE);
    assert_int_equal(fdwaits_start(&f->fdwaits, &wait, WEIR_FOREVER), WEIR_OK);
    close(f->ends[1]);
    tally_wait(&f->dispatched, 1);
    assert_int_equal(wait.ready, WEIR_HANGUP);
    f->ends[1] = dup(f->ends[0]);
    fixture_end(f);
    fixture_free(f);
}

static void a_broken_pipe_is_an_error(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct fdwait wait;
    close(f->ends[0]);
    make_wait(&wait, f->ends[1], WEIR_WRITABLE);
    assert_int_equal(fdwaits_start(&f->fdwaits, &wait, WEIR_FOREVER), WEIR_OK);
    tally_wait(&f->dispatched, 1);
    assert_int_equal(wait.ready & WEIR_FDERROR, WEIR_FDERROR);
    f->ends[0] = dup(f->ends[1]);
    fixture_end(f);
    fixture_free(f);
}

static void a_descriptor_can_be_waited_for_again_after_the_last_call(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct fdwait wait;
    for (uint64_t round = 1; round <= 20; round++) {
        char byte;
        make_wait(&wait, f->ends[0], WEIR_READABLE);
        assert_int_equal(fdwaits_start(&f->fdwaits, &wait, 1000000), WEIR_OK);
        put(f->ends[1]);
        tally_wait(&f->dispatched, round);
        assert_int_equal(wait.ready, WEIR_READABLE);
        assert_int_equal(read(f->ends[0], &byte, 1), 1);
    }
    fixture_end(f);
    fixture_free(f);
}

static void a_wait_that_ended_by_its_descriptor_has_left_the_timers(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct fdwait wait;
    make_wait(&wait, f->ends[0], WEIR_READABLE);
    assert_int_equal(fdwaits_start(&f->fdwaits, &wait, 5000), WEIR_OK);
    put(f->ends[1]);
    tally_wait(&f->dispatched, 1);
    step(f, 9000);
    fixture_end(f);
    assert_int_equal(tally_count(&f->dispatched), 1);
    assert_int_equal(wait.ready, WEIR_READABLE);
    fixture_free(f);
}

/* ---- refused -------------------------------------------------------------------------------------- */

static void a_second_wait_for_a_descriptor_is_refused_and_the_first_stands(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct fdwait first, second;
    make_wait(&first, f->ends[0], WEIR_READABLE);
    make_wait(&second, f->ends[0], WEIR_READABLE);
    assert_int_equal(fdwaits_start(&f->fdwaits, &first, WEIR_FOREVER), WEIR_OK);
    assert_int_equal(fdwaits_start(&f->fdwaits, &second, 5000), WEIR_BUSY);
    assert_int_equal(phase_of(&second), JOB_IDLE);
    put(f->ends[1]);
    tally_wait(&f->dispatched, 1);
    assert_ptr_equal(f->jobs[0], &first.timer.job);
    fixture_end(f);
    fixture_free(f);
}

static void what_cannot_be_waited_for_is_invalid(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct fdwait wait;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    make_wait(&wait, file, WEIR_READABLE);
    assert_int_equal(fdwaits_start(&f->fdwaits, &wait, WEIR_FOREVER), WEIR_INVALID);
    close(file);
    int bad[] = { -1, file, f->control.epoll };
    for (int i = 0; i < 3; i++) {
        make_wait(&wait, bad[i], WEIR_READABLE);
        assert_int_equal(fdwaits_start(&f->fdwaits, &wait, 5000), WEIR_INVALID);
    }
    fixture_end(f);
    assert_int_equal(tally_count(&f->dispatched), 0);
    fixture_free(f);
}

/* ---- time-outs -------------------------------------------------------------------------------------- */

static void a_time_out_ends_the_wait_with_nothing_ready(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct fdwait wait;
    make_wait(&wait, f->ends[0], WEIR_READABLE);
    assert_int_equal(fdwaits_start(&f->fdwaits, &wait, 5000), WEIR_OK);
    step(f, 4999);
    assert_int_equal(phase_of(&wait), JOB_ARMED);
    step(f, 5000);
    tally_wait(&f->dispatched, 1);
    assert_int_equal(phase_of(&wait), JOB_QUEUED);
    assert_int_equal(wait.ready, 0);
    fixture_end(f);
    fixture_free(f);
}

static void data_that_is_there_at_the_time_out_is_told(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct fdwait wait;
    make_wait(&wait, f->ends[0], WEIR_READABLE);
    hold(f);                                         /* it cannot see the event before the time-out has won */
    assert_int_equal(fdwaits_start(&f->fdwaits, &wait, 5000), WEIR_OK);
    put(f->ends[1]);
    step(f, 5000);
    assert_int_equal(phase_of(&wait), JOB_QUEUED);
    gate_open(&f->go_on);
    tally_wait(&f->dispatched, 1);
    assert_int_equal(wait.ready, WEIR_READABLE);
    fixture_end(f);
    assert_int_equal(tally_count(&f->dispatched), 1);
    fixture_free(f);
}

/* ---- cancels ---------------------------------------------------------------------------------------- */

static void a_cancel_ends_the_wait_and_frees_the_descriptor(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct fdwait wait, next;
    make_wait(&wait, f->ends[0], WEIR_READABLE);
    make_wait(&next, f->ends[0], WEIR_READABLE);
    assert_int_equal(fdwaits_start(&f->fdwaits, &wait, WEIR_FOREVER), WEIR_OK);
    assert_true(cancel(f, &wait));
    tally_wait(&f->dispatched, 1);
    assert_int_equal(phase_of(&wait), JOB_MARKED);
    assert_int_equal(wait.ready, 0);
    assert_int_equal(fdwaits_start(&f->fdwaits, &next, WEIR_FOREVER), WEIR_OK);
    put(f->ends[1]);
    tally_wait(&f->dispatched, 2);
    assert_ptr_equal(f->jobs[1], &next.timer.job);
    fixture_end(f);
    fixture_free(f);
}

static void a_cancel_takes_the_time_out_back(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct fdwait wait;
    make_wait(&wait, f->ends[0], WEIR_READABLE);
    assert_int_equal(fdwaits_start(&f->fdwaits, &wait, 5000), WEIR_OK);
    assert_true(cancel(f, &wait));
    tally_wait(&f->dispatched, 1);
    step(f, 9000);
    fixture_end(f);
    assert_int_equal(tally_count(&f->dispatched), 1);
    fixture_free(f);
}

static void a_cancel_that_won_before_the_event_stands(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct fdwait wait;
    make_wait(&wait, f->ends[0], WEIR_READABLE);
    assert_int_equal(fdwaits_start(&f->fdwaits, &wait, 5000), WEIR_OK);
    assert_true(job_move(&wait.timer.job, JOB_ARMED, JOB_ENDING));
    put(f->ends[1]);
    hold(f);                                         /* it has been round once, and has seen the event */
    step(f, 9000);
    assert_int_equal(tally_count(&f->dispatched), 0);
    fdwaits_cancelled(&f->fdwaits, &wait.timer.job);
    gate_open(&f->go_on);
    tally_wait(&f->dispatched, 1);
    assert_int_equal(phase_of(&wait), JOB_MARKED);
    fixture_end(f);
    fixture_free(f);
}

static void a_descriptor_that_was_closed_early_still_ends_by_a_cancel(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct fdwait wait;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    make_wait(&wait, ends[0], WEIR_READABLE);
    assert_int_equal(fdwaits_start(&f->fdwaits, &wait, WEIR_FOREVER), WEIR_OK);
    close(ends[0]);
    close(ends[1]);
    assert_true(cancel(f, &wait));
    tally_wait(&f->dispatched, 1);
    assert_int_equal(phase_of(&wait), JOB_MARKED);
    fixture_end(f);
    fixture_free(f);
}

/* ---- the starter is still busy ------------------------------------------------------------------------ */

static void who_wins_while_the_starter_is_busy_leaves_it_to_the_starter_to_tell(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct fdwait wait;
    make_wait(&wait, f->ends[0], WEIR_READABLE);
    atomic_store(&wait.stage, FDWAIT_STARTING);
    job_begin(&wait.timer.job, JOB_ARMED);
    assert_true(cancel(f, &wait));
    assert_null(atomic_load(&f->fdwaits.told));
    assert_int_equal(atomic_load(&wait.stage), FDWAIT_STARTING | FDWAIT_WON);
    fixture_end(f);
    fixture_free(f);
    assert_int_equal(phase_of(&wait), JOB_ENDING);
}

/* ---- the end ------------------------------------------------------------------------------------------- */

static void the_end_takes_every_wait_and_refuses_later_ones(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct fdwait with, without, late;
    make_wait(&without, f->ends[0], WEIR_READABLE);
    int other = dup(f->ends[0]);
    make_wait(&with, other, WEIR_READABLE);
    make_wait(&late, f->ends[1], WEIR_WRITABLE);
    assert_int_equal(fdwaits_start(&f->fdwaits, &with, 5000), WEIR_OK);
    assert_int_equal(fdwaits_start(&f->fdwaits, &without, WEIR_FOREVER), WEIR_OK);
    fixture_end(f);
    tally_wait(&f->dispatched, 2);
    assert_int_equal(phase_of(&with), JOB_QUEUED);
    assert_int_equal(phase_of(&without), JOB_QUEUED);
    assert_int_equal(with.timer.job.forced, WEIR_SHUTDOWN);
    assert_int_equal(without.timer.job.forced, WEIR_SHUTDOWN);
    assert_int_equal(fdwaits_start(&f->fdwaits, &late, WEIR_FOREVER), WEIR_SHUTDOWN);
    assert_int_equal(phase_of(&late), JOB_IDLE);
    fixture_free(f);
    close(other);
}

/* The canceller has won, and is preempted before it says so: the control thread may not stop. */
static void the_control_thread_waits_for_a_winner_that_has_not_told_yet(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(record_dispatch);
    struct fdwait wait;
    make_wait(&wait, f->ends[0], WEIR_READABLE);
    assert_int_equal(fdwaits_start(&f->fdwaits, &wait, WEIR_FOREVER), WEIR_OK);
    assert_true(job_move(&wait.timer.job, JOB_ARMED, JOB_ENDING));
    fixture_end(f);
    fdwaits_stop(&f->fdwaits);
    hold(f);                                         /* it went round after that, and is still there */
    gate_open(&f->go_on);
    assert_int_equal(tally_count(&f->dispatched), 0);
    fdwaits_cancelled(&f->fdwaits, &wait.timer.job);
    thread_join(f->thread);
    assert_int_equal(tally_count(&f->dispatched), 1);
    assert_int_equal(phase_of(&wait), JOB_MARKED);
    assert_int_equal(wait.timer.job.forced, 0);
    fdwaits_fini(&f->fdwaits);
    timers_fini(&f->timers);
    control_fini(&f->control);
    close(f->ends[0]);
    close(f->ends[1]);
    free(f);
}

/* ---- races ----------------------------------------------------------------------------------------------- */

enum { STARTERS = 2, LANES_EACH = 4, ROUNDS = 500 };

struct lane {
    int ends[2];
    _Atomic unsigned starts, over;
};

struct starter {
    struct fixture *fixture;
    struct lane lanes[LANES_EACH];
    uint64_t random;
};

static _Atomic uint64_t outcomes[4];                 /* ready, timed out, canceled, shut down */

/* The last call: frees the item, and lets the starter go on. */
static void end_and_free(struct app *app, struct job *job)
{
    (void)app;
    struct fdwait *wait = fdwait_of(job);
    struct lane *lane = job->ctx;
    bool forced = job->forced == WEIR_SHUTDOWN;
    unsigned outcome = job_claim(job) == WEIR_CANCELED ? 2 : forced ? 3 : wait->ready == 0 ? 1 : 0;
    free(wait);
    atomic_fetch_add(&outcomes[outcome], 1);
    atomic_fetch_add(&lane->over, 1);
}

static void start_lane(struct starter *starter, struct lane *lane)
{
    uint64_t random = test_random(&starter->random);
    struct fixture *f = starter->fixture;
    struct fdwait *wait = malloc(sizeof *wait);
    if (wait == NULL)
        abort();
    make_wait(wait, lane->ends[0], WEIR_READABLE);
    wait->timer.job.ctx = lane;
    if (random % 4 == 0)
        put(lane->ends[1]);                          /* ready before it is added */
    int64_t deadline = random % 2 == 0 ? WEIR_FOREVER : atomic_load(&f->now) + (int64_t)(random >> 8) % 30;
    atomic_fetch_add(&lane->starts, 1);
    if (fdwaits_start(&f->fdwaits, wait, deadline) != WEIR_OK)
        abort();
}

static void drain(struct lane *lane)
{
    char bytes[16];
    while (read(lane->ends[0], bytes, sizeof bytes) > 0)
        ;
}

/* The item may be freed at any time after its start, so it is not touched any more. */
static void *start_and_end(void *arg)
{
    struct starter *starter = arg;
    for (int round = 0; round < ROUNDS; round++) {
        struct lane *lane = &starter->lanes[test_random(&starter->random) % LANES_EACH];
        if (atomic_load(&lane->over) == atomic_load(&lane->starts)) {
            drain(lane);
            start_lane(starter, lane);
        }
        if (test_random(&starter->random) % 2 == 0)
            put(lane->ends[1]);
        else
            step(starter->fixture, atomic_fetch_add(&starter->fixture->now, 7) + 7);
    }
    return NULL;
}

static void starter_init(struct starter *starter, struct fixture *f, uint64_t seed)
{
    memset(starter, 0, sizeof *starter);
    starter->fixture = f;
    starter->random = seed;
    for (int i = 0; i < LANES_EACH; i++)
        assert_int_equal(pipe2(starter->lanes[i].ends, O_NONBLOCK | O_CLOEXEC), 0);
}

static void starter_check(struct starter *starter)
{
    for (int i = 0; i < LANES_EACH; i++) {
        struct lane *lane = &starter->lanes[i];
        assert_int_equal(lane->over, lane->starts);
        close(lane->ends[0]);
        close(lane->ends[1]);
    }
}

static void each_wait_ends_once_while_events_and_time_outs_race(void **unused)
{
    (void)unused;
    struct fixture *f = fixture_new(end_and_free);
    struct starter starters[STARTERS];
    pthread_t threads[STARTERS];
    for (int i = 0; i < STARTERS; i++)
        starter_init(&starters[i], f, test_seed() + (uint64_t)i);
    for (int i = 0; i < STARTERS; i++)
        threads[i] = thread_start(start_and_end, &starters[i]);
    for (int i = 0; i < STARTERS; i++)
        thread_join(threads[i]);
    fixture_end(f);
    fixture_free(f);
    for (int i = 0; i < STARTERS; i++)
        starter_check(&starters[i]);
}

/* Cancels by a thread of their own, on items that stay in memory. */
struct duel {
    struct fixture *fixture;
    struct fdwait wait;
    int ends[2];
    _Atomic unsigned round, over;
    _Atomic uint64_t won;
};

static struct duel *the_duel;

static void end_duel(struct app *app, struct job *job)
{
    (void)app;
    unsigned outcome = job_claim(job) == WEIR_CANCELED ? 2 : 0;
    atomic_fetch_add(&outcomes[outcome], 1);
    atomic_fetch_add(&the_duel->over, 1);
}

static void *cancel_often(void *arg)
{
    struct duel *duel = arg;
    while (atomic_load(&duel->round) <= ROUNDS)
        if (cancel(duel->fixture, &duel->wait))
            atomic_fetch_add(&duel->won, 1);
    return NULL;
}

static void a_cancel_against_events_time_outs_and_the_start_itself(void **unused)
{
    (void)unused;
    struct duel *duel = calloc(1, sizeof *duel);
    assert_non_null(duel);
    the_duel = duel;
    memset(&outcomes, 0, sizeof outcomes);
    struct fixture *f = duel->fixture = fixture_new(end_duel);
    assert_int_equal(pipe2(duel->ends, O_NONBLOCK | O_CLOEXEC), 0);
    make_wait(&duel->wait, duel->ends[0], WEIR_READABLE);
    pthread_t canceller = thread_start(cancel_often, duel);
    uint64_t random = test_seed();
    for (unsigned round = 1; round <= ROUNDS; round++) {
        uint64_t choice = test_random(&random);
        atomic_store(&duel->round, round);
        if (choice % 2 == 0)
            put(duel->ends[1]);
        int64_t deadline = choice % 3 == 0 ? WEIR_FOREVER : atomic_load(&f->now) + 5;
        assert_int_equal(fdwaits_start(&f->fdwaits, &duel->wait, deadline), WEIR_OK);
        step(f, atomic_load(&f->now) + 6);
        if (choice % 2 != 0)
            put(duel->ends[1]);
        while (atomic_load(&duel->over) != round)
            sched_yield();
        char bytes[8];
        while (read(duel->ends[0], bytes, sizeof bytes) > 0)
            ;
    }
    atomic_store(&duel->round, ROUNDS + 1);
    thread_join(canceller);
    assert_int_equal(outcomes[2], duel->won);
    assert_int_equal(outcomes[0] + outcomes[2], ROUNDS);
    fixture_end(f);
    fixture_free(f);
    close(duel->ends[0]);
    close(duel->ends[1]);
    free(duel);
}

struct last_starts {
    struct fixture *fixture;
    struct fdwait waits[8];
    int fds[8];
    unsigned accepted;
};

static void *start_some(void *arg)
{
    struct last_starts *last = arg;
    for (int i = 0; i < 8; i++) {
        make_wait(&last->waits[i], last->fds[i], WEIR_READABLE);
        weir_status status = fdwaits_start(&last->fixture->fdwaits, &last->waits[i], i % 2 == 0 ? WEIR_FOREVER : 5000);
        last->accepted += status == WEIR_OK;
    }
    return NULL;
}

static void a_start_that_races_with_the_end_is_refused_or_ended(void **unused)
{
    (void)unused;
    for (int round = 0; round < 100; round++) {
        struct fixture *f = fixture_new(record_dispatch);
        struct last_starts last = { .fixture = f };
        for (int i = 0; i < 8; i++)
            last.fds[i] = dup(f->ends[0]);
        pthread_t starter = thread_start(start_some, &last);
        fixture_end(f);
        fdwaits_stop(&f->fdwaits);
        thread_join(f->thread);
        thread_join(starter);
        assert_int_equal(tally_count(&f->dispatched), last.accepted);
        fdwaits_fini(&f->fdwaits);
        timers_fini(&f->timers);
        control_fini(&f->control);
        for (int i = 0; i < 8; i++)
            close(last.fds[i]);
        close(f->ends[0]);
        close(f->ends[1]);
        free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_ends_when_its_descriptor_becomes_readable),
        cmocka_unit_test(a_descriptor_that_is_ready_already_ends_the_wait),
        cmocka_unit_test(a_hang_up_is_told_apart_from_data),
        cmocka_unit_test(a_broken_pipe_is_an_error),
        cmocka_unit_test(a_descriptor_can_be_waited_for_again_after_the_last_call),
        cmocka_unit_test(a_wait_that_ended_by_its_descriptor_has_left_the_timers),
        cmocka_unit_test(a_second_wait_for_a_descriptor_is_refused_and_the_first_stands),
        cmocka_unit_test(what_cannot_be_waited_for_is_invalid),
        cmocka_unit_test(a_time_out_ends_the_wait_with_nothing_ready),
        cmocka_unit_test(data_that_is_there_at_the_time_out_is_told),
        cmocka_unit_test(a_cancel_ends_the_wait_and_frees_the_descriptor),
        cmocka_unit_test(a_cancel_takes_the_time_out_back),
        cmocka_unit_test(a_cancel_that_won_before_the_event_stands),
        cmocka_unit_test(a_descriptor_that_was_closed_early_still_ends_by_a_cancel),
        cmocka_unit_test(who_wins_while_the_starter_is_busy_leaves_it_to_the_starter_to_tell),
        cmocka_unit_test(the_end_takes_every_wait_and_refuses_later_ones),
        cmocka_unit_test(the_control_thread_waits_for_a_winner_that_has_not_told_yet),
        cmocka_unit_test(each_wait_ends_once_while_events_and_time_outs_race),
        cmocka_unit_test(a_cancel_against_events_time_outs_and_the_start_itself),
        cmocka_unit_test(a_start_that_races_with_the_end_is_refused_or_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
