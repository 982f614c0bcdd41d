/* SPDX-License-Identifier: Apache-2.0 */
/* memory_model.c - what an atomic access sees
 *
 * RC11 without load buffering, as an operational model. Every location keeps its last eight stores
 * in modification order, and a load may see any of them that it is not yet past:
 *
 *   - A thread has a view: a set of events, kept as one number per thread (struct clock). Its
 *     floor at a location is the newest store that an event of the view has read or written there.
 *     Loads see the floor or newer.
 *   - A store publishes with its value what the storing thread's view was (release), or was at its
 *     last release fence (relaxed). An acquire load adds what it reads to its view; a relaxed one
 *     only at the next acquire fence. A read-modify-write adds what it read to what it publishes:
 *     that is a release sequence. Later relaxed stores of the same thread do not continue one
 *     (C++20; C11 as published said they do).
 *   - A store usually goes to the end of the modification order. It may also go before stores that
 *     the thread is not past, unless that would separate a read-modify-write from the store it
 *     read.
 *   - Seq_cst: one more slot of every clock counts the seq_cst stores of the run. A seq_cst load's
 *     floor includes the last seq_cst store there, and all that seq_cst fences have seen. A
 *     seq_cst fence exchanges views with all fences before it, and brings the thread past all
 *     seq_cst stores before it. A seq_cst access is no fence for the accesses around it.
 *
 * Besides the view a thread has `happened`, which takes part in all of this but in what seq_cst
 * does: seeing a store is not the same as synchronising with it, and only the second excuses a
 * plain access (shadow.c).
 *
 * The newest store is in memory itself, so that plain accesses, the C library and futex(2) see it
 * there.
 *
 * Not modelled: load buffering (a load that sees a store made possible by it), accesses of
 * different sizes to one location, and stores older than the last eight. */
#include "engine.h"

#include <string.h>

#include "history.h"
#include "shadow.h"

static bool acquires(int order)
{
    return order != __ATOMIC_RELAXED && order != __ATOMIC_RELEASE;
}

