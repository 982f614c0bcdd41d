/* SPDX-License-Identifier: Apache-2.0 */
/* test_jobs.c - many threads and jobs submit to every lane at once, one by one and in lists, bursts
 * beyond the rings among them; each accepted job is called exactly once, and the sum is right */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"
#include "tests/support/stress.h"

enum { THREADS = 3, SLOTS = 4000, LIST = 200 };

struct item {
    weir_job job;
    struct round *round;
    uint32_t calls;                              /* plain: exactly one call writes it */
    uint32_t children;                           /* how many it submits in its turn, from its own slots */
    struct item *first_child;
    uint8_t lane;
};

struct round {
    weir_app app;
    struct item *items;
    uint32_t count;
    _Atomic uint64_t called, accepted, wrong;
};

static void item_run(weir_job *job, weir_status status)
{
    struct item *item = job->ctx;
    struct round *round = item->round;
    if (status != WEIR_OK)
        atomic_fetch_add(&round->wrong, 1);
    item->calls++;
    for (uint32_t i = 0; i < item->children; i++) {
        struct item *child = &item->first_child[i];
        if (weir_job_submit(weir_app_queue(round->app, child->lane), &child->job) == WEIR_OK)
            atomic_fetch_add(&round->accepted, 1);
        else
            atomic_fetch_add(&round->wrong, 1);
    }
    atomic_fetch_add(&round->called, 1);
}

struct producer {
    struct round *round;
    uint32_t from, to;                           /* its own items */
    uint64_t random;
};

static uint32_t below(uint64_t *random, uint32_t bound)
{
    return (uint32_t)(test_random(random) >> 32) % bound;
}

/* The item at the front, with some of those behind it as children. Where the next begins. */
static uint32_t prepare(struct producer *p, uint32_t at)
{
    struct item *item = &p->round->items[at];
    uint32_t left = p->to - at - 1;
    item->children = below(&p->random, 4) == 0 ? below(&p->random, left < 30 ? left + 1 : 30) : 0;
    item->first_child = item + 1;
    return at + 1 + item->children;
}

static void submit_one(struct producer *p, struct item *item)
{
    if (weir_job_submit(weir_app_queue(p->round->app, item->lane), &item->job) == WEIR_OK)
        atomic_fetch_add(&p->round->accepted, 1);
    else
        atomic_fetch_add(&p->round->wrong, 1);
}

static void submit_list(struct producer *p, weir_job **list, size_t count, uint8_t lane)
{
    size_t accepted = 0;
    if (weir_job_submit_list(weir_app_queue(p->round->app, lane), list, count, &accepted) != WEIR_OK)
        atomic_fetch_add(&p->round->wrong, 1);
    atomic_fetch_add(&p->round->accepted, accepted);
}

static void *produce(void *arg)
{
    struct producer *p = arg;
    for (uint32_t at = p->from; at < p->to;) {
        weir_job *list[LIST];
        uint32_t count = below(&p->random, 3) == 0 ? 1 + below(&p->random, LIST) : 1, n = 0;
        struct item *first = &p->round->items[at];
        for (; n < count && at < p->to; n++) {
            list[n] = &p->round->items[at].job;
            at = prepare(p, at);
        }
        if (n == 1)
            submit_one(p, first);
        else
            submit_list(p, list, n, first->lane);
    }
    return NULL;
}

static void run_round(struct stress *s, struct item *items)
{
    struct round round = {.app = app_open(), .items = items, .count = THREADS * SLOTS};
    struct producer producers[THREADS];
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < round.count; i++) {
        items[i] = (struct item){.round = &round, .lane = (uint8_t)stress_below(s, 4)};
        items[i].job = (weir_job){.fn = item_run, .ctx = &items[i]};
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        producers[i] = (struct producer){&round, i * SLOTS, (i + 1) * SLOTS, test_random(&s->random)};
        threads[i] = thread_start(produce, &producers[i]);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    while (atomic_load(&round.called) < round.count)         /* the children are submitted by jobs */
        (void)sched_yield();
    app_close(round.app);
    assert_int_equal(atomic_load(&round.wrong), 0);
    assert_int_equal(atomic_load(&round.accepted), round.count);
    for (uint32_t i = 0; i < round.count; i++)
        assert_int_equal(items[i].calls, 1);
}

static void every_job_of_every_producer_is_called_once(void **unused)
{
    (void)unused;
    struct item *items = calloc(THREADS * SLOTS, sizeof *items);
    assert_non_null(items);
    for (struct stress s = stress_begin(1); stress_goes_on(&s);)
        run_round(&s, items);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_of_every_producer_is_called_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
