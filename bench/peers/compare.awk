# SPDX-License-Identifier: Apache-2.0
#
# compare.awk - a table for each question: peers by their medians, the best first
#
# Input: lines round,peer,row,unit,value, sorted by row, peer and value (run.sh does that).

BEGIN { FS = ","; US = "weir" }

{
    key = $3 SUBSEP $2
    if (!($3 in seen)) {
        seen[$3] = 1
        row[++rows] = $3
    }
    if (!(key in count))
        peers[$3] = peers[$3] SUBSEP $2
    unit[key] = $4
    value[key, ++count[key]] = $5 + 0
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

function verdict(key, us)
{
    if (key == us || !(us in count))
        return ""
    if (quantile(us, 0.75) < quantile(key, 0.25))
        return "won"
    return quantile(us, 0.25) > quantile(key, 0.75) ? "lost" : "even"
}

function print_question(name,    n, list, i, j, swap, key, us)
{
    us = name SUBSEP US
    n = split(substr(peers[name], 2), list, SUBSEP)
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && quantile(name SUBSEP list[j], 0.5) < quantile(name SUBSEP list[j - 1], 0.5); j--) {
            swap = list[j]
            list[j] = list[j - 1]
            list[j - 1] = swap
        }
    printf "\n%s\n", name
    for (i = 1; i <= n; i++) {
        key = name SUBSEP list[i]
        printf "  %-18s %-14s %10.4g   %8.4g ..%8.4g   x%-8.3g %s\n", list[i], unit[key], quantile(key, 0.5),
            quantile(key, 0.25), quantile(key, 0.75),
            us in count ? quantile(key, 0.5) / quantile(us, 0.5) : 0, verdict(key, us)
    }
}

END {
    for (i = 1; i <= rows; i++)
        print_question(row[i])
}
