#!/usr/bin/env python3
"""Times push and pull beside dvc, other copiers and the server's own ceiling, on real servers on loopback.

    tests/bench/remotes.py                                 every server that is installed, all cases
    tests/bench/remotes.py --servers minio --cases small --tools git-data
    tests/bench/remotes.py --delay 20 --cases small        through a proxy that adds 20 ms to a round trip
    tests/bench/remotes.py --work /dev/shm                 where the data of tools and servers lies

Cases: small (10,000 files of 4 KiB), large (4 of 256 MiB). For each: push to an empty place, push again, pull into an
empty clone (dvc and git-data also link the files into the work tree; "fetch" does not). Tools take turns; the ceiling
(load.c: the same bodies, requests signed in advance, nothing computed, nothing written) is measured just before and
just after git-data in each repetition, with the number of connections and the way (whole, parts) that were best in the
first. So is a second one ("safe"), that does what nobody can leave out whose data shall arrive: its uploads carry a
Content-MD5, which makes the server compare, and its downloads are written to files. A ratio is the ceiling's time over
the tool's: 1.00 is as fast as the server goes. All results are checked: names, sizes and digests.

A kind of server is a class in remotes_<kind>.py; see Kind for what it must give. KINDS there is found by name.
"""
import argparse
import base64
import hashlib
import importlib
import json
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT / "tests")]

from remotes_common import put_away  # noqa: E402
from servers.base import Missing, free_port, wait_port  # noqa: E402
from tools import find_tools  # noqa: E402

FAMILIES = ("s3", "azure", "ssh", "webdav")       # remotes_<family>.py, where it is there
MARK = ("<!-- remotes{}: begin -->", "<!-- remotes{}: end -->")
CONNECTIONS = (16, 32, 64)
LIMITS = ("ceiling", "safe")


class Failure(Exception):
    pass


class Kind:
    """What a server must give (not a base class to inherit from, a description).

    name, port                          port: where a delaying proxy connects to
    connections                         that the ceiling is tried with; may be left out
    start(directory) -> self, stop()
    fresh(port=None) -> spot            an empty place; spot.url, spot.options (of the remote), spot.env
    objects(spot) -> {key: size}        key as in the cache: "files/md5/..."
    remove(spot)
    ceilings(spot, direction, files, port)  yields (name, plan, after): plan is a list of (method, URL, file, offset,
                                        length, header...) for load.c, or a command (a list of strings) that moves them
    copiers() -> {name: (program, make)}    make(program, spot, "push" | "pull", tree) -> (argv, env)
    """


class File:
    def __init__(self, key, path):
        self.key, self.path, self.size = key, str(path), path.stat().st_size


def find_kinds():
    kinds = {}
    for family in FAMILIES:
        if (HERE / f"remotes_{family}.py").exists():
            for name, make in importlib.import_module(f"remotes_{family}").KINDS.items():
                kinds[name] = (family, make)
    return kinds


