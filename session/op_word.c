/* SPDX-License-Identifier: Apache-2.0 */
/* op_word.c - an operation's word as text, for reports, assertions and debuggers */
#include "session/op_word.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const phase_names[] = {
    "FREE", "QUEUED", "RUNNING", "PARKED", "DEFERRED", "DECIDED", "ABANDONED", "DONE",
};

static const struct {
    uint32_t flag;
    const char *name;
} flag_names[] = {
    { OP_STACK, "STACK" },         { OP_TOKEN, "TOKEN" },         { OP_HOLD, "HOLD" },
    { OP_HOOK_SET, "HOOK_SET" },   { OP_HOOK_BUSY, "HOOK_BUSY" }, { OP_DELIVERY, "DELIVERY" },
    { OP_UNACKED, "UNACKED" },     { OP_DROP, "DROP" },           { OP_HANDLE, "HANDLE" },
    { OP_WAITER, "WAITER" },       { OP_WANT, "WANT" },           { OP_PULL, "PULL" },
};

/* Appends at *used; what does not fit is cut off. */
static void append(char *text, size_t size, size_t *used, const char *before, const char *name)
{
    if (*used >= size)
        return;
    int n = snprintf(text + *used, size - *used, "%s%s", before, name);
    *used += n > 0 ? (size_t)n : 0;
}

static void append_number(char *text, size_t size, size_t *used, const char *before, uint64_t number)
{
    char digits[24];
    (void)snprintf(digits, sizeof(digits), "%" PRIu64, number);
    append(text, size, used, before, digits);
}

void op_word_print(uint64_t w, char *text, size_t size)
{
    size_t used = 0;
    append_number(text, size, &used, "#", slot_word_generation(w));
    append(text, size, &used, " ", phase_names[op_phase(w)]);
    if (op_reason(w) != 0)
        append_number(text, size, &used, " reason ", op_reason(w));
    if (op_pending(w) != 0)
        append_number(text, size, &used, " pending ", op_pending(w));
    for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
        if (op_has(w, flag_names[i].flag))
            append(text, size, &used, " ", flag_names[i].name);
}
