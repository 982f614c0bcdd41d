/* SPDX-License-Identifier: Apache-2.0 */
/* heap.h - the layout of the arena: stacks, then one heap per thread, then mappings */
#ifndef EXPLORE_HEAP_H
#define EXPLORE_HEAP_H

#include <assert.h>

#include "engine.h"

#define MEBIBYTE ((size_t)1 << 20)
#define STACK_SIZE (MEBIBYTE / 4)
#define HEAPS_OFFSET (4 * MEBIBYTE)
static_assert(THREADS_MAX * STACK_SIZE <= HEAPS_OFFSET, "the stacks have room");
#define HEAP_SIZE (16 * MEBIBYTE)
#define MAPS_OFFSET (HEAPS_OFFSET + THREADS_MAX * HEAP_SIZE)
#define ARENA_SIZE (MAPS_OFFSET + 8192 * MEBIBYTE)

uintptr_t heap_reserve(void);
void heap_begin_run(void);
void heap_check_leaks(void);
bool heap_describe(uintptr_t address, char *buffer, size_t size);

#endif
