/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_io_uring.c - io_uring: a parked operation is a timeout; one cancel of any ends them all
 *
 * Polls on one file, cancelled the same way, were tried: the kernel's search is quadratic in them.
 */
#include "peer.h"

#include <errno.h>
#include <liburing.h>
#include <string.h>

static struct io_uring ring;
static size_t operations;
static struct __kernel_timespec far = { .tv_sec = 1000000 };

static void open_pool(unsigned workers)
{
    struct io_uring_params params = { .flags = IORING_SETUP_CQSIZE, .cq_entries = 65536 };
    (void)workers;
    if (io_uring_queue_init_params(4096, &ring, &params) != 0)
        peer_fail("no ring: not supported, or not allowed here");
}

static void close_pool(void)
{
    io_uring_queue_exit(&ring);
}

static struct io_uring_sqe *next(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (sqe == NULL) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    return sqe;
}

static void park(size_t count)
{
    operations = count;
    for (size_t i = 0; i < count; i++)
        io_uring_prep_timeout(next(), &far, 0, 0);
    io_uring_submit(&ring);
}

static void cancel(void)
{
    struct io_uring_cqe *cqe;
    io_uring_prep_cancel(next(), NULL, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
    io_uring_submit(&ring);
    for (size_t left = operations + 1; left > 0; left--) {             /* and the cancel's own answer */
        if (io_uring_wait_cqe(&ring, &cqe) != 0)
            peer_fail("wait");
        if (cqe->res == -ECANCELED && peer_ended())
            peer_all_ended();
        io_uring_cqe_seen(&ring, cqe);
    }
}

static void release(void)
{
}

const struct peer peer = {
    .name = "io_uring", .open = open_pool, .close = close_pool, .park = park, .cancel = cancel, .release = release,
};
