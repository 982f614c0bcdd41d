/* SPDX-License-Identifier: Apache-2.0 */
/* test_r10_sessions.c - R10 for the functions of operations and sessions: who leaves one otherwise than by returning
 * stops the process with "misuse:"; they run with signals blocked; calls preserve errno; exit() is legal inside them
 *
 * The tests are C: pthread_exit and cancellation unwind the stack as an exception does that somebody would catch. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"
#include "tests/unit/child.h"

/* ---- how a function leaves, and which ---- */

static void leave_by_pthread_exit(void)
{
    pthread_exit(NULL);
}

static void leave_by_cancellation(void)
{
    (void)pthread_cancel(pthread_self());
    pthread_testcancel();
}

static void leave_by_exit(void)
{
    exit(0);
}

static void return_in_a_fork(void)
{
    pid_t pid = fork();
    if (pid != 0) {
        int how = 0;
        (void)waitpid(pid, &how, 0);
        _exit(WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT ? 3 : 4);
    }
}

enum place { IN_WORK, IN_ITEM, IN_FINAL, IN_HOOK, IN_HOOK_OF_DEFERRED, IN_DROP, IN_GONE, IN_CLOSED, PLACES };

static void (*leave)(void);
static enum place place;

static void leave_in(enum place here)
{
    if (here == place)
        leave();
}

static bool hook_leaves(weir_reason reason, void *ctx)
{
    (void)reason;
    (void)ctx;
    leave_in(place == IN_HOOK_OF_DEFERRED ? IN_HOOK_OF_DEFERRED : IN_HOOK);
    return true;
}

static weir_status work_leaves(weir_task *task, void *ctx)
{
    struct gate *running = ctx;
    weir_token token;
    leave_in(IN_WORK);
    if (place < IN_HOOK || place > IN_HOOK_OF_DEFERRED)
        return weir_task_post(task, ctx, 1) == WEIR_OK ? WEIR_OK : WEIR_FAILED;
    weir_status status = weir_task_on_cancel(task, hook_leaves, NULL);
    if (place == IN_HOOK_OF_DEFERRED)
        status = weir_task_defer(task, &token);
    gate_open(running);
    while (status == WEIR_OK && place == IN_HOOK && weir_task_cancelled(task) == WEIR_REASON_NONE)
        (void)sched_yield();
    while (place == IN_HOOK)
        (void)pause();                           /* what the hook does is to stop this */
    return status;
}

static void result_leaves(const weir_result *r, void *ctx)
{
    (void)ctx;
    leave_in(r->more ? IN_ITEM : IN_FINAL);
}

static void drop_leaves(void *data, size_t size)
{
    (void)data;
    (void)size;
    leave_in(IN_DROP);
}

static void gone_leaves(void *ctx)
{
    (void)ctx;
    leave_in(IN_GONE);
}

static void closed_leaves(const weir_report *report, void *ctx)
{
    (void)report;
    (void)ctx;
    leave_in(IN_CLOSED);
}

/* The process must not end by itself: what was called has to stop it. There is one worker, so that the hook of running
 * work is called on the control thread. */
static void go_to_the_place(void)
{
    static struct gate running = GATE_INIT;
    static const weir_kind kind = KIND(.work = work_leaves, .on_result = result_leaves, .drop = drop_leaves,
                                       .gone = gone_leaves);
    weir_op op = { 0 };
    if (weir_app_open(WEIR_NEW(weir_app_options, .workers = 1), &app) != WEIR_OK
        || weir_session_open(app, NULL, &session) != WEIR_OK
        || weir_op_start(session, &kind, &running, NULL, &op) != WEIR_OK)
        _exit(2);
    if (place == IN_HOOK || place == IN_HOOK_OF_DEFERRED) {
        gate_wait(&running);
        (void)weir_op_cancel(op, WEIR_REASON_USER);
    }
    (void)weir_op_close(op);
    if (place == IN_CLOSED)
        (void)weir_session_close(session, closed_leaves, NULL);
    for (;;)
        (void)pause();
}

static void who_leaves_a_callback_otherwise_than_by_returning_is_stopped(void **unused)
{
    (void)unused;
    static void (*const ways[])(void) = { leave_by_pthread_exit, leave_by_cancellation };
    for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++)
        for (place = IN_WORK; place < PLACES; place++) {
            leave = ways[way];
            struct child child = child_run(go_to_the_place);
            assert_int_equal(child.signal, SIGABRT);
            assert_non_null(strstr(child.errors, "misuse:"));
        }
}

static void exit_is_legal_inside_every_callback(void **unused)
{
    (void)unused;
    leave = leave_by_exit;
    for (place = IN_WORK; place < PLACES; place++)
        assert_int_equal(child_run(go_to_the_place).signal, 0);
}

/* Exits with 3 if the child of the child was stopped. */
static void fork_in_the_place(void)
{
    leave = return_in_a_fork;
    go_to_the_place();
}

static void a_callback_that_returns_in_a_forked_child_stops_that_child(void **unused)
{
    (void)unused;
    if (UNDER_SANITIZER != 0)                    /* a thread's fork there may inherit locks of the sanitizer */
        skip();
    for (place = IN_WORK; place < PLACES; place++) {
        struct child child = child_run(fork_in_the_place);
        assert_int_equal(child.signal, 0);
        assert_non_null(strstr(child.errors, "misuse:"));
    }
}

