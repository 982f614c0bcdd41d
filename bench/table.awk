# SPDX-License-Identifier: Apache-2.0
#
# table.awk - the readable table of one run: awk -f table.awk rows.txt SAMPLES
#
# SAMPLES has lines round,program,row,unit,value, sorted by program, row and then numerically by value (run.sh does
# that), so that the samples of a row arrive in their order and a quantile is an index.
#
#   x limit   median divided by the median of the limit of the same run that rows.txt names; behind it, in brackets, the
#             same of the floor on the machine that it was set on
#   ok        the floor is reached; "ok by x": only as a multiple of the limit, on a machine that is slower
#   over      it is not
#   noisy     the middle half of the limit's samples spans more than a fifth of its median: judge nothing by this run
#   wide      that is true of the row itself

BEGIN { FLOOR_RMW = 2.4; NOISE = 0.2 }

function trim(text)
{
    gsub(/^ +| +$/, "", text)
    return text
}

FNR == NR {
    if ($0 ~ /^#/ || $0 !~ /\|/)
        next
    split($0, field, "|")
    key = trim(field[1]) "," trim(field[2])
    order[++rows] = key
    floor[key] = trim(field[3])
    limit[key] = trim(field[4]) == "" ? "" : "limits," trim(field[4])
    next
}

/^#/ { next }

{
    split($0, field, ",")
    key = field[2] "," field[3]
    if (!(key in unit) && !(key in floor))
        order[++rows] = key
    unit[key] = field[4]
    value[key, ++count[key]] = field[5] + 0
}

# The q-quantile, between two samples in proportion.
function quantile(key, q,    place, below)
{
    place = 1 + q * (count[key] - 1)
    below = int(place)
    if (below >= count[key])
        return value[key, count[key]]
    return value[key, below] + (place - below) * (value[key, below + 1] - value[key, below])
}

function is_wide(key)
{
    return quantile(key, 0.75) - quantile(key, 0.25) > NOISE * quantile(key, 0.5)
}

function number(x)
{
    if (x == int(x) && x < 1e7)
        return sprintf("%d", x)
    return sprintf(x < 10 ? "%.2f" : x < 1000 ? "%.1f" : "%.0f", x)
}

function range(low, high)
{
    return number(low) ".." number(high)
}

function multiple(key,    base, text)
{
    if (limit[key] == "" || !(limit[key] in unit) || (base = quantile(limit[key], 0.5)) <= 0)
        return ""
    text = sprintf("x%.2f", quantile(key, 0.5) / base)
    if (floor[key] != "" && limit[key] == "limits,read-modify-write")
        text = text sprintf(" (%.1f)", floor[key] / FLOOR_RMW)
    return text
}

function verdict(key,    median, text)
{
    median = quantile(key, 0.5)
    if (floor[key] != "") {
        text = number(median) + 0 <= floor[key] + 0 ? "ok" : "over"
        if (text == "over" && limit[key] == "limits,read-modify-write" && limit[key] in unit &&
            median / quantile(limit[key], 0.5) <= floor[key] / FLOOR_RMW)
            text = "ok by x"
    }
    if (key ~ /^limits,/ ? is_wide(key) : (limit[key] in unit) && is_wide(limit[key]))
        text = text " noisy"
    else if (is_wide(key))
        text = text " wide"
    return trim(text)
}

function print_row(key,    part)
{
    split(key, part, ",")
    if (part[1] != program)
        printf "\n%s\n", program = part[1]
    printf "  %-42s %-8s %9s  %-18s %-18s %6s  %-15s %s\n", part[2], unit[key], number(quantile(key, 0.5)),
        range(quantile(key, 0.25), quantile(key, 0.75)), range(value[key, 1], value[key, count[key]]),
        floor[key], multiple(key), verdict(key)
}

END {
    printf "  %-42s %-8s %9s  %-18s %-18s %6s  %-15s\n", "row", "unit", "median", "quartiles", "min..max",
        "floor", "x limit"
    for (i = 1; i <= rows; i++)
        if (order[i] in unit)
            print_row(order[i])
}
