/* SPDX-License-Identifier: Apache-2.0 */
/* test_close.c - S6: from the moment of close on every allocation fails, by the hook and by the C library, and every
 * operation ends all the same, whatever it was doing
 *
 * WEIR_TEST_OPERATIONS says how many are queued: a million in an optimized build, fewer elsewhere. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

/* ---- memory that ends ---- */

static _Atomic bool dry;
static _Atomic uint64_t asked_in_vain;

static bool fails(void)
{
    if (dry)
        asked_in_vain++;
    return dry;
}

void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return fails() ? NULL : __real_aligned_alloc(align, size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

static void *hook_alloc(size_t size, size_t align, void *ctx)
{
    (void)ctx;
    return fails() ? NULL : __real_aligned_alloc(align, (size + align - 1) / align * align);
}

static void hook_release(void *memory, size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    free(memory);
}

static uint64_t operations(void)
{
#if defined(__OPTIMIZE__)
    uint64_t count = UNDER_SANITIZER != 0 ? 20000 : 1000000;
#else
    uint64_t count = UNDER_SANITIZER != 0 ? 20000 : 100000;
#endif
    const char *text = getenv("WEIR_TEST_OPERATIONS");
    return text != NULL ? strtoull(text, NULL, 0) : count;
}

static void open_hooked(void)
{
    dry = false;
    asked_in_vain = 0;
    seen_forget();
    app = app_open_with(WEIR_NEW(weir_app_options, .workers = test_workers(), .alloc = hook_alloc,
                                 .release = hook_release));
    session = session_open_with(app, NULL);
}

static int setup_hooked(void **unused)
{
    (void)unused;
    open_hooked();
    return 0;
}

static int setup_unhooked(void **unused)
{
    dry = false;
    asked_in_vain = 0;
    return setup(unused);
}

static int teardown_wet(void **unused)
{
    dry = false;
    return teardown(unused);
}

/* From here on there is no memory. */
static void close_dry(struct closing *closing)
{
    dry = true;
    assert_ok(weir_session_close(session, closing_done, closing));
}

static void wait_dry(struct closing *closing)
{
    closing_wait(closing, session);
    dry = false;
    assert_int_equal(asked_in_vain, 0);          /* S6: nobody has even asked */
}

/* ---- many that are queued ---- */

static _Atomic uint64_t counted;

static void result_counts(const weir_result *r, void *ctx)
{
    (void)ctx;
    if (r->status == WEIR_CANCELED && r->reason == WEIR_REASON_SESSION_CLOSED)
        atomic_fetch_add_explicit(&counted, 1, memory_order_relaxed);
}

static weir_status work_is_late(weir_task *task, void *ctx)
{
    (void)task;
    (void)ctx;
    seen.works++;
    return WEIR_OK;
}

static const weir_kind late = KIND(.work = work_is_late, .on_result = result_counts);

static void queued_operations_end(uint64_t count)
{
    struct busy busy;
    struct closing closing = CLOSING_INIT;
    counted = 0;
    busy_begin(&busy, test_workers());
    for (uint64_t i = 0; i < count; i++)
        assert_ok(weir_op_start(session, &late, NULL, NULL, NULL));
    close_dry(&closing);
    busy_end(&busy);
    wait_dry(&closing);
    assert_int_equal(counted, count);
    assert_int_equal(closing.report.cancelled, count);
    assert_int_equal(closing.report.accepted, count);
    assert_int_equal(seen.works, 0);
}

static void a_million_queued_operations_end_without_memory(void **unused)
{
    (void)unused;
    queued_operations_end(operations());
}

/* Numbers at which buffers of a fixed size would be just too small. */
static void so_do_few(void **unused)
{
    (void)unused;
    static const uint64_t counts[] = { 0, 1, 62, 63, 64, 65, 99, 100, 101, 127, 128, 129, 4095, 4096, 4097 };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        queued_operations_end(counts[i]);
        session = session_open_with(app, NULL);
    }
}

/* ---- one of every sort ---- */

enum sort {
    RUNNING, RUNNING_WITH_HOOK, DEFERRED, DEFERRED_WITH_HOOK, PARKED, PARKED_PULL, UNACKED, OPEN, LIMITED, SORTS
};

static weir_status work_polls(weir_task *task, void *ctx)
{
    probe_called(ctx);
    gate_open(&((struct probe *)ctx)->entered);
    while (weir_task_cancelled(task) == WEIR_REASON_NONE)
        (void)sched_yield();
    return WEIR_CANCELED;
}

static weir_status work_waits_for_its_hook(weir_task *task, void *ctx)
{
    struct probe *probe = ctx;
    probe_called(probe);
    weir_status status = weir_task_on_cancel(task, hook_records, probe);
    gate_open(&probe->entered);
    if (status == WEIR_OK)
        gate_wait(&probe->hooked);
    return WEIR_CANCELED;
}

static const weir_kind polls = KIND(.work = work_polls, .on_result = on_result, .flags = WEIR_BLOCKS);
static const weir_kind hooks = KIND(.work = work_waits_for_its_hook, .on_result = on_result, .flags = WEIR_BLOCKS);

