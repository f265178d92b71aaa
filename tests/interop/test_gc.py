"""gc: equal repositories, the same command by each tool; words, exit codes and what is left in cache and remote are equal."""
import hashlib
import os
import re
import shutil

import pytest

from harness import GIT_DATA


def key(data, suffix=""):
    h = hashlib.md5(data).hexdigest()
    return f"{h[:2]}/{h[2:]}{suffix}"


def build(r, tool):
    """Five commits, two branches, a tag; old versions of a file and of a directory."""
    for i in range(1, 5):
        r.write("f", f"f{i}\n")
        r.write("d/a", f"a{i}\n")
        r.write("d/same", "same\n")
        r.tool(tool, "add", "-q", "f", "d")
        r.commit(f"c{i}")
        if i == 2:
            r.git("tag", "v2")
            r.git("branch", "old")
    r.git("checkout", "-q", "-b", "side", "HEAD~1")
    r.write("s", "side\n")
    r.tool(tool, "add", "-q", "s")
    r.commit("side")
    r.git("checkout", "-q", "main")
    r.write("f", "uncommitted\n")
    r.tool(tool, "add", "-q", "f")
    r.write(".dvc/cache/runs/ab/abc/def", "a run\n")
    r.write(f".dvc/cache/{key(b'legacy' + bytes([10]))}", "legacy\n", 0o444)


def objects(r, where=".dvc/cache"):
    return sorted(os.path.relpath(p, r.path / where) for p in (r.path / where).rglob("*") if p.is_file())


def norm(text, r):
    text = text.replace(str(r.path), "<root>").replace(str(r.path.parent), "<top>")
    return sorted(re.sub("[0-9a-f]{40}", "<commit>", text).splitlines())


@pytest.fixture
def two(twins):
    build(twins.gd, "gd")
    build(twins.dvc, "dvc")
    assert objects(twins.gd) == objects(twins.dvc)
    return twins


def both(t, *args, **kw):
    a, b = t.gd.gd(*args, code=None, **kw), t.dvc.dvc(*args, code=None, **kw)
    where = f"{args}\n--- ours\n{a!r}\n--- theirs\n{b!r}"
    assert a.code == b.code, where
    assert norm(a.out, t.gd) == norm(b.out, t.dvc), where
    warn = [[ln for ln in norm(x.err, r) if not ln.startswith("DEBUG")] for x, r in ((a, t.gd), (b, t.dvc))]
    assert warn[0] == warn[1], where
    assert objects(t.gd) == objects(t.dvc), where
    return a


SCOPES = [("-A",), ("-a", "-T"), ("--rev", "HEAD", "-n", "2"), ("-a", "-n", "2"), ("-T",), ("--rev", "v2"), ("-w",)]


def test_scopes_from_wide_to_narrow(two):
    """Each step removes more; --dry says it before, word by word."""
    for scope in SCOPES:
        both(two, "gc", *scope, "--dry")
        both(two, "gc", *scope, "-f")
    assert ".dvc/cache/runs/ab/abc/def" in [f".dvc/cache/{o}" for o in objects(two.gd)]


def test_asks_first(two):
    both(two, "gc", "-w", input="")
    both(two, "gc", "-w", input="n\n")
    both(two, "gc", "-w", input="what\nno\n")
    both(two, "gc", "-w", input="y\n")


def test_refuses(two):
    both(two, "gc")
    both(two, "gc", "-n", "2")
    both(two, "gc", "-w", "-c", "--not-in-remote")
    both(two, "gc", "-w", "--rev", "nope", "-f")
    both(two, "gc", "-w", "--date", "2020-13-01", "-f")
    both(two, "gc", "-w", "--not-in-remote", "-f")
    both(two, "gc", "-w", "-c", "-f")
    both(two, "gc", "-w", "-c", "-r", "nope", "-f")


def test_remote(twins):
    two = twins
    for r, tool in ((two.gd, "gd"), (two.dvc, "dvc")):
        # committed first: the reference reads the settings of each revision
        r.tool(tool, "remote", "add", "-q", "-d", "st", str(r.path.parent / "remote"))
        r.commit("remote")
        build(r, tool)
        r.tool(tool, "push", "-q", "-A")
        r.tool(tool, "push", "-q")
    remotes = [two.gd.path.parent / "remote", two.dvc.path.parent / "remote"]

    def left():
        a, b = (sorted(str(p.relative_to(x)) for p in x.rglob("*") if p.is_file()) for x in remotes)
        assert a == b
        return a
    n = len(left())
    for args in (("-A", "-c", "-f"), ("-w", "-c", "--dry"), ("-a", "-c", "-f"), ("-w", "-c", "-f")):
        a, b = two.gd.gd("gc", *args, code=None), two.dvc.dvc("gc", *args, code=None)
        assert a.code == b.code
        text = [sorted(x.out.replace(str(r.path.parent), "<top>").splitlines()) for x, r in ((a, two.gd), (b, two.dvc))]
        assert text[0] == text[1], (args, a, b)
        left()
    assert len(left()) < n
    both(two, "gc", "-w", "--not-in-remote", "-f")


