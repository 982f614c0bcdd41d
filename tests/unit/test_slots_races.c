/* SPDX-License-Identifier: Apache-2.0 */
/* test_slots_races.c - many threads take blocks, and cancel by stale handles */

#include "core/slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/support.h"
#include "tests/unit/slots_fixture.h"

/* ---- blocks of all sizes ---- */

struct holder {
    struct slots *table;
    uint64_t random;
    struct slots_block held[32];
    uint32_t count;
    uint32_t wrong;                                 /* rows that somebody else wrote */
    uint32_t tag;
};

/* Each slot's cold row is written plainly by its holder: two holders would meet here. */
static void mark_block(struct holder *h, struct slots_block block)
{
    for (uint32_t i = 0; i < block.count; i++)
        *(uint32_t *)slots_cold(h->table, block.first + i) = h->tag;
}

static void check_block(struct holder *h, struct slots_block block)
{
    for (uint32_t i = 0; i < block.count; i++)
        if (*(uint32_t *)slots_cold(h->table, block.first + i) != h->tag)
            h->wrong++;
}

static void hold_one_more(struct holder *h)
{
    struct slots_block block;
    uint32_t asked = UINT32_C(16) << test_random(&h->random) % 7;
    if (slots_acquire(h->table, asked, (uint32_t)test_random(&h->random), &block) != WEIR_OK)
        return;
    mark_block(h, block);
    h->held[h->count++] = block;
}

static void let_one_go(struct holder *h)
{
    uint32_t which = (uint32_t)(test_random(&h->random) % h->count);
    check_block(h, h->held[which]);
    slots_release(h->table, h->held[which]);
    h->held[which] = h->held[--h->count];
}

static void *hold_and_let_go(void *arg)
{
    struct holder *h = arg;
    for (int i = 0; i < 2000; i++) {
        if (h->count == 0 || (h->count < 32 && test_random(&h->random) % 2 == 0))
            hold_one_more(h);
        else
            let_one_go(h);
    }
    while (h->count > 0)
        let_one_go(h);
    return NULL;
}

