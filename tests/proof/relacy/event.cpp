// SPDX-License-Identifier: Apache-2.0
// event.cpp - the event count: two wait, two post; nobody sleeps through what he waits for
//
// A wake-up that is lost is a waiter that sleeps for ever: Relacy reports a deadlock.
#include "model.h"

#include "core/futex.h"

model_kernel *kernel;
enum { FUTEX_WAKE_ALL = INT_MAX };

#include "core/event.c"
#include "core/shadow/ck_ec.c"

template <typename Test, int Waiters, int Posters> struct event_model : rl::test_suite<Test, Waiters + Posters> {
    model_kernel futexes;
    struct event event;
    rl::atomic<int> there;
    plain<int> payload[Posters];

    void before()
    {
        kernel = &futexes;
        event.counter.store(0, rl::mo_relaxed, $);
        there.store(0, rl::mo_relaxed, $);
        for (int i = 0; i < Posters; i++)
            payload[i] = 0;
    }

    /* Until all that will be published is there. */
    void wait()
    {
        for (;;) {
            uint32_t seen = event_value(&event);
            if (there.load(rl::mo_acquire, $) == Posters)
                break;
            (void)event_wait(&event, seen, WEIR_FOREVER);
        }
        for (int i = 0; i < Posters; i++)
            RL_ASSERT(payload[i] == i + 1);
    }

    void publish(int number)
    {
        payload[number] = number + 1;
        (void)there.fetch_add(1, rl::mo_acq_rel, $);
        event_post(&event);
    }

    void thread(unsigned index)
    {
        if (index < Waiters)
            wait();
        else
            publish((int)index - Waiters);
    }
};

struct two_and_one : event_model<two_and_one, 2, 1> {};
struct one_and_two : event_model<one_and_two, 1, 2> {};
struct two_and_two : event_model<two_and_two, 2, 2> {};

int main(int argc, char **argv)
{
    model_search<two_and_one>("event: two wait, one posts", argc, argv);
    model_search<one_and_two>("event: one waits, two post", argc, argv);
    model_search<two_and_two>("event: two and two", argc, argv);
    return model_end(argc);
}
