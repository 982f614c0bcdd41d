/* SPDX-License-Identifier: Apache-2.0 */
/* linearizable.c - random histories of calls on a session and two operations, each checked against the model
 *
 *   linearizable [ROUNDS]        a round: a session, A and B (history.h), three threads with four random calls each,
 *                                then the main thread's, which bring everything to its end. WEIR_TEST_SEED repeats.
 *
 * First the checker itself: histories that are lies must be rejected, and what they are made from accepted. */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/weir.h>

#include "history.h"
#include "tests/support/support.h"

enum { THREADS = 3, EACH = 4, MAIN = THREADS, ITEMS_OF_A = 2 };

/* ---- a round ---- */

struct round {
    weir_session session;
    weir_op a, b;
    weir_token token_a, token_b;
    _Atomic uint32_t ticket;
    _Atomic int deferred;
    struct entry item_b, final_b;
    _Atomic int given_b;                           /* B's results that were delivered */
    struct tally delivered;
    struct history own[THREADS + 1];
};

static struct round now;
static int items[3] = { 1, 2, 3 };

static uint32_t ticket(void)
{
    return atomic_fetch_add(&now.ticket, 1) + 1;
}

static weir_status post(weir_task *task, int *item)
{
    return weir_task_post(task, item, sizeof(*item));
}

static weir_status defer(weir_task *task, weir_token *token)
{
    weir_status status = weir_task_defer(task, token);
    atomic_fetch_add(&now.deferred, 1);
    return status;
}

static weir_status work_a(weir_task *task, void *ctx)
{
    (void)ctx;
    for (int i = 0; i < ITEMS_OF_A; i++)
        if (post(task, &items[i]) != WEIR_OK)
            abort();
    return defer(task, &now.token_a);
}

static weir_status work_b(weir_task *task, void *ctx)
{
    (void)ctx;
    if (post(task, &items[0]) != WEIR_OK)
        abort();
    return defer(task, &now.token_b);
}

static weir_status work_c(weir_task *task, void *ctx)
{
    (void)task;
    (void)ctx;
    return WEIR_OK;
}

static void on_b(const weir_result *r, void *ctx)
{
    (void)ctx;
    struct entry *e = r->more ? &now.item_b : &now.final_b;
    *e = (struct entry){ .call = r->more ? CALL_ITEM_B : CALL_FINAL_B, .thread = MAIN + 1, .reason = r->reason,
                         .status = r->more ? WEIR_OK : r->status, .from = 0, .to = ticket() };
    tally_add(&now.delivered, 1);
}

static void on_c(const weir_result *r, void *ctx)
{
    (void)r;
    (void)ctx;
}

static const weir_kind kind_a = { .size = sizeof(weir_kind), .name = "A", .work = work_a, .window = 3 };
static const weir_kind kind_b = { .size = sizeof(weir_kind), .name = "B", .work = work_b, .on_result = on_b,
                                  .window = 2, .flags = WEIR_MANUAL_ACK };
static const weir_kind kind_c = { .size = sizeof(weir_kind), .name = "C", .work = work_c, .on_result = on_c };

/* ---- calls ---- */

static weir_status next_a(struct entry *e)
{
    const weir_result *r = NULL;
    weir_status status = weir_op_next(now.a, 0, &r);
    if (status == WEIR_OK) {
        e->value = (uint8_t)r->number;
        e->reason = r->more ? 0 : r->reason;
    }
    return status;
}

static weir_status make_call(struct entry *e)
{
    switch ((enum call)e->call) {
    case CALL_START:      return weir_op_start(now.session, &kind_c, NULL, NULL, NULL);
    case CALL_CANCEL_A:   return weir_op_cancel(now.a, e->reason);
    case CALL_CANCEL_B:   return weir_op_cancel(now.b, e->reason);
    case CALL_COMPLETE_A: return weir_token_complete(now.token_a, WEIR_OK, NULL, 0);
    case CALL_COMPLETE_B: return weir_token_complete(now.token_b, WEIR_OK, NULL, 0);
    case CALL_CLOSE_A:    return weir_op_close(now.a);
    case CALL_NEXT_A:     return next_a(e);
    case CALL_ACK_B:      return weir_op_ack(now.b, e->value);
    case CALL_CLOSE:      return weir_session_close(now.session, NULL, NULL);
    case CALL_CANCEL_ALL: return weir_session_cancel(now.session, e->reason);
    default:              abort();
    }
}

