/* SPDX-License-Identifier: Apache-2.0 */
/* shadow.c - what a plain access may touch
 *
 * Every eight bytes of the arena and of the program's globals have a cell of one cache line. It
 * holds the last accesses, each with its thread and that thread's clock. A new access races with a
 * recorded one by another thread if they share a byte, one of them writes, one of them is plain,
 * and the recorded one is not in the new one's past. Six records suffice in practice; when they do
 * not, the oldest is forgotten, and the race is left to another schedule.
 *
 * Cells are valid for one run: the run's number in the cell makes clearing them free. The first
 * touch of a cell in a run also marks its page; pages of globals that were marked are restored
 * before the next run, and pages of mappings are zeroed. Writes that the compiler does not report
 * (the C library's) are found by comparing all globals now and then, and such pages are restored
 * always.
 *
 * A freed block's cells are dead: any access is a use after free. Pages of a large block that were
 * not touched need no cell: their page is marked, and a cell that comes to life on it is born
 * dead. */
#include "shadow.h"

#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "heap.h"

extern char __data_start[], _end[];

enum { FOREIGN_CELLS = 1 << 12, DIRTY_MAX = 1 << 20 };

/* ---- first touch of a cell in a run ---- */

static void mark_page(struct region *region, size_t page)
{
    if (region->page_run[page] == engine.run || engine.dirty_count == DIRTY_MAX)
        return;
    region->page_run[page] = engine.run;
    for (size_t i = 0; i < PAGE / 512; i++)
        region->touched[page * (PAGE / 512) + i] = 0;
    engine.dirty_pages[engine.dirty_count++] = (uint32_t)page | (region == &engine.globals ? 1u << 31 : 0);
}

static void open_cell(struct cell *cell, uintptr_t granule)
{
    *cell = (struct cell){.run = engine.run};
    struct region *region = shadow_region(granule);
    if (region == NULL)
        return;
    size_t page = (granule - region->base) / PAGE;
    mark_page(region, page);
    size_t index = (granule - region->base) >> 3;
    region->touched[index >> 6] |= (uint64_t)1 << (index & 63);
    if (region->page_freed[page] == engine.run)
        cell->dead = DEAD_FREED;
}

struct cell *shadow_cell(uintptr_t address)
{
    uintptr_t granule = address & ~(uintptr_t)7;
    struct region *region = shadow_region(address);
    struct cell *cell;
    if (region != NULL)
        cell = &region->cells[(granule - region->base) >> 3];
    else
        cell = &engine.foreign[hash_mix(granule, 2) % FOREIGN_CELLS];
    if (cell->run != engine.run)
        open_cell(cell, granule);
    return cell;
}

/* ---- the checks ---- */

static const char *kind_name(unsigned kind)
{
    static const char *const names[] = {"read", "write", "atomic read", "atomic write"};
    return names[kind & 3];
}

static _Noreturn void report(const char *what, uintptr_t address, unsigned kind, uintptr_t pc,
                             const struct record *other)
{
    char name[96], place[160], against[48] = "";
    engine.failed_at = address & ~(uintptr_t)7;
    if (other != NULL)
        (void)snprintf(against, sizeof against, ", against T%d's %s", other->thread, kind_name(other->kind));
    explore_fail("%s: T%d's %s of %s at %s%s", what, engine.current->id, kind_name(kind),
                 trace_name(address, name, sizeof name), trace_place(pc, place, sizeof place), against);
}

static _Noreturn void report_dead(const struct cell *cell, uintptr_t granule, unsigned kind, uintptr_t pc)
{
    report(cell->dead == DEAD_FREED ? "use after free" : "access outside of a block", granule, kind, pc, NULL);
}

static bool races(const struct record *old, unsigned bytes, unsigned kind, const struct thread *me)
{
    return (old->bytes & bytes) != 0 && old->thread != me->id && ((old->kind | kind) & RECORD_WRITE)
           && !(old->kind & kind & RECORD_ATOMIC) && old->at > me->happened.at[old->thread];
}

/* The new access says all that the old one of the same thread said. */
static bool covers(unsigned bytes, unsigned kind, const struct record *old)
{
    return (old->bytes & ~bytes) == 0 && (kind & RECORD_WRITE) >= (old->kind & RECORD_WRITE)
           && (kind & RECORD_ATOMIC) <= (old->kind & RECORD_ATOMIC);
}

/* An atomic's neighbour in the same eight bytes may well be plain. */
static void plain_store_over_atomics(const struct cell *cell, unsigned bytes)
{
    for (int half = 0; half < 2; half++)
        for (unsigned i = cell->location[half]; i != 0; i = engine.locations[i].next) {
            struct location *location = &engine.locations[i];
            unsigned own = location->size >= 8 ? 0xff : ((1u << location->size) - 1) << (location->address & 7);
            location->overwritten |= (own & bytes) != 0;
        }
}

