#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# readme.sh SOURCE BUILD LIBDIR: the first C program of README.md, taken from its text, built
# against an installed tree in four ways (pkg-config and CMake, shared and static), and run.

set -u
source=$1 build=$2 libdir=$3
compiler=${CC:-cc}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

fail()
{
    echo "$*"
    exit 1
}

quietly()                                      # quietly COMMAND...: its output only if it fails
{
    "$@" >"$work/log" 2>&1 || { cat "$work/log"; fail "failed: $*"; }
}

runs()                                         # runs PROGRAM: ends well, and says five words and how it ended
{
    timeout 60 "$1" >"$work/output" || fail "$1: exit code $?"
    [ "$(wc -l <"$work/output")" -eq 6 ] || fail "$1: said $(cat "$work/output")"
    echo "$(basename "$1"): $(head -n 1 "$work/output")"
}

quietly cmake --install "$build" --prefix "$work/first"

# An installed tree may be moved: nothing in it may know where it was.
mv "$work/first" "$work/prefix"
awk '/^```c$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' "$source/README.md" \
    >"$work/program.c"
[ -s "$work/program.c" ] || fail "README.md has no C program"

export PKG_CONFIG_PATH="$work/prefix/$libdir/pkgconfig" LD_LIBRARY_PATH="$work/prefix/$libdir"
strict='-std=c11 -Wall -Wextra -Wpedantic -Werror'

# The answers of pkg-config are lists of flags.
# shellcheck disable=SC2046,SC2086
quietly "$compiler" $strict -o "$work/pkgconfig-shared" "$work/program.c" \
    $(pkg-config --cflags --libs weir)
runs "$work/pkgconfig-shared"

# shellcheck disable=SC2046,SC2086
quietly "$compiler" $strict -o "$work/pkgconfig-static" "$work/program.c" \
    $(pkg-config --static --cflags --libs weir | sed 's/-lweir/-l:libweir.a/')
runs "$work/pkgconfig-static"

unset LD_LIBRARY_PATH PKG_CONFIG_PATH
quietly cmake -S "$source/tests/install/consumer" -B "$work/consumer" -G Ninja \
    -DCMAKE_C_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$work/prefix" -DPROGRAM="$work/program.c"
quietly cmake --build "$work/consumer"
runs "$work/consumer/cmake-shared"
runs "$work/consumer/cmake-static"
