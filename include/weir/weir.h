/* SPDX-License-Identifier: Apache-2.0
 *
 * weir.h - operations in sessions: started, streaming, cancelled, and closed behind a barrier
 *
 * A *session* owns *operations*. An operation runs a work function on the pool (workqueue.h), which posts results;
 * the last one, the *final*, has more == false. Closing the session cancels what runs, delivers every final, waits
 * until nobody uses anything any more, and then calls back once. At any time it can be asked what it still waits for.
 *
 *     start --> work --post--> result callback ... --> final --> [acknowledged, handle closed] --> out of the session
 *       |         ^                 (or weir_op_next)    ^
 *       refused   cancel: told by poll and hook          cancel of waiting work: decided at once
 *
 * What holds for every operation (R1 to R4): an accepted start ends in exactly one final; results come one at a time,
 * in order; nothing follows the final, and the context may be freed inside the final's callback. What holds for every
 * close (S2, S4): OK means that the close callback comes exactly once, after everything of the session, and is its
 * last touch.
 *
 * Conventions are those of workqueue.h: [W] may wait, and answers WEIR_WOULD_DEADLOCK on a worker unless it need not
 * wait; [T] only on the thread and within the call of that operation's work function, anything else is misuse.
 * Everything else may be called from any thread and any callback, never waits, and is lock-free except where it
 * allocates. Handles are values; every call that takes one may answer WEIR_INVALID, WEIR_STALE or WEIR_FORKED (H1,
 * A3), not repeated below. A call that does not answer WEIR_OK has changed nothing, taken nothing, and written no
 * output, unless it says so.
 */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

#include <weir/workqueue.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weir_session { uint64_t bits; } weir_session;
typedef struct weir_op      { uint64_t bits; } weir_op;
typedef struct weir_task weir_task;                            /* an operation, seen from inside its work function */

/* ---- why it was cancelled (C4) ---- */

typedef uint8_t weir_reason;                                   /* fixed width, for the same reason as weir_status */

enum {
    WEIR_REASON_NONE = 0,                                      /* no cancel has won */
    WEIR_REASON_USER = 1,
    WEIR_REASON_TIMEOUT = 2,                                   /* a deadline of the operation, or an idle deadline */
    WEIR_REASON_SESSION_CLOSED = 3,
    WEIR_REASON_APPLICATION_CLOSED = 4,
    WEIR_REASON_PARENT = 5,                                    /* the parent session was cancelled or closed */
    WEIR_REASON_OWN = 64                                       /* the first of your own, up to 255 */
};

/* ---- kinds and results ---- */

/* One result. The library's memory; valid until it is acknowledged (docs/lifetime.md). Grows at its end only. */
typedef struct weir_result {
    weir_op op;                /* serves cancel and ack, also when the start asked for no handle */
    uint64_t number;           /* 1, 2, ... within the operation: what weir_op_ack wants */
    uint64_t tag;              /* from the start's options */
    weir_status status;        /* of a final: how it ended. Otherwise WEIR_OK */
    weir_reason reason;        /* of a final: of the cancel that won, if one did */
    bool more;                 /* false: the final */
    void *data;                /* the item; on a final the structured detail, or NULL */
    size_t size;
    const char *message;       /* static text; never NULL on a final */
    uint64_t posted;           /* on a final: accepted items; posted == delivered + discarded (R4) */
    uint64_t delivered;
    uint64_t discarded;
} weir_result;

/**
 * weir_work_fn - your work, called on a worker
 * @task: valid within this call
 * @ctx:  from the start; the position of work that returns WEIR_AGAIN lives there
 *
 * Return: WEIR_AGAIN  call me again: after a refused post when the window has room, else when it is my turn (R7).
 * After a
 *                     cancel it is not called again.
 *         any other   the final's status (C4), unless the work has deferred: then it is ignored
 */
typedef weir_status weir_work_fn(weir_task *task, void *ctx);

/** weir_result_fn - one result (push). On a worker; one at a time for each operation; those of others overlap. */
typedef void weir_result_fn(const weir_result *result, void *ctx);

/**
 * weir_cancel_fn - a cancel has won: make the work end
 * Called at most once for each registration, on a worker or on the control thread, while the work may be running. It
 * must be short: it holds the final back, and perhaps other operations' hooks and deadlines (C7).
 * Return: for deferred work. true: nothing uses @ctx any more, the final is decided now, with WEIR_CANCELED or
 *         WEIR_TIMED_OUT. false: it waits for the token.
 */
