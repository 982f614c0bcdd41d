/* SPDX-License-Identifier: Apache-2.0 */
/* threads.c - how a run begins, how threads begin and end, and what they meet at besides memory
 *
 * A thread starts with what its parent had seen. What it has seen at its end goes to who joins it, through an object;
 * so do a mutex, a futex queue and everything else that threads meet at: an object carries clocks from who
 * releases it to who acquires it, and a hash, so that the order in which threads met there is part of the state. */
#include "heap.h"

#include <string.h>

/* ---- objects ---- */

enum { OBJECTS = 4096 };

struct object *schedule_object(uintptr_t address)
{
    size_t i = (size_t)(hash_mix(address, 1) % OBJECTS);
    for (unsigned tries = 0; tries < OBJECTS; tries++, i = (i + 1) % OBJECTS) {
        struct object *object = &engine.objects[i];
        if (object->run != engine.run) {
            memset(object, 0, sizeof *object);
            object->run = engine.run;
            object->address = address;
            object->owner = -1;
            return object;
        }
        if (object->address == address)
            return object;
    }
    explore_fail("explorer: too many mutexes and futexes in one run");
}

void schedule_meet(struct object *object)
{
    thread_saw(engine.current, object->hash);
    object->hash = engine.current->hash;
}

void schedule_acquire(const struct object *object)
{
    clock_join(&engine.current->happened, &object->happened);
    clock_join(&engine.current->view, &object->view);
}

void schedule_release(struct object *object)
{
    clock_join(&object->happened, &engine.current->happened);
    clock_join(&object->view, &engine.current->view);
    thread_tick(engine.current);
}

/* ---- threads ---- */

static _Noreturn void end_of_thread(struct thread *me)
{
    struct object *exit = schedule_object(OBJECT_EXIT + (uintptr_t)me->id);
    schedule_point(exit->address, TOUCH_WRITE);
    TRACE("ends", 0, 0, "", 0);
    schedule_release(exit);
    schedule_meet(exit);
    struct thread *waiters[THREADS_MAX];
    unsigned count = schedule_waiters(exit->address, waiters);
    for (unsigned i = 0; i < count; i++)
        schedule_wake(waiters[i]);
    schedule_stop();
}

static void fiber_main(void)
{
    struct thread *me = engine.current;
    me->result = me->start(me->argument);
    me = engine.current;
    if (me->id == 0)
        schedule_leave();
    end_of_thread(me);
}

struct thread *schedule_create(void *(*start)(void *), void *argument)
{
    if (engine.thread_count == THREADS_MAX)
        explore_fail("explorer: more than %d threads", THREADS_MAX);
    struct thread *t = &engine.threads[engine.thread_count];
    const struct thread *parent = engine.current;
    char *tls = t->tls;
    memset(t, 0, sizeof *t);
    t->tls = tls;
    t->id = engine.thread_count++;
    t->start = start;
    t->argument = argument;
    t->state = THREAD_READY;
    t->priority = (int)(search_random() % 1000);
    if (parent != NULL) {
        t->happened = parent->happened;
        t->view = parent->view;
        t->hash = hash_mix(parent->hash, 5);
    }
    t->happened.at[t->id] = t->view.at[t->id] = 1;
    t->acquire_happened = t->happened;
    t->acquire_view = t->view;
    memcpy(t->tls, engine.tls_pristine, engine.tls_size);
    char *top = (char *)engine.arena.base + (size_t)(t->id + 1) * STACK_SIZE - 64;
    t->stack_pointer = fiber_prepare(top, fiber_main);
    engine.ready |= 1u << t->id;
    return t;
}

static void *run_body(void *body)
{
    void (*run)(void);
    memcpy(&run, &body, sizeof run);
    run();
    return NULL;
}

void schedule_run(void (*body)(void))
{
    void *argument;
    memcpy(&argument, &body, sizeof argument);
    engine.thread_count = 0;
    engine.ready = engine.due = engine.timed = engine.interruptible = 0;
    engine.asleep = 0;
    engine.steps = engine.idle_yields = 0;
    engine.now = NS_PER_S;
    engine.current = NULL;
    engine.current = schedule_create(run_body, argument);
    memcpy(engine.tls_live, engine.tls_pristine, engine.tls_size);
    engine.running = true;
    fiber_switch(&engine.home, engine.current->stack_pointer);
}