class Bench:
    def __init__(self, options):
        self.o = options
        base = options.work or os.environ.get("TMPDIR") or tempfile.gettempdir()
        self.work = Path(tempfile.mkdtemp(prefix="remotes.", dir=base))
        self.runs, self.best, self.digests = [], {}, {}
        self.commands = find_tools()
        self.load, self.delay = self.build("load", "-lcurl"), self.build("delay")
        self.count = 0

    def build(self, name, *libs):
        out = self.work / name
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-D_GNU_SOURCE", "-o", out, HERE / f"{name}.c", *libs], check=True)
        return str(out)

    # running

    def env(self, tool, more=()):
        home = self.work / f"home-{tool.replace(' ', '')}"
        home.mkdir(exist_ok=True)
        e = {k: v for k, v in os.environ.items() if not k.startswith(("DVC", "GIT_", "XDG_", "AWS_", "AZURE_", "RCLONE_"))}
        e.update(HOME=str(home), DVC_NO_ANALYTICS="1", CI="1", DVC_SITE_CACHE_DIR=str(home / "site"),
                 XDG_CACHE_HOME=str(home / "cache"), XDG_CONFIG_HOME=str(home / "config"), GIT_CONFIG_NOSYSTEM="1")
        e.update(more)
        return e

    def note(self, server, case, tool, rep, wall, cpu=0.0, rss=0.0, **more):
        self.runs.append({"server": server, "case": case, "tool": tool, "rep": rep, "wall": wall, "cpu": cpu,
                          "rss_mb": rss, **more})
        print(f"  {server:10} {case:14} {tool:10} {wall:8.3f} s  cpu {cpu:7.3f} s  {rss:6.0f} MB  "
              + " ".join(f"{k}={v}" for k, v in more.items()), flush=True)
        return wall

    def timed(self, server, case, tool, rep, argv, cwd, env=()):
        log = self.work / "last.log"
        with open(log, "wb") as out:
            start = time.perf_counter()
            p = subprocess.Popen([str(a) for a in argv], cwd=cwd, env=self.env(tool, env), stdout=out, stderr=out,
                                 stdin=subprocess.DEVNULL)
            _, status, ru = os.wait4(p.pid, 0)
            wall = time.perf_counter() - start
            p.returncode = os.waitstatus_to_exitcode(status)
        if p.returncode:
            raise Failure(f"{case}: {' '.join(map(str, argv))}: exit {p.returncode}\n"
                          + log.read_text(errors="replace")[-2000:])
        return self.note(server, case, tool, rep, wall, ru.ru_utime + ru.ru_stime, ru.ru_maxrss / 1024)

    def quiet(self, argv, cwd, env=None):
        r = subprocess.run([str(a) for a in argv], cwd=cwd, env=env or self.env("git-data"), capture_output=True, text=True)
        if r.returncode:
            raise Failure(f"{' '.join(map(str, argv))}: exit {r.returncode}\n{r.stdout}{r.stderr}")
        return r.stdout

    # data

    def make_source(self, case):
        """A tracked directory; its cache is what every tool pushes."""
        n, size = self.o.sizes[case]
        src = self.work / f"src-{case}"
        (src / "data").mkdir(parents=True)
        rnd = random.Random(case)
        for i in range(n):
            d = src / "data" / f"d{i // 250:04d}"
            d.mkdir(exist_ok=True)
            with open(d / f"f{i:06d}", "wb") as f:
                for at in range(0, size, 16 << 20):
                    f.write(rnd.randbytes(min(16 << 20, size - at)))
        self.quiet(["git", "init", "-q"], src)
        gd = self.commands["git-data"]
        self.quiet(gd + ["init", "-q"], src)
        self.quiet(gd + ["config", "cache.type", "hardlink"], src)
        self.quiet(gd + ["add", "data"], src)
        tree = src / ".dvc/cache/files/md5"
        files = [File(f"files/md5/{p.parent.name}/{p.name}", p) for p in sorted(tree.glob("*/*")) if p.suffix != ".dir"]
        assert len(files) == n
        return src, tree, files

    def repo(self, src, spot, cache=None):
        """A repository with that remote and the source's pointer; cache: whose, else its own and empty."""
        self.count += 1
        r = self.work / f"repo{self.count}"
        r.mkdir()
        self.quiet(["git", "init", "-q"], r)
        gd = self.commands["git-data"]
        self.quiet(gd + ["init", "-q"], r)
        self.quiet(gd + ["remote", "add", "-q", "-d", "r", spot.url], r)
        for k, v in spot.options.items():
            self.quiet(gd + ["remote", "modify", "-q", "--local", "r", k, v], r)
        self.quiet(gd + ["config", "cache.type", self.o.link], r)
        if cache:
            self.quiet(gd + ["cache", "dir", cache], r)
        shutil.copy(src / "data.dvc", r)
        return r

    def drop(self, path):
        put_away(path, self.work / "aside")

    # checks

    @staticmethod
    def check_there(kind, spot, files, what):
        want = {f.key: f.size for f in files}
        have = {k: v for k, v in kind.objects(spot).items() if not k.endswith(".dir")}
        if have != want:
            raise Failure(f"{what}: the remote holds {len(have)} objects, not the {len(want)} that were pushed")

    @staticmethod
    def check_here(tree, files, what):
        """Every object, by its digest."""
        for f in files:
            p = tree / f.key.split("/", 2)[2]
            h = hashlib.md5()
            with open(p, "rb") as o:
                while block := o.read(1 << 20):
                    h.update(block)
            if f.key.replace("/", "") != "filesmd5" + h.hexdigest():
                raise Failure(f"{what}: {p} holds other bytes")
        if len([p for p in tree.glob("*/*") if p.suffix != ".dir"]) != len(files):
            raise Failure(f"{what}: more or fewer objects than were asked for")

    # the ceiling

    def one_ceiling(self, plan, conns):
        if isinstance(plan[0], str):
            start = time.perf_counter()
            self.quiet(plan, self.work)
            return time.perf_counter() - start
        path = self.work / "plan"
        path.write_text("".join("\t".join(map(str, line)) + "\n" for line in plan))
        return float(self.quiet([self.load, conns, path], self.work).split()[0])

    def safe(self, plan):
        """The same plan with a digest for each body that goes up, and a file for each answer that comes down."""
        out, got = [], {}
        for method, url, path, at, size, *more in plan:
            if method == "GET":
                path = got.setdefault(url, self.work / "got" / str(len(got)))
            elif (path, at, size) not in self.digests:
                with open(path, "rb") as f:
                    f.seek(at)
                    self.digests[path, at, size] = base64.b64encode(hashlib.md5(f.read(size)).digest()).decode()
            if method == "PUT":
                more = [*more, f"Content-MD5: {self.digests[path, at, size]}"]
            out.append((method, url, path, at, size, *more))
        return out

    def ceiling(self, kind, server, case, direction, files, rep, spot, port, conns, tool="ceiling"):
        """Measures; in the first repetition every way, later the best one."""
        at = (server, case, direction, tool)
        tried = {}
        for name, plan, after in kind.ceilings(spot, direction, files, port):
            if at in self.best and self.best[at][0] != name:
                continue
            if tool == "safe":
                if isinstance(plan[0], str):
                    return
                plan = self.safe(plan)
            for c in [self.best[at][1]] if at in self.best else conns:
                if isinstance(plan[0], str) and tried:
                    continue
                (self.work / "got").mkdir(exist_ok=True)
                tried[name, c] = self.one_ceiling(plan, c)
                self.drop(self.work / "got")
            start = time.perf_counter()
            after()             # putting parts together is part of the work
            spent = time.perf_counter() - start
            tried.update({way: t + spent for way, t in tried.items() if way[0] == name})
        if at not in self.best:
            self.best[at] = min(tried, key=tried.get)
        name, c = self.best[at]
        self.note(server, f"{case} {direction}", tool, rep, min(tried.values()), way=name, conns=c)

    def ceilings(self, kind, server, case, files, rep, port, conns):
        for tool in ("ceiling", "safe"):
            spot = kind.fresh(port)
            self.ceiling(kind, server, case, "push", files, rep, spot, port, conns, tool)
            self.ceiling(kind, server, case, "pull", files, rep, spot, port, conns, tool)
            kind.remove(spot)

    # cases

    def own_tool(self, kind, server, case, tool, argv, rep, source, port):
        """git-data or dvc: push, push again, pull."""
        src, tree, files = source
        spot = kind.fresh(port)
        jobs = ["-j", tool.split("-j ")[1]] if "-j " in tool else []
        repo = self.repo(src, spot, cache=src / ".dvc/cache")
        self.timed(server, f"{case} push", tool, rep, argv + ["push", *jobs], repo, spot.env)
        self.check_there(kind, spot, files, f"{tool} push")
        self.timed(server, f"{case} again", tool, rep, argv + ["push", *jobs], repo, spot.env)
        self.drop(repo)
        for what in (["fetch"] if tool.startswith("git-data") else []) + ["pull"]:
            clone = self.repo(src, spot)
            self.timed(server, f"{case} {what}", tool, rep, argv + [what, *jobs], clone, spot.env)
            self.check_here(clone / ".dvc/cache/files/md5", files, f"{tool} {what}")
            if what == "pull" and sum(1 for p in (clone / "data").glob("*/*")) != len(files):
                raise Failure(f"{tool} pull: the work tree is not complete")
            self.drop(clone)
        kind.remove(spot)

    def copier(self, kind, server, case, tool, prog, make, rep, source, port):
        _, tree, files = source
        spot = kind.fresh(port)
        argv, env = make(prog, spot, "push", tree)
        manifest = next(tree.glob("*/*.dir"))
        away = self.work / "manifest"
        os.rename(manifest, away)
        try:
            self.timed(server, f"{case} push", tool, rep, argv, self.work, env)
        finally:
            os.rename(away, manifest)
        self.check_there(kind, spot, files, f"{tool} push")
        out = self.work / f"copy-{tool}"
        out.mkdir()
        argv, env = make(prog, spot, "pull", out)
        self.timed(server, f"{case} fetch", tool, rep, argv, self.work, env)
        self.check_here(out, files, f"{tool} pull")
        self.drop(out)
        kind.remove(spot)

    def turns(self, kind):
        """name -> what to call; git-data between two measurements of the ceiling."""
        out, gd, dvc = {}, self.commands["git-data"], self.commands.get("dvc")
        out["git-data"] = ("own", gd)
        if dvc:
            out["dvc"], out["dvc -j 32"] = ("own", dvc), ("own", dvc)
        for name, (prog, make) in kind.copiers().items():
            out[name] = ("copier", prog, make)
        return {k: v for k, v in out.items() if k in self.o.tools or k.split()[0] in self.o.tools}

    def server(self, name, make):
        try:
            kind = make()
        except Missing as e:
            print(f"{name}: left out: {e}", flush=True)
            return
        proxy, port = None, None
        kind.start(self.work / f"server-{name}")
        try:
            port = kind.port
            if self.o.delay:
                port = free_port()
                proxy = subprocess.Popen([self.delay, str(port), str(kind.port), str(self.o.delay / 2)])
                wait_port(port, proxy)
            for case in self.o.cases:
                source = self.sources.get(case) or self.sources.setdefault(case, self.make_source(case))
                for rep in range(self.o.repeat):
                    self.once(kind, name, case, rep, source, port)
        finally:
            if proxy:
                proxy.kill()
                proxy.wait()
            kind.stop()
            shutil.rmtree(self.work / f"server-{name}", ignore_errors=True)

    def once(self, kind, name, case, rep, source, port):
        turns = self.turns(kind)
        order = list(turns)
        order = order[rep % len(order):] + order[:rep % len(order)]
        conns = [64] if self.o.delay else getattr(kind, "connections", CONNECTIONS)
        for tool in order:
            how, *arg = turns[tool]
            if tool.startswith("git-data"):
                self.ceilings(kind, name, case, source[2], rep, port, conns)
            if how == "own":
                self.own_tool(kind, name, case, tool, arg[0], rep, source, port)
            else:
                self.copier(kind, name, case, tool, *arg, rep, source, port)
            if tool.startswith("git-data"):
                self.ceilings(kind, name, case, source[2], rep, port, conns)

    # report

    def of(self, server, case, tool, rep=None):
        return [r["wall"] for r in self.runs if (r["server"], r["case"], r["tool"]) == (server, case, tool)
                and rep in (None, r["rep"])]

    def ratio(self, server, case, tool, limit_of="ceiling"):
        """The ceiling's time over the tool's, in the same repetition; median."""
        limit = {"fetch": "pull", "again": None}.get(case.split()[1], case.split()[1])
        out = []
        for rep in range(self.o.repeat):
            have, best = self.of(server, case, tool, rep), self.of(server, f"{case.split()[0]} {limit}", limit_of, rep)
            if have and best:
                out.append(statistics.mean(best) / have[0])
        return statistics.median(out) if out else None

    def rows(self):
        for server in dict.fromkeys(r["server"] for r in self.runs):
            for case in self.o.cases:
                for step in ("push", "again", "fetch", "pull"):
                    row = {"server": server, "case": f"{case} {step}"}
                    for tool in dict.fromkeys(r["tool"] for r in self.runs):
                        walls = self.of(server, row["case"], tool)
                        if walls:
                            row[tool] = {"wall": statistics.median(walls), "best": min(walls),
                                         "ratio": self.ratio(server, row["case"], tool) if tool not in LIMITS else None,
                                         "safe": self.ratio(server, row["case"], tool, "safe") if tool not in LIMITS else None}
                    if len(row) > 2:
                        yield row

    @staticmethod
    def cell(x):
        if not x:
            return "-"
        return (f"{x['wall']:.2f} s" if x["wall"] >= 0.1 else f"{x['wall']:.3f} s") + (
            f" ({x['ratio']:.2f})" if x["ratio"] and not x["safe"] else
            f" ({x['ratio']:.2f}; {x['safe']:.2f})" if x["ratio"] else "")

    def markdown(self):
        tools = [t for t in ("ceiling", "safe", "git-data", "dvc", "dvc -j 32", "rclone", "s5cmd", "sftp", "azcopy")
                 if any(r["tool"] == t for r in self.runs)]
        head = [f"{n:,} x {s >> 10} KiB" if s < 1 << 20 else f"{n} x {s >> 20} MiB" for n, s in
                (self.o.sizes[c] for c in self.o.cases)]
        out = [", ".join(f"{c}: {h}" for c, h in zip(self.o.cases, head))
               + (f"; through a proxy that adds {self.o.delay:g} ms" if self.o.delay else "") + ".", "",
               "| server | case | " + " | ".join(tools) + " |", "|" + "---|" * (len(tools) + 2)]
        for row in self.rows():
            out.append(f"| {row['server']} | {row['case']} | " + " | ".join(self.cell(row.get(t)) for t in tools) + " |")
        out += ["", f"Machine: {os.cpu_count()} cores, Linux {platform.release()}, load {os.getloadavg()[0]:.1f} at the end, "
                f"{self.o.repeat} repetitions, medians; in brackets the ceiling's time over the tool's, of the same repetition; "
                "then the time of the ceiling that is safe: uploads with Content-MD5, downloads written."]
        if self.o.delay:
            best = 64 / (self.o.delay / 1000)
            out += ["", f"64 connections over {self.o.delay:g} ms give {best:,.0f} requests a second at most."]
        return "\n".join(out)

    def write(self):
        if self.o.json:
            Path(self.o.json).write_text(json.dumps({"rows": list(self.rows()), "runs": self.runs}, indent=2) + "\n")
        text = self.markdown()
        print(text)
        if self.o.markdown:
            begin, end = (m.format(f" {self.o.mark}" if self.o.mark else "") for m in MARK)
            page = Path(self.o.markdown)
            old = page.read_text()
            if begin not in old:
                old = f"{old.rstrip()}\n\n{begin}\n{end}\n"
            head, tail = old.split(begin)[0], old.split(end)[1]
            page.write_text(f"{head}{begin}\n{text}\n{end}{tail}")

    def run(self, kinds):
        self.sources = {}
        try:
            for name in self.o.servers:
                if name not in kinds:
                    raise Failure(f"no such server: {name}; there are {', '.join(kinds)}")
                print(name, flush=True)
                self.server(name, kinds[name][1])
        finally:                # also what was measured before a failure, Ctrl-C or SIGTERM
            if self.runs:
                self.write()


