/* SPDX-License-Identifier: Apache-2.0 */
/* large.c - the largest files below the directory: work that lasts long enough to be cancelled while it runs */
#include <ctype.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "drive.h"

enum { DESCRIPTORS = 32 };

struct large {
    char *path;
    off_t size;
};

/* nftw has no argument of ours to pass on. */
static struct large found[LARGE_FILES];

static int look_at(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)where;
    struct large *least = &found[0];
    for (unsigned i = 1; i < LARGE_FILES; i++)
        least = found[i].size < least->size ? &found[i] : least;
    if (type != FTW_F || !S_ISREG(status->st_mode) || status->st_size <= least->size)
        return 0;
    free(least->path);
    *least = (struct large){.path = strdup(path), .size = status->st_size};
    return 0;
}

/* Everything but letters, digits and slashes as %XX. */
static char *escape(const char *path)
{
    char *text = malloc(3 * strlen(path) + 1), *at = text;
    for (; text != NULL && *path != 0; path++) {
        unsigned char c = (unsigned char)*path;
        if (isalnum(c) || c == '/')
            *at++ = (char)c;
        else
            at += snprintf(at, 4, "%%%02X", c);
    }
    if (at != NULL)
        *at = 0;
    return text;
}

bool large_find(struct drive *drive, const char *directory)
{
    size_t head = strlen(directory);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    if (nftw(directory, look_at, DESCRIPTORS, FTW_PHYS) != 0)
        return false;
    for (unsigned i = 0; i < LARGE_FILES; i++) {
        const char *path = found[i].path != NULL ? found[i].path + head : "";
        while (*path == '/')
            path++;
        char *text = *path != 0 ? escape(path) : NULL;
        if (text != NULL)
            drive->large[drive->large_count++] = text;
        free(found[i].path);
    }
    return drive->large_count > 0;
}
