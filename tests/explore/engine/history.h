/* SPDX-License-Identifier: Apache-2.0 */
/* history.h - between history.c and memory_model.c */
#ifndef EXPLORE_HISTORY_H
#define EXPLORE_HISTORY_H

#include "engine.h"

/* The location of an atomic access; begins its history if there is none. */
struct location *history_find(uintptr_t address, unsigned size);
bool history_is_known(uintptr_t address); /* an atomic access has met it in this run */

/* Makes room at `place`; forgets the oldest store when there is none, which moves the place by one. */
struct message *history_insert(struct location *location, unsigned place);

/* Thread `slot` met the store `stamp` at its time `at`. */
void history_remember(struct location *location, unsigned slot, uint32_t at, uint32_t stamp);

/* The newest stamp that an event of the view has met; 0: none. */
uint32_t history_floor(const struct location *location, const struct clock *view);

static inline struct message *history_at(struct location *location, unsigned place)
{
    return &location->messages[location->order[place]];
}

static inline struct message *history_newest(struct location *location)
{
    return history_at(location, location->count - 1u);
}

#endif
