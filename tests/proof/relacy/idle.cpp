// SPDX-License-Identifier: Apache-2.0
// idle.cpp - the workers' sleep: one that goes to sleep while one submits from outside and one from its own deque
//
// A wake-up that is lost is a worker that sleeps for ever with work in the queue: Relacy reports a deadlock.
#include "model.h"

#include "core/futex.h"
#include "core/parker.h"

model_kernel *kernel;
rl::atomic<uint32_t> *model_asymmetric[2];
#define asymmetric_way (*model_asymmetric[0])
#define asymmetric_word (*model_asymmetric[1])

#include "core/idle.h"
#include "core/idle.c"

/* As core/asymmetric.c does without membarrier. */
void asymmetric_heavy(void)
{
    (void)atomic_fetch_add_explicit(&asymmetric_word, 1, memory_order_acq_rel);
}

template <typename Test, int Threads> struct idle_model : rl::test_suite<Test, Threads> {
    model_kernel futexes;
    rl::atomic<uint32_t> way, word;
    struct idle_seat seats[2];
    struct idle idle;
    rl::atomic<int> outside, inside;                /* queues: filled by a read-modify-write, and by a plain store */

    void before()
    {
        kernel = &futexes;
        model_asymmetric[0] = &way;
        model_asymmetric[1] = &word;
        way.store(ASYMMETRIC_SHARED_WORD, rl::mo_relaxed, $);
        word.store(0, rl::mo_relaxed, $);
        for (int i = 0; i < 2; i++)
            parker_init(&seats[i].parker);
        idle.seats = seats;
        idle.words = 1;
        idle.workers = 2;
        idle.sleeping[0].store(0, rl::mo_relaxed, $);
        idle.searching.store(0, rl::mo_relaxed, $);
        outside.store(0, rl::mo_relaxed, $);
        inside.store(0, rl::mo_relaxed, $);
    }

    bool there() { return outside.load(rl::mo_seq_cst, $) + inside.load(rl::mo_seq_cst, $) != 0; }

    void take_one()
    {
        int count = outside.load(rl::mo_relaxed, $);
        while (count != 0)
            if (outside.compare_exchange_strong(count, count - 1, rl::mo_acq_rel, $, rl::mo_relaxed, $))
                return;
        (void)inside.exchange(0, rl::mo_acq_rel, $);
    }

    /* A worker's loop until it has found something once: as worker_main() looks, sleeps, and is woken. */
    void work(uint32_t worker)
    {
        bool searching = idle_search_begin(&idle);
        for (;;) {
            if (searching)
                idle_search_end(&idle);
            if (there())
                break;
            idle_prepare(&idle, worker);
            if (there()) {
                searching = !idle_cancel(&idle, worker);
                continue;
            }
            searching = idle_commit(&idle, worker, INT64_MAX);
        }
        take_one();
        if (there())
            idle_notify(&idle);
    }

    void submit_outside()
    {
        (void)outside.fetch_add(1, rl::mo_seq_cst, $);                    /* inbox.h I1 */
        idle_notify(&idle);
    }

    void submit_inside()
    {
        inside.store(1, rl::mo_release, $);                             /* deque.h D1 */
        idle_notify_from_worker(&idle);
    }
};

struct one_outside : idle_model<one_outside, 2> {
    void thread(unsigned index) { index == 0 ? work(0) : submit_outside(); }
};

struct one_inside : idle_model<one_inside, 2> {
    void thread(unsigned index) { index == 0 ? work(0) : submit_inside(); }
};

struct two_and_two : idle_model<two_and_two, 4> {
    void thread(unsigned index)
    {
        if (index < 2)
            return work(index);
        if (index == 3)
            submit_inside();
        submit_outside();                                               /* one for each, or one more */
    }
};

int main(int argc, char **argv)
{
    model_search<one_outside>("idle: one, from outside", argc, argv);
    model_search<one_inside>("idle: one, from a worker", argc, argv);
    model_search<two_and_two>("idle: two and two", argc, argv);
    return model_end(argc);
}
