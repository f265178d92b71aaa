"""Runs the tool with one system call made to fail (failsys.c), and judges what it leaves: the status is 0 only when all is
done and right, else the message names the cause; nothing of the user's is gone; every object matches its name; the same
command without the fault then comes to what an unharmed run gives.

    tests/e2e/failsys.py --set w --how 28 --every 1 add       # by hand: every call of one case
"""
import argparse
import errno
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness import GIT_DATA, Repo  # noqa: E402

HERE = Path(__file__).resolve().parent
SHORT = "short"
MARK = "user.git-data.unsynced"     # on the cache's directory
# where DVC's words, or libgit2's, tell what is wrong without errno's
UNNAMED = ("not inside of a DVC repository", "is not a git repository", "no longer exists", "object not found", "stage working dir",
           "directory '.' does not exist", "Not inside a DVC repo", "' does not exist", "No such file or directory", "changed while it was")
# what DVC, too, only warns of
TOLD = ("could not be linked", "Could not create .gitignore entry")
META = (".dvc", ".gitignore", ".dvcignore", "dvc.yaml", "dvc.lock")


def build(to):
    """The library, compiled into the directory 'to'."""
    out = Path(to) / "failsys.so"
    cc = os.environ.get("CC", "cc").split()
    subprocess.run([*cc, "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", out, HERE / "failsys.c", "-ldl"], check=True)
    return out


class Case:
    """A repository made by 'prepare', and the command that is run in it. The remote lies in the repository, at 'store'."""

    def __init__(self, name, argv, prepare, settings=(), named=False):
        self.name, self.argv, self.prepare, self.settings, self.named = name, argv, prepare, settings, named
        self.reads = argv[0] in ("status", "data", "diff")


def tracked(r):
    r.gd("add", "-q", "data", "one.bin")


def changed(r):
    tracked(r)
    for n in ("data/a", "one.bin"):         # not through a link to the object
        r.rm(n)
    r.write("data/new", b"new")
    r.write("data/a", b"changed")
    r.write("one.bin", b"other" * 2000)


def two_versions(r):
    changed(r)
    r.write("data/sub/gone", b"gone")
    old = {n: r.read(n) for n in ("data.dvc", "one.bin.dvc")}
    r.gd("add", "-q", "data", "one.bin")
    for n, text in old.items():
        r.write(n, text)


def no_work_tree(r):
    tracked(r)
    r.rm("data")
    r.rm("one.bin")


def pushed(r):
    tracked(r)
    r.gd("push", "-q")


def only_remote(r):
    pushed(r)
    for n in ("data", "one.bin", ".dvc/cache"):
        r.rm(n)


def old_objects(r):
    tracked(r)
    for i in range(2):
        r.write("one.bin", b"newer" * (i + 1))
        r.gd("add", "one.bin")


def pipeline(r):
    tracked(r)
    r.write("p.yaml", "x: 1\n")
    r.write("dvc.yaml", "stages:\n  one:\n    cmd: cat one.bin > o1 && mkdir -p od && cp o1 od/x && echo 2 > od/y\n"
            "    deps: [one.bin]\n    params:\n    - p.yaml:\n      - x\n    outs: [o1, od]\n"
            "  two:\n    cmd: cat o1 od/x > o2\n    deps: [o1, od]\n    outs: [o2]\n    metrics:\n    - m.json:\n"
            "        cache: false\n".replace("> o2\n", "> o2 && echo '{\"a\":1}' > m.json\n"))


def ran(r):
    pipeline(r)
    r.gd("repro", "-q")


def ran_and_changed(r):
    ran(r)
    r.write("one.bin", b"another")


def ran_and_lost(r):
    ran(r)
    r.write("p.yaml", "x: 2\n")
    r.gd("repro", "-q")
    r.write("p.yaml", "x: 1\n")
    r.rm("o2")


def nothing(r):
    pass


def imported(r):
    r.write("source/a", b"source a")
    r.write("source/b/c", b"source c")


def updated(r):
    imported(r)
    r.gd("import-url", "source", "imp")
    r.write("source/a", b"other source")


