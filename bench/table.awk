# SPDX-License-Identifier: Apache-2.0
#
# table.awk - the library by itself, and the limits of the machine: awk -f samples.awk -f table.awk (-v html=1: as HTML)
#
#   each      the median divided by the number of operations that the row's name begins with
#   x limit   the median (each, where there is one) divided by the median of the limit of the same rounds; in brackets
#             the floor's own, on the machine that it was set on
#   ok        the floor is reached; "ok by x": only as a multiple of the limit, on a machine that is slower
#   over      it is not
#   noisy     in every attempt the middle half of the limit's samples spanned more than a fifth of its median: judge
#             nothing by this run
#   wide      that is true of the row itself

BEGIN { FLOOR_RMW = 2.4; RMW = "limits" SUBSEP "read-modify-write" }

function multiple(key,    limit, text)
{
    limit = leans_on(key)
    if (limit == "" || limit == key || quantile(limit, attempt_of(key), 0.5) <= 0)
        return ""
    text = sprintf("x%.2f", per_op(key) / quantile(limit, attempt_of(key), 0.5))
    return limit == RMW && floor_of(key) != "" ? text sprintf(" (%.1f)", floor_of(key) / FLOOR_RMW) : text
}

# For one operation, as per_op() is.
function floor_of(key,    text)
{
    text = rule(key) ? rule_floor[rule(key)] : ""
    return text == "" || text ~ /\/op$/ ? text : text / operations(key)
}

function verdict(key,    text, limit, attempt)
{
    attempt = attempt_of(key)
    limit = leans_on(key)
    if (floor_of(key) != "") {
        text = per_op(key) <= floor_of(key) * 1.0005 ? "ok" : "over"
        if (text == "over" && limit == RMW && per_op(key) / quantile(limit, attempt, 0.5) <= floor_of(key) / FLOOR_RMW)
            text = "ok by x"
    }
    return trim(text (!is_quiet(key, attempt) ? " noisy" : is_wide(key, attempt) ? " wide" : ""))
}

function columns(key, cell,    attempt)
{
    attempt = attempt_of(key)
    cell[1] = row_of[key]
    cell[2] = unit[key]
    cell[3] = number(median(key))
    cell[4] = number(quantile(key, attempt, 0.25)) ".." number(quantile(key, attempt, 0.75))
    cell[5] = number(quantile(key, attempt, 0)) ".." number(quantile(key, attempt, 1))
    cell[6] = operations(key) > 1 ? number(per_op(key)) : ""
    cell[7] = rule(key) ? rule_floor[rule(key)] : ""
    cell[8] = multiple(key)
    cell[9] = verdict(key)
}

function print_cells(cell, element,    i, line)
{
    if (!html) {
        line = sprintf("  %-46s %-8s %10s  %-19s %-19s %8s %8s  %-14s %s", cell[1], cell[2], cell[3], cell[4], cell[5],
            cell[6], cell[7], cell[8], cell[9])
        sub(/ +$/, "", line)
        print line
        return
    }
    for (i = 1; i <= 9; i++)
        line = line "<" element ">" escape(cell[i])
    print "<tr class=\"" cell[9] "\">" line
}

function print_program(name,    i, cell, some)
{
    for (i = 1; i <= key_count; i++) {
        if (program_of[keys[i]] != name)
            continue
        if (!some++) {
            printf html ? "<h3>%s</h3><p>%s</p><table>\n" : "\n%s: %s\n", name, question[name]
            split("row,unit,median,quartiles,min..max,each,floor,x limit,", cell, ",")
            print_cells(cell, "th")
        }
        columns(keys[i], cell)
        print_cells(cell, "td")
    }
    if (html && some)
        print "</table>"
}

END {
    for (p = 1; p <= program_count; p++)
        if (programs[p] != "count")                        # model.awk has it, four rows in one line
            print_program(programs[p])
}
