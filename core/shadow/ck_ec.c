/* SPDX-License-Identifier: Apache-2.0 */
/* ck_ec.c - a stand-in for the half of ck_ec32 that is compiled into libck, for test builds only
 *
 * The schedule explorer sees what it compiles, and libck comes compiled. These two functions
 * replace the library's: linked before libck they take its place. They touch the word in the same
 * steps, so that what the explorer finds or does not find holds for the original:
 *
 *      wait    compare, CAS the flag in, look at the clock, sleep on the word, compare again
 *      wake    clear the flag with an AND of its own, after the addition of ck_ec32_add; then wake
 *
 * Left out: spinning before the sleep, which changes no outcome; slices of sleep, which event.c
 * overrides; predicates, which event.c does not use. The same tests run on both (test_event.c).
 */
#include <assert.h>
#include <stddef.h>
#include <time.h>

#include <ck_ec.h>

static const uint32_t waiter_flag = UINT32_C(1) << 31;

void ck_ec32_wake(struct ck_ec32 *ec, const struct ck_ec_ops *ops)
{
    ck_pr_and_32(&ec->counter, ~waiter_flag);
    ops->wake32(ops, &ec->counter);
}

/* False: the count is no longer the expected one. */
static bool raise_flag(struct ck_ec32 *ec, uint32_t expected)
{
    uint32_t old;
    return ck_pr_cas_32_value(&ec->counter, expected, expected | waiter_flag, &old) ||
           old == (expected | waiter_flag);
}

static bool is_over(const struct ck_ec_ops *ops, const struct timespec *deadline)
{
    struct timespec now;
    if (!deadline || ops->gettime(ops, &now) != 0)
        return false;
    return now.tv_sec > deadline->tv_sec ||
           (now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec);
}

int ck_ec32_wait_pred_slow(struct ck_ec32 *ec, const struct ck_ec_ops *ops, uint32_t old_value,
                           int (*pred)(const struct ck_ec_wait_state *, struct timespec *),
                           void *data, const struct timespec *deadline)
{
    struct ck_ec_wait_state state = {.ops = ops, .data = data};
    assert(!pred);
    (void)pred;
    while (raise_flag(ec, old_value)) {
        if (is_over(ops, deadline))
            return -1;
        ops->wait32(&state, &ec->counter, old_value | waiter_flag, deadline);
        if (ck_ec32_value(ec) != old_value)
            break;
    }
    return 0;
}