typedef bool weir_cancel_fn(weir_reason reason, void *ctx);

/** weir_drop_fn - the end of an accepted item: once, on a worker, after it was acknowledged or discarded (R9). */
typedef void weir_drop_fn(void *data, size_t size);

/** weir_gone_fn - the end of a context: once, when nothing of the library or of the work uses it any more (R3). */
typedef void weir_gone_fn(void *ctx);

enum {                         /* weir_kind.flags */
    WEIR_MANUAL_ACK = 1,       /* push: a result is acknowledged by weir_op_ack, not by the callback's return */
    WEIR_DISCARD_ON_CANCEL = 2,/* a cancel discards results that were accepted and not delivered (C1) */
    WEIR_IDLE_TIMEOUT = 4,     /* time-outs count from the last accepted post or progress, not from the start (C5) */
    WEIR_BLOCKS = 8            /* runs on the blocking lane unless the start says otherwise */
};

enum { WEIR_WINDOW_MAX = 511 };

/* What all operations of a kind share. Make it static const; it is kept by reference. */
typedef struct weir_kind {
    size_t size;
    const char *name;          /* shows in reports; static; NULL: "operation" */
    weir_work_fn *work;        /* not NULL */
    weir_result_fn *on_result; /* NULL: pull, by weir_op_next */
    weir_drop_fn *drop;        /* NULL: items need no end */
    weir_gone_fn *gone;        /* NULL: the context needs no end but the final */
    uint32_t window;           /* most unacknowledged results, up to WEIR_WINDOW_MAX; 0: one */
    uint32_t flags;
} weir_kind;

typedef struct weir_op_options {
    size_t size;
    weir_queue queue;          /* {0}: the session's own lanes; else the work runs as a job of this queue: see below */
    int64_t timeout_ns;        /* from now, also while it waits (C5); 0: the session's default; WEIR_FOREVER: none */
    uint64_t tag;              /* yours; shows in results and reports */
    uint8_t lane;              /* WEIR_NORMAL, ...; ignored with a queue */
} weir_op_options;

/* With a queue, every call of the work function is a job of that queue: after WEIR_AGAIN it goes to the queue's end. On
 * a serial queue the works of several operations run one at a time, in the order of their starts, each seeing what the
 * one before did (E8). A queue in reply mode is a serial one here; deferred work (R8) does not hold it. A lane's queue
 * is the lane. Results, hooks and the final do not go through the queue, but run on the lane that it lies over: a
 * cancelled operation, or a session that closes, does not wait for the queue.
 *
 * The operation counts in the queue as one job from its start until its final's callback has returned, also while it
 * is parked or deferred; so the queue's end waits for it. (Of work that has run, until the worker has come back to the
 * queue.) An aborted queue cancels the operations whose work is to be called, with WEIR_REASON_USER. */

/* ---- operations, from outside ---- */

/**
 * weir_op_start - start an operation in a session
 * @kind:    static; see above
 * @ctx:     passed to every function of @kind
 * @options: NULL for the defaults
 * @out:     the handle, to be closed by weir_op_close(); written before the work can run. NULL: nobody needs one, it
 *           is born closed. A pull kind needs one
 *
 * Context: any thread, any callback, also inside this session's own. May allocate when the session has to grow.
 * Ownership: @ctx is the library's until the final's callback, or gone (docs/lifetime.md).
 * Ordering: what the caller wrote before is visible to the work (E1).
 * Return: WEIR_OK        exactly one final will be delivered (R1)
 *         WEIR_CLOSED    the session was closed before (S1)
 *         WEIR_LIMIT     live_max of the session, or of the application's operations: 2^24 / 64 * 63
 *         WEIR_NO_MEMORY
 *         WEIR_INVALID   @kind without work, or too small; pull with @out NULL; a window, lane or time-out out of range
 *         WEIR_FULL      the queue of the options is bounded, and full; its policy does not matter: an operation is
 *                        never run by the caller, and a start does not wait
 *         WEIR_CLOSED, WEIR_STALE, WEIR_SHUTDOWN: also of that queue; WEIR_INVALID: also one of another application
 *         On anything but WEIR_OK nothing was started, nothing will be called.
 */
WEIR_API WEIR_MUST_USE weir_status weir_op_start(weir_session session, const weir_kind *kind, void *ctx,
                                                 const weir_op_options *options, weir_op *out);

