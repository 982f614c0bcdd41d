/* SPDX-License-Identifier: Apache-2.0 */
/* ack.h - acknowledging a result by its number, once, from any thread (R7)
 *
 *      63 ....... 32 | 31 ............. 0
 *       generation   |  last acknowledged           delivered: the number given last
 *
 * An operation's word says only that *a* result is not acknowledged. Between looking at it and changing it, another
 * thread may acknowledge that one, and the next may be given: the word looks the same, and a late acknowledgement of
 * result 3 would take result 4 with it. So the number is won here first, in a word in which nothing ever comes back;
 * the winner alone then takes step T13 in the operation's word.
 *
 *   step           by                order     partner
 *   N1 begin       start             relaxed   published with the operation's word (T1)
 *   N2 give        the deliverer     release   N3: who is told a number by the callback finds it delivered
 *   N3 look        any thread        acquire   N2
 *   N4 win         any thread        acq_rel   N4 of the number before
 *
 * Let a thread want number n. It reads the word: some m < n was acknowledged last, n - 1 unless a cancel has discarded
 * results between them; then N3: n was given last; then its N4 turns m into n. The word did not change between, so n
 * was delivered and not acknowledged, and the operation cannot have ended, because n is still missing. A word of
 * another generation fails N4, so the slot's next owner is safe. Numbers are compared by their lower 32 bits: to be
 * fooled a thread would have to sleep through 2^31 results.
 */
#ifndef SESSION_ACK_H
#define SESSION_ACK_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/handle.h"
#include "weir/status.h"

/* Operations of other kinds acknowledge nothing by number, and keep a pointer in the word instead. It has bit 63 set,
 * which no generation has: so a late call with the handle of the slot's last owner finds that it is late. */
#define ACK_KEEPS (UINT64_C(1) << 63)

struct ack {
    _Atomic uint64_t word;                                     /* A */
    _Atomic uint32_t delivered;                                /* A, written by who holds DELIVERY */
    weir_status beside;                                        /* not of this protocol: its owner's (op.h) */
};

/* N1. The operation is not published yet. */
static inline void ack_begin(struct ack *a, uint32_t generation)
{
    atomic_store_explicit(&a->word, (uint64_t)generation << 32, memory_order_relaxed);
    atomic_store_explicit(&a->delivered, 0, memory_order_relaxed);
}

/* Of other kinds. relaxed: for its owner; a late call only compares. NULL: nothing yet. */
static inline void ack_keep(struct ack *a, const void *pointer)
{
    atomic_store_explicit(&a->word, (uint64_t)(uintptr_t)pointer | ACK_KEEPS, memory_order_relaxed);
}

static inline const void *ack_kept(const struct ack *a)
{
    return (const void *)(uintptr_t)(atomic_load_explicit(&a->word, memory_order_relaxed) & ~ACK_KEEPS);
}

/* N2, before the callback. */
static inline void ack_give(struct ack *a, uint64_t number)
{
    atomic_store_explicit(&a->delivered, (uint32_t)number, memory_order_release);
}

/* A number below the one that was given last: nothing is missing there. */
static inline weir_status ack_of_another(struct ack *a, uint64_t handle, uint32_t wanted)
{
    uint64_t seen = atomic_load_explicit(&a->word, memory_order_acquire);           /* N4; not older than N2 */
    if (seen >> 32 != handle_generation(handle))
        return WEIR_STALE;
    return (int32_t)(wanted - (uint32_t)seen) <= 0 ? WEIR_ALREADY : WEIR_INVALID;
}

/* N3, N4. OK: the number is the caller's, who now takes T13. ALREADY: it was acknowledged. INVALID: it was not
 * delivered. STALE: the operation is over. */
static inline weir_status ack_win(struct ack *a, uint64_t handle, uint64_t number)
{
    uint64_t seen = atomic_load_explicit(&a->word, memory_order_acquire);           /* N4 of the one before */
    if (seen >> 32 != handle_generation(handle))
        return WEIR_STALE;
    uint32_t wanted = (uint32_t)number;
    if ((int32_t)(wanted - (uint32_t)seen) <= 0)
        return WEIR_ALREADY;
    uint32_t delivered = atomic_load_explicit(&a->delivered, memory_order_acquire); /* N3 with N2 */
    if ((int32_t)(wanted - delivered) > 0)
        return WEIR_INVALID;
    if (wanted != delivered)                                   /* acknowledged since, or discarded */
        return ack_of_another(a, handle, wanted);
    uint64_t won = (seen & ~UINT64_C(0xffffffff)) | wanted;
    if (atomic_compare_exchange_strong_explicit(&a->word, &seen, won,
                                                memory_order_acq_rel, memory_order_acquire))        /* N4 */
        return WEIR_OK;
    return seen >> 32 == handle_generation(handle) ? WEIR_ALREADY : WEIR_STALE;
}

#endif
