/* SPDX-License-Identifier: Apache-2.0
 *
 * limits.c - what the machine can do: no library, the same harness, the same run
 *
 * Every other row is to be read against one of these. The waking rows are not pinned, as the library's threads are
 * not, so that both leave the placing to the kernel; the rows about one cache line are pinned to two processors, since
 * there the placing is the question. Rows of a few ns are taken in blocks, of which the median counts: a block that
 * another process interrupted says nothing about the machine.
 */
#include "harness.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Alignas(BENCH_LINE) _Atomic uint64_t word;

/* ---- blocks ---- */

enum { BLOCKS = 21, WARM_BLOCKS = 2 };

struct blocks {
    size_t size;               /* steps of each block */
    size_t ended;              /* blocks, the warm-up included */
    int64_t began;             /* this block */
    struct series ps;          /* picoseconds per step */
};

static struct blocks blocks_make(size_t steps)
{
    return (struct blocks){ .size = steps / BLOCKS + 1, .ps = series_make(BLOCKS), .began = bench_now() };
}

static void block_end(struct blocks *blocks)
{
    int64_t now = bench_now();
    if (++blocks->ended > WARM_BLOCKS)
        series_add(&blocks->ps, (int64_t)((double)(now - blocks->began) * 1000 / (double)blocks->size));
    blocks->began = bench_now();
}

static void blocks_sample(struct blocks *blocks, const char *row)
{
    bench_sample(row, "ns", (double)series_at(&blocks->ps, 50) / 1000);
}

/* ---- one thread: cost of one step ---- */

static void step_clock(void)
{
    (void)bench_now();
}

static void step_rmw(void)
{
    atomic_fetch_add_explicit(&word, 1, memory_order_seq_cst);
}

static void step_cas(void)
{
    uint64_t old = atomic_load_explicit(&word, memory_order_relaxed);
    atomic_compare_exchange_strong_explicit(&word, &old, old + 1, memory_order_seq_cst, memory_order_relaxed);
}

static void step_store(void)
{
    atomic_store_explicit(&word, 1, memory_order_seq_cst);
}

static void nothing(void *ctx)
{
    __asm__ volatile("" : : "r"(ctx) : "memory");
}

static void (*volatile function)(void *) = nothing;

static void step_call(void)
{
    function(NULL);
}

static void step_syscall(void)
{
    syscall(SYS_getppid);
}

/* Inlined with a constant step, so that the row has the step and the loop only. */
static inline __attribute__((always_inline)) void measure_step(const char *row, void step(void), size_t times)
{
    struct blocks blocks = blocks_make(times);
    for (size_t n = 0; n < BLOCKS + WARM_BLOCKS; n++) {
        for (size_t i = 0; i < blocks.size; i++)
            step();
        block_end(&blocks);
    }
    blocks_sample(&blocks, row);
}

static void measure_steps(void)
{
    size_t many = bench_count(20000000);
    measure_step("read-modify-write", step_rmw, many);
    measure_step("compare-and-swap", step_cas, many);
    measure_step("seq_cst store", step_store, many);
    measure_step("indirect call", step_call, many);
    measure_step("clock read", step_clock, many / 10);
    measure_step("system call", step_syscall, many / 20);
}

/* ---- two pinned threads, one line ---- */

struct line { _Alignas(BENCH_LINE) _Atomic uint64_t value; };

static struct line ping, pong;

static void line_await(struct line *line, uint64_t value)
{
    while (atomic_load_explicit(&line->value, memory_order_acquire) != value)
        ;                                              /* no pause: it would be part of the figure */
}

static void *line_answer(void *ctx)
{
    size_t times = *(size_t *)ctx;
    bench_pin(1);
    for (uint64_t i = 1; i <= times; i++) {
        line_await(&ping, i);
        atomic_store_explicit(&pong.value, i, memory_order_release);
    }
    return NULL;
}

