/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_SUPPORT_H
#define WEIR_TESTS_SUPPORT_H

/* support.h - what several tests need: gates, tallies, threads, the number of workers, seeds
 *
 * Tests step threads through gates instead of sleeping. A wait that should end and does not would
 * hang the test and tell nothing, so every wait here has a watchdog: after a time far above what
 * any machine needs it prints where it stands and aborts. No test passes by the watchdog's time.
 *
 * What a thread wrote before gate_open() or tally_add() is visible after the wait that it ends.
 * That makes these tools too strong for tests of memory ordering between two threads: those spin on
 * an atomic of their own. */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* A gate is shut until somebody opens it; it stays open. Zero-initialised is shut. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open;
};
#define GATE_INIT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false}

void gate_open(struct gate *gate);
bool gate_is_open(struct gate *gate);
#define gate_wait(gate) gate_wait_at((gate), #gate, __FILE__, __LINE__)
void gate_wait_at(struct gate *gate, const char *what, const char *file, int line);

/* A tally counts up; a waiter waits until it reached a number. Callbacks add, the test waits. */
struct tally {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t count;
};
#define TALLY_INIT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0}

void tally_add(struct tally *tally, uint64_t n);
uint64_t tally_count(struct tally *tally);
#define tally_wait(tally, count) tally_wait_at((tally), (count), #tally, __FILE__, __LINE__)
void tally_wait_at(struct tally *tally, uint64_t count,
                   const char *what, const char *file, int line);

/* Threads of a test: a failure to start or join one aborts, since it is not what is tested. */
pthread_t thread_start(void *(*run)(void *arg), void *arg);
void thread_join(pthread_t thread);

/* How many workers an application under test shall have: WEIR_TEST_WORKERS, 2 by default. */
uint32_t test_workers(void);

/* The seed of this run: WEIR_TEST_SEED, or a new one. Printed at the first call, so that a failure
 * can be repeated. */
uint64_t test_seed(void);

/* The next number of a sequence (splitmix64). *state may start anywhere, as at test_seed() + i. */
uint64_t test_random(uint64_t *state);

#endif