static void a_block_belongs_to_one_thread_at_a_time(void **unused)
{
    (void)unused;
    enum { HOLDERS = 3 };
    struct slots t;
    open_table(&t, ops(8 * OPS_CHUNK));
    struct holder holders[HOLDERS];
    pthread_t threads[HOLDERS];
    for (uint32_t i = 0; i < HOLDERS; i++) {
        holders[i] = (struct holder){.table = &t, .random = test_seed() + i, .tag = i + 1};
        threads[i] = thread_start(hold_and_let_go, &holders[i]);
    }
    for (uint32_t i = 0; i < HOLDERS; i++) {
        thread_join(threads[i]);
        assert_int_equal(holders[i].wrong, 0);
    }
    assert_int_equal(slots_count(&t).taken, 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(take(&t, OPS_CHUNK).count, OPS_CHUNK);
    slots_fini(&t);
}

/* Few slots, many threads: never more holders than slots, and nobody is refused without reason. */
struct rivals {
    struct slots table;
    _Atomic int holding;
    _Atomic uint32_t too_many, refused, granted;
};

enum { RIVALS = 3, RIVAL_ROUNDS = 20 * 1000 };

static void *grab_and_drop(void *arg)
{
    struct rivals *r = arg;
    for (int i = 0; i < RIVAL_ROUNDS; i++) {
        struct slots_block block;
        if (slots_acquire(&r->table, 1, 0, &block) != WEIR_OK) {
            atomic_fetch_add(&r->refused, 1);
            continue;
        }
        if (atomic_fetch_add(&r->holding, 1) >= RIVALS - 1)
            atomic_fetch_add(&r->too_many, 1);
        atomic_fetch_add(&r->granted, 1);
        publish_and_free(&r->table, block.first);
        atomic_fetch_sub(&r->holding, 1);
        slots_release(&r->table, block);
    }
    return NULL;
}

static void run_rivals(struct rivals *r, uint32_t limit, int threads)
{
    pthread_t thread[RIVALS];
    open_table(&r->table, singles(limit));
    for (int i = 0; i < threads; i++)
        thread[i] = thread_start(grab_and_drop, r);
    for (int i = 0; i < threads; i++)
        thread_join(thread[i]);
    assert_int_equal(slots_count(&r->table).taken, 0);
}

static void never_more_slots_are_held_than_the_limit(void **unused)
{
    (void)unused;
    struct rivals r = {.holding = 0};
    run_rivals(&r, RIVALS - 1, RIVALS);
    assert_int_equal(r.too_many, 0);
    assert_int_equal(r.granted + r.refused, RIVALS * RIVAL_ROUNDS);
    slots_fini(&r.table);
}

static void nobody_is_refused_while_there_are_as_many_slots_as_threads(void **unused)
{
    (void)unused;
    struct rivals r = {.holding = 0};
    run_rivals(&r, RIVALS, RIVALS);
    assert_int_equal(r.refused, 0);
    uint64_t used = 0;
    for (uint32_t i = 0; i < SLOTS_GRANULES; i++)
        used += slot_word_generation(word_at(&r.table, i)) - 1;
    assert_int_equal(used, RIVALS * RIVAL_ROUNDS);
    slots_fini(&r.table);
}

/* One owner lives many lives in one slot; strangers cancel by copies of handles, old and new. */
struct lives {
    struct slots table;
    uint32_t index;
    _Atomic uint64_t handle;                        /* of some life, not always the present one */
    _Atomic bool over;
    uint64_t won;                                   /* by the canceller */
};

enum { LIVES = 20 * 1000, ALIVE = 1, CANCELLED = 2 };

/* As a real cancel does: look up, then one compare-and-swap from a word that matches. */
static bool cancel_by_handle(struct slots *t, uint64_t handle)
{
    struct slot *slot = slots_validate(t, handle);
    if (slot == NULL)
        return false;
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
    while (slot_word_matches(word, handle) && !(word & CANCELLED))
        if (atomic_compare_exchange_weak_explicit(&slot->word, &word, word | CANCELLED,
                                                  memory_order_acq_rel, memory_order_acquire))
            return true;
    return false;
}

static void *cancel_all_the_time(void *arg)
{
    struct lives *l = arg;
    while (!atomic_load(&l->over)) {
        uint64_t handle = atomic_load(&l->handle);
        if (cancel_by_handle(&l->table, handle))
            l->won++;
    }
    return NULL;
}

static void a_stale_cancel_never_strikes_the_next_life(void **unused)
{
    (void)unused;
    struct lives l = {.index = 0};
    open_table(&l.table, singles(1));
    l.index = take(&l.table, 1).first;
    struct slot *slot = slots_at(&l.table, l.index);
    pthread_t thread = thread_start(cancel_all_the_time, &l);
    uint64_t cancelled = 0;
    for (int life = 0; life < LIVES; life++) {
        uint64_t handle = publish(&l.table, l.index);
        if (life % 2 == 0)                          /* odd lives are told to nobody */
            atomic_store(&l.handle, handle);
        uint64_t word = word_at(&l.table, l.index);
        while (!atomic_compare_exchange_weak_explicit(&slot->word, &word, slot_word_next(word),
                                                      memory_order_acq_rel, memory_order_acquire))
            continue;
        cancelled += (word & CANCELLED) != 0;
        if (life % 2 != 0)
            assert_false(word & CANCELLED);
    }
    atomic_store(&l.over, true);
    thread_join(thread);
    assert_int_equal(l.won, cancelled);
    slots_fini(&l.table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_belongs_to_one_thread_at_a_time),
        cmocka_unit_test(never_more_slots_are_held_than_the_limit),
        cmocka_unit_test(nobody_is_refused_while_there_are_as_many_slots_as_threads),
        cmocka_unit_test(a_stale_cancel_never_strikes_the_next_life),
    };
    return cmocka_run_group_tests_name("slots_races", tests, NULL, NULL);
}
