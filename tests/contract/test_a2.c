/* SPDX-License-Identifier: Apache-2.0 */
/* test_a2.c - A2: several applications live side by side; nothing that matters is left after the last;
 * memory comes and goes by the application's own hook */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

static void several_applications_live_side_by_side(void **unused)
{
    (void)unused;
    weir_app apps[5];
    struct record records[5];
    for (int i = 0; i < 5; i++)
        apps[i] = app_open_workers(1);
    for (int i = 0; i < 5; i++) {
        record_init(&records[i]);
        assert_ok(weir_job_submit(lane_of(apps[i]), &records[i].job));
    }
    for (int i = 0; i < 5; i++)
        record_wait(&records[i]);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < i; j++)
            assert_false(pthread_equal(records[i].thread, records[j].thread));
    for (int i = 0; i < 5; i++)
        app_close(apps[i]);
}

struct forwarder {
    weir_job job;
    weir_queue to;
    struct record other;
    weir_status status;
    struct gate done;
};

static void forward(weir_job *job, weir_status status)
{
    struct forwarder *f = job->ctx;
    (void)status;
    f->status = weir_job_submit(f->to, &f->other.job);
    gate_open(&f->done);
}

static void a_job_of_one_application_may_submit_to_another(void **unused)
{
    (void)unused;
    weir_app app = app_open(), other = app_open();
    weir_queue targets[] = {lane_of(other), serial_open(other), weir_app_queue(other, WEIR_BLOCKING)};
    for (int i = 0; i < 3; i++) {
        struct forwarder f = {.to = targets[i], .done = GATE_INIT};
        f.job = (weir_job){.fn = forward, .ctx = &f};
        record_init(&f.other);
        assert_ok(weir_job_submit(lane_of(app), &f.job));
        gate_wait(&f.done);
        assert_ok(f.status);
        record_wait(&f.other);
    }
    app_close(app);
    app_close(other);
}

static void no_descriptor_and_no_thread_is_left(void **unused)
{
    (void)unused;
    app_close(app_open());                       /* a sanitizer may start a thread of its own at the first */
    unsigned descriptors = entries_of("/proc/self/fd"), tasks = entries_of("/proc/self/task");
    for (int i = 0; i < 20; i++) {
        weir_app app = app_open();
        struct record record;
        record_init(&record);
        assert_ok(weir_job_submit(weir_app_queue(app, (uint8_t)(i % 4)), &record.job));
        record_wait(&record);
        app_close(app);
    }
    assert_int_equal(entries_of("/proc/self/fd"), descriptors);
    wait_for_entries("/proc/self/task", tasks);
}

/* ---- memory ---- */

struct account {
    _Atomic uint64_t bytes, blocks, total;
};

static void *counted_alloc(size_t size, size_t align, void *ctx)
{
    struct account *account = ctx;
    void *memory = aligned_alloc(align < 16 ? 16 : align, (size + 63) / 64 * 64);
    if (memory != NULL) {
        atomic_fetch_add(&account->bytes, size);
        atomic_fetch_add(&account->blocks, 1);
        atomic_fetch_add(&account->total, 1);
    }
    return memory;
}

static void counted_release(void *memory, size_t size, void *ctx)
{
    struct account *account = ctx;
    atomic_fetch_sub(&account->bytes, size);
    atomic_fetch_sub(&account->blocks, 1);
    free(memory);
}

static void all_memory_comes_by_the_hook_and_goes_back_with_its_size(void **unused)
{
    (void)unused;
    struct account account = {0};
    weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = test_workers(),
                                          .alloc = counted_alloc, .release = counted_release,
                                          .ctx = &account));
    for (int i = 0; i < 200; i++)
        (void)serial_open(app);
    assert_true(atomic_load(&account.blocks) > 0);
    app_close(app);
    assert_int_equal(atomic_load(&account.bytes), 0);
    assert_int_equal(atomic_load(&account.blocks), 0);
}

static void nothing_allocates_between_a_submit_and_its_run(void **unused)
{
    (void)unused;
    enum { JOBS = 3000 };
    struct account account = {0};
    weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = test_workers(),
                                          .alloc = counted_alloc, .release = counted_release,
                                          .ctx = &account));
    weir_queue queues[] = {lane_of(app), serial_open(app), weir_app_queue(app, WEIR_BLOCKING)};
    static struct record records[JOBS];
    uint64_t before = atomic_load(&account.total);
    for (int i = 0; i < JOBS; i++) {
        record_init(&records[i]);
        assert_ok(weir_job_submit(queues[i % 3], &records[i].job));
    }
    for (int i = 0; i < JOBS; i++)
        record_wait(&records[i]);
    assert_int_equal(atomic_load(&account.total), before);
    app_close(app);
}

struct hook_calls {
    pthread_mutex_t lock;
    unsigned starts, ends, wrong;
    bool running[256];
};

static void count_threads(weir_app app, uint32_t worker, bool starts, void *ctx)
{
    struct hook_calls *calls = ctx;
    (void)app;
    pthread_mutex_lock(&calls->lock);
    calls->starts += starts;
    calls->ends += !starts;
    calls->wrong += worker >= 256 || calls->running[worker % 256] == starts;
    calls->running[worker % 256] = starts;
    pthread_mutex_unlock(&calls->lock);
}

static void each_thread_is_announced_when_it_starts_and_when_it_ends(void **unused)
{
    (void)unused;
    struct hook_calls calls = {.lock = PTHREAD_MUTEX_INITIALIZER};
    weir_app app = app_open_with(WEIR_NEW(weir_app_options, .workers = test_workers(),
                                          .on_thread = count_threads, .ctx = &calls));
    struct record record;
    record_init(&record);
    assert_ok(weir_job_submit(weir_app_queue(app, WEIR_BLOCKING), &record.job));
    record_wait(&record);
    app_close(app);
    assert_int_equal(calls.starts, test_workers() + 2);
    assert_int_equal(calls.ends, calls.starts);
    assert_int_equal(calls.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_applications_live_side_by_side),
        cmocka_unit_test(a_job_of_one_application_may_submit_to_another),
        cmocka_unit_test(no_descriptor_and_no_thread_is_left),
        cmocka_unit_test(all_memory_comes_by_the_hook_and_goes_back_with_its_size),
        cmocka_unit_test(nothing_allocates_between_a_submit_and_its_run),
        cmocka_unit_test(each_thread_is_announced_when_it_starts_and_when_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
