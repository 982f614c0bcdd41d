/* SPDX-License-Identifier: Apache-2.0 */
/* test_h1_sessions.c - H1 for sessions, operations and tokens: any bit pattern is safe to pass to any call */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

static bool is_refused(weir_status status)
{
    return status == WEIR_STALE || status == WEIR_INVALID;
}

/* Gives the same bits to every function that takes a handle. True: each refused, and wrote nothing. */
static bool all_refuse(uint64_t bits)
{
    weir_op op = { bits }, out_op = { 77 };
    weir_session in = { bits }, out_session = { 77 };
    weir_token token = { bits };
    const weir_result *r = NULL;
    weir_report report = { .size = sizeof(report) };
    bool refused = is_refused(weir_op_start(in, &ends, NULL, NULL, &out_op));
    refused &= is_refused(weir_op_cancel(op, WEIR_REASON_USER));
    refused &= is_refused(weir_op_next(op, WEIR_FOREVER, &r));
    refused &= is_refused(weir_op_ack(op, 1));
    refused &= is_refused(weir_op_close(op));
    refused &= is_refused(weir_op_session(op, &out_session));
    refused &= is_refused(weir_token_post(token, &r, 1));
    refused &= is_refused(weir_token_complete(token, WEIR_OK, &r, 1));
    refused &= is_refused(weir_session_open((weir_app){ bits }, NULL, &out_session));
    refused &= is_refused(weir_session_close(in, NULL, NULL));
    refused &= is_refused(weir_session_wait(in, WEIR_FOREVER, &report));
    refused &= is_refused(weir_session_cancel(in, WEIR_REASON_USER));
    return refused && out_op.bits == 77 && out_session.bits == 77 && r == NULL;
}

static void zero_and_all_ones_are_no_handles(void **unused)
{
    (void)unused;
    assert_true(all_refuse(0));
    assert_true(all_refuse(UINT64_MAX));
    assert_status(weir_op_cancel((weir_op){ 0 }, WEIR_REASON_USER), WEIR_INVALID);
    assert_status(weir_session_close((weir_session){ 0 }, NULL, NULL), WEIR_INVALID);
    assert_status(weir_token_complete((weir_token){ 0 }, WEIR_OK, NULL, 0), WEIR_INVALID);
}

/* Live handles of each kind: those of operations that are deferred, and their tokens. */
enum { LIVE = 20 };
static struct probe probes[LIVE];
static uint64_t handles[3 * LIVE + 2];

static void make_live(void)
{
    for (int i = 0; i < LIVE; i++) {
        probe_init(&probes[i]);
        handles[i] = start(&defers, &probes[i]).bits;
        gate_wait(&probes[i].deferred);
        handles[LIVE + i] = probes[i].token.bits;
        handles[2 * LIVE + i] = session_open_with(app, NULL).bits;
    }
    handles[3 * LIVE] = session.bits;
    handles[3 * LIVE + 1] = app.bits;
}

static bool is_live(uint64_t bits)
{
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++)
        if (handles[i] == bits)
            return true;
    return false;
}

static void check_live(void)
{
    assert_int_equal(tally_count(&seen.finals), 0);
    assert_int_equal(tally_count(&seen.drops), 0);
    for (int i = 0; i < LIVE; i++) {
        assert_ok(weir_token_complete(probes[i].token, WEIR_OK, NULL, 0));
        probe_wait(&probes[i]);
        assert_int_equal(probes[i].final.reason, WEIR_REASON_NONE);
        assert_ok(weir_op_close((weir_op){ handles[i] }));
    }
}

/* Some are random altogether, some keep most bits of a live handle. */
static uint64_t forge(uint64_t *state)
{
    uint64_t random = test_random(state), like = handles[test_random(state) % (sizeof handles / sizeof handles[0])];
    switch (random >> 62) {
    case 0: return random << 2;
    case 1: return like ^ (random & 0x7fffffff);               /* another generation */
    case 2: return like ^ ((random & 0xfff) << 31);            /* another slot */
    default: return like ^ UINT64_C(1) << (random & 63);
    }
}

static void a_million_forged_handles_are_refused_and_disturb_nothing(void **unused)
{
    (void)unused;
    uint64_t state = test_seed();
    make_live();
    int patterns = UNDER_SANITIZER != 0 ? 100000 : 1000000;
    for (int i = 0; i < patterns; i++) {
        uint64_t bits = forge(&state);
        if (!is_live(bits) && !all_refuse(bits))
            fail_msg("%#llx", (unsigned long long)bits);
    }
    check_live();
}

