/* SPDX-License-Identifier: Apache-2.0 */
/* engine.h - what the explorer's modules share
 *
 *   main.c          arguments, one row per scenario
 *   search.c        which run comes next: choices, depth-first, random, PCT, replay, known states
 *   schedule.c      who runs next: fibers, candidates, sleep sets, blocking, time
 *   threads.c       how runs and threads begin and end, what threads meet at
 *   memory_model.c  what an atomic access sees: views, orders, fences
 *   history.c       the stores of one location, and who is past which
 *   shadow.c        what a plain access may touch: data races, use after free; restoring globals
 *   heap.c          malloc, free and mmap: refusal and reuse as choices, double free, leaks
 *   pthread_wrap.c  threads, mutexes, condition variables, once, keys
 *   os_wrap.c       futex, membarrier, clock, and small constants
 *   fd_wrap.c       descriptors: eventfd, pipe, timerfd
 *   epoll_wrap.c    epoll and poll on them
 *   tsan_abi.c      the compiler's calls
 *   sites.c         the atomic accesses by the places that make them, and other orders for some
 *   trace.c         the interleaving of a violating run, with source lines
 *   fiber.c         switching stacks
 *
 * One run at a time, on one kernel thread: every "thread" of the code under test is a fiber. The
 * engine itself is compiled without the sanitizer, so its own accesses are invisible to it, and it
 * needs no atomics.
 *
 * All state is in `engine`, which fills whole pages: restoring the program's globals leaves it
 * alone. */
#ifndef EXPLORE_ENGINE_H
#define EXPLORE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "explore.h"

enum {
    THREADS_MAX = 15,      /* in one run, ended ones included */
    SC_SLOT = THREADS_MAX, /* the clock slot of the order of all seq_cst stores */
    CLOCK_SLOTS = THREADS_MAX + 1,
    HISTORY = 8, /* stores remembered per location: how stale a load may be */
    LOCATIONS_MAX = 8192,
    CHOICES_MAX = 1 << 17,
    REPLAY_MAX = 1 << 18,
    OUTCOMES_MAX = 4096,
    CELL_RECORDS = 6,
    PAGE = 4096,
    NS_PER_S = 1000000000,
};
#define NEVER INT64_MAX /* a deadline that does not come */

/* ---- clocks ---- */

/* A set of events that is closed towards the past: of thread i, the events up to at[i]. */
struct clock {
    uint32_t at[CLOCK_SLOTS];
};

static inline void clock_join(struct clock *into, const struct clock *from)
{
    for (int i = 0; i < CLOCK_SLOTS; i++)
        into->at[i] = into->at[i] > from->at[i] ? into->at[i] : from->at[i];
}

/* ---- hashes: the identity of a history, see search.c ---- */

static inline uint64_t hash_mix(uint64_t hash, uint64_t value)
{
    uint64_t x = (hash ^ value) * 0x9E3779B97F4A7C15u + (value << 1);
    x ^= x >> 29;
    x *= 0xBF58476D1CE4E5B9u;
    return x ^ (x >> 32);
}

/* ---- threads ---- */

/* What a thread's next step touches. Two steps of two threads may be swapped unless they conflict.
 */
enum {
    TOUCH_READ = 1,
    TOUCH_WRITE = 2,
    TOUCH_SC_READ = 4,
    TOUCH_SC_WRITE = 8,
    TOUCH_SC_FENCE = 16,
    TOUCH_EVERYTHING = 32,
};
struct footprint {
    uintptr_t object; /* an address, or one of OBJECT_*; 0: nothing shared */
    unsigned touch;
};
enum { OBJECT_THREADS = 1, OBJECT_DESCRIPTORS, OBJECT_HEAP, OBJECT_KEYS, OBJECT_CLOCK, OBJECT_EXIT /* + thread */ };

enum thread_state { THREAD_UNUSED, THREAD_READY, THREAD_BLOCKED, THREAD_ENDED };
enum wake_reason { WOKEN, TIMED_OUT, SPURIOUS };

struct thread {
    int id;
    enum thread_state state;
    struct footprint next; /* announced before the step is taken */
    uint64_t hash;         /* of all that this thread has seen */

    /* Blocked: on what, until when, and how it came back. */
    uintptr_t waits_for;
    const char *waits_in;
    int64_t deadline;
    bool interruptible; /* may also return for no reason */
    enum wake_reason reason;

    /* `happened`: what happens before this point; two accesses outside of it race. `view`: the
     * stores that a load can no longer miss; it also grows by seq_cst fences and by waking up. The
     * acquire_ pair is what an acquire fence would add, the release_ pair what a relaxed store
     * publishes. */
    struct clock happened, acquire_happened, release_happened;
    struct clock view, acquire_view, release_view;