static weir_status record(uint8_t thread, enum call call, uint8_t value, uint8_t reason)
{
    struct history *h = &now.own[thread];
    struct entry *e = &h->entry[h->count++];
    *e = (struct entry){ .call = (uint8_t)call, .thread = thread, .value = value, .reason = reason };
    e->from = ticket();
    e->status = make_call(e);
    e->to = ticket();
    if (call == CALL_CLOSE && e->status != WEIR_STALE) {
        h->entry[h->count++] = *e;
        e[1].call = CALL_RAISE;
        e[1].status = WEIR_OK;
    }
    return e->status;
}

/* Closes are rarer than the rest, or little would happen. */
static enum call random_call(uint64_t *random)
{
    uint64_t n = test_random(random) >> 20;
    enum call call = (enum call)(n % CALLS);
    bool rare = call == CALL_CLOSE || call == CALL_CANCEL_ALL || call == CALL_CLOSE_A;
    return rare && (n >> 20) % 3 != 0 ? CALL_NEXT_A : call;
}

static struct {
    pthread_barrier_t begin, end;
    _Atomic int stop;
    uint64_t seed;
} all;

static void *run_thread(void *arg)
{
    uint8_t self = (uint8_t)(uintptr_t)arg;
    uint64_t random = all.seed + self + 1;
    for (;;) {
        pthread_barrier_wait(&all.begin);
        if (all.stop)
            return NULL;
        for (int i = 0; i < EACH; i++) {
            enum call call = random_call(&random);
            if (test_random(&random) % 4 == 0)
                sched_yield();
            record(self, call, (uint8_t)(call == CALL_ACK_B ? 1 + test_random(&random) % 2 : 0),
                   (uint8_t)(call == CALL_NEXT_A ? 0 : WEIR_REASON_OWN + 8 * self + i));
        }
        pthread_barrier_wait(&all.end);
    }
}

static void check(weir_status status, const char *what)
{
    if (status == WEIR_OK)
        return;
    printf("%s: %s\n", what, weir_status_name(status));
    abort();
}

static void begin_round(weir_app app)
{
    now = (struct round){ .delivered = TALLY_INIT };
    check(weir_session_open(app, NULL, &now.session), "open");
    check(weir_op_start(now.session, &kind_a, NULL, NULL, &now.a), "start A");
    check(weir_op_start(now.session, &kind_b, NULL, NULL, &now.b), "start B");
    while (atomic_load(&now.deferred) != 2)
        sched_yield();
    check(weir_op_close(now.b), "close B");
}

/* By the main thread, alone, until everything is over; recorded like the rest. */
static void end_round(void)
{
    (void)record(MAIN, CALL_CANCEL_B, 0, WEIR_REASON_OWN + 100);
    tally_wait(&now.delivered, 1);               /* its result, which holds the final back */
    (void)record(MAIN, CALL_ACK_B, 1, 0);
    tally_wait(&now.delivered, 2);
    (void)record(MAIN, CALL_ACK_B, 2, 0);
    (void)record(MAIN, CALL_CLOSE_A, 0, 0);
    (void)record(MAIN, CALL_CLOSE, 0, 0);
    weir_status status = weir_session_wait(now.session, INT64_C(60000000000), NULL);
    if (status != WEIR_OK && status != WEIR_STALE)
        check(status, "wait for the end");
}

static struct history put_together(void)
{
    struct history h = { .count = 0 };
    for (int thread = 0; thread <= MAIN; thread++)
        for (uint32_t i = 0; i < now.own[thread].count; i++)
            h.entry[h.count++] = now.own[thread].entry[i];
    h.entry[h.count++] = now.item_b;
    h.entry[h.count++] = now.final_b;
    return h;
}

/* ---- the checker checked ---- */

struct lie {
    const char *what;
    uint32_t count;
    uint8_t call[4], value[4], reason[4];
    weir_status truth[4], lie[4];
};

