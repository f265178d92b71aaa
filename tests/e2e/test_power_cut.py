"""S6 when repositories share a cache: what one of them wrote before a power cut, the others verify before they trust it. And what
notes that, an extended attribute of the cache's directory, is nothing to DVC or to who compares trees."""
import hashlib
import os
import re
import shutil

import pytest

MARK = "user.git-data.unsynced"


def place_of(cache, data):
    h = hashlib.md5(data).hexdigest()
    return cache / "files/md5" / h[:2] / h[2:]


def mark_of(cache, name=MARK):
    return os.getxattr(cache, name).decode() if name in os.listxattr(cache) else ""


def set_mark(cache, text, name=MARK):
    os.setxattr(cache, name, text.encode())


def power_cut(cache, *torn):
    """The machine stopped: of these objects only name, mode and stamps came to the disk. It runs again, under another boot id."""
    text = mark_of(cache)
    assert text.startswith("dirty "), text
    set_mark(cache, "dirty " + ("1" if text[6] == "0" else "0") + text[7:])
    for p in torn:
        st = p.stat()
        p.chmod(0o644)
        os.truncate(p, 0)
        p.chmod(0o444)
        os.utime(p, ns=(st.st_atime_ns, st.st_mtime_ns))


def own_files(r):
    """Of both repositories: what stands outside of the cache."""
    return sorted(r.path.parent.glob("site/git-data/*/unsynced"))


@pytest.fixture
def two(make_repo, tmp_path):
    a, b = make_repo("a"), make_repo("b")
    for r in (a, b):
        r.cache_dir = tmp_path / "shared"
        r.gd("cache", "dir", str(r.cache_dir))
    return a, b


def shared_files(a, b):
    a.write("torn", b"torn content\n")
    a.write("whole", b"whole content\n")
    a.gd("add", "-q", "torn", "whole")
    for n in ("torn.dvc", "whole.dvc"):
        b.write(n, a.read(n))


def test_another_repository_does_not_trust_what_was_lost(two):
    a, b = two
    shared_files(a, b)
    torn = place_of(a.cache_dir, b"torn content\n")
    power_cut(a.cache_dir, torn)
    r = b.gd("checkout", code=255)
    assert "torn" in r.err and b.read("whole") == b"whole content\n" and not b.exists("torn")
    assert not torn.exists() and len(list((a.cache_dir / "git-data.quarantine").iterdir())) == 1
    a.gd("add", "-q", "torn")
    b.gd("checkout", "-q")
    assert b.read("torn") == b"torn content\n"


def test_what_a_repository_verified_it_does_not_verify_again(two):
    a, b = two
    shared_files(a, b)
    power_cut(a.cache_dir)
    b.gd("checkout", "-q")
    assert mark_of(a.cache_dir).count("suspect ") == 1
    own, = own_files(b)
    text = own.read_text()
    assert text.count("ok ") == 2
    b.rm("whole")
    b.gd("checkout", "-q")
    assert own.read_text() == text


def test_a_mark_of_an_earlier_version_counts_for_all(two):
    a, b = two
    shared_files(a, b)
    site, = (p for p in a.path.parent.glob("site/git-data/*") if (p / hashlib.md5(str(a.path).encode()).hexdigest()).exists())
    (site / "unsynced").write_text(mark_of(a.cache_dir))
    os.removexattr(a.cache_dir, MARK)
    a.gd("status", "-q")
    assert not (site / "unsynced").exists()
    torn = place_of(a.cache_dir, b"torn content\n")
    power_cut(a.cache_dir, torn)
    b.gd("checkout", code=255)
    assert not b.exists("torn") and b.read("whole") == b"whole content\n"


def changed(r):
    r.write("f", b"changed")


