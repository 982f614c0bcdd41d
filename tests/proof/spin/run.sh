#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh WORK-DIRECTORY [deep]: has spin search the model of the session's words, and shows that the search can fail
#
# First the model as it is: no error in any cast, safety and liveness, and no state left out. Then each planted fault:
# an error in the cast that is named with it. deep: liveness of the larger casts, too (4 GB, 5 minutes).
# Exit code 77: spin or a C compiler is not there.

set -u
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" && cd "$1" || exit 1
deep=${2:-}
CC=${CC:-cc}

for tool in spin "$CC"; do
    command -v "$tool" >/dev/null 2>&1 || { echo "skipped: no $tool"; exit 77; }
done

failures=0
complain()
{
    echo "FAILED: $*"
    failures=$((failures + 1))
}

build()                                        # build NAME PROGRAM SPIN-OPTION...: a search program, safe or live
{
    name=$1 program=$2
    shift 2
    flags='-DCOLLAPSE -DNFAIR=3'
    [ "$program" = live ] || flags='-DCOLLAPSE -DSAFETY -DNOCLAIM'
    # shellcheck disable=SC2086                # a list
    mkdir -p "$name"
    (cd "$name" && spin "$@" -a "$here/session.pml" >spin.log 2>&1 && "$CC" -O2 $flags -w -o "$program" pan.c)
}

search()                                       # search NAME PROGRAM OPTION...: prints errors and states
{
    name=$1 program=$2
    shift 2
    (cd "$name" && "./$program" -m200000 "$@" >pan.log 2>&1)
    awk '/errors:/ { errors = $NF } /states, stored/ { states = $1 }
        /max search depth too small|Not completed|aborted/ { part = " (part)" }
        END { printf "%s errors, %d states%s\n", errors == "" ? "?" : errors, states, part }' \
        "$name/pan.log"
}

holds()                                        # holds CAST TEXT PROGRAM OPTION...
{
    cast=$1 text=$2 program=$3
    build "cast$cast" "$program" -DCAST="$cast" || { complain "cast $cast does not build"; return; }
    shift 2
    found=$(search "cast$cast" "$@")
    printf '%-56s %s\n' "$text" "$found"
    case $found in "0 errors"*"(part)" | [!0]*) complain "$text" ;; esac
}

finds()                                        # finds FAULT CAST TEXT PROGRAM OPTION...
{
    fault=$1 cast=$2 text=$3 program=$4
    build "$fault" "$program" -DCAST="$cast" -D"$fault" || { complain "$fault does not build"; return; }
    shift 3
    found=$(search "$fault" "$@")
    what=$(sed -n 's/^pan:[0-9]*: //p' "$fault/pan.log" | head -n 1)
    printf '%-14s %-41s %s\n' "$fault" "$text" "${what:-$found}"
    case $found in "0 errors"* | "?"*) complain "$fault was not found" ;; esac
}

completes='live -a -f -w24 -N close_completes'
reaches='live -a -f -w24 -N cancel_reaches'
# shellcheck disable=SC2086                    # lists
{
    holds 1 'two closers, one drains: safe' safe -w24
    holds 2 'a cancel of all: safe' safe -w24
    holds 3 'a handle, and the slot opened again: safe' safe -w24
    holds 3 'a handle, and the slot opened again: close completes' $completes
    if [ -n "$deep" ]; then
        holds 1 'two closers, one drains: close completes' $completes
        holds 2 'a cancel of all: close completes' $completes
        holds 2 'a cancel of all: it reaches what was accepted' $reaches
    fi
}

finds FAULT_ENTER  1 'a start looks, then enters'               safe
finds FAULT_CLOSER 1 'the closer is not counted'                safe
finds FAULT_LEAVE  1 'a leave takes away, then looks'           safe
finds FAULT_EARLY  1 'leaves before its callback'               safe
finds FAULT_RAISE  1 'the phase before the epoch'               safe
finds FAULT_STALE  3 'an old handle starts in the next session' safe
# shellcheck disable=SC2086
finds FAULT_LATE   2 'a start does not look at the epoch again' $completes
finds FAULT_SWEEP  2 'a sweep forgets an operation'             $completes
finds FAULT_SWEPT  2 'an older sweep ends the cancelling'       $completes

[ $failures -eq 0 ]
