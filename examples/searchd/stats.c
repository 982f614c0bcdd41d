/* SPDX-License-Identifier: Apache-2.0 */
/* stats.c - GET /stats and GET /metrics: what is counted, and what a close waits for */
#include <stdio.h>

#include <event2/buffer.h>

#include "server.h"

static const char *const phase_name[] = {"open", "draining", "cancelling", "closed"};
static const char *const state_name[] = {"queued", "running", "parked"};

static void put(struct evbuffer *out, const char *name, uint64_t value)
{
    (void)evbuffer_add_printf(out, "\"%s\":%llu", name, (unsigned long long)value);
}

/* ---- counters: one table for both forms ---- */

struct row {
    const char *name, *help;
    bool gauge;
    uint64_t value;
};

enum { ROWS_MOST = 40 };

static size_t fill_rows(const struct server *server, struct row rows[ROWS_MOST])
{
    const struct figures *f = &figures;
    uint64_t ended = count_of(&f->completed) + count_of(&f->cancelled) + count_of(&f->timed_out) + count_of(&f->failed);
    uint64_t taken = count_of(&f->sent) + count_of(&f->dropped), accepted = count_of(&f->accepted);
    uint64_t posted = count_of(&f->posted);
    const struct row all[] = {
        {"connections", "client connections", true, count_of(&f->connections)},
        {"sessions", "sessions that are not closed", true, count_of(&f->sessions)},
        {"searches_live", "searches under way", true, server->searches.count},
        {"searches_started", "searches", false, count_of(&f->searches_started)},
        {"searches_complete", "searches that went to their end", false, count_of(&f->searches_complete)},
        {"searches_cancelled", "searches cancelled by their client or by the server", false,
         count_of(&f->searches_cancelled)},
        {"searches_timed_out", "searches whose deadline came", false, count_of(&f->searches_timed_out)},
        {"searches_failed", "searches whose expression was too expensive, or that had no memory", false,
         count_of(&f->searches_failed)},
        {"operations_live", "operations without a final", true, accepted > ended ? accepted - ended : 0},
        {"operations_accepted", "operations", false, accepted},
        {"operations_completed", "operations that ended by themselves", false, count_of(&f->completed)},
        {"operations_cancelled", "operations that ended cancelled", false, count_of(&f->cancelled)},
        {"operations_timed_out", "operations that ended by their deadline", false, count_of(&f->timed_out)},
        {"operations_failed", "operations that failed", false, count_of(&f->failed)},
        {"chunks_live", "chunks that were posted and not yet taken", true, posted > taken ? posted - taken : 0},
        {"chunks_posted", "chunks", false, posted},
        {"chunks_sent", "chunks that a client's connection has taken", false, count_of(&f->sent)},
        {"chunks_dropped", "chunks that nobody wanted any more", false, count_of(&f->dropped)},
        {"chunk_bytes", "memory held by chunks", true, count_of(&f->chunk_bytes)},
        {"chunk_bytes_most", "the most memory that chunks have held", true, count_of(&f->chunk_bytes_most)},
        {"files", "files that were opened", false, count_of(&f->files)},
        {"files_open", "files that are open", true, count_of(&f->files_open)},
        {"matches", "lines that matched", false, count_of(&f->matches)},
        {"skipped", "files that were not searched", false, count_of(&f->skipped)},
        {"descriptors", "the limit of descriptors", true, server->descriptors},
    };
    size_t count = sizeof all / sizeof all[0];
    for (size_t i = 0; i < count; i++)
        rows[i] = all[i];
    return count;
}

/* ---- JSON ---- */

static void put_histogram(struct evbuffer *out, const char *name, const struct histogram *histogram)
{
    uint64_t octave[HISTOGRAM_OCTAVES];
    histogram_octaves(histogram, octave);
    (void)evbuffer_add_printf(out, ",\"%s\":{", name);
    put(out, "count", count_of(&histogram->count));
    (void)evbuffer_add_printf(out, ",");
    put(out, "p50_ns", histogram_percentile(histogram, 0.5));
    (void)evbuffer_add_printf(out, ",");
    put(out, "p99_ns", histogram_percentile(histogram, 0.99));
    (void)evbuffer_add_printf(out, ",");
    put(out, "p999_ns", histogram_percentile(histogram, 0.999));
    (void)evbuffer_add_printf(out, ",");
    put(out, "max_ns", count_of(&histogram->max));
    (void)evbuffer_add_printf(out, ",\"buckets\":[");
    for (unsigned i = 0; i < HISTOGRAM_OCTAVES; i++)
        (void)evbuffer_add_printf(out, "%s%llu", i > 0 ? "," : "", (unsigned long long)octave[i]);
    (void)evbuffer_add_printf(out, "]}");
}

