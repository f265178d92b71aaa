"""The tools under test and a repository to use them in.

GIT_DATA names the binary under test (default: the release build of this checkout), DVC the reference
tool (default: .venv/bin/dvc, made by `make check`, else the dvc in PATH). A missing tool is a failure.
"""
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import reference  # noqa: E402


def _find(env, *candidates):
    named = os.environ.get(env)
    if named:
        return str(Path(named).resolve())
    for c in candidates:
        if Path(c).exists():
            return str(c)
    return shutil.which(candidates[-1].name if isinstance(candidates[-1], Path) else candidates[-1])


GIT_DATA = _find("GIT_DATA", ROOT / "build/release/git-data")
DVC = _find("DVC", ROOT / ".venv/bin/dvc")
# Of root nothing but the name: modes count, and a bare descriptor cannot be linked.
UNPRIVILEGED = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []


class Result:
    def __init__(self, argv, p):
        self.argv, self.code, self.out, self.err = argv, p.returncode, p.stdout, p.stderr

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"{self.argv}: exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Repo:
    """A work tree with both tools at hand. Paths are relative to it."""

    def __init__(self, path, env):
        self.path, self.env = Path(path), dict(env)

    def run(self, argv, code=0, cwd=None, env=None, input=None, timeout=300):
        p = subprocess.run([str(a) for a in argv], cwd=self.path / (cwd or "."), env={**self.env, **(env or {})},
                           input=input, capture_output=True, text=True, timeout=timeout, errors="surrogateescape")
        return self.judged(argv, p, code)

    @staticmethod
    def judged(argv, p, code):
        r = Result(argv, p)
        if code is not None:
            assert p.returncode == code, repr(r)
        return r

    def gd(self, *args, **kw):
        return self.run([GIT_DATA, *args], **kw)

    def gd_unprivileged(self, *args, **kw):
        return self.run([*UNPRIVILEGED, GIT_DATA, *args], **kw)

    def dvc(self, *args, code=0, cwd=None, env=None, input=None, timeout=300):
        assert DVC, "the reference tool is missing: set DVC or run make check"
        if input is not None:
            return self.run([DVC, *args], code, cwd, env, input, timeout)
        p = reference.shared(DVC).completed(args, self.path / (cwd or "."), {**self.env, **(env or {})}, timeout)
        return self.judged([DVC, *args], p, code)

    def tool(self, name, *args, **kw):
        return {"gd": self.gd, "dvc": self.dvc}[name](*args, **kw)

    def git(self, *args, **kw):
        return self.run(["git", *args], **kw)

    def write(self, name, data=b"", mode=None):
        p = self.path / name
        p.parent.mkdir(parents=True, exist_ok=True)
        if p.is_symlink() or (p.exists() and not os.access(p, os.W_OK)):
            p.unlink()
        p.write_bytes(data.encode() if isinstance(data, str) else data)
        if mode is not None:
            p.chmod(mode)
        return p

    def read(self, name):
        return (self.path / name).read_bytes()

    def text(self, name):
        return self.read(name).decode()

    def exists(self, name):
        return os.path.lexists(self.path / name)

    def rm(self, name):
        p = self.path / name
        if p.is_dir() and not p.is_symlink():
            shutil.rmtree(p)
        else:
            p.unlink()

    def commit(self, msg="c"):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", msg)

    def another(self, path, files, add):
        """A second repository with these files, of which those named are tracked, in one commit."""
        path.mkdir()
        o = Repo(path, self.env)
        o.git("init", "-q")
        o.gd("init", "-q")
        for name, data in files.items():
            o.write(name, data)
        o.gd("add", "-q", *add)
        o.commit()
        return o

    def snapshot(self, under=".", modes=False, skip=(".git", ".dvc/tmp", ".dvc/cache")):
        """name -> bytes (links as 'link:...'), for comparing two work trees."""
        out = {}
        base = self.path / under
        for d, dirs, files in os.walk(base):
            rel = os.path.relpath(d, self.path)
            dirs[:] = [x for x in dirs if os.path.normpath(os.path.join(rel, x)) not in skip]
            for f in files + [x for x in dirs if os.path.islink(os.path.join(d, x))]:
                name = os.path.normpath(os.path.join(rel, f))
                p = self.path / name
                st = os.lstat(p)
                if stat.S_ISLNK(st.st_mode):
                    out[name] = "link"
                elif stat.S_ISREG(st.st_mode):
                    data = p.read_bytes()
                    out[name] = (data, oct(st.st_mode & 0o7777)) if modes else data
        return out

    def cache(self, where=".dvc/cache"):
        """Relative object name -> (mode, bytes)."""
        out = {}
        base = self.path / where
        for p in base.rglob("*"):
            if p.is_file() and not p.name.endswith(".tmp") and p.name != "CACHEDIR.TAG":
                out[str(p.relative_to(base))] = (oct(p.stat().st_mode & 0o7777), p.read_bytes())
        return out
