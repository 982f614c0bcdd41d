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
static void append(char *text, size_t size, size_t *used, const char *format, uint64_t number, const char *name)
{
    if (*used >= size)
        return;
    int n = name != NULL ? snprintf(text + *used, size - *used, " %s", name)
                         : snprintf(text + *used, size - *used, format, number);
    *used += n > 0 ? (size_t)n : 0;
}

void op_word_print(uint64_t w, char *text, size_t size)
{
    size_t used = 0;
    append(text, size, &used, "#%" PRIu64, slot_word_generation(w), NULL);
    append(text, size, &used, NULL, 0, phase_names[op_phase(w)]);
    if (op_reason(w) != 0)
        append(text, size, &used, " reason %" PRIu64, op_reason(w), NULL);
    if (op_pending(w) != 0)
        append(text, size, &used, " pending %" PRIu64, op_pending(w), NULL);
    for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
        if (op_has(w, flag_names[i].flag))
            append(text, size, &used, NULL, 0, flag_names[i].name);
}