    /* Looking without progress, see schedule_looked_in_vain(). */
    uint32_t progress;
    int may_spin; /* so many vain looks more before it yields */
    unsigned clock_looks;

    int priority; /* PCT */
    void *(*start)(void *);
    void *argument, *result;
    bool joined, detached;
    void *stack_pointer;
    char *tls;
    int saved_errno;
    void *specific[16]; /* pthread_setspecific */
};

/* ---- memory ---- */

__extension__ typedef unsigned __int128 word;

struct message { /* one store */
    word value;
    uint32_t stamp; /* its place in the location's modification order */
    bool by_rmw;    /* nothing may come between it and its predecessor */
    uint64_t hash;
    struct clock happened, view; /* what it publishes */
};

struct trail { /* what one thread has met at one location: grows in both fields */
    uint8_t count;
    struct {
        uint32_t at, stamp;
    } met[HISTORY];
};

struct location {
    uintptr_t address;
    int first; /* the thread that came first */
    uint8_t size, count;
    bool overwritten;       /* a plain store came: the history begins anew */
    uint16_t next;          /* another location in the same half of the cell */
    uint8_t order[HISTORY]; /* indices into messages, oldest first */
    struct message messages[HISTORY];
    struct trail trails[CLOCK_SLOTS];
    struct {
        uint32_t progress;
        unsigned looks;
        word value;
    } looks[THREADS_MAX];
};

enum { RECORD_WRITE = 1, RECORD_ATOMIC = 2 };
struct record { /* one access, for the race check */
    uint32_t at;
    uint8_t bytes, kind, thread, unused;
};
struct cell {     /* the shadow of eight bytes: one cache line */
    uint32_t run; /* valid in that run only */
    uint8_t count;
    uint8_t dead;         /* enum dead */
    uint16_t location[2]; /* atomics in the lower and the upper four bytes */
    uint16_t unused[3];
    struct record records[CELL_RECORDS];
};
enum dead { ALIVE, DEAD_FREED, DEAD_OUTSIDE };

struct region { /* a range of memory with a shadow */
    uintptr_t base;
    size_t size;
    struct cell *cells;
    uint32_t *page_run;   /* the run that last touched the page */
    uint32_t *page_freed; /* the run in which all of it was freed */
    uint64_t *touched;    /* bit per granule: its cell is in use; valid when page_run is */
    uint8_t *shared;      /* bit per granule: two threads have met here, in any run so far */
};

struct object { /* anything else that threads meet at: mutex, futex queue, once */
    uintptr_t address;
    uint32_t run;
    int owner; /* mutex: -1 nobody; once: 2 done */
    int depth;
    struct clock happened, view;
    uint64_t hash;
};

/* ---- search ---- */

struct choice {
    uint8_t count, taken;
    uint32_t skip; /* alternatives not to be tried */
};

struct budget { /* what is left in this run */
    int preemptions, stale, faults, early, spurious, reuse;
};

struct engine {
    bool running; /* inside a run: intercept; outside: pass through */
    bool ready_made;
    bool tracing;
    bool weak; /* stale reads are within the bounds: keep the views */
    uint32_t run;
    struct thread *current;
    struct thread threads[THREADS_MAX];
    int thread_count;
    uint32_t ready;                /* bit per thread: can take a step */
    uint32_t due;                  /* blocked, and its deadline has come */
    uint32_t timed, interruptible; /* blocked, with a deadline; or may return for no reason */
    uint32_t asleep;               /* its next step leads only to what was seen already */
    int64_t now;
    uint64_t steps;
    unsigned idle_yields;
    struct budget left;

    /* memory model */
    struct location *locations;
    unsigned location_count;
    struct clock sc_view; /* what the seq_cst fences so far have seen */
    uint32_t sc_stores;
    uint64_t sc_fence_hash, sc_store_hash;

    struct region arena, globals; /* arena: stacks, then heap, then mappings */
    struct cell *foreign;         /* cells of atomics elsewhere */
    uint32_t *dirty_pages;        /* of both regions, touched in this run */
    unsigned dirty_count;
    char *pristine;        /* the globals at program start */
    uint8_t *always_dirty; /* pages that something uninstrumented writes */
    char *tls_live, *tls_pristine;
    size_t tls_size;
    struct object *objects;
    struct heap *heaps;
    struct descriptors *descriptors;
    struct trace *recorder;
    struct sites *sites; /* NULL: nobody asks for them */

