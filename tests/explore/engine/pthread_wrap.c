/* SPDX-License-Identifier: Apache-2.0 */
/* pthread_wrap.c - threads, mutexes, condition variables, once and keys as steps of the explorer
 *
 * A call that may have to wait is first announced and taken (it fails to get what it wants); only
 * then does the thread block. Sleep sets need that: see schedule.c. Who was blocked on a mutex
 * tries again.
 *
 * The attributes' functions are the C library's; what an attribute asks for is ignored, except
 * that condition variables take deadlines on the virtual clock. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "engine.h"
#include "shadow.h"

#define PASS(call)       \
    if (!engine.running) \
    return call

/* ---- threads ---- */

int __real_pthread_create(pthread_t *id, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);
int __real_pthread_join(pthread_t id, void **result);
int __real_pthread_detach(pthread_t id);
pthread_t __real_pthread_self(void);
int __real_pthread_setname_np(pthread_t id, const char *name);
int __real_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);

/* Not small numbers: code that treats a pthread_t as an address should not get away with it. */
static pthread_t name_of(const struct thread *thread)
{
    return 0x7ead0000u + (pthread_t)thread->id;
}

static struct thread *thread_of(pthread_t id)
{
    pthread_t index = id - 0x7ead0000u;
    if (index >= (pthread_t)engine.thread_count)
        explore_fail("T%d uses a pthread_t that is no thread", engine.current->id);
    return &engine.threads[index];
}

int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    PASS(__real_pthread_create(id, attributes, start, argument));
    schedule_point(OBJECT_THREADS, TOUCH_READ | TOUCH_WRITE);
    schedule_meet(schedule_object(OBJECT_THREADS));
    if (search_risk(&engine.left.faults)) {
        TRACE("thread refused", 0, 0, "", CALLER);
        return EAGAIN;
    }
    struct thread *child = schedule_create(start, argument);
    int kind = PTHREAD_CREATE_JOINABLE;
    if (attributes != NULL)
        (void)pthread_attr_getdetachstate(attributes, &kind);
    child->detached = kind == PTHREAD_CREATE_DETACHED;
    thread_tick(engine.current);
    engine.idle_yields = 0;
    shadow_plain((uintptr_t)id, sizeof *id, true, CALLER);
    *id = name_of(child);
    TRACE("creates thread", 0, (word)child->id, "", CALLER);
    return 0;
}

int __wrap_pthread_join(pthread_t id, void **result)
{
    PASS(__real_pthread_join(id, result));
    struct thread *other = thread_of(id);
    struct object *exit = schedule_object(OBJECT_EXIT + (uintptr_t)other->id);
    schedule_point(exit->address, TOUCH_READ);
    if (other == engine.current)
        return EDEADLK;
    if (other->joined || other->detached)
        explore_fail("T%d joins T%d, which is joined or detached already", engine.current->id, other->id);
    if (other->state != THREAD_ENDED)
        (void)schedule_block(exit->address, NEVER, false, "pthread_join");
    other->joined = true;
    schedule_acquire(exit);
    thread_saw(engine.current, exit->hash);
    TRACE("joins thread", 0, (word)other->id, "", CALLER);
    if (result != NULL)
        *result = other->result;
    return 0;
}

int __wrap_pthread_detach(pthread_t id)
{
    PASS(__real_pthread_detach(id));
    thread_of(id)->detached = true;
    return 0;
}

pthread_t __wrap_pthread_self(void)
{
    PASS(__real_pthread_self());
    return name_of(engine.current);
}

int __wrap_pthread_setname_np(pthread_t id, const char *name)
{
    PASS(__real_pthread_setname_np(id, name));
    return strlen(name) < 16 ? 0 : ERANGE;
}

int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    PASS(__real_pthread_sigmask(how, set, old));
    if (old != NULL)
        sigemptyset(old);
    return 0;
}

int __real_pthread_setaffinity_np(pthread_t id, size_t size, const cpu_set_t *set);
int __wrap_pthread_setaffinity_np(pthread_t id, size_t size, const cpu_set_t *set)
{
    PASS(__real_pthread_setaffinity_np(id, size, set));
    return 0;
}