static void measure_round_trip(void)
{
    struct blocks blocks = blocks_make(bench_count(1000000));
    size_t times = blocks.size * (BLOCKS + WARM_BLOCKS);
    pthread_t other;
    bench_check(pthread_create(&other, NULL, line_answer, &times) == 0, "no thread");
    for (uint64_t i = 1; i <= times; i++) {
        atomic_store_explicit(&ping.value, i, memory_order_release);
        line_await(&pong, i);
        if (i % blocks.size == 0)
            block_end(&blocks);
    }
    pthread_join(other, NULL);
    blocks_sample(&blocks, "line round trip");
}

/* One line after the other through a ring, each published by itself: what a hand-over of jobs cannot beat. */
enum { RING_LINES = 4096, RING_PART = RING_LINES / 8 };

static struct line ring[RING_LINES], ring_read;

static bool ring_has_room(uint64_t next)
{
    return next < RING_LINES / 2 ||
           atomic_load_explicit(&ring_read.value, memory_order_acquire) >= next - RING_LINES / 2;
}

static void *ring_fill(void *ctx)
{
    size_t times = *(size_t *)ctx;
    bench_pin(1);
    for (uint64_t i = 0; i < times; i++) {
        while (i % RING_PART == 0 && !ring_has_room(i))
            bench_relax();
        atomic_store_explicit(&ring[i % RING_LINES].value, i + 1, memory_order_release);
    }
    return NULL;
}

static void measure_hand_over(void)
{
    struct blocks blocks = blocks_make(bench_count(4000000));
    size_t times = blocks.size * (BLOCKS + WARM_BLOCKS);
    pthread_t other;
    bench_check(pthread_create(&other, NULL, ring_fill, &times) == 0, "no thread");
    for (uint64_t i = 0; i < times; i++) {
        while (atomic_load_explicit(&ring[i % RING_LINES].value, memory_order_acquire) != i + 1)
            bench_relax();
        if (i % RING_PART == 0)
            atomic_store_explicit(&ring_read.value, i, memory_order_release);
        if ((i + 1) % blocks.size == 0)
            block_end(&blocks);
    }
    pthread_join(other, NULL);
    blocks_sample(&blocks, "line hand-over");
}

static _Atomic bool hammering;
static struct flag hammer_is_up;

static void *hammer(void *ctx)
{
    (void)ctx;
    bench_pin(1);
    flag_raise(&hammer_is_up);
    while (atomic_load_explicit(&hammering, memory_order_relaxed))
        step_rmw();
    return NULL;
}

static void measure_contended(void)
{
    pthread_t other;
    atomic_store_explicit(&hammering, true, memory_order_relaxed);
    bench_check(pthread_create(&other, NULL, hammer, NULL) == 0, "no thread");
    flag_await(&hammer_is_up);
    measure_step("read-modify-write contended", step_rmw, bench_count(2000000));
    atomic_store_explicit(&hammering, false, memory_order_relaxed);
    pthread_join(other, NULL);
}

/* ---- memory, beyond every cache: ns for each line, one after the other, and where the last one said ---- */

enum { MEMORY_LINES = 1 << 21 };                       /* 128 MiB */

static void measure_sequential(struct line *lines, size_t count)
{
    struct series read = series_make(BLOCKS), written = series_make(BLOCKS);
    for (size_t n = 0; n < (bench_is_quick() ? 3 : BLOCKS); n++) {
        uint64_t sum = 0;
        int64_t began = bench_now();
        for (size_t i = 0; i < count; i++)
            sum += atomic_load_explicit(&lines[i].value, memory_order_relaxed);
        series_add(&read, (bench_now() - began) * 1000 / (int64_t)count);
        began = bench_now();
        for (size_t i = 0; i < count; i++)
            atomic_store_explicit(&lines[i].value, sum + i, memory_order_relaxed);
        series_add(&written, (bench_now() - began) * 1000 / (int64_t)count);
    }
    bench_sample("memory line read in order", "ns", (double)series_at(&read, 50) / 1000);
    bench_sample("memory line written in order", "ns", (double)series_at(&written, 50) / 1000);
}

