/* SPDX-License-Identifier: Apache-2.0
 *
 * counter.c - see counter.h. What gcc and clang call for -fsanitize=thread arrives here, and is done as it would have
 * been, with the strongest order.
 */
#include "counter.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

enum { LINE_SHIFT = 6, LINES = 1 << 14, TLS_REACH = 8192 };

struct seen {
    uintptr_t line;
    uint64_t call;             /* in which it was seen */
    bool written;
};

static _Thread_local struct {
    bool counting;
    uint64_t call;
    uintptr_t stack, stack_end;
    struct counts counts;
    struct seen seen[LINES];
} mine;

static void find_stack(void)
{
    pthread_attr_t attr;
    void *low = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return;
    pthread_attr_getstack(&attr, &low, &size);
    pthread_attr_destroy(&attr);
    mine.stack = (uintptr_t)low;
    mine.stack_end = (uintptr_t)low + size;
}

void counter_begin(void)
{
    if (mine.stack == 0)
        find_stack();
    mine.call++;
    mine.counts.calls++;
    mine.counting = true;
}

void counter_end(void)
{
    mine.counting = false;
}

struct counts counter_take(void)
{
    struct counts counts = mine.counts;
    mine.counts = (struct counts){ 0 };
    return counts;
}

static bool is_private(uintptr_t at)
{
    uintptr_t tls = (uintptr_t)&mine;
    return (at >= mine.stack && at < mine.stack_end) || (at >= tls - TLS_REACH && at < tls + sizeof mine + TLS_REACH);
}

static void note_line(uintptr_t line, bool write)
{
    struct seen *seen = &mine.seen[line % LINES];
    while (seen->call == mine.call && seen->line != line)  /* room for the largest block that the library clears */
        seen = seen == &mine.seen[LINES - 1] ? mine.seen : seen + 1;
    if (seen->call != mine.call) {
        *seen = (struct seen){ .line = line, .call = mine.call };
        mine.counts.read++;
    }
    if (write && !seen->written) {
        seen->written = true;
        mine.counts.written++;
        mine.counts.read--;
    }
}

static void note(const volatile void *at, size_t size, bool write)
{
    uintptr_t first = (uintptr_t)at;
    if (!mine.counting || size == 0 || is_private(first))
        return;
    for (uintptr_t line = first >> LINE_SHIFT; line <= (first + size - 1) >> LINE_SHIFT; line++)
        note_line(line, write);
}

static void note_rmw(const volatile void *at, size_t size)
{
    note(at, size, true);
    if (mine.counting)
        mine.counts.rmw++;
}

/* The compiler's names begin with underscores, which C reserves; so the linker is told them, and C has others. */
#define LINKED(name) __asm__(name)

/* A type cannot stand in parentheses. */
/* NOLINTBEGIN(bugprone-macro-parentheses) */
/* clang-format off */

/* ---- plain accesses ---- */

