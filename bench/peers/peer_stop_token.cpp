/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_stop_token.cpp - C++20: a parked operation is a std::stop_callback; request_stop calls them all, inline
 */
#include "peer.h"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

namespace {

struct end_one {
    void operator()() const
    {
        if (peer_ended())
            peer_all_ended();
    }
};

std::optional<std::stop_source> source;
std::deque<std::stop_callback<end_one>> callbacks;
std::unique_ptr<std::jthread> other;                       /* with one thread the library would take no lock */

void open_pool(unsigned)
{
    other = std::make_unique<std::jthread>([](std::stop_token stop) {
        std::mutex none;
        std::unique_lock lock(none);
        std::condition_variable_any().wait(lock, stop, [] { return false; });
    });
}

void close_pool()
{
    other.reset();
}

void park(std::size_t count)
{
    source.emplace();
    for (std::size_t i = 0; i < count; i++)
        callbacks.emplace_back(source->get_token(), end_one{});
}

void cancel()
{
    source->request_stop();
}

void release()
{
    callbacks.clear();
    source.reset();
}

} // namespace

extern "C" const struct peer peer = {
    "std::stop_token", open_pool, close_pool, nullptr, false, nullptr, nullptr, park, cancel, release, false, nullptr,
    nullptr,
};
