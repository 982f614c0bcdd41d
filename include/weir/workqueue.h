/* SPDX-License-Identifier: Apache-2.0
 *
 * workqueue.h - jobs on a lock-free, work-stealing thread pool
 *
 * An *application* owns threads and queues. A *job* is a node in the caller's own memory; a *queue* decides when it
 * runs. Nothing here needs a session (weir.h adds those), and nothing here allocates between submit and run.
 *
 *     concurrent queues   one per lane (high, normal, low, blocking); they come with the application
 *     serial queues       first in, first out, one at a time, over a lane or over another serial queue
 *     timers              a job after a delay, once or periodically
 *     descriptor waits    a job when a file descriptor becomes ready
 *     fork and join       jobs on the caller's stack
 *
 * How a job ends (Q1). The function of a one-shot item is called exactly once: with WEIR_OK when it is its turn, with
 * WEIR_CANCELED after a cancel won, with WEIR_SHUTDOWN when its queue was aborted or its application closed. A
 * periodic item is called any number of times with WEIR_OK and then exactly once with one of the other two. The
 * library does not touch the item's memory after it has entered the last call, so the function may free it, or submit
 * it again.
 *
 * Marks. [W] may wait; on a worker of the same application it answers WEIR_WOULD_DEADLOCK unless it need not wait, and
 * so it does on a worker of another one for which this one waits already, itself or by way of others.
 * Everything else never waits and may be called from any thread and from any callback (H2). Nothing is async-signal-
 * safe (R10). Handles are values: any bit pattern is safe to pass (H1), and every function that takes one may answer
 *     WEIR_INVALID   the bits are no handle of that kind
 *     WEIR_STALE     what the handle meant is gone
 *     WEIR_FORKED    the process is a fork of the one that opened it (A3)
 * which is not repeated below. Time-outs are relative nanoseconds; 0 does not wait; WEIR_FOREVER has no end.
 * Structs that you fill start with their size (WEIR_NEW does that); all-zero fields mean the default.
 */
#ifndef WEIR_WORKQUEUE_H
#define WEIR_WORKQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weir_app   { uint64_t bits; } weir_app;
typedef struct weir_queue { uint64_t bits; } weir_queue;
typedef struct weir_token { uint64_t bits; } weir_token;

/* WEIR_NEW(weir_app_options, .workers = 2): a pointer to a filled-in options struct that lives as long as the block. */
#define WEIR_NEW(type, ...) (&(type){ .size = sizeof(type), __VA_ARGS__ })

/* ---- the application ---------------------------------------------------------------------------------------- */

enum { WEIR_LOG_ERROR = 0, WEIR_LOG_WARNING = 1, WEIR_LOG_INFO = 2 };

typedef struct weir_app_options {
    size_t size;
    uint32_t workers;          /* threads that run jobs; 0: one per processor that this process may use; at most 1024 */
    uint32_t blocking_max;     /* most threads of the blocking lane, started on demand; 0: 64 */
    uint32_t lane_limit;       /* most jobs waiting in each concurrent queue; 0: no limit (Q4) */
    size_t stack_size;         /* of each thread; 0: the system's default */
    const char *thread_name;   /* prefix of the threads' names, at most 8 bytes are used; NULL: "weir" */
    /* Called on each thread of the application as its first and its last act: affinity, names, attaching to a VM.
     * worker: a number of its own among them; those of the lanes begin at 0. The handle may not be live yet. */
    void (*on_thread)(weir_app app, uint32_t worker, bool starts, void *ctx);
    /* Memory: alloc returns size bytes aligned to align, or NULL; release gets back what alloc gave, with its size. */
    void *(*alloc)(size_t size, size_t align, void *ctx);
    void (*release)(void *memory, size_t size, void *ctx);
    void (*log)(int level, const char *line, void *ctx);
    /* The clock of timers and deadlines, ns, monotonic (Q7). With a clock of its own the application never sleeps until
     * a deadline: after each step call weir_app_tick(). Time-outs of waiting calls are real time all the same. */
    int64_t (*now)(void *ctx);
    void *ctx;                 /* for all of the above; they must be thread-safe and must not call weir */
} weir_app_options;

