/* SPDX-License-Identifier: Apache-2.0
 *
 * walk.c - the operation that finds the files of a search
 *
 * Depth first, with one directory open at a time: the subdirectories that were seen and not yet visited are kept as
 * names. A walk that is parked holds one descriptor, a few kilobytes, and those names.
 * The first batches are small, so that the first match is there soon.
 */
#include "search.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server.h"
#include "tree.h"

enum { ENTRIES_BYTES = 4096, DIRECTORIES_MOST = 65536 };

struct directory {
    struct directory *next;
    char path[];
};

struct walk {
    struct member member;
    struct directory *pending;                   /* to be visited; the newest first */
    struct directory *open;                      /* visited now, or NULL */
    int fd;                                      /* of it */
    unsigned pending_count, batch_most;
    struct batch *batch;                         /* being filled, or NULL */
    size_t have, at;                             /* bytes in entries; of them consumed */
    _Alignas(struct dirent64) char entries[ENTRIES_BYTES];
};

static bool push_directory(struct walk *walk, const char *path)
{
    size_t length = strlen(path) + 1;
    struct directory *directory = walk->pending_count < DIRECTORIES_MOST ? malloc(sizeof *directory + length) : NULL;
    if (directory == NULL)
        return false;
    memcpy(directory->path, path, length);
    directory->next = walk->pending;
    walk->pending = directory;
    walk->pending_count++;
    return true;
}

static void leave_directory(struct walk *walk)
{
    if (walk->open == NULL)
        return;
    (void)close(walk->fd);
    free(walk->open);
    walk->open = NULL;
}

static void destroy(struct walk *walk)
{
    leave_directory(walk);
    while (walk->pending != NULL) {
        struct directory *next = walk->pending->next;
        free(walk->pending);
        walk->pending = next;
    }
    free(walk->batch);
    free(walk);
}

static void free_walk(struct member *member)
{
    destroy((struct walk *)member);
}

static void count_skipped(struct search *search)
{
    count_add(&search->skipped, 1);
    count_add(&figures.skipped, 1);
}

/* ---- the batch ---- */

static bool batch_is_full(const struct walk *walk)
{
    const struct batch *batch = walk->batch;
    return batch != NULL && (batch->count >= walk->batch_most || BATCH_BYTES - batch->used < PATH_BYTES);
}

static weir_status add_file(struct walk *walk, const char *path)
{
    size_t length = strlen(path) + 1;
    if (walk->batch == NULL) {
        walk->batch = malloc(sizeof *walk->batch);
        if (walk->batch == NULL)
            return WEIR_NO_MEMORY;
        walk->batch->count = 0;
        walk->batch->used = 0;
    }
    memcpy(walk->batch->names + walk->batch->used, path, length);
    walk->batch->used += length;
    walk->batch->count++;
    return WEIR_OK;
}

static weir_status post_batch(weir_task *task, struct walk *walk)
{
    weir_status status = weir_task_post(task, walk->batch, sizeof *walk->batch);
    if (status == WEIR_AGAIN)
        walk->member.state = STATE_PARKED;
    if (status != WEIR_OK)
        return status;
    walk->batch = NULL;
    if (walk->batch_most < BATCH_FILES)
        walk->batch_most *= 2;
    return WEIR_OK;
}

/* ---- directories ---- */

/* Goes into the next directory. What is none, or cannot be opened, becomes a scan's, which has the word for it. */
static weir_status enter_directory(struct walk *walk)
{
    struct directory *directory = walk->pending;
    walk->pending = directory->next;
    walk->pending_count--;
    walk->fd = tree_open_directory(walk->member.search->server->root, directory->path);
    if (walk->fd >= 0) {
        walk->open = directory;
        walk->have = walk->at = 0;
        return WEIR_OK;
    }
    weir_status status = add_file(walk, directory->path);
    free(directory);
    return status;
}

/* NULL: the path would be too long. */
static const char *join(char out[PATH_BYTES], const char *directory, const char *name)
{
    int length = strcmp(directory, ".") == 0 ? snprintf(out, PATH_BYTES, "%s", name)
                                             : snprintf(out, PATH_BYTES, "%s/%s", directory, name);
    return length >= 0 && length < PATH_BYTES ? out : NULL;
}

static weir_status take_entry(struct walk *walk, const struct dirent64 *entry)
{
    char path[PATH_BYTES];
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
        return WEIR_OK;
    if (join(path, walk->open->path, entry->d_name) == NULL) {
        count_skipped(walk->member.search);
        return WEIR_OK;
    }
    if (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)
        return add_file(walk, path);
    if (!push_directory(walk, path))
        count_skipped(walk->member.search);
    return WEIR_OK;
}

static weir_status read_directory(struct walk *walk)
{
    if (walk->at == walk->have) {
        ssize_t bytes = getdents64(walk->fd, walk->entries, sizeof walk->entries);
        if (bytes <= 0) {                        /* its end, or it was removed meanwhile */
            leave_directory(walk);
            return WEIR_OK;
        }
        walk->have = (size_t)bytes;
        walk->at = 0;
    }
    const struct dirent64 *entry = (const struct dirent64 *)(walk->entries + walk->at);
    walk->at += entry->d_reclen;
    return take_entry(walk, entry);
}

/* ---- the kind ---- */

static bool is_over(const weir_task *task, const struct search *search)
{
    return weir_task_cancelled(task) != WEIR_REASON_NONE || search_is_cut(search) ||
           atomic_load_explicit(&search->refused, memory_order_relaxed) != WEIR_OK;
}

static weir_status walk_work(weir_task *task, void *ctx)
{
    struct walk *walk = ctx;
    weir_status status = WEIR_OK;
    walk->member.state = STATE_RUNNING;
    while (status == WEIR_OK) {
        if (is_over(task, walk->member.search))
            return WEIR_CANCELED;
        bool full = batch_is_full(walk);
        if (walk->open != NULL && !full)
            status = read_directory(walk);
        else if (walk->pending != NULL && !full)
            status = enter_directory(walk);
        else if (walk->batch != NULL)
            status = post_batch(task, walk);
        else
            return WEIR_OK;
    }
    return status;
}

/* Refused: the session drains, or is closed, or there is no memory. Then no other will be started either. */
static void start_scan(struct search *search, struct batch *batch)
{
    search_enter_scan(search);
    weir_status status = search_is_cut(search) ? WEIR_CANCELED : scan_start(search, batch);
    if (status == WEIR_OK)
        return;
    if (status != WEIR_CANCELED)                 /* read in the walk, and after its final */
        atomic_store_explicit(&search->refused, status, memory_order_relaxed);
    search_leave_scan(search);
    free(batch);
}

static void walk_result(const weir_result *result, void *ctx)
{
    struct walk *walk = ctx;
    if (result->more) {
        start_scan(walk->member.search, result->data);
        search_ack_walk(walk->member.search, result);
    } else
        member_post_final(&walk->member, result);
}

static const weir_kind walk_kind = {
    .size = sizeof(weir_kind), .name = "walk", .work = walk_work, .on_result = walk_result, .window = 1,
    .flags = WEIR_MANUAL_ACK,
};

weir_status walk_start(struct search *search, const char *path)
{
    struct walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL)
        return WEIR_NO_MEMORY;
    walk->member = (struct member){.search = search, .free = free_walk};
    walk->batch_most = 1;
    weir_status status = push_directory(walk, path) ? WEIR_OK : WEIR_NO_MEMORY;
    if (status == WEIR_OK)
        status = member_start(&walk->member, &walk_kind);
    if (status != WEIR_OK)
        destroy(walk);
    return status;
}
