/* SPDX-License-Identifier: Apache-2.0 */
/* registry.c - the table of applications: pin against close, reuse of a number, fork
 *
 *   an entry's word    63 .......... 32   31 ... 3   2 ... 0
 *                    |   generation     |    0     |  state  |
 *
 *            reserve: generation + 1      publish       shut         close          free
 *      FREE ----------------------> RESERVED -----> OPEN -----> SHUT ------> CLOSING -----> FREE
 *                                      |               |                 ^      |  worn: RETIRED
 *                                      |               +-----------------+      |
 *                                      +----------------------------------------+
 *      RESERVED, OPEN, SHUT, CLOSING ----> FORKED, for good, in a child, by its first reserve
 *
 *      pins let in    by registry_pin   by registry_pin_closer
 *      OPEN           yes               yes
 *      SHUT           no                yes
 *      other states   no                no
 *
 * Pin against close. Both registry_shut, for calls, and registry_close, for closers too, write the
 * word (P3, acq_rel) and then wait until nobody is inside (P4); a pin is counted (P1) and then looks
 * at the word (P2, acquire). Why no pin is missed: pins.h.
 *   - P0, a look before P1, turns callers away once they see P3, so that a close that waits is not
 *     delayed for ever. It decides nothing else.
 *   - Closers and calls share the counts, so registry_shut waits for closers that are inside too.
 *
 * Reuse of a number. A thread that is held up between P0 and P1 may wake up in a later life of the
 * entry. Its P1 is harmless then: counts are never reset while others may look. P2 judges by what
 * is there now: an application's handle is refused by the generation; any other handle is let in to
 * the application that is there now, alive and pinned, whose slots all started above the floor and
 * so do not match. A pin refused late is a momentary count in the next application's life, and its
 * close waits for it like for any other: to P5, three instructions away.
 *
 *   step              order     partner, and what breaks without it
 *   R1 reserve        acquire   CAS FREE -> RESERVED. R2: the floor that the last life left
 *   R2 free           release   CLOSING -> FREE. R1
 *   R3 publish        release   RESERVED -> OPEN. P2, which is an acquire too: app and what it
 *                               points to. Without it a pin could hand out the last life's app
 *   R4 promise        acquire   CAS of taken, before R1. R5: without it an entry could be promised
 *                               whose R2 is not seen yet, and the search would go in vain
 *   R5 give back      release   fetch_sub of taken, after R2. R4. The two make LIMIT exact: 63 were
 *                               in use or promised at one moment
 *   F1 claim done     release   OWNED, after the table was put in order. F2
 *   F2 claim seen     acquire   without it the reserve of another thread of the child could find
 *                               an entry of the parent's
 *
 * Fork. One word on a page that the kernel wipes in a child says whose process this is: OWNED in
 * the one that opened applications, 0 in a child until it opens its own. So a pin asks one word and
 * makes no system call. The page is part of a static array, twice as long as a page so that a whole
 * one lies inside: nothing to unmap while others look, and nothing left behind at unload.
 *   - A child's first reserve claims the process: entries that were not FREE become FORKED, counts
 *     (there may be some of threads that do not exist any more) become 0. A pin cannot interfere:
 *     it is answered FORKED before it touches anything until OWNED stands there, and then no entry
 *     is OPEN until a publish.
 *   - The advice is given before the claim. In the other order a fork in between would leave a
 *     child with a claim that nobody finishes.
 *   - FORKED entries are never used again: handles from before the fork carry their number, and
 *     the slots' generations of an application that was never closed are not known to be below
 *     any floor; numbers are cheaper than a scan of tables that other threads were changing.
 *   - A kernel or sandbox that refuses the advice: an atfork handler clears the word instead. It
 *     misses a child made by a raw clone, which is why it is second choice; with glibc it goes
 *     when the library is unloaded. Refusing to open would be worse, silence worse still.
 *
 * Rejected: never freeing applications: their memory is the user's (the hook), and a stale call would
 * still race with the threads' end.
 */
#include "core/registry.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/asymmetric.h"
#include "core/cache.h"
#include "core/clock.h"
#include "core/futex.h"
#include "core/slots.h"
#include "core/verify.h"

enum entry_state { FREE = 0, RESERVED, OPEN, SHUT, CLOSING, FORKED, RETIRED };

#define ENTRY_STATE UINT64_C(7)

struct entry {
    CACHE_ALIGNED _Atomic uint64_t word;            /* A */
    _Atomic(void *) app;                            /* A: written while RESERVED */
    _Atomic uint32_t floor;                         /* A: written while CLOSING or RESERVED */
    _Atomic uint64_t misuses;                       /* A */
};

