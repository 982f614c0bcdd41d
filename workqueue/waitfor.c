/* SPDX-License-Identifier: Apache-2.0 */
/* waitfor.c - see waitfor.h */
#include "workqueue/waitfor.h"

#include <stdatomic.h>

#include "core/verify.h"
#include "workqueue/app.h"

enum { NUMBERS = HANDLE_APP_MAX + 1 };

static_assert(NUMBERS <= 64, "a set of applications is one word");

static _Atomic uint16_t edges[NUMBERS][NUMBERS];             /* A */

/* The applications that a waits for. */
static uint64_t next_of(uint32_t a)
{
    uint64_t set = 0;
    for (uint32_t b = 0; b < NUMBERS; b++)
        if (atomic_load_explicit(&edges[a][b], memory_order_seq_cst) != 0)                                /* Y2 */
            set |= UINT64_C(1) << b;
    return set;
}

static bool can_reach(uint32_t from, uint32_t to)
{
    uint64_t seen = UINT64_C(1) << from, open = seen;
    while (open != 0) {
        uint32_t at = (uint32_t)__builtin_ctzll(open);
        open = (open & (open - 1)) | (next_of(at) & ~seen);
        seen |= open;
    }
    return (seen >> to & 1) != 0;
}

/* False: it closes a cycle. The edge is there in both cases. */
static bool add(struct waitfor *wait, const struct app *from)
{
    uint32_t a = from->place.index;
    uint16_t before = atomic_fetch_add_explicit(&edges[a][wait->to], 1, memory_order_seq_cst);            /* Y1 */
    weir_assert(before != UINT16_MAX);
    (void)before;
    wait->from[wait->count++] = a;
    return !can_reach(wait->to, a);
}

bool waitfor_begin(const struct app *app, int64_t timeout_ns, struct waitfor *wait)
{
    *wait = (struct waitfor){ .to = app->place.index };
    if (worker_must_not_wait(app))
        return false;
    if (timeout_ns <= 0 || worker_current == NULL)
        return true;
    if (add(wait, worker_current->app) && (worker_host == NULL || add(wait, worker_host->app)))
        return true;
    waitfor_end(wait);
    return false;
}

void waitfor_end(struct waitfor *wait)
{
    while (wait->count > 0) {
        wait->count--;
        atomic_fetch_sub_explicit(&edges[wait->from[wait->count]][wait->to], 1, memory_order_relaxed);    /* Y3 */
    }
}
