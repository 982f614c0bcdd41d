/* SPDX-License-Identifier: Apache-2.0 */
/* slots.c - where slots live, and how blocks of them are found
 *
 *   directory            pages of 128 chunks           chunks of 64 granules
 *   [ 0 ] ------------>  used[0..127]   one bit per granule, 1 = acquired
 *   [ 1 ] -> NULL        chunk[0..127] --------------> hot row 0 .. hot row n-1, cold row 0 .. n-1
 *
 * A chunk and a page come into being once, by a CAS on a pointer that was NULL, and stay.
 * `chunks` says how many there are: all numbers below it have their pointers set. It is helped
 * on by whoever finds the next pointer set, so a thread that stops between the two steps holds
 * up nobody.
 *
 * The free ones are found by search, not in a list. The 64 granules of a chunk are 64 bits of
 * one word, so a block of 2^k granules is a run of 2^k zero bits at a multiple of 2^k, found by
 * k shifts and taken by one CAS; giving it back is one fetch_and, and neighbours that are both
 * free are a larger free block again without any step of their own.
 *
 *   step              order     partner, and what breaks without it
 *   S1 take           acquire   CAS of used. S2: without it the new owner could still see, or be
 *                               overtaken by, what the old owner wrote into the rows
 *   S2 put back       release   fetch_and of used. S1
 *   S3 give back      release   fetch_sub of taken, after S2. S4
 *   S4 promise        acquire   CAS of taken, before S1. S3: without it a promise could be made of
 *                               a granule whose S2 is not seen yet, for a search in vain
 *   C1 install        release   CAS of a page's or chunk's pointer: its first contents. C2
 *   C2 follow         acquire   load of the pointer, or the failed CAS
 *   C3 count          release   CAS of chunks. C4
 *   C4 bound          acquire   load of chunks: without it a searcher could take granules of a
 *                               chunk whose pointer still reads NULL
 *
 * Invariant: bits set in all used words <= taken <= granules_max, since a promise (S4) comes
 * before the bits (S1) and the bits go (S2) before the promise is given back (S3). So who holds
 * a promise for one granule knows that one is free or can be made; if a whole search finds
 * none, somebody else's S1 or S2 went by, and that is what makes the search lock-free. It also
 * makes LIMIT exact: it is answered only if at one moment every granule was promised. Granules
 * wear out: when all slots of one are WORN, S2 leaves its bit set and S3 its promise.
 *
 * A large block may not be there although enough granules are. Then the block that is answered is
 * smaller: the promise for the rest is given back. So fragmentation costs locality, never capacity.
 * Order of the search: all chunks for the size asked, then a new chunk, then half the size.
 *
 * Cost: a search starts where the caller's last block was, then where the last one was found, so
 * it ends at the first word or two. The worst case, a full table of 2^24 slots in granules of 16
 * with one left, reads 16384 words in a row, 128 KB: 10 us, once per block and not per slot. A new
 * chunk of 1024 operations costs 55 us, nearly all of it the page faults of 128 KB: who cannot have
 * that in a start reserves beforehand. (Figures of a machine whose uncontended RMW takes 5 ns.)
 *
 * Two levels of directory cost a look-up one load from a line that is always warm, and save the
 * 256 KB that a flat one for 2^24 slots would take from every application. All of it comes from
 * the memory hook: an application's memory is the user's to count and to limit. Address space
 * reserved by mmap would make a look-up one addition, but it is not the hook's, and 2 GB of
 * reservation per application meets RLIMIT_AS and overcommit limits. Memory needs to be
 * type-stable only until slots_fini.
 *
 * Rejected: free lists of blocks, one per size class, as tagged stacks. They need links in
 * memory that a late popper still reads, a tag against ABA, a rule who splits and who joins
 * blocks (joining takes a block out of the middle of a stack, which a stack cannot do), and
 * they are one hot word per class.
 * Rejected: a summary bitmap of chunks with room: a second word to be kept true about the first,
 * for a worst case that does not hurt.
 * Rejected: keeping the highest generation up to date for the floor: one shared line that each
 * free would write; reading every slot once at the end is cheaper.
 */
#include "core/slots.h"

#include <assert.h>
#include <string.h>

