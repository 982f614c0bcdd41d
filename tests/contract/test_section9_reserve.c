/* SPDX-License-Identifier: Apache-2.0 */
/* test_section9_reserve.c - section 9: a reserve that no application can have is refused, and has changed nothing */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <cmocka.h>

#include <weir/weir.h>

#include "tests/support/session_fixture.h"

enum { OPS_MAX = (1 << 24) / 64 * 63 };                        /* as the header says */

static _Atomic size_t allocated;

static void *count_alloc(size_t size, size_t align, void *ctx)
{
    (void)ctx;
    allocated += size;
    return aligned_alloc(align, (size + align - 1) / align * align);
}

static void count_release(void *memory, size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    free(memory);
}

static void a_reserve_that_cannot_be_takes_no_memory(void **unused)
{
    (void)unused;
    const uint32_t reserves[] = { OPS_MAX + 1, UINT32_MAX - 62, UINT32_MAX };
    weir_session none = { 77 };
    app = app_open_with(WEIR_NEW(weir_app_options, .workers = 1, .alloc = count_alloc, .release = count_release));
    assert_ok(weir_session_open(app, NULL, &session));         /* the tables' first chunks */
    for (int i = 0; i < 3; i++) {
        size_t before = allocated;
        assert_status(weir_session_open(app, WEIR_NEW(weir_session_options, .reserve = reserves[i]), &none),
                      WEIR_LIMIT);
        assert_int_equal(none.bits, 77);
        assert_int_equal(allocated, before);
    }
    app_close(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reserve_that_cannot_be_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
