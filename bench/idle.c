/* SPDX-License-Identifier: Apache-2.0
 *
 * idle.c - what does a pool with nothing to do cost?
 *
 * Timers are armed far away. Measured are all threads but this one: their processor time, and their wake-ups, which are
 * the voluntary context switches in /proc/self/task/TID/status.
 */
#include "harness.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TIMERS = 1000, WORKERS = 2 };

struct usage {
    int64_t cpu_ns;
    long wakeups;
};

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

static struct usage usage_of_others(void)
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

static void ignore(weir_job *job, weir_status status)
{
    (void)job, (void)status;
}

/* Some work first, so that whatever winds down afterwards is part of what settles, or of what is measured. */
static void busy_a_moment(weir_queue queue)
{
    static struct gate gate;
    gate_hold(&gate, queue);
    gate_open(&gate);
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    weir_app app = bench_app_open(WORKERS);
    weir_queue queue = weir_app_queue(app, WEIR_NORMAL);
    weir_timer *timer = bench_alloc(TIMERS * sizeof *timer);
    for (size_t i = 0; i < TIMERS; i++) {
        timer[i].job.fn = ignore;
        bench_must(weir_timer_start(queue, &timer[i], (int64_t)(60 + i) * 1000000000, 0), "arm");
    }
    busy_a_moment(queue);
    bench_sleep(300000000);
    int64_t length = bench_is_quick() ? 1000000000 : 3000000000;
    int64_t began = bench_now();
    struct usage before = usage_of_others();
    bench_sleep(length);
    struct usage after = usage_of_others();
    double seconds = (double)(bench_now() - began) / 1e9;
    bench_sample("processor time", "us/s", (double)(after.cpu_ns - before.cpu_ns) / 1e3 / seconds);
    bench_sample("wake-ups", "1/s", (double)(after.wakeups - before.wakeups) / seconds);
    bench_app_close(app);
    return 0;
}
