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

#include <weir/weir.h>

#include "harness.h"

enum close_form { CLOSE_LENT, CLOSE_FREED, CLOSE_SLEEPING, CLOSE_FORMS };

/** close_form_name - "lent", "freed", "sleeping" */
const char *close_form_name(enum close_form form);

/** close_count_final - what a final's callback does */
void close_count_final(void);

/** close_hold - take the only worker out of the way, as @form wants it; the operations are then started */
void close_hold(weir_app app, enum close_form form);

/** close_times - what one close took, in ns from before the call */
struct close_times {
    int64_t first_final, last_final, callback;
};

/** close_measure - after a close_hold: close a session of @count operations, and wait for the end; frees the worker */
struct close_times close_measure(weir_session session, enum close_form form, size_t count);

/** close_rows - samples of many closes of @count operations each: the medians; unit ns, or ns/op from 1e5 on */
struct close_rows {
    struct series first_final, last_final, callback;
};

struct close_rows close_rows_make(size_t room);
void close_rows_add(struct close_rows *rows, struct close_times times);
void close_rows_print(struct close_rows *rows, const char *row, size_t count);

#endif
