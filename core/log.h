/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - one line for the log hook
 *
 * A line is formatted on the stack and handed over whole: no allocation and no lock, so that any
 * thread may log at any point, also where memory has run out. What does not fit is cut, and says so
 * with "...". Without a hook, warnings and errors go to standard error, one write(2) each, and the
 * rest nowhere: a close that waits for ever should be seen also by somebody who configured nothing.
 *
 * The hook must be thread-safe, must not call weir, and must not keep the line's address.
 * errno is preserved. The levels are the public ones; smaller is worse.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

enum { LOG_LEVEL_ERROR = 0, LOG_LEVEL_WARNING = 1, LOG_LEVEL_INFO = 2 };
enum { LOG_LINE_MAX = 512 }; /* bytes, the terminating zero included */

struct log {
    void (*fn)(int level, const char *line, void *ctx);        /* I; NULL: standard error */
    void *ctx;                                                 /* I */
};

void log_line(const struct log *l, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
