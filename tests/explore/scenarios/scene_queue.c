/* SPDX-License-Identifier: Apache-2.0 */
/* scene_queue.c - workqueue/queue.h and reply.h: order, exactly once, one at a time, and the last of all
 *
 * The jobs write one plain word without any protection, as jobs of a serial queue may: if two ran at once, or one did
 * not see what the one before did (E8), that would be a race.
 *
 * "kills" names mutants that the search was tried with and finds. Two releases of the reply word it does not miss,
 * defer's and settle's: whoever reads those words next got the same by the token, or by the queue's own order. */
#include "tiny_app.h"

enum { JOBS_MAX = 8 };

static weir_queue queue;
static weir_job jobs[JOBS_MAX], closed;
static unsigned order[JOBS_MAX * 2], runs;                     /* plain: the queue's jobs write it in turn */
static weir_status told[JOBS_MAX];                             /* plain, likewise */
static _Atomic int closed_runs;
static unsigned runs_at_closed;

static unsigned index_of(const weir_job *job)
{
    return (unsigned)(job - jobs);
}

static void run(weir_job *job, weir_status status)
{
    unsigned i = index_of(job);
    order[runs++] = i;
    told[i] = status;
}

static void run_closed(weir_job *job, weir_status status)
{
    explore_check(job == &closed && status == WEIR_OK);
    atomic_fetch_add_explicit(&closed_runs, 1, memory_order_relaxed);
    runs_at_closed = runs;                                     /* plain: after the last job */
}

static void begin(const weir_queue_options *options)
{
    tiny_begin();
    for (unsigned i = 0; i < JOBS_MAX; i++)
        jobs[i].fn = run;
    closed.fn = run_closed;
    explore_check(weir_queue_open(tiny_lane(), options, &queue) == WEIR_OK);
}

static weir_status submit(unsigned i)
{
    return weir_job_submit(queue, &jobs[i]);
}

static void *submit_one(void *which)
{
    explore_check(submit((unsigned)(uintptr_t)which) == WEIR_OK);
    return NULL;
}

static void *submit_two(void *which)
{
    explore_check(submit((unsigned)(uintptr_t)which) == WEIR_OK);
    explore_check(submit((unsigned)(uintptr_t)which + 1) == WEIR_OK);
    return NULL;
}

static unsigned times_run(unsigned i)
{
    unsigned times = 0;
    for (unsigned at = 0; at < runs; at++)
        times += order[at] == i;
    return times;
}

static unsigned place_of(unsigned i)
{
    unsigned at = 0;
    while (at < runs && order[at] != i)
        at++;
    return at;
}

static void close_and_end(void)
{
    explore_check(weir_queue_close(queue, false, &closed) == WEIR_OK);
    work_off();
    explore_check(atomic_load(&closed_runs) == 1 && runs_at_closed == runs);
    explore_check(submit(JOBS_MAX - 1) == WEIR_STALE);
    tiny_end();
}

/* ---- order ---- */

/* One submits job 0 and then job 1, the other job 2, two workers pump.
 *
 *      worker a   runs the last job, head BUSY -> NULL, leaves
 *      submitter                                        head NULL -> job, the pump again
 *      worker b                                                        runs it, beside a's leaving: must see a's job
 *
 * kills: P1 relaxed, or without its acquire; P2 relaxed; a backlog that is not turned round */
EXPLORE_SCENARIO(queue_two_submit_and_two_pump, .preemptions = 2, .stale_reads = 1)
{
    begin(NULL);
    pthread_t first = start(submit_two, 0), second = start(work_as_1, 2);
    submit_one((void *)2);
    be_worker(0);
    work(2);
    worker_current = NULL;
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    work_off();
    explore_check(runs == 3 && times_run(0) == 1 && times_run(1) == 1 && times_run(2) == 1);
    explore_check(place_of(0) < place_of(1));
    close_and_end();
}

/* The queue is found idle, or at work, at the very end of its work: the job is not forgotten.
 *
 * kills: pump_next that looks and then stores NULL; P1 relaxed */
EXPLORE_SCENARIO(queue_a_job_comes_when_the_pump_ends, .preemptions = 4, .stale_reads = 1)
{
    begin(NULL);
    submit_one((void *)0);
    pthread_t first = start(work_as_1, 2);
    submit_one((void *)1);
    pthread_join(first, NULL);
    work_off();
    explore_check(runs == 2 && place_of(0) < place_of(1));
    close_and_end();
}

/* ---- close ---- */

static weir_status last_submit;

static void *submit_if_open(void *which)
{
    last_submit = submit((unsigned)(uintptr_t)which);
    return NULL;
}

