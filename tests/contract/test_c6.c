/* SPDX-License-Identifier: Apache-2.0 */
/* test_c6.c - C6: cancelling a whole session costs the caller the same for one operation as for many */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

#include <signal.h>
#include <sys/mman.h>

/* ---- the caller touches no operation ----
 *
 * What the session allocates while operations are started are their rows. During the cancel these pages may not be
 * touched; each touch by the caller is counted, and let through. Workers are held; the control thread, should it come
 * to help, has to wait until the caller is done. */

enum { BLOCKS = 256, PAGE = 4096 };

static struct { char *memory; size_t size; } blocks[BLOCKS];
static _Atomic uint32_t block_count;
static _Atomic bool recording;
static _Atomic uint64_t touched;
static pthread_t caller;

static void *mapped(size_t size, size_t align, void *ctx)
{
    (void)ctx;
    size_t length = (size + PAGE - 1) / PAGE * PAGE;
    if (align > PAGE)
        return NULL;
    char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    uint32_t number = recording ? block_count++ : BLOCKS;
    if (number < BLOCKS) {
        blocks[number].memory = memory;
        blocks[number].size = length;
    }
    return memory;
}

static void unmap(void *memory, size_t size, void *ctx)
{
    (void)ctx;
    (void)munmap(memory, (size + PAGE - 1) / PAGE * PAGE);
}

static void protect_all(int protection)
{
    for (uint32_t i = 0; i < block_count; i++)
        (void)mprotect(blocks[i].memory, blocks[i].size, protection);
}

static void count_touch(int signal, siginfo_t *info, void *context)
{
    char *page = (char *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1));
    (void)context;
    for (uint32_t i = 0; i < block_count; i++)
        if (page >= blocks[i].memory && page < blocks[i].memory + blocks[i].size) {
            if (pthread_equal(pthread_self(), caller)) {
                touched++;
                (void)mprotect(page, PAGE, PROT_READ | PROT_WRITE);
            }
            return;                              /* another thread tries again, until it may */
        }
    (void)sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
}

static struct sigaction catch_touches(void)
{
    struct sigaction before, action = { .sa_flags = SA_SIGINFO };
    action.sa_sigaction = count_touch;
    assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
    return before;
}

static uint64_t pages_touched_by_a_cancel_of(uint32_t operations)
{
    struct hold hold;
    weir_app mapped_app = app_open_with(WEIR_NEW(weir_app_options, .workers = 1, .alloc = mapped, .release = unmap));
    weir_session in = session_open_with(mapped_app, NULL);
    block_count = 0;
    touched = 0;
    caller = pthread_self();
    hold_begin(&hold, lane_of(mapped_app));
    recording = true;
    for (uint32_t i = 0; i < operations; i++)
        assert_ok(weir_op_start(in, &ends, NULL, NULL, NULL));
    recording = false;
    assert_in_range(block_count, 1, BLOCKS);
    struct sigaction before = catch_touches();
    protect_all(PROT_NONE);
    weir_status status = weir_session_cancel(in, WEIR_REASON_USER);
    protect_all(PROT_READ | PROT_WRITE);
    assert_ok(status);
    tally_wait(&seen.finals, operations);        /* all of them */
    hold_end(&hold);
    app_close(mapped_app);                       /* now no thread is on its way into the handler */
    assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
    assert_int_equal(seen.by_status[WEIR_CANCELED], operations);
    assert_int_equal(seen.works, 0);
    seen_forget();
    return touched;
}

static void the_caller_of_a_cancel_of_all_touches_no_operation(void **unused)
{
    (void)unused;
    assert_int_equal(pages_touched_by_a_cancel_of(1000), 0);
    assert_int_equal(pages_touched_by_a_cancel_of(20000), 0);
}

/* ---- what it applies to ---- */

static void operations_accepted_before_never_run_and_those_after_do(void **unused)
{
    (void)unused;
    enum { COUNT = 500 };
    struct busy busy;
    busy_begin(&busy, 1);
    for (int i = 0; i < COUNT; i++)
        start_closed(&ends, NULL);
    assert_ok(weir_session_cancel(session, 70));
    for (int i = 0; i < COUNT; i++)
        start_closed(&ends, NULL);
    busy_end(&busy);
    tally_wait(&seen.finals, 2 * COUNT);
    assert_int_equal(seen.works, COUNT);
    assert_int_equal(seen.by_status[WEIR_CANCELED], COUNT);
    assert_int_equal(seen.by_status[WEIR_OK], COUNT);
}

