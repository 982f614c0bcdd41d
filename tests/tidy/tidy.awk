# SPDX-License-Identifier: Apache-2.0
#
# tidy.awk - the house rules that a C compiler does not know, checked over all C files at once
#
#   arrow       #include points down: core <- workqueue <- session. A public header counts as part
#               of the lowest layer that implements it. Examples see the public headers only, and
#               Concurrency Kit is seen by core/event.* and core/shadow/ only.
#   label       an ordering has two ends: each E<n> of the contract that the library cites is cited
#               on two lines or more. So is, within its module (x.h and x.c), each P<n> (the pairs
#               of a file), and each step that a table in a comment defines ("T1 submit ...").
#   order       an atomic order other than relaxed has a comment within reach, saying why.
#   fence       no atomic_thread_fence: orders sit on the operations.
#   underscore  no identifier of ours begins with an underscore.
#   public      what a public header defines as a macro begins with WEIR_.
#   sleep       no sleeping in tests: threads are stepped by gates.
#   width       at most 120 columns; no tab; no blank at a line's end.
#   licence     the SPDX line is the first.
#
# usage: awk -f tidy.awk FILE...   (paths relative to the root). Prints file:line: rule: text.

BEGIN {
    LAYER["core"] = 1; LAYER["workqueue"] = 2; LAYER["session"] = 3
    HEADER["status"] = 1; HEADER["workqueue"] = 2            # every other public header: 3
    REACH = 12                                               # lines from an order up to its comment

    OURS_NOT = "^(_Atomic|_Thread_local|_Static_assert|_Noreturn|_Alignas|_Alignof|_Generic|" \
        "_Bool|_Exit|_exit|_GNU_SOURCE|__atomic_.*|__builtin_.*|__sync_.*|__has_.*|" \
        "__attribute__|__extension__|__typeof__|__asm__|__volatile__|__VA_ARGS__|__func__|" \
        "__FILE__|__LINE__|__COUNTER__|__cplusplus|__linux__|__x86_64__|__i386__|__aarch64__|" \
        "__GNUC__|__GNUC_MINOR__|__GLIBC__|__clang__|__clang_.*__|__SANITIZE_.*|__SIZEOF_.*__|" \
        "__NR_.*|__kernel_.*|_IO[FLN]BF|_SC_.*|_PC_.*|__ATOMIC_.*|__int128|__OPTIMIZE__|__ELF__)$"
    RUNTIMES = "^(__(tsan|asan|lsan|ubsan|sanitizer|wrap|real|start|stop|libc|errno)_.*|" \
        "_end|_edata|__data_start|__bss_start)$"
}

function complain(rule, text)
{
    printf "%s:%d: %s: %s\n", FILENAME, FNR, rule, text
    bad = 1
}

# Splits the line into code (strings emptied) and comment, by the state that the line before left.
function split_line(line,    i, n, c, two, quote)
{
    code = ""; comment = ""; quote = ""
    n = length(line)
    for (i = 1; i <= n; i++) {
        c = substr(line, i, 1); two = substr(line, i, 2)
        if (in_comment) {
            if (two == "*/") { in_comment = 0; i++ } else comment = comment c
        } else if (quote != "") {
            if (c == "\\") i++
            else if (c == quote) { quote = ""; code = code c }
        } else if (two == "/*") { in_comment = 1; i++; comment = comment " " }
        else if (two == "//") { comment = comment substr(line, i + 2); break }
        else {
            if (c == "\"" || c == "'") quote = c
            code = code c
        }
    }
}

function part_of(path)                           # its first directory
{
    return substr(path, 1, index(path "/", "/") - 1)
}

