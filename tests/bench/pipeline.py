#!/usr/bin/env python3
"""Times `git data repro` and `status` beside ninja, make and dvc on pipelines of many stages.

    tests/bench/pipeline.py                     1,000 stages as a chain, a fan and a foreach; three repetitions
    tests/bench/pipeline.py --doc docs/performance.md --json numbers.json

Each stage copies a file, so its command is as small as a command can be. What the commands cost by themselves is
measured beside: a loop that starts the same shell lines one after the other and does nothing else. The overhead of a
stage is what a tool needs more than that loop did in the same repetition, divided by the number of stages. Every output
is compared with its source after each run, and dvc.lock must name every stage.

dvc needs long for a thousand stages: it gets --dvc-stages of them, and its times are given for that number.
"""
import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MARK = ("<!-- bench-pipeline: begin -->", "<!-- bench-pipeline: end -->")
UP_TO_DATE = "Data and pipelines are up to date."


class Failure(Exception):
    pass


def source(shape, i):
    return "in" if shape != "chain" or not i else f"o{i - 1}"


def dvc_yaml(shape, n):
    if shape == "foreach":
        return ("stages:\n  s:\n    foreach:\n" + "".join(f"    - {i}\n" for i in range(n))
                + "    do:\n      cmd: cp in o${item}\n      deps:\n      - in\n      outs:\n      - o${item}\n")
    return "stages:\n" + "".join(f"  s{i}:\n    cmd: cp {source(shape, i)} o{i}\n    deps:\n    - {source(shape, i)}\n"
                                 f"    outs:\n    - o{i}\n" for i in range(n))


def ninja(shape, n):
    return "rule cp\n  command = cp $in $out\n" + "".join(f"build o{i}: cp {source(shape, i)}\n" for i in range(n))


def makefile(shape, n):
    return (f"all: {' '.join(f'o{i}' for i in range(n))}\n.PHONY: all\n"
            + "".join(f"o{i}: {source(shape, i)}\n\tcp {source(shape, i)} o{i}\n" for i in range(n)))


