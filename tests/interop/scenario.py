"""Scenarios: shell lines run by each tool in a repository of its own, everything compared.

A file tests/interop/scenarios/*.txt holds many:

    == name [flags]
    shell line            each line is a `sh -c` in the repository; `dvc` is the tool under test
    ...

What the reference tool does is recorded in scenarios/golden/*.json (tests/interop/scenario.py --record), so that a
run needs no reference tool; test_scenarios.py replays it against the binary and, with DVC_LIVE=1, against dvc itself.
Compared: exit status and standard output of each line, ERROR and WARNING lines of standard error, and at the end every
file of the work tree (bytes, links, x bits) and every object of the cache. Flags: `unordered` (lines of output in any
order), `noerr` (texts of errors are not compared), `nocache`, `nogit` (no git repository), `empty` (no init).
"""
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
FILES = sorted((HERE / "scenarios").glob("*.txt"))
SKIP_DIRS = {".git", ".dvc/tmp", ".dvc/cache"}


class Scenario:
    def __init__(self, name, flags, lines, where):
        self.name, self.flags, self.lines, self.where = name, flags, lines, where


def load(path):
    out, cur = [], None
    for n, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("== "):
            name, *flags = line[3:].split()
            cur = Scenario(name, set(flags), [], f"{path.name}:{n}")
            out.append(cur)
        elif line.strip() and not line.startswith("#"):
            if cur is None:
                raise ValueError(f"{path}:{n}: a line before the first scenario")
            if line.startswith("    ") and cur.lines:
                cur.lines[-1] += "\n" + line[4:]
            else:
                cur.lines.append(line)
    return out


