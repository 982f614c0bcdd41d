/* SPDX-License-Identifier: Apache-2.0 */
/* test_registry.c - the table of applications: lives, pins, reuse of numbers, limits
 *
 * The table is one per process, so each test leaves nothing open behind. */

#include "core/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/slots.h"
#include "tests/support/support.h"
#include "tests/unit/registry_fixture.h"

/* ---- before anything was opened: the first test of the program ---- */

static void before_the_first_application_every_handle_is_stale(void **unused)
{
    (void)unused;
    assert_int_equal(pin_answer(handle_make(HANDLE_APP, 1, 0, 1), HANDLE_APP), WEIR_STALE);
    assert_int_equal(pin_answer(handle_make(HANDLE_OP, 63, 5, 1), HANDLE_OP), WEIR_STALE);
    assert_int_equal(pin_answer(0, HANDLE_OP), WEIR_INVALID);
}

/* ---- one application ---- */

static void a_pin_leads_to_the_application(void **unused)
{
    (void)unused;
    int app;
    struct registry_place place = open_app(&app);
    struct registry_pin pin;
    assert_int_equal(registry_pin(registry_handle(&place), HANDLE_APP, &pin), WEIR_OK);
    assert_ptr_equal(pin.app, &app);
    registry_unpin(&pin);
    close_app(&place);
}

static void handles_of_all_kinds_lead_to_their_application(void **unused)
{
    (void)unused;
    int app;
    struct registry_place place = open_app(&app);
    for (int kind = HANDLE_SESSION; kind <= HANDLE_TOKEN; kind++) {
        struct registry_pin pin;
        uint64_t bits = handle_make((enum handle_kind)kind, place.index, 1234, 5);
        assert_int_equal(registry_pin(bits, (enum handle_kind)kind, &pin), WEIR_OK);
        assert_ptr_equal(pin.app, &app);
        registry_unpin(&pin);
    }
    close_app(&place);
}

static void pins_nest(void **unused)
{
    (void)unused;
    int app;
    struct registry_place place = open_app(&app);
    struct registry_pin outer, inner;
    assert_int_equal(registry_pin(registry_handle(&place), HANDLE_APP, &outer), WEIR_OK);
    assert_int_equal(registry_pin(registry_handle(&place), HANDLE_APP, &inner), WEIR_OK);
    registry_unpin(&inner);
    registry_unpin(&outer);
    close_app(&place);
}

static void a_pattern_that_is_no_handle_of_the_kind_is_invalid(void **unused)
{
    (void)unused;
    int app;
    struct registry_place place = open_app(&app);
    uint64_t handle = registry_handle(&place);
    assert_int_equal(pin_answer(handle, HANDLE_SESSION), WEIR_INVALID);
    assert_int_equal(pin_answer(handle_as(handle, HANDLE_OP), HANDLE_APP), WEIR_INVALID);
    assert_int_equal(pin_answer(0, HANDLE_APP), WEIR_INVALID);
    close_app(&place);
}

static void any_pattern_may_be_passed(void **unused)
{
    (void)unused;
    int app;
    struct registry_place place = open_app(&app);
    uint64_t random = test_seed();
    for (int i = 0; i < 100 * 1000; i++) {
        uint64_t bits = test_random(&random);
        for (int kind = HANDLE_APP; kind <= HANDLE_TOKEN; kind++) {
            struct registry_pin pin;
            weir_status status = registry_pin(bits, (enum handle_kind)kind, &pin);
            bool fits = handle_is_plausible(bits, (enum handle_kind)kind);
            bool lives = handle_app(bits) == place.index &&
                         (kind != HANDLE_APP || bits == registry_handle(&place));
            assert_int_equal(status, !fits ? WEIR_INVALID : lives ? WEIR_OK : WEIR_STALE);
            if (status == WEIR_OK)
                registry_unpin(&pin);
        }
    }
    close_app(&place);
}

static void a_refused_pin_leaves_its_output_alone(void **unused)
{
    (void)unused;
    struct registry_pin pin = {.app = &pin};
    assert_int_equal(registry_pin(0, HANDLE_APP, &pin), WEIR_INVALID);
    assert_ptr_equal(pin.app, &pin);
}

static void what_is_reserved_cannot_be_pinned_yet(void **unused)
{
    (void)unused;
    int app;
    struct registry_place place;
    assert_int_equal(registry_reserve(&place), WEIR_OK);
    uint64_t session = handle_make(HANDLE_SESSION, place.index, 0, 1);
    assert_int_equal(pin_answer(registry_handle(&place), HANDLE_APP), WEIR_STALE);
    assert_int_equal(pin_answer(session, HANDLE_SESSION), WEIR_STALE);
    registry_publish(&place, &app);
    assert_int_equal(pin_answer(registry_handle(&place), HANDLE_APP), WEIR_OK);
    assert_int_equal(pin_answer(session, HANDLE_SESSION), WEIR_OK);
    close_app(&place);
}

