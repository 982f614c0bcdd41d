// SPDX-License-Identifier: Apache-2.0
// deque.cpp - one owner that pushes and takes, two thieves; a deque of two slots, so that positions wrap
#include "model.h"

#include "workqueue/job.h"
#include "workqueue/deque.h"

enum { JOBS = 4 };

struct deque_model : rl::test_suite<deque_model, 3> {
    struct deque deque;
    rl::atomic<struct job *> slots[2];
    struct job jobs[JOBS];
    rl::atomic<int> ran[JOBS];
    int pushed;

    void before()
    {
        for (int i = 0; i < 2; i++)
            slots[i].store(NULL, rl::mo_relaxed, $);
        for (int i = 0; i < JOBS; i++)
            ran[i].store(0, rl::mo_relaxed, $);
        deque_init(&deque, slots, 2);
        pushed = 0;
    }

    void run(struct job *job)
    {
        if (job == NULL)
            return;
        RL_ASSERT(job->payload == (int)(job - jobs) + 1);              /* what was written before the push: E10 */
        RL_ASSERT(ran[job - jobs].fetch_add(1, rl::mo_relaxed, $) == 0); /* once */
    }

    void push(int i)
    {
        jobs[i].payload = i + 1;
        if (deque_push(&deque, &jobs[i]))
            pushed |= 1 << i;
    }

    void own()
    {
        push(0);
        push(1);
        push(2);                                                        /* full, unless a thief was there */
        run(deque_take(&deque));
        push(3);
        run(deque_take(&deque));
        run(deque_take(&deque));
    }

    void thread(unsigned index)
    {
        if (index == 0)
            return own();
        for (int i = 0; i < 2; i++) {
            struct job *job = NULL;
            if (deque_steal(&deque, &job) == DEQUE_STOLEN)
                run(job);
        }
    }

    void after()
    {
        for (struct job *job; (job = deque_take(&deque)) != NULL;)
            run(job);
        for (int i = 0; i < JOBS; i++)                                  /* none is lost */
            RL_ASSERT(ran[i].load(rl::mo_relaxed, $) == (pushed >> i & 1));
    }
};

int main(int argc, char **argv)
{
    model_search<deque_model>("deque", argc, argv);
    return model_end(argc);
}