int __real_sched_yield(void);
int __wrap_sched_yield(void)
{
    PASS(__real_sched_yield());
    TRACE("yields", 0, 0, "", CALLER);
    schedule_yield();
    return 0;
}

/* ---- mutexes ---- */

int __real_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int __real_pthread_mutex_destroy(pthread_mutex_t *mutex);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);

static struct object *mutex_step(const void *address, uintptr_t pc)
{
    schedule_point((uintptr_t)address, TOUCH_READ | TOUCH_WRITE);
    shadow_atomic((uintptr_t)address, 8, false, pc); /* finds a mutex in freed memory */
    shadow_make_shared((uintptr_t)address);
    struct object *object = schedule_object((uintptr_t)address);
    schedule_meet(object);
    return object;
}

static void take(struct object *mutex)
{
    mutex->owner = engine.current->id;
    schedule_acquire(mutex);
    engine.idle_yields = 0;
}

static void lock(pthread_mutex_t *address, uintptr_t pc)
{
    struct object *mutex = mutex_step(address, pc);
    while (mutex->owner >= 0) {
        if (mutex->owner == engine.current->id)
            explore_fail("T%d locks a mutex that it holds", engine.current->id);
        (void)schedule_block(mutex->address, NEVER, false, "pthread_mutex_lock");
        thread_saw(engine.current, mutex->hash);
    }
    schedule_meet(mutex);
    take(mutex);
}

static void unlock(struct object *mutex)
{
    if (mutex->owner != engine.current->id)
        explore_fail("T%d unlocks a mutex that it does not hold", engine.current->id);
    mutex->owner = -1;
    schedule_release(mutex);
    struct thread *waiters[THREADS_MAX];
    unsigned count = schedule_waiters(mutex->address, waiters);
    for (unsigned i = 0; i < count; i++) {
        schedule_wake(waiters[i]);
        waiters[i]->next = (struct footprint){mutex->address, TOUCH_READ | TOUCH_WRITE};
    }
}

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    PASS(__real_pthread_mutex_init(mutex, attributes));
    struct object *object = schedule_object((uintptr_t)mutex);
    object->owner = -1;
    return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    PASS(__real_pthread_mutex_destroy(mutex));
    if (mutex_step(mutex, CALLER)->owner >= 0)
        explore_fail("T%d destroys a locked mutex", engine.current->id);
    return 0;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    PASS(__real_pthread_mutex_lock(mutex));
    lock(mutex, CALLER);
    TRACE("locks", (uintptr_t)mutex, 0, "", CALLER);
    return 0;
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    PASS(__real_pthread_mutex_trylock(mutex));
    struct object *object = mutex_step(mutex, CALLER);
    if (object->owner >= 0) {
        schedule_looked_in_vain();
        return EBUSY;
    }
    take(object);
    TRACE("locks", (uintptr_t)mutex, 0, "", CALLER);
    return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    PASS(__real_pthread_mutex_unlock(mutex));
    TRACE("unlocks", (uintptr_t)mutex, 0, "", CALLER);
    unlock(mutex_step(mutex, CALLER));
    return 0;
}

/* ---- condition variables ---- */

int __real_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes);
int __real_pthread_cond_destroy(pthread_cond_t *condition);
int __real_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __real_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until);
int __real_pthread_cond_signal(pthread_cond_t *condition);
int __real_pthread_cond_broadcast(pthread_cond_t *condition);

int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
    PASS(__real_pthread_cond_init(condition, attributes));
    return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *condition)
{
    PASS(__real_pthread_cond_destroy(condition));
    struct thread *waiters[THREADS_MAX];
    (void)mutex_step(condition, CALLER);
    if (schedule_waiters((uintptr_t)condition, waiters) > 0)
        explore_fail("T%d destroys a condition variable that somebody waits for", engine.current->id);
    return 0;
}

