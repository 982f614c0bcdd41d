// SPDX-License-Identifier: Apache-2.0
// slots.cpp - the slot table: two threads that acquire, publish, free and release, one that looks with old handles
#include "model.h"

#include "core/cache.h"
#include "core/memory.h"

struct slots;
static void *model_alloc(struct slots *t, size_t size);

#include "core/slots.h"
#include "core/slots.c"

enum { TABLE = 2 };                                /* of 64 granules the rest is taken before the threads begin */

struct row {
    struct slot slot;
    plain<int> value;
};

/* Of one execution; who loses a race to install has made one too many. */
static struct slots_page *pages[2];
static struct row *rows[2];
static int page_count, row_count;
static rl::atomic<struct slots_page *> *directory;
static uint64_t given[4];                          /* handles; known to the model only */
static int given_count;

/* What slots.c asks for: its directory, a page, or rows. */
static void *model_alloc(struct slots *t, size_t size)
{
    if (size == sizeof(struct slots_page)) {
        struct slots_page *page = new struct slots_page;
        for (int i = 0; i < SLOTS_PAGE_CHUNKS; i++) {
            page->used[i].store(~(uint64_t)0 << TABLE, rl::mo_relaxed, $);
            page->chunk[i].store(NULL, rl::mo_relaxed, $);
        }
        pages[page_count++] = page;
        return page;
    }
    if (size == (size_t)64 * sizeof(struct row)) {
        struct row *block = (struct row *)malloc(size);
        for (int i = 0; i < 64; i++)
            if (i < TABLE)
                new (&block[i]) struct row;
            else
                new (&block[i].slot.word) rl::atomic<uint64_t>;
        rows[row_count++] = block;
        return block;
    }
    (void)t;
    directory = new rl::atomic<struct slots_page *>[1];
    directory[0].store(NULL, rl::mo_relaxed, $);
    return directory;
}

static void free_all()
{
    while (page_count != 0)
        delete pages[--page_count];
    while (row_count != 0) {
        struct row *block = rows[--row_count];
        for (int i = 0; i < 64; i++)
            if (i < TABLE)
                block[i].~row();
            else
                block[i].slot.word.~atomic();
        free(block);
    }
    delete[] directory;
}

struct slots_model : rl::test_suite<slots_model, 3> {
    struct slots table;
    rl::atomic<uint64_t> handle;                    /* the last one that was given out */

    void before()
    {
        struct slots_options options = {};
        page_count = row_count = given_count = 0;
        options.hot_size = sizeof(struct row);
        options.granule = 1;
        options.limit = 64;
        table.chunks.store(0, rl::mo_relaxed, $);
        table.taken.store(0, rl::mo_relaxed, $);
        table.hint.store(0, rl::mo_relaxed, $);
        table.worn_slots.store(0, rl::mo_relaxed, $);
        table.worn_granules.store(0, rl::mo_relaxed, $);
        handle.store(0, rl::mo_relaxed, $);
        RL_ASSERT(slots_init(&table, &options) == WEIR_OK);
        table.granules_max = TABLE;
    }

    void own(unsigned index)
    {
        struct slots_block block;
        if (slots_acquire(&table, 1, 0, &block) != WEIR_OK) {
            RL_ASSERT(false);                                            /* two slots for two owners: LIMIT is wrong */
            return;
        }
        struct row *row = (struct row *)slots_at(&table, block.first);
        uint64_t word = row->slot.word.load(rl::mo_relaxed, $);
        RL_ASSERT(slot_word_is_free(word));
        row->value = (int)index + 1;                                    /* races with the owner before without S1, S2 */
        uint64_t bits = handle_make(HANDLE_OP, 1, block.first, slot_word_generation(word));
        for (int i = 0; i < given_count; i++)
            RL_ASSERT(given[i] != bits);                                 /* H1: no handle is given twice */
        given[given_count++] = bits;
        row->slot.word.store(slot_word_with(word, 1), rl::mo_release, $);                                  /* G1 */
        handle.store(bits, rl::mo_relaxed, $);
        RL_ASSERT(row->value == (int)index + 1);
        slots_free(&table, &row->slot);                                                                     /* G3 */
        RL_ASSERT(slots_validate(&table, bits) == NULL);                 /* H1 */
        slots_release(&table, block);
    }

    void thread(unsigned index)
    {
        if (index < 2) {
            own(index);
            return own(index);
        }
        for (int i = 0; i < 2; i++) {
            uint64_t bits = handle.load(rl::mo_relaxed, $);
            struct slot *slot = bits != 0 ? slots_validate(&table, bits) : NULL;
            RL_ASSERT(slot == NULL || slot == slots_at(&table, handle_slot(bits)));
        }
    }

    void after()
    {
        RL_ASSERT(table.taken.load(rl::mo_relaxed, $) == 0);
        free_all();
    }
};

int main(int argc, char **argv)
{
    model_search<slots_model>("slots", argc, argv);
    return model_end(argc);
}
