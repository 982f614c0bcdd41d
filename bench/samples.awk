# SPDX-License-Identifier: Apache-2.0
#
# samples.awk - what the tables share: reading, quantiles, and which attempt of a row counts
#
#   awk -f samples.awk -f TABLE.awk rows.txt samples.csv
#
# rows.txt     program : what it asks           heads the program's table, and tells the library's programs from peers
#              program | row | floor | limit    row: a pattern (ERE) for the whole name; the first that fits counts.
#                                               floor: what the row has to reach; N/op: per operation.
#                                               limit: a row of the program limits
# samples.csv  attempt,round,program,row,unit,value
#
# A row that leans on a limit is asked again, up to three times in all, while the limit's samples spread (run.sh,
# noisy.awk). What counts is the first attempt with a quiet limit; without one, the last, and the row is noisy.
#
# A row in ns whose name begins with a number above one is about so many operations: per_op() divides by it.

BEGIN { NOISE = 0.2; US = "weir" }

/^# .* of them$/ { processors = $(NF - 2) }            # run.sh's description of the machine
/^#/ || /^[ \t]*$/ { next }

/^[0-9]+,[0-9]+,/ { read_sample(); next }
/ [|]/ { read_row(); next }
/ : / { read_question(); next }

function trim(text)
{
    gsub(/^ +| +$/, "", text)
    return text
}

function read_question(    at)
{
    at = index($0, " : ")
    question[programs[++program_count] = trim(substr($0, 1, at))] = trim(substr($0, at + 3))
}

function read_row(    part)
{
    split($0, part, / [|]/)                            # with a blank before it: not the bar of a pattern
    rule_program[++rules] = trim(part[1])
    rule_row[rules] = "^(" trim(part[2]) ")$"
    rule_floor[rules] = trim(part[3])
    rule_limit[rules] = trim(part[4])
}

function read_sample(    part, key, n)
{
    split($0, part, ",")
    key = part[3] SUBSEP part[4]
    if (!(key in unit)) {
        keys[++key_count] = key
        program_of[key] = part[3]
        row_of[key] = part[4]
    }
    unit[key] = part[5]
    last_attempt[key] = part[1]
    n = ++count[key, part[1]]
    value[key, part[1], n] = part[6] + 0
    in_round[key, part[1], part[2]] = part[6] + 0
    round_of[key, part[1], n] = part[2]
}

# ---- lists ----

function sort(list, n,    i, j, swap)
{
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && list[j] < list[j - 1]; j--) {
            swap = list[j]
            list[j] = list[j - 1]
            list[j - 1] = swap
        }
}

# The q-quantile of the sorted list[1..n], between two samples in proportion.
function quantile_of(list, n, q,    place, below)
{
    place = 1 + q * (n - 1)
    below = int(place)
    return below >= n ? list[n] : list[below] + (place - below) * (list[below + 1] - list[below])
}

function quantile(key, attempt, q,    list, i, n)
{
    if ((key, attempt, q) in known)
        return known[key, attempt, q]
    n = count[key, attempt]
    for (i = 1; i <= n; i++)
        list[i] = value[key, attempt, i]
    sort(list, n)
    return known[key, attempt, q] = quantile_of(list, n, q)
}

# ---- rows ----

# The number of the rule that a row follows; 0: none.
function rule(key,    i)
{
    if (key in rule_known)
        return rule_known[key]
    for (i = 1; i <= rules; i++)
        if (rule_program[i] == program_of[key] && row_of[key] ~ rule_row[i])
            return rule_known[key] = i
    return rule_known[key] = 0
}

# What has to be quiet for a row to count: its limit, or, of limits, itself. "": nothing.
function leans_on(key,    limit)
{
    if (program_of[key] == "limits")
        return key
    limit = rule(key) ? "limits" SUBSEP rule_limit[rule(key)] : ""
    return limit in unit ? limit : ""
}

function is_wide(key, attempt)
{
    return quantile(key, attempt, 0.75) - quantile(key, attempt, 0.25) > NOISE * quantile(key, attempt, 0.5)
}

function is_quiet(key, attempt,    limit)
{
    limit = leans_on(key)
    return limit == "" || !is_wide(limit, attempt)
}

function attempt_of(key,    attempt)
{
    for (attempt = 1; attempt < last_attempt[key]; attempt++)
        if ((key, attempt) in count && is_quiet(key, attempt))
            return attempt
    return last_attempt[key]
}

function median(key) { return quantile(key, attempt_of(key), 0.5) }

# A first final is one operation's, whatever its row is about.
function operations(key)
{
    return unit[key] == "ns" && row_of[key] !~ /first final/ && row_of[key] + 0 > 1 ? row_of[key] + 0 : 1
}

function per_op(key) { return median(key) / operations(key) }

function is_peer(key) { return !(program_of[key] in question) }

function number(x)
{
    if (x == int(x) && x < 1e7)
        return sprintf("%d", x)
    return sprintf(x < 10 ? "%.2f" : x < 1000 ? "%.1f" : "%.0f", x)
}

function escape(text)
{
    gsub(/&/, "\\&amp;", text)
    gsub(/</, "\\&lt;", text)
    gsub(/>/, "\\&gt;", text)
    return text
}

# The peers that answered a question, the best first; only if the library itself did. Returns how many.
function answers(asked, peer,    i, j, n, swap)
{
    if (!((US SUBSEP asked) in unit))
        return 0
    for (i = 1; i <= key_count; i++)
        if (is_peer(keys[i]) && row_of[keys[i]] == asked)
            peer[++n] = program_of[keys[i]]
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && median(peer[j] SUBSEP asked) < median(peer[j - 1] SUBSEP asked); j--) {
            swap = peer[j]
            peer[j] = peer[j - 1]
            peer[j - 1] = swap
        }
    return n
}

# The questions that peers were asked, in their order. Returns how many.
function questions_of_peers(list,    i, n, seen)
{
    for (i = 1; i <= key_count; i++)
        if (is_peer(keys[i]) && !seen[row_of[keys[i]]]++)
            list[++n] = row_of[keys[i]]
    return n + 0
}
