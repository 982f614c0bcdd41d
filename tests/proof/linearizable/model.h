/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROOF_MODEL_H
#define PROOF_MODEL_H

#include "history.h"

/* The sequential model: one state, small enough to be remembered. All zero but for the handle: the beginning. */
struct model_op {
    uint8_t reason;            /* of the cancel that won */
    uint8_t decided;           /* 0: no; by a cancel, or by the token */
    uint8_t older;             /* a cancel of all applies that nobody has acted on */
    uint8_t given;             /* A: items taken; B: number delivered last */
    uint8_t acked;             /* B: number acknowledged last */
    uint8_t done;              /* A: the final may be fetched */
    uint8_t handle;
    uint8_t gone;              /* out of the session: its values are stale */
};

struct model {
    struct model_op a, b;
    uint8_t session;           /* 0 open, 1 closing, 2 ended */
    uint8_t raised;            /* by a close */
    uint8_t reason;            /* of the latest cancel of all */
    uint8_t live;              /* third operations that have not ended */
};

enum { DECIDED_BY_CANCEL = 1, DECIDED_BY_TOKEN = 2 };

struct model model_begin(void);

/* Does the model, in this state, give the answer that was recorded? Then *m is the state afterwards. */
bool model_answers(struct model *m, const struct entry *e);

/* What the library may do at any moment by itself: step 0, 1, ... False: not now. */
enum { MODEL_STEPS = 7 };
bool model_moves(struct model *m, int step);

#endif
