/* SPDX-License-Identifier: Apache-2.0 */
/* asymmetric.c - deciding once per process which barrier there is, and the rare side of it */
#include "core/asymmetric.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/verify.h"

_Atomic uint32_t asymmetric_way = ASYMMETRIC_UNDECIDED;
_Atomic uint32_t asymmetric_word;

static bool call_membarrier(int command)
{
    int saved = errno;
    long answer = syscall(SYS_membarrier, command, 0, 0);
    errno = saved;
    return answer == 0;
}

/* Several threads may be here at once: the kernel does not mind a second registration, and the
 * first answer stands for all, so that no two threads ever go different ways. */
static uint32_t decide(void)
{
    bool registered = call_membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    uint32_t way = registered ? ASYMMETRIC_MEMBARRIER : ASYMMETRIC_SHARED_WORD;
    uint32_t old = ASYMMETRIC_UNDECIDED;
    /* relaxed: the word carries no data; who comes later reads the same value */
    bool first = atomic_compare_exchange_strong_explicit(
        &asymmetric_way, &old, way, memory_order_relaxed, memory_order_relaxed);
    return first ? way : old;
}

bool asymmetric_init(void)
{
    /* relaxed: as in decide() */
    uint32_t way = atomic_load_explicit(&asymmetric_way, memory_order_relaxed);
    if (way == ASYMMETRIC_UNDECIDED)
        way = decide();
    return way == ASYMMETRIC_MEMBARRIER;
}

void asymmetric_heavy(void)
{
    /* relaxed: this thread's asymmetric_init() came before, and the value never changes after it */
    if (atomic_load_explicit(&asymmetric_way, memory_order_relaxed) == ASYMMETRIC_MEMBARRIER) {
        if (!call_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) /* M1, the other end is light */
            weir_bug("membarrier refused after it was registered");
    } else { /* acq_rel: M1, the other end is the same step of light */
        (void)atomic_fetch_add_explicit(&asymmetric_word, 1, memory_order_acq_rel);
    }
}
