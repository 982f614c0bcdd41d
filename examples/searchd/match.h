/* SPDX-License-Identifier: Apache-2.0
 *
 * match.h - a regular expression whose every match call ends within a millisecond
 *
 * PCRE2 bounds the search from one place of the subject by its match limit, which counts steps; but a call tries many
 * places, and one step may walk along the whole subject. What takes time is bounded by places times steps times length.
 * So the subject has at most PIECE_BYTES (longer lines are searched in pieces), and a call gets as many places and
 * steps as leave that product below MATCH_BUDGET: first many places with MATCH_LIMIT_EACH steps for each, which is
 * enough for nearly every line of text; where that does not do, the places one by one, with all the steps for one.
 * Between two calls the search may be cancelled. A place that alone exceeds the limit makes the expression too
 * expensive.
 *
 * Bytes are matched, not characters: files need not be UTF-8.
 */
#ifndef SEARCHD_MATCH_H
#define SEARCHD_MATCH_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdbool.h>
#include <stddef.h>

enum { PIECE_BYTES = 1024, PATTERN_BYTES = 1024, MATCH_BUDGET = 2200000,
       MATCH_LIMIT_EACH = 32, MATCH_LIMIT_MOST = 2500 };

struct pattern {
    pcre2_code *code;                            /* NULL: not compiled */
};

/* False: *where and text say what is wrong with it. */
bool pattern_compile(struct pattern *pattern, const char *text, size_t *where, char message[256]);
void pattern_free(struct pattern *pattern);

/* What one thread needs while it matches. */
struct matcher {
    const struct pattern *pattern;
    pcre2_match_data *data;
    pcre2_match_context *context;
    bool (*stop)(void *ctx);                     /* asked between two calls */
    void *ctx;
};

bool matcher_init(struct matcher *matcher, const struct pattern *pattern, bool (*stop)(void *ctx), void *ctx);
void matcher_fini(struct matcher *matcher);

enum match { MATCH_NONE, MATCH_FOUND, MATCH_STOPPED, MATCH_TOO_EXPENSIVE };

/* The first match in a subject of at most PIECE_BYTES. */
enum match matcher_find(struct matcher *matcher, const char *subject, size_t length, size_t *from, size_t *to);

#endif
