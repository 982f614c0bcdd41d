/* SPDX-License-Identifier: Apache-2.0 */
/* idle.c - the slow halves; the protocol, its labels and its proof are in idle.h */
#include "core/idle.h"

#include "core/verify.h"

static _Atomic uint64_t *word_of(struct idle *idle, uint32_t worker)
{
    return &idle->sleeping[worker / 64];
}

static uint64_t bit_of(uint32_t worker)
{
    return UINT64_C(1) << (worker % 64);
}

/* W5 by name. True: the bit was there and it was us who cleared it. */
static bool claim(struct idle *idle, uint32_t worker)
{
    uint64_t old = atomic_fetch_and_explicit(word_of(idle, worker), ~bit_of(worker), memory_order_acq_rel); /* W5 */
    return (old & bit_of(worker)) != 0;
}

/* W5 by order: the lowest that sleeps. False: nobody does. */
static bool claim_lowest(struct idle *idle, uint32_t *worker)
{
    for (uint32_t i = 0; i < idle->words; i++) {
        uint64_t seen = atomic_load_explicit(&idle->sleeping[i], memory_order_relaxed); /* the claim decides */
        while (seen != 0) {
            uint32_t lowest = i * 64 + (uint32_t)__builtin_ctzll(seen);
            if (claim(idle, lowest)) {
                *worker = lowest;
                return true;
            }
            seen = atomic_load_explicit(&idle->sleeping[i], memory_order_relaxed);      /* likewise */
        }
    }
    return false;
}

/* W3. True: nobody searched, now this thread does. */
static bool search_or_rely(struct idle *idle)
{
    uint32_t seen = atomic_load_explicit(&idle->searching, memory_order_relaxed);       /* the swap checks it */
    while (!atomic_compare_exchange_weak_explicit(&idle->searching, &seen, seen == 0 ? 1 : seen,
                                                  memory_order_acq_rel,                            /* W3 */
                                                  memory_order_relaxed))                /* tries again */
        ;
    return seen == 0;
}

bool idle_wake_one(struct idle *idle)
{
    do {
        if (!search_or_rely(idle))
            return true;
        uint32_t worker;
        if (claim_lowest(idle, &worker)) {
            (void)parker_unpark(&idle->seats[worker].parker);
            return true;
        }
        idle_search_end(idle);
    } while (!idle_is_empty(idle));
    return false;
}

/* One more searcher, who is to be woken. */
static void add_searcher(struct idle *idle)
{
    atomic_fetch_add_explicit(&idle->searching, 1, memory_order_acq_rel);                          /* W3 */
}

/* Each is counted before it is claimed: a worker that finds its bit gone is a searcher, and may end its search. */
void idle_wake_all(struct idle *idle)
{
    add_searcher(idle);
    for (uint32_t worker = 0; worker < idle->workers; worker++)
        if (claim(idle, worker)) {
            add_searcher(idle);
            (void)parker_unpark(&idle->seats[worker].parker);
        }
    idle_search_end(idle);                               /* the one too many; somebody may have relied on it (b) */
    idle_notify(idle);
}

bool idle_search_begin(struct idle *idle)
{
    uint32_t seen = 0;
    return atomic_compare_exchange_strong_explicit(&idle->searching, &seen, 1,
                                                   memory_order_acq_rel,                           /* W3 */
                                                   memory_order_relaxed);               /* does not search */
}

void idle_search_end(struct idle *idle)
{
    uint32_t old = atomic_fetch_sub_explicit(&idle->searching, 1, memory_order_acq_rel);           /* W4 */
    weir_assert(old != 0);
    (void)old;
}

void idle_prepare(struct idle *idle, uint32_t worker)
{
    parker_prepare(&idle->seats[worker].parker);
    uint64_t old = atomic_fetch_or_explicit(word_of(idle, worker), bit_of(worker), memory_order_seq_cst); /* W1 */
    weir_assert((old & bit_of(worker)) == 0);
    (void)old;
    asymmetric_heavy();                                                                            /* M1 */
}

bool idle_cancel(struct idle *idle, uint32_t worker)
{
    return claim(idle, worker);
}

bool idle_commit(struct idle *idle, uint32_t worker, int64_t deadline_ns)
{
    struct parker *parker = &idle->seats[worker].parker;
    while (parker_park(parker, deadline_ns))
        /* relaxed: own bit; the token was acquired if it is the waker's, whose claim came before it */
        if ((atomic_load_explicit(word_of(idle, worker), memory_order_relaxed) & bit_of(worker)) == 0)
            return true;
    return !claim(idle, worker);
}

weir_status idle_init(struct idle *idle, const struct memory *memory, uint32_t workers)
{
    weir_assert(workers != 0 && workers <= IDLE_WORKERS_MAX);
    size_t size = workers * sizeof(struct idle_seat);
    struct idle_seat *seats = memory_zalloc(memory, size, CACHE_LINE);
    if (seats == NULL)
        return WEIR_NO_MEMORY;
    *idle = (struct idle){ .words = (workers + 63) / 64, .workers = workers, .seats = seats };
    (void)asymmetric_init();
    return WEIR_OK;
}

void idle_fini(struct idle *idle, const struct memory *memory)
{
    memory_free(memory, idle->seats, idle->workers * sizeof(struct idle_seat));
}
