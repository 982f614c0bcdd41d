/* SPDX-License-Identifier: Apache-2.0 */
/* sites.c - the atomic accesses by the places in the program that make them
 *
 * The compiler hands over the order of an atomic access as an argument of a call. So another order can be tried without
 * compiling anything, and a search can tell which of the accesses it has taken: it is how tests/mutants finds in
 * seconds what otherwise costs a build.
 *
 * A site is the address of such a call in the file, as addr2line(1) wants it. Inlining makes several of one line of
 * source, and then all of them are meant. `--sites` prints those that a search has met while there was anybody to see
 * it; `--weaken 1:0:1a2b,1a90` gives the accesses at two of them the order 0 in the place of their first (2: a
 * compare-exchange's order of failure). The numbers of orders are the compiler's: __ATOMIC_RELAXED and so on. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "engine.h"

enum { SITES_MAX = 1 << 14, PLANTED_MAX = 128 };

struct sites {
    bool recording;
    int which, order; /* of the planted ones */
    unsigned planted_count;
    uintptr_t planted[PLANTED_MAX];
    uintptr_t met[SITES_MAX]; /* open addressing; 0: free */
};

static struct sites *get_sites(void)
{
    if (engine.sites == NULL)
        engine.sites = mmap(NULL, sizeof *engine.sites, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (engine.sites == MAP_FAILED)
        abort();
    return engine.sites;
}

static void record(uintptr_t pc)
{
    for (size_t i = pc * 0x9E3779B97F4A7C15u >> 50, tries = 0; tries < SITES_MAX; i++, tries++) {
        uintptr_t *entry = &engine.sites->met[i % SITES_MAX];
        if (*entry == 0)
            *entry = pc;
        if (*entry == pc)
            return;
    }
}

int site_order(uintptr_t pc, int which, int order)
{
    const struct sites *sites = engine.sites;
    if (sites->recording && !engine.learning)
        record(pc);
    if (which == sites->which)
        for (unsigned i = 0; i < sites->planted_count; i++)
            if (sites->planted[i] == trace_file_address(pc))
                return sites->order;
    return order;
}

void sites_record(void)
{
    get_sites()->recording = true;
}

void sites_print(void)
{
    for (size_t i = 0; engine.sites != NULL && engine.sites->recording && i < SITES_MAX; i++)
        if (engine.sites->met[i] != 0)
            printf("site %zx\n", (size_t)trace_file_address(engine.sites->met[i]));
}

bool sites_weaken(const char *text)
{
    struct sites *sites = get_sites();
    int used = 0;
    if (sscanf(text, "%d:%d:%n", &sites->which, &sites->order, &used) != 2 || used == 0)
        return false;
    for (const char *at = text + used; *at != '\0';) {
        char *end;
        uintptr_t address = (uintptr_t)strtoull(at, &end, 16);
        if (end == at || sites->planted_count == PLANTED_MAX)
            return false;
        sites->planted[sites->planted_count++] = address;
        at = *end == ',' ? end + 1 : end;
    }
    return sites->planted_count > 0;
}
