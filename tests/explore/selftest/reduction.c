/* SPDX-License-Identifier: Apache-2.0 */
/* reduction.c - the reduced search against the unreduced one, on random programs
 *
 * Each program has two or three threads of a few random operations: atomics of all kinds and
 * orders, fences, a mutex around plain variables, allocation, waiting with and without a deadline,
 * and a yield. With random bounds the reduced search must reach exactly the outcomes (all values
 * read, all final values, violations found) of the unreduced one. Programs whose unreduced search
 * is too long are skipped and counted. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "explore.h"

enum { THREADS = 3, STEPS = 4, VARIABLES = 3 };
enum kind {
    LOAD,
    STORE,
    EXCHANGE,
    COMPARE_STRONG,
    COMPARE_WEAK,
    FENCE,
    LOCKED,
    TRYLOCK,
    ALLOCATE,
    WAIT,
    WAIT_UNTIL,
    WAKE,
    CLOCK,
    YIELD,
    KINDS
};
struct step {
    enum kind kind;
    int variable, value, order;
};
struct program {
    int threads, steps[THREADS];
    struct step step[THREADS][STEPS];
};

/* Outside of what is restored before every run. */
static struct program *program;

static _Atomic uint32_t variables[VARIABLES];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t under_mutex;
static uint64_t seen[THREADS];

static void note(int thread, uint64_t value)
{
    seen[thread] = seen[thread] * 31 + value + 1;
}

static void wait_on(_Atomic uint32_t *word, int value, bool with_deadline, int thread)
{
    struct timespec until = {.tv_sec = 2};
    long answer = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value, with_deadline ? &until : NULL,
                          NULL, FUTEX_BITSET_MATCH_ANY);
    note(thread, answer == 0 ? 0 : (uint64_t)errno);
}

static void take_step(const struct step *s, int thread)
{
    static const int loads[] = {memory_order_relaxed, memory_order_acquire, memory_order_seq_cst};
    static const int stores[] = {memory_order_relaxed, memory_order_release, memory_order_seq_cst};
    static const int both[] = {memory_order_relaxed, memory_order_acq_rel, memory_order_seq_cst};
    _Atomic uint32_t *v = &variables[s->variable];
    uint32_t value = (uint32_t)s->value;
    switch (s->kind) {
    case LOAD: note(thread, atomic_load_explicit(v, loads[s->order])); break;
    case STORE: atomic_store_explicit(v, value, stores[s->order]); break;
    case EXCHANGE: note(thread, atomic_fetch_add_explicit(v, value, both[s->order])); break;
    case COMPARE_STRONG:
        note(thread,
             atomic_compare_exchange_strong_explicit(v, &(uint32_t){0}, value, both[s->order], loads[s->order]));
        break;
    case COMPARE_WEAK:
        note(thread, atomic_compare_exchange_weak_explicit(v, &(uint32_t){1}, value, both[s->order], loads[s->order]));
        break;
    case FENCE: atomic_thread_fence(both[s->order]); break;
    case LOCKED:
        pthread_mutex_lock(&mutex);
        under_mutex = under_mutex * 4 + (uint64_t)thread + 1;
        note(thread, atomic_load_explicit(v, memory_order_relaxed));
        pthread_mutex_unlock(&mutex);
        break;
    case TRYLOCK:
        if (pthread_mutex_trylock(&mutex) == 0) {
            note(thread, 5 + under_mutex);
            pthread_mutex_unlock(&mutex);
        }
        break;
    case ALLOCATE: {
        void *memory = malloc(16);
        note(thread, memory != NULL);
        free(memory);
        break;
    }
    case WAIT: wait_on(v, 0, false, thread); break;
    case WAIT_UNTIL: wait_on(v, 0, true, thread); break;
    case WAKE: note(thread, (uint64_t)syscall(SYS_futex, v, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0)); break;
    case CLOCK: {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        note(thread, (uint64_t)now.tv_sec);
        break;
    }
    case YIELD: sched_yield(); break;
    case KINDS: break;
    }
}

static void *run_thread(void *number)
{
    int thread = (int)(intptr_t)number;
    for (int i = 0; i < program->steps[thread]; i++)
        take_step(&program->step[thread][i], thread);
    return NULL;
}

