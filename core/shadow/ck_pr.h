/* SPDX-License-Identifier: Apache-2.0 */
/* ck_pr.h - a shadow of Concurrency Kit's atomic primitives, for test builds only
 *
 * Concurrency Kit spells its atomics in inline assembly, which ThreadSanitizer and the schedule
 * explorer cannot see. Builds for them put this directory first on the include path; then <ck_ec.h>
 * finds this file in place of the real one, and its operations become compiler builtins.
 *
 * Complete for ck_ec and no more: what is missing fails to compile. That is on purpose. Concurrency
 * Kit writes "relaxed operation, then fence"; this file has no fences, because ThreadSanitizer does
 * not model them, and puts the order on the operation instead:
 *
 *      Concurrency Kit                                     here
 *      load, then ck_pr_fence_acquire                      acquire load; the fence does nothing
 *      ck_pr_fence_store or _store_atomic, then an RMW     acq_rel RMW; the fence does nothing
 *
 * That is right for message passing over one word, which is all that ck_ec does. It could not stand
 * for a store-load fence between two words, so those fences are not here.
 *
 * Where the shadow says more than the original: on AArch64 ck_pr_fence_store_atomic orders stores
 * only, and release orders earlier loads as well. No proof of ours uses that: event.h asks whoever
 * posts to have published with a release or a read-modify-write of his own.
 */
#ifndef CK_PR_H
#define CK_PR_H

#include <ck_cc.h>
#include <ck_limits.h>
#include <ck_md.h>
#include <ck_stdbool.h>
#include <ck_stdint.h>
#include <sched.h>

/* ck_ec.h asks for this before it offers 64-bit counts. */
#define CK_F_PR_FAA_64

#define CK_PR_SHADOW(WIDTH)                                                                        \
    static inline uint##WIDTH##_t ck_pr_load_##WIDTH(const uint##WIDTH##_t *word)                  \
    {                                                                                              \
        return __atomic_load_n(word, __ATOMIC_ACQUIRE);                                            \
    }                                                                                              \
    static inline uint##WIDTH##_t ck_pr_faa_##WIDTH(uint##WIDTH##_t *word, uint##WIDTH##_t delta)  \
    {                                                                                              \
        return __atomic_fetch_add(word, delta, __ATOMIC_ACQ_REL);                                  \
    }                                                                                              \
    static inline void ck_pr_and_##WIDTH(uint##WIDTH##_t *word, uint##WIDTH##_t mask)              \
    {                                                                                              \
        (void)__atomic_fetch_and(word, mask, __ATOMIC_ACQ_REL);                                    \
    }                                                                                              \
    static inline bool ck_pr_cas_##WIDTH##_value(uint##WIDTH##_t *word, uint##WIDTH##_t expected,  \
                                                 uint##WIDTH##_t desired, uint##WIDTH##_t *old)    \
    {                                                                                              \
        bool swapped = __atomic_compare_exchange_n(word, &expected, desired, false,                \
                                                   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);            \
        *old = expected;                                                                           \
        return swapped;                                                                            \
    }

CK_PR_SHADOW(32)
CK_PR_SHADOW(64)

#undef CK_PR_SHADOW

/* The order is on the operations; these keep the names only. */
static inline void ck_pr_fence_acquire(void)
{
}

static inline void ck_pr_fence_store(void)
{
}

static inline void ck_pr_fence_store_atomic(void)
{
}

/* In a spin loop: lets the schedule explorer, and an overloaded machine, run somebody else. */
static inline void ck_pr_stall(void)
{
    (void)sched_yield();
}

#endif
