/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- the directory ---- */

char tree[256];

int tree_make(void **state)
{
    (void)state;
    struct rlimit limit = {0};
    const char *place = getenv("TMPDIR");
    (void)snprintf(tree, sizeof tree, "%s/searchd-XXXXXX", place != NULL ? place : P_tmpdir);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)signal(SIGPIPE, SIG_IGN);
    return mkdtemp(tree) == NULL ? -1 : 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

int tree_remove(void **state)
{
    (void)state;
    return nftw(tree, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *tree_path(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", tree, name);
    return path;
}

static void make_directories(const char *name)
{
    char part[256];
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        (void)snprintf(part, sizeof part, "%.*s", (int)(slash - name), name);
        assert_true(mkdir(tree_path(part), 0700) == 0 || errno == EEXIST);
    }
}

void tree_repeat(const char *name, const char *text, size_t times)
{
    make_directories(name);
    FILE *file = fopen(tree_path(name), "w");
    assert_non_null(file);
    for (size_t i = 0; i < times; i++)
        assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

void tree_file(const char *name, const char *text)
{
    tree_repeat(name, text, 1);
}

/* ---- the server ---- */

static pid_t running;                            /* 0: none. A failed test leaves it; it must not outlive us */

static void kill_running(void)
{
    int status;
    if (running == 0)
        return;
    if (waitpid(running, &status, WNOHANG) == running)
        (void)fprintf(stderr, "the server had ended before: wait status %#x\n", (unsigned)status);
    else {
        (void)kill(running, SIGKILL);
        (void)waitpid(running, NULL, 0);
    }
    running = 0;
}

static bool read_report(struct server *server, char *line, size_t size)
{
    size_t used = 0;
    char c;
    ssize_t got;
    while ((got = read(server->out, &c, 1)) == 1 && c != '\n')
        if (used + 1 < size)
            line[used++] = c;
    line[used] = 0;
    return got == 1;
}

void server_start(struct server *server, ...)
{
    extern char **environ;
    char *argv[16] = {SEARCHD};
    int count = 1, ends[2];
    va_list args;
    va_start(args, server);
    while ((argv[count] = va_arg(args, char *)) != NULL)
        count++;
    va_end(args);
    argv[count] = tree;
    kill_running();
    assert_int_equal(atexit(kill_running), 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    assert_int_equal(posix_spawn(&server->pid, SEARCHD, &actions, NULL, argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    running = server->pid;
    server->out = ends[0];
    char line[LINE_BYTES];
    assert_true(read_report(server, line, sizeof line));
    const char *port = strstr(line, "127.0.0.1:");
    assert_non_null(port);
    server->port = (uint16_t)strtoul(port + 10, NULL, 10);
}

void server_term(const struct server *server)
{
    assert_int_equal(kill(server->pid, SIGTERM), 0);
}

int server_wait(struct server *server)
{
    char line[LINE_BYTES];
    int status = 0;
    server->last[0] = 0;
    while (read_report(server, line, sizeof line))
        (void)snprintf(server->last, sizeof server->last, "%s", line);
    assert_int_equal(waitpid(server->pid, &status, 0), server->pid);
    (void)close(server->out);
    running = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void server_stop(struct server *server)
{
    server_term(server);
    assert_int_equal(server_wait(server), 0);
}

unsigned server_entries(const struct server *server, const char *what)
{
    char path[64];
    unsigned count = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)server->pid, what);
    DIR *directory = opendir(path);
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    (void)closedir(directory);
    return count;
}

/* ---- a client ---- */

static void open_with(struct client *client, const struct server *server, int receive_bytes)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(server->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    client->have = client->at = 0;
    client->id[0] = 0;
    assert_true(client->fd >= 0);
    if (receive_bytes > 0)
        (void)setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    (void)setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(client->fd, (const struct sockaddr *)&address, sizeof address), 0);
}

void client_open(struct client *client, const struct server *server)
{
    open_with(client, server, 0);
}

void client_open_small(struct client *client, const struct server *server)
{
    open_with(client, server, 4096);
}

void client_close(struct client *client)
{
    (void)close(client->fd);
}

void client_reset(struct client *client)
{
    struct linger linger = {.l_onoff = 1};
    (void)setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    (void)close(client->fd);
}

void client_send(struct client *client, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_true(length >= 0 && (size_t)length < sizeof text);
    assert_int_equal(send(client->fd, text, (size_t)length, MSG_NOSIGNAL), length);
}

static bool fill(struct client *client)
{
    memmove(client->buffer, client->buffer + client->at, client->have - client->at);
    client->have -= client->at;
    client->at = 0;
    assert_true(client->have < sizeof client->buffer);
    ssize_t got = recv(client->fd, client->buffer + client->have, sizeof client->buffer - client->have, 0);
    if (got < 0 && errno == EAGAIN)
        fail_msg("no answer within %d seconds", PATIENCE_SECONDS);
    if (got > 0)
        client->have += (size_t)got;
    return got > 0;
}

bool client_line(struct client *client, char line[LINE_BYTES])
{
    for (;;) {
        const char *start = client->buffer + client->at;
        const char *end = memchr(start, '\n', client->have - client->at);
        if (end != NULL) {
            size_t length = (size_t)(end - start);
            client->at += length + 1;
            if (length > 0 && start[length - 1] == '\r')
                length--;
            memcpy(line, start, length);
            line[length] = 0;
            return true;
        }
        if (!fill(client))
            return false;
    }
}

void client_search(struct client *client, const char *query)
{
    char line[LINE_BYTES];
    client_send(client, "GET /search?%s HTTP/1.1\r\nHost: localhost\r\n\r\n", query);
    do {
        assert_true(client_line(client, line));
        if (strncmp(line, "Search-Id: ", 11) == 0)
            (void)snprintf(client->id, sizeof client->id, "%.23s", line + 11);
    } while (strncmp(line, "{\"search\":", 10) != 0);
    assert_int_equal(strlen(client->id), 16);
    assert_non_null(strstr(line, client->id));
}

bool client_answer(struct client *client, struct answer *answer)
{
    char line[LINE_BYTES];
    *answer = (struct answer){0};
    while (client_line(client, line)) {
        if (strncmp(line, "{\"done\":", 8) == 0) {
            (void)snprintf(answer->done, sizeof answer->done, "%.255s", line);
            return true;
        }
        if (strncmp(line, "{\"file\":", 8) == 0 && answer->matches++ == 0)
            (void)snprintf(answer->first, sizeof answer->first, "%s", line);
        size_t used = strlen(answer->skips);
        if (strncmp(line, "{\"skipped\":", 11) == 0 && ++answer->skipped < 64)
            (void)snprintf(answer->skips + used, sizeof answer->skips - used, "%s\n", line);
    }
    return false;
}

int request(const struct server *server, const char *method, const char *target, char body[LINE_BYTES])
{
    struct client *client = malloc(sizeof *client);
    char line[LINE_BYTES];
    assert_non_null(client);
    client_open(client, server);
    client_send(client, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", method, target);
    assert_true(client_line(client, line));
    int status = (int)strtol(line + strlen("HTTP/1.1 "), NULL, 10);
    while (client_line(client, line) && line[0] != 0)
        ;
    if (!client_line(client, body))
        body[0] = 0;
    client_close(client);
    free(client);
    return status;
}

/* ---- statistics ---- */

uint64_t number_in(const char *stats, const char *name)
{
    char key[64];
    (void)snprintf(key, sizeof key, "\"%s\":", name);
    const char *value = strstr(stats, key);
    if (value == NULL)
        fail_msg("no %s in %s", name, stats);
    return strtoull(value + strlen(key), NULL, 10);
}

uint64_t stats_of(const struct server *server, const char *name)
{
    char body[LINE_BYTES];
    assert_int_equal(request(server, "GET", "/stats", body), 200);
    return number_in(body, name);
}

void wait_until(const struct server *server, const char *name, uint64_t least, uint64_t most)
{
    time_t end = time(NULL) + PATIENCE_SECONDS;
    uint64_t value;
    while ((value = stats_of(server, name)) < least || value > most) {
        if (time(NULL) >= end)
            fail_msg("%s is %llu, expected %llu to %llu", name, (unsigned long long)value, (unsigned long long)least,
                     (unsigned long long)most);
        (void)sched_yield();
    }
}

void wait_for_entries(const struct server *server, const char *what, unsigned most)
{
    time_t end = time(NULL) + PATIENCE_SECONDS;
    unsigned count;
    while ((count = server_entries(server, what)) > most) {
        if (time(NULL) >= end)
            fail_msg("%u entries in %s, expected at most %u", count, what, most);
        (void)sched_yield();
    }
}
