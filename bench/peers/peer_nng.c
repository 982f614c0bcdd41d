/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_nng.c - nng: a parked operation is an nng_aio that sleeps; nng_aio_cancel ends it through its callback
 *
 * nng has no public way to submit a job. A receive on a socket without a peer, instead of a sleep, was tried: slower
 * to set up, the same to cancel.
 */
#include "peer.h"

#include <nng/nng.h>
#include <stdlib.h>

static nng_aio **aio;
static size_t operations;

static void open_pool(unsigned workers)
{
    (void)workers;
}

static void close_pool(void)
{
}

static void ended(void *arg)
{
    (void)arg;
    if (peer_ended_shared())
        peer_all_ended();
}

static void park(size_t count)
{
    aio = peer_memory(count, sizeof(*aio));
    operations = count;
    for (size_t i = 0; i < count; i++) {
        if (nng_aio_alloc(&aio[i], ended, NULL) != 0)
            peer_fail("nng_aio_alloc");
        nng_sleep_aio(1000000000, aio[i]);
    }
}

static void cancel(void)
{
    for (size_t i = 0; i < operations; i++)
        nng_aio_cancel(aio[i]);
}

static void release(void)
{
    for (size_t i = 0; i < operations; i++)
        nng_aio_free(aio[i]);
    free(aio);
}

const struct peer peer = {
    .name = "nng", .open = open_pool, .close = close_pool, .park = park, .cancel = cancel, .release = release,
};