/**
 * weir_op_cancel - ask an operation to end; the final is the answer (C1 to C4)
 * @reason: WEIR_REASON_USER, or one of your own from WEIR_REASON_OWN on
 *
 * Waiting work never runs any more; running work is told by weir_task_cancelled() and its hook.
 * Ordering: what the caller wrote before is visible to the hook, and to the work after a poll that said so (E6).
 * Return: WEIR_OK       won: @reason is in the work, the hook and the final
 *         WEIR_ALREADY  an earlier cancel won
 *         WEIR_TOO_LATE the final was decided before
 *         WEIR_INVALID  also: a reason that is not yours to give
 */
WEIR_API weir_status weir_op_cancel(weir_op op, weir_reason reason);

/**
 * weir_op_next - [W] fetch the next result of a pull operation, and acknowledge the one before (R6)
 * @timeout_ns: relative; 0 does not wait
 * @out:        the result, valid until the next call for this operation or its close; written on WEIR_OK only
 *
 * After the final it answers the final again.
 * Ordering: what the work wrote before it posted is visible (E2), before it returned, with the final (E5).
 * Return: WEIR_OK
 *         WEIR_TIMED_OUT none came; the operation goes on, the one before is acknowledged all the same
 *         WEIR_BUSY      another thread is inside this call for @op
 *         WEIR_STALE     also: the handle was closed, perhaps during the call
 *         WEIR_INVALID   also: not a pull operation, a time-out below 0
 *         WEIR_WOULD_DEADLOCK on a worker, and it would have to wait; as for TIMED_OUT
 */
WEIR_API WEIR_MUST_USE weir_status weir_op_next(weir_op op, int64_t timeout_ns, const weir_result **out);

/**
 * weir_op_ack - acknowledge a result of a kind with WEIR_MANUAL_ACK, by its number, once (R7)
 *
 * Inside the callback or after it, on any thread, also after the handle was closed. The next result, or the end of the
 * operation, comes after it. Ordering: what the caller did before is visible to the next callback (E4).
 * Return: WEIR_OK      acknowledged by this call
 *         WEIR_ALREADY acknowledged before, by whomever
 *         WEIR_INVALID not delivered yet, or not a kind with manual acknowledgement
 */
WEIR_API weir_status weir_op_ack(weir_op op, uint64_t number);

/**
 * weir_op_close - give the handle back (H3)
 *
 * Cancels nothing of a push operation: results keep coming, and the operation is gone after its final. A pull operation
 * that was not read to its final is cancelled, with WEIR_REASON_USER, and what it holds is discarded.
 * Return: WEIR_OK; WEIR_STALE (closed before)
 */
WEIR_API weir_status weir_op_close(weir_op op);

/** weir_op_session - the session of an operation, also while that closes and on a closed handle. Return: WEIR_OK. */
WEIR_API weir_status weir_op_session(weir_op op, weir_session *out);

/* ---- operations, from inside their work ---- */

/**
 * weir_task_post - [T] hand over a result
 * @data: the library's from WEIR_OK on, until it is dropped (R9)
 *
 * Context: the first post of an operation may allocate. After weir_task_defer() the work and the token's holders may
 *   post at once. Ordering: E2.
 * Return: WEIR_OK        accepted
 *         WEIR_AGAIN     the window is full; return WEIR_AGAIN, and be called again when there is room
 *         WEIR_CANCELED  a cancel has won, or the operation was abandoned
 *         WEIR_NO_MEMORY
 *         WEIR_BUSY      after a deferral: another thread posts through the token at this moment
 *         WEIR_STALE     after a deferral: the token has completed the operation
 */
WEIR_API WEIR_MUST_USE weir_status weir_task_post(weir_task *task, void *data, size_t size);

/** weir_task_cancelled - [T] the reason of the cancel that won; 0: none has. Two relaxed loads. E6 when it is not 0. */
WEIR_API weir_reason weir_task_cancelled(const weir_task *task);

/**
 * weir_task_on_cancel - [T] register a hook; it replaces the one before; NULL removes it (C3)
 *
 * Returns only when a hook that was running has returned (inside the hook itself: at once). A registration lasts
 * until the final is decided, also over calls of the work.
 * Return: WEIR_OK       it will be called if a cancel wins before the final is decided
 *         WEIR_CANCELED a cancel has won; not registered, will not be called (NULL: removed all the same)
 *         WEIR_TOO_LATE the token has completed the operation; not registered
 */