FNR == 1 {
    in_comment = 0; last_comment = -REACH
    part = part_of(FILENAME)
    name = FILENAME; sub(/.*\//, "", name); sub(/\.[ch]$/, "", name)
    module = FILENAME; sub(/\.[ch]$/, "", module)
    if (part == "include") layer = name in HEADER ? HEADER[name] : 3
    else layer = part in LAYER ? LAYER[part] : 9
    library = layer < 9
    shadow = FILENAME ~ /^core\/shadow\//
    test = part == "tests"
}

FNR == 1 && !/SPDX-License-Identifier: Apache-2\.0/ { complain("licence", "no SPDX line") }

length($0) > 120 { complain("width", length($0) " columns") }
/\t/             { complain("width", "a tab") }
/[ \t]$/         { complain("width", "a blank at the end") }

{
    split_line($0)
    if (comment != "")
        last_comment = FNR
}

code ~ /^[ ]*#[ ]*include/ {
    path = $0; sub(/^[ ]*#[ ]*include[ ]*[<"]/, "", path); sub(/[>"].*/, "", path)
    if (path ~ /^weir\//) {
        target = path; sub(/^weir\//, "", target); sub(/\.h$/, "", target)
        if ((target in HEADER ? HEADER[target] : 3) > layer)
            complain("arrow", path " is above " part)
    } else if (path ~ /^(core|workqueue|session)\//) {
        if (part == "include" || part == "examples")
            complain("arrow", path " is private")
        else if (LAYER[part_of(path)] > layer)
            complain("arrow", path " is above " part)
    } else if (path ~ /^(tests|bench|examples)\// && library)
        complain("arrow", path " is no part of the library")
    else if (path ~ /^ck_/ && library && FILENAME !~ /^core\/event\./ && !shadow)
        complain("arrow", path " belongs into core/event.* only")
    else if ($0 ~ /include[ ]*"/ && library && !shadow && path !~ /\//)
        complain("arrow", path " is named without its directory")
}

library && !shadow {
    if (code ~ /memory_order_(acquire|release|acq_rel|seq_cst|consume)/ \
        && FNR - last_comment > REACH)
        complain("order", "an order without a word why")

    defines = comment ~ /^( \*)?   +[A-Z][1-9][0-9]? +[a-z]/        # a row of a table of steps
    rest = comment
    while (part != "include" && match(rest, /(^|[^A-Za-z0-9_])[A-Z][1-9][0-9]?([^A-Za-z0-9_]|$)/)) {
        label = substr(rest, RSTART, RLENGTH); gsub(/[^A-Z0-9]/, "", label)
        rest = substr(rest, RSTART + RLENGTH - 1)
        key = label ~ /^E/ ? label : module " " label
        if (key == label || label ~ /^P/ || defines)
            paired[key] = 1                      # a label of an order, not a promise's number
        defines = 0
        if (line_of[key] != FILENAME ":" FNR) {
            line_of[key] = FILENAME ":" FNR
            ends[key]++
        }
    }
}

part == "include" && code ~ /^[ ]*#[ ]*define/ {
    macro = code; sub(/^[ ]*#[ ]*define[ ]*/, "", macro); sub(/[^A-Za-z0-9_].*/, "", macro)
    if (macro !~ /^(WEIR|MI|MF)_/)
        complain("public", macro " does not begin with WEIR_")
}

{
    rest = code
    while (match(rest, /[A-Za-z_][A-Za-z0-9_]*/)) {
        word = substr(rest, RSTART, RLENGTH)
        after = substr(rest, RSTART + RLENGTH)
        before = RSTART > 1 ? substr(rest, RSTART - 1, 1) : ""
        rest = after
        if (before ~ /[0-9#]/)
            continue                             # a number's suffix; a part that ## puts together
        if (word ~ /^_/ && word !~ OURS_NOT && !(test && word ~ RUNTIMES))
            complain("underscore", word)
        if (library && word == "atomic_thread_fence")
            complain("fence", word)
        if (test && after ~ /^[ ]*\(/ && word ~ /^((u|nano|clock_nano|thrd_)?sleep)$/)
            complain("sleep", word)
    }
}

END {
    for (key in paired)
        if (ends[key] < 2) {
            label = key; sub(/.* /, "", label)
            printf "%s: label: %s has one end only\n", line_of[key], label
            bad = 1
        }
    exit bad
}