static void run_program(void)
{
    pthread_t ids[THREADS];
    bool made[THREADS];
    for (int i = 1; i < program->threads; i++)
        made[i] = pthread_create(&ids[i], NULL, run_thread, (void *)(intptr_t)i) == 0;
    run_thread((void *)0);
    for (int i = 1; i < program->threads; i++)
        if (made[i])
            pthread_join(ids[i], NULL);
    uint64_t outcome = under_mutex;
    for (int i = 0; i < THREADS; i++)
        outcome = outcome * 1000003 + seen[i];
    for (int i = 0; i < VARIABLES; i++)
        outcome = outcome * 10007 + atomic_load_explicit(&variables[i], memory_order_relaxed);
    explore_observe(outcome);
}

/* ---- random programs and bounds ---- */

static uint64_t state;

static int pick(int count)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int)((state >> 20) % (uint64_t)count);
}

static void make_program(void)
{
    memset(program, 0, sizeof *program);
    program->threads = 2 + (pick(3) == 0);
    bool waits = pick(4) == 0;
    for (int t = 0; t < program->threads; t++) {
        program->steps[t] = 1 + pick(program->threads == 2 ? STEPS : STEPS - 1);
        for (int i = 0; i < program->steps[t]; i++) {
            int kind = pick(3) != 0 ? pick(FENCE) : pick(KINDS);
            if (kind == WAIT && !waits)
                kind = WAIT_UNTIL;
            program->step[t][i] = (struct step){(enum kind)kind, pick(1 + pick(VARIABLES)), 1 + pick(2), pick(3)};
        }
    }
}

static explore_bounds make_bounds(void)
{
    static const int preemptions[] = {0, 1, 1, 2, 2, 3, EXPLORE_UNBOUNDED};
    return (explore_bounds){
        .preemptions = preemptions[pick(7)],
        .stale_reads = pick(3),
        .faults = pick(4) == 0,
        .early_timeouts = pick(3) == 0,
        .spurious = pick(4) == 0,
        .reuse = pick(6) == 0,
    };
}

static void print_program(const explore_bounds *b)
{
    static const char *const names[] = {"load",    "store",    "add",  "cas",        "weak cas", "fence", "locked",
                                        "trylock", "allocate", "wait", "wait until", "wake",     "clock", "yield"};
    printf("bounds p%d s%d f%d e%d u%d r%d\n", b->preemptions, b->stale_reads, b->faults, b->early_timeouts,
           b->spurious, b->reuse);
    for (int t = 0; t < program->threads; t++)
        for (int i = 0; i < program->steps[t]; i++) {
            const struct step *s = &program->step[t][i];
            printf("  T%d %s v%d %d order %d\n", t, names[s->kind], s->variable, s->value, s->order);
        }
}

/* The same outcomes; or both found a violation, and then the outcomes so far say nothing. */
static bool agree(const explore_result *a, const explore_result *b)
{
    if (a->violated || b->violated)
        return a->violated == b->violated;
    return a->outcomes_sum == b->outcomes_sum && a->outcomes == b->outcomes;
}

int main(int argc, char **argv)
{
    enum { LIMIT = 150000 };
    int programs = argc > 1 ? atoi(argv[1]) : 300;
    int compared = 0, skipped = 0, wrong = 0;
    double reduced_runs = 0, full_runs = 0;
    state = argc > 2 ? strtoull(argv[2], NULL, 10) * 2654435761u + 1 : 88172645463325252u;
    program = malloc(sizeof *program);
    uint64_t *generator = malloc(sizeof *generator);
    *generator = state;
    for (int n = 0; n < programs; n++) {
        state = *generator;
        make_program();
        explore_scenario scenario = {.name = "random program", .run = run_program, .bounds = make_bounds()};
        *generator = state;
        explore_options options = {.quiet = true, .executions_max = LIMIT};
        options.no_reduction = true;
        explore_result full = explore_run(&scenario, &options);
        if (!full.complete && !full.violated) {
            skipped++;
            continue;
        }
        options.no_reduction = false;
        options.executions_max = 0;
        explore_result reduced = explore_run(&scenario, &options);
        compared++;
        reduced_runs += (double)reduced.executions;
        full_runs += (double)full.executions;
        if (agree(&full, &reduced))
            continue;
        wrong++;
        printf("program %d: unreduced %llu outcomes %s, reduced %llu outcomes %s\n", n,
               (unsigned long long)full.outcomes, full.violation, (unsigned long long)reduced.outcomes,
               reduced.violation);
        print_program(&scenario.bounds);
    }
    printf("%d programs compared, %d too long, %d different; runs %.0f unreduced, %.0f reduced\n", compared, skipped,
           wrong, full_runs, reduced_runs);
    return wrong != 0 || compared == 0;
}
