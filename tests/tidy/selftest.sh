#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# selftest.sh: every rule of tidy.sh finds its violation, and nothing else, in a tree made for it.

set -u
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT
spdx='/* SPDX-License-Identifier: Apache-2.0 */'
failures=0

plant()                                        # plant FILE: makes it, with the licence, from stdin
{
    mkdir -p "$tree/$(dirname "$1")"
    { echo "$spdx"; cat; } >"$tree/$1"
}

fresh()                                        # an almost empty tree in which all is well
{
    rm -rf "${tree:?}"/*
    plant core/a.h <<'END'
/* P1: publish.  E1, one end. */
#include <weir/status.h>
#include "core/b.h"
END
    plant core/a.c <<'END'
/* P1: observe.  E1, other end. */
/* acquire: P1 */
int look(_Atomic int *word) { return atomic_load_explicit(word, memory_order_acquire); }
END
    plant tests/unit/test_a.c <<'END'
/* a comment may say sleep( and _anything */
const char *text = "sleep(1) _text";
END
}

expect()                                       # expect RULE FILE: after planting, one find of RULE
{
    out=$("$here/tidy.sh" "$tree") && status=0 || status=$?
    case $out in
    *"
"*) ;;
    "$2":*": $1: "*) [ "$status" -eq 1 ] && return ;;
    esac
    echo "expected one '$1' in $2, got (exit $status): $out"
    failures=$((failures + 1))
}

fresh
out=$("$here/tidy.sh" "$tree") || { echo "finds where nothing is: $out"; failures=1; }

fresh; echo '#include "session/s.h"'   | plant core/b.h;                  expect arrow core/b.h
fresh; echo '#include "session/s.h"'   | plant workqueue/b.h;             expect arrow workqueue/b.h
fresh; echo '#include <weir/weir.h>'   | plant workqueue/b.h;             expect arrow workqueue/b.h
fresh; echo '#include "core/a.h"'      | plant include/weir/weir.h;       expect arrow include/weir/weir.h
fresh; echo '#include "core/a.h"'      | plant examples/e.c;              expect arrow examples/e.c
fresh; echo '#include <ck_ec.h>'       | plant core/b.c;                  expect arrow core/b.c
fresh; echo '#include "tests/x.h"'     | plant core/b.c;                  expect arrow core/b.c
fresh; echo '#include "b.h"'           | plant core/b.c;                  expect arrow core/b.c
fresh; echo '/* E7 */'                 | plant core/b.c;                  expect label core/b.c
fresh; echo '/* P2 here */'            | plant core/a_b.c;                expect label core/a_b.c
fresh; printf '/*\n *   T1 submit   owner   relaxed\n */\n' |
                                         plant core/a_b.c;                expect label core/a_b.c
fresh; echo 'int i = _j;'              | plant core/b.c;                  expect underscore core/b.c
fresh; echo 'int i = __j;'             | plant tests/b.c;                 expect underscore tests/b.c
fresh; echo '#define HELLO 1'          | plant include/weir/b.h;          expect public include/weir/b.h
fresh; echo 'void f(void) { usleep (1); }' | plant tests/b.c;             expect sleep tests/b.c
fresh; printf '%0101d\n' 0             | plant core/b.c;                  expect width core/b.c
fresh; printf '\tint i;\n'             | plant core/b.c;                  expect width core/b.c
fresh; echo 'int i; '                  | plant core/b.c;                  expect width core/b.c
fresh; printf 'void f(void)\n{\n    atomic_thread_fence(memory_order_relaxed);\n}\n' |
                                         plant core/b.c;                  expect fence core/b.c
fresh; { for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do echo "int i$i;"; done
         echo 'int a = memory_order_acquire;'; } | plant core/b.c;        expect order core/b.c
fresh; echo 'int i;' >"$tree/core/b.c";                                   expect licence core/b.c
fresh; echo 'exit 0' >"$tree/core/x.sh";                                  expect licence core/x.sh
fresh; echo "see /ho""me/me/x"         | plant docs/x.md;                 expect path docs/x.md
fresh; echo "[other](other.md)"        | plant docs/x.md;                 expect link docs/x.md
fresh; echo "TO""DO: more"             | plant docs/x.md;                 expect leftover docs/x.md

[ $failures -eq 0 ] && echo "every rule finds its violation"
exit $failures
