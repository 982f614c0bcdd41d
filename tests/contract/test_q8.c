/* SPDX-License-Identifier: Apache-2.0 */
/* test_q8.c - Q8: fork and join: a job on the caller's stack; a join runs it or helps with forked jobs
 * only. Roots: weir_app_run, on a worker or on a thread that lends itself */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"

/* ---- a sum, by halves ---- */

struct sum {
    weir_job job;
    unsigned from, to;                           /* [from, to) */
    uint64_t result;                             /* plain: the join shows it */
};

static void sum_run(weir_job *job, weir_status status)
{
    struct sum *s = job->ctx;
    (void)status;
    if (s->to - s->from <= 2) {
        for (unsigned i = s->from; i < s->to; i++)
            s->result += i;
        return;
    }
    unsigned middle = s->from + (s->to - s->from) / 2;
    struct sum left = {.from = s->from, .to = middle}, right = {.from = middle, .to = s->to};
    left.job = (weir_job){.fn = sum_run, .ctx = &left};
    right.job = (weir_job){.fn = sum_run, .ctx = &right};
    bool forked = weir_fork(&left.job) == WEIR_OK;
    sum_run(&right.job, WEIR_OK);
    if (forked && weir_join(&left.job) == WEIR_OK)
        s->result = left.result + right.result;
}

enum { NUMBERS = 20000 };

static struct sum sum_of_numbers(void)
{
    return (struct sum){.from = 0, .to = NUMBERS};
}

static void check_sum(const struct sum *sum)
{
    assert_int_equal(sum->result, (uint64_t)NUMBERS * (NUMBERS - 1) / 2);
}

static void forks_on_a_worker_are_joined_with_their_results(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    for (int i = 0; i < 20; i++) {
        struct sum sum = sum_of_numbers();
        assert_ok(weir_app_run(app, sum_run, &sum, false));
        check_sum(&sum);
    }
    app_close(app);
}

static void forks_on_a_lent_thread_are_joined_with_their_results(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    for (int i = 0; i < 20; i++) {
        struct sum sum = sum_of_numbers();
        assert_ok(weir_app_run(app, sum_run, &sum, true));
        check_sum(&sum);
    }
    app_close(app);
}

static void forks_outside_of_any_application_run_at_the_join(void **unused)
{
    (void)unused;
    struct sum sum = sum_of_numbers();
    sum.job = (weir_job){.fn = sum_run, .ctx = &sum};
    sum_run(&sum.job, WEIR_OK);
    check_sum(&sum);
}

/* ---- who runs a child ---- */

struct family {
    struct record child;
    struct gate child_ran;
    weir_status forked, twice, joined, again;
    pthread_t parent;
};

static void family_child(weir_job *job, weir_status status)
{
    struct family *f = (struct family *)job->ctx;
    f->child.thread = pthread_self();
    f->child.status = status;
    tally_add(&f->child.calls, 1);
    gate_open(&f->child_ran);
}

static void fork_and_join(weir_job *job, weir_status status)
{
    struct family *f = job->ctx;
    (void)status;
    f->parent = pthread_self();
    f->forked = weir_fork(&f->child.job);
    f->joined = weir_join(&f->child.job);
}

static void family_init(struct family *f)
{
    *f = (struct family){.child_ran = GATE_INIT};
    record_init(&f->child);
    f->child.job = (weir_job){.fn = family_child, .ctx = f};
}

static void a_join_runs_the_child_itself_if_nobody_took_it(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(1);
    struct family f;
    family_init(&f);
    assert_ok(weir_app_run(app, fork_and_join, &f, false));
    assert_ok(f.forked);
    assert_ok(f.joined);
    assert_int_equal(tally_count(&f.child.calls), 1);
    assert_int_equal(f.child.status, WEIR_OK);
    assert_true(pthread_equal(f.child.thread, f.parent));
    app_close(app);
}

static void fork_and_wait_for_a_thief(weir_job *job, weir_status status)
{
    struct family *f = job->ctx;
    (void)status;
    f->parent = pthread_self();
    f->forked = weir_fork(&f->child.job);
    gate_wait(&f->child_ran);
    f->joined = weir_join(&f->child.job);
    f->again = weir_join(&f->child.job);
}