/**
 * weir_app_open - start an application: its workers, its control thread, its concurrent queues
 * @options: NULL for the defaults; copied
 * @out:     written on success only
 *
 * Context: any thread; allocates and starts threads.
 * Return: WEIR_OK; WEIR_INVALID (@out NULL, @options too small or out of range); WEIR_NO_MEMORY;
 *         WEIR_LIMIT (63 applications exist); WEIR_SYSTEM (a thread or a descriptor could not be had; nothing is
 *         left over)
 */
WEIR_API WEIR_MUST_USE weir_status weir_app_open(const weir_app_options *options, weir_app *out);

struct weir_report;            /* what a close still waits for; weir.h */

/**
 * weir_app_close - [W] end everything that the application owns, and join its threads (A1)
 * @timeout_ns: how long to wait for user functions that do not return
 * @report:     NULL, or filled in on WEIR_OK and WEIR_TIMED_OUT
 *
 * From the call on, submitting answers WEIR_SHUTDOWN. What waits in queues, timers and descriptor waits is called once
 * with WEIR_SHUTDOWN; what runs is waited for.
 * Context: any thread that is no worker of @app. One closer at a time.
 * Return: WEIR_OK             no thread of the application exists any more; every handle into it is stale
 *         WEIR_TIMED_OUT      something still runs; the application stays closing; call again to go on waiting
 *         WEIR_WOULD_DEADLOCK called on a worker of @app
 *         WEIR_CLOSING        another thread is inside this call
 */
WEIR_API WEIR_MUST_USE weir_status weir_app_close(weir_app app, int64_t timeout_ns, struct weir_report *report);

/** weir_app_tick - look at the application's own clock now: start what is due (Q7). Return: WEIR_OK. */
WEIR_API weir_status weir_app_tick(weir_app app);

/* ---- jobs and queues ---------------------------------------------------------------------------------------- */

typedef struct weir_job weir_job;
typedef void weir_job_fn(weir_job *job, weir_status status);

struct weir_job {              /* zero it, set fn and ctx; the library owns the rest while the job is submitted */
    weir_job_fn *fn;
    void *ctx;
    uint64_t reserved[6];
};

enum { WEIR_NORMAL = 0, WEIR_HIGH = 1, WEIR_LOW = 2, WEIR_BLOCKING = 3 };   /* lanes (Q3) */

/** weir_app_queue - the concurrent queue of a lane; {0} for a bad lane or handle. It is never closed by hand. */
WEIR_API weir_queue weir_app_queue(weir_app app, uint8_t lane);

enum { WEIR_FULL_REFUSE = 0, WEIR_FULL_CALLER_RUNS = 1 };                   /* when a bounded queue is full (Q4) */

typedef struct weir_queue_options {
    size_t size;
    const char *name;          /* kept by reference; shows in reports */
    uint32_t limit;            /* most jobs accepted and not yet over; 0: no limit */
    uint8_t full;              /* WEIR_FULL_...; waiting for room is weir_job_submit_wait() */
    bool concurrent;           /* not serial: jobs go straight on to the target; useful with a limit */
    bool reply;                /* a job may defer; the queue advances when its token is replied */
} weir_queue_options;

/**
 * weir_queue_open - a serial queue (or a bounded concurrent one) over another queue (Q2)
 * @target: where its jobs run: a lane, or a serial queue without a limit, so queues chain. It cannot complete its close
 *          before this one has. Timers and waits that are armed hold the close of their queue, too.
 *
 * Jobs of a serial queue run one at a time in the order of submission; each sees what the one before did (E8).
 * Context: any thread; allocates. Lock-free otherwise.
 * Return: WEIR_OK; WEIR_NO_MEMORY; WEIR_CLOSED (@target is closed); WEIR_SHUTDOWN (the application closes);
 *         WEIR_LIMIT (too many queues); WEIR_INVALID (@out NULL, options that contradict each other or the target:
 *         reply or over a queue with concurrent, WEIR_FULL_CALLER_RUNS without it)
 */
WEIR_API WEIR_MUST_USE weir_status weir_queue_open(weir_queue target, const weir_queue_options *options,
                                                   weir_queue *out);

