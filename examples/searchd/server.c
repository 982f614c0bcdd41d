/* SPDX-License-Identifier: Apache-2.0 */
/* server.c - the loop: its events, its socket, and the application behind it */
#include "server.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tree.h"

enum { BACKLOG = 1024, RESUME_US = 50000, SEARCHES_EXPECTED = 1000 };

/* ---- events ---- */

static void letters_came(evutil_socket_t fd, short events, void *ctx)
{
    (void)fd;
    (void)events;
    struct server *server = ctx;
    mailbox_read(&server->mailbox);
}

/* The first one asks; the second one does not want to wait. */
static void signal_came(evutil_socket_t signal, short events, void *ctx)
{
    (void)signal;
    (void)events;
    struct server *server = ctx;
    if (server->signals++ == 0)
        server_begin_close(server);
    else if (server->signals == 2)
        server_drained(-1, 0, server);
    else
        _exit(1);
}

/* No descriptor for a client: it waits in the backlog until there is one. */
static void accept_failed(struct evconnlistener *listener, void *ctx)
{
    struct server *server = ctx;
    struct timeval delay = {.tv_usec = RESUME_US};
    (void)evconnlistener_disable(listener);
    (void)evtimer_add(server->resume, &delay);
}

static void accept_again(evutil_socket_t fd, short events, void *ctx)
{
    (void)fd;
    (void)events;
    struct server *server = ctx;
    (void)evconnlistener_enable(evhttp_bound_socket_get_listener(server->listener));
}

static bool add_events(struct server *server)
{
    struct event_base *base = server->base;
    server->letters = event_new(base, server->mailbox.eventfd, EV_READ | EV_PERSIST, letters_came, server);
    server->terminate = evsignal_new(base, SIGTERM, signal_came, server);
    server->interrupt = evsignal_new(base, SIGINT, signal_came, server);
    server->drained = evtimer_new(base, server_drained, server);
    server->resume = evtimer_new(base, accept_again, server);
    server->linger = evtimer_new(base, server_linger, server);
    return server->letters != NULL && server->terminate != NULL && server->interrupt != NULL &&
           server->drained != NULL && server->resume != NULL && server->linger != NULL &&
           event_add(server->letters, NULL) == 0 && evsignal_add(server->terminate, NULL) == 0 &&
           evsignal_add(server->interrupt, NULL) == 0;
}

/* ---- the socket ---- */

/* The kernel's part of the way to a client is bounded, too: accepted sockets inherit it. */
static struct evconnlistener *open_listener(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(server->options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct evconnlistener *listener =
        evconnlistener_new_bind(server->base, NULL, server, LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE |
                                LEV_OPT_REUSEABLE, BACKLOG, (const struct sockaddr *)&address, sizeof address);
    int bytes = SEND_BUFFER_BYTES;
    if (listener != NULL)
        (void)setsockopt(evconnlistener_get_fd(listener), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return listener;
}

static bool serve_http(struct server *server)
{
    struct evconnlistener *listener = open_listener(server);
    if (listener == NULL)
        return false;
    server->listener = evhttp_bind_listener(server->http, listener);
    if (server->listener == NULL) {
        evconnlistener_free(listener);
        return false;
    }
    evconnlistener_set_error_cb(listener, accept_failed);
    evhttp_set_max_headers_size(server->http, HEADERS_BYTES);
    evhttp_set_max_body_size(server->http, SURPLUS_BYTES);
    evhttp_set_timeout(server->http, IDLE_SECONDS);
    evhttp_set_allowed_methods(server->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT |
                               EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT |
                               EVHTTP_REQ_PATCH);
    evhttp_set_gencb(server->http, answer_request, server);
    return true;
}

uint16_t server_port(const struct server *server)
{
    struct sockaddr_in address = {0};
    socklen_t size = sizeof address;
    (void)getsockname(evhttp_bound_socket_get_fd(server->listener), (struct sockaddr *)&address, &size);
    return ntohs(address.sin_port);
}

void server_read_account(struct server *server)
{
    weir_stats stats = {.size = sizeof stats};
    if (weir_app_stats(server->app, &stats) == WEIR_OK)
        server->account = stats;
}

/* ---- descriptors ---- */

static void raise_descriptors(struct server *server)
{
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    server->descriptors = limit.rlim_cur;
    server->searches_most = limit.rlim_cur > FILES_SPARE ? (limit.rlim_cur - FILES_SPARE) / FILES_PER_SEARCH : 0;
    if (server->searches_most < SEARCHES_EXPECTED)
        (void)fprintf(stderr, "searchd: the limit of %llu descriptors is low: at most %llu searches at a time; "
                      "%d need %d (ulimit -Hn)\n", (unsigned long long)limit.rlim_cur,
                      (unsigned long long)server->searches_most, SEARCHES_EXPECTED,
                      SEARCHES_EXPECTED * FILES_PER_SEARCH + FILES_SPARE);
}

/* ---- all of it ---- */

static bool fail(const char *what)
{
    (void)fprintf(stderr, "searchd: %s\n", what);
    return false;
}

bool server_init(struct server *server, const struct options *options)
{
    *server = (struct server){.options = *options, .root = tree_open_root(options->root)};
    if (server->root < 0) {
        perror(options->root);
        return false;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    raise_descriptors(server);
    server->base = event_base_new();
    server->http = server->base != NULL ? evhttp_new(server->base) : NULL;
    if (server->http == NULL || !mailbox_init(&server->mailbox) || !add_events(server))
        return fail("no memory, or no descriptors, for the loop");
    if (!serve_http(server))
        return fail("the port cannot be listened on");
    weir_app_options app = {.size = sizeof app, .workers = options->workers, .thread_name = "searchd"};
    if (weir_app_open(&app, &server->app) != WEIR_OK)
        return fail("the workers cannot be started");
    return true;
}

void server_fini(struct server *server)
{
    evhttp_free(server->http);                   /* the connections that are left; their sessions are closed */
    event_free(server->letters);
    event_free(server->terminate);
    event_free(server->interrupt);
    event_free(server->drained);
    event_free(server->resume);
    event_free(server->linger);
    event_base_free(server->base);
    mailbox_fini(&server->mailbox);
    (void)close(server->root);
}
