/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_REGISTRY_FIXTURE_H
#define WEIR_TESTS_REGISTRY_FIXTURE_H

/* registry_fixture.h - opening, closing and asking, for the tests of registry.h
 *
 * To be included after <cmocka.h>. */

#include <sched.h>

#include "core/registry.h"

static inline struct registry_place open_app(void *app)
{
    struct registry_place place = {0};
    assert_int_equal(registry_reserve(&place), WEIR_OK);
    registry_publish(&place, app);
    return place;
}

static inline void close_app(const struct registry_place *place)
{
    registry_close(place);
    registry_free(place, place->floor);
}

/* What a call with this handle would be answered. */
static inline weir_status pin_answer(uint64_t bits, enum handle_kind kind)
{
    struct registry_pin pin;
    weir_status status = registry_pin(bits, kind, &pin);
    if (status == WEIR_OK)
        registry_unpin(&pin);
    return status;
}

#endif
