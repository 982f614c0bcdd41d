#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs the benchmarks and prints their table:
#
#   bench/run.sh [--quick] [--rounds N] [--bin DIR] [--csv FILE] [NAME...]
#
#   --quick      small counts and 5 rounds: in two minutes, to see that all is well, not to quote
#   --rounds N   15 unless told otherwise
#   --bin DIR    where the programs are; build/release/bench unless told otherwise
#   --csv FILE   keep the samples there; build/bench.csv unless told otherwise
#   NAME         only these programs; limits always runs, since the others are read against it
#
# The programs take turns, round by round, so that a bad minute of the machine falls on all of them. Exit code: 0 all
# well, 1 a program failed (the table has the rest), 2 wrong usage, 3 the programs are not built.

set -u
here=$(dirname "$0")
root=$here/..
programs='limits job_outside job_on_worker serial fork_join wake timers memory idle fairness'
programs="$programs close close_parked session_run session_life session_memory"
bin=$root/build/release/bench csv=$root/build/bench.csv rounds='' quick='' chosen=''

usage()
{
    sed -n '4,14s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --quick)  quick=--quick ;;
    --rounds) [ $# -gt 1 ] || usage; rounds=$2; shift ;;
    --bin)    [ $# -gt 1 ] || usage; bin=$2; shift ;;
    --csv)    [ $# -gt 1 ] || usage; csv=$2; shift ;;
    -*)       usage ;;
    limits)   ;;
    *)        case " $programs " in *" $1 "*) chosen="$chosen $1" ;; *) usage ;; esac ;;
    esac
    shift
done
[ -n "$rounds" ] || rounds=$([ -n "$quick" ] && echo 5 || echo 15)
[ -z "$chosen" ] || programs="limits$chosen"

# Lists of words are split on purpose.
# shellcheck disable=SC2086
total=$(set -- $programs; echo $(($# * rounds)))

for name in $programs; do
    if [ ! -x "$bin/bench_$name" ]; then
        echo "$0: there is no $bin/bench_$name; build with -DWEIR_BUILD_BENCH=ON" >&2
        exit 3
    fi
done

load() { cut -d ' ' -f 1 /proc/loadavg; }

describe_machine()
{
    model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    echo "# ${model:-unknown processor}, $(getconf _NPROCESSORS_ONLN) of them"
    echo "# Linux $(uname -r), $(date '+%Y-%m-%d %H:%M'), $rounds rounds${quick:+ (quick)}, load before $(load)"
}

# One line that is written over on a terminal, one line for each round elsewhere.
progress()                                     # progress DONE ROUND NAME
{
    now=$(date +%s)
    left='?'
    [ "$1" -lt "$per_round" ] || left=$(((now - began) * (total - $1) / $1))
    if [ -t 2 ]; then
        printf '\rround %d of %d  %-14s %4s s left   ' "$2" "$rounds" "$3" "$left" >&2
    elif [ "$3" = limits ]; then
        echo "round $2 of $rounds, $left s left" >&2
    fi
}

# A program takes seconds; one that takes minutes waits for something that does not come.
run_one()                                      # run_one ROUND NAME
{
    if ! timeout 180 "$bin/bench_$2" $quick >"$csv.part"; then
        echo "bench_$2 failed in round $1" >&2
        failed=1
    fi
    sed "s/^/$1,/" "$csv.part" >>"$csv"
}

mkdir -p "$(dirname "$csv")" || exit 1
describe_machine >"$csv"
failed=0 finished=0 began=$(date +%s) per_round=$((total / rounds)) round=1
while [ "$round" -le "$rounds" ]; do
    for name in $programs; do
        progress $finished $round "$name"
        run_one $round "$name"
        finished=$((finished + 1))
    done
    round=$((round + 1))
done
rm -f "$csv.part"
[ ! -t 2 ] || printf '\r%60s\r' '' >&2
echo "# load after $(load), $(($(date +%s) - began)) s" >>"$csv"

grep '^#' "$csv" | sed 's/^# //'
grep -v '^#' "$csv" | LC_ALL=C sort -t , -k 2,2 -k 3,3 -k 5,5n >"$csv.sorted"
LC_ALL=C awk -f "$here/table.awk" "$here/rows.txt" "$csv.sorted"
rm -f "$csv.sorted"
exit $failed
