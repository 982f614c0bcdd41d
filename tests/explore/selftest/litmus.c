/* SPDX-License-Identifier: Apache-2.0 */
/* litmus.c - the memory model against RC11, one row per shape
 *
 * Each test is two to four threads of a few accesses, and one outcome in question. `rc11` says
 * whether RC11 allows it (checked with a model checker for RC11 unless a note says otherwise),
 * `here` whether the explorer must reach it. The two differ in the rows that carry a reason, and
 * nowhere else: that is the list of known deviations.
 *
 * Preemptions are not bounded and stale reads practically neither. Where the unreduced search ends
 * in reasonable time, it must reach exactly the same outcomes as the reduced one. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "explore.h"

#define RLX memory_order_relaxed
#define ACQ memory_order_acquire
#define REL memory_order_release
#define AR memory_order_acq_rel
#define SC memory_order_seq_cst

#define LOAD(variable, order) atomic_load_explicit(&variable, order)
#define STORE(variable, value, order) atomic_store_explicit(&variable, value, order)
#define ADD(variable, value, order) atomic_fetch_add_explicit(&variable, value, order)
#define FENCE(order) atomic_thread_fence(order)

static atomic_int x, y;
static int r0, r1, r2, r3, final_x, final_y;

typedef struct litmus {
    const char *name;
    int thread_count;
    void (*threads[4])(void);
    bool (*outcome)(void);
    bool rc11, here;
    const char *reason; /* of a deviation */
} litmus;

