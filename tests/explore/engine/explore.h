/* SPDX-License-Identifier: Apache-2.0 */
/* explore.h - what a scenario sees of the schedule explorer
 *
 * A scenario is a small program: its body runs as thread 0, makes threads with pthread_create,
 * calls the library like any user, joins everything, and states with explore_check() what must
 * hold. The explorer runs it again and again, each time with another schedule, until every one
 * within the bounds has been seen:
 *
 *     #include "explore.h"
 *
 *     static void *thief(void *deque) { ... }
 *
 *     EXPLORE_SCENARIO(deque_last_item_goes_to_one, .preemptions = 3, .stale_reads = 1)
 *     {
 *         pthread_t id;
 *         explore_check(pthread_create(&id, NULL, thief, &deque) == 0);
 *         ...
 *         pthread_join(id, NULL);
 *         explore_check(taken + stolen == 1);
 *     }
 *
 * Globals and _Thread_local variables are as at program start in every run; the heap is empty;
 * time is virtual, starts at one second, and passes only when nobody can run or an early time-out
 * is chosen. What a program wants to keep from run to run lies in memory that it allocated before
 * the first one. A run must end with every thread ended, every block freed and every descriptor
 * closed.
 *
 * At most fifteen threads, ended ones included. Not for scenarios: fork, signals, longjmp between
 * threads, pointers to another thread's _Thread_local. */
#ifndef EXPLORE_H
#define EXPLORE_H

#include <stdbool.h>
#include <stdint.h>

enum { EXPLORE_UNBOUNDED = 1000000 };

/* How far the search goes. Each number bounds one kind of event in one run; zero means never. */
typedef struct explore_bounds {
    int preemptions;         /* a thread that could go on is left */
    int stale_reads;         /* a load sees, or a store goes before, a store that is not the newest */
    int faults;              /* an allocation, mapping, descriptor or thread is refused */
    int early_timeouts;      /* a deadline passes although somebody could run */
    int spurious;            /* a wait returns for no reason; a weak compare-exchange fails */
    int reuse;               /* an allocation gets a block that was freed before (shows ABA) */
    int steps;               /* a longer run is reported as livelock; 0: 20 000 */
    int spin;                /* so many equal looks in a row count as a yield; 0: 4 */
    double seconds;          /* stop the search then; 0: 60 */
    bool without_membarrier; /* membarrier(2) answers ENOSYS */
    bool allow_leaks;
    const char *expect; /* the search must find a violation whose text contains this */
} explore_bounds;

typedef struct explore_scenario {
    const char *name;
    void (*run)(void);
    explore_bounds bounds;
    const char *file;
    int line;
} explore_scenario;

/* clang-format off */
#define EXPLORE_SCENARIO(scenario, ...)                                                          \
    static void explore_body_##scenario(void);                                                   \
    static const explore_scenario explore_scenario_##scenario = {                                \
        .name = #scenario, .run = explore_body_##scenario, .bounds = { __VA_ARGS__ },            \
        .file = __FILE__, .line = __LINE__ };                                                    \
    static const explore_scenario *const explore_entry_##scenario                                \
        __attribute__((used, section("explore_scenarios"))) = &explore_scenario_##scenario;      \
    static void explore_body_##scenario(void)
/* clang-format on */

/* ---- inside a scenario ---- */

/* The run is wrong: stop it, and print how to repeat it. */
_Noreturn void explore_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define EXPLORE_TEXT_(x) #x
#define EXPLORE_TEXT(x) EXPLORE_TEXT_(x)
/* clang-format off */
#define explore_check(condition)                                                                 \
    ((condition) ? (void)0                                                                       \
                 : explore_fail("check failed: %s (" __FILE__ ":" EXPLORE_TEXT(__LINE__) ")",    \
                                #condition))
/* clang-format on */

/* A choice of the scenario's own: every number below count is tried. */
unsigned explore_choose(unsigned count);

/* Adds a value to the set of outcomes that the search prints and that self-tests compare. */
void explore_observe(uint64_t outcome);

/* ---- running searches ---- */

typedef enum explore_mode { EXPLORE_DFS, EXPLORE_RANDOM, EXPLORE_PCT, EXPLORE_REPLAY } explore_mode;

typedef struct explore_options {
    explore_mode mode;
    bool no_reduction;       /* DFS: every schedule, also those that differ in nothing that matters */
    double seconds;          /* 0: the scenario's */
    bool processor_time;     /* they are this process's own: what others do on the machine costs nothing */
    uint64_t executions_max; /* 0: no limit */
    uint64_t seed;
    int depth; /* PCT: number of priority changes; 0: 3 */
    const char *replay;
    bool quiet; /* print no row and no interleaving */
} explore_options;

typedef struct explore_result {
    uint64_t executions; /* runs, cut ones included */
    uint64_t cut;        /* runs stopped because the rest was known already */
    uint64_t steps, longest;
    uint64_t outcomes;     /* how many different values were observed */
    uint64_t outcomes_sum; /* the same set gives the same sum */
    double seconds;
    bool complete; /* everything within the bounds was seen */
    bool violated;
    bool passed; /* not violated, or violated as the scenario expects */
    char violation[512];
    const char *replay; /* of the violation; until the next search */
} explore_result;

explore_result explore_run(const explore_scenario *scenario, const explore_options *options);
bool explore_observed(uint64_t outcome); /* by the last search */

/* Runs every scenario of the program, or what the arguments ask for; the exit code. See --help. */
int explore_main(int argc, char **argv);

#endif
