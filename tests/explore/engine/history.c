/* SPDX-License-Identifier: Apache-2.0 */
/* history.c - the stores of one location in modification order, and who is past which
 *
 * A store's place in the order is its stamp. Stamps are far apart, so that a later store can still go between two
 * others. A trail says for one thread at which of its times it met which stamp, reading or writing; a view of
 * other threads' times then gives the newest store that somebody in the view has met. Both fields of a trail only
 * grow, and only stamps within the history matter, so eight entries are enough. */
#include "history.h"

#include <string.h>

#include "shadow.h"

enum { STAMP_STEP = 1 << 12 }; /* leaves room between two stores for later ones that go between them */

/* ---- memory itself ---- */

word memory_read(uintptr_t address, unsigned size)
{
    switch (size) {
    case 1: return *(const volatile uint8_t *)address;
    case 2: return *(const volatile uint16_t *)address;
    case 4: return *(const volatile uint32_t *)address;
    case 8: return *(const volatile uint64_t *)address;
    default: return *(const volatile uint64_t *)address | (word) * (const volatile uint64_t *)(address + 8) << 64;
    }
}

void memory_write(uintptr_t address, unsigned size, word value)
{
    switch (size) {
    case 1: *(volatile uint8_t *)address = (uint8_t)value; break;
    case 2: *(volatile uint16_t *)address = (uint16_t)value; break;
    case 4: *(volatile uint32_t *)address = (uint32_t)value; break;
    case 8: *(volatile uint64_t *)address = (uint64_t)value; break;
    default:
        *(volatile uint64_t *)address = (uint64_t)value;
        *(volatile uint64_t *)(address + 8) = (uint64_t)(value >> 64);
    }
}

/* ---- histories ---- */

/* Makes room at `place`; forgets the oldest store when there is none, which moves the place by
 * one. */
struct message *history_insert(struct location *location, unsigned place)
{
    uint8_t slot = location->count;
    if (location->count == HISTORY) {
        slot = location->order[0];
        for (unsigned i = 1; i < HISTORY; i++)
            location->order[i - 1] = location->order[i];
        location->count--;
        place -= place > 0;
    }
    for (unsigned i = location->count; i > place; i--)
        location->order[i] = location->order[i - 1];
    location->order[place] = slot;
    location->count++;
    struct message *message = &location->messages[slot];
    uint32_t before = place > 0 ? history_at(location, place - 1)->stamp : 0;
    if (place + 1u == location->count)
        message->stamp = before + STAMP_STEP;
    else
        message->stamp = before + (history_at(location, place + 1)->stamp - before) / 2;
    if (message->stamp == before || message->stamp > UINT32_MAX - 2 * STAMP_STEP)
        explore_fail("explorer: too many stores to one location");
    return message;
}

/* What plain code left there before the first atomic access. Its own past is the race check's
 * business. */
static void history_begin(struct location *location, uint32_t stamp)
{
    location->count = 1;
    location->order[0] = 0;
    location->overwritten = false;
    struct message *first = &location->messages[0];
    memset(first, 0, sizeof *first);
    first->value = memory_read(location->address, location->size);
    first->stamp = stamp;
    first->hash = hash_mix((uint64_t)first->value, (uint64_t)(first->value >> 64) + 3);
    for (int i = 0; i < CLOCK_SLOTS; i++)
        location->trails[i].count = 0;
}

static struct location *new_location(struct cell *cell, uintptr_t address, unsigned size)
{
    if (engine.location_count + 1 == LOCATIONS_MAX)
        explore_fail("explorer: more than %d atomic locations", LOCATIONS_MAX);
    struct location *location = &engine.locations[++engine.location_count];
    location->address = address;
    location->size = (uint8_t)size;
    uint16_t *head = &cell->location[address >> 2 & 1];
    location->next = *head;
    *head = (uint16_t)engine.location_count;
    for (int i = 0; i < THREADS_MAX; i++)
        location->looks[i].progress = UINT32_MAX;
    history_begin(location, STAMP_STEP);
    location->first = engine.current->id;
    return location;
}

bool history_is_known(uintptr_t address)
{
    return shadow_cell(address)->location[address >> 2 & 1] != 0;
}

struct location *history_find(uintptr_t address, unsigned size)
{
    struct cell *cell = shadow_cell(address);
    for (unsigned i = cell->location[address >> 2 & 1]; i != 0; i = engine.locations[i].next) {
        struct location *location = &engine.locations[i];
        if (location->address != address)
            continue;
        if (location->size != size)
            explore_fail("explorer: atomic accesses of different sizes to %p", (void *)address);
        if (location->overwritten)
            history_begin(location, history_newest(location)->stamp + STAMP_STEP);
        return location;
    }
    return new_location(cell, address, size);
}

/* ---- trails ---- */

void history_remember(struct location *location, unsigned slot, uint32_t at, uint32_t stamp)
{
    struct trail *trail = &location->trails[slot];
    unsigned count = trail->count;
    if (count > 0 && trail->met[count - 1].stamp >= stamp)
        return;
    if (count > 0 && trail->met[count - 1].at == at)
        count--;
    if (count == HISTORY) {
        for (unsigned i = 1; i < HISTORY; i++)
            trail->met[i - 1] = trail->met[i];
        count--;
    }
    trail->met[count].at = at;
    trail->met[count].stamp = stamp;
    trail->count = (uint8_t)(count + 1);
}

uint32_t history_floor(const struct location *location, const struct clock *view)
{
    uint32_t floor = 0;
    for (int slot = 0; slot < CLOCK_SLOTS; slot++) {
        const struct trail *trail = &location->trails[slot];
        for (unsigned i = trail->count; i-- > 0;) {
            if (trail->met[i].at > view->at[slot])
                continue;
            floor = trail->met[i].stamp > floor ? trail->met[i].stamp : floor;
            break;
        }
    }
    return floor;
}
