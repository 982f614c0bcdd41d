/* SPDX-License-Identifier: Apache-2.0
 *
 * close_load.h - a session full of operations is closed, in one of three forms, and the clock is read
 *
 *   lent       the worker sleeps in a gate meanwhile; the closing thread lends itself in weir_session_wait
 *   freed      the worker spins in a gate that opens as soon as weir_session_close has returned
 *   sleeping   the worker sleeps, and has to be woken: in a gate (queued operations), or because the pool is idle
 *              (parked ones); a raw futex wake-up is part of the figure
 *
 * All times are from before the call of close: to the first final's callback, to the last one's, to the close callback.
 * Each operation has its own callback, which counts, and nothing else.
 */
#ifndef WEIR_BENCH_CLOSE_LOAD_H
#define WEIR_BENCH_CLOSE_LOAD_H

#include "harness.h"

enum close_form { CLOSE_LENT, CLOSE_FREED, CLOSE_SLEEPING, CLOSE_FORMS };

/** close_on_result - callback of a kind: it counts; _close: it closes the handle, too */
void close_on_result(const weir_result *result, void *ctx);
void close_on_result_close(const weir_result *result, void *ctx);

/** close_times - what one close took, in ns from before the call */
struct close_times {
    int64_t first_final, last_final, callback;
};

/** close_now - close a session of @count operations, call @then if there is one, and wait for the end */
struct close_times close_now(weir_session session, bool lend, void (*then)(void), size_t count);

/** close_rows - samples of many closes: the medians, in ns */
struct close_rows {
    struct series first_final, last_final, callback;
};

struct close_rows close_rows_make(size_t room);
void close_rows_add(struct close_rows *rows, struct close_times times);
void close_rows_print(struct close_rows *rows, const char *row);

/** close_start - @count operations in a new session */
weir_session close_start(weir_app app, const weir_kind *kind, bool handles, size_t count);

/* Operations of one sort. */
struct close_sort {
    const char *suffix;        /* of the row's name */
    const weir_kind *kind;
    bool handles;              /* its callback closes them */
    void (*settle)(size_t count); /* they are parked: wait until all of them are; NULL: they wait for the worker */
    size_t count_max;
};

/** close_measure - rows for each form, sort and number of operations, in an application of one worker */
void close_measure(const struct close_sort *sort, size_t sorts);

#endif
