/* SPDX-License-Identifier: Apache-2.0
 *
 * search.h - one search: one walk, many scans, one answer
 *
 * A search is a set of operations in the session of its client's connection. The *walk* goes through the directories
 * and posts batches of names; each batch that is delivered starts a *scan*, which reads the files and posts chunks of
 * lines. Nothing here waits:
 *
 *     loop thread --start--> walk --batch--> scan --chunk--> [mailbox] --> loop thread --> client
 *                             ^                |    ^                        |
 *                             |  acknowledged  |    |  acknowledged          |
 *                             +-- when a scan -+    +-- when the chunk is ---+
 *                                 may start             in the kernel
 *
 * Back-pressure is the acknowledgement, both times; both kinds have a window of one, acknowledged by hand. A client
 * that does not read leaves its chunk unacknowledged, so the scan's next post is refused and the scan is parked; with
 * SCANS_AT_ONCE scans alive the walk's batch stays unacknowledged, so the walk is parked. What a search holds is
 * bounded by that, and no worker is held by anybody.
 *
 * One chunk at a time is in flight to a client; the others wait in the search's line, at most one for each scan.
 *
 * Cutting a search (its client is gone, it was cancelled, its deadline has come) acknowledges at once what waits to be
 * sent, so that its operations end although nobody reads; then their finals come, and with the last one the search
 * ends. The order is always: note the time, set cut, cancel, acknowledge. A batch that is delivered after that starts
 * nothing; a scan that was started just before the cancel is cancelled with the rest, and one that was started just
 * after it finds cut at its first look.
 *
 * While a session drains, the operations that are there run on, and no others are started. So a search that has not
 * begun to read its last files when the server ends leaves those out, and its last line says why.
 *
 * Who may touch a field: I fixed after the start, L the loop thread, G under the lock, A atomic.
 */
#ifndef SEARCHD_SEARCH_H
#define SEARCHD_SEARCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <event2/http.h>
#include <weir/weir.h>

#include "chunk.h"
#include "figures.h"
#include "mailbox.h"
#include "match.h"
#include "table.h"

enum { SCANS_AT_ONCE = 4, BATCH_FILES = 8, ID_BYTES = 17 };

enum {                                           /* why searchd cancels: shows in reports and in finals */
    REASON_DELETED = WEIR_REASON_OWN,            /* DELETE /search/ID */
    REASON_EXPENSIVE,                            /* one scan has found the expression too expensive */
    REASON_MEMORY,
};

struct server;
struct connection;

/* How a search ends; the higher one holds. */
enum outcome {
    OUTCOME_COMPLETE, OUTCOME_GONE, OUTCOME_CLOSING, OUTCOME_CANCELED, OUTCOME_TIMED_OUT, OUTCOME_NO_MEMORY,
    OUTCOME_EXPENSIVE
};

struct search {
    struct entry entry;                          /* L: by number, among the server's searches */
    struct server *server;                       /* I */
    struct connection *connection;               /* I */
    struct evhttp_request *request;              /* L: NULL: the client is gone */
    char id[ID_BYTES];                           /* I */
    weir_session session;                        /* I */
    struct pattern pattern;                      /* I */
    int64_t deadline;                            /* I: 0: none */
    struct event *timer;                         /* L: cuts at the deadline */

    _Atomic uint32_t members;                    /* operations whose final the loop has not read yet */
    _Atomic bool cut;
    _Atomic int64_t cancelled_at;                /* 0: not cancelled */
    _Atomic weir_status refused;                 /* not WEIR_OK: a scan could not be started */
    _Atomic uint64_t files, matches, skipped;

    pthread_mutex_t lock;
    unsigned scans;                              /* G: alive */
    bool walk_waits;                             /* G: for one scan to end: */
    weir_op walk;                                /* G */
    uint64_t walk_number;                        /* G */

    struct member *first, **last;                /* L: chunks to be sent; the first is in flight if sending */
    bool sending;                                /* L */
    enum outcome outcome;                        /* L */
};

/* One operation of a search, and its letter to the loop: one at a time, because the window is one. */
struct member {
    struct letter letter;
    struct search *search;
    struct member *next;                         /* in the search's line */
    enum state state;                            /* its worker's: what it does, or did last */
    weir_op op;                                  /* of the result that the letter is about */
    uint64_t number;
    struct chunk *chunk;                         /* NULL: the final: */
    weir_status status;
    void (*free)(struct member *member);
};

/* Starts its operation, within what is left of the search's deadline. Any thread. On failure nothing has happened. */
weir_status member_start(struct member *member, const weir_kind *kind);

/* ---- the loop thread ---- */

struct search_request {
    struct evhttp_request *request;
    const char *path;
    int64_t deadline_ms;                         /* 0: none */
};

/* Takes the pattern, and begins the answer. NULL: nothing was started or answered, for lack of memory, or closed. */
struct search *search_start(struct server *server, struct connection *connection, struct pattern *pattern,
                            const struct search_request *ask);

/* Cancels the operations of this search, and of it only: a connection has one search at a time. */
void search_cancel(struct search *search, weir_reason reason, enum outcome outcome);

/* Before the session is closed or cancelled by somebody else: note the time. After it: cut. */
void search_note_cancel(struct search *search, enum outcome outcome);
void search_cut(struct search *search);

/* ---- workers ---- */

static inline bool search_is_cut(const struct search *search)
{
    /* acquire: what was noted before the cut; a scan that was started after it looks here first */
    return atomic_load_explicit(&search->cut, memory_order_acquire);
}

/* The walk's turnstile. A scan enters before it is started, and leaves in its final. The walk's batch is acknowledged
 * when less than SCANS_AT_ONCE are inside: now, or when the next one leaves. */
void search_enter_scan(struct search *search);
void search_leave_scan(struct search *search);
void search_ack_walk(struct search *search, const weir_result *result);

/* A result, to the loop thread: its chunk, or as the last touch of the member its final. */
void member_post_chunk(struct member *member, const weir_result *result);
void member_post_final(struct member *member, const weir_result *result);

/* ---- the two kinds ---- */

enum { BATCH_BYTES = 2048 };

/* Names of files, on their way from the walk to a scan. */
struct batch {
    unsigned count;
    size_t used;
    char names[BATCH_BYTES];                     /* paths below the root, each with its zero */
};

weir_status walk_start(struct search *search, const char *path);

/* Takes the batch from WEIR_OK on. */
weir_status scan_start(struct search *search, struct batch *batch);

#endif
