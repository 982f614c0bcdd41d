#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Asks all peers that are built, in turn, round after round, and prints how they compare:
#
#   bench/peers/run.sh [--quick] [--rounds N] [--bin DIR] [--csv FILE] [NAME...]
#
#   --quick      small counts and 3 rounds
#   --rounds N   15 unless told otherwise
#   --bin DIR    where the programs are; build/release/bench/peers unless told otherwise
#   --csv FILE   keep the samples there; build/peers.csv unless told otherwise
#   NAME         only these peers: weir, mutex, glib, ...
#
# The table gives medians; below each its quartiles, and how many times the library's own median it is. A row is won
# where the quartiles of the library and of the peer do not touch.

set -u
here=$(dirname "$0")
root=$here/../..
bin=$root/build/release/bench/peers csv=$root/build/peers.csv rounds='' quick='' chosen=''

usage()
{
    sed -n '4,15s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --quick)  quick=--quick ;;
    --rounds) [ $# -gt 1 ] || usage; rounds=$2; shift ;;
    --bin)    [ $# -gt 1 ] || usage; bin=$2; shift ;;
    --csv)    [ $# -gt 1 ] || usage; csv=$2; shift ;;
    -*)       usage ;;
    *)        chosen="$chosen $1" ;;
    esac
    shift
done
[ -n "$rounds" ] || rounds=$([ -n "$quick" ] && echo 3 || echo 15)

if [ -z "$chosen" ]; then
    for program in "$bin"/peer_*; do
        [ -x "$program" ] && [ -f "$program" ] && chosen="$chosen ${program##*/peer_}"
    done
fi
if [ -z "$chosen" ]; then
    echo "$0: no peers in $bin; build with -DWEIR_BUILD_BENCH=ON -DWEIR_BUILD_PEERS=ON" >&2
    exit 3
fi

mkdir -p "$(dirname "$csv")" || exit 1
: >"$csv"
failed=0 round=1
while [ "$round" -le "$rounds" ]; do
    for name in $chosen; do
        echo "round $round of $rounds: $name" >&2
        timeout 300 "$bin/peer_$name" $quick >"$csv.part" || { echo "peer_$name failed" >&2; failed=1; }
        sed "s/^/$round,/" "$csv.part" >>"$csv"
    done
    round=$((round + 1))
done
rm -f "$csv.part"

LC_ALL=C sort -t , -k 3,3 -k 2,2 -k 5,5g "$csv" | LC_ALL=C awk -f "$here/compare.awk"
exit $failed
