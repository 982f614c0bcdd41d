/* SPDX-License-Identifier: Apache-2.0 */
/* sweep_word.h - a sweep that any number of threads share: who walks which groups, in one word
 *
 *     63 ..... 48 |  47   |  46  | 45 .. 21 | 20 ........... 0
 *       AT_WORK   | ASKED | LAST |    0     | next: lane, group's number in the lane
 *
 *   AT_WORK  threads that have groups in hand
 *   ASKED    an epoch was raised since the walk began: begin again
 *   LAST     the close has raised its epoch: when all is walked, the session is WAITING
 *   next     the first place that nobody has taken yet; SWEEP_END: none is left
 *
 *   step        by                        order     what it decides
 *   P1 ask      who raised an epoch       seq_cst   +ASKED; with LAST, if it is the close's
 *   P2 take     a thread that takes part  seq_cst   ASKED: begins again from 0, -ASKED. Else the groups from next on
 *                                                   are its own. The first time AT_WORK + 1
 *   P3 leave    the same                  seq_cst   nothing is left to take: AT_WORK - 1; the last one is told
 *
 * Every group is walked after every epoch. P1 comes after K1 (session_word.h). The P2 that takes ASKED away begins at
 * 0, and every later one takes what follows, so that between it and the P3 that leaves nothing each group is taken by
 * somebody. All are read-modify-writes of one word, so each of them synchronises with the P1 before it: who walks a
 * group then sees the epoch. Those who still have groups in hand from the walk before finish them; two threads may be
 * in one group, and the operations' words say what is left to do. Blocks that come meanwhile: K3 of roster.h.
 *
 * No ask is lost. P1, then N1 of the sweep's node; its job does N2, then looks at the word: at least one of the two
 * sees the other (node.h). Who is at work looks at ASKED each time it takes, and P3 fails if it was set since.
 *
 * The last one. P3 that brings AT_WORK to 0 finds ASKED off and nothing left; so all groups were walked since the last
 * P1, and their walkers have left. If LAST is set by then, the close's epoch was raised before that P1.
 *
 * Nobody has to wait for a walker that is stuck in a callback: the next P1 begins from 0 with whoever comes.
 *
 * Threads come by a chain: who has taken groups and sees more pushes the sweep's one job, and the worker that pops it
 * does the same. So there are at most as many jobs as workers came, and one more, whatever the number of operations
 * (S3). Rejected: reserved jobs, one for each worker: 64 bytes in every session for each of them, and all of them are
 * woken before it is known how many are of use. Rejected: a share for each worker, cut in advance: one slow callback
 * holds its share up while the others have nothing to do.
 */
#ifndef SESSION_SWEEP_WORD_H
#define SESSION_SWEEP_WORD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/verify.h"

enum { SWEEP_NUMBER_BITS = 18, SWEEP_LANES = 4, SWEEP_END = SWEEP_LANES << SWEEP_NUMBER_BITS };

#define SWEEP_NEXT ((UINT64_C(1) << 21) - 1)
#define SWEEP_LAST (UINT64_C(1) << 46)
#define SWEEP_ASKED (UINT64_C(1) << 47)
#define SWEEP_AT_WORK_ONE (UINT64_C(1) << 48)

/* A session begins with this one. */
#define SWEEP_NONE ((uint64_t)SWEEP_END)

static inline uint32_t sweep_place(uint32_t lane, uint32_t number) { return (lane << SWEEP_NUMBER_BITS) + number; }
static inline uint32_t sweep_lane(uint32_t place) { return place >> SWEEP_NUMBER_BITS; }
static inline uint32_t sweep_number(uint32_t place) { return place & ((1U << SWEEP_NUMBER_BITS) - 1); }
static inline uint32_t sweep_at_work(uint64_t w) { return (uint32_t)(w >> 48); }
static inline bool sweep_is_asked(uint64_t w) { return (w & SWEEP_ASKED) != 0; }

/* Where to look for the next groups. */
static inline uint32_t sweep_from(uint64_t w)
{
    return sweep_is_asked(w) ? 0 : (uint32_t)(w & SWEEP_NEXT);
}

/* Is there anything to take, as far as the word knows? */
static inline bool sweep_is_due(uint64_t w)
{
    return sweep_from(w) != SWEEP_END;
}

/* P2. behind: the first place behind the groups that were found at or after sweep_from. */
static inline uint64_t sweep_taken(uint64_t old, uint32_t behind, bool inside)
{
    uint64_t w = (old & ~(SWEEP_NEXT | SWEEP_ASKED)) | behind;
    return inside ? w : w + SWEEP_AT_WORK_ONE;
}

/* P3, or P2 of who came in vain: nothing was found at or after sweep_from. An ask that finds no groups at all is
 * done with, too. */
static inline uint64_t sweep_left(uint64_t old, bool inside)
{
    uint64_t w = (old & ~(SWEEP_NEXT | SWEEP_ASKED)) | SWEEP_END;
    weir_assert(!inside || sweep_at_work(old) > 0);
    return inside ? w - SWEEP_AT_WORK_ONE : w;
}

/* All is walked, and it was the close's epoch. */
static inline bool sweep_is_over(uint64_t w)
{
    return sweep_at_work(w) == 0 && !sweep_is_due(w) && (w & SWEEP_LAST) != 0;
}

#endif
