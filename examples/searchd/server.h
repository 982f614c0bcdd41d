/* SPDX-License-Identifier: Apache-2.0
 *
 * server.h - the server: one loop thread, which alone touches connections
 *
 * Every client connection that searches has one session. The connection's end closes it at once; the connection's
 * state is freed when both are over: libevent has said that the connection is gone, and the session's close callback
 * has come (by letter). Nothing else has to be counted.
 *
 * Ending (SIGTERM): no new connections, no new searches. Every session is closed, told to drain; when the time for that
 * is over, what is left is cancelled; when the last session's callback has come, the application is closed, and its
 * report printed. The loop runs meanwhile, so connections that are there still get their answers, and /stats.
 */
#ifndef SEARCHD_SERVER_H
#define SEARCHD_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <weir/weir.h>

#include "mailbox.h"
#include "search.h"
#include "table.h"

enum {
    HEADERS_BYTES = 8 * 1024,                    /* most of a request's head */
    SURPLUS_BYTES = 64 * 1024,                   /* most that a client may send while it is answered */
    SEND_BUFFER_BYTES = 64 * 1024,               /* of the kernel, for each client: slow readers are noticed early */
    FILES_PER_SEARCH = 2 + SCANS_AT_ONCE,        /* descriptors: the connection, a directory, a file for each scan */
    FILES_SPARE = 64,
    IDLE_SECONDS = 60,                           /* a connection without a request is closed after that */
};

enum phase { PHASE_OPEN, PHASE_DRAINING, PHASE_CANCELLING, PHASE_CLOSED };

struct options {
    const char *root;
    uint16_t port;
    uint32_t workers;
    int64_t drain_ms, stall_s;
};

struct server {
    struct options options;
    int root;                                    /* the directory, O_PATH */
    uint64_t descriptors, searches_most;         /* the limit; as many searches as it suffices for */
    weir_app app;
    struct mailbox mailbox;                      /* any thread; the rest is the loop's */
    struct event_base *base;
    struct evhttp *http;
    struct evhttp_bound_socket *listener;
    struct event *letters, *terminate, *interrupt, *drained, *resume, *linger;
    struct table connections, searches;
    enum phase phase;
    uint64_t sessions;                           /* open, or closing */
    uint64_t in_flight_at_term, in_flight_at_cancel;         /* searches */
    int64_t cancelled_at, barrier_ns;            /* of the server's close: when; until the last session's callback */
    int signals, lingered;
    weir_stats account;                          /* the library's, as it was read last */
};

/* False: it has said why, and the process is to end. */
bool server_init(struct server *server, const struct options *options);
uint16_t server_port(const struct server *server);
void server_read_account(struct server *server);
void server_fini(struct server *server);

/* ---- connections ---- */

weir_session connection_session(const struct connection *connection);
void connection_search_over(struct connection *connection);

/* Calls for every session, with what is asked of it. */
void server_each_session(struct server *server, void (*fn)(weir_session session, void *ctx), void *ctx);

/* Closes all of them: what runs may run on for so long; 0: it is cancelled now. Again: shortens. */
void server_close_sessions(struct server *server, int64_t drain_ns);

struct evhttp_connection *connection_http(const struct connection *connection);

/* ---- ending: close.c ---- */

void server_begin_close(struct server *server);              /* the first signal; the second cancels, the third exits */
void server_session_closed(struct server *server);           /* one more session's close callback has come */
void server_drained(evutil_socket_t fd, short events, void *ctx);
void server_linger(evutil_socket_t fd, short events, void *ctx);

/* ---- answers ---- */

void answer_json(struct evhttp_request *request, int code, const char *reason, struct evbuffer *body);
void answer_error(struct evhttp_request *request, int code, const char *reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void answer_request(struct evhttp_request *request, void *ctx);      /* routes.c */

struct connection *connection_of(struct server *server, struct evhttp_request *request);
bool connection_search(struct connection *connection, struct pattern *pattern, const struct search_request *ask);

/* ---- figures for others: stats.c ---- */

void stats_write_json(struct server *server, struct evbuffer *out);
void stats_write_metrics(struct server *server, struct evbuffer *out);

#endif
