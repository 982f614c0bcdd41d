#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cppcheck.sh: cppcheck over every analysed file. An exception stands in the code, with its reason:
# a comment "cppcheck-suppress RULE" above its line.

set -u
# shellcheck source=tests/analysis/tool.sh
. "$(dirname "$0")/tool.sh"
require cppcheck

# System headers are not read: cppcheck knows the standard library by its own description.
# shellcheck disable=SC2046
exec cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
    --suppress=missingIncludeSystem --suppress=unusedStructMember --error-exitcode=1 \
    -j "$(getconf _NPROCESSORS_ONLN)" -D_GNU_SOURCE -D__x86_64__ -I . -I include $(sources)