static void an_idle_worker_takes_a_forked_job(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    for (int i = 0; i < 500; i++) {
        struct family f;
        family_init(&f);
        assert_ok(weir_app_run(app, fork_and_wait_for_a_thief, &f, true));
        assert_ok(f.joined);
        assert_ok(f.again);
        assert_false(pthread_equal(f.child.thread, f.parent));
    }
    app_close(app);
}

/* ---- what a join helps with ---- */

struct patient {
    struct record other;
    weir_job slow_child;
    struct gate taken, leave;
    weir_app app;
    weir_status submitted;
    pthread_t parent;
};

static void slow_child_run(weir_job *job, weir_status status)
{
    struct patient *p = job->ctx;
    (void)status;
    gate_open(&p->taken);
    gate_wait(&p->leave);
}

static void join_while_jobs_wait(weir_job *job, weir_status status)
{
    struct patient *p = job->ctx;
    (void)status;
    p->parent = pthread_self();
    if (weir_fork(&p->slow_child) != WEIR_OK)
        return;
    gate_wait(&p->taken);                        /* the other worker is held by the child */
    p->submitted = weir_job_submit(lane_of(p->app), &p->other.job);
    (void)weir_join(&p->slow_child);
}

static void *let_go_when_the_job_waits(void *arg)
{
    struct patient *p = arg;
    gate_wait(&p->taken);
    gate_open(&p->leave);
    return NULL;
}

static void a_join_helps_with_no_job_that_was_not_forked(void **unused)
{
    (void)unused;
    weir_app app = app_open_workers(1);          /* the thief; the parent lends itself */
    struct patient p = {.taken = GATE_INIT, .leave = GATE_INIT, .app = app};
    record_init(&p.other);
    p.slow_child = (weir_job){.fn = slow_child_run, .ctx = &p};
    pthread_t thread = thread_start(let_go_when_the_job_waits, &p);
    assert_ok(weir_app_run(app, join_while_jobs_wait, &p, true));
    thread_join(thread);
    assert_ok(p.submitted);
    record_wait(&p.other);
    assert_false(pthread_equal(p.other.thread, p.parent));
    app_close(app);
}

/* ---- misuse and limits ---- */

static void fork_and_join_answer_what_they_cannot_do(void **unused)
{
    (void)unused;
    struct record record;
    weir_job empty = {.fn = NULL};
    record_init(&record);
    assert_status(weir_fork(NULL), WEIR_INVALID);
    assert_status(weir_join(NULL), WEIR_INVALID);
    assert_status(weir_fork(&empty), WEIR_INVALID);
    assert_status(weir_join(&record.job), WEIR_INVALID);
    assert_ok(weir_fork(&record.job));
    assert_status(weir_fork(&record.job), WEIR_BUSY);
    assert_status(weir_job_cancel(&record.job), WEIR_INVALID);
    assert_ok(weir_join(&record.job));
    assert_int_equal(tally_count(&record.calls), 1);
}

static void a_joined_job_may_be_forked_or_submitted_again(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct record record;
    record_init(&record);
    assert_ok(weir_fork(&record.job));
    assert_ok(weir_join(&record.job));
    assert_ok(weir_fork(&record.job));
    assert_ok(weir_join(&record.job));
    assert_ok(weir_job_submit(lane_of(app), &record.job));
    tally_wait(&record.calls, 3);
    assert_int_equal(record.status, WEIR_OK);
    app_close(app);
}

struct many_forks {
    unsigned wrong;
};

enum { FORKS = 1000 };                           /* more than a deque holds */

static void fork_many(weir_job *job, weir_status status)
{
    struct many_forks *many = job->ctx;
    (void)status;
    static struct record children[FORKS];
    for (int i = 0; i < FORKS; i++) {
        record_init(&children[i]);
        many->wrong += weir_fork(&children[i].job) != WEIR_OK;
    }
    for (int i = FORKS; i-- > 0;)
        many->wrong += weir_join(&children[i].job) != WEIR_OK;
    for (int i = 0; i < FORKS; i++)
        many->wrong += tally_count(&children[i].calls) != 1;
}

static void more_forks_than_a_deque_holds_are_all_run_once(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    for (int lend = 0; lend < 2; lend++) {
        struct many_forks many = {0};
        assert_ok(weir_app_run(app, fork_many, &many, lend != 0));
        assert_int_equal(many.wrong, 0);
    }
    app_close(app);
}

