/* SPDX-License-Identifier: Apache-2.0 */
/* trouble.c - a worker that stands still, signals, clocks that jump, forks under load */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "endurance.h"

enum { WORKERS = 3 };

/* ---- a worker that is stopped anywhere: in a user's function, or inside the library ----
 * A signal's handler, on the worker's own thread, stands still until the pipe is written. */

static struct {
    pid_t worker[WORKERS];
    _Atomic uint32_t count, standing, gone_on;
    int pipe[2];
} still;

static void stand_still(int number)
{
    int before = errno;
    char byte;
    (void)number;
    atomic_fetch_add(&still.standing, 1);
    while (read(still.pipe[0], &byte, 1) < 0)
        ;
    atomic_fetch_add(&still.gone_on, 1);
    errno = before;
}

/* Each worker lets the one signal through. */
static void know_thread(weir_app app, uint32_t worker, bool starts, void *ctx)
{
    sigset_t set;
    (void)app;
    (void)ctx;
    if (!starts || worker >= WORKERS)
        return;
    still.worker[worker] = (pid_t)syscall(SYS_gettid);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    must(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
    atomic_fetch_add(&still.count, 1);
}

static weir_session begin_some(weir_app app)
{
    weir_session session = open_one(app);
    for (int i = 0; i < 100; i++)
        must(start_one(session, &brief));
    return session;
}

static void stop_worker(uint32_t victim)
{
    uint32_t standing = still.standing;
    must(syscall(SYS_tgkill, getpid(), still.worker[victim], SIGUSR2) == 0);
    while (still.standing == standing)
        sched_yield();
}

/* The byte is read before anybody else stands, or it would be his. */
static void let_go_on(void)
{
    must(write(still.pipe[1], "x", 1) == 1);
    while (still.gone_on != still.standing)
        sched_yield();
}

/* Anywhere: perhaps in the middle of the library, or asleep and the one that is woken next. A session that began
 * afterwards, of which it holds nothing, closes all the same (C7); the one that it was busy with, when it goes on. */
static void stop_anywhere(weir_app app, uint32_t victim, uint64_t round)
{
    weir_session busy = begin_some(app);
    for (uint64_t i = 0; i < round % 64; i++)
        sched_yield();
    stop_worker(victim);
    weir_session other = begin_some(app);
    must(weir_session_close(other, count_closed, NULL) == WEIR_OK);
    must(weir_session_close(busy, count_closed, NULL) == WEIR_OK);
    wait_for(other);
    let_go_on();
    wait_for(busy);
}

static weir_status stand_in_work(weir_task *task, void *ctx)
{
    (void)task;
    (void)ctx;
    stand_still(0);
    return WEIR_OK;
}

static void count_standing(const weir_result *r, void *ctx) { brief.on_result(r, ctx); }

static const weir_kind standing = { .size = sizeof(weir_kind), .name = "standing", .work = stand_in_work,
                                    .on_result = count_standing };

/* In a user's function: the others run everything else. */
static void stop_in_work(weir_app app)
{
    uint32_t before = still.standing;
    weir_session session = open_one(app), others;
    must(start_one(session, &standing));
    while (still.standing == before)
        sched_yield();
    uint64_t works = counts.works;
    int64_t deadline = now_ns() + INT64_C(30000000000);
    others = begin_some(app);
    while (counts.works < works + 100) {
        must(now_ns() < deadline);
        sched_yield();
    }
    close_one(others, false);
    let_go_on();
    close_one(session, false);
}

void stopped(uint64_t amount)
{
    struct sigaction action, before;
    memset(&action, 0, sizeof(action));
    action.sa_handler = stand_still;
    must(pipe(still.pipe) == 0 && sigaction(SIGUSR2, &action, &before) == 0);
    weir_app app = { 0 };
    must(weir_app_open(WEIR_NEW(weir_app_options, .workers = WORKERS, .on_thread = know_thread), &app) == WEIR_OK);
    while (still.count < WORKERS)
        sched_yield();
    for (uint64_t i = 0; i < (amount != 0 ? amount : 500); i++) {
        stop_anywhere(app, (uint32_t)(i % WORKERS), i);
        stop_in_work(app);
    }
    must(weir_app_close(app, INT64_C(60000000000), NULL) == WEIR_OK);
    must(sigaction(SIGUSR2, &before, NULL) == 0);
    (void)close(still.pipe[0]);
    (void)close(still.pipe[1]);
}

/* ---- signals ---- */

static _Atomic uint64_t caught;

static void catch(int number)
{
    (void)number;
    atomic_fetch_add_explicit(&caught, 1, memory_order_relaxed);
}

static void run_until(weir_app app, int64_t end)
{
    do {
        run_session(app, false);
        run_session(app, true);
    } while (now_ns() < end);
}

/* 10 000 a second, to the process: who does not block them is interrupted in whatever waits. amount: seconds. */
void signals(uint64_t amount)
{
    struct sigaction action, before;
    struct sigevent event;
    timer_t timer;
    const struct itimerspec often = { { 0, 100000 }, { 0, 100000 } };
    memset(&action, 0, sizeof(action));
    memset(&event, 0, sizeof(event));
    action.sa_handler = catch;
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    must(sigaction(SIGUSR1, &action, &before) == 0 && timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    must(timer_settime(timer, 0, &often, NULL) == 0);
    weir_app app = open_app(2);
    run_until(app, now_ns() + (int64_t)(amount != 0 ? amount : 3) * 1000000000);
    close_app(app);
    must(timer_delete(timer) == 0 && sigaction(SIGUSR1, &before, NULL) == 0);
    printf("    %llu signals\n", (unsigned long long)caught);
    must(caught > 0);
}

/* ---- clocks: the application's jumps by years, and stands still ---- */

static _Atomic int64_t hands;

static int64_t read_hands(void *ctx)
{
    (void)ctx;
    return hands;
}

static _Atomic uint64_t rang;

static void ring(weir_job *job, weir_status status)
{
    (void)job;
    (void)status;
    atomic_fetch_add(&rang, 1);
}

/* Operations with deadlines, and timers: a jump expires what is due, and nothing else; none is early, none is lost. */
static void jump(weir_app app, int64_t by)
{
    weir_timer due = { .job.fn = ring }, later = { .job.fn = ring };
    weir_session session = open_one(app);
    uint64_t before = rang;
    weir_queue queue = weir_app_queue(app, WEIR_NORMAL);
    must(weir_timer_start(queue, &due, by / 2 + 1, 0) == WEIR_OK);
    must(weir_timer_start(queue, &later, by + by / 2, 0) == WEIR_OK);
    must(weir_op_start(session, &patient, NULL, WEIR_NEW(weir_op_options, .timeout_ns = by / 2 + 1), NULL) == WEIR_OK);
    atomic_fetch_add(&counts.accepted, 1);
    hands += by;
    must(weir_app_tick(app) == WEIR_OK);
    int64_t deadline = now_ns() + INT64_C(30000000000);
    while (rang == before || counts.finals < counts.accepted) {
        must(now_ns() < deadline);
        sched_yield();
    }
    must(rang == before + 1);
    must(weir_job_cancel(&later.job) == WEIR_OK);
    while (rang != before + 2) {
        must(now_ns() < deadline);
        sched_yield();
    }
    close_one(session, false);
}

/* The life of one application: a clock has room for 292 years. */
static void jump_often(uint64_t jumps)
{
    static const int64_t widths[] = {
        1000, 999999, 1000000000, INT64_C(86400000000000), INT64_C(31557600000000000), 10,
    };
    weir_app app = { 0 };
    hands = 1;
    must(weir_app_open(WEIR_NEW(weir_app_options, .workers = 2, .now = read_hands), &app) == WEIR_OK);
    for (uint64_t i = 0; i < jumps; i++)
        jump(app, widths[i % 6]);
    must(weir_app_close(app, INT64_C(60000000000), NULL) == WEIR_OK);
}

void clocks(uint64_t amount)
{
    for (uint64_t left = amount != 0 ? amount : 120; left > 0; left -= left < 600 ? left : 600)
        jump_often(left < 600 ? left : 600);
}

/* ---- forks under load ---- */

static struct {
    weir_app app;
    weir_session session;
    _Atomic uint64_t stop;
} load;

static void *keep_busy(void *arg)
{
    (void)arg;
    while (!load.stop)
        (void)start_one(load.session, &brief);
    return NULL;
}

/* A3: everything answers FORKED, and the child is free to open its own and to leave. */
static void child(void)
{
    weir_app app;
    weir_report report = { .size = sizeof(report) };
    bool well = weir_op_start(load.session, &brief, NULL, NULL, NULL) == WEIR_FORKED
             && weir_session_close(load.session, NULL, NULL) == WEIR_FORKED
             && weir_session_inspect(load.session, &report) == WEIR_FORKED
             && weir_session_wait(load.session, WEIR_FOREVER, NULL) == WEIR_FORKED
             && weir_app_close(load.app, WEIR_FOREVER, NULL) == WEIR_FORKED;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(PROOF_SANITIZED)
    well = well && weir_app_open(WEIR_NEW(weir_app_options, .workers = 1), &app) == WEIR_OK
        && weir_app_close(app, INT64_C(30000000000), NULL) == WEIR_OK;
#else
    (void)app;
#endif
    _exit(well ? 0 : 1);
}

void forks(uint64_t amount)
{
    pthread_t threads[2];
    load.app = open_app(2);
    must(weir_session_open(load.app, WEIR_NEW(weir_session_options, .live_max = 100000), &load.session) == WEIR_OK);
    load.stop = 0;
    for (int i = 0; i < 2; i++)
        must(pthread_create(&threads[i], NULL, keep_busy, NULL) == 0);
    for (uint64_t i = 0; i < (amount != 0 ? amount : 100); i++) {
        int status = -1;
        pid_t pid = fork();
        must(pid >= 0);
        if (pid == 0)
            child();
        must(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    load.stop = 1;
    for (int i = 0; i < 2; i++)
        must(pthread_join(threads[i], NULL) == 0);
    close_one(load.session, false);
    close_app(load.app);
}
