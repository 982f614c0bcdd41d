# SPDX-License-Identifier: Apache-2.0
"""explorer.py - what mutants.py knows of the schedule explorer's programs: build, run, survey

The survey: every scenario is run for a moment as it is, with one preemption, and asked at which places of the source
it has made an atomic access that others could see (`--sites`). An order that a scenario never comes to, it need not be
tried with. And as the explorer is handed each access with its order, a weaker one needs no compiling (`--weaken`): the
program that is there already is run with it.

Seconds are those that a process has used, so the result does not depend on what else the machine has to do.

The survey is kept beside the programs (survey.json), by their hashes.
"""
import hashlib
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

FEW = ("--preemptions", "1")     # soon over, and finds most
STALER = ("--preemptions", "1", "--stale", "3")
ORDERS = {"relaxed": 0, "acquire": 2, "release": 3, "acq_rel": 4, "seq_cst": 5}    # the compiler's numbers


def run(command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          **more)


def seconds_of(text):
    """What a search has used, as its row says."""
    row = re.search(r"([\d.]+) s  longest", text)
    return float(row[1]) if row else 0.0


class Explorer:
    """The programs of one build directory that a regular expression finds; root: where their sources are."""

    def __init__(self, out, root, which):
        self.out, self.root, self.scenarios, self.surveys = out, root, {}, {}
        scenes = os.path.join(root, "tests", "explore", "scenarios")
        names = [n[6:-2] for n in sorted(os.listdir(scenes)) if n.startswith("scene_") and n.endswith(".c")]
        self.programs = [n for n in names if re.search(which, n)]

    def path(self, program):
        return os.path.join(self.out, "tests", "explore", f"explore_{program}")

    def build(self, programs):
        done = run(["ninja", "-C", self.out] + [f"explore_{p}" for p in programs])
        return done.returncode == 0, done.stdout

    def list(self, program):
        if program not in self.scenarios:
            self.scenarios[program] = run([self.path(program), "--list"]).stdout.split()
        return self.scenarios[program]

    def search(self, program, scenario, seconds, more=()):
        """What was printed, and whether there was a violation or a crash."""
        limit = f"ulimit -t {int(seconds) + 20}; exec \"$0\" \"$@\""     # one run that does not end is a crash
        done = run(["sh", "-c", limit, self.path(program), "--scenario", scenario, "--processor-time", "--seconds",
                    f"{seconds:.1f}", *more])
        return done.stdout, done.returncode < 0 or "VIOLATION" in done.stdout

    # ---- the survey ----

    def survey(self, jobs):
        """Every program's scenarios: how long they take, whether to their end, and where they come by."""
        cache_path, cache = os.path.join(self.out, "survey.json"), {}
        if os.path.exists(cache_path):
            with open(cache_path) as file:
                cache = json.load(file)
        with ThreadPoolExecutor(jobs) as pool:
            for program, survey in zip(self.programs, pool.map(lambda p: self._survey_program(p, cache),
                                                               self.programs)):
                self.surveys[program] = survey
        with open(cache_path, "w") as file:
            json.dump({s["hash"]: s for s in self.surveys.values()}, file)

    def _survey_program(self, program, cache):
        with open(self.path(program), "rb") as file:
            key = hashlib.sha256(file.read()).hexdigest()
        return cache[key] if key in cache else self._look_at(program, key)

    def _look_at(self, program, key):
        rows, met = {}, {}
        for scenario in self.list(program):
            text, bad = self.search(program, scenario, 1, (*FEW, "--sites"))
            if bad:
                sys.exit(f"{program} {scenario} fails without a mutant:\n{text[:3000]}")
            rows[scenario] = {"seconds": seconds_of(text), "expects": ": " in text.split("longest")[1].split("\n")[0]}
            met[scenario] = set(re.findall(r"^site (\w+)$", text, flags=re.M))
        places = self._places(program, sorted(set().union(*met.values())))
        for scenario, row in rows.items():
            row["places"] = sorted({places[a] for a in met[scenario] if a in places})
        sites = {}
        for address, place in places.items():
            sites.setdefault(place, []).append(address)
        return {"hash": key, "rows": rows, "sites": sites}

    def _places(self, program, addresses):
        """From an address to file:line, for those in the library."""
        done = subprocess.run(["addr2line", "-e", self.path(program)], input="\n".join(addresses), text=True,
                              stdout=subprocess.PIPE, check=True)
        places, root = {}, os.path.realpath(self.root) + os.sep
        for address, line in zip(addresses, done.stdout.split("\n")):
            path = os.path.realpath(line.split(":")[0])
            if path.startswith(root):
                places[address] = path[len(root):] + ":" + line.split(":")[1].split(" ")[0]
        return places

    # ---- an order ----

    def who_comes_by(self, place):
        """[(program, scenario, row)]; scenarios that must find something are no use."""
        return [(program, scenario, row) for program, survey in self.surveys.items()
                for scenario, row in survey["rows"].items() if place in row["places"] and not row["expects"]]

    def weakened(self, program, place, which, order):
        return ("--weaken", f"{which}:{ORDERS[order]}:" + ",".join(self.surveys[program]["sites"][place]))
