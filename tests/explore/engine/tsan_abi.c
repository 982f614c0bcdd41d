/* SPDX-License-Identifier: Apache-2.0 */
/* tsan_abi.c - the calls that gcc and clang emit for -fsanitize=thread
 *
 * This replaces the sanitizer's run-time. Every shared access arrives here with its size, atomics
 * with their memory order. Accesses to thread-local variables arrive too: they lie in no region
 * and are plain. gcc calls memcpy and its kin directly, so the linker redirects these; clang calls
 * __tsan_memcpy. */
#include <string.h>

#include "engine.h"
#include "shadow.h"

/* ---- plain accesses ---- */

/* clang-format off */
#define PLAIN(size)                                                                                  \
    void __tsan_read##size(void *at) { shadow_plain((uintptr_t)at, size, false, CALLER); }           \
    void __tsan_write##size(void *at) { shadow_plain((uintptr_t)at, size, true, CALLER); }           \
    void __tsan_unaligned_read##size(void *at) { shadow_plain((uintptr_t)at, size, false, CALLER); } \
    void __tsan_unaligned_write##size(void *at) { shadow_plain((uintptr_t)at, size, true, CALLER); } \
    void __tsan_volatile_read##size(void *at) { shadow_plain((uintptr_t)at, size, false, CALLER); }  \
    void __tsan_volatile_write##size(void *at) { shadow_plain((uintptr_t)at, size, true, CALLER); }  \
    void __tsan_read_write##size(void *at) { shadow_plain((uintptr_t)at, size, true, CALLER); }      \
    void __tsan_unaligned_read_write##size(void *at) { shadow_plain((uintptr_t)at, size, true, CALLER); }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)

#define PLAIN_WIDE(name, write) \
    void __tsan_##name(void *at) { shadow_range((uintptr_t)at, 16, write, CALLER); }
PLAIN_WIDE(read16, false)
PLAIN_WIDE(write16, true)
PLAIN_WIDE(unaligned_read16, false)
PLAIN_WIDE(unaligned_write16, true)
PLAIN_WIDE(read_write16, true)

void __tsan_read_range(void *at, size_t size) { shadow_range((uintptr_t)at, size, false, CALLER); }
void __tsan_write_range(void *at, size_t size) { shadow_range((uintptr_t)at, size, true, CALLER); }

/* clang-format on */

void __tsan_init(void)
{
}
void __tsan_func_entry(void *caller)
{
    (void)caller;
}
void __tsan_func_exit(void)
{
}

/* ---- blocks of memory ---- */

void *__real_memcpy(void *to, const void *from, size_t size);
void *__real_memmove(void *to, const void *from, size_t size);
void *__real_memset(void *at, int value, size_t size);

static void touch_copy(void *to, const void *from, size_t size, uintptr_t pc)
{
    shadow_range((uintptr_t)from, size, false, pc);
    shadow_range((uintptr_t)to, size, true, pc);
}

#define COPY(name, real)                                \
    void *name(void *to, const void *from, size_t size) \
    {                                                   \
        touch_copy(to, from, size, CALLER);             \
        return real(to, from, size);                    \
    }
COPY(__wrap_memcpy, __real_memcpy)
COPY(__wrap_memmove, __real_memmove)
COPY(__tsan_memcpy, __real_memcpy)
COPY(__tsan_memmove, __real_memmove)

void *__wrap_memset(void *at, int value, size_t size)
{
    shadow_range((uintptr_t)at, size, true, CALLER);
    return __real_memset(at, value, size);
}

void *__tsan_memset(void *at, int value, size_t size)
{
    shadow_range((uintptr_t)at, size, true, CALLER);
    return __real_memset(at, value, size);
}

/* ---- atomic accesses ---- */

/* Outside of a run there is one thread, and in a run until it makes a second: what it stores is
 * there before anything else happens. Setting up large tables of atomics therefore costs nothing.
 * An access to a thread-local variable concerns one thread. */
static bool is_private(const volatile void *at, uintptr_t pc)
{
    if (!engine.running || (uintptr_t)at - (uintptr_t)engine.tls_live < engine.tls_size)
        return true;
    if (engine.thread_count > 1)
        return false;
    shadow_alone((uintptr_t)at, 1, pc);
    return true;
}

/* The order at its place in the source, or what is tried there instead. */
static int order_at(int order, int which, uintptr_t pc)
{
    return engine.sites == NULL ? order & 7 : site_order(pc, which, order & 7);
}

static word do_load(const volatile void *at, unsigned size, int order, uintptr_t pc)
{
    return is_private(at, pc) ? memory_read((uintptr_t)at, size)
                              : model_load((uintptr_t)at, size, order_at(order, 1, pc), pc);
}

static void do_store(volatile void *at, unsigned size, word value, int order, uintptr_t pc)
{
    if (is_private(at, pc))
        memory_write((uintptr_t)at, size, value);
    else
        model_store((uintptr_t)at, size, value, order_at(order, 1, pc), pc);
}

