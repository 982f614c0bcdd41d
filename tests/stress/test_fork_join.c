/* SPDX-License-Identifier: Apache-2.0 */
/* test_fork_join.c - trees of forked jobs of random shape on workers and lent threads at once: each
 * leaf is counted once, and what a subtree computed is there at its join */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"
#include "tests/support/stress.h"

struct tree {
    weir_job job;
    uint64_t seed;
    uint32_t depth;
    uint64_t sum, leaves;                        /* plain */
    uint64_t wrong;
};

static uint64_t expected_sum(uint64_t seed, uint32_t depth, uint64_t *leaves)
{
    uint32_t children = depth == 0 ? 0 : (uint32_t)(test_random(&seed) >> 32) % 5;
    if (children == 0) {
        ++*leaves;
        return test_random(&seed);
    }
    uint64_t sum = 0;
    for (uint32_t i = 0; i < children; i++)
        sum += expected_sum(test_random(&seed), depth - 1, leaves);
    return sum;
}

static void tree_run(weir_job *job, weir_status status)
{
    struct tree *tree = job->ctx;
    uint64_t seed = tree->seed;
    uint32_t children = tree->depth == 0 ? 0 : (uint32_t)(test_random(&seed) >> 32) % 5;
    struct tree child[4];
    tree->wrong += status != WEIR_OK;
    if (children == 0) {
        tree->leaves = 1;
        tree->sum = test_random(&seed);
        return;
    }
    for (uint32_t i = 0; i < children; i++) {
        child[i] = (struct tree){.seed = test_random(&seed), .depth = tree->depth - 1};
        child[i].job = (weir_job){.fn = tree_run, .ctx = &child[i]};
        tree->wrong += weir_fork(&child[i].job) != WEIR_OK;
    }
    for (uint32_t i = 0; i < children; i++) {
        uint32_t at = tree->seed % 2 == 0 ? i : children - 1 - i;  /* both orders of joins */
        tree->wrong += weir_join(&child[at].job) != WEIR_OK;
        tree->sum += child[at].sum;
        tree->leaves += child[at].leaves;
        tree->wrong += child[at].wrong;
    }
}

struct root {
    weir_app app;
    bool lend;
    struct tree tree;
    weir_status status;
};

static void *run_root(void *arg)
{
    struct root *root = arg;
    root->status = weir_app_run(root->app, tree_run, &root->tree, root->lend);
    return NULL;
}

static void trees_of_forked_jobs_are_counted_right(void **unused)
{
    (void)unused;
    enum { ROOTS = 4, DEPTH = 7 };
    weir_app app = app_open();
    for (struct stress s = stress_begin(1); stress_goes_on(&s);) {
        struct root roots[ROOTS];
        pthread_t threads[ROOTS];
        for (int i = 0; i < ROOTS; i++) {
            roots[i] = (struct root){.app = app, .lend = i % 2 == 0, .status = -1};
            roots[i].tree = (struct tree){.seed = test_random(&s.random), .depth = DEPTH};
            threads[i] = thread_start(run_root, &roots[i]);
        }
        for (int i = 0; i < ROOTS; i++) {
            uint64_t leaves = 0;
            thread_join(threads[i]);
            assert_ok(roots[i].status);
            assert_int_equal(roots[i].tree.wrong, 0);
            assert_int_equal(roots[i].tree.sum, expected_sum(roots[i].tree.seed, DEPTH, &leaves));
            assert_int_equal(roots[i].tree.leaves, leaves);
        }
    }
    app_close(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_of_forked_jobs_are_counted_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
