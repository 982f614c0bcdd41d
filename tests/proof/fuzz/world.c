/* SPDX-License-Identifier: Apache-2.0 */
/* world.c - see world.h */
#include "world.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct world world = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Atomic uint64_t sessions[SESSIONS], ops[OPS], tokens[TOKENS], queues[QUEUES], replies[REPLIES];

_Noreturn void world_complain(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: this must hold: %s\n", file, line, what);
    abort();
}

/* ---- pools ---- */

static void pool_begin(struct pool *p, _Atomic uint64_t *bits, uint32_t max)
{
    for (uint32_t i = 0; i < max; i++)
        atomic_store_explicit(&bits[i], 0, memory_order_relaxed);
    p->bits = bits;
    p->max = max;
    atomic_store(&p->count, 0);
}

int pool_add(struct pool *p, uint64_t bits)
{
    uint32_t place = atomic_fetch_add(&p->count, 1);
    if (place >= p->max) {
        atomic_store(&p->count, p->max);
        return -1;
    }
    atomic_store(&p->bits[place], bits);
    return (int)place;
}

uint64_t pool_pick(struct pool *p, struct bytes *b)
{
    uint8_t byte = take_byte(b);
    uint32_t count = atomic_load(&p->count);
    count = count < p->max ? count : p->max;
    uint64_t bits = count == 0 ? 0 : atomic_load(&p->bits[byte % count]);
    switch (byte >> 3) {
    case 29: return 0;
    case 30: return (uint64_t)take_byte(b) << 56 | (uint64_t)take_byte(b) << 48 | (uint64_t)take_byte(b) << 24 | byte;
    case 31: return bits ^ UINT64_C(1) << take_byte(b) % 64;
    default: return bits;
    }
}

/* ---- memory ---- */

static bool fails(void)
{
    static _Thread_local uint32_t random;
    uint32_t every = atomic_load_explicit(&world.fail_every, memory_order_relaxed);
    random = random * 1664525U + 1013904223U + (uint32_t)(uintptr_t)&random;
    return every != 0 && (random >> 8) % every == 0;
}

static void *give_memory(size_t size, size_t align, void *ctx)
{
    (void)ctx;
    void *memory = fails() ? NULL : aligned_alloc(align, (size + align - 1) / align * align);
    if (memory != NULL)
        atomic_fetch_add(&world.memory, (int64_t)size);
    return memory;
}

static void take_memory(void *memory, size_t size, void *ctx)
{
    (void)ctx;
    atomic_fetch_sub(&world.memory, (int64_t)size);
    free(memory);
}

static void be_quiet(int level, const char *line, void *ctx)
{
    (void)level;
    (void)line;
    (void)ctx;
}

/* ---- contexts ---- */

struct context *context_make(struct bytes *b, bool push, int session)
{
    struct context *c = calloc(1, sizeof(*c));
    must(c != NULL);
    for (int i = 0; i < SCRIPT; i++)
        c->script[i] = take_byte(b);
    c->bytes = (struct bytes){ c->script, c->script + SCRIPT };
    static _Atomic uint64_t serial;
    c->serial = atomic_fetch_add(&serial, 1);
    c->push = push;
    c->closed = session >= 0 ? &world.closed[session] : NULL;
    pthread_mutex_lock(&world.lock);
    c->next = world.live;
    if (world.live != NULL)
        world.live->previous = c;
    world.live = c;
    pthread_mutex_unlock(&world.lock);
    return c;
}

void context_free(struct context *c)
{
    pthread_mutex_lock(&world.lock);
    if (c->next != NULL)
        c->next->previous = c->previous;
    if (c->previous != NULL)
        c->previous->next = c->next;
    else
        world.live = c->next;
    pthread_mutex_unlock(&world.lock);
    free(c);
}

/* ---- an application, an input ---- */

