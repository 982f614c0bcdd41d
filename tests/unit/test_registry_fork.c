/* SPDX-License-Identifier: Apache-2.0 */
/* test_registry_fork.c - a child of fork owns nothing, is told so, and may open applications (A3)
 *
 * This program replaces madvise(2) by a function that can refuse, as some sandboxes do. */

#include "core/registry.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"
#include "tests/support/support.h"
#include "tests/unit/registry_fixture.h"

/* ---- the replacement ---- */

static bool advice_is_refused;
static void *advised;
static size_t advised_size;

int madvise(void *address, size_t size, int advice)
{
    if (advice == MADV_WIPEONFORK) {
        advised = address;
        advised_size = size;
        if (advice_is_refused) {
            errno = EINVAL;
            return -1;
        }
    }
    return (int)syscall(SYS_madvise, address, size, advice);
}

/* ---- children: they have no use for the test's assertions, and exit instead ---- */

#define expect(condition) ((condition) ? (void)0 : child_fails(#condition, __LINE__))

static void child_fails(const char *condition, int line)
{
    fprintf(stderr, "child: %s (line %d)\n", condition, line);
    _exit(1);
}

static int exit_code_of_child(void (*run)(void *ctx), void *ctx)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        run(ctx);
        _exit(0);
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

static struct registry_place child_opens(void *app)
{
    struct registry_place place = {0};
    expect(registry_reserve(&place) == WEIR_OK);
    registry_publish(&place, app);
    return place;
}

/* ---- tests ---- */

struct opened {
    int app;
    struct registry_place place;
};

static void expect_all_kinds_forked(void *ctx)
{
    struct opened *o = ctx;
    for (int kind = HANDLE_SESSION; kind <= HANDLE_TOKEN; kind++) {
        uint64_t bits = handle_make((enum handle_kind)kind, o->place.index, 3, 1);
        expect(pin_answer(bits, (enum handle_kind)kind) == WEIR_FORKED);
    }
    expect(pin_answer(registry_handle(&o->place), HANDLE_APP) == WEIR_FORKED);
    expect(pin_answer(registry_handle(&o->place), HANDLE_SESSION) == WEIR_INVALID);
    expect(registry_is_forked(&o->place));
}

static void in_a_child_every_handle_from_before_is_forked(void **unused)
{
    (void)unused;
    struct opened o;
    o.place = open_app(&o.app);
    assert_int_equal(exit_code_of_child(expect_all_kinds_forked, &o), 0);
    assert_false(registry_is_forked(&o.place));
    assert_int_equal(pin_answer(registry_handle(&o.place), HANDLE_APP), WEIR_OK);
    close_app(&o.place);
}

static void open_one_and_use_it(void *ctx)
{
    struct opened *o = ctx;
    int own;
    struct registry_place place = child_opens(&own);
    struct registry_pin pin;
    expect(place.index != o->place.index);
    expect(registry_pin(registry_handle(&place), HANDLE_APP, &pin) == WEIR_OK);
    expect(pin.app == &own);
    registry_unpin(&pin);
    expect(!registry_is_forked(&place));
    expect_all_kinds_forked(o);                     /* still */
    close_app(&place);
    expect(pin_answer(registry_handle(&place), HANDLE_APP) == WEIR_STALE);
    expect_all_kinds_forked(o);
}

static void *pin_beside(void *place)
{
    struct registry_pin pin;
    if (registry_pin(registry_handle(place), HANDLE_APP, &pin) != WEIR_OK)
        return NULL;
    registry_unpin(&pin);
    return pin.pin.shared ? NULL : (void *)pin.pin.count;
}

/* This thread had a row in the parent, which counts nothing here. */
static void pin_in_two_threads(void *unused)
{
    (void)unused;
    int own;
    struct registry_place place = child_opens(&own);
    pthread_t thread;
    void *others;
    expect(pthread_create(&thread, NULL, pin_beside, &place) == 0);
    expect(pthread_join(thread, &others) == 0);
    void *mine = pin_beside(&place);
    expect(mine != NULL && others != NULL && mine != others);
    close_app(&place);
}

static void in_a_child_each_thread_has_a_row_of_its_own(void **unused)
{
    (void)unused;
    struct opened o;
    o.place = open_app(&o.app);
    assert_int_equal(pin_answer(registry_handle(&o.place), HANDLE_APP), WEIR_OK);
    if (!UNDER_SANITIZER)
        assert_int_equal(exit_code_of_child(pin_in_two_threads, NULL), 0);
    close_app(&o.place);
}

