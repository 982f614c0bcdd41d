/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - the slot table's memory, made of constructed atomics (slots.cpp) */
#ifndef CORE_MEMORY_H
#define CORE_MEMORY_H

#include <cstddef>

struct memory {
    int unused;
};

static inline void memory_free(const struct memory *memory, void *block, size_t size)
{
    (void)memory;
    (void)block;
    (void)size;                                /* the model frees all at its end */
}

#endif