#include "core/verify.h"

static_assert(SLOTS_GRANULES == 64, "one bit per granule in a 64-bit word");
static_assert((uint64_t)SLOTS_FLOOR_WORN * 2 == SLOT_WORN >> 32, "half of all generations");

struct slots_page {
    _Atomic uint64_t used[SLOTS_PAGE_CHUNKS];          /* A: 1 = the granule is acquired or worn */
    _Atomic(unsigned char *) chunk[SLOTS_PAGE_CHUNKS]; /* A: NULL until C1, then fixed */
};

/* ---- pure ---- */

static uint32_t log2_of(uint32_t power_of_two)
{
    return (uint32_t)__builtin_ctz(power_of_two);
}

static uint32_t floor_to_power_of_two(uint32_t number)
{
    return number == 0 ? 0 : UINT32_C(1) << (31 - __builtin_clz(number));
}

/* The low bits of a word: how `width` granules look, at bit 0. */
static uint64_t run_mask(uint32_t width)
{
    return width == SLOTS_GRANULES ? UINT64_MAX : (UINT64_C(1) << width) - 1;
}

/* Where runs of `width` (a power of two) free granules may begin: bit i of the answer is set if
 * granules i .. i+width-1 are free and i is a multiple of width. */
static uint64_t run_starts(uint64_t used, uint32_t width)
{
    static const uint64_t multiples[] = {
        UINT64_MAX,                    UINT64_C(0x5555555555555555), UINT64_C(0x1111111111111111),
        UINT64_C(0x0101010101010101), UINT64_C(0x0001000100010001), UINT64_C(0x0000000100000001), 1,
    };
    uint64_t starts = ~used;
    for (uint32_t length = 1; length < width; length *= 2)
        starts &= starts >> length;
    return starts & multiples[log2_of(width)];
}

static uint32_t slots_per_chunk(const struct slots *t)
{
    return UINT32_C(1) << t->chunk_shift;
}

static size_t chunk_size(const struct slots *t)
{
    return (size_t)slots_per_chunk(t) * ((size_t)t->hot_size + t->cold_size);
}

/* ---- look-up ---- */

static struct slots_page *page_of(const struct slots *t, uint32_t chunk)
{
    return atomic_load_explicit(&t->directory[chunk / SLOTS_PAGE_CHUNKS],
                                memory_order_acquire); /* C2 with C1 */
}

static unsigned char *chunk_at(const struct slots *t, uint32_t chunk)
{
    if (chunk >= t->chunks_max)
        return NULL;
    struct slots_page *page = page_of(t, chunk);
    if (page == NULL)
        return NULL;
    return atomic_load_explicit(&page->chunk[chunk % SLOTS_PAGE_CHUNKS],
                                memory_order_acquire); /* C2 with C1 */
}

struct slot *slots_at(const struct slots *t, uint32_t index)
{
    unsigned char *rows = chunk_at(t, index >> t->chunk_shift);
    if (rows == NULL)
        return NULL;
    size_t row = index & (slots_per_chunk(t) - 1);
    return (struct slot *)(void *)(rows + row * t->hot_size);
}

void *slots_cold(const struct slots *t, uint32_t index)
{
    unsigned char *rows = chunk_at(t, index >> t->chunk_shift);
    if (rows == NULL || t->cold_size == 0)
        return NULL;
    size_t row = index & (slots_per_chunk(t) - 1);
    return rows + (size_t)slots_per_chunk(t) * t->hot_size + row * t->cold_size;
}

struct slot *slots_validate(const struct slots *t, uint64_t handle)
{
    struct slot *slot = slots_at(t, handle_slot(handle));
    if (slot == NULL)
        return NULL;
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire); /* G2 with G1 */
    return slot_word_matches(word, handle) ? slot : NULL;
}

/* ---- promises: how many granules are spoken for ---- */

