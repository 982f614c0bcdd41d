/* SPDX-License-Identifier: Apache-2.0 */
/* model.c - what the contract says that calls answer, one after the other (R1, R6..R8, C2, C4, C6, H1, H3, S1, S8) */
#include "model.h"

#include <weir/weir.h>

enum { A_ITEMS = 2, A_FINAL = 3, B_FINAL = 2 };

struct model model_begin(void)
{
    return (struct model){ .a.handle = 1 };
}

/* ---- cancelling ---- */

static void cancel(struct model_op *op, uint8_t reason)
{
    op->reason = reason;
    op->decided = DECIDED_BY_CANCEL;
    op->older = 0;
}

/* C6: whoever acts on an operation acts on a cancel of all first. */
static void act(const struct model *m, struct model_op *op)
{
    if (op->older && !op->decided)
        cancel(op, m->reason);
    op->older = 0;
}

static void cancel_all(struct model *m, uint8_t reason)
{
    m->reason = reason;
    m->a.older = !m->a.decided;
    m->b.older = !m->b.decided;
}

static weir_status answer_cancel(struct model *m, struct model_op *op, uint8_t reason)
{
    if (op->gone)
        return WEIR_STALE;
    act(m, op);
    if (op->reason != 0)
        return WEIR_ALREADY;
    if (op->decided)
        return WEIR_TOO_LATE;
    cancel(op, reason);
    return WEIR_OK;
}

static weir_status answer_complete(struct model *m, struct model_op *op)
{
    if (op->gone)
        return WEIR_STALE;
    act(m, op);
    if (op->decided)
        return op->reason != 0 ? WEIR_CANCELED : WEIR_STALE;
    op->decided = DECIDED_BY_TOKEN;
    return WEIR_OK;
}

/* ---- results ---- */

static weir_status answer_close_a(struct model *m)
{
    if (m->a.gone || !m->a.handle)
        return WEIR_STALE;
    act(m, &m->a);
    if (!m->a.decided)
        cancel(&m->a, WEIR_REASON_USER);
    m->a.handle = 0;
    return WEIR_OK;
}

static weir_status final_status(const struct model_op *op)
{
    return op->decided == DECIDED_BY_TOKEN ? WEIR_OK : WEIR_CANCELED;
}

static bool answers_next(struct model_op *a, const struct entry *e)
{
    if (a->gone || !a->handle)
        return e->status == WEIR_STALE;
    if (a->given < A_ITEMS) {
        a->given++;
        return e->status == WEIR_OK && e->value == a->given;
    }
    if (!a->done)
        return e->status == WEIR_TIMED_OUT;
    return e->status == WEIR_OK && e->value == A_FINAL && e->reason == a->reason;
}

static weir_status answer_ack(struct model_op *b, uint8_t number)
{
    if (b->gone)
        return WEIR_STALE;
    if (number <= b->acked)
        return WEIR_ALREADY;
    if (number > b->given)
        return WEIR_INVALID;
    b->acked = number;
    return WEIR_OK;
}

static bool gives(struct model_op *b, uint8_t number)
{
    bool now = b->given == number - 1 && b->acked == b->given;
    b->given = number;
    return now;
}

/* ---- the session ---- */

static weir_status answer_start(struct model *m)
{
    if (m->session != 0)
        return m->session == 1 ? WEIR_CLOSED : WEIR_STALE;
    m->live++;
    return WEIR_OK;
}

static weir_status answer_close(struct model *m)
{
    if (m->session != 0)
        return m->session == 1 ? WEIR_CLOSING : WEIR_STALE;
    m->session = 1;
    return WEIR_OK;
}

static weir_status answer_cancel_all(struct model *m, uint8_t reason)
{
    if (m->session == 2)
        return WEIR_STALE;
    cancel_all(m, reason);
    return WEIR_OK;
}

/* status 0: it raises. 1: somebody has, and this one does not do it again. */
static bool raises(struct model *m, const struct entry *e)
{
    if (e->status == 1 || m->session == 2)
        return m->raised;
    if (m->session == 0)
        return false;
    m->raised = 1;
    cancel_all(m, WEIR_REASON_SESSION_CLOSED);
    return true;
}

bool model_answers(struct model *m, const struct entry *e)
{
    switch ((enum call)e->call) {
    case CALL_START:      return answer_start(m) == e->status;
    case CALL_CANCEL_A:   return answer_cancel(m, &m->a, e->reason) == e->status;
    case CALL_CANCEL_B:   return answer_cancel(m, &m->b, e->reason) == e->status;
    case CALL_COMPLETE_A: return answer_complete(m, &m->a) == e->status;
    case CALL_COMPLETE_B: return answer_complete(m, &m->b) == e->status;
    case CALL_CLOSE_A:    return answer_close_a(m) == e->status;
    case CALL_NEXT_A:     return answers_next(&m->a, e);
    case CALL_ACK_B:      return answer_ack(&m->b, e->value) == e->status;
    case CALL_CLOSE:      return answer_close(m) == e->status;
    case CALL_CANCEL_ALL: return answer_cancel_all(m, e->reason) == e->status;
    case CALL_RAISE:      return raises(m, e);
    case CALL_ITEM_B:     return gives(&m->b, 1);
    case CALL_FINAL_B:    return m->b.decided && gives(&m->b, B_FINAL) && e->reason == m->b.reason
                              && e->status == final_status(&m->b);
    default:              return false;
    }
}

bool model_moves(struct model *m, int step)
{
    bool may = false;
    switch (step) {
    case 0: may = m->a.older && !m->a.decided; act(m, &m->a); break;
    case 1: may = m->b.older && !m->b.decided; act(m, &m->b); break;
    case 2: may = m->a.decided && !m->a.done; m->a.done = 1; break;
    case 3: may = m->a.done && !m->a.handle && !m->a.gone; m->a.gone = 1; break;
    case 4: may = m->b.acked == B_FINAL && !m->b.gone; m->b.gone = 1; break;
    case 5: may = m->live != 0; m->live--; break;
    case 6: may = m->session == 1 && m->raised && m->live == 0 && m->a.gone && m->b.gone; m->session = 2; break;
    default: break;
    }
    return may;
}
