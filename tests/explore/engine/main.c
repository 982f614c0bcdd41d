/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - arguments, one row per scenario, replay lists
 *
 * A replay list is the bounds of the search and the choices of one run, as in
 * "p2s1f0e0u0r0:0*17.1.0*3.2": preemptions, stale reads, faults, early time-outs, spurious ends,
 * reuse; then seventeen times 0, and so on. The bounds decide which choices there are, so they
 * belong to it. Zeros at the end are left out. */
#include "search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Written by the build: the objects under test. Absent when an executable is linked by hand. */
extern const char *const explore_objects[] __attribute__((weak));
extern const char explore_objects_hash[] __attribute__((weak));
extern const explore_scenario *const __start_explore_scenarios[] __attribute__((weak));
extern const explore_scenario *const __stop_explore_scenarios[] __attribute__((weak));

/* ---- replay lists ---- */

bool search_parse_replay(const char *text)
{
    explore_bounds *b = &engine.bounds;
    int used = 0;
    if (text == NULL
        || sscanf(text, "p%ds%df%de%du%dr%d:%n", &b->preemptions, &b->stale_reads, &b->faults, &b->early_timeouts,
                  &b->spurious, &b->reuse, &used)
               != 6
        || used == 0)
        return false;
    engine.weak = b->stale_reads > 0;
    engine.choice_count = 0;
    for (const char *at = text + used; *at != '\0';) {
        char *end;
        unsigned long taken = strtoul(at, &end, 10), times = 1;
        if (end == at || taken > 255)
            return false;
        if (*end == '*')
            times = strtoul(end + 1, &end, 10);
        if (times > CHOICES_MAX - engine.choice_count)
            return false;
        while (times-- > 0)
            engine.choices[engine.choice_count++] = (struct choice){.taken = (uint8_t)taken};
        at = *end == '.' ? end + 1 : end;
    }
    return true;
}

/* Of the last run, into engine.replay. */
const char *search_write_replay(void)
{
    const explore_bounds *b = &engine.bounds;
    unsigned count = engine.choice_at;
    while (count > 0 && engine.choices[count - 1].taken == 0)
        count--;
    size_t used = (size_t)snprintf(engine.replay, REPLAY_MAX, "p%ds%df%de%du%dr%d:", b->preemptions, b->stale_reads,
                                   b->faults, b->early_timeouts, b->spurious, b->reuse);
    for (unsigned i = 0, next; i < count && used < REPLAY_MAX - 32; i = next) {
        for (next = i + 1; next < count && engine.choices[next].taken == engine.choices[i].taken; next++)
            ;
        used += (size_t)sprintf(engine.replay + used, "%s%u", i ? "." : "", engine.choices[i].taken);
        if (next > i + 1)
            used += (size_t)sprintf(engine.replay + used, "*%u", next - i);
    }
    return engine.replay;
}

/* ---- rows ---- */

static const char *bounds_text(char *text, size_t size)
{
    static const char letters[] = "psfeur";
    const explore_bounds *b = &engine.bounds;
    int values[] = {b->preemptions, b->stale_reads, b->faults, b->early_timeouts, b->spurious, b->reuse};
    size_t used = 0;
    for (size_t i = 0; i < 6; i++)
        if (values[i] != 0 && values[i] < EXPLORE_UNBOUNDED)
            used += (size_t)snprintf(text + used, size - used, "%c%d ", letters[i], values[i]);
        else if (values[i] != 0)
            used += (size_t)snprintf(text + used, size - used, "%c- ", letters[i]);
    (void)snprintf(text + used, size - used, "%s", used == 0 ? "p0 " : "");
    return text;
}

void search_print_row(const explore_result *result)
{
    static const char *const modes[] = {"dfs", "random", "pct", "replay"};
    char bounds[64];
    const char *verdict = result->violated ? (result->passed ? "found" : "VIOLATION")
                                           : (result->passed ? "ok" : "NOT FOUND");
    printf("%-40s %-6s %-18s %10llu runs %-4s cut %-9llu %9.0f/s %7.2f s  longest %-5llu", engine.scenario->name,
           modes[engine.options.mode], bounds_text(bounds, sizeof bounds), (unsigned long long)result->executions,
           result->complete ? "all" : "part", (unsigned long long)result->cut,
           (double)result->executions / (result->seconds + 1e-9), result->seconds, (unsigned long long)result->longest);
    if (result->outcomes > 0)
        printf(" outcomes %llu", (unsigned long long)result->outcomes);
    printf("  %s%s%s\n", verdict, result->violated ? ": " : "", result->violation);
    if (result->violated)
        printf("  replay: --scenario %s --replay %s\n", engine.scenario->name, result->replay);
}

/* ---- the program ---- */

struct arguments {
    explore_options options;
    const char *only;
    int preemptions, stale, faults, early, spurious, reuse, spin; /* -1: the scenario's own */
    bool list;
};

static void print_help(const char *program)
{
    printf("usage: %s [options]\n"
           "  --list                 name the scenarios\n"
           "  --scenario NAME        run this one\n"
           "  --mode dfs|pct|random  default: dfs\n"
           "  --replay LIST          repeat one run and print it\n"
           "  --seconds S  --executions N  --seed N  --depth D\n"
           "  --preemptions N  --stale N  --faults N  --early N  --spurious N  --reuse N  --spin N\n"
           "  --no-reduction         dfs: every schedule\n"
           "  --processor-time       that the process has used, not the clock's\n"
           "  --sites                also the atomic accesses met, see sites.c\n"
           "  --weaken W:ORDER:SITE,...  another order there\n",
           program);
}

