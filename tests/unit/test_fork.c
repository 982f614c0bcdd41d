/* SPDX-License-Identifier: Apache-2.0 */
/* test_fork.c - the phases of a forked job, step by step on one thread that is its own thief */

#include "workqueue/fork.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"
#include "workqueue/app.h"

static uint32_t phase_of(struct record *record)
{
    return atomic_load(&job_of(&record->job)->phase);
}

static void outside_a_forked_job_is_open_until_its_join_runs_it(void **unused)
{
    (void)unused;
    struct record child;
    record_init(&child);
    assert_ok(weir_fork(&child.job));
    assert_int_equal(phase_of(&child), FORK_OPEN);
    assert_int_equal(tally_count(&child.calls), 0);
    assert_ok(weir_join(&child.job));
    assert_int_equal(phase_of(&child), FORK_DONE);
    assert_int_equal(tally_count(&child.calls), 1);
    assert_ok(weir_join(&child.job));            /* once is enough */
    assert_int_equal(tally_count(&child.calls), 1);
}

/* On a guest of an application whose only worker is held: nobody else steals. */
struct scene {
    weir_app app;
    struct hold hold;
    struct app_ref ref;
    struct worker *guest;
};

static void scene_begin(struct scene *s)
{
    s->app = app_open_workers(1);
    hold_begin(&s->hold, lane_of(s->app));
    assert_ok(app_enter(s->app.bits, HANDLE_APP, &s->ref));
    s->guest = app_guest_begin(s->ref.app);
    assert_non_null(s->guest);
}

static void scene_end(struct scene *s)
{
    app_guest_end(s->guest);
    app_leave(&s->ref);
    hold_end(&s->hold);
    app_close(s->app);
}

static void a_child_in_the_deque_is_taken_back_by_the_join(void **unused)
{
    (void)unused;
    struct scene s;
    struct record child;
    scene_begin(&s);
    record_init(&child);
    assert_ok(weir_fork(&child.job));
    assert_false(deque_is_empty(&s.guest->forks));
    assert_ok(weir_join(&child.job));
    assert_true(deque_is_empty(&s.guest->forks));
    assert_int_equal(tally_count(&child.calls), 1);
    scene_end(&s);
}

static void a_stolen_child_is_done_when_its_thief_has_run_it(void **unused)
{
    (void)unused;
    struct scene s;
    struct record child;
    scene_begin(&s);
    record_init(&child);
    assert_ok(weir_fork(&child.job));
    struct job *stolen = deque_steal_oldest(&s.guest->forks);
    assert_ptr_equal(stolen, job_of(&child.job));
    fork_run(stolen);
    assert_int_equal(phase_of(&child), FORK_DONE);
    assert_ok(weir_join(&child.job));
    assert_int_equal(tally_count(&child.calls), 1);
    scene_end(&s);
}

static void a_thief_wakes_the_joiner_that_waits(void **unused)
{
    (void)unused;
    struct scene s;
    struct record child;
    scene_begin(&s);
    record_init(&child);
    assert_ok(weir_fork(&child.job));
    struct job *stolen = deque_steal_oldest(&s.guest->forks);
    atomic_store(&stolen->phase, FORK_AWAITED);
    fork_run(stolen);
    assert_true(parker_park(&s.guest->join_parker, 0)); /* the token is there */
    assert_ok(weir_join(&child.job));
    scene_end(&s);
}

static void a_join_runs_what_was_forked_after_the_child_first(void **unused)
{
    (void)unused;
    struct scene s;
    struct record first, second;
    scene_begin(&s);
    record_init(&first);
    record_init(&second);
    assert_ok(weir_fork(&first.job));
    assert_ok(weir_fork(&second.job));
    assert_ok(weir_join(&first.job));
    assert_int_equal(tally_count(&first.calls), 1);
    assert_int_equal(tally_count(&second.calls), 1);
    assert_ok(weir_join(&second.job));
    assert_int_equal(tally_count(&second.calls), 1);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outside_a_forked_job_is_open_until_its_join_runs_it),
        cmocka_unit_test(a_child_in_the_deque_is_taken_back_by_the_join),
        cmocka_unit_test(a_stolen_child_is_done_when_its_thief_has_run_it),
        cmocka_unit_test(a_thief_wakes_the_joiner_that_waits),
        cmocka_unit_test(a_join_runs_what_was_forked_after_the_child_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
