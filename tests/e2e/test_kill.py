"""SIGKILL at every step: the next run converges and no byte of the user's is gone.

GIT_DATA_FAULT="any:N" kills the tool at the N-th fault point it passes (core/base/proc.h). Each test walks N upwards
from 1 until a run survives, so every point of the command is hit; a last test kills at random moments instead.
"""
import fcntl
import hashlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness import GIT_DATA, Repo

FILES = {
    "data/a": b"a" * 10, "data/b.bin": bytes(range(256)) * 40, "data/sub/c": b"", "data/sub/deep/d e": b"d" * 70000,
    "data/same": b"a" * 10, "one.bin": os.urandom(300000),
}
MAX_POINTS = 2000


def content(top):
    """Every byte string reachable below top: files and objects alike."""
    out = set()
    for d, _, names in os.walk(top):
        for n in names:
            p = os.path.join(d, n)
            if os.path.isfile(p):
                with open(p, "rb") as f:
                    out.add(f.read())
    return out


def user_bytes(repo):
    """What the user would miss: files of the work tree that are no metadata, and objects the pointers name."""
    for name, data in repo.snapshot().items():
        if data != "link" and not name.endswith((".dvc", ".gitignore", ".dvcignore")) and not name.startswith(".dvc"):
            yield name, data
    named = set()
    for p in repo.path.glob("*.dvc"):
        if p.is_file():
            named |= {line.split()[-1] for line in p.read_text().splitlines() if "md5: " in line and line.split()[-1] != "md5"}
    for name, (mode, data) in repo.cache().items():
        if name[10:12] + name[13:] in named:
            yield name, data


class Template:
    """A prepared repository that is copied for each kill."""

    def __init__(self, repo, tmp):
        self.repo, self.tmp, self.n = repo, tmp, 0

    def fresh(self):
        self.n += 1
        to = self.tmp / f"copy{self.n}"
        shutil.copytree(self.repo.path, to, symlinks=True)
        return Repo(to, self.repo.env)

    def done(self, repo):
        shutil.rmtree(repo.path, ignore_errors=True)


@pytest.fixture
def base(make_repo, tmp_path):
    r = make_repo("base")
    for name, data in FILES.items():
        r.write(name, data)
    r.gd("remote", "add", "-q", "-d", "store", str(tmp_path / "store"))
    return Template(r, tmp_path)


def walk_points(base, argv, prepare=None, check=None, expect=None):
    """Kills argv at every fault point; after each kill runs it again and compares with what an unharmed run gives."""
    want = base.fresh()
    if prepare:
        prepare(want)
    want.gd(*argv)
    goal = want.snapshot() if expect is None else expect
    base.done(want)
    points = 0
    for n in range(1, MAX_POINTS):
        r = base.fresh()
        if prepare:
            prepare(r)
        mine = {data for name, data in user_bytes(r)}
        before = content(r.path)
        got = r.gd(*argv, code=None, env={"GIT_DATA_FAULT": f"any:{n}"})
        if got.code == 0:
            base.done(r)
            break
        assert got.code == -signal.SIGKILL, repr(got)
        points += 1
        kept = content(r.path)
        lost = {d for d in before - kept if d in mine}
        assert not lost, f"bytes lost at point {n} of {argv}: {[x[:40] for x in lost]}"
        if check:
            check(r, n)
        again = r.gd(*argv, code=None)
        assert again.code == 0, f"point {n}: {again!r}"
        assert r.snapshot() == goal, f"point {n} of {argv} does not converge"
        for name, (mode, data) in r.cache().items():
            if name.startswith("files/md5/") and not name.endswith(".tmp") and mode == "0o444":
                assert hashlib.md5(data).hexdigest() == name[10:12] + name[13:43], f"corrupt object {name} at point {n}"
        base.done(r)
    else:
        pytest.fail(f"{argv} passes more than {MAX_POINTS} points")
    assert points > 3, f"{argv} passes only {points} fault points: the hooks are gone"
    print(f"{argv[0]}: {points} kill points")


def test_add_a_directory_and_a_file(base):
    walk_points(base, ["add", "-q", "data", "one.bin"])


@pytest.mark.parametrize("types", ["hardlink", "symlink"])
def test_add_with_links(base, types):
    base.repo.gd("config", "cache.type", types)
    walk_points(base, ["add", "-q", "data", "one.bin"])