static bool parse_mode(const char *text, explore_mode *mode)
{
    static const char *const names[] = {"dfs", "random", "pct"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *mode = (explore_mode)i;
            return true;
        }
    return false;
}

/* One option with its value; how many arguments it was, 0: not understood. */
static int parse_one(struct arguments *a, const char *option, const char *value)
{
    struct {
        const char *name;
        int *to;
    } numbers[] = {
        {"--preemptions", &a->preemptions}, {"--stale", &a->stale},
        {"--faults", &a->faults},           {"--early", &a->early},
        {"--spurious", &a->spurious},       {"--reuse", &a->reuse},
        {"--spin", &a->spin},               {"--depth", &a->options.depth},
    };
    if (strcmp(option, "--list") == 0)
        return a->list = true, 1;
    if (strcmp(option, "--no-reduction") == 0)
        return a->options.no_reduction = true, 1;
    if (strcmp(option, "--processor-time") == 0)
        return a->options.processor_time = true, 1;
    if (strcmp(option, "--sites") == 0)
        return sites_record(), 1;
    if (value == NULL)
        return 0;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(option, numbers[i].name) == 0)
            return *numbers[i].to = atoi(value), 2;
    if (strcmp(option, "--scenario") == 0)
        return a->only = value, 2;
    if (strcmp(option, "--seconds") == 0)
        return a->options.seconds = atof(value), 2;
    if (strcmp(option, "--executions") == 0)
        return a->options.executions_max = strtoull(value, NULL, 10), 2;
    if (strcmp(option, "--seed") == 0)
        return a->options.seed = strtoull(value, NULL, 10), 2;
    if (strcmp(option, "--weaken") == 0)
        return sites_weaken(value) ? 2 : 0;
    if (strcmp(option, "--replay") == 0)
        return a->options.mode = EXPLORE_REPLAY, a->options.replay = value, 2;
    return strcmp(option, "--mode") == 0 && parse_mode(value, &a->options.mode) ? 2 : 0;
}

static bool parse(struct arguments *a, int argc, char **argv)
{
    *a = (struct arguments){.preemptions = -1, .stale = -1, .faults = -1, .early = -1, .spurious = -1, .reuse = -1,
                             .spin = -1};
    for (int i = 1, used; i < argc; i += used) {
        used = parse_one(a, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        if (used == 0)
            return false;
    }
    return a->options.mode != EXPLORE_REPLAY || a->only != NULL;
}

static void override(int *bound, int value)
{
    if (value >= 0)
        *bound = value;
}

static bool run_scenario(const struct arguments *a, const explore_scenario *scenario)
{
    explore_scenario copy = *scenario;
    override(&copy.bounds.preemptions, a->preemptions);
    override(&copy.bounds.stale_reads, a->stale);
    override(&copy.bounds.faults, a->faults);
    override(&copy.bounds.early_timeouts, a->early);
    override(&copy.bounds.spurious, a->spurious);
    override(&copy.bounds.reuse, a->reuse);
    override(&copy.bounds.spin, a->spin);
    if (a->options.mode == EXPLORE_REPLAY)
        copy.bounds.expect = NULL;
    return explore_run(&copy, &a->options).passed;
}

static void print_objects(void)
{
    if (explore_objects == NULL)
        return;
    int count = 0;
    while (explore_objects[count] != NULL)
        count++;
    printf("%d objects under test, sha256 of all %s:\n", count, explore_objects_hash);
    for (int i = 0; i < count; i++)
        printf("  %s\n", explore_objects[i]);
}

static int by_source_line(const void *a, const void *b)
{
    const explore_scenario *x = *(const explore_scenario *const *)a, *y = *(const explore_scenario *const *)b;
    int files = strcmp(x->file, y->file);
    return files != 0 ? files : x->line - y->line;
}

/* The compiler does not keep the order of the file. */
static size_t sorted_scenarios(const explore_scenario ***out)
{
    size_t count = (size_t)(__stop_explore_scenarios - __start_explore_scenarios);
    const explore_scenario **list = calloc(count + 1, sizeof *list);
    if (list == NULL)
        abort();
    for (size_t i = 0; i < count; i++)
        list[i] = __start_explore_scenarios[i];
    qsort(list, count, sizeof *list, by_source_line);
    *out = list;
    return count;
}

int explore_main(int argc, char **argv)
{
    struct arguments a;
    if (!parse(&a, argc, argv)) {
        print_help(argv[0]);
        return 2;
    }
    int ran = 0, failed = 0;
    if (!a.list)
        print_objects();
    const explore_scenario **scenarios;
    size_t count = sorted_scenarios(&scenarios);
    for (size_t i = 0; i < count; i++) {
        if (a.only != NULL && strcmp(a.only, scenarios[i]->name) != 0)
            continue;
        ran++;
        if (a.list)
            puts(scenarios[i]->name);
        else
            failed += !run_scenario(&a, scenarios[i]);
    }
    free(scenarios);
    sites_print();
    if (ran == 0)
        fprintf(stderr, "no such scenario\n");
    return ran == 0 || failed > 0;
}

/* A scenario file needs no main of its own. */
__attribute__((weak)) int main(int argc, char **argv)
{
    return explore_main(argc, argv);
}
