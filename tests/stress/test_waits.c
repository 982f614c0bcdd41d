/* SPDX-License-Identifier: Apache-2.0 */
/* test_waits.c - timers and descriptor waits, started and cancelled from all sides while the application closes:
 * whatever was accepted ends exactly once, and the close leaves nothing behind */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/workqueue.h>

#include "tests/support/support.h"

enum { OUTSIDE = 2, ITEMS = 24, ROUNDS = 60, STARTS_BEFORE_CLOSE = 150 };

struct item {
    weir_fdwait wait;                                /* the timer and the job are in it */
    int ends[2];
    _Atomic unsigned lives, lasts;
    _Atomic bool periodic;                           /* this life */
    struct party *party;
};

/* One thread outside with its items, of which some start themselves again on workers. */
struct party {
    weir_queue lane, serial;
    struct item items[ITEMS];
    struct tally *starts;
    _Atomic bool over;
    uint64_t random;
    bool odd;                                        /* some call answered what it may not */
};

static bool is_refusal(weir_status status)
{
    return status == WEIR_SHUTDOWN || status == WEIR_STALE;
}

static weir_status start_item(struct item *item, uint64_t choice)
{
    struct party *party = item->party;
    weir_queue queue = choice % 2 == 0 ? party->lane : party->serial;
    int64_t delay = (int64_t)(choice >> 8 & 0xfffff);
    weir_status status;
    item->periodic = choice % 3 != 0 && choice % 7 == 0;
    atomic_fetch_add(&item->lives, 1);
    if (choice % 3 == 0)
        status = weir_fdwait_start(queue, &item->wait, choice % 5 == 0 ? WEIR_FOREVER : delay);
    else
        status = weir_timer_start(queue, &item->wait.timer, delay, choice % 7 == 0 ? 50000 : 0);
    if (status != WEIR_OK)
        atomic_fetch_sub(&item->lives, 1);
    return status;
}

/* The last call of a life counts; every fourth item of a party then starts itself again, on the worker. */
static void end_item(weir_job *job, weir_status status)
{
    struct item *item = job->ctx;
    if (status == WEIR_OK && item->periodic)
        return;                                      /* not the last */
    size_t index = (size_t)(item - item->party->items);
    if (index % 4 == 0 && status == WEIR_OK && !atomic_load(&item->party->over))
        (void)start_item(item, index * 7 + 1);
    atomic_fetch_add(&item->lasts, 1);
}

static void make_party(struct party *party, weir_app app, weir_queue serial, struct tally *starts, uint64_t seed)
{
    memset(party, 0, sizeof *party);
    party->lane = weir_app_queue(app, WEIR_NORMAL);
    party->serial = serial;
    party->starts = starts;
    party->random = seed;
    for (int i = 0; i < ITEMS; i++) {
        struct item *item = &party->items[i];
        assert_int_equal(pipe2(item->ends, O_NONBLOCK | O_CLOEXEC), 0);
        item->party = party;
        item->wait.timer.job.fn = end_item;
        item->wait.timer.job.ctx = item;
        item->wait.fd = item->ends[0];
        item->wait.events = WEIR_READABLE;
    }
}

static void *stir(void *arg)
{
    struct party *party = arg;
    while (!atomic_load(&party->over)) {
        uint64_t choice = test_random(&party->random);
        struct item *item = &party->items[choice % ITEMS];
        char byte;
        choice >>= 8;
        if (choice % 4 == 0) {
            (void)weir_job_cancel(&item->wait.timer.job);
        } else if (choice % 4 == 1) {
            (void)!write(item->ends[1], "x", 1);
        } else if (atomic_load(&item->lives) == atomic_load(&item->lasts) && (item - party->items) % 4 != 0) {
            (void)!read(item->ends[0], &byte, 1);
            weir_status status = start_item(item, choice >> 8);
            party->odd |= status != WEIR_OK && !is_refusal(status);
            atomic_store(&party->over, is_refusal(status));
            tally_add(party->starts, 1);
        }
    }
    return NULL;
}

static void start_self_starters(struct party *party)
{
    for (int i = 0; i < ITEMS; i += 4)
        assert_int_equal(start_item(&party->items[i], (uint64_t)i * 7 + 1), WEIR_OK);
}

static void check_party(struct party *party)
{
    assert_false(party->odd);
    for (int i = 0; i < ITEMS; i++) {
        assert_int_equal(party->items[i].lives, party->items[i].lasts);
        close(party->items[i].ends[0]);
        close(party->items[i].ends[1]);
    }
}

static void everything_that_was_accepted_ends_once_while_the_application_closes(void **unused)
{
    (void)unused;
    static struct party parties[OUTSIDE];
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct tally starts = TALLY_INIT;
        weir_app app;
        weir_queue serial;
        pthread_t threads[OUTSIDE];
        assert_int_equal(weir_app_open(WEIR_NEW(weir_app_options, .workers = test_workers()), &app), WEIR_OK);
        assert_int_equal(weir_queue_open(weir_app_queue(app, WEIR_NORMAL), NULL, &serial), WEIR_OK);
        for (int i = 0; i < OUTSIDE; i++)
            make_party(&parties[i], app, serial, &starts, test_seed() + round * OUTSIDE + (uint64_t)i);
        for (int i = 0; i < OUTSIDE; i++)
            start_self_starters(&parties[i]);
        for (int i = 0; i < OUTSIDE; i++)
            threads[i] = thread_start(stir, &parties[i]);
        tally_wait(&starts, STARTS_BEFORE_CLOSE);
        assert_int_equal(weir_app_close(app, WEIR_FOREVER, NULL), WEIR_OK);
        for (int i = 0; i < OUTSIDE; i++)
            atomic_store(&parties[i].over, true);
        for (int i = 0; i < OUTSIDE; i++)
            thread_join(threads[i]);
        for (int i = 0; i < OUTSIDE; i++)
            check_party(&parties[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_that_was_accepted_ends_once_while_the_application_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
