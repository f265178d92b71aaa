"""checkout: the same steps by each tool in a repository of its own; words, exit codes, files and modes must be equal."""
import hashlib
import os
import re
import shutil

import pytest
from harness import DVC, GIT_DATA, UNPRIVILEGED


def obj(data):
    h = hashlib.md5(data).hexdigest()
    return f".dvc/cache/files/md5/{h[:2]}/{h[2:]}"


def manifest(r, pointer="data.dvc"):
    h = re.search(r"md5: ([0-9a-f]{32}\.dir)", r.text(pointer)).group(1)
    return f".dvc/cache/files/md5/{h[:2]}/{h[2:]}"


class Two:
    """Both repositories, driven together. Every step's answers are compared."""

    def __init__(self, twins):
        self.t = twins

    def each(self, fn):
        for r, tool in ((self.t.gd, "gd"), (self.t.dvc, "dvc")):
            fn(r, tool)

    def quiet(self, *args):
        """A step that prepares: no output is compared."""
        self.each(lambda r, tool: r.tool(tool, *args))

    def write(self, name, data, mode=None):
        self.each(lambda r, _: r.write(name, data, mode))

    def rm(self, *names):
        self.each(lambda r, _: [r.rm(n) for n in names])

    def git(self, *args):
        self.each(lambda r, _: r.git(*args))

    def commit(self, msg="c"):
        self.each(lambda r, _: r.commit(msg))

    def do(self, *args, cwd=None, fresh=False):
        a = self.t.gd.gd(*args, code=None, cwd=cwd)
        env = {"DVC_SITE_CACHE_DIR": str(self.t.dvc.path.parent / f"site{os.urandom(4).hex()}")} if fresh else None
        b = self.t.dvc.dvc(*args, code=None, cwd=cwd, env=env)
        where = f"{args}\n--- ours\n{a!r}\n--- theirs\n{b!r}"
        assert a.code == b.code, where
        assert a.out == b.out, where
        assert self.errors(a.err, self.t.gd) == self.errors(b.err, self.t.dvc), where
        return a

    @staticmethod
    def errors(text, r):
        text = text.replace(str(r.path), "<root>")
        head, *rest = text.split("\n", 1) if text else ("",)
        return [head] + sorted("\n".join(rest).splitlines())

    def same(self, modes=True):
        a, b = self.t.gd.snapshot(modes=modes), self.t.dvc.snapshot(modes=modes)
        assert {k: v for k, v in a.items()} == {k: v for k, v in b.items()}
        da, db = self.dirs(self.t.gd), self.dirs(self.t.dvc)
        assert da == db

    @staticmethod
    def dirs(r):
        out = set()
        for d, names, _ in os.walk(r.path):
            names[:] = [n for n in names if n not in (".git", ".dvc")]
            out.add(os.path.relpath(d, r.path))
        return out

    def base(self):
        for n in ("1", "2", "3", "sub/s", "sub/deep/x y", "é.txt"):
            self.write(f"data/{n}", f"{n}\n")
        self.write("f", "f\n")
        self.write("run.sh", "#!/bin/sh\n", 0o755)
        self.write("m/n/o.bin", "o\n")
        self.quiet("add", "-q", "data", "f", "run.sh", "m/n/o.bin")
        self.commit("base")

    def checks(self, *args, **kw):
        """The command, and once more; after each the trees are equal."""
        self.do("checkout", *args, **kw)
        self.same()
        self.do("checkout", *args, **kw)
        self.same()


@pytest.fixture
def two(twins):
    t = Two(twins)
    t.base()
    return t


def test_all_comes_back(two):
    two.rm("data", "f", "run.sh", "m/n/o.bin")
    two.checks()


def test_parts_come_back(two):
    two.rm("data/1", "data/sub", "f")
    two.checks()
    two.rm("data/1", "data/2")
    two.checks("data/1")
    two.checks("data")
    two.rm("data/sub/s", "data/sub/deep")
    two.checks("data/sub/deep")
    two.checks("data.dvc")


def test_changed_content_is_refused_then_forced(two):
    two.write("f", "other\n")
    two.write("data/1", "other\n")
    two.write("data/extra", "extra\n")
    two.do("checkout")
    two.same()
    two.do("checkout", "f")
    two.do("checkout", "data/1")
    two.same()
    two.checks("-f")


def test_changes_that_are_cached_are_replaced(two):
    two.write("f", "2\n")
    two.write("data/1", "3\n")
    two.checks()


def test_summary(two):
    two.rm("data", "f")
    two.do("checkout", "--summary")
    two.do("checkout", "--summary")
    two.write("f", "2\n")
    two.rm("data/1")
    two.write("data/2", "3\n")
    two.do("checkout", "--summary")
    two.same()