class Bench:
    def __init__(self, o):
        self.o = o
        self.work = Path(tempfile.mkdtemp(prefix="bench.", dir=o.work or os.environ.get("TMPDIR")))
        self.runs = []
        self.tools = {"git-data": os.environ.get("GIT_DATA") or str(ROOT / "build/release/git-data"),
                      "dvc": os.environ.get("DVC") or shutil.which("dvc"), "ninja": shutil.which("ninja"),
                      "make": shutil.which("make")}
        home = self.work / "home"
        home.mkdir()
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("DVC", "GIT_", "XDG_", "MAKE"))}
        self.env.update(HOME=str(home), DVC_NO_ANALYTICS="1", CI="1", DVC_SITE_CACHE_DIR=str(home / "site"), SHELL="/bin/sh",
                        GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="b", GIT_AUTHOR_EMAIL="b@example.com",
                        GIT_COMMITTER_NAME="b", GIT_COMMITTER_EMAIL="b@example.com")

    def have(self, tool):
        return tool in self.o.tools and self.tools.get(tool)

    # running

    def run(self, argv, cwd):
        p = subprocess.run([str(a) for a in argv], cwd=cwd, env=self.env, stdin=subprocess.DEVNULL, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if p.returncode:
            raise Failure(f"{' '.join(map(str, argv))}: exit {p.returncode}\n{p.stdout[-2000:]}")
        return p.stdout

    def timed(self, case, tool, rep, n, argv, cwd):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        said = self.run(argv, cwd)
        wall = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.note(case, tool, rep, n, wall, cpu)
        return said

    def note(self, case, tool, rep, n, wall, cpu):
        self.runs.append({"case": case, "tool": tool, "rep": rep, "stages": n, "wall": wall, "cpu": cpu})
        print(f"  {case:22} {tool:10} {n:5} stages {wall:8.3f} s  cpu {cpu:7.3f} s", flush=True)

    def floor(self, case, rep, shape, n, cwd):
        """The commands and nothing else."""
        env = self.env
        os.chdir(cwd)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        for i in range(n):
            pid = os.posix_spawn("/bin/sh", ["/bin/sh", "-c", f"cp {source(shape, i)} o{i}"], env)
            if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
                raise Failure(f"cp {source(shape, i)} o{i}")
        wall = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        os.chdir("/")
        self.note(case, "commands", rep, n, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    # projects

    def project(self, name, tool, shape, n):
        d = self.work / name
        d.mkdir()
        (d / "in").write_text(f"{shape} {n}\n")
        if tool in ("git-data", "dvc"):
            self.run(["git", "init", "-q"], d)
            self.run([self.tools[tool], "init", "-q"], d)
            (d / "dvc.yaml").write_text(dvc_yaml(shape, n))
        elif tool == "ninja":
            (d / "build.ninja").write_text(ninja(shape, n))
        elif tool == "make":
            (d / "Makefile").write_text(makefile(shape, n))
        return d

    def check(self, d, tool, shape, n):
        want = (d / "in").read_bytes()
        for i in range(n):
            if (d / f"o{i}").read_bytes() != want:
                raise Failure(f"{tool}: o{i} is wrong")
        if tool in ("git-data", "dvc"):
            lock = (d / "dvc.lock").read_text()
            if lock.count("\n  s") != n or lock.count("    outs:") != n:
                raise Failure(f"{tool}: dvc.lock does not name {n} stages")

    def commands(self, tool):
        return {"git-data": [self.tools["git-data"], "repro", "-q"], "dvc": [self.tools["dvc"], "repro", "-q"],
                "ninja": [self.tools["ninja"], "-j1", "--quiet"], "make": [self.tools["make"], "-j1", "-s"]}[tool]

    def shape(self, shape, rep):
        floor = self.project(f"{shape}-floor-{rep}", "commands", shape, self.o.stages)
        self.floor(f"{shape}: scratch", rep, shape, self.o.stages, floor)
        for tool in ("git-data", "ninja", "make", "dvc"):
            n = self.o.dvc_stages if tool == "dvc" else self.o.stages
            if not self.have(tool) or (tool == "dvc" and rep >= self.o.dvc_repeat):
                continue
            d = self.project(f"{shape}-{tool}-{rep}", tool, shape, n)
            self.timed(f"{shape}: scratch", tool, rep, n, self.commands(tool), d)
            self.check(d, tool, shape, n)
            lock = (d / "dvc.lock").read_bytes() if tool in ("git-data", "dvc") else b""
            self.timed(f"{shape}: no-op", tool, rep, n, self.commands(tool), d)
            if lock:
                said = self.timed(f"{shape}: status", tool, rep, n, [self.tools[tool], "status"], d)
                if UP_TO_DATE not in said or (d / "dvc.lock").read_bytes() != lock:
                    raise Failure(f"{tool}: not up to date after a run: {said[-500:]}")
        for tool in ("git-data",):
            # dvc's word on what git-data made, once
            if rep == 0 and self.have("dvc") and shape == "foreach":
                if UP_TO_DATE not in self.run([self.tools["dvc"], "status"], self.work / f"{shape}-{tool}-{rep}"):
                    raise Failure("dvc does not agree that git-data's run is up to date")

    def plan(self, rep):
        n = self.o.plan_stages
        d = self.project(f"plan-{rep}", "git-data", "chain", n)
        said = self.timed("chain: repro --dry", "git-data", rep, n, [self.tools["git-data"], "repro", "--dry"], d)
        if said.count("Running stage") != n:
            raise Failure("the plan is not complete")

    def sleeps(self, rep):
        for tool in ("git-data", "ninja", "make"):
            if not self.have(tool):
                continue
            d = self.work / f"sleep-{tool}-{rep}"
            d.mkdir()
            jobs = ["-j", "16"]
            if tool == "git-data":
                self.run(["git", "init", "-q"], d)
                self.run([self.tools[tool], "init", "-q"], d)
                (d / "dvc.yaml").write_text("stages:\n  s:\n    foreach:\n" + "".join(f"    - {i}\n" for i in range(64))
                                            + "    do:\n      cmd: sleep 1; echo ${item} > o${item}\n      outs:\n      - o${item}\n")
                argv = [self.tools[tool], "repro", "-q", *jobs]
            elif tool == "ninja":
                (d / "build.ninja").write_text("rule s\n  command = sleep 1; echo $n > $out\n" + "".join(
                    f"build o{i}: s\n  n = {i}\n" for i in range(64)))
                argv = [self.tools[tool], "--quiet", *jobs]
            else:
                (d / "Makefile").write_text(f"all: {' '.join(f'o{i}' for i in range(64))}\n" + "".join(
                    f"o{i}:\n\tsleep 1; echo {i} > o{i}\n" for i in range(64)))
                argv = [self.tools[tool], "-s", *jobs]
            self.timed("64 sleeps, 16 jobs", tool, rep, 64, argv, d)
            for i in range(64):
                if (d / f"o{i}").read_text() != f"{i}\n":
                    raise Failure(f"{tool}: o{i} is wrong")

    def all(self):
        for rep in range(self.o.repeat):
            for shape in self.o.shapes:
                self.shape(shape, rep)
            self.plan(rep)
            self.sleeps(rep)

    # reports

    def median(self, case, tool, what="wall"):
        v = [r[what] for r in self.runs if r["case"] == case and r["tool"] == tool]
        return statistics.median(v) if v else None

    def overhead(self, case, tool):
        """Milliseconds of a stage beyond its command: (wall, processor)."""
        base = {r["rep"]: r for r in self.runs if r["case"] == case and r["tool"] == "commands"}
        mine = [r for r in self.runs if r["case"] == case and r["tool"] == tool and r["rep"] in base]
        if not mine:
            return None

        def ms(what):
            return statistics.median(1000 * (r[what] / r["stages"] - base[r["rep"]][what] / base[r["rep"]]["stages"]) for r in mine)
        return ms("wall"), ms("cpu")

    def table(self):
        def cell(case, tool):
            t = self.median(case, tool)
            if t is None:
                return ""
            o = self.overhead(case, tool)
            text = f"{t:.3f} s" if t < 1 else f"{t:.1f} s"
            return text + (f" ({o[0]:+.1f} ms a stage, cpu {o[1]:+.1f})" if o else "")

        tools = [t for t in ("git-data", "ninja", "make", "dvc") if any(r["tool"] == t for r in self.runs)]
        goal = {"no-op": "0.3 s, 50x", "status": "0.3 s, 50x", "scratch": "+2 ms a stage"}
        out = ["| case | goal | " + " | ".join(t + (f", {self.o.dvc_stages} stages" if t == "dvc" else "") for t in tools)
               + " | dvc for as many stages / git-data |", "|---" * (len(tools) + 3) + "|"]
        for case in dict.fromkeys(r["case"] for r in self.runs):
            ours, theirs = self.median(case, "git-data"), self.median(case, "dvc")
            ratio = f"{theirs / self.o.dvc_stages * self.o.stages / ours:.0f}x" if ours and theirs else ""
            g = goal.get(case.split(": ")[-1], "6 s" if "sleeps" in case else "1 s")
            n = next(r["stages"] for r in self.runs if r["case"] == case)
            name = f"{case}, {n:,} stages" if ": " in case else case
            out.append(f"| {name} | {g} | " + " | ".join(cell(case, t) for t in tools) + f" | {ratio} |")
        load = os.getloadavg()[0]
        out += ["", f"Machine: {os.cpu_count()} cores, Linux {platform.release()}, load {load:.1f} at the end, {self.o.repeat} "
                f"repetitions, medians; dvc {self.o.dvc_repeat}. +ms: what a stage needs more than its command started by a "
                "bare loop in the same repetition. The last column takes dvc's time as linear in the stages, which "
                "favours it."]
        return "\n".join(out)

    def report(self):
        text = self.table()
        print(text)
        if self.o.json:
            Path(self.o.json).write_text(json.dumps({"runs": self.runs, "stages": self.o.stages,
                                                     "dvc_stages": self.o.dvc_stages}, indent=2) + "\n")
        if self.o.doc:
            page = Path(self.o.doc)
            old = page.read_text()
            if MARK[0] not in old:
                raise Failure(f"{page} has no {MARK[0]}")
            page.write_text(f"{old.split(MARK[0])[0]}{MARK[0]}\n{text}\n{MARK[1]}{old.split(MARK[1])[1]}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--stages", type=int, default=1000)
    p.add_argument("--dvc-stages", type=int, default=200)
    p.add_argument("--plan-stages", type=int, default=5000)
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--dvc-repeat", type=int, default=1)
    p.add_argument("--tools", nargs="*", default=["git-data", "ninja", "make", "dvc"])
    p.add_argument("--shapes", nargs="*", default=["chain", "fan", "foreach"])
    p.add_argument("--work", help="directory to work in")
    p.add_argument("--json", help="write all numbers there")
    p.add_argument("--doc", help="write the table between its marks in this page")
    o = p.parse_args()
    o.json, o.doc = (x and os.path.abspath(x) for x in (o.json, o.doc))
    b = Bench(o)
    try:
        b.all()
        b.report()
    except Failure as e:
        sys.exit(f"pipeline bench: {e}")
    finally:
        trash = b.work.with_name(f"trash.{os.getpid()}")
        b.work.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)


if __name__ == "__main__":
    main()
