/* SPDX-License-Identifier: Apache-2.0
 *
 * close.c - what does it cost to close a session with N operations that wait for a worker?
 *
 * Three forms (close_load.h), for operations whose handles were born closed, and for operations whose handles are
 * closed inside their finals.
 */
#include "close_load.h"

static weir_status never(weir_task *task, void *ctx)
{
    (void)task, (void)ctx;
    bench_fail("work ran that was to be cancelled");
}

static const weir_kind KIND = { .size = sizeof KIND, .work = never, .on_result = close_on_result };
static const weir_kind KIND_HANDLES = { .size = sizeof KIND, .work = never, .on_result = close_on_result_close };

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    const struct close_sort sorts[] = {
        { .suffix = "", .kind = &KIND, .count_max = 1000000 },
        { .suffix = " handles", .kind = &KIND_HANDLES, .handles = true, .count_max = 1000000 },
    };
    close_measure(sorts, sizeof sorts / sizeof *sorts);
    return 0;
}
