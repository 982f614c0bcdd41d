/* SPDX-License-Identifier: Apache-2.0
 *
 * harness.h - what the programs of bench/ share
 *
 * A program answers one question. Each time it is started it measures once, after a warm-up that is thrown away, and
 * prints one line of CSV per sample: program,row,unit,value. bench/run.sh starts all programs in turn, round after
 * round, and makes the table. So a sample is one process: no round inherits the threads, the heap or the luck of
 * memory placement of the one before, and a slow minute of the machine falls on one round of every row, not on all
 * rounds of one row.
 *
 * Only public headers of the library are used here; the library is the shared one, as it would be installed.
 */
#ifndef WEIR_BENCH_HARNESS_H
#define WEIR_BENCH_HARNESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

enum { BENCH_LINE = 64, BENCH_THREADS_MAX = 16 };

/* ---- the program's frame ---- */

/** bench_start - read the arguments: --quick asks for small counts. Call it first. */
void bench_start(int argc, char **argv);

/** bench_is_quick - true: the figures only have to come, not to be good. */
bool bench_is_quick(void);

/** bench_count - how many times to do it: @full, or a tenth of it in a quick run */
size_t bench_count(size_t full);

/** bench_sample - print one sample of @row, in @unit; neither may contain a comma */
void bench_sample(const char *row, const char *unit, double value);

/** bench_must - stop the program with a message unless @status is WEIR_OK; @what was attempted */
void bench_must(weir_status status, const char *what);

/** bench_fail - say what went wrong, and stop the program */
_Noreturn void bench_fail(const char *what);

static inline void bench_check(bool fact, const char *what)
{
    if (!fact)
        bench_fail(what);
}

/** bench_alloc - @size zeroed bytes, aligned to a cache line and touched; never fails, never freed */
void *bench_alloc(size_t size);

/** bench_resident - the process's resident set, in bytes */
double bench_resident(void);

/** bench_session_end - close a session at once, and wait until that is over */
void bench_session_end(weir_session session);

/** bench_session_await - wait until a session is closed; it may have been so before */
void bench_session_await(weir_session session);

/* ---- the application under test ---- */

/** bench_app_open - default options but for the number of workers; one at a time */
weir_app bench_app_open(uint32_t workers);

void bench_app_close(weir_app app);

/** bench_thread - a small number of the calling thread: 1, 2, ... on threads of the application, 0 on all others */
unsigned bench_thread(void);

/* ---- time ---- */

/** bench_now - CLOCK_MONOTONIC in ns */
int64_t bench_now(void);

/** bench_spin - keep this core busy for @ns */
void bench_spin(int64_t ns);

/** bench_sleep - leave this core for @ns */
void bench_sleep(int64_t ns);

/** bench_random - the next of a fixed pseudo-random sequence */
uint32_t bench_random(void);

/** bench_pin - bind the calling thread to the @nth processor that this process may use; false: there is none */
bool bench_pin(unsigned nth);

static inline void bench_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- a flag that one thread sleeps on: one word, one futex call on each side, so its cost is the machine's ---- */

struct flag { _Alignas(BENCH_LINE) _Atomic uint32_t word; };

void flag_raise(struct flag *flag);

/** flag_await - sleep until the flag is raised, and lower it */
void flag_await(struct flag *flag);

/* ---- a gate: keeps one worker busy with nothing until it is opened ---- */

struct gate {
    weir_job job;
    struct flag entered;
    struct flag opened;
    struct flag left;
};

/** gate_hold - return when a worker is inside the gate */
void gate_hold(struct gate *gate, weir_queue queue);

void gate_open(struct gate *gate);

/** gate_end - open it, and return when the worker has left: the gate's memory may end */
void gate_end(struct gate *gate);

/* ---- a tally: counts what one thread does, or one thread at a time, and another one waits for a count ---- */

struct tally { _Alignas(BENCH_LINE) _Atomic size_t count; };

static inline void tally_add(struct tally *tally)
{
    size_t count = atomic_load_explicit(&tally->count, memory_order_relaxed);
    atomic_store_explicit(&tally->count, count + 1, memory_order_release);             /* pairs with tally_read */
}

static inline size_t tally_read(struct tally *tally)
{
    return atomic_load_explicit(&tally->count, memory_order_acquire);                  /* pairs with tally_add */
}

static inline void tally_clear(struct tally *tally)
{
    atomic_store_explicit(&tally->count, 0, memory_order_relaxed);
}

/** tally_await - leave the processor until the tally has reached @count */
void tally_await(struct tally *tally, size_t count);

/* ---- operations that park ---- */

extern struct tally bench_parked;          /* by bench_park; the one worker's */

/** bench_park - a work function: defers, and nobody completes the token */
weir_status bench_park(weir_task *task, void *ctx);

/** bench_ignore - a result callback */
void bench_ignore(const weir_result *result, void *ctx);

/* ---- a series of durations, of which percentiles are samples ---- */

struct series {
    int64_t *value;
    size_t count;
    size_t room;
};

struct series series_make(size_t room);

void series_add(struct series *series, int64_t value);

/** series_at - the value that @percent of the series are below; sorts it */
int64_t series_at(struct series *series, unsigned percent);

/** series_samples - print "ROW p50" and "ROW p99" of what was added; sorts the series */
void series_samples(struct series *series, const char *row, const char *unit);

#endif
