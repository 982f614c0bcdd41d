/* SPDX-License-Identifier: Apache-2.0 */
/* probes.h - static tracepoints: the places where a debugger or perf may look in without a rebuild
 *
 * A probe is one no-op instruction and a note in the binary (provider "weir"). It costs nothing
 * until somebody attaches, for example with
 *
 *      bpftrace -e 'usdt:libweir.so:weir:worker_park { @[arg0] = count(); }'
 *
 * Without <sys/sdt.h> at build time it is nothing at all.
 *
 *   probe         arguments                             when
 *   job_submit    job address, queue's bits, lane       accepted, before anybody may run it
 *   job_run       job address, worker index             before its function is entered
 *   job_done      job address, worker index             after its function has returned; a number
 *                                                       only: the job's memory may be gone
 *   worker_park   worker index, deadline in ns          before it goes to sleep
 *   worker_wake   index of the worker that is woken     by whoever wakes it
 *   op_*          to come with the session layer
 *
 * Every probe of the library is in this table, with these arguments. Names and arguments are kept
 * once released; scripts depend on them.
 */
#ifndef CORE_PROBES_H
#define CORE_PROBES_H

#ifdef WEIR_HAVE_SDT
#include <sys/sdt.h>

/* The system's macros are not pedantic C, and clang says so wherever a probe stands. So that is
 * switched off to the end of the file that includes this one; around a probe it has no effect. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif

#define WEIR_PROBE0(name) DTRACE_PROBE(weir, name)
#define WEIR_PROBE1(name, a) DTRACE_PROBE1(weir, name, (a))
#define WEIR_PROBE2(name, a, b) DTRACE_PROBE2(weir, name, (a), (b))
#define WEIR_PROBE3(name, a, b, c) DTRACE_PROBE3(weir, name, (a), (b), (c))
#define WEIR_PROBE4(name, a, b, c, d) DTRACE_PROBE4(weir, name, (a), (b), (c), (d))
#else /* the arguments count as used, and are not computed */
#define WEIR_PROBE0(name) ((void)0)
#define WEIR_PROBE1(name, a) ((void)sizeof(a))
#define WEIR_PROBE2(name, a, b) ((void)sizeof(a), (void)sizeof(b))
#define WEIR_PROBE3(name, a, b, c) ((void)sizeof(a), (void)sizeof(b), (void)sizeof(c))
#define WEIR_PROBE4(name, a, b, c, d)                                                              \
    ((void)sizeof(a), (void)sizeof(b), (void)sizeof(c), (void)sizeof(d))
#endif

#endif