/**
 * weir_queue_close - no more jobs; the rest runs, or is aborted
 * @abort:  true: jobs that did not run yet are called with WEIR_SHUTDOWN instead
 * @closed: NULL, or a job whose function is called once, with WEIR_OK, on a worker, after the last job of the queue
 *          has returned and after the library's last touch of the queue
 *
 * Context: any thread; never waits, never allocates.
 * Return: WEIR_OK      accepted: @closed will be called exactly once
 *         WEIR_CLOSING it was closed before; @closed is not taken. With @abort the close becomes an abort.
 *         WEIR_INVALID @queue is a lane of the application
 */
WEIR_API weir_status weir_queue_close(weir_queue queue, bool abort, weir_job *closed);

/**
 * weir_job_submit - hand a job to a queue
 * @job: fn set; not in flight. The memory is the library's until fn is entered for the last time.
 *
 * Context: any thread, any callback. Lock-free, never waits, never allocates.
 * Ordering: what the caller wrote before is visible to the job's function (E10).
 * Return: WEIR_OK       fn will be called exactly once, on a worker
 *         WEIR_FULL     a bounded queue is full and refuses
 *         WEIR_CLOSED   the queue was closed; WEIR_SHUTDOWN the application closes
 *         WEIR_BUSY     the job is in flight already; that flight is not disturbed
 *         WEIR_INVALID  @job or its function is NULL
 * On anything but WEIR_OK nothing was taken. With WEIR_FULL_CALLER_RUNS a full queue runs the job inside this call.
 */
WEIR_API WEIR_MUST_USE weir_status weir_job_submit(weir_queue queue, weir_job *job);

/**
 * weir_job_submit_list - hand over several jobs with one publication and one wake-up
 * @accepted: how many of @jobs were taken, from the front; written always
 * Return: as weir_job_submit, for the first job that was not taken; WEIR_OK when all were.
 */
WEIR_API WEIR_MUST_USE weir_status weir_job_submit_list(weir_queue queue, weir_job *const *jobs, size_t count,
                                                        size_t *accepted);

/**
 * weir_job_submit_wait - [W] as weir_job_submit, but wait for room in a bounded queue
 * On a worker of the application a full queue answers WEIR_FULL at once (Q4).
 * Return: also WEIR_TIMED_OUT: no room came in time; nothing was taken.
 */
WEIR_API WEIR_MUST_USE weir_status weir_job_submit_wait(weir_queue queue, weir_job *job, int64_t timeout_ns);

/**
 * weir_job_cancel - ask that a job, timer or descriptor wait does not run (any more) (Q5)
 *
 * Context: any thread, any callback; lock-free. The caller keeps the item's memory valid during the call.
 * Return: WEIR_OK        won: its function is called once with WEIR_CANCELED, on a worker, and never again with WEIR_OK
 *         WEIR_ALREADY   an earlier cancel won
 *         WEIR_TOO_LATE  its last call was entered
 *         WEIR_NOT_FOUND it was never submitted
 *         WEIR_INVALID   @job is NULL, or forked
 */
WEIR_API weir_status weir_job_cancel(weir_job *job);

/**
 * weir_job_cancel_wait - [W] cancel, and return only when no call of the item's function runs or will run
 *
 * The item's memory must stay valid until this returns, so its function must not free it.
 * Return: as weir_job_cancel; WEIR_TIMED_OUT: cancelled, but a call still runs;
 *         WEIR_SHUTDOWN: the application closes, and a call may run until weir_app_close has returned;
 *         WEIR_WOULD_DEADLOCK inside the item's own function, or when it would wait on a worker (the cancel stands)
 */
WEIR_API weir_status weir_job_cancel_wait(weir_job *job, int64_t timeout_ns);

/**
 * weir_job_defer - inside a job of a queue in reply mode: the queue does not advance when this function returns
 * @out: the token; weir_job_reply() with it lets the queue go on
 *
 * At most once per run, and only in a call with WEIR_OK. If the job is cancelled or its queue aborted before the
 * reply, its function is called once more, with WEIR_CANCELED or WEIR_SHUTDOWN, and the token is stale.
 * Return: WEIR_OK; WEIR_INVALID (not inside this job, not a reply queue, or not called with WEIR_OK); WEIR_ALREADY;
 *         WEIR_LIMIT (the queue has counted 2^31 deferrals: open another)
 */