/* Promises the largest power of two up to width that is left; 0: none is. */
static uint32_t promise(struct slots *t, uint32_t width)
{
    uint32_t taken = atomic_load_explicit(&t->taken, memory_order_relaxed); /* the CAS checks it */
    uint32_t granted;
    do {
        granted = floor_to_power_of_two(t->granules_max - taken);
        if (granted == 0)
            return 0;
        if (granted > width)
            granted = width;
    } while (!atomic_compare_exchange_weak_explicit(&t->taken, &taken, taken + granted,
                                                    memory_order_acquire,  /* S4 with S3 */
                                                    memory_order_relaxed)); /* another guess */
    return granted;
}

static void give_back(struct slots *t, uint32_t width)
{
    uint32_t taken = atomic_fetch_sub_explicit(&t->taken, width, memory_order_release); /* S3 */
    weir_assert(taken >= width);
    (void)taken;
}

/* ---- search ---- */

/* S1 in one chunk. */
static bool take_in_chunk(struct slots *t, uint32_t chunk, uint32_t width, uint32_t *granule)
{
    _Atomic uint64_t *word = &page_of(t, chunk)->used[chunk % SLOTS_PAGE_CHUNKS];
    uint64_t used = atomic_load_explicit(word, memory_order_relaxed); /* the CAS checks it */
    uint32_t bit;
    do {
        uint64_t starts = run_starts(used, width);
        if (starts == 0)
            return false;
        bit = (uint32_t)__builtin_ctzll(starts);
    } while (!atomic_compare_exchange_weak_explicit(word, &used, used | run_mask(width) << bit,
                                                    memory_order_acquire,  /* S1 with S2 */
                                                    memory_order_relaxed)); /* another guess */
    *granule = chunk * SLOTS_GRANULES + bit;
    return true;
}

/* All chunks once: first the one near which the caller would like to be, then from the hint on. */
static bool take_anywhere(struct slots *t, uint32_t chunks, uint32_t near, uint32_t width,
                          uint32_t *granule)
{
    if (near < chunks && take_in_chunk(t, near, width, granule))
        return true;
    /* relaxed: any value is right, a late one costs a longer search */
    uint32_t chunk = atomic_load_explicit(&t->hint, memory_order_relaxed);
    for (uint32_t looked = 0; looked < chunks; looked++, chunk++) {
        if (chunk >= chunks)
            chunk = 0;
        if (take_in_chunk(t, chunk, width, granule)) {
            atomic_store_explicit(&t->hint, chunk, memory_order_relaxed);
            return true;
        }
    }
    return false;
}

/* ---- growth ---- */

/* The page that chunk belongs to, made if need be; NULL: no memory. */
static struct slots_page *page_for(struct slots *t, uint32_t chunk)
{
    struct slots_page *page = page_of(t, chunk);
    if (page != NULL)
        return page;
    struct slots_page *made = memory_zalloc(&t->memory, sizeof *made, CACHE_LINE);
    if (made == NULL)
        return NULL;
    _Atomic(struct slots_page *) *place = &t->directory[chunk / SLOTS_PAGE_CHUNKS];
    if (atomic_compare_exchange_strong_explicit(place, &page, made,
                                                memory_order_release,  /* C1 with C2 */
                                                memory_order_acquire)) /* C2 with another's C1 */
        return made;
    memory_free(&t->memory, made, sizeof *made);
    return page;
}

/* Rows of zero bytes, words free at the floor. */
static unsigned char *make_rows(struct slots *t)
{
    unsigned char *rows = memory_zalloc(&t->memory, chunk_size(t), CACHE_LINE);
    if (rows == NULL)
        return NULL;
    for (uint32_t row = 0; row < slots_per_chunk(t); row++) {
        struct slot *slot = (struct slot *)(void *)(rows + (size_t)row * t->hot_size);
        atomic_init(&slot->word, (uint64_t)t->floor << 32);
    }
    return rows;
}

