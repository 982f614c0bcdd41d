#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes the page of one run of the benchmarks:
#
#   bench/report.sh SAMPLES DIR
#
# SAMPLES has lines round,program,row,unit,value as bench/run.sh keeps them. DIR gets samples.csv, one SVG for each
# plot, and index.html, which a browser shows without a server.

set -u
here=$(dirname "$0")
[ $# -eq 2 ] || { sed -n '4,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
command -v gnuplot >/dev/null || { echo "$0: gnuplot is missing (Debian: gnuplot-nox)" >&2; exit 3; }
samples=$1 dir=$2
mkdir -p "$dir" || exit 1
[ "$samples" -ef "$dir/samples.csv" ] || cp "$samples" "$dir/samples.csv"
rm -f "$dir"/*.svg "$dir"/*.dat

# ---- the peers: a file for each question (report.awk) ----

grep -v '^#' "$samples" | LC_ALL=C sort -t , -k 3,3 -k 2,2 -k 5,5g |
    LC_ALL=C awk -v dir="$dir" -f "$here/report.awk" >"$dir/questions" || exit 1

plot()                                         # plot NAME: commands on stdin
{
    { echo "set terminal svg size 900,${height:-420} dynamic font 'sans-serif,13' background rgb 'white'"
      echo "set output '$dir/$1.svg'"
      echo "set grid xtics lc rgb '#dddddd'; set border 3 lc rgb '#666666'; set tics nomirror"
      cat
    } | gnuplot || echo "$0: no plot $1" >&2
}

# One bar for each peer, the fastest at the top; the whiskers are the quartiles.
plot_question()                                # plot_question FILE TITLE UNIT
{
    lines=$(wc -l <"$dir/$1.dat")
    height=$((110 + 32 * lines))
    plot "$1" <<END
set title "$2, $3 (median, quartiles; logarithmic)" noenhanced
set logscale x
set yrange [$lines.5:0.5]
set key off
set datafile separator "\t"
plot '$dir/$1.dat' using (\$5 == 0 ? \$2 : NaN):(\$0 + 1):3:4:ytic(1) \\
     with xerrorbars pt 7 ps 1 lw 2 lc rgb '#888888', \\
     '$dir/$1.dat' using (\$5 == 1 ? \$2 : NaN):(\$0 + 1):3:4 with xerrorbars pt 7 ps 1.4 lw 3 lc rgb '#c03020'
END
    height=420
}

# Cost against the number of operations: a line for each peer.
plot_growth()                                  # plot_growth FILE TITLE
{
    [ -s "$dir/$1.dat" ] || return 0
    plot "$1" <<END
set title "$2: ns for each operation against their number"
set logscale xy
set xlabel "operations"
set key outside right
set datafile separator '\t'
$(cut -f 1 "$dir/$1.dat" | LC_ALL=C sort -u | awk -v file="$dir/$1.dat" '
    { printf "%s \047< grep -F %s %s | sort -k 2g -t \"\t\"\047 using 2:3 with linespoints lw %s title %s",
        NR == 1 ? "plot" : ", \\\n    ", "\047\047" $0 "\047\047", file, /weir/ ? 4 : 1.5, $0 }')
END
}

while IFS='	' read -r file title unit; do
    plot_question "$file" "$title" "$unit"
done <"$dir/questions"
plot_growth growth_queued "Close of queued operations"
plot_growth growth_parked "Close of parked operations"

# ---- the page ----

escape() { sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g'; }

{
    cat <<'END'
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>weir: benchmarks</title>
<style>body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}pre{font-size:12px;
overflow-x:auto;background:#f6f6f6;padding:1em}img{max-width:100%}h2{margin-top:2em}</style></head><body>
<h1>weir: benchmarks</h1>
<p>Every program was started once in each round, in turn, so that a slow minute of the machine falls on all of them.
Dots are medians over the rounds, whiskers quartiles. Scales are logarithmic: a step to the left is a factor. What the
machine itself allows is in the first table; the questions, and how each library was asked, stand at the top of
the files in <code>bench/</code> and <code>bench/peers/</code>.</p>
END
    grep '^#' "$samples" | sed 's/^# /<br>/' | escape | sed 's/&lt;br&gt;/<br>/'
    for growth in queued parked; do
        [ ! -f "$dir/growth_$growth.svg" ] || echo "<p><img src=\"growth_$growth.svg\" alt=\"cost against number\"></p>"
    done
    echo '<h2>Side by side</h2>'
    while IFS='	' read -r file title unit; do
        echo "<h3>$title</h3><p><img src=\"$file.svg\" alt=\"$title, $unit\"></p>"
    done <"$dir/questions"
    echo '<h2>The same as a table</h2><p>x: how many times the library'"'"'s own figure, round by round, with
quartiles. won: they lie above 1; lost: below.</p><pre>'
    grep -v '^#' "$samples" | LC_ALL=C sort -t , -k 3,3 -k 2,2 -k 5,5g |
        LC_ALL=C awk -f "$here/peers/compare.awk" | escape
    echo '</pre><h2>The library by itself, and the limits of the machine</h2><pre>'
    own=$(sed -n 's/^\([a-z_]*\) |.*/\1/p' "$here/rows.txt" | sort -u | tr '\n' ' ')
    grep -v '^#' "$samples" | awk -F , -v own=" $own" 'index(own, " " $2 " ")' |
        LC_ALL=C sort -t , -k 2,2 -k 3,3 -k 5,5g >"$dir/sorted"
    LC_ALL=C awk -f "$here/table.awk" "$here/rows.txt" "$dir/sorted" | escape
    echo '</pre></body></html>'
} >"$dir/index.html"
rm -f "$dir/questions" "$dir/sorted" "$dir"/*.dat
echo "$dir/index.html"
