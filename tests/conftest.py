"""Fixtures of all suites: a private HOME, repositories, and the two tools.

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

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))


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
        r = Result(argv, p)
        if code is not None:
            assert p.returncode == code, repr(r)
        return r

    def gd(self, *args, **kw):
        return self.run([GIT_DATA, *args], **kw)

    def dvc(self, *args, **kw):
        assert DVC, "the reference tool is missing: set DVC or run make check"
        return self.run([DVC, *args], **kw)

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


@pytest.fixture
def env(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    e = {k: v for k, v in os.environ.items()
         if not k.startswith(("AWS_", "AZURE_", "DVC_", "GIT_", "GOOGLE_", "XDG_", "SSH_"))}
    e.update(HOME=str(home), DVC_NO_ANALYTICS="1", DVC_SITE_CACHE_DIR=str(tmp_path / "site"), CI="1",
             XDG_CONFIG_DIRS=str(tmp_path / "xdg"), GIT_CONFIG_NOSYSTEM="1", LC_ALL="C.UTF-8",
             GIT_AUTHOR_NAME="A", GIT_AUTHOR_EMAIL="a@example.org", GIT_COMMITTER_NAME="A",
             GIT_COMMITTER_EMAIL="a@example.org", PYTHONDONTWRITEBYTECODE="1")
    (home / ".gitconfig").write_text("[init]\n\tdefaultBranch = main\n[protocol \"file\"]\n\tallow = always\n"
                                     "[safe]\n\tdirectory = *\n")
    return e


@pytest.fixture
def make_repo(tmp_path, env):
    """make_repo(name="r", init="gd"|"dvc"|None, git=True) -> Repo"""
    def make(name="r", init="gd", git=True):
        assert GIT_DATA, "no git-data binary: run make, or set GIT_DATA"
        p = tmp_path / name
        p.mkdir(parents=True)
        r = Repo(p, env)
        if git:
            r.git("init", "-q")
        if init:
            r.tool(init, "init", "-q", *([] if git else ["--no-scm"]))
            if git:
                r.git("commit", "-q", "-m", "init")
        return r
    return make


@pytest.fixture
def repo(make_repo):
    return make_repo()


@pytest.fixture
def twins(make_repo):
    """Two equal repositories, one for each tool: twins.each(fn) runs fn(repo, tool) on both and gives both results."""
    class Twins:
        def __init__(self):
            self.gd, self.dvc = make_repo("gd/r", init="dvc"), make_repo("dvc/r", init="dvc")

        def each(self, fn):
            return fn(self.gd, "gd"), fn(self.dvc, "dvc")

        def both(self, *args, code=None, **kw):
            """The same command by each tool; exit codes must agree. Gives (ours, theirs)."""
            a, b = self.gd.gd(*args, code=None, **kw), self.dvc.dvc(*args, code=None, **kw)
            assert a.code == b.code, f"{a!r}\n=== dvc ===\n{b!r}"
            if code is not None:
                assert a.code == code, repr(a)
            return a, b

        def same_tree(self, modes=False):
            assert self.gd.snapshot(modes=modes) == self.dvc.snapshot(modes=modes)

        def same_cache(self):
            assert self.gd.cache() == self.dvc.cache()

    return Twins()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI a skip is a failure: a server that is missing must not hide."""
    outcome = yield
    rep = outcome.get_result()
    if rep.skipped and os.environ.get("CI") and not hasattr(rep, "wasxfail"):
        rep.outcome = "failed"
        rep.longrepr = f"skipped in CI: {rep.longrepr}"
