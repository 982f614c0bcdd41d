/* SPDX-License-Identifier: Apache-2.0 */
/* routes.c - what a request asks for, and what it is told if that cannot be */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>

#include "server.h"
#include "tree.h"

enum { DEADLINE_MOST_MS = 24 * 60 * 60 * 1000 };

/* ---- answers ---- */

void answer_json(struct evhttp_request *request, int code, const char *reason, struct evbuffer *body)
{
    (void)evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "application/json");
    evhttp_send_reply(request, code, reason, body);
}

void answer_error(struct evhttp_request *request, int code, const char *reason, const char *format, ...)
{
    struct evbuffer *body = evbuffer_new();
    va_list args;
    va_start(args, format);
    if (body != NULL) {
        (void)evbuffer_add_printf(body, "{\"status\":%d,\"error\":\"", code);
        (void)evbuffer_add_vprintf(body, format, args);
        (void)evbuffer_add_printf(body, "\"}\n");
    }
    va_end(args);
    answer_json(request, code, reason, body);
    if (body != NULL)
        evbuffer_free(body);
}

static void answer_written(struct evhttp_request *request, struct server *server, const char *type,
                           void (*write)(struct server *server, struct evbuffer *out))
{
    struct evbuffer *body = evbuffer_new();
    if (body != NULL)
        write(server, body);
    (void)evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", type);
    evhttp_send_reply(request, HTTP_OK, "OK", body);
    if (body != NULL)
        evbuffer_free(body);
}

/* ---- GET /search ---- */

static bool parse_deadline(const char *text, int64_t *out)
{
    char *end = NULL;
    *out = 0;
    if (text == NULL)
        return true;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || value < 1 || value > DEADLINE_MOST_MS)
        return false;
    *out = value;
    return true;
}

/* PCRE2's messages are plain text without quotation marks. */
static bool compile(struct evhttp_request *request, const char *text, struct pattern *pattern)
{
    char message[256] = "";
    size_t where = 0;
    if (text == NULL || *text == 0) {
        answer_error(request, HTTP_BADREQUEST, "Bad Request", "q is missing: /search?q=REGEX");
        return false;
    }
    if (!pattern_compile(pattern, text, &where, message)) {
        answer_error(request, HTTP_BADREQUEST, "Bad Request", "bad regex: %s, at offset %zu", message, where);
        return false;
    }
    return true;
}

static bool path_is_there(struct server *server, struct evhttp_request *request, const char *path)
{
    const char *why = NULL;
    off_t size;
    if (strlen(path) < PATH_BYTES) {
        int fd = tree_open_directory(server->root, path);
        if (fd < 0)
            fd = tree_open_file(server->root, path, &size, &why);
        if (fd >= 0) {
            (void)close(fd);
            return true;
        }
    }
    answer_error(request, HTTP_NOTFOUND, "Not Found", "no such directory or file below the root");
    return false;
}

static void search_with(struct server *server, struct evhttp_request *request, const struct evkeyvalq *query)
{
    const char *path = evhttp_find_header(query, "path");
    struct search_request ask = {.request = request, .path = path != NULL && *path != 0 ? path : "."};
    struct pattern pattern;
    if (!parse_deadline(evhttp_find_header(query, "deadline_ms"), &ask.deadline_ms)) {
        answer_error(request, HTTP_BADREQUEST, "Bad Request", "deadline_ms is no number from 1 to %d",
                     DEADLINE_MOST_MS);
        return;
    }
    if (!path_is_there(server, request, ask.path) ||
        !compile(request, evhttp_find_header(query, "q"), &pattern))
        return;
    struct connection *connection = connection_of(server, request);
    bool started = connection != NULL && connection_search(connection, &pattern, &ask);
    if (connection == NULL)
        pattern_free(&pattern);
    if (!started)
        answer_error(request, HTTP_SERVUNAVAIL, "Service Unavailable", "the search could not be started");
}

static void answer_search(struct server *server, struct evhttp_request *request)
{
    const char *text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
    struct evkeyvalq query;
    if (server->phase != PHASE_OPEN) {
        answer_error(request, HTTP_SERVUNAVAIL, "Service Unavailable", "the server is closing");
        return;
    }
    if (server->searches.count >= server->searches_most) {
        answer_error(request, HTTP_SERVUNAVAIL, "Service Unavailable", "too many searches: %llu, as many as "
                     "descriptors suffice for", (unsigned long long)server->searches_most);
        return;
    }
    if (text == NULL || strstr(text, "%00") != NULL || evhttp_parse_query_str(text, &query) != 0) {
        answer_error(request, HTTP_BADREQUEST, "Bad Request",
                     "expected /search?q=REGEX, and perhaps path=SUBDIR and deadline_ms=N");
        return;
    }
    search_with(server, request, &query);
    evhttp_clear_headers(&query);
}

/* ---- DELETE /search/ID ---- */

static void answer_delete(struct server *server, struct evhttp_request *request, const char *id)
{
    char *end = NULL;
    uint64_t number = strlen(id) == ID_BYTES - 1 && strspn(id, "0123456789abcdef") == ID_BYTES - 1
                        ? strtoull(id, &end, 16) : 0;
    struct entry *entry = end != NULL ? table_find(&server->searches, number) : NULL;
    if (entry == NULL) {
        answer_error(request, HTTP_NOTFOUND, "Not Found", "no such search; it may be over");
        return;
    }
    search_cancel((struct search *)entry, REASON_DELETED, OUTCOME_CANCELED);
    struct evbuffer *body = evbuffer_new();
    if (body != NULL)
        (void)evbuffer_add_printf(body, "{\"search\":\"%s\",\"cancelled\":true}\n", id);
    answer_json(request, HTTP_OK, "OK", body);
    if (body != NULL)
        evbuffer_free(body);
}

/* ---- which ---- */

static bool method_is(struct evhttp_request *request, enum evhttp_cmd_type method, const char *name)
{
    if (evhttp_request_get_command(request) == method)
        return true;
    (void)evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", name);
    answer_error(request, HTTP_BADMETHOD, "Method Not Allowed", "only %s is allowed here", name);
    return false;
}

void answer_request(struct evhttp_request *request, void *ctx)
{
    struct server *server = ctx;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    (void)connection_of(server, request);        /* from now on its end is noticed */
    if (path != NULL && strcmp(path, "/search") == 0) {
        if (method_is(request, EVHTTP_REQ_GET, "GET"))
            answer_search(server, request);
    } else if (path != NULL && strncmp(path, "/search/", 8) == 0) {
        if (method_is(request, EVHTTP_REQ_DELETE, "DELETE"))
            answer_delete(server, request, path + 8);
    } else if (path != NULL && strcmp(path, "/stats") == 0) {
        if (method_is(request, EVHTTP_REQ_GET, "GET"))
            answer_written(request, server, "application/json", stats_write_json);
    } else if (path != NULL && strcmp(path, "/metrics") == 0) {
        if (method_is(request, EVHTTP_REQ_GET, "GET"))
            answer_written(request, server, "text/plain; version=0.0.4", stats_write_metrics);
    } else
        answer_error(request, HTTP_NOTFOUND, "Not Found", "no such page: there are /search, /stats and /metrics");
}
