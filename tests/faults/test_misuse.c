/* SPDX-License-Identifier: Apache-2.0 */
/* test_misuse.c - the table of wrong handles: each kind of wrong bits, given to every function, from
 * every kind of thread; nothing happens but an answer. And what stops the process instead */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/app_fixture.h"
#include "tests/unit/child.h"

static void nothing(weir_job *job, weir_status status)
{
    (void)job;
    (void)status;
}

/* ---- columns: every function that takes a handle; true: it was answered STALE or INVALID ---- */

static bool is_refused(weir_status status)
{
    return status == WEIR_STALE || status == WEIR_INVALID;
}

static bool submit(uint64_t bits)
{
    weir_job job = {.fn = nothing};
    return is_refused(weir_job_submit((weir_queue){bits}, &job)) && weir_job_cancel(&job) == WEIR_NOT_FOUND;
}

static bool submit_list(uint64_t bits)
{
    weir_job job = {.fn = nothing};
    weir_job *jobs[] = {&job};
    size_t accepted = 77;
    return is_refused(weir_job_submit_list((weir_queue){bits}, jobs, 1, &accepted)) && accepted == 0;
}

static bool submit_wait(uint64_t bits)
{
    weir_job job = {.fn = nothing};
    return is_refused(weir_job_submit_wait((weir_queue){bits}, &job, WEIR_FOREVER));
}

static bool timer(uint64_t bits)
{
    weir_timer timer = {.job = {.fn = nothing}};
    return is_refused(weir_timer_start((weir_queue){bits}, &timer, 1, 1))
        && weir_job_cancel(&timer.job) == WEIR_NOT_FOUND;
}

static bool fdwait(uint64_t bits)
{
    weir_fdwait wait = {.timer = {.job = {.fn = nothing}}, .fd = 0, .events = WEIR_READABLE};
    return is_refused(weir_fdwait_start((weir_queue){bits}, &wait, 1));
}

static bool queue_open(uint64_t bits)
{
    weir_queue out = {77};
    return is_refused(weir_queue_open((weir_queue){bits}, NULL, &out)) && out.bits == 77;
}

static bool queue_close(uint64_t bits)
{
    weir_job closed = {.fn = nothing};
    return is_refused(weir_queue_close((weir_queue){bits}, true, &closed))
        && weir_job_cancel(&closed) == WEIR_NOT_FOUND;
}

static bool reply(uint64_t bits)
{
    return is_refused(weir_job_reply((weir_token){bits}));
}

static bool tick(uint64_t bits)
{
    return is_refused(weir_app_tick((weir_app){bits}));
}

static bool run(uint64_t bits)
{
    return is_refused(weir_app_run((weir_app){bits}, nothing, NULL, false))
        && is_refused(weir_app_run((weir_app){bits}, nothing, NULL, true));
}

static bool app_close_wrong(uint64_t bits)
{
    return is_refused(weir_app_close((weir_app){bits}, WEIR_FOREVER, NULL));
}

static bool (*const FUNCTIONS[])(uint64_t bits) = {
    submit, submit_list, submit_wait, timer, fdwait, queue_open, queue_close, reply, tick, run, app_close_wrong,
};
enum { FUNCTION_COUNT = sizeof FUNCTIONS / sizeof FUNCTIONS[0] };

/* ---- rows: wrong bits ---- */

enum { ROWS = 24 };

struct table {
    uint64_t bits[ROWS];
    unsigned rows;
    unsigned wrong_row, wrong_function;          /* of the first cell that was answered otherwise, from 1 */
};

static void add_row(struct table *table, uint64_t bits)
{
    assert_true(table->rows < ROWS);
    table->bits[table->rows++] = bits;
}

static void try_table(weir_job *job, weir_status status)
{
    struct table *table = job->ctx;
    (void)status;
    for (unsigned row = 0; row < table->rows; row++)
        for (unsigned function = 0; function < FUNCTION_COUNT; function++)
            if (!FUNCTIONS[function](table->bits[row]) && table->wrong_row == 0) {
                table->wrong_row = row + 1;
                table->wrong_function = function + 1;
            }
}

static uint64_t closed_queue(weir_app app)
{
    weir_queue queue = serial_open(app);
    struct record closed;
    record_init(&closed);
    assert_ok(weir_queue_close(queue, false, &closed.job));
    record_wait(&closed);
    return queue.bits;
}

