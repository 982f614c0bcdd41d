/* SPDX-License-Identifier: Apache-2.0 */
/* heap.c - malloc and mmap of the code under test
 *
 * Every thread allocates from a heap of its own, upwards, so that the address a thread gets does
 * not depend on what others do: two allocations by two threads may be swapped without a trace.
 * Before each block lie sixteen bytes that name it and that nobody may touch. A freed block stays
 * dead to the end of the run, and its use is found.
 *
 * With the `reuse` bound an allocation may, as a choice, get the block of that size which was
 * freed last, or the one before: then addresses repeat and ABA shows. Only then are malloc and
 * free steps that others can see.
 *
 * Refusing an allocation is a choice of the `faults` bound. Fresh memory is filled with 0xA5. */
#include "heap.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "shadow.h"

enum { BLOCKS_MAX = 1 << 16, GUARD = 16, FILL = 0xA5, MARKED_MAX = 512, CANDIDATES = 2, MAPPINGS_MAX = 256 };
static const uint32_t MAGIC = 0x5EEDB10C;

enum block_state { LIVE, FREED };
struct block {
    uintptr_t address, pc, freed_pc;
    size_t size, room;
    enum block_state state;
    int thread;
    uint32_t freed_at;     /* order of frees */
    struct clock happened; /* of the free: an allocator hands memory over properly */
};
struct guard { /* the sixteen bytes before a block */
    uint32_t magic, index;
    uint64_t unused;
};
static_assert(sizeof(struct guard) == GUARD, "the guard keeps blocks aligned to sixteen");

struct mapping {
    uintptr_t address;
    size_t size;
};

struct heap {
    struct block *blocks;
    uint32_t count, frees;
    uintptr_t top[THREADS_MAX];
    uintptr_t maps_top;
    struct mapping mappings[MAPPINGS_MAX];
    unsigned mapping_count;
};
#define heap engine.heaps

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **out, size_t alignment, size_t size);
void __real_free(void *memory);
void *__real_memset(void *at, int value, size_t size);
void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t size);
int __real_madvise(void *address, size_t size, int advice);
int __real_mprotect(void *address, size_t size, int protection);

uintptr_t heap_reserve(void)
{
    enum { RW = PROT_READ | PROT_WRITE, FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };
    heap = __real_mmap(NULL, sizeof *heap + BLOCKS_MAX * sizeof(struct block), RW, FLAGS, -1, 0);
    void *arena = __real_mmap(NULL, ARENA_SIZE, RW, FLAGS, -1, 0);
    if (heap == MAP_FAILED || arena == MAP_FAILED)
        abort();
    heap->blocks = (struct block *)(heap + 1);
    for (size_t i = 0; i < THREADS_MAX; i++) /* who runs off a stack crashes */
        (void)__real_mprotect((char *)arena + i * STACK_SIZE, PAGE, PROT_NONE);
    return (uintptr_t)arena;
}

void heap_begin_run(void)
{
    heap->count = heap->frees = heap->mapping_count = 0;
    heap->maps_top = engine.arena.base + MAPS_OFFSET;
    for (int i = 0; i < THREADS_MAX; i++)
        heap->top[i] = engine.arena.base + HEAPS_OFFSET + (size_t)i * HEAP_SIZE;
}

static bool in_heaps(const void *memory)
{
    return (uintptr_t)memory - engine.arena.base - HEAPS_OFFSET < THREADS_MAX * HEAP_SIZE;
}

/* ---- allocating ---- */

static uintptr_t fresh_block(size_t size, size_t alignment, uintptr_t pc)
{
    int id = engine.current->id;
    uintptr_t limit = engine.arena.base + HEAPS_OFFSET + (size_t)(id + 1) * HEAP_SIZE;
    uintptr_t address = (heap->top[id] + GUARD + alignment - 1) & ~(uintptr_t)(alignment - 1);
    size_t room = (size + 15) & ~(size_t)15;
    if (heap->count == BLOCKS_MAX || room > HEAP_SIZE || address + room + GUARD > limit)
        explore_fail("explorer: T%d's heap is full", id);
    struct guard *guard = (struct guard *)(address - GUARD);
    *guard = (struct guard){.magic = MAGIC ^ engine.run, .index = heap->count};
    heap->blocks[heap->count++] = (struct block){
        .address = address, .size = size, .room = room, .pc = pc, .thread = id};
    shadow_forbid(address - GUARD, GUARD);
    shadow_forbid(address + room, GUARD);
    heap->top[id] = address + room;
    return address;
}