def environment(top, tool):
    home, bin_ = top / "home", top / "bin"
    home.mkdir()
    bin_.mkdir()
    os.symlink(tool, bin_ / "dvc")
    keep = ("PATH", "LANG", "TERM", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS")
    e = {k: v for k, v in os.environ.items() if k in keep}
    date = "2026-01-02T03:04:05+00:00"
    e.update(HOME=str(home), PATH=f"{bin_}:{e['PATH']}", DVC_NO_ANALYTICS="1", DVC_SITE_CACHE_DIR=str(top / "site"),
             CI="1", XDG_CONFIG_DIRS=str(top / "xdg"), GIT_CONFIG_NOSYSTEM="1", LC_ALL="C.UTF-8", SHELL="/bin/sh",
             GIT_AUTHOR_NAME="A", GIT_AUTHOR_EMAIL="a@example.org", GIT_COMMITTER_NAME="A",
             GIT_COMMITTER_EMAIL="a@example.org", GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date, TOP=str(top),
             PYTHONDONTWRITEBYTECODE="1")
    (home / ".gitconfig").write_text("[init]\n\tdefaultBranch = main\n[protocol \"file\"]\n\tallow = always\n"
                                     "[safe]\n\tdirectory = *\n")
    return e


def clean(text, top):
    text = text.replace(os.path.realpath(top), "<TOP>").replace(str(top), "<TOP>")
    text = re.sub(r"(quarantine/[0-9a-f]{32}(\.dir)?)\.[0-9.]+", r"\1.<WHEN>", text)
    return re.sub(r"\r[^\n]*\r", "", text)


def talk(text):
    """The lines of stderr that scripts read."""
    return [x for x in text.splitlines() if x.startswith(("ERROR", "WARNING"))]


def tree(root):
    out = {}
    for d, dirs, files in os.walk(root):
        rel = os.path.relpath(d, root)
        names = files + [x for x in dirs if os.path.islink(os.path.join(d, x))]
        dirs[:] = sorted(x for x in dirs if os.path.normpath(os.path.join(rel, x)) not in SKIP_DIRS
                         and os.path.basename(x) != ".git" and not os.path.islink(os.path.join(d, x)))
        if rel.endswith(".dvc"):
            dirs[:] = [x for x in dirs if x not in ("tmp", "cache")]
        for f in names:
            p = os.path.join(d, f)
            name = os.path.normpath(os.path.join(rel, f))
            st = os.lstat(p)
            if stat.S_ISLNK(st.st_mode):
                out[name] = "-> " + re.sub(r".*/(files/md5/|runs/)", r"\1", os.readlink(p))
            elif stat.S_ISREG(st.st_mode):
                data = Path(p).read_bytes()
                try:
                    text = data.decode() if len(data) < 4000 else None
                except UnicodeDecodeError:
                    text = None
                x = "x " if st.st_mode & 0o100 else ""
                out[name] = x + (text if text is not None else "md5 " + hashlib.md5(data).hexdigest())
    return out


def objects(root):
    base = Path(root) / ".dvc/cache"
    return sorted(clean(str(p.relative_to(base)), root) for p in base.rglob("*")
                  if p.is_file() and not p.name.endswith(".tmp") and p.name != "CACHEDIR.TAG") if base.exists() else []


def run(sc, tool, timeout=120):
    """-> {"lines": [{cmd, code, out, err}], "tree": {...}, "cache": [...]}"""
    top = Path(tempfile.mkdtemp(prefix="sc-"))
    try:
        env = environment(top, tool)
        repo = top / "r"
        repo.mkdir()
        sh = ["sh", "-c"]
        if "nogit" not in sc.flags:
            subprocess.run(["git", "init", "-q"], cwd=repo, env=env, check=True)
        if "empty" not in sc.flags:
            subprocess.run(sh + ["dvc init -q" + (" --no-scm" if "nogit" in sc.flags else "")], cwd=repo, env=env,
                           check=True, stdout=subprocess.DEVNULL)
            if "nogit" not in sc.flags:
                subprocess.run(["git", "commit", "-qm", "init"], cwd=repo, env=env, check=True)
        lines = []
        for line in sc.lines:
            p = subprocess.run(sh + [line], cwd=repo, env=env, capture_output=True, text=True, timeout=timeout,
                               stdin=subprocess.DEVNULL, errors="surrogateescape")
            lines.append({"cmd": line, "code": p.returncode, "out": clean(p.stdout, top), "err": clean(p.stderr, top)})
        return {"lines": lines, "tree": {k: clean(v, top) for k, v in tree(repo).items()}, "cache": objects(repo)}
    finally:
        subprocess.run(["chmod", "-R", "u+rwX", str(top)], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(top, ignore_errors=True)


def loose(v):
    """JSON without the orders that the reference leaves to chance."""
    if isinstance(v, dict):
        return {k: loose(x) for k, x in v.items()}
    if isinstance(v, list):
        return sorted((loose(x) for x in v), key=lambda x: json.dumps(x, sort_keys=True))
    return v


def same_out(a, b, flags):
    if a == b:
        return True
    try:
        return loose(json.loads(a)) == loose(json.loads(b))
    except ValueError:
        pass
    # The reminder lists files in the order of a set.
    gitadd = re.compile(r"^\tgit add (.*)$", re.M)
    a, b = [gitadd.sub(lambda m: "\tgit add " + " ".join(sorted(m.group(1).split())), x) for x in (a, b)]
    if "unordered" in flags:
        return sorted(a.splitlines()) == sorted(b.splitlines())
    return a == b


def differences(sc, want, got):
    out = []
    for w, g in zip(want["lines"], got["lines"]):
        if w["code"] != g["code"]:
            out.append(f"$ {w['cmd']}\n  exit {g['code']}, expected {w['code']}\n  stdout: {g['out'][-300:]}\n  stderr: "
                       f"{g['err'][-600:]}\n  expected stderr: {w['err'][-600:]}")
        elif not same_out(w["out"], g["out"], sc.flags):
            out.append(f"$ {w['cmd']}\n  stdout:\n{g['out']}\n  expected:\n{w['out']}")
        elif "noerr" not in sc.flags and sorted(talk(w["err"])) != sorted(talk(g["err"])):
            out.append(f"$ {w['cmd']}\n  stderr:\n{g['err']}\n  expected:\n{w['err']}")
    for name in sorted(set(want["tree"]) | set(got["tree"])):
        a, b = want["tree"].get(name), got["tree"].get(name)
        if a != b:
            out.append(f"file {name}:\n  is: {b!r}\n  expected: {a!r}")
    if "nocache" not in sc.flags and want["cache"] != got["cache"]:
        out.append(f"cache: only here {sorted(set(got['cache']) - set(want['cache']))}, "
                   f"missing {sorted(set(want['cache']) - set(got['cache']))}")
    return out


OURS = HERE / "scenarios/golden/ours.json"


def expected(path):
    """name -> outcome; where we differ on purpose (ours.json, each with its reason) it is our own that is expected."""
    gold = json.loads(golden_path(path).read_text())
    for name, own in json.loads(OURS.read_text()).items():
        if name in gold:
            gold[name] = own["result"]
    return gold


def golden_path(path):
    return HERE / "scenarios/golden" / (path.stem + ".json")


def record(paths, tool, only=None):
    from concurrent.futures import ThreadPoolExecutor
    for path in paths:
        g = golden_path(path)
        g.parent.mkdir(exist_ok=True)
        old = json.loads(g.read_text()) if g.exists() else {}
        scs = load(path)
        todo = [s for s in scs if (only and re.search(only, s.name)) or s.name not in old
                or [x["cmd"] for x in old[s.name]["lines"]] != s.lines]
        with ThreadPoolExecutor(3) as ex:
            new = dict(zip([s.name for s in todo], ex.map(lambda s: run(s, tool), todo)))
        res = {s.name: new.get(s.name) or old[s.name] for s in scs}
        g.write_text(json.dumps(res, indent=1, sort_keys=True, ensure_ascii=True) + "\n")
        print(f"{path.name}: {len(todo)} recorded, {len(scs)} in all")


if __name__ == "__main__":
    args = sys.argv[1:]
    if args[:1] == ["--record"]:
        tool = os.environ.get("DVC") or shutil.which("dvc")
        only = args[args.index("-k") + 1] if "-k" in args else None
        names = [a for i, a in enumerate(args[1:], 1) if a != "-k" and args[i - 1] != "-k"]
        record([f for f in FILES if not names or f.stem in names], tool, only)
    elif args[:1] == ["--ours"]:        # --ours NAME REASON: from now on our outcome is the expected one
        tool = os.environ.get("GIT_DATA") or str(HERE.parent.parent / "build/release/git-data")
        own = json.loads(OURS.read_text()) if OURS.exists() else {}
        sc = next(s for f in FILES for s in load(f) if s.name == args[1])
        own[sc.name] = {"reason": args[2], "result": run(sc, tool)}
        OURS.write_text(json.dumps(own, indent=1, sort_keys=True) + "\n")
    else:
        tool = os.environ.get("GIT_DATA") or str(HERE.parent.parent / "build/release/git-data")
        only = args[0] if args else "."
        gold = {f: expected(f) for f in FILES}
        todo = [(s, gold[f][s.name]) for f in FILES for s in load(f) if re.search(only, s.name)]

        def judge(pair):
            sc, gold = pair
            try:
                return sc, differences(sc, gold, run(sc, tool, timeout=30))
            except subprocess.CalledProcessError as exc:
                return sc, [f"setting up fails: {exc}"]
            except subprocess.TimeoutExpired as exc:
                return sc, [f"hangs: {exc}"]

        from concurrent.futures import ThreadPoolExecutor
        bad = 0
        with ThreadPoolExecutor(3) as ex:
            for sc, d in ex.map(judge, todo):
                if d:
                    bad += 1
                    print(f"=== {sc.name} ({sc.where})")
                    print("\n".join(d))
        print(f"{len(todo) - bad} of {len(todo)} agree")
