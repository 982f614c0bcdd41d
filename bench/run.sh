#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs the benchmarks, the library's own and those of the peers that are built, prints their tables, and makes a page
# of them (report.sh), if gnuplot is there:
#
#   bench/run.sh [--quick] [--rounds N] [--bin DIR] [--report DIR] [NAME...]
#
#   --quick       small counts, no repetition, one round unless told otherwise: to see that all is well. A round ends
#                 within two minutes: what a busy machine leaves no time for is left out, with a word
#   --rounds N    15 unless told otherwise
#   --bin DIR     where the programs are; build/bench/bench unless told otherwise
#   --report DIR  where samples.csv and index.html go; bench/report unless told otherwise
#   NAME          only these programs, or peers (weir, glib, ...); limits always runs, since the others are read
#                 against it
#
# The programs take turns, round by round, so that a bad minute of the machine falls on all of them. Programs with a
# row whose limit was noisy are asked for as many rounds again, and once more, beside the limits (samples.awk). A peer
# that cannot run here is left out, with a word. Each program has 2 GiB of memory, and nobody needs to be root. Exit
# code: 0 all well, 1 a program of the library failed (the tables have the rest), 2 wrong usage, 3 the programs are not
# built.

set -u
here=$(dirname "$0")
root=$here/..
bin=$root/build/bench/bench report=$here/report rounds='' quick='' chosen=''
attempts=3 memory_kib=2097152 quick_s=105
programs=$(sed -n 's/^\([a-z_]*\) : .*/\1/p' "$here/rows.txt" | tr '\n' ' ')

usage()
{
    sed -n '4,21s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

peer_is_there() { [ -f "$bin/peers/peer_$1" ] && [ -x "$bin/peers/peer_$1" ]; }

while [ $# -gt 0 ]; do
    case $1 in
    --quick)  quick=--quick attempts=1 ;;
    --rounds) [ $# -gt 1 ] || usage; rounds=$2; shift ;;
    --bin)    [ $# -gt 1 ] || usage; bin=$2; shift ;;
    --report) [ $# -gt 1 ] || usage; report=$2; shift ;;
    -*)       usage ;;
    *)        chosen="$chosen $1" ;;
    esac
    shift
done
[ -n "$rounds" ] || rounds=$([ -n "$quick" ] && echo 1 || echo 15)
quick_s=$((quick_s * rounds))

peers=''
for program in "$bin"/peers/peer_*; do
    name=${program##*/peer_}
    ! peer_is_there "$name" || peers="$peers $name"
done
missing=
[ ! -s "$bin/peers/missing" ] || missing=$(paste -s -d ';' "$bin/peers/missing" | sed 's/;/; /g')

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

# count is there on some machines only; nothing else may be missing.
found=
for name in $programs; do
    if [ -x "$bin/bench_$name" ]; then
        found="$found $name"
    elif [ "$name" != count ]; then
        echo "$0: there is no $bin/bench_$name; build with the preset bench" >&2
        exit 3
    fi
done
programs=$found

load() { cut -d ' ' -f 1 /proc/loadavg; }

describe_machine()
{
    model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    echo "# ${model:-unknown processor}, $(getconf _NPROCESSORS_ONLN) of them"
    echo "# Linux $(uname -r), $(date '+%Y-%m-%d %H:%M'), $rounds rounds${quick:+ (quick)}, load before $(load)"
    [ -z "$missing" ] || echo "# peers that are not built: $missing"
}

# One line that is written over on a terminal, one line for each round elsewhere.
progress()                                     # progress ATTEMPT ROUND NAME
{
    now=$(date +%s)
    left='?'
    [ "$finished" -lt "$per_round" ] || left=$(((now - began) * (total - finished) / finished))
    again=
    [ "$1" = 1 ] || again=" (again, the limits were noisy: $1 of $attempts)"
    if [ -t 2 ]; then
        printf '\rround %d of %d%s  %-14s %4s s left   ' "$2" "$rounds" "$again" "$3" "$left" >&2
    elif [ "$3" = limits ]; then
        echo "round $2 of $rounds$again, $left s left" >&2
    fi
}

# A program takes seconds; one that takes minutes waits for something that does not come.
ask()                                          # ask ATTEMPT ROUND PROGRAM
{
    limit=300
    [ -z "$quick" ] || limit=$((quick_s - $(date +%s) + first))
    finished=$((finished + 1))
    if [ $limit -gt 0 ]; then
        # shellcheck disable=SC3045           # dash and bash have -d
        (ulimit -d $memory_kib && exec timeout $limit "$3" $quick) >"$csv.part"
        answer=$?
        sed "s/^/$1,$2,/" "$csv.part" >>"$csv"
    fi
    if [ -n "$quick" ] && { [ $limit -le 0 ] || [ "$answer" -eq 124 ]; }; then
        no_time="$no_time $name"
        return 0
    fi
    return "$answer"
}

# Every round of PROGRAMS, and of PEERS after them.
# shellcheck disable=SC2086
attempt()                                      # attempt NUMBER PROGRAMS PEERS
{
    per_round=$(set -- $2 $3; echo $#)
    total=$((per_round * rounds)) finished=0 began=$(date +%s) round=1
    while [ "$round" -le "$rounds" ]; do
        for name in $2; do
            progress "$1" $round "$name"
            ask "$1" $round "$bin/bench_$name" || { echo "bench_$name failed in round $round" >&2; failed=1; }
        done
        for name in $3; do
            progress "$1" $round "$name"
            ask "$1" $round "$bin/peers/peer_$name" || left_out="$left_out $name"
        done
        round=$((round + 1))
    done
}

csv=$report/samples.csv
mkdir -p "$report" || exit 1
describe_machine >"$csv"
failed=0 left_out='' no_time='' first=$(date +%s)
attempt 1 "$programs" "$peers"
number=1
while [ $number -lt $attempts ]; do
    noisy=$(LC_ALL=C awk -f "$here/samples.awk" -f "$here/noisy.awk" "$here/rows.txt" "$csv" | tr '\n' ' ')
    [ -n "$noisy" ] || break
    number=$((number + 1))
    attempt $number "limits $noisy" ''
done
rm -f "$csv.part"
[ ! -t 2 ] || printf '\r%90s\r' '' >&2
[ -z "$no_time" ] || no_time="; no time for$no_time"
# shellcheck disable=SC2086
[ -z "$left_out" ] || left_out="; could not answer everything: $(printf '%s\n' $left_out | sort -u | paste -s -d ' ' -)"
echo "# load after $(load), $(($(date +%s) - first)) s$left_out$no_time" >>"$csv"

grep '^#' "$csv" | sed 's/^# //'
for part in table.awk peers/compare.awk model.awk; do
    LC_ALL=C awk -f "$here/samples.awk" -f "$here/$part" "$here/rows.txt" "$csv"
done
if command -v gnuplot >/dev/null; then
    "$here/report.sh" "$csv" "$report"
else
    echo "no page: gnuplot is missing (Debian: gnuplot-nox)"
fi
exit $failed