/* The blocks that fit exactly, freed last first. */
static unsigned find_freed(size_t size, size_t alignment, struct block **found)
{
    unsigned count = 0;
    size_t room = (size + 15) & ~(size_t)15;
    for (uint32_t last = UINT32_MAX; count < CANDIDATES; count++) {
        struct block *best = NULL;
        for (uint32_t i = 0; i < heap->count; i++) {
            struct block *b = &heap->blocks[i];
            if (b->state == FREED && b->room == room && b->address % alignment == 0 && b->freed_at < last
                && (best == NULL || b->freed_at > best->freed_at))
                best = b;
        }
        if (best == NULL)
            break;
        last = best->freed_at;
        found[count] = best;
    }
    return count;
}

static uintptr_t reuse_block(size_t size, size_t alignment, uintptr_t pc)
{
    struct block *found[CANDIDATES];
    if (engine.bounds.reuse <= 0)
        return 0;
    schedule_point(OBJECT_HEAP, TOUCH_READ | TOUCH_WRITE);
    schedule_meet(schedule_object(OBJECT_HEAP));
    unsigned count = find_freed(size, alignment, found);
    if (engine.left.reuse <= 0 || count == 0)
        return 0;
    unsigned choice = search_choose_data(count + 1);
    if (choice == 0)
        return 0;
    engine.left.reuse--;
    struct block *block = found[choice - 1];
    block->state = LIVE;
    block->size = size;
    block->pc = pc;
    clock_join(&engine.current->happened, &block->happened);
    clock_join(&engine.current->view, &block->happened);
    shadow_revive(block->address, block->room);
    TRACE("gets a freed block again", block->address, size, "", pc);
    return block->address;
}

/* A small block counts as written by who allocated it: then handing it over without synchronising
 * is a race even if nobody writes to it. For large ones that would cost more than it finds. */
static void fill(uintptr_t address, int value, size_t size, uintptr_t pc)
{
    if (size <= MARKED_MAX)
        shadow_range(address, size, true, pc);
    (void)__real_memset((void *)address, value, size);
}

static void *allocate(size_t size, size_t alignment, int value, uintptr_t pc)
{
    if (search_risk(&engine.left.faults)) {
        TRACE("allocation refused", 0, size, "", pc);
        errno = ENOMEM;
        return NULL;
    }
    if (size > HEAP_SIZE / 2) {
        errno = ENOMEM;
        return NULL;
    }
    alignment = alignment < 16 ? 16 : alignment;
    uintptr_t address = reuse_block(size, alignment, pc);
    if (address == 0)
        address = fresh_block(size, alignment, pc);
    fill(address, value, size, pc);
    TRACE("malloc", address, size, "", pc);
    return (void *)address;
}

static struct block *find_block(const void *memory)
{
    const struct guard *guard = (const struct guard *)((uintptr_t)memory - GUARD);
    if (!in_heaps(memory) || ((uintptr_t)memory & 15) || guard->magic != (MAGIC ^ engine.run)
        || guard->index >= heap->count || heap->blocks[guard->index].address != (uintptr_t)memory)
        explore_fail("free of %p, which malloc never returned", memory);
    return &heap->blocks[guard->index];
}

static void release(void *memory, uintptr_t pc)
{
    if (engine.bounds.reuse > 0) {
        schedule_point(OBJECT_HEAP, TOUCH_READ | TOUCH_WRITE);
        schedule_meet(schedule_object(OBJECT_HEAP));
    }
    struct block *block = find_block(memory);
    char place[160], before[160];
    TRACE("free", block->address, block->size, "", pc);
    if (block->state == FREED)
        explore_fail("double free: T%d at %s, first at %s", engine.current->id, trace_place(pc, place, sizeof place),
                     trace_place(block->freed_pc, before, sizeof before));
    shadow_kill(block->address, block->room, pc);
    block->state = FREED;
    block->freed_pc = pc;
    block->freed_at = ++heap->frees;
    block->happened = engine.current->happened;
    if (engine.bounds.reuse > 0)
        thread_tick(engine.current);
}

/* ---- what the linker redirects here ---- */

void *__wrap_malloc(size_t size)
{
    return engine.running ? allocate(size, 16, FILL, CALLER) : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    if (!engine.running)
        return __real_calloc(count, size);
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    return allocate(count * size, 16, 0, CALLER);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return engine.running ? allocate(size, alignment, FILL, CALLER) : __real_aligned_alloc(alignment, size);
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t size)
{
    if (!engine.running)
        return __real_posix_memalign(out, alignment, size);
    void *memory = allocate(size, alignment, FILL, CALLER);
    if (memory == NULL)
        return ENOMEM;
    *out = memory;
    return 0;
}

