/* SPDX-License-Identifier: Apache-2.0
 *
 * drive.h - a crowd of clients for searchd
 *
 * It starts searchd itself, over a directory, on a free port; lets the crowd search for some seconds; sends SIGTERM
 * while searches are under way; and prints what came of it. One thread, one loop.
 *
 *     patient    reads an answer to its end, and asks again
 *     impatient  goes away, or cancels, after a few milliseconds: work is cancelled while it runs, or waits to run
 *     stopped    reads a line and then nothing: its work is parked, and after a while cancelled
 *
 * Half of those that had enough close their connection (some of them abruptly), half say DELETE over another one.
 */
#ifndef SEARCHD_DRIVE_H
#define SEARCHD_DRIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

enum kind { PATIENT, IMPATIENT, STOPPED, KINDS };

enum {
    PATIENTS = 1, IMPATIENTS = 3, STOPPERS = 240, CLIENTS = PATIENTS + IMPATIENTS + STOPPERS,
    LARGE_FILES = 16, ID_BYTES = 17, STATS_BYTES = 16384,
    IN_FLIGHT_LEAST = 200, SAMPLES_LEAST = 1000,
};

struct drive;

struct client {
    struct drive *drive;
    enum kind kind;
    struct bufferevent *stream;                  /* NULL: not connected */
    struct event *timer;
    char id[ID_BYTES];                           /* empty: not known yet */
    bool asked, reading;                         /* an answer is to come; it has begun */
};

struct tally {
    uint64_t started, finished, left, deleted, lines, broken;
};

struct drive {
    struct event_base *base;
    struct client client[CLIENTS];
    struct bufferevent *control;                 /* for DELETE and GET /stats */
    struct event *tick;
    uint16_t port;
    uint64_t random;
    char *large[LARGE_FILES];                    /* paths below the directory, escaped for a query */
    unsigned large_count;
    struct tally tally;
    char stats[STATS_BYTES];                     /* the newest answer to GET /stats */
    bool closing;                                /* from SIGTERM on: nobody begins anything */
    int64_t started, seconds;
    pid_t server;
    int reports;                                 /* what the server prints */
};

int64_t time_now(void);

/* ---- client.c ---- */

bool client_init(struct drive *drive, struct client *client, enum kind kind);
void client_begin(struct client *client);        /* connects, and asks */
void client_fini(struct client *client);
uint64_t clients_in_flight(const struct drive *drive);

bool control_open(struct drive *drive);
void control_ask_stats(struct drive *drive);
void control_delete(struct drive *drive, const char *id);

/* ---- large.c ---- */

bool large_find(struct drive *drive, const char *directory);         /* false: there is no file at all */

/* ---- server.c ---- */

bool server_start(struct drive *drive, char *const argv[]);
bool server_wait(struct drive *drive, int *exit_code);       /* after SIGTERM: leaves its last statistics in stats */

/* ---- summary.c ---- */

uint64_t stats_number(const char *stats, const char *part, const char *name);    /* part NULL: the top */
bool summary_print(const struct drive *drive, int exit_code);        /* is all as it should be? */

#endif
