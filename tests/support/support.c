/* SPDX-License-Identifier: Apache-2.0 */
/* support.c - gates, tallies, threads, the number of workers, seeds (see support.h)
 *
 * Mutexes and condition variables on purpose: every sanitizer understands them, and nothing of the
 * library is used to test the library. */

#include "tests/support/support.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WATCHDOG_SECONDS = 120 };                 /* below the TIMEOUT of every kind of test */

/* A test that fails half-way leaves threads behind that use its stack, and an application whose close would wait for
 * what it did not let go. So the process ends there, with cmocka's message, instead of in the tear-down without one. */
__attribute__((constructor)) static void abort_at_the_first_failure(void)
{
    (void)setenv("CMOCKA_TEST_ABORT", "1", 0);
}

static struct timespec watchdog_deadline(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);        /* what a statically initialised condition uses */
    now.tv_sec += WATCHDOG_SECONDS;
    return now;
}

static void watchdog_bark(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: waited %d s for %s\n", file, line, WATCHDOG_SECONDS, what);
    abort();
}

void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->opened);
    pthread_mutex_unlock(&gate->lock);          /* unlocked last: a waiter may free the gate */
}

bool gate_is_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    bool open = gate->open;
    pthread_mutex_unlock(&gate->lock);
    return open;
}

void gate_wait_at(struct gate *gate, const char *what, const char *file, int line)
{
    struct timespec deadline = watchdog_deadline();
    pthread_mutex_lock(&gate->lock);
    while (!gate->open)
        if (pthread_cond_timedwait(&gate->opened, &gate->lock, &deadline) == ETIMEDOUT
            && !gate->open)
            watchdog_bark(what, file, line);
    pthread_mutex_unlock(&gate->lock);
}

void tally_add(struct tally *tally, uint64_t n)
{
    pthread_mutex_lock(&tally->lock);
    tally->count += n;
    pthread_cond_broadcast(&tally->changed);
    pthread_mutex_unlock(&tally->lock);
}

uint64_t tally_count(struct tally *tally)
{
    pthread_mutex_lock(&tally->lock);
    uint64_t count = tally->count;
    pthread_mutex_unlock(&tally->lock);
    return count;
}

void tally_wait_at(struct tally *tally, uint64_t count,
                   const char *what, const char *file, int line)
{
    struct timespec deadline = watchdog_deadline();
    pthread_mutex_lock(&tally->lock);
    while (tally->count < count)
        if (pthread_cond_timedwait(&tally->changed, &tally->lock, &deadline) == ETIMEDOUT
            && tally->count < count) {
            fprintf(stderr, "%" PRIu64 " of %" PRIu64 ": ", tally->count, count);
            watchdog_bark(what, file, line);
        }
    pthread_mutex_unlock(&tally->lock);
}

static void die_unless_zero(int error, const char *what)
{
    if (error == 0)
        return;
    fprintf(stderr, "%s: error %d\n", what, error);
    abort();
}

pthread_t thread_start(void *(*run)(void *arg), void *arg)
{
    pthread_t thread;
    die_unless_zero(pthread_create(&thread, NULL, run, arg), "pthread_create");
    return thread;
}

void thread_join(pthread_t thread)
{
    die_unless_zero(pthread_join(thread, NULL), "pthread_join");
}

/* A number from the environment; a text that is none stops the test instead of being ignored. */
static bool read_number(const char *name, uint64_t *out)
{
    const char *text = getenv(name);
    if (text == NULL || *text == '\0')
        return false;
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 0);
    if (errno == 0 && *end == '\0')
        return true;
    fprintf(stderr, "%s='%s' is no number\n", name, text);
    abort();
}

uint32_t test_workers(void)
{
    uint64_t workers = 2;
    if (read_number("WEIR_TEST_WORKERS", &workers) && (workers < 1 || workers > 64)) {
        fprintf(stderr, "WEIR_TEST_WORKERS=%" PRIu64 ": may be 1 to 64\n", workers);
        abort();
    }
    return (uint32_t)workers;
}

static pthread_once_t seed_once = PTHREAD_ONCE_INIT;
static uint64_t seed_of_this_run;

static void choose_seed(void)
{
    if (!read_number("WEIR_TEST_SEED", &seed_of_this_run)) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        uint64_t state = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        seed_of_this_run = test_random(&state);
    }
    fprintf(stderr, "seed: WEIR_TEST_SEED=%#" PRIx64 "\n", seed_of_this_run);
}

uint64_t test_seed(void)
{
    die_unless_zero(pthread_once(&seed_once, choose_seed), "pthread_once");
    return seed_of_this_run;
}

uint64_t test_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
