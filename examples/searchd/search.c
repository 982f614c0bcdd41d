/* SPDX-License-Identifier: Apache-2.0 */
/* search.c - what a search is to the loop thread, and what its operations tell it */
#include "search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "server.h"
#include "tree.h"

enum { CUT_AFTER_MS = 10 };

/* ---- the turnstile ---- */

void search_enter_scan(struct search *search)
{
    (void)pthread_mutex_lock(&search->lock);
    search->scans++;
    (void)pthread_mutex_unlock(&search->lock);
}

static void let_walk_go_on(struct search *search, bool left)
{
    (void)pthread_mutex_lock(&search->lock);
    if (left)
        search->scans--;
    bool go = search->walk_waits && (search->scans < SCANS_AT_ONCE || search_is_cut(search));
    weir_op walk = search->walk;
    uint64_t number = search->walk_number;
    if (go)
        search->walk_waits = false;
    (void)pthread_mutex_unlock(&search->lock);
    if (go)
        (void)weir_op_ack(walk, number);
}

void search_leave_scan(struct search *search)
{
    let_walk_go_on(search, true);
}

void search_ack_walk(struct search *search, const weir_result *result)
{
    (void)pthread_mutex_lock(&search->lock);
    search->walk_waits = true;
    search->walk = result->op;
    search->walk_number = result->number;
    (void)pthread_mutex_unlock(&search->lock);
    let_walk_go_on(search, false);
}

/* ---- from workers to the loop ---- */

weir_status member_start(struct member *member, const weir_kind *kind)
{
    struct search *search = member->search;
    weir_op_options options = {.size = sizeof options};
    if (search->deadline != 0) {
        int64_t left = search->deadline - time_now();
        options.timeout_ns = left > 0 ? left : 1;
    }
    (void)atomic_fetch_add_explicit(&search->members, 1, memory_order_relaxed);   /* the starter is one, or the loop */
    weir_status status = weir_op_start(search->session, kind, member, &options, NULL);
    if (status == WEIR_OK)
        count_add(&figures.accepted, 1);
    else
        (void)atomic_fetch_sub_explicit(&search->members, 1, memory_order_relaxed);
    return status;
}

static void read_letter(struct letter *letter);

static void post(struct member *member, const weir_result *result)
{
    member->letter.read = read_letter;
    member->op = result->op;
    member->number = result->number;
    mailbox_post(&member->search->server->mailbox, &member->letter);
}

void member_post_chunk(struct member *member, const weir_result *result)
{
    member->chunk = result->data;
    post(member, result);
}

static void count_final(const struct member *member, const weir_result *result)
{
    int64_t since = atomic_load_explicit(&member->search->cancelled_at, memory_order_relaxed);
    if (since != 0 && result->reason != WEIR_REASON_NONE && result->reason != WEIR_REASON_TIMEOUT)
        histogram_add(&figures.cancel[member->state], time_now() - since);
    switch (result->status) {
    case WEIR_OK: count_add(&figures.completed, 1); break;
    case WEIR_CANCELED: count_add(&figures.cancelled, 1); break;
    case WEIR_TIMED_OUT: count_add(&figures.timed_out, 1); break;
    default: count_add(&figures.failed, 1); break;
    }
}

void member_post_final(struct member *member, const weir_result *result)
{
    count_final(member, result);
    member->chunk = NULL;
    /* Work that saw the deadline come has stopped, and says so itself. */
    bool stopped = result->status == WEIR_CANCELED && result->reason == WEIR_REASON_TIMEOUT;
    member->status = stopped ? WEIR_TIMED_OUT : result->status;
    (void)weir_op_ack(result->op, result->number);             /* before the letter: that may be the member's end */
    post(member, result);
}

/* ---- the line to the client ---- */

static void take_chunk(struct search *search, _Atomic uint64_t *counter)
{
    struct member *member = search->first;
    search->first = member->next;
    if (search->first == NULL)
        search->last = &search->first;
    weir_op op = member->op;
    uint64_t number = member->number;
    count_add(counter, 1);
    (void)weir_op_ack(op, number);                             /* from here on the member may be posted again */
}

static void send_next(struct search *search);

