/* SPDX-License-Identifier: Apache-2.0 */
/* test_e9.c - E9: fork happens before the child, and the child before its join. The data is plain:
 * ThreadSanitizer judges, too */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

enum { CHILDREN = 24, ROUNDS = 300 };

struct child {
    weir_job job;
    uint64_t in, out;                            /* plain */
};

static void child_run(weir_job *job, weir_status status)
{
    struct child *child = job->ctx;
    (void)status;
    child->out = child->in * 3 + 1;
}

struct parent {
    unsigned wrong;
};

static void fork_all_and_join(weir_job *job, weir_status status)
{
    struct parent *parent = job->ctx;
    struct child children[CHILDREN];
    (void)status;
    for (unsigned i = 0; i < CHILDREN; i++) {
        children[i] = (struct child){.in = i};
        children[i].job = (weir_job){.fn = child_run, .ctx = &children[i]};
        parent->wrong += weir_fork(&children[i].job) != WEIR_OK;
    }
    for (unsigned i = CHILDREN; i-- > 0;)
        parent->wrong += weir_join(&children[i].job) != WEIR_OK || children[i].out != i * UINT64_C(3) + 1;
}

static void what_was_written_before_a_fork_and_in_the_child_is_there(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(test_workers() + 1);
    struct parent parent = {0};
    for (int i = 0; i < ROUNDS; i++)
        assert_ok(weir_app_run(app, fork_all_and_join, &parent, i % 2 != 0));
    assert_int_equal(parent.wrong, 0);
    app_close(app);
}

/* The child has been taken by another thread for certain, and its parent may sleep in the join. */
struct stolen {
    weir_job job;
    _Atomic bool taken;
    uint64_t out;
    unsigned work;
};

static void stolen_run(weir_job *job, weir_status status)
{
    struct stolen *stolen = job->ctx;
    (void)status;
    atomic_store_explicit(&stolen->taken, true, memory_order_relaxed); /* orders nothing */
    uint64_t x = 1;
    for (unsigned i = 0; i < stolen->work; i++)
        x = x * 3 + 1;
    stolen->out = x;
}

static void join_a_stolen_child(weir_job *job, weir_status status)
{
    struct stolen *stolen = job->ctx;
    (void)status;
    stolen->out = 0;
    if (weir_fork(&stolen->job) != WEIR_OK)
        return;
    while (!atomic_load_explicit(&stolen->taken, memory_order_relaxed))
        ;
    if (weir_join(&stolen->job) == WEIR_OK)
        stolen->out++;
}

static void a_stolen_childs_writes_are_there_at_the_join_after_any_length_of_wait(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    for (unsigned i = 0; i < 300; i++) {
        struct stolen stolen = {.work = i % 3 == 0 ? 200000 : i};
        stolen.job = (weir_job){.fn = stolen_run, .ctx = &stolen};
        assert_ok(weir_app_run(app, join_a_stolen_child, &stolen, true));
        uint64_t x = 1;
        for (unsigned k = 0; k < stolen.work; k++)
            x = x * 3 + 1;
        assert_int_equal(stolen.out, x + 1);
    }
    app_close(app);
}

static void write_it(weir_job *job, weir_status status)
{
    uint64_t *value = job->ctx;
    (void)status;
    *value += 5;
}

static void what_a_root_did_is_there_when_its_call_returns(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    uint64_t value = 0;
    for (int i = 0; i < 1000; i++)
        assert_ok(weir_app_run(app, write_it, &value, false));
    assert_int_equal(value, 5000);
    app_close(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_before_a_fork_and_in_the_child_is_there),
        cmocka_unit_test(a_stolen_childs_writes_are_there_at_the_join_after_any_length_of_wait),
        cmocka_unit_test(what_a_root_did_is_there_when_its_call_returns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
