/* SPDX-License-Identifier: Apache-2.0 */
/* test_event_shadow.c - the stand-in for libck's half of the event passes the tests of the original
 *
 * Defined in this program, its functions take the place of those in libck. */

#include "core/shadow/ck_ec.c"

#include "tests/unit/test_event.c"