def test_add_again_after_a_change(base):
    base.repo.gd("add", "-q", "data", "one.bin")

    def change(r):
        r.write("data/new", b"new")
        r.write("data/a", b"changed")
        r.write("one.bin", b"other")
    walk_points(base, ["add", "-q", "data", "one.bin"], prepare=change)


def test_checkout_into_an_empty_tree(base):
    base.repo.gd("add", "-q", "data", "one.bin")

    def empty(r):
        shutil.rmtree(r.path / "data")
        (r.path / "one.bin").unlink()
    walk_points(base, ["checkout", "-q"], prepare=empty)


def test_checkout_over_another_version(base):
    r = base.repo
    r.gd("add", "-q", "data", "one.bin")
    old = {n: r.read(n) for n in ("data.dvc", "one.bin.dvc")}
    r.write("data/a", b"second")
    r.write("data/extra/x", b"x")
    r.write("one.bin", b"second")
    r.gd("add", "-q", "data", "one.bin")
    for n, text in old.items():
        r.write(n, text)
    walk_points(base, ["checkout", "-q"])


def test_push_to_a_directory(base, tmp_path):
    base.repo.gd("add", "-q", "data", "one.bin")
    store = tmp_path / "store"

    def forget(r):
        shutil.rmtree(store, ignore_errors=True)

    def manifest_last(r, n):
        """N4 of remotes: a manifest that is there has all its children there."""
        objects = {str(p.relative_to(store)) for p in store.rglob("*") if p.is_file()} if store.exists() else set()
        if any(o.endswith(".dir") for o in objects):
            names = {o for o in r.cache() if not o.endswith(".dir")}
            own = r.text("one.bin.dvc").split("md5: ")[1][:32]
            children = {o for o in names if o != f"files/md5/{own[:2]}/{own[2:]}" and o.startswith("files/")}
            assert children <= objects, f"point {n}: a manifest is there before its children"
    walk_points(base, ["push", "-q"], prepare=forget, check=manifest_last)


def test_pull_into_a_fresh_work_tree(base):
    base.repo.gd("add", "-q", "data", "one.bin")
    base.repo.gd("push", "-q")

    def fresh(r):
        shutil.rmtree(r.path / "data")
        (r.path / "one.bin").unlink()
        shutil.rmtree(r.path / ".dvc/cache")
    walk_points(base, ["pull", "-q"], prepare=fresh)


def test_gc_of_the_work_tree(base):
    r = base.repo
    r.gd("add", "-q", "data", "one.bin")
    for i in range(3):
        r.write("one.bin", b"the newer one" * i)
        r.gd("add", "-q", "one.bin")
    walk_points(base, ["gc", "-q", "-w", "-f"])


@pytest.mark.parametrize("argv", [["commit", "-q", "-f"], ["remove", "-q", "one.bin.dvc"],
                                  ["move", "-q", "one.bin", "two.bin"], ["unprotect", "-q", "one.bin"]])
def test_commands_that_rewrite_pointers(base, argv):
    r = base.repo
    r.gd("add", "-q", "data", "one.bin")
    before = content(r.path)
    for n in range(1, MAX_POINTS):
        c = base.fresh()
        if argv[0] == "commit":
            c.write("data/a", b"changed for commit")
        got = c.gd(*argv, code=None, env={"GIT_DATA_FAULT": f"any:{n}"})
        if got.code == 0:
            break
        assert got.code == -signal.SIGKILL, repr(got)
        objects = {d for d in before if len(d) >= 10 and d in FILES.values()}
        assert objects <= content(c.path), f"bytes lost at point {n} of {argv}"
        c.gd("status", code=None)
        base.done(c)
    else:
        pytest.fail("never survives")