static void an_open_that_fails_gives_its_number_back(void **unused)
{
    (void)unused;
    uint32_t free = registry_count().free;
    struct registry_place place;
    assert_int_equal(registry_reserve(&place), WEIR_OK);
    assert_int_equal(registry_count().free, free - 1);
    registry_free(&place, place.floor);
    assert_int_equal(registry_count().free, free);
}

/* ---- close ---- */

static void after_the_close_every_handle_is_stale(void **unused)
{
    (void)unused;
    int app;
    struct registry_place place = open_app(&app);
    uint64_t session = handle_make(HANDLE_SESSION, place.index, 0, 1);
    registry_close(&place);
    assert_int_equal(pin_answer(registry_handle(&place), HANDLE_APP), WEIR_STALE);
    assert_int_equal(pin_answer(session, HANDLE_SESSION), WEIR_STALE);
    registry_free(&place, place.floor);
    assert_int_equal(pin_answer(registry_handle(&place), HANDLE_APP), WEIR_STALE);
    assert_int_equal(pin_answer(session, HANDLE_SESSION), WEIR_STALE);
}

static void between_shut_and_close_only_closers_come_in(void **unused)
{
    (void)unused;
    int app;
    struct registry_place place = open_app(&app);
    struct registry_pin pin;
    registry_shut(&place);
    assert_int_equal(registry_count().shut, 1);
    assert_int_equal(pin_answer(registry_handle(&place), HANDLE_APP), WEIR_SHUTDOWN);
    assert_int_equal(registry_pin_closer(registry_handle(&place), &pin), WEIR_OK);
    assert_ptr_equal(pin.app, &app);
    registry_unpin(&pin);
    close_app(&place);
    assert_int_equal(registry_pin_closer(registry_handle(&place), &pin), WEIR_STALE);
}

static void between_shut_and_close_what_was_in_sessions_is_stale(void **unused)
{
    (void)unused;
    int app;
    struct registry_place place = open_app(&app);
    registry_shut(&place);
    for (int kind = HANDLE_SESSION; kind <= HANDLE_TOKEN; kind++) {
        uint64_t bits = handle_make((enum handle_kind)kind, place.index, 0, 1);
        assert_int_equal(pin_answer(bits, (enum handle_kind)kind),
                         kind == HANDLE_QUEUE ? WEIR_SHUTDOWN : WEIR_STALE);
    }
    close_app(&place);
}

static void a_closer_needs_the_applications_own_handle(void **unused)
{
    (void)unused;
    int app;
    struct registry_place place = open_app(&app);
    struct registry_pin pin;
    uint64_t other_life = handle_make(HANDLE_APP, place.index, 0, place.generation + 1);
    uint64_t session = handle_make(HANDLE_SESSION, place.index, 0, 1);
    assert_int_equal(registry_pin_closer(other_life, &pin), WEIR_STALE);
    assert_int_equal(registry_pin_closer(session, &pin), WEIR_INVALID);
    close_app(&place);
}

struct closing {
    struct registry_place place;
    _Atomic bool closed;
};

static void *close_and_tell(void *arg)
{
    struct closing *c = arg;
    registry_close(&c->place);
    atomic_store(&c->closed, true);
    return NULL;
}

static void a_close_waits_until_who_is_inside_has_left(void **unused)
{
    (void)unused;
    int app;
    struct closing c = {.place = open_app(&app)};
    struct registry_pin pin;
    assert_int_equal(registry_pin(registry_handle(&c.place), HANDLE_APP, &pin), WEIR_OK);
    pthread_t closer = thread_start(close_and_tell, &c);
    while (registry_count().closing == 0)
        sched_yield();
    for (int i = 0; i < 1000; i++) {                /* past its spinning and its yielding */
        assert_false(atomic_load(&c.closed));
        sched_yield();
    }
    registry_unpin(&pin);
    thread_join(closer);
    assert_true(atomic_load(&c.closed));
    registry_free(&c.place, c.place.floor);
}

static void a_close_that_waits_lets_nobody_in(void **unused)
{
    (void)unused;
    int app;
    struct closing c = {.place = open_app(&app)};
    struct registry_pin pin;
    assert_int_equal(registry_pin(registry_handle(&c.place), HANDLE_APP, &pin), WEIR_OK);
    pthread_t closer = thread_start(close_and_tell, &c);
    while (registry_count().closing == 0)
        sched_yield();
    assert_int_equal(pin_answer(registry_handle(&c.place), HANDLE_APP), WEIR_STALE);
    registry_unpin(&pin);
    thread_join(closer);
    registry_free(&c.place, c.place.floor);
}

