# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# Sourced by the scripts next to it. require TOOL: goes on if it is there; else the test is skipped
# (77), or failed where CI is set.

require()
{
    command -v "$1" >/dev/null 2>&1 && return 0
    echo "$1 is not installed"
    [ -n "${CI:-}" ] && exit 1
    exit 77
}

sources()                                      # the C files that are analysed
{
    find core workqueue session bench examples -name '*.c' 2>/dev/null | sort
}
