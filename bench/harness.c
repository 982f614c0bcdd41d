/* SPDX-License-Identifier: Apache-2.0
 *
 * harness.c - see harness.h
 */
#include "harness.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *program_name = "?";
static bool quick;

/* ---- the program's frame ---- */

void bench_start(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    program_name = slash != NULL ? slash + 1 : argv[0];
    if (strncmp(program_name, "bench_", 6) == 0)
        program_name += 6;
    for (int i = 1; i < argc; i++) {
        bench_check(strcmp(argv[i], "--quick") == 0, "the only option is --quick");
        quick = true;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
}

bool bench_is_quick(void)
{
    return quick;
}

size_t bench_count(size_t full)
{
    return quick ? full / 10 : full;
}

void bench_sample(const char *row, const char *unit, double value)
{
    bench_check(strchr(row, ',') == NULL && strchr(unit, ',') == NULL, "a comma in a line of CSV");
    printf("%s,%s,%s,%.3f\n", program_name, row, unit, value);
}

void bench_fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", program_name, what);
    _exit(1);
}

void bench_must(weir_status status, const char *what)
{
    if (status == WEIR_OK)
        return;
    fprintf(stderr, "%s: %s: ", program_name, what);
    bench_fail(weir_status_text(status));
}

void *bench_alloc(size_t size)
{
    size_t rounded = (size + BENCH_LINE - 1) / BENCH_LINE * BENCH_LINE;
    void *memory = aligned_alloc(BENCH_LINE, rounded);
    bench_check(memory != NULL, "no memory");
    return memset(memory, 0, rounded);
}

double bench_resident(void)
{
    unsigned long pages, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    bench_check(file != NULL && fscanf(file, "%lu %lu", &pages, &resident) == 2, "no /proc/self/statm");
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

void bench_session_await(weir_session session)
{
    weir_status status = weir_session_wait(session, WEIR_FOREVER, NULL);
    bench_check(status == WEIR_OK || status == WEIR_STALE, "wait for a session");
}

void bench_session_end(weir_session session)
{
    bench_must(weir_session_close(session, NULL, NULL), "close a session");
    bench_session_await(session);
}

/* ---- the application under test ---- */

static _Thread_local unsigned thread_number;
static _Atomic unsigned threads_numbered;

static void thread_number_take(weir_app app, uint32_t worker, bool starts, void *ctx)
{
    (void)app, (void)worker, (void)ctx;
    if (!starts)
        return;
    thread_number = 1 + atomic_fetch_add_explicit(&threads_numbered, 1, memory_order_relaxed);
    bench_check(thread_number < BENCH_THREADS_MAX, "more threads than the harness has room for");
}

weir_app bench_app_open(uint32_t workers)
{
    weir_app app;
    atomic_store_explicit(&threads_numbered, 0, memory_order_relaxed);
    bench_must(weir_app_open(WEIR_NEW(weir_app_options, .workers = workers, .on_thread = thread_number_take), &app),
               "open the application");
    return app;
}

void bench_app_close(weir_app app)
{
    bench_must(weir_app_close(app, WEIR_FOREVER, NULL), "close the application");
}

unsigned bench_thread(void)
{
    return thread_number;
}

/* ---- time ---- */

int64_t bench_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void bench_spin(int64_t ns)
{
    int64_t end = bench_now() + ns;
    while (bench_now() < end)
        bench_relax();
}

void bench_sleep(int64_t ns)
{
    struct timespec time = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

uint32_t bench_random(void)
{
    static uint32_t state = 12345;                     /* xorshift32; one thread at a time calls it */
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

bool bench_pin(unsigned nth)
{
    static cpu_set_t allowed;                          /* as it was when the main thread pinned itself first */
    if (CPU_COUNT(&allowed) == 0 && sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return false;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || nth-- > 0)
            continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        return pthread_setaffinity_np(pthread_self(), sizeof one, &one) == 0;
    }
    return false;
}

/* ---- flag and gate ---- */

void flag_raise(struct flag *flag)
{
    atomic_store_explicit(&flag->word, 1, memory_order_release);       /* pairs with the exchange in flag_await */
    syscall(SYS_futex, &flag->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void flag_await(struct flag *flag)
{
    while (atomic_exchange_explicit(&flag->word, 0, memory_order_acquire) == 0)
        syscall(SYS_futex, &flag->word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static void gate_enter(weir_job *job, weir_status status)
{
    struct gate *gate = job->ctx;
    bench_must(status, "enter a gate");
    flag_raise(&gate->entered);
    flag_await(&gate->opened);
    flag_raise(&gate->left);
}

void gate_hold(struct gate *gate, weir_queue queue)
{
    memset(gate, 0, sizeof *gate);
    gate->job = (weir_job){ .fn = gate_enter, .ctx = gate };
    bench_must(weir_job_submit(queue, &gate->job), "submit a gate");
    flag_await(&gate->entered);
}

void gate_open(struct gate *gate)
{
    flag_raise(&gate->opened);
}

void gate_end(struct gate *gate)
{
    gate_open(gate);
    flag_await(&gate->left);
}

void tally_await(struct tally *tally, size_t count)
{
    while (tally_read(tally) < count)
        bench_sleep(100000);
}

/* ---- operations that park ---- */

struct tally bench_parked;

weir_status bench_park(weir_task *task, void *ctx)
{
    weir_token token;
    (void)ctx;
    bench_must(weir_task_defer(task, &token), "defer");
    tally_add(&bench_parked);
    return WEIR_OK;
}

void bench_ignore(const weir_result *result, void *ctx)
{
    (void)result, (void)ctx;
}

/* ---- series ---- */

struct series series_make(size_t room)
{
    return (struct series){ .value = bench_alloc(room * sizeof(int64_t)), .room = room };
}

void series_add(struct series *series, int64_t value)
{
    bench_check(series->count < series->room, "a series is full");
    series->value[series->count++] = value;
}

static int compare_values(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int64_t series_at(struct series *series, unsigned percent)
{
    qsort(series->value, series->count, sizeof *series->value, compare_values);
    return series->value[series->count * percent / 100];
}

void series_samples(struct series *series, const char *row, const char *unit)
{
    char name[96];
    for (unsigned percent = 50; percent <= 99; percent += 49) {
        snprintf(name, sizeof name, "%s p%u", row, percent);
        bench_sample(name, unit, (double)series_at(series, percent));
    }
}