def test_branches(two):
    two.git("checkout", "-q", "-b", "two")
    two.write("data/4", "4\n")
    two.rm("data/1")
    two.write("f", "F\n")
    two.write("g", "g\n")
    two.write("dd/x", "x\n")
    two.quiet("add", "-q", "data", "f", "g", "dd")
    two.commit("two")
    for rev in ("main", "two", "main", "two"):
        two.git("checkout", "-q", rev)
        two.checks()
    two.git("checkout", "-q", "main")
    two.do("checkout", "--summary")
    two.git("checkout", "-q", "two")
    two.do("checkout", cwd="m/n")
    two.same()
    two.git("checkout", "-q", "main")
    two.do("checkout", cwd="m/n")
    two.same()


def test_an_unclaimed_path_that_was_edited_stays(two):
    two.git("checkout", "-q", "-b", "two")
    two.write("g", "g\n")
    two.quiet("add", "-q", "g")
    two.commit("two")
    two.write("g", "edited\n")
    two.git("checkout", "-q", "main")
    two.do("checkout")
    two.same()


def test_empty_directories(two):
    two.each(lambda r, _: (r.path / "data/void/deep").mkdir(parents=True))
    two.checks()
    two.each(lambda r, _: (r.path / "empty").mkdir())
    two.quiet("add", "-q", "empty")
    two.each(lambda r, _: (r.path / "empty").rmdir())
    two.checks()


def test_exec_bits(two):
    two.each(lambda r, _: ((r.path / "run.sh").chmod(0o644), (r.path / "f").chmod(0o755)))
    two.do("checkout")
    two.same()
    two.each(lambda r, _: (r.path / "data/1").chmod(0o755))
    two.do("checkout")
    two.same()


def test_types_change(two):
    two.rm("f")
    two.write("f/inner", "2\n")
    two.rm("data")
    two.write("data", "3\n")
    two.checks()


def test_type_change_is_refused_when_unsaved(two):
    two.rm("f")
    two.write("f/inner", "only here\n")
    two.do("checkout", "f")
    two.same()
    two.checks("-f")


def test_missing_objects(two):
    two.each(lambda r, _: (r.rm(obj(b"2\n")), r.rm(obj(b"f\n")), r.rm("f"), shutil.rmtree(r.path / "data")))
    two.do("checkout", fresh=True)
    two.same()
    two.do("checkout", "--allow-missing", fresh=True)
    two.same()
    two.do("checkout", "f", fresh=True)
    two.do("checkout", "data/1", fresh=True)
    two.do("checkout", "data/2", fresh=True)


def test_missing_manifest(two):
    two.each(lambda r, _: (r.rm(manifest(r)), shutil.rmtree(r.path / "data")))
    two.do("checkout", fresh=True)
    two.same()
    two.do("checkout", "--allow-missing", fresh=True)
    two.same()


def test_no_cache_at_all(two):
    """Without the executable: the reference stumbles over one that it cannot make."""
    two.each(lambda r, _: (r.rm(".dvc/cache"), r.rm("f"), r.rm("m/n/o.bin"), r.rm("data"), r.rm("run.sh.dvc"),
                         r.rm("run.sh")))
    two.do("checkout", fresh=True)
    two.same()


def test_targets(two):
    two.rm("data", "f", "m/n/o.bin")
    two.do("checkout", "nope")
    two.do("checkout", "nope.dvc")
    two.do("checkout", "m")
    two.do("checkout", "-R", "m")
    two.same()
    two.do("checkout", "f.dvc", "data.dvc")
    two.same()
    two.rm("m/n/o.bin")
    two.do("checkout", "m/n/o.bin")
    two.same()
    two.rm("m/n/o.bin")
    two.do("checkout", "o.bin.dvc", cwd="m/n")
    two.same()


@pytest.mark.parametrize("types", ["copy", "hardlink", "symlink", "hardlink,symlink", "reflink,copy"])
def test_relink(two, types):
    two.quiet("config", "cache.type", types)
    two.do("checkout", "--relink")
    two.same()
    two.rm("data/1", "f", "run.sh")
    two.do("checkout")
    two.same()
    two.quiet("config", "cache.type", "copy")
    two.do("checkout", "--relink", "data")
    two.same()


def test_pipeline_outputs(two):
    two.write("src", "s\n")
    two.write("dvc.yaml", "stages:\n  a:\n    cmd: cp src o && mkdir -p od && cp src od/x\n    deps: [src]\n"
              "    outs: [o, od]\n  b:\n    cmd: cp o p\n    deps: [o]\n    outs:\n    - p: {cache: false}\n")
    two.quiet("repro", "-q")
    two.commit("pipe")
    two.rm("o", "od", "p")
    two.checks()
    two.rm("o")
    two.checks("a")
    two.rm("o", "od")
    two.checks("-d", "b")
    two.checks("dvc.yaml")


