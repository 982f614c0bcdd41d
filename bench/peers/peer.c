/* SPDX-License-Identifier: Apache-2.0
 *
 * peer.c - puts the questions to one library, and prints one line of CSV for each answer: peer,row,unit,value
 *
 * Each start of the program is one sample of each row, after a warm-up. bench/run.sh starts all of them in turn, round
 * after round, and the programs that take the library apart as well.
 */
#include "peer.h"

#include "../harness.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPAWN_JOBS = 1000000, TREE_DEPTH = 20, WAKES = 2000, PINGS = 20000, CYCLES = 20000, HUGE_QUEUE = 1000000 };

static struct flag over;
static size_t expected, ended;
static _Atomic size_t ended_shared;
static bool quick;
static const char *only = "";                           /* the questions whose names begin so */

/* ---- for peers ---- */

bool peer_ended(void)
{
    return ++ended == expected;
}

bool peer_ended_shared(void)
{
    return atomic_fetch_add_explicit(&ended_shared, 1, memory_order_acq_rel) + 1 == expected;   /* the others' ends */
}

void peer_all_ended(void)
{
    flag_raise(&over);
}

void peer_never(void)
{
    peer_fail("an operation ran that should have been cancelled");
}

void *peer_memory(size_t count, size_t size)
{
    return bench_alloc(count * size);
}

void peer_fail(const char *what)
{
    bench_fail(what);
}

static void print(const char *row, const char *unit, double value)
{
    printf("%s,%s,%s,%.4g\n", peer.name, row, unit, value);
    fflush(stdout);
}

static void begin(size_t count)
{
    expected = count;
    ended = 0;
    atomic_store_explicit(&ended_shared, 0, memory_order_relaxed);                  /* nobody else is at work */
}

static void wait_until_over(void)
{
    if (peer.wait != NULL)
        peer.wait();
    flag_await(&over);
}

/* ---- spawn ---- */

static void count_job(void *arg)
{
    (void)arg;
    if (peer_ended())
        peer_all_ended();
}

static void count_job_shared(void *arg)
{
    (void)arg;
    if (peer_ended_shared())
        peer_all_ended();
}

struct producer {
    struct peer_job *job;
    size_t count;
    _Atomic bool *go;
};

static void *produce(void *arg)
{
    struct producer *p = arg;
    while (!atomic_load_explicit(p->go, memory_order_acquire))                      /* the store of spawn() */
        bench_relax();
    for (size_t i = 0; i < p->count; i++)
        peer.submit(&p->job[i]);
    return NULL;
}

static double spawn(unsigned producers, struct peer_job *job, size_t count)
{
    pthread_t thread[2];
    struct producer p[2] = { 0 };
    _Atomic bool go = false;
    begin(count);
    for (unsigned i = 0; i < producers; i++)
        p[i] = (struct producer){ job + i * (count / producers), count / producers, &go };
    for (unsigned i = 1; i < producers; i++)
        if (pthread_create(&thread[i], NULL, produce, &p[i]) != 0)
            peer_fail("no thread");
    int64_t began = bench_now();
    atomic_store_explicit(&go, true, memory_order_release);                         /* produce() */
    (void)produce(&p[0]);
    wait_until_over();
    double took = (double)(bench_now() - began);
    for (unsigned i = 1; i < producers; i++)
        (void)pthread_join(thread[i], NULL);
    return took / (double)count;
}

static void ask_spawn(unsigned producers, unsigned workers, const char *row)
{
    size_t count = quick ? SPAWN_JOBS / 10 : SPAWN_JOBS;
    struct peer_job *job = peer_memory(count, sizeof(*job));
    for (size_t i = 0; i < count; i++)
        job[i].fn = workers > 1 ? count_job_shared : count_job;
    peer.open(workers);
    (void)spawn(1, job, count / 10);
    print(row, "ns/job", spawn(producers, job, count));
    peer.close();
    free(job);
}

/* ---- fork and join ---- */

static void ask_tree(void)
{
    unsigned depth = quick ? TREE_DEPTH - 4 : TREE_DEPTH;
    peer.open(2);
    peer.tree(depth - 4);
    int64_t began = bench_now();
    peer.tree(depth);
    print("fork-join 2 workers", "ns/leaf", (double)(bench_now() - began) / (double)(1UL << depth));
    peer.close();
}

/* ---- wake ---- */

static struct {
    int64_t submitted;
    struct series series;
} wake;

static void wake_job(void *arg)
{
    (void)arg;
    series_add(&wake.series, bench_now() - wake.submitted);
    peer_all_ended();
}

static void ask_wake(const char *row, bool gaps, size_t count)
{
    struct peer_job job = { .fn = wake_job };
    char text[64];
    wake.series = series_make(count);
    for (size_t i = 0; i < count; i++) {
        if (gaps)
            bench_spin(50000 + bench_random() % 50000);
        begin(1);
        wake.submitted = bench_now();
        peer.submit(&job);
        wait_until_over();
    }
    snprintf(text, sizeof(text), "%s p50", row);
    print(text, "ns", (double)series_at(&wake.series, 50));
    snprintf(text, sizeof(text), "%s p99", row);
    print(text, "ns", (double)series_at(&wake.series, 99));
}

