# SPDX-License-Identifier: Apache-2.0
#
# compare.awk - a table for each question: peers by their medians, the best first
#
# Input: lines round,peer,row,unit,value, sorted by row, peer and value (bench/run.sh does that). Rows that the
# library itself does not answer as a peer are left out.
#
#   x     the peer's figure divided by the library's of the same round: median and quartiles
#   won   the quartiles lie above 1; lost: below; even: 1 is between them

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
    round[key, count[key]] = $1
    of_round[key, $1] = $5 + 0
}

# The q-quantile of the sorted list[1..n], between two samples in proportion.
function quantile(list, n, q,    place, below)
{
    place = 1 + q * (n - 1)
    below = int(place)
    return below >= n ? list[n] : list[below] + (place - below) * (list[below + 1] - list[below])
}

function sort(list, n,    i, j, swap)
{
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && list[j] < list[j - 1]; j--) {
            swap = list[j]
            list[j] = list[j - 1]
            list[j - 1] = swap
        }
}

function fill(key, list,    i)
{
    for (i = 1; i <= count[key]; i++)
        list[i] = value[key, i]
    return count[key]
}

function median(key,    list)
{
    return quantile(list, fill(key, list), 0.5)
}

# Of the rounds that both have.
function ratios(key, us, list,    i, n)
{
    for (i = 1; i <= count[key]; i++)
        if ((us SUBSEP round[key, i]) in of_round && of_round[us, round[key, i]] > 0)
            list[++n] = value[key, i] / of_round[us, round[key, i]]
    sort(list, n)
    return n + 0
}

function against_us(key, us,    list, n, low, high)
{
    if (key == us || (n = ratios(key, us, list)) == 0)
        return ""
    low = quantile(list, n, 0.25)
    high = quantile(list, n, 0.75)
    return sprintf("x%-7.3g %7.3g ..%7.3g   %s", quantile(list, n, 0.5), low, high,
        low > 1 ? "won" : high < 1 ? "lost" : "even")
}

function print_question(name,    n, peer, i, j, swap, key, list, many)
{
    n = split(substr(peers[name], 2), peer, SUBSEP)
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && median(name SUBSEP peer[j]) < median(name SUBSEP peer[j - 1]); j--) {
            swap = peer[j]
            peer[j] = peer[j - 1]
            peer[j - 1] = swap
        }
    printf "\n%s\n", name
    for (i = 1; i <= n; i++) {
        key = name SUBSEP peer[i]
        many = fill(key, list)
        printf "  %-16s %-14s %9.4g  %8.4g ..%8.4g   %s\n", peer[i], unit[key], quantile(list, many, 0.5),
            quantile(list, many, 0.25), quantile(list, many, 0.75), against_us(key, name SUBSEP US)
    }
}

END {
    for (i = 1; i <= rows; i++)
        if ((row[i] SUBSEP US) in count)
            print_question(row[i])
}
