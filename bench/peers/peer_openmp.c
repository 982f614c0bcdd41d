/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_openmp.c - OpenMP (libgomp): tasks
 *
 * Above 64 tasks per thread libgomp runs the body where the task is created, so it has no queue that could be cancelled
 * and no row for spawning.
 */
#include "peer.h"

#include <omp.h>

static void open_pool(unsigned workers)
{
    omp_set_num_threads((int)workers);
}

static void close_pool(void)
{
}

static void grow(unsigned depth)
{
    if (depth == 0)
        return;
#pragma omp task untied
    grow(depth - 1);
    grow(depth - 1);
#pragma omp taskwait
}

static void tree(unsigned depth)
{
#pragma omp parallel
#pragma omp single
    grow(depth);
}

static void cycle(void)
{
#pragma omp parallel num_threads(1)
#pragma omp taskgroup
    {
#pragma omp task
        {
        }
    }
}

const struct peer peer = {
    .name = "OpenMP", .open = open_pool, .close = close_pool, .tree = tree, .cycle = cycle,
};
