#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""proof.py BUILD [--deep] [--libfuzzer PROGRAM]: runs what docs/proof.md speaks of, and ends in one table

BUILD is a directory in which the tests, the explorer and the target proof_relacy are built. As many jobs run at a time
as there are processors; what each printed is in BUILD/proof/JOB.log, and the table in BUILD/proof/table.txt.

--deep takes a night: longer searches, a million inputs under libFuzzer. PROGRAM is the fuzzer as clang builds it;
without it the fuzzer's own driver makes the inputs, without a sanitizer.

A job that needs a program that is not there is skipped; if CI is set, that is a failure. Exit code 0: nothing was
found.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SKIPPED = 77                                       # exit code
QUIET = 30                                         # so many seconds without a line, then one says what runs


# ---- jobs -------------------------------------------------------------------------------------------

class Job:
    """Commands that run one after the other, and what they printed."""

    def __init__(self, name, *commands, seconds=10, judge=None):
        self.name = name
        self.commands = commands
        self.seconds = seconds                     # about as long as it takes: the long ones go first
        self.judge = judge                         # of exit code and text; default: exit code 0
        self.text = ""
        self.took = 0.0
        self.verdict = "skipped"

    def run(self, log, limit):
        began = time.monotonic()
        for command in self.commands:
            code, text = run_command(command, limit)
            self.text += "$ " + " ".join(command) + "\n" + text
            well = self.judge(code, text) if self.judge else code == 0
            self.verdict = "ok" if well else "skipped" if code == SKIPPED else "FAILED"
            if self.verdict != "ok":
                break
        self.took = time.monotonic() - began
        with open(log, "w", encoding="utf-8") as file:
            file.write(self.text)


def run_command(command, limit):
    """Exit code and output. It has a process group of its own, so that all of it can be ended."""
    if not is_program(command[0]) and os.sep in command[0]:
        return 1, "it is not built\n"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          start_new_session=True) as process:
        running.add(process)
        try:
            text = process.communicate(timeout=limit)[0]
        except subprocess.TimeoutExpired:
            end_group(process)
            text = process.communicate()[0] + "it did not end within %d s\n" % limit
        finally:
            running.discard(process)
    return process.returncode, text


def end_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


running = set()