static void fork_many_join_forward(weir_job *job, weir_status status)
{
    struct many_forks *many = job->ctx;
    (void)status;
    struct record children[8];
    for (int i = 0; i < 8; i++) {
        record_init(&children[i]);
        many->wrong += weir_fork(&children[i].job) != WEIR_OK;
    }
    for (int i = 0; i < 8; i++)                  /* not in the order of a stack */
        many->wrong += weir_join(&children[i].job) != WEIR_OK || tally_count(&children[i].calls) != 1;
}

static void joins_in_another_order_than_a_stacks_are_right_too(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    struct many_forks many = {0};
    for (int i = 0; i < 100; i++)
        assert_ok(weir_app_run(app, fork_many_join_forward, &many, i % 2 != 0));
    assert_int_equal(many.wrong, 0);
    app_close(app);
}

/* ---- roots ---- */

static void nothing(weir_job *job, weir_status status)
{
    (void)status;
    weir_status *answer = job->ctx;
    *answer = WEIR_OK;
}

struct inner_root {
    weir_app app;
    bool lend;
    weir_status answer, ran;
};

static void run_inner(weir_job *job, weir_status status)
{
    struct inner_root *inner = job->ctx;
    (void)status;
    inner->answer = weir_app_run(inner->app, nothing, &inner->ran, inner->lend);
}

static void a_root_inside_a_root_runs_in_place_or_would_deadlock(void **unused)
{
    (void)unused;
    weir_app app = app_open();
    for (int outer = 0; outer < 2; outer++) {
        struct inner_root lent = {app, true, -1, -1}, waiting = {app, false, -1, -1};
        assert_ok(weir_app_run(app, run_inner, &lent, outer != 0));
        assert_ok(lent.answer);
        assert_ok(lent.ran);
        assert_ok(weir_app_run(app, run_inner, &waiting, outer != 0));
        assert_int_equal(waiting.answer, WEIR_WOULD_DEADLOCK);
        assert_int_equal(waiting.ran, -1);
    }
    app_close(app);
}

struct lender {
    weir_app app;
    struct gate inside, leave;
    weir_status answer;
};

static void stay(weir_job *job, weir_status status)
{
    struct lender *l = job->ctx;
    (void)status;
    gate_open(&l->inside);
    gate_wait(&l->leave);
}

static void *lend(void *arg)
{
    struct lender *l = arg;
    l->answer = weir_app_run(l->app, stay, l, true);
    return NULL;
}

static void too_many_lent_threads_are_refused(void **unused)
{
    (void)unused;
    enum { MOST = 8 };
    weir_app app = app_open();
    struct lender lenders[MOST];
    pthread_t threads[MOST];
    weir_status ran = -1;
    for (int i = 0; i < MOST; i++) {
        lenders[i] = (struct lender){app, GATE_INIT, GATE_INIT, -1};
        threads[i] = thread_start(lend, &lenders[i]);
        gate_wait(&lenders[i].inside);
    }
    assert_status(weir_app_run(app, nothing, &ran, true), WEIR_LIMIT);
    assert_int_equal(ran, -1);
    for (int i = 0; i < MOST; i++) {
        gate_open(&lenders[i].leave);
        thread_join(threads[i]);
        assert_ok(lenders[i].answer);
    }
    assert_ok(weir_app_run(app, nothing, &ran, true));
    app_close(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forks_on_a_worker_are_joined_with_their_results),
        cmocka_unit_test(forks_on_a_lent_thread_are_joined_with_their_results),
        cmocka_unit_test(forks_outside_of_any_application_run_at_the_join),
        cmocka_unit_test(a_join_runs_the_child_itself_if_nobody_took_it),
        cmocka_unit_test(an_idle_worker_takes_a_forked_job),
        cmocka_unit_test(a_join_helps_with_no_job_that_was_not_forked),
        cmocka_unit_test(fork_and_join_answer_what_they_cannot_do),
        cmocka_unit_test(a_joined_job_may_be_forked_or_submitted_again),
        cmocka_unit_test(more_forks_than_a_deque_holds_are_all_run_once),
        cmocka_unit_test(joins_in_another_order_than_a_stacks_are_right_too),
        cmocka_unit_test(a_root_inside_a_root_runs_in_place_or_would_deadlock),
        cmocka_unit_test(too_many_lent_threads_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