/* ---- signals ---- */

static _Atomic uint64_t masks_seen, masks_wrong;

static void note_mask(void)
{
    static const int others[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGALRM, SIGUSR1, SIGPIPE, SIGPROF };
    static const int synchronous[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    masks_seen++;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        masks_wrong += sigismember(&mask, others[i]) != 1;
    for (size_t i = 0; i < sizeof synchronous / sizeof synchronous[0]; i++)
        masks_wrong += sigismember(&mask, synchronous[i]) != 0;
}

static void callbacks_run_with_all_but_synchronous_signals_blocked(void **unused)
{
    (void)unused;
    static struct gate running;
    static const weir_kind kind = KIND(.work = work_leaves, .on_result = result_leaves, .drop = drop_leaves,
                                       .gone = gone_leaves);
    static const weir_kind blocking = KIND(.work = work_leaves, .on_result = result_leaves, .flags = WEIR_BLOCKS);
    static const uint64_t expected[PLACES] = {
        [IN_WORK] = 2, [IN_ITEM] = 2, [IN_FINAL] = 2, [IN_HOOK_OF_DEFERRED] = 1, [IN_DROP] = 1, [IN_GONE] = 1,
        [IN_CLOSED] = 1,
    };
    leave = note_mask;
    masks_wrong = 0;
    for (place = IN_WORK; place < PLACES; place++) {
        bool deferred = place == IN_HOOK_OF_DEFERRED;
        weir_session in = session_open_with(app, NULL);
        masks_seen = 0;
        running = (struct gate)GATE_INIT;
        if (place == IN_HOOK)
            continue;                            /* its work does not return */
        assert_ok(weir_op_start(in, &kind, &running, NULL, NULL));
        if (deferred)
            gate_wait(&running);
        else
            assert_ok(weir_op_start(in, &blocking, &running, NULL, NULL));
        assert_ok(weir_session_close_with(in, WEIR_NEW(weir_close_options, .drain_ns = deferred ? 0 : WEIR_FOREVER,
                                                       .closed = closed_leaves)));
        wait_until_closed(in);
        assert_int_equal(masks_seen, expected[place]);
    }
    assert_int_equal(masks_wrong, 0);
}

/* ---- errno ---- */

#define keeps_errno(call) \
    do { \
        errno = 4711; \
        (void)!(call); \
        assert_int_equal(errno, 4711); \
    } while (0)

static _Atomic int errno_in_work;

static weir_status work_keeps_errno(weir_task *task, void *ctx)
{
    weir_token token;
    errno = 4711;
    (void)!weir_task_post(task, ctx, 1);
    (void)!weir_task_post(task, ctx, 1);
    (void)!weir_task_on_cancel(task, NULL, NULL);
    (void)weir_task_cancelled(task);
    (void)weir_task_explain(task, "text");
    (void)!weir_task_defer(task, &token);
    errno_in_work = errno;
    return weir_token_complete(token, WEIR_OK, NULL, 0);
}

static void calls_preserve_errno(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_keeps_errno, .on_result = on_result);
    struct probe probe, fetched;
    weir_session in = { 0 }, mine = { 0 };
    weir_op op = { 0 }, pull = { 0 };
    const weir_result *r;
    probe_init(&probe);
    probe_init(&fetched);
    keeps_errno(weir_session_open(app, WEIR_NEW(weir_session_options, .reserve = 100), &in));
    keeps_errno(weir_op_start(in, &kind, NULL, WEIR_NEW(weir_op_options, .timeout_ns = INT64_C(60000000000)), &op));
    tally_wait(&seen.finals, 1);
    keeps_errno(weir_op_start(in, &defers, &probe, NULL, NULL));
    gate_wait(&probe.deferred);
    keeps_errno(weir_op_start(in, &pulled, &fetched, NULL, &pull));
    keeps_errno(weir_op_next(pull, 1000000, &r));
    keeps_errno(weir_op_session(op, &mine));
    keeps_errno(weir_op_ack(op, 1));
    keeps_errno(weir_op_cancel(op, WEIR_REASON_USER));
    keeps_errno(weir_op_close(op));
    keeps_errno(weir_op_close(op));
    keeps_errno(weir_op_close(pull));
    keeps_errno(weir_token_post(probe.token, (void *)(uintptr_t)1, 1));
    keeps_errno(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    keeps_errno(weir_session_cancel(in, WEIR_REASON_USER));
    keeps_errno(weir_session_wait(in, 1000000, NULL));
    keeps_errno(weir_session_close(in, NULL, NULL));
    keeps_errno(weir_session_wait(in, WEIR_FOREVER, NULL));
    assert_int_equal(errno_in_work, 4711);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_leaves_a_callback_otherwise_than_by_returning_is_stopped),
        cmocka_unit_test(exit_is_legal_inside_every_callback),
        cmocka_unit_test(a_callback_that_returns_in_a_forked_child_stops_that_child),
        TEST(callbacks_run_with_all_but_synchronous_signals_blocked),
        TEST(calls_preserve_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