/* ---- the library's own account ---- */

static void put_latency(struct evbuffer *out, const char *name, const weir_latency *l)
{
    const struct row rows[] = {
        {.name = "count", .value = l->count},   {.name = "p50_ns", .value = l->p50_ns},
        {.name = "p99_ns", .value = l->p99_ns}, {.name = "p999_ns", .value = l->p999_ns},
        {.name = "max_ns", .value = l->max_ns},
    };
    (void)evbuffer_add_printf(out, ",\"%s\":{", name);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)evbuffer_add_printf(out, "%s", i > 0 ? "," : "");
        put(out, rows[i].name, rows[i].value);
    }
    (void)evbuffer_add_printf(out, "}");
}

static void put_library(struct server *server, struct evbuffer *out)
{
    if (server->phase != PHASE_CLOSED)           /* afterwards: what it said last */
        server_read_account(server);
    const weir_stats *w = &server->account;
    const struct row rows[] = {
        {.name = "accepted", .value = w->accepted},   {.name = "refused", .value = w->refused},
        {.name = "queued", .value = w->queued},       {.name = "running", .value = w->running},
        {.name = "parked", .value = w->parked},       {.name = "deferred", .value = w->deferred},
        {.name = "completed", .value = w->completed}, {.name = "failed", .value = w->failed},
        {.name = "cancelled", .value = w->cancelled}, {.name = "timed_out", .value = w->timed_out},
        {.name = "abandoned", .value = w->abandoned}, {.name = "posted", .value = w->posted},
        {.name = "delivered", .value = w->delivered}, {.name = "discarded", .value = w->discarded},
        {.name = "misuses", .value = w->misuses},
    };
    (void)evbuffer_add_printf(out, ",\"library\":{");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)evbuffer_add_printf(out, "%s", i > 0 ? "," : "");
        put(out, rows[i].name, rows[i].value);
    }
    put_latency(out, "cancel_seen", &w->cancel_seen);
    put_latency(out, "cancel_final", &w->cancel_final);
    put_latency(out, "cancel_barrier", &w->cancel_barrier);
    (void)evbuffer_add_printf(out, "}");
}

/* ---- what a close waits for ---- */

enum { BLOCKERS_EACH = 4, BLOCKERS_MOST = 20 };

struct blockers {
    struct evbuffer *out;
    unsigned count;
    uint64_t found;
};

static void put_missing(struct evbuffer *out, uint32_t missing)
{
    static const struct { uint32_t bit; const char *word; } words[] = {
        {WEIR_MISSING_START, "start"},       {WEIR_MISSING_WORK, "work"},   {WEIR_MISSING_HOOK, "hook"},
        {WEIR_MISSING_CALLBACK, "callback"}, {WEIR_MISSING_TOKEN, "token"}, {WEIR_MISSING_ACK, "acknowledgement"},
        {WEIR_MISSING_HANDLE, "handle"},     {WEIR_MISSING_SESSION, "session"},
    };
    const char *comma = "";
    (void)evbuffer_add_printf(out, ",\"missing\":[");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if ((missing & words[i].bit) != 0) {
            (void)evbuffer_add_printf(out, "%s\"%s\"", comma, words[i].word);
            comma = ",";
        }
    (void)evbuffer_add_printf(out, "]}");
}

static void put_blocker(struct blockers *all, const weir_blocker *blocker)
{
    if (all->count == BLOCKERS_MOST)
        return;
    (void)evbuffer_add_printf(all->out, "%s{\"operation\":\"%s\",\"age_ms\":%llu,\"worker\":%d",
                              all->count++ > 0 ? "," : "", blocker->name,
                              (unsigned long long)(blocker->age_ns / 1000000), blocker->worker);
    put_missing(all->out, blocker->missing);
}

