/* SPDX-License-Identifier: Apache-2.0
 *
 * close_parked.c - what does it cost to close a session with N deferred operations, whose tokens nobody completes?
 *
 * Three forms (close_load.h); handles born closed, handles closed inside the finals, and, with handles born closed, a
 * cancel hook that says that nothing uses the context any more.
 */
#include "close_load.h"

static bool hook(weir_reason reason, void *ctx)
{
    (void)reason, (void)ctx;
    return true;
}

static weir_status defer_hooked(weir_task *task, void *ctx)
{
    bench_must(weir_task_on_cancel(task, hook, ctx), "register a hook");
    return bench_park(task, ctx);
}

static void settle(size_t count)
{
    tally_await(&bench_parked, count);
    tally_clear(&bench_parked);
}

static const weir_kind KIND = { .size = sizeof KIND, .work = bench_park, .on_result = close_on_result };
static const weir_kind KIND_HANDLES = { .size = sizeof KIND, .work = bench_park, .on_result = close_on_result_close };
static const weir_kind KIND_HOOKED = { .size = sizeof KIND, .work = defer_hooked, .on_result = close_on_result };

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    const struct close_sort sorts[] = {
        { .suffix = "", .kind = &KIND, .settle = settle, .count_max = 1000000 },
        { .suffix = " handles", .kind = &KIND_HANDLES, .handles = true, .settle = settle, .count_max = 1000000 },
        { .suffix = " hook", .kind = &KIND_HOOKED, .settle = settle, .count_max = 100000 },
    };
    close_measure(sorts, sizeof sorts / sizeof *sorts);
    return 0;
}
