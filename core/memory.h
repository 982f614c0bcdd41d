/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - the allocator hook: all memory of an application comes and goes through it
 *
 * An all-zero struct means the C library's own allocator. Both functions of a user's hook must be
 * thread-safe and must not call weir. alloc may answer NULL; the caller then undoes its steps and
 * answers WEIR_NO_MEMORY. Who frees says the size again, so that a hook needs no header of its own.
 * A hook without release is an arena: nothing comes back before its owner drops the whole.
 *
 * Invariant: the size of each release equals the size of its allocation, also for the default
 * allocator, which does not need it; a unit test of every module that allocates counts bytes.
 */
#ifndef CORE_MEMORY_H
#define CORE_MEMORY_H

#include <stddef.h>

struct memory {
    void *(*alloc)(size_t size, size_t align, void *ctx);      /* I */
    void (*release)(void *address, size_t size, void *ctx);    /* I */
    void *ctx;                                                 /* I */
};

/* size > 0; align a power of two. The memory is not cleared. NULL: there is none. */
void *memory_alloc(const struct memory *m, size_t size, size_t align);

/* The same, cleared to zero bytes. */
void *memory_zalloc(const struct memory *m, size_t size, size_t align);

/* address from the two above with this very size; NULL is fine. */
void memory_free(const struct memory *m, void *address, size_t size);

#endif
