/* SPDX-License-Identifier: Apache-2.0 */
/* handle.h - the caller's 64-bit reference to an object: packing, unpacking, first judgement
 *
 *       63..61   60..55   54........31   30..........0
 *      |  kind  |  app   |    slot      |  generation |
 *          3        6         24              31
 *
 *   kind        what the handle is of. 0 is of nothing, so that a zeroed struct is never a handle.
 *   app         entry of the application table (registry.h): 1..63. 0 names no entry.
 *   slot        index into the application's table of that kind; 0 in the handle of an application.
 *   generation  which of the slot's owners, one after the other, is meant: 1..2^31-1. 0 is nobody.
 *
 * A handle is a value. Copies are equal and go stale together; none of its bits is an address, so
 * any bit pattern may be passed to any call (contract H1). Two questions are asked of a pattern, in
 * order:
 *
 *   1. Can it ever have been a handle of the kind the call wants?     no: INVALID  (here)
 *   2. Is the object it names alive?                               no: STALE    (registry, slots)
 *
 *   pattern                                        question 1        answer of the call
 *   all zero                                       kind 0            INVALID
 *   kind 7                                         no such kind      INVALID
 *   a session's handle where an operation's is due wrong kind        INVALID
 *   app 0, or generation 0                         never given out   INVALID
 *   an application's handle with a slot            never given out   INVALID
 *   anything else that is not alive                may have been     STALE
 *
 * So a forged pattern may be called stale; what matters is that it never reaches an object. The
 * first question needs no memory but the pattern and is the same at any time, also after fork and
 * after the last application. A token carries the slot and the generation of its operation: kind is
 * all that tells them apart, and is what stops one from being passed for the other. A reply carries
 * the slot of its queue, and where others have a generation the number of the deferral.
 *
 * Why in this order: kind on top makes "which table" one shift, generation at the bottom makes "is
 * it the slot's word" one mask, and app, slot and generation of two handles compare in one
 * subtraction. Why 31 bits of generation: its place in the slot's word has 32, and the bit above
 * says that the slot is used up (slots.h); so no handle can carry the generation of a slot that is
 * used up. Rejected: a pointer plus a generation (128 bits, and following the pointer of a stale
 * handle needs memory that is never given back); a checksum in spare bits (there are none, and a
 * stale handle has a right one).
 */
#ifndef CORE_HANDLE_H
#define CORE_HANDLE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "weir/status.h"

enum handle_kind {
    HANDLE_NONE = 0,
    HANDLE_APP = 1,
    HANDLE_SESSION = 2,
    HANDLE_OP = 3,
    HANDLE_QUEUE = 4,
    HANDLE_TOKEN = 5,
    HANDLE_REPLY = 6,
};

enum {
    HANDLE_GENERATION_BITS = 31,
    HANDLE_SLOT_BITS = 24,
    HANDLE_APP_BITS = 6,
    HANDLE_KIND_BITS = 3,

    HANDLE_SLOT_SHIFT = HANDLE_GENERATION_BITS,
    HANDLE_APP_SHIFT = HANDLE_SLOT_SHIFT + HANDLE_SLOT_BITS,
    HANDLE_KIND_SHIFT = HANDLE_APP_SHIFT + HANDLE_APP_BITS,

    HANDLE_APP_MAX = (1 << HANDLE_APP_BITS) - 1,
    HANDLE_SLOT_MAX = (1 << HANDLE_SLOT_BITS) - 1,
    HANDLE_GENERATION_MAX = INT32_MAX,
};
static_assert(HANDLE_KIND_SHIFT + HANDLE_KIND_BITS == 64, "the four fields fill the word");
static_assert(HANDLE_GENERATION_MAX == (1LL << HANDLE_GENERATION_BITS) - 1, "31 bits, and an int");
static_assert(HANDLE_REPLY < 1 << HANDLE_KIND_BITS, "every kind has its number");

static inline enum handle_kind handle_kind(uint64_t bits)
{
    return (enum handle_kind)(bits >> HANDLE_KIND_SHIFT); /* 7: in range, unnamed */
}

static inline uint32_t handle_app(uint64_t bits)
{
    return (uint32_t)(bits >> HANDLE_APP_SHIFT) & HANDLE_APP_MAX;
}

static inline uint32_t handle_slot(uint64_t bits)
{
    return (uint32_t)(bits >> HANDLE_SLOT_SHIFT) & HANDLE_SLOT_MAX;
}

static inline uint32_t handle_generation(uint64_t bits)
{
    return (uint32_t)bits & HANDLE_GENERATION_MAX;
}

/* The inverse of the four above. Bits that do not fit a field are cut off and fall to no other. */
static inline uint64_t handle_make(enum handle_kind kind, uint32_t app, uint32_t slot,
                                   uint32_t generation)
{
    return (uint64_t)kind << HANDLE_KIND_SHIFT
         | (uint64_t)(app & HANDLE_APP_MAX) << HANDLE_APP_SHIFT
         | (uint64_t)(slot & HANDLE_SLOT_MAX) << HANDLE_SLOT_SHIFT
         | (uint64_t)(generation & HANDLE_GENERATION_MAX);
}

/* Question 1: true when the pattern may have been given out as a handle of that kind. */
static inline bool handle_is_plausible(uint64_t bits, enum handle_kind kind)
{
    if (kind == HANDLE_NONE || handle_kind(bits) != kind)
        return false;
    if (handle_app(bits) == 0 || handle_generation(bits) == 0)
        return false;
    return kind != HANDLE_APP || handle_slot(bits) == 0;
}

/* The same as an answer: OK means that question 2 is to be asked. */
static inline weir_status handle_check(uint64_t bits, enum handle_kind kind)
{
    return handle_is_plausible(bits, kind) ? WEIR_OK : WEIR_INVALID;
}

/* The same object under another kind: an operation's token, a token's operation. */
static inline uint64_t handle_as(uint64_t bits, enum handle_kind kind)
{
    return handle_make(kind, handle_app(bits), handle_slot(bits), handle_generation(bits));
}

#endif
