# SPDX-License-Identifier: Apache-2.0
#
# report.awk - what report.sh plots: for each question of bench/peers a file of lines
#
#   "peer" TAB median TAB lower quartile TAB upper quartile TAB 1 for the library itself, else 0
#
# the fastest first, and a line file TAB question TAB unit on stdout; and growth_queued.dat, growth_parked.dat: "peer"
# TAB operations TAB median. Input as compare.awk's.

BEGIN { FS = ","; OFS = "\t"; US = "weir" }

{
    key = $3 SUBSEP $2
    if (!($3 in seen)) {
        seen[$3] = 1
        row[++rows] = $3
    }
    if (!(key in count))
        peers[$3] = peers[$3] SUBSEP $2
    if (unit[$3] == "" || $2 == US)
        unit[$3] = $4
    value[key, ++count[key]] = $5 + 0
}

function quantile(key, q,    place, below)
{
    place = 1 + q * (count[key] - 1)
    below = int(place)
    if (below >= count[key])
        return value[key, count[key]]
    return value[key, below] + (place - below) * (value[key, below + 1] - value[key, below])
}

function write_question(name, file,    n, peer, i, j, swap, key)
{
    n = split(substr(peers[name], 2), peer, SUBSEP)
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && quantile(name SUBSEP peer[j], 0.5) < quantile(name SUBSEP peer[j - 1], 0.5); j--) {
            swap = peer[j]
            peer[j] = peer[j - 1]
            peer[j - 1] = swap
        }
    for (i = 1; i <= n; i++) {
        key = name SUBSEP peer[i]
        print "\"" peer[i] "\"", quantile(key, 0.5), quantile(key, 0.25), quantile(key, 0.75), peer[i] == US > file
    }
    close(file)
}

function write_growth(name,    word, n, peer, i)
{
    split(name, word, " ")                               # close 1e5 queued
    n = split(substr(peers[name], 2), peer, SUBSEP)
    for (i = 1; i <= n; i++)
        print "\"" peer[i] "\"", word[2] + 0, quantile(name SUBSEP peer[i], 0.5) > (dir "/growth_" word[3] ".dat")
}

END {
    for (i = 1; i <= rows; i++) {
        if (!((row[i] SUBSEP US) in count))
            continue
        write_question(row[i], dir "/question" i ".dat")
        print "question" i, row[i], unit[row[i]]
        if (row[i] ~ /^close 1e/)
            write_growth(row[i])
    }
}