WEIR_API WEIR_MUST_USE weir_status weir_task_on_cancel(weir_task *task, weir_cancel_fn *hook, void *ctx);

/**
 * weir_task_progress - [T] how far the work is, for reports and for idle deadlines (C5)
 * @total: 0: unknown
 *
 * Reports show the last one, until a detail is given; after a deferral it counts for the idle deadline alone.
 * Return: WEIR_OK; WEIR_CANCELED (a cancel has won, or the final is decided)
 */
WEIR_API weir_status weir_task_progress(weir_task *task, uint64_t done, uint64_t total);

/** weir_task_explain - [T] the final's message: static text, kept by reference. Return: WEIR_OK; WEIR_INVALID. */
WEIR_API weir_status weir_task_explain(weir_task *task, const char *static_text);

/**
 * weir_task_detail - [T] the final's data, from the work itself (R4)
 * @data: an item from WEIR_OK on; it goes out with the final, whoever decides that, and is dropped after it
 *
 * Return: WEIR_OK
 *         WEIR_ALREADY  the work has given one before, in this call or an earlier one
 *         WEIR_INVALID  it has deferred: the token brings the detail
 *         WEIR_CANCELED the operation was abandoned
 */
WEIR_API WEIR_MUST_USE weir_status weir_task_detail(weir_task *task, void *data, size_t size);

/** weir_task_op, weir_task_session - [T] who I am. Never fail. */
WEIR_API weir_op weir_task_op(const weir_task *task);
WEIR_API weir_session weir_task_session(const weir_task *task);

/**
 * weir_task_defer - [T] the operation ends through the token, not by the return of this function (R8)
 * @out: a value; copy it at will. A lost token cannot be seen: it shows as a blocker, and ends by cancel or abandon.
 *
 * Register the hook first, then defer, then give the token away. From now on the return value is ignored.
 * Return: WEIR_OK; WEIR_CANCELED (a cancel has won: end the work and return); WEIR_ALREADY
 */
WEIR_API WEIR_MUST_USE weir_status weir_task_defer(weir_task *task, weir_token *out);

/**
 * weir_token_post - as weir_task_post, from any thread
 * Return: also WEIR_AGAIN: the window is full; the work function is called again, with the same context, when there
 * is room.
 *         WEIR_BUSY: another thread posts or completes at this moment. WEIR_STALE: completed, or over.
 */
WEIR_API WEIR_MUST_USE weir_status weir_token_post(weir_token token, void *data, size_t size);

/**
 * weir_token_complete - decide the final of a deferred operation, exactly once, from any thread
 * @status: the final's; not WEIR_AGAIN
 * @data:   the final's detail; an item from WEIR_OK on
 *
 * Ordering: what the caller wrote before is visible to the final's callback (E5). Not called inline (R5).
 * Return: WEIR_OK       the final is this one
 *         WEIR_CANCELED a cancel decided it; @data was not taken
 *         WEIR_ALREADY  @data is not NULL, and the work has given a detail; nothing was taken or decided
 *         WEIR_STALE    completed before, or over
 *         WEIR_BUSY     another thread posts through the token at this moment: order them
 */
WEIR_API WEIR_MUST_USE weir_status weir_token_complete(weir_token token, weir_status status, void *data, size_t size);

/* ---- reports (S10) ---- */

enum {                         /* weir_report.phase */
    WEIR_PHASE_OPEN = 1, WEIR_PHASE_DRAINING = 2, WEIR_PHASE_CANCELLING = 3, WEIR_PHASE_WAITING = 4,
    WEIR_PHASE_CLOSED = 5
};

enum {                         /* weir_report.outcome; the higher one holds */
    WEIR_OUTCOME_CLEAN = 0,    /* so far every final's status was the work's own */
    WEIR_OUTCOME_CANCELED = 1, /* the library decided some: see cancelled, timed_out */
    WEIR_OUTCOME_ABANDONED = 2 /* see abandoned */
};

enum {                         /* weir_blocker.missing: a set */
    WEIR_MISSING_START = 1,    /* it has not run yet, or waits for room */
    WEIR_MISSING_WORK = 2,     /* its work function is running */
    WEIR_MISSING_HOOK = 4, WEIR_MISSING_CALLBACK = 8,
    WEIR_MISSING_TOKEN = 16, WEIR_MISSING_ACK = 32, WEIR_MISSING_HANDLE = 64,
    WEIR_MISSING_SESSION = 128 /* op is {0}: a child session that is not closed */
};

