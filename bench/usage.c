/* SPDX-License-Identifier: Apache-2.0
 *
 * usage.c - see usage.h
 */
#include "usage.h"

#include "harness.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The processor-time clock of a thread of this process, as the kernel encodes it: pthread_getcpuclockid() for a TID. */
static int64_t cpu_ns_of(long tid)
{
    struct timespec used;
    bench_check(clock_gettime((clockid_t)(~(unsigned)tid << 3 | 6), &used) == 0, "no clock of a thread");
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

static long wakeups_of(long tid)
{
    static const char key[] = "voluntary_ctxt_switches:";
    char path[64], line[128];
    long switches = -1;
    snprintf(path, sizeof path, "/proc/self/task/%ld/status", tid);
    FILE *file = fopen(path, "r");
    bench_check(file != NULL, "a thread is gone");
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, sizeof key - 1) == 0)
            switches = strtol(line + sizeof key - 1, NULL, 10);
    fclose(file);
    bench_check(switches >= 0, "the kernel does not count context switches");
    return switches;
}

struct usage usage_of_others(void)
{
    struct usage usage = { 0 };
    DIR *tasks = opendir("/proc/self/task");
    bench_check(tasks != NULL, "no /proc/self/task");
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {      /* NOLINT(concurrency-mt-unsafe): its own DIR */
        long tid = strtol(task->d_name, NULL, 10);
        if (tid == 0 || tid == syscall(SYS_gettid))
            continue;
        usage.cpu_ns += cpu_ns_of(tid);
        usage.wakeups += wakeups_of(tid);
    }
    closedir(tasks);
    return usage;
}
