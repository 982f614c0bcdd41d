/* SPDX-License-Identifier: Apache-2.0 */
/* endurance.h - what the parts of the endurance test share: counts, baselines, and operations that count */
#ifndef PROOF_ENDURANCE_H
#define PROOF_ENDURANCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/weir.h>

/* Each part: how much, from the command line, or 0 for its short form. Returns only if all was well. */
typedef void part_fn(uint64_t amount);
part_fn storm, stuck, soak, crowd, one_core, stopped, signals, clocks, forks;

#define must(condition) ((condition) ? (void)0 : endurance_complain(#condition, __FILE__, __LINE__))
_Noreturn void endurance_complain(const char *what, const char *file, int line);

weir_app open_app(uint32_t workers);
/* Closes, and then looks whether all memory of its hooks is back. */
void close_app(weir_app app);

/* ---- operations that count ---- */

struct counts {
    _Atomic uint64_t accepted, refused, works, finals, completed, canceled, closes;
};
extern struct counts counts;

extern const weir_kind brief;                      /* posts nothing, ends at once */
extern const weir_kind patient;                    /* runs until it is cancelled */

void count_closed(const weir_report *report, void *ctx);
bool start_one(weir_session session, const weir_kind *kind);   /* was it accepted? */
weir_session open_one(weir_app app);
void wait_for(weir_session session);
/* Closes it, waits for its end. drain: what was accepted completes; else it is cancelled. */
void close_one(weir_session session, bool drain);

enum { SESSION_OPS = 200 };

/* The life of one session. drain: each of its operations must complete; else some wait for the cancel. */
void run_session(weir_app app, bool drain);

/* ---- the process ---- */

struct baseline {
    uint64_t threads, files, kilobytes;
};
struct baseline measure(void);
/* Waits until threads and files are what they were; memory may have grown by some megabytes of the C library's. */
void must_be_back(const struct baseline *before, uint64_t slack_kilobytes);

int64_t now_ns(void);

#endif
