/* SPDX-License-Identifier: Apache-2.0 */
/* test_starts.c - starts that are refused: every allocation of every form of start fails once, and everything that was
 * taken before is given back; and starts that allocate nothing, because the session was opened with a reserve */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

static struct {
    _Atomic int64_t left;                        /* allocations until one fails; INT64_MAX: none does; -1: all do */
    _Atomic uint64_t bytes, calls, failed;
} hook;

static bool hook_fails(void)
{
    int64_t left = hook.left;
    return left == -1 || (left != INT64_MAX && hook.left-- == 0);
}

static void *hook_alloc(size_t size, size_t align, void *ctx)
{
    (void)ctx;
    hook.calls++;
    if (hook_fails()) {
        hook.failed++;
        hook.left = hook.left == -1 ? -1 : INT64_MAX;
        return NULL;
    }
    void *memory = aligned_alloc(align < 64 ? 64 : align, (size + 63) / 64 * 64);
    hook.bytes += memory != NULL ? size : 0;
    return memory;
}

static void hook_release(void *memory, size_t size, void *ctx)
{
    (void)ctx;
    hook.bytes -= size;
    free(memory);
}

static int setup_hooked(void **unused)
{
    (void)unused;
    seen_forget();
    hook.left = INT64_MAX;
    hook.bytes = hook.calls = hook.failed = 0;
    app = app_open_with(WEIR_NEW(weir_app_options, .workers = test_workers(), .alloc = hook_alloc,
                                 .release = hook_release));
    return 0;
}

static int teardown_hooked(void **unused)
{
    (void)unused;
    app_close(app);
    return hook.bytes == 0 ? 0 : -1;
}

#define TEST_HOOKED(name) cmocka_unit_test_setup_teardown(name, setup_hooked, teardown_hooked)

static const weir_kind waits = KIND(.work = work_defers, .on_result = on_result);
static const weir_kind waits_idle = KIND(.work = work_defers, .on_result = on_result, .flags = WEIR_IDLE_TIMEOUT);
static const weir_kind waits_acked = KIND(.work = work_defers, .on_result = on_result, .flags = WEIR_MANUAL_ACK,
                                          .window = 100);
static const weir_kind waits_pulled = KIND(.work = work_defers);

struct form {
    const weir_kind *kind;
    int64_t timeout_ns;
    bool queued;                                 /* in a serial queue with room for one */
    int64_t fewest;                              /* allocations, besides those of the slot */
};

static const struct form forms[] = {
    { &waits, WEIR_FOREVER, false, 0 },
    { &waits, 3600000000000, false, 1 },
    { &waits_idle, 3600000000000, false, 1 },
    { &waits_acked, WEIR_FOREVER, false, 1 },
    { &waits_pulled, WEIR_FOREVER, false, 1 },
    { &waits, WEIR_FOREVER, true, 1 },
    { &waits_idle, 3600000000000, true, 1 },
    { &waits_acked, 3600000000000, true, 2 },
    { &waits_pulled, 3600000000000, true, 2 },
};
enum { FORMS = sizeof(forms) / sizeof(forms[0]) };

static weir_status try_form(const struct form *form, weir_session in, weir_queue queue, void *ctx, weir_op *out)
{
    return weir_op_start(in, form->kind, ctx, WEIR_NEW(weir_op_options, .timeout_ns = form->timeout_ns,
                         .queue = form->queued ? queue : (weir_queue){ 0 }), out);
}

/* Lets the allocations of a first start fail one after the other. How many there were; it is started in the end. */
static int64_t start_in_spite(const struct form *form, weir_session in, weir_queue queue, struct probe *probe,
                              weir_op *out)
{
    uint64_t before = hook.bytes;
    for (int64_t failing = 0;; failing++) {
        assert_true(failing < 100);
        hook.left = failing;
        weir_status status = try_form(form, in, queue, probe, out);
        if (status == WEIR_OK) {
            hook.left = INT64_MAX;
            return failing;
        }
        assert_int_equal(status, WEIR_NO_MEMORY);
        assert_int_equal(out->bits, 77);
        assert_true(hook.bytes >= before);       /* the session may have grown; it keeps that */
        assert_int_equal(tally_count(&probe->works), 0);
    }
}

static void an_operation_ends(const struct form *form, struct probe *probe, weir_op op)
{
    gate_wait(&probe->deferred);
    assert_ok(weir_token_complete(probe->token, WEIR_OK, NULL, 0));
    if (form->kind->on_result != NULL)
        probe_wait(probe);
    if ((form->kind->flags & WEIR_MANUAL_ACK) != 0)
        assert_ok(weir_op_ack(op, 1));
    assert_ok(weir_op_close(op));
}

static void a_start_that_gets_no_memory_gives_back_what_it_took(void **unused)
{
    (void)unused;
    for (int i = 0; i < FORMS; i++) {
        struct probe probe;
        weir_queue queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .limit = 1));
        weir_op op = { 77 };
        weir_session fresh = session_open_with(app, NULL);
        probe_init(&probe);
        assert_true(start_in_spite(&forms[i], fresh, queue, &probe, &op) >= forms[i].fewest);
        an_operation_ends(&forms[i], &probe, op);
        weir_report report = session_close(fresh);
        assert_int_equal(report.accepted, 1);
        assert_int_equal(report.completed, 1);
        struct record closed;                    /* nothing is left in the queue */
        record_init(&closed);
        assert_ok(weir_queue_close(queue, false, &closed.job));
        record_wait(&closed);
    }
}

