/* SPDX-License-Identifier: Apache-2.0 */
/* close.c - the server's end, as server.h tells it */
#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "server.h"

enum { LINGER_MS = 10, LINGER_MOST = 100 };

static void start_timer(struct event *timer, int64_t ms)
{
    struct timeval delay = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    (void)evtimer_add(timer, &delay);
}

/* ---- the last lines reach their clients, if those read ---- */

static bool is_unsent(struct server *server)
{
    for (size_t chain = 0; chain < TABLE_CHAINS; chain++)
        for (struct entry *entry = server->connections.chain[chain]; entry != NULL; entry = entry->next) {
            struct evhttp_connection *http = connection_http((const struct connection *)entry);
            if (evbuffer_get_length(bufferevent_get_output(evhttp_connection_get_bufferevent(http))) > 0)
                return true;
        }
    return false;
}

void server_linger(evutil_socket_t fd, short events, void *ctx)
{
    (void)fd;
    (void)events;
    struct server *server = ctx;
    if (is_unsent(server) && server->lingered++ < LINGER_MOST)
        start_timer(server->linger, LINGER_MS);
    else
        (void)event_base_loopbreak(server->base);
}

/* ---- draining, cancelling ---- */

static void cancel(struct server *server)
{
    server->phase = PHASE_CANCELLING;
    server->in_flight_at_cancel = server->searches.count;
    server->cancelled_at = time_now();
    server_close_sessions(server, 0);
}

static void finish_if_closed(struct server *server)
{
    if (server->sessions > 0 || server->phase == PHASE_CLOSED)
        return;
    server->barrier_ns = server->cancelled_at != 0 ? time_now() - server->cancelled_at : 0;
    server->phase = PHASE_CLOSED;
    (void)evtimer_del(server->drained);
    server_linger(-1, 0, server);
}

void server_drained(evutil_socket_t fd, short events, void *ctx)
{
    (void)fd;
    (void)events;
    struct server *server = ctx;
    if (server->phase == PHASE_DRAINING) {
        cancel(server);
        finish_if_closed(server);
    }
}

void server_session_closed(struct server *server)
{
    if (server->phase != PHASE_OPEN)
        finish_if_closed(server);
}

void server_begin_close(struct server *server)
{
    server->phase = PHASE_DRAINING;
    server->in_flight_at_term = server->searches.count;
    evhttp_del_accept_socket(server->http, server->listener);
    (void)evtimer_del(server->resume);
    start_timer(server->drained, server->options.drain_ms);
    server_close_sessions(server, server->options.drain_ms * 1000000);
    finish_if_closed(server);
}
