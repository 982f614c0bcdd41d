#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mutants.py - plants defects in the library, one at a time, and sees whether the schedule explorer finds them

Two kinds. *Orders*: every memory order other than relaxed in core/, workqueue/ and session/ is weakened: acquire,
release and acq_rel to relaxed, seq_cst to what is next below it. *Patches*: patches/*.patch, protocol defects; the
second line of each names the programs, or program/scenario, to begin with.

All is built from a copy of the tree (build/mutants/tree), so the tree itself is never touched. A patch is applied to
the copy, and what depends on the changed file is compiled again and linked with one program of scenarios after the
other. An order needs no compiling, see explorer.py; it is tried with the scenarios that come by its place. What
killed a mutant last comes first, and the first kill ends it. A kill is a violation or a crash. `--scenes` asks the other way round:
each scenario that has killed nothing is tried with mutants that others have killed.

What is known is kept in docs/mutants.md, which is both the table for people and this program's memory. An order is
named by its file, its function, and its number there. The run fails when an order or a patch has no row, or a survivor
has no reason beside it; a reason is written by hand after "survives:", and kept.
"""
import argparse
import os
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from explorer import FEW, STALER, Explorer, run, seconds_of

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = os.path.join(ROOT, "build", "mutants")
TREE = os.path.join(WORK, "tree")
OUT = os.path.join(WORK, "out")
TABLE = os.path.join(ROOT, "docs", "mutants.md")
PATCHES = os.path.join(ROOT, "tests", "mutants", "patches")
NO_REASON = "survives, and nobody has said why"
SCENE_MUTANTS_MAX = 12
SCENES_MAX = 12                  # of those that come by an order's place; the likeliest
SEARCHED = "survives {} scenarios, {} of them searched in full, and nobody has said why"
UNREACHED = "survives, because no scenario comes there"
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


def call_before(code, position):
    """Where the call begins that the order is an argument of, and whether it is a compare-exchange's second."""
    call = list(re.finditer(r"\batomic_(\w+?)(?:_explicit)?\(", code[:position]))[-1]
    swap = call.group(1).startswith("compare_exchange")
    return call.start(), 2 if swap and re.match(r"\w+\s*\)", code[position:]) else 1


def orders_of(path):
    with open(os.path.join(ROOT, path)) as file:
        code = blank_comments(file.read())
    seen, found = {}, []
    for match in re.finditer(r"memory_order_(acquire|release|acq_rel|seq_cst)\b", code):
        function, order = function_at(code, match.start()), match.group(1)
        seen[function] = seen.get(function, 0) + 1
        begins, which = call_before(code, match.start())
        found.append({
            "id": f"{path} {function} {seen[function]}", "path": path, "patch": None, "which": which,
            "place": f"{path}:{code.count(chr(10), 0, begins) + 1}",
            "change": (order, WEAKER[order] or below_seq_cst(code, match.start())),
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


def read_scenes():
    """What each scenario kills, by "program scenario"; the second table."""
    rows = {}
    if os.path.exists(TABLE):
        with open(TABLE) as file:
            for line in file:
                cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
                if len(cells) == 2 and cells[0].startswith("`"):
                    rows[cells[0].strip("`")] = cells[1]
    return rows


def all_scenes():
    """By their sources: "program scenario", and whether it is there to find something by itself."""
    folder, found = os.path.join(ROOT, "tests", "explore", "scenarios"), {}
    for name in sorted(os.listdir(folder)):
        if name.startswith("scene_") and name.endswith(".c"):
            with open(os.path.join(folder, name)) as file:
                for scenario, bounds in re.findall(r"^EXPLORE_SCENARIO\((\w+),([^{]*)\{?", file.read(), flags=re.M):
                    found[f"{name[6:-2]} {scenario}"] = ".expect" in bounds
    return found


def scene_results(mutants, rows):
    """A mutant that it has killed, says the first table; else what the second one says."""
    known, killers = read_scenes(), {}
    for mutant in mutants:
        match = re.match(r"killed: (\w+ \w+)", rows.get(mutant["id"], ""))
        if match:
            killers.setdefault(match[1], f"kills `{mutant['id']}`")
    return {name: "finds what is planted in it" if expects else killers.get(name) or known.get(name) or UNTRIED
            for name, expects in all_scenes().items()}


def change_text(mutant):
    return mutant["what"] if mutant["patch"] else f"{mutant['change'][0]} to {mutant['change'][1]}"


def write_table(mutants, rows, more=None):
    results = [rows.get(m["id"], UNTRIED) for m in mutants]
    killed = sum(r.startswith("killed") for r in results)
    untried = sum(r == UNTRIED for r in results)
    with open(os.path.join(ROOT, "tests", "mutants", "head.md")) as file:
        head = file.read()
    scenes = scene_results(mutants, rows)
    scenes.update(more or {})
    with open(TABLE, "w") as file:
        file.write(head)
        file.write(f"\n{len(mutants)} mutants: {killed} killed, {len(mutants) - killed - untried} survive, "
                   f"{untried} not tried yet.\n\n")
        file.write("| mutant | change | result |\n|---|---|---|\n")
        for mutant, result in zip(mutants, results):
            file.write(f"| `{mutant['id']}` | {change_text(mutant)} | {result} |\n")
        idle = sum(not r.startswith(("kills", "finds")) for r in scenes.values())
        file.write(f"\n## Scenarios, and one mutant that each kills\n\n{len(scenes)} scenarios, of which {idle} have "
                   "killed nothing yet.\n\n| scenario | result |\n|---|---|\n")
        for name, result in scenes.items():
            file.write(f"| `{name}` | {result} |\n")


# ---- the copy ----

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


# ---- one mutant ----

class Broken(Exception):
    pass


def scenes_of(mutant):
    fitting = [named for pattern, named in SCENES if re.match(pattern, mutant["path"])]
    return mutant.get("scenes", []) + fitting[0]


def programs_for(mutant, last=None):
    programs = [last[0]] if last is not None else []
    for scene in scenes_of(mutant):
        if scene.split("/")[0] not in programs:
            programs.append(scene.split("/")[0])
    return programs


def likeliest(mutant, row):
    """What killed it last; before that what its patch, or the list above, says."""
    match = re.match(r"killed: (\w+) (\w+)", row or "")
    if match:
        return match.group(1), match.group(2)
    hints = [scene for scene in scenes_of(mutant) if "/" in scene]
    return tuple(hints[0].split("/")) if hints else None


def plant(mutant):
    """Changes the copy; returns what undoes it."""
    target = os.path.join(TREE, mutant["path"])
    with open(target) as file:
        original = file.read()

    def undo():
        with open(target, "w") as file:
            file.write(original)
    done = run(["patch", "-p1", "-F0", "-s", "--no-backup-if-mismatch", "-i", mutant["patch"]], cwd=TREE)
    if done.returncode != 0:
        undo()
        raise Broken(f"does not apply: {done.stdout.strip()}")
    return undo


def must_build(explorer, program):
    good, log = explorer.build([program])
    if not good:
        errors = [line for line in log.split("\n") if "error" in line or "FAILED" in line]
        raise Broken("does not build: " + "; ".join(errors[:2]))


def scenarios_to_try(explorer, mutant, last):
    """First with one preemption, which is soon over and finds most; then with the scenarios' own bounds."""
    if last is not None:
        yield last, 0.5, FEW
        yield last, 1.0, ()
    for share, bounds in ((0.15, FEW), (0.4, ())):
        for program in [p for p in programs_for(mutant, last) if p in explorer.programs]:
            must_build(explorer, program)
            for scenario in explorer.list(program):
                if (program, scenario) != last:
                    yield (program, scenario), share, bounds


def search_for(explorer, mutant, row, seconds):
    last, left = likeliest(mutant, row), seconds
    if last is not None:
        must_build(explorer, last[0])
    for (program, scenario), share, bounds in scenarios_to_try(explorer, mutant, last):
        if left < 0.5:
            break
        text, killed = explorer.search(program, scenario, min(left, seconds * share), bounds)
        if killed:
            return f"killed: {program} {scenario}"
        left -= seconds_of(text)
    return NO_REASON


def try_patch(explorer, mutant, row, seconds):
    undo = plant(mutant)
    try:
        return search_for(explorer, mutant, row, seconds)
    finally:
        undo()


def in_turn(explorer, mutant, last):
    """Who comes by: what killed it last, then the programs of its file, the quick ones first."""
    programs = programs_for(mutant)

    def when(found):
        program, scenario, row = found
        rank = programs.index(program) if program in programs else len(programs)
        return (program, scenario) != last, rank, row["seconds"]
    return sorted(explorer.who_comes_by(mutant["place"]), key=when)[:SCENES_MAX]


def try_order(explorer, mutant, row, seconds):
    """Each scenario that comes by with one preemption; then all with their own bounds, then with staler reads."""
    turn, left, full = in_turn(explorer, mutant, likeliest(mutant, row)), seconds, 0
    for share, bounds in ((0.15, FEW), (0.3, ()), (0.15, STALER)):
        for program, scenario, _ in turn:
            if left <= 0:
                return SEARCHED.format(len(turn), full)
            weaker = explorer.weakened(program, mutant["place"], mutant["which"], mutant["change"][1])
            text, killed = explorer.search(program, scenario, min(left, seconds * share), (*bounds, *weaker))
            if killed:
                return f"killed: {program} {scenario}"
            full += bounds == () and " runs all " in text
            left -= seconds_of(text)
    return SEARCHED.format(len(turn), full) if turn else UNREACHED


def choose(mutants, rows, options):
    chosen = [m for m in mutants if options.only is None or re.search(options.only, m["id"])]
    if options.patches:
        chosen = [m for m in chosen if m["patch"]]
    if options.untried:
        chosen = [m for m in chosen if rows.get(m["id"], UNTRIED) == UNTRIED]
    if options.open:
        chosen = [m for m in chosen if is_open(rows.get(m["id"], UNTRIED))]
    return chosen[:options.limit] if options.limit else chosen


def is_open(result):
    return not result.startswith(("killed", "survives:", "survives here:"))


class Trial:
    """Tries mutants, orders several at a time, and keeps the table up to date."""

    def __init__(self, explorer, mutants, chosen, rows, seconds):
        self.explorer, self.mutants, self.chosen, self.rows, self.seconds = explorer, mutants, chosen, rows, seconds
        self.lock, self.done, self.broken = threading.Lock(), 0, 0

    def one(self, mutant):
        row, began = self.rows.get(mutant["id"]), time.monotonic()
        try:
            result = (try_patch if mutant["patch"] else try_order)(self.explorer, mutant, row, self.seconds)
        except Broken as reason:
            result, broken = str(reason), True
        else:
            broken = False
        with self.lock:
            self.note(mutant, row, result, broken)
            say(f"{self.done}/{len(self.chosen)} {mutant['id']} ({change_text(mutant)}): {result}  "
                f"{time.monotonic() - began:.1f} s")

    def note(self, mutant, row, result, broken):
        self.done += 1
        self.broken += broken
        if not broken:
            by_hand = row is not None and row.startswith("survives") and not is_open(row)
            self.rows[mutant["id"]] = row if by_hand and not result.startswith("killed") else result
            write_table(self.mutants, self.rows)

    def all(self, jobs):
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(self.one, [m for m in self.chosen if not m["patch"]]))
        for mutant in self.chosen:
            if mutant["patch"]:
                self.one(mutant)


def try_scene(explorer, name, mutants, rows):
    """Orders that others have killed, the rarest places first: who comes by one that few come by is there for it."""
    program, scenario = name.split()
    row = explorer.surveys[program]["rows"][scenario]
    fitting = [m for m in mutants if m["patch"] is None and m["place"] in row["places"]
               and rows.get(m["id"], UNTRIED).startswith("killed")]
    fitting.sort(key=lambda m: len(explorer.who_comes_by(m["place"])))
    for bounds, seconds in ((FEW, 0.7), ((), 2)):
        for mutant in fitting[:SCENE_MUTANTS_MAX]:
            weaker = explorer.weakened(program, mutant["place"], mutant["which"], mutant["change"][1])
            if explorer.search(program, scenario, seconds, (*bounds, *weaker))[1]:
                return f"kills `{mutant['id']}`"
    return f"kills none of {min(len(fitting), SCENE_MUTANTS_MAX)} that others kill"


def try_scenes(explorer, mutants, rows, options):
    """Those of the second table that have not killed anything."""
    lock, results = threading.Lock(), scene_results(mutants, rows)
    chosen = [name for name, result in results.items() if result == UNTRIED and name.split()[0] in explorer.surveys
              and (options.only is None or re.search(options.only, name))]

    def one(name):
        result = try_scene(explorer, name, mutants, rows)
        with lock:
            results[name] = result
            say(f"{name}: {result}")
            write_table(mutants, rows, results)
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(one, chosen))


def prepare(options):
    """The programs as they are, and what their scenarios do."""
    make_tree()
    explorer = Explorer(OUT, TREE, options.programs)
    good, log = explorer.build(explorer.programs)
    if not good:
        sys.exit(log[-3000:])
    explorer.survey(options.jobs)
    return explorer


def main():
    parser = argparse.ArgumentParser(description="plants defects, and sees whether the explorer finds them")
    parser.add_argument("--check", action="store_true", help="only whether docs/mutants.md has them all")
    parser.add_argument("--only", help="those whose name this regular expression finds")
    parser.add_argument("--patches", action="store_true", help="only the patches")
    parser.add_argument("--untried", action="store_true", help="only those without a result")
    parser.add_argument("--open", action="store_true", help="only those without a result, or a reason")
    parser.add_argument("--scenes", action="store_true", help="the other way round: what does a scenario kill?")
    parser.add_argument("--programs", default="", help="only scenarios of the programs that this finds")
    parser.add_argument("--limit", type=int, default=0, help="so many at most")
    parser.add_argument("--seconds", type=float, default=20, help="of searching for each (20)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="searches at a time")
    options = parser.parse_args()
    mutants, rows, broken = all_patches() + all_orders(), read_table(), 0
    if options.scenes:
        try_scenes(prepare(options), mutants, rows, options)
    elif not options.check:
        chosen = choose(mutants, rows, options)
        trial = Trial(prepare(options), mutants, chosen, rows, options.seconds)
        trial.all(options.jobs)
        broken = trial.broken
    write_table(mutants, rows)
    results = [rows.get(m["id"], UNTRIED) for m in mutants]
    open_ones = sum(is_open(r) for r in results)
    say(f"{len(mutants)} mutants, {sum(r.startswith('killed') for r in results)} killed, "
        f"{open_ones} without a result or a reason, {broken} that could not be made")
    return 1 if open_ones or broken else 0


if __name__ == "__main__":
    sys.exit(main())
