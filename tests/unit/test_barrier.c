/* SPDX-License-Identifier: Apache-2.0 */
/* test_barrier.c - the completion barrier: one closer, many leavers, exactly one completer */

#include "core/barrier.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/support.h"

static void an_open_barrier_lets_everybody_in(void **unused)
{
    (void)unused;
    barrier b;
    barrier_init(&b);
    assert_true(barrier_enter(&b));
    assert_true(barrier_enter_many(&b, 41));
    assert_int_equal(barrier_look(&b), 42);
}

static void a_shut_barrier_lets_nobody_in(void **unused)
{
    (void)unused;
    barrier b;
    barrier_init(&b);
    assert_true(barrier_enter(&b));
    assert_int_equal(barrier_shut(&b), BARRIER_SHUT_NOW);
    assert_false(barrier_enter(&b));
    assert_false(barrier_enter_many(&b, 3));
    assert_int_equal(barrier_inside(barrier_look(&b)), 1);
}

static void leaving_an_open_barrier_completes_nothing(void **unused)
{
    (void)unused;
    barrier b;
    barrier_init(&b);
    assert_true(barrier_enter(&b));
    assert_false(barrier_leave(&b, 1));
    assert_true(barrier_enter(&b));
}

static void shutting_an_empty_barrier_completes_it(void **unused)
{
    (void)unused;
    barrier b;
    barrier_init(&b);
    assert_int_equal(barrier_shut(&b), BARRIER_SHUT_COMPLETE);
    assert_true(barrier_is_shut(barrier_look(&b)));
}

static void the_last_one_out_completes_a_shut_barrier(void **unused)
{
    (void)unused;
    barrier b;
    barrier_init(&b);
    assert_true(barrier_enter_many(&b, 2));
    assert_int_equal(barrier_shut(&b), BARRIER_SHUT_NOW);
    assert_false(barrier_leave(&b, 1));
    assert_true(barrier_leave(&b, 1));
}

static void a_batch_of_the_last_ones_completes_once(void **unused)
{
    (void)unused;
    barrier b;
    barrier_init(&b);
    assert_true(barrier_enter_many(&b, 64));
    assert_int_equal(barrier_shut(&b), BARRIER_SHUT_NOW);
    assert_false(barrier_leave(&b, 1));
    assert_true(barrier_leave(&b, 63));
}

static void only_the_first_shut_counts(void **unused)
{
    (void)unused;
    barrier b;
    barrier_init(&b);
    assert_true(barrier_enter(&b));
    assert_int_equal(barrier_shut(&b), BARRIER_SHUT_NOW);
    assert_int_equal(barrier_shut(&b), BARRIER_SHUT_BEFORE);
    assert_true(barrier_leave(&b, 1));
    assert_int_equal(barrier_shut(&b), BARRIER_SHUT_BEFORE);
}

static void who_is_inside_may_bring_others_after_the_shut(void **unused)
{
    (void)unused;
    barrier b;
    barrier_init(&b);
    assert_true(barrier_enter(&b));
    assert_int_equal(barrier_shut(&b), BARRIER_SHUT_NOW);
    barrier_bring(&b, 2);
    assert_false(barrier_leave(&b, 1));
    assert_false(barrier_leave(&b, 1));
    assert_true(barrier_leave(&b, 1));
}

