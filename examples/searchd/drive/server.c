/* SPDX-License-Identifier: Apache-2.0 */
/* server.c - searchd as a child process: its start, and its last words */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drive.h"

/* One line of what the server prints, without its end. False: there are no more. */
static bool read_report(const struct drive *drive, char *line, size_t size)
{
    size_t used = 0;
    for (;;) {
        char c;
        ssize_t got = read(drive->reports, &c, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        if (c == '\n')
            break;
        if (used + 1 < size)
            line[used++] = c;
    }
    line[used] = 0;
    return true;
}

static bool read_port(struct drive *drive)
{
    char line[512];
    if (!read_report(drive, line, sizeof line))
        return false;
    const char *port = strstr(line, "127.0.0.1:");
    (void)printf("%s\n", line);
    drive->port = port != NULL ? (uint16_t)strtoul(port + 10, NULL, 10) : 0;
    return drive->port != 0;
}

bool server_start(struct drive *drive, char *const argv[])
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    int ends[2];
    if (pipe(ends) != 0)
        return false;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_addclose(&actions, ends[0]);
    (void)posix_spawn_file_actions_addclose(&actions, ends[1]);
    int error = posix_spawn(&drive->server, argv[0], &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    drive->reports = ends[0];
    if (error != 0)
        (void)fprintf(stderr, "drive: %s cannot be started (errno %d)\n", argv[0], error);
    return error == 0 && read_port(drive);
}

bool server_wait(struct drive *drive, int *exit_code)
{
    char line[STATS_BYTES];
    int status = 0;
    bool told = false;
    while (read_report(drive, line, sizeof line))
        if (strncmp(line, "{\"phase\":", 9) == 0) {
            memcpy(drive->stats, line, sizeof line);
            told = true;
        }
    while (waitpid(drive->server, &status, 0) < 0 && errno == EINTR)
        ;
    (void)close(drive->reports);
    *exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return told;
}
