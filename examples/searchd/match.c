/* SPDX-License-Identifier: Apache-2.0 */
#include "match.h"

enum { HEAP_LIMIT_KIB = 2048 };

bool pattern_compile(struct pattern *pattern, const char *text, size_t *where, char message[256])
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    int error = PCRE2_ERROR_NOMEMORY;
    *where = 0;
    if (context != NULL) {
        (void)pcre2_set_max_pattern_length(context, PATTERN_BYTES);
        (void)pcre2_set_parens_nest_limit(context, 64);
        pattern->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
                                      PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT, &error,
                                      where, context);
        pcre2_compile_context_free(context);
    } else
        pattern->code = NULL;
    if (pattern->code == NULL)
        (void)pcre2_get_error_message(error, (PCRE2_UCHAR *)message, 256);
    return pattern->code != NULL;
}

void pattern_free(struct pattern *pattern)
{
    pcre2_code_free(pattern->code);
    pattern->code = NULL;
}

bool matcher_init(struct matcher *matcher, const struct pattern *pattern, bool (*stop)(void *ctx), void *ctx)
{
    *matcher = (struct matcher){.pattern = pattern, .stop = stop, .ctx = ctx};
    matcher->data = pcre2_match_data_create(1, NULL);
    matcher->context = pcre2_match_context_create(NULL);
    if (matcher->data == NULL || matcher->context == NULL) {
        matcher_fini(matcher);
        return false;
    }
    (void)pcre2_set_heap_limit(matcher->context, HEAP_LIMIT_KIB);
    return true;
}

void matcher_fini(struct matcher *matcher)
{
    pcre2_match_data_free(matcher->data);
    pcre2_match_context_free(matcher->context);
}

/* What one place to begin may cost at most, in steps, when it has a call of its own. */
static size_t limit_alone(size_t length)
{
    size_t limit = MATCH_BUDGET / (length + 1);
    return limit < MATCH_LIMIT_MOST ? limit : MATCH_LIMIT_MOST;
}

/* Beginning at from at the earliest, and at last at the latest. */
static int call(struct matcher *matcher, const char *subject, size_t length, size_t from, size_t last, size_t limit)
{
    (void)pcre2_set_match_limit(matcher->context, (uint32_t)limit);
    (void)pcre2_set_offset_limit(matcher->context, last);
    return pcre2_match(matcher->pattern->code, (PCRE2_SPTR)subject, length, from, PCRE2_NO_UTF_CHECK, matcher->data,
                       matcher->context);
}

static enum match find_one_by_one(struct matcher *matcher, const char *subject, size_t length, size_t from,
                                  size_t last)
{
    for (size_t at = from; at <= last; at++) {
        if (matcher->stop(matcher->ctx))
            return MATCH_STOPPED;
        int result = call(matcher, subject, length, at, at, limit_alone(length));
        if (result >= 0)
            return MATCH_FOUND;
        if (result != PCRE2_ERROR_NOMATCH)
            return MATCH_TOO_EXPENSIVE;
    }
    return MATCH_NONE;
}

/* Many places in one call, of which each may cost a little. */
static enum match find(struct matcher *matcher, const char *subject, size_t length)
{
    size_t places = MATCH_BUDGET / MATCH_LIMIT_EACH / (length + 1) + 1;
    enum match found = MATCH_NONE;
    for (size_t from = 0; from <= length && found == MATCH_NONE; from += places) {
        size_t last = from + places - 1 < length ? from + places - 1 : length;
        int result = call(matcher, subject, length, from, last, MATCH_LIMIT_EACH);
        if (result >= 0)
            found = MATCH_FOUND;
        else if (result != PCRE2_ERROR_NOMATCH)
            found = find_one_by_one(matcher, subject, length, from, last);
    }
    return found;
}

enum match matcher_find(struct matcher *matcher, const char *subject, size_t length, size_t *from, size_t *to)
{
    enum match found = find(matcher, subject, length);
    if (found == MATCH_FOUND) {
        const PCRE2_SIZE *vector = pcre2_get_ovector_pointer(matcher->data);
        *from = vector[0] < length ? vector[0] : length;       /* \K may put the start behind the end */
        *to = vector[1] > *from ? vector[1] : *from;
    }
    return found;
}
