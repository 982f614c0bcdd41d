/* SPDX-License-Identifier: Apache-2.0 */
/* enumeration.c - counts that are known
 *
 * Two threads with n atomic steps each on one location can be ordered in C(2n, n) ways. With
 * enough preemptions the search must reach exactly these; with p preemptions exactly the orders
 * that can be made with p: every change of threads is one preemption, except the first start and
 * the change when one has ended. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "explore.h"

static atomic_int next;
static unsigned taken; /* bit i: the second thread took number i */
static int *steps;     /* allocated before the first run: not restored */

static void *count_up(void *mine)
{
    for (int i = 0; i < *steps; i++) {
        int number = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
        if (mine != NULL)
            *(unsigned *)mine |= 1u << number;
    }
    return NULL;
}

static void run(void)
{
    pthread_t a, b;
    explore_check(pthread_create(&a, NULL, count_up, NULL) == 0);
    explore_check(pthread_create(&b, NULL, count_up, &taken) == 0);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    explore_observe(taken);
}

/* How many orders of n and n steps change threads at most p + 1 times, one of which may be free:
 * an order whose last block is the rest of one thread came out of a preemption, or of the other's
 * end. */
static unsigned orders_within(int n, int p)
{
    unsigned count = 0;
    for (unsigned order = 0; order < 1u << 2 * n; order++) {
        if (__builtin_popcount(order) != n)
            continue;
        int left[2] = {n, n}, preemptions = 0;
        for (int i = 0; i < 2 * n; i++) {
            int thread = order >> i & 1;
            if (i > 0 && thread != (int)(order >> (i - 1) & 1) && left[!thread] > 0)
                preemptions++;
            left[thread]--;
        }
        count += preemptions <= p;
    }
    return count;
}

static bool check(int n, int preemptions, bool no_reduction)
{
    *steps = n;
    explore_scenario scenario = {.name = "enumeration", .run = run, .bounds = {.preemptions = preemptions}};
    explore_result result = explore_run(&scenario, &(explore_options){.quiet = true, .no_reduction = no_reduction});
    unsigned expected = orders_within(n, preemptions);
    bool right = result.complete && result.outcomes == expected;
    printf("n=%d preemptions %-7d %-9s %7llu runs, %3llu orders of %3u  %9.0f runs/s  %s\n", n, preemptions,
           no_reduction ? "unreduced" : "reduced", (unsigned long long)result.executions,
           (unsigned long long)result.outcomes, expected, (double)result.executions / (result.seconds + 1e-9),
           right ? "ok" : "WRONG");
    return right;
}

int main(void)
{
    int wrong = 0;
    steps = malloc(sizeof *steps);
    for (int n = 1; n <= 5; n++)
        for (int p = 0; p <= 2 * n; p++) {
            wrong += !check(n, p, false);
            if (n < 5 || p < 6)
                wrong += !check(n, p, true);
        }
    wrong += !check(5, EXPLORE_UNBOUNDED, false);
    wrong += !check(6, EXPLORE_UNBOUNDED, false);
    free(steps);
    return wrong != 0;
}
