/* SPDX-License-Identifier: Apache-2.0 */
/* search.h - between search.c and main.c: rows and replay lists */
#ifndef EXPLORE_SEARCH_H
#define EXPLORE_SEARCH_H

#include <stdarg.h>

#include "engine.h"

bool search_parse_replay(const char *text);
const char *search_write_replay(void);
void search_print_row(const explore_result *result);

#endif