/* Entry 0 is nobody's, so that any six bits of a handle are a safe index; it only counts. All zero is FREE. */
static struct entry entries[HANDLE_APP_MAX + 1];
static _Atomic uint32_t taken;                      /* A: entries not FREE, or promised (R4) */

/* ---- pure ---- */

static uint64_t entry_word(uint32_t generation, enum entry_state state)
{
    return (uint64_t)generation << 32 | (uint64_t)state;
}

static uint32_t entry_generation(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static enum entry_state entry_state(uint64_t word)
{
    return (enum entry_state)(word & ENTRY_STATE);
}

/* In SHUT no session is alive any more, so no operation and no token: their handles are stale. */
static weir_status judge_when_shut(uint64_t bits)
{
    enum handle_kind kind = handle_kind(bits);
    bool of_the_work_queue = kind == HANDLE_APP || kind == HANDLE_QUEUE || kind == HANDLE_REPLY;
    return of_the_work_queue ? WEIR_SHUTDOWN : WEIR_STALE;
}

/* What a call with that handle is answered while the entry's word is this. Until when (the last
 * state that lets it in) differs: OPEN for calls, SHUT for the close. */
static weir_status judge(uint64_t word, uint64_t bits, enum entry_state until)
{
    enum entry_state state = entry_state(word);
    if (state == FORKED)
        return WEIR_FORKED;
    if (state != OPEN && state != SHUT)
        return WEIR_STALE;
    if (handle_kind(bits) == HANDLE_APP && handle_generation(bits) != entry_generation(word))
        return WEIR_STALE;
    return state <= until ? WEIR_OK : judge_when_shut(bits);
}

/* ---- whose process is this? ---- */

#if defined(__x86_64__)
enum { PAGE_LARGEST = 4096 };
#else
enum { PAGE_LARGEST = 65536 };
#endif

enum { NOBODY = 0, CLAIMING, OWNED };
static_assert((int)OWNED == (int)REGISTRY_OWNED && (int)FORKED == (int)REGISTRY_FORKED, "registry.h looks by itself");
static_assert(ENTRY_STATE == REGISTRY_STATE, "likewise");

static _Atomic uint32_t wiped_area[(size_t)2 * PAGE_LARGEST / sizeof(uint32_t)];
static _Atomic(_Atomic uint32_t *) owner;           /* A: the word; NULL before the first open */

static bool process_is_forked(void)
{
    /* Both relaxed: who holds a handle got it after the claim that these words tell of, and in a
     * child fork itself orders the wiping before everything else. */
    _Atomic uint32_t *word = atomic_load_explicit(&owner, memory_order_relaxed);
    return word != NULL && atomic_load_explicit(word, memory_order_relaxed) != OWNED;
}

static void disown(void)
{
    _Atomic uint32_t *word = atomic_load_explicit(&owner, memory_order_relaxed); /* as above */
    if (word != NULL)
        atomic_store_explicit(word, NOBODY, memory_order_relaxed); /* one thread in a new process */
}

/* The first word of a whole page inside the area; of the area, if pages are too large to fit. */
static _Atomic uint32_t *word_on_whole_page(size_t page)
{
    size_t offset = (size_t)((uintptr_t)wiped_area % page);
    size_t skip = offset == 0 ? 0 : page - offset;
    return page > PAGE_LARGEST ? wiped_area : &wiped_area[skip / sizeof(uint32_t)];
}

static _Atomic uint32_t *process_word(void)
{
    return word_on_whole_page((size_t)sysconf(_SC_PAGESIZE));
}

/* From here on every child finds NOBODY in the word. May be done any number of times. */
static weir_status mark_for_wiping(_Atomic uint32_t *word, size_t page)
{
    static _Atomic uint32_t handler_set;            /* A: relaxed, a second handler does no harm */
    if (page <= PAGE_LARGEST && madvise((void *)word, page, MADV_WIPEONFORK) == 0)
        return WEIR_OK;
    if (atomic_load_explicit(&handler_set, memory_order_relaxed) != 0)
        return WEIR_OK;
    if (pthread_atfork(NULL, NULL, disown) != 0)
        return WEIR_NO_MEMORY;
    atomic_store_explicit(&handler_set, 1, memory_order_relaxed);
    return WEIR_OK;
}

/* What another process's threads were doing here is over. */
static enum entry_state strand_entry(struct entry *e)
{
    /* All relaxed: published by F1; no other thread writes entries while the claim lasts. */
    uint64_t word = atomic_load_explicit(&e->word, memory_order_relaxed);
    if (entry_state(word) == FREE || entry_state(word) == RETIRED)
        return entry_state(word);
    atomic_store_explicit(&e->word, entry_word(entry_generation(word), FORKED), memory_order_relaxed);
    return FORKED;
}

static void strand_applications(void)
{
    uint32_t lost = 0;
    uint64_t forked = 0;
    for (uint32_t index = 1; index <= HANDLE_APP_MAX; index++) {
        enum entry_state state = strand_entry(&entries[index]);
        lost += state != FREE;
        forked |= (uint64_t)(state == FORKED) << index;
    }
    atomic_store_explicit(&taken, lost, memory_order_relaxed); /* as above */
    pins_begin_anew(forked);
}

/* The process is this one's, by this thread or by another. */
static weir_status claim_process(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    _Atomic uint32_t *word = process_word();
    if (atomic_load_explicit(word, memory_order_acquire) == OWNED) /* F2 with F1 */
        return WEIR_OK;
    weir_status status = mark_for_wiping(word, page);
    if (status != WEIR_OK)
        return status;
    for (;;) {
        uint32_t seen = NOBODY;
        if (atomic_compare_exchange_strong_explicit(word, &seen, CLAIMING, memory_order_acquire,
                                                    memory_order_acquire)) { /* F2 with F1 */
            strand_applications();
            atomic_store_explicit(word, OWNED, memory_order_release); /* F1 with F2 */
            break;
        }
        if (seen == OWNED)
            break;
        sched_yield();
    }
    atomic_store_explicit(&owner, word, memory_order_relaxed); /* see process_is_forked */
    return WEIR_OK;
}

bool registry_handle_is_forked(uint64_t bits)
{
    /* relaxed: as in process_is_forked, and the entry was OPEN when the handle was made */
    uint64_t word = atomic_load_explicit(&entries[handle_app(bits)].word, memory_order_relaxed);
    return process_is_forked() || entry_state(word) == FORKED;
}

/* ---- callers' bugs ---- */

void registry_count_misuse(uint64_t bits)
{
    atomic_fetch_add_explicit(&entries[handle_app(bits)].misuses, 1, memory_order_relaxed);     /* only counts */
}

uint64_t registry_misuses(uint32_t index)
{
    return atomic_load_explicit(&entries[index].misuses, memory_order_relaxed);                 /* only counts */
}

/* ---- pin ---- */

static weir_status pin_until(uint64_t bits, enum handle_kind kind, enum entry_state until,
                             struct registry_pin *pin)
{
    if (!handle_is_plausible(bits, kind))
        return registry_misuse(bits, WEIR_INVALID);
    if (process_is_forked())
        return WEIR_FORKED;
    struct entry *e = &entries[handle_app(bits)];
    /* P0, acquire: R3, and what comes before: by then it is decided what M1 is here, and whose process this is */
    weir_status status = judge(atomic_load_explicit(&e->word, memory_order_acquire), bits, until);
    if (status != WEIR_OK)
        return status;
    struct pin inside;
    pin_enter(&inside, handle_app(bits));                                   /* P1, M1 */
    uint64_t word = atomic_load_explicit(&e->word, memory_order_acquire);   /* P2 with P3 by M1; R3 */
    status = judge(word, bits, until);
    if (status != WEIR_OK) {
        pin_leave(&inside);                                                 /* P5 */
        return status;
    }
    pin->app = atomic_load_explicit(&e->app, memory_order_relaxed); /* P2 ordered it after R3 */
    pin->pin = inside;
    return WEIR_OK;
}

weir_status registry_pin(uint64_t bits, enum handle_kind kind, struct registry_pin *pin)
{
    return pin_until(bits, kind, OPEN, pin);
}

weir_status registry_pin_closer(uint64_t bits, struct registry_pin *pin)
{
    return pin_until(bits, HANDLE_APP, SHUT, pin);
}

void registry_unpin(struct registry_pin *pin)
{
    pin_leave(&pin->pin);                                                   /* P5 */
    pin->app = NULL;
}

/* ---- open ---- */

/* A promise of one of the 63, or none is left. */
static bool take_one(void)
{
    uint32_t seen = atomic_load_explicit(&taken, memory_order_relaxed); /* the CAS checks it */
    do {
        if (seen >= REGISTRY_APPS_MAX)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&taken, &seen, seen + 1,
                                                    memory_order_acquire,  /* R4 with R5 */
                                                    memory_order_relaxed)); /* another guess */
    return true;
}

