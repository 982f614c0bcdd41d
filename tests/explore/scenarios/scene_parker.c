/* SPDX-License-Identifier: Apache-2.0 */
/* scene_parker.c - core/parker.h under every schedule: tokens are neither lost nor invented, what a
 * waker wrote arrives with them, and the owner may free the parker when it has one */

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <weir/status.h>

#include "core/clock.h"
#include "core/parker.h"
#include "tests/explore/engine/explore.h"

static struct parker parker;
static int note; /* plain: travels with the token */
static _Atomic int written[2];

static pthread_t start(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    explore_check(pthread_create(&thread, NULL, run, arg) == 0);
    return thread;
}

static void *leave_a_note(void *arg)
{
    struct parker *p = arg;
    note = 42;
    (void)parker_unpark(p);
    return NULL;
}

EXPLORE_SCENARIO(parker_hands_over_a_note, .preemptions = 3, .stale_reads = 2, .spurious = 2)
{
    pthread_t waker = start(leave_a_note, &parker);
    explore_check(parker_park(&parker, WEIR_FOREVER));
    explore_check(note == 42);
    pthread_join(waker, NULL);
}

/* Whatever the time-out meets: the token is there at once, or the next park finds it. */
EXPLORE_SCENARIO(parker_time_out_loses_no_token, .preemptions = 3, .early_timeouts = 1,
                 .spurious = 1)
{
    pthread_t waker = start(leave_a_note, &parker);
    bool token = parker_park(&parker, clock_monotonic() + 1000);
    explore_observe(token);
    if (!token)
        explore_check(parker_park(&parker, WEIR_FOREVER));
    explore_check(note == 42);
    pthread_join(waker, NULL);
    explore_check(atomic_load(&parker.word) == PARKER_EMPTY);
}

static void *write_and_unpark(void *arg)
{
    _Atomic int *mine = arg;
    atomic_store_explicit(mine, 1, memory_order_relaxed); /* P1 of parker.h publishes it */
    (void)parker_unpark(&parker);
    return NULL;
}

static bool both_have_written(void)
{
    return atomic_load_explicit(&written[0], memory_order_relaxed) != 0 &&
           atomic_load_explicit(&written[1], memory_order_relaxed) != 0;
}

/* Taking a token with a load and a store instead of an exchange ends here, in a deadlock. */
EXPLORE_SCENARIO(parker_one_token_carries_two_notes, .preemptions = 3, .stale_reads = 2)
{
    pthread_t first = start(write_and_unpark, &written[0]);
    pthread_t second = start(write_and_unpark, &written[1]);
    while (!both_have_written())
        (void)parker_park(&parker, WEIR_FOREVER);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
}

/* prepare, look, park: the token that prepare throws away has done its duty. */
EXPLORE_SCENARIO(parker_prepare_then_look, .preemptions = 3, .stale_reads = 2, .early_timeouts = 1)
{
    pthread_t first = start(write_and_unpark, &written[0]);
    pthread_t second = start(write_and_unpark, &written[1]);
    (void)parker_park(&parker, clock_monotonic() + 1000);
    for (;;) {
        parker_prepare(&parker);
        if (both_have_written())
            break;
        (void)parker_park(&parker, WEIR_FOREVER);
    }
    pthread_join(first, NULL);
    pthread_join(second, NULL);
}

EXPLORE_SCENARIO(parker_freed_by_its_owner, .preemptions = 3, .spurious = 1)
{
    struct parker *p = malloc(sizeof(*p));
    parker_init(p);
    pthread_t waker = start(leave_a_note, p);
    explore_check(parker_park(p, WEIR_FOREVER));
    free(p);
    pthread_join(waker, NULL);
}

int main(int argc, char **argv)
{
    return explore_main(argc, argv);
}
