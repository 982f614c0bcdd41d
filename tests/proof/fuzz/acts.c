/* SPDX-License-Identifier: Apache-2.0 */
/* acts.c - every public call, with arguments out of bytes; work functions, callbacks, hooks, jobs */
#include "world.h"

#include <stdlib.h>
#include <sched.h>
#include <unistd.h>

/* How deep calls may nest: fork and join run other people's jobs, and lent threads anything. */
enum { DEPTH = 3 };
static _Thread_local int depth;

static void act_inside(struct bytes *b)
{
    if (depth++ < DEPTH)
        act(b, NULL);
    depth--;
}

/* ---- what an operation does ---- */

static int still;                                  /* an item of kinds that do not drop */

static void drop(void *data, size_t size)
{
    must(size == 8);
    atomic_fetch_add(&world.dropped, 1);
    free(data);
}

/* A new item, or not; *counts: it is to be dropped. */
static void *make_item(bool drops)
{
    void *item = drops ? malloc(8) : &still;
    must(item != NULL);
    return item;
}

static void settle_item(void *item, bool drops, bool taken)
{
    if (drops && taken)
        atomic_fetch_add(&world.items, 1);
    else if (drops)
        free(item);
}

/* An item may be dropped before the post that gave it has returned: so it is counted before, and taken back. */
static weir_status post_item(weir_task *task, weir_token token, bool drops)
{
    void *item = make_item(drops);
    if (drops)
        atomic_fetch_add(&world.items, 1);
    weir_status status = task != NULL ? weir_task_post(task, item, 8) : weir_token_post(token, item, 8);
    if (drops && status != WEIR_OK)
        atomic_fetch_sub(&world.items, 1);
    if (status != WEIR_OK)
        settle_item(item, drops, false);
    return status;
}

static bool hook(weir_reason reason, void *ctx)
{
    struct context *c = ctx;
    must(reason != 0);
    return (c->script[SCRIPT - 1] & 1) != 0;
}

static weir_status defer(weir_task *task, struct context *c, bool drops)
{
    weir_token token;
    if ((c->script[SCRIPT - 1] & 2) != 0)
        (void)!weir_task_on_cancel(task, hook, c);
    weir_status status = weir_task_defer(task, &token);
    if (status != WEIR_OK)
        return status;
    atomic_store(&c->token, token.bits);
    uint32_t place = atomic_load(&world.tokens.count);
    if (place < TOKENS) {
        int added = pool_add(&world.tokens, 0);
        if (added >= 0) {
            atomic_store(&world.drops[added], drops);
            atomic_store(&world.tokens.bits[added], token.bits);
        }
    }
    return WEIR_OK;
}

static weir_status give_detail(weir_task *task, bool drops)
{
    void *item = make_item(drops);
    if (drops)
        atomic_fetch_add(&world.items, 1);
    weir_status status = weir_task_detail(task, item, 8);
    if (drops && status != WEIR_OK)
        atomic_fetch_sub(&world.items, 1);
    if (status != WEIR_OK)
        settle_item(item, drops, false);
    return status;
}

static weir_status work(weir_task *task, struct context *c, bool drops)
{
    must(c->op == 0 || c->op == weir_task_op(task).bits);
    must(weir_task_session(task).bits != 0);
    while (!is_empty(&c->bytes)) {
        uint8_t byte = take_byte(&c->bytes);
        switch (byte % 16) {
        case 0: case 1: case 2:
            if (post_item(task, (weir_token){ 0 }, drops) == WEIR_AGAIN)
                return WEIR_AGAIN;
            break;
        case 3: if (weir_task_cancelled(task) != 0) return WEIR_CANCELED; break;
        case 4: (void)!weir_task_on_cancel(task, hook, c); break;
        case 5: (void)!weir_task_on_cancel(task, NULL, NULL); break;
        case 6: (void)weir_task_progress(task, byte, 100); break;
        case 7: (void)weir_task_explain(task, byte < 128 ? "why" : NULL); break;
        case 8: (void)give_detail(task, drops); break;
        case 9: if (defer(task, c, drops) == WEIR_OK && byte < 128) return WEIR_OK; break;
        case 10: return WEIR_AGAIN;
        case 11: return WEIR_FAILED;
        case 12:
            while (weir_task_cancelled(task) == 0 && byte-- > 128)
                sched_yield();
            break;
        default: act_inside(&c->bytes); break;
        }
    }
    return WEIR_OK;
}

