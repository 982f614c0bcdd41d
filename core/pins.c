/* SPDX-License-Identifier: Apache-2.0 */
/* pins.c - a row for each thread, and waiting until nobody is inside; see pins.h */
#include "core/pins.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/asymmetric.h"
#include "core/cache.h"
#include "core/clock.h"
#include "core/futex.h"
#include "core/handle.h"
#include "core/verify.h"

struct row {
    CACHE_ALIGNED _Atomic uint32_t inside[HANDLE_APP_MAX + 1]; /* A: written by its thread alone, or shared */
    _Atomic uint32_t thread;                        /* A: whose it is; 0: nobody's, or shared */
};

static struct row rows[PINS_ROWS];
static _Atomic uint64_t rows_used;                  /* A: those that are, or were, somebody's */
static _Atomic uint32_t processes = 1;              /* A: this one, and those that it comes from, as far as they told */
static_assert((int)PINS_ROWS == 64, "rows_used has a bit for each");

/* relaxed: for a closer by M1, else of a process alone */
static uint64_t rows_in_use(void)
{
    return atomic_load_explicit(&rows_used, memory_order_relaxed);
}

/* ---- a row for this thread ---- */

static bool thread_is_gone(uint32_t thread)
{
    int saved = errno;
    bool gone = syscall(SYS_tgkill, getpid(), thread, 0) != 0 && errno == ESRCH;
    errno = saved;
    return gone;
}

/* A row that was `from`'s, if it still is. */
static bool take_row(struct row *row, uint32_t from, uint32_t thread)
{
    return atomic_load_explicit(&row->thread, memory_order_relaxed) == from /* a guess, which T1 checks */
        && atomic_compare_exchange_strong_explicit(&row->thread, &from, thread, memory_order_relaxed, /* T1 */
                                                   memory_order_relaxed);
}

static void inherit(struct row *row)
{
    for (uint32_t app = 0; app <= HANDLE_APP_MAX; app++)
        (void)atomic_fetch_add_explicit(&row->inside[app], 0, memory_order_acq_rel); /* T2 with P5, P4 */
}

/* One that nobody has, or whose thread is gone; else a shared one. */
static uint32_t find_row(void)
{
    enum { OWN_ROWS = PINS_ROWS - PINS_SHARED_ROWS };
    uint32_t thread = (uint32_t)syscall(SYS_gettid);
    for (uint32_t i = 0; i < OWN_ROWS; i++) {
        uint32_t row = PINS_SHARED_ROWS + (thread + i) % OWN_ROWS; /* neighbours rarely meet */
        if (take_row(&rows[row], 0, thread))
            return row;
    }
    for (uint32_t row = PINS_SHARED_ROWS; row < PINS_ROWS; row++) {
        uint32_t from = atomic_load_explicit(&rows[row].thread, memory_order_relaxed); /* a guess, as above */
        if ((from == thread || thread_is_gone(from)) && take_row(&rows[row], from, thread)) {
            inherit(&rows[row]);
            return row;
        }
    }
    return thread % PINS_SHARED_ROWS;
}

/* Looked for once by each thread, and once more in a child of fork. */
static uint32_t row_of_thread(void)
{
    static _Thread_local uint32_t row, process;
    uint32_t now = atomic_load_explicit(&processes, memory_order_relaxed); /* came with the handle */
    if (process != now) {
        row = find_row();
        process = now;
        atomic_fetch_or_explicit(&rows_used, UINT64_C(1) << row, memory_order_relaxed); /* seen with P1 */
    }
    return row;
}

/* ---- in and out ---- */

void pin_enter(struct pin *pin, uint32_t app)
{
    uint32_t row = row_of_thread();
    pin->count = &rows[row].inside[app];
    pin->shared = row < PINS_SHARED_ROWS;
    if (pin->shared)
        atomic_fetch_add_explicit(pin->count, 1, memory_order_relaxed);     /* P1: M1 makes it seen */
    else {
        uint32_t inside = atomic_load_explicit(pin->count, memory_order_relaxed); /* this thread alone writes it */
        atomic_store_explicit(pin->count, inside + 1, memory_order_relaxed);      /* P1: M1 makes it seen */
    }
    asymmetric_light();                                                     /* M1 */
}

void pin_leave(struct pin *pin)
{
    uint32_t inside;
    if (pin->shared)
        inside = atomic_fetch_sub_explicit(pin->count, 1, memory_order_release); /* P5 with P4 */
    else {
        inside = atomic_load_explicit(pin->count, memory_order_relaxed);    /* as in pin_enter */
        atomic_store_explicit(pin->count, inside - 1, memory_order_release);     /* P5 with P4 */
    }
    weir_assert(inside != 0);
}

/* ---- until nobody is inside ---- */

enum { SPINS = 64, YIELDS = 64, NAP_NS = 100 * 1000 };

/* The n-th look in vain at a count that was not 0. */
static void wait_a_little(_Atomic uint32_t *count, uint32_t inside, uint32_t looks)
{
    if (looks < SPINS)
        cpu_relax();
    else if (looks < SPINS + YIELDS)
        sched_yield();
    else
        futex_wait(count, inside, time_add(clock_monotonic(), NAP_NS)); /* a nap: nobody wakes it */
}

static bool wait_until_empty(_Atomic uint32_t *count, int64_t deadline_ns)
{
    for (uint32_t looks = 0;; looks++) {
        uint32_t inside = atomic_load_explicit(count, memory_order_acquire); /* P4 with P5; P1 by M1 */
        if (inside == 0)
            return true;
        if (looks >= SPINS + YIELDS && time_is_over(deadline_ns, clock_monotonic()))
            return false;
        wait_a_little(count, inside, looks);
    }
}

bool pins_wait_until_none(uint32_t app, int64_t deadline_ns)
{
    asymmetric_heavy();                                                     /* M1 */
    for (uint64_t used = rows_in_use(); used != 0; used &= used - 1)
        if (!wait_until_empty(&rows[__builtin_ctzll(used)].inside[app], deadline_ns))
            return false;
    return true;
}

/* ---- fork ---- */

void pins_begin_anew(uint64_t forked)
{
    for (uint64_t used = rows_in_use(); used != 0; used &= used - 1) {
        struct row *row = &rows[__builtin_ctzll(used)];
        atomic_store_explicit(&row->thread, 0, memory_order_relaxed);       /* all: this thread is alone */
        for (uint32_t app = 0; app <= HANDLE_APP_MAX; app++)
            if ((forked >> app & 1) == 0)
                atomic_store_explicit(&row->inside[app], 0, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&processes, 1, memory_order_relaxed);
}
