/* SPDX-License-Identifier: Apache-2.0 */
/* cache.h - what the code needs to know about the processor's cache, and about waiting for it
 *
 * Two words that different threads write often must not share a line, or each write takes the line
 * away from the other thread. CACHE_LINE is the unit of that transfer on x86-64 and on almost every
 * AArch64. Rejected: 128, which some prefetchers pair and Apple's cores use: it doubles every
 * padded table, and where a pair of lines matters the structure says so itself.
 */
#ifndef CORE_CACHE_H
#define CORE_CACHE_H

#define CACHE_LINE 64
#define CACHE_ALIGNED _Alignas(CACHE_LINE)

/* Both are hints: any address is safe, also one past the end of a table. */
static inline void cache_prefetch(const void *address)
{
    __builtin_prefetch(address, 0, 3);
}

static inline void cache_prefetch_write(const void *address)
{
    __builtin_prefetch(address, 1, 3);
}

/* In a loop that waits for another processor: leaves the memory bus and the sibling hyper-thread in
 * peace. It is no ordering and no yield: a loop that may wait for a preempted thread is bounded. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb"); /* "yield" is a no-op on most cores; isb costs about what pause does */
#endif
}

#endif
