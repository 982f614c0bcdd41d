/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c - the allocator hook, and the C library's allocator behind an empty one */
#include "core/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/verify.h"

static inline bool is_power_of_two(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* aligned_alloc wants a whole number of alignments, and an alignment that a pointer can have. */
static void *alloc_from_libc(size_t size, size_t align)
{
    if (align < sizeof(void *))
        align = sizeof(void *);
    if (size > SIZE_MAX - (align - 1))
        return NULL;
    int before = errno;                              /* no memory is an answer, not an errno (R10) */
    void *address = aligned_alloc(align, (size + align - 1) & ~(align - 1));
    errno = before;
    return address;
}

void *memory_alloc(const struct memory *m, size_t size, size_t align)
{
    weir_assert(size > 0 && is_power_of_two(align));
    void *address = m->alloc ? m->alloc(size, align, m->ctx) : alloc_from_libc(size, align);
    weir_verify(((uintptr_t)address & (align - 1)) == 0,
                "the alloc hook returned memory that is not aligned as it was asked");
    return address;
}

/* The C library knows which of its memory is zero already, and leaves that untouched: a large table then costs what of
 * it is used. */
void *memory_zalloc(const struct memory *m, size_t size, size_t align)
{
    weir_assert(size > 0 && is_power_of_two(align));
    if (m->alloc || align > _Alignof(max_align_t)) {
        void *address = memory_alloc(m, size, align);
        return address ? memset(address, 0, size) : NULL;
    }
    int before = errno;
    void *zeroed = calloc(1, size);
    errno = before;
    return zeroed;
}

void memory_free(const struct memory *m, void *address, size_t size)
{
    if (!address)
        return;
    if (!m->alloc)
        free(address);
    else if (m->release)
        m->release(address, size, m->ctx);
}