def test_killed_at_random_moments(base):
    """No fault hook: the process dies wherever the clock says, while real files of some size are added and pushed."""
    r = base.repo
    rng = random.Random(7)
    for i in range(300):
        r.write(f"data/many/{i % 7}/{i}", rng.randbytes(rng.randrange(0, 60000)))
    before = content(r.path / "data") | content(r.path)
    want = base.fresh()
    want.gd("add", "-q", "data", "one.bin")
    goal = want.snapshot()
    for _ in range(12):
        c = base.fresh()
        for argv in (["add", "-q", "data", "one.bin"], ["push", "-q"]):
            p = subprocess.Popen([GIT_DATA, *argv], cwd=c.path, env=c.env, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
            time.sleep(rng.random() * 0.06)
            p.kill()
            p.wait()
            assert before - content(c.path) <= {b""}, "bytes lost"
            c.gd(*argv)
        assert c.snapshot() == goal
        base.done(c)


@pytest.mark.parametrize("point, argv", [("batch.synced", ["add", "-q", *"abcdef"]), ("replace.unsynced", ["repro", "-q", "-f"])])
def test_a_killed_command_leaves_no_temporary(make_repo, point, argv):
    r = make_repo("r")
    for name in "abcdef":
        r.write(name, name)
    r.write("dvc.yaml", "stages:\n" + "".join(f"  s{i}:\n    cmd: echo {i} > o{i}\n    outs: [o{i}]\n" for i in range(6)))
    got = r.gd(*argv, code=None, env={"GIT_DATA_FAULT": f"{point}:1"})
    assert got.code == -signal.SIGKILL, repr(got)
    assert [p for p in os.listdir(r.path) if p.endswith(".tmp")], "the point makes no temporary"
    r.gd(*argv)
    assert not [p for p in os.listdir(r.path) if p.endswith(".tmp")]


@pytest.mark.parametrize("argv", [["get", "@other", "dir", "-o", "out"], ["get", "@other", "plain", "-o", "out", "-f"],
                                  ["get-url", "@other/plain", "out"], ["get-url", "@other/plain", "out", "-f"],
                                  ["import", "@other", "plain", "-o", "out"], ["import-url", "@other/plain", "out"]])
def test_downloads_leave_no_temporary_tree(repo, tmp_path, argv):
    """Killed between download and rename; the next one of the same user takes the remains away."""
    repo.another(tmp_path / "other", {"plain/a": b"a" * 3000, "dir/a": b"a" * 900}, ["dir"])
    (tmp_path / "tmp").mkdir()
    env = {"TMPDIR": str(tmp_path / "tmp")}
    argv = [a.replace("@", str(tmp_path) + "/") for a in argv]
    if "-f" in argv:
        repo.write("out/old", "old")
    died = 0
    for point in ("source.fetched", "import.written", "place.complete", "place.named", "store.named"):
        got = repo.gd(*argv, code=None, env={**env, "GIT_DATA_FAULT": f"{point}:1"})
        died += got.code == -signal.SIGKILL
        for name in ("out", "out.dvc"):
            if repo.exists(name) and "-f" not in argv:
                repo.rm(name)
    assert died
    repo.gd(*argv, env=env)
    left = [p for d in (repo.path, tmp_path / "tmp") for p in d.rglob("*")
            if p.name.endswith(".tmp") or p.name.startswith(("git-data-", "git-data.temps"))]
    assert not left, left


def test_a_journal_that_is_locked_is_left_alone(repo):
    """Its maker may live in another container, where this number is another process."""
    repo.write("f", "f")
    got = repo.gd("add", "f", code=None, env={"GIT_DATA_FAULT": "replace.synced:1"})
    assert got.code == -signal.SIGKILL
    journal, = (repo.path / ".dvc/tmp").glob("git-data.temps.*")
    with open(journal) as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        repo.gd("status")
        assert journal.exists()
    repo.gd("status")
    assert not journal.exists()


@pytest.mark.parametrize("argv", [["init", "-q", "-f"], ["config", "cache.type", "copy"], ["remote", "modify", "store", "url", "elsewhere"],
                                  ["install"]])
def test_commands_that_lock_nothing_leave_no_temporary(base, tmp_path, argv):
    """Their journal lies in the user's directory; the next such command removes what the dead one left."""
    (tmp_path / "tmp").mkdir()
    env = {"TMPDIR": str(tmp_path / "tmp")}
    left = 0
    for n in range(1, MAX_POINTS):
        r = base.fresh()
        got = r.gd(*argv, code=None, env={**env, "GIT_DATA_FAULT": f"any:{n}"})
        left += len([*r.path.rglob(".*.tmp")])
        r.gd("config", "core.analytics", "false", env=env)
        assert not [*r.path.rglob(".*.tmp")] and not os.listdir(tmp_path / "tmp"), f"point {n} of {argv}"
        base.done(r)
        if got.code == 0:
            break
        assert got.code == -signal.SIGKILL, repr(got)
    assert left


def sorted_tree(r):
    tree = r.snapshot()
    return {n: sorted(d.splitlines()) if n.endswith(".gitignore") else d for n, d in tree.items() if d}


@pytest.mark.parametrize("argv", [("data", "data2"), ("one.bin", "two.bin"), ("one.bin", "into"), ("data", "sub/deep")])
def test_a_killed_move_is_taken_back_or_completed(base, argv):
    r = base.repo
    r.gd("add", "-q", "data", "one.bin")
    r.write("into/other", "other")
    r.write("sub/other", "other")
    before = sorted_tree(r)
    want = base.fresh()
    want.gd("move", *argv)
    goal = sorted_tree(want)
    base.done(want)
    seen = set()
    for n in range(1, MAX_POINTS):
        r = base.fresh()
        got = r.gd("move", "-q", *argv, code=None, env={"GIT_DATA_FAULT": f"any:{n}"})
        if got.code == 0:
            break
        assert got.code == -signal.SIGKILL, repr(got)
        said = r.gd("status", "--json")
        assert said.json == {}, (n, said)
        now = sorted_tree(r)
        assert now in (before, goal), n
        assert ("completed" in said.err) <= (now == goal) and ("taken back" in said.err) <= (now == before)
        if now == before:
            again = r.gd("move", *argv)
            assert sorted_tree(r) == goal and "interrupted" not in again.err
        seen.add(said.err.strip().rsplit(" was ")[-1])
        base.done(r)
    assert seen == {"", "taken back", "completed"}


@pytest.mark.parametrize("argv", [["import-url", "@plain2", "out"], ["import-url", "@plain2"], ["import-url", "@plain2/f"],
                                  ["import", "@", "dir", "-o", "out"], ["import", "@", "plain", "-o", "out"]])
def test_a_killed_import_is_no_directory_to_import_into(base, tmp_path, argv):
    """The second run makes what one that was not killed makes, not out/dir."""
    base.repo.gd("config", "core.analytics", "false")
    other = base.repo.another(tmp_path / "other", {"plain/a": b"a" * 3000, "dir/a": b"a" * 900}, ["dir"]).path
    for name in ("f", "s/g", "s/h"):
        (other / "plain2" / name).parent.mkdir(parents=True, exist_ok=True)
        (other / "plain2" / name).write_bytes(name.encode() * 2000)
    argv = [a.replace("@", f"{other}/") if len(a) > 1 else str(other) for a in argv]
    want = base.fresh()
    want.gd(*argv)
    goal = want.snapshot()
    half = 0
    for n in range(1, MAX_POINTS):
        r = base.fresh()
        got = r.gd(*argv, code=None, env={"GIT_DATA_FAULT": f"any:{n}"})
        begun = list((r.path / ".dvc/tmp").glob("git-data.import.*"))
        if got.code == 0:
            assert not begun
            break
        assert got.code == -signal.SIGKILL, repr(got)
        if begun or r.snapshot() != goal:       # else it was complete but for the state
            half += bool(begun)
            r.gd(*argv)
        assert r.snapshot() == goal, f"point {n} does not converge"
        base.done(r)
    assert half > 3


def test_what_was_put_into_a_killed_import_stays(base, tmp_path):
    other = base.repo.another(tmp_path / "other", {"plain/a": b"a" * 3000, "dir/a": b"a" * 900}, ["dir"]).path
    argv = ["import-url", f"{other}/plain", "out"]
    r = base.repo
    assert r.gd(*argv, code=None, env={"GIT_DATA_FAULT": "import.noted:1"}).code == -signal.SIGKILL
    r.write("out/mine", b"mine")
    said = r.gd(*argv, code=1)
    assert "The directory 'out' already exists locally" in said.err and r.read("out/mine") == b"mine", said
    r.rm("out/mine")
    r.gd(*argv)
    assert not r.exists("out/plain") and not list((r.path / ".dvc/tmp").glob("git-data.import.*"))
    assert "out/plain.dvc" in r.gd(*argv, code=1).err           # a directory as any other now, and ignored