/* An operation that holds the close up. The library fills it; it grows at its end only. */
typedef struct weir_blocker {
    weir_op op;
    const char *name;          /* the kind's */
    const void *site;          /* the return address of its start */
    uint64_t age_ns;           /* since its start; to the kernel's tick, a few ms; up to 49 days */
    uint64_t tag;
    uint64_t progress, total;
    uint32_t missing;
    int32_t worker;            /* that runs it; -1: none */
} weir_blocker;

/* Set size, and blockers with blockers_max if you want them; the rest is filled in. */
typedef struct weir_report {
    size_t size;
    uint32_t phase, outcome;
    uint64_t accepted;         /* accepted == completed + failed + cancelled + timed_out + abandoned, once closed */
    uint64_t queued, running, parked, deferred;                /* now */
    uint64_t completed, failed, cancelled, timed_out, abandoned; /* by the status of the final (C4) */
    uint64_t posted, delivered, discarded;                   /* results; posted == delivered + discarded, once closed */
    uint64_t handles_open;
    uint64_t workers_lost;     /* replaced because abandoned work holds them; of the application */
    weir_blocker *blockers;    /* your array */
    size_t blockers_max, blockers_found;                       /* found may exceed max */
} weir_report;

/* ---- sessions ---- */

typedef struct weir_session_options {
    size_t size;
    const char *name;          /* kept by reference; shows in reports */
    weir_session parent;       /* {0}: none. Cancel and close reach this one, and the parent waits for it (S11) */
    uint32_t reserve;          /* operations for which room is made now: starting that many allocates nothing; but see
                                * below */
    uint32_t live_max;         /* most operations at a time; 0: no limit of its own (Q4); see below */
    int64_t timeout_ns;        /* default deadline of its operations; 0: none */
} weir_session_options;

/* For live_max an operation counts until nothing of it is left in the session: its final callback has returned, its
 * results are acknowledged, its handle is closed. Who was told of the end inside that callback may be a moment early.
 *
 * A reserve is for operations on the normal lane. What few operations need is allocated with each of them all the same:
 * a deadline of its own, a queue of the caller's, and, at the start, the window of those that are fetched or
 * acknowledged by number (of others with the first post). */

/**
 * weir_session_open - a scope for operations
 * Context: any thread; allocates.
 * Return: WEIR_OK; WEIR_NO_MEMORY; WEIR_LIMIT; WEIR_SHUTDOWN (the application closes); WEIR_CLOSED (the parent is
 *         closed); WEIR_INVALID
 */
WEIR_API WEIR_MUST_USE weir_status weir_session_open(weir_app app, const weir_session_options *options,
                                                     weir_session *out);

/** weir_closed_fn - the session is closed: called once, on a worker, after everything else of the session (S4, S5). */
typedef void weir_closed_fn(const weir_report *report, void *ctx);

typedef struct weir_close_options {
    size_t size;
    int64_t drain_ns;          /* so long: no starts, work runs on; WEIR_FOREVER: never cancel. 0: cancel at once */
    int64_t grace_ns;          /* then, after the cancel, so long before abandon */
    int64_t report_ns;      /* log what is missing after this time, and then at 10 times; 0: 1 s; WEIR_FOREVER: never */
    bool abandon;              /* after grace: do not wait for work, tokens, acknowledgements and handles (S9) */
    bool lend;               /* threads inside weir_session_wait for it help: sweeps, finals, the close callback (R5) */
    weir_closed_fn *closed;    /* NULL: nobody needs to be told */
    void *ctx;
} weir_close_options;

/**
 * weir_session_close - cancel everything, now, and call back when it is over (S1 to S6)
 * @closed: NULL, or called exactly once if and only if the answer is WEIR_OK
 *
 * Context: any thread, any callback, also of this session. Never waits, never allocates, never calls @closed inline.
 * Return: WEIR_OK; WEIR_CLOSING (closed before; @closed is not taken, and what drained is cancelled now)
 */
WEIR_API weir_status weir_session_close(weir_session session, weir_closed_fn *closed, void *ctx);

