/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - the table of status.h, unfolded twice: into names and into sentences */
#include <weir/status.h>

#include <assert.h>
#include <stddef.h>

struct status_entry {
    const char *name;
    const char *text;
};

static const struct status_entry status_table[] = {
#define STATUS_ENTRY(name, number, sentence) [number] = {"WEIR_" #name, sentence},
    WEIR_STATUS_MAP(STATUS_ENTRY)
#undef STATUS_ENTRY
};

static_assert(sizeof(status_table) / sizeof(status_table[0]) == WEIR_STATUS_COUNT,
              "the table of status.h ends with its highest number");

static const struct status_entry *find_entry(weir_status status)
{
    static const struct status_entry unknown = {
        "WEIR_UNKNOWN", "This number is no status of this version of weir."};
    return status >= 0 && status < WEIR_STATUS_COUNT ? &status_table[status] : &unknown;
}

const char *weir_status_name(weir_status status)
{
    return find_entry(status)->name;
}

const char *weir_status_text(weir_status status)
{
    return find_entry(status)->text;
}
