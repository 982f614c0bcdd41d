/* SPDX-License-Identifier: Apache-2.0 */
/* world.h - what the fuzzer's threads share: handles of everything, and who is owed what
 *
 * An input is bytes. Some of them set the stage; the rest is dealt out to the threads, the work functions and the
 * callbacks, each of which takes its next calls from its own bytes. What must come out, whatever was called:
 *
 *      each accepted start        one final (push), one gone; no result callback after the session's close callback
 *      each accepted item         one drop, if its kind drops. Contexts and items are freed there: AddressSanitizer
 *                                 sees who is late
 *      each accepted job          one call
 *      each close that was OK     its callback once; when everything is given back every session ends in time
 *      the application's close    all memory that its hooks gave is back
 */
#ifndef PROOF_WORLD_H
#define PROOF_WORLD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

/* ---- bytes ---- */

struct bytes {
    const uint8_t *at, *end;
};

static inline uint8_t take_byte(struct bytes *b) { return b->at < b->end ? *b->at++ : 0; }
static inline bool is_empty(const struct bytes *b) { return b->at >= b->end; }

/* ---- pools: what was ever given out in this input; never taken back ---- */

enum { SESSIONS = 8, OPS = 64, TOKENS = 64, QUEUES = 8, REPLIES = 16 };

struct pool {
    _Atomic uint32_t count;
    uint32_t max;
    _Atomic uint64_t *bits;
};

/* Its place, or -1: full. */
int pool_add(struct pool *p, uint64_t bits);

/* One of them, chosen by a byte; by some bytes a wrong one: nothing, noise, or another one with a bit turned. */
uint64_t pool_pick(struct pool *p, struct bytes *b);

/* ---- operations ---- */

enum { SCRIPT = 12 };

struct context {
    struct context *next, *previous;               /* of all that live; under world.lock */
    uint64_t serial;                               /* addresses come again, serials do not */
    _Atomic uint64_t op, token;
    _Atomic uint64_t delivered;                    /* number of the last result that was seen */
    _Atomic uint32_t finals;
    _Atomic uint32_t *closed;                      /* of its session: the close callback has been called */
    bool push, deferred;
    uint8_t script[SCRIPT];
    struct bytes bytes;                            /* of the script; the work's */
};

/* What keeps a session open besides contexts: handles, and results that nobody has acknowledged. */
enum { OWED = 2048 };

struct owed {
    uint64_t op, delivered;
};

/* A handle, or a result's number (else 0), is to be given back at the end. */
void owe(uint64_t op, uint64_t delivered);

/* ---- jobs: each thread has its own, so that no two submit one ---- */

enum { ITEMS = 4, THREADS = 3 };

struct item {
    weir_fdwait wait;
    _Atomic uint32_t accepted, over;
    bool periodic;
};

struct actor {
    struct item items[ITEMS];
    int pipe[2];
};

struct world {
    weir_app app;
    struct pool sessions, ops, tokens, queues, replies;
    _Atomic uint32_t closed[SESSIONS];             /* close callbacks, by place in the pool */
    _Atomic uint32_t closes[SESSIONS];             /* closes with a callback that were OK */
    _Atomic uint8_t drops[TOKENS];                 /* does the token's operation drop? */
    struct context *live;
    struct owed owed[OWED];                        /* under lock, as live is */
    uint32_t owed_count;
    pthread_mutex_t lock;
    _Atomic uint64_t items, dropped, started, gone;
    _Atomic int64_t memory;                        /* of the application's hooks */
    _Atomic uint32_t fail_every;                   /* allocations; 0: none */
    struct actor actors[THREADS];
};

extern struct world world;

void world_open_app(uint32_t workers);
void world_close_app(void);
void world_begin(void);
/* Gives everything back, waits until all has ended, and looks whether everybody got what is owed. */
void world_end(void);

struct context *context_make(struct bytes *b, bool push, int session);
/* Also for a start that was refused. */
void context_free(struct context *c);

/* Prints and aborts: what the fuzzer is for. */
#define must(condition) ((condition) ? (void)0 : world_complain(#condition, __FILE__, __LINE__))
_Noreturn void world_complain(const char *what, const char *file, int line);

/* ---- acts.c: the next call, whatever the bytes say. actor NULL: in a callback ---- */

void act(struct bytes *b, struct actor *actor);
void acts_end_app(void);

#endif
