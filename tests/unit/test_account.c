/* SPDX-License-Identifier: Apache-2.0 */
/* test_account.c - counts of threads, given to sessions, and what does not balance */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <cmocka.h>

#include "session/account.h"
#include "session/session.h"
#include "tests/support/support.h"
#include "tests/unit/child.h"

enum { THREADS = 3 };

static struct account accounts[THREADS];
static struct sessions all;
static struct session session, other;

static int begin(void **unused)
{
    (void)unused;
    for (int i = 0; i < THREADS; i++)
        accounts[i] = (struct account){ 0 };
    all.accounts = accounts;
    all.accounts_count = THREADS;
    all.outside = session.counts = other.counts = (struct counts){ 0 };
    session.all = other.all = &all;
    session.handle = 7;
    other.handle = 8;
    return 0;
}

static uint64_t count_of(struct session *s, enum count which)
{
    struct sums sums;
    if (s != NULL)
        session_sums(s, &sums);
    else
        sessions_sums(&all, &sums);
    return sums.of[which];
}

static void what_is_open_counts_for_the_session_that_the_thread_is_at(void **unused)
{
    (void)unused;
    account_begin(&accounts[0], session.handle);
    account_begin(&accounts[1], other.handle);
    account_count(&accounts[0], COUNT_POSTED, 5);
    account_count(&accounts[1], COUNT_POSTED, 2);
    assert_int_equal(count_of(&session, COUNT_POSTED), 5);
    assert_int_equal(count_of(&other, COUNT_POSTED), 2);
    assert_int_equal(count_of(NULL, COUNT_POSTED), 7);
}

static void what_is_given_counts_once(void **unused)
{
    (void)unused;
    account_begin(&accounts[0], session.handle);
    account_count(&accounts[0], COUNT_COMPLETED, 3);
    account_give(&accounts[0], &session.counts);
    account_count(&accounts[0], COUNT_COMPLETED, 1);
    assert_int_equal(count_of(&session, COUNT_COMPLETED), 4);
    assert_int_equal(count_of(NULL, COUNT_COMPLETED), 4);
    account_give(&accounts[0], &session.counts);
    account_begin(&accounts[0], other.handle);
    assert_int_equal(count_of(&session, COUNT_COMPLETED), 4);
    assert_int_equal(count_of(&other, COUNT_COMPLETED), 0);
}

static void threads_without_an_account_count_too(void **unused)
{
    (void)unused;
    counts_add(&session.counts, COUNT_DELIVERED, 2);
    counts_add(&all.outside, COUNT_DELIVERED, 2);
    assert_int_equal(count_of(&session, COUNT_DELIVERED), 2);
    assert_int_equal(count_of(NULL, COUNT_DELIVERED), 2);
}

static void a_thread_says_which_operation_it_is_inside_of(void **unused)
{
    (void)unused;
    uint64_t outer = account_enter(&accounts[2], 70);
    uint64_t inner = account_enter(&accounts[2], 71);
    assert_int_equal(account_worker(&all, 71), 2);
    assert_int_equal(account_worker(&all, 70), -1);
    (void)account_enter(&accounts[2], inner);
    assert_int_equal(account_worker(&all, 70), 2);
    (void)account_enter(&accounts[2], outer);
    assert_int_equal(account_worker(&all, 70), -1);
}

/* ---- while others count ---- */

enum { ROUNDS = 20000, PER_ROUND = 3 };

static _Atomic bool stop;
static _Atomic uint64_t begun, done;

static void *count_and_give(void *ctx)
{
    struct account *a = ctx;
    for (int i = 0; i < ROUNDS; i++) {
        atomic_fetch_add(&begun, PER_ROUND);
        account_begin(a, session.handle);
        for (int k = 0; k < PER_ROUND; k++)
            account_count(a, COUNT_ENDED, 1);
        account_give(a, &session.counts);
        atomic_fetch_add(&done, PER_ROUND);
    }
    return NULL;
}

/* The last of a few attempts may count what is just being given twice: per thread at most what a round counts. */
static void *read_on(void *ctx)
{
    uint64_t *wrong = ctx;
    while (!atomic_load(&stop)) {
        uint64_t least = atomic_load(&done), count = count_of(&session, COUNT_ENDED);
        *wrong += count < least || count > atomic_load(&begun) + THREADS * PER_ROUND;
    }
    return NULL;
}

static void reading_while_others_count_is_off_by_what_is_under_way_at_most(void **unused)
{
    (void)unused;
    pthread_t thread[THREADS], reader;
    uint64_t wrong = 0;
    stop = false;
    begun = done = 0;
    assert_int_equal(pthread_create(&reader, NULL, read_on, &wrong), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, count_and_give, &accounts[i]), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    stop = true;
    assert_int_equal(pthread_join(reader, NULL), 0);
    assert_int_equal(wrong, 0);
    assert_int_equal(count_of(&session, COUNT_ENDED), THREADS * PER_ROUND * ROUNDS);
    assert_int_equal(count_of(NULL, COUNT_ENDED), THREADS * PER_ROUND * ROUNDS);
}

/* ---- what does not balance ---- */

static const struct sums sound = { .of = {
    [COUNT_ENDED] = 15, [COUNT_COMPLETED] = 1, [COUNT_FAILED] = 2, [COUNT_CANCELLED] = 3, [COUNT_TIMED_OUT] = 4,
    [COUNT_ABANDONED] = 5, [COUNT_POSTED] = 9, [COUNT_DELIVERED] = 4, [COUNT_DISCARDED] = 5,
} };

static void each_final_has_one_class_and_each_item_one_end(void **unused)
{
    (void)unused;
    assert_true(account_balances(&sound));
    for (int i = 0; i < COUNTS; i++) {
        struct sums wrong = sound;
        wrong.of[i]++;
        assert_int_equal(account_balances(&wrong), i == COUNT_DECIDED || i == COUNT_REFUSED);
    }
}

static void check_a_lost_final(void)
{
    struct sums wrong = sound;
    wrong.of[COUNT_COMPLETED]--;
    account_check(&wrong);
}

static void check_an_item_too_many(void)
{
    struct sums wrong = sound;
    wrong.of[COUNT_DELIVERED]++;
    account_check(&wrong);
}

static void accounts_that_do_not_balance_stop_the_process(void **unused)
{
    (void)unused;
    account_check(&sound);
    struct child child = child_run(check_a_lost_final);
    assert_int_equal(child.signal, SIGABRT);
    assert_non_null(strstr(child.errors, "bug: a session is complete, and not every accepted operation"));
    child = child_run(check_an_item_too_many);
    assert_int_equal(child.signal, SIGABRT);
    assert_non_null(strstr(child.errors, "bug: a session is complete, and not every posted result"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_open_counts_for_the_session_that_the_thread_is_at, begin),
        cmocka_unit_test_setup(what_is_given_counts_once, begin),
        cmocka_unit_test_setup(threads_without_an_account_count_too, begin),
        cmocka_unit_test_setup(a_thread_says_which_operation_it_is_inside_of, begin),
        cmocka_unit_test_setup(reading_while_others_count_is_off_by_what_is_under_way_at_most, begin),
        cmocka_unit_test_setup(each_final_has_one_class_and_each_item_one_end, begin),
        cmocka_unit_test(accounts_that_do_not_balance_stop_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