def test_output_never_recorded(two):
    two.write("dvc.yaml", "stages:\n  a:\n    cmd: cp f o\n    deps: [f]\n    outs: [o]\n")
    two.do("checkout")
    two.same()
    two.write("o", "unsaved\n")
    two.do("checkout")
    two.same()


def test_ignored_content(two):
    two.write(".dvcignore", "*.tmp\n")
    two.write("data/a.tmp", "x\n")
    two.rm("data/1")
    two.checks()


def test_legacy_entries(two):
    """A pointer of DVC 2.x: its objects lie in the old layout."""
    def legacy(r, _):
        r.write("old.dvc", f"outs:\n- md5: {hashlib.md5(b'old' + bytes([10])).hexdigest()}\n  size: 4\n  path: old\n")
        h = hashlib.md5(b"old\n").hexdigest()
        p = r.write(f".dvc/cache/{h[:2]}/{h[2:]}", "old\n", 0o444)
        assert p.exists()
    two.each(legacy)
    two.checks()
    two.write("old", "old\r\n")
    two.do("checkout", "old")
    two.do("status", "--json")
    two.same()


# ---- ours alone: what DVC loses is kept ----

def test_a_member_that_is_nowhere_else_survives_a_failed_checkout(repo):
    for n in ("1", "2"):
        repo.write(f"d/{n}", f"{n}\n")
    repo.gd("add", "-q", "d")
    repo.rm(obj(b"1\n"))
    repo.rm(obj(b"2\n"))
    repo.rm("d/2")
    said = repo.gd("checkout", code=255)
    assert "Checkout failed for following targets:\nd\n" in said.err
    assert "'d/1' is kept" in said.err
    assert repo.read("d/1") == b"1\n"


def test_a_directory_without_its_manifest_is_left_alone(repo):
    for n in ("1", "2"):
        repo.write(f"d/{n}", f"{n}\n")
    repo.gd("add", "-q", "d")
    repo.rm(manifest(repo, "d.dvc"))
    repo.write("d/1", "2\n")
    before = repo.snapshot()
    repo.gd("checkout", code=255)
    assert repo.snapshot() == before


def test_relink_keeps_what_the_cache_lost(repo):
    repo.write("f", "f\n")
    repo.gd("add", "-q", "f")
    repo.rm(obj(b"f\n"))
    said = repo.gd("checkout", "--relink", code=255)
    assert "unsaved" in said.err
    repo.gd("checkout", "--relink", "-f", code=255)
    assert repo.read("f") == b"f\n"


def test_json(repo):
    repo.write("f", "f\n")
    repo.write("d/1", "1\n")
    repo.gd("add", "-q", "f", "d")
    repo.rm("f")
    repo.rm("d")
    assert repo.gd("checkout", "--json").json == {
        "modified": [], "added": ["d/", "f"], "deleted": [], "failed": [],
        "stats": {"modified": 0, "added": 2, "deleted": 0}}


def test_a_directory_that_may_not_be_written_holds_nobody_else_up(twins):
    """What can be made is made; the output that cannot is listed, and we say why."""
    def prepare(r, tool):
        for name in ("d/x/a", "d/b", "e/c", "f"):
            r.write(name, name)
        r.tool(tool, "add", "-q", "d", "e", "f")
        for name in ("d", "e", "f"):
            r.rm(name)
        (r.path / "d/x").mkdir(parents=True)
        (r.path / "d/x").chmod(0o555)
        return r.run([*UNPRIVILEGED, GIT_DATA if tool == "gd" else DVC, "checkout"], code=255)

    ours, theirs = twins.each(prepare)
    assert ours.out == theirs.out
    why, rest = ours.err.split("\n", 1)
    assert why == f"WARNING: cannot create '{twins.gd.path}/d/x/a': Permission denied" and rest == theirs.err
    twins.same_tree()


def test_targets_by_the_thousand(repo):
    """Every name once, however often and whatever part of it was given."""
    for i in range(1500):
        repo.write(f"d{i % 3}/f{i}", str(i))
    repo.gd("add", "-q", "d0", "d1", "d2")
    names = [f"d{i % 3}/f{i}" for i in range(1500)]
    for d in ("d0", "d1", "d2"):
        repo.rm(d)
    repo.gd("checkout", *names, *names)
    assert all(repo.text(n) == n.split("/f")[1] for n in names)
    repo.rm("d0")
    assert repo.gd("checkout", "d0/f0", "d0.dvc", "d0", "d0/f3").out.splitlines()[0].split() == ["A", "d0/"]
    assert len(os.listdir(repo.path / "d0")) == 500
