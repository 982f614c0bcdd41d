/* SPDX-License-Identifier: Apache-2.0 */
/* summary.c - what the server counted and the crowd saw, for people */
#include <stdlib.h>
#include <string.h>

#include "drive.h"

enum { OCTAVES = 32, BAR = 44 };

/* ---- reading GET /stats: an object of numbers, and of objects of numbers ---- */

static const char *find_value(const char *stats, const char *part, const char *name)
{
    char key[64];
    if (part != NULL) {
        (void)snprintf(key, sizeof key, "\"%s\":{", part);
        stats = strstr(stats, key);
    }
    (void)snprintf(key, sizeof key, "\"%s\":", name);
    const char *value = stats != NULL ? strstr(stats, key) : NULL;
    return value != NULL ? value + strlen(key) : NULL;
}

uint64_t stats_number(const char *stats, const char *part, const char *name)
{
    const char *value = find_value(stats, part, name);
    return value != NULL ? strtoull(value, NULL, 10) : 0;
}

static void read_octaves(const char *stats, const char *part, uint64_t octave[OCTAVES])
{
    const char *at = find_value(stats, part, "buckets");
    for (unsigned i = 0; i < OCTAVES; i++) {
        char *end = NULL;
        octave[i] = at != NULL ? strtoull(at + 1, &end, 10) : 0;
        at = end;
    }
}

/* ---- printing ---- */

static const char *time_text(uint64_t ns, char text[32])
{
    if (ns < 10000)
        (void)snprintf(text, 32, "%.1f us", (double)ns / 1e3);
    else if (ns < 10000000)
        (void)snprintf(text, 32, "%.0f us", (double)ns / 1e3);
    else
        (void)snprintf(text, 32, "%.0f ms", (double)ns / 1e6);
    return text;
}

static void print_bars(const uint64_t octave[OCTAVES])
{
    unsigned first = OCTAVES, last = 0;
    uint64_t most = 1;
    for (unsigned i = 0; i < OCTAVES; i++)
        if (octave[i] > 0) {
            first = first < i ? first : i;
            last = i;
            most = most > octave[i] ? most : octave[i];
        }
    for (unsigned i = first; i <= last; i++) {
        char text[32];
        int length = (int)((octave[i] * BAR + most - 1) / most);
        (void)printf("    < %8s %8llu %.*s\n", time_text(UINT64_C(1024) << i, text), (unsigned long long)octave[i],
                     length, "############################################");
    }
}

static void print_histogram(const char *stats, const char *part, const char *title)
{
    uint64_t octave[OCTAVES];
    char p50[32], p99[32], p999[32], max[32];
    read_octaves(stats, part, octave);
    (void)printf("\n  %s: %llu samples\n    p50 %s   p99 %s   p99.9 %s   max %s\n", title,
                 (unsigned long long)stats_number(stats, part, "count"),
                 time_text(stats_number(stats, part, "p50_ns"), p50),
                 time_text(stats_number(stats, part, "p99_ns"), p99),
                 time_text(stats_number(stats, part, "p999_ns"), p999),
                 time_text(stats_number(stats, part, "max_ns"), max));
    print_bars(octave);
}

/* The same, as weir counts it: one histogram for all operations, whatever they did. */
static void print_library(const char *stats, const char *part, const char *title)
{
    char p50[32], p99[32], max[32];
    (void)printf("    %-44s %7llu samples   p50 %s   p99 %s   max %s\n", title,
                 (unsigned long long)stats_number(stats, part, "count"),
                 time_text(stats_number(stats, part, "p50_ns"), p50),
                 time_text(stats_number(stats, part, "p99_ns"), p99),
                 time_text(stats_number(stats, part, "max_ns"), max));
}

static bool check(bool good, const char *text)
{
    (void)printf("  %s %s\n", good ? "ok    " : "FAILED", text);
    return good;
}

