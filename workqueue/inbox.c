/* SPDX-License-Identifier: Apache-2.0 */
/* inbox.c - the ring and its list; the protocol, its labels and its proof are in inbox.h */
#include "workqueue/inbox.h"

#include "core/verify.h"
#include "workqueue/job.h"

/* ---- the word of a slot: pure ---- */

enum { WORD_EMPTY = 1, WORD_ROUND_SHIFT = 1, WORD_ROUND_MASK = 3 << WORD_ROUND_SHIFT, WORD_TAG = 7 };
static_assert(_Alignof(struct job) == WORD_TAG + 1, "a job's address leaves the tag's bits free");

static uint64_t word_empty(uint64_t round)
{
    return round << WORD_ROUND_SHIFT | WORD_EMPTY;
}

static uint64_t word_job(const struct job *job, uint64_t round)
{
    return (uint64_t)(uintptr_t)job | (round << WORD_ROUND_SHIFT & WORD_ROUND_MASK);
}

static bool word_is_job(uint64_t word)
{
    return (word & WORD_EMPTY) == 0;
}

static bool word_is_job_of(uint64_t word, uint64_t round)
{
    return word_is_job(word) && (word & WORD_ROUND_MASK) == (round << WORD_ROUND_SHIFT & WORD_ROUND_MASK);
}

static struct job *word_to_job(uint64_t word)
{
    return (struct job *)(uintptr_t)(word & ~(uint64_t)WORD_TAG);
}

static uint64_t round_of(const struct inbox *inbox, uint64_t position)
{
    return position >> inbox->shift;
}

static _Atomic uint64_t *slot_of(const struct inbox *inbox, uint64_t position)
{
    return &inbox->slots[position & ((UINT64_C(1) << inbox->shift) - 1)];
}

/* ---- fill ---- */

/* A later producer's hint is not taken back, or the next one would walk the distance again. */
static void advance_tail(struct inbox *inbox, uint64_t position)
{
    if (atomic_load_explicit(&inbox->tail, memory_order_relaxed) < position)       /* a hint about a hint */
        atomic_store_explicit(&inbox->tail, position, memory_order_release);                              /* I5 */
}

/* False: full. */
static bool ring_push(struct inbox *inbox, struct job *job)
{
    uint64_t position = atomic_load_explicit(&inbox->tail, memory_order_acquire);                         /* I5 */
    for (;;) {
        uint64_t round = round_of(inbox, position);
        _Atomic uint64_t *slot = slot_of(inbox, position);
        uint64_t seen = atomic_load_explicit(slot, memory_order_acquire);                                 /* I4 */
        if (seen == word_empty(round)
            && atomic_compare_exchange_strong_explicit(slot, &seen, word_job(job, round),
                                                       memory_order_seq_cst,                              /* I1 */
                                                       memory_order_acquire)) {                           /* I4 */
            advance_tail(inbox, position + 1);
            return true;
        }
        if (word_is_job_of(seen, round - 1))
            return false;                                /* the round before is not emptied yet */
        uint64_t tail = atomic_load_explicit(&inbox->tail, memory_order_acquire);                         /* I5 */
        position = tail > position ? tail : position + 1; /* filled, or even emptied again: go on */
    }
}

static void overflow_push(struct inbox *inbox, struct job *job)
{
    struct job *newest = atomic_load_explicit(&inbox->overflow, memory_order_relaxed); /* the swap checks it */
    do
        job->next = newest;
    while (!atomic_compare_exchange_weak_explicit(&inbox->overflow, &newest, job,
                                                  memory_order_seq_cst,                                   /* I1 */
                                                  memory_order_relaxed));          /* tries again */
}

void inbox_push(struct inbox *inbox, struct job *job)
{
    if (!ring_push(inbox, job))
        overflow_push(inbox, job);
}

/* ---- claim, empty ---- */

/* Is there a job at *head? If not, is that because head was out of date? Then *head is brought up to date first. */
static bool ring_has_job(struct inbox *inbox, uint64_t *head)
{
    for (;;) {
        uint64_t word = atomic_load_explicit(slot_of(inbox, *head), memory_order_seq_cst);                /* I2 */
        if (word_is_job_of(word, round_of(inbox, *head)))
            return true;
        if (word == word_empty(round_of(inbox, *head)))
            return false;
        /* A job of the round before, whose consumer has not emptied the slot yet; or a word of a later round. By I1 and
         * I3 who reads the latter now reads a head beyond it. */
        uint64_t now = atomic_load_explicit(&inbox->head, memory_order_relaxed);   /* see the line above */
        if (now == *head)
            return false;
        *head = now;
    }
}

