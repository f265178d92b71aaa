"""Random repositories and random command lines, run by the reference tool and by ours side by side.

    random_ops.py [--seeds A-B] [--steps N] [--keep-going] [--only REGEX] [--no-shrink]

A seed gives a list of steps (opgen.py): shell lines, and command lines of the tool. Each tool runs them in a place of its
own; after each step exit status, standard output, ERROR and WARNING lines, and every file (bytes, mode, link), the cache
and the remotes must be the same. At the end each tool is asked about what the other wrote. A difference is shrunk to the
steps that it needs and printed in the form of scenarios/*.txt. GIT_DATA and DVC name the tools (harness.py); what may
differ, and why, is in `Rules`.
"""
import argparse
import copy
import hashlib
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))

import opgen  # noqa: E402
from reference import Reference  # noqa: E402
from scenario import clean, environment, talk  # noqa: E402

LIMIT = 60


class Place:
    """Where one tool works: <top>/r is the repository, <top>/store... the remotes, <top>/src... the sources."""

    def __init__(self, top, run, tool):
        self.top, self.run_tool = Path(top), run
        self.top.mkdir(parents=True)
        self.env = environment(self.top, tool)
        self.env["TMPDIR"] = str(self.top / "tmp")
        self.repo = self.top / "r"
        self.repo.mkdir()
        (self.top / "tmp").mkdir()

    def step(self, step):
        """-> (code, out, err)"""
        cwd = self.repo / step.cwd
        if not cwd.is_dir():
            return 0, "", ""
        out, err = self.top / "tmp/.out", self.top / "tmp/.err"
        if step.argv is None:
            p = subprocess.run(["sh", "-c", step.line], cwd=cwd, env=self.env, stdin=subprocess.DEVNULL,
                               capture_output=True, timeout=LIMIT)
            # What git and the shell say is not what is tested.
            return p.returncode, "", ""
        argv = [a.replace("$TOP", str(self.top)) for a in step.argv]
        # DVC remembers in a private database what manifests held and what a remote had: with it, answers would depend
        # on what was asked before.
        for x in (self.top / "site").glob("repo/*/index"):
            shutil.rmtree(x, ignore_errors=True)
        code = self.run_tool(argv, cwd, self.env, out, err)
        text = [clean(x.read_bytes().decode(errors="surrogateescape"), self.top) for x in (out, err)]
        return code, *text

    def snapshot(self):
        """name -> what is there, of everything but private files."""
        res, inodes = {}, {}
        top = str(self.top)
        for d, dirs, files in os.walk(top):
            rel = os.path.relpath(d, top)
            keep = []
            for x in sorted(dirs):
                name = os.path.normpath(os.path.join(rel, x))
                p = os.path.join(d, x)
                if name in ("home", "bin", "site", "tmp", "xdg") or x == ".git" or name.endswith(".dvc/tmp") \
                        or x in ("git-data.tmp", "git-data.quarantine"):
                    continue
                if os.path.islink(p):
                    files.append(x)
                    continue
                keep.append(x)
                res[name + "/"] = oct(os.lstat(p).st_mode & 0o7777)
            dirs[:] = keep
            for x in sorted(files):
                name = os.path.normpath(os.path.join(rel, x))
                if x.endswith(".tmp") and x.startswith(".") or x in ("CACHEDIR.TAG", "git-data.migrating"):
                    continue
                p = os.path.join(d, x)
                st = os.lstat(p)
                if stat.S_ISLNK(st.st_mode):
                    res[name] = "-> " + clean(os.readlink(p), top)
                    continue
                if not stat.S_ISREG(st.st_mode):
                    res[name] = oct(st.st_mode)
                    continue
                with open(p, "rb") as f:
                    data = f.read()
                text = data.decode(errors="surrogateescape") if len(data) < 2000 else hashlib.md5(data).hexdigest()
                twin = f" = {inodes[st.st_ino]}" if st.st_ino in inodes else ""
                if st.st_nlink > 1:
                    inodes.setdefault(st.st_ino, name)
                if x.endswith(".dvc") and top in text:
                    # The digest of an import's pointer covers the absolute path that stands in it.
                    text = re.sub(r"^md5: [0-9a-f]{32}$", "md5: <of this>", text, flags=re.M)
                if x == ".gitignore":
                    # add --glob and directories of pointers come in the order of the directory's entries.
                    text = "\n".join(sorted(text.split("\n")))
                res[name] = f"{oct(st.st_mode & 0o7777)}{twin} {clean(text, top)}"
        return res

    def remove(self):
        subprocess.run(["chmod", "-R", "u+rwX", str(self.top)], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.top, ignore_errors=True)


