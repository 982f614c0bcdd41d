/* SPDX-License-Identifier: Apache-2.0 */
/* test_serial.c - chains of serial queues, some with limits, some in reply mode, fed by several threads
 * and closed or aborted at any moment: per producer the order is kept, jobs of a queue never overlap,
 * each accepted job is called exactly once, and each closed job exactly once and last */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"
#include "tests/support/stress.h"

enum { QUEUES = 5, THREADS = 3, JOBS = 600 };

struct line {
    weir_queue queue;
    bool replies, limited;
    weir_job closed;
    uint32_t inside;                             /* plain, all below: the queue is what orders them */
    uint32_t last[THREADS];                      /* number of the producer's last job */
    uint64_t called, shutdown;
    uint64_t wrong;
    uint32_t closed_calls;
    _Atomic uint64_t accepted;
    struct gate over;
};

struct task {
    weir_job job;
    struct line *line;
    uint32_t producer, number;
    weir_token token;
    weir_job replier;
    weir_queue reply_on;
    bool defers;
};

static void reply_run(weir_job *job, weir_status status)
{
    struct task *task = job->ctx;
    (void)status;
    weir_token token = task->token;
    if (weir_job_reply(token) != WEIR_OK) {
        /* aborted first: then the job is called again, and counts there */
    }
}

static void task_run(weir_job *job, weir_status status)
{
    struct task *task = job->ctx;
    struct line *line = task->line;
    line->wrong += line->inside++ != 0;
    bool again = task->token.bits != 0;          /* deferred, and ended by the abort */
    if (!again) {
        line->wrong += task->number <= line->last[task->producer];
        line->last[task->producer] = task->number;
        line->called++;
    }
    line->shutdown += status == WEIR_SHUTDOWN;
    line->wrong += status != WEIR_OK && status != WEIR_SHUTDOWN;
    line->inside--;
    if (again || !task->defers || status != WEIR_OK)
        return;
    if (weir_job_defer(job, &task->token) == WEIR_OK)
        (void)!weir_job_submit(task->reply_on, &task->replier);
}

static void closed_run(weir_job *job, weir_status status)
{
    struct line *line = job->ctx;
    line->wrong += line->inside != 0 || status != WEIR_OK;
    line->closed_calls++;
    gate_open(&line->over);
}

struct producer {
    struct line *lines;
    struct task *tasks;                          /* JOBS */
    weir_app app;
    uint32_t number;
    uint64_t random;
};

static void *produce(void *arg)
{
    struct producer *p = arg;
    for (uint32_t i = 0; i < JOBS; i++) {
        struct task *task = &p->tasks[i];
        struct line *line = &p->lines[(test_random(&p->random) >> 32) % QUEUES];
        *task = (struct task){.line = line, .producer = p->number, .number = i + 1};
        task->job = (weir_job){.fn = task_run, .ctx = task};
        task->replier = (weir_job){.fn = reply_run, .ctx = task};
        task->defers = line->replies && test_random(&p->random) % 4 == 0;
        task->reply_on = weir_app_queue(p->app, (uint8_t)(i % 4));
        weir_status status = line->limited ? weir_job_submit_wait(line->queue, &task->job, WEIR_FOREVER)
                                           : weir_job_submit(line->queue, &task->job);
        if (status == WEIR_OK)
            atomic_fetch_add(&line->accepted, 1);
    }
    return NULL;
}

static void open_lines(struct stress *s, weir_app app, struct line *lines)
{
    for (int i = 0; i < QUEUES; i++) {
        bool below = i > 0 && !lines[i - 1].limited && stress_below(s, 2) == 0;
        lines[i] = (struct line){.over = GATE_INIT, .replies = stress_below(s, 3) == 0,
                                 .limited = stress_below(s, 3) == 0};
        weir_queue target = below ? lines[i - 1].queue : weir_app_queue(app, (uint8_t)stress_below(s, 4));
        lines[i].queue = queue_open_with(target, WEIR_NEW(weir_queue_options, .reply = lines[i].replies,
                                                          .limit = lines[i].limited ? 1 + stress_below(s, 5) : 0));
        lines[i].closed = (weir_job){.fn = closed_run, .ctx = &lines[i]};
    }
}

static void run_round(struct stress *s, struct task *tasks)
{
    weir_app app = app_open();
    struct line lines[QUEUES];
    struct producer producers[THREADS];
    pthread_t threads[THREADS];
    open_lines(s, app, lines);
    for (uint32_t i = 0; i < THREADS; i++) {
        producers[i] = (struct producer){lines, tasks + i * JOBS, app, i, test_random(&s->random)};
        threads[i] = thread_start(produce, &producers[i]);
    }
    for (uint32_t spin = stress_below(s, 200000); spin > 0; spin--)
        atomic_signal_fence(memory_order_seq_cst);
    bool by_hand = stress_below(s, 4) != 0;      /* else the application's close ends them */
    for (int i = 0; i < QUEUES && by_hand; i++)
        assert_ok(weir_queue_close(lines[i].queue, stress_below(s, 2) == 0, &lines[i].closed));
    for (int i = 0; i < QUEUES && by_hand; i++)
        gate_wait(&lines[i].over);
    if (!by_hand)
        app_close(app);
    for (uint32_t i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    if (by_hand)
        app_close(app);
    for (int i = 0; i < QUEUES; i++) {
        assert_int_equal(lines[i].wrong, 0);
        assert_int_equal(lines[i].called, atomic_load(&lines[i].accepted));
        assert_int_equal(lines[i].closed_calls, by_hand ? 1 : 0);
    }
}

static void serial_queues_keep_order_and_count_under_any_close(void **unused)
{
    (void)unused;
    struct task *tasks = calloc(THREADS * JOBS, sizeof *tasks);
    assert_non_null(tasks);
    for (struct stress s = stress_begin(1); stress_goes_on(&s);)
        run_round(&s, tasks);
    free(tasks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serial_queues_keep_order_and_count_under_any_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