/**
 * weir_session_close_with - the same, told how (S9)
 *
 * Work runs on for drain_ns, then everything is cancelled; grace_ns after that, if abandon is set, what still waits for
 * work, tokens, acknowledgements or handles is abandoned. The times are counted from this call.
 * A later call answers WEIR_CLOSING and shortens: each deadline becomes the earlier one, abandon and lend are turned
 * on (S8); a plain weir_session_close counts as one with drain_ns 0. Context: as weir_session_close.
 * Return: WEIR_OK; WEIR_CLOSING (closed before; closed is not taken); WEIR_INVALID (a time below 0)
 */
WEIR_API weir_status weir_session_close_with(weir_session session, const weir_close_options *options);

/**
 * weir_session_wait - [W] wait until a session is closed (S7)
 * @report: NULL, or filled in on WEIR_OK and on WEIR_TIMED_OUT
 *
 * It begins nothing: close the session first, or somebody else. Any number of threads. Ordering: everything that ran
 * for the session, its close callback included, is visible (E7).
 * Return: WEIR_OK        it is closed, and its close callback has returned
 *         WEIR_TIMED_OUT @report says what is missing
 *         WEIR_STALE     it was closed before; the close callback has returned, too
 *         WEIR_WOULD_DEADLOCK on a worker of the application, or of one that waits for this very one
 */
WEIR_API WEIR_MUST_USE weir_status weir_session_wait(weir_session session, int64_t timeout_ns, weir_report *report);

/**
 * weir_session_cancel - cancel every operation accepted so far; the session stays open (C6)
 * Costs the caller the same for one operation as for a million. If several cancels apply to an operation before anybody
 * has acted on the first, the last one's reason is the one that is seen.
 * Return: WEIR_OK; WEIR_INVALID (a reason that is not yours to give)
 */
WEIR_API weir_status weir_session_cancel(weir_session session, weir_reason reason);

/**
 * weir_session_inspect - what it does and waits for, now (S10)
 * @report: its size set, and blockers with blockers_max if you want to know which
 *
 * Context: any thread, any callback, also the close callback, where the phase is WEIR_PHASE_CLOSED. Takes as long
 * as it takes to look at each of the session's operations; a close that completes meanwhile waits for that (S4).
 * Counts are a moment old: exact when nothing moves. An operation that you could still close, acknowledge, complete or
 * read is a blocker, also of a session that is open.
 * Return: WEIR_OK; WEIR_INVALID (@report too small, or blockers_max without blockers)
 */
WEIR_API weir_status weir_session_inspect(weir_session session, weir_report *report);

/** weir_session_app - the application of a session, until its close callback has returned. Return: WEIR_OK. */
WEIR_API weir_status weir_session_app(weir_session session, weir_app *out);

/* ---- statistics ---- */

enum { WEIR_LATENCY_BUCKETS = 32 };

/* Bucket 0 counts what took less than 2^10 ns, bucket i less than 2^(10 + i). Percentiles are upper bounds: an eighth
 * too high at most in an application's statistics, a factor of two in a session's. */
typedef struct weir_latency {
    uint64_t count, p50_ns, p90_ns, p99_ns, p999_ns, max_ns;
    uint64_t bucket[WEIR_LATENCY_BUCKETS];
} weir_latency;

/* Set size; the rest is filled in. Grows at its end only. */
typedef struct weir_stats {
    size_t size;
    uint64_t accepted, refused;
    uint64_t queued, running, parked, deferred;                /* now */
    uint64_t completed, failed, cancelled, timed_out, abandoned;
    uint64_t posted, delivered, discarded;
    uint64_t misuses;          /* calls answered with an error that only a caller's bug explains: with handles of the
                                * application, of all its sessions; and of the process, without a handle */
    weir_latency cancel_seen;  /* from a cancel to the poll that said so, the hook, or the decision */
    weir_latency cancel_final; /* ... to the final's callback having returned */
    weir_latency cancel_barrier; /* ... of a close to its completion */
} weir_stats;

/**
 * weir_app_stats, weir_session_stats - counts and latencies
 * @stats: its size set
 *
 * Context: any thread, any callback. Takes as long as it takes to look at each operation, as weir_session_inspect.
 * Counts are a moment old. A session's are there until its close callback has returned, an application's while it is
 * open, the counts of its ended sessions included.
 * Return: WEIR_OK; WEIR_INVALID (@stats too small); of a closing application also WEIR_SHUTDOWN
 */
WEIR_API weir_status weir_app_stats(weir_app app, weir_stats *stats);
WEIR_API weir_status weir_session_stats(weir_session session, weir_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