/* One more chunk than `chunks`, made by this thread or by another. */
static weir_status grow(struct slots *t, uint32_t chunks)
{
    if (chunks == t->chunks_max)
        return WEIR_LIMIT;
    struct slots_page *page = page_for(t, chunks);
    if (page == NULL)
        return WEIR_NO_MEMORY;
    _Atomic(unsigned char *) *place = &page->chunk[chunks % SLOTS_PAGE_CHUNKS];
    unsigned char *there = atomic_load_explicit(place, memory_order_acquire); /* C2 with C1 */
    if (there == NULL) {
        unsigned char *rows = make_rows(t);
        if (rows == NULL)
            return WEIR_NO_MEMORY;
        if (!atomic_compare_exchange_strong_explicit(place, &there, rows,
                                                     memory_order_release,   /* C1 with C2 */
                                                     memory_order_acquire)) /* C2 with C1 */
            memory_free(&t->memory, rows, chunk_size(t));
    }
    /* failure: somebody else has counted it, or more; relaxed, since the caller loads it anew */
    atomic_compare_exchange_strong_explicit(&t->chunks, &chunks, chunks + 1,
                                            memory_order_release, /* C3 with C4 */
                                            memory_order_relaxed);
    return WEIR_OK;
}

/* ---- acquire and release ---- */

weir_status slots_acquire(struct slots *t, uint32_t count, uint32_t near, struct slots_block *out)
{
    uint32_t asked = floor_to_power_of_two(count >> t->granule_shift);
    if (asked == 0)
        asked = 1;
    uint32_t width = promise(t, asked < SLOTS_GRANULES ? asked : SLOTS_GRANULES);
    if (width == 0)
        return WEIR_LIMIT;
    uint32_t granule;
    weir_status growth = WEIR_OK;
    for (;;) {
        uint32_t chunks = atomic_load_explicit(&t->chunks, memory_order_acquire); /* C4 with C3 */
        if (take_anywhere(t, chunks, near >> t->chunk_shift, width, &granule))
            break;
        if (growth == WEIR_OK) {
            growth = grow(t, chunks);
        } else if (width > 1) {
            width /= 2;
            give_back(t, width);
        } else if (growth == WEIR_NO_MEMORY) {
            give_back(t, width);
            return WEIR_NO_MEMORY;
        } /* else every chunk exists: the promised granule came by behind the search; look again */
    }
    out->first = granule << t->granule_shift;
    out->count = width << t->granule_shift;
    return WEIR_OK;
}

/* Is every slot of this granule used up? */
static bool granule_is_worn(const struct slots *t, uint32_t granule)
{
    uint32_t first = granule << t->granule_shift;
    for (uint32_t i = 0; i < UINT32_C(1) << t->granule_shift; i++) {
        /* relaxed: the caller's own block, whose frees happened before its release */
        if (!slot_word_is_worn(atomic_load_explicit(&slots_at(t, first + i)->word,
                                                    memory_order_relaxed)))
            return false;
    }
    return true;
}

/* Which of the block's granules can be used again, as bits from 0 on. */
static uint64_t usable_granules(struct slots *t, uint32_t granule, uint32_t width)
{
    /* relaxed: who wore out a slot of this block said so before the release of the block */
    if (atomic_load_explicit(&t->worn_slots, memory_order_relaxed) == 0)
        return run_mask(width);
    uint64_t usable = 0;
    for (uint32_t i = 0; i < width; i++)
        if (!granule_is_worn(t, granule + i))
            usable |= UINT64_C(1) << i;
    return usable;
}

void slots_release(struct slots *t, struct slots_block block)
{
    uint32_t granule = block.first >> t->granule_shift;
    uint32_t width = block.count >> t->granule_shift;
    uint32_t chunk = granule / SLOTS_GRANULES, bit = granule % SLOTS_GRANULES;
    uint64_t usable = usable_granules(t, granule, width);
    uint32_t returned = (uint32_t)__builtin_popcountll(usable);

    _Atomic uint64_t *word = &page_of(t, chunk)->used[chunk % SLOTS_PAGE_CHUNKS];
    uint64_t used = atomic_fetch_and_explicit(word, ~(usable << bit),
                                              memory_order_release); /* S2 with S1 */
    weir_assert((used >> bit & run_mask(width)) == run_mask(width));
    (void)used;
    give_back(t, returned);
    if (returned != width) /* relaxed: for reports */
        atomic_fetch_add_explicit(&t->worn_granules, width - returned, memory_order_relaxed);
}

void slots_note_worn(struct slots *t)
{
    /* relaxed: counted before the release of the block, which is by this thread or after it */
    atomic_fetch_add_explicit(&t->worn_slots, 1, memory_order_relaxed);
}