static weir_status work_dropping(weir_task *task, void *ctx) { return work(task, ctx, true); }
static weir_status work_plain(weir_task *task, void *ctx) { return work(task, ctx, false); }

static void on_result(const weir_result *r, void *ctx)
{
    struct context *c = ctx;
    must(c->closed == NULL || *c->closed == 0);
    must(r->number == c->delivered + 1 || !r->more);
    must(c->finals == 0);
    if (!r->more) {
        must(r->message != NULL);
        must(r->posted == r->delivered + r->discarded);
        c->finals = 1;
    }
    atomic_store(&c->op, r->op.bits);
    atomic_store(&c->delivered, r->number);
    owe(r->op.bits, r->number);
    (void)pool_add(&world.ops, r->op.bits);
    struct bytes b = { &c->script[(size_t)(r->number % (SCRIPT - 3))], c->script + SCRIPT };
    if ((b.at[0] & 4) != 0)
        act_inside(&b);
    if ((b.at[0] & 8) != 0)
        (void)weir_op_ack(r->op, r->number);
}

static void gone(void *ctx)
{
    struct context *c = ctx;
    must(!c->push || c->finals == 1);
    atomic_fetch_add(&world.gone, 1);              /* before the context is seen to be gone */
    context_free(c);
}

#define KIND(does, shows, throws, room, how) \
    { .size = sizeof(weir_kind), .name = "fuzz", .work = (does), .on_result = (shows), .drop = (throws), \
      .gone = gone, .window = (room), .flags = (how) }

static const weir_kind kinds[] = {
    KIND(work_plain, on_result, NULL, 0, 0),
    KIND(work_dropping, on_result, drop, 2, 0),
    KIND(work_dropping, on_result, drop, 1, WEIR_MANUAL_ACK),
    KIND(work_plain, on_result, NULL, 3, WEIR_MANUAL_ACK | WEIR_DISCARD_ON_CANCEL),
    KIND(work_dropping, on_result, drop, 4, WEIR_DISCARD_ON_CANCEL),
    KIND(work_plain, on_result, NULL, 1, WEIR_BLOCKS),
    KIND(work_dropping, on_result, drop, 511, WEIR_IDLE_TIMEOUT),
    KIND(work_plain, NULL, NULL, 0, 0),
    KIND(work_dropping, NULL, drop, 2, 0),
    KIND(work_dropping, NULL, drop, 3, WEIR_DISCARD_ON_CANCEL),
    KIND(work_plain, NULL, NULL, 1, WEIR_BLOCKS | WEIR_IDLE_TIMEOUT),
};

/* ---- times ---- */

static int64_t short_time(struct bytes *b)
{
    static const int64_t times[] = { 0, 0, 1, 1000, 100000, 1000000 };
    return times[take_byte(b) % 6];
}

static int64_t any_time(struct bytes *b)
{
    uint8_t byte = take_byte(b);
    return byte % 8 == 7 ? -1 : byte % 8 == 6 ? WEIR_FOREVER : short_time(b);
}

/* ---- calls on sessions and operations ---- */

static weir_session a_session(struct bytes *b) { return (weir_session){ pool_pick(&world.sessions, b) }; }
static weir_op an_op(struct bytes *b) { return (weir_op){ pool_pick(&world.ops, b) }; }
static weir_queue a_queue(struct bytes *b)
{
    uint8_t byte = take_byte(b);
    return byte % 4 == 0 ? weir_app_queue(world.app, byte >> 4) : (weir_queue){ pool_pick(&world.queues, b) };
}

static int place_of(const struct pool *p, uint64_t bits)
{
    for (uint32_t i = 0; i < p->count && i < p->max; i++)
        if (p->bits[i] == bits)
            return (int)i;
    return -1;
}