class Rules:
    """What is compared loosely, each with its reason."""

    @staticmethod
    def out(argv, text):
        # The reminder lists files in the order of a set.
        text = re.sub(r"^\tgit add (.*)$", lambda m: "\tgit add " + " ".join(sorted(shlex.split(m[1]))), text,
                      flags=re.M)
        if "--json" in argv or "--show-json" in argv:
            try:
                return Rules.loose(json.loads(text))
            except ValueError:
                pass
        verb = argv[0] if argv else ""
        if verb in ("status", "data", "fetch", "gc", "pull", "push", "checkout", "add", "commit", "update", "diff", "remove", "du",
                    "list-url", "get", "import"):
            # Stages come in the order of a set or of a directory's entries; lines stay under their header.
            return sorted(text.splitlines())
        return text

    @staticmethod
    def loose(v):
        """JSON: lists that come from sets are compared as such."""
        if isinstance(v, dict):
            return {k: Rules.loose(x) for k, x in v.items()}
        if isinstance(v, list):
            return sorted((Rules.loose(x) for x in v), key=lambda x: json.dumps(x, sort_keys=True))
        return v

    @staticmethod
    def err(argv, text):
        lines = talk(text)
        res = []
        for x in lines:
            # Ours adds the place and the cause after DVC's words; a quarantine is ours alone.
            if "was moved to" in x and "quarantine" in x:
                continue
            # An unexpected exception of the reference: its words are Python's.
            if x.startswith("ERROR: unexpected error"):
                x = "ERROR: unexpected error"
            # What the git library says, and the name of a temporary directory.
            # Commits hold the settings, and these the name of the place.
            x = re.sub(r"\b[0-9a-f]{40}\b", "<COMMIT>", x)
            x = re.sub(r"(Failed to clone repo '[^']*').*", r"\1", x)
            res.append(x)
        return sorted(res)


class Known:
    """Differences on purpose (docs/compatibility.md). What follows in the two places is no longer comparable: the seed ends."""

    @staticmethod
    def reason(step, a, b, x, y):
        argv = step.argv or [""]
        if argv[0] in ("checkout", "pull", "update") and "is kept: its content is not in the cache" in b[2] or \
                argv[0] in ("checkout", "pull") and a[0] and a[0] == b[0] and ("Checkout failed" in a[2] + b[2] or "-q" in argv):
            gone = {k for k in y if y.get(k) != x.get(k)}
            if gone and all(k not in x for k in gone):
                return "what the cache lacks is kept by a forced checkout"
        if argv[0] == "move" and "already exists locally" in b[2]:
            return "move onto an untracked file"
        if argv[0] in ("commit", "repro") and a[0] and a[0] == b[0]:
            return "what was done before a failure depends on the order of a set"
        if "quarantine" in b[2]:
            return "a corrupt object is set aside"
        if argv[0] == "move" and a[0] == b[0] == 1 and "already tracked by SCM" in b[2]:
            return "a move that is refused leaves everything in its place"
        if argv[0] in ("checkout", "pull", "add", "commit") and "unexpected error - (" in a[2]:
            return "DVC stumbles over its own index"
        return None