def parse_size(text):
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


def parse_case(text):
    n, size = text.split("x")
    return int(n), parse_size(size)


def options(kinds):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--servers", default=",".join(kinds), help=f"of {', '.join(kinds)}; those not installed are left out")
    p.add_argument("--cases", default="small,large")
    p.add_argument("--small", default="10000x4K")
    p.add_argument("--large", default="4x256M")
    p.add_argument("--tools", default="git-data,dvc,rclone,s5cmd,sftp,azcopy", help="'dvc' is also run with -j 32")
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--delay", type=float, default=0, help="milliseconds that a proxy adds to a round trip")
    p.add_argument("--link", default="hardlink", help="cache.type of the clones: hardlink costs pull the least")
    p.add_argument("--work", help="directory to work in; /dev/shm leaves the disk out of it")
    p.add_argument("--json", help="write all numbers there")
    p.add_argument("--markdown", help="put the table between the marks of this page")
    p.add_argument("--mark", default="", help="name of the marks, for more than one table on a page")
    p.add_argument("--keep", action="store_true")
    o = p.parse_args()
    o.servers, o.cases, o.tools = o.servers.split(","), o.cases.split(","), o.tools.split(",")
    o.sizes = {"small": parse_case(o.small), "large": parse_case(o.large)}
    return o


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    kinds = find_kinds()
    b = Bench(options(kinds))
    if "git-data" not in b.commands:
        print("remotes: git-data is not built; run make first", file=sys.stderr)
        return 2
    try:
        b.run(kinds)
    except (Failure, KeyboardInterrupt) as f:
        print(f"remotes: {f or 'interrupted'}", file=sys.stderr)
        return 1
    finally:
        if not b.o.keep:
            subprocess.run(["chmod", "-R", "u+w", b.work], check=False)
            shutil.rmtree(b.work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
