#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# tidy.sh [ROOT]: checks the house rules over the tree, C files by tidy.awk, all text files here:
#
#   licence   every script and build file has the SPDX line
#   width     they have at most 120 columns, too
#   path      nothing names a directory of somebody's machine
#   leftover  no note that something remains to be done
#   link      a page links only to files that are there
#
# Prints file:line: rule: text for each find; exit 1 if there was one, or no file at all.
#
# Lists of files are split on purpose: names in this project have no blanks.
# shellcheck disable=SC2046

set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$here/../..}" || exit 1

list()                                         # list FIND-EXPRESSION...: the files of the project
{
    find . \( -name .git -o -path ./build -o -name .cache \) -prune -o -type f \( "$@" \) -print |
        sed 's,^\./,,' | sort
}

check_sources()
{
    awk -f "$here/tidy.awk" $(list -name '*.[ch]')
}

list_scripts()
{
    list -name '*.sh' -o -name '*.awk' -o -name '*.cmake' -o -name CMakeLists.txt \
         -o -path ./dev -o -path ./.ci/run
}

check_scripts()
{
    for file in $(list_scripts); do
        head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2\.0' ||
            echo "$file:1: licence: no SPDX line"
        awk -v file="$file" 'length($0) > 120 {
            printf "%s:%d: width: %d columns\n", file, NR, length($0) }' "$file"
    done
}

check_text()                                   # check_text RULE GREP-OPTION... PATTERN
{
    rule=$1
    shift
    grep -nI "$@" $(list ! -name LICENSE) /dev/null | sed "s/^\([^:]*:[0-9]*:\)/\1 $rule: /"
}

check_links()
{
    for page in $(list -name '*.md'); do
        grep -noE '\]\([^)#]+' "$page" | sed 's/](//' | while IFS=: read -r line target; do
            case $target in
            *://* | mailto:*) ;;
            *) [ -e "$(dirname "$page")/$target" ] ||
                   echo "$page:$line: link: $target is not there" ;;
            esac
        done
    done
}

[ -n "$(list -name '*.[ch]')" ] || { echo "no C file in $PWD"; exit 1; }

# The patterns are written so that they do not find themselves.
finds=$(check_sources
        check_scripts
        check_links
        check_text path -E '(^|[^A-Za-z0-9_.}])/(home|root|tmp|work|Users|mnt)[/]'
        check_text leftover -wE 'TOD[O]|FIXM[E]|XX[X]')

[ -z "$finds" ] && exit 0
printf '%s\n' "$finds"
exit 1
