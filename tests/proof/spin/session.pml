/* SPDX-License-Identifier: Apache-2.0 */
/* session.pml - the session's two words, and the operations, sweeps and callbacks that hang on them, as a model
 *
 * To be read as a specification: session/session_word.h with its proof left to a machine. Each step of that file is one
 * inline here, with its label. Of an operation's word (session/op_steps.h) there is what a close depends on:
 *
 *      NONE --T1--> QUEUED --T2--> RUNNING --T3--> DECIDED --T11--> TAKEN --T12--> DONE --last of T12, T14--> OVER
 *                     +------------- T4, cancel -----^
 *
 * Who acts:
 *      start 0, 1      start an operation each. The first is one with a handle, and its work returns only after it was
 *                      told of a cancel and after the final of the second: user code that blocks
 *      closer          closes, at once or after a drain, which the second closer ends
 *      canceller       cancels all (weir_session_cancel)
 *      handle_closer   closes the handle of operation 0 at any time
 *      worker          claims, runs, delivers. There is one, which can be stuck in the work of operation 0
 *      control         sweeps, delivers, calls the close callback. It runs no work (C7)
 *      opener          opens another session in the slot when the first has ended: what is late must not touch it
 * All of them at once have more states than fit in memory. CAST says who is there beside two starts, a closer, worker
 * and control:
 *      1   a second closer; the first may drain
 *      2   canceller
 *      3   handle_closer, opener
 *
 * Spin interleaves steps, each atomic and seen by all at once. Memory orders are not its matter; the explorer's.
 *
 * Faults, by -D, each to be found: FAULT_ENTER, FAULT_CLOSER, FAULT_LEAVE, FAULT_EARLY, FAULT_LATE, FAULT_STALE,
 * FAULT_SWEEP, FAULT_RAISE, FAULT_SWEPT. What each does stands where it is.
 */

#define FREE       0
#define OPEN       1
#define DRAINING   2
#define CANCELLING 3
#define WAITING    4
#define CLOSED     5

#define NONE    0
#define QUEUED  1
#define RUNNING 2
#define DECIDED 3
#define TAKEN   4
#define DONE    5
#define OVER    6

#define OPS 2

#ifndef CAST
#define CAST 1
#endif

/* ---- the session's word, and its cancel word ---- */

byte phase = OPEN;
byte live = 0;
bit generation = 0;                     /* every handle in this model is of generation 0 */
byte epoch = 0;

/* ---- the operations' words ---- */

byte op[OPS] = NONE;
byte op_epoch[OPS] = 0;                 /* read before G1, fixed afterwards */
bool cancelled[OPS] = false;            /* reason != 0 */
bool handle[OPS] = false;

/* ---- what is due; rescue.c and the nodes see that somebody comes ---- */

byte sweeps = 0;                        /* asked for and not begun */
byte closed_due = 0;

/* ---- history, for the claims only ---- */

bool accepted[OPS] = false;
bool refused[OPS] = false;
byte finals[OPS] = 0;
byte won = 0;                           /* closes that answered OK */
byte closes = 0;                        /* close callbacks */
bool told = false;                      /* session_cancel has returned after operation 0 was accepted */

#define ALIVE (generation == 0 && phase != FREE && phase != CLOSED)
#define NEWER(i) (epoch != op_epoch[i])

/* ---- steps of the session's word ---- */

inline enter(ok)                        /* G1 */
{
#ifdef FAULT_ENTER                      /* a look, then a step: a close comes between */
    ok = (generation == 0 && phase == OPEN);
    if :: ok -> live++ :: else fi
#elif defined(FAULT_STALE)              /* the generation is not compared */
    d_step { ok = (phase == OPEN); if :: ok -> live++ :: else fi }
#else
    d_step { ok = (generation == 0 && phase == OPEN); if :: ok -> live++ :: else fi }
#endif
}

