/* SPDX-License-Identifier: Apache-2.0 */
/* test_memory.c - the hook is asked for what is needed, and told the truth when it is given back */

#include "core/memory.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/child.h"

/* A hook that records, and gives out one static piece of dirty memory or none. */
struct recorder {
    void *gives;
    size_t size, align, released_size;
    void *released;
    int releases;
};

static void *record_alloc(size_t size, size_t align, void *ctx)
{
    struct recorder *r = ctx;
    r->size = size;
    r->align = align;
    return r->gives;
}

static void record_release(void *address, size_t size, void *ctx)
{
    struct recorder *r = ctx;
    r->released = address;
    r->released_size = size;
    r->releases++;
}

static _Alignas(64) unsigned char piece[256];

static void without_a_hook_memory_comes_aligned_and_writable(void **unused)
{
    (void)unused;
    const struct memory m = {NULL, NULL, NULL};
    for (size_t align = 1; align <= 4096; align *= 2)
        for (size_t size = 1; size < 300; size += 37) {
            unsigned char *address = memory_alloc(&m, size, align);
            assert_non_null(address);
            assert_int_equal((uintptr_t)address & (align - 1), 0);
            memset(address, 0xff, size);
            memory_free(&m, address, size);
        }
}

static void cleared_memory_is_zero_whatever_the_hook_gives(void **unused)
{
    (void)unused;
    struct recorder r = {.gives = piece};
    const struct memory m = {record_alloc, record_release, &r};
    memset(piece, 0xff, sizeof(piece));
    unsigned char *address = memory_zalloc(&m, 100, 8);
    assert_ptr_equal(address, piece);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(address[i], 0);
    assert_int_equal(address[100], 0xff); /* and not a byte more */
}

static void the_hook_is_asked_for_what_the_caller_asked(void **unused)
{
    (void)unused;
    struct recorder r = {.gives = piece};
    const struct memory m = {record_alloc, record_release, &r};
    assert_ptr_equal(memory_alloc(&m, 123, 64), piece);
    assert_int_equal(r.size, 123);
    assert_int_equal(r.align, 64);
}

static void the_hook_gets_address_and_size_back(void **unused)
{
    (void)unused;
    struct recorder r = {.gives = piece};
    const struct memory m = {record_alloc, record_release, &r};
    memory_free(&m, memory_alloc(&m, 123, 64), 123);
    assert_int_equal(r.releases, 1);
    assert_ptr_equal(r.released, piece);
    assert_int_equal(r.released_size, 123);
}

static void a_hook_without_memory_is_answered_by_null(void **unused)
{
    (void)unused;
    struct recorder r = {.gives = NULL};
    const struct memory m = {record_alloc, record_release, &r};
    assert_null(memory_alloc(&m, 8, 8));
    assert_null(memory_zalloc(&m, 8, 8));
}

static void a_size_that_cannot_be_rounded_up_is_no_memory(void **unused)
{
    (void)unused;
    const struct memory m = {NULL, NULL, NULL};
    assert_null(memory_alloc(&m, SIZE_MAX, 64));
    assert_null(memory_zalloc(&m, SIZE_MAX - 62, 64));
}

static void giving_back_nothing_does_not_reach_the_hook(void **unused)
{
    (void)unused;
    struct recorder r = {.gives = piece};
    const struct memory m = {record_alloc, record_release, &r};
    memory_free(&m, NULL, 8);
    assert_int_equal(r.releases, 0);
}

static void an_arena_gets_nothing_back(void **unused)
{
    (void)unused;
    struct recorder r = {.gives = piece};
    const struct memory m = {record_alloc, NULL, &r};
    memory_free(&m, memory_alloc(&m, 8, 8), 8); /* libc's free would stop here: piece is static */
    assert_int_equal(r.releases, 0);
}

static void take_memory_from_a_hook_that_ignores_alignment(void)
{
    struct recorder r = {.gives = piece + 1};
    const struct memory m = {record_alloc, record_release, &r};
    (void)memory_alloc(&m, 8, 8);
}

static void a_hook_that_ignores_alignment_is_stopped(void **unused)
{
    (void)unused;
    struct child child = child_run(take_memory_from_a_hook_that_ignores_alignment);
    assert_int_equal(child.signal, SIGABRT);
    assert_non_null(strstr(child.errors, "misuse: the alloc hook"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_hook_memory_comes_aligned_and_writable),
        cmocka_unit_test(cleared_memory_is_zero_whatever_the_hook_gives),
        cmocka_unit_test(the_hook_is_asked_for_what_the_caller_asked),
        cmocka_unit_test(the_hook_gets_address_and_size_back),
        cmocka_unit_test(a_hook_without_memory_is_answered_by_null),
        cmocka_unit_test(a_size_that_cannot_be_rounded_up_is_no_memory),
        cmocka_unit_test(giving_back_nothing_does_not_reach_the_hook),
        cmocka_unit_test(an_arena_gets_nothing_back),
        cmocka_unit_test(a_hook_that_ignores_alignment_is_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