CASES = [
    Case("add", ["add", "data", "one.bin"], nothing),
    Case("add-hardlink", ["add", "data", "one.bin"], nothing, [("cache.type", "hardlink")]),
    Case("add-symlink", ["add", "data", "one.bin"], nothing, [("cache.type", "symlink")]),
    Case("add-object", ["add", "data", "one.bin"], nothing, [("core.fsync", "object")]),
    Case("add-batch", ["add", "data", "one.bin"], nothing, [("core.fsync", "batch")]),
    Case("add-named", ["add", "data", "one.bin"], nothing, named=True),
    Case("checkout-named", ["checkout"], two_versions, named=True),
    Case("pull-named", ["pull"], only_remote, named=True),
    Case("add-again", ["add", "data", "one.bin"], changed),
    Case("add-to-remote", ["add", "one.bin", "--to-remote"], nothing),
    Case("commit", ["commit", "-f"], changed),
    Case("checkout", ["checkout"], no_work_tree),
    Case("checkout-link", ["checkout", "--relink"], two_versions, [("cache.type", "hardlink")]),
    Case("checkout-other", ["checkout"], two_versions),
    Case("push", ["push"], tracked),
    Case("push-batch", ["push"], tracked, [("core.fsync", "batch")]),
    Case("pull", ["pull"], only_remote),
    Case("fetch", ["fetch"], only_remote),
    Case("gc", ["gc", "-w", "-f"], old_objects),
    Case("gc-cloud", ["gc", "-w", "-f", "-c"], old_objects),
    Case("move", ["move", "one.bin", "two.bin"], tracked),
    Case("remove", ["remove", "one.bin.dvc", "--outs"], tracked),
    Case("unprotect", ["unprotect", "one.bin", "data"], tracked, [("cache.type", "hardlink")]),
    Case("repro", ["repro"], pipeline),
    Case("repro-again", ["repro"], ran_and_changed),
    Case("repro-cached", ["repro"], ran_and_lost),
    Case("config", ["config", "cache.type", "copy"], nothing),
    Case("stage-add", ["stage", "add", "-f", "-n", "s", "-d", "one.bin", "-o", "so", "true"], pipeline),
    Case("import-url", ["import-url", "-f", "source/a", "imp"], imported),
    Case("update", ["update", "imp.dvc"], updated),
    Case("status", ["status", "--json"], changed),
    Case("data-status", ["data", "status", "--json", "--granular"], changed),
    Case("status-cloud", ["status", "-c", "--json"], pushed),
    Case("diff", ["diff", "--json"], lambda r: (tracked(r), r.commit(), r.write("data/a", b"x"), r.gd("add", "-q", "data"))),
]


def content(top):
    """Every byte string below top."""
    out = set()
    for d, _, names in os.walk(top):
        for n in names:
            p = os.path.join(d, n)
            if os.path.isfile(p) and not n.endswith(".mdb"):
                with open(p, "rb") as f:
                    out.add(f.read())
    return out


def user_bytes(r):
    """What a user would miss: files of the work tree that are no metadata, and what stands in the cache and the remote under a
    name that a pointer, the lock file or a manifest of theirs gives."""
    out = set()
    for name, data in r.snapshot().items():
        if data != "link" and not name.endswith(META) and not name.startswith((".dvc", "store/", "site/")):
            out.add(data)
    text = b"".join(p.read_bytes() for p in [*r.path.glob("*.dvc"), *r.path.glob("dvc.lock")] if p.is_file()).decode()
    named = set(re.findall(r"md5: ([0-9a-f]{32}(?:\.dir)?)", text))
    objects = {}
    for where in (".dvc/cache", "store"):
        for name, (_, data) in r.cache(where).items():
            objects[name.removeprefix("files/md5/").replace("/", "")] = data
    for oid in list(named):
        if oid.endswith(".dir") and oid in objects:
            named |= set(re.findall(r'"md5": "([0-9a-f]{32})"', objects[oid].decode()))
    return out | {data for oid, data in objects.items() if oid in named}


def corrupt(r):
    out = []
    for where in (".dvc/cache", "store"):
        for name, (mode, data) in r.cache(where).items():
            h = name.removeprefix("files/md5/").replace("/", "").removesuffix(".dir")
            if re.fullmatch(r"files/md5/../[0-9a-f]{30}(\.dir)?", name) and h != hashlib.md5(data).hexdigest():
                if where == "store" or mode == "0o444":
                    out.append(name)
    return out


