/* SPDX-License-Identifier: Apache-2.0 */
/* model.h - how a model is searched, and what its program prints
 *
 *   MODEL [EXECUTIONS [BOUND]]          0: nothing was found
 *   MODEL EXECUTIONS BOUND fault        0: something was, which is what a planted fault is for
 *
 * First so many random schedules, then all schedules with at most BOUND preemptions. */
#ifndef PROOF_RELACY_MODEL_H
#define PROOF_RELACY_MODEL_H

#include <stdatomic.h>

static inline bool model_report(const char *name, const char *how, const rl::test_params &params, bool well)
{
    printf("%-26s %-14s %9llu executions: %s\n", name, how, (unsigned long long)params.stop_iteration,
           well ? "nothing found" : rl::test_result_str(params.test_result));
    fflush(stdout);
    return well;
}

/* Does not return after a find: what a failed execution leaves behind cannot be taken down. */
template <typename Test> static void model_search(const char *name, int argc, char **argv)
{
    bool planted = argc > 3;
    char how[32];
    std::ostringstream quiet;
    rl::test_params params;
    params.iteration_count = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    params.context_bound = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    params.execution_depth_limit = 20000;
    params.output_stream = &quiet;
    params.progress_stream = &quiet;
    bool well = model_report(name, "random", params, rl::simulate<Test>(params));
    if (well) {
        snprintf(how, sizeof(how), "all, bound %u", params.context_bound);
        params.search_type = rl::fair_context_bound_scheduler_type;
        well = model_report(name, how, params, rl::simulate<Test>(params));
    }
    if (well)
        return;
    if (!planted)
        fputs(quiet.str().c_str(), stdout);
    fflush(stdout);
    _Exit(!planted);
}

/* Nothing was found. */
static inline int model_end(int argc)
{
    return argc > 3;
}

#endif
