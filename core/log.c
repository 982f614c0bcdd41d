/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - one line for the log hook, or for standard error */
#include "core/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_PREFIX "weir: " /* for standard error only: a hook knows who calls it */
#define LOG_CUT    "..."

/* Formats what comes after the prefix. A line that does not fit ends with LOG_CUT. */
static void form_line(char line[LOG_LINE_MAX], const char *format, va_list arguments)
{
    int length = vsnprintf(line, LOG_LINE_MAX, format, arguments);
    if (length < 0)
        (void)snprintf(line, LOG_LINE_MAX, "%s", format); /* say at least what it was about */
    else if (length >= LOG_LINE_MAX)
        memcpy(line + LOG_LINE_MAX - sizeof(LOG_CUT), LOG_CUT, sizeof(LOG_CUT));
}

static void write_to_stderr(const char *line)
{
    char whole[sizeof(LOG_PREFIX) + LOG_LINE_MAX]; /* one write: lines do not mix */
    int length = snprintf(whole, sizeof(whole), LOG_PREFIX "%s\n", line);
    ssize_t written = length > 0 ? write(STDERR_FILENO, whole, (size_t)length) : 0;
    (void)written; /* a lost line of the log is not worth a failure */
}

void log_line(const struct log *l, int level, const char *format, ...)
{
    if (!l->fn && level > LOG_LEVEL_WARNING)
        return;
    int saved = errno;
    char line[LOG_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    form_line(line, format, arguments);
    va_end(arguments);
    if (l->fn)
        l->fn(level, line, l->ctx);
    else
        write_to_stderr(line);
    errno = saved;
}
