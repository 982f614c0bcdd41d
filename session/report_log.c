/* SPDX-License-Identifier: Apache-2.0 */
/* report_log.c - what a close waits for, as lines of the log (S10)
 *
 * One line for all operations of one kind from which the same is missing, with the oldest of them:
 *
 *     session upload closing for 1.0 s: 3 search: work running; tag 7 on worker 2 for 1.2 s, started at 0x55..; ...
 *
 * It is written while a close is under way, so everything is on the stack, and what there is no room for is counted.
 */
#include "session/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "session/census.h"

enum { GROUPS_MAX = 8, OLDEST_MAX = 3, TEXT_MAX = LOG_LINE_MAX };

/* Of one kind, with the same missing. The oldest come first. */
struct blocked {
    const char *name;
    uint32_t missing;
    uint64_t count;
    struct live_op oldest[OLDEST_MAX];
};

struct blocked_all {
    struct blocked group[GROUPS_MAX];
    uint32_t groups;
    uint64_t others;                                           /* for which there was no group */
};

/* ---- collecting ---- */

static struct blocked *group_for(struct blocked_all *all, const char *name, uint32_t missing)
{
    for (uint32_t i = 0; i < all->groups; i++)
        if (all->group[i].name == name && all->group[i].missing == missing)
            return &all->group[i];
    if (all->groups == GROUPS_MAX)
        return NULL;
    struct blocked *fresh = &all->group[all->groups++];
    *fresh = (struct blocked){ .name = name, .missing = missing };
    return fresh;
}

static void keep_if_old(struct blocked *b, const struct live_op *live)
{
    struct live_op in = *live;
    uint64_t have = b->count < OLDEST_MAX ? b->count : OLDEST_MAX;
    for (uint64_t i = 0; i < have; i++)
        if (in.age_ms > b->oldest[i].age_ms) {
            struct live_op out = b->oldest[i];
            b->oldest[i] = in;
            in = out;
        }
    if (have < OLDEST_MAX)
        b->oldest[have] = in;
    b->count++;
}

static void collect(const struct live_op *live, void *ctx)
{
    struct blocked_all *all = ctx;
    struct blocked *b = group_for(all, live->name, live->missing);
    if (b != NULL)
        keep_if_old(b, live);
    else
        all->others++;
}

/* ---- saying ---- */

struct text {
    char line[TEXT_MAX];
    size_t used;
};

static void say(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What does not fit is cut off. */
static void say(struct text *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(t->line + t->used, sizeof(t->line) - t->used, format, arguments);
    va_end(arguments);
    t->used += n > 0 ? (size_t)n : 0;
    if (t->used >= sizeof(t->line))
        t->used = sizeof(t->line) - 1;
}

static const struct {
    uint32_t bit;
    const char *text;
} missing_texts[] = {
    { WEIR_MISSING_START, "not started" },
    { WEIR_MISSING_WORK, "work running" },
    { WEIR_MISSING_HOOK, "cancel hook running" },
    { WEIR_MISSING_CALLBACK, "callback due or running" },
    { WEIR_MISSING_TOKEN, "token not completed" },
    { WEIR_MISSING_ACK, "result not acknowledged" },
    { WEIR_MISSING_HANDLE, "handle open" },
    { WEIR_MISSING_SESSION, "child session not closed" },
};

static void say_missing(struct text *t, uint32_t missing)
{
    const char *before = ": ";
    for (size_t i = 0; i < sizeof(missing_texts) / sizeof(missing_texts[0]); i++)
        if ((missing & missing_texts[i].bit) != 0) {
            say(t, "%s%s", before, missing_texts[i].text);
            before = ", ";
        }
}

static void say_seconds(struct text *t, uint64_t ms)
{
    say(t, "%" PRIu64 ".%" PRIu64 " s", ms / 1000, ms % 1000 / 100);
}

static void say_one(struct text *t, const struct sessions *all, const struct live_op *live)
{
    int32_t worker = live->op != 0 ? account_worker(all, live->op) : -1;
    say(t, ";");
    if (live->op != 0)
        say(t, " tag %" PRIu64, live->tag);
    if (worker >= 0)
        say(t, " on worker %" PRId32, worker);
    say(t, " for ");
    say_seconds(t, live->age_ms);
    if (live->op != 0)
        say(t, ", started at %p", live->site);
    if (live->total != 0)
        say(t, ", %" PRIu64 " of %" PRIu64 " done", live->progress, live->total);
}

static void say_closing(struct text *t, struct session *s, int64_t now)
{
    int64_t since = policy_at(&s->policy.closed_at);
    say(t, "session %s closing for ", s->name != NULL ? s->name : "without a name");
    say_seconds(t, now > since ? (uint64_t)(now - since) / 1000000 : 0);
    say(t, ": ");
}

static void log_text(struct session *s, const struct text *t)
{
    log_line(&s->all->app->log, LOG_LEVEL_WARNING, "%s", t->line);
}

static void log_group(struct session *s, const struct blocked *b, int64_t now)
{
    struct text t = { .used = 0 };
    say_closing(&t, s, now);
    say(&t, "%" PRIu64 " %s", b->count, b->name);
    say_missing(&t, b->missing);
    uint64_t shown = b->count < OLDEST_MAX ? b->count : OLDEST_MAX;
    for (uint64_t i = 0; i < shown; i++)
        say_one(&t, s->all, &b->oldest[i]);
    if (b->count > shown)
        say(&t, "; %" PRIu64 " more", b->count - shown);
    log_text(s, &t);
}

static void log_rest(struct session *s, const char *what, uint64_t count, int64_t now)
{
    struct text t = { .used = 0 };
    say_closing(&t, s, now);
    say(&t, "%" PRIu64 " %s", count, what);
    log_text(s, &t);
}

void report_log(struct session *s)
{
    struct blocked_all all = { .groups = 0, .others = 0 };
    int64_t now = clock_now(&s->all->app->clock);
    census_take(s, collect, &all);
    for (uint32_t i = 0; i < all.groups; i++)
        log_group(s, &all.group[i], now);
    if (all.others != 0)
        log_rest(s, "more operations, of other kinds or for other reasons", all.others, now);
    if (all.groups == 0)
        log_rest(s, "operations", 0, now);
}