def state_of(r):
    """What a run must have made: the work tree, and the names in the cache and in the remote."""
    tree = r.snapshot(skip=(".git", ".dvc/tmp", ".dvc/cache", "store", "site"))
    tree = {n: data for n, data in tree.items() if not n.endswith(".tmp")}      # leftovers() tells of these
    if "dvc.lock" in tree:
        tree["dvc.lock"] = re.sub(rb"(?m)^ *(mtime|size):.*$", b"", tree["dvc.lock"])
    if ".gitignore" in tree:
        tree[".gitignore"] = sorted(tree[".gitignore"].splitlines())
    return tree, {n for n in r.cache()}, {n for n in r.cache("store")} if r.exists("store") else set()


def without_rules(state):
    return {n: data for n, data in state[0].items() if n != ".gitignore"}


def is_marked(r):
    """S6: the objects are noted as not flushed."""
    cache = r.path / ".dvc/cache"
    marks = [os.getxattr(cache, MARK)] if cache.is_dir() and MARK in os.listxattr(cache) else []
    marks += [p.read_bytes() for p in r.path.glob("site/git-data/*/unsynced")]
    return any(re.search(rb"^(dirty|suspect) ", m) for m in marks)


def leftovers(r):
    return sorted(str(p.relative_to(r.path)) for p in r.path.rglob("*")
                  if "/.git/" not in str(p) and "/git-data.tmp/" not in str(p) and "/site/" not in str(p)
                  and p.name != "git-data.tmp" and (p.name.endswith(".tmp") or ".changed-" in p.name or p.name.startswith(("git-data.temps", "git-data.push"))))


class Lab:
    """Copies of prepared repositories, and the library."""

    def __init__(self, tmp, env):
        self.tmp, self.env = Path(tmp), dict(env)
        self.lib = build(tmp)
        self.made, self.n = {}, 0

    def prepared(self, case):
        """A repository as the case wants it, at a place of its own: the state of the last command is warm."""
        self.n += 1
        top = self.tmp / f"r{self.n}"
        base = self.tmp / "base"
        if not base.exists():
            self.make_base(base)
        shutil.copytree(base, top, symlinks=True)
        r = Repo(top, {**self.env, "DVC_SITE_CACHE_DIR": str(top / "site")})
        for k, v in case.settings:
            r.gd("config", k, v)
        case.prepare(r)
        return r

    def make_base(self, base):
        base.mkdir()
        r = Repo(base, {**self.env, "DVC_SITE_CACHE_DIR": str(base / "site")})
        r.git("init", "-q")
        r.gd("init", "-q")
        r.write("data/a", b"a" * 10)
        r.write("data/b.bin", bytes(range(256)) * 40)
        r.write("data/same", b"a" * 10)
        r.write("data/sub/c", b"")
        r.write("data/sub/d e", b"d" * 140000)
        r.write("one.bin", b"0123456789" * 30000)
        r.gd("remote", "add", "-d", "st", "store")
        r.git("add", "-A", ".dvc", ".dvcignore")
        r.git("commit", "-m", "init")

    def run(self, r, case, spec, call=None):
        log = self.tmp / f"log{self.n}"
        log.unlink(missing_ok=True)
        env = {"LD_PRELOAD": str(self.lib), "FAILSYS": spec, "FAILSYS_UNDER": str(r.path),
               "FAILSYS_EXE": Path(GIT_DATA).name, "FAILSYS_LOG": str(log)}
        if case.named:
            env["FAILSYS_NAMED"] = "1"
        if call:
            env["FAILSYS_CALL"] = call
        got = r.gd(*case.argv, code=None, timeout=120, env=env)
        lines = log.read_text(errors="surrogateescape").splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        calls = max([int(x.split()[1]) for x in lines if x.startswith("calls ")] or [0])
        return got, calls, [x for x in lines if not x.startswith("calls ")]

    def goal(self, case, kind, how):
        """(calls that can fail so, what stands at the end, what is printed)"""
        key = (case.name, kind, how == SHORT or how == str(errno.EINTR))
        if key not in self.made:
            r = self.prepared(case)
            got, calls, _ = self.run(r, case, f"{kind}:0:{how}")
            assert got.code == 0, got
            self.made[key] = calls, state_of(r), got.out, is_marked(r)
            shutil.rmtree(r.path)
        return self.made[key]

    def judge(self, case, kind, n, how):
        """Makes the n-th call fail. Gives (what failed, message, complaints)."""
        _, goal, out, marked = self.goal(case, kind, how)
        r = self.prepared(case)
        mine = user_bytes(r)
        got, _, failed = self.run(r, case, f"{kind}:{n}:{how}")
        bad = []
        if not failed:
            shutil.rmtree(r.path)
            return None, "", []
        if got.code < 0:
            bad.append(f"died of signal {-got.code}")
        done = got.code == 0 and not any(x in got.err + got.out for x in TOLD) and not leftovers(r)
        if done and state_of(r) != goal:
            bad.append(f"says it is done, and it is not: {differences(goal, state_of(r))}")
        if got.code == 0 and marked and not is_marked(r):
            bad.append("objects are not flushed, and nothing says so")
        if got.code == 0 and case.reads and got.out != out:
            bad.append(f"says something else: {got.out!r}")
        if got.code and how == SHORT:
            bad.append("a short count is no error")
        if got.code and how == str(errno.EINTR):
            bad.append("an interrupted call is no error")
        if got.code > 0 and how != SHORT and os.strerror(int(how.rstrip("+"))) not in got.err and \
                not any(x in got.err for x in UNNAMED):
            bad.append("does not name the cause")
        lost = mine - content(r.path)
        if lost:
            bad.append(f"lost {[x[:30] for x in lost]}")
        if corrupt(r):
            bad.append(f"corrupt: {corrupt(r)}")
        # all but the line of .gitignore is done: its target is gone, it cannot be asked twice
        once = case.name in ("move", "remove") and without_rules(state_of(r)) == without_rules(goal)
        again = r.gd(*(["status"] if once else case.argv), code=None)
        if again.code:
            bad.append(f"the next run fails: {again.err.strip()}")
        else:
            now = state_of(r)
            if not case.name.startswith("gc"):      # an object that nobody needs may be left of a run that failed
                now = now[0], now[1] & goal[1], now[2] & goal[2]
            if without_rules(now) != without_rules(goal) if once and got.code else now != goal:
                bad.append(f"the next run does not converge: {differences(goal, now)}")
            if case.reads and again.out != out:
                bad.append(f"the next run says {again.out!r}")
            if leftovers(r) and not how.endswith("+"):      # else removing failed, too
                bad.append(f"the next run leaves {leftovers(r)}")
        if corrupt(r):
            bad.append(f"corrupt after the next run: {corrupt(r)}")
        shutil.rmtree(r.path)
        return failed[0], f"{got.code}: {got.err.strip()}", bad


