/* SPDX-License-Identifier: Apache-2.0 */
/* test_status.c - the numbers stay, every number has a name and a sentence */

#include <weir/status.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_number_is_the_one_that_was_released(void **unused)
{
    (void)unused;
    static const char *const released[] = {
        "WEIR_OK",        "WEIR_AGAIN",     "WEIR_INVALID",  "WEIR_NO_MEMORY",
        "WEIR_LIMIT",     "WEIR_CLOSED",    "WEIR_CLOSING",  "WEIR_STALE",
        "WEIR_BUSY",      "WEIR_FULL",      "WEIR_CANCELED", "WEIR_TIMED_OUT",
        "WEIR_SHUTDOWN",  "WEIR_ABANDONED", "WEIR_FAILED",   "WEIR_ALREADY",
        "WEIR_TOO_LATE",  "WEIR_NOT_FOUND", "WEIR_NOT_SUPPORTED",
        "WEIR_WOULD_DEADLOCK", "WEIR_FORKED", "WEIR_SYSTEM",
    };
    const int count = sizeof(released) / sizeof(released[0]); /* new ones come at the end */
    assert_true(count <= WEIR_STATUS_COUNT);
    for (int i = 0; i < count; i++)
        assert_string_equal(weir_status_name(i), released[i]);
}

static void a_constant_has_the_name_that_it_is_written_with(void **unused)
{
    (void)unused;
    assert_string_equal(weir_status_name(WEIR_OK), "WEIR_OK");
    assert_string_equal(weir_status_name(WEIR_TIMED_OUT), "WEIR_TIMED_OUT");
    assert_string_equal(weir_status_name(WEIR_SYSTEM), "WEIR_SYSTEM");
}

static void success_is_zero_and_everything_else_positive(void **unused)
{
    (void)unused;
    assert_int_equal(WEIR_OK, 0);
#define IS_POSITIVE(name, number, sentence) assert_true(WEIR_##name >= 0);
    WEIR_STATUS_MAP(IS_POSITIVE)
#undef IS_POSITIVE
}

static void every_text_is_one_sentence(void **unused)
{
    (void)unused;
    for (weir_status status = 0; status < WEIR_STATUS_COUNT; status++) {
        const char *text = weir_status_text(status);
        size_t length = strlen(text);
        assert_in_range(text[0], 'A', 'Z');
        assert_ptr_equal(strchr(text, '.'), text + length - 1);
    }
}

static void no_two_statuses_say_the_same(void **unused)
{
    (void)unused;
    for (weir_status a = 0; a < WEIR_STATUS_COUNT; a++)
        for (weir_status b = 0; b < a; b++)
            assert_string_not_equal(weir_status_text(a), weir_status_text(b));
}

static void an_unknown_number_is_called_unknown(void **unused)
{
    (void)unused;
    const weir_status unknown[] = {-1, WEIR_STATUS_COUNT, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        assert_string_equal(weir_status_name(unknown[i]), "WEIR_UNKNOWN");
        assert_non_null(strstr(weir_status_text(unknown[i]), "no status"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_is_the_one_that_was_released),
        cmocka_unit_test(a_constant_has_the_name_that_it_is_written_with),
        cmocka_unit_test(success_is_zero_and_everything_else_positive),
        cmocka_unit_test(every_text_is_one_sentence),
        cmocka_unit_test(no_two_statuses_say_the_same),
        cmocka_unit_test(an_unknown_number_is_called_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
