/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - close storms, the soak, a crowd of workers, a single core */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "endurance.h"

/* ---- close storms: sessions closed while eight threads start operations in those that come next ---- */

enum { SUBMITTERS = 8, STORM_SESSIONS = 10000, AHEAD = 64 };

struct storm_session {
    weir_session session;
    _Atomic bool hit;                              /* something was accepted in it */
    int64_t began;                                 /* its close; written before that */
};

static struct {
    struct storm_session *sessions;
    uint64_t count;
    _Atomic uint64_t closing;                      /* the one that is closed next */
    _Atomic int64_t longest;
    _Atomic bool stop;
} sea;

/* Most starts hit the next few sessions, so a close meets some of its own on their way; others come too late. */
static void *submit(void *arg)
{
    uint64_t random = (uintptr_t)arg * 2654435761U + 1;
    for (uint64_t n = 1; !sea.stop; n++) {
        if (n % 16 == 0)
            sched_yield();
        random = random * 6364136223846793005U + 1442695040888963407U;
        uint64_t at = (sea.closing + (random >> 33) % AHEAD) % sea.count;
        if ((random >> 25) % 8 == 0)
            at = (random >> 33) % sea.count;
        if (start_one(sea.sessions[at].session, (random >> 20) % 64 == 0 ? &patient : &brief))
            sea.sessions[at].hit = true;
    }
    return NULL;
}

static void storm_closed(const weir_report *report, void *ctx)
{
    const struct storm_session *s = ctx;
    int64_t took = now_ns() - s->began, longest = sea.longest;
    while (took > longest && !atomic_compare_exchange_weak(&sea.longest, &longest, took))
        ;
    count_closed(report, NULL);
}

static void storm_over(weir_app app)
{
    pthread_t threads[SUBMITTERS];
    sea.stop = false;
    for (uint64_t i = 0; i < sea.count; i++)
        must(weir_session_open(app, WEIR_NEW(weir_session_options, .live_max = 64), &sea.sessions[i].session)
             == WEIR_OK);
    for (uintptr_t i = 0; i < SUBMITTERS; i++)
        must(pthread_create(&threads[i], NULL, submit, (void *)i) == 0);
    for (uint64_t i = 0; i < sea.count; i++) {
        sea.closing = i;
        while (!sea.sessions[i].hit)               /* there is something to close */
            sched_yield();
        sea.sessions[i].began = now_ns();
        must(weir_session_close(sea.sessions[i].session, storm_closed, &sea.sessions[i]) == WEIR_OK);
    }
    for (uint64_t i = 0; i < sea.count; i++)
        wait_for(sea.sessions[i].session);
    sea.stop = true;
    for (int i = 0; i < SUBMITTERS; i++)
        must(pthread_join(threads[i], NULL) == 0);
    must(counts.closes == sea.count && counts.accepted >= sea.count);
    printf("    %llu sessions, the longest from close to its callback took %.1f ms\n", (unsigned long long)sea.count,
           (double)sea.longest / 1e6);
}

void storm(uint64_t amount)
{
    struct baseline before = measure();
    sea.count = amount != 0 ? amount : STORM_SESSIONS;
    sea.sessions = calloc(sea.count, sizeof(*sea.sessions));
    must(sea.sessions != NULL);
    weir_app app = open_app(2);
    storm_over(app);
    close_app(app);
    free(sea.sessions);
    must_be_back(&before, 64 * 1024);
}

/* ---- every worker stuck in user code: the control thread alone brings each close to its end (C7), also when starts
 * race with it ---- */

static _Atomic uint64_t target;

static void *aim(void *arg)
{
    (void)arg;
    while (!sea.stop)
        (void)start_one((weir_session){ target }, &brief);
    return NULL;
}

void stuck(uint64_t amount)
{
    pthread_t threads[2];
    weir_app app = open_app(2);
    weir_session holding = open_one(app);
    must(start_one(holding, &patient) && start_one(holding, &patient));
    while (counts.works < 2)
        sched_yield();
    sea.stop = false;
    target = holding.bits;
    for (uint64_t i = 0; i < (amount != 0 ? amount : 300); i++) {
        weir_session session = { 0 };
        must(weir_session_open(app, WEIR_NEW(weir_session_options, .live_max = 64), &session) == WEIR_OK);
        target = session.bits;
        for (int k = 0; i == 0 && k < 2; k++)
            must(pthread_create(&threads[k], NULL, aim, NULL) == 0);
        for (uint64_t k = 0; k < i % 8; k++)
            sched_yield();
        close_one(session, false);
    }
    sea.stop = true;
    for (int k = 0; k < 2; k++)
        must(pthread_join(threads[k], NULL) == 0);
    must(counts.works == 2);
    must(weir_session_close(holding, NULL, NULL) == WEIR_OK);
    close_app(app);
}

/* ---- the soak: so many operations; every other session is cancelled ---- */

void soak(uint64_t amount)
{
    uint64_t wanted = amount != 0 ? amount : 1000000;
    weir_app app = open_app(2);
    run_session(app, true);
    struct baseline before = measure();            /* what a session of this size needs is there now */
    for (bool drain = false; counts.accepted < wanted; drain = !drain)
        run_session(app, drain);
    must_be_back(&before, 1024);
    close_app(app);
}

/* ---- a crowd: a hundred workers for each core; and all on a single core ---- */

static void run_sessions(weir_app app, uint64_t sessions)
{
    for (uint64_t i = 0; i < sessions; i++)
        run_session(app, i % 2 == 0);
}

void crowd(uint64_t amount)
{
    struct baseline before = measure();
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t workers = (uint32_t)(cores > 10 ? 1000 : 100 * cores);
    weir_app app = open_app(workers);
    printf("    %u workers on %ld cores\n", workers, cores);
    run_sessions(app, amount != 0 ? amount : 100);
    close_app(app);
    must_be_back(&before, 64 * 1024);
}

void one_core(uint64_t amount)
{
    cpu_set_t all, one;
    must(sched_getaffinity(0, sizeof(all), &all) == 0);
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &one);
    must(sched_setaffinity(0, sizeof(one), &one) == 0);
    weir_app app = open_app(4);
    run_sessions(app, amount != 0 ? amount : 300);
    close_app(app);
    must(sched_setaffinity(0, sizeof(all), &all) == 0);
}