/* relaxed: a guess of who has not reserved the entry; R1 has ordered it for who has. */
static uint32_t floor_of(struct entry *e)
{
    uint32_t floor = atomic_load_explicit(&e->floor, memory_order_relaxed);
    return floor == 0 ? 1 : floor; /* never used: the table is zero at first */
}

/* The free entry with the lowest floor, so that wear is spread, and its word; 0: none just now. */
static uint32_t freshest_entry(uint64_t *word)
{
    uint32_t best = 0, lowest = 0;
    for (uint32_t index = 1; index <= HANDLE_APP_MAX; index++) {
        /* relaxed: a guess, which R1 checks by the generation in the word */
        uint64_t seen = atomic_load_explicit(&entries[index].word, memory_order_relaxed);
        uint32_t floor = floor_of(&entries[index]);
        if (entry_state(seen) == FREE && (best == 0 || floor < lowest)) {
            best = index;
            lowest = floor;
            *word = seen;
        }
    }
    return best;
}

weir_status registry_reserve(struct registry_place *out)
{
    int kept = errno;
    (void)asymmetric_init();
    weir_status status = claim_process();
    errno = kept;
    if (status != WEIR_OK)
        return status;
    if (!take_one())
        return WEIR_LIMIT;
    for (;;) {
        uint64_t word;
        uint32_t index = freshest_entry(&word);
        if (index == 0)
            continue; /* one was promised: it came by behind the search */
        struct entry *e = &entries[index];
        uint32_t generation = entry_generation(word) + 1;
        uint64_t reserved = entry_word(generation, RESERVED);
        if (!atomic_compare_exchange_strong_explicit(&e->word, &word, reserved,
                                                     memory_order_acquire,  /* R1 with R2 */
                                                     memory_order_relaxed)) /* search again */
            continue;
        atomic_store_explicit(&e->misuses, 0, memory_order_relaxed); /* nobody has a handle of this one yet */
        *out = (struct registry_place){index, generation, floor_of(e), process_word(), &e->word};
        return WEIR_OK;
    }
}

