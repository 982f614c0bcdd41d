# SPDX-License-Identifier: Apache-2.0
#
# compare.awk - the peers, question by question, the best first: awk -f samples.awk -f compare.awk (-v html=1: as HTML;
# -v asked=QUESTION: only that one)
#
#   x     the peer's figure divided by the library's of the same round: median and quartiles
#   won   the quartiles lie above 1; lost: below; even: 1 is between them
#
# And each peer's best row: where its x is the least, with the number of rows won, even and lost.

# Of the rounds that both have.
function ratios(key, us, list,    i, n, ours)
{
    for (i = 1; i <= count[key, 1]; i++) {
        ours = us SUBSEP 1 SUBSEP round_of[key, 1, i]
        if (ours in in_round && in_round[ours] > 0)
            list[++n] = value[key, 1, i] / in_round[ours]
    }
    sort(list, n)
    return n + 0
}

function against_us(key, us, cell,    list, n, low, high)
{
    cell[6] = cell[7] = cell[8] = ""
    if (key == us || (n = ratios(key, us, list)) == 0)
        return
    low = quantile_of(list, n, 0.25)
    high = quantile_of(list, n, 0.75)
    cell[6] = sprintf("x%.3g", quantile_of(list, n, 0.5))
    cell[7] = sprintf("%.3g..%.3g", low, high)
    cell[8] = low > 1 ? "won" : high < 1 ? "lost" : "even"
}

function print_cells(cell, element,    i, line)
{
    if (!html) {
        line = sprintf("  %-18s %-14s %10s  %-19s %10s   %-8s %-18s %s", cell[1], cell[2], cell[3], cell[4], cell[5],
            cell[6], cell[7], cell[8])
        sub(/ +$/, "", line)
        print line
        return
    }
    for (i = 1; i <= 8; i++)
        line = line "<" element ">" escape(cell[i])
    print "<tr class=\"" cell[8] "\">" line
}

function print_question(name,    n, peer, i, cell, key)
{
    if ((n = answers(name, peer)) == 0)
        return
    printf html ? "<table>\n" : "\n%s\n", name
    split("peer,unit,median,quartiles,min,x,quartiles,", cell, ",")
    print_cells(cell, "th")
    for (i = 1; i <= n; i++) {
        key = peer[i] SUBSEP name
        cell[1] = peer[i]
        cell[2] = unit[key]
        cell[3] = number(median(key))
        cell[4] = number(quantile(key, 1, 0.25)) ".." number(quantile(key, 1, 0.75))
        cell[5] = number(quantile(key, 1, 0))
        against_us(key, US SUBSEP name, cell)
        print_cells(cell, "td")
    }
    if (html)
        print "</table>"
}

function note_best(peer, name,    cell, x)
{
    against_us(peer SUBSEP name, US SUBSEP name, cell)
    if (cell[8] == "")
        return
    if (!(peer in best))
        peers[++peer_count] = peer
    verdicts[peer, cell[8]]++
    x = substr(cell[6], 2) + 0
    if (!(peer in best) || x < best[peer]) {
        best[peer] = x
        best_row[peer] = name
    }
}

function print_best(total, list,    i, k, n, peer)
{
    for (i = 1; i <= total; i++) {
        n = answers(list[i], peer)
        for (k = 1; k <= n; k++)
            note_best(peer[k], list[i])
    }
    printf "\neach peer's best row\n  %-18s %-30s %10s   %5s %5s %5s\n", "peer", "row", "x", "won", "even", "lost"
    for (i = 1; i <= peer_count; i++)
        printf "  %-18s %-30s %10s   %5d %5d %5d\n", peers[i], best_row[peers[i]], sprintf("x%.3g", best[peers[i]]),
            verdicts[peers[i], "won"], verdicts[peers[i], "even"], verdicts[peers[i], "lost"]
}

END {
    total = questions_of_peers(list)
    for (i = 1; i <= total; i++)
        if (asked == "" || asked == list[i])
            print_question(list[i])
    if (asked == "" && !html && total > 0)
        print_best(total, list)
}