/* A submit against the close: refused, or run before the closed job; which comes once, last, and sees everything.
 *
 *      worker     runs the job ........ leaves, count 1 -> 0: is it over?
 *      closer              CLOSED, count + 1 ......... leaves: is it over?
 *
 * kills: the close that does not hold the queue meanwhile; queue_leave that completes without CLOSED; B1 relaxed */
EXPLORE_SCENARIO(queue_close_against_submit_and_the_last_leave, .preemptions = 3, .stale_reads = 1)
{
    begin(NULL);
    submit_one((void *)0);
    pthread_t first = start(work_as_1, 2), second = start(submit_if_open, 1);
    explore_check(weir_queue_close(queue, false, &closed) == WEIR_OK);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    work_off();
    explore_check(last_submit == WEIR_OK || last_submit == WEIR_CLOSED || last_submit == WEIR_STALE);
    explore_check(atomic_load(&closed_runs) == 1);
    explore_check(runs == (last_submit == WEIR_OK ? 2u : 1u) && runs_at_closed == runs);
    explore_check(told[0] == WEIR_OK);
    explore_observe(runs);
    tiny_end();
}

static weir_status other_close;

static void *close_too(void *unused)
{
    (void)unused;
    other_close = weir_queue_close(queue, true, NULL);
    return NULL;
}

/* Two closes, one of them an abort: one wins, each job is told something once.
 *
 * kills: the closed job taken from a close that came second */
EXPLORE_SCENARIO(queue_two_closes_and_a_pump, .preemptions = 3, .stale_reads = 1)
{
    begin(NULL);
    submit_two((void *)0);
    pthread_t first = start(work_as_1, 2), second = start(close_too, 0);
    weir_status mine = weir_queue_close(queue, false, &closed);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    work_off();
    explore_check((mine == WEIR_OK) + (other_close == WEIR_OK) == 1);
    explore_check(atomic_load(&closed_runs) == (mine == WEIR_OK));
    explore_check(runs == 2 && place_of(0) < place_of(1));
    explore_check(told[0] == WEIR_OK || told[0] == WEIR_SHUTDOWN);
    explore_check(told[0] == WEIR_OK || told[1] == WEIR_SHUTDOWN);
    tiny_end();
}

/* ---- chained ---- */

/* A queue over a queue: the inner one's close comes through the outer one, which ends later. */
EXPLORE_SCENARIO(queue_over_a_queue, .preemptions = 2, .stale_reads = 1)
{
    weir_queue outer;
    begin(NULL);
    outer = queue;
    explore_check(weir_queue_open(outer, NULL, &queue) == WEIR_OK);
    pthread_t first = start(work_as_1, 3), second = start(submit_one, 0);
    explore_check(weir_job_submit(outer, &jobs[1]) == WEIR_OK);
    pthread_join(second, NULL);
    explore_check(weir_queue_close(queue, false, &closed) == WEIR_OK);
    explore_check(weir_queue_close(outer, false, NULL) == WEIR_OK);
    pthread_join(first, NULL);
    work_off();
    explore_check(runs == 2 && atomic_load(&closed_runs) == 1 && runs_at_closed >= 1);
    tiny_end();
}

/* ---- reply mode ---- */

static weir_token token;
static unsigned second_calls;
static weir_status second_status;

/* Job 0 defers; called again, it has been cancelled or aborted. */
static void run_and_defer(weir_job *job, weir_status status)
{
    order[runs++] = index_of(job);
    if (status == WEIR_OK) {
        weir_status deferred = weir_job_defer(job, &token);
        explore_check(deferred == WEIR_OK);
    } else {
        second_calls++;
        second_status = status;
    }
}

static void begin_reply(void)
{
    begin(WEIR_NEW(weir_queue_options, .reply = true));
    jobs[0].fn = run_and_defer;
    submit_two((void *)0);
}

static weir_status replied, cancelled;

static void *reply(void *unused)
{
    (void)unused;
    replied = weir_job_reply(token);
    return NULL;
}

static void *cancel(void *unused)
{
    (void)unused;
    cancelled = weir_job_cancel(&jobs[0]);
    return NULL;
}

static void *abort_queue(void *unused)
{
    (void)unused;
    explore_check(weir_queue_close(queue, true, &closed) == WEIR_OK);
    return NULL;
}

static void defer_first(void)
{
    begin_reply();
    be_worker(0);
    explore_check(work_once());                                /* job 0 ran, and waits */
    worker_current = NULL;
    explore_check(runs == 1);
}

static void end_reply(void)
{
    work_off();
    explore_check(times_run(1) == 1 && place_of(0) < place_of(1));
    explore_check(order[runs - 1] == 1);
}

