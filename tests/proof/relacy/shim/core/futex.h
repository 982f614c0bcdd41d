/* SPDX-License-Identifier: Apache-2.0 */
/* futex.h - a futex as the kernel has it: it compares and queues under its own lock. No deadlines */
#ifndef CORE_FUTEX_H
#define CORE_FUTEX_H

#include <stdatomic.h>

struct model_kernel {
    rl::mutex lock;
    rl::condition_variable queue;
};
extern model_kernel *kernel;                   /* of the model that runs */

static inline int futex_wait(rl::atomic<uint32_t> *word, uint32_t expected, int64_t deadline_ns)
{
    (void)deadline_ns;
    kernel->lock.lock($);
    if (word->load(rl::mo_relaxed, $) == expected)
        kernel->queue.wait(kernel->lock, $);
    kernel->lock.unlock($);
    return 0;
}

static inline int futex_wake(rl::atomic<uint32_t> *word, int count)
{
    (void)word;
    (void)count;
    kernel->lock.lock($);
    kernel->queue.notify_all($);               /* spurious for others: allowed */
    kernel->lock.unlock($);
    return 1;
}

#endif
