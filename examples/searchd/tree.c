/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ThreadSanitizer knows descriptors by the functions of the C library that make them, and there is none for openat2: a
 * descriptor would come out of nothing, and when its number comes again on another thread, the two closes would be a
 * race. Under it the file is opened once more, by a function that it knows. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SEARCHD_MAKE_KNOWN 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define SEARCHD_MAKE_KNOWN 1
#endif

#ifdef SEARCHD_MAKE_KNOWN
static int make_known(int fd, int flags)
{
    char path[32];
    if (fd < 0)
        return fd;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int known = open(path, (flags | O_CLOEXEC) & ~O_NOFOLLOW), error = errno;
    (void)syscall(SYS_close, fd);                /* which it does not know, either */
    errno = error;
    return known;
}
#else
static int make_known(int fd, int flags)
{
    (void)flags;
    return fd;
}
#endif

static int open_beneath(int root, const char *path, int flags)
{
    struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd;
    do                                           /* AGAIN: something was renamed while ".." was looked at */
        fd = syscall(SYS_openat2, root, path, &how, sizeof how);
    while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    return make_known((int)fd, flags);
}

int tree_open_root(const char *path)
{
    int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -1;
    int probe = tree_open_directory(root, ".");
    if (probe < 0) {
        int error = errno;
        (void)close(root);
        errno = error;
        return -1;
    }
    (void)close(probe);
    return root;
}

int tree_open_directory(int root, const char *path)
{
    return open_beneath(root, path, O_RDONLY | O_DIRECTORY);
}

static const char *word_for(int error)
{
    switch (error) {
    case ENOENT: return "vanished";
    case EACCES: case EPERM: return "permission denied";
    case ELOOP: case EXDEV: return "link";
    case EMFILE: case ENFILE: return "too many open files";
    case ENAMETOOLONG: return "path too long";
    default: return "cannot be opened";
    }
}

/* What is there, by a descriptor that cannot be read from and disturbs nobody. */
static int look_at(int root, const char *path, struct stat *status)
{
    int fd = open_beneath(root, path, O_PATH);
    if (fd < 0)
        return -1;
    int result = fstat(fd, status), error = errno;
    (void)close(fd);
    errno = error;
    return result;
}

int tree_open_file(int root, const char *path, off_t *size, const char **why)
{
    struct stat status;
    int fd = -1;
    if (look_at(root, path, &status) == 0) {
        if (!S_ISREG(status.st_mode)) {
            *why = S_ISLNK(status.st_mode)   ? "link"
                   : S_ISDIR(status.st_mode) ? "directory that cannot be opened"
                                             : "not a regular file";
            return -1;
        }
        fd = open_beneath(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    }
    if (fd < 0) {
        *why = word_for(errno);
        return -1;
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        (void)close(fd);
        *why = "not a regular file";
        return -1;
    }
    *size = status.st_size;
    return fd;
}
