/* SPDX-License-Identifier: Apache-2.0 */
/* test_registry_races.c - pins against closes, reuse of a number, openers against each other */

#include "core/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/support.h"
#include "tests/unit/registry_fixture.h"

enum { LIVES = 20 * 1000, CALLERS = 2, OPENERS = 3, OPENS = 5 * 1000 };

/* One owner lives life after life under one number, in memory that is given back each time; callers
 * come in with handles that are fresh, old, or of the life before. */
struct app {
    uint32_t generation;                            /* plain: a pin makes reading it legal */
    uint32_t touched;                               /* plain: nobody is inside when it is written */
};

struct stage {
    _Atomic uint64_t handle;
    _Atomic bool over;
};

struct caller {
    struct stage *stage;
    enum handle_kind kind;
    uint64_t inside, strayed;
};

static void *call_all_the_time(void *arg)
{
    struct caller *c = arg;
    while (!atomic_load(&c->stage->over)) {
        uint64_t handle = atomic_load(&c->stage->handle);
        struct registry_pin pin;
        if (registry_pin(handle_as(handle, c->kind), c->kind, &pin) != WEIR_OK)
            continue;
        const struct app *app = pin.app;
        c->inside++;
        c->strayed += app->generation < handle_generation(handle);
        if (c->kind == HANDLE_APP)
            c->strayed += app->generation != handle_generation(handle);
        registry_unpin(&pin);
    }
    return NULL;
}

static void live_once(struct stage *stage, uint64_t *random)
{
    struct app *app = malloc(sizeof *app);
    assert_non_null(app);
    struct registry_place place;
    assert_int_equal(registry_reserve(&place), WEIR_OK);
    app->generation = place.generation;
    app->touched = 0;
    registry_publish(&place, app);
    atomic_store(&stage->handle, registry_handle(&place));
    for (uint64_t spin = test_random(random) % 256; spin > 0; spin--)
        atomic_load(&stage->over);
    registry_close(&place);
    app->generation = 0;
    app->touched++;
    free(app);
    registry_free(&place, place.floor);
}

static void live_among_callers(enum handle_kind kind)
{
    struct stage stage = {.handle = 0};
    struct caller callers[CALLERS];
    pthread_t threads[CALLERS];
    uint64_t random = test_seed() + CALLERS;
    for (uint32_t i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.stage = &stage, .kind = kind};
        threads[i] = thread_start(call_all_the_time, &callers[i]);
    }
    for (int life = 0; life < LIVES; life++)
        live_once(&stage, &random);
    atomic_store(&stage.over, true);
    for (uint32_t i = 0; i < CALLERS; i++) {
        thread_join(threads[i]);
        assert_int_equal(callers[i].strayed, 0);
    }
    assert_int_equal(registry_count().free, REGISTRY_APPS_MAX);
}

static void who_is_inside_keeps_the_application_and_only_its_own(void **unused)
{
    (void)unused;
    live_among_callers(HANDLE_APP);
}

static void a_sessions_handle_keeps_whatever_application_is_there(void **unused)
{
    (void)unused;
    live_among_callers(HANDLE_SESSION);
}

/* Openers share the table: a number belongs to one of them at a time. */
struct opener {
    uint32_t *owner_of;                             /* by number; plain */
    uint32_t me, refused, robbed;
};

static void *open_and_close(void *arg)
{
    struct opener *o = arg;
    for (int i = 0; i < OPENS; i++) {
        struct registry_place place;
        if (registry_reserve(&place) != WEIR_OK) {
            o->refused++;
            continue;
        }
        o->owner_of[place.index] = o->me;
        registry_publish(&place, o);
        o->robbed += pin_answer(registry_handle(&place), HANDLE_APP) != WEIR_OK;
        registry_close(&place);
        o->robbed += o->owner_of[place.index] != o->me;
        registry_free(&place, place.floor);
    }
    return NULL;
}

static void run_openers(struct opener *openers, uint32_t *owner_of)
{
    pthread_t threads[OPENERS];
    for (uint32_t i = 0; i < OPENERS; i++) {
        openers[i] = (struct opener){.owner_of = owner_of, .me = i + 1};
        threads[i] = thread_start(open_and_close, &openers[i]);
    }
    for (uint32_t i = 0; i < OPENERS; i++) {
        thread_join(threads[i]);
        assert_int_equal(openers[i].robbed, 0);
    }
}

static void a_number_belongs_to_one_opener_at_a_time(void **unused)
{
    (void)unused;
    uint32_t owner_of[REGISTRY_APPS_MAX + 1] = {0};
    struct opener openers[OPENERS];
    run_openers(openers, owner_of);
    for (uint32_t i = 0; i < OPENERS; i++)
        assert_int_equal(openers[i].refused, 0);
    assert_int_equal(registry_count().free, REGISTRY_APPS_MAX);
}

static void as_many_openers_as_numbers_are_never_refused(void **unused)
{
    (void)unused;
    uint32_t owner_of[REGISTRY_APPS_MAX + 1] = {0};
    struct opener openers[OPENERS];
    struct registry_place held[REGISTRY_APPS_MAX - OPENERS];
    for (int i = 0; i < REGISTRY_APPS_MAX - OPENERS; i++)
        assert_int_equal(registry_reserve(&held[i]), WEIR_OK);
    run_openers(openers, owner_of);
    for (uint32_t i = 0; i < OPENERS; i++)
        assert_int_equal(openers[i].refused, 0);
    for (int i = 0; i < REGISTRY_APPS_MAX - OPENERS; i++)
        registry_free(&held[i], held[i].floor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_inside_keeps_the_application_and_only_its_own),
        cmocka_unit_test(a_sessions_handle_keeps_whatever_application_is_there),
        cmocka_unit_test(a_number_belongs_to_one_opener_at_a_time),
        cmocka_unit_test(as_many_openers_as_numbers_are_never_refused),
    };
    return cmocka_run_group_tests_name("registry_races", tests, NULL, NULL);
}