def differences(a, b):
    out = []
    for what, x, y in zip(("tree", "cache", "remote"), a, b):
        for name in sorted(set(x) | set(y)):
            if isinstance(x, dict):
                if x.get(name) != y.get(name):
                    out.append(f"{what} {name}: {str(x.get(name))[:300]} / {str(y.get(name))[:300]}")
            elif (name in x) != (name in y):
                out.append(f"{what} {name}: only in the {'wanted' if name in x else 'found'}")
    return "; ".join(out)[:1500]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--set", default="w")
    p.add_argument("--how", default=str(errno.ENOSPC))
    p.add_argument("--every", type=int, default=1)
    p.add_argument("--first", type=int, default=1)
    p.add_argument("--last", type=int, default=100000)
    p.add_argument("cases", nargs="*")
    a = p.parse_args()
    tmp = tempfile.mkdtemp(prefix="failsys-")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "GIT_", "XDG_"))}
    env.update(HOME=tmp, LC_ALL="C.UTF-8", GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="A", GIT_AUTHOR_EMAIL="a@example.org",
               GIT_COMMITTER_NAME="A", GIT_COMMITTER_EMAIL="a@example.org", DVC_NO_ANALYTICS="1", CI="1")
    lab = Lab(tmp, env)
    for case in CASES:
        if a.cases and not any(re.fullmatch(c, case.name) for c in a.cases):
            continue
        calls = lab.goal(case, a.set, a.how)[0]
        print(f"== {case.name}: {calls} calls", flush=True)
        for n in range(a.first, min(calls, a.last) + 1, a.every):
            failed, said, bad = lab.judge(case, a.set, n, a.how)
            if failed:
                print(f"{case.name} {a.set}:{n}:{a.how} {failed} -> {said}", flush=True)
                for b in bad:
                    print(f"    BAD {b}", flush=True)
    shutil.rmtree(tmp, ignore_errors=True)


if __name__ == "__main__":
    main()