void shadow_touch_cell(struct cell *cell, uintptr_t granule, unsigned bytes, unsigned kind, uintptr_t pc)
{
    const struct thread *me = engine.current;
    uint32_t now = me->happened.at[me->id];
    if (engine.tracing && granule == engine.watched && !(kind & RECORD_ATOMIC))
        trace_add(kind & RECORD_WRITE ? "plain write" : "plain read", granule + (unsigned)__builtin_ctz(bytes), 0, "",
                  pc);
    if (cell->run != engine.run)
        open_cell(cell, granule);
    if (cell->dead)
        report_dead(cell, granule, kind, pc);
    if ((kind & (RECORD_WRITE | RECORD_ATOMIC)) == RECORD_WRITE && (cell->location[0] | cell->location[1]))
        plain_store_over_atomics(cell, bytes);
    unsigned kept = 0;
    for (unsigned i = 0; i < cell->count; i++) {
        struct record old = cell->records[i];
        if (races(&old, bytes, kind, me))
            report("data race", granule + (unsigned)__builtin_ctz(old.bytes & bytes), kind, pc, &old);
        if (old.thread == me->id && covers(bytes, kind, &old))
            continue;
        cell->records[kept++] = old;
    }
    if (kept == CELL_RECORDS) {
        for (unsigned i = 1; i < kept; i++)
            cell->records[i - 1] = cell->records[i];
        kept--;
    }
    cell->records[kept++] = (struct record){
        .at = now, .bytes = (uint8_t)bytes, .kind = (uint8_t)kind, .thread = (uint8_t)me->id};
    cell->count = (uint8_t)kept;
}

void shadow_atomic(uintptr_t address, unsigned size, bool write, uintptr_t pc)
{
    unsigned kind = RECORD_ATOMIC | (write ? RECORD_WRITE : 0);
    unsigned offset = address & 7;
    unsigned bytes = size >= 8 ? 0xff : ((1u << size) - 1) << offset;
    shadow_touch_cell(shadow_cell(address), address & ~(uintptr_t)7, bytes & 0xff, kind, pc);
    if (size == 16)
        shadow_touch_cell(shadow_cell(address + 8), (address + 8) & ~(uintptr_t)7, 0xff, kind, pc);
}

static bool is_dead(const struct region *region, size_t index)
{
    size_t page = index * 8 / PAGE;
    if (region->page_freed[page] == engine.run)
        return true;
    return region->page_run[page] == engine.run && (region->touched[index >> 6] >> (index & 63) & 1)
           && region->cells[index].dead;
}

/* Before there is a second thread nothing can race, and all that happens comes before all that
 * follows. Pages are marked for restoring; blocks are looked at where the access begins and where
 * it ends. */
void shadow_alone(uintptr_t address, size_t size, uintptr_t pc)
{
    struct region *region = shadow_region(address);
    if (region == NULL || address + size > region->base + region->size)
        return;
    size_t first = (address - region->base) >> 3, last = (address + size - 1 - region->base) >> 3;
    if (region == &engine.globals || address - region->base >= MAPS_OFFSET)
        for (size_t page = first * 8 / PAGE; page <= last * 8 / PAGE; page++)
            mark_page(region, page);
    if (is_dead(region, first) || (last != first && is_dead(region, last))) {
        uintptr_t granule = region->base + (is_dead(region, first) ? first : last) * 8;
        report_dead(shadow_cell(granule), granule, RECORD_WRITE, pc);
    }
}

static void touch_range(struct region *region, uintptr_t address, size_t size, unsigned kind, uintptr_t pc)
{
    while (size > 0) {
        unsigned offset = address & 7;
        unsigned part = 8 - offset < size ? 8 - offset : (unsigned)size;
        unsigned bytes = ((1u << part) - 1) << offset;
        shadow_touch_cell(&region->cells[(address - region->base) >> 3], address & ~(uintptr_t)7, bytes, kind, pc);
        address += part;
        size -= part;
    }
}

void shadow_range(uintptr_t address, size_t size, bool write, uintptr_t pc)
{
    if (!engine.running || size == 0)
        return;
    struct region *region = shadow_region(address);
    if (engine.thread_count == 1)
        shadow_alone(address, size, pc);
    else if (region != NULL && address + size <= region->base + region->size)
        touch_range(region, address, size, write ? RECORD_WRITE : 0, pc);
}

/* ---- blocks ---- */

static void kill_cell(struct region *region, size_t index, uintptr_t pc)
{
    shadow_touch_cell(&region->cells[index], region->base + index * 8, 0xff, RECORD_WRITE, pc);
    region->cells[index].dead = DEAD_FREED;
}

static void kill_page(struct region *region, size_t page, uintptr_t pc)
{
    for (size_t i = page * (PAGE / 512); i < (page + 1) * (PAGE / 512); i++)
        for (uint64_t rest = region->page_run[page] == engine.run ? region->touched[i] : 0; rest != 0; rest &= rest - 1)
            kill_cell(region, i * 64 + (size_t)__builtin_ctzll(rest), pc);
    region->page_freed[page] = engine.run;
}

void shadow_kill(uintptr_t address, size_t size, uintptr_t pc)
{
    struct region *region = &engine.arena;
    uintptr_t end = address + ((size + 7) & ~(size_t)7);
    while (address < end) {
        if (address % PAGE == 0 && end - address >= PAGE) {
            kill_page(region, (address - region->base) / PAGE, pc);
            address += PAGE;
        } else {
            kill_cell(region, (address - region->base) >> 3, pc);
            address += 8;
        }
    }
}

