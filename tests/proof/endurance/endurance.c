/* SPDX-License-Identifier: Apache-2.0 */
/* endurance.c - endurance [PART [AMOUNT]]: all parts in their short form, or one, as long as is asked for */
#include "endurance.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct counts counts;
static _Atomic int64_t memory;

_Noreturn void endurance_complain(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: this must hold: %s\n", file, line, what);
    abort();
}

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- an application ---- */

static void *give_memory(size_t size, size_t align, void *ctx)
{
    (void)ctx;
    void *block = aligned_alloc(align, (size + align - 1) / align * align);
    if (block != NULL)
        atomic_fetch_add_explicit(&memory, (int64_t)size, memory_order_relaxed);
    return block;
}

static void take_memory(void *block, size_t size, void *ctx)
{
    (void)ctx;
    atomic_fetch_sub_explicit(&memory, (int64_t)size, memory_order_relaxed);
    free(block);
}

weir_app open_app(uint32_t workers)
{
    weir_app app = { 0 };
    must(weir_app_open(WEIR_NEW(weir_app_options, .workers = workers, .alloc = give_memory, .release = take_memory),
                       &app) == WEIR_OK);
    return app;
}

void close_app(weir_app app)
{
    must(weir_app_close(app, INT64_C(60000000000), NULL) == WEIR_OK);
    must(memory == 0);
}

/* ---- operations ---- */

static weir_status work_briefly(weir_task *task, void *ctx)
{
    (void)task;
    (void)ctx;
    atomic_fetch_add_explicit(&counts.works, 1, memory_order_relaxed);
    return WEIR_OK;
}

static weir_status work_until_cancelled(weir_task *task, void *ctx)
{
    (void)ctx;
    atomic_fetch_add_explicit(&counts.works, 1, memory_order_relaxed);
    while (weir_task_cancelled(task) == 0)
        sched_yield();
    return WEIR_CANCELED;
}

static void count_final(const weir_result *r, void *ctx)
{
    (void)ctx;
    atomic_fetch_add_explicit(&counts.finals, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(r->status == WEIR_OK ? &counts.completed : &counts.canceled, 1, memory_order_relaxed);
}

const weir_kind brief = { .size = sizeof(weir_kind), .name = "brief", .work = work_briefly, .on_result = count_final };
const weir_kind patient = { .size = sizeof(weir_kind), .name = "patient", .work = work_until_cancelled,
                            .on_result = count_final };

void count_closed(const weir_report *report, void *ctx)
{
    (void)ctx;
    must(report->accepted == report->completed + report->failed + report->cancelled + report->timed_out
                             + report->abandoned);
    atomic_fetch_add(&counts.closes, 1);
}

bool start_one(weir_session session, const weir_kind *kind)
{
    weir_status status = weir_op_start(session, kind, NULL, NULL, NULL);
    must(status == WEIR_OK || status == WEIR_CLOSED || status == WEIR_STALE || status == WEIR_LIMIT);
    atomic_fetch_add_explicit(status == WEIR_OK ? &counts.accepted : &counts.refused, 1, memory_order_relaxed);
    return status == WEIR_OK;
}

weir_session open_one(weir_app app)
{
    weir_session session = { 0 };
    must(weir_session_open(app, NULL, &session) == WEIR_OK);
    return session;
}

void wait_for(weir_session session)
{
    weir_status status = weir_session_wait(session, INT64_C(60000000000), NULL);
    must(status == WEIR_OK || status == WEIR_STALE);
}

void close_one(weir_session session, bool drain)
{
    must(weir_session_close_with(session, WEIR_NEW(weir_close_options, .drain_ns = drain ? WEIR_FOREVER : 0,
                                                   .closed = count_closed)) == WEIR_OK);
    wait_for(session);
}

void run_session(weir_app app, bool drain)
{
    uint64_t completed = counts.completed;
    weir_session session = open_one(app);
    for (int i = 0; i < SESSION_OPS; i++)
        must(start_one(session, !drain && i % 32 == 0 ? &patient : &brief));
    close_one(session, drain);
    must(!drain || counts.completed == completed + SESSION_OPS);
}

/* ---- the process ---- */

static uint64_t entries(const char *path)
{
    uint64_t count = 0;
    DIR *directory = opendir(path);
    must(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    (void)closedir(directory);
    return count - 2;                                          /* itself and its parent */
}

static uint64_t resident(void)
{
    unsigned long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    must(file != NULL && fscanf(file, "%lu %lu", &size, &pages) == 2);
    (void)fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

struct baseline measure(void)
{
    return (struct baseline){ entries("/proc/self/task"), entries("/proc/self/fd"), resident() };
}

void must_be_back(const struct baseline *before, uint64_t slack_kilobytes)
{
    (void)slack_kilobytes;                                     /* not asked under a sanitizer */
    int64_t deadline = now_ns() + INT64_C(60000000000);
    struct baseline now = measure();
    /* the kernel lets a thread be joined a moment before it takes it off its list */
    while ((now.threads != before->threads || now.files != before->files) && now_ns() < deadline) {
        sched_yield();
        now = measure();
    }
    printf("    threads %llu, files %llu, memory %llu kB before; %llu, %llu, %llu kB after\n",
           (unsigned long long)before->threads, (unsigned long long)before->files,
           (unsigned long long)before->kilobytes, (unsigned long long)now.threads, (unsigned long long)now.files,
           (unsigned long long)now.kilobytes);
    must(now.threads == before->threads && now.files == before->files);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    must(now.kilobytes < before->kilobytes + slack_kilobytes);
#endif
}

/* ---- parts ---- */

static const struct {
    const char *name;
    part_fn *run;
} parts[] = {
    { "storm", storm }, { "stuck", stuck }, { "soak", soak }, { "crowd", crowd }, { "one_core", one_core },
    { "stopped", stopped }, { "signals", signals }, { "clocks", clocks }, { "forks", forks },
};

int main(int argc, char **argv)
{
    bool known = false;
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        if (argc > 1 && strcmp(argv[1], parts[i].name) != 0)
            continue;
        known = true;
        int64_t began = now_ns();
        counts = (struct counts){ 0 };
        parts[i].run(argc > 2 ? strtoull(argv[2], NULL, 10) : 0);
        printf("%-9s %.1f s, %llu accepted, %llu refused, %llu completed, %llu canceled, %llu closes: all is well\n",
               parts[i].name, (double)(now_ns() - began) / 1e9, (unsigned long long)counts.accepted,
               (unsigned long long)counts.refused, (unsigned long long)counts.completed,
               (unsigned long long)counts.canceled, (unsigned long long)counts.closes);
        (void)fflush(stdout);
        must(counts.accepted == counts.finals);
    }
    if (!known)
        fprintf(stderr, "usage: endurance [PART [AMOUNT]]\n");
    return known ? 0 : 2;
}