void __wrap_free(void *memory)
{
    if (memory == NULL)
        return;
    if (engine.running)
        release(memory, CALLER);
    else if (!in_heaps(memory))
        __real_free(memory);
}

void *__wrap_realloc(void *memory, size_t size)
{
    if (!engine.running)
        return __real_realloc(memory, size);
    if (memory == NULL)
        return allocate(size, 16, FILL, CALLER);
    size_t old = find_block(memory)->size;
    void *new = allocate(size, 16, FILL, CALLER);
    if (new == NULL)
        return NULL;
    size_t both = old < size ? old : size;
    shadow_range((uintptr_t)memory, both, false, CALLER);
    memcpy(new, memory, both);
    release(memory, CALLER);
    return new;
}

/* ---- mappings ---- */

void *__wrap_mmap(void *wish, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (!engine.running)
        return __real_mmap(wish, size, protection, flags, fd, offset);
    if (!(flags & MAP_ANONYMOUS) || (flags & MAP_FIXED))
        explore_fail("explorer: only anonymous mappings at an address of the system's choice");
    schedule_point(OBJECT_HEAP, TOUCH_READ | TOUCH_WRITE);
    schedule_meet(schedule_object(OBJECT_HEAP));
    size = (size + PAGE - 1) & ~(size_t)(PAGE - 1);
    bool full = heap->mapping_count == MAPPINGS_MAX || size > engine.arena.base + engine.arena.size - heap->maps_top;
    if (full || search_risk(&engine.left.faults)) {
        TRACE("mapping refused", 0, size, "", CALLER);
        errno = ENOMEM;
        return MAP_FAILED;
    }
    uintptr_t address = heap->maps_top;
    heap->maps_top += size;
    heap->mappings[heap->mapping_count++] = (struct mapping){address, size};
    TRACE("mmap", address, size, "", CALLER);
    return (void *)address;
}

int __wrap_munmap(void *memory, size_t size)
{
    if (!engine.running)
        return __real_munmap(memory, size);
    schedule_point(OBJECT_HEAP, TOUCH_READ | TOUCH_WRITE);
    schedule_meet(schedule_object(OBJECT_HEAP));
    size = (size + PAGE - 1) & ~(size_t)(PAGE - 1);
    shadow_kill((uintptr_t)memory, size, CALLER);
    TRACE("munmap", (uintptr_t)memory, size, "", CALLER);
    return 0;
}

int __wrap_madvise(void *memory, size_t size, int advice)
{
    if (!engine.running)
        return __real_madvise(memory, size, advice);
    if (advice == MADV_DONTNEED) {
        shadow_range((uintptr_t)memory, size, true, CALLER);
        memset(memory, 0, size);
    }
    return 0;
}

int __wrap_mprotect(void *memory, size_t size, int protection)
{
    return engine.running ? 0 : __real_mprotect(memory, size, protection);
}

/* ---- at the end, and in reports ---- */

void heap_check_leaks(void)
{
    uint32_t leaked = 0;
    const struct block *first = NULL;
    char place[160];
    for (uint32_t i = 0; i < heap->count; i++)
        if (heap->blocks[i].state == LIVE) {
            leaked++;
            first = first == NULL ? &heap->blocks[i] : first;
        }
    if (first != NULL)
        explore_fail("leak: %u block%s, the first of %zu bytes by T%d at %s", leaked, leaked > 1 ? "s" : "",
                     first->size, first->thread, trace_place(first->pc, place, sizeof place));
}

bool heap_describe(uintptr_t address, char *buffer, size_t size)
{
    size_t offset = address - engine.arena.base;
    if (offset >= engine.arena.size)
        return false;
    if (offset < HEAPS_OFFSET) {
        (void)snprintf(buffer, size, "T%zu's stack", offset / STACK_SIZE);
        return true;
    }
    for (uint32_t i = 0; i < heap->count; i++) {
        const struct block *b = &heap->blocks[i];
        if (address - b->address < b->room) {
            (void)snprintf(buffer, size, "block %u+%zu", i, (size_t)(address - b->address));
            return true;
        }
    }
    (void)snprintf(buffer, size, "mapping+%#zx", offset - MAPS_OFFSET);
    return true;
}
