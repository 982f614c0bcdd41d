/* SPDX-License-Identifier: Apache-2.0 */
/* verify.c - the last line of a process that must not go on; verify.h says when */
#include "core/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { VERIFY_LINE_MAX = 512 };

/* The text without its condition when there is none, as in weir_bug(). */
static int form_line(char line[VERIFY_LINE_MAX], const char *kind, const char *text,
                     const char *condition, struct verify_site site)
{
    const char *open = condition[0] != '\0' ? " [" : "";
    const char *shut = condition[0] != '\0' ? "]" : "";
    return snprintf(line, VERIFY_LINE_MAX, "weir: %s: %s%s%s%s (%s:%d, %s)\n", kind, text, open,
                    condition, shut, site.file, site.line, site.function);
}

_Noreturn void verify_failed(const char *kind, const char *text, const char *condition,
                             struct verify_site site)
{
    char line[VERIFY_LINE_MAX];
    int length = form_line(line, kind, text, condition, site);
    if (length >= VERIFY_LINE_MAX) {
        length = VERIFY_LINE_MAX - 1;
        line[length - 1] = '\n';
    }
    ssize_t written = length > 0 ? write(STDERR_FILENO, line, (size_t)length) : 0;
    (void)written; /* nobody is left to be told */
    abort();
}