static uint32_t read_jobs(struct inbox *inbox, uint64_t head, struct job **jobs, uint32_t max)
{
    uint32_t count = 0;
    for (; count < max; count++) {
        uint64_t word = atomic_load_explicit(slot_of(inbox, head + count), memory_order_seq_cst);         /* I2 */
        if (!word_is_job_of(word, round_of(inbox, head + count)))
            break;
        jobs[count] = word_to_job(word);
    }
    return count;
}

uint32_t inbox_pop(struct inbox *inbox, struct job **jobs, uint32_t max)
{
    uint64_t head = atomic_load_explicit(&inbox->head, memory_order_relaxed);      /* a stale one fails below */
    while (ring_has_job(inbox, &head)) {
        uint32_t count = read_jobs(inbox, head, jobs, max);
        if (count != 0
            && atomic_compare_exchange_strong_explicit(&inbox->head, &head, head + count,
                                                       memory_order_relaxed,       /* the slots carry it all */
                                                       memory_order_relaxed)) {
            for (uint32_t i = 0; i < count; i++)
                atomic_store_explicit(slot_of(inbox, head + i), word_empty(round_of(inbox, head + i) + 1),
                                      memory_order_release);                                              /* I3 */
            return count;
        }
    }
    return 0;
}

void inbox_prefetch(struct inbox *inbox)
{
    uint64_t head = atomic_load_explicit(&inbox->head, memory_order_relaxed);      /* only a hint to the cache */
    for (uint64_t ahead = 2; ahead <= 3; ahead++) {
        uint64_t word = atomic_load_explicit(slot_of(inbox, head + ahead), memory_order_relaxed);   /* likewise */
        if (word_is_job(word))
            cache_prefetch_write(word_to_job(word));
    }
}

/* ---- the list ---- */

static struct job *reversed(struct job *newest)
{
    struct job *oldest = NULL;
    while (newest != NULL) {
        struct job *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static bool list_is_empty(struct inbox *inbox)
{
    return atomic_load_explicit(&inbox->overflow, memory_order_seq_cst) == NULL                           /* I2 */
        && atomic_load_explicit(&inbox->backlog, memory_order_seq_cst) == NULL;                           /* I7 */
}

struct job *inbox_refill(struct inbox *inbox)
{
    if (list_is_empty(inbox))
        return NULL;
    /* acquire: I6, the refiller before this one wrote the backlog's links and then released */
    if (atomic_exchange_explicit(&inbox->refilling, 1, memory_order_acquire) != 0)
        return NULL;
    struct job *list = atomic_load_explicit(&inbox->backlog, memory_order_relaxed);          /* ours while refilling */
    if (list == NULL)
        list = reversed(atomic_exchange_explicit(&inbox->overflow, NULL, memory_order_acquire));          /* I2 */
    struct job *first = list;
    if (list != NULL)
        list = list->next;
    while (list != NULL) {
        struct job *next = list->next;   /* from the push on the job is somebody else's */
        if (!ring_push(inbox, list))
            break;
        list = next;
    }
    atomic_store_explicit(&inbox->backlog, list, memory_order_seq_cst);                                   /* I7 */
    atomic_store_explicit(&inbox->refilling, 0, memory_order_release);                                    /* I6 */
    return first;
}

bool inbox_is_empty(struct inbox *inbox)
{
    uint64_t head = atomic_load_explicit(&inbox->head, memory_order_relaxed);      /* checked against the slot */
    return !ring_has_job(inbox, &head) && list_is_empty(inbox);
}

void inbox_init(struct inbox *inbox, _Atomic uint64_t *slots, uint32_t capacity)
{
    weir_assert(capacity > 1 && (capacity & (capacity - 1)) == 0);
    *inbox = (struct inbox){ .slots = slots, .shift = (uint32_t)__builtin_ctz(capacity) };
    for (uint32_t i = 0; i < capacity; i++)
        atomic_init(&slots[i], word_empty(0));
}