    /* search */
    const explore_scenario *scenario;
    explore_options options;
    explore_bounds bounds;
    struct choice *choices;
    unsigned choice_count, choice_at;
    struct known *known;
    bool reduce, grew, was_cut, learning;
    uint64_t random, pass_began;
    int pct_low;
    uint64_t pct_change[16];
    bool failed;
    char violation[512];
    uintptr_t failed_at, watched;
    char *replay;
    uint64_t *outcomes;
    unsigned outcome_count;
    void *home; /* the stack pointer outside of the fibers */
    volatile uint64_t alarm_step;
    volatile unsigned alarm_ticks;
};
#define ENGINE_PAGES ((sizeof(struct engine) + PAGE - 1) / PAGE)
union engine_in_pages {
    struct engine state;
    char pages[ENGINE_PAGES * PAGE];
};
extern union engine_in_pages explore_engine;
#define engine explore_engine.state

/* ---- search.c ---- */
unsigned search_choose(unsigned count, uint32_t skip); /* among threads: see schedule.c */
unsigned search_choose_data(unsigned count);           /* 0 is the usual case */
bool search_risk(int *budget);                         /* true: the unusual thing happens, and is paid */
bool search_is_known(uint64_t state);
uint64_t search_random(void);

/* ---- schedule.c ---- */
void schedule_init(void);
void schedule_run(void (*body)(void));                 /* one run, from start to end */
void schedule_point(uintptr_t object, unsigned touch); /* before every step that others can see */
void schedule_yield(void);
void schedule_looked_in_vain(void); /* an equal look too many */
enum wake_reason schedule_block(uintptr_t object, int64_t deadline, bool interruptible, const char *in);
void schedule_wake(struct thread *thread);
unsigned schedule_waiters(uintptr_t object, struct thread **waiters); /* first come first */
void schedule_advance(int64_t time);
_Noreturn void schedule_stop(void);  /* the current thread has ended */
_Noreturn void schedule_leave(void); /* end this run */
_Noreturn void schedule_cut(void);   /* the rest of it is known */

/* ---- threads.c ---- */
void schedule_run(void (*body)(void)); /* one run, from start to end */
struct thread *schedule_create(void *(*start)(void *), void *argument);
struct object *schedule_object(uintptr_t address);
void schedule_meet(struct object *object); /* order matters from here on */
void schedule_acquire(const struct object *object);
void schedule_release(struct object *object);

static inline void thread_saw(struct thread *thread, uint64_t what)
{
    thread->hash = hash_mix(thread->hash, what);
}

static inline void thread_tick(struct thread *thread) /* what comes now is not yet published */
{
    thread->view.at[thread->id] = ++thread->happened.at[thread->id];
}

/* ---- memory_model.c ---- */
void model_begin_run(void);
word model_load(uintptr_t address, unsigned size, int order, uintptr_t pc);
void model_store(uintptr_t address, unsigned size, word value, int order, uintptr_t pc);
enum rmw { RMW_SET, RMW_ADD, RMW_SUB, RMW_AND, RMW_OR, RMW_XOR, RMW_NAND };
word model_rmw(uintptr_t address, unsigned size, enum rmw how, word operand, int order, uintptr_t pc);
bool model_cas(uintptr_t address, unsigned size, word *expected, word desired, bool weak, int success, int failure,
               uintptr_t pc);
void model_fence(struct thread *thread, int order);
void model_fence_everywhere(void);
word model_kernel_load(uintptr_t address); /* what futex(2) compares; 4 bytes */
word memory_read(uintptr_t address, unsigned size);
void memory_write(uintptr_t address, unsigned size, word value);

/* ---- fiber.c ---- */
void fiber_switch(void **save, void *to);
void *fiber_prepare(void *stack_top, void (*entry)(void));

/* ---- sites.c ---- */
void sites_record(void);
void sites_print(void);
bool sites_weaken(const char *text);
int site_order(uintptr_t pc, int which, int order); /* which: 1, or 2 for a compare-exchange that fails */

/* ---- trace.c ---- */
void trace_init(void);
void trace_begin(void);
void trace_add(const char *what, uintptr_t address, word value, const char *order, uintptr_t pc);
void trace_print(void);
const char *trace_place(uintptr_t pc, char *buffer, size_t size); /* a mark, until trace_expand */
void trace_expand(char *text, size_t size);                       /* marks to file:line (function) */
const char *trace_name(uintptr_t address, char *buffer, size_t size);
uintptr_t trace_file_address(uintptr_t pc); /* as addr2line(1) wants it: the call is before the address it returns to */
const char *order_name(int order);
#define TRACE(...) (engine.tracing ? trace_add(__VA_ARGS__) : (void)0)
#define CALLER ((uintptr_t)__builtin_return_address(0))

/* ---- fd_wrap.c ---- */
void descriptors_init(void);
void descriptors_begin_run(void);
void descriptors_check_closed(void);
int64_t descriptors_next_expiry(int epoll); /* of the timers an epoll watches */

#endif
