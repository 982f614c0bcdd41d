/* SPDX-License-Identifier: Apache-2.0 */
/* futex.h - sleeping on a 32-bit word until somebody changes it
 *
 * Private futexes only: the word is in this process. The kernel compares and queues in one step
 * under its own lock, so a waker who first changes the word and then wakes is never missed. That is
 * all the ordering it gives: what the waker wrote travels through the caller's own atomics, before
 * and after.
 *
 * Both go through syscall() of the C library, which makes them one place for the schedule explorer
 * to stand in for the kernel. errno is preserved.
 */
#ifndef CORE_FUTEX_H
#define CORE_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

/* Sleeps while *word == expected, until a wake or until CLOCK_MONOTONIC reaches deadline_ns
 * (WEIR_FOREVER: no deadline; a past one: no sleep).
 * Answers ETIMEDOUT or 0. 0 promises nothing (a wake, a signal, another value): look again. */
int futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);

/* Wakes at most count sleepers, FUTEX_WAKE_ALL for every one; answers how many. Only the address is
 * used: the word may be gone already, and then the wake finds nobody, or somebody who has to bear a
 * spurious wake-up anyway. */
int futex_wake(_Atomic uint32_t *word, int count);

enum { FUTEX_WAKE_ALL = INT32_MAX };

#endif
