/* SPDX-License-Identifier: Apache-2.0
 *
 * fork_join.c - what does a leaf of a binary fork-join tree cost?
 *
 * Each inner node forks its left half, calls its right half, and joins; leaves are empty. So per leaf there are one
 * fork, one join, and two calls.
 */
#include "load.h"

static void measure_tree(const char *row, uint32_t workers, bool lend)
{
    unsigned depth = bench_is_quick() ? 17 : 21;
    weir_app app = bench_app_open(workers);
    tree_time(app, depth - 3, lend);                   /* warm-up */
    bench_sample(row, "ns/leaf", tree_time(app, depth, lend));
    bench_app_close(app);
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    measure_tree("2 workers", 2, false);
    measure_tree("1 worker", 1, false);
    measure_tree("1 worker and the lent caller", 1, true);
    return 0;
}