static void measure_random(struct line *lines, size_t count)
{
    size_t at = 0, times = bench_count(2000000);
    struct blocks blocks = blocks_make(times);
    for (size_t i = 0; i < count; i++)                 /* one cycle through all: count is a power of two */
        atomic_store_explicit(&lines[i].value, (i * 1664525 + 1013904223) % count, memory_order_relaxed);
    for (size_t n = 0; n < BLOCKS + WARM_BLOCKS; n++) {
        for (size_t i = 0; i < blocks.size; i++)
            at = atomic_load_explicit(&lines[at].value, memory_order_relaxed);
        block_end(&blocks);
    }
    bench_check(at < count, "a chain leads out of its memory");
    blocks_sample(&blocks, "memory line read at random");
}

static void measure_memory(void)
{
    struct line *lines = bench_alloc(MEMORY_LINES * sizeof *lines);
    measure_sequential(lines, MEMORY_LINES);
    measure_random(lines, MEMORY_LINES);
}

/* ---- two unpinned threads, raw futex ---- */

enum { WAKE_WARM = 100 };

static struct flag there, back;
static _Atomic int64_t woken_at;
static _Atomic bool leaving;

static void *sleeper(void *ctx)
{
    (void)ctx;
    for (;;) {
        flag_await(&there);
        atomic_store_explicit(&woken_at, bench_now(), memory_order_release);
        if (atomic_load_explicit(&leaving, memory_order_relaxed))
            return NULL;
    }
}

static int64_t wake_once(int64_t *cost)
{
    int64_t began = bench_now(), woken;
    atomic_store_explicit(&woken_at, 0, memory_order_relaxed);
    flag_raise(&there);
    *cost = bench_now() - began;
    while ((woken = atomic_load_explicit(&woken_at, memory_order_acquire)) == 0)
        bench_relax();
    return woken - began;
}

static void measure_wake(const char *row, int64_t gap_ns, bool busy, size_t times)
{
    struct series run = series_make(times), waker = series_make(times);
    char name[64];
    for (size_t i = 0; i < times + WAKE_WARM; i++) {
        int64_t cost, took;
        if (busy)
            bench_spin(gap_ns + (int64_t)bench_random() % gap_ns);
        else
            bench_sleep(gap_ns);
        took = wake_once(&cost);
        if (i < WAKE_WARM)
            continue;
        series_add(&run, took);
        series_add(&waker, cost);
    }
    snprintf(name, sizeof name, "futex wake %s", row);
    series_samples(&run, name, "ns");
    snprintf(name, sizeof name, "futex waker's cost %s", row);
    series_samples(&waker, name, "ns");
}

static void *futex_answer(void *ctx)
{
    size_t times = *(size_t *)ctx;
    for (size_t i = 0; i < times; i++) {
        flag_await(&there);
        flag_raise(&back);
    }
    return NULL;
}

static void measure_ping_pong(void)
{
    size_t times = bench_count(10000);
    struct series trip = series_make(times);
    pthread_t other;
    bench_check(pthread_create(&other, NULL, futex_answer, &times) == 0, "no thread");
    for (size_t i = 0; i < times; i++) {
        int64_t began = bench_now();
        flag_raise(&there);
        flag_await(&back);
        series_add(&trip, bench_now() - began);
    }
    pthread_join(other, NULL);
    series_samples(&trip, "futex ping-pong", "ns");
}

static void measure_futex(void)
{
    pthread_t other;
    bench_check(pthread_create(&other, NULL, sleeper, NULL) == 0, "no thread");
    measure_wake("gap 50-100 us", 50000, true, bench_count(5000));
    measure_wake("gap 2 ms", 2000000, false, bench_count(300));
    atomic_store_explicit(&leaving, true, memory_order_relaxed);
    flag_raise(&there);
    pthread_join(other, NULL);
    measure_ping_pong();
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    measure_futex();
    bench_pin(0);
    measure_steps();
    measure_memory();
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        return 0;
    measure_round_trip();
    measure_hand_over();
    measure_contended();
    return 0;
}
