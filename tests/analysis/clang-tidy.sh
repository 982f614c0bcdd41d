#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# clang-tidy.sh BUILD-DIRECTORY: clang-tidy over every analysed file; .clang-tidy has the checks.

set -u
# shellcheck source=tests/analysis/tool.sh
. "$(dirname "$0")/tool.sh"
require clang-tidy
export LC_ALL=C

# One file per process: clang 14's va_list checker takes a second file's lists for uninitialized.
# Files outside the compilation database (a part that is not built here) are left out.
for file in $(sources); do
    grep -qF "/$file\"" "$1/compile_commands.json" && echo "$file"
done | xargs -r -n 1 -P "$(getconf _NPROCESSORS_ONLN)" clang-tidy --quiet -p "$1"
