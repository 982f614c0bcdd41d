/* SPDX-License-Identifier: Apache-2.0 */
/* search.c - which run comes next
 *
 * A run is decided by its choices: at each point with more than one possibility, which one was
 * taken. Taking 0 everywhere is the run without surprises. The search is depth-first over these
 * lists: repeat the list up to the last choice that has an alternative left, take that
 * alternative, and go on with 0.
 *
 * What is guaranteed. A search that ends ("all") has seen every run within the bounds, up to the
 * order of steps that do not conflict: same checks, same races, same outcomes. Three reductions
 * are used, and each respects the bounds exactly:
 *
 *   - sleep sets (schedule.c), of the thread that goes on only, unless preemptions are not
 *     bounded;
 *   - local steps (schedule.c): a pass may learn that a location is shared; then one more pass is
 *     made;
 *   - known states: a run is cut at a point when the same state was met before with at least as
 *     much of every budget and with no thread asleep that is awake now. A state is not memory but
 *     history: each thread's hash covers all that it has seen, each store's hash the history of
 *     its writer and the store before it. Two runs with equal hashes are the same partial order of
 *     steps. Which thread is running is part of the state as long as preemptions count.
 *
 * Known states are kept in a fixed table that forgets: then work is repeated, nothing is missed.
 * Two different histories with the same 64-bit hash would cut a run wrongly: with 10^8 states that
 * happens in one search of 4000. tests/explore/selftest compares all of this with the unreduced
 * search.
 *
 * What is not guaranteed. Nothing is said about runs beyond the bounds. A race or a dead block is
 * reported by clocks, so also when the two accesses lay far apart in the run; a violation of a
 * check is found only if a run within the bounds violates it.
 *
 * Random and PCT (Burckhardt et al., 2010: random priorities, d changes) sample runs of the same
 * space with preemptions not bounded. Their choices are recorded in the same form: any run can be
 * replayed. */
#include "search.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

#include "heap.h"
#include "shadow.h"

union engine_in_pages explore_engine __attribute__((aligned(PAGE)));

/* ---- choices ---- */

uint64_t search_random(void)
{
    uint64_t x = engine.random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    engine.random = x;
    return x * 0x2545F4914F6CDD1Du >> 16;
}

unsigned search_choose(unsigned count, uint32_t skip)
{
    if (engine.choice_at < engine.choice_count) {
        struct choice *known = &engine.choices[engine.choice_at++];
        if (engine.options.mode == EXPLORE_REPLAY || engine.tracing)
            known->count = (uint8_t)count;
        if (known->count != count || known->taken >= count)
            explore_fail("explorer: the run does not repeat (choice %u: %u of %u, now %u)", engine.choice_at,
                         known->taken, known->count, count);
        return known->taken;
    }
    unsigned taken = 0;
    while (taken < count && (skip >> taken & 1))
        taken++;
    if (taken == count)
        schedule_cut(); /* everybody who can run is asleep */
    if (engine.choice_count == CHOICES_MAX)
        explore_fail("explorer: more than %d choices in one run", CHOICES_MAX);
    engine.choices[engine.choice_count++] = (struct choice){
        .count = (uint8_t)count, .taken = (uint8_t)taken, .skip = skip};
    engine.choice_at++;
    return taken;
}

unsigned search_choose_data(unsigned count)
{
    if (count <= 1)
        return 0;
    unsigned taken = 0;
    if (engine.options.mode == EXPLORE_RANDOM || engine.options.mode == EXPLORE_PCT) {
        taken = search_random() % 3 == 0 ? (unsigned)(search_random() % count) : 0;
        taken = search_choose(count, ~(1u << taken));
    } else {
        taken = search_choose(count, 0);
    }
    thread_saw(engine.current, 1000 + taken);
    return taken;
}

bool search_risk(int *budget)
{
    if (*budget <= 0)
        return false;
    bool happens = search_choose_data(2) != 0;
    *budget -= happens;
    return happens;
}