/* The output is drained. (libevent may also say so of what was written before this chunk.) */
static void chunk_sent(struct evhttp_connection *connection, void *ctx)
{
    struct search *search = ctx;
    struct evbuffer *output = bufferevent_get_output(evhttp_connection_get_bufferevent(connection));
    if (!search->sending || evbuffer_get_length(output) > 0)
        return;
    search->sending = false;
    take_chunk(search, &figures.sent);
    send_next(search);
}

static void send_next(struct search *search)
{
    if (search->sending || search->first == NULL)
        return;
    const struct chunk *chunk = search->first->chunk;
    struct evbuffer *body = evbuffer_new();
    if (body == NULL || evbuffer_add(body, chunk->text, chunk->used) != 0)
        search_cancel(search, REASON_MEMORY, OUTCOME_NO_MEMORY);
    else {
        search->sending = true;
        evhttp_send_reply_chunk_with_cb(search->request, body, chunk_sent, search);
    }
    if (body != NULL)
        evbuffer_free(body);
}

static void queue_chunk(struct search *search, struct member *member)
{
    member->next = NULL;
    *search->last = member;
    search->last = &member->next;
    if (search_is_cut(search))
        take_chunk(search, &figures.dropped);
    else
        send_next(search);
}

/* ---- the end ---- */

static void set_outcome(struct search *search, enum outcome outcome)
{
    if (outcome > search->outcome)
        search->outcome = outcome;
}

static const char *const outcome_text[] = {
    [OUTCOME_COMPLETE] = "complete",        [OUTCOME_GONE] = "client gone",     [OUTCOME_CLOSING] = "server closing",
    [OUTCOME_CANCELED] = "cancelled",       [OUTCOME_TIMED_OUT] = "timed out",  [OUTCOME_NO_MEMORY] = "no memory",
    [OUTCOME_EXPENSIVE] = "regex too expensive",
};

static void count_outcome(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_COMPLETE: count_add(&figures.searches_complete, 1); break;
    case OUTCOME_GONE: case OUTCOME_CLOSING: case OUTCOME_CANCELED: count_add(&figures.searches_cancelled, 1); break;
    case OUTCOME_TIMED_OUT: count_add(&figures.searches_timed_out, 1); break;
    case OUTCOME_NO_MEMORY: case OUTCOME_EXPENSIVE: count_add(&figures.searches_failed, 1); break;
    }
}

static void send_last_line(struct search *search)
{
    struct evbuffer *body = evbuffer_new();
    if (body != NULL) {
        (void)evbuffer_add_printf(body, "{\"done\":true,\"status\":\"%s\",\"files\":%llu,\"matches\":%llu,"
                                  "\"skipped\":%llu}\n", outcome_text[search->outcome],
                                  (unsigned long long)count_of(&search->files),
                                  (unsigned long long)count_of(&search->matches),
                                  (unsigned long long)count_of(&search->skipped));
        evhttp_send_reply_chunk(search->request, body);
        evbuffer_free(body);
    }
    evhttp_send_reply_end(search->request);
}

static void free_search(struct search *search)
{
    if (search->timer != NULL)
        event_free(search->timer);
    pattern_free(&search->pattern);
    (void)pthread_mutex_destroy(&search->lock);
    free(search);
}

/* Every operation is over, and nothing waits to be sent: a chunk is acknowledged before its scan's final. */
static void end_search(struct search *search)
{
    weir_status refused = atomic_load_explicit(&search->refused, memory_order_relaxed);    /* by an operation: over */
    if (refused != WEIR_OK)
        set_outcome(search, refused == WEIR_CLOSED ? OUTCOME_CLOSING : OUTCOME_NO_MEMORY);
    table_remove(&search->server->searches, &search->entry);
    count_outcome(search->outcome);
    connection_search_over(search->connection);
    if (search->request != NULL)
        send_last_line(search);
    free_search(search);
}