static void make_table(struct table *table, weir_app live)
{
    uint64_t state = test_seed();
    weir_app gone = app_open_workers(1);
    weir_queue of_gone = serial_open(gone);
    *table = (struct table){.rows = 0};
    add_row(table, 0);
    add_row(table, UINT64_MAX);
    add_row(table, 1);
    add_row(table, closed_queue(live));          /* closed, and so stale */
    app_close(gone);
    add_row(table, gone.bits);                   /* of an application that is gone: foreign to every other */
    add_row(table, of_gone.bits);
    add_row(table, weir_app_queue(gone, WEIR_NORMAL).bits);
    add_row(table, weir_app_queue(gone, WEIR_BLOCKING).bits);
    add_row(table, live.bits + 1);               /* other generations, other slots */
    add_row(table, weir_app_queue(live, WEIR_NORMAL).bits + 1);
    add_row(table, live.bits | UINT64_C(1) << 40);
    for (int i = 0; i < 10; i++)
        add_row(table, test_random(&state));
}

static void check_table(const struct table *table)
{
    if (table->wrong_row != 0)
        fail_msg("bits %#llx, function %u", (unsigned long long)table->bits[table->wrong_row - 1],
                 table->wrong_function);
}

static void wrong_handles_are_refused_outside_of_every_application(void **unused)
{
    (void)unused;
    struct table table;
    weir_app live = app_open();
    make_table(&table, live);
    weir_job job = {.ctx = &table};
    try_table(&job, WEIR_OK);
    check_table(&table);
    app_close(live);
    try_table(&job, WEIR_OK);
    check_table(&table);
}

struct on_worker {
    weir_job job;
    struct table *table;
    struct gate done;
};

static void try_on_worker(weir_job *job, weir_status status)
{
    struct on_worker *w = job->ctx;
    weir_job inner = {.ctx = w->table};
    try_table(&inner, status);
    gate_open(&w->done);
}

static void wrong_handles_are_refused_on_workers_and_lent_threads(void **unused)
{
    (void)unused;
    struct table table;
    weir_app live = app_open(), other = app_open();
    make_table(&table, live);
    weir_queue places[] = {lane_of(live), lane_of(other), weir_app_queue(live, WEIR_BLOCKING), serial_open(live)};
    for (int i = 0; i < 4; i++) {
        struct on_worker w = {.table = &table, .done = GATE_INIT};
        w.job = (weir_job){.fn = try_on_worker, .ctx = &w};
        assert_ok(weir_job_submit(places[i], &w.job));
        gate_wait(&w.done);
        check_table(&table);
    }
    assert_ok(weir_app_run(live, try_table, &table, true));
    check_table(&table);
    app_close(live);
    app_close(other);
}

/* ---- what stops the process ---- */

static void *misaligned(size_t size, size_t align, void *ctx)
{
    static char memory[1 << 20];
    (void)size;
    (void)align;
    (void)ctx;
    return memory + 1;
}

static void open_with_a_hook_that_does_not_align(void)
{
    weir_app app;
    if (weir_app_open(WEIR_NEW(weir_app_options, .workers = 1, .alloc = misaligned), &app) == WEIR_OK)
        _exit(0);
}

static weir_job forked_elsewhere;

static void fork_it(weir_job *job, weir_status status)
{
    (void)job;
    (void)status;
    forked_elsewhere = (weir_job){.fn = nothing};
    (void)weir_fork(&forked_elsewhere);
}

static void join_on_another_thread(void)
{
    weir_app app;
    if (weir_app_open(WEIR_NEW(weir_app_options, .workers = 1), &app) != WEIR_OK
        || weir_app_run(app, fork_it, NULL, true) != WEIR_OK)
        _exit(0);
    (void)weir_join(&forked_elsewhere);
}

static void what_would_corrupt_memory_stops_the_process(void **unused)
{
    (void)unused;
    static void (*const WRONG[])(void) = {open_with_a_hook_that_does_not_align, join_on_another_thread};
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        struct child child = child_run(WRONG[i]);
        assert_int_equal(child.signal, SIGABRT);
        assert_non_null(strstr(child.errors, "misuse:"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_handles_are_refused_outside_of_every_application),
        cmocka_unit_test(wrong_handles_are_refused_on_workers_and_lent_threads),
        cmocka_unit_test(what_would_corrupt_memory_stops_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
