#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# selftest.sh: every rule of tidy.sh finds its violation, and nothing else, in a tree made for it.

set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
tree=$work/tree

plant()                                        # plant FILE: makes it from stdin
{
    mkdir -p "$tree/$(dirname "$1")"
    cat >"$tree/$1"
}
licensed() { echo '/* SPDX-License-Identifier: Apache-2.0 */'; cat; }

fresh()                                        # an almost empty tree in which all is well
{
    rm -rf "$tree"
    licensed <<'END' | plant core/a.h
/* P1: publish.  E1, one end. */
#include <weir/status.h>
#include "core/b.h"
END
    licensed <<'END' | plant core/a.c
/* P1: observe.  E1, other end. */
/* acquire: P1 */
int look(_Atomic int *word) { return atomic_load_explicit(word, memory_order_acquire); }
END
    licensed <<'END' | plant tests/unit/test_a.c
/* a comment may say sleep( and _anything */
const char *text = "sleep(1) _text";
END
}

finds()                                        # finds RULE FILE: made from stdin, it breaks RULE
{
    fresh
    case $2 in *.[ch]) licensed | plant "$2" ;; *) plant "$2" ;; esac
    finds_planted "$1" "$2"
}

finds_planted()                                # tidy.sh has one find, of RULE in FILE
{
    out=$("$here/tidy.sh" "$tree") && status=0 || status=$?
    case $out in
    *"
"*) ;;
    "$2":*": $1: "*) [ "$status" -eq 1 ] && return ;;
    esac
    echo "expected one '$1' in $2, got (exit $status): $out" | tee -a "$work/failures"
}

fresh
out=$("$here/tidy.sh" "$tree") || echo "finds where nothing is: $out" | tee -a "$work/failures"

echo '#include "session/s.h"'      | finds arrow core/b.h
echo '#include "session/s.h"'      | finds arrow workqueue/b.h
echo '#include <weir/weir.h>'      | finds arrow workqueue/b.h
echo '#include "core/a.h"'         | finds arrow include/weir/weir.h
echo '#include "core/a.h"'         | finds arrow examples/e.c
echo '#include <ck_ec.h>'          | finds arrow core/b.c
echo '#include "tests/x.h"'        | finds arrow core/b.c
echo '#include "b.h"'              | finds arrow core/b.c
echo '/* E7 */'                    | finds label core/b.c
echo '/* P2 here */'               | finds label core/a_b.c
printf '/*\n *   T1 submit   owner   relaxed\n */\n' | finds label core/a_b.c
echo 'int i = _j;'                 | finds underscore core/b.c
echo 'int i = __j;'                | finds underscore tests/b.c
echo '#define HELLO 1'             | finds public include/weir/b.h
echo 'void f(void) { usleep (1); }'| finds sleep tests/b.c
echo '    atomic_thread_fence(memory_order_relaxed);' | finds fence core/b.c
{
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do echo "int i$i;"; done
    echo 'int a = memory_order_acquire;'
} | finds order core/b.c
printf '%0121d\n' 0                | finds width core/b.c
printf '\tint i;\n'                | finds width core/b.c
echo 'int i; '                     | finds width core/b.c
{
    echo '# SPDX-License-Identifier: Apache-2.0'
    printf '%0121d\n' 0
} | finds width cmake/x.cmake
echo 'exit 0'                      | finds licence core/x.sh
echo "see /ho""me/me/x"            | finds path docs/x.md
echo "[other](other.md)"           | finds link docs/x.md
echo "TO""DO: more"                | finds leftover docs/x.md

fresh
echo 'int i;' | plant core/b.c
finds_planted licence core/b.c

[ -s "$work/failures" ] && exit 1
echo "every rule finds its violation"