/* ---- more threads than rows ---- */

enum { CROWD = PINS_ROWS + 20 };

static uint64_t crowd_handle;
static struct tally crowd_inside = TALLY_INIT;
static struct gate crowd_leaves = GATE_INIT;
static _Atomic uint32_t crowd_shared;

static void *stay_inside(void *unused)
{
    struct registry_pin pin;
    if (registry_pin(crowd_handle, HANDLE_APP, &pin) != WEIR_OK)
        return NULL;
    atomic_fetch_add(&crowd_shared, pin.pin.shared);
    tally_add(&crowd_inside, 1);
    gate_wait(&crowd_leaves);
    registry_unpin(&pin);
    return unused;
}

static void a_close_waits_for_threads_with_and_without_a_row_of_their_own(void **unused)
{
    (void)unused;
    int app;
    struct registry_place place = open_app(&app);
    pthread_t crowd[CROWD];
    crowd_handle = registry_handle(&place);
    for (int i = 0; i < CROWD; i++)
        crowd[i] = thread_start(stay_inside, NULL);
    tally_wait(&crowd_inside, CROWD);
    assert_in_range(atomic_load(&crowd_shared), CROWD - PINS_ROWS + PINS_SHARED_ROWS, CROWD - 1);
    assert_false(registry_shut_until(&place, 0));
    gate_open(&crowd_leaves);
    for (int i = 0; i < CROWD; i++)
        thread_join(crowd[i]);
    close_app(&place);
}

static void *look_in(void *shared)
{
    struct registry_pin pin;
    if (registry_pin(crowd_handle, HANDLE_APP, &pin) != WEIR_OK)
        return NULL;
    *(bool *)shared = pin.pin.shared;
    registry_unpin(&pin);
    return shared;
}

/* The kernel may show a thread that was joined for a moment more; not all of so many. */
static void rows_of_threads_that_are_gone_are_used_again(void **unused)
{
    (void)unused;
    int app;
    bool shared = true;
    struct registry_place place = open_app(&app);
    crowd_handle = registry_handle(&place);
    for (int i = 0; i < 3 * PINS_ROWS; i++) {
        shared = true;
        pthread_t thread = thread_start(look_in, &shared);
        thread_join(thread);
        assert_false(shared);
    }
    close_app(&place);
}

/* ---- numbers come again ---- */

/* Opens until the number comes; the others are given back. */
static struct registry_place open_same_number(uint32_t index, void *app)
{
    struct registry_place place[REGISTRY_APPS_MAX], found = {0};
    uint32_t count = 0;
    while (registry_reserve(&place[count]) == WEIR_OK)
        count++;
    for (uint32_t i = 0; i < count; i++) {
        if (place[i].index == index)
            found = place[i];
        else
            registry_free(&place[i], place[i].floor);
    }
    assert_int_equal(found.index, index);
    registry_publish(&found, app);
    return found;
}

static void an_applications_handle_does_not_reach_the_next_one(void **unused)
{
    (void)unused;
    int old_app, new_app;
    struct registry_place old = open_app(&old_app);
    close_app(&old);
    struct registry_place new = open_same_number(old.index, &new_app);
    assert_int_equal(pin_answer(registry_handle(&old), HANDLE_APP), WEIR_STALE);
    assert_int_equal(pin_answer(registry_handle(&new), HANDLE_APP), WEIR_OK);
    close_app(&new);
}

static void other_handles_reach_the_next_one_whose_tables_refuse_them(void **unused)
{
    (void)unused;
    int app;
    struct slots_options options = {.hot_size = 64, .granule = 1};
    struct slots table;
    struct slots_block block;

    struct registry_place old = open_app(&app);
    options.floor = old.floor;
    assert_int_equal(slots_init(&table, &options), WEIR_OK);
    assert_int_equal(slots_acquire(&table, 1, 0, &block), WEIR_OK);
    struct slot *slot = slots_at(&table, block.first);
    uint64_t word = atomic_load(&slot->word);
    atomic_store(&slot->word, slot_word_with(word, 1));
    uint64_t session = handle_make(HANDLE_SESSION, old.index, block.first,
                                   slot_word_generation(word));
    assert_ptr_equal(slots_validate(&table, session), slot);
    registry_close(&old);
    uint32_t floor = slots_generation_floor(&table);
    slots_fini(&table);
    registry_free(&old, floor);

    struct registry_place new = open_same_number(old.index, &app);
    assert_int_equal(new.floor, floor);
    options.floor = new.floor;
    assert_int_equal(slots_init(&table, &options), WEIR_OK);
    assert_int_equal(slots_acquire(&table, 1, 0, &block), WEIR_OK);
    slot = slots_at(&table, block.first);
    atomic_store(&slot->word, slot_word_with(atomic_load(&slot->word), 1));
    assert_int_equal(pin_answer(session, HANDLE_SESSION), WEIR_OK);
    assert_null(slots_validate(&table, session));
    slots_fini(&table);
    close_app(&new);
}