static bool check_accounts(const char *s)
{
    uint64_t accepted = stats_number(s, NULL, "operations_accepted"),
             completed = stats_number(s, NULL, "operations_completed"),
             cancelled = stats_number(s, NULL, "operations_cancelled"),
             timed_out = stats_number(s, NULL, "operations_timed_out"),
             failed = stats_number(s, NULL, "operations_failed"), posted = stats_number(s, NULL, "chunks_posted"),
             sent = stats_number(s, NULL, "chunks_sent"), dropped = stats_number(s, NULL, "chunks_dropped");
    char text[256];
    (void)snprintf(text, sizeof text, "operations: %llu accepted = %llu completed + %llu cancelled + %llu timed out + "
                   "%llu failed", (unsigned long long)accepted, (unsigned long long)completed,
                   (unsigned long long)cancelled, (unsigned long long)timed_out, (unsigned long long)failed);
    bool good = check(accepted > 0 && accepted == completed + cancelled + timed_out + failed, text);
    (void)snprintf(text, sizeof text, "chunks: %llu posted = %llu sent + %llu dropped", (unsigned long long)posted,
                   (unsigned long long)sent, (unsigned long long)dropped);
    good &= check(posted > 0 && posted == sent + dropped, text);
    good &= check(stats_number(s, NULL, "chunk_bytes") == 0 && stats_number(s, NULL, "files_open") == 0,
                  "no chunk and no open file is left");
    return good;
}

static bool check_samples(const char *stats)
{
    static const char *const parts[] = {"cancel_queued", "cancel_running", "cancel_parked"};
    bool good = true;
    for (unsigned i = 0; i < 3; i++) {
        char text[96];
        uint64_t count = stats_number(stats, parts[i], "count");
        (void)snprintf(text, sizeof text, "%s: %llu samples, at least %d", parts[i], (unsigned long long)count,
                       SAMPLES_LEAST);
        good &= check(count >= SAMPLES_LEAST, text);
    }
    return good;
}

bool summary_print(const struct drive *drive, int exit_code)
{
    const char *s = drive->stats;
    const struct tally *t = &drive->tally;
    char text[128], ms[32];
    uint64_t in_flight = stats_number(s, NULL, "in_flight_at_term");
    (void)printf("\nclients asked for %llu searches: %llu answers read to the end, %llu left, "
                 "%llu cancelled by DELETE; %llu lines read\n", (unsigned long long)t->started,
                 (unsigned long long)t->finished, (unsigned long long)t->left, (unsigned long long)t->deleted,
                 (unsigned long long)t->lines);
    (void)printf("server: %llu searches, %llu files, %llu matches; at most %llu KiB of matches held at a time\n",
                 (unsigned long long)stats_number(s, NULL, "searches_started"),
                 (unsigned long long)stats_number(s, NULL, "files"),
                 (unsigned long long)stats_number(s, NULL, "matches"),
                 (unsigned long long)(stats_number(s, NULL, "chunk_bytes_most") / 1024));
    (void)printf("\nFrom a cancel to the operation's final, by what the operation was doing:\n");
    print_histogram(s, "cancel_queued", "queued");
    print_histogram(s, "cancel_running", "running");
    print_histogram(s, "cancel_parked", "parked (its client does not read)");
    print_histogram(s, "barrier", "From a session's close to its callback, with a search under way");
    (void)printf("\n  The library's own account:\n");
    print_library(s, "cancel_seen", "cancel to seen by the work, or decided");
    print_library(s, "cancel_final", "cancel to the final's callback");
    print_library(s, "cancel_barrier", "close to its barrier, idle sessions too");
    (void)printf("\nSIGTERM with %llu searches in flight; when the time to drain was over, %llu were cancelled,\n"
                 "and all sessions were closed %s after that.\n\n", (unsigned long long)in_flight,
                 (unsigned long long)stats_number(s, NULL, "in_flight_at_cancel"),
                 time_text(stats_number(s, NULL, "close_ns"), ms));
    bool good = check_accounts(s);
    good &= check_samples(s);
    (void)snprintf(text, sizeof text, "searches in flight at SIGTERM: %llu, at least %d", (unsigned long long)in_flight,
                   IN_FLIGHT_LEAST);
    good &= check(in_flight >= IN_FLIGHT_LEAST, text);
    (void)snprintf(text, sizeof text, "connections that broke: %llu", (unsigned long long)t->broken);
    good &= check(t->broken == 0, text);
    (void)snprintf(text, sizeof text, "the server's exit code: %d", exit_code);
    return check(exit_code == 0, text) && good;
}
