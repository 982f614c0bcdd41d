/* SPDX-License-Identifier: Apache-2.0 */
/* trace.c - the interleaving of a violating run
 *
 * Nothing is recorded while searching. A violating run is run once more from its choices, and then
 * every step is; of the plain accesses those to the place the violation is about.
 *
 * Names of globals come from the executable's own symbol table, source lines from addr2line(1),
 * asked once for all addresses. Without it, or when stripped, addresses are printed. */
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "heap.h"

enum { EVENTS_MAX = 1 << 16, PRINTED_MAX = 250, PLACES_MAX = 512, PLACE_SIZE = 120 };

struct event {
    const char *what, *order;
    uintptr_t address, pc;
    word value;
    int thread;
};
struct place {
    uintptr_t pc;
    char text[PLACE_SIZE];
};
struct trace {
    uint64_t count;
    const ElfW(Sym) * symbols;
    size_t symbol_count;
    const char *strings;
    uintptr_t load_bias;
    unsigned place_count;
    struct place places[PLACES_MAX];
    struct event events[EVENTS_MAX];
};
#define trace (*engine.recorder)

/* ---- symbols ---- */

static int find_bias(struct dl_phdr_info *info, size_t size, void *bias)
{
    (void)size;
    *(uintptr_t *)bias = info->dlpi_addr;
    return 1;
}

static void read_symbols(const char *image)
{
    const ElfW(Ehdr) *header = (const void *)image;
    const ElfW(Shdr) *sections = (const void *)(image + header->e_shoff);
    for (int i = 0; i < header->e_shnum; i++)
        if (sections[i].sh_type == SHT_SYMTAB) {
            trace.symbols = (const void *)(image + sections[i].sh_offset);
            trace.symbol_count = sections[i].sh_size / sizeof *trace.symbols;
            trace.strings = image + sections[sections[i].sh_link].sh_offset;
        }
}

void trace_init(void)
{
    engine.recorder = mmap(NULL, sizeof trace, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                           0);
    if (engine.recorder == MAP_FAILED)
        abort();
    dl_iterate_phdr(find_bias, &trace.load_bias);
    struct stat file;
    int fd = open("/proc/self/exe", O_RDONLY);
    if (fd < 0)
        return;
    if (fstat(fd, &file) == 0) {
        const char *image = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (image != MAP_FAILED)
            read_symbols(image);
    }
    close(fd);
}

static bool describe_global(uintptr_t address, char *buffer, size_t size)
{
    uintptr_t at = address - trace.load_bias;
    for (size_t i = 0; i < trace.symbol_count; i++) {
        const ElfW(Sym) *s = &trace.symbols[i];
        if (ELF64_ST_TYPE(s->st_info) != STT_OBJECT || at - s->st_value >= s->st_size)
            continue;
        int length = snprintf(buffer, size, "%s", trace.strings + s->st_name);
        if (at != s->st_value && length > 0 && (size_t)length < size)
            (void)snprintf(buffer + length, size - (size_t)length, "+%zu", (size_t)(at - s->st_value));
        return true;
    }
    return false;
}

const char *trace_name(uintptr_t address, char *buffer, size_t size)
{
    if (address < 2 * PAGE)
        (void)snprintf(buffer, size, "%zu", (size_t)address);
    else if (!heap_describe(address, buffer, size) && !describe_global(address, buffer, size))
        (void)snprintf(buffer, size, "%#zx", (size_t)address);
    return buffer;
}

/* ---- source lines ---- */

uintptr_t trace_file_address(uintptr_t pc)
{
    return pc - trace.load_bias - 1;
}

static const struct place *known_place(uintptr_t pc)
{
    for (unsigned i = 0; i < trace.place_count; i++)
        if (trace.places[i].pc == pc)
            return &trace.places[i];
    return NULL;
}

static void want_place(uintptr_t pc)
{
    if (pc == 0 || trace.place_count == PLACES_MAX || known_place(pc) != NULL)
        return;
    struct place *place = &trace.places[trace.place_count++];
    place->pc = pc;
    (void)snprintf(place->text, sizeof place->text, "%#zx", (size_t)trace_file_address(pc));
}

static const char *last_parts(const char *path) /* directory and file are enough to find it */
{
    const char *slash = strrchr(path, '/');
    while (slash != NULL && slash > path && slash[-1] != '/')
        slash--;
    return slash == NULL ? path : slash;
}

