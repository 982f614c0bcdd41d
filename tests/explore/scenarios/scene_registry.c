/* SPDX-License-Identifier: Apache-2.0 */
/* scene_registry.c - core/registry.c: pins against closes, a number's next life, two openers
 *
 * Applications are heap blocks that their closer frees, so that a pin which does not hold is a use
 * after free; what pins read in them is plain, so that a missing edge is a race. */
#include <pthread.h>
#include <stdlib.h>

#include "core/registry.h"
#include "explore.h"

struct app {
    uint32_t generation;                            /* plain */
};

static _Atomic uint32_t let_in;

static pthread_t start(void *(*run)(void *arg), void *arg)
{
    pthread_t thread;
    explore_check(pthread_create(&thread, NULL, run, arg) == 0);
    return thread;
}

static struct app *open_app(struct registry_place *place)
{
    struct app *app = malloc(sizeof *app);
    explore_check(app != NULL);
    explore_check(registry_reserve(place) == WEIR_OK);
    app->generation = place->generation;
    registry_publish(place, app);
    return app;
}

static void close_app(struct registry_place *place, struct app *app)
{
    registry_close(place);
    app->generation = 0;                            /* a write that races with whoever is inside */
    free(app);
    registry_free(place, place->floor);
}

/* ---- one call, one close ---- */

static struct registry_place first, second;

static void *call_with_apps_handle(void *unused)
{
    (void)unused;
    struct registry_pin pin;
    weir_status status = registry_pin(registry_handle(&first), HANDLE_APP, &pin);
    explore_check(status == WEIR_OK || status == WEIR_STALE || status == WEIR_SHUTDOWN);
    if (status != WEIR_OK)
        return NULL;
    atomic_fetch_add_explicit(&let_in, 1, memory_order_relaxed);
    explore_check(((struct app *)pin.app)->generation == first.generation);
    registry_unpin(&pin);
    return NULL;
}

EXPLORE_SCENARIO(registry_a_call_against_a_close, .preemptions = 6, .stale_reads = 3)
{
    struct app *app = open_app(&first);
    pthread_t caller = start(call_with_apps_handle, NULL);
    close_app(&first, app);
    pthread_join(caller, NULL);
    explore_observe(atomic_load_explicit(&let_in, memory_order_relaxed));
}

EXPLORE_SCENARIO(registry_two_calls_against_a_close, .preemptions = 4, .stale_reads = 1)
{
    struct app *app = open_app(&first);
    pthread_t one = start(call_with_apps_handle, NULL), two = start(call_with_apps_handle, NULL);
    close_app(&first, app);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    explore_observe(atomic_load_explicit(&let_in, memory_order_relaxed));
}

/* ---- shut for calls, then closed: a closer may come in between, and is waited for ---- */

static void *look_in_as_closer(void *unused)
{
    (void)unused;
    struct registry_pin pin;
    weir_status status = registry_pin_closer(registry_handle(&first), &pin);
    explore_check(status == WEIR_OK || status == WEIR_STALE);
    if (status != WEIR_OK)
        return NULL;
    explore_check(((struct app *)pin.app)->generation == first.generation);
    registry_unpin(&pin);
    return NULL;
}

EXPLORE_SCENARIO(registry_a_call_and_a_closer_against_shut_and_close, .preemptions = 3,
                 .stale_reads = 1)
{
    struct app *app = open_app(&first);
    pthread_t caller = start(call_with_apps_handle, NULL), closer = start(look_in_as_closer, NULL);
    registry_shut(&first);
    close_app(&first, app);
    pthread_join(caller, NULL);
    pthread_join(closer, NULL);
}

/* ---- the number's next life ---- */

static void *call_with_a_sessions_handle(void *unused)
{
    (void)unused;
    struct registry_pin pin;
    uint64_t session = handle_make(HANDLE_SESSION, first.index, 0, 1);
    if (registry_pin(session, HANDLE_SESSION, &pin) != WEIR_OK)
        return NULL;
    uint32_t generation = ((struct app *)pin.app)->generation;
    explore_check(generation == first.generation || generation == first.generation + 1);
    registry_unpin(&pin);
    return NULL;
}

static void live_twice(void *(*call)(void *unused))
{
    struct app *app = open_app(&first);
    pthread_t caller = start(call, NULL);
    close_app(&first, app);
    app = open_app(&second);
    explore_check(second.index == first.index && second.generation == first.generation + 1);
    close_app(&second, app);
    pthread_join(caller, NULL);
}

EXPLORE_SCENARIO(registry_an_apps_handle_in_the_next_life, .preemptions = 5, .stale_reads = 2,
                 .reuse = 1)
{
    live_twice(call_with_apps_handle);
}

EXPLORE_SCENARIO(registry_a_sessions_handle_in_the_next_life, .preemptions = 5, .stale_reads = 2,
                 .reuse = 1)
{
    live_twice(call_with_a_sessions_handle);
}

/* ---- the floor that a life leaves reaches the next one, on another thread ---- */

enum { FLOOR_LEFT = 7 };

static void *reserve_and_give_back(void *unused)
{
    (void)unused;
    explore_check(registry_reserve(&second) == WEIR_OK);
    if (second.index == first.index)
        explore_check(second.floor == FLOOR_LEFT);
    registry_free(&second, second.floor);
    return NULL;
}

EXPLORE_SCENARIO(registry_the_floor_reaches_the_next_life, .preemptions = 4, .stale_reads = 2)
{
    explore_check(registry_reserve(&first) == WEIR_OK);
    pthread_t other = start(reserve_and_give_back, NULL);
    registry_free(&first, FLOOR_LEFT);
    pthread_join(other, NULL);
    explore_observe(second.index == first.index);
}

/* ---- two open: two numbers ---- */

static void *open_and_close(void *place)
{
    struct app *app = open_app(place);
    explore_check(app->generation == ((struct registry_place *)place)->generation);
    close_app(place, app);
    return NULL;
}

EXPLORE_SCENARIO(registry_two_openers, .preemptions = 2, .stale_reads = 1)
{
    pthread_t other = start(open_and_close, &second);
    open_and_close(&first);
    pthread_join(other, NULL);
    explore_check(registry_count().free == REGISTRY_APPS_MAX);
}

int main(int argc, char **argv)
{
    return explore_main(argc, argv);
}
