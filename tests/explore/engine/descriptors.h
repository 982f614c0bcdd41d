/* SPDX-License-Identifier: Apache-2.0 */
/* descriptors.h - between fd_wrap.c and epoll_wrap.c */
#ifndef EXPLORE_DESCRIPTORS_H
#define EXPLORE_DESCRIPTORS_H

#include <sys/epoll.h>

#include "engine.h"

enum { FIRST = 1000, DESCRIPTORS_MAX = 64, WATCHES_MAX = 32, PIPE_ROOM = 4096 };
enum kind { CLOSED, EPOLL, EVENT, PIPE_READ, PIPE_WRITE, TIMER };

struct watch {
    int fd; /* 0: free */
    uint32_t events;
    uint64_t reported; /* EPOLLET: the last edge that was told */
    epoll_data_t data;
};
struct descriptor {
    enum kind kind;
    int flags, peer; /* pipe: the other end */
    uintptr_t pc;
    uint64_t count; /* event: its value; pipe's reading end: bytes in it */
    uint8_t bytes[PIPE_ROOM];
    uint64_t edge;          /* counts what an edge-triggered watch must tell */
    int64_t expiry, period; /* timer */
    struct watch watches[WATCHES_MAX];
};
struct descriptors {
    int used; /* the first so many have been open in this run */
    struct descriptor all[DESCRIPTORS_MAX];
};
#define table (*engine.descriptors)

int descriptor_refuse(int error); /* -1, and errno */
bool descriptor_ours(int fd);
struct descriptor *descriptor_get(int fd); /* NULL: not open */
struct object *descriptor_step(void);      /* announces a step on descriptors */
int descriptor_open(enum kind kind, int flags, uintptr_t pc);
void descriptor_changed(void);                                    /* whoever waits for any descriptor looks again */
uint32_t descriptor_ready(const struct descriptor *d);            /* EPOLLIN and so on */
struct watch *descriptor_watch(struct descriptor *epoll, int fd); /* fd 0: a free place */

#endif