unsigned explore_choose(unsigned count)
{
    unsigned taken = 0;
    if (count <= 1 || !engine.running)
        return 0;
    if (engine.options.mode == EXPLORE_RANDOM || engine.options.mode == EXPLORE_PCT)
        taken = search_choose(count, ~(1u << search_random() % count));
    else
        taken = search_choose(count, 0);
    thread_saw(engine.current, 2000 + taken);
    return taken;
}

/* The next list of choices in depth-first order; false: there is none. */
static bool advance(void)
{
    while (engine.choice_count > 0) {
        struct choice *last = &engine.choices[engine.choice_count - 1];
        do
            last->taken++;
        while (last->taken < last->count && (last->skip >> last->taken & 1));
        if (last->taken < last->count)
            return true;
        engine.choice_count--;
    }
    return false;
}

/* ---- known states ---- */

struct known {
    uint64_t state;
    uint16_t asleep;
    uint8_t preemptions, stale, faults, early, spurious, reuse;
};
enum { KNOWN_SETS = 1 << 20, KNOWN_WAYS = 4, YOUNG_PASS = 2000, LEARNING_RUNS = 200 };

static uint8_t narrow(int budget)
{
    return budget < 255 ? (uint8_t)budget : 255;
}

static bool at_least(const struct known *old, const struct known *new)
{
    return old->preemptions >= new->preemptions && old->stale >= new->stale && old->faults >= new->faults
           && old->early >= new->early && old->spurious >= new->spurious && old->reuse >= new->reuse
           && (old->asleep & ~new->asleep) == 0;
}

/* Remembers the state if it is new. */
bool search_is_known(uint64_t state)
{
    struct known now = {
        .state = state,
        .asleep = (uint16_t)engine.asleep,
        .preemptions = narrow(engine.left.preemptions),
        .stale = narrow(engine.left.stale),
        .faults = narrow(engine.left.faults),
        .early = narrow(engine.left.early),
        .spurious = narrow(engine.left.spurious),
        .reuse = narrow(engine.left.reuse),
    };
    struct known *set = &engine.known[state % KNOWN_SETS * KNOWN_WAYS];
    struct known *place = &set[state >> 32 & (KNOWN_WAYS - 1)];
    for (int i = 0; i < KNOWN_WAYS; i++) {
        if (set[i].state == state) {
            if (at_least(&set[i], &now))
                return true;
            if (at_least(&now, &set[i]))
                place = &set[i];
        } else if (set[i].state == 0 && place->state != state) {
            place = &set[i];
        }
    }
    *place = now;
    return false;
}

/* ---- one run ---- */

void explore_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(engine.violation, sizeof engine.violation, format, arguments);
    va_end(arguments);
    engine.failed = true;
    if (!engine.running) {
        fprintf(stderr, "%s\n", engine.violation);
        abort();
    }
    schedule_leave();
}

void explore_observe(uint64_t outcome)
{
    if (engine.learning)
        return;
    for (unsigned i = 0; i < engine.outcome_count; i++)
        if (engine.outcomes[i] == outcome)
            return;
    if (engine.outcome_count < OUTCOMES_MAX)
        engine.outcomes[engine.outcome_count++] = outcome;
}

bool explore_observed(uint64_t outcome)
{
    for (unsigned i = 0; i < engine.outcome_count; i++)
        if (engine.outcomes[i] == outcome)
            return true;
    return false;
}

static void check_end_of_run(void)
{
    for (int i = 0; i < engine.thread_count; i++)
        if (i != 0 && engine.threads[i].state != THREAD_ENDED)
            explore_fail("T%d has not ended when the scenario returns", i);
    if (!engine.bounds.allow_leaks) {
        heap_check_leaks();
        descriptors_check_closed();
    }
}

static void body(void)
{
    engine.scenario->run();
    check_end_of_run();
}

static void run_once(void)
{
    shadow_begin_run();
    heap_begin_run();
    model_begin_run();
    descriptors_begin_run();
    engine.left = (struct budget){engine.bounds.preemptions,    engine.bounds.stale_reads, engine.bounds.faults,
                                  engine.bounds.early_timeouts, engine.bounds.spurious,    engine.bounds.reuse};
    engine.choice_at = 0;
    engine.was_cut = false;
    engine.pct_low = -1;
    schedule_run(body);
}