WEIR_API WEIR_MUST_USE weir_status weir_job_defer(weir_job *job, weir_token *out);

/** weir_job_reply - complete a deferred job: its queue advances. Return: WEIR_OK; WEIR_STALE (replied, cancelled). */
WEIR_API weir_status weir_job_reply(weir_token token);

/* ---- time and descriptors ------------------------------------------------------------------------------------ */

typedef struct weir_timer {
    weir_job job;
    uint64_t reserved[4];
} weir_timer;

/**
 * weir_timer_start - submit a timer's job to a queue after a delay, and then every period
 * @delay_ns:  from now, on the application's clock; never early
 * @period_ns: 0: once. Ticks that could not run in time coalesce into one.
 *
 * Context: any thread, any callback; lock-free, never allocates. The cost does not depend on how many are armed.
 * Ends by weir_job_cancel(&timer->job), by the application's close, or (once) by having run.
 * Return: WEIR_OK; WEIR_INVALID; WEIR_BUSY; WEIR_CLOSED; WEIR_SHUTDOWN as weir_job_submit
 */
WEIR_API WEIR_MUST_USE weir_status weir_timer_start(weir_queue queue, weir_timer *timer, int64_t delay_ns,
                                                    int64_t period_ns);

enum { WEIR_READABLE = 1, WEIR_WRITABLE = 2, WEIR_HANGUP = 4, WEIR_FDERROR = 8 };

typedef struct weir_fdwait {
    weir_timer timer;
    int fd;
    uint32_t events;           /* WEIR_READABLE, WEIR_WRITABLE */
    uint32_t ready;            /* written before the call: what became ready; 0: the time-out came first */
    uint32_t reserved0;
    uint64_t reserved[2];
} weir_fdwait;

/**
 * weir_fdwait_start - submit a wait's job when a descriptor becomes ready; one shot
 * @timeout_ns: WEIR_FOREVER, or after which time it is submitted with ready == 0
 *
 * One wait per descriptor at a time; ask for both events in one wait. Close the descriptor only after the last call.
 * Context: any thread; a system call; never waits.
 * Return: WEIR_OK; WEIR_BUSY (the item is in flight, or the descriptor has a wait); WEIR_INVALID (no descriptor, or one
 *         that cannot be waited for, such as a regular file); WEIR_SYSTEM; WEIR_CLOSED; WEIR_SHUTDOWN
 */
WEIR_API WEIR_MUST_USE weir_status weir_fdwait_start(weir_queue queue, weir_fdwait *wait, int64_t timeout_ns);

/* ---- fork and join (Q8) ---------------------------------------------------------------------------------------- */

/**
 * weir_fork - offer a job to idle workers, without giving it away
 * @child: on the caller's stack or elsewhere; joined by the same function before it returns
 *
 * On a worker the child goes to that worker's own deque; elsewhere it runs at the join. Forks nest like calls.
 * Return: WEIR_OK; WEIR_INVALID (no function); WEIR_BUSY (in flight)
 */
WEIR_API weir_status weir_fork(weir_job *child);

/**
 * weir_join - [W] return when a forked job has run: run it here if nobody took it, else help with other forked jobs
 * By the thread that forked it. Never refused: who took the child is running it, so the wait is for work in progress.
 * Ordering: everything the child did is visible (E9).
 * Return: WEIR_OK; WEIR_INVALID (never forked)
 */
WEIR_API weir_status weir_join(weir_job *child);

/**
 * weir_app_run - [W] run a function as a root for fork and join, and return when it has returned
 * @lend: run it on this thread, which counts as a worker meanwhile; else on a worker
 * Return: WEIR_OK; WEIR_SHUTDOWN; WEIR_LIMIT (too many lent threads); WEIR_WOULD_DEADLOCK (without @lend, on a worker)
 */
WEIR_API WEIR_MUST_USE weir_status weir_app_run(weir_app app, weir_job_fn *fn, void *ctx, bool lend);

#ifdef __cplusplus
}
#endif
#endif
