/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - drive SEARCHD DIRECTORY [SECONDS]: drive.h */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "drive.h"

enum { SECONDS = 10, PATIENCE = 6, TICK_US = 100000, TICKS_PER_LINE = 10 };

int64_t time_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void raise_descriptors(void)
{
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < CLIENTS + 64)
        (void)fprintf(stderr, "drive: the limit of %llu descriptors is too low for %d clients (ulimit -Hn)\n",
                      (unsigned long long)limit.rlim_max, CLIENTS);
}

/* ---- the run ---- */

static void print_progress(const struct drive *drive, double seconds)
{
    static unsigned ticks;
    bool terminal = isatty(STDOUT_FILENO) == 1;
    if (!terminal && ticks++ % TICKS_PER_LINE != 0)
        return;
    const char *s = drive->stats;
    (void)printf("%s%5.1f s   searches %llu   matches %llu   in flight %llu   cancelled: %llu queued, %llu running, "
                 "%llu parked%s", terminal ? "\r" : "", seconds, (unsigned long long)drive->tally.started,
                 (unsigned long long)stats_number(s, NULL, "matches"),
                 (unsigned long long)clients_in_flight(drive),
                 (unsigned long long)stats_number(s, "cancel_queued", "count"),
                 (unsigned long long)stats_number(s, "cancel_running", "count"),
                 (unsigned long long)stats_number(s, "cancel_parked", "count"), terminal ? "   " : "\n");
    (void)fflush(stdout);
}

static bool has_enough(const struct drive *drive)
{
    const char *s = drive->stats;
    return stats_number(s, "cancel_queued", "count") >= SAMPLES_LEAST &&
           stats_number(s, "cancel_running", "count") >= SAMPLES_LEAST &&
           stats_number(s, "cancel_parked", "count") >= SAMPLES_LEAST && clients_in_flight(drive) >= IN_FLIGHT_LEAST;
}

/* On a slow machine it takes longer to have seen enough; but not for ever. */
static void tick(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct drive *drive = ctx;
    int64_t ns = time_now() - drive->started, full = drive->seconds * 1000000000;
    if (drive->closing) {
        if (drive->control == NULL)
            (void)event_base_loopbreak(drive->base);
        return;
    }
    control_ask_stats(drive);
    print_progress(drive, (double)ns / 1e9);
    if (drive->control != NULL && (ns < full || (!has_enough(drive) && ns < PATIENCE * full)))
        return;
    drive->closing = true;
    (void)printf("\nSIGTERM\n");
    (void)fflush(stdout);
    (void)kill(drive->server, SIGTERM);
}

static bool begin(struct drive *drive)
{
    struct timeval period = {.tv_usec = TICK_US};
    struct event_config *config = event_config_new();
    if (config == NULL || event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) != 0)
        return false;
    drive->base = event_base_new_with_config(config);
    event_config_free(config);
    drive->tick = drive->base != NULL ? event_new(drive->base, -1, EV_PERSIST, tick, drive) : NULL;
    if (drive->tick == NULL || !control_open(drive))
        return false;
    for (unsigned i = 0; i < CLIENTS; i++) {
        enum kind kind = i < PATIENTS ? PATIENT : i < PATIENTS + IMPATIENTS ? IMPATIENT : STOPPED;
        if (!client_init(drive, &drive->client[i], kind))
            return false;
        client_begin(&drive->client[i]);
    }
    drive->started = time_now();
    return event_add(drive->tick, &period) == 0;
}

static void end(struct drive *drive)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        client_fini(&drive->client[i]);
    if (drive->control != NULL)
        bufferevent_free(drive->control);
    event_free(drive->tick);
    event_base_free(drive->base);
    for (unsigned i = 0; i < drive->large_count; i++)
        free(drive->large[i]);
}

int main(int argc, char **argv)
{
    static struct drive drive;
    int exit_code = 0;
    if (argc < 3 || argc > 4) {
        (void)fprintf(stderr, "usage: drive SEARCHD DIRECTORY [SECONDS]\n");
        return 2;
    }
    drive.seconds = argc == 4 ? strtol(argv[3], NULL, 10) : SECONDS;
    drive.random = (uint64_t)time_now();
    (void)signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    if (!large_find(&drive, argv[2])) {
        (void)fprintf(stderr, "drive: no files in %s\n", argv[2]);
        return 1;
    }
    if (!server_start(&drive, (char *[]){argv[1], "--port", "0", argv[2], NULL}) || !begin(&drive))
        return 1;
    (void)event_base_dispatch(drive.base);
    bool told = server_wait(&drive, &exit_code);
    bool good = summary_print(&drive, exit_code) && told;
    end(&drive);
    return good ? 0 : 1;
}