/* ---- a search ---- */

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(engine.options.processor_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void *reserve(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

static void on_crash(int number, siginfo_t *info, void *unused)
{
    (void)unused;
    if (!engine.running) {
        signal(number, SIG_DFL);
        return;
    }
    explore_fail("crash: T%d, signal %d at address %p", engine.current->id, number, info->si_addr);
}

static void on_tick(int number)
{
    (void)number;
    uint64_t step = engine.steps + engine.run * 1000003u;
    bool same = engine.running && engine.alarm_step == step;
    engine.alarm_ticks = same ? engine.alarm_ticks + 1 : 0;
    engine.alarm_step = step;
    if (engine.alarm_ticks >= 5)
        explore_fail("T%d has taken no step for five seconds", engine.current->id);
}

static void catch_signals(void)
{
    enum { ALTERNATE = 64 << 10 };
    stack_t stack = {.ss_sp = reserve(ALTERNATE), .ss_size = ALTERNATE};
    sigaltstack(&stack, NULL);
    struct sigaction crash = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaction(SIGSEGV, &crash, NULL);
    sigaction(SIGBUS, &crash, NULL);
    sigaction(SIGFPE, &crash, NULL);
    sigaction(SIGILL, &crash, NULL);
    struct sigaction tick = {.sa_handler = on_tick, .sa_flags = SA_ONSTACK | SA_NODEFER | SA_RESTART};
    sigaction(SIGALRM, &tick, NULL);
    struct itimerval second = {{1, 0}, {1, 0}};
    setitimer(ITIMER_REAL, &second, NULL);
}

static void make_ready(void)
{
    if (engine.ready_made)
        return;
    setvbuf(stdout, NULL, _IOLBF, 0);
    engine.ready_made = true;
    engine.locations = reserve(LOCATIONS_MAX * sizeof(struct location));
    engine.objects = reserve(4096 * sizeof(struct object));
    engine.choices = reserve(CHOICES_MAX * sizeof(struct choice));
    engine.replay = reserve(REPLAY_MAX);
    engine.outcomes = reserve(OUTCOMES_MAX * sizeof(uint64_t));
    engine.known = reserve((size_t)KNOWN_SETS * KNOWN_WAYS * sizeof(struct known));
    catch_signals();
    descriptors_init();
    trace_init();
    shadow_init();
}

static void forget_known(void)
{
    madvise(engine.known, (size_t)KNOWN_SETS * KNOWN_WAYS * sizeof(struct known), MADV_DONTNEED);
}

static void forget_shared(void)
{
    madvise(engine.arena.shared, engine.arena.size / 64, MADV_DONTNEED);
    memset(engine.globals.shared, 0, engine.globals.size / 64);
}

static void set_bounds(const explore_scenario *scenario, const explore_options *options)
{
    engine.scenario = scenario;
    engine.options = *options;
    engine.bounds = scenario->bounds;
    if (engine.bounds.steps == 0)
        engine.bounds.steps = 20000;
    if (engine.bounds.spin == 0)
        engine.bounds.spin = 4;
    if (engine.options.seconds <= 0)
        engine.options.seconds = engine.bounds.seconds > 0 ? engine.bounds.seconds : 60;
    if (engine.options.depth <= 0 || engine.options.depth > 16)
        engine.options.depth = 3;
    if (options->mode == EXPLORE_RANDOM || options->mode == EXPLORE_PCT)
        engine.bounds.preemptions = EXPLORE_UNBOUNDED;
    engine.weak = engine.bounds.stale_reads > 0;
    engine.reduce = options->mode == EXPLORE_DFS && !options->no_reduction;
    engine.random = options->seed * 0x9E3779B97F4A7C15u + 88172645463325252u;
    if (engine.random == 0)
        engine.random = 1;
}

/* Once more from the start, knowing what is shared. Early in a pass that costs little. */
static bool begin_pass(const explore_result *result)
{
    engine.grew = false;
    engine.choice_count = 0;
    engine.pass_began = result->executions;
    forget_known();
    return true;
}

/* Prepares the next run after the last; false: there is none. */
static bool next_run(explore_result *result, uint64_t longest)
{
    switch (engine.options.mode) {
    case EXPLORE_REPLAY: return false;
    case EXPLORE_PCT:
        for (int i = 0; i < engine.options.depth; i++)
            engine.pct_change[i] = 1 + search_random() % (longest + 1);
        /* fall through */
    case EXPLORE_RANDOM: engine.choice_count = 0; return true;
    case EXPLORE_DFS: break;
    }
    bool young = result->executions - engine.pass_began < YOUNG_PASS;
    if (engine.reduce && engine.grew && young)
        return begin_pass(result);
    if (advance())
        return true;
    if (engine.reduce && engine.grew)
        return begin_pass(result);
    result->complete = true;
    return false;
}

static void repeat_with_trace(void)
{
    char violation[sizeof engine.violation];
    memcpy(violation, engine.violation, sizeof violation);
    explore_mode mode = engine.options.mode;
    engine.choice_count = engine.choice_at; /* what the violating run has used */
    engine.watched = engine.failed_at;
    engine.failed = false;
    engine.options.mode = EXPLORE_REPLAY;
    engine.reduce = false;
    trace_begin();
    run_once();
    trace_print();
    engine.tracing = false;
    if (!engine.failed || strcmp(violation, engine.violation) != 0)
        printf("  the repeated run ended differently: %s\n", engine.failed ? engine.violation : "no violation");
    memcpy(engine.violation, violation, sizeof violation);
    engine.options.mode = mode;
    engine.failed = true;
}

static void judge(explore_result *result)
{
    const char *expected = engine.bounds.expect;
    if (engine.failed)
        result->replay = search_write_replay();
    result->violated = engine.failed;
    memcpy(result->violation, engine.violation, sizeof result->violation);
    trace_expand(result->violation, sizeof result->violation);
    result->passed = expected == NULL ? !engine.failed : engine.failed && strstr(engine.violation, expected) != NULL;
    result->outcomes = engine.outcome_count;
    for (unsigned i = 0; i < engine.outcome_count; i++)
        result->outcomes_sum += hash_mix(engine.outcomes[i], 11);
}

/* A few random runs show which locations are shared, so that the search need not learn it run by run. Nothing else
 * of them counts: they are not within the bounds. */
static void learn_what_is_shared(double start)
{
    explore_options options = engine.options;
    explore_bounds bounds = engine.bounds;
    engine.learning = true;
    engine.reduce = false;
    engine.options.mode = EXPLORE_RANDOM;
    engine.bounds.preemptions = EXPLORE_UNBOUNDED;
    for (int i = 0; i < LEARNING_RUNS && seconds_now() - start < 1; i++) {
        engine.choice_count = 0;
        run_once();
    }
    engine.options = options;
    engine.bounds = bounds;
    engine.learning = engine.failed = engine.grew = false;
    engine.reduce = true;
    engine.failed_at = 0;
    engine.choice_count = 0;
    engine.violation[0] = '\0';
}

explore_result explore_run(const explore_scenario *scenario, const explore_options *options)
{
    explore_result result = {0};
    make_ready();
    set_bounds(scenario, options);
    engine.choice_count = 0;
    engine.outcome_count = 0;
    engine.failed = engine.grew = false;
    engine.pass_began = 0;
    engine.failed_at = engine.watched = 0;
    engine.violation[0] = '\0';
    forget_known();
    forget_shared();
    if (options->mode == EXPLORE_REPLAY && !search_parse_replay(options->replay)) {
        (void)snprintf(result.violation, sizeof result.violation, "cannot read the replay list");
        return result;
    }
    double start = seconds_now();
    if (engine.reduce)
        learn_what_is_shared(start);
    do {
        run_once();
        result.executions++;
        result.cut += engine.was_cut;
        result.steps += engine.steps;
        result.longest = engine.steps > result.longest ? engine.steps : result.longest;
        if (engine.failed || result.executions == options->executions_max)
            break;
        if (result.executions % 64 == 0 && seconds_now() - start > engine.options.seconds)
            break;
    } while (next_run(&result, result.longest));
    result.seconds = seconds_now() - start;
    judge(&result);
    if (!options->quiet)
        search_print_row(&result);
    if (engine.failed && !options->quiet && !result.passed)
        repeat_with_trace();
    return result;
}
