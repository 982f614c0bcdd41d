// SPDX-License-Identifier: Apache-2.0
// barrier.cpp - two threads that enter and leave, a third that shuts: one completer, who sees what both did
#include "model.h"

#include "core/barrier.h"

struct barrier_model : rl::test_suite<barrier_model, 3> {
    barrier gate;
    plain<int> work[2];
    plain<int> policy;
    rl::atomic<int> completed, entered, shut;

    void before()
    {
        barrier_init(&gate);
        completed.store(0, rl::mo_relaxed, $);
        entered.store(0, rl::mo_relaxed, $);
        shut.store(0, rl::mo_relaxed, $);
        work[0] = 0;
        work[1] = 0;
        policy = 0;
    }

    void complete()
    {
        RL_ASSERT(completed.fetch_add(1, rl::mo_relaxed, $) == 0);
        RL_ASSERT(policy == 1);                                         /* what the closer wrote before it shut */
        int seen = work[0] + work[1];                                   /* E7: no race with who left */
        RL_ASSERT(seen == entered.load(rl::mo_relaxed, $));
        work[0] = -1;                                                   /* the memory is its own now */
        work[1] = -1;
    }

    void thread(unsigned index)
    {
        if (index == 2) {
            policy = 1;
            if (barrier_shut(&gate) == BARRIER_SHUT_COMPLETE)
                complete();
            shut.store(1, rl::mo_release, $);
            return;
        }
        bool late = shut.load(rl::mo_acquire, $) == 1;
        if (!barrier_enter(&gate))
            return;
        RL_ASSERT(!late);                                               /* S1 */
        entered.fetch_add(1, rl::mo_relaxed, $);
        work[index] = 1;
        if (barrier_leave(&gate, 1))
            complete();
    }

    void after() { RL_ASSERT(completed.load(rl::mo_relaxed, $) == 1); }
};

int main(int argc, char **argv)
{
    model_search<barrier_model>("barrier", argc, argv);
    return model_end(argc);
}
