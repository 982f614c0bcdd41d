/* SPDX-License-Identifier: Apache-2.0 */
/* test_allocations.c - every allocation of every call fails once, by the hook and by the C library:
 * the documented status, nothing written, nothing left over, and all is as before afterwards
 *
 * Linked with --wrap for the C library's two functions that the library allocates by. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

/* ---- the C library's ---- */

static _Atomic int64_t libc_left = INT64_MAX;    /* allocations until one fails; then none does */
static _Atomic uint64_t libc_failed;

static bool libc_fails(void)
{
    if (atomic_load(&libc_left) == INT64_MAX || atomic_fetch_sub(&libc_left, 1) != 0)
        return false;
    atomic_fetch_add(&libc_failed, 1);
    return true;
}

void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return libc_fails() ? NULL : __real_aligned_alloc(align, size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return libc_fails() ? NULL : __real_calloc(count, size);
}

/* ---- the hook's ---- */

struct hook {
    _Atomic int64_t left;                        /* as libc_left; -1 and below: every one fails */
    _Atomic uint64_t bytes, failed;
};

static void *hook_alloc(size_t size, size_t align, void *ctx)
{
    struct hook *hook = ctx;
    int64_t left = atomic_load(&hook->left);
    if (left < 0 || (left != INT64_MAX && atomic_fetch_sub(&hook->left, 1) == 0)) {
        atomic_fetch_add(&hook->failed, 1);
        if (left == 0)
            atomic_store(&hook->left, INT64_MAX);
        return NULL;
    }
    void *memory = __real_aligned_alloc(align < 64 ? 64 : align, (size + 63) / 64 * 64);
    if (memory != NULL)
        atomic_fetch_add(&hook->bytes, size);
    return memory;
}

static void hook_release(void *memory, size_t size, void *ctx)
{
    struct hook *hook = ctx;
    atomic_fetch_sub(&hook->bytes, size);
    free(memory);
}

static weir_status open_hooked(struct hook *hook, weir_app *app)
{
    return weir_app_open(WEIR_NEW(weir_app_options, .workers = test_workers(), .alloc = hook_alloc,
                                  .release = hook_release, .ctx = hook), app);
}

static void check_usable(weir_app app)
{
    struct record records[4];
    for (uint8_t lane = 0; lane < 4; lane++) {
        record_init(&records[lane]);
        assert_ok(weir_job_submit(weir_app_queue(app, lane), &records[lane].job));
    }
    for (uint8_t lane = 0; lane < 4; lane++)
        record_wait(&records[lane]);
}

/* ---- open ---- */

static void an_open_that_gets_no_memory_leaves_nothing_over(void **unused)
{
    (void)unused;
    struct hook hook = {.left = 0};
    weir_app app = {77};
    weir_status status;
    int64_t failing = 0;
    for (;; failing++) {
        assert_true(failing < 1000);
        atomic_store(&hook.left, failing);
        atomic_store(&hook.failed, 0);
        status = open_hooked(&hook, &app);
        if (atomic_load(&hook.failed) == 0)
            break;
        assert_int_equal(status, WEIR_NO_MEMORY);
        assert_int_equal(app.bits, 77);
        assert_int_equal(atomic_load(&hook.bytes), 0);
    }
    assert_true(failing > 3);
    assert_ok(status);
    check_usable(app);
    app_close(app);
    assert_int_equal(atomic_load(&hook.bytes), 0);
}

static void an_open_without_a_hook_that_gets_no_memory_answers_so(void **unused)
{
    (void)unused;
    weir_app app = {77};
    weir_status status;
    int64_t failing = 0;
    for (;; failing++) {
        assert_true(failing < 1000);
        atomic_store(&libc_failed, 0);
        atomic_store(&libc_left, failing);
        status = weir_app_open(WEIR_NEW(weir_app_options, .workers = test_workers()), &app);
        atomic_store(&libc_left, INT64_MAX);
        if (atomic_load(&libc_failed) == 0)
            break;
        assert_int_equal(status, WEIR_NO_MEMORY);
        assert_int_equal(app.bits, 77);
    }
    assert_true(failing > 3);
    assert_ok(status);
    check_usable(app);
    app_close(app);
}