static void start_op(struct bytes *b)
{
    weir_session session = a_session(b);
    const weir_kind *kind = &kinds[take_byte(b) % (sizeof(kinds) / sizeof(*kinds))];
    uint8_t how = take_byte(b);
    weir_op_options options = { .size = sizeof(options), .tag = how, .lane = (uint8_t)(how & 4 ? how >> 5 : 0) };
    if ((how & 8) != 0)
        options.timeout_ns = any_time(b);
    if ((how & 16) != 0)
        options.queue = a_queue(b);
    struct context *c = context_make(b, kind->on_result != NULL, place_of(&world.sessions, session.bits));
    weir_op op = { 0 };
    atomic_fetch_add(&world.started, 1);           /* before: gone may be there before the start has returned */
    uint64_t serial = c->serial;                   /* the context may be gone at once */
    weir_status status = weir_op_start(session, kind, c, (how & 1) != 0 ? NULL : &options, (how & 2) != 0 ? NULL : &op);
    if (status != WEIR_OK) {
        must(op.bits == 0);
        atomic_fetch_sub(&world.started, 1);
        context_free(c);
        return;
    }
    if (op.bits == 0)
        return;
    (void)pool_add(&world.ops, op.bits);
    owe(op.bits, 0);
    pthread_mutex_lock(&world.lock);
    for (struct context *live = world.live; live != NULL; live = live->next)
        if (live->serial == serial)
            live->op = op.bits;
    pthread_mutex_unlock(&world.lock);
}

static void closed(const weir_report *report, void *ctx)
{
    _Atomic uint32_t *count = ctx;
    must(report != NULL && report->phase == WEIR_PHASE_CLOSED);
    must(report->posted == report->delivered + report->discarded);
    atomic_fetch_add(count, 1);
}

static void open_session(struct bytes *b)
{
    weir_session session = { 0 };
    uint8_t how = take_byte(b);
    weir_session_options options = { .size = sizeof(options), .name = "fuzz" };
    if ((how & 1) != 0)
        options.parent = a_session(b);
    if ((how & 2) != 0)
        options.live_max = 1 + how / 64;
    if ((how & 4) != 0)
        options.reserve = how;
    if ((how & 8) != 0)
        options.timeout_ns = any_time(b);
    if (atomic_load(&world.sessions.count) < SESSIONS && weir_session_open(world.app, &options, &session) == WEIR_OK
        && pool_add(&world.sessions, session.bits) < 0)
        (void)weir_session_close(session, NULL, NULL);
}

static void close_session(struct bytes *b)
{
    weir_session session = a_session(b);
    uint8_t how = take_byte(b);
    int place = place_of(&world.sessions, session.bits);
    bool told = place >= 0 && (how & 1) != 0;
    weir_close_options options = {
        .size = sizeof(options), .drain_ns = any_time(b), .grace_ns = any_time(b), .report_ns = any_time(b),
        .abandon = (how & 2) != 0, .lend = (how & 4) != 0, .closed = told ? closed : NULL,
        .ctx = told ? &world.closed[place] : NULL,
    };
    if (told)
        atomic_fetch_add(&world.closes[place], 1);
    weir_status status = (how & 8) != 0 ? weir_session_close_with(session, &options)
                                        : weir_session_close(session, options.closed, options.ctx);
    if (told && status != WEIR_OK)
        atomic_fetch_sub(&world.closes[place], 1);
}

static void wait_session(struct bytes *b)
{
    weir_blocker blockers[2];
    weir_report report = { .size = sizeof(report), .blockers = blockers, .blockers_max = 2 };
    weir_session session = a_session(b);
    (void)!weir_session_wait(session, short_time(b), take_byte(b) < 128 ? &report : NULL);
}

static void inspect_session(struct bytes *b)
{
    weir_blocker blockers[3];
    weir_report report = { .size = sizeof(report), .blockers = blockers, .blockers_max = 3 };
    weir_stats stats = { .size = sizeof(stats) };
    weir_app app;
    weir_session session = a_session(b);
    switch (take_byte(b) % 4) {
    case 0: (void)weir_session_inspect(session, &report); break;
    case 1: (void)weir_session_stats(session, &stats); break;
    case 2: (void)weir_app_stats(world.app, &stats); break;
    default: (void)weir_session_app(session, &app); break;
    }
}

