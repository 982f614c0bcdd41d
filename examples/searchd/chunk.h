/* SPDX-License-Identifier: Apache-2.0
 *
 * chunk.h - lines of JSON, gathered until they are worth sending
 *
 * A line goes in whole or not at all. In an empty chunk there is room for every line: paths and excerpts are bounded.
 */
#ifndef SEARCHD_CHUNK_H
#define SEARCHD_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHUNK_BYTES = 16 * 1024, EXCERPT_BYTES = 240 };

struct chunk {
    size_t used;
    char text[CHUNK_BYTES];
};

struct chunk *chunk_new(void);                   /* NULL: no memory */
void chunk_free(struct chunk *chunk);

struct found {
    const char *path;
    uint64_t line, column;                       /* from 1 */
    const char *text;                            /* the line, or the piece of it that was searched */
    size_t length, from;                         /* its bytes; where the match begins in it */
    bool piece;
};

/* False: it does not fit any more, and nothing was added. */
bool chunk_add_found(struct chunk *chunk, const struct found *found);
bool chunk_add_skipped(struct chunk *chunk, const char *path, const char *why);

#endif
