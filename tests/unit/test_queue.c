/* SPDX-License-Identifier: Apache-2.0 */
/* test_queue.c - the word of a queue: what it counts, who is let in, when it is over */

#include "workqueue/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"
#include "workqueue/app.h"
#include "workqueue/reply.h"

struct inside {
    struct app_ref ref;
    weir_app handle;
    weir_queue queue;
    struct queue *object;
};

static void inside_begin(struct inside *in, const weir_queue_options *options)
{
    in->handle = app_open_workers(1);
    in->queue = queue_open_with(lane_of(in->handle), options);
    assert_ok(app_enter(in->handle.bits, HANDLE_APP, &in->ref));
    in->object = queue_find(in->ref.app, in->queue);
    assert_non_null(in->object);
}

static void inside_end(struct inside *in)
{
    app_leave(&in->ref);
    app_close(in->handle);
}

static uint64_t count_of(const struct inside *in)
{
    return queue_word_count(atomic_load(&in->object->slot.word));
}

static void a_reservation_counts_until_it_is_taken_back(void **unused)
{
    (void)unused;
    struct inside in;
    struct job job = {.fn = NULL};
    inside_begin(&in, WEIR_NEW(weir_queue_options, .limit = 2));
    assert_int_equal(count_of(&in), 0);
    assert_ok(queue_reserve(in.ref.app, in.queue, &job, JOB_PLAIN));
    assert_ptr_equal(job.owner, in.object);
    assert_int_equal(count_of(&in), 1);
    assert_ok(queue_reserve(in.ref.app, in.queue, &job, JOB_PLAIN));
    assert_int_equal(queue_reserve(in.ref.app, in.queue, &job, JOB_PLAIN), WEIR_FULL);
    assert_int_equal(count_of(&in), 2);
    queue_unreserve(in.ref.app, &job);
    queue_unreserve(in.ref.app, &job);
    assert_int_equal(count_of(&in), 0);
    inside_end(&in);
}

static void a_refused_reservation_changes_neither_queue_nor_job(void **unused)
{
    (void)unused;
    struct inside in;
    struct job job = {.fn = NULL}, before = {.fn = NULL};
    inside_begin(&in, NULL);
    weir_queue stale = {in.queue.bits + 1};      /* another generation */
    assert_int_equal(queue_reserve(in.ref.app, stale, &job, JOB_TIMER), WEIR_STALE);
    assert_memory_equal(&job, &before, sizeof job);
    assert_int_equal(count_of(&in), 0);
    inside_end(&in);
}

static void a_held_queue_that_is_closed_is_over_when_the_last_leaves(void **unused)
{
    (void)unused;
    struct inside in;
    struct job job = {.fn = NULL};
    inside_begin(&in, NULL);
    assert_ok(queue_reserve(in.ref.app, in.queue, &job, JOB_PLAIN));
    assert_ok(weir_queue_close(in.queue, false, NULL));
    assert_int_equal(queue_reserve(in.ref.app, in.queue, &job, JOB_PLAIN), WEIR_CLOSED);
    assert_int_equal(weir_queue_close(in.queue, false, NULL), WEIR_CLOSING);
    queue_unreserve(in.ref.app, &job);
    assert_int_equal(weir_queue_close(in.queue, false, NULL), WEIR_STALE);
    assert_true(slot_word_is_free(atomic_load(&in.object->slot.word)));
    inside_end(&in);
}

static void a_queue_above_counts_in_its_target(void **unused)
{
    (void)unused;
    struct inside in;
    inside_begin(&in, NULL);
    weir_queue above = queue_open_with(in.queue, NULL);
    assert_int_equal(count_of(&in), 1);
    assert_ok(weir_queue_close(above, false, NULL));
    assert_int_equal(count_of(&in), 0);
    inside_end(&in);
}

static void each_deferral_has_a_number_of_its_own(void **unused)
{
    (void)unused;
    assert_int_equal(reply_sequence((uint64_t)77 << 3 | REPLY_WAITING), 77);
    assert_int_equal(reply_state((uint64_t)77 << 3 | REPLY_WAITING), REPLY_WAITING);
    assert_int_equal(reply_with((uint64_t)77 << 3 | REPLY_WAITING, REPLY_NONE), (uint64_t)77 << 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reservation_counts_until_it_is_taken_back),
        cmocka_unit_test(a_refused_reservation_changes_neither_queue_nor_job),
        cmocka_unit_test(a_held_queue_that_is_closed_is_over_when_the_last_leaves),
        cmocka_unit_test(a_queue_above_counts_in_its_target),
        cmocka_unit_test(each_deferral_has_a_number_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
