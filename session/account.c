/* SPDX-License-Identifier: Apache-2.0 */
/* account.c - see account.h */
#include "session/account.h"

#include "core/verify.h"
#include "session/session.h"

enum { READ_ATTEMPTS = 8 };

/* ---- the thread's own ---- */

void counts_add(struct counts *c, enum count which, uint64_t count)
{
    if (count != 0)
        atomic_fetch_add_explicit(&c->of[which], count, memory_order_release);           /* N3 */
}

static void turn(struct account *a)
{
    /* relaxed, both: N2; N3 publishes it */
    uint64_t now = atomic_load_explicit(&a->turn, memory_order_relaxed);
    atomic_store_explicit(&a->turn, now + 1, memory_order_relaxed);
}

void account_begin(struct account *a, uint64_t session)
{
    /* relaxed: N1 publishes it */
    atomic_store_explicit(&a->session, session, memory_order_relaxed);
}

void account_give(struct account *a, struct counts *session)
{
    turn(a);
    for (int i = 0; i < COUNTS; i++) {
        uint64_t count = atomic_load_explicit(&a->open.of[i], memory_order_relaxed);     /* this thread's own */
        if (count == 0)
            continue;
        counts_add(session, (enum count)i, count);
        uint64_t total = atomic_load_explicit(&a->total.of[i], memory_order_relaxed);    /* this thread's own */
        atomic_store_explicit(&a->total.of[i], total + count, memory_order_release);     /* N3 */
        atomic_store_explicit(&a->open.of[i], 0, memory_order_release);                  /* N3 */
    }
    uint64_t now = atomic_load_explicit(&a->turn, memory_order_relaxed);                 /* this thread's own */
    atomic_store_explicit(&a->turn, now + 1, memory_order_release);                      /* N3 */
}

/* ---- anybody ---- */

static void add_counts(struct sums *to, const struct counts *c)
{
    for (int i = 0; i < COUNTS; i++)
        to->of[i] += atomic_load_explicit(&c->of[i], memory_order_acquire);              /* N4 */
}

/* The sum of all turns; they only ever grow. *quiet: nobody gives just now. */
static uint64_t sum_of_turns(const struct sessions *all, bool *quiet)
{
    uint64_t sum = 0, odd = 0;
    for (uint32_t i = 0; i < all->accounts_count; i++) {
        uint64_t now = atomic_load_explicit(&all->accounts[i].turn, memory_order_acquire); /* N4 */
        sum += now;
        odd |= now & 1;
    }
    *quiet = odd == 0;
    return sum;
}

static void read_session(struct session *s, struct sums *out)
{
    const struct sessions *all = s->all;
    add_counts(out, &s->counts);
    for (uint32_t i = 0; i < all->accounts_count; i++)
        if (atomic_load_explicit(&all->accounts[i].session, memory_order_acquire) == s->handle) /* N4 */
            add_counts(out, &all->accounts[i].open);
}

static void read_all(const struct sessions *all, struct sums *out)
{
    add_counts(out, &all->outside);
    for (uint32_t i = 0; i < all->accounts_count; i++) {
        add_counts(out, &all->accounts[i].total);
        add_counts(out, &all->accounts[i].open);
    }
}

/* N4: of a session, or of all. */
static void read(const struct sessions *all, struct session *s, struct sums *out)
{
    bool quiet, still_quiet;
    for (int i = 0; i < READ_ATTEMPTS; i++) {
        *out = (struct sums){ 0 };
        uint64_t before = sum_of_turns(all, &quiet);
        if (s != NULL)
            read_session(s, out);
        else
            read_all(all, out);
        if (sum_of_turns(all, &still_quiet) == before && quiet)
            return;
    }
}

void session_sums_given(const struct session *s, struct sums *out)
{
    *out = (struct sums){ 0 };
    add_counts(out, &s->counts);
}

void session_sums(struct session *s, struct sums *out)
{
    read(s->all, s, out);
}

void sessions_sums(struct sessions *all, struct sums *out)
{
    read(all, NULL, out);
}

int32_t account_worker(const struct sessions *all, uint64_t op)
{
    for (uint32_t i = 0; i < all->accounts_count; i++)
        if (atomic_load_explicit(&all->accounts[i].inside, memory_order_relaxed) == op)  /* a moment old */
            return (int32_t)i;
    return -1;
}

static bool finals_balance(const struct sums *n)
{
    return n->of[COUNT_ENDED] == n->of[COUNT_COMPLETED] + n->of[COUNT_FAILED] + n->of[COUNT_CANCELLED]
                               + n->of[COUNT_TIMED_OUT] + n->of[COUNT_ABANDONED];
}

static bool items_balance(const struct sums *n)
{
    return n->of[COUNT_POSTED] == n->of[COUNT_DELIVERED] + n->of[COUNT_DISCARDED];
}

bool account_balances(const struct sums *sums)
{
    return finals_balance(sums) && items_balance(sums);
}

void account_check(const struct sums *sums)
{
    if (!finals_balance(sums))
        weir_bug("a session is complete, and not every accepted operation has had one final");
    if (!items_balance(sums))
        weir_bug("a session is complete, and not every posted result was delivered or discarded");
}
