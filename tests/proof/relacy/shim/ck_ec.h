/* SPDX-License-Identifier: Apache-2.0 */
/* ck_ec.h - Concurrency Kit's ck_ec32, many producers: the half that is inline, over Relacy's atomics. The orders are
 * core/shadow/ck_pr.h's; the other half is core/shadow/ck_ec.c. */
#ifndef SHIM_CK_EC_H
#define SHIM_CK_EC_H

#include <stdatomic.h>
#include <time.h>

struct ck_ec32 {
    rl::atomic<uint32_t> counter;
};

struct ck_ec_wait_state;

struct ck_ec_ops {
    int (*gettime)(const ck_ec_ops *ops, struct timespec *out);
    void (*wait32)(const ck_ec_wait_state *state, rl::atomic<uint32_t> *counter, uint32_t expected,
                   const struct timespec *deadline);
    void (*wake32)(const ck_ec_ops *ops, rl::atomic<uint32_t> *counter);
    uint32_t busy_loop_iter;
};

struct ck_ec_wait_state {
    const ck_ec_ops *ops;
    void *data;
};

struct ck_ec_mode {
    const ck_ec_ops *ops;
    bool single_producer;
};

typedef int ck_ec_predicate(const ck_ec_wait_state *, struct timespec *);

void ck_ec32_wake(ck_ec32 *ec, const ck_ec_ops *ops);
int ck_ec32_wait_pred_slow(ck_ec32 *ec, const ck_ec_ops *ops, uint32_t old, ck_ec_predicate *pred, void *data,
                           const struct timespec *deadline);

static inline void ck_pr_and_32(rl::atomic<uint32_t> *word, uint32_t mask)
{
    (void)word->fetch_and(mask, rl::mo_acq_rel, $);
}

static inline bool ck_pr_cas_32_value(rl::atomic<uint32_t> *word, uint32_t expected, uint32_t desired, uint32_t *old)
{
    bool swapped = word->compare_exchange_strong(expected, desired, rl::mo_acq_rel, $, rl::mo_acquire, $);
    *old = expected;
    return swapped;
}

static inline uint32_t ck_ec32_value(const ck_ec32 *ec)
{
    return ec->counter.load(rl::mo_acquire, $) & ~(UINT32_C(1) << 31);
}

static inline uint32_t ck_ec32_add(ck_ec32 *ec, const ck_ec_mode *mode, uint32_t delta)
{
    uint32_t old = ec->counter.fetch_add(delta, rl::mo_acq_rel, $), count = old & ~(UINT32_C(1) << 31);
    if (old != count)
        ck_ec32_wake(ec, mode->ops);
    return count;
}

static inline int ck_ec32_wait_pred(ck_ec32 *ec, const ck_ec_mode *mode, uint32_t old, ck_ec_predicate *pred,
                                    void *data, const struct timespec *deadline)
{
    if (ck_ec32_value(ec) != old)
        return 0;
    return ck_ec32_wait_pred_slow(ec, mode->ops, old, pred, data, deadline);
}

#endif
