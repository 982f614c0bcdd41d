#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mutants.py - plants defects in the library, one at a time, and sees whether the schedule explorer finds them

Two kinds. *Orders*: every memory order other than relaxed in core/, workqueue/ and session/ is weakened: acquire,
release and acq_rel to relaxed, seq_cst to what is next below it. *Patches*: patches/*.patch, protocol defects; the
second line of each names the programs, or program/scenario, to begin with.

A mutant is made in a copy of the tree (build/mutants/tree), so the tree itself is never touched. What depends on the
changed file is compiled again and linked with one program of scenarios after the other; the scenario that killed it
last comes first, and the first kill ends it. A kill is a violation, a crash, or a scenario that no longer finds what it
is there to find.

What is known is kept in docs/mutants.md, which is both the table for people and this program's memory. An order is
named by its file, its function, and its number there. The run fails when an order or a patch has no row, or a survivor has no
reason beside it; a reason is written by hand, and kept.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = os.path.join(ROOT, "build", "mutants")
TREE = os.path.join(WORK, "tree")
OUT = os.path.join(WORK, "out")
TABLE = os.path.join(ROOT, "docs", "mutants.md")
PATCHES = os.path.join(ROOT, "tests", "mutants", "patches")
NO_REASON = "survives, and nobody has said why"
UNTRIED = "not tried yet"

SESSION = ["session_start", "session_close", "session_cancel", "session_stream", "session_wait"]
# The first pattern that fits names the programs, or program/scenario, the likeliest first.
SCENES = [
    (r"core/slots", ["slots", "session_wait", "session_start"]),
    (r"core/registry", ["registry", "app_close"]),
    (r"core/event", ["event"]),
    (r"core/parker", ["parker", "idle"]),
    (r"core/barrier", ["barrier"]),
    (r"core/asymmetric", ["asymmetric", "idle", "app"]),
    (r"core/idle", ["idle", "app"]),
    (r"core/", ["event", "registry", "app"]),
    (r"workqueue/deque", ["deque", "fork", "app"]),
    (r"workqueue/(ring|inbox)", ["inbox", "app", "queue"]),
    (r"workqueue/(lanes|pick|blocking|worker|app|submit)", ["app", "app_close", "idle"]),
    (r"workqueue/(reply|queue|room|job|call|cancel)", ["queue", "job", "app_close", "app"]),
    (r"workqueue/(timers|wheel|waits)", ["timers", "app_close", "fdwait"]),
    (r"workqueue/fdwait", ["fdwait", "timers"]),
    (r"workqueue/fork", ["fork", "deque"]),
    (r"workqueue/control", ["control", "app_close"]),
    (r"workqueue/", ["app_close", "app", "queue"]),
    (r"session/(op_|op\.h|ack|window)", ["op_word", "session_cancel", "session_stream", "session_close"]),
    (r"session/session_word", ["session_word", "session_close", "session_start"]),
    (r"session/maps", ["maps", "session_start"]),
    (r"session/node", ["node", "session_start", "session_close"]),
    (r"session/roster", ["session_start", "maps", "session_close", "session_wait"]),
    (r"session/wait", ["session_wait/session_wait_against_the_end", "session_wait", "session_close"]),
    (r"session/(deadline|extra)", ["session_cancel/session_deadline_against_start_and_run", "session_cancel"]),
    (r"session/start", ["session_start/session_start_against_a_sweep", "session_start", "session_cancel"]),
    (r"session/pull", ["session_wait", "session_stream", "session_close"]),
    (r"session/(alarm|hook|rescue|token)", ["session_cancel", "session_close", "session_stream"]),
    (r"session/(sweep|close|abandon)", ["session_close", "session_start", "session_cancel", "session_wait"]),
    (r"session/session\.c", ["session_start/session_open_against_close_of_the_application", "session_wait",
                             "session_close", "session_app"]),
    (r"session/", SESSION),
]
WEAKER = {"acquire": "relaxed", "release": "relaxed", "acq_rel": "relaxed", "seq_cst": None}


def say(text):
    print(text, flush=True)


# ---- orders in the sources ----

def blank_comments(text):
    """The same length, comments as blanks: positions stay."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)


def function_at(code, position):
    """The function, or macro, whose first line is the last one at the margin before the position."""
    name = "file"
    for match in re.finditer(r"^(?:#define\s+(\w+)|[A-Za-z_][^\n;=]*?\b(\w+)\()", code[:position], flags=re.M):
        name = match.group(1) or match.group(2)
    return name


def below_seq_cst(code, position):
    """A load or a store has nothing between; a read-modify-write has acq_rel."""
    call = re.findall(r"atomic_(\w+)_explicit", code[:position])[-1]
    failure = call.startswith("compare_exchange") and code[:position].rstrip().endswith(",") and \
        re.search(r"memory_order_\w+\s*,\s*$", code[:position].rstrip()) is not None
    if call == "load" or failure:
        return "acquire"
    return "release" if call == "store" else "acq_rel"


def orders_of(path):
    with open(os.path.join(ROOT, path)) as file:
        text = file.read()
    code, seen, found = blank_comments(text), {}, []
    for match in re.finditer(r"memory_order_(acquire|release|acq_rel|seq_cst)\b", code):
        function = function_at(code, match.start())
        seen[function] = seen.get(function, 0) + 1
        order = match.group(1)
        found.append({
            "id": f"{path} {function} {seen[function]}", "path": path, "at": match.start(1), "end": match.end(1),
            "change": (order, WEAKER[order] or below_seq_cst(code, match.start())), "patch": None,
        })
    return found


def all_orders():
    files = []
    for folder in ("core", "workqueue", "session"):
        files += [f"{folder}/{name}" for name in sorted(os.listdir(os.path.join(ROOT, folder)))
                  if name.endswith((".c", ".h"))]
    return [order for path in files for order in orders_of(path)]


def all_patches():
    found = []
    for name in sorted(os.listdir(PATCHES)):
        if name.endswith(".patch"):
            with open(os.path.join(PATCHES, name)) as file:
                text = file.read()
            paths = re.findall(r"^\+\+\+ b/(\S+)", text, flags=re.M)
            scenes = re.findall(r"^Scenes: (.*)$", text, flags=re.M)
            found.append({"id": f"patch {name[:-6]}", "path": paths[0], "patch": os.path.join(PATCHES, name),
                          "what": text.split("\n", 1)[0], "scenes": scenes[0].split() if scenes else [],
                          "change": None})
    return found


# ---- the table ----

def read_table():
    rows = {}
    if os.path.exists(TABLE):
        with open(TABLE) as file:
            for line in file:
                cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
                if len(cells) == 3 and cells[0].startswith("`"):
                    rows[cells[0].strip("`")] = cells[2]
    return rows


def change_text(mutant):
    return mutant["what"] if mutant["patch"] else f"{mutant['change'][0]} to {mutant['change'][1]}"


def write_table(mutants, rows):
    results = [rows.get(m["id"], UNTRIED) for m in mutants]
    killed = sum(r.startswith("killed") for r in results)
    untried = sum(r == UNTRIED for r in results)
    with open(os.path.join(ROOT, "tests", "mutants", "head.md")) as file:
        head = file.read()
    with open(TABLE, "w") as file:
        file.write(head)
        file.write(f"\n{len(mutants)} mutants: {killed} killed, {len(mutants) - killed - untried} survive, "
                   f"{untried} not tried yet.\n\n")
        file.write("| mutant | change | result |\n|---|---|---|\n")
        for mutant, result in zip(mutants, results):
            file.write(f"| `{mutant['id']}` | {change_text(mutant)} | {result} |\n")


# ---- building ----

def run(command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          **more)


def make_tree():
    files = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT).stdout.split("\n")
    for name in filter(None, files):
        source, target = os.path.join(ROOT, name), os.path.join(TREE, name)
        if not os.path.isfile(source):
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(source, "rb") as file:
            content = file.read()
        if os.path.exists(target):
            with open(target, "rb") as file:
                if file.read() == content:
                    continue
        with open(target, "wb") as file:
            file.write(content)
    done = run(["cmake", "-S", TREE, "-B", OUT, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
                "-DWEIR_BUILD_EXAMPLES=OFF", "-DCMAKE_C_FLAGS=-w"])
    if done.returncode != 0:
        sys.exit(done.stdout)


def build(program):
    done = run(["ninja", "-C", OUT, f"explore_{program}"])
    return done.returncode == 0, done.stdout


def program_path(program):
    return os.path.join(OUT, "tests", "explore", f"explore_{program}")


def list_scenarios(program, cache={}):
    if program not in cache:
        cache[program] = run([program_path(program), "--list"]).stdout.split()
    return cache[program]


# ---- one mutant ----

class Broken(Exception):
    pass


def plant(mutant):
    """Changes the copy; returns what undoes it."""
    target = os.path.join(TREE, mutant["path"])
    with open(target) as file:
        original = file.read()

    def undo():
        with open(target, "w") as file:
            file.write(original)
    if mutant["patch"]:
        done = run(["patch", "-p1", "-F0", "-s", "--no-backup-if-mismatch", "-i", mutant["patch"]], cwd=TREE)
        if done.returncode != 0:
            undo()
            raise Broken(f"does not apply: {done.stdout.strip()}")
    else:
        if original[mutant["at"]:mutant["end"]] != mutant["change"][0]:
            raise Broken("the source is not what was enumerated")
        with open(target, "w") as file:
            file.write(original[:mutant["at"]] + mutant["change"][1] + original[mutant["end"]:])
    return undo


def scenes_of(mutant):
    fitting = [named for pattern, named in SCENES if re.match(pattern, mutant["path"])]
    return mutant.get("scenes", []) + fitting[0]


def programs_for(mutant, last):
    programs = [last[0]] if last is not None else []
    for scene in scenes_of(mutant):
        if scene.split("/")[0] not in programs:
            programs.append(scene.split("/")[0])
    return programs


def kills(program, scenario, seconds, bounds=()):
    """A scenario that does not find what it is there to find has perhaps only had too little time."""
    command = [program_path(program), "--scenario", scenario, "--seconds", f"{seconds:.1f}", *bounds]
    try:
        done = run(command, timeout=seconds + 30)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode < 0 or "VIOLATION" in done.stdout


def likeliest(mutant, row):
    """What killed it last; before that what its patch, or the list above, says."""
    match = re.match(r"killed: (\w+) (\w+)", row or "")
    if match:
        return match.group(1), match.group(2)
    hints = [scene for scene in scenes_of(mutant) if "/" in scene]
    return tuple(hints[0].split("/")) if hints else None


def must_build(program):
    good, log = build(program)
    if not good:
        errors = [line for line in log.split("\n") if "error" in line or "FAILED" in line]
        raise Broken("does not build: " + "; ".join(errors[:2]))


def scenarios_to_try(mutant, last):
    """First with one preemption, which is soon over and finds most; then with the scenarios' own bounds."""
    few = ("--preemptions", "1")
    if last is not None:
        yield last, 0.5, few
        yield last, 1.0, ()
    for share, bounds in ((0.15, few), (0.4, ())):
        for program in programs_for(mutant, last):
            must_build(program)
            for scenario in list_scenarios(program):
                if (program, scenario) != last:
                    yield (program, scenario), share, bounds


def try_one(mutant, row, seconds):
    """The result for the table; None: it survives."""
    last, left = likeliest(mutant, row), seconds
    if last is not None:
        must_build(last[0])
    for (program, scenario), share, bounds in scenarios_to_try(mutant, last):
        if left < 0.5:
            break
        began = time.monotonic()
        if kills(program, scenario, min(left, seconds * share), bounds):
            return f"killed: {program} {scenario}"
        left -= time.monotonic() - began
    return None


def sound_without(programs):
    """Nothing is planted: a scenario that fails now would kill everything."""
    for program in programs:
        good, log = build(program)
        if not good:
            sys.exit(log[-3000:])
        done = run([program_path(program), "--seconds", "2"])
        if done.returncode != 0:
            sys.exit(f"{program} fails without a mutant:\n" + "\n".join(re.findall(r".*VIOLATION.*", done.stdout)))


def choose(mutants, rows, options):
    chosen = [m for m in mutants if options.only is None or re.search(options.only, m["id"])]
    if options.patches:
        chosen = [m for m in chosen if m["patch"]]
    if options.untried:
        chosen = [m for m in chosen if rows.get(m["id"], UNTRIED) in (UNTRIED, NO_REASON)]
    return chosen[:options.limit] if options.limit else chosen


def try_all(mutants, chosen, rows, options):
    broken = 0
    for number, mutant in enumerate(chosen, 1):
        row, began = rows.get(mutant["id"]), time.monotonic()
        try:
            undo = plant(mutant)
            try:
                result = try_one(mutant, row, options.seconds)
            finally:
                undo()
        except Broken as reason:
            broken += 1
            say(f"{number}/{len(chosen)} {mutant['id']}: {reason}")
            continue
        if result is None:
            result = row if row and row.startswith("survives") else NO_REASON
        rows[mutant["id"]] = result
        say(f"{number}/{len(chosen)} {mutant['id']} ({change_text(mutant)}): {result}  "
            f"{time.monotonic() - began:.1f} s")
        write_table(mutants, rows)
    return broken


def main():
    parser = argparse.ArgumentParser(description="plants defects, and sees whether the explorer finds them")
    parser.add_argument("--check", action="store_true", help="only whether docs/mutants.md has them all")
    parser.add_argument("--only", help="those whose name this regular expression finds")
    parser.add_argument("--patches", action="store_true", help="only the patches")
    parser.add_argument("--untried", action="store_true", help="only those without a result, or a reason")
    parser.add_argument("--limit", type=int, default=0, help="so many at most")
    parser.add_argument("--seconds", type=float, default=20, help="of searching for each (20)")
    parser.add_argument("--trust", action="store_true", help="do not run the scenarios without a mutant first")
    options = parser.parse_args()
    mutants, rows = all_patches() + all_orders(), read_table()
    broken = 0
    if not options.check:
        chosen = choose(mutants, rows, options)
        make_tree()
        if not options.trust:
            sound_without(sorted({p for m in chosen for p in programs_for(m, None)}))
        broken = try_all(mutants, chosen, rows, options)
    write_table(mutants, rows)
    results = [rows.get(m["id"], UNTRIED) for m in mutants]
    open_ones = sum(r in (UNTRIED, NO_REASON) for r in results)
    say(f"{len(mutants)} mutants, {sum(r.startswith('killed') for r in results)} killed, "
        f"{open_ones} without a result or a reason, {broken} that could not be made")
    return 1 if open_ones or broken else 0


if __name__ == "__main__":
    sys.exit(main())
