/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - close storms, the soak, a crowd of workers, a single core */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "endurance.h"

/* ---- close storms: sessions closed while eight threads submit to all of them ---- */

enum { SUBMITTERS = 8, STORM_SESSIONS = 10000 };

static struct {
    weir_session *sessions;
    uint64_t count;
    _Atomic uint64_t stop;
} sea;

static void *submit(void *arg)
{
    uint64_t random = (uintptr_t)arg * 2654435761U + 1;
    for (uint64_t n = 1; !sea.stop; n++) {
        if (n % 16 == 0)
            sched_yield();
        random = random * 6364136223846793005U + 1442695040888963407U;
        start_one(sea.sessions[(random >> 33) % sea.count], (random >> 20) % 64 == 0 ? &patient : &brief);
    }
    return NULL;
}

static void storm_over(weir_app app)
{
    pthread_t threads[SUBMITTERS];
    int64_t worst = 0;
    sea.stop = 0;
    for (uint64_t i = 0; i < sea.count; i++)
        must(weir_session_open(app, WEIR_NEW(weir_session_options, .live_max = 64), &sea.sessions[i]) == WEIR_OK);
    for (uintptr_t i = 0; i < SUBMITTERS; i++)
        must(pthread_create(&threads[i], NULL, submit, (void *)i) == 0);
    for (uint64_t i = 0; i < sea.count; i++) {
        if (i % 16 == 0)
            sched_yield();                         /* so that there is something to close */
        int64_t began = now_ns();
        must(weir_session_close(sea.sessions[i], count_closed, NULL) == WEIR_OK);
        int64_t took = now_ns() - began;
        worst = took > worst ? took : worst;
    }
    for (uint64_t i = 0; i < sea.count; i++) {
        weir_status status = weir_session_wait(sea.sessions[i], INT64_C(60000000000), NULL);
        must(status == WEIR_OK || status == WEIR_STALE);
    }
    sea.stop = 1;
    for (int i = 0; i < SUBMITTERS; i++)
        must(pthread_join(threads[i], NULL) == 0);
    must(counts.closes == sea.count);
    printf("    %llu sessions, the longest call of close took %.1f ms\n", (unsigned long long)sea.count,
           (double)worst / 1e6);
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
        start_one((weir_session){ target }, &brief);
    return NULL;
}

void stuck(uint64_t amount)
{
    pthread_t threads[2];
    weir_app app = open_app(2);
    weir_session holding = open_one(app);
    start_one(holding, &patient);
    start_one(holding, &patient);
    while (counts.works < 2)
        sched_yield();
    sea.stop = 0;
    target = holding.bits;
    for (uint64_t i = 0; i < (amount != 0 ? amount : 300); i++) {
        weir_session session = { 0 };
        must(weir_session_open(app, WEIR_NEW(weir_session_options, .live_max = 64), &session) == WEIR_OK);
        target = session.bits;
        for (int k = 0; i == 0 && k < 2; k++)
            must(pthread_create(&threads[k], NULL, aim, NULL) == 0);
        for (uint64_t k = 0; k < i % 8; k++)
            sched_yield();
        must(weir_session_close(session, count_closed, NULL) == WEIR_OK);
        weir_status status = weir_session_wait(session, INT64_C(30000000000), NULL);
        must(status == WEIR_OK || status == WEIR_STALE);
    }
    sea.stop = 1;
    for (int k = 0; k < 2; k++)
        must(pthread_join(threads[k], NULL) == 0);
    must(counts.works == 2);
    must(weir_session_close(holding, NULL, NULL) == WEIR_OK);
    close_app(app);
}

/* ---- the soak: so many operations, in sessions of a thousand ---- */

void soak(uint64_t amount)
{
    uint64_t wanted = amount != 0 ? amount : 1000000;
    weir_app app = open_app(2);
    struct baseline before = { 0 };
    while (counts.accepted < wanted) {
        weir_session session = open_one(app);
        for (int i = 0; i < 1000; i++)
            start_one(session, &brief);
        if (counts.accepted / 1000 % 2 == 0)
            (void)weir_session_cancel(session, WEIR_REASON_USER);
        must(weir_session_close(session, count_closed, NULL) == WEIR_OK);
        weir_status status = weir_session_wait(session, INT64_C(60000000000), NULL);
        must(status == WEIR_OK || status == WEIR_STALE);
        if (before.threads == 0)
            before = measure();                    /* after the first: what a session of this size needs */
    }
    must_be_back(&before, 1024);
    close_app(app);
}

/* ---- a crowd: a hundred workers for each core; and all on a single core ---- */

static void run_sessions(weir_app app, uint64_t sessions)
{
    for (uint64_t i = 0; i < sessions; i++) {
        weir_session session = open_one(app);
        for (int k = 0; k < 200; k++)
            start_one(session, k % 32 == 0 ? &patient : &brief);
        must(weir_session_close(session, count_closed, NULL) == WEIR_OK);
        weir_status status = weir_session_wait(session, INT64_C(60000000000), NULL);
        must(status == WEIR_OK || status == WEIR_STALE);
    }
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