/* A reply and a cancel of one deferral: one of them ends it, and one pump goes on.
 *
 * kills: end_deferral that does not look at the state; a winner that does not submit the pump; a settled word that
 * keeps its state */
EXPLORE_SCENARIO(reply_against_cancel, .preemptions = 4, .stale_reads = 1)
{
    defer_first();
    pthread_t first = start(reply, 0), second = start(cancel, 0);
    be_worker(0);
    work(1);
    worker_current = NULL;
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    end_reply();
    explore_check((replied == WEIR_OK) + (cancelled == WEIR_OK) == 1);
    explore_check(second_calls == (cancelled == WEIR_OK));
    explore_observe(second_calls);
    close_and_end();
}

/* All three; an abort may also find the next job not begun. */
EXPLORE_SCENARIO(reply_against_cancel_against_abort, .preemptions = 2, .stale_reads = 1)
{
    defer_first();
    pthread_t first = start(reply, 0), second = start(cancel, 0), third = start(abort_queue, 0);
    be_worker(0);
    work(1);
    worker_current = NULL;
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    pthread_join(third, NULL);
    end_reply();
    explore_check((replied == WEIR_OK) + (cancelled == WEIR_OK) <= 1);
    explore_check(second_calls == (replied != WEIR_OK));
    explore_check(second_calls == 0 || second_status == (cancelled == WEIR_OK ? WEIR_CANCELED : WEIR_SHUTDOWN));
    explore_check(atomic_load(&closed_runs) == 1 && runs_at_closed == runs);
    explore_observe((uint64_t)second_status);
    tiny_end();
}

/* ---- a reply that is as early as can be ---- */

static pthread_t replier;

static void *reply_and_pump(void *unused)
{
    reply(unused);
    be_worker(0);
    work(1);
    return NULL;
}

/* The reply comes while the deferred call has not returned, or while its pump goes to wait; then the replier's worker
 * is the pump, at once.
 *
 *      worker a   the call defers ............. WAITING, and goes
 *      replier                     REPLIED? ............ REPLIED: submits the pump
 *      worker b                                                   is the pump: settles what a has left
 *
 * kills: the pump that writes what it waits for after WAITING; R2 relaxed */
static void run_defer_and_be_replied(weir_job *job, weir_status status)
{
    run_and_defer(job, status);
    replier = start(reply_and_pump, 0);
}

EXPLORE_SCENARIO(reply_comes_before_the_pump_waits, .preemptions = 4, .stale_reads = 2)
{
    begin_reply();
    jobs[0].fn = run_defer_and_be_replied;
    be_worker(1);
    explore_check(work_once());
    worker_current = NULL;
    pthread_join(replier, NULL);
    end_reply();
    explore_check(replied == WEIR_OK && second_calls == 0 && runs == 2);
    close_and_end();
}

static weir_token first_token;
static _Atomic int first_replies;

static void *reply_to_the_first(void *unused)
{
    (void)unused;
    if (weir_job_reply(first_token) == WEIR_OK)
        atomic_fetch_add_explicit(&first_replies, 1, memory_order_relaxed);
    return NULL;
}

/* Two reply to the first deferral while the second one begins: one of them is late, and must not end the second.
 *
 * kills: a token whose sequence is not looked at */
EXPLORE_SCENARIO(reply_too_late_does_not_fit_the_next, .preemptions = 4, .stale_reads = 1)
{
    begin_reply();
    jobs[1].fn = run_and_defer;
    be_worker(0);
    explore_check(work_once());
    first_token = token;
    pthread_t first = start(reply_to_the_first, 0), second = start(reply_to_the_first, 0);
    work(1);
    worker_current = NULL;
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    work_off();
    explore_check(atomic_load(&first_replies) == 1 && runs == 2);
    explore_check(token.bits != first_token.bits && weir_job_reply(token) == WEIR_OK);
    explore_check(weir_job_reply(first_token) == WEIR_STALE);
    close_and_end();
}

/* The pump goes to WAITING while the closer sets ABORT: each looks at the other's word afterwards.
 *
 *      pump     looks: no abort ............. WAITING, for a reply that need not come
 *      closer                    ABORT, looks: not waiting yet
 *
 * kills: R1, each of the four, acquire or acq_rel; the pump that does not look for the abort; the closer that does not
 * look who waits */
EXPLORE_SCENARIO(reply_waiting_meets_an_abort, .preemptions = 4, .stale_reads = 2)
{
    begin_reply();
    pthread_t first = start(work_as_1, 2);
    abort_queue(NULL);
    pthread_join(first, NULL);
    work_off();
    explore_check(atomic_load(&closed_runs) == 1 && runs_at_closed == runs);
    explore_check(times_run(1) == 1 && times_run(0) <= 2);
    tiny_end();
}