static void use_token(struct bytes *b)
{
    uint8_t byte = take_byte(b);
    uint32_t count = atomic_load(&world.tokens.count);
    weir_token token = { pool_pick(&world.tokens, b) };
    int place = place_of(&world.tokens, token.bits);
    if (count == 0 || place < 0 || token.bits == 0) {              /* whose is it? so without an item */
        (void)!weir_token_complete(token, WEIR_OK, NULL, 0);
        return;
    }
    bool drops = atomic_load(&world.drops[place]);
    if (byte % 2 == 0) {
        (void)post_item(NULL, token, drops);
        return;
    }
    void *item = byte % 4 == 1 ? make_item(drops) : NULL;
    if (drops && item != NULL)
        atomic_fetch_add(&world.items, 1);
    weir_status status = weir_token_complete(token, byte > 128 ? WEIR_FAILED : WEIR_OK, item, item != NULL ? 8 : 0);
    if (drops && item != NULL && status != WEIR_OK) {
        atomic_fetch_sub(&world.items, 1);
        free(item);
    }
}

static void next_result(struct bytes *b)
{
    const weir_result *r;
    weir_op op = an_op(b);
    (void)!weir_op_next(op, short_time(b), &r);    /* another thread may be next: so *r is not looked at */
}

/* ---- jobs ---- */

static void run_item(weir_job *job, weir_status status)
{
    struct item *item = job->ctx;
    if (!item->periodic || status != WEIR_OK)
        atomic_fetch_add(&item->over, 1);
}

static void run_plain(weir_job *job, weir_status status)
{
    (void)job;
    (void)status;
}

static struct item *own_item(struct bytes *b, struct actor *actor, bool periodic)
{
    struct item *item = &actor->items[take_byte(b) % ITEMS];
    if (item->accepted != item->over)
        return NULL;                               /* in flight, or its last call is about to end */
    if (weir_job_cancel_wait(&item->wait.timer.job, 1000000) == WEIR_TIMED_OUT)
        return NULL;
    item->wait.timer.job.fn = run_item;
    item->wait.timer.job.ctx = item;
    item->periodic = periodic;
    return item;
}

static void submit(struct bytes *b, struct actor *actor)
{
    uint8_t how = take_byte(b);
    weir_queue queue = a_queue(b);
    struct item *item = own_item(b, actor, how % 8 == 3);
    if (item == NULL)
        return;
    weir_job *job = &item->wait.timer.job;
    size_t accepted;
    weir_status status;
    char byte = 1;
    atomic_fetch_add(&item->accepted, 1);
    switch (how % 8) {
    case 0: status = weir_job_submit_list(queue, &job, 1, &accepted); break;
    case 1: status = weir_job_submit_wait(queue, job, short_time(b)); break;
    case 2: status = weir_timer_start(queue, &item->wait.timer, short_time(b), 0); break;
    case 3: status = weir_timer_start(queue, &item->wait.timer, short_time(b), 1 + short_time(b)); break;
    case 4:
        item->wait.fd = actor->pipe[0];
        item->wait.events = WEIR_READABLE;
        status = weir_fdwait_start(queue, &item->wait, how < 128 ? WEIR_FOREVER : short_time(b));
        if (how % 16 < 8 && write(actor->pipe[1], &byte, 1) < 0)
            abort();
        break;
    default: status = weir_job_submit(queue, job); break;
    }
    if (status != WEIR_OK)
        atomic_fetch_sub(&item->accepted, 1);
}

static void cancel_item(struct bytes *b)
{
    uint8_t byte = take_byte(b);
    weir_job *job = &world.actors[byte % THREADS].items[byte / 8 % ITEMS].wait.timer.job;
    if (byte < 128)
        (void)weir_job_cancel(job);
    else
        (void)weir_job_cancel_wait(job, short_time(b));
}

