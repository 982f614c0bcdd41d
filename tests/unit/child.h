/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_UNIT_CHILD_H
#define WEIR_TESTS_UNIT_CHILD_H

/* child.h - runs a function in a forked child, for tests of what ends a process or writes to
 * standard error */

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
    int signal;        /* that ended it; 0: it returned from its function */
    char errors[4096]; /* what it wrote to standard error, zero-terminated */
};

static inline void child_check(int holds, const char *what)
{
    if (holds)
        return;
    perror(what);
    abort();
}

static inline void child_read_errors(int fd, struct child *child)
{
    size_t length = 0;
    ssize_t got;
    do {
        got = read(fd, child->errors + length, sizeof(child->errors) - 1 - length);
        length += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    child->errors[length] = '\0';
}

static inline struct child child_run(void (*body)(void))
{
    struct child child = {0, ""};
    int ends[2];
    child_check(pipe(ends) == 0, "pipe");
    pid_t pid = fork();
    child_check(pid >= 0, "fork");
    if (pid == 0) {
        child_check(dup2(ends[1], STDERR_FILENO) >= 0, "dup2");
        body();
        _exit(0);
    }
    close(ends[1]);
    child_read_errors(ends[0], &child);
    close(ends[0]);
    int how;
    child_check(waitpid(pid, &how, 0) == pid, "waitpid");
    child.signal = WIFSIGNALED(how) ? WTERMSIG(how) : 0;
    return child;
}

#endif
