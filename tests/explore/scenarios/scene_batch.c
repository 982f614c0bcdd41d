/* SPDX-License-Identifier: Apache-2.0 */
/* scene_batch.c - workqueue/pick.c: a thief between pop and push, against a sleeper
 *
 * Who takes two jobs out of a ring has the second one in his hands before it is in his deque, where others see it. The
 * other worker may look in between, find it in neither place, and go to sleep; and nobody but he can run it, since the
 * first job waits for it. The workers are the library's own, and really sleep; the jobs are there before. */
#include "core/parker.h"
#include "tiny_app.h"

static weir_job first, second;
static struct parker first_ran, second_ran;

static void run_second(weir_job *job, weir_status status)
{
    (void)job;
    explore_check(status == WEIR_OK);
    (void)parker_unpark(&second_ran);
}

static void run_until_second_has_run(weir_job *job, weir_status status)
{
    (void)job;
    explore_check(status == WEIR_OK);
    (void)parker_park(&second_ran, WEIR_FOREVER);
    (void)parker_unpark(&first_ran);
}

static void stop_workers(void)
{
    atomic_store_explicit(&tiny.stopping, true, memory_order_release);                          /* A1 of app.c */
    idle_wake_all(&tiny.idle);
}

/* One preemption, between the two steps, is what it takes; two do not end in a minute.
 *
 * kills: a batch of which nobody is told */
EXPLORE_SCENARIO(batch_a_thief_between_pop_and_push_against_a_sleeper, .preemptions = 1)
{
    size_t accepted;
    weir_job *both[] = { &first, &second };
    tiny_begin();
    explore_check(blocking_init(&tiny, 1) == WEIR_OK);
    first.fn = run_until_second_has_run;
    second.fn = run_second;
    atomic_store_explicit(&tiny.threads, TINY_WORKERS, memory_order_relaxed);
    explore_check(weir_job_submit_list(tiny_lane(), both, 2, &accepted) == WEIR_OK && accepted == 2);
    pthread_t one = start(worker_main, (intptr_t)&tiny_workers[0]);
    pthread_t other = start(worker_main, (intptr_t)&tiny_workers[1]);
    (void)parker_park(&first_ran, WEIR_FOREVER);
    stop_workers();
    pthread_join(one, NULL);
    pthread_join(other, NULL);
    blocking_fini(&tiny);
    tiny_end();
}
