/* SPDX-License-Identifier: Apache-2.0 */
/* census.h - which operations a session has, read by a stranger while they live
 *
 * A walk over the rosters, a word and a few fields of each hot row. Nothing is locked and nobody is held up, so each
 * operation is as it was at some moment of the walk; one that ends meanwhile may be seen or not. A row is read between
 * two looks at its word: if the slot has another owner by the second one, what was read is forgotten.
 *
 *   step        order     partner
 *   V1 look     acquire   T1 of the owner: his fields are there
 *   V2 again    acquire   V1's loads come before it, being acquire themselves; T1 of a later owner
 *
 * Whoever walks is inside the session (G3), so that its blocks stay; that is all that it costs the others: a session
 * that becomes complete meanwhile waits for the end of the walk (S4). Children are found in the table of sessions, and
 * their slots held while they are read.
 *
 * Rejected: counters by state. Each step would have to keep them, that is two read-modify-writes more on words that
 * all workers share.
 */
#ifndef SESSION_CENSUS_H
#define SESSION_CENSUS_H

#include "session/session.h"

/* Or a child session that is not over (S11): then op and site are 0. */
struct live_op {
    uint64_t op;                                               /* its handle */
    uint64_t word;
    uint32_t missing;                                          /* a set of enum weir_missing bits, never empty */
    const char *name;                                          /* its kind's */
    const void *site;
    uint64_t tag;
    uint64_t progress, total;                                  /* 0: nothing was said */
    uint32_t age_ms;
};

typedef void census_fn(const struct live_op *live, void *ctx);

/* Calls fn for each operation that has not left the session, and each child. The caller is inside. */
void census_take(struct session *s, census_fn *fn, void *ctx);

/* What keeps an operation in its session: a set of enum weir_missing bits, never 0 for a word that is not out. Pure. */
uint32_t census_missing(uint64_t word);

#endif
