/* SPDX-License-Identifier: Apache-2.0 */
/* verify.h - stopping the process, for the two kinds of wrong that cannot be answered
 *
 *   weir_verify(condition, "text")   always on: the caller's mistake that would corrupt memory
 *   weir_assert(condition)           debug builds: our own mistake, an invariant does not hold
 *   weir_bug("text")                 always on: a place that we had proved is never reached
 *
 * Each prints one line and aborts:
 *
 *   weir: misuse: submit of a job in flight [state == IDLE] (workqueue/job.c:41, weir_job_submit)
 *
 * The text says what the caller did, not what the library expected: it is read by somebody who does
 * not know this code. The line is formed on the stack and written with one write(2), because the
 * heap and stdio may be what is broken. With NDEBUG, weir_assert still compiles its condition, but
 * never runs it.
 */
#ifndef CORE_VERIFY_H
#define CORE_VERIFY_H

/* Where a check failed. One static constant per check keeps the failing call small. */
struct verify_site {
    const char *file;
    int line;
    const char *function;
};

_Noreturn void verify_failed(const char *kind, const char *text, const char *condition,
                             struct verify_site site);

#define VERIFY_HERE ((struct verify_site){__FILE__, __LINE__, __func__})

#define weir_verify(condition, text)                                                               \
    ((condition) ? (void)0 : verify_failed("misuse", (text), #condition, VERIFY_HERE))

#define weir_bug(text) verify_failed("bug", (text), "", VERIFY_HERE)

#ifdef NDEBUG
#define weir_assert(condition) ((void)(0 && (condition)))
#else
#define weir_assert(condition)                                                                     \
    ((condition) ? (void)0 : verify_failed("bug", "this must hold:", #condition, VERIFY_HERE))
#endif

#endif