static bool releases(int order)
{
    return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

static word truncate(word value, unsigned size)
{
    return size == 16 ? value : value & (((word)1 << 8 * size) - 1);
}

/* ---- views ---- */

static void remember_own(struct location *location, uint32_t stamp)
{
    const struct thread *me = engine.current;
    if (engine.weak)
        history_remember(location, (unsigned)me->id, me->happened.at[me->id], stamp);
}

/* The place of the oldest store that an access of this order may still see. */
static unsigned floor_place(struct location *location, int order)
{
    uint32_t floor = history_floor(location, &engine.current->view);
    if (order == __ATOMIC_SEQ_CST) {
        struct clock all = engine.sc_view;
        all.at[SC_SLOT] = UINT32_MAX;
        uint32_t sc_floor = history_floor(location, &all);
        floor = sc_floor > floor ? sc_floor : floor;
    }
    unsigned place = location->count - 1u;
    while (place > 0 && history_at(location, place)->stamp > floor)
        place--;
    return place;
}

static void see(struct location *location, const struct message *message, int order)
{
    struct thread *me = engine.current;
    remember_own(location, message->stamp);
    clock_join(&me->acquire_happened, &message->happened);
    if (acquires(order))
        clock_join(&me->happened, &message->happened);
    if (engine.weak) {
        clock_join(&me->acquire_view, &message->view);
        if (acquires(order))
            clock_join(&me->view, &message->view);
    }
    thread_saw(me, message->hash);
}

/* `read`: the store that a read-modify-write read, or NULL. */
static void publish(struct location *location, unsigned place, word value, int order, const struct message *read)
{
    struct thread *me = engine.current;
    struct clock happened = releases(order) ? me->happened : me->release_happened;
    struct clock view = releases(order) ? me->view : me->release_view;
    if (read != NULL) {
        clock_join(&happened, &read->happened);
        clock_join(&view, &read->view);
    }
    if (place > 0)
        thread_saw(me, history_at(location, place - 1)->hash);
    bool at_end = place == location->count;
    if (!at_end)
        thread_saw(me, history_at(location, place)->hash);
    struct message *message = history_insert(location, place);
    message->value = value;
    message->by_rmw = read != NULL;
    message->happened = happened;
    message->view = view;
    if (at_end)
        memory_write(location->address, location->size, value);
    remember_own(location, message->stamp);
    if (order == __ATOMIC_SEQ_CST && engine.weak) {
        history_remember(location, SC_SLOT, ++engine.sc_stores, message->stamp);
        thread_saw(me, engine.sc_fence_hash);
        engine.sc_store_hash += me->hash;
    }
    message->hash = me->hash;
    if (releases(order))
        thread_tick(me);
}

/* ---- looking in vain ---- */

static void made_progress(struct thread *me)
{
    me->progress++;
    me->may_spin = 0;
    me->clock_looks = 0;
    engine.idle_yields = 0;
}

/* Looking at the same value again and again without changing anything is spinning. Who walks through memory that he
 * has not seen before is not: there is an end to it. */
static bool looks_in_vain(struct location *location, const struct message *message)
{
    struct thread *me = engine.current;
    unsigned id = (unsigned)me->id;
    if (location->looks[id].progress == UINT32_MAX)
        engine.idle_yields = 0;
    bool same = location->looks[id].progress == me->progress && location->looks[id].value == message->value;
    location->looks[id].progress = me->progress;
    location->looks[id].value = message->value;
    location->looks[id].looks = same ? location->looks[id].looks + 1 : 1;
    return location->looks[id].looks >= (unsigned)engine.bounds.spin;
}

/* ---- accesses ---- */

static struct location *enter(uintptr_t address, unsigned size, int order, bool writes, uintptr_t pc)
{
    unsigned touch = writes ? TOUCH_READ | TOUCH_WRITE : TOUCH_READ;
    if (order == __ATOMIC_SEQ_CST)
        touch |= writes ? TOUCH_SC_READ | TOUCH_SC_WRITE : TOUCH_SC_READ;
    schedule_point(address, touch);
    shadow_atomic(address, size, writes, pc);
    struct location *location = history_find(address, size);
    if (location->first != engine.current->id)
        shadow_make_shared(address);
    return location;
}

/* Alternatives are counted from the newest store back; the newest costs nothing. */
static unsigned choose_age(unsigned alternatives)
{
    if (alternatives <= 1 || engine.left.stale <= 0)
        return 0;
    unsigned age = search_choose_data(alternatives);
    engine.left.stale -= age != 0;
    return age;
}

/* There is no other thread, or none any more: then a load or a store of what no atomic access has met before is a plain
 * one. Whole tables are filled at the start of a run, and looked through at its end. */
static bool is_plain(uintptr_t address)
{
    if (history_is_known(address))
        return false;
    for (int i = 0; i < engine.thread_count; i++)
        if (engine.threads[i].state != THREAD_ENDED && &engine.threads[i] != engine.current)
            return false;
    return true;
}

word model_load(uintptr_t address, unsigned size, int order, uintptr_t pc)
{
    if (is_plain(address)) {
        shadow_atomic(address, size, false, pc);
        return memory_read(address, size);
    }
    struct location *location = enter(address, size, order, false, pc);
    unsigned age = 0;
    if (engine.left.stale > 0)
        age = choose_age(location->count - floor_place(location, order));
    struct message *message = history_at(location, location->count - 1u - age);
    word value = message->value;
    see(location, message, order);
    TRACE(age ? "load (stale)" : "load", address, value, order_name(order), pc);
    if (looks_in_vain(location, message))
        schedule_looked_in_vain();
    return value;
}

void model_store(uintptr_t address, unsigned size, word value, int order, uintptr_t pc)
{
    if (is_plain(address)) {
        shadow_atomic(address, size, true, pc);
        memory_write(address, size, value);
        return;
    }
    struct location *location = enter(address, size, order, true, pc);
    unsigned place = location->count;
    if (engine.left.stale > 0) {
        unsigned places[HISTORY + 1], count = 0;
        unsigned lowest = floor_place(location, order) + 1;
        for (unsigned p = location->count; p >= lowest; p--)
            if (p == location->count || !history_at(location, p)->by_rmw)
                places[count++] = p;
        place = places[choose_age(count)];
    }
    TRACE(place < location->count ? "store (overtaken)" : "store", address, value, order_name(order), pc);
    publish(location, place, truncate(value, size), order, NULL);
    made_progress(engine.current);
}

static word combine(enum rmw how, word old, word operand)
{
    switch (how) {
    case RMW_SET: return operand;
    case RMW_ADD: return old + operand;
    case RMW_SUB: return old - operand;
    case RMW_AND: return old & operand;
    case RMW_OR: return old | operand;
    case RMW_XOR: return old ^ operand;
    case RMW_NAND: break;
    }
    return ~(old & operand);
}

/* The places of the stores that a read-modify-write may read: those that no other one has read. */
static unsigned rmw_places(struct location *location, int order, unsigned *places)
{
    unsigned count = 0;
    places[count++] = location->count - 1u;
    if (engine.left.stale <= 0)
        return count;
    for (unsigned p = location->count - 1u, low = floor_place(location, order); p-- > low;)
        if (!history_at(location, p + 1)->by_rmw)
            places[count++] = p;
    return count;
}

word model_rmw(uintptr_t address, unsigned size, enum rmw how, word operand, int order, uintptr_t pc)
{
    struct location *location = enter(address, size, order, true, pc);
    unsigned places[HISTORY];
    unsigned place = places[choose_age(rmw_places(location, order, places))];
    struct message read = *history_at(location, place);
    word value = truncate(combine(how, read.value, operand), size);
    see(location, &read, order);
    TRACE("exchange", address, value, order_name(order), pc);
    publish(location, place + 1, value, order, &read);
    if (value != read.value)
        made_progress(engine.current);
    else if (looks_in_vain(location, &read))
        schedule_looked_in_vain();
    return read.value;
}

/* A compare-exchange fails on any store it may see that differs, and succeeds on any that equals
 * and that no other read-modify-write has read. */
static unsigned cas_places(struct location *location, word expected, int order, unsigned *places)
{
    unsigned count = 0, low = location->count - 1u;
    if (engine.left.stale > 0)
        low = floor_place(location, order);
    for (unsigned p = location->count; p-- > low;) {
        bool last = p + 1u == location->count;
        if (last || history_at(location, p)->value != expected || !history_at(location, p + 1)->by_rmw)
            places[count++] = p;
    }
    return count;
}

static bool cas_fails(struct location *location, const struct message *read, int order, uintptr_t pc)
{
    see(location, read, order);
    TRACE("compare-exchange fails on", location->address, read->value, order_name(order), pc);
    if (looks_in_vain(location, read))
        schedule_looked_in_vain();
    return false;
}

bool model_cas(uintptr_t address, unsigned size, word *expected, word desired, bool weak, int success, int failure,
               uintptr_t pc)
{
    struct location *location = enter(address, size, success, true, pc);
    unsigned places[HISTORY];
    unsigned place = places[choose_age(cas_places(location, *expected, success, places))];
    struct message read = *history_at(location, place);
    if (read.value != *expected) {
        *expected = read.value;
        return cas_fails(location, &read, failure, pc);
    }
    if (weak && search_risk(&engine.left.spurious)) {
        thread_saw(engine.current, 7);
        return cas_fails(location, &read, failure, pc);
    }
    see(location, &read, success);
    TRACE("compare-exchange", address, desired, order_name(success), pc);
    publish(location, place + 1, truncate(desired, size), success, &read);
    made_progress(engine.current);
    return true;
}

/* ---- fences ---- */

static void exchange_views(struct thread *thread)
{
    thread->view.at[SC_SLOT] = engine.sc_stores;
    clock_join(&thread->view, &engine.sc_view);
    engine.sc_view = thread->view;
    thread_saw(thread, engine.sc_fence_hash);
    thread_saw(thread, engine.sc_store_hash);
    engine.sc_fence_hash = thread->hash;
    engine.sc_store_hash = 0;
}

void model_fence(struct thread *thread, int order)
{
    if (order == __ATOMIC_RELAXED)
        return;
    if (acquires(order)) {
        clock_join(&thread->happened, &thread->acquire_happened);
        clock_join(&thread->view, &thread->acquire_view);
    }
    if (order == __ATOMIC_SEQ_CST && engine.weak)
        exchange_views(thread);
    if (releases(order)) {
        thread->release_happened = thread->happened;
        thread->release_view = thread->view;
        thread_tick(thread);
    }
}

/* membarrier(2): a seq_cst fence in every thread, wherever it stands. Twice, so that all have seen
 * all. A thread that has ended left its processor, and with it its store buffer, behind: it counts
 * too. */
void model_fence_everywhere(void)
{
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < engine.thread_count; i++) {
            thread_saw(&engine.threads[i], engine.current->hash);
            model_fence(&engine.threads[i], __ATOMIC_SEQ_CST);
        }
}

/* The kernel looks at a futex word after a full barrier, and may miss what is still in a store
 * buffer. */
word model_kernel_load(uintptr_t address)
{
    if (engine.left.stale <= 0 || shadow_cell(address)->location[address >> 2 & 1] == 0)
        return memory_read(address, 4);
    struct location *location = &engine.locations[shadow_cell(address)->location[address >> 2 & 1]];
    if (location->address != address || location->size != 4 || location->overwritten)
        return memory_read(address, 4);
    unsigned age = choose_age(location->count - floor_place(location, __ATOMIC_RELAXED));
    struct message *message = history_at(location, location->count - 1u - age);
    remember_own(location, message->stamp);
    thread_saw(engine.current, message->hash);
    return message->value;
}

void model_begin_run(void)
{
    engine.location_count = 0;
    memset(&engine.sc_view, 0, sizeof engine.sc_view);
    engine.sc_stores = 0;
    engine.sc_fence_hash = engine.sc_store_hash = 0;
}
