#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# translate.sh ROOT OUTPUT [FILE SED-EXPRESSION]: the library's own lock-free files, as C++ for Relacy
#
# What changes is spelling only: `_Atomic type` becomes `_Atomic(type)`, which the shim's <stdatomic.h> makes an
# rl::atomic; assignments of whole structs, which rl::atomic forbids, go (the models initialise member by member).
# A page of the slot table's directory gets two chunks instead of 128. Headers that reach further down (futex, memory,
# job, verify) are the shim's. With FILE and SED-EXPRESSION a fault is planted: exactly one line of FILE must change.

set -eu
root=$1 out=$2
here=$(cd "$(dirname "$0")" && pwd)

rm -rf "$out"
mkdir -p "$out/core/shadow" "$out/workqueue" "$out/session"

translate()                                    # translate FILE [SED-EXPRESSION]
{
    sed -E -e 's/_Atomic ([a-z0-9_]+)/_Atomic(\1)/g' -e '/^static_assert\(sizeof/d' ${2:+-e "$2"} \
        "$root/$1" >"$out/$1"
}

for file in core/barrier.h core/parker.h core/idle.h core/cache.h core/handle.h workqueue/deque.h \
            session/session_word.h; do
    translate $file
done
translate core/asymmetric.h '/^extern /d'     # the model has them
translate core/slots.h       's/SLOTS_PAGE_CHUNKS = 128/SLOTS_PAGE_CHUNKS = 2/'
translate core/slots.c       '/memset\(t, 0,/d; s/memory_zalloc\(&t->memory, ([^,]*),.*\);/model_alloc(t, \1);/'
translate core/event.h       '/^static inline void event_init/,/^}/d; s/uint32_t counter/_Atomic(uint32_t) counter/'
translate core/event.c       's/const uint32_t \*counter/_Atomic(uint32_t) *counter/'
translate core/shadow/ck_ec.c
translate core/idle.c        '/^weir_status idle_init/,$d'
translate workqueue/ring.h   '/^static inline void ring_init/,/^}/d'
translate workqueue/inbox.h
translate workqueue/inbox.c  '/^void inbox_init/,/^}/d'

if [ $# -gt 2 ]; then
    sed -E -i.before "$4" "$out/$3"
    changed=$(diff "$out/$3.before" "$out/$3" | grep -c '^>' || true)
    [ "$changed" -eq 1 ] || { echo "$3: $4 changes $changed lines, not one"; exit 1; }
fi
cp -R "$here/shim/." "$out/"