static void a_child_may_open_its_own_and_the_old_stay_forked(void **unused)
{
    (void)unused;
    struct opened o;
    o.place = open_app(&o.app);
    assert_int_equal(exit_code_of_child(open_one_and_use_it, &o), 0);
    close_app(&o.place);
}

static void close_a_number_that_was_pinned_at_the_fork(void *ctx)
{
    struct opened *o = ctx;
    int own;
    struct registry_place place[REGISTRY_APPS_MAX];
    for (uint32_t i = 0; i < REGISTRY_APPS_MAX - 1; i++)
        place[i] = child_opens(&own);
    for (uint32_t i = 0; i < REGISTRY_APPS_MAX - 1; i++)
        close_app(&place[i]);
    expect_all_kinds_forked(o);
}

static void a_pin_from_before_the_fork_holds_up_no_close_in_the_child(void **unused)
{
    (void)unused;
    struct opened o;
    struct registry_pin pin;
    o.place = open_app(&o.app);
    assert_int_equal(registry_pin(registry_handle(&o.place), HANDLE_APP, &pin), WEIR_OK);
    assert_int_equal(exit_code_of_child(close_a_number_that_was_pinned_at_the_fork, &o), 0);
    registry_unpin(&pin);
    close_app(&o.place);
}

static void count_what_can_be_opened(void *ctx)
{
    (void)ctx;
    int own;
    struct registry_place place;
    for (int i = 0; i < REGISTRY_APPS_MAX - 2; i++)
        child_opens(&own);
    expect(registry_reserve(&place) == WEIR_LIMIT);
    expect(registry_count().forked == 2);
    expect(registry_count().open == REGISTRY_APPS_MAX - 2);
}

static void a_child_loses_the_numbers_that_were_open_or_half_open(void **unused)
{
    (void)unused;
    int app;
    struct registry_place open = open_app(&app), half_open;
    assert_int_equal(registry_reserve(&half_open), WEIR_OK);
    assert_int_equal(exit_code_of_child(count_what_can_be_opened, NULL), 0);
    registry_free(&half_open, half_open.floor);
    close_app(&open);
    assert_int_equal(registry_count().free, REGISTRY_APPS_MAX);
}

static void open_one_and_fork_again(void *ctx)
{
    struct opened *grandparents = ctx, o;
    o.place = child_opens(&o.app);
    expect(exit_code_of_child(expect_all_kinds_forked, &o) == 0);
    expect(exit_code_of_child(expect_all_kinds_forked, grandparents) == 0);
    expect(exit_code_of_child(open_one_and_use_it, &o) == 0);
    expect(pin_answer(registry_handle(&o.place), HANDLE_APP) == WEIR_OK);
    close_app(&o.place);
}

static void a_grandchild_owns_neither_its_parents_nor_its_grandparents(void **unused)
{
    (void)unused;
    struct opened o;
    o.place = open_app(&o.app);
    assert_int_equal(exit_code_of_child(open_one_and_fork_again, &o), 0);
    close_app(&o.place);
}

static void fork_without_the_kernels_help(void *ctx)
{
    (void)ctx;
    expect(syscall(SYS_madvise, advised, advised_size, MADV_KEEPONFORK) == 0);
    advice_is_refused = true;
    struct opened o;
    errno = ENOTTY;
    o.place = child_opens(&o.app);
    expect(errno == ENOTTY);
    expect(exit_code_of_child(expect_all_kinds_forked, &o) == 0);
    expect(exit_code_of_child(open_one_and_use_it, &o) == 0);
    expect(pin_answer(registry_handle(&o.place), HANDLE_APP) == WEIR_OK);
}

static void where_the_kernel_refuses_the_advice_a_fork_is_noticed_all_the_same(void **unused)
{
    (void)unused;
    struct opened o;
    o.place = open_app(&o.app);
    assert_non_null(advised);
    assert_int_equal(exit_code_of_child(fork_without_the_kernels_help, NULL), 0);
    close_app(&o.place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_a_child_every_handle_from_before_is_forked),
        cmocka_unit_test(a_child_may_open_its_own_and_the_old_stay_forked),
        cmocka_unit_test(in_a_child_each_thread_has_a_row_of_its_own),
        cmocka_unit_test(a_pin_from_before_the_fork_holds_up_no_close_in_the_child),
        cmocka_unit_test(a_child_loses_the_numbers_that_were_open_or_half_open),
        cmocka_unit_test(a_grandchild_owns_neither_its_parents_nor_its_grandparents),
        cmocka_unit_test(where_the_kernel_refuses_the_advice_a_fork_is_noticed_all_the_same),
    };
    return cmocka_run_group_tests_name("registry_fork", tests, NULL, NULL);
}
