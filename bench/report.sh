#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes the page of one run of the benchmarks:
#
#   bench/report.sh SAMPLES DIR
#
# SAMPLES has lines attempt,round,program,row,unit,value as bench/run.sh keeps them. DIR gets samples.csv, one SVG for
# each plot, and index.html, which a browser shows without a server.

set -u
here=$(dirname "$0")
[ $# -eq 2 ] || { sed -n '4,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
command -v gnuplot >/dev/null || { echo "$0: gnuplot is missing (Debian: gnuplot-nox)" >&2; exit 3; }
samples=$1 dir=$2
mkdir -p "$dir" || exit 1
[ "$samples" -ef "$dir/samples.csv" ] || cp "$samples" "$dir/samples.csv"
rm -f "$dir"/*.svg "$dir"/*.dat

make_of()                                      # make_of FILE OPTION...: what an awk file makes of the samples
{
    file=$here/$1
    shift
    LC_ALL=C awk -f "$here/samples.awk" -f "$file" "$@" "$here/rows.txt" "$samples"
}

make_of report.awk -v dir="$dir" >"$dir/questions" || exit 1

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

# Cost against a number: a line for each curve.
plot_growth()                                  # plot_growth FILE TITLE WHAT LOGSCALE
{
    [ -s "$dir/$1.dat" ] || return 0
    plot "$1" <<END
set title "$2" noenhanced
set logscale $4
set xlabel "$3"
set key outside right
set datafile separator '\t'
$(cut -f 1 "$dir/$1.dat" | LC_ALL=C sort -u | awk -v file="$dir/$1.dat" '
    { printf "%s \047< grep -F %s %s | sort -k 2g -t \"\t\"\047 using 2:3 with linespoints lw %s title %s noenhanced",
        NR == 1 ? "plot" : ", \\\n    ", "\047\047" $0 "\047\047", file, /weir/ ? 4 : 1.5, $0 }')
END
}

while IFS='	' read -r file title unit; do
    plot_question "$file" "$title" "$unit"
done <"$dir/questions"
plot_growth growth_close "Close of N queued operations of the library, ns for each" operations xy
plot_growth growth_queued "Close of N queued operations, ns for each" operations xy
plot_growth growth_parked "Close of N parked operations, ns for each" operations xy
plot_growth growth_workers_tree "Fork-join, ns for each leaf" workers 'x 2'
plot_growth growth_workers_jobs "Jobs of a microsecond, ns for each" workers 'x 2'
plot_growth growth_workers_close "Close of 100000 queued operations, ns for each" workers 'x 2'

# ---- the page ----

escape() { sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g'; }

show()                                         # show NAME...: those plots that there are
{
    for name; do
        [ ! -f "$dir/$name.svg" ] || echo "<p><img src=\"$name.svg\" alt=\"$name\"></p>"
    done
}

{
    cat <<'END'
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>weir: benchmarks</title>
<style>body{font:16px/1.5 sans-serif;max-width:66em;margin:2em auto;padding:0 1em;color:#222}pre{font-size:12px;
overflow-x:auto;background:#f6f6f6;padding:1em}img{max-width:100%}h2{margin-top:2em}table{border-collapse:collapse;
font-size:13px}th,td{padding:1px 9px;text-align:right;border-bottom:1px solid #eee;white-space:nowrap}th{color:#666}
td:first-child,th:first-child,td:last-child,td:nth-child(2){text-align:left}.over td:last-child,.lost
td:last-child{color:#b00}.ok td:last-child,.won td:last-child{color:#070}.noisy{color:#888}</style></head><body>
<h1>weir: benchmarks</h1>
<p>Every program was started once in each round, in turn, so that a slow minute of the machine falls on all of them; a
sample is one start. All figures are costs: less is better. What is asked stands above each table, and in full at the
top of the files in <code>bench/</code> and <code>bench/peers/</code>.</p>
END
    grep '^#' "$samples" | sed 's/^# //' | escape | sed 's/^/<br>/'
    cat <<'END'
<h2>Side by side with other libraries</h2>
<p><b>x</b>: the peer's figure divided by the library's own of the same round: the median over the rounds, and its
quartiles. <b>won</b>: they lie above 1, the library is faster; <b>lost</b>: below; <b>even</b>: 1 is between them.
<b>dropped</b> in the unit: the peer does not tell its users that an operation ended. The library is there twice:
<i>weir</i> lends the waiting thread to the close, <i>weir handed over</i> leaves it to the worker. Dots are medians,
whiskers quartiles, scales logarithmic: a step to the left is a factor.</p>
END
    show growth_queued growth_parked
    while IFS='	' read -r file title unit; do
        echo "<h3>$(echo "$title" | escape)</h3>"
        show "$file"
        make_of peers/compare.awk -v html=1 -v asked="$title"
    done <"$dir/questions"
    cat <<'END'
<h2>The library by itself, and the limits of the machine</h2>
<p><b>median</b>, <b>quartiles</b> and <b>min..max</b> are over the rounds. <b>each</b>: the median divided by the
number of operations with which the row's name begins. <b>floor</b>: what the row has to reach, set on a machine with a
read-modify-write of 2.4 ns. <b>x limit</b>: the figure divided by what the machine alone needs for the least that must
happen, measured in the same rounds; in brackets the floor in the same measure. <b>ok</b>: the floor is reached; <b>ok
by x</b>: in that measure; <b>over</b>: not. <b>noisy</b>: the limit itself spread by more than a fifth in each of up to
three attempts, so judge nothing by this run; <b>wide</b>: the row did.</p>
<p>Closes: <b>lent</b>: the worker sleeps, and the thread that waits for the close helps; <b>freed</b>: the worker is
awake and is let go when the close has returned; <b>sleeping</b>: it has to be woken. <b>handles</b>: each operation's
handle is kept, and closed inside its final; else it was born closed.</p>
END
    show growth_close growth_workers_tree growth_workers_jobs growth_workers_close
    make_of table.awk -v html=1
    echo '<h2>Growth: fitted, and measured</h2><pre>'
    make_of model.awk | escape
    echo '</pre></body></html>'
} >"$dir/index.html"
rm -f "$dir/questions" "$dir"/*.dat
echo "$dir/index.html"
