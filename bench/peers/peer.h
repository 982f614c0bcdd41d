/* SPDX-License-Identifier: Apache-2.0
 *
 * peer.h - the questions of the comparison, as they are put to each library
 *
 * peer.c asks; a peer_NAME.c or .cpp answers by filling in one struct peer. What a library cannot do stays NULL, and
 * its row is missing. The job, the operation and its end are the same few instructions for everybody; what differs is
 * the library's own.
 *
 * A peer is asked in the way its users would write it, in the fastest form that we found; the top comment of each file
 * says which, and what else was tried. Peers in other languages (Go, Java, Rust) put the same questions to themselves.
 */
#ifndef WEIR_BENCH_PEER_H
#define WEIR_BENCH_PEER_H

#ifdef __cplusplus
extern "C" {
#else
#include <stdbool.h>
#endif
#include <stddef.h>

/* A job in the asker's memory; a library whose jobs are intrusive keeps its own in room. */
struct peer_job {
    void (*fn)(void *arg);
    void *arg;
    void *room[16];
};

struct peer {
    const char *name;

    /* A pool of so many threads. One at a time. */
    void (*open)(unsigned workers);
    void (*close)(void);

    /* Run job->fn(job->arg) once on a worker. one_producer: only the asker's own thread may call it. */
    void (*submit)(struct peer_job *job);
    bool one_producer;

    /* A tree of forks and joins with 1 << depth leaves, on the pool; returns when it is done. */
    void (*tree)(unsigned depth);

    /* count operations that can be cancelled, each of which ends in one peer_ended(): behind what occupies the only
     * worker; or started, and waiting for what never comes. */
    void (*queue)(size_t count);
    void (*park)(size_t count);
    /* Cancel them all; they end then or soon after, and the last tells peer_all_ended(), or the end of their scope
     * does. After that release() gives everything back. */
    void (*cancel)(void);
    void (*release)(void);
    /* The operations have no end that anybody sees (they are dropped): a note in the table. */
    bool drops;

    /* A scope, one job in it, and the wait for its end. */
    void (*cycle)(void);

    /* What the asker does before it sleeps until peer_all_ended(), for libraries that have a loop; or NULL. */
    void (*wait)(void);
};

/* Answered by the peer's file. */
extern const struct peer peer;

/* ---- for peers ---- */

/* One operation has ended, all of them on the same thread; true: it was the last of count. */
bool peer_ended(void);

/* The same when several threads end operations. */
bool peer_ended_shared(void);

/* The question is over: the asker may stop its clock. */
void peer_all_ended(void);

/* What the operations' work would be, if it were ever run. */
void peer_never(void);

/* Memory for count things of size bytes, touched, cache-line aligned; never fails, never freed. */
void *peer_memory(size_t count, size_t size);

#ifdef __cplusplus
[[noreturn]]
#else
_Noreturn
#endif
void peer_fail(const char *what);

#ifdef __cplusplus
}
#endif
#endif