void registry_publish(const struct registry_place *place, void *app)
{
    struct entry *e = &entries[place->index];
    atomic_store_explicit(&e->app, app, memory_order_relaxed); /* published by R3 */
    uint64_t old = atomic_exchange_explicit(&e->word, entry_word(place->generation, OPEN),
                                            memory_order_release); /* R3 with P2 */
    weir_assert(old == entry_word(place->generation, RESERVED));
    (void)old;
}

/* ---- close ---- */

/* P3 and P4: from now on the state lets in fewer, and nobody is inside who came in before. */
static bool turn_away(const struct registry_place *place, enum entry_state to, int64_t deadline_ns)
{
    struct entry *e = &entries[place->index];
    uint64_t old = atomic_exchange_explicit(&e->word, entry_word(place->generation, to),
                                            memory_order_acq_rel); /* P3 with P2 by M1 */
    weir_assert(old == entry_word(place->generation, OPEN) ||
                old == entry_word(place->generation, SHUT));
    (void)old;
    return pins_wait_until_none(place->index, deadline_ns);                 /* M1, P4 */
}

bool registry_shut_until(const struct registry_place *place, int64_t deadline_ns)
{
    return turn_away(place, SHUT, deadline_ns);
}

void registry_shut(const struct registry_place *place)
{
    (void)turn_away(place, SHUT, WEIR_FOREVER);
}

void registry_close(const struct registry_place *place)
{
    (void)turn_away(place, CLOSING, WEIR_FOREVER);
}

void registry_free(const struct registry_place *place, uint32_t floor)
{
    struct entry *e = &entries[place->index];
    weir_assert(floor >= place->floor);
    bool worn = slots_floor_is_worn(floor) || place->generation == HANDLE_GENERATION_MAX;
    atomic_store_explicit(&e->app, NULL, memory_order_relaxed);    /* published by R2 */
    atomic_store_explicit(&e->floor, floor, memory_order_relaxed); /* published by R2 */
    uint64_t old = atomic_exchange_explicit(&e->word,
                                            entry_word(place->generation, worn ? RETIRED : FREE),
                                            memory_order_release); /* R2 with R1 */
    weir_assert(old == entry_word(place->generation, CLOSING) ||
                old == entry_word(place->generation, RESERVED));
    (void)old;
    if (!worn)
        atomic_fetch_sub_explicit(&taken, 1, memory_order_release); /* R5 with R4 */
}

/* ---- dump ---- */

struct registry_counts registry_count(void)
{
    struct registry_counts counts = {0};
    uint32_t *const of_state[] = {
        [FREE] = &counts.free,       [RESERVED] = &counts.reserved, [OPEN] = &counts.open,
        [SHUT] = &counts.shut,       [CLOSING] = &counts.closing,   [FORKED] = &counts.forked,
        [RETIRED] = &counts.retired,
    };
    for (uint32_t index = 1; index <= HANDLE_APP_MAX; index++) {
        /* relaxed: a report */
        uint64_t word = atomic_load_explicit(&entries[index].word, memory_order_relaxed);
        ++*of_state[entry_state(word)];
    }
    return counts;
}