/* addr2line -a -f prints per address: the address, the function, file:line. */
static void resolve_places(unsigned first)
{
    char command[8192];
    size_t used = (size_t)snprintf(command, sizeof command, "addr2line -a -f -e /proc/%d/exe", (int)getpid());
    unsigned end = first;
    for (; end < trace.place_count && used < sizeof command - 64; end++)
        used += (size_t)snprintf(command + used, sizeof command - used, " %#zx",
                                 (size_t)trace_file_address(trace.places[end].pc));
    (void)snprintf(command + used, sizeof command - used, " 2>/dev/null");
    FILE *pipe = popen(command, "r");
    char address[64], function[256], line[512];
    for (unsigned i = first; pipe != NULL && i < end; i++) {
        if (fgets(address, sizeof address, pipe) == NULL || fgets(function, sizeof function, pipe) == NULL
            || fgets(line, sizeof line, pipe) == NULL)
            break;
        function[strcspn(function, "\n")] = '\0';
        line[strcspn(line, " \n")] = '\0';
        if (line[0] != '?')
            (void)snprintf(trace.places[i].text, PLACE_SIZE, "%.80s (%.36s)", last_parts(line), function);
    }
    if (pipe != NULL)
        (void)pclose(pipe);
    if (end < trace.place_count && pipe != NULL)
        resolve_places(end);
}

/* Inside a run nothing may be asked: leave a mark. */
const char *trace_place(uintptr_t pc, char *buffer, size_t size)
{
    (void)snprintf(buffer, size, "{%zx}", (size_t)pc);
    return buffer;
}

void trace_expand(char *text, size_t size)
{
    char *copy = strndup(text, size);
    size_t used = 0;
    for (const char *from = copy; copy != NULL && *from != '\0' && used + 1 < size;) {
        char *end;
        uintptr_t pc = *from == '{' ? (uintptr_t)strtoull(from + 1, &end, 16) : 0;
        if (pc == 0 || *end != '}') {
            text[used++] = *from++;
            continue;
        }
        unsigned before = trace.place_count;
        want_place(pc);
        if (trace.place_count > before)
            resolve_places(before);
        const struct place *place = known_place(pc);
        int length = snprintf(text + used, size - used, "%s", place ? place->text : "?");
        used += length > 0 ? (size_t)length : 0;
        from = end + 1;
    }
    text[used < size ? used : size - 1] = '\0';
    free(copy);
}

/* ---- events ---- */

const char *order_name(int order)
{
    static const char *const names[] = {"relaxed", "consume", "acquire", "release", "acq_rel", "seq_cst"};
    return order >= 0 && order < 6 ? names[order] : "?";
}

void trace_begin(void)
{
    engine.tracing = true;
    trace.count = 0;
}

void trace_add(const char *what, uintptr_t address, word value, const char *order, uintptr_t pc)
{
    trace.events[trace.count++ % EVENTS_MAX] = (struct event){what, order, address, pc, value, engine.current->id};
}

static void print_event(uint64_t number, const struct event *event)
{
    char name[96] = "", value[64] = "", line[240];
    if (event->address != 0)
        (void)trace_name(event->address, name, sizeof name);
    if (event->value >> 64)
        (void)snprintf(value, sizeof value, "%#llx:%016llx", (unsigned long long)(event->value >> 64),
                       (unsigned long long)event->value);
    else
        (void)snprintf(value, sizeof value, event->value < 4096 ? "%llu" : "%#llx", (unsigned long long)event->value);
    (void)snprintf(line, sizeof line, "%*sT%d %s%s%s %s%s%s", event->thread * 6, "", event->thread, event->what,
                   *event->order ? " " : "", event->order, name, *name && (*event->order || event->value) ? " = " : " ",
                   *event->order || event->value ? value : "");
    const struct place *place = known_place(event->pc);
    printf("  %5llu  %-78s %s\n", (unsigned long long)number, line, place ? place->text : "");
}

static bool equal_events(const struct event *a, const struct event *b)
{
    return a->what == b->what && a->address == b->address && a->value == b->value && a->pc == b->pc
           && a->thread == b->thread;
}

void trace_print(void)
{
    uint64_t first = trace.count > PRINTED_MAX ? trace.count - PRINTED_MAX : 0;
    unsigned before = trace.place_count;
    for (uint64_t i = first; i < trace.count; i++)
        want_place(trace.events[i % EVENTS_MAX].pc);
    if (trace.place_count > before)
        resolve_places(before);
    if (first > 0)
        printf("  (%llu steps before these are left out)\n", (unsigned long long)first);
    for (uint64_t i = first, same; i < trace.count; i += same) {
        const struct event *event = &trace.events[i % EVENTS_MAX];
        for (same = 1; i + same < trace.count; same++)
            if (!equal_events(event, &trace.events[(i + same) % EVENTS_MAX]))
                break;
        print_event(i, event);
        if (same > 1)
            printf("         (%llu times)\n", (unsigned long long)same);
    }
}
