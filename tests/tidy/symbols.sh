#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# symbols.sh SHARED STATIC INTERNAL HEADER...: what the built libraries show to a linker
#
# The shared library exports what the public headers declare with WEIR_API, all of it weir_*, and
# nothing else, under the soname libweir.so.0. The static one shows nothing else either, except in
# builds with a sanitizer, where it is all objects as they are. No internal name may be one of the C
# library.

set -u
shared=$1 static=$2 internal=$3
shift 3
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

complain()
{
    echo "$*"
    failures=$((failures + 1))
}

symbols()                                      # symbols [-D] FILE: its global names
{
    nm --defined-only "$@" |
        awk 'NF == 3 && $2 ~ /[A-Z]/ && $2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u
}

symbols -D "$shared" >"$work/exported"
grep -v '^weir_' "$work/exported" >"$work/foreign" &&
    complain "exported, but not weir_*: $(paste -s -d ' ' "$work/foreign")"

sed -n 's/^WEIR_API [^(]*[ *]\(weir_[a-z0-9_]*\) *(.*/\1/p' "$@" | sort -u >"$work/declared"
[ -s "$work/declared" ] || complain "no declarations found in $*"
words=$(comm -13 "$work/declared" "$work/exported" | paste -s -d ' ')
[ -n "$words" ] && complain "exported, not declared: $words"
words=$(comm -23 "$work/declared" "$work/exported" | paste -s -d ' ')
[ -n "$words" ] && complain "declared, not there: $words"

objdump -p "$shared" | grep -q 'SONAME *libweir\.so\.0$' ||
    complain "the soname is not libweir.so.0"

symbols "$static" >"$work/static"
symbols "$internal" >"$work/internal"
if ! cmp -s "$work/static" "$work/internal"; then
    comm -3 "$work/static" "$work/exported" >"$work/differ"
    [ -s "$work/differ" ] && complain "not the same in both libraries: $(paste -s -d ' ' "$work/differ")"
fi
libc=$(${CC:-cc} -print-file-name=libc.so.6)
symbols -D "$libc" >"$work/libc"
[ -s "$work/libc" ] || complain "no symbols in $libc"
comm -12 "$work/internal" "$work/libc" >"$work/clash"
[ -s "$work/clash" ] && complain "names of the C library: $(paste -s -d ' ' "$work/clash")"

echo "$(wc -l <"$work/exported") exported, $(wc -l <"$work/static") in the static library," \
     "$(wc -l <"$work/internal") inside"
exit $failures
