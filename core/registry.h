/* SPDX-License-Identifier: Apache-2.0 */
/* registry.h - the one process-wide object: which applications exist, and who is inside them
 *
 * A fixed table of 63 applications, in static memory, inert: no thread, no lock, nothing to be
 * freed. It makes every handle answerable at any time: during the close of its application,
 * after it, after fork, and when it is no handle at all. What it promises:
 *
 *   - Between registry_pin() that answered OK and registry_unpin(), the application stays in memory
 *     with all its tables. A pin costs two plain stores to a line of the thread's own (pins.h).
 *   - registry_close() returns when nobody is inside and nobody can come in. Then the caller
 *     owns the application's memory alone.
 *   - A handle of an earlier application never reaches a later one under the same number: the
 *     application's own handle by the entry's generation, the others by their slots', which start
 *     above everything that the earlier one gave out (the floor).
 *
 * The life of an application here, told by its opener and closer:
 *
 *   registry_reserve(&place)                  a number, a generation, a floor; invisible to pins
 *   ... build tables from place.floor, threads, handles ...
 *   registry_publish(place, app)              from here on pins succeed
 *   ... sessions end; calls go on being answered meanwhile ...
 *   registry_shut(place)                      no call is inside any more, none comes in but closers
 *   ... threads are joined; if that takes too long, the close is called again ...
 *   registry_close(place)                     no pin is inside any more, no pin succeeds
 *   ... floor = the highest slots_generation_floor() of its tables; free all memory ...
 *   registry_free(place, floor)               the number may be used again
 *
 * A failed open goes from reserve straight to free.
 *
 * Who must pin: every call of the public interface that starts from a handle, on a thread that
 * is not a worker of that application. A worker does not: it is joined before registry_close.
 * It must ask registry_is_forked() instead, since a work function may fork and go on in the child.
 *
 * Waiting with a pin: a call that waits for long (session_wait, op_next, submit_wait) keeps its
 * pin, because the word it sleeps on is the application's memory. So registry_shut would wait for
 * it, and therefore the rule: before registry_shut the application's close makes true, or wakes
 * with an answer, everything that a call can wait for; a wait that begins later sees at once that
 * it need not. A closer gives its own pin back before it shuts or closes, or it waits for itself;
 * and since others wait for its pin too, it never waits for another closer while it has one.
 *
 * Fork (contract A3): the child's copy of the table describes applications whose threads do not
 * exist there. Every pin in the child answers FORKED, at the price of one load, no lock and no
 * system call. The child may open applications of its own; what was open at the fork then stays
 * FORKED for good, and its numbers are lost to the child. So of a line of processes in which
 * each forks while it has an application open and the next opens one, the 63rd is the last.
 *
 * Nothing matters after the last application (A2): the table is static, one page of it is marked so
 * that the kernel wipes it in a child, and with the library's own memory all of it goes at unload.
 */
#ifndef CORE_REGISTRY_H
#define CORE_REGISTRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/handle.h"
#include "core/pins.h"
#include "weir/status.h"

enum {
    REGISTRY_APPS_MAX = HANDLE_APP_MAX,             /* at a time */
};

/* What registry_reserve gives, to be kept by the application. */
struct registry_place {
    uint32_t index;                                 /* 1..63: the app field of its handles */
    uint32_t generation;                            /* of its own handle */
    uint32_t floor;                                 /* where its slots' generations start */
    const _Atomic uint32_t *process;                /* whose process is this? REGISTRY_OWNED: the opener's */
    const _Atomic uint64_t *entry;                  /* the entry's word */
};

enum { REGISTRY_OWNED = 2, REGISTRY_STATE = 7, REGISTRY_FORKED = 5 };

/* One thread's stay inside an application. Lives on the stack of one call; not to be copied. */
struct registry_pin {
    void *app;                                      /* NULL: none */
    struct pin pin;
};

/* ---- for calls ---- */

/* bits: what the caller was given for a handle of this kind, any pattern.
 * OK, or nothing is pinned and *pin untouched: INVALID, FORKED, STALE. For kinds other than
 * APP, OK says only that an application is there under that number: its tables judge slot and
 * generation. */
weir_status registry_pin(uint64_t bits, enum handle_kind kind, struct registry_pin *pin);
void registry_unpin(struct registry_pin *pin);

/* The same for who closes the application: also between registry_shut and registry_close. Meanwhile
 * registry_pin answers SHUTDOWN for applications and queues, and STALE for what is in sessions. */
weir_status registry_pin_closer(uint64_t bits, struct registry_pin *pin);

/* Was that application opened before a fork, and is this the child? For its workers, who do not
 * pin. */
static inline bool registry_is_forked(const struct registry_place *place)
{
    /* Both relaxed: the caller works for the application, so both words were seen before; in a child fork itself orders
     * the wiping of the first before everything else, and what the child's own reserve writes into the second. */
    return atomic_load_explicit(place->process, memory_order_relaxed) != REGISTRY_OWNED
        || (atomic_load_explicit(place->entry, memory_order_relaxed) & REGISTRY_STATE) == REGISTRY_FORKED;
}

/* The same for who has only a handle that was live once, and needs nothing of the application. */
bool registry_handle_is_forked(uint64_t bits);

/* ---- for the open and close of an application ---- */

/* OK, or *out untouched: LIMIT (63 are open, worn or lost by fork), NO_MEMORY. */
weir_status registry_reserve(struct registry_place *out);
void registry_publish(const struct registry_place *place, void *app);

/* Waits for calls that are under way, which are short (see the rule above). Once per publish. */
void registry_shut(const struct registry_place *place);

/* The same until CLOCK_MONOTONIC reaches the deadline. False: somebody is still inside; nobody new comes in; call it
 * again. For who must tell how long it takes: a call may be running a function of the user's. */
bool registry_shut_until(const struct registry_place *place, int64_t deadline_ns);

/* The same for closers. With or without a registry_shut before it; once per publish. */
void registry_close(const struct registry_place *place);

/* After registry_close, or after a reserve that was not published. floor: nothing that was given
 * out under this number has a generation that high. If too little is left, the number
 * is retired. */
void registry_free(const struct registry_place *place, uint32_t floor);

/* Section 9: a caller's bug is answered by an error, and counted: for the application that its handle names, rightly
 * or not, and for nobody (0) where there is none. */
void registry_count_misuse(uint64_t bits);

/* It is the answer, so it can stand in a return. Not for WEIR_OK. */
static inline weir_status registry_misuse(uint64_t bits, weir_status status)
{
    registry_count_misuse(bits);
    return status;
}

/* How many so far, of an application's number since it was taken, or of nobody. */
uint64_t registry_misuses(uint32_t index);

/* The handle that goes with a place. */
static inline uint64_t registry_handle(const struct registry_place *place)
{
    return handle_make(HANDLE_APP, place->index, 0, place->generation);
}

/* For reports and tests: how many numbers are in which state; true a moment ago. */
struct registry_counts {
    uint32_t free, reserved, open, shut, closing, forked, retired;
};
struct registry_counts registry_count(void);

#endif
