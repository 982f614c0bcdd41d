/* SPDX-License-Identifier: Apache-2.0 */
/* status.h - what a call answers: one type, stable numbers, a name and a sentence for each
 *
 * Three kinds of wrong, three answers. What the world does (no memory, closed, full, cancelled,
 * timed out) comes back as one of these. A caller's mistake does too, and is counted, wherever it
 * can be recognised; only where memory would be corrupted does the process stop with "misuse: ...".
 * A mistake of the library itself stops debug builds with "bug: ...".
 *
 * A call that does not answer WEIR_OK has changed nothing and written none of its outputs, unless
 * its own description says otherwise.
 */
#ifndef WEIR_STATUS_H
#define WEIR_STATUS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* WEIR_API: part of the library's binary interface. WEIR_MUST_USE: ignoring the answer is a bug. */
#if defined(__GNUC__)
#define WEIR_API __attribute__((visibility("default")))
#define WEIR_MUST_USE __attribute__((warn_unused_result))
#else
#define WEIR_API
#define WEIR_MUST_USE
#endif

/* A timeout or a deadline that never comes. Times are nanoseconds; a timeout of 0 does not wait. */
#define WEIR_FOREVER INT64_MAX

/* Fixed width, because the size of an enum is no promise between compilers. */
typedef int32_t weir_status;

/* The one table: name, number, sentence. A number is never changed and never used again; new ones
 * are added at the end. Code that meets a number it does not know treats it as a failure. */
#define WEIR_STATUS_MAP(X)                                                                         \
    X(OK,              0, "The call did what was asked.")                                          \
    X(AGAIN,           1, "Nothing was taken this time; try again when there is room.")            \
    X(INVALID,         2, "An argument is wrong; nothing was changed.")                            \
    X(NO_MEMORY,       3, "The allocator had no memory; nothing was changed.")                     \
    X(LIMIT,           4, "A stated limit is reached; close or finish something of that kind.")    \
    X(CLOSED,          5, "It was closed before the call and accepts nothing more.")               \
    X(CLOSING,         6, "An earlier close is under way, and that one reports the end.")          \
    X(STALE,           7, "The handle was live once; its object is gone.")                         \
    X(BUSY,            8, "Another call that excludes this one is under way; let it end first.")   \
    X(FULL,            9, "The queue is at its limit; retry when one of its jobs has ended.")      \
    X(CANCELED,       10, "A cancel came first; the reason beside it says whose.")                 \
    X(TIMED_OUT,      11, "The time ran out first; what was waited for goes on.")                  \
    X(SHUTDOWN,       12, "What it ran on was shut down; it will not run any more.")               \
    X(ABANDONED,      13, "A close stopped waiting for this work, which may still be running.")    \
    X(FAILED,         14, "The work itself failed; its result carries the detail.")                \
    X(ALREADY,        15, "Somebody did this before; the call changed nothing.")                   \
    X(TOO_LATE,       16, "The outcome was decided before the call, which changed nothing.")       \
    X(NOT_FOUND,      17, "There is nothing of that description here.")                            \
    X(NOT_SUPPORTED,  18, "This machine, kernel or build cannot do that.")                         \
    X(WOULD_DEADLOCK, 19, "Waiting here would wait for this very thread; wait on another one.")    \
    X(FORKED,         20, "It was opened before a fork; the child owns nothing of it.")            \
    X(SYSTEM,         21, "The operating system refused a call; the log line says which and why.")

enum {
#define WEIR_STATUS_CONSTANT(name, number, sentence) WEIR_##name = (number),
    WEIR_STATUS_MAP(WEIR_STATUS_CONSTANT)
#undef WEIR_STATUS_CONSTANT
    WEIR_STATUS_COUNT /* one more than the highest number; grows with the table */
};

/**
 * weir_status_name - the constant's name, such as "WEIR_TIMED_OUT"
 * @status: any number, also one that no call answers
 *
 * Context: any thread, any callback, signal handlers too. Never blocks, never allocates.
 * Return:  static text, never NULL; "WEIR_UNKNOWN" for a number outside the table
 */
WEIR_API const char *weir_status_name(weir_status status);

/**
 * weir_status_text - one sentence for people that says what the status means for the caller
 * @status: any number, also one that no call answers
 *
 * Context: any thread, any callback, signal handlers too. Never blocks, never allocates.
 * Return:  static text, never NULL; it ends with a full stop
 */
WEIR_API const char *weir_status_text(weir_status status);

#ifdef __cplusplus
}
#endif

#endif
