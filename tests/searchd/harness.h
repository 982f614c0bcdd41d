/* SPDX-License-Identifier: Apache-2.0
 *
 * harness.h - searchd under test: a child process over a directory of our own, and clients that do as told
 *
 * A client is a socket with blocking calls; every wait ends after PATIENCE_SECONDS and fails the test. Conditions are
 * polled for over GET /stats.
 */
#ifndef SEARCHD_TESTS_HARNESS_H
#define SEARCHD_TESTS_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

enum { PATIENCE_SECONDS = 120, LINE_BYTES = 32768 };

/* ---- the directory ---- */

extern char tree[];                              /* its path; made by tree_make, a fixture for a whole program */

int tree_make(void **state);
int tree_remove(void **state);
void tree_file(const char *name, const char *text);                       /* directories come along */
void tree_repeat(const char *name, const char *text, size_t times);
const char *tree_path(const char *name);                                  /* until the next call */

/* ---- the server ---- */

struct server {
    pid_t pid;
    uint16_t port;
    int out;                                     /* what it prints */
    char last[LINE_BYTES];                       /* its statistics at the end */
};

void server_start(struct server *server, ...);   /* options, then (char *)NULL */
void server_term(const struct server *server);
int server_wait(struct server *server);          /* its exit code */
void server_stop(struct server *server);         /* SIGTERM, and a clean end */
unsigned server_entries(const struct server *server, const char *what);   /* "fd", "task": how many there are */

/* ---- a client ---- */

struct client {
    int fd;
    size_t have, at;
    char buffer[LINE_BYTES];
    char id[24];                                 /* of the newest search */
};

void client_open(struct client *client, const struct server *server);
void client_open_small(struct client *client, const struct server *server);       /* with little room for answers */
void client_close(struct client *client);
void client_reset(struct client *client);        /* abruptly */
void client_send(struct client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool client_line(struct client *client, char line[LINE_BYTES]);           /* false: the connection has ended */
void client_search(struct client *client, const char *query);             /* asks, and reads the first line */

/* Reads an answer to its last line; counts matches and skips. False: it broke off. */
struct answer {
    unsigned matches, skipped;
    char done[256], first[LINE_BYTES], skips[LINE_BYTES];
};
bool client_answer(struct client *client, struct answer *answer);

/* One request on a connection of its own: the status, and the body's first line. */
int request(const struct server *server, const char *method, const char *target, char body[LINE_BYTES]);

/* ---- statistics ---- */

uint64_t number_in(const char *stats, const char *name);
uint64_t stats_of(const struct server *server, const char *name);
void wait_until(const struct server *server, const char *name, uint64_t least, uint64_t most);
void wait_for_entries(const struct server *server, const char *what, unsigned most);

#endif
