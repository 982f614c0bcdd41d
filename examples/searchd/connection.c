/* SPDX-License-Identifier: Apache-2.0 */
/* connection.c - one client, its session, and the end of both */
#include <stdlib.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "server.h"

struct connection {
    struct entry entry;                          /* by http, while that is there */
    struct letter letter;                        /* the session's close callback, to the loop */
    struct server *server;
    struct evhttp_connection *http;              /* NULL: gone */
    struct search *search;                       /* the one that is answered, or NULL */
    weir_session session;
    bool has_session, closing;                   /* its callback's letter has not come; it was closed by us */
    bool measured;                               /* fixed at the close: it was cancelled with a search under way */
    int64_t closed_at;                           /* fixed at the close */
};

weir_session connection_session(const struct connection *connection)
{
    return connection->session;
}

/* ---- sessions ---- */

static void free_if_over(struct connection *connection)
{
    if (connection->http == NULL && !connection->has_session)
        free(connection);
}

static void read_closed(struct letter *letter)
{
    struct connection *connection =
        (struct connection *)(void *)((char *)letter - offsetof(struct connection, letter));
    struct server *server = connection->server;
    connection->has_session = false;
    count_take(&figures.sessions, 1);
    server->sessions--;
    free_if_over(connection);
    server_session_closed(server);
}

/* On a worker; the last touch of the session. After the post the connection may be gone. */
static void session_closed(const weir_report *report, void *ctx)
{
    (void)report;
    struct connection *connection = ctx;
    if (connection->measured)
        histogram_add(&figures.barrier, time_now() - connection->closed_at);
    connection->letter.read = read_closed;
    mailbox_post(&connection->server->mailbox, &connection->letter);
}

static bool open_session(struct connection *connection)
{
    struct server *server = connection->server;
    if (connection->has_session)
        return true;
    weir_session_options options = {.size = sizeof options, .name = "client"};
    if (weir_session_open(server->app, &options, &connection->session) != WEIR_OK)
        return false;
    connection->has_session = true;
    count_add(&figures.sessions, 1);
    server->sessions++;
    return true;
}

/* ---- ends ---- */

/* Cancels what is left of its search, and lets go of what waits to be sent. A session that drains is told to cancel
 * now; its close is not measured, since it began long ago. */
static void close_now(struct connection *connection, enum outcome outcome)
{
    struct search *search = connection->search;
    if (search != NULL)
        search_note_cancel(search, outcome);
    if (!connection->closing) {
        connection->closing = true;
        connection->measured = search != NULL;
        connection->closed_at = time_now();
    }
    (void)weir_session_close(connection->session, session_closed, connection);
    if (search != NULL)
        search_cut(search);
}

static void drain(struct connection *connection, int64_t drain_ns)
{
    weir_close_options options = {
        .size = sizeof options, .drain_ns = drain_ns, .closed = session_closed, .ctx = connection,
    };
    connection->closing = true;
    (void)weir_session_close_with(connection->session, &options);
}

/* libevent: the client is gone, or we are ending. A request that is being answered is ours to free, unless libevent
 * has it still. */
static void connection_gone(struct evhttp_connection *http, void *ctx)
{
    (void)http;
    struct connection *connection = ctx;
    struct search *search = connection->search;
    connection->http = NULL;
    table_remove(&connection->server->connections, &connection->entry);
    count_take(&figures.connections, 1);
    if (search != NULL) {
        if (evhttp_request_get_connection(search->request) == NULL)
            evhttp_request_free(search->request);
        search->request = NULL;
    }
    if (connection->has_session)
        close_now(connection, OUTCOME_GONE);
    free_if_over(connection);
}

void connection_search_over(struct connection *connection)
{
    connection->search = NULL;
    if (connection->http == NULL)
        return;
    struct timeval idle = {.tv_sec = IDLE_SECONDS};
    bufferevent_set_timeouts(evhttp_connection_get_bufferevent(connection->http), &idle, &idle);
}

/* More than a few requests ahead of the answer: nobody who means well. Shut down here, the end of the stream comes to
 * libevent by the usual way. */
static void input_grew(struct evbuffer *input, const struct evbuffer_cb_info *info, void *ctx)
{
    (void)info;
    struct connection *connection = ctx;
    if (connection->http == NULL || connection->search == NULL || evbuffer_get_length(input) <= SURPLUS_BYTES)
        return;
    (void)shutdown(bufferevent_getfd(evhttp_connection_get_bufferevent(connection->http)), SHUT_RDWR);
}

/* ---- beginnings ---- */

struct connection *connection_of(struct server *server, struct evhttp_request *request)
{
    struct evhttp_connection *http = evhttp_request_get_connection(request);
    struct entry *entry = table_find(&server->connections, (uintptr_t)http);
    if (entry != NULL)
        return (struct connection *)entry;
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL)
        return NULL;
    struct evbuffer *input = bufferevent_get_input(evhttp_connection_get_bufferevent(http));
    if (evbuffer_add_cb(input, input_grew, connection) == NULL) {
        free(connection);
        return NULL;
    }
    connection->entry.key = (uintptr_t)http;
    connection->server = server;
    connection->http = http;
    table_put(&server->connections, &connection->entry);
    evhttp_connection_set_closecb(http, connection_gone, connection);
    count_add(&figures.connections, 1);
    return connection;
}

bool connection_search(struct connection *connection, struct pattern *pattern, const struct search_request *ask)
{
    if (connection->closing || !open_session(connection)) {
        pattern_free(pattern);
        return false;
    }
    connection->search = search_start(connection->server, connection, pattern, ask);
    if (connection->search == NULL)
        return false;
    struct timeval stall = {.tv_sec = connection->server->options.stall_s};
    bufferevent_set_timeouts(evhttp_connection_get_bufferevent(connection->http), NULL,
                             stall.tv_sec > 0 ? &stall : NULL);
    return true;
}

/* ---- all of them ---- */

struct evhttp_connection *connection_http(const struct connection *connection)
{
    return connection->http;
}

void server_close_sessions(struct server *server, int64_t drain_ns)
{
    for (size_t chain = 0; chain < TABLE_CHAINS; chain++)
        for (struct entry *entry = server->connections.chain[chain]; entry != NULL; entry = entry->next) {
            struct connection *connection = (struct connection *)entry;
            if (connection->has_session && drain_ns > 0)
                drain(connection, drain_ns);
            else if (connection->has_session)
                close_now(connection, OUTCOME_CLOSING);
        }
}

void server_each_session(struct server *server, void (*fn)(weir_session session, void *ctx), void *ctx)
{
    for (size_t chain = 0; chain < TABLE_CHAINS; chain++)
        for (struct entry *entry = server->connections.chain[chain]; entry != NULL; entry = entry->next) {
            const struct connection *connection = (const struct connection *)entry;
            if (connection->has_session)
                fn(connection->session, ctx);
        }
}
