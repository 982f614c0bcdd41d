// SPDX-License-Identifier: Apache-2.0
// inbox.cpp - two producers and two consumers on a ring of two slots with the list behind it, refilled by both
#include "model.h"

#include "workqueue/job.h"
#include "workqueue/inbox.h"
#include "workqueue/inbox.c"

enum { EACH = 2, JOBS = 2 * EACH, SLOTS = 2 };

struct inbox_model : rl::test_suite<inbox_model, 4> {
    struct inbox inbox;
    rl::atomic<uint64_t> slots[SLOTS];
    struct job jobs[JOBS];
    rl::atomic<int> ran[JOBS];

    void before()
    {
        for (int i = 0; i < SLOTS; i++)
            slots[i].store(0, rl::mo_relaxed, $);
        for (int i = 0; i < JOBS; i++)
            ran[i].store(0, rl::mo_relaxed, $);
        inbox.ring.slots = slots;
        inbox.ring.shift = 1;
        inbox.ring.head.store(0, rl::mo_relaxed, $);
        inbox.ring.tail.store(0, rl::mo_relaxed, $);
        inbox.overflow.store(NULL, rl::mo_relaxed, $);
        inbox.backlog.store(NULL, rl::mo_relaxed, $);
        inbox.refilling.store(0, rl::mo_relaxed, $);
    }

    void run(struct job *job)
    {
        RL_ASSERT(job->payload == (int)(job - jobs) + 1);              /* E10 */
        job->next = NULL;                                               /* its own now */
        RL_ASSERT(ran[job - jobs].fetch_add(1, rl::mo_relaxed, $) == 0);
    }

    bool look(uint32_t max)
    {
        struct job *found[2];
        uint32_t count = inbox_pop(&inbox, found, max);
        for (uint32_t i = 0; i < count; i++)
            run(found[i]);
        if (count != 0)
            return true;
        struct job *job = inbox_refill(&inbox);
        if (job != NULL)
            run(job);
        return job != NULL;
    }

    void thread(unsigned index)
    {
        if (index < 2)
            for (unsigned i = index * EACH; i < (index + 1) * EACH; i++) {
                jobs[i].payload = (int)i + 1;
                inbox_push(&inbox, &jobs[i]);
            }
        else
            for (int i = 0; i < 2; i++)
                look(index - 1);                                        /* one job at a time, and a batch of two */
    }

    void after()
    {
        while (look(2))
            ;
        RL_ASSERT(inbox_is_empty(&inbox));
        for (int i = 0; i < JOBS; i++)
            RL_ASSERT(ran[i].load(rl::mo_relaxed, $) == 1);
    }
};

int main(int argc, char **argv)
{
    model_search<inbox_model>("inbox", argc, argv);
    return model_end(argc);
}
