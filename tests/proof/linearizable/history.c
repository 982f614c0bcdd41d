/* SPDX-License-Identifier: Apache-2.0 */
/* history.c - the search of Wing and Gong, with Lowe's memory of where it has been
 *
 * Depth first: of the calls that no other call must precede (all that returned before it was made are placed), place
 * one whose answer the model gives, or let the model move by itself. (placed calls, state) is looked at once. */
#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/weir.h>

#include "model.h"

struct place {
    struct model model;
    uint32_t placed;
};

enum { SEEN_SIZE = 1 << 16 };

struct search {
    const struct history *h;
    uint32_t count;
    struct place seen[SEEN_SIZE];
    bool used[SEEN_SIZE];
};

static uint32_t hash(const struct place *p)
{
    const unsigned char *bytes = (const unsigned char *)p;
    uint32_t sum = 2166136261U;
    for (size_t i = 0; i < sizeof(*p); i++)
        sum = (sum ^ bytes[i]) * 16777619U;
    return sum;
}

/* True: it is new, and now remembered. */
static bool remember(struct search *s, const struct place *p)
{
    for (uint32_t i = hash(p) % SEEN_SIZE;; i = (i + 1) % SEEN_SIZE) {
        if (s->used[i] && memcmp(&s->seen[i], p, sizeof(*p)) == 0)
            return false;
        if (s->used[i])
            continue;
        s->used[i] = true;
        s->seen[i] = *p;
        if (++s->count > SEEN_SIZE / 2) {
            fprintf(stderr, "the search needs more memory\n");
            abort();
        }
        return true;
    }
}

static bool overlap(const struct entry *x, const struct entry *y)
{
    return x->from < y->to && y->from < x->to;
}

static bool is_same_kind(uint8_t x, uint8_t y)
{
    return x == y;
}

/* BUSY is an answer while another thread is inside a call that excludes this one (R6, R8). */
static bool may_be_busy(const struct history *h, const struct entry *e)
{
    if (e->call != CALL_NEXT_A && e->call != CALL_COMPLETE_A && e->call != CALL_COMPLETE_B)
        return false;
    for (uint32_t i = 0; i < h->count; i++)
        if (&h->entry[i] != e && is_same_kind(h->entry[i].call, e->call) && overlap(&h->entry[i], e))
            return true;
    return false;
}

static bool is_next(const struct search *s, uint32_t placed, uint32_t i)
{
    const struct entry *e = &s->h->entry[i];
    if ((placed >> i & 1) != 0)
        return false;
    for (uint32_t k = 0; k < s->h->count; k++)
        if ((placed >> k & 1) == 0 && s->h->entry[k].to < e->from)
            return false;
    /* the second effect of a close comes after its first, which is the entry before it */
    return e->call != CALL_RAISE || (placed >> (i - 1) & 1) != 0;
}

static bool search_from(struct search *s, struct place p);

static bool try_call(struct search *s, struct place p, uint32_t i)
{
    struct entry e = s->h->entry[i];
    p.placed |= UINT32_C(1) << i;
    struct place next = p;
    if (e.status == WEIR_BUSY)
        return may_be_busy(s->h, &s->h->entry[i]) && search_from(s, p);
    if (model_answers(&next.model, &e) && search_from(s, next))
        return true;
    if (e.call != CALL_RAISE)
        return false;
    next = p;
    e.status = 1;
    return model_answers(&next.model, &e) && search_from(s, next);
}

static bool search_from(struct search *s, struct place p)
{
    if (p.placed == (uint32_t)((UINT64_C(1) << s->h->count) - 1))
        return true;
    if (!remember(s, &p))
        return false;
    for (uint32_t i = 0; i < s->h->count; i++)
        if (is_next(s, p.placed, i) && try_call(s, p, i))
            return true;
    for (int step = 0; step < MODEL_STEPS; step++) {
        struct place next = p;
        if (model_moves(&next.model, step) && search_from(s, next))
            return true;
    }
    return false;
}

bool history_is_linearizable(const struct history *h, uint64_t *states)
{
    static _Thread_local struct search s;
    s.h = h;
    s.count = 0;
    memset(s.used, 0, sizeof(s.used));
    bool found = search_from(&s, (struct place){ .model = model_begin() });
    *states += s.count;
    return found;
}

void history_print(const struct history *h)
{
    static const char *const names[] = {
        "start", "cancel A", "cancel B", "complete A", "complete B", "close A", "next A", "ack B", "close session",
        "cancel all", "(raise)", "B's item", "B's final",
    };
    for (uint32_t i = 0; i < h->count; i++) {
        const struct entry *e = &h->entry[i];
        printf("  thread %u  [%3u %3u]  %-14s value %u reason %3u  %s\n", e->thread, e->from, e->to, names[e->call],
               e->value, e->reason, weir_status_name(e->status));
    }
}
