/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.c - the operation that searches a batch of files
 *
 * Its position (which file, which byte, which line) lives in its context, so it can stop anywhere and be called again:
 * when its chunk is full and the one before was not taken yet (parked), or after SLICE_BYTES, to give others their
 * turn. Files are read in blocks, never mapped: one that shrinks ends early, and that is all. The block is on the
 * worker's stack; a scan that waits holds a descriptor, two chunks at most, and its batch.
 *
 * A chunk is posted when it is full. It is also offered after every block, so that a lonely match is not kept back;
 * if the one before has not been taken by then, the scan just goes on filling.
 */
#include "search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server.h"
#include "tree.h"

enum { BLOCK_BYTES = 16 * 1024, SLICE_BYTES = 32 * 1024 };

struct scan {
    struct member member;
    struct batch *batch;
    const char *path;                            /* of the file at hand; the batch's end: none is left */
    const char *why;                             /* not NULL: it is skipped, and this is still to be said */
    int fd;                                      /* of it; -1: it is not open */
    off_t size, offset;                          /* when it was opened; of the first byte that was not searched */
    uint64_t line;                               /* lines before it */
    uint64_t inside;                             /* bytes of its line before it, which were searched as pieces */
    struct chunk *chunk;                         /* being filled, or NULL */
};

/* One call of the work. */
struct pass {
    weir_task *task;
    struct scan *scan;
    struct matcher matcher;
    size_t searched;                             /* bytes, by this call */
};

static void close_file(struct scan *scan)
{
    if (scan->fd < 0)
        return;
    (void)close(scan->fd);
    scan->fd = -1;
    count_take(&figures.files_open, 1);
}

static void free_scan(struct member *member)
{
    struct scan *scan = (struct scan *)member;
    close_file(scan);
    chunk_free(scan->chunk);
    free(scan->batch);
    free(scan);
}

static bool is_cancelled(void *ctx)
{
    const struct pass *pass = ctx;
    return weir_task_cancelled(pass->task) != WEIR_REASON_NONE || search_is_cut(pass->scan->member.search);
}

/* ---- chunks ---- */

static weir_status post_chunk(struct pass *pass)
{
    struct scan *scan = pass->scan;
    weir_status status = weir_task_post(pass->task, scan->chunk, scan->chunk->used);
    if (status == WEIR_OK) {
        count_add(&figures.posted, 1);
        scan->chunk = NULL;
    }
    return status;
}

/* Posts what there is; that there is no room is no matter. */
static weir_status offer_chunk(struct pass *pass)
{
    if (pass->scan->chunk == NULL || pass->scan->chunk->used == 0)
        return WEIR_OK;
    weir_status status = post_chunk(pass);
    return status == WEIR_AGAIN ? WEIR_OK : status;
}

static bool have_chunk(struct scan *scan)
{
    if (scan->chunk == NULL)
        scan->chunk = chunk_new();
    return scan->chunk != NULL;
}

/* AGAIN: there was no room, neither in this chunk nor for another. */
static weir_status add_found(struct pass *pass, const struct found *found)
{
    struct scan *scan = pass->scan;
    if (!have_chunk(scan))
        return WEIR_NO_MEMORY;
    if (!chunk_add_found(scan->chunk, found)) {
        weir_status status = post_chunk(pass);
        if (status != WEIR_OK)
            return status;
        return add_found(pass, found);
    }
    count_add(&scan->member.search->matches, 1);
    count_add(&figures.matches, 1);
    return WEIR_OK;
}

/* ---- files ---- */

static void next_file(struct scan *scan)
{
    close_file(scan);
    scan->path += strlen(scan->path) + 1;
}

static weir_status add_skipped(struct pass *pass)
{
    struct scan *scan = pass->scan;
    if (!have_chunk(scan))
        return WEIR_NO_MEMORY;
    if (!chunk_add_skipped(scan->chunk, scan->path, scan->why)) {
        weir_status status = post_chunk(pass);
        return status == WEIR_OK ? add_skipped(pass) : status;
    }
    count_add(&scan->member.search->skipped, 1);
    count_add(&figures.skipped, 1);
    scan->why = NULL;
    next_file(scan);
    return WEIR_OK;
}

static void open_file(struct scan *scan)
{
    scan->fd = tree_open_file(scan->member.search->server->root, scan->path, &scan->size, &scan->why);
    if (scan->fd < 0)
        return;
    scan->offset = 0;
    scan->line = scan->inside = 0;
    count_add(&figures.files_open, 1);
    count_add(&figures.files, 1);
    count_add(&scan->member.search->files, 1);
}

/* ---- lines ---- */

/* The next line, or piece of one. 0: what is left is the beginning of a line whose rest was not read yet. */
static size_t measure_line(const char *at, size_t left, bool last, bool *whole)
{
    const char *newline = memchr(at, '\n', left < PIECE_BYTES + 1 ? left : PIECE_BYTES + 1);
    *whole = newline != NULL;
    if (newline != NULL)
        return (size_t)(newline - at);
    if (left > PIECE_BYTES)
        return PIECE_BYTES;
    return last ? left : 0;
}

