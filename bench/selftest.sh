#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# selftest.sh: run.sh and its tables over programs that print what is asked of them. A row with a limit that is noisy at
# first is asked twice, one whose limit stays noisy three times and says so, one without a limit once.

set -u
run=$(cd "$(dirname "$0")" && pwd)/run.sh
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

program()                                      # program NAME: its commands on stdin
{
    { echo '#!/bin/sh'; cat; } >"$dir/bench_$1"
    chmod +x "$dir/bench_$1"
}

program limits <<END
n=\$(cat "$dir/calls" 2>/dev/null || echo 0)
n=\$((n + 1))
echo \$n >"$dir/calls"
echo "limits,read-modify-write,ns,\$((n <= 3 ? n * 10 : 20))"
echo "limits,line round trip,ns,\$((n % 3 * 100 + 100))"
END
echo 'echo "fork_join,2 workers,ns/leaf,10"' | program fork_join
echo 'echo "cancel,polling knows p50,ns,300"' | program cancel
echo 'echo "memory,queued job,B,65"' | program memory

"$run" --bin "$dir" --report "$dir/report" --rounds 3 memory fork_join cancel >"$dir/out" 2>"$dir/err" || {
    cat "$dir/out" "$dir/err"
    exit 1
}

failed=0
expect()                                       # expect WHAT GOT WANTED
{
    [ "$2" = "$3" ] && return
    echo "$1: '$2', not '$3'"
    failed=1
}
samples() { grep -c ",$1," "$dir/report/samples.csv"; }
verdict() { sed -n "s/^  $1  .*  \([a-z][a-z ]*\)\$/\1/p" "$dir/out"; }

expect "no limit: samples" "$(samples memory)" 3
expect "noisy at first: samples" "$(samples fork_join)" 6
expect "always noisy: samples" "$(samples cancel)" 9
expect "no limit: verdict" "$(verdict 'queued job')" over
expect "noisy at first: verdict" "$(verdict '2 workers')" ok
expect "always noisy: verdict" "$(verdict 'polling knows p50')" noisy
exit $failed
