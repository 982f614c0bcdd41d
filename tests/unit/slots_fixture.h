/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_SLOTS_FIXTURE_H
#define WEIR_TESTS_SLOTS_FIXTURE_H

/* slots_fixture.h - tables like those of an application, for the tests of slots.h
 *
 * To be included after <cmocka.h>. */

#include "core/slots.h"

enum { APP = 5, HOT = 64, COLD = 32, OPS_CHUNK = 1024 };

static inline struct slots_options ops(uint32_t limit)     /* as an application's operations */
{
    return (struct slots_options){
        .hot_size = HOT, .cold_size = COLD, .granule = 16, .limit = limit,
    };
}

static inline struct slots_options singles(uint32_t limit) /* as its sessions */
{
    return (struct slots_options){.hot_size = HOT, .granule = 1, .limit = limit};
}

static inline void open_table(struct slots *t, struct slots_options options)
{
    assert_int_equal(slots_init(t, &options), WEIR_OK);
}

static inline struct slots_block take(struct slots *t, uint32_t count)
{
    struct slots_block block = {0, 0};
    assert_int_equal(slots_acquire(t, count, 0, &block), WEIR_OK);
    return block;
}

static inline uint64_t word_at(const struct slots *t, uint32_t index)
{
    return atomic_load_explicit(&slots_at(t, index)->word, memory_order_relaxed);
}

static inline void set_generation(struct slots *t, uint32_t index, uint32_t generation)
{
    atomic_store_explicit(&slots_at(t, index)->word, (uint64_t)generation << 32,
                          memory_order_relaxed);
}

/* G1; the handle that goes with it. */
static inline uint64_t publish(struct slots *t, uint32_t index)
{
    uint64_t word = word_at(t, index);
    atomic_store_explicit(&slots_at(t, index)->word, slot_word_with(word, 1), memory_order_release);
    return handle_make(HANDLE_OP, APP, index, slot_word_generation(word));
}

static inline void publish_and_free(struct slots *t, uint32_t index)
{
    publish(t, index);
    slots_free(t, slots_at(t, index));
}

#endif