static void the_session_stays_open(void **unused)
{
    (void)unused;
    for (int i = 0; i < 100; i++) {
        struct probe probe;
        probe_init(&probe);
        assert_ok(weir_session_cancel(session, WEIR_REASON_USER));
        start_closed(&ends, &probe);
        probe_wait(&probe);
        assert_ok(probe.final.status);
        assert_int_equal(probe.final.reason, WEIR_REASON_NONE);
    }
}

static void of_several_cancels_before_anybody_acts_the_latest_reason_holds(void **unused)
{
    (void)unused;
    struct probe probe;
    probe_init(&probe);
    weir_op op = start(&holds, &probe);          /* its work neither polls nor has a hook */
    gate_wait(&probe.entered);
    assert_ok(weir_session_cancel(session, 70));
    assert_ok(weir_session_cancel(session, 71));
    assert_status(weir_op_cancel(op, 72), WEIR_ALREADY);
    probe_release(&probe);
    assert_true(probe.final.reason == 70 || probe.final.reason == 71);      /* 70: a sweep was faster */
    assert_ok(weir_op_close(op));
}

static void a_closed_session_is_not_cancelled(void **unused)
{
    (void)unused;
    session_close(session);
    assert_status(weir_session_cancel(session, WEIR_REASON_USER), WEIR_STALE);
}

/* ---- whoever acts first on it: the deadline, the close of a pull operation ---- */

static void a_deadline_after_a_cancel_of_all_finds_that(void **unused)
{
    (void)unused;
    static struct stepped_clock steps;
    weir_app stepped = app_open_stepped(&steps, 1);
    weir_session in = session_open_with(stepped, NULL);
    for (int round = 0; round < 200; round++) {
        struct probe probe;
        probe_init(&probe);
        assert_ok(weir_op_start(in, &holds, &probe, WEIR_NEW(weir_op_options, .timeout_ns = 50), NULL));
        gate_wait(&probe.entered);
        assert_ok(weir_session_cancel(in, 70));
        clock_step(&steps, stepped, 50);
        probe_release(&probe);
        assert_int_equal(probe.final.reason, 70);
    }
    app_close(stepped);
}

static void the_close_of_a_pull_operation_after_a_cancel_of_all_finds_that(void **unused)
{
    (void)unused;
    static const weir_kind kind = KIND(.work = work_defers_with_hook, .gone = on_gone);
    for (int round = 0; round < 200; round++) {
        struct probe probe;
        probe_init(&probe);
        probe.hook_answer = true;
        weir_op op = start(&kind, &probe);
        gate_wait(&probe.deferred);
        assert_ok(weir_session_cancel(session, 70));
        assert_ok(weir_op_close(op));
        tally_wait(&probe.gones, 1);
        assert_int_equal(probe.hook_reason, 70);
    }
}

/* ---- cancels against starts ---- */

static struct tally started;
static _Atomic bool enough;

static void *start_on_and_on(void *unused)
{
    (void)unused;
    while (!enough) {
        if (weir_op_start(session, &ends, NULL, NULL, NULL) != WEIR_OK)
            break;
        tally_add(&started, 1);
        if (tally_count(&started) - tally_count(&seen.finals) > 1000)
            (void)sched_yield();
    }
    return NULL;
}

static void cancels_that_race_with_starts_lose_no_operation(void **unused)
{
    (void)unused;
    started = (struct tally)TALLY_INIT;
    enough = false;
    pthread_t threads[2] = { thread_start(start_on_and_on, NULL), thread_start(start_on_and_on, NULL) };
    for (int i = 0; i < 300; i++) {
        assert_ok(weir_session_cancel(session, (weir_reason)(WEIR_REASON_OWN + i % 100)));
        tally_wait(&started, (uint64_t)i * 10);
    }
    enough = true;
    thread_join(threads[0]);
    thread_join(threads[1]);
    uint64_t count = tally_count(&started);
    tally_wait(&seen.finals, count);
    weir_report report = session_close(session);
    assert_int_equal(tally_count(&seen.finals), count);
    assert_int_equal(report.accepted, count);
    assert_int_equal(seen.by_status[WEIR_OK] + seen.by_status[WEIR_CANCELED], count);
    assert_int_equal(seen.works, seen.by_status[WEIR_OK]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_caller_of_a_cancel_of_all_touches_no_operation),
        TEST_ONE_WORKER(operations_accepted_before_never_run_and_those_after_do),
        TEST(the_session_stays_open),
        TEST(of_several_cancels_before_anybody_acts_the_latest_reason_holds),
        TEST(a_closed_session_is_not_cancelled),
        TEST(a_deadline_after_a_cancel_of_all_finds_that),
        TEST(the_close_of_a_pull_operation_after_a_cancel_of_all_finds_that),
        TEST(cancels_that_race_with_starts_lose_no_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