static void open_queue(struct bytes *b)
{
    uint8_t how = take_byte(b);
    weir_queue target = a_queue(b), queue = { 0 };
    weir_queue_options options = {
        .size = sizeof(options), .limit = how & 3, .full = (how >> 2) & 1, .concurrent = (how & 8) != 0,
        .reply = (how & 16) != 0,
    };
    if (weir_queue_open(target, &options, &queue) == WEIR_OK && pool_add(&world.queues, queue.bits) < 0)
        (void)weir_queue_close(queue, true, NULL);
}

/* A job of its own memory, which goes with its last call: for reply queues, and to see late touches. */
static void run_own(weir_job *job, weir_status status)
{
    weir_token token;
    if (status == WEIR_OK && (uintptr_t)job->ctx % 2 == 1 && weir_job_defer(job, &token) == WEIR_OK) {
        (void)pool_add(&world.replies, token.bits);
        return;                                    /* the memory is the reply's, or the cancelling call's: kept */
    }
    if ((uintptr_t)job->ctx % 2 == 0)
        free(job);
}

static weir_job kept[64];
static _Atomic uint32_t kept_count;

void acts_end_app(void)
{
    kept_count = 0;
}

static void submit_own(struct bytes *b)
{
    bool defers = take_byte(b) % 4 == 0;
    uint32_t place = defers ? atomic_fetch_add(&kept_count, 1) : 0;
    if (place >= 64)
        return;
    weir_job *job = defers ? &kept[place] : malloc(sizeof(*job));
    must(job != NULL);
    *job = (weir_job){ .fn = run_own, .ctx = (void *)(uintptr_t)defers };
    if (weir_job_submit(a_queue(b), job) != WEIR_OK && !defers)
        free(job);
}

static void child(weir_job *job, weir_status status)
{
    must(status == WEIR_OK);
    *(int *)job->ctx += 1;
}

static void fork_and_join(weir_job *job, weir_status status)
{
    int runs[2] = { 0, 0 };
    weir_job jobs[2] = { { .fn = child, .ctx = &runs[0] }, { .fn = child, .ctx = &runs[1] } };
    (void)job;
    (void)status;
    must(weir_fork(&jobs[0]) == WEIR_OK && weir_fork(&jobs[1]) == WEIR_OK);
    must(weir_join(&jobs[1]) == WEIR_OK && weir_join(&jobs[0]) == WEIR_OK);
    must(runs[0] == 1 && runs[1] == 1);
}

static void close_app(struct bytes *b)
{
    weir_report report = { .size = sizeof(report) };
    if (take_byte(b) == 0x5a)                      /* rarely: it ends what all others play with */
        (void)!weir_app_close(world.app, short_time(b), &report);
    else
        (void)weir_app_tick(world.app);
}

void act(struct bytes *b, struct actor *actor)
{
    weir_session session;
    switch (take_byte(b) % 32) {
    case 0: case 1:  open_session(b); break;
    case 2: case 3: case 4: case 5: case 6: start_op(b); break;
    case 7: case 8:  (void)weir_op_cancel(an_op(b), take_byte(b)); break;
    case 9: case 10: next_result(b); break;
    case 11: case 12: (void)weir_op_ack(an_op(b), take_byte(b) % 8); break;
    case 13:         (void)weir_op_close(an_op(b)); break;
    case 14:         (void)weir_op_session(an_op(b), &session); break;
    case 15: case 16: case 17: use_token(b); break;
    case 18:         close_session(b); break;
    case 19:         (void)weir_session_cancel(a_session(b), take_byte(b)); break;
    case 20:         wait_session(b); break;
    case 21:         inspect_session(b); break;
    case 22:         open_queue(b); break;
    case 23:         (void)weir_queue_close(a_queue(b), take_byte(b) < 128, NULL); break;
    case 24: case 25: if (actor != NULL) submit(b, actor); else submit_own(b); break;
    case 26:         cancel_item(b); break;
    case 27:         submit_own(b); break;
    case 28:         (void)weir_job_reply((weir_token){ pool_pick(&world.replies, b) }); break;
    case 29:         fork_and_join(NULL, WEIR_OK); break;
    case 30:         (void)!weir_app_run(world.app, take_byte(b) < 128 ? fork_and_join : run_plain, NULL,
                                         take_byte(b) < 128); break;
    default:         close_app(b); break;
    }
}
