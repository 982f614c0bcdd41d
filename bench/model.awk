# SPDX-License-Identifier: Apache-2.0
#
# model.awk - the cost model: what a call does, and how cost grows: awk -f samples.awk -f model.awk
#
# Calls. From the program count; "at least" is the read-modify-writes times their own cost in the same run.
#
# Workers. On P processors, with W workers, one piece of work costs
#
#   t(W) = s + p / min(W, P)            s: what only one thread at a time can do; p: what they share
#
# s and p follow from the rows of the program growth with 1 and with 2 workers. What they predict for 4 and 8 stands
# beside what was measured, with the error. Medians, and then the least of all rounds, which a busy machine hurts less.
#
# Operations. N of them cost T(N) = a + b N while they fit the caches: a and b from 1 and 1000. Beyond: from 100000 on
# the slope of 100000 to 1000000. 10, 100 and 10000 are predictions.
#
# Extrapolated. The same constants for 64 processors and 1e7 operations: nothing of it was measured.

function have(program, row) { return (program SUBSEP row) in unit }

# The median, or the least.
function figure(program, row,    key)
{
    key = program SUBSEP row
    return quantile(key, attempt_of(key), least ? 0 : 0.5)
}

function least_of(a, b) { return a < b ? a : b }
function error_of(predicted, measured) { return sprintf("%+.0f %%", 100 * (predicted - measured) / measured) }

# ---- calls ----

function print_calls(    i, name, some, rmw)
{
    rmw = have("limits", "read-modify-write") ? median("limits" SUBSEP "read-modify-write") : 0
    for (i = 1; i <= key_count; i++) {
        if (program_of[keys[i]] != "count" || row_of[keys[i]] !~ /: read-modify-writes$/)
            continue
        name = row_of[keys[i]]
        sub(/: read-modify-writes$/, "", name)
        if (!some++)
            printf "\nWhat a call does (bench_count)\n  %-52s %8s %14s %11s %9s %13s\n", "call", "RMWs",
                "lines written", "lines read", "wake-ups", "at least, ns"
        printf "  %-52s %8s %14s %11s %9s %13s\n", name, number(median(keys[i])), count_of(name, "lines written"),
            count_of(name, "lines read"), count_of(name, "wake-ups"), rmw ? number(rmw * median(keys[i])) : ""
    }
}

function count_of(name, what) { return number(median("count" SUBSEP name ": " what)) }

# ---- workers ----

function row_of_workers(what, workers) { return what " " workers (workers == 1 ? " worker" : " workers") }

# Fits shared[what] and single[what]; false: there is nothing to fit.
function fit_workers(what,    one, two)
{
    if (!have("growth", row_of_workers(what, 1)) || !have("growth", row_of_workers(what, 2)) || processors < 2)
        return 0
    one = figure("growth", row_of_workers(what, 1))
    two = figure("growth", row_of_workers(what, 2))
    shared[what] = 2 * (one - two)
    single[what] = one - shared[what]
    return 1
}

function predict_workers(what, workers, on) { return single[what] + shared[what] / least_of(workers, on) }

function print_workers(what,    workers, predicted, measured, line)
{
    if (!fit_workers(what))
        return
    line = sprintf("  %-6s %9s + %9s / workers ", what, number(single[what]), number(shared[what]))
    for (workers = 4; workers <= 8; workers *= 2) {
        predicted = predict_workers(what, workers, processors)
        measured = figure("growth", row_of_workers(what, workers))
        line = line sprintf("   %d: %9s, was %9s  %7s", workers, number(predicted), number(measured),
            error_of(predicted, measured))
    }
    print line
}

function print_growth(    names, i, n)
{
    if (!have("growth", row_of_workers("tree", 1)))
        return
    n = split("tree,jobs,close", names, ",")
    for (least = 0; least < 2; least++) {
        printf "\nGrowth with workers, %s, ns, on %d processors: fitted to 1 and 2 workers\n",
            least ? "least" : "median", processors
        for (i = 1; i <= n; i++)
            print_workers(names[i])
    }
    least = 1
    printf "\nExtrapolated to 64 processors and 64 workers, from the least (not measured)\n"
    for (i = 1; i <= n; i++)
        if (fit_workers(names[i]))
            printf "  %-6s %9s ns\n", names[i], number(predict_workers(names[i], 64, 64))
}

# ---- operations ----

function predict_operations(n)
{
    return n <= 100000 || !slope_large ? start + slope * n : at_large + slope_large * (n - 100000)
}

function fit_operations(form,    one, thousand)
{
    if (!have("close", "1 " form) || !have("close", "1000 " form))
        return 0
    one = figure("close", "1 " form)
    thousand = figure("close", "1000 " form)
    slope = (thousand - one) / 999
    start = one - slope
    slope_large = 0
    if (have("close", "1000000 " form)) {
        at_large = figure("close", "100000 " form)
        slope_large = (figure("close", "1000000 " form) - at_large) / 900000
    }
    return 1
}

function print_operations(form,    n, line, measured)
{
    if (!fit_operations(form))
        return
    line = sprintf("  %-16s %7s + %6s N ", form, number(start), number(slope))
    if (slope_large)
        line = line sprintf("(%s beyond 1e5) ", number(slope_large))
    for (n = 10; n <= 100000; n *= 10) {
        if (n == 1000)
            continue
        measured = figure("close", sprintf("%d %s", n, form))
        line = line sprintf("  %d: %s, was %s  %s;", n, number(start + slope * n), number(measured),
            error_of(start + slope * n, measured))
    }
    print line
}

function print_closes(    names, i, n, close_64)
{
    if (!have("close", "1000 lent"))
        return
    n = split("lent,freed,sleeping,lent handles,freed handles,sleeping handles", names, ",")
    least = 1
    printf "\nGrowth of a close with the number of operations, least, ns: fitted to 1 and 1000\n"
    for (i = 1; i <= n; i++)
        print_operations(names[i])
    if (!fit_operations("lent") || !slope_large)
        return
    printf "\nExtrapolated to 1e7 queued operations, from the least (not measured)\n"
    printf "  %-44s %9s ms\n", "1 worker, lent", number(predict_operations(1e7) / 1e6)
    if (!fit_workers("close"))
        return
    close_64 = predict_workers("close", 64, 64) / predict_workers("close", 1, 64)
    printf "  %-44s %9s ms\n", "64 workers on 64 processors", number(predict_operations(1e7) * close_64 / 1e6)
}

END {
    print_calls()
    print_growth()
    print_closes()
}
