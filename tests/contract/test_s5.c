/* SPDX-License-Identifier: Apache-2.0 */
/* test_s5.c - S5: the close callback is the last touch of the session: everything may be freed inside it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "tests/support/session_fixture.h"

/* All that one client has: contexts, items, the record of its close. Freed by the close callback, which is the last. */
struct client {
    struct tally *ended;
    struct context {
        uint64_t next, touched;
    } contexts[20];
};

static weir_status work_for_client(weir_task *task, void *ctx)
{
    struct context *context = ctx;
    while (context->next < 3) {
        weir_status status = weir_task_post(task, context, sizeof(*context));
        if (status != WEIR_OK)
            return status;
        context->next++;
    }
    return WEIR_OK;
}

static void result_for_client(const weir_result *r, void *ctx)
{
    struct context *context = ctx;
    (void)r;
    context->touched++;
}

static bool hook_for_client(weir_reason reason, void *ctx)
{
    struct context *context = ctx;
    context->touched = reason;
    return true;
}

static weir_status deferred_for_client(weir_task *task, void *ctx)
{
    weir_token token;
    weir_status status = weir_task_on_cancel(task, hook_for_client, ctx);
    return status != WEIR_OK ? status : weir_task_defer(task, &token);
}

static void drop_for_client(void *data, size_t size)
{
    struct context *context = data;
    (void)size;
    context->touched++;
}

static void client_ends(const weir_report *report, void *ctx)
{
    struct client *client = ctx;
    struct tally *ended = client->ended;
    (void)report;
    free(client);
    tally_add(ended, 1);
}

static const weir_kind works_for_client = KIND(.work = work_for_client, .on_result = result_for_client,
                                               .drop = drop_for_client, .window = 2);
static const weir_kind defers_for_client = KIND(.work = deferred_for_client, .on_result = result_for_client);

static void serve_a_client(struct tally *ended, int round)
{
    struct client *client = calloc(1, sizeof(*client));
    weir_session in = session_open_with(app, NULL);
    weir_op open[20];
    assert_non_null(client);
    client->ended = ended;
    for (int i = 0; i < 20; i++) {
        assert_ok(weir_op_start(in, i % 3 == 0 ? &defers_for_client : &works_for_client, &client->contexts[i], NULL,
                                i % 4 == 0 ? &open[i] : NULL));
    }
    if (round % 2 == 0)
        for (int i = 0; i < 20; i += 4)
            assert_ok(weir_op_close(open[i]));
    assert_ok(weir_session_close(in, client_ends, client));
    if (round % 2 != 0)
        for (int i = 0; i < 20; i += 4)
            assert_ok(weir_op_close(open[i]));
}

static void everything_may_be_freed_in_the_close_callback(void **unused)
{
    (void)unused;
    enum { CLIENTS = 200 };
    struct tally ended = TALLY_INIT;
    for (int round = 0; round < CLIENTS; round++)
        serve_a_client(&ended, round);
    tally_wait(&ended, CLIENTS);
    app_close(app);
    assert_int_equal(tally_count(&ended), CLIENTS);
    setup(NULL);                                 /* for the tear-down */
}

static struct gate all_closed;
static weir_session next_session;
static weir_status opened, started, status_of_close;

static void closed_begins_anew(const weir_report *report, void *ctx)
{
    (void)report;
    free(ctx);
    opened = weir_session_open(app, NULL, &next_session);
    started = weir_op_start(next_session, &ends, NULL, NULL, NULL);
    status_of_close = weir_session_close(next_session, NULL, NULL);
    gate_open(&all_closed);
}

static void the_close_callback_may_open_the_next_session(void **unused)
{
    (void)unused;
    all_closed = (struct gate)GATE_INIT;
    assert_ok(weir_session_close(session, closed_begins_anew, malloc(100)));
    gate_wait(&all_closed);
    assert_ok(opened);
    assert_ok(started);
    assert_ok(status_of_close);
    wait_until_closed(next_session);
    assert_int_equal(tally_count(&seen.finals), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_may_be_freed_in_the_close_callback),
        TEST(the_close_callback_may_open_the_next_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