@pytest.mark.parametrize("other", ["Origin", "second", "alias", "linked"])
def test_a_remote_with_two_names(two, other):
    """Both names' outputs are in use there: nothing of either may go."""
    def prepare(r, tool):
        place = r.path.parent / "remote"
        place.mkdir()
        os.symlink(place, r.path.parent / "linked")
        urls = {"origin": place, "second": f"{place}/", "alias": "remote://origin", "linked": r.path.parent / "linked"}
        for name, url in urls.items():
            r.tool(tool, "remote", "add", "-q", *(["-d"] if name == "origin" else []), name, str(url))
        r.tool(tool, "push", "-q", "-a")
        r.write("f.dvc", r.text("f.dvc") + f"  remote: {other}\n")
        r.tool(tool, "push", "-q")
        r.tool(tool, "gc", "-w", "-c", "-f")
        return {os.path.relpath(p, place) for p in place.rglob("*") if p.is_file()}

    ours, theirs = two.each(prepare)
    assert "files/md5/" + key(b"uncommitted\n") in ours
    assert ours == theirs or other == "linked"
    two.gd.rm(".dvc/cache")
    two.gd.gd("fetch", "-q")


def test_missing_manifest(two):
    for r in (two.gd, two.dvc):
        h = re.search(r"md5: ([0-9a-f]{32}\.dir)", r.text("d.dvc")).group(1)
        r.rm(f".dvc/cache/files/md5/{h[:2]}/{h[2:]}")
    a, b = two.gd.gd("gc", "-w", "--dry", code=None), two.dvc.dvc("gc", "-w", "--dry", code=None)
    assert (a.code, norm(a.out, two.gd)) == (b.code, norm(b.out, two.dvc))
    a, b = (r.tool(t, "gc", "-w", code=None, input="y\n") for r, t in ((two.gd, "gd"), (two.dvc, "dvc")))
    assert a.code == b.code and norm(a.err, two.gd) == norm(b.err, two.dvc), (a, b)
    assert objects(two.gd) == objects(two.dvc)


def test_broken_revision(two):
    for r in (two.gd, two.dvc):
        r.write("bad.dvc", "outs: [\n")
        r.commit("bad")
        r.rm("bad.dvc")
        r.commit("good again")
    a, b = (r.tool(t, "gc", "-A", "--dry", code=None) for r, t in ((two.gd, "gd"), (two.dvc, "dvc")))
    assert a.code == b.code == 255 and a.out == b.out
    a, b = (r.tool(t, "gc", "-A", "--dry", "--skip-failed", code=None) for r, t in ((two.gd, "gd"), (two.dvc, "dvc")))
    assert a.code == b.code == 0 and norm(a.out, two.gd) == norm(b.out, two.dvc)
    assert norm(a.err, two.gd) == norm(b.err, two.dvc)


def test_unrecorded_output(two):
    for r in (two.gd, two.dvc):
        r.write("dvc.yaml", "stages:\n  a:\n    cmd: cp f o\n    deps: [f]\n    outs: [o, p]\n")
        r.write("o", "there\n")
    both(two, "gc", "-w", "--dry")


def test_shared_cache(two):
    for r, tool in ((two.gd, "gd"), (two.dvc, "dvc")):
        other = type(r)(r.path.parent / "other", r.env)
        other.path.mkdir()
        other.git("init", "-q")
        other.tool(tool, "init", "-q")
        other.write(".dvc/config", "[cache]\n    dir = ../../r/.dvc/cache\n")
        other.write("shared", "only other uses it\n")
        other.tool(tool, "add", "-q", "shared")
        other.commit("x")
    both(two, "gc", "-w", "-p", "../other", "--dry")
    both(two, "gc", "-w", "-f", "-p", "../other")
    assert f"files/md5/{key(b'only other uses it' + bytes([10]))}" in objects(two.gd)
    both(two, "gc", "-w", "-f")
    assert f"files/md5/{key(b'only other uses it' + bytes([10]))}" not in objects(two.gd)