/* ---- limits ---- */

static void *submit_with_patience(void *which)
{
    explore_check(weir_job_submit_wait(queue, &jobs[(uintptr_t)which], WEIR_FOREVER) == WEIR_OK);
    return NULL;
}

/* One place, three jobs. Who waits for room says so, and tries again; who leaves makes room, and looks who waits.
 *
 *      waiter   full ....................... waiters + 1, sleeps
 *      worker          count - 1, nobody waits
 *
 * kills: F1, each of the four; no post */
EXPLORE_SCENARIO(queue_with_one_place_and_a_submitter_who_waits, .preemptions = 3, .stale_reads = 2)
{
    begin(WEIR_NEW(weir_queue_options, .limit = 1));
    submit_one((void *)0);
    pthread_t first = start(submit_with_patience, 1);
    be_worker(0);
    explore_check(work_once());                                /* room, whenever the other comes */
    worker_current = NULL;
    pthread_join(first, NULL);
    work_off();
    explore_check(runs == 2);
    close_and_end();
}

/* kills: a limit that is not looked at again when the swap failed */
EXPLORE_SCENARIO(queue_with_one_place_refuses_the_second, .preemptions = 4, .stale_reads = 1)
{
    begin(WEIR_NEW(weir_queue_options, .limit = 1));
    pthread_t first = start(submit_if_open, 0);
    weir_status mine = submit(1);
    pthread_join(first, NULL);
    explore_check((mine == WEIR_OK) + (last_submit == WEIR_OK) == 1);
    explore_check(mine == WEIR_FULL || last_submit == WEIR_FULL);
    work_off();
    explore_check(runs == 1);
    close_and_end();
}

/* ---- a lane with a limit ---- */

static void *submit_to_the_lane(void *which)
{
    explore_check(weir_job_submit_wait(tiny_lane(), &jobs[(uintptr_t)which], WEIR_FOREVER) == WEIR_OK);
    return NULL;
}

/* As the queue with one place.
 *
 * kills: F1 of the lane, each of the four; no post */
EXPLORE_SCENARIO(lane_with_one_place_and_a_submitter_who_waits, .preemptions = 3, .stale_reads = 1)
{
    tiny.options.lane_limit = 1;
    begin(NULL);
    submit_to_the_lane((void *)0);
    pthread_t first = start(submit_to_the_lane, 1);
    be_worker(0);
    explore_check(work_once());
    worker_current = NULL;
    pthread_join(first, NULL);
    work_off();
    explore_check(runs == 2);
    close_and_end();
}

static void *submit_to_the_lane_if_there_is_room(void *which)
{
    last_submit = weir_job_submit(tiny_lane(), &jobs[(uintptr_t)which]);
    return NULL;
}

EXPLORE_SCENARIO(lane_with_one_place_refuses_the_second, .preemptions = 4, .stale_reads = 1)
{
    tiny.options.lane_limit = 1;
    begin(NULL);
    pthread_t first = start(submit_to_the_lane_if_there_is_room, 0);
    weir_status mine = weir_job_submit(tiny_lane(), &jobs[1]);
    pthread_join(first, NULL);
    explore_check((mine == WEIR_OK) + (last_submit == WEIR_OK) == 1);
    work_off();
    explore_check(runs == 1);
    close_and_end();
}

/* ---- a deferred job's memory is used again when its deferral is over (R2) ---- */

static bool submitted_again;
static int answer;                                             /* plain: by who replies, before that */

static void *answer_and_reply(void *unused)
{
    answer = 1;
    return reply(unused);
}

static void *look_whether_it_is_over(void *unused)
{
    weir_status status = weir_job_submit(queue, &jobs[0]);
    explore_check(status == WEIR_OK || status == WEIR_BUSY);
    submitted_again = status == WEIR_OK;
    explore_check(!submitted_again || answer == 1);
    return unused;
}

/* kills: the look of who submits it again relaxed */
EXPLORE_SCENARIO(reply_then_the_job_is_submitted_again, .preemptions = 3, .stale_reads = 1)
{
    defer_first();
    jobs[0].fn = run;
    pthread_t first = start(answer_and_reply, 0), second = start(look_whether_it_is_over, 0);
    be_worker(0);
    work(1);
    worker_current = NULL;
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    work_off();
    explore_check(replied == WEIR_OK && runs == 2U + submitted_again);
    explore_observe(submitted_again);
    close_and_end();
}