/* clang-format off */
/* LITMUS(id, threads, thread, thread, thread, thread, outcome) */
#define NOTHING (void)0
#define LITMUS(id, count, a, b, c, d, condition)                \
    enum { id##_count = count };                                \
    static void id##_0(void) { a; }                             \
    static void id##_1(void) { b; }                             \
    static void id##_2(void) { c; }                             \
    static void id##_3(void) { d; }                             \
    static bool id##_outcome(void) { return condition; }
#define TWO(id, a, b, condition) LITMUS(id, 2, a, b, NOTHING, NOTHING, condition)
#define THREE(id, a, b, c, condition) LITMUS(id, 3, a, b, c, NOTHING, condition)

#define SB r0 == 0 && r1 == 0
#define MP r0 == 1 && r1 == 0
TWO(sb_rlx, STORE(x, 1, RLX); r0 = LOAD(y, RLX), STORE(y, 1, RLX); r1 = LOAD(x, RLX), SB)
TWO(sb_sc, STORE(x, 1, SC); r0 = LOAD(y, SC), STORE(y, 1, SC); r1 = LOAD(x, SC), SB)
TWO(sb_sc_fences, STORE(x, 1, RLX); FENCE(SC); r0 = LOAD(y, RLX),
    STORE(y, 1, RLX); FENCE(SC); r1 = LOAD(x, RLX), SB)
TWO(sb_ar_fences, STORE(x, 1, RLX); FENCE(AR); r0 = LOAD(y, RLX),
    STORE(y, 1, RLX); FENCE(AR); r1 = LOAD(x, RLX), SB)
TWO(sb_one_fence, STORE(x, 1, RLX); FENCE(SC); r0 = LOAD(y, RLX),
    STORE(y, 1, RLX); r1 = LOAD(x, RLX), SB)
TWO(sb_sc_stores, STORE(x, 1, SC); r0 = LOAD(y, ACQ), STORE(y, 1, SC); r1 = LOAD(x, ACQ), SB)
TWO(sb_sc_loads, STORE(x, 1, REL); r0 = LOAD(y, SC), STORE(y, 1, REL); r1 = LOAD(x, SC), SB)
TWO(sb_fence_and_sc, STORE(x, 1, RLX); FENCE(SC); r0 = LOAD(y, RLX),
    STORE(y, 1, SC); r1 = LOAD(x, SC), SB)
TWO(sb_rmw_ar, ADD(x, 1, AR); r0 = LOAD(y, RLX), ADD(y, 1, AR); r1 = LOAD(x, RLX), SB)
TWO(sb_rmw_sc, ADD(x, 1, SC); r0 = LOAD(y, SC), ADD(y, 1, SC); r1 = LOAD(x, SC), SB)
TWO(mp_rlx, STORE(x, 1, RLX); STORE(y, 1, RLX), r0 = LOAD(y, RLX); r1 = LOAD(x, RLX), MP)
TWO(mp_rel_acq, STORE(x, 1, RLX); STORE(y, 1, REL), r0 = LOAD(y, ACQ); r1 = LOAD(x, RLX), MP)
TWO(mp_fences, STORE(x, 1, RLX); FENCE(REL); STORE(y, 1, RLX),
    r0 = LOAD(y, RLX); FENCE(ACQ); r1 = LOAD(x, RLX), MP)
TWO(mp_sc_fences, STORE(x, 1, RLX); FENCE(SC); STORE(y, 1, RLX),
    r0 = LOAD(y, RLX); FENCE(SC); r1 = LOAD(x, RLX), MP)
TWO(mp_rel_rlx, STORE(x, 1, RLX); STORE(y, 1, REL), r0 = LOAD(y, RLX); r1 = LOAD(x, RLX), MP)
TWO(mp_same_thread, STORE(x, 1, RLX); STORE(y, 1, REL); STORE(y, 2, RLX),
    r0 = LOAD(y, ACQ); r1 = LOAD(x, RLX), r0 == 2 && r1 == 0)
THREE(mp_rmw_between, STORE(x, 1, RLX); STORE(y, 1, REL), r0 = LOAD(y, ACQ); r1 = LOAD(x, RLX),
      r2 = ADD(y, 1, RLX), r0 == 2 && r1 == 0 && r2 == 1)
TWO(lb_rlx, r0 = LOAD(x, RLX); STORE(y, 1, RLX), r1 = LOAD(y, RLX); STORE(x, 1, RLX), r0 == 1 && r1 == 1)
#define IRIW r0 == 1 && r1 == 0 && r2 == 1 && r3 == 0
LITMUS(iriw_sc, 4, STORE(x, 1, SC), STORE(y, 1, SC), r0 = LOAD(x, SC); r1 = LOAD(y, SC),
       r2 = LOAD(y, SC); r3 = LOAD(x, SC), IRIW)
LITMUS(iriw_acq, 4, STORE(x, 1, REL), STORE(y, 1, REL), r0 = LOAD(x, ACQ); r1 = LOAD(y, ACQ),
       r2 = LOAD(y, ACQ); r3 = LOAD(x, ACQ), IRIW)
LITMUS(iriw_sc_fences, 4, STORE(x, 1, RLX), STORE(y, 1, RLX), r0 = LOAD(x, RLX); FENCE(SC); r1 = LOAD(y, RLX),
       r2 = LOAD(y, RLX); FENCE(SC); r3 = LOAD(x, RLX), IRIW)
#define WRC r0 == 1 && r1 == 1 && r2 == 0
THREE(wrc_rel_acq, STORE(x, 1, RLX), r0 = LOAD(x, RLX); STORE(y, 1, REL), r1 = LOAD(y, ACQ); r2 = LOAD(x, RLX), WRC)
THREE(wrc_rlx, STORE(x, 1, RLX), r0 = LOAD(x, RLX); STORE(y, 1, RLX), r1 = LOAD(y, RLX); r2 = LOAD(x, RLX), WRC)
TWO(corr, STORE(x, 1, RLX), r0 = LOAD(x, RLX); r1 = LOAD(x, RLX), MP)
TWO(cowr, STORE(x, 1, RLX); r0 = LOAD(x, RLX), STORE(x, 2, RLX), r0 == 2 && final_x == 1)
TWO(two_plus_two_w, STORE(x, 1, RLX); STORE(y, 2, RLX), STORE(y, 1, RLX); STORE(x, 2, RLX),
    final_x == 1 && final_y == 1)
TWO(two_plus_two_w_sc, STORE(x, 1, SC); STORE(y, 2, SC), STORE(y, 1, SC); STORE(x, 2, SC),
    final_x == 1 && final_y == 1)
TWO(r_rlx, STORE(x, 1, RLX); STORE(y, 1, RLX), STORE(y, 2, RLX); r0 = LOAD(x, RLX), final_y == 2 && r0 == 0)
TWO(s_rlx, STORE(x, 2, RLX); STORE(y, 1, RLX), r0 = LOAD(y, RLX); STORE(x, 1, RLX), r0 == 1 && final_x == 2)
TWO(s_rel_acq, STORE(x, 2, RLX); STORE(y, 1, REL), r0 = LOAD(y, ACQ); STORE(x, 1, RLX), r0 == 1 && final_x == 2)
TWO(rmw_atomic, r0 = ADD(x, 1, RLX), r1 = ADD(x, 1, RLX), final_x != 2)
THREE(z6_sc, STORE(x, 1, SC); STORE(y, 1, REL), r0 = ADD(y, 1, SC); r1 = LOAD(y, RLX),
      STORE(y, 3, SC); r2 = LOAD(x, SC), r0 == 1 && r1 == 3 && r2 == 0)

#define ROW(id, rc11, here, reason) \
    { #id, id##_count, {id##_0, id##_1, id##_2, id##_3}, id##_outcome, rc11, here, reason }
static const litmus tests[] = {
    ROW(sb_rlx, true, true, NULL),
    ROW(sb_sc, false, false, NULL),
    ROW(sb_sc_fences, false, false, NULL),
    ROW(sb_ar_fences, true, true, NULL),
    ROW(sb_one_fence, true, true, NULL),
    ROW(sb_sc_stores, true, true, NULL),
    ROW(sb_sc_loads, true, true, NULL),
    ROW(sb_fence_and_sc, false, false, NULL),
    ROW(sb_rmw_ar, true, true, NULL),
    ROW(sb_rmw_sc, false, false, NULL),
    ROW(mp_rlx, true, true, NULL),
    ROW(mp_rel_acq, false, false, NULL),
    ROW(mp_fences, false, false, NULL),
    ROW(mp_sc_fences, false, false, NULL),
    ROW(mp_rel_rlx, true, true, NULL),
    ROW(mp_same_thread, true, true, NULL),
    ROW(mp_rmw_between, false, false, NULL),
    ROW(lb_rlx, false, false, NULL),
    ROW(iriw_sc, false, false, NULL),
    ROW(iriw_acq, true, true, NULL),
    ROW(iriw_sc_fences, false, false, NULL),
    ROW(wrc_rel_acq, false, false, NULL),
    ROW(wrc_rlx, true, true, NULL),
    ROW(corr, false, false, NULL),
    ROW(cowr, false, false, NULL),
    ROW(two_plus_two_w, true, true, NULL),
    ROW(two_plus_two_w_sc, false, false, NULL),
    ROW(r_rlx, true, true, NULL),
    ROW(s_rlx, true, true, NULL),
    ROW(s_rel_acq, false, false, NULL),
    ROW(rmw_atomic, false, false, NULL),
    ROW(z6_sc, true, false, "stores of seq_cst go to the end of the modification order among themselves"),
};
/* clang-format on */
enum { TESTS = sizeof tests / sizeof tests[0], WEAK = 1 << 20 };

/* Globals are restored before every run: what tells the runs which test it is lies outside of
 * them. */
static struct {
    const litmus *test;
} * job;

static void *run_thread(void *thread)
{
    job->test->threads[(size_t)thread]();
    return NULL;
}

static void run_test(void)
{
    pthread_t ids[4];
    size_t count = (size_t)job->test->thread_count;
    for (size_t i = 0; i < count; i++)
        explore_check(pthread_create(&ids[i], NULL, run_thread, (void *)i) == 0);
    for (size_t i = 0; i < count; i++)
        pthread_join(ids[i], NULL);
    final_x = LOAD(x, RLX);
    final_y = LOAD(y, RLX);
    unsigned all = (unsigned)(r0 | r1 << 2 | r2 << 4 | r3 << 6 | final_x << 8 | final_y << 10);
    explore_observe(all | (job->test->outcome() ? WEAK : 0));
}

static bool reached_weak_outcome(void)
{
    for (uint64_t all = 0; all < 1 << 12; all++)
        if (explore_observed(all | WEAK))
            return true;
    return false;
}

static bool check(const litmus *test)
{
    enum { MANY = 400000 };
    explore_scenario scenario = {.name = test->name,
                                 .run = run_test,
                                 .bounds = {.preemptions = EXPLORE_UNBOUNDED, .stale_reads = 12, .seconds = 60}};
    job->test = test;
    explore_result reduced = explore_run(&scenario, &(explore_options){.quiet = true});
    bool reached = reached_weak_outcome();
    explore_result full = explore_run(&scenario,
                                      &(explore_options){.quiet = true, .no_reduction = true, .executions_max = MANY});
    bool comparable = full.complete && reduced.complete;
    bool agree = !comparable || full.outcomes_sum == reduced.outcomes_sum;
    bool right = reached == test->here && (reached || reduced.complete) && !reduced.violated && agree
                 && (test->rc11 == test->here) == (test->reason == NULL);
    printf("%-18s rc11 %-9s here %-9s %8llu runs %s, %2llu outcomes; unreduced %8llu %-12s %s%s%s\n", test->name,
           test->rc11 ? "allowed" : "forbidden", reached ? "allowed" : "forbidden",
           (unsigned long long)reduced.executions, reduced.complete ? "all " : "part",
           (unsigned long long)reduced.outcomes, (unsigned long long)full.executions,
           !comparable ? "not all"
           : agree     ? "same"
                       : "DIFFERENT",
           right ? "ok" : "WRONG", test->reason ? ": " : "", test->reason ? test->reason : "");
    if (reduced.violated)
        printf("  %s\n", reduced.violation);
    return right;
}

int main(void)
{
    int wrong = 0;
    job = malloc(sizeof *job);
    for (size_t i = 0; i < TESTS; i++)
        wrong += !check(&tests[i]);
    printf("%d tests, %d wrong\n", TESTS, wrong);
    free(job);
    return wrong != 0;
}
