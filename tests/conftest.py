"""Fixtures of all suites: a private HOME, repositories, and the two tools side by side (tests/harness.py)."""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import DVC, GIT_DATA, ROOT, Repo, Result  # noqa: E402,F401


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
