/* SPDX-License-Identifier: Apache-2.0 */
/* futex.c - two system calls; futex.h says what they promise */
#include "core/futex.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <weir/status.h>

#include "core/verify.h"

enum { NS_PER_S = 1000000000 };

static_assert(sizeof(_Atomic uint32_t) == 4, "the kernel compares four bytes");

/* The kernel calls a negative time invalid; a deadline before the clock's start is simply past. */
static struct timespec deadline_to_timespec(int64_t deadline_ns)
{
    int64_t ns = deadline_ns > 0 ? deadline_ns : 0;
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

int futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    int saved = errno;
    struct timespec deadline = deadline_to_timespec(deadline_ns);
    /* FUTEX_WAIT takes relative times; FUTEX_WAIT_BITSET takes absolute ones, CLOCK_MONOTONIC. */
    long answer = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                          deadline_ns == WEIR_FOREVER ? NULL : &deadline, NULL,
                          FUTEX_BITSET_MATCH_ANY);
    int err = answer == 0 ? 0 : errno;
    errno = saved;
    if (err == ETIMEDOUT)
        return ETIMEDOUT;
    if (err != 0 && err != EAGAIN && err != EINTR) /* the caller would look again, for ever */
        weir_bug("futex wait failed");
    return 0;
}

int futex_wake(_Atomic uint32_t *word, int count)
{
    int saved = errno;
    long woken = syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
    errno = saved; /* EFAULT: the word is gone, and with it whoever could have slept there */
    return woken > 0 ? (int)woken : 0;
}