WRITERS = {
    "add": (lambda r: r.write("g", b"new"), ["add", "-q", "g"]),
    "commit": (changed, ["commit", "-q", "-f"]),
    "import-url": (lambda r: None, ["import-url", "-q", "src", "imported"]),
    "import": (lambda r: None, ["import", "-q", "../other", "o"]),
    "fetch": (lambda r: shutil.rmtree(r.path / ".dvc/cache"), ["fetch", "-q"]),
    "fetch-runs": (lambda r: shutil.rmtree(r.path / ".dvc/cache"), ["fetch", "-q", "--run-cache"]),
    "repro": (changed, ["repro", "-q"]),
    "migrate": (lambda r: r.write(".dvc/cache/90/0150983cd24fb0d6963f7d28e17f72", b"abc", 0o444), ["cache", "migrate"]),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_leaves_the_mark_in_the_cache(repo, make_repo, name):
    other = make_repo("other")
    other.write("o", b"of the other")
    other.gd("add", "-q", "o")
    other.commit()
    repo.write("f", b"first")
    repo.write("src", b"source")
    repo.gd("add", "-q", "f")
    repo.gd("remote", "add", "-q", "-d", "origin", str(repo.path.parent / "remote"))
    repo.write("dvc.yaml", "stages:\n  s:\n    cmd: cp f out\n    deps: [f]\n    outs: [out]\n")
    repo.gd("repro", "-q")
    repo.gd("push", "-q", "--run-cache")
    cache = repo.path / ".dvc/cache"
    os.removexattr(cache, MARK)
    prepare, argv = WRITERS[name]
    prepare(repo)
    had = set(repo.cache())
    repo.gd(*argv)
    assert set(repo.cache()) - had
    assert mark_of(cache).startswith("dirty ")


LAYOUTS = ["files/md5", ""]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_dvc_takes_no_notice(make_repo, layout):
    """Every command of DVC that lists a cache says and does the same with our mark there, which stays."""
    seen = []
    for name in ("with", "without"):
        r = make_repo(f"{name}/r", init="dvc")
        r.write("f", b"kept\n")
        r.write("d/x", b"in a directory\n")
        r.dvc("add", "-q", "f", "d")
        r.write("old", b"garbage\n")
        r.dvc("add", "-q", "old")
        r.rm("old.dvc")
        cache = r.path / ".dvc/cache"
        if not layout:
            for p in (cache / "files/md5").iterdir():
                p.rename(cache / p.name)
            shutil.rmtree(cache / "files")
            for n in ("f.dvc", "d.dvc"):
                r.write(n, re.sub("  hash: md5\n", "", r.text(n)))
        if name == "with":
            for m in (MARK, MARK + "-legacy"):
                set_mark(cache, "dirty 0 00000000000000000005 00000000000000000006\n", m)
        r.dvc("remote", "add", "-q", "-d", "origin", str(r.path.parent / "remote"))
        said = []
        for argv in (["status"], ["status", "-c"], ["push"], ["gc", "-w", "-f", "--dry"], ["gc", "-w", "-f"], ["cache", "migrate", "--dry"],
                     ["cache", "migrate"], ["status"], ["fetch"], ["checkout"], ["gc", "-w", "-c", "-f"]):
            p = r.dvc(*argv, code=None)
            said.append((argv, p.code, *(sorted(re.sub(r"\r[^\n]*", "", t).replace(str(r.path.parent), "").splitlines())
                                         for t in (p.out, p.err))))
        seen.append((said, r.cache(), sorted(str(p.relative_to(r.path.parent)) for p in (r.path.parent / "remote").rglob("*"))))
        if name == "with":
            assert all(mark_of(cache, m).startswith("dirty 0 ") for m in (MARK, MARK + "-legacy"))
    assert seen[0] == seen[1]


def test_we_take_no_notice_either(twins):
    """Listing, gc and migration of ours with the mark there come to what DVC's do without it."""
    def prepare(r, tool):
        r.write("f", b"kept\n")
        r.tool(tool, "add", "-q", "f")
        r.write("old", b"garbage\n")
        r.tool(tool, "add", "-q", "old")
        r.rm("old.dvc")
        r.write(".dvc/cache/90/0150983cd24fb0d6963f7d28e17f72", b"abc", 0o444)
    twins.each(prepare)
    assert mark_of(twins.gd.path / ".dvc/cache")
    for argv in (["gc", "-w", "-f", "--dry"], ["cache", "migrate", "--dry"], ["cache", "migrate"], ["gc", "-w", "-f"], ["status"]):
        a, b = twins.both(*argv, code=0)
        assert a.out.replace("/gd/r/", "/") == b.out.replace("/dvc/r/", "/")
    twins.same_cache()


@pytest.fixture
def read_only(two):
    """Repository b may read the cache but not write it."""
    a, b = two
    shared_files(a, b)
    yield a, b
    set_modes(a.cache_dir, True)


def set_modes(cache, writable):
    for d, _, _ in [*os.walk(cache)]:
        os.chmod(d, 0o755 if writable else 0o555)


def test_a_read_only_cache(read_only):
    a, b = read_only
    set_modes(a.cache_dir, False)
    b.gd_unprivileged("checkout", "-q")
    assert b.read("whole") == b"whole content\n"
    assert b.gd_unprivileged("status").code == 0
    set_modes(a.cache_dir, True)
    power_cut(a.cache_dir)
    before = mark_of(a.cache_dir)
    set_modes(a.cache_dir, False)
    for n in ("torn", "whole"):
        b.rm(n)
    b.gd_unprivileged("checkout", "-q")
    assert b.read("whole") == b"whole content\n" and mark_of(a.cache_dir) == before
    own = own_files(b)
    assert len(own) == 1 and own[0].read_text().count("ok ") == 2           # not verified again by each command
    text = own[0].read_text()
    b.rm("whole")
    b.gd_unprivileged("checkout", "-q")
    assert own[0].read_text() == text


def test_nothing_is_in_the_cache_but_what_dvc_has_there(twins):
    twins.each(lambda r, tool: (r.write("f", b"x"), r.tool(tool, "add", "-q", "f")))
    a, b = (sorted(str(p.relative_to(r.path)) for p in (r.path / ".dvc/cache").rglob("*")) for r in (twins.gd, twins.dvc))
    assert a == b and mark_of(twins.gd.path / ".dvc/cache").startswith("dirty ")


@pytest.mark.parametrize("what", ["binary", "long", "empty"])
def test_a_hostile_mark(two, what):
    a, b = two
    shared_files(a, b)
    os.setxattr(a.cache_dir, MARK, {"binary": bytes(range(256)) * 12, "long": b"suspect 1 2\n" * 320, "empty": b""}[what])
    for argv in (["data", "status", "-q"], ["checkout", "-q"], ["add", "-q", "whole"], ["status", "-q"], ["gc", "-w", "-f", "-q"]):
        b.gd(*argv, timeout=60)
    assert b.read("whole") == b"whole content\n"
