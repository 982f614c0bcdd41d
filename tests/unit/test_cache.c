/* SPDX-License-Identifier: Apache-2.0 */
/* test_cache.c - padding separates, hints are harmless */

#include "core/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct two_words {
    CACHE_ALIGNED uint32_t first;
    CACHE_ALIGNED uint32_t second;
};

static void aligned_words_do_not_share_a_line(void **unused)
{
    (void)unused;
    struct two_words words[2];
    assert_int_equal((uintptr_t)&words[0].first / CACHE_LINE + 1,
                     (uintptr_t)&words[0].second / CACHE_LINE);
    assert_int_equal((uintptr_t)&words[0].second / CACHE_LINE + 1,
                     (uintptr_t)&words[1].first / CACHE_LINE);
}

static void hints_about_any_address_are_harmless(void **unused)
{
    (void)unused;
    int here = 42;
    const void *const addresses[] = {NULL, &here, &here + 1, (const void *)UINTPTR_MAX};
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        cache_prefetch(addresses[i]);
        cache_prefetch_write(addresses[i]);
        cpu_relax();
    }
    assert_int_equal(here, 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligned_words_do_not_share_a_line),
        cmocka_unit_test(hints_about_any_address_are_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
