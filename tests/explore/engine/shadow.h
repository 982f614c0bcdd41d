/* SPDX-License-Identifier: Apache-2.0 */
/* shadow.h - the part of shadow.c that every plain access runs through */
#ifndef EXPLORE_SHADOW_H
#define EXPLORE_SHADOW_H

#include "engine.h"

void shadow_init(void);      /* remembers the globals as they are now */
void shadow_begin_run(void); /* and puts them back */
void shadow_touch_cell(struct cell *cell, uintptr_t granule, unsigned bytes, unsigned kind, uintptr_t pc);
void shadow_alone(uintptr_t address, size_t size, uintptr_t pc); /* instead, before a second thread */
struct cell *shadow_cell(uintptr_t address);                     /* also of addresses without a region */
void shadow_atomic(uintptr_t address, unsigned size, bool write, uintptr_t pc);
void shadow_range(uintptr_t address, size_t size, bool write, uintptr_t pc);
void shadow_kill(uintptr_t address, size_t size, uintptr_t pc); /* free: touches, then forbids */
void shadow_forbid(uintptr_t address, size_t size);             /* between blocks */
void shadow_revive(uintptr_t address, size_t size);             /* reuse */
void shadow_make_shared(uintptr_t address);
size_t shadow_audit(void);

static inline struct region *shadow_region(uintptr_t address)
{
    if (address - engine.arena.base < engine.arena.size)
        return &engine.arena;
    if (address - engine.globals.base < engine.globals.size
        && address - (uintptr_t)&explore_engine >= sizeof explore_engine)
        return &engine.globals;
    return NULL;
}

static inline bool shadow_is_shared(uintptr_t address)
{
    const struct region *region = shadow_region(address);
    if (region == NULL)
        return true;
    size_t granule = (address - region->base) >> 3;
    return region->shared[granule >> 3] >> (granule & 7) & 1;
}

/* An access within one granule, the usual case. */
static inline void shadow_plain(uintptr_t address, unsigned size, bool write, uintptr_t pc)
{
    if (!engine.running)
        return;
    struct region *region = shadow_region(address);
    if (region == NULL)
        return;
    if (engine.thread_count == 1) {
        shadow_alone(address, size, pc);
        return;
    }
    unsigned offset = address & 7;
    if (offset + size > 8) {
        shadow_range(address, size, write, pc);
        return;
    }
    unsigned bytes = ((1u << size) - 1) << offset;
    shadow_touch_cell(&region->cells[(address - region->base) >> 3], address & ~(uintptr_t)7, bytes,
                      write ? RECORD_WRITE : 0, pc);
}

#endif