static const struct lie lies[] = {
    { "two cancels win", 2, { CALL_CANCEL_A, CALL_CANCEL_A }, { 0 }, { 64, 65 },
      { WEIR_OK, WEIR_ALREADY }, { WEIR_OK, WEIR_OK } },
    { "a cancel comes too late for nothing", 2, { CALL_CANCEL_A, CALL_COMPLETE_A }, { 0 }, { 64 },
      { WEIR_OK, WEIR_CANCELED }, { WEIR_TOO_LATE, WEIR_OK } },
    { "the second item before the first", 2, { CALL_NEXT_A, CALL_NEXT_A }, { 1, 2 }, { 0 },
      { WEIR_OK, WEIR_OK }, { WEIR_TIMED_OUT, WEIR_OK } },
    { "a start after a close", 3, { CALL_CLOSE, CALL_RAISE, CALL_START }, { 0 }, { 0 },
      { WEIR_OK, WEIR_OK, WEIR_CLOSED }, { WEIR_OK, WEIR_OK, WEIR_OK } },
    { "two closes win", 4, { CALL_CLOSE, CALL_RAISE, CALL_CLOSE, CALL_RAISE }, { 0 }, { 0 },
      { WEIR_OK, WEIR_OK, WEIR_CLOSING, WEIR_OK }, { WEIR_OK, WEIR_OK, WEIR_OK, WEIR_OK } },
    { "a cancel of one after a cancel of all", 2, { CALL_CANCEL_ALL, CALL_CANCEL_A }, { 0 }, { 64, 65 },
      { WEIR_OK, WEIR_ALREADY }, { WEIR_OK, WEIR_OK } },
    { "one number acknowledged twice", 3, { CALL_ITEM_B, CALL_ACK_B, CALL_ACK_B }, { 0, 1, 1 }, { 0 },
      { WEIR_OK, WEIR_OK, WEIR_ALREADY }, { WEIR_OK, WEIR_OK, WEIR_OK } },
    { "a final of a cancel without one", 4, { CALL_ITEM_B, CALL_ACK_B, CALL_COMPLETE_B, CALL_FINAL_B }, { 0, 1 }, { 0 },
      { WEIR_OK, WEIR_OK, WEIR_OK, WEIR_OK }, { WEIR_OK, WEIR_OK, WEIR_OK, WEIR_CANCELED } },
};

static struct history tell(const struct lie *lie, const weir_status status[4])
{
    struct history h = { .count = 0 };
    for (uint32_t i = 0; i < lie->count; i++)
        h.entry[h.count++] = (struct entry){ .call = lie->call[i], .value = lie->value[i], .reason = lie->reason[i],
                                             .status = status[i], .from = 10 * i + 1, .to = 10 * i + 5 };
    return h;
}

static bool checker_knows_lies(void)
{
    bool well = true;
    uint64_t states = 0;
    for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
        struct history truth = tell(&lies[i], lies[i].truth), lie = tell(&lies[i], lies[i].lie);
        bool right = history_is_linearizable(&truth, &states) && !history_is_linearizable(&lie, &states);
        printf("the checker, %-42s %s\n", lies[i].what, right ? "rejected" : "WRONG");
        well = well && right;
    }
    return well;
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : 20000;
    weir_app app;
    pthread_t threads[THREADS];
    uint64_t states = 0, calls = 0;
    if (!checker_knows_lies())
        return 1;
    all.seed = test_seed();
    pthread_barrier_init(&all.begin, NULL, THREADS + 1);
    pthread_barrier_init(&all.end, NULL, THREADS + 1);
    check(weir_app_open(WEIR_NEW(weir_app_options, .workers = test_workers()), &app), "open the application");
    for (uintptr_t i = 0; i < THREADS; i++)
        threads[i] = thread_start(run_thread, (void *)i);
    for (long i = 0; i < rounds; i++) {
        begin_round(app);
        pthread_barrier_wait(&all.begin);
        pthread_barrier_wait(&all.end);
        end_round();
        struct history h = put_together();
        calls += h.count;
        if (!history_is_linearizable(&h, &states)) {
            printf("round %ld cannot have been:\n", i);
            history_print(&h);
            return 1;
        }
    }
    all.stop = 1;
    pthread_barrier_wait(&all.begin);
    for (int i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    check(weir_app_close(app, WEIR_FOREVER, NULL), "close the application");
    printf("%ld histories of %llu calls: all linearizable, %llu states searched\n", rounds, (unsigned long long)calls,
           (unsigned long long)states);
    return 0;
}