/* ---- queues ---- */

static void a_queue_open_that_gets_no_memory_changes_nothing(void **unused)
{
    (void)unused;
    enum { QUEUES = 400 };
    struct hook hook = {.left = INT64_MAX};
    weir_app app = {0};
    assert_ok(open_hooked(&hook, &app));
    weir_queue target = serial_open(app);
    unsigned refused = 0;
    for (int i = 0; i < QUEUES; i++) {
        weir_queue queue = {77};
        uint64_t bytes = atomic_load(&hook.bytes);
        atomic_store(&hook.left, 0);             /* most calls need none; each 64th does */
        atomic_store(&hook.failed, 0);
        weir_status status = weir_queue_open(i % 3 == 0 ? target : lane_of(app), NULL, &queue);
        atomic_store(&hook.left, INT64_MAX);
        if (atomic_load(&hook.failed) == 0) {
            assert_ok(status);
            continue;
        }
        refused++;
        assert_int_equal(status, WEIR_NO_MEMORY);
        assert_int_equal(queue.bits, 77);
        assert_int_equal(atomic_load(&hook.bytes), bytes);
        queue = queue_open_with(target, NULL);
        struct record record;
        record_init(&record);
        assert_ok(weir_job_submit(queue, &record.job));
        record_wait(&record);
    }
    assert_true(refused > 0);
    check_usable(app);
    app_close(app);
    assert_int_equal(atomic_load(&hook.bytes), 0);
}

static void a_refused_queue_does_not_hold_its_target(void **unused)
{
    (void)unused;
    struct hook hook = {.left = INT64_MAX};
    weir_app app = {0};
    assert_ok(open_hooked(&hook, &app));
    weir_queue target = serial_open(app), queue = {77};
    weir_queue fill[63];
    for (int i = 0; i < 63; i++)                 /* the rest of the first chunk */
        fill[i] = serial_open(app);
    atomic_store(&hook.left, -1);
    assert_status(weir_queue_open(target, NULL, &queue), WEIR_NO_MEMORY);
    atomic_store(&hook.left, INT64_MAX);
    struct record closed;
    record_init(&closed);
    assert_ok(weir_queue_close(target, false, &closed.job));
    record_wait(&closed);
    for (int i = 0; i < 63; i++)
        assert_ok(weir_queue_close(fill[i], false, NULL));
    app_close(app);
}

/* ---- everything else needs none ---- */

static void nothing(weir_job *job, weir_status status)
{
    (void)job;
    (void)status;
}

static void without_any_memory_everything_but_opening_works(void **unused)
{
    (void)unused;
    struct hook hook = {.left = INT64_MAX};
    weir_app app = {0};
    assert_ok(open_hooked(&hook, &app));
    weir_queue queue = serial_open(app);
    atomic_store(&hook.left, -1);
    check_usable(app);
    enum { MANY = 3000 };
    static struct record records[MANY];
    struct hold holds[64];
    hold_all(holds, app, test_workers());
    for (int i = 0; i < MANY; i++) {
        record_init(&records[i]);
        assert_ok(weir_job_submit(i % 2 ? queue : lane_of(app), &records[i].job));
    }
    release_all(holds, test_workers());
    for (int i = 0; i < MANY; i++)
        record_wait(&records[i]);
    struct record timed, closed;
    record_init(&timed);
    record_init(&closed);
    weir_timer timer = {.job = {.fn = record_run, .ctx = &timed}};
    assert_ok(weir_timer_start(queue, &timer, 1000, 0));
    record_wait(&timed);
    assert_ok(weir_app_run(app, nothing, NULL, false));
    assert_ok(weir_queue_close(queue, false, &closed.job));
    record_wait(&closed);
    app_close(app);
    assert_int_equal(atomic_load(&hook.failed), 0);
    assert_int_equal(atomic_load(&hook.bytes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_that_gets_no_memory_leaves_nothing_over),
        cmocka_unit_test(an_open_without_a_hook_that_gets_no_memory_answers_so),
        cmocka_unit_test(a_queue_open_that_gets_no_memory_changes_nothing),
        cmocka_unit_test(a_refused_queue_does_not_hold_its_target),
        cmocka_unit_test(without_any_memory_everything_but_opening_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
