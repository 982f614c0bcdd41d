/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_asio.cpp - Boost.Asio: an io_context with threads of its own; a parked operation is a steady_timer
 *
 * Asio cannot cancel a handler that was posted, so queued operations are posted handlers that look at a flag when
 * their turn comes. Destroying the io_context, which drops them, was tried: their owners are told nothing.
 */
#include "peer.h"

#include <atomic>
#include <utility>
#include <boost/asio.hpp>
#include <memory>
#include <thread>
#include <vector>

namespace asio = boost::asio;

namespace {

using guard_type = asio::executor_work_guard<asio::io_context::executor_type>;

std::unique_ptr<asio::io_context> context;
std::unique_ptr<guard_type> guard;
std::vector<std::thread> threads;
std::vector<asio::steady_timer> timers;
std::atomic<bool> cancelled;

void open_pool(unsigned workers)
{
    context = std::make_unique<asio::io_context>(static_cast<int>(workers));
    guard = std::make_unique<guard_type>(context->get_executor());
    for (unsigned i = 0; i < workers; i++)
        threads.emplace_back([] { context->run(); });
}

void close_pool()
{
    guard.reset();
    for (auto &thread : threads)
        thread.join();
    threads.clear();
    context.reset();
}

void submit(peer_job *job)
{
    asio::post(*context, [job] { job->fn(job->arg); });
}

void end_one()
{
    if (peer_ended())
        peer_all_ended();
}

void queue(std::size_t count)
{
    cancelled.store(false, std::memory_order_relaxed);
    for (std::size_t i = 0; i < count; i++)
        asio::post(*context, [] {
            if (!cancelled.load(std::memory_order_acquire))
                peer_never();
            end_one();
        });
}

void park(std::size_t count)
{
    timers.reserve(count);
    for (std::size_t i = 0; i < count; i++) {
        timers.emplace_back(*context, std::chrono::hours(1));
        timers.back().async_wait([](const boost::system::error_code &error) {
            if (error != asio::error::operation_aborted)
                peer_never();
            end_one();
        });
    }
}

void cancel()
{
    cancelled.store(true, std::memory_order_release);
    for (auto &timer : timers)
        timer.cancel();
}

void release()
{
    timers.clear();
    timers.shrink_to_fit();
}

} // namespace

extern "C" const struct peer peer = {
    "Boost.Asio", open_pool, close_pool, submit, false, nullptr, queue, park, cancel, release, false, nullptr, nullptr,
};
