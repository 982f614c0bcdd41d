/* SPDX-License-Identifier: Apache-2.0 */
/* test_blocking.c - threads on demand: how many, when, and that none is started for nothing */

#include "workqueue/blocking.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"
#include "workqueue/app.h"

struct inside {
    struct app_ref ref;
    weir_app handle;
};

static struct blocking *inside_begin(struct inside *in, uint32_t max)
{
    in->handle = app_open_with(WEIR_NEW(weir_app_options, .workers = 1, .blocking_max = max));
    assert_ok(app_enter(in->handle.bits, HANDLE_APP, &in->ref));
    return &in->ref.app->blocking;
}

static void inside_end(struct inside *in)
{
    app_leave(&in->ref);
    app_close(in->handle);
}

static void without_jobs_there_is_no_thread(void **unused)
{
    (void)unused;
    struct inside in;
    struct blocking *b = inside_begin(&in, 4);
    assert_int_equal(b->max, 4);
    assert_int_equal(atomic_load(&b->threads), 0);
    assert_null(blocking_take(in.ref.app));
    inside_end(&in);
}

static void as_many_threads_as_jobs_that_block_and_no_more(void **unused)
{
    (void)unused;
    struct inside in;
    struct hold holds[3];
    struct blocking *b = inside_begin(&in, 8);
    for (uint32_t i = 0; i < 3; i++) {
        hold_begin(&holds[i], weir_app_queue(in.handle, WEIR_BLOCKING));
        assert_int_equal(atomic_load(&b->threads), i + 1);
    }
    release_all(holds, 3);
    inside_end(&in);
}

static void never_more_threads_than_the_limit(void **unused)
{
    (void)unused;
    struct inside in;
    struct hold holds[2];
    struct record records[20];
    struct blocking *b = inside_begin(&in, 2);
    for (int i = 0; i < 2; i++)
        hold_begin(&holds[i], weir_app_queue(in.handle, WEIR_BLOCKING));
    for (int i = 0; i < 20; i++) {
        record_init(&records[i]);
        assert_ok(weir_job_submit(weir_app_queue(in.handle, WEIR_BLOCKING), &records[i].job));
        assert_int_equal(atomic_load(&b->threads), 2);
    }
    release_all(holds, 2);
    for (int i = 0; i < 20; i++)
        record_wait(&records[i]);
    inside_end(&in);
}

static void a_thread_that_has_nothing_to_do_takes_the_next_job(void **unused)
{
    (void)unused;
    struct inside in;
    struct blocking *b = inside_begin(&in, 1);
    pthread_t thread = pthread_self();
    for (int i = 0; i < 200; i++) {
        struct record record;
        record_init(&record);
        assert_ok(weir_job_submit(weir_app_queue(in.handle, WEIR_BLOCKING), &record.job));
        record_wait(&record);
        assert_true(i == 0 || pthread_equal(thread, record.thread));
        thread = record.thread;
        assert_int_equal(atomic_load(&b->threads), 1);
    }
    inside_end(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_jobs_there_is_no_thread),
        cmocka_unit_test(as_many_threads_as_jobs_that_block_and_no_more),
        cmocka_unit_test(never_more_threads_than_the_limit),
        cmocka_unit_test(a_thread_that_has_nothing_to_do_takes_the_next_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