#ifndef NDEBUG
static bool aborts(void (*run)(barrier *b))
{
    pid_t child = fork();
    if (child == 0) {
        barrier b;
        barrier_init(&b);
        close(STDERR_FILENO);
        run(&b);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void leave_without_entering(barrier *b)
{
    barrier_leave(b, 1);
}

static void enter_beyond_the_count(barrier *b)
{
    barrier_enter_many(b, BARRIER_INSIDE_MAX);
    barrier_enter(b);
}

static void bring_from_outside(barrier *b)
{
    barrier_bring(b, 1);
}

static void enter_and_leave(barrier *b)
{
    barrier_enter(b);
    barrier_leave(b, 1);
}

static void wrong_counts_stop_a_debug_build(void **unused)
{
    (void)unused;
    assert_true(aborts(leave_without_entering));
    assert_true(aborts(enter_beyond_the_count));
    assert_true(aborts(bring_from_outside));
    assert_false(aborts(enter_and_leave));
}
#endif

/* ---- many threads: each visitor writes plainly while inside, the completer reads plainly ---- */

enum { VISITORS = 2, ROUNDS = 20 * 1000, VISITS = 32 };

struct round {
    barrier barrier;
    _Atomic uint32_t completed;
    uint32_t told;                                  /* by the closer, before the shut */
    uint32_t visits[VISITORS];                      /* plain: only E7 makes reading them legal */
    uint32_t read_told, read_visits;                /* by the completer */
};

struct crew {
    struct round *rounds;
    pthread_barrier_t start;                        /* all begin a round together */
    uint32_t accepted[VISITORS];
    _Atomic uint32_t next_visitor;
};

static void complete(struct round *round)
{
    atomic_fetch_add_explicit(&round->completed, 1, memory_order_relaxed);
    round->read_told = round->told;
    for (int i = 0; i < VISITORS; i++)
        round->read_visits += round->visits[i];
}

static void *visit(void *arg)
{
    struct crew *crew = arg;
    uint32_t me = atomic_fetch_add_explicit(&crew->next_visitor, 1, memory_order_relaxed);
    uint64_t random = test_seed() + me;
    for (int i = 0; i < ROUNDS; i++) {
        struct round *round = &crew->rounds[i];
        pthread_barrier_wait(&crew->start);
        for (int visit = 0; visit < VISITS; visit++) {
            uint64_t count = test_random(&random) % 3 + 1;
            if (!barrier_enter_many(&round->barrier, count))
                break;
            round->visits[me] += (uint32_t)count;
            crew->accepted[me] += (uint32_t)count;
            if (barrier_leave(&round->barrier, count))
                complete(round);
        }
    }
    return NULL;
}

static void exactly_one_completes_and_sees_all_that_was_done_inside(void **unused)
{
    (void)unused;
    struct crew crew = {.rounds = calloc(ROUNDS, sizeof(struct round))};
    assert_non_null(crew.rounds);
    pthread_barrier_init(&crew.start, NULL, VISITORS + 1);
    pthread_t threads[VISITORS];
    for (int i = 0; i < VISITORS; i++)
        threads[i] = thread_start(visit, &crew);
    uint64_t random = test_seed() + VISITORS;
    for (int i = 0; i < ROUNDS; i++) {
        struct round *round = &crew.rounds[i];
        pthread_barrier_wait(&crew.start);
        for (uint64_t spin = test_random(&random) % 512; spin > 0; spin--)
            barrier_look(&round->barrier);
        round->told = (uint32_t)i + 1;
        if (barrier_shut(&round->barrier) == BARRIER_SHUT_COMPLETE)
            complete(round);
    }
    for (int i = 0; i < VISITORS; i++)
        thread_join(threads[i]);

    uint64_t accepted = 0, seen = 0;
    for (int i = 0; i < VISITORS; i++)
        accepted += crew.accepted[i];
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(crew.rounds[i].completed, 1);
        assert_int_equal(crew.rounds[i].read_told, i + 1);
        seen += crew.rounds[i].read_visits;
    }
    assert_int_equal(seen, accepted);
    pthread_barrier_destroy(&crew.start);
    free(crew.rounds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_barrier_lets_everybody_in),
        cmocka_unit_test(a_shut_barrier_lets_nobody_in),
        cmocka_unit_test(leaving_an_open_barrier_completes_nothing),
        cmocka_unit_test(shutting_an_empty_barrier_completes_it),
        cmocka_unit_test(the_last_one_out_completes_a_shut_barrier),
        cmocka_unit_test(a_batch_of_the_last_ones_completes_once),
        cmocka_unit_test(only_the_first_shut_counts),
        cmocka_unit_test(who_is_inside_may_bring_others_after_the_shut),
#ifndef NDEBUG
        cmocka_unit_test(wrong_counts_stop_a_debug_build),
#endif
        cmocka_unit_test(exactly_one_completes_and_sees_all_that_was_done_inside),
    };
    return cmocka_run_group_tests_name("barrier", tests, NULL, NULL);
}