class Progress:
    """A line for each job that ended, and one when nothing has ended for a while."""

    def __init__(self, total):
        self.total = total
        self.ended = 0
        self.began = self.said = time.monotonic()
        self.lock = threading.Lock()
        self.busy = {}

    def clock(self):
        seconds = int(time.monotonic() - self.began)
        return "%2d:%02d" % (seconds // 60, seconds % 60)

    def say(self, text):
        print("%s  %3d of %d  %s" % (self.clock(), self.ended, self.total, text), flush=True)
        self.said = time.monotonic()

    def begin(self, job):
        with self.lock:
            self.busy[job.name] = time.monotonic()

    def end(self, job):
        with self.lock:
            del self.busy[job.name]
            self.ended += 1
            self.say("%-8s %-28s %4d s  %s" % (job.verdict, job.name, job.took, what_it_found(job)))

    def remind(self):
        with self.lock:
            if time.monotonic() - self.said > QUIET and self.busy:
                now = time.monotonic()
                self.say("running: " + ", ".join("%s (%d s)" % (n, now - t) for n, t in self.busy.items()))


def what_it_found(job):
    """The explorer's rows in one; else the last line that was printed."""
    searches = Searches([job])
    if searches.count + searches.planted > 0:
        return searches.figure().replace(UNBROKEN, " ")
    lines = [line for line in job.text.splitlines() if line.strip()]
    return re.sub(r"\s+", " ", lines[-1]).strip()[:70] if lines else ""


def run_all(jobs, directory, limit):
    progress = Progress(len(jobs))

    def one(job):
        progress.begin(job)
        job.run(os.path.join(directory, job.name.replace(" ", "-") + ".log"), limit)
        progress.end(job)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        waiting = {pool.submit(one, job) for job in sorted(jobs, key=lambda job: -job.seconds)}
        try:
            while waiting:
                done, waiting = concurrent.futures.wait(waiting, timeout=1,
                                                        return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    future.result()
                progress.remind()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(running):
                end_group(process)
            raise
    return progress.clock().strip()


# ---- what is run ------------------------------------------------------------------------------------

WHOLE = re.compile(r"app|session_(?!word)")        # real workers: what is too large to search is drawn by lot, too

RELACY = {                                         # random executions, preemptions; preemptions in the deep run
    "deque": (300000, 3, 3), "barrier": (300000, 4, 4), "inbox": (200000, 1, 1), "idle": (200000, 1, 2),
    "event": (200000, 2, 3), "slots": (20000, 0, 1),
}
ENDURANCE = {                                      # amounts: short, deep; about how long
    "storm": (50000, 100000, 10), "stuck": (300, 10000, 20), "soak": (10 ** 9, 10 ** 10, 240),
    "crowd": (2000, 20000, 10), "one_core": (20000, 200000, 10), "stopped": (500, 20000, 10),
    "signals": (10, 60, 10), "clocks": (2000, 20000, 10), "forks": (200, 3000, 20),
}


def is_program(path):
    return os.path.isfile(path) and os.access(path, os.X_OK)


def programs(pattern):
    return [path for path in sorted(glob.glob(pattern)) if is_program(path)]


def explorer_jobs(build, deep):
    for path in programs(build + "/tests/explore/explore_*"):
        name = os.path.basename(path)[len("explore_"):]
        command, seconds = [path], 20
        if deep and not name.startswith("selftest_"):
            command += ["--seconds", "300"]
        elif name.startswith("session_"):
            command += ["--seconds", "15"]         # as its test does
        if WHOLE.match(name):
            seconds = 200 if name.startswith("app") else 60
            # a broken copy need not be met by chance
            yield Job("pct " + name, [path, "--mode", "pct", "--seconds", "60" if deep else "2"], seconds=25,
                      judge=lambda code, text: code in (0, 1) and "VIOLATION" not in text and " runs " in text)
        yield Job("explore " + name, command, seconds=seconds)


def relacy_jobs(build, deep):
    models = build + "/tests/proof/relacy/relacy_"
    for name, (random, bound, deeper) in RELACY.items():
        command = [models + name, str(random * (10 if deep else 1)), str(deeper if deep else bound)]
        yield Job("relacy " + name, *([command] if is_program(command[0]) else []), seconds=15)
    faults = [[path, "100000", "1", "fault"] for path in programs(models + "*_*")]
    yield Job("relacy faults", *faults)


def test_jobs(build, deep):
    for path in programs(build + "/tests/test_faults_*"):
        yield Job("faults " + os.path.basename(path)[len("test_faults_"):], [path])
    path = build + "/tests/proof/linearizable/proof_linearizable"
    yield Job("linearizable", [path, "10000000" if deep else "200000"], seconds=60)
    path = build + "/tests/proof/endurance/proof_endurance"
    for part, (short, long, seconds) in ENDURANCE.items():
        yield Job("endurance " + part, [path, part, str(long if deep else short)], seconds=seconds)


def fuzz_job(build, deep, libfuzzer, directory):
    corpus = HERE + "/fuzz/corpus"
    if not libfuzzer:
        return Job("fuzz", [build + "/tests/proof/fuzz/proof_fuzz", "1000000x" if deep else "100"]
                   + sorted(glob.glob(corpus + "/*")), seconds=100)
    found = os.path.join(directory, "inputs")
    os.makedirs(found, exist_ok=True)
    command = [libfuzzer, "-runs=1000000" if deep else "-max_total_time=100", "-max_len=400",
               "-artifact_prefix=" + directory + "/", found, corpus]
    # the sanitizer's memory is where some kernels put a program when addresses are random
    if subprocess.run(["setarch", "-R", "true"], capture_output=True, check=False).returncode == 0:
        command = ["setarch", "-R"] + command
    return Job("fuzz", command, seconds=100)


def make_jobs(build, deep, libfuzzer, directory):
    jobs = [Job("spin", [HERE + "/spin/run.sh", build + "/tests/proof/spin/search"] + (["deep"] if deep else []),
                seconds=90),
            fuzz_job(build, deep, libfuzzer, directory)]
    for more in (explorer_jobs, relacy_jobs, test_jobs):
        jobs += more(build, deep)
    return {job.name: job for job in jobs}


# ---- rows -------------------------------------------------------------------------------------------

UNBROKEN = "\u00a0"                                # a space at which no line ends


def number(count):
    return "{:,}".format(count).replace(",", UNBROKEN)


def verdict_of(jobs):
    verdicts = {job.verdict for job in jobs}
    return next((word for word in ("FAILED", "skipped") if word in verdicts), "ok")


class Searches:
    """The explorer's rows, of some of its jobs."""

    ROW = re.compile(r"^(\S+)\s+(?:dfs|pct|random)\s+((?:[psfeur](?:\d+|-) )+)\s*(\d+) runs (all|part)\b.*?"
                     r"  (ok|found|VIOLATION|NOT FOUND)", re.M)

    def __init__(self, jobs, only=lambda bounds: True):
        self.jobs = list(jobs)
        rows = [row for job in self.jobs for row in self.ROW.findall(job.text) if only(row[1])]
        self.found = sum(row[4] == "found" for row in rows)
        self.planted = self.found + sum(row[4] == "NOT FOUND" for row in rows)
        rows = [row for row in rows if row[4] in ("ok", "VIOLATION")]
        self.count = len(rows)
        self.complete = sum(row[3] == "all" for row in rows)
        self.schedules = sum(int(row[2]) for row in rows)
        self.violations = sum(row[4] == "VIOLATION" for row in rows)
        self.bounds = self.range_of([row[1] for row in rows])

    @staticmethod
    def range_of(bounds):
        values = {}
        for text in bounds:
            here = dict((word[0], word[1:]) for word in text.split())
            for letter in "psfe":
                values.setdefault(letter, set()).add(here.get(letter, "0"))
        text = []
        for letter, seen in values.items():
            known = sorted(int(value) for value in seen if value != "-")
            if not known or known[-1] == 0:
                continue
            text.append(letter + (str(known[0]) if known[0] == known[-1] else "%d-%d" % (known[0], known[-1])))
        return " ".join(text)

    def figure(self):
        return "%d scenarios (%d all, %d part), %s schedules, %d violations" % (
            self.count, self.complete, self.count - self.complete, number(self.schedules), self.violations)


AREAS = [                                          # what, whose scenarios, the neighbours' figure
    ("deque: owner, thieves", ["deque"], "libvsync: GenMC, 5 bounds; crossbeam: TSan suppressed"),
    ("inbox: producers, consumers", ["inbox", "batch"], "tokio: 4 loom tests of its queue, p2"),
    ("sleep and wake: none lost", ["parker", "idle", "event", "asymmetric"], "tokio: loom, p2"),
    ("barrier, slots, registry", ["barrier", "slots", "registry"], ""),
    ("the pool: run, block, close", ["app", "app_close"], "tokio: 18 loom tests of the pool, 7 of blocking, p2"),
    ("queues, jobs, fork", ["queue", "job", "fork"], ""),
    ("timers, descriptors, control", ["timers", "fdwait", "control"], ""),
    ("start against close", ["session_start", "session_word"], "tokio: racy_shutdown, p2, no failing allocation"),
    ("close, cancel, end, handle", ["session_close", "session_cancel", "op_word"],
     "tokio: cancellation token, 7 loom tests"),
    ("streams: post, ack, next", ["session_stream"], "none found"),
    ("wait, abandon, children", ["session_wait", "session_abandon", "session_app", "session_child", "session_idle"],
     "none found"),
]


def explorer_rows(jobs):
    of = {name[len("explore "):]: job for name, job in jobs.items() if name.startswith("explore ")}
    tests = {name: job for name, job in of.items() if name.startswith("selftest_")}
    left = {name: job for name, job in of.items() if name not in tests}
    everything = list(left.values())
    areas = [(text, [left.pop(name) for name in names if name in left], other) for text, names, other in AREAS]
    rest = [name for name in left if name.startswith("session_")]
    areas.append(("sessions: the rest", [left.pop(name) for name in rest], "none found"))
    areas.append(("all else", list(left.values()), ""))
    for text, here, other in areas:
        if here:
            searches = Searches(here)
            yield verdict_of(here), text, searches.figure(), searches.bounds, other
    if not everything:
        yield "skipped", "explorer", "it is for x86-64", "", ""
        return
    faults = Searches(everything, lambda bounds: re.search(r"f[1-9]", bounds))
    yield (verdict_of(everything), "of these: memory, threads fail", faults.figure(), faults.bounds,
           "msquic: 1 allocation in 100, by chance")
    lots = [job for name, job in jobs.items() if name.startswith("pct ")]
    drawn = Searches(lots)
    yield (verdict_of(lots), "drawn by lot (PCT)", "%d scenarios, %s schedules, %d violations"
           % (drawn.count, number(drawn.schedules), drawn.violations), "any p " + drawn.bounds,
           "Lincheck: 100 programs, 10 000 runs each")
    planted = Searches(everything + list(tests.values()))
    yield (verdict_of(planted.jobs), "broken copies are found", "%d of %d" % (planted.found, planted.planted), "",
           "rcutorture: BUSTED variants; GenMC: 154 wrong programs")
    litmus = re.search(r"(\d+) tests, (\d+) wrong", tests["selftest_litmus"].text)
    same = re.search(r"(\d+) programs compared.* (\d+) different", tests["selftest_reduction"].text)
    again = re.findall(r"repeated (\d+) of (\d+) times", tests["selftest_replay"].text)
    yield (verdict_of(tests.values()), "the explorer itself",
           "litmus: %s, %s wrong; with and without reduction: %s programs, %s differ; replays: %d of %d the same"
           % (*(litmus.groups() if litmus else "??"), *(same.groups() if same else "??"),
              sum(int(a) for a, _ in again), sum(int(b) for _, b in again)), "no load buffering",
           "herd: 4 587 litmus tests; loom: its own")


def mutant_rows():
    counts = {"patch": {}, "order": {}}
    with open(ROOT + "/docs/mutants.md", encoding="utf-8") as file:
        for line in file:
            cells = [cell.strip() for cell in line.split("|")]
            result = re.match(r"killed|survives|not tried", cells[-2]) if len(cells) > 4 else None
            if result:
                kind = counts["patch" if cells[1].startswith("`patch") else "order"]
                kind[result[0]] = kind.get(result[0], 0) + 1
    for kind, text in ("patch", "mutants: protocol defects"), ("order", "mutants: weakened orders"):
        count = counts[kind]
        untried = count.get("not tried", 0)
        yield ("page", text, "%d of %d found%s" % (count.get("killed", 0), sum(count.values()) - untried,
                                                     ", %d not tried" % untried if untried else ""),
               "as its page says", "none found for a C library" if kind == "order" else "rcutorture: BUSTED")


def relacy_rows(jobs):
    here = [jobs["relacy " + name] for name in RELACY]
    executions = sum(int(count) for job in here for count in re.findall(r"(\d+) executions: nothing", job.text))
    yield (verdict_of(here), "Relacy: six parts", number(executions) + " executions, 0 errors",
           ", ".join("%s p%s" % (name, jobs["relacy " + name].commands[0][2]) for name in RELACY
                     if jobs["relacy " + name].commands), "none found")
    faults = jobs["relacy faults"]
    yield faults.verdict, "Relacy: planted faults", "%d of %d found" % (
        len(re.findall(r"executions: (?!nothing)", faults.text)), len(faults.commands)), "", ""


def spin_rows(jobs):
    spin = jobs["spin"]
    found = re.findall(r"(\d+) errors, (\d+) states", spin.text)
    yield (spin.verdict, "Spin: sessions' words", "%d searches, %s states, %d errors"
           % (len(found), number(sum(int(states) for _, states in found)), sum(int(errors) for errors, _ in found)),
           "5 or 6 processes", "userspace-rcu: no model in its tree")
    faults = re.findall(r"^FAULT_\S+ .*(?:assertion violated|acceptance cycle)", spin.text, re.M)
    yield spin.verdict, "Spin: planted faults", "%d found" % len(faults), "", ""


def fuzz_row(job):
    libfuzzer = re.search(r"Done (\d+) runs in (\d+) second", job.text)
    features = re.findall(r"cov: (\d+)", job.text)
    own = re.search(r"(\d+) random ones, (\d+) operations", job.text)
    figure = "it failed" if job.verdict == "FAILED" else ""
    if libfuzzer:
        figure = "%s sequences, %s edges, nothing found" % (number(int(libfuzzer[1])), (features or "?")[-1])
    elif own:
        figure = "%s sequences, %s operations, nothing found" % tuple(number(int(part)) for part in own.groups())
    return (job.verdict, "sequences of calls", figure, "3 threads, " + ("ASan, UBSan" if libfuzzer else "no sanitizer"),
            "spinquic: 60 minutes, 100 times")


def test_rows(jobs):
    faults = [job for name, job in jobs.items() if name.startswith("faults ")]
    tests = sum(int(count) for job in faults for count in re.findall(r"PASSED  \] (\d+) test", job.text))
    yield (verdict_of(faults), "each allocation, thread fails", "%d tests, in %d programs" % (tests, len(faults)), "",
           "msquic: 1 in 100, by chance")
    job = jobs["linearizable"]
    found = re.search(r"(\d+) histories of (\d+) calls", job.text)
    yield (job.verdict, "linearizable histories", "%s histories, %s calls, 0 not linearizable"
           % tuple(number(int(count)) for count in found.groups()) if found else "none", "3 threads, 4 calls each",
           "multicoretests: 200 to 1 000 programs a property")
    yield fuzz_row(jobs["fuzz"])


ENDURANCE_ROWS = [
    ("storm", "close storm, 8 threads", "spinquic, by chance"),
    ("stuck", "all workers stuck", "none found"),
    ("soak", "soak", "userspace-rcu: 10 s each"),
    ("crowd", "100 workers for each core", "rcutorture: it shuffles, stutters"),
    ("one_core", "a single core", ""),
    ("stopped", "a worker stands still", "none found"),
    ("signals", "10 000 signals a second", ""),
    ("clocks", "the clock jumps", "VOPR (TigerBeetle)"),
    ("forks", "forks under load", "userspace-rcu: a fork test"),
]


def endurance_rows(jobs):
    for part, text, other in ENDURANCE_ROWS:
        job = jobs["endurance " + part]
        found = re.search(r"([\d.]+) s, (\d+) accepted.* (\d+) closes: all is well", job.text)
        figure = job.verdict
        if found:
            figure = "%s operations, %s closes" % (number(int(found[2])), number(int(found[3])))
        process = re.search(r"threads (\d+), files (\d+), memory (\d+) kB before; (\d+), (\d+), (\d+)", job.text)
        longest = re.search(r"took ([\d.]+ ms)", job.text)
        if longest:
            figure += ", longest close " + longest[1]
        if part == "soak" and process:
            more = tuple(int(process[i + 3]) - int(process[i]) for i in (3, 2, 1))
            figure += "; %+d kB, %+d files, %+d threads" % more
        children = jobs["endurance forks"].commands[0][2]
        yield job.verdict, text, figure, children + " children" if part == "forks" else "", other


def make_rows(jobs):
    yield from explorer_rows(jobs)
    yield from mutant_rows()
    yield from relacy_rows(jobs)
    yield from spin_rows(jobs)
    yield from test_rows(jobs)
    yield from endurance_rows(jobs)


# ---- the table --------------------------------------------------------------------------------------

WIDTHS = (7, 24, 42, 14, 24)
LEGEND = """Bounds of a search: p preemptions, s stale reads, f faults, e early time-outs; all of the space, or
part in the time it had. page: read from docs/mutants.md, not run here. What is not proved: docs/proof.md.
"""


def table(rows):
    lines = []
    for row in [("", "row", "figure", "bound", "elsewhere")] + list(rows):
        cells = [textwrap.wrap(str(cell), width) or [""] for cell, width in zip(row, WIDTHS)]
        for i in range(max(len(cell) for cell in cells)):
            parts = [(cell[i] if i < len(cell) else "").ljust(width) for cell, width in zip(cells, WIDTHS)]
            lines.append("  ".join(parts).replace(UNBROKEN, " ").rstrip())
        if len(lines) == 1:
            lines.append("  ".join("-" * width for width in WIDTHS))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description="runs the proofs and ends in one table (docs/proof.md)")
    parser.add_argument("build")
    parser.add_argument("--deep", action="store_true")
    parser.add_argument("--libfuzzer", default="")
    arguments = parser.parse_args()
    build = os.path.abspath(arguments.build)
    directory = build + "/proof"
    os.makedirs(directory, exist_ok=True)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))      # run_all() ends what runs
    jobs = make_jobs(build, arguments.deep, arguments.libfuzzer, directory)
    took = run_all(jobs.values(), directory, 86400 if arguments.deep else 3600)
    text = table(make_rows(jobs))
    with open(directory + "/table.txt", "w", encoding="utf-8") as file:
        file.write(text + "\n")
    for job in jobs.values():
        if job.verdict == "FAILED":
            print("\n---- %s FAILED; the end of what it printed:" % job.name)
            print("\n".join(job.text.splitlines()[-40:]))
    print("\n" + text + "\n")
    print(LEGEND)

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    count = {word: sum(job.verdict == word for job in jobs.values()) for word in ("ok", "skipped", "FAILED")}
    print("in %s, %d minutes of processor time; what each job printed: %s"
          % (took, (used.ru_utime + used.ru_stime) / 60, directory))
    print("%d jobs well, %d failed, %d skipped" % (count["ok"], count["FAILED"], count["skipped"]))
    return count["FAILED"] > 0 or (count["skipped"] > 0 and bool(os.environ.get("CI")))


if __name__ == "__main__":
    sys.exit(main())