static void read_final(struct search *search, struct member *member)
{
    weir_status status = member->status;
    member->free(member);
    switch (status) {
    case WEIR_FAILED: search_cancel(search, REASON_EXPENSIVE, OUTCOME_EXPENSIVE); break;
    case WEIR_NO_MEMORY: search_cancel(search, REASON_MEMORY, OUTCOME_NO_MEMORY); break;
    case WEIR_TIMED_OUT: set_outcome(search, OUTCOME_TIMED_OUT); break;
    default: break;
    }
    /* acquire, release: whoever read the last final sees all of them; only the loop takes away */
    if (atomic_fetch_sub_explicit(&search->members, 1, memory_order_acq_rel) == 1)
        end_search(search);
}

static void read_letter(struct letter *letter)
{
    struct member *member = (struct member *)letter;
    if (member->chunk != NULL)
        queue_chunk(member->search, member);
    else
        read_final(member->search, member);
}

/* ---- cancelling ---- */

void search_note_cancel(struct search *search, enum outcome outcome)
{
    int64_t never = 0;
    set_outcome(search, outcome);
    (void)atomic_compare_exchange_strong_explicit(&search->cancelled_at, &never, time_now(), memory_order_relaxed,
                                                  memory_order_relaxed);
    /* release: search_is_cut */
    atomic_store_explicit(&search->cut, true, memory_order_release);
}

void search_cut(struct search *search)
{
    atomic_store_explicit(&search->cut, true, memory_order_release);               /* search_is_cut */
    search->sending = false;
    while (search->first != NULL)
        take_chunk(search, &figures.dropped);
    let_walk_go_on(search, false);
}

void search_cancel(struct search *search, weir_reason reason, enum outcome outcome)
{
    search_note_cancel(search, outcome);
    (void)weir_session_cancel(search->session, reason);
    search_cut(search);
}

/* The library has ended the operations by now; this lets go of what a client that does not read holds. */
static void deadline_came(evutil_socket_t fd, short events, void *ctx)
{
    (void)fd;
    (void)events;
    struct search *search = ctx;
    set_outcome(search, OUTCOME_TIMED_OUT);
    search_cut(search);
}

/* ---- the beginning ---- */

static bool start_timer(struct search *search, int64_t deadline_ms)
{
    if (deadline_ms == 0)
        return true;
    int64_t later_ms = deadline_ms + CUT_AFTER_MS;
    struct timeval delay = {.tv_sec = later_ms / 1000, .tv_usec = later_ms % 1000 * 1000};
    search->deadline = time_now() + deadline_ms * 1000000;
    search->timer = evtimer_new(search->server->base, deadline_came, search);
    return search->timer != NULL && evtimer_add(search->timer, &delay) == 0;
}

/* Nobody can guess it: who knows it may cancel the search. */
static bool choose_id(struct search *search)
{
    do
        if (getrandom(&search->entry.key, sizeof search->entry.key, 0) != (ssize_t)sizeof search->entry.key)
            return false;
    while (table_find(&search->server->searches, search->entry.key) != NULL);
    (void)snprintf(search->id, sizeof search->id, "%016llx", (unsigned long long)search->entry.key);
    return true;
}

static void send_first_line(struct search *search)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(search->request);
    struct evbuffer *body = evbuffer_new();
    (void)evhttp_add_header(headers, "Content-Type", "application/x-ndjson");
    (void)evhttp_add_header(headers, "Search-Id", search->id);
    evhttp_send_reply_start(search->request, HTTP_OK, "OK");
    if (body == NULL)
        return;
    (void)evbuffer_add_printf(body, "{\"search\":\"%s\"}\n", search->id);
    evhttp_send_reply_chunk(search->request, body);
    evbuffer_free(body);
}

struct search *search_start(struct server *server, struct connection *connection, struct pattern *pattern,
                            const struct search_request *ask)
{
    struct search *search = calloc(1, sizeof *search);
    if (search == NULL) {
        pattern_free(pattern);
        return NULL;
    }
    *search = (struct search){
        .server = server, .connection = connection, .request = ask->request, .pattern = *pattern,
        .session = connection_session(connection), .lock = PTHREAD_MUTEX_INITIALIZER,
    };
    search->last = &search->first;
    if (!choose_id(search) || !start_timer(search, ask->deadline_ms) || walk_start(search, ask->path) != WEIR_OK) {
        free_search(search);
        return NULL;
    }
    table_put(&server->searches, &search->entry);
    count_add(&figures.searches_started, 1);
    send_first_line(search);
    return search;
}