static void a_fresh_number_starts_at_floor_one(void **unused)
{
    (void)unused;
    struct registry_place place[REGISTRY_APPS_MAX];
    uint32_t count = 0;
    while (registry_reserve(&place[count]) == WEIR_OK) {
        assert_true(place[count].floor >= 1);
        count++;
    }
    for (uint32_t i = 0; i < count; i++)
        registry_free(&place[i], place[i].floor);
}

static void the_least_worn_number_comes_first(void **unused)
{
    (void)unused;
    struct registry_place first, second;
    assert_int_equal(registry_reserve(&first), WEIR_OK);
    registry_free(&first, first.floor + 1000);
    assert_int_equal(registry_reserve(&second), WEIR_OK);
    assert_int_not_equal(second.index, first.index);
    assert_true(second.floor < first.floor + 1000);
    registry_free(&second, second.floor);
}

/* ---- limits ---- */

static void sixty_three_applications_and_no_more(void **unused)
{
    (void)unused;
    int app[REGISTRY_APPS_MAX];
    struct registry_place place[REGISTRY_APPS_MAX], more = {.index = 4711};
    for (int i = 0; i < REGISTRY_APPS_MAX; i++)
        place[i] = open_app(&app[i]);
    assert_int_equal(registry_reserve(&more), WEIR_LIMIT);
    assert_int_equal(more.index, 4711);
    for (int i = 0; i < REGISTRY_APPS_MAX; i++) {
        struct registry_pin pin;
        assert_int_equal(registry_pin(registry_handle(&place[i]), HANDLE_APP, &pin), WEIR_OK);
        assert_ptr_equal(pin.app, &app[i]);
        registry_unpin(&pin);
    }
    close_app(&place[17]);
    place[17] = open_app(&app[17]);
    for (int i = 0; i < REGISTRY_APPS_MAX; i++)
        close_app(&place[i]);
}

static void nothing_was_left_open_or_lost(void **unused)
{
    (void)unused;
    assert_int_equal(registry_count().free, REGISTRY_APPS_MAX);
}

/* The last test of the program: the number is lost to it. */
static void a_number_without_generations_left_is_retired(void **unused)
{
    (void)unused;
    struct registry_place place, other;
    assert_int_equal(registry_reserve(&place), WEIR_OK);
    registry_free(&place, SLOTS_FLOOR_WORN + 1);
    assert_int_equal(registry_count().retired, 1);
    assert_int_equal(pin_answer(registry_handle(&place), HANDLE_APP), WEIR_STALE);
    uint32_t had = 0;
    while (registry_reserve(&other) == WEIR_OK) {
        assert_int_not_equal(other.index, place.index);
        had++;
    }
    assert_int_equal(had, REGISTRY_APPS_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_the_first_application_every_handle_is_stale),
        cmocka_unit_test(a_pin_leads_to_the_application),
        cmocka_unit_test(handles_of_all_kinds_lead_to_their_application),
        cmocka_unit_test(pins_nest),
        cmocka_unit_test(a_pattern_that_is_no_handle_of_the_kind_is_invalid),
        cmocka_unit_test(any_pattern_may_be_passed),
        cmocka_unit_test(a_refused_pin_leaves_its_output_alone),
        cmocka_unit_test(what_is_reserved_cannot_be_pinned_yet),
        cmocka_unit_test(an_open_that_fails_gives_its_number_back),
        cmocka_unit_test(after_the_close_every_handle_is_stale),
        cmocka_unit_test(between_shut_and_close_only_closers_come_in),
        cmocka_unit_test(between_shut_and_close_what_was_in_sessions_is_stale),
        cmocka_unit_test(a_closer_needs_the_applications_own_handle),
        cmocka_unit_test(a_close_waits_until_who_is_inside_has_left),
        cmocka_unit_test(a_close_that_waits_lets_nobody_in),
        cmocka_unit_test(a_close_waits_for_threads_with_and_without_a_row_of_their_own),
        cmocka_unit_test(rows_of_threads_that_are_gone_are_used_again),
        cmocka_unit_test(an_applications_handle_does_not_reach_the_next_one),
        cmocka_unit_test(other_handles_reach_the_next_one_whose_tables_refuse_them),
        cmocka_unit_test(a_fresh_number_starts_at_floor_one),
        cmocka_unit_test(the_least_worn_number_comes_first),
        cmocka_unit_test(sixty_three_applications_and_no_more),
        cmocka_unit_test(nothing_was_left_open_or_lost),
        cmocka_unit_test(a_number_without_generations_left_is_retired),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