void shadow_forbid(uintptr_t address, size_t size)
{
    for (uintptr_t at = address; at < address + size; at += 8)
        shadow_cell(at)->dead = DEAD_OUTSIDE;
}

void shadow_revive(uintptr_t address, size_t size)
{
    struct region *region = &engine.arena;
    for (uintptr_t at = address & ~(uintptr_t)7; at < address + size; at += 8) {
        region->page_freed[(at - region->base) / PAGE] = 0;
        struct cell *cell = &region->cells[(at - region->base) >> 3];
        open_cell(cell, at);
    }
}

void shadow_make_shared(uintptr_t address)
{
    const struct region *region = shadow_region(address);
    if (region == NULL || shadow_is_shared(address))
        return;
    size_t granule = (address - region->base) >> 3;
    region->shared[granule >> 3] |= (uint8_t)(1u << (granule & 7));
    engine.grew = true;
}

/* ---- globals ---- */

static void *reserve(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("explorer: mmap");
        __builtin_trap();
    }
    return memory;
}

static void init_region(struct region *region, uintptr_t base, size_t size)
{
    size_t pages = size / PAGE + 1;
    region->base = base;
    region->size = size;
    region->cells = reserve(size / 8 * sizeof(struct cell) + PAGE);
    region->page_run = reserve(pages * sizeof(uint32_t));
    region->page_freed = reserve(pages * sizeof(uint32_t));
    region->touched = reserve(pages * (PAGE / 64));
    region->shared = reserve(size / 64 + PAGE);
}

/* The first object is the executable; its thread-local block ends at the thread pointer. */
static int find_tls(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_TLS)
            continue;
        size_t align = header->p_align ? header->p_align : 1;
        engine.tls_size = (header->p_memsz + align - 1) / align * align;
        engine.tls_live = (char *)__builtin_thread_pointer() - engine.tls_size;
        engine.tls_pristine = reserve(engine.tls_size);
        memcpy(engine.tls_pristine, (const char *)info->dlpi_addr + header->p_vaddr, header->p_filesz);
    }
    return 1;
}

void shadow_init(void)
{
    init_region(&engine.arena, heap_reserve(), ARENA_SIZE);
    uintptr_t base = (uintptr_t)__data_start & ~(uintptr_t)(PAGE - 1);
    size_t size = ((uintptr_t)_end - base + PAGE - 1) & ~(size_t)(PAGE - 1);
    init_region(&engine.globals, base, size);
    engine.foreign = reserve(FOREIGN_CELLS * sizeof(struct cell));
    engine.dirty_pages = reserve(DIRTY_MAX * sizeof(uint32_t));
    engine.always_dirty = reserve(size / PAGE + 1);
    dl_iterate_phdr(find_tls, NULL);
    for (int i = 0; i < THREADS_MAX; i++)
        engine.threads[i].tls = reserve(engine.tls_size + 1);
    engine.pristine = reserve(size);
    memcpy(engine.pristine + ((uintptr_t)__data_start - base), __data_start, (size_t)(_end - __data_start));
}

static void restore_page(size_t page)
{
    uintptr_t from = engine.globals.base + page * PAGE;
    uintptr_t to = from + PAGE;
    if (from - (uintptr_t)&explore_engine < sizeof explore_engine)
        return;
    from = from < (uintptr_t)__data_start ? (uintptr_t)__data_start : from;
    to = to > (uintptr_t)_end ? (uintptr_t)_end : to;
    memcpy((void *)from, engine.pristine + (from - engine.globals.base), to - from);
}

/* Looks for pages of globals that changed without a report; returns how many are new. */
size_t shadow_audit(void)
{
    size_t found = 0;
    for (size_t page = 0; page < engine.globals.size / PAGE; page++) {
        uintptr_t from = engine.globals.base + page * PAGE;
        if (from < (uintptr_t)__data_start || from + PAGE > (uintptr_t)_end
            || from - (uintptr_t)&explore_engine < sizeof explore_engine || engine.always_dirty[page]
            || engine.globals.page_run[page] == engine.run)
            continue;
        if (memcmp((void *)from, engine.pristine + page * PAGE, PAGE) != 0) {
            engine.always_dirty[page] = 1;
            found++;
        }
    }
    return found;
}

void shadow_begin_run(void)
{
    if (engine.run % 1024 == 1)
        (void)shadow_audit();
    for (unsigned i = 0; i < engine.dirty_count; i++) {
        uint32_t page = engine.dirty_pages[i];
        if (page >> 31)
            restore_page(page & ~(1u << 31));
        else if ((size_t)page * PAGE >= MAPS_OFFSET)
            memset((void *)(engine.arena.base + (size_t)page * PAGE), 0, PAGE);
    }
    for (size_t page = 0; page < engine.globals.size / PAGE; page++)
        if (engine.always_dirty[page])
            restore_page(page);
    engine.dirty_count = 0;
    engine.run++;
}
