/* SPDX-License-Identifier: Apache-2.0 */
#include "chunk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "figures.h"

struct chunk *chunk_new(void)
{
    struct chunk *chunk = malloc(sizeof *chunk);
    if (chunk == NULL)
        return NULL;
    chunk->used = 0;
    count_add(&figures.chunk_bytes, sizeof *chunk);
    count_most(&figures.chunk_bytes_most, count_of(&figures.chunk_bytes));
    return chunk;
}

void chunk_free(struct chunk *chunk)
{
    if (chunk == NULL)
        return;
    count_take(&figures.chunk_bytes, sizeof *chunk);
    free(chunk);
}

/* ---- writing: what does not fit sets full, and the line is taken back ---- */

struct writer {
    char *at, *end;
    bool full;
};

static void put(struct writer *w, const char *text, size_t length)
{
    if (w->full || (size_t)(w->end - w->at) < length) {
        w->full = true;
        return;
    }
    memcpy(w->at, text, length);
    w->at += length;
}

static void put_text(struct writer *w, const char *text)
{
    put(w, text, strlen(text));
}

static void put_number(struct writer *w, uint64_t number)
{
    char text[24];
    put(w, text, (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)number));
}

/* How many bytes the character here has; 0: it is no UTF-8. */
static size_t utf8_length(const unsigned char *at, size_t left)
{
    static const struct { unsigned char mask, lead, length; } kinds[] = {
        {0x80, 0x00, 1}, {0xe0, 0xc0, 2}, {0xf0, 0xe0, 3}, {0xf8, 0xf0, 4},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if ((at[0] & kinds[i].mask) != kinds[i].lead)
            continue;
        if (kinds[i].length > left || at[0] == 0xc0 || at[0] == 0xc1 || at[0] > 0xf4)
            return 0;
        for (size_t k = 1; k < kinds[i].length; k++)
            if ((at[k] & 0xc0) != 0x80)
                return 0;
        bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
        bool surrogate = at[0] == 0xed && at[1] >= 0xa0, beyond = at[0] == 0xf4 && at[1] >= 0x90;
        return overlong || surrogate || beyond ? 0 : kinds[i].length;
    }
    return 0;
}

static void put_string(struct writer *w, const char *text, size_t length)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + length;
    put_text(w, "\"");
    while (at < end) {
        char escape[8];
        size_t bytes = utf8_length(at, (size_t)(end - at));
        if (bytes == 0)
            put_text(w, "\\ufffd");
        else if (*at == '"' || *at == '\\')
            put(w, (const char[]){'\\', (char)*at}, 2);
        else if (*at < 0x20)
            put(w, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", *at));
        else
            put(w, (const char *)at, bytes);
        at += bytes > 0 ? bytes : 1;
    }
    put_text(w, "\"");
}

static struct writer begin(struct chunk *chunk)
{
    return (struct writer){.at = chunk->text + chunk->used, .end = chunk->text + CHUNK_BYTES};
}

static bool end(struct chunk *chunk, const struct writer *w)
{
    if (!w->full)
        chunk->used = (size_t)(w->at - chunk->text);
    return !w->full;
}

/* An excerpt that has the beginning of the match in it. */
static void put_excerpt(struct writer *w, const struct found *found)
{
    size_t from = found->from > EXCERPT_BYTES / 2 && found->length > EXCERPT_BYTES ? found->from - EXCERPT_BYTES / 2
                                                                                   : 0;
    size_t length = found->length - from < EXCERPT_BYTES ? found->length - from : EXCERPT_BYTES;
    put_text(w, ",\"text\":");
    put_string(w, found->text + from, length);
    if (length < found->length)
        put_text(w, ",\"cut\":true");
}

bool chunk_add_found(struct chunk *chunk, const struct found *found)
{
    struct writer w = begin(chunk);
    put_text(&w, "{\"file\":");
    put_string(&w, found->path, strlen(found->path));
    put_text(&w, ",\"line\":");
    put_number(&w, found->line);
    put_text(&w, ",\"column\":");
    put_number(&w, found->column);
    put_excerpt(&w, found);
    if (found->piece)
        put_text(&w, ",\"piece\":true");
    put_text(&w, "}\n");
    return end(chunk, &w);
}

bool chunk_add_skipped(struct chunk *chunk, const char *path, const char *why)
{
    struct writer w = begin(chunk);
    put_text(&w, "{\"skipped\":");
    put_string(&w, path, strlen(path));
    put_text(&w, ",\"why\":");
    put_string(&w, why, strlen(why));
    put_text(&w, "}\n");
    return end(chunk, &w);
}
