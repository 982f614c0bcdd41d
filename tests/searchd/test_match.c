/* SPDX-License-Identifier: Apache-2.0 */
/* test_match.c - what one match call may cost, and that the limit costs no match */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "examples/searchd/match.h"

/* A sanitizer's run-time clears shadow memory for what PCRE2 allocates: its time, not PCRE2's. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { TRIES = 20, CALL_NS = 10000000 };
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
enum { TRIES = 20, CALL_NS = 10000000 };
#else
enum { TRIES = 20, CALL_NS = 1000000 };
#endif
#else
enum { TRIES = 20, CALL_NS = 1000000 };
#endif

static int64_t longest;                          /* of the calls that were measured, processor time */

static int64_t processor_time(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int __real_pcre2_match_8(const pcre2_code *code, PCRE2_SPTR subject, PCRE2_SIZE length, PCRE2_SIZE start,
                         uint32_t options, pcre2_match_data *data, pcre2_match_context *context);
int __wrap_pcre2_match_8(const pcre2_code *code, PCRE2_SPTR subject, PCRE2_SIZE length, PCRE2_SIZE start,
                         uint32_t options, pcre2_match_data *data, pcre2_match_context *context);

int __wrap_pcre2_match_8(const pcre2_code *code, PCRE2_SPTR subject, PCRE2_SIZE length, PCRE2_SIZE start,
                         uint32_t options, pcre2_match_data *data, pcre2_match_context *context)
{
    int64_t began = processor_time();
    int result = __real_pcre2_match_8(code, subject, length, start, options, data, context);
    int64_t took = processor_time() - began;
    longest = took > longest ? took : longest;
    return result;
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

static enum match find(const char *text, const char *subject, size_t length, size_t *from)
{
    struct pattern pattern;
    struct matcher matcher;
    char message[256];
    size_t where, to;
    assert_true(pattern_compile(&pattern, text, &where, message));
    assert_true(matcher_init(&matcher, &pattern, never, NULL));
    enum match found = matcher_find(&matcher, subject, length, from, &to);
    matcher_fini(&matcher);
    pattern_free(&pattern);
    return found;
}

/* The machine may be busy: the best of several tries counts. */
static void expect_short_calls(const char *text, const char *subject, size_t length)
{
    int64_t best = INT64_MAX;
    size_t from;
    for (int i = 0; i < TRIES && best > CALL_NS; i++) {
        longest = 0;
        (void)find(text, subject, length, &from);
        best = longest < best ? longest : best;
    }
    if (best > CALL_NS)
        fail_msg("%s on %zu bytes: a call of %lld us", text, length, (long long)best / 1000);
}

static void no_call_takes_longer_than_a_millisecond(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "(a+)+[bc]", "(a|a)*[bc]", "((((a*)*)*)*)*[bc]", "[a-z]*[0-9]", ".*[a-z]*[0-9]", ".*.*.*[0-9]",
        "(?:[a-z]*+[0-9]|.)*[bc]", "((a{1,50}){1,50}){1,50}[bc]", "(?:.*){50}[bc]", "(.{1,511})\\1\\1[bc]",
        "(.*)[xy]\\1[yz]", "(?:(?=.*[bc]))*[cd]", "(?=(a+))a*[bc]\\1", "(a?){100}a{100}[bc]", "[a-z]{500}[xy]",
        "(?R)?a+[bc]", "(?<=a{200})[bc]", "(?i)(?:A|a)+[bc]",
    };
    static const size_t lengths[] = {30, 80, 300, PIECE_BYTES};
    char subject[PIECE_BYTES];
    memset(subject, 'a', sizeof subject);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++)
            expect_short_calls(texts[i], subject, lengths[k]);
}

static void what_runs_away_is_too_expensive(void **state)
{
    (void)state;
    size_t from;
    char subject[60];
    memset(subject, 'a', sizeof subject);
    assert_int_equal(find("(a+)+[bc]", subject, sizeof subject, &from), MATCH_TOO_EXPENSIVE);
}

static void many_places_to_begin_are_not_too_expensive(void **state)
{
    (void)state;
    size_t from;
    char subject[PIECE_BYTES];
    memset(subject, 'a', sizeof subject);
    assert_int_equal(find("a+[bc]", subject, sizeof subject, &from), MATCH_NONE);
    subject[PIECE_BYTES - 1] = 'c';
    assert_int_equal(find("[a]+[bc]", subject, sizeof subject, &from), MATCH_FOUND);
    assert_int_equal(from, 0);
    assert_int_equal(find(".*[bc]$", subject, sizeof subject, &from), MATCH_FOUND);
}

static void the_first_match_is_found_wherever_it_begins(void **state)
{
    (void)state;
    char subject[PIECE_BYTES];
    size_t from;
    for (size_t at = 0; at + 6 <= sizeof subject; at += 13) {
        memset(subject, 'n', sizeof subject);
        memcpy(subject + at, "needle", 6);
        assert_int_equal(find("needle", subject, sizeof subject, &from), MATCH_FOUND);
        assert_int_equal(from, at);
    }
    assert_int_equal(find("x*$", subject, sizeof subject, &from), MATCH_FOUND);
    assert_int_equal(from, sizeof subject);
    assert_int_equal(find("^$", subject, 0, &from), MATCH_FOUND);
}

static bool always(void *ctx)
{
    (*(int *)ctx)++;
    return true;
}

static void a_cancel_is_noticed_between_two_calls(void **state)
{
    (void)state;
    struct pattern pattern;
    struct matcher matcher;
    char message[256], subject[PIECE_BYTES];
    size_t where, from, to;
    int asked = 0;
    memset(subject, 'a', sizeof subject);
    assert_true(pattern_compile(&pattern, "(?:a|a)+[bc]", &where, message));
    assert_true(matcher_init(&matcher, &pattern, always, &asked));
    assert_int_equal(matcher_find(&matcher, subject, sizeof subject, &from, &to), MATCH_STOPPED);
    assert_int_equal(asked, 1);
    matcher_fini(&matcher);
    pattern_free(&pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_call_takes_longer_than_a_millisecond),
        cmocka_unit_test(what_runs_away_is_too_expensive),
        cmocka_unit_test(many_places_to_begin_are_not_too_expensive),
        cmocka_unit_test(the_first_match_is_found_wherever_it_begins),
        cmocka_unit_test(a_cancel_is_noticed_between_two_calls),
    };
    return cmocka_run_group_tests_name("searchd.match", tests, NULL, NULL);
}