/* There and back again, without a gap: from submit to the asker's knowledge. */
static void spin_job(void *arg)
{
    atomic_store_explicit((_Atomic bool *)arg, true, memory_order_release);         /* ask_ping */
}

static void ask_ping(size_t count)
{
    _Atomic bool done;
    struct peer_job job = { .fn = spin_job, .arg = &done };
    struct series series = series_make(count);
    for (size_t i = 0; i < count; i++) {
        atomic_store_explicit(&done, false, memory_order_relaxed);
        int64_t began = bench_now();
        peer.submit(&job);
        while (!atomic_load_explicit(&done, memory_order_acquire))                  /* spin_job */
            bench_relax();
        series_add(&series, bench_now() - began);
    }
    print("ping-pong p50", "ns", (double)series_at(&series, 50));
}

static void ask_wakes(void)
{
    peer.open(1);
    ask_wake("wake gap 50-100 us", true, quick ? WAKES / 10 : WAKES);
    if (!peer.one_producer)
        ask_ping(quick ? PINGS / 10 : PINGS);
    peer.close();
}

/* ---- cancel ---- */

/* The only worker is inside, and awake. */
static struct flag gate_entered, gate_left;
static _Atomic bool gate_opened;

static void gate_job(void *arg)
{
    (void)arg;
    flag_raise(&gate_entered);
    while (!atomic_load_explicit(&gate_opened, memory_order_acquire))               /* cancel_queued */
        bench_relax();
    flag_raise(&gate_left);
}

static double cancel_queued(size_t count)
{
    static struct peer_job gate = { .fn = gate_job };
    atomic_store_explicit(&gate_opened, false, memory_order_relaxed);               /* nobody is inside */
    peer.submit(&gate);
    flag_await(&gate_entered);
    begin(count);
    peer.queue(count);
    int64_t began = bench_now();
    peer.cancel();
    atomic_store_explicit(&gate_opened, true, memory_order_release);                /* gate_job */
    wait_until_over();
    double took = (double)(bench_now() - began);
    flag_await(&gate_left);
    peer.release();
    return took / (double)count;
}

static double cancel_parked(size_t count)
{
    begin(count);
    peer.park(count);
    int64_t began = bench_now();
    peer.cancel();
    wait_until_over();
    double took = (double)(bench_now() - began);
    peer.release();
    return took / (double)count;
}

static void ask_cancel(const char *what, double (*measure)(size_t), bool huge)
{
    static const struct { size_t count; const char *name; } of[] = {
        { 1000, "1e3" }, { 100000, "1e5" }, { HUGE_QUEUE, "1e6" },
    };
    char text[64];
    for (size_t i = 0; i < 2 + (size_t)(huge && !quick); i++) {
        peer.open(1);
        (void)measure(of[i].count);
        double least = measure(of[i].count);
        for (size_t again = of[i].count == 1000 ? 20 : 2; again > 0; again--) {
            double next = measure(of[i].count);
            least = next < least ? next : least;
        }
        snprintf(text, sizeof(text), "close %s %s", of[i].name, what);
        print(text, peer.drops ? "ns/op dropped" : "ns/op", least);
        peer.close();
    }
}

/* ---- cycle ---- */

static void ask_cycle(void)
{
    size_t count = quick ? CYCLES / 10 : CYCLES;
    peer.open(1);
    for (size_t i = 0; i < count / 10; i++)
        peer.cycle();
    int64_t began = bench_now();
    for (size_t i = 0; i < count; i++)
        peer.cycle();
    print("open one operation close", "ns", (double)(bench_now() - began) / (double)count);
    peer.close();
}

/* ---- memory ---- */

static void ask_memory(void)
{
    enum { COUNT = 200000 };
    peer.open(1);
    begin(COUNT);
    double before = bench_resident();
    peer.park(COUNT);
    print("memory parked operation", "B", (bench_resident() - before) / COUNT);
    peer.cancel();
    wait_until_over();
    peer.release();
    peer.close();
}

static bool asked(const char *question, bool answered)
{
    return answered && strncmp(question, only, strlen(only)) == 0;
}

/* [--quick] [QUESTION]: memory, spawn, wake, fork-join, close, open; all of them unless one is named. */
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--quick") == 0)
            quick = true;
        else
            only = argv[i];
    if (asked("memory", peer.park != NULL))             /* first, while the heap is fresh */
        ask_memory();
    if (asked("spawn", peer.submit != NULL))
        ask_spawn(1, 1, "spawn 1 producer 1 worker");
    if (asked("spawn", peer.submit != NULL && !peer.one_producer))
        ask_spawn(2, 2, "spawn 2 producers 2 workers");
    if (asked("wake", peer.submit != NULL))
        ask_wakes();
    if (asked("fork-join", peer.tree != NULL))
        ask_tree();
    if (asked("close", peer.queue != NULL))
        ask_cancel("queued", cancel_queued, true);
    if (asked("close", peer.park != NULL))
        ask_cancel("parked", cancel_parked, false);
    if (asked("open", peer.cycle != NULL))
        ask_cycle();
    return 0;
}
