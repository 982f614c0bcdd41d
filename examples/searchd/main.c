/* SPDX-License-Identifier: Apache-2.0
 *
 * searchd - search real files over HTTP; docs/searchd.md is its manual
 *
 *     main.c        options, the loop, the report at the end
 *     server.h      the loop thread and its connections: server.c connection.c routes.c close.c stats.c
 *     search.h      one search: search.c (the loop's side), walk.c and scan.c (what workers do)
 *     mailbox.h     from workers to the loop
 *     tree.h match.h chunk.h figures.h table.h    parts that know nothing of each other
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/buffer.h>

#include "server.h"

enum { APP_CLOSE_NS = 1000000000, DRAIN_MS = 500, STALL_SECONDS = 300 };

static void usage(FILE *out)
{
    (void)fprintf(out, "usage: searchd [OPTION...] DIRECTORY\n\n"
                       "  --port N      listen there, on the loopback interface; 0 (the default): any free port\n"
                       "  --workers N   threads that search; 0 (the default): one for each processor\n"
                       "  --drain-ms N  at SIGTERM let searches run on for so long (default %d)\n"
                       "  --stall N     close a connection whose client has not read for N seconds; 0: never\n"
                       "                (default %d)\n", DRAIN_MS, STALL_SECONDS);
}

static bool number(const char *text, int64_t most, int64_t *out)
{
    char *end = NULL;
    long long value = strtoll(text, &end, 10);
    bool good = end != text && *end == 0 && value >= 0 && value <= most;
    if (good)
        *out = value;
    else
        (void)fprintf(stderr, "searchd: %s: expected a number from 0 to %lld\n", text, (long long)most);
    return good;
}

static bool take_option(struct options *options, int option, const char *value)
{
    int64_t n = 0;
    bool good = false;
    switch (option) {
    case 'p': good = number(value, UINT16_MAX, &n); options->port = (uint16_t)n; break;
    case 'w': good = number(value, 1024, &n); options->workers = (uint32_t)n; break;
    case 'd': good = number(value, 3600000, &options->drain_ms); break;
    case 's': good = number(value, 86400, &options->stall_s); break;
    default: usage(stderr);
    }
    return good;
}

/* Before there is a second thread. */
static bool parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},     {"workers", required_argument, NULL, 'w'},
        {"drain-ms", required_argument, NULL, 'd'}, {"stall", required_argument, NULL, 's'},
        {0},
    };
    *options = (struct options){.drain_ms = DRAIN_MS, .stall_s = STALL_SECONDS};
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread yet */
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;)
        if (!take_option(options, c, optarg))
            return false;
    if (optind + 1 != argc) {
        usage(stderr);
        return false;
    }
    options->root = argv[optind];
    return true;
}

/* ---- the report ---- */

static bool balances(const weir_report *report)
{
    uint64_t ended = report->completed + report->failed + report->cancelled + report->timed_out + report->abandoned;
    return report->accepted == ended && report->posted == report->delivered + report->discarded;
}

/* The library's account against ours, and nothing of ours is left. */
static bool agrees(const weir_report *report)
{
    const struct figures *f = &figures;
    return report->accepted == count_of(&f->accepted) && report->completed == count_of(&f->completed) &&
           report->cancelled == count_of(&f->cancelled) && report->timed_out == count_of(&f->timed_out) &&
           count_of(&f->accepted) == count_of(&f->completed) + count_of(&f->cancelled) + count_of(&f->timed_out) +
                                     count_of(&f->failed) &&
           count_of(&f->posted) == count_of(&f->sent) + count_of(&f->dropped) && count_of(&f->chunk_bytes) == 0 &&
           count_of(&f->files_open) == 0;
}

static void print_stats(struct server *server)
{
    struct evbuffer *out = evbuffer_new();
    if (out == NULL)
        return;
    stats_write_json(server, out);
    (void)fwrite(evbuffer_pullup(out, -1), 1, evbuffer_get_length(out), stdout);
    (void)fflush(stdout);
    evbuffer_free(out);
}

static void print_report(const weir_report *r, bool good)
{
    (void)fprintf(stderr, "searchd: closed: %llu operations accepted = %llu completed + %llu failed + %llu cancelled + "
                  "%llu timed out + %llu abandoned\n"
                  "searchd: closed: %llu results posted = %llu delivered + %llu discarded\n"
                  "searchd: %s\n",
                  (unsigned long long)r->accepted, (unsigned long long)r->completed, (unsigned long long)r->failed,
                  (unsigned long long)r->cancelled, (unsigned long long)r->timed_out, (unsigned long long)r->abandoned,
                  (unsigned long long)r->posted, (unsigned long long)r->delivered, (unsigned long long)r->discarded,
                  good ? "the accounts balance" : "THE ACCOUNTS DO NOT BALANCE");
}

static bool close_application(struct server *server)
{
    weir_report report = {.size = sizeof report};
    weir_status status;
    server_read_account(server);
    while ((status = weir_app_close(server->app, APP_CLOSE_NS, &report)) == WEIR_TIMED_OUT)
        (void)fprintf(stderr, "searchd: still closing\n");
    bool good = status == WEIR_OK && balances(&report) && agrees(&report) && server->account.misuses == 0;
    print_stats(server);
    print_report(&report, good);
    return good;
}

int main(int argc, char **argv)
{
    static struct server server;
    struct options options;
    if (!parse(argc, argv, &options))
        return 2;
    if (!server_init(&server, &options))
        return 1;
    (void)printf("searchd: listening on http://127.0.0.1:%u, files below %s, at most %llu searches at a time\n",
                 server_port(&server), options.root, (unsigned long long)server.searches_most);
    (void)fflush(stdout);
    (void)event_base_dispatch(server.base);
    bool good = close_application(&server);
    server_fini(&server);
    return good ? 0 : 1;
}