static word private_rmw(uintptr_t at, unsigned size, enum rmw how, word operand)
{
    word old = memory_read(at, size);
    const word results[] = {operand,       old + operand, old - operand,   old & operand,
                            old | operand, old ^ operand, ~(old & operand)};
    memory_write(at, size, results[how]);
    return old;
}

static word do_rmw(volatile void *at, unsigned size, enum rmw how, word operand, int order, uintptr_t pc)
{
    return is_private(at, pc) ? private_rmw((uintptr_t)at, size, how, operand)
                              : model_rmw((uintptr_t)at, size, how, operand, order_at(order, 1, pc), pc);
}

static bool do_cas(volatile void *at, unsigned size, word *expected, word desired, bool weak, int success, int failure,
                   uintptr_t pc)
{
    if (!is_private(at, pc))
        return model_cas((uintptr_t)at, size, expected, desired, weak, order_at(success, 1, pc),
                         order_at(failure, 2, pc), pc);
    word old = memory_read((uintptr_t)at, size);
    bool equal = old == *expected;
    if (equal)
        memory_write((uintptr_t)at, size, desired);
    *expected = old;
    return equal;
}

/* clang-format off */
#define RMW(bits, type, name, how)                                                                \
    type __tsan_atomic##bits##_##name(volatile type *at, type operand, int order)                 \
    {                                                                                             \
        return (type)do_rmw(at, bits / 8, how, operand, order, CALLER);                           \
    }
#define CAS(bits, type, name, weak)                                                               \
    int __tsan_atomic##bits##_compare_exchange_##name(volatile type *at, type *expected,          \
                                                      type desired, int success, int failure)     \
    {                                                                                             \
        word seen = *expected;                                                                    \
        bool done = do_cas(at, bits / 8, &seen, desired, weak, success, failure, CALLER);         \
        if (!done)                                                                                \
            *expected = (type)seen;                                                               \
        return done;                                                                              \
    }
#define ATOMIC(bits, type)                                                                        \
    type __tsan_atomic##bits##_load(const volatile type *at, int order)                           \
    {                                                                                             \
        return (type)do_load(at, bits / 8, order, CALLER);                                        \
    }                                                                                             \
    void __tsan_atomic##bits##_store(volatile type *at, type value, int order)                    \
    {                                                                                             \
        do_store(at, bits / 8, value, order, CALLER);                                             \
    }                                                                                             \
    RMW(bits, type, exchange, RMW_SET)                                                            \
    RMW(bits, type, fetch_add, RMW_ADD)                                                           \
    RMW(bits, type, fetch_sub, RMW_SUB)                                                           \
    RMW(bits, type, fetch_and, RMW_AND)                                                           \
    RMW(bits, type, fetch_or, RMW_OR)                                                             \
    RMW(bits, type, fetch_xor, RMW_XOR)                                                           \
    RMW(bits, type, fetch_nand, RMW_NAND)                                                         \
    CAS(bits, type, strong, false)                                                                \
    CAS(bits, type, weak, true)                                                                   \
    type __tsan_atomic##bits##_compare_exchange_val(volatile type *at, type expected,             \
                                                    type desired, int success, int failure)       \
    {                                                                                             \
        word seen = expected;                                                                     \
        (void)do_cas(at, bits / 8, &seen, desired, false, success, failure, CALLER);              \
        return (type)seen;                                                                        \
    }
ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)
ATOMIC(128, word)
/* clang-format on */

/* Sixteen bytes at once: gcc calls libatomic, whose names it also knows as built-in functions of
 * another type. */
word load_16(const volatile void *at, int order) __asm__("__atomic_load_16");
void store_16(volatile void *at, word value, int order) __asm__("__atomic_store_16");
word exchange_16(volatile void *at, word value, int order) __asm__("__atomic_exchange_16");
bool compare_exchange_16(volatile void *at, word *expected, word desired, int success,
                         int failure) __asm__("__atomic_compare_exchange_16");

word load_16(const volatile void *at, int order)
{
    return do_load(at, 16, order, CALLER);
}

void store_16(volatile void *at, word value, int order)
{
    do_store(at, 16, value, order, CALLER);
}

word exchange_16(volatile void *at, word value, int order)
{
    return do_rmw(at, 16, RMW_SET, value, order, CALLER);
}

bool compare_exchange_16(volatile void *at, word *expected, word desired, int success, int failure)
{
    word seen = *expected;
    bool done = do_cas(at, 16, &seen, desired, false, success, failure, CALLER);
    if (!done)
        *expected = seen;
    return done;
}

/* ---- fences ---- */

void __tsan_atomic_thread_fence(int order)
{
    if (!engine.running)
        return;
    if ((order & 7) == __ATOMIC_SEQ_CST && engine.weak)
        schedule_point(0, TOUCH_SC_FENCE);
    model_fence(engine.current, order & 7);
    TRACE("fence", 0, 0, order_name(order & 7), CALLER);
}

void __tsan_atomic_signal_fence(int order)
{
    (void)order;
}