static int wait_for(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t deadline, uintptr_t pc)
{
    TRACE("waits for condition", (uintptr_t)condition, 0, "", pc);
    schedule_point((uintptr_t)condition, TOUCH_EVERYTHING); /* unlocking and blocking are one step */
    shadow_atomic((uintptr_t)condition, 8, false, pc);
    schedule_meet(schedule_object((uintptr_t)condition));
    schedule_meet(schedule_object((uintptr_t)mutex));
    unlock(schedule_object((uintptr_t)mutex));
    enum wake_reason reason = schedule_block((uintptr_t)condition, deadline, true, "pthread_cond_wait");
    TRACE(reason == WOKEN       ? "is signalled"
          : reason == TIMED_OUT ? "times out"
                                : "wakes for no reason",
          (uintptr_t)condition, 0, "", pc);
    lock(mutex, pc);
    return reason == TIMED_OUT ? ETIMEDOUT : 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    PASS(__real_pthread_cond_wait(condition, mutex));
    return wait_for(condition, mutex, NEVER, CALLER);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until)
{
    PASS(__real_pthread_cond_timedwait(condition, mutex, until));
    return wait_for(condition, mutex, (int64_t)until->tv_sec * NS_PER_S + until->tv_nsec, CALLER);
}

static void signal_some(pthread_cond_t *condition, bool all, uintptr_t pc)
{
    (void)mutex_step(condition, pc);
    struct thread *waiters[THREADS_MAX];
    unsigned count = schedule_waiters((uintptr_t)condition, waiters);
    if (count == 0)
        return;
    unsigned first = all ? 0 : search_choose_data(count);
    for (unsigned i = first; i < (all ? count : first + 1); i++)
        schedule_wake(waiters[i]);
}

int __wrap_pthread_cond_signal(pthread_cond_t *condition)
{
    PASS(__real_pthread_cond_signal(condition));
    signal_some(condition, false, CALLER);
    TRACE("signals", (uintptr_t)condition, 0, "", CALLER);
    return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *condition)
{
    PASS(__real_pthread_cond_broadcast(condition));
    signal_some(condition, true, CALLER);
    TRACE("signals all", (uintptr_t)condition, 0, "", CALLER);
    return 0;
}

/* ---- once and keys ---- */

int __real_pthread_once(pthread_once_t *control, void (*init)(void));
int __wrap_pthread_once(pthread_once_t *control, void (*init)(void))
{
    PASS(__real_pthread_once(control, init));
    enum { NOT_YET = -1, RUNNING = 1, DONE = 2 };
    struct object *once = mutex_step(control, CALLER);
    while (once->owner == RUNNING)
        (void)schedule_block(once->address, NEVER, false, "pthread_once");
    if (once->owner == NOT_YET) {
        once->owner = RUNNING;
        init();
        once = mutex_step(control, CALLER);
        once->owner = DONE;
        schedule_release(once);
        struct thread *waiters[THREADS_MAX];
        unsigned count = schedule_waiters(once->address, waiters);
        for (unsigned i = 0; i < count; i++)
            schedule_wake(waiters[i]);
    }
    schedule_acquire(once);
    return 0;
}

enum { KEYS_MAX = 16 };
int __real_pthread_key_create(pthread_key_t *key, void (*destructor)(void *));
int __real_pthread_key_delete(pthread_key_t key);
void *__real_pthread_getspecific(pthread_key_t key);
int __real_pthread_setspecific(pthread_key_t key, const void *value);

/* Destructors are not run: say so rather than pretend. */
int __wrap_pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
    PASS(__real_pthread_key_create(key, destructor));
    if (destructor != NULL)
        explore_fail("explorer: no destructors of thread-specific data");
    struct object *keys = mutex_step((void *)OBJECT_KEYS, CALLER);
    if (keys->depth == KEYS_MAX)
        return EAGAIN;
    *key = (pthread_key_t)keys->depth++;
    return 0;
}

int __wrap_pthread_key_delete(pthread_key_t key)
{
    PASS(__real_pthread_key_delete(key));
    return 0;
}

void *__wrap_pthread_getspecific(pthread_key_t key)
{
    PASS(__real_pthread_getspecific(key));
    return key < KEYS_MAX ? engine.current->specific[key] : NULL;
}

int __wrap_pthread_setspecific(pthread_key_t key, const void *value)
{
    PASS(__real_pthread_setspecific(key, value));
    if (key >= KEYS_MAX)
        return EINVAL;
    memcpy(&engine.current->specific[key], &value, sizeof value);
    return 0;
}

int __real_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    PASS(__real_pthread_atfork(prepare, parent, child));
    return 0;
}
