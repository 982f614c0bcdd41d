/* SPDX-License-Identifier: Apache-2.0 */
/* test_log.c - whole lines, to the hook or to standard error */

#include "core/log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/child.h"

struct recorder {
    int lines;
    int level;
    char line[LOG_LINE_MAX + 1];
};

static void record_line(int level, const char *line, void *ctx)
{
    struct recorder *r = ctx;
    r->lines++;
    r->level = level;
    strncpy(r->line, line, LOG_LINE_MAX);
    errno = EDOM; /* hooks may spoil it */
}

static void the_hook_gets_level_and_formatted_line(void **unused)
{
    (void)unused;
    struct recorder r = {0};
    const struct log l = {record_line, &r};
    log_line(&l, LOG_LEVEL_WARNING, "close waits for %d operations of %s", 3, "db");
    assert_int_equal(r.lines, 1);
    assert_int_equal(r.level, LOG_LEVEL_WARNING);
    assert_string_equal(r.line, "close waits for 3 operations of db");
}

static void the_hook_gets_every_level(void **unused)
{
    (void)unused;
    struct recorder r = {0};
    const struct log l = {record_line, &r};
    log_line(&l, LOG_LEVEL_ERROR, "a");
    log_line(&l, LOG_LEVEL_INFO, "b");
    assert_int_equal(r.lines, 2);
}

static void the_longest_line_arrives_whole(void **unused)
{
    (void)unused;
    struct recorder r = {0};
    const struct log l = {record_line, &r};
    log_line(&l, LOG_LEVEL_INFO, "%*s", LOG_LINE_MAX - 1, "end");
    assert_int_equal(strlen(r.line), LOG_LINE_MAX - 1);
    assert_string_equal(r.line + LOG_LINE_MAX - 1 - 4, " end");
}

static void a_longer_line_is_cut_and_says_so(void **unused)
{
    (void)unused;
    struct recorder r = {0};
    const struct log l = {record_line, &r};
    log_line(&l, LOG_LEVEL_INFO, "%*s", LOG_LINE_MAX, "end");
    assert_int_equal(strlen(r.line), LOG_LINE_MAX - 1);
    assert_string_equal(r.line + LOG_LINE_MAX - 1 - 4, " ...");
}

static void logging_preserves_errno(void **unused)
{
    (void)unused;
    struct recorder r = {0};
    const struct log l = {record_line, &r};
    errno = EAGAIN;
    log_line(&l, LOG_LEVEL_ERROR, "anything");
    assert_int_equal(errno, EAGAIN);
}

static void log_two_lines_without_a_hook(void)
{
    const struct log l = {NULL, NULL};
    log_line(&l, LOG_LEVEL_WARNING, "slow %s", "close");
    log_line(&l, LOG_LEVEL_ERROR, "broken");
}

static void log_information_without_a_hook(void)
{
    const struct log l = {NULL, NULL};
    log_line(&l, LOG_LEVEL_INFO, "all is well");
}

static void without_a_hook_warnings_go_to_standard_error(void **unused)
{
    (void)unused;
    struct child child = child_run(log_two_lines_without_a_hook);
    assert_string_equal(child.errors, "weir: slow close\nweir: broken\n");
}

static void without_a_hook_information_goes_nowhere(void **unused)
{
    (void)unused;
    struct child child = child_run(log_information_without_a_hook);
    assert_string_equal(child.errors, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hook_gets_level_and_formatted_line),
        cmocka_unit_test(the_hook_gets_every_level),
        cmocka_unit_test(the_longest_line_arrives_whole),
        cmocka_unit_test(a_longer_line_is_cut_and_says_so),
        cmocka_unit_test(logging_preserves_errno),
        cmocka_unit_test(without_a_hook_warnings_go_to_standard_error),
        cmocka_unit_test(without_a_hook_information_goes_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