static void the_slot_of_a_refused_start_is_handed_out_again(void **unused)
{
    (void)unused;
    enum { RESERVE = 5000 };                     /* more than the table of operations has memory for anyhow */
    weir_session reserved = session_open_with(app, WEIR_NEW(weir_session_options, .reserve = RESERVE));
    weir_op none = { 77 };
    hook.left = -1;
    for (int i = 0; i < 3 * RESERVE; i++)
        assert_int_equal(weir_op_start(reserved, &waits_acked, NULL, NULL, &none), WEIR_NO_MEMORY);
    for (int i = 0; i < RESERVE; i++)
        assert_ok(weir_op_start(reserved, &ends, NULL, NULL, NULL));
    hook.left = INT64_MAX;
    weir_report report = session_close(reserved);
    assert_int_equal(report.accepted, RESERVE);
}

static void a_full_queue_refuses_before_a_slot_is_taken(void **unused)
{
    (void)unused;
    enum { LIVE = 100, TIMES = 3 * LIVE };       /* workers that look at the session count for a moment, too */
    struct probe probe;
    weir_op op = { 77 };
    weir_queue queue = queue_open_with(lane_of(app), WEIR_NEW(weir_queue_options, .limit = 1));
    session = session_open_with(app, WEIR_NEW(weir_session_options, .live_max = LIVE));
    probe_init(&probe);
    assert_ok(try_form(&forms[8], session, queue, &probe, &op));
    gate_wait(&probe.deferred);
    uint64_t before = hook.bytes;
    weir_op none = { 77 };
    for (int i = 0; i < TIMES; i++)
        assert_int_equal(try_form(&forms[8], session, queue, &probe, &none), WEIR_FULL);
    assert_int_equal(none.bits, 77);
    assert_int_equal(hook.bytes, before);
    assert_ok(weir_token_complete(probe.token, WEIR_OK, NULL, 0));
    assert_ok(weir_op_close(op));
    session_close(session);
}

static void with_a_reserve_so_many_starts_allocate_nothing(void **unused)
{
    (void)unused;
    static const uint32_t reserves[] = { 1, 63, 64, 1000, 5000 };
    for (int i = 0; i < 5; i++) {
        weir_session reserved = session_open_with(app, WEIR_NEW(weir_session_options, .reserve = reserves[i]));
        uint64_t before = hook.calls;
        hook.left = -1;
        for (uint32_t k = 0; k < reserves[i]; k++)
            assert_ok(weir_op_start(reserved, &ends, NULL, NULL, NULL));
        assert_int_equal(hook.calls, before);
        hook.left = INT64_MAX;
        weir_report report = session_close(reserved);
        assert_int_equal(report.accepted, reserves[i]);
    }
}

static void starts_and_ends_beyond_a_reserve_reuse_it(void **unused)
{
    (void)unused;
    enum { RESERVE = 100, COUNT = 2000 };
    weir_session reserved = session_open_with(app, WEIR_NEW(weir_session_options, .reserve = RESERVE,
                                                            .live_max = RESERVE));
    uint64_t started = 0, before = hook.calls;
    while (started < COUNT) {
        weir_status status = weir_op_start(reserved, &ends, NULL, NULL, NULL);
        assert_true(status == WEIR_OK || status == WEIR_LIMIT);
        started += status == WEIR_OK;
    }
    assert_int_equal(hook.calls, before);
    weir_report report = session_close(reserved);
    assert_int_equal(report.accepted, COUNT);
}

static void a_reserve_that_gets_no_memory_opens_nothing(void **unused)
{
    (void)unused;
    weir_session none = { 77 };
    hook.left = -1;
    assert_int_equal(weir_session_open(app, WEIR_NEW(weir_session_options, .reserve = 100000), &none), WEIR_NO_MEMORY);
    hook.left = INT64_MAX;
    assert_int_equal(none.bits, 77);
}

/* ---- from many threads ---- */

enum { STARTERS = 6, STARTS = 3000 };

static void *start_many(void *ctx)
{
    _Atomic uint64_t *accepted = ctx;
    for (int i = 0; i < STARTS; i++) {
        weir_op op = { 0 };
        if (weir_op_start(session, i % 3 == 0 ? &ends_acked : &ends, NULL,
                          WEIR_NEW(weir_op_options, .timeout_ns = i % 2 == 0 ? 3600000000000 : 0), &op) != WEIR_OK)
            continue;
        (*accepted)++;
        if (i % 3 == 0)
            while (weir_op_ack(op, 1) == WEIR_INVALID)
                (void)sched_yield();
        (void)weir_op_close(op);
    }
    return NULL;
}

static void starts_from_many_threads_while_memory_fails_now_and_then(void **unused)
{
    (void)unused;
    pthread_t threads[STARTERS];
    _Atomic uint64_t accepted = 0;
    session = session_open_with(app, NULL);
    for (int i = 0; i < STARTERS; i++)
        threads[i] = thread_start(start_many, (void *)&accepted);
    for (int i = 0; i < 200; i++) {
        hook.left = 5;
        (void)sched_yield();
    }
    for (int i = 0; i < STARTERS; i++)
        thread_join(threads[i]);
    hook.left = INT64_MAX;
    tally_wait(&seen.finals, accepted);
    weir_report report = session_close(session);
    assert_int_equal(report.accepted, accepted);
    assert_int_equal(report.completed, accepted);
    assert_int_equal(tally_count(&seen.finals), accepted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_HOOKED(a_start_that_gets_no_memory_gives_back_what_it_took),
        TEST_HOOKED(the_slot_of_a_refused_start_is_handed_out_again),
        TEST_HOOKED(a_full_queue_refuses_before_a_slot_is_taken),
        TEST_HOOKED(with_a_reserve_so_many_starts_allocate_nothing),
        TEST_HOOKED(starts_and_ends_beyond_a_reserve_reuse_it),
        TEST_HOOKED(a_reserve_that_gets_no_memory_opens_nothing),
        TEST_HOOKED(starts_from_many_threads_while_memory_fails_now_and_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
