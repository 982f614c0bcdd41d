/* SPDX-License-Identifier: Apache-2.0 */
/* history.h - what several threads called and were answered, and whether one after the other could have been
 *
 * A call has an interval of tickets: it took effect at some moment between `from` and `to`. A history is
 * *linearizable* if the moments can be chosen so that the sequential model (model.c) gives every answer that was
 * recorded. The model has two operations and their session:
 *
 *      A   pull; its work has posted two items and deferred; it has a handle
 *      B   push with manual acknowledgement; its work has posted one item and deferred; no handle
 */
#ifndef PROOF_HISTORY_H
#define PROOF_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

enum call {
    CALL_START,                /* of a third operation, which ends by itself */
    CALL_CANCEL_A, CALL_CANCEL_B,
    CALL_COMPLETE_A, CALL_COMPLETE_B,
    CALL_CLOSE_A,
    CALL_NEXT_A,               /* without waiting; value: the item's number, 3: the final */
    CALL_ACK_B,                /* value: the number */
    CALL_CLOSE,                /* of the session */
    CALL_CANCEL_ALL,
    CALLS,
    CALL_RAISE = CALLS,        /* part of CALL_CLOSE: its second effect, at a moment of its own */
    CALL_ITEM_B, CALL_FINAL_B, /* callbacks: took effect before they were entered */
};

struct entry {
    uint8_t call, thread;
    uint8_t value;             /* see above */
    uint8_t reason;            /* of a cancel; of a final that was seen */
    int32_t status;            /* what was answered; of a final: its status */
    uint32_t from, to;
};

enum { HISTORY_MAX = 32 };

struct history {
    struct entry entry[HISTORY_MAX];
    uint32_t count;
};

/* Could it have been? states: how many states of the model the search has looked at, to be added to. */
bool history_is_linearizable(const struct history *h, uint64_t *states);

void history_print(const struct history *h);

#endif