void slots_free(struct slots *t, struct slot *slot)
{
    /* relaxed: nobody else changes it, says the caller */
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
    weir_assert(!slot_word_is_free(word) && !slot_word_is_worn(word));
    uint64_t next = slot_word_next(word);
    atomic_store_explicit(&slot->word, next, memory_order_release); /* G3 */
    if (slot_word_is_worn(next))
        slots_note_worn(t);
}

/* ---- the table ---- */

static size_t directory_size(const struct slots *t)
{
    size_t pages = (t->chunks_max + SLOTS_PAGE_CHUNKS - 1) / SLOTS_PAGE_CHUNKS;
    return pages * sizeof *t->directory;
}

weir_status slots_init(struct slots *t, const struct slots_options *options)
{
    weir_assert(options->hot_size >= sizeof(struct slot) && options->hot_size % 8 == 0);
    weir_assert(options->cold_size % 8 == 0);
    weir_assert(floor_to_power_of_two(options->granule) == options->granule);
    weir_assert(options->granule != 0 && options->granule <= SLOTS_GRANULES);
    weir_assert(options->limit <= SLOTS_MAX);
    weir_assert(options->floor <= HANDLE_GENERATION_MAX);

    uint32_t limit = options->limit == 0 ? SLOTS_MAX : options->limit;
    memset(t, 0, sizeof *t); /* also the atomics: nobody else knows the table yet */
    t->memory = options->memory;
    t->hot_size = options->hot_size;
    t->cold_size = options->cold_size;
    t->floor = options->floor == 0 ? 1 : options->floor;
    t->granule_shift = log2_of(options->granule);
    t->chunk_shift = t->granule_shift + log2_of(SLOTS_GRANULES);
    t->granules_max = (limit + options->granule - 1) >> t->granule_shift;
    t->chunks_max = (t->granules_max + SLOTS_GRANULES - 1) / SLOTS_GRANULES;
    t->directory = memory_zalloc(&t->memory, directory_size(t), CACHE_LINE);
    return t->directory == NULL ? WEIR_NO_MEMORY : WEIR_OK;
}

void slots_fini(struct slots *t)
{
    uint32_t chunks = atomic_load_explicit(&t->chunks, memory_order_acquire); /* C4 with C3 */
    for (uint32_t chunk = 0; chunk < chunks; chunk++)
        memory_free(&t->memory, chunk_at(t, chunk), chunk_size(t));
    for (uint32_t chunk = 0; chunk < t->chunks_max; chunk += SLOTS_PAGE_CHUNKS)
        memory_free(&t->memory, page_of(t, chunk), sizeof(struct slots_page));
    memory_free(&t->memory, t->directory, directory_size(t));
    t->directory = NULL;
}

/* The generation after the last one that this slot gave out or may have given out. */
static uint32_t first_unused_generation(const struct slot *slot)
{
    /* relaxed: the table's users are gone, and how that is known orders their words before this */
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
    return slot_word_generation(word) + (slot_word_is_free(word) ? 0 : 1);
}

uint32_t slots_generation_floor(const struct slots *t)
{
    uint32_t floor = t->floor;
    uint32_t chunks = atomic_load_explicit(&t->chunks, memory_order_acquire); /* C4 with C3 */
    for (uint32_t chunk = 0; chunk < chunks; chunk++) {
        unsigned char *rows = chunk_at(t, chunk);
        for (uint32_t row = 0; row < slots_per_chunk(t); row++) {
            uint32_t unused = first_unused_generation((struct slot *)(void *)(rows + (size_t)row * t->hot_size));
            if (unused > floor)
                floor = unused;
        }
    }
    return floor;
}

struct slots_counts slots_count(const struct slots *t)
{
    /* relaxed: a report */
    uint32_t taken = atomic_load_explicit(&t->taken, memory_order_relaxed);
    uint32_t worn = atomic_load_explicit(&t->worn_granules, memory_order_relaxed);
    return (struct slots_counts){
        .taken = (taken - worn) << t->granule_shift,
        .room = atomic_load_explicit(&t->chunks, memory_order_relaxed) << t->chunk_shift,
        .worn = atomic_load_explicit(&t->worn_slots, memory_order_relaxed),
    };
}