static void inspect(weir_session session, void *ctx)
{
    struct blockers *all = ctx;
    weir_blocker blocker[BLOCKERS_EACH];
    weir_report report = {.size = sizeof report, .blockers = blocker, .blockers_max = BLOCKERS_EACH};
    if (weir_session_inspect(session, &report) != WEIR_OK)
        return;
    all->found += report.blockers_found;
    for (size_t i = 0; i < report.blockers_found && i < BLOCKERS_EACH; i++)
        put_blocker(all, &blocker[i]);
}

static void put_close(struct server *server, struct evbuffer *out)
{
    struct blockers all = {.out = out};
    (void)evbuffer_add_printf(out, ",\"in_flight_at_term\":%llu,\"in_flight_at_cancel\":%llu,\"close_ns\":%lld",
                              (unsigned long long)server->in_flight_at_term,
                              (unsigned long long)server->in_flight_at_cancel, (long long)server->barrier_ns);
    (void)evbuffer_add_printf(out, ",\"blockers\":[");
    if (server->phase != PHASE_CLOSED)
        server_each_session(server, inspect, &all);
    (void)evbuffer_add_printf(out, "],\"blockers_found\":%llu", (unsigned long long)all.found);
}

void stats_write_json(struct server *server, struct evbuffer *out)
{
    struct row rows[ROWS_MOST];
    size_t count = fill_rows(server, rows);
    (void)evbuffer_add_printf(out, "{\"phase\":\"%s\"", phase_name[server->phase]);
    for (size_t i = 0; i < count; i++) {
        (void)evbuffer_add_printf(out, ",");
        put(out, rows[i].name, rows[i].value);
    }
    for (unsigned state = 0; state < STATES; state++) {
        char name[32];
        (void)snprintf(name, sizeof name, "cancel_%s", state_name[state]);
        put_histogram(out, name, &figures.cancel[state]);
    }
    put_histogram(out, "barrier", &figures.barrier);
    if (server->phase != PHASE_OPEN)
        put_close(server, out);
    put_library(server, out);
    (void)evbuffer_add_printf(out, "}\n");
}

/* ---- Prometheus ---- */

static void put_metric_histogram(struct evbuffer *out, const char *labels, const struct histogram *histogram)
{
    uint64_t octave[HISTOGRAM_OCTAVES], sum = 0;
    histogram_octaves(histogram, octave);
    for (unsigned i = 0; i < HISTOGRAM_OCTAVES - 1; i++) {
        sum += octave[i];
        (void)evbuffer_add_printf(out, "searchd_cancel_seconds_bucket{%s,le=\"%.9g\"} %llu\n", labels,
                                  (double)(UINT64_C(1024) << i) / 1e9, (unsigned long long)sum);
    }
    sum += octave[HISTOGRAM_OCTAVES - 1];
    (void)evbuffer_add_printf(out, "searchd_cancel_seconds_bucket{%s,le=\"+Inf\"} %llu\n", labels,
                              (unsigned long long)sum);
    (void)evbuffer_add_printf(out, "searchd_cancel_seconds_count{%s} %llu\n", labels, (unsigned long long)sum);
}

void stats_write_metrics(struct server *server, struct evbuffer *out)
{
    struct row rows[ROWS_MOST];
    size_t count = fill_rows(server, rows);
    for (size_t i = 0; i < count; i++) {
        const char *suffix = rows[i].gauge ? "" : "_total";
        (void)evbuffer_add_printf(out, "# HELP searchd_%s%s %s\n# TYPE searchd_%s%s %s\nsearchd_%s%s %llu\n",
                                  rows[i].name, suffix, rows[i].help, rows[i].name, suffix,
                                  rows[i].gauge ? "gauge" : "counter", rows[i].name, suffix,
                                  (unsigned long long)rows[i].value);
    }
    (void)evbuffer_add_printf(out, "# HELP searchd_cancel_seconds from a cancel to an operation's final, by what it "
                                   "did; barrier: from a close to its callback\n"
                                   "# TYPE searchd_cancel_seconds histogram\n");
    for (unsigned state = 0; state < STATES; state++) {
        char label[32];
        (void)snprintf(label, sizeof label, "state=\"%s\"", state_name[state]);
        put_metric_histogram(out, label, &figures.cancel[state]);
    }
    put_metric_histogram(out, "state=\"barrier\"", &figures.barrier);
}
