#!/usr/bin/env python3
"""Times git data beside dvc and beside what the machine can do at best (cp -r, a stat walk, md5sum).

    tests/bench/bench.py                       50,000 files of 4 KiB, all tools found, three repetitions
    tests/bench/bench.py --big 1G              four files of that size
    tests/bench/bench.py --million 1000000     that many tiny files, git data alone
    tests/bench/bench.py --all                 everything

The data is made from a seed, so every run has the same bytes. Tools take turns within one session, and every result is
compared: ids between tools, trees byte by byte with what was tracked. A ratio is the median of the ratios of each
repetition, limit and tool being measured next to each other. Trees are renamed away, not removed, until all is timed:
on ext4 creating files is many times slower for a while after many were removed.

dvc is found through $DVC or PATH; git-data through $GIT_DATA or the release build of this tree.
"""
import argparse
import filecmp
import json
import os
import platform
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools import find_tools

HERE = Path(__file__).resolve().parent
MARK = ("<!-- bench: begin -->", "<!-- bench: end -->")


def parse_size(text):
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


class Failure(Exception):
    pass


class Bench:
    def __init__(self, options):
        self.o = options
        base = options.work or os.environ.get("TMPDIR") or tempfile.gettempdir()
        self.work = Path(tempfile.mkdtemp(prefix="bench.", dir=base))
        self.trash = self.work / "trash"
        self.trash.mkdir()
        self.runs = []          # one dict per timed command
        self.tools = {k: v for k, v in find_tools().items() if k in options.tools}
        self.limits = self.build_limits()

    # tools

    def build_limits(self):
        walk = self.work / "statwalk"
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-o", walk, HERE / "statwalk.c"], check=True)
        return {"walk": str(walk)}

    def env(self, tool):
        home = self.work / f"home-{tool}"
        home.mkdir(exist_ok=True)
        e = {k: v for k, v in os.environ.items() if not k.startswith(("DVC", "GIT_", "XDG_"))}
        e.update(HOME=str(home), DVC_NO_ANALYTICS="1", CI="1", DVC_SITE_CACHE_DIR=str(home / "site"),
                 GIT_AUTHOR_NAME="b", GIT_AUTHOR_EMAIL="b@example.com", GIT_COMMITTER_NAME="b",
                 GIT_COMMITTER_EMAIL="b@example.com", XDG_CACHE_HOME=str(home / "cache"),
                 XDG_CONFIG_HOME=str(home / "config"), GIT_CONFIG_NOSYSTEM="1")
        return e

    # running

    def timed(self, case, tool, rep, argv, cwd, ok=(0,)):
        """Runs one command; notes wall time, processor time and peak memory."""
        if not self.o.no_sync:
            os.sync()
        log = self.work / "last.log"
        with open(log, "wb") as out:
            start = time.perf_counter()
            p = subprocess.Popen([str(a) for a in argv], cwd=cwd, env=self.env(tool), stdout=out, stderr=out,
                                 stdin=subprocess.DEVNULL)
            _, status, ru = os.wait4(p.pid, 0)
            wall = time.perf_counter() - start
            p.returncode = os.waitstatus_to_exitcode(status)
        if p.returncode not in ok:
            raise Failure(f"{case}: {' '.join(map(str, argv))}: exit {p.returncode}\n"
                          + log.read_text(errors="replace")[-2000:])
        self.runs.append({"case": case, "tool": tool, "rep": rep, "wall": wall,
                          "cpu": ru.ru_utime + ru.ru_stime, "rss_mb": ru.ru_maxrss / 1024})
        print(f"  {case:28} {tool:9} {wall:8.3f} s  cpu {ru.ru_utime + ru.ru_stime:7.3f} s  "
              f"{ru.ru_maxrss / 1024:6.0f} MB", flush=True)
        return wall

    def quiet(self, tool, argv, cwd):
        r = subprocess.run([str(a) for a in argv], cwd=cwd, env=self.env(tool), capture_output=True, text=True)
        if r.returncode:
            raise Failure(f"{' '.join(map(str, argv))}: exit {r.returncode}\n{r.stdout}{r.stderr}")
        return r.stdout

    def away(self, path):
        if os.path.lexists(path):
            os.rename(path, self.trash / f"{len(os.listdir(self.trash))}-{Path(path).name}")

    # data

    def make_many(self, where, files, dirs, size, seed=1):
        rnd = random.Random(seed)
        per = max(1, files // dirs)
        for i in range(files):
            d = where / f"d{i // per:04d}"
            if i % per == 0:
                d.mkdir(parents=True, exist_ok=True)
            n = size if isinstance(size, int) else rnd.randint(*size)
            (d / f"f{i % per:06d}.bin").write_bytes(rnd.randbytes(n))

    def make_big(self, where, count, size):
        where.mkdir(parents=True)
        block = bytearray(random.Random(2).randbytes(16 << 20))
        for i in range(count):
            with open(where / f"big{i}.bin", "wb") as f:
                for at in range(0, size, len(block)):
                    block[:16] = (i * size + at).to_bytes(16, "little")
                    f.write(block[:min(len(block), size - at)])

    @staticmethod
    def same_trees(a, b, sample=None):
        names = {}
        for side, root in (("a", a), ("b", b)):
            names[side] = sorted(os.path.relpath(os.path.join(d, f), root) for d, _, fs in os.walk(root) for f in fs)
        if names["a"] != names["b"]:
            raise Failure(f"{a} and {b} hold different files")
        check = names["a"] if sample is None else random.Random(3).sample(names["a"], min(sample, len(names["a"])))
        for n in check:
            if not filecmp.cmp(os.path.join(a, n), os.path.join(b, n), shallow=False):
                raise Failure(f"{n} differs between {a} and {b}")

    # a repository

    def new_repo(self, tool, name):
        repo = self.work / name
        self.away(repo)
        repo.mkdir()
        self.quiet(tool, ["git", "init", "-q"], repo)
        self.quiet(tool, self.tools[tool] + ["init", "-q"], repo)
        return repo

    def commit(self, tool, repo):
        self.quiet(tool, ["git", "add", "-A"], repo)
        self.quiet(tool, ["git", "commit", "-q", "-m", "x"], repo)

    @staticmethod
    def touch_all(tree):
        """Other inode and time stamps, same content: what an editor or a fresh copy leaves."""
        for d, _, fs in os.walk(tree):
            for f in fs:
                os.utime(os.path.join(d, f))
        time.sleep(0.05)

    def id_of(self, repo, name="data"):
        text = (repo / f"{name}.dvc").read_text()
        return next(line.split("md5:")[1].strip() for line in text.splitlines() if "md5:" in line and "hash" not in line)

    def check_ids(self, case, ids):
        if len(set(ids.values())) > 1:
            raise Failure(f"{case}: the tools disagree about the content: {ids}")

    # cases

    def many(self):
        o = self.o
        print(f"{o.files} files of {o.size} bytes in {o.dirs} directories", flush=True)
        src = self.work / "src"
        self.make_many(src, o.files, o.dirs, o.size)
        ids = {}
        for rep in range(o.repeat):
            order = list(self.tools)
            for tool in order[rep % len(order):] + order[:rep % len(order)]:
                ids[tool] = self.many_once(tool, rep, src)
        self.check_ids("add", ids)

    def many_once(self, tool, rep, src):
        cmd = self.tools[tool]
        repo = self.new_repo(tool, f"many-{tool}")
        self.timed("cp -r", "limit", rep, ["cp", "-r", src, repo / "data"], repo)
        self.timed("stat walk", "limit", rep, [self.limits["walk"], repo / "data"], repo)
        time.sleep(0.1)
        self.timed("add", tool, rep, cmd + ["add", "data"], repo)
        self.timed("status", tool, rep, cmd + ["status"], repo)
        self.timed("add again", tool, rep, cmd + ["add", "data"], repo)
        self.touch_all(repo / "data")
        self.timed("status after touch", tool, rep, cmd + ["status"], repo)
        self.away(repo / "data")
        self.timed("checkout", tool, rep, cmd + ["checkout"], repo)
        self.same_trees(src, repo / "data")
        self.timed("status after checkout", tool, rep, cmd + ["status"], repo)
        remote = self.work / f"remote-{tool}"
        self.away(remote)
        self.quiet(tool, cmd + ["remote", "add", "-d", "r", remote], repo)
        self.timed("push", tool, rep, cmd + ["push"], repo)
        self.timed("push again", tool, rep, cmd + ["push"], repo)
        self.commit(tool, repo)
        self.pulls(tool, rep, repo, src)
        return self.id_of(repo)

    def pulls(self, tool, rep, repo, src):
        cmd = self.tools[tool]
        clone, part = self.work / f"clone-{tool}", self.work / f"part-{tool}"
        for c in (clone, part):
            self.away(c)
            self.quiet(tool, ["git", "clone", "-q", repo, c], self.work)
        self.timed("pull", tool, rep, cmd + ["pull"], clone)
        self.same_trees(src, clone / "data")
        one = "data/d0000/f000000.bin"
        self.timed("pull one file", tool, rep, cmd + ["pull", one], part)
        if not filecmp.cmp(part / one, clone / one, shallow=False):
            raise Failure("the one file pulled differs")

    def big(self):
        o = self.o
        size = parse_size(o.big)
        print(f"{o.big_count} files of {o.big}", flush=True)
        src = self.work / "bigsrc"
        self.make_big(src, o.big_count, size)
        ids = {}
        for rep in range(o.repeat):
            order = list(self.tools)
            for tool in order[rep % len(order):] + order[:rep % len(order)]:
                ids[tool] = self.big_once(tool, rep, src)
        self.check_ids("add (big)", ids)

    def big_once(self, tool, rep, src):
        cmd = self.tools[tool]
        repo = self.new_repo(tool, f"big-{tool}")
        self.quiet(tool, cmd + ["config", "cache.type", "copy"], repo)
        self.timed("cp (big)", "limit", rep, ["cp", "-r", src, repo / "data"], repo)
        sums = "cd data && for f in *; do md5sum $f >/dev/null & done; wait"
        self.timed("md5sum in parallel (big)", "limit", rep, ["sh", "-c", sums], repo)
        self.timed("add (big, copy)", tool, rep, cmd + ["add", "data"], repo)
        self.timed("cp (big)", "limit", rep, ["cp", "-r", src, repo / "again"], repo)
        self.drop(repo / "again")
        self.touch_all(repo / "data")
        self.timed("status after touch (big)", tool, rep, cmd + ["status"], repo)
        result = self.id_of(repo)
        self.drop(repo / "data")
        self.timed("checkout (big)", tool, rep, cmd + ["checkout"], repo)
        self.same_trees(src, repo / "data")
        link = self.new_repo(tool, f"link-{tool}")
        self.quiet(tool, cmd + ["config", "cache.type", "hardlink"], link)
        os.rename(repo / "data", link / "data")
        time.sleep(0.1)
        self.timed("add (big, hardlink)", tool, rep, cmd + ["add", "data"], link)
        if self.id_of(link) != result:
            raise Failure("add with copy and with hardlink disagree")
        self.drop(repo)
        self.drop(link)
        return result

    @staticmethod
    def drop(path):
        """A few large files: removing them at once costs nothing later."""
        shutil.rmtree(path)

    def million(self):
        n = self.o.million
        print(f"{n} files of 0 to 1024 bytes", flush=True)
        src = self.work / "millionsrc"
        self.make_many(src, n, max(1, n // 1000), (0, 1024), seed=4)
        tool, cmd = "git-data", self.tools["git-data"]
        repo = self.new_repo(tool, "million")
        os.rename(src, repo / "data")
        self.timed("stat walk (million)", "limit", 0, [self.limits["walk"], repo / "data"], repo)
        self.timed("add (million)", tool, 0, cmd + ["add", "data"], repo)
        self.timed("status (million)", tool, 0, cmd + ["status"], repo)
        first = self.work / "million-first"
        os.rename(repo / "data", first)
        self.timed("checkout (million)", tool, 0, cmd + ["checkout"], repo)
        self.same_trees(first, repo / "data", sample=5000)
        remote = self.work / "million-remote"
        self.quiet(tool, cmd + ["remote", "add", "-d", "r", remote], repo)
        self.timed("push (million)", tool, 0, cmd + ["push"], repo)
        self.timed("push again (million)", tool, 0, cmd + ["push"], repo)
        self.commit(tool, repo)
        clone = self.work / "million-clone"
        self.quiet(tool, ["git", "clone", "-q", repo, clone], self.work)
        self.timed("pull (million)", tool, 0, cmd + ["pull"], clone)
        self.same_trees(first, clone / "data", sample=5000)

    def startup(self):
        print("start-up", flush=True)
        for tool, cmd in self.tools.items():
            repo = self.new_repo(tool, f"small-{tool}")
            (repo / "a").write_text("a")
            self.quiet(tool, cmd + ["add", "a"], repo)
            turns = 20 if tool == "git-data" else 2
            for rep in range(turns):
                self.timed("git --version", "limit", rep, ["git", "--version"], repo)
                self.timed("--version", tool, rep, cmd + ["--version"], repo)
                self.timed("status of one file", tool, rep, cmd + ["status"], repo)

    # report

    LIMIT = {"add": "cp -r", "status": "stat walk", "add again": "stat walk", "status after touch": None,
             "checkout": "cp -r", "push": "cp -r", "pull": "cp -r", "status after checkout": "stat walk",
             "add (big, copy)": "cp (big)", "checkout (big)": "cp (big)",
             "add (big, hardlink)": "md5sum in parallel (big)",
             "status after touch (big)": "md5sum in parallel (big)",
             "status (million)": "stat walk (million)", "--version": "git --version"}
    GOAL = {"add": "1.3x", "status": "2x", "add again": "3x", "status after touch": "0.4 s", "checkout": "1.2x",
            "push": "1.3x", "push again": "0.1 s", "pull": "2.5x", "pull one file": "0.1 s",
            "add (big, copy)": "1.3x", "add (big, hardlink)": "0.33x", "status after touch (big)": "0.33x",
            "status (million)": "3 s", "--version": "3x", "status of one file": "0.01 s"}

    def of(self, case, tool):
        return [r for r in self.runs if r["case"] == case and r["tool"] == tool]

    # What fills memory is slower the less of it is free: the limit is the mean of a run before and one after.
    BOTH_SIDES = {"add (big, copy)"}

    def near(self, run):
        """Seconds of the limit's run measured last before this one: the two saw the same machine."""
        limit, at = self.LIMIT.get(run["case"]), self.runs.index(run)
        walls = [[r["wall"] for r in part if r["case"] == limit and r["tool"] == "limit"]
                 for part in (self.runs[:at], self.runs[at:])]
        if run["case"] in self.BOTH_SIDES:
            return (walls[0][-1] + walls[1][0]) / 2
        return walls[0][-1] if walls[0] else None

    def ratio(self, case, tool):
        pairs = [(r, self.near(r)) for r in self.of(case, tool)]
        ratios = [r["wall"] / n for r, n in pairs if n]
        return statistics.median(ratios) if ratios else None

    def rows(self):
        for case in dict.fromkeys(r["case"] for r in self.runs if r["tool"] != "limit"):
            row = {"case": case, "goal": self.GOAL.get(case, ""), "limit": self.LIMIT.get(case) or ""}
            for tool in self.tools:
                runs = self.of(case, tool)
                if runs:
                    row[tool] = {"wall": statistics.median(r["wall"] for r in runs),
                                 "best": min(r["wall"] for r in runs),
                                 "cpu": statistics.median(r["cpu"] for r in runs),
                                 "rss_mb": max(r["rss_mb"] for r in runs), "ratio": self.ratio(case, tool)}
            yield row

    @staticmethod
    def cell(x, ratio):
        if not x:
            return "-"
        text = f"{x['wall']:.3f} s" if x["wall"] < 1 else f"{x['wall']:.2f} s"
        return text + (f" ({x['ratio']:.2f}x)" if ratio and x["ratio"] else "")

    def markdown(self):
        names = list(self.tools)
        out = ["| case | limit | goal | " + " | ".join(names) + " | git-data: cpu, memory |",
               "|" + "---|" * (len(names) + 4)]
        for row in self.rows():
            own = row.get("git-data")
            cells = [self.cell(row.get(t), True) for t in names]
            extra = f"{own['cpu']:.2f} s, {own['rss_mb']:.0f} MB" if own else "-"
            out.append(f"| {row['case']} | {row['limit']} | {row['goal']} | " + " | ".join(cells) + f" | {extra} |")
        limits = dict.fromkeys(r["case"] for r in self.runs if r["tool"] == "limit")
        out += ["", "Limits, median: " + ", ".join(
            f"{c} {statistics.median(r['wall'] for r in self.of(c, 'limit')):.3f} s" for c in limits) + "."]
        out += ["", f"Machine: {os.cpu_count()} cores, Linux {platform.release()}, page cache warm, "
                f"load {os.getloadavg()[0]:.1f} at the end, {self.o.repeat} repetitions, medians; a ratio is against "
                "the limit measured in the same repetition."]
        return "\n".join(out)

    def write(self):
        if self.o.json:
            data = {"rows": list(self.rows()), "runs": self.runs, "options": vars(self.o),
                    "machine": {"cores": os.cpu_count(), "kernel": platform.release()}}
            Path(self.o.json).write_text(json.dumps(data, indent=2) + "\n")
        text = self.markdown()
        print(text)
        if self.o.markdown:
            page = Path(self.o.markdown)
            old = page.read_text() if page.exists() else f"# Performance\n\n{MARK[0]}\n{MARK[1]}\n"
            head, tail = old.split(MARK[0])[0], old.split(MARK[1])[1]
            page.write_text(f"{head}{MARK[0]}\n{text}\n{MARK[1]}{tail}")


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--files", type=int, default=50000, help="number of small files; 0: none")
    p.add_argument("--dirs", type=int, default=200)
    p.add_argument("--size", type=int, default=4096)
    p.add_argument("--big", help="size of the large files, such as 1G; without it they are left out")
    p.add_argument("--big-count", type=int, default=4)
    p.add_argument("--million", type=int, default=0, help="number of tiny files")
    p.add_argument("--all", action="store_true", help="--big 1G --million 1000000")
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--tools", default="git-data,dvc")
    p.add_argument("--no-startup", action="store_true")
    p.add_argument("--no-sync", action="store_true", help="do not flush the disk before each timed command")
    p.add_argument("--work", help="directory to work in; needs room for several copies")
    p.add_argument("--json", help="write all numbers there")
    p.add_argument("--markdown", help="put the table between the marks of this page")
    p.add_argument("--keep", action="store_true")
    o = p.parse_args()
    o.tools = o.tools.split(",")
    if o.all:
        o.big, o.million = o.big or "1G", o.million or 1000000
    return o


def main():
    o = options()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    b = Bench(o)
    if "git-data" not in b.tools:
        print("bench: git-data is not built; run make first", file=sys.stderr)
        return 2
    try:
        if not o.no_startup:
            b.startup()
        if o.files:
            b.many()
        if o.big:
            b.big()
        if o.million:
            b.million()
        b.write()
    except Failure as f:
        print(f"bench: {f}", file=sys.stderr)
        return 1
    finally:
        if not o.keep:
            shutil.rmtree(b.work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