#define PLAIN(name, size, write)                                \
    void name(void *at) LINKED("__tsan_" #name);                \
    void name(void *at) { note(at, size, write); }
#define PLAINS(size)                                                                                             \
    PLAIN(read##size, size, false) PLAIN(write##size, size, true) PLAIN(unaligned_read##size, size, false)       \
    PLAIN(unaligned_write##size, size, true) PLAIN(volatile_read##size, size, false)                             \
    PLAIN(volatile_write##size, size, true) PLAIN(read_write##size, size, true)                                  \
    PLAIN(unaligned_read_write##size, size, true)
PLAINS(1) PLAINS(2) PLAINS(4) PLAINS(8) PLAINS(16)

#define RANGE(name, write)                                      \
    void name(void *at, size_t size) LINKED("__tsan_" #name);   \
    void name(void *at, size_t size) { note(at, size, write); }
RANGE(read_range, false) RANGE(write_range, true)

#define NOTHING(name)                                           \
    void name(void *ignored) LINKED("__tsan_" #name);           \
    void name(void *ignored) { (void)ignored; }
NOTHING(init) NOTHING(func_entry) NOTHING(func_exit)

/* ---- blocks of memory: gcc calls the function, clang the run-time's ---- */

void *real_memcpy(void *to, const void *from, size_t size) LINKED("__real_memcpy");
void *real_memmove(void *to, const void *from, size_t size) LINKED("__real_memmove");
void *real_memset(void *at, int value, size_t size) LINKED("__real_memset");

#define COPY(name, linked, real)                                              \
    void *name(void *to, const void *from, size_t size) LINKED(linked);       \
    void *name(void *to, const void *from, size_t size)                       \
    {                                                                         \
        note(from, size, false);                                              \
        note(to, size, true);                                                 \
        return real(to, from, size);                                          \
    }
COPY(wrap_memcpy, "__wrap_memcpy", real_memcpy)
COPY(wrap_memmove, "__wrap_memmove", real_memmove)
COPY(tsan_memcpy, "__tsan_memcpy", real_memcpy)
COPY(tsan_memmove, "__tsan_memmove", real_memmove)

#define FILL(name, linked)                                                    \
    void *name(void *at, int value, size_t size) LINKED(linked);              \
    void *name(void *at, int value, size_t size)                              \
    {                                                                         \
        note(at, size, true);                                                 \
        return real_memset(at, value, size);                                  \
    }
FILL(wrap_memset, "__wrap_memset")
FILL(tsan_memset, "__tsan_memset")

/* ---- atomic accesses: the order that was asked for is a part of the strongest ---- */

#define RMW(bits, type, name, builtin)                                                                  \
    type name##bits(volatile type *at, type operand, int order)                                         \
        LINKED("__tsan_atomic" #bits "_" #name);                                                        \
    type name##bits(volatile type *at, type operand, int order)                                         \
    {                                                                                                   \
        (void)order;                                                                                    \
        note_rmw(at, sizeof(type));                                                                     \
        return builtin(at, operand, __ATOMIC_SEQ_CST);                                                  \
    }
#define CAS(bits, type, name)                                                                           \
    int name##bits(volatile type *at, type *expected, type desired, int success, int failure)           \
        LINKED("__tsan_atomic" #bits "_compare_exchange_" #name);                                       \
    int name##bits(volatile type *at, type *expected, type desired, int success, int failure)           \
    {                                                                                                   \
        (void)success, (void)failure;                                                                   \
        note_rmw(at, sizeof(type));                                                                     \
        return __atomic_compare_exchange_n(at, expected, desired, false, __ATOMIC_SEQ_CST,              \
                                           __ATOMIC_SEQ_CST);                                           \
    }
#define ATOMIC(bits, type)                                                                              \
    type load##bits(const volatile type *at, int order) LINKED("__tsan_atomic" #bits "_load");          \
    type load##bits(const volatile type *at, int order)                                                 \
    {                                                                                                   \
        (void)order;                                                                                    \
        note(at, sizeof(type), false);                                                                  \
        return __atomic_load_n(at, __ATOMIC_SEQ_CST);                                                   \
    }                                                                                                   \
    void store##bits(volatile type *at, type value, int order) LINKED("__tsan_atomic" #bits "_store");  \
    void store##bits(volatile type *at, type value, int order)                                          \
    {                                                                                                   \
        (void)order;                                                                                    \
        note(at, sizeof(type), true);                                                                   \
        __atomic_store_n(at, value, __ATOMIC_SEQ_CST);                                                  \
    }                                                                                                   \
    RMW(bits, type, exchange, __atomic_exchange_n)                                                      \
    RMW(bits, type, fetch_add, __atomic_fetch_add) RMW(bits, type, fetch_sub, __atomic_fetch_sub)       \
    RMW(bits, type, fetch_and, __atomic_fetch_and) RMW(bits, type, fetch_or, __atomic_fetch_or)         \
    RMW(bits, type, fetch_xor, __atomic_fetch_xor)                                                      \
    CAS(bits, type, strong) CAS(bits, type, weak)                                                       \
    type val##bits(volatile type *at, type expected, type desired, int success, int failure)            \
        LINKED("__tsan_atomic" #bits "_compare_exchange_val");                                          \
    type val##bits(volatile type *at, type expected, type desired, int success, int failure)            \
    {                                                                                                   \
        (void)strong##bits(at, &expected, desired, success, failure);                                   \
        return expected;                                                                                \
    }
ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

void thread_fence(int order) LINKED("__tsan_atomic_thread_fence");
void thread_fence(int order)
{
    (void)order;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void signal_fence(int order) LINKED("__tsan_atomic_signal_fence");
void signal_fence(int order)
{
    (void)order;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}
/* clang-format on */
/* NOLINTEND(bugprone-macro-parentheses) */

/* ---- system calls: the library makes its own through syscall() ---- */

long real_syscall(long number, ...) LINKED("__real_syscall");
long wrap_syscall(long number, ...) LINKED("__wrap_syscall");
long wrap_syscall(long number, ...)
{
    va_list list;
    long arg[6];
    va_start(list, number);
    for (unsigned i = 0; i < 6; i++)
        arg[i] = va_arg(list, long);
    va_end(list);
    if (mine.counting && number == SYS_futex && (arg[1] & FUTEX_CMD_MASK) == FUTEX_WAKE)
        mine.counts.wakes++;
    return real_syscall(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}
