/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_tbb.cpp - oneTBB: task_arena::enqueue from outside, task_group for trees and scopes
 *
 * task_group::cancel drops what has not run: nobody is told of each. task_group::run from outside was tried for the
 * spawn row; it needs the asker as a worker.
 */
#include "peer.h"

#include <memory>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

namespace {

std::unique_ptr<tbb::global_control> control;
std::unique_ptr<tbb::task_arena> arena;
std::unique_ptr<tbb::task_group> group;

void open_pool(unsigned workers)
{
    control = std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism, workers + 1);
    arena = std::make_unique<tbb::task_arena>(static_cast<int>(workers) + 1, 1);
    arena->initialize();
}

void close_pool()
{
    arena.reset();
    control.reset();
}

void submit(peer_job *job)
{
    arena->enqueue([job] { job->fn(job->arg); });
}

void grow(unsigned depth)
{
    if (depth == 0)
        return;
    tbb::task_group both;
    both.run([depth] { grow(depth - 1); });
    grow(depth - 1);
    both.wait();
}

void tree(unsigned depth)
{
    tbb::task_arena two(2, 1);                             /* the asker is one of the two workers */
    two.execute([depth] { grow(depth); });
}

void queue(std::size_t count)
{
    group = std::make_unique<tbb::task_group>();
    arena->execute([count] {
        for (std::size_t i = 0; i < count; i++)
            group->run([] { peer_never(); });
    });
}

void cancel()
{
    arena->execute([] {
        group->cancel();
        group->wait();
    });
    peer_all_ended();
}

void release()
{
    group.reset();
}

void cycle()
{
    arena->execute([] {
        tbb::task_group one;
        one.run([] {});
        one.wait();
    });
}

} // namespace

extern "C" const struct peer peer = {
    "oneTBB", open_pool, close_pool, submit, false, tree, queue, nullptr, cancel, release, true, cycle, nullptr,
};