void world_open_app(uint32_t workers)
{
    const weir_app_options options = {
        .size = sizeof(options), .workers = workers, .blocking_max = 2, .alloc = give_memory, .release = take_memory,
        .log = be_quiet,
    };
    weir_status status;
    do
        status = weir_app_open(&options, &world.app);
    while (status == WEIR_NO_MEMORY);
    must(status == WEIR_OK);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool item_is_over(const struct item *item)
{
    return item->periodic ? item->over >= item->accepted : item->over == item->accepted;
}

void world_close_app(void)
{
    weir_status status = weir_app_close(world.app, INT64_C(60000000000), NULL);
    must(status == WEIR_OK || status == WEIR_STALE);
    must(atomic_load(&world.memory) == 0);
    acts_end_app();
    for (int a = 0; a < THREADS; a++)
        for (int i = 0; i < ITEMS; i++)
            must(item_is_over(&world.actors[a].items[i]));
}

void world_begin(void)
{
    pool_begin(&world.sessions, sessions, SESSIONS);
    pool_begin(&world.ops, ops, OPS);
    pool_begin(&world.tokens, tokens, TOKENS);
    pool_begin(&world.queues, queues, QUEUES);
    pool_begin(&world.replies, replies, REPLIES);
    for (int i = 0; i < SESSIONS; i++) {
        world.closed[i] = 0;
        world.closes[i] = 0;
    }
    world.owed_count = 0;
}

void owe(uint64_t op, uint64_t delivered)
{
    uint32_t i = 0;
    pthread_mutex_lock(&world.lock);
    while (i < world.owed_count && world.owed[i].op != op)
        i++;
    must(i < OWED);
    if (i == world.owed_count)
        world.owed[world.owed_count++] = (struct owed){ .op = op };
    if (world.owed[i].delivered < delivered)
        world.owed[i].delivered = delivered;
    pthread_mutex_unlock(&world.lock);
}

static void give_back_owed(void)
{
    for (uint32_t i = 0;; i++) {
        pthread_mutex_lock(&world.lock);
        struct owed o = world.owed[i < world.owed_count ? i : 0];
        bool there = i < world.owed_count;
        pthread_mutex_unlock(&world.lock);
        if (!there)
            return;
        (void)weir_op_close((weir_op){ o.op });
        for (uint64_t n = 1; n <= o.delivered; n++)
            (void)weir_op_ack((weir_op){ o.op }, n);
    }
}

/* One context at a time, without the lock: its hook may have said that it waits for the token. */
static bool give_back_token(uint32_t which)
{
    pthread_mutex_lock(&world.lock);
    struct context *c = world.live;
    for (; c != NULL && which-- != 0; c = c->next)
        ;
    uint64_t token = c != NULL ? c->token : 0;
    pthread_mutex_unlock(&world.lock);
    if (token != 0)
        (void)!weir_token_complete((weir_token){ token }, WEIR_OK, NULL, 0);
    return c != NULL;
}

static void give_back(void)
{
    give_back_owed();
    for (uint32_t i = 0; give_back_token(i); i++)
        ;
}

static bool session_ended(uint32_t i)
{
    weir_status status = weir_session_wait((weir_session){ world.sessions.bits[i] }, 0, NULL);
    return status == WEIR_STALE || status == WEIR_OK || status == WEIR_INVALID;
}

static bool all_ended(void)
{
    for (uint32_t i = 0; i < world.sessions.count && i < world.sessions.max; i++)
        if (world.sessions.bits[i] != 0 && !session_ended(i))
            return false;
    pthread_mutex_lock(&world.lock);
    bool none = world.live == NULL;
    pthread_mutex_unlock(&world.lock);
    return none && world.items == world.dropped;
}

static void say_what_is_missing(void)
{
    weir_blocker blockers[8];
    for (uint32_t i = 0; i < world.sessions.count && i < world.sessions.max; i++) {
        weir_report r = { .size = sizeof(r), .blockers = blockers, .blockers_max = 8 };
        weir_status status = weir_session_inspect((weir_session){ world.sessions.bits[i] }, &r);
        fprintf(stderr, "session %u: %s phase %u, %zu blockers\n", i, weir_status_name(status), r.phase,
                r.blockers_found);
        for (size_t k = 0; k < r.blockers_found && k < 8 && status == WEIR_OK; k++)
            fprintf(stderr, "    missing %#x worker %d\n", blockers[k].missing, blockers[k].worker);
    }
    fprintf(stderr, "items %llu, dropped %llu\n", (unsigned long long)world.items, (unsigned long long)world.dropped);
    for (struct context *c = world.live; c != NULL; c = c->next)
        fprintf(stderr, "context: op %#llx token %#llx delivered %llu finals %u %s\n", (unsigned long long)c->op,
                (unsigned long long)c->token, (unsigned long long)c->delivered, c->finals, c->push ? "push" : "pull");
}

/* Again and again: work that still runs opens more. */
static void close_all(void)
{
    for (uint32_t i = 0; i < world.sessions.count && i < world.sessions.max; i++)
        (void)weir_session_close((weir_session){ world.sessions.bits[i] }, NULL, NULL);
    for (uint32_t i = 0; i < world.queues.count && i < world.queues.max; i++)
        (void)weir_queue_close((weir_queue){ world.queues.bits[i] }, true, NULL);
    for (uint32_t i = 0; i < world.replies.count && i < world.replies.max; i++)
        (void)weir_job_reply((weir_token){ world.replies.bits[i] });
    for (int a = 0; a < THREADS; a++)
        for (int i = 0; i < ITEMS; i++)
            (void)weir_job_cancel(&world.actors[a].items[i].wait.timer.job);
}

void world_end(void)
{
    int64_t deadline = now_ns() + INT64_C(30000000000);
    for (;;) {
        close_all();
        give_back();
        if (all_ended())
            break;
        if (now_ns() > deadline) {
            say_what_is_missing();
            world_complain("after everything was given back each session ends", __FILE__, __LINE__);
        }
        sched_yield();
    }
    for (uint32_t i = 0; i < SESSIONS; i++)
        must(world.closed[i] == world.closes[i] && world.closed[i] <= 1);
    must(world.started == world.gone);
}
