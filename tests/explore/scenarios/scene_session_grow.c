/* SPDX-License-Identifier: Apache-2.0 */
/* scene_session_grow.c - the table of a session's operations becomes larger while others look at it */
#include "tiny_session.h"

enum { FILL = 63 };                                            /* the first block: one group */

static _Atomic unsigned finals, gones;

static void count_final(const weir_result *r, void *ctx)
{
    explore_check(!r->more && ctx == &finals);
    atomic_fetch_add_explicit(&finals, 1, memory_order_relaxed);
}

static void count_gone(void *ctx)
{
    explore_check(ctx == &finals);
    atomic_fetch_add_explicit(&gones, 1, memory_order_relaxed);
}

static weir_status do_nothing(weir_task *task, void *ctx)
{
    (void)task, (void)ctx;
    explore_check(input == 1);
    return WEIR_OK;
}

static const weir_kind kind = {
    .size = sizeof(weir_kind), .work = do_nothing, .on_result = count_final, .gone = count_gone,
};

static void *start_one(void *unused)
{
    explore_check(weir_op_start(session, &kind, &finals, NULL, NULL) == WEIR_OK);
    return unused;
}

static void fill(void)
{
    begin_session_without_room();
    for (unsigned i = 0; i < FILL; i++)
        (void)start_one(NULL);
}

static void end(unsigned count)
{
    finish();
    explore_check(atomic_load(&finals) == count && atomic_load(&gones) == count);
    explore_check(weir_session_close(session, NULL, NULL) == WEIR_OK);
    finish();
    end_app();
}

/* Two want the second block: one makes it, both have a place in it. */
EXPLORE_SCENARIO(session_two_starts_make_the_table_larger, .preemptions = 1, .stale_reads = 1, .spin = 500)
{
    fill();
    pthread_t other = start(start_one, 0);
    (void)start_one(NULL);
    pthread_join(other, NULL);
    end(FILL + 2);
}

/* A worker looks at the first block's marks meanwhile, and finds the second one's. */
EXPLORE_SCENARIO(session_start_makes_the_table_larger_under_a_worker, .preemptions = 1, .stale_reads = 1, .spin = 500)
{
    fill();
    pthread_t worker = start(worker_thread, 2);
    (void)start_one(NULL);
    pthread_join(worker, NULL);
    end(FILL + 1);
}

/* A cancel of all walks both, or what it does not see yet is started after it. */
static void *cancel_all(void *unused)
{
    explore_check(weir_session_cancel(session, REASON) == WEIR_OK);
    return unused;
}

EXPLORE_SCENARIO(session_start_makes_the_table_larger_under_a_sweep, .preemptions = 1, .stale_reads = 1, .spin = 500)
{
    fill();
    pthread_t starter = start(start_one, 0);
    (void)cancel_all(NULL);
    finish();
    pthread_join(starter, NULL);
    end(FILL + 1);
}