inline shut(ok)                         /* G2 */
{
    d_step {
        ok = (generation == 0 && phase == OPEN);
        if
        :: ok ->
            phase = DRAINING;
#ifndef FAULT_CLOSER                    /* the closer is not counted: the session ends while it still drives */
            live++;
#endif
            won++
        :: else
        fi
    }
}

inline visit(ok)                        /* G3 */
{
    d_step { ok = ALIVE; if :: ok -> live++ :: else fi }
}

inline advance(to, first)               /* G4, by somebody inside */
{
    d_step {
        assert(ALIVE && phase > OPEN && live > 0);
        first = (phase < to);
        if :: first -> phase = to :: else fi
    }
}

inline leave()                          /* G5, and what the last one to leave has to do */
{
#ifdef FAULT_LEAVE                      /* takes away, then looks: two find 0 */
    live--;
    if :: atomic { phase > OPEN && live == 0 -> phase = CLOSED; closed_due++ } :: else fi
#else
    d_step {
        assert(ALIVE && live > 0);
        live--;
        if :: phase > OPEN && live == 0 -> phase = CLOSED; closed_due++ :: else fi
    }
#endif
}

/* ---- cancelling everything ---- */

inline cancel_all()                     /* K1; then asks for a sweep, which gets a place of its own inside, by somebody */
{                                       /* inside. One that has not begun yet will see this epoch, too */
    epoch++;
    d_step { assert(ALIVE && live > 0); if :: sweeps == 0 -> sweeps = 1; live++ :: else fi }
}

/* ---- steps of an operation's word ---- */

inline cancel(i)                        /* T4. What waits is decided at once; what runs decides by its return */
{
    d_step {
        if
        :: !cancelled[i] && op[i] == QUEUED  -> cancelled[i] = true; op[i] = DECIDED
        :: !cancelled[i] && op[i] == RUNNING -> cancelled[i] = true
        :: else
        fi
    }
}

inline settle(i, out)                   /* the end of T12 and T14: out of the session by whichever is the last */
{
    out = (op[i] == DONE && !handle[i]);
    if :: out -> op[i] = OVER :: else fi
}

inline callback(i)
{
    assert(closes == 0);                /* E7: no callback after the close callback */
    finals[i]++;
    assert(finals[i] == 1)              /* R1: one final */
}

inline deliver(i, out)                  /* T11, the callback, T12 */
{
    if
#ifdef FAULT_EARLY                      /* leaves the session before its callback has been called */
    :: atomic { op[i] == DECIDED -> op[i] = TAKEN }
        leave();
        callback(i);
#else
    :: atomic { op[i] == DECIDED -> op[i] = TAKEN; callback(i) }
#endif
        d_step { op[i] = DONE; settle(i, out) }
#ifndef FAULT_EARLY
        if :: out -> leave() :: else fi
#endif
    :: else
    fi
}

/* ---- who acts ---- */

proctype start(byte i)
{
    bool ok;
    byte e;
    e = epoch;                          /* before G1: C6 a */
    enter(ok);
    if
    :: ok ->
        assert(generation == 0 && closes == 0);          /* S1, H1: nothing is accepted any more */
        d_step { op_epoch[i] = e; handle[i] = (i == 0 && CAST == 3); accepted[i] = true; op[i] = QUEUED }         /* T1 */
#ifndef FAULT_LATE                      /* does not look again: a sweep before T1 has not seen the operation */
        if :: NEWER(i) -> cancel(i) :: else fi           /* K3: C6 d */
#endif
    :: else -> refused[i] = true
    fi
}

#define MAY_RETURN(i) (i == 1 || ((cancelled[0] || NEWER(0)) && (refused[1] || finals[1] == 1)))

inline work(i, out)                      /* K2, T2, the work, T3 */
{
    if :: NEWER(i) -> cancel(i) :: else fi
    if
    :: atomic { op[i] == QUEUED -> assert(!cancelled[i]); op[i] = RUNNING }
        atomic {
            MAY_RETURN(i);              /* blocks */
            assert(closes == 0);        /* the work is on a stack */
            op[i] = DECIDED
        }
        deliver(i, out)
    :: else
    fi
}

