/* SPDX-License-Identifier: Apache-2.0
 *
 * tree.h - files below one directory, and nothing else
 *
 * Every path is opened by openat2(2) relative to the root, which was opened once, with RESOLVE_BENEATH,
 * RESOLVE_NO_SYMLINKS and RESOLVE_NO_MAGICLINKS: "..", absolute paths and links answer an error, whoever renames what
 * meanwhile. Only regular files are opened for reading: what the entry is, is looked at before (a FIFO would wait, a
 * device might act), and once more in the open descriptor. Between the two looks somebody who may make devices in
 * the tree could put one there; O_NONBLOCK keeps such an open from waiting.
 */
#ifndef SEARCHD_TREE_H
#define SEARCHD_TREE_H

#include <sys/types.h>

enum { PATH_BYTES = 512 };                       /* longer paths are skipped, and counted */

/* The root: -1 and errno if it is not there, is no directory, or the kernel has no openat2. */
int tree_open_root(const char *path);

/* A directory below it. Path "." is the root itself. -1: errno. */
int tree_open_directory(int root, const char *path);

/* A file below it, for reading. -1: *why is a word for people. */
int tree_open_file(int root, const char *path, off_t *size, const char **why);

#endif
