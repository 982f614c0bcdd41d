# SPDX-License-Identifier: Apache-2.0
#
# report.awk - what report.sh plots: awk -f samples.awk -f report.awk -v dir=DIR
#
# For each question of the peers a file DIR/questionN.dat, the fastest first, with lines
#
#   "peer" TAB median TAB lower quartile TAB upper quartile TAB 1 for the library itself, else 0
#
# and a line questionN TAB question TAB unit on stdout. And for each growth a file DIR/growth_X.dat with lines
# "curve" TAB operations or workers TAB median.

BEGIN { OFS = "\t" }

function write_question(asked, file,    n, peer, i, key)
{
    n = answers(asked, peer)
    for (i = 1; i <= n; i++) {
        key = peer[i] SUBSEP asked
        print "\"" peer[i] "\"", median(key), quantile(key, 1, 0.25), quantile(key, 1, 0.75), peer[i] == US > file
    }
    close(file)
    return n
}

# Of the peers: close 1e5 queued. Of the library: close, "1000 lent"; growth, "tree 4 workers".
function write_growth(key,    word)
{
    split(row_of[key], word, " ")
    if (is_peer(key) && row_of[key] ~ /^close 1e/)
        print "\"" program_of[key] "\"", word[2] + 0, median(key) > (dir "/growth_" word[3] ".dat")
    else if (program_of[key] == "close" && row_of[key] ~ /^[0-9]+ (lent|freed|sleeping)( handles)?$/)
        print "\"" substr(row_of[key], length(word[1]) + 2) "\"", word[1], per_op(key) > (dir "/growth_close.dat")
    else if (program_of[key] == "growth" && row_of[key] ~ / workers?$/)
        print "\"" word[1] "\"", word[2], median(key) > (dir "/growth_workers_" word[1] ".dat")
}

END {
    total = questions_of_peers(list)
    for (i = 1; i <= total; i++)
        if (write_question(list[i], dir "/question" i ".dat") > 0)
            print "question" i, list[i], unit[US SUBSEP list[i]]
    for (i = 1; i <= key_count; i++)
        write_growth(keys[i])
}
