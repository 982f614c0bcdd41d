#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# proof.sh BUILD [deep [LIBFUZZER]]: the second opinions in a row, each with what it printed last, and a verdict
#
# BUILD is a directory in which they are built. The short form takes some minutes, deep half an hour. LIBFUZZER is the
# fuzzer as clang builds it; without it the fuzzer's own driver makes the million inputs.

set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$1/tests/proof
deep=${2:-}
libfuzzer=${3:-}
log=$1/proof.log
: >"$log"
failed=0 done=0

row()                                          # row NAME PATTERN COMMAND...: its last line that fits the pattern
{
    name=$1 pattern=$2
    shift 2
    began=$(date +%s)
    echo "---- $name: $*" >>"$log"
    "$@" >"$log.row" 2>&1
    status=$?
    cat "$log.row" >>"$log"
    verdict=ok
    case $status in
    0) done=$((done + 1)) ;;
    77) verdict=skipped ;;
    *) verdict=FAILED failed=$((failed + 1)) ;;
    esac
    printf '%-22s %-8s %4d s  %s\n' "$name" "$verdict" $(($(date +%s) - began)) \
        "$(grep -E "$pattern" "$log.row" | tail -n 1 | cut -c 1-110)"
}

# shellcheck disable=SC2086                    # deep, or nothing
row spin 'states|skipped' "$here/spin/run.sh" "$build/spin/search" $deep
for model in deque barrier inbox idle slots; do
    [ -x "$build/relacy/relacy_$model" ] || continue
    case $model in
    deque)   amount=300000 bound=3 ;;
    barrier) amount=300000 bound=4 ;;
    inbox)   amount=200000 bound=1 ;;
    idle)    amount=200000 bound=${deep:+2} ;;
    slots)   amount=20000 bound=${deep:+1} ;;
    esac
    [ -n "$bound" ] || case $model in idle) bound=1 ;; *) bound=0 ;; esac
    row "relacy $model" executions "$build/relacy/relacy_$model" $amount $bound
done
faults=0
for program in "$build"/relacy/relacy_*_*; do
    [ -f "$program" ] && [ -x "$program" ] || continue
    faults=$((faults + 1))
    "$program" 100000 1 fault >>"$log" 2>&1 && continue
    echo "not found: $(basename "$program")"
    failed=$((failed + 1))
done
[ $faults -eq 0 ] || echo "relacy: $faults planted faults looked for"
row linearizable linearizable "$build/linearizable/proof_linearizable" "$([ -n "$deep" ] && echo 1000000 || echo 20000)"
if [ -n "$libfuzzer" ]; then
    mkdir -p "$1/fuzz"
    row 'fuzz (libFuzzer, ASan)' 'Done|ERROR' "$libfuzzer" -runs=1000000 -max_len=400 "$1/fuzz" "$here/fuzz/corpus"
else
    row fuzz inputs "$build/fuzz/proof_fuzz" "$([ -n "$deep" ] && echo 1000000x || echo 30)" "$here"/fuzz/corpus/*
fi
endurance=$build/endurance/proof_endurance
if [ -n "$deep" ]; then
    row 'endurance storm' closes "$endurance" storm 100000
    row 'endurance stuck' closes "$endurance" stuck 10000
    row 'endurance soak' closes "$endurance" soak 1000000000
    row 'endurance crowd' closes "$endurance" crowd 20000
    row 'endurance one_core' closes "$endurance" one_core 20000
    row 'endurance stopped' closes "$endurance" stopped 20000
    row 'endurance signals' closes "$endurance" signals 60
    row 'endurance clocks' closes "$endurance" clocks 20000
    row 'endurance forks' closes "$endurance" forks 3000
else
    row 'endurance, all parts' closes "$endurance"
fi
echo "$done well, $failed failed; all of it: $log"
[ $failed -eq 0 ]