static const weir_kind *kind_of(enum sort sort)
{
    switch (sort) {
    case RUNNING: return &polls;
    case RUNNING_WITH_HOOK: return &hooks;
    case DEFERRED: case LIMITED: return &defers;
    case DEFERRED_WITH_HOOK: return &defers_with_hook;
    case PARKED: case UNACKED: return &streams_acked;
    case PARKED_PULL: return &pulled;
    default: return &ends;
    }
}

static weir_op start_sort(enum sort sort, struct probe *probe)
{
    weir_op op = { 0 };
    probe_init(probe);
    probe->hook_answer = true;
    probe->count = sort == UNACKED ? 1 : 5;
    const weir_op_options *options = WEIR_NEW(weir_op_options,
                                              .timeout_ns = sort == LIMITED ? INT64_C(3600000000000) : 0);
    assert_ok(weir_op_start(session, kind_of(sort), probe, options, &op));
    return op;
}

/* It is where the close shall find it. */
static void wait_sort(enum sort sort, struct probe *probe)
{
    if (sort == RUNNING || sort == RUNNING_WITH_HOOK)
        gate_wait(&probe->entered);
    else if (sort == DEFERRED || sort == DEFERRED_WITH_HOOK || sort == LIMITED)
        gate_wait(&probe->deferred);
    else if (sort == PARKED || sort == PARKED_PULL)
        gate_wait(&probe->parked);
    if (sort == PARKED || sort == UNACKED)
        tally_wait(&probe->items, 1);
    if (sort == OPEN)
        probe_wait(probe);
}

/* What the user owes it. */
static void end_sort(enum sort sort, struct probe *probe, weir_op op)
{
    if (sort == PARKED || sort == UNACKED) {
        assert_ok(weir_op_ack(op, 1));
        probe_wait(probe);
        assert_ok(weir_op_ack(op, 2));
    }
    assert_ok(weir_op_close(op));
}

static void every_sort_of_operation_ends(enum sort first, enum sort last)
{
    enum { EACH = 10 };
    static struct probe probes[SORTS][EACH];
    static weir_op ops[SORTS][EACH];
    struct closing closing = CLOSING_INIT;
    for (int i = 0; i < EACH; i++)
        for (enum sort sort = first; sort <= last; sort++) {
            ops[sort][i] = start_sort(sort, &probes[sort][i]);
            wait_sort(sort, &probes[sort][i]);
        }
    close_dry(&closing);
    for (int i = 0; i < EACH; i++)
        for (enum sort sort = first; sort <= last; sort++)
            end_sort(sort, &probes[sort][i], ops[sort][i]);
    wait_dry(&closing);
    assert_int_equal(closing.report.accepted, EACH * (last - first + 1));
}

static void every_sort_of_operation_ends_without_memory(void **unused)
{
    (void)unused;
    for (enum sort sort = RUNNING; sort < SORTS; sort++) {
        every_sort_of_operation_ends(sort, sort);
        session = session_open_with(app, NULL);
    }
    every_sort_of_operation_ends(RUNNING, SORTS - 1);
}

/* ---- cancelling all, and closing the application ---- */

static void a_cancel_of_all_needs_no_memory(void **unused)
{
    (void)unused;
    struct busy busy;
    uint64_t count = operations() / 10;
    counted = 0;
    busy_begin(&busy, test_workers());
    for (uint64_t i = 0; i < count; i++)
        start_closed(&ends, NULL);
    dry = true;
    assert_ok(weir_session_cancel(session, WEIR_REASON_USER));
    busy_end(&busy);
    tally_wait(&seen.finals, count);
    dry = false;
    assert_int_equal(asked_in_vain, 0);
    assert_int_equal(seen.by_status[WEIR_CANCELED], count);
}

static void closing_the_application_needs_no_memory(void **unused)
{
    (void)unused;
    enum { SESSIONS = 120, EACH = 20 };
    struct busy busy;
    busy_begin(&busy, test_workers());
    for (int i = 0; i < SESSIONS; i++) {
        weir_session in = session_open_with(app, NULL);
        for (int k = 0; k < EACH; k++)
            assert_ok(weir_op_start(in, &ends, NULL, NULL, NULL));
    }
    dry = true;
    assert_status(weir_app_close(app, 0, NULL), WEIR_TIMED_OUT);
    busy_end(&busy);
    assert_ok(weir_app_close(app, WEIR_FOREVER, NULL));
    dry = false;
    assert_int_equal(asked_in_vain, 0);
    assert_int_equal(tally_count(&seen.finals), SESSIONS * EACH);
    open_hooked();                               /* for the tear-down */
}

#define TEST_DRY(name) cmocka_unit_test_setup_teardown(name, setup_hooked, teardown_wet)
#define TEST_DRY_LIBC(name) cmocka_unit_test_setup_teardown(name, setup_unhooked, teardown_wet)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_DRY(a_million_queued_operations_end_without_memory),
        TEST_DRY_LIBC(a_million_queued_operations_end_without_memory),
        TEST_DRY(so_do_few),
        TEST_DRY(every_sort_of_operation_ends_without_memory),
        TEST_DRY_LIBC(every_sort_of_operation_ends_without_memory),
        TEST_DRY(a_cancel_of_all_needs_no_memory),
        TEST_DRY(closing_the_application_needs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