active proctype worker()
{
    bool out;
end:
    do
    :: op[0] == QUEUED  -> work(0, out)
    :: op[1] == QUEUED  -> work(1, out)
    :: op[0] == DECIDED -> deliver(0, out)
    :: op[1] == DECIDED -> deliver(1, out)
    od
}

inline sweep()                          /* every operation that is older than the epoch */
{
    sweeps = 0;
    if :: op[0] != NONE && NEWER(0) -> cancel(0) :: else fi;
#ifndef FAULT_SWEEP                     /* forgets one, which waits behind a worker that is stuck */
    if :: op[1] != NONE && NEWER(1) -> cancel(1) :: else fi;
#endif
#ifdef FAULT_SWEPT                      /* any sweep of a shut session ends CANCELLING, also one of a cancel before */
    if :: phase > OPEN -> advance(WAITING, first) :: else fi;
#else
    if :: phase == CANCELLING -> advance(WAITING, first) :: else fi;
#endif
    leave()
}

active proctype control()
{
    bool out, first;
end:
    do
    :: sweeps > 0 -> sweep()
    :: op[0] == DECIDED -> deliver(0, out)
    :: op[1] == DECIDED -> deliver(1, out)
    :: closed_due > 0 ->
        d_step {                        /* the close callback */
            closed_due--;
            assert(live == 0);          /* S4: not before the last has left */
            closes++;
            assert(closes == 1 && won == 1);             /* S2, S8: once */
            assert(!accepted[0] || (finals[0] == 1 && op[0] == OVER));
            assert(!accepted[1] || (finals[1] == 1 && op[1] == OVER))
        }
        d_step { phase = FREE; generation = 1 }          /* G6 */
    od
}

proctype opener()
{
    atomic { generation == 1 && phase == FREE -> phase = OPEN }
end:                                    /* H1: nobody who is late comes in */
    live != 0 || phase != OPEN || generation != 1 || closed_due != 0 -> assert(false)
}

inline drive()                          /* K1, then G4: whoever sees CANCELLING finds the epoch raised */
{
#if defined(FAULT_RAISE) || defined(FAULT_SWEPT)         /* G4, then K1, and only by who was first */
    advance(CANCELLING, first);
    if :: first -> cancel_all() :: else fi
#else
    if :: phase < CANCELLING -> cancel_all() :: else fi;
    advance(CANCELLING, first)
#endif
}

proctype closer(bool drains)
{
    bool ok, here, first;
    shut(ok);
    if
    :: ok ->
        if
        :: drains                       /* for now: the deadline, or another close, ends it */
        :: drive()
        fi;
#ifndef FAULT_CLOSER
        leave()
#endif
    :: else ->
        visit(here);                    /* CLOSING; or complete by now */
        if
        :: here ->
            drive();
            assert(epoch > 0);          /* S8: it returns, and what was accepted is cancelled */
            leave()
        :: else
        fi
    fi
}

proctype canceller()
{
    bool here, before;
    before = accepted[0];
    visit(here);
    if :: here -> cancel_all(); leave(); told = before :: else fi
}

proctype handle_closer()         /* T14 */
{
    bool out;
    accepted[0] || refused[0];
    if
    :: accepted[0] ->
        d_step { handle[0] = false; settle(0, out) }
        if :: out -> leave() :: else fi
    :: else
    fi
}

init
{
    atomic {
        run start(0);
        run start(1);
        run closer(CAST == 1);
        if
        :: CAST == 1 -> run closer(false)
        :: CAST == 2 -> run canceller()
        :: CAST == 3 -> run handle_closer(); run opener()
        fi
    }
}

/* ---- liveness: under weak fairness, which is what a scheduler gives ---- */

/* S4: a close that was accepted completes, whatever the user's code in this model does. */
ltl close_completes { [] (won > 0 -> <> (closes == 1 && generation == 1)) }

/* C6: a cancel of everything reaches what was accepted before it. */
ltl cancel_reaches { [] (told -> <> (finals[0] == 1)) }
