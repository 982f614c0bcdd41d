#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs the benchmarks, the library's own and those of the peers that are built, prints their tables, and makes a page
# of them (report.sh), if gnuplot is there:
#
#   bench/run.sh [--quick] [--rounds N] [--bin DIR] [--report DIR] [NAME...]
#
#   --quick       small counts and one round: in two minutes, to see that all is well, not to quote
#   --rounds N    15 unless told otherwise
#   --bin DIR     where the programs are; build/bench/bench unless told otherwise
#   --report DIR  where samples.csv and index.html go; bench/report unless told otherwise
#   NAME          only these programs, or peers (weir, glib, ...); limits always runs, since the others are read
#                 against it
#
# The programs take turns, round by round, so that a bad minute of the machine falls on all of them. A peer that cannot
# run here is left out, with a word. Exit code: 0 all well, 1 a program of the library failed (the tables have the
# rest), 2 wrong usage, 3 the programs are not built.

set -u
here=$(dirname "$0")
root=$here/..
programs='limits job_outside job_on_worker serial fork_join wake timers memory idle fairness'
programs="$programs close close_parked session_run session_life session_memory"
bin=$root/build/bench/bench report=$here/report rounds='' quick='' chosen=''

usage()
{
    sed -n '4,17s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

peer_is_there() { [ -f "$bin/peers/peer_$1" ] && [ -x "$bin/peers/peer_$1" ]; }

while [ $# -gt 0 ]; do
    case $1 in
    --quick)  quick=--quick ;;
    --rounds) [ $# -gt 1 ] || usage; rounds=$2; shift ;;
    --bin)    [ $# -gt 1 ] || usage; bin=$2; shift ;;
    --report) [ $# -gt 1 ] || usage; report=$2; shift ;;
    -*)       usage ;;
    *)        chosen="$chosen $1" ;;
    esac
    shift
done
[ -n "$rounds" ] || rounds=$([ -n "$quick" ] && echo 1 || echo 15)

peers=''
for program in "$bin"/peers/peer_*; do
    name=${program##*/peer_}
    ! peer_is_there "$name" || peers="$peers $name"
done

# Lists of words are split on purpose.
# shellcheck disable=SC2086
if [ -n "$chosen" ]; then
    own='' some=''
    for name in $chosen; do
        case " $programs | $peers " in
        *" $name "*\|*) own="$own $name" ;;
        *\|*" $name "*) some="$some $name" ;;
        *)              usage ;;
        esac
    done
    programs="limits $(echo " $own " | sed 's/ limits / /')" peers=$some
fi
# shellcheck disable=SC2086
total=$(set -- $programs $peers; echo $(($# * rounds)))

for name in $programs; do
    if [ ! -x "$bin/bench_$name" ]; then
        echo "$0: there is no $bin/bench_$name; build with the preset bench" >&2
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
ask()                                          # ask ROUND PROGRAM
{
    timeout 300 "$2" $quick >"$csv.part"
    answer=$?
    sed "s/^/$1,/" "$csv.part" >>"$csv"
    return $answer
}

table()                                        # table own|peers: the samples of one kind
{
    grep -v '^#' "$csv" | awk -F , -v own=" $programs " -v kind="$1" '
        (index(own, " " $2 " ") > 0) == (kind == "own")'
}

csv=$report/samples.csv
mkdir -p "$report" || exit 1
describe_machine >"$csv"
failed=0 finished=0 began=$(date +%s) per_round=$((total / rounds)) round=1 left_out=''
while [ "$round" -le "$rounds" ]; do
    for name in $programs; do
        progress $finished $round "$name"
        ask $round "$bin/bench_$name" || { echo "bench_$name failed in round $round" >&2; failed=1; }
        finished=$((finished + 1))
    done
    for name in $peers; do
        progress $finished $round "$name"
        ask $round "$bin/peers/peer_$name" || left_out="$left_out $name"
        finished=$((finished + 1))
    done
    round=$((round + 1))
done
rm -f "$csv.part"
[ ! -t 2 ] || printf '\r%60s\r' '' >&2
echo "# load after $(load), $(($(date +%s) - began)) s${left_out:+; could not answer everything:$left_out}" >>"$csv"

grep '^#' "$csv" | sed 's/^# //'
table own | LC_ALL=C sort -t , -k 2,2 -k 3,3 -k 5,5g >"$csv.sorted"
LC_ALL=C awk -f "$here/table.awk" "$here/rows.txt" "$csv.sorted"
table peers | LC_ALL=C sort -t , -k 3,3 -k 2,2 -k 5,5g | LC_ALL=C awk -f "$here/peers/compare.awk"
rm -f "$csv.sorted"
if command -v gnuplot >/dev/null; then
    "$here/report.sh" "$csv" "$report"
fi
exit $failed
