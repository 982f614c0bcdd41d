/* SPDX-License-Identifier: Apache-2.0 */
/* client.c - what each client does, and the connection that all of them use to cancel */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "drive.h"

enum { RECEIVE_BYTES = 4096, STOP_LEAST_US = 1000000, STOP_MOST_US = 3000000, HURRY_LEAST_US = 300,
       HURRY_MOST_US = 3000 };

static uint64_t draw(struct drive *drive)        /* splitmix64 */
{
    uint64_t z = drive->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static struct bufferevent *connect_to(struct drive *drive, bool small)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(drive->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), bytes = RECEIVE_BYTES;
    if (fd < 0)
        return NULL;
    if (small)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    struct bufferevent *stream = bufferevent_socket_new(drive->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (stream == NULL)
        (void)close(fd);
    else if (bufferevent_socket_connect(stream, (const struct sockaddr *)&address, sizeof address) != 0) {
        bufferevent_free(stream);
        stream = NULL;
    }
    return stream;
}

/* ---- a connection's end ---- */

static void disconnect(struct client *client, bool abruptly)
{
    struct linger linger = {.l_onoff = 1};
    if (client->stream == NULL)
        return;
    if (abruptly)
        (void)setsockopt(bufferevent_getfd(client->stream), SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    bufferevent_free(client->stream);
    client->stream = NULL;
    client->asked = client->reading = false;
    client->id[0] = 0;
}

static void begin_soon(struct client *client)
{
    struct timeval now = {0};
    if (!client->drive->closing)
        (void)evtimer_add(client->timer, &now);
}

/* Has had enough: one way or the other. */
static void leave(struct client *client)
{
    struct drive *drive = client->drive;
    uint64_t choice = draw(drive);
    if ((choice & 1) != 0) {
        drive->tally.left++;
        disconnect(client, (choice & 2) != 0);
        begin_soon(client);
        return;
    }
    drive->tally.deleted++;
    control_delete(drive, client->id);
    if (client->kind == STOPPED) {               /* reads on: the answer's last line comes */
        client->id[0] = 0;
        (void)bufferevent_enable(client->stream, EV_READ);
    }
}

/* ---- an answer ---- */

static void answered(struct client *client)
{
    client->drive->tally.finished++;
    client->asked = client->reading = false;
    client->id[0] = 0;
    if (client->kind != PATIENT)
        disconnect(client, true);
    begin_soon(client);
}

static void leave_after(struct client *client, uint64_t least_us, uint64_t most_us)
{
    uint64_t us = least_us + draw(client->drive) % (most_us - least_us);
    struct timeval later = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
    (void)evtimer_add(client->timer, &later);
}

static void first_line(struct client *client)
{
    client->reading = true;
    if (client->drive->closing)
        return;
    if (client->kind == IMPATIENT)
        leave_after(client, HURRY_LEAST_US, HURRY_MOST_US);
    else if (client->kind == STOPPED) {
        (void)bufferevent_disable(client->stream, EV_READ);
        leave_after(client, STOP_LEAST_US, STOP_MOST_US);
    }
}

/* Chunks consist of whole lines, so whatever begins with a brace is one, and the rest is HTTP's. */
static void take_line(struct client *client, const char *line)
{
    if (strncmp(line, "Search-Id: ", 11) == 0)
        (void)snprintf(client->id, sizeof client->id, "%s", line + 11);
    else if (strncmp(line, "{\"search\":", 10) == 0)
        first_line(client);
    else if (strncmp(line, "{\"done\":", 8) == 0)
        answered(client);
    else if (line[0] == '{')
        client->drive->tally.lines++;
}

static void read_lines(struct bufferevent *stream, void *ctx)
{
    struct client *client = ctx;
    char *line;
    while (client->stream == stream &&
           (line = evbuffer_readln(bufferevent_get_input(stream), NULL, EVBUFFER_EOL_CRLF)) != NULL) {
        take_line(client, line);
        free(line);
    }
}

static void stream_event(struct bufferevent *stream, short what, void *ctx)
{
    (void)stream;
    struct client *client = ctx;
    if ((what & BEV_EVENT_CONNECTED) != 0)
        return;
    if (!client->drive->closing && client->asked)
        client->drive->tally.broken++;           /* nobody told the server to do that */
    disconnect(client, false);
    begin_soon(client);
}

/* ---- a question ---- */

/* Stopped clients ask for what is everywhere, so that there is more than fits on the way to them; impatient ones for
 * what is nowhere and takes its time, in one large file. */
static void ask(struct client *client)
{
    static const char *const patient[] = {"%5E%23define+%5BA-Z%5D%2BMAX", "unsigned+long", "mutex", "EPOLL"};
    struct drive *drive = client->drive;
    struct evbuffer *out = bufferevent_get_output(client->stream);
    (void)evbuffer_add_printf(out, "GET /search?q=");
    if (client->kind == PATIENT)
        (void)evbuffer_add_printf(out, "%s", patient[draw(drive) % 4]);
    else if (client->kind == STOPPED)
        (void)evbuffer_add_printf(out, ".");
    else
        (void)evbuffer_add_printf(out, "%%5Ba-z%%5D%%2B_?%%5Ba-z%%5D*%%5B0-9%%5D%%7B9%%7Dx&path=%s",
                                  drive->large[draw(drive) % drive->large_count]);
    (void)evbuffer_add_printf(out, " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client->asked = true;
    drive->tally.started++;
}

void client_begin(struct client *client)
{
    if (client->stream == NULL) {
        client->stream = connect_to(client->drive, client->kind == STOPPED);
        if (client->stream == NULL) {
            client->drive->tally.broken++;
            return;
        }
        bufferevent_setcb(client->stream, read_lines, NULL, stream_event, client);
        (void)bufferevent_enable(client->stream, EV_READ | EV_WRITE);
    }
    ask(client);
}

static void time_came(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct client *client = ctx;
    if (client->drive->closing)
        return;
    if (client->reading)
        leave(client);
    else if (!client->asked)
        client_begin(client);
}

bool client_init(struct drive *drive, struct client *client, enum kind kind)
{
    *client = (struct client){.drive = drive, .kind = kind};
    client->timer = evtimer_new(drive->base, time_came, client);
    return client->timer != NULL;
}

void client_fini(struct client *client)
{
    disconnect(client, true);
    event_free(client->timer);
}

uint64_t clients_in_flight(const struct drive *drive)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < CLIENTS; i++)
        count += drive->client[i].reading;
    return count;
}

/* ---- the other connection ---- */

static void control_read(struct bufferevent *stream, void *ctx)
{
    struct drive *drive = ctx;
    char *line;
    while ((line = evbuffer_readln(bufferevent_get_input(stream), NULL, EVBUFFER_EOL_CRLF)) != NULL) {
        if (strncmp(line, "{\"phase\":", 9) == 0)
            (void)snprintf(drive->stats, sizeof drive->stats, "%s", line);
        free(line);
    }
}

static void control_event(struct bufferevent *stream, short what, void *ctx)
{
    struct drive *drive = ctx;
    if ((what & BEV_EVENT_CONNECTED) != 0)
        return;
    drive->tally.broken += !drive->closing;
    bufferevent_free(stream);
    drive->control = NULL;
}

bool control_open(struct drive *drive)
{
    drive->control = connect_to(drive, false);
    if (drive->control == NULL)
        return false;
    bufferevent_setcb(drive->control, control_read, NULL, control_event, drive);
    return bufferevent_enable(drive->control, EV_READ | EV_WRITE) == 0;
}

void control_ask_stats(struct drive *drive)
{
    if (drive->control != NULL)
        (void)evbuffer_add_printf(bufferevent_get_output(drive->control),
                                  "GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

void control_delete(struct drive *drive, const char *id)
{
    if (drive->control != NULL)
        (void)evbuffer_add_printf(bufferevent_get_output(drive->control),
                                  "DELETE /search/%s HTTP/1.1\r\nHost: localhost\r\n\r\n", id);
}