def test_a_shallow_clone_keeps_what_it_has(two):
    """As in CI: history ends at .git/shallow; what the commits above use is kept, and pushed."""
    for r, tool in ((two.gd, "gd"), (two.dvc, "dvc")):
        r.tool(tool, "remote", "add", "-q", "-d", "st", str(r.path.parent / "remote"))
        r.commit("remote")
        r.write("f", "not committed\n")
        r.tool(tool, "add", "-q", "f")
        r.git("branch", "-q", "-D", "old")
        r.git("tag", "-d", "v2")
        (r.path / ".git/shallow").write_text(r.git("rev-parse", "HEAD").out)
        r.git("reflog", "expire", "--expire=now", "--all")
        r.git("branch", "-q", "-D", "side")
        r.git("gc", "-q", "--prune=now")
        assert r.git("cat-file", "-e", r.git("log", "--format=%P", "-1").out.strip() or "0" * 40, code=None).code
    both(two, "gc", "-A", "-f")
    both(two, "gc", "-a", "-n", "3", "-f")
    a, b = two.gd.gd("push", "-A"), two.dvc.dvc("push", "-A")
    assert a.out == b.out and not a.out.startswith("Everything")
    assert (sorted(p.name for p in (two.gd.path.parent / "remote").rglob("*") if p.is_file()) ==
            sorted(p.name for p in (two.dvc.path.parent / "remote").rglob("*") if p.is_file()))


def test_a_history_with_a_hole_ends_it(two):
    """What cannot be read is no shorter history: nothing is removed by either tool."""
    for r in (two.gd, two.dvc):
        sha = r.git("rev-parse", "HEAD~1").out.strip()
        r.rm(f".git/objects/{sha[:2]}/{sha[2:]}")
    before = objects(two.gd)
    for r, tool in ((two.gd, "gd"), (two.dvc, "dvc")):
        assert r.tool(tool, "gc", "-A", "-f", code=None).code
        assert r.tool(tool, "gc", "-w", "--date", "2020-01-01", "-f", code=None).code
    assert objects(two.gd) == objects(two.dvc) == before


# ---- ours alone ----

def test_what_is_no_object_is_not_ours_to_remove(repo):
    build(repo, "gd")
    odd = [".dvc/cache/files/md5/zz/not-an-object", ".dvc/cache/files/md5/ab/short", ".dvc/cache/notes.txt"]
    for n in odd:
        repo.write(n, "x\n")
    repo.gd("gc", "-w", "-f")
    assert all(repo.exists(n) for n in odd)


def test_json_names_sizes_and_last_paths(repo):
    build(repo, "gd")
    said = repo.gd("gc", "-w", "--dry", "--json").json
    cache = next(p for p in said if p["cache"] == "repo")
    by = {o["md5"]: o for o in cache["objects"]}
    one = by[hashlib.md5(b"f1\n").hexdigest()]
    assert one["path"] == "f" and one["size"] == 3 and os.path.exists(one["object"])
    assert by[hashlib.md5(b"a1\n").hexdigest()]["path"] == "d/a"
    assert cache["count"] == len(cache["objects"]) and cache["dry"] is True
    before = objects(repo)
    repo.gd("gc", "-w", "--dry", "-v")
    assert objects(repo) == before
    gone = repo.gd("gc", "-w", "-f", "--json").json
    assert {o["md5"] for o in gone[0]["objects"]} == set(by)
    assert not [o for o in by if os.path.exists(by[o]["object"])]


def test_what_is_newer_than_the_start_stays(repo):
    """Objects whose stamp lies ahead of the run's begin are somebody's add under way; a manifest keeps its members."""
    build(repo, "gd")
    h = hashlib.md5(b"just added\n").hexdigest()
    p = repo.write(f".dvc/cache/files/md5/{h[:2]}/{h[2:]}", "just added\n", 0o444)
    q = repo.write(".dvc/cache/x", "")
    q.unlink()
    # ctime cannot be set: a clock that runs behind stands for the object that came later
    if not shutil.which("faketime"):
        repo.gd("gc", "-w", "-f")
        assert not p.exists()
        return
    repo.run(["faketime", "-f", "-60s", *_binary(), "gc", "-w", "-f"])
    assert p.exists()


def _binary():
    return [GIT_DATA]


def test_everything_in_use_survives_every_scope(repo):
    build(repo, "gd")
    for scope in SCOPES:
        repo.gd("gc", *scope, "-f")
        assert repo.gd("status", "--json").json == {}
        repo.rm("d")
        repo.rm("f")
        repo.gd("checkout")
        assert repo.read("f") == b"uncommitted\n" and repo.read("d/a") == b"a4\n"


def test_both_names_of_a_migrated_object_go(twins):
    """The end of the one name stamps the other anew; that makes it no newcomer."""
    def prepare(r, tool):
        for i in range(400):
            data = b"old %d" % i
            h = hashlib.md5(data).hexdigest()
            r.write(f".dvc/cache/{h[:2]}/{h[2:]}", data, 0o444)
        r.tool(tool, "cache", "migrate", "-q")
    twins.each(prepare)
    a, b = twins.both("gc", "-w", "-f", code=0)
    assert a.out == b.out and "Removed 400 objects from legacy cache." in a.out
    twins.same_cache()