class Bench:
    """Two places and the two tools."""

    def __init__(self, ref, ours, base):
        self.ref, self.ours, self.base = ref, ours, Path(base)
        self.server = Reference(ref)
        self.link = self.base / "dvc"
        self.link.symlink_to(ours)
        self.n = 0
        self.preludes, self.known = {}, {}

    def run_ours(self, argv, cwd, env, out, err):
        with open(out, "wb") as o, open(err, "wb") as e:
            p = subprocess.run([self.link, *argv], cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                               stdout=o, stderr=e, timeout=LIMIT)
        return p.returncode & 255

    def places(self):
        self.n += 1
        top = self.base / str(self.n)
        return (Place(top / "d", self.server.run, self.ref), Place(top / "o", self.run_ours, self.ours))

    def prelude(self, steps, place):
        """The reference runs the first steps once for both, and once for all seeds that begin so."""
        key = repr(steps)
        if key not in self.preludes:
            if len(self.preludes) > 40:
                shutil.rmtree(self.preludes.pop(next(iter(self.preludes))), ignore_errors=True)
            self.n += 1
            p = Place(self.base / f"p{self.n}/d", self.server.run, self.ref)
            for s in steps:
                code, _, err = p.step(s)
                if code and s.argv is not None:
                    raise RuntimeError(f"prelude: {s.render()}: {err}")
            for x in ("home", "bin", "tmp", "site", "xdg"):
                shutil.rmtree(p.top / x, ignore_errors=True)
            self.preludes[key] = p.top
        subprocess.run(["cp", "-a", f"{self.preludes[key]}/.", str(place.top)], check=True)
        for t in place.top.rglob(".dvc/tmp"):
            shutil.rmtree(t, ignore_errors=True)

    def differences(self, prelude, steps, d, o):
        """Both places go through the steps: (index, dvc's result, ours, (kind, text)) of each that differs."""
        for p in (d, o):
            self.prelude(prelude, p)
        for i, step in enumerate(steps):
            a, b = d.step(step), o.step(step)
            bad = self.compare(step, a, b, d, o)
            if bad:
                yield i, a, b, bad

    def run(self, prelude, steps, cross=True):
        """-> None, or (index of the step, kind, text)"""
        d, o = self.places()
        try:
            for i, a, b, bad in self.differences(prelude, steps, d, o):
                why = Known.reason(steps[i], a, b, d.snapshot(), o.snapshot())
                if why:
                    self.known[why] = self.known.get(why, 0) + 1
                    return None
                return (i, *bad)
            return self.crossed(steps, d, o) if cross else None
        except subprocess.TimeoutExpired as exc:
            return (len(steps) - 1, "hang", str(exc))
        finally:
            d.remove()
            o.remove()
            shutil.rmtree(d.top.parent, ignore_errors=True)

    @staticmethod
    def compare(step, a, b, d, o):
        show = f"--- dvc: exit {a[0]}\n{a[1]}--- stderr\n{a[2][-1500:]}--- ours: exit {b[0]}\n{b[1]}--- stderr\n{b[2][-1500:]}"
        if step.argv is not None:
            argv = step.argv
            if a[0] != b[0]:
                return "exit", show
            # The text of a usage error is each tool's own.
            if a[0] != 254 and "out" not in step.loose and Rules.out(argv, a[1]) != Rules.out(argv, b[1]):
                return "out", show
            if "err" not in step.loose and Rules.err(argv, a[2]) != Rules.err(argv, b[2]):
                return "err", show
            if step.reads:
                return None
        x, y = d.snapshot(), o.snapshot()
        if x != y:
            lines = [f"{k}\n   dvc:  {x.get(k)!r}\n   ours: {y.get(k)!r}" for k in sorted(set(x) | set(y))
                     if x.get(k) != y.get(k)]
            return "tree", "\n".join(lines[:12]) + "\n" + show
        return None

    def crossed(self, steps, d, o):
        """Each tool about what the other wrote: DVC on our tree, ours on DVC's."""
        questions = [["data", "status", "--granular", "--unchanged", "--json"], ["status", "--json"]]
        d2, o2 = copy.copy(d), copy.copy(o)
        d2.run_tool, o2.run_tool = self.run_ours, self.server.run
        for q in questions:
            step = opgen.Step(argv=q)
            a, b = d2.step(step), o2.step(step)
            if (a[0], Rules.out(q, a[1])) != (b[0], Rules.out(q, b[1])):
                return (len(steps), "crossed", f"{q}\n--- ours on dvc's tree: {a[0]}\n{a[1]}\n{a[2][-800:]}"
                        f"\n--- dvc on ours: {b[0]}\n{b[1]}\n{b[2][-800:]}")
        return None

    def shrink(self, prelude, steps, found):
        """Steps are left out as long as the same command differs in the same way."""
        i, kind = found[0], found[1]
        key = self.key(steps, found)
        steps = steps[:i + 1]
        size = max(1, len(steps) // 2)
        while True:
            at, changed = 0, False
            while at < len(steps) - (kind != "crossed"):
                cut = steps[:at] + steps[at + size:]
                if kind != "crossed" and at + size >= len(steps):
                    cut = steps[:at] + steps[-1:]
                if len(cut) < len(steps) and cut:
                    now = self.run(prelude, cut)
                    if now and self.key(cut, now) == key:
                        steps, found, changed = cut[:now[0] + 1], now, True
                        continue
                at += size
            if size == 1 and not changed:
                return steps, found
            size = max(1, size // 2)

    @staticmethod
    def key(steps, found):
        i, kind, text = found
        verb = " ".join((steps[i].argv or ["sh"])[:2 if (steps[i].argv or [""])[0] in ("data", "remote", "cache") else 1]) \
            if i < len(steps) else "end"
        if kind in ("exit",):
            a, b = re.findall(r"^--- (?:dvc|ours): exit (\d+)", text, re.M)[:2]
            kind += f" {a} {b}"
        if kind == "tree":
            kind += " " + ("pointer" if ".dvc\n" in text else "gitignore" if ".gitignore\n" in text else "file")
        return f"{verb}: {kind}"


def report(seed, prelude, steps, found):
    print(f"=== seed {seed}: {Bench.key(steps, found)}")
    print(f"== seed-{seed}")
    used = " ".join(s.render() for s in steps)
    for s in [*prelude, *steps]:
        if s not in opgen.SOURCES or any(x in used for x in ("$TOP/src", "$TOP/ext", "$TOP/plain", "../src", "../ext")):
            print(s.render())
    print("...differs:")
    print(found[2])
    print(flush=True)


def summary(n, bad, started, seen, known):
    print(f"{n} seeds, {bad} differ, {time.time() - started:.0f} s")
    for k, v in sorted(seen.items(), key=lambda x: -x[1]):
        print(f"{v:4} {k}")
    for k, v in known.items():
        print(f"{v:4} on purpose: {k}")


def main():
    from harness import DVC, GIT_DATA
    ap = argparse.ArgumentParser()
    ap.add_argument("--seeds", default="1-50")
    ap.add_argument("--steps", type=int, default=12)
    ap.add_argument("--keep-going", action="store_true")
    ap.add_argument("--no-shrink", action="store_true")
    ap.add_argument("--base", default=None)
    ap.add_argument("--topic", default=None)
    ap.add_argument("--verbose", action="store_true")
    args = ap.parse_args()
    a, _, b = args.seeds.partition("-")
    base = args.base or tempfile.mkdtemp(prefix="random-")
    bench = Bench(DVC, GIT_DATA, base)
    seen, bad, t0, n = {}, 0, time.time(), 0
    try:
        for seed in range(int(a), int(b or a) + 1):
            prelude, steps = opgen.generate(seed, args.steps, args.topic)
            if args.verbose:
                print(f"seed {seed}", *[s.render() for s in [*prelude, *steps]], sep="\n", flush=True)
            n += 1
            found = bench.run(prelude, steps)
            if not found:
                continue
            bad += 1
            key = Bench.key(steps, found)
            seen[key] = seen.get(key, 0) + 1
            if seen[key] > 2:
                print(f"=== seed {seed}: {key} (again)", flush=True)
                continue
            if not args.no_shrink:
                steps, found = bench.shrink(prelude, steps, found)
            report(seed, prelude, steps[:found[0] + 1], found)
            if not args.keep_going:
                break
    finally:
        bench.server.stop()
        shutil.rmtree(base, ignore_errors=True)
    summary(n, bad, t0, seen, bench.known)
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