static weir_status search_line(struct pass *pass, const char *at, size_t length, bool whole)
{
    struct scan *scan = pass->scan;
    size_t from, to;
    if (length == 0 && scan->inside > 0)         /* only the newline is left of a line that was searched in pieces */
        return WEIR_OK;
    enum match match = matcher_find(&pass->matcher, at, length, &from, &to);
    if (match == MATCH_NONE)
        return WEIR_OK;
    if (match == MATCH_STOPPED)
        return WEIR_CANCELED;
    if (match == MATCH_TOO_EXPENSIVE) {
        (void)weir_task_explain(pass->task, "regex too expensive");
        return WEIR_FAILED;
    }
    return add_found(pass, &(struct found){
        .path = scan->path, .line = scan->line + 1, .column = scan->inside + from + 1, .text = at, .length = length,
        .from = from, .piece = scan->inside > 0 || (!whole && length == PIECE_BYTES),
    });
}

/* The position moves only over what was searched and reported. */
static void move_on(struct scan *scan, size_t length, bool whole)
{
    scan->offset += (off_t)(length + whole);
    scan->line += whole;
    scan->inside = whole ? 0 : scan->inside + length;
}

static weir_status search_block(struct pass *pass, const char *block, size_t bytes, bool last)
{
    weir_status status = WEIR_OK;
    for (size_t done = 0; done < bytes;) {
        bool whole;
        size_t length = measure_line(block + done, bytes - done, last, &whole);
        if (length == 0 && !whole)
            break;
        if (is_cancelled(pass))
            return WEIR_CANCELED;
        status = search_line(pass, block + done, length, whole);
        if (status != WEIR_OK)
            break;
        move_on(pass->scan, length, whole);
        done += length + whole;
    }
    return status;
}

/* One block of the file at hand. At its end it is closed. */
static weir_status read_block(struct pass *pass)
{
    struct scan *scan = pass->scan;
    char block[BLOCK_BYTES];
    ssize_t bytes = pread(scan->fd, block, sizeof block, scan->offset);
    if (bytes < 0) {
        if (errno != EINTR)
            scan->why = "read error";
        return WEIR_OK;
    }
    if (bytes == 0) {
        if (scan->offset < scan->size)
            scan->why = "shrank while it was read";
        else
            next_file(scan);
        return WEIR_OK;
    }
    if (memchr(block, 0, (size_t)bytes) != NULL) {
        scan->why = "binary";
        return WEIR_OK;
    }
    pass->searched += (size_t)bytes;
    return search_block(pass, block, (size_t)bytes, (size_t)bytes < sizeof block);
}

/* ---- the kind ---- */

static bool is_done(const struct scan *scan)
{
    return scan->path == scan->batch->names + scan->batch->used;
}

static weir_status take_step(struct pass *pass)
{
    struct scan *scan = pass->scan;
    if (scan->why != NULL)
        return add_skipped(pass);
    if (scan->fd < 0) {
        open_file(scan);
        return WEIR_OK;
    }
    weir_status status = read_block(pass);
    return status == WEIR_OK ? offer_chunk(pass) : status;
}

static weir_status scan_pass(struct pass *pass)
{
    struct scan *scan = pass->scan;
    while (!is_done(scan)) {
        if (is_cancelled(pass))
            return WEIR_CANCELED;
        weir_status status = take_step(pass);
        if (status != WEIR_OK)
            return status;
        if (pass->searched >= SLICE_BYTES) {
            scan->member.state = STATE_QUEUED;
            return WEIR_AGAIN;
        }
    }
    return scan->chunk == NULL || scan->chunk->used == 0 ? WEIR_OK : post_chunk(pass);
}

static weir_status scan_work(weir_task *task, void *ctx)
{
    struct scan *scan = ctx;
    struct pass pass = {.task = task, .scan = scan};
    scan->member.state = STATE_RUNNING;
    if (!matcher_init(&pass.matcher, &scan->member.search->pattern, is_cancelled, &pass))
        return WEIR_NO_MEMORY;
    weir_status status = scan_pass(&pass);
    if (status == WEIR_AGAIN && scan->member.state == STATE_RUNNING)
        scan->member.state = STATE_PARKED;
    matcher_fini(&pass.matcher);
    return status;
}

static void scan_result(const weir_result *result, void *ctx)
{
    struct scan *scan = ctx;
    if (result->more)
        member_post_chunk(&scan->member, result);
    else {
        search_leave_scan(scan->member.search);
        member_post_final(&scan->member, result);
    }
}

static void drop_chunk(void *data, size_t size)
{
    (void)size;
    chunk_free(data);
}

static const weir_kind scan_kind = {
    .size = sizeof(weir_kind), .name = "scan", .work = scan_work, .on_result = scan_result, .drop = drop_chunk,
    .window = 1, .flags = WEIR_MANUAL_ACK,
};

weir_status scan_start(struct search *search, struct batch *batch)
{
    struct scan *scan = calloc(1, sizeof *scan);
    if (scan == NULL)
        return WEIR_NO_MEMORY;
    scan->member = (struct member){.search = search, .free = free_scan};
    scan->batch = batch;
    scan->path = batch->names;
    scan->fd = -1;
    weir_status status = member_start(&scan->member, &scan_kind);
    if (status != WEIR_OK)
        free(scan);
    return status;
}