static void each_bit_of_a_live_handle_matters(void **unused)
{
    (void)unused;
    make_live();
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++)
        for (int bit = 0; bit < 64; bit++)
            if (!is_live(handles[i] ^ UINT64_C(1) << bit))
                assert_true(all_refuse(handles[i] ^ UINT64_C(1) << bit));
    check_live();
}

static void handles_of_what_is_over_are_stale(void **unused)
{
    (void)unused;
    make_live();
    check_live();
    assert_true(is_refused(weir_token_post(probes[0].token, NULL, 0)));
    session_close(session);
    for (int i = 0; i < 2 * LIVE; i++)
        assert_true(all_refuse(handles[i]));
    assert_true(all_refuse(session.bits));
    session = session_open_with(app, NULL);
    for (int i = 0; i < LIVE; i++)               /* the slots have new owners */
        handles[2 * LIVE + i] = start(&defers, &probes[i]).bits;
    for (int i = 0; i < 2 * LIVE; i++)
        if (!is_live(handles[i]))
            assert_true(all_refuse(handles[i]));
    for (int i = 0; i < LIVE; i++)
        assert_ok(weir_op_close((weir_op){ handles[2 * LIVE + i] }));
}

static void handles_are_stale_after_their_application_and_foreign_to_others(void **unused)
{
    (void)unused;
    make_live();
    for (int i = 0; i < LIVE; i++)
        assert_ok(weir_op_close((weir_op){ handles[i] }));
    app_close(app);
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++)
        assert_true(all_refuse(handles[i]));
    setup(NULL);
    weir_op op = start(&ends, NULL);
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++)
        assert_true(all_refuse(handles[i]));
    assert_ok(weir_op_close(op));
}

static void kinds_of_handles_are_told_apart(void **unused)
{
    (void)unused;
    make_live();
    const weir_result *r;
    uint64_t op = handles[0], token = handles[LIVE];
    assert_status(weir_op_cancel((weir_op){ token }, WEIR_REASON_USER), WEIR_INVALID);
    assert_status(weir_op_close((weir_op){ session.bits }), WEIR_INVALID);
    assert_status(weir_op_next((weir_op){ token }, 0, &r), WEIR_INVALID);
    assert_status(weir_token_complete((weir_token){ op }, WEIR_OK, NULL, 0), WEIR_INVALID);
    assert_status(weir_session_close((weir_session){ app.bits }, NULL, NULL), WEIR_INVALID);
    assert_status(weir_session_cancel((weir_session){ op }, WEIR_REASON_USER), WEIR_INVALID);
    check_live();
}

/* ---- while the application closes ---- */

struct forger {
    _Atomic bool stop;
    _Atomic uint64_t calls;
    uint64_t state;
};

/* Live handles, too, which answer what they answer; nothing crashes, and the close ends. */
static void *forge_on_and_on(void *arg)
{
    struct forger *f = arg;
    for (; !f->stop; f->calls++) {
        uint64_t bits = f->calls % 2 == 0 ? forge(&f->state) : handles[f->calls % (2 * LIVE)];
        const weir_result *r;
        weir_session mine;
        (void)weir_op_cancel((weir_op){ bits }, WEIR_REASON_USER);
        (void)!weir_op_next((weir_op){ bits }, 0, &r);
        (void)weir_op_ack((weir_op){ bits }, 1);
        (void)weir_op_session((weir_op){ bits }, &mine);
        (void)!weir_token_complete((weir_token){ bits }, WEIR_OK, NULL, 0);
        (void)weir_session_cancel((weir_session){ bits }, WEIR_REASON_USER);
        (void)!weir_session_wait((weir_session){ bits }, 0, NULL);
    }
    return NULL;
}

static void calls_with_any_handle_are_safe_while_the_application_closes(void **unused)
{
    (void)unused;
    for (int round = 0; round < 20; round++) {
        struct forger f = { .state = test_seed() + (uint64_t)round };
        make_live();
        pthread_t thread = thread_start(forge_on_and_on, &f);
        while (f.calls < 20)
            (void)sched_yield();
        for (int i = 0; i < LIVE; i++)
            assert_ok(weir_op_close((weir_op){ handles[i] }));
        app_close(app);
        uint64_t calls = f.calls;
        while (f.calls < calls + 20)
            (void)sched_yield();
        f.stop = true;
        thread_join(thread);
        setup(NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(zero_and_all_ones_are_no_handles),
        TEST(a_million_forged_handles_are_refused_and_disturb_nothing),
        TEST(each_bit_of_a_live_handle_matters),
        TEST(handles_of_what_is_over_are_stale),
        TEST(handles_are_stale_after_their_application_and_foreign_to_others),
        TEST(kinds_of_handles_are_told_apart),
        TEST(calls_with_any_handle_are_safe_while_the_application_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
